//! A part of the keys, under one lock.

use std::{
    collections::{HashMap, VecDeque},
    slice,
};

use hashbrown::HashTable;

use super::{
    super::{line::Line, sync::Arc},
    agreements::{Agreement, Agreements},
    tier::{Terms, Tier},
};
use crate::core::{
    keyed::{Account, LIMITS, Plan, Small},
    time::Time,
};

/// What stands for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Id([u32; 3]);

impl Id {
    pub(super) const fn new((low, high): (u64, u64)) -> Self {
        Self([low as u32, (low >> 32) as u32, (high >> 32) as u32])
    }

    /// Two thirds of it.
    pub(super) const fn low(self) -> u64 {
        (self.0[1] as u64) << 32 | self.0[0] as u64
    }

    /// Which of so many parts, a power of two, it belongs to: by the last third.
    pub(super) const fn part(self, parts: usize) -> usize {
        self.0[2] as usize & (parts - 1)
    }
}

/// What a key's accounts are kept as.
pub(super) enum State {
    /// One limit's, in place: as long as two words are enough, which they nearly always are.
    One(Small),
    /// One limit's that was too much for them.
    Alone(Box<Account>),
    Two(Box<[Account; 2]>),
    Three(Box<[Account; 3]>),
    Four(Box<[Account; 4]>),
    /// Of limits that aren't packed, and unspent.
    Unspent,
    /// A quota: somebody waits for it, or it takes more than what is packed.
    Whole(Arc<Line>),
}

// No larger than it must be: there may be millions. And none of them in two lines of a cache.
#[repr(align(32))]
struct Slot {
    id: Id,
    // An index into the agreements.
    terms: u32,
    state: State,
}

const _: () = assert!(size_of::<Slot>() == 32);

/// What a part no longer needs: dropped when its lock is free again, as some of it is the user's.
#[derive(Default)]
pub(super) struct Gone {
    lines: Vec<Arc<Line>>,
    agreements: Vec<Agreement>,
}

/// A part of the keys.
#[derive(Default)]
pub(super) struct Shard {
    slots: HashTable<Slot>,
    agreements: Agreements,
    // Keys that were given a tier by hand.
    given: HashMap<Id, Tier>,
    // Keys whose accounts are whole, in the order in which they are looked at.
    whole: VecDeque<Id>,
    // Where it looked last for keys that aren't needed any more.
    hand: usize,
    requests: u8,
}

/// How many places are looked at when a new key comes, …
const LOOK_AT: usize = 4;
/// … and when there is no room left for it.
const LOOK_AT_FULL: usize = 256;
/// After so many requests a whole one is looked at.
const LOOK_AFTER: u8 = 8;

/// A key that was found.
pub(super) struct Found<'a> {
    pub(super) agreement: &'a Agreement,
    pub(super) state: &'a mut State,
}

impl Found<'_> {
    /// Does something to its accounts, where they are packed.
    #[inline]
    pub(super) fn packed<T>(&mut self, f: impl FnOnce(&Plan, &mut [Account]) -> T) -> Option<T> {
        let plan = self.agreement.terms.plan.as_ref()?;
        self.state.open(|accounts| f(plan, accounts))
    }

    /// The same for other terms, where no more than that is needed; of accounts that are packed.
    pub(super) fn repacked(&mut self, terms: &Terms, now: Time) -> Option<State> {
        let repacked = self.packed(|old, accounts| match &terms.plan {
            Some(plan) => Some(State::of(plan, &plan.repack(old, accounts, now).ok()?)),
            None => old.is_idle(accounts, now).then(|| State::unspent(terms)),
        });
        repacked.unwrap_or_else(|| Some(State::unspent(terms)))
    }
}

impl State {
    /// Of limits of which nothing is spent.
    fn unspent(terms: &Terms) -> Self {
        match &terms.plan {
            Some(plan) => Self::of(plan, &[Account::default(); LIMITS]),
            None => Self::Unspent,
        }
    }

    pub(super) fn of(plan: &Plan, accounts: &[Account; LIMITS]) -> Self {
        let [first, second, third, _] = *accounts;
        match plan.len() {
            1 => (first.small()).map_or_else(|| Self::Alone(Box::new(first)), Self::One),
            2 => Self::Two(Box::new([first, second])),
            3 => Self::Three(Box::new([first, second, third])),
            _ => Self::Four(Box::new(*accounts)),
        }
    }

    /// Does something to the accounts, where they aren't whole.
    #[inline]
    fn open<T>(&mut self, f: impl FnOnce(&mut [Account]) -> T) -> Option<T> {
        let Self::One(small) = self else {
            return self.apart().map(f);
        };
        let mut account = small.account();
        let done = f(slice::from_mut(&mut account));
        match account.small() {
            Some(now) => *small = now,
            // It stays so: whoever holds much will hold much again.
            None => *self = Self::Alone(Box::new(account)),
        }
        Some(done)
    }

    /// The accounts that aren't in place.
    fn apart(&mut self) -> Option<&mut [Account]> {
        match self {
            Self::One(_) | Self::Whole(_) => None,
            Self::Alone(account) => Some(slice::from_mut(account)),
            Self::Two(accounts) => Some(&mut accounts[..]),
            Self::Three(accounts) => Some(&mut accounts[..]),
            Self::Four(accounts) => Some(&mut accounts[..]),
            Self::Unspent => Some(&mut []),
        }
    }

    #[inline]
    fn mark(&mut self) -> Option<&mut bool> {
        match self {
            Self::One(small) => Some(&mut small.mark),
            other => Some(&mut other.apart()?.first_mut()?.mark),
        }
    }
}

impl Shard {
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    #[cfg(test)]
    pub(super) fn whole(&self) -> usize {
        let whole = |slot: &&Slot| matches!(slot.state, State::Whole(_));
        self.slots.iter().filter(whole).count()
    }

    #[inline]
    pub(super) fn find(&mut self, id: Id) -> Option<Found<'_>> {
        let slot = find(&mut self.slots, id)?;
        Some(Found {
            agreement: self.agreements.get(slot.terms)?,
            state: &mut slot.state,
        })
    }

    /// The same for a request: it won't be forgotten before it was looked at twice. Now and then a key that is whole is packed.
    #[inline]
    pub(super) fn ask(&mut self, id: Id, gone: &mut Gone) -> Option<Found<'_>> {
        if !self.whole.is_empty() {
            self.requests = self.requests.wrapping_add(1);
            if self.requests.is_multiple_of(LOOK_AFTER) {
                self.look_at_whole(gone);
            }
        }
        let found = self.find(id)?;
        if let Some(mark) = found.state.mark() {
            *mark = true;
        }
        Some(found)
    }

    /// The tier that a key has by hand.
    #[inline]
    pub(super) fn given(&self, id: Id) -> Option<&Tier> {
        self.given.get(&id)
    }

    pub(super) fn give(&mut self, id: Id, tier: Tier) -> Option<Tier> {
        self.given.insert(id, tier)
    }

    pub(super) fn take_back(&mut self, id: Id) -> Option<Tier> {
        self.given.remove(&id)
    }

    /// A new key's accounts, unspent; false where there is no room for them.
    pub(super) fn insert(
        &mut self,
        id: Id,
        (tier, epoch): (&Tier, u32),
        most: usize,
        now: Time,
        gone: &mut Gone,
    ) -> bool {
        self.make_room(most, now, gone);
        if self.slots.len() >= most {
            return false;
        }
        let (terms, agreement) = self.agreements.agree(tier, epoch);
        let state = State::unspent(&agreement.terms);
        let slot = Slot { id, terms, state };
        self.slots
            .insert_unique(id.low(), slot, |slot| slot.id.low());
        true
    }

    /// A key has agreed to something else.
    pub(super) fn replace(
        &mut self,
        id: Id,
        (tier, epoch): (&Tier, u32),
        state: Option<State>,
        gone: &mut Gone,
    ) {
        let (terms, _) = self.agreements.agree(tier, epoch);
        let Some(slot) = self.slots.find_mut(id.low(), |slot| slot.id == id) else {
            gone.agreements.extend(self.agreements.leave(terms));
            return;
        };
        let before = std::mem::replace(&mut slot.terms, terms);
        if let Some(state) = state {
            if matches!(state, State::Whole(_)) && !matches!(slot.state, State::Whole(_)) {
                self.whole.push_back(id);
            }
            if let State::Whole(line) = std::mem::replace(&mut slot.state, state) {
                gone.lines.push(line);
            }
        }
        gone.agreements.extend(self.agreements.leave(before));
    }

    /// A key's accounts are whole from now on.
    pub(super) fn make_whole(&mut self, id: Id, line: Arc<Line>, gone: &mut Gone) {
        // So that no more of them pile up than are needed.
        self.look_at_whole(gone);
        self.look_at_whole(gone);
        if let Some(slot) = self.slots.find_mut(id.low(), |slot| slot.id == id) {
            slot.state = State::Whole(line);
            self.whole.push_back(id);
        }
    }

    /// Forgets keys that aren't needed any more: among a few with every new one, among more where there is no room left.
    fn make_room(&mut self, most: usize, now: Time, gone: &mut Gone) {
        self.look_at_whole(gone);
        let full = self.slots.len() >= most;
        for _ in 0..if full { LOOK_AT_FULL } else { LOOK_AT } {
            let forgotten = self.look_at_next(now, gone);
            if full && forgotten {
                break;
            }
        }
    }

    /// Looks at the next place; true where a key was forgotten there.
    fn look_at_next(&mut self, now: Time, gone: &mut Gone) -> bool {
        let places = self.slots.num_buckets();
        self.hand = if self.hand + 1 < places {
            self.hand + 1
        } else {
            0
        };
        let Ok(mut entry) = self.slots.get_bucket_entry(self.hand) else {
            return false;
        };
        let slot = entry.get_mut();
        let Some(agreement) = self.agreements.get(slot.terms) else {
            return false;
        };
        let idle = match (&mut slot.state, &agreement.terms.plan) {
            (State::Whole(line), _) => agreement.tier.each().alone(line) && line.is_idle(),
            (packed, Some(plan)) => {
                packed.open(|accounts| plan.is_idle(accounts, now)) == Some(true)
            }
            (_, None) => true,
        };
        // Whoever has asked since it was looked at last stays once more.
        let asked = slot.state.mark().map(std::mem::take);
        if !idle || asked == Some(true) {
            return false;
        }
        let (slot, _) = entry.remove();
        if let State::Whole(line) = slot.state {
            gone.lines.push(line);
        }
        gone.agreements.extend(self.agreements.leave(slot.terms));
        true
    }

    /// Looks at one of those that are whole, and packs it where nobody uses it any more.
    fn look_at_whole(&mut self, gone: &mut Gone) {
        let Some(id) = self.whole.pop_front() else {
            return;
        };
        let Some(slot) = self.slots.find_mut(id.low(), |slot| slot.id == id) else {
            return;
        };
        let State::Whole(line) = &slot.state else {
            return;
        };
        let agreement = self.agreements.get(slot.terms);
        let packed = agreement
            .filter(|agreement| agreement.tier.each().alone(line))
            .and_then(|agreement| line.pack(agreement.terms.plan.as_ref()));
        match packed {
            Some(state) => {
                if let State::Whole(line) = std::mem::replace(&mut slot.state, state) {
                    gone.lines.push(line);
                }
            }
            None => self.whole.push_back(id),
        }
    }
}

/// Where a key's accounts are. Most are at the place that the hash says first: there a processor looks ahead while what says which
/// places are taken is still on its way from memory, so that it waits for both at once.
#[inline]
fn find(slots: &mut HashTable<Slot>, id: Id) -> Option<&mut Slot> {
    let first = id.low() as usize & (slots.num_buckets() - 1);
    if slots.get_bucket(first).is_some_and(|slot| slot.id == id) {
        return slots.get_bucket_mut(first);
    }
    slots.find_mut(id.low(), |slot| slot.id == id)
}
