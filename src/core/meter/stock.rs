//! What a store that many processes share has granted to this one.
//!
//! The store counts; here is only what of its grants hasn't left yet, and what it has yet to be told.

use std::collections::VecDeque;

use crate::core::{
    pool::{Change, PoolLimit, Reply, Stamp},
    time::Time,
};

/// When nothing is known, the store is to be heard again after so long.
const SOON: u64 = 50_000_000;
/// So many answers are remembered.
const TOLD: usize = 16;
/// What others may have spent is at least one of so many parts of the limit, else it's taken for an error of estimates.
const SEEN: u64 = 16;

/// Granted together.
#[derive(Clone, Copy, Debug)]
struct Lot {
    /// It may leave from then on.
    from: Time,
    at: Stamp,
    left: u64,
}

/// What the store said of a limit.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    at: Time,
    clock: u64,
    used: u64,
    outside: u64,
}

/// One limit's stock.
#[derive(Clone, Debug)]
pub(crate) struct Stock {
    limit: PoolLimit,
    lots: VecDeque<Lot>,
    // Of the lots that may leave, and how many those are.
    ready: u64,
    ripe: usize,
    // Nothing more before, says the store, of so much; of less it says nothing.
    hint: (Time, u64),
    told: VecDeque<Told>,
    alone: bool,
    closed: bool,
    // What left from then on is of a lot of that stamp.
    log: VecDeque<(Time, Stamp)>,
    changes: Vec<(Change, u64)>,
    // What has left since somebody asked.
    taken: u64,
}

impl Stock {
    pub(crate) const fn new(limit: PoolLimit) -> Self {
        Self {
            limit,
            lots: VecDeque::new(),
            ready: 0,
            ripe: 0,
            hint: (Time::ZERO, 0),
            told: VecDeque::new(),
            alone: false,
            closed: false,
            log: VecDeque::new(),
            changes: Vec::new(),
            taken: 0,
        }
    }

    pub(crate) const fn limit(&self) -> &PoolLimit {
        &self.limit
    }

    /// Nothing is granted any more, whatever there is.
    pub(crate) const fn close(&mut self, closed: bool) {
        self.closed = closed;
    }

    pub(crate) const fn is_closed(&self) -> bool {
        self.closed
    }

    /// The largest cost that ever fits.
    pub(crate) const fn capacity(&self) -> u64 {
        if self.closed { 0 } else { self.limit.holds() }
    }

    /// Something that the store has to be told.
    pub(crate) fn tell(&mut self, change: Change) {
        self.changes.push((change, 1));
    }

    pub(crate) fn advance(&mut self, now: Time) {
        // What was heard longer ago than anything counts says nothing any more.
        let window = (self.limit.window + self.limit.transit + self.limit.step) * 1_000;
        if let Some(told) = self
            .told
            .back_mut()
            .filter(|told| now.nanos().saturating_sub(told.at.nanos()) > window)
        {
            (told.used, told.outside) = (0, 0);
        }
        while let Some(lot) = self.lots.get(self.ripe).filter(|lot| lot.from <= now) {
            self.ready += lot.left;
            self.ripe += 1;
        }
    }

    /// What counts in the pool, but for what is in stock here.
    pub(crate) fn used(&self) -> u64 {
        let told = self.told.back().map_or(0, |told| told.used);
        told.saturating_sub(self.total())
    }

    /// All that was granted and hasn't left.
    pub(crate) fn total(&self) -> u64 {
        self.lots.iter().map(|lot| lot.left).sum()
    }

    pub(crate) const fn fits(&self, n: u64, held: u64) -> bool {
        held.saturating_add(n) <= self.ready
    }

    /// When `n` may fit: for certain where it's granted already, else by what the store said last.
    pub(crate) fn earliest(&self, n: u64, held: u64, from: Time, now: Time) -> Time {
        let asked = held.saturating_add(n);
        let mut sum = 0u64;
        for lot in &self.lots {
            sum += lot.left;
            if sum >= asked {
                return from.max(lot.from);
            }
        }
        // The more is missing, the later: nobody small goes before whoever waits for much. Asked from that instant on, it is that one.
        let missing = (asked - sum).min(SOON);
        let hint = Some(self.hint.0).filter(|_| n >= self.hint.1);
        let soon = now.nanos().saturating_add(SOON);
        let soon = hint.map_or(soon, |hint| soon.max(hint.nanos()));
        from.max(Time::from_nanos(soon.saturating_add(missing)))
    }

    pub(crate) fn project(&self, n: u64, held: u64, now: Time) -> Time {
        let rounds = n.saturating_sub(1) / self.limit.amount.max(1);
        let first = self.earliest(n, held, now, now);
        let window = (self.limit.window + self.limit.transit) * 1_000;
        Time::from_nanos(first.nanos().saturating_add(rounds.saturating_mul(window)))
    }

    /// How late a lot may leave and still be counted by the provider when it is here.
    const fn slack(&self) -> u64 {
        self.limit.transit * 1_000 / 4
    }

    /// What the store's clock shows, at least.
    fn clock(&self, now: Time) -> u64 {
        self.told.back().map_or(0, |told| {
            told.clock + now.nanos().saturating_sub(told.at.nanos()) / 1_000
        })
    }

    /// `n` leave now.
    pub(crate) fn date(&mut self, n: u64, now: Time) {
        self.advance(now);
        self.taken += n;
        let mut rest = n;
        while rest > 0 && self.ripe > 0 {
            let lot = &mut self.lots[0];
            let taken = lot.left.min(rest);
            lot.left -= taken;
            let Lot { from, at, left } = *lot;
            if left == 0 {
                self.lots.pop_front();
                self.ripe -= 1;
            }
            self.ready -= taken;
            rest -= taken;
            let late = now.nanos().saturating_sub(from.nanos()) > self.slack();
            if late && at != Stamp::default() {
                self.changes.push((Change::Back(at), taken));
                self.changes.push((Change::Late, taken));
                self.note(now, Stamp(self.clock(now)));
            } else {
                self.note(now, at);
            }
        }
        if rest > 0 {
            self.changes.push((Change::Late, rest));
            self.note(now, Stamp(self.clock(now)));
        }
    }

    fn note(&mut self, now: Time, at: Stamp) {
        let fine = self.limit.step / 8;
        let same = |last: &(Time, Stamp)| {
            (last.1 == Stamp(0)) == (at == Stamp(0)) && at.0 <= last.1.0.saturating_add(fine)
        };
        if !self.log.back().is_some_and(same) {
            self.log.push_back((now, at));
        }
        let window = (self.limit.window + self.limit.transit + self.limit.step) * 1_000;
        // The first may still be what counts at the second's beginning.
        while self
            .log
            .get(1)
            .is_some_and(|(from, _)| from.nanos().saturating_add(window) < now.nanos())
        {
            self.log.pop_front();
        }
    }

    /// Of which lot what left at `dated` was; an earlier one where that isn't known. `None`: nothing that the store counts.
    fn lot(&self, dated: Time) -> Option<Stamp> {
        let first = self.log.partition_point(|(from, _)| *from < dated);
        let same = self.log.get(first).filter(|(from, _)| *from == dated);
        let before = || first.checked_sub(1).and_then(|at| self.log.get(at));
        let (_, at) = same.or_else(before)?;
        Some(*at).filter(|at| *at != Stamp::default())
    }

    /// Counts without a grant, as much as is ever owed.
    pub(crate) fn charge(&mut self, n: u64) {
        self.changes.push((Change::Late, n.min(self.limit.most())));
    }

    pub(crate) fn give_back(&mut self, n: u64, dated: Time) {
        if let Some(at) = self.lot(dated) {
            self.changes.push((Change::Back(at), n));
        }
    }

    pub(crate) fn refund(&mut self, n: u64, dated: Time) {
        if let Some(at) = self.lot(dated) {
            self.changes.push((Change::Unsent(at), n));
        }
    }

    /// The provider had counted `used` when what left at `dated` got there.
    pub(crate) fn observe(&mut self, used: u64, dated: Time) {
        let transit = self.limit.transit * 1_000;
        let known = |told: &&Told| told.at.nanos().saturating_add(transit) >= dated.nanos();
        let later = self
            .told
            .back()
            .is_some_and(|told| told.at.nanos() >= dated.nanos().saturating_add(transit));
        if !(later || self.alone) || self.told.is_empty() {
            return;
        }
        let before = self.told.iter().take_while(|told| !known(told)).last();
        let ours = self
            .told
            .iter()
            .filter(known)
            .chain(before)
            .map(|told| told.used)
            .max();
        let others = used.saturating_sub(ours.unwrap_or(u64::MAX));
        if others > self.limit.amount / SEEN {
            let outside = self.told.back().map_or(0, |told| told.outside);
            self.changes
                .push((Change::Outside, outside.saturating_add(others)));
        }
    }

    /// Whether nobody else spends.
    pub(crate) fn is_alone(&self) -> bool {
        self.told.back().is_none_or(|told| told.outside == 0)
    }

    pub(crate) fn resize(&mut self, amount: u64) {
        if amount > self.limit.amount {
            // What the store said was of less.
            self.hint = (Time::ZERO, 0);
        }
        self.limit.amount = amount;
    }

    /// Whether the store should be told without being asked for anything.
    pub(crate) fn owes(&self) -> bool {
        let least = self.limit.amount / 64;
        let weight = |(change, n): &(Change, u64)| match change {
            Change::Late | Change::Back(_) | Change::Unsent(_) => *n,
            _ => self.limit.amount,
        };
        let owed = self.changes.iter().map(weight).fold(0, u64::saturating_add);
        !self.changes.is_empty() && owed > least || self.changes.len() > 64
    }

    /// What has left since this was asked last.
    pub(crate) const fn taken(&mut self) -> u64 {
        std::mem::replace(&mut self.taken, 0)
    }

    pub(crate) fn take_changes(&mut self) -> Vec<(Change, u64)> {
        std::mem::take(&mut self.changes)
    }

    /// The store was heard.
    pub(crate) fn hear(&mut self, index: usize, reply: &Reply, now: Time) {
        self.alone = reply.processes <= 1;
        if self.told.len() == TOLD {
            self.told.pop_front();
        }
        self.told.push_back(Told {
            at: now,
            clock: reply.now.0,
            used: reply.used.get(index).copied().unwrap_or(0),
            outside: reply.outside.get(index).copied().unwrap_or(0),
        });
    }

    /// `n` were granted, and may leave from then on.
    pub(crate) fn put_in(&mut self, n: u64, from: Time, at: Stamp, now: Time) {
        let last = self.lots.back().map_or(Time::ZERO, |lot| lot.from);
        let from = from.max(last);
        match self.lots.back_mut() {
            Some(lot) if lot.at == at && lot.from == from => {
                lot.left += n;
                if self.ripe == self.lots.len() {
                    self.ready += n;
                }
            }
            _ => self.lots.push_back(Lot { from, at, left: n }),
        }
        self.hint = (Time::ZERO, 0);
        self.advance(now);
    }

    /// Nothing of so much before, says the store.
    pub(crate) const fn hint(&mut self, at: Time, n: u64) {
        self.hint = (at, n);
    }

    /// Gives the store back what nobody here has wanted for so long, and has what is `held` longer than that count from now.
    pub(crate) fn sweep(&mut self, held: u64, keep: u64, now: Time) {
        self.advance(now);
        let mut idle = self.ready.saturating_sub(held);
        let renew = (self.limit.window * 1_000 / 8).max(keep);
        let clock = Stamp(self.clock(now));
        for lot in self.lots.range_mut(..self.ripe) {
            let age = now.nanos().saturating_sub(lot.from.nanos());
            if age >= keep && idle > 0 {
                let back = idle.min(lot.left);
                lot.left -= back;
                (idle, self.ready) = (idle - back, self.ready - back);
                if lot.at != Stamp::default() {
                    self.changes.push((Change::Unsent(lot.at), back));
                }
            }
            if age >= renew && lot.left > 0 && lot.at != Stamp::default() {
                self.changes.push((Change::Back(lot.at), lot.left));
                self.changes.push((Change::Late, lot.left));
                (lot.at, lot.from) = (clock, now);
            }
        }
        while self.ripe > 0 && self.lots[0].left == 0 {
            self.lots.pop_front();
            self.ripe -= 1;
        }
    }

    /// When the oldest lot has been here for so long.
    pub(crate) fn oldest(&self) -> Option<Time> {
        self.lots.front().map(|lot| lot.from)
    }
}
