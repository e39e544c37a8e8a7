//! All keys and what is spent of theirs. No code of a user's runs while a part is locked: keys are compared by what stands
//! for them, and a tier is found before.

use std::sync::atomic::{AtomicU32, Ordering::Acquire, Ordering::Release};

use tokio::time::Instant;

use super::{
    super::{
        Rank,
        line::Line,
        sync::{Arc, Mutex},
    },
    account::{KeyAccount, refuse},
    shard::{Found, Gone, Id, Shard, State},
    tier::{Terms, Tier},
};
use crate::{
    clock::Moment,
    core::{
        cost::Cost,
        keyed::{Account, Plan, TakesMore},
        time::Time,
    },
    error::Rejected,
    observe::IS_ON,
};

/// For so many keys there is another lock, …
const TOGETHER: usize = 1_024;
/// … up to so many.
const SHARDS: usize = 64;
/// For so many tiers those for whom there is no room have a quota each.
const OVERFLOWS: usize = 16;
/// The first epoch, and what comes before all of them.
const FIRST: u32 = 1;
const BEFORE: u32 = 0;

/// All keys, whatever they are.
pub(super) struct Keys {
    shards: Box<[Mutex<Shard>]>,
    // In all shards.
    most: usize,
    // When the time of all accounts was zero.
    origin: Moment,
    // Grows when all tiers are to be told anew.
    epoch: AtomicU32,
    // What those share for whom there is no room.
    overflow: Mutex<Vec<(Tier, Arc<Line>)>>,
}

/// What becomes of somebody who comes to a key's accounts.
enum Met<T> {
    Done(T),
    Whole(Arc<Line>),
    Absent,
    Outdated,
    TakesMore,
}

impl Keys {
    pub(super) fn new(most: usize) -> Self {
        let shards = most.div_ceil(TOGETHER).next_power_of_two().min(SHARDS);
        Self {
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            most,
            origin: Moment::now(),
            epoch: AtomicU32::new(FIRST),
            overflow: Mutex::default(),
        }
    }

    #[inline]
    fn shard(&self, id: Id) -> &Mutex<Shard> {
        &self.shards[id.part(self.shards.len())]
    }

    /// How many keys there may be in the shard of this one: all shards' together are `most`.
    fn most_beside(&self, id: Id) -> usize {
        let shards = self.shards.len();
        self.most / shards + usize::from(id.part(shards) < self.most % shards)
    }

    #[inline]
    pub(super) fn now(&self) -> Time {
        self.time(Moment::now())
    }

    #[inline]
    pub(super) fn time(&self, moment: Moment) -> Time {
        moment.on((self.origin, Time::ZERO))
    }

    #[inline]
    pub(super) fn epoch(&self) -> u32 {
        self.epoch.load(Acquire)
    }

    pub(super) fn begin_epoch(&self) {
        self.epoch.fetch_add(1, Release);
    }

    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    /// How many keys are whole.
    #[cfg(test)]
    pub(super) fn whole(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().whole()).sum()
    }

    /// The tier that a key has by hand, or has agreed to as of now.
    pub(super) fn tier(&self, id: Id) -> Option<Tier> {
        let epoch = self.epoch();
        let mut shard = self.shard(id).lock();
        if let Some(given) = shard.given(id) {
            return Some(given.clone());
        }
        let found = shard.find(id)?;
        let current = found.agreement.is_current(epoch);
        current.then(|| found.agreement.tier.clone())
    }

    /// A key has its tier by hand from now on.
    pub(super) fn set(&self, key: &KeyAccount) {
        let mut shard = self.shard(key.id).lock();
        let old = shard.give(key.id, key.tier.clone());
        drop(shard);
        drop(old);
        // What it has spent of its own is kept while it shares: it may have its own again.
        if key.tier.one().is_none() {
            self.change(key, Some(&key.tier));
        }
    }

    /// A key has the tier again that is told by the key.
    pub(super) fn unset(&self, id: Id) {
        let mut gone = Gone::default();
        let mut shard = self.shard(id).lock();
        let old = shard.take_back(id);
        let kept = shard.find(id).map(|found| found.agreement.tier.clone());
        if let Some(tier) = &kept {
            shard.replace(id, (tier, BEFORE), None, &mut gone);
        }
        // The user's calendars may go with a tier.
        drop(shard);
        drop((old, kept));
    }

    /// Takes `cost` for what leaves now from a key that is known, up to date and packed; `None` where it isn't.
    pub(super) fn spend(&self, id: Id, cost: &Cost) -> Option<Result<(), Rejected>> {
        let (now, epoch) = (self.now(), self.epoch());
        let mut gone = Gone::default();
        let mut shard = self.shard(id).lock();
        if shard.given(id).is_some_and(|tier| tier.one().is_some()) {
            return None;
        }
        let mut found = shard.ask(id, &mut gone)?;
        if !found.agreement.is_current(epoch) {
            return None;
        }
        let spent = found.packed(|plan, accounts| plan.spend(accounts, cost, now))?;
        let spent = match spent.ok()? {
            true if !IS_ON => return Some(Ok(())),
            true => Ok(()),
            false => Err(found.packed(|plan, accounts| refuse(plan, accounts, cost, now))?),
        };
        let tier = found.agreement.tier.clone();
        drop(shard);
        match &spent {
            Ok(()) => tier.watch().granted(Rank::DEFAULT.class),
            Err(rejected) => tier.watch().refused(rejected),
        }
        Some(spent)
    }

    /// Does `f` to a key's packed accounts; where they are whole, or `f` says that it takes more, the line is what it is to be
    /// done to. `asks`: somebody comes with a request, to whom changes apply.
    pub(super) fn with<T>(
        &self,
        key: &KeyAccount,
        asks: bool,
        mut f: impl FnMut(&Plan, &mut [Account]) -> Result<T, TakesMore>,
    ) -> Result<T, Arc<Line>> {
        loop {
            match self.meet(key, asks, &mut f) {
                Met::Done(done) => return Ok(done),
                Met::Whole(line) => return Err(line),
                Met::Absent => {
                    if !self.insert(key) {
                        return Err(self.overflow(&key.tier));
                    }
                }
                Met::Outdated => self.change(key, None),
                Met::TakesMore => {
                    if let Some(line) = self.make_whole(key) {
                        return Err(line);
                    }
                }
            }
        }
    }

    fn meet<T>(
        &self,
        key: &KeyAccount,
        asks: bool,
        f: &mut impl FnMut(&Plan, &mut [Account]) -> Result<T, TakesMore>,
    ) -> Met<T> {
        let mut gone = Gone::default();
        let mut shard = self.shard(key.id).lock();
        let found = if asks {
            shard.ask(key.id, &mut gone)
        } else {
            shard.find(key.id)
        };
        let Some(mut found) = found else {
            return Met::Absent;
        };
        if asks && key.outdates(found.agreement) {
            return Met::Outdated;
        }
        if let State::Whole(line) = &found.state {
            return Met::Whole(Arc::clone(line));
        }
        match found.packed(f) {
            Some(Ok(done)) => Met::Done(done),
            Some(Err(TakesMore)) | None => Met::TakesMore,
        }
    }

    #[cold]
    fn insert(&self, key: &KeyAccount) -> bool {
        let now = self.now();
        let mut gone = Gone::default();
        let mut shard = self.shard(key.id).lock();
        if shard.find(key.id).is_some() {
            return true;
        }
        // By hand it may have been given another since it was asked for.
        let given = shard.given(key.id).filter(|tier| tier.one().is_none());
        let tier = given.unwrap_or(&key.tier).clone();
        let most = self.most_beside(key.id);
        let inserted = shard.insert(key.id, (&tier, key.epoch), most, now, &mut gone);
        drop(shard);
        inserted
    }

    /// A quota of these settings, which nothing has been done to yet. Made outside of the locks: a calendar is the user's.
    pub(super) fn fresh(&self, terms: &Terms, tier: &Tier, name: Option<usize>) -> Arc<Line> {
        if let Some(made) = tier.each().made() {
            return Arc::clone(made);
        }
        let begins = (Instant::now(), self.now());
        let ledger = terms.settings.ledger(begins);
        let (settings, watch) = (Arc::clone(&terms.settings), Arc::clone(&tier.each().watch));
        Line::new(ledger, begins, settings, watch, name)
    }

    /// A key goes on with a quota. `None` where the key has changed meanwhile.
    #[cold]
    fn make_whole(&self, key: &KeyAccount) -> Option<Arc<Line>> {
        let agreed = |found: Found<'_>| {
            let agreement = found.agreement;
            (Arc::clone(&agreement.terms), agreement.tier.clone())
        };
        let (terms, tier) = self.shard(key.id).lock().find(key.id).map(agreed)?;
        let fresh = self.fresh(&terms, &tier, Some(key.name()));
        let mut gone = Gone::default();
        let mut shard = self.shard(key.id).lock();
        let mut found = shard.find(key.id)?;
        if let State::Whole(line) = &found.state {
            return Some(Arc::clone(line));
        }
        if !Arc::ptr_eq(&found.agreement.terms, &terms) {
            return None;
        }
        found.packed(|plan, accounts| fresh.unpack(plan, accounts));
        shard.make_whole(key.id, Arc::clone(&fresh), &mut gone);
        Some(fresh)
    }

    /// A key goes on by another tier, or by other settings of the same: by that tier, or else by what it has as of now.
    #[cold]
    pub(super) fn change(&self, key: &KeyAccount, to: Option<&Tier>) {
        let mut spare: Option<(Arc<Terms>, Arc<Line>)> = None;
        loop {
            let now = self.now();
            let mut gone = Gone::default();
            let mut resized = None;
            let mut shard = self.shard(key.id).lock();
            let Some(mut found) = shard.find(key.id) else {
                return;
            };
            let newer = key.epoch > found.agreement.epoch;
            let own = if newer {
                &key.tier
            } else {
                &found.agreement.tier
            };
            let tier = to.unwrap_or(own).clone();
            let before = Arc::clone(&found.agreement.terms);
            let terms = tier.each().terms();
            let epoch = key.epoch.max(found.agreement.epoch);
            let state = match found.state {
                _ if Arc::ptr_eq(&terms, &before) => None,
                State::Whole(line) if terms.settings.is_resized(&before.settings) => {
                    resized = Some(Arc::clone(line));
                    None
                }
                State::Whole(line) => match spare.take() {
                    Some((of, fresh)) if Arc::ptr_eq(&of, &terms) => {
                        fresh.go_on_from(line);
                        Some(State::Whole(fresh))
                    }
                    _ => {
                        drop(shard);
                        let fresh = self.fresh(&terms, &tier, Some(key.name()));
                        spare = Some((terms, fresh));
                        continue;
                    }
                },
                _ => match found.repacked(&terms, now) {
                    Some(state) => Some(state),
                    None => {
                        drop(shard);
                        self.make_whole(key);
                        continue;
                    }
                },
            };
            shard.replace(key.id, (&tier, epoch), state, &mut gone);
            drop(shard);
            if let Some(line) = resized {
                line.resize_all(&terms.settings);
            }
            return;
        }
    }

    /// What the keys of a tier share for which there is no room.
    #[cold]
    fn overflow(&self, tier: &Tier) -> Arc<Line> {
        let tier = tier.base();
        let known = |overflow: &[(Tier, Arc<Line>)]| {
            let own = overflow.iter().find(|(other, _)| other.is(tier));
            // Quotas that were made for one key each are as many as keys.
            let made = |tier: &Tier| tier.each().made().is_some();
            let full = overflow.len() >= OVERFLOWS;
            let like = |(other, _): &&(Tier, _)| full || (made(tier) && made(other));
            let any = overflow.iter().find(like);
            own.or(any).map(|(_, line)| Arc::clone(line))
        };
        if let Some(line) = known(&self.overflow.lock()) {
            return line;
        }
        let fresh = self.fresh(&tier.each().terms(), tier, None);
        let mut overflow = self.overflow.lock();
        let line = known(&overflow);
        line.unwrap_or_else(|| {
            overflow.push((tier.clone(), Arc::clone(&fresh)));
            fresh
        })
    }

    /// A quota that is as a key's is now; where its accounts are packed, a copy.
    pub(super) fn copy(&self, key: &KeyAccount) -> Arc<Line> {
        let outdated = |found: Found<'_>| key.outdates(found.agreement);
        let known = self.shard(key.id).lock().find(key.id).map(outdated);
        if known == Some(true) {
            self.change(key, None);
        }
        let mut shard = self.shard(key.id).lock();
        let Some(mut found) = shard.find(key.id) else {
            drop(shard);
            return self.fresh(&key.tier.each().terms(), &key.tier, None);
        };
        if let State::Whole(line) = &found.state {
            return Arc::clone(line);
        }
        let terms = Arc::clone(&found.agreement.terms);
        let accounts = found.packed(|_, accounts| Box::<[Account]>::from(&*accounts));
        drop(shard);
        let fresh = self.fresh(&terms, &key.tier, None);
        if let (Some(plan), Some(accounts)) = (&terms.plan, accounts) {
            fresh.unpack(plan, &accounts);
        }
        fresh
    }
}
