//! Whose turn it is.

use super::{LAPSE, LINES, LOOK_AHEAD, Next, Queue, State};
use crate::core::{
    ledger::{Fit, Ledger, Spare},
    list::List,
    time::Time,
};

impl<W> Queue<W> {
    /// Looks after the line: takes back offers that lapsed, tells those who can't be served in
    /// time, and makes offers while the next cost fits. Pushes whom to wake, at most as many as fit into `woken` without
    /// growing it.
    pub(crate) fn turn(&mut self, ledger: &mut Ledger, now: Time, woken: &mut Vec<W>) -> Next {
        self.next = self.go_round(ledger, now, woken);
        self.changed = false;
        self.next
    }

    fn go_round(&mut self, ledger: &mut Ledger, now: Time, woken: &mut Vec<W>) -> Next {
        self.take_back(ledger, now);
        while let Some(index) = self.head() {
            if woken.len() == woken.capacity() {
                return Next::Again;
            }
            let head = &self.places[index as usize];
            let fit = head.fit(ledger, now);
            let at = match fit {
                // Also in the last moment, and when the timer was late.
                Fit::Now => {
                    self.offer(ledger, index, now, woken);
                    continue;
                }
                Fit::At { at, .. } if at <= head.deadline => Some(at),
                Fit::InFlight if now < head.deadline => {
                    // Then nothing is kept from it.
                    (head.spare(now) != Spare::NOTHING).then_some(head.rank)
                }
                Fit::At { .. } | Fit::InFlight | Fit::Never { .. } => {
                    self.refuse(ledger, index, fit, woken);
                    continue;
                }
            };
            let urgent = self.more_urgent(ledger, index, now);
            if let Some((index, _)) = urgent.filter(|(_, at)| *at <= now) {
                self.offer(ledger, index, now, woken);
                continue;
            }
            let at = at.into_iter().chain(urgent.map(|(_, at)| at)).min();
            if at.is_some() && self.look_ahead(ledger, index, now, woken) {
                return Next::Again;
            }
            let waiting = self.waiting;
            if self.expire(ledger, now, woken) {
                return Next::Again;
            }
            // Without the oldest of its class another class may come first; without those who were told, others are next.
            if self.waiting < waiting || self.head() != Some(index) {
                continue;
            }
            return self.come_back(at);
        }
        Next::Idle
    }

    /// Who of the more urgent classes may take what is kept from the head, and when.
    fn more_urgent(&self, ledger: &Ledger, head: u32, now: Time) -> Option<(u32, Time)> {
        let head = &self.places[head as usize];
        let kept = head.spare(now);
        if kept == Spare::NOTHING {
            return None;
        }
        let instant = |fit| match fit {
            Fit::Now => Some(now),
            Fit::At { at, .. } => Some(at),
            Fit::InFlight | Fit::Never { .. } => None,
        };
        let urgent = (0..head.place.class).filter_map(|class| {
            let index = self.flows.next(class)?;
            let waiter = &self.places[index as usize];
            // What isn't kept from the head is the head's.
            let beside = |spare: Spare| {
                let own = instant(ledger.fit_beside(&waiter.cost, waiter.slot, spare))?;
                let of_head = instant(ledger.fit_beside(&head.cost, head.slot, spare))?;
                Some(own.max(of_head))
            };
            let spare = waiter.spare(now);
            let usual = beside(spare).filter(|_| spare < kept);
            let once_its_rank_has_come = (spare != Spare::NOTHING)
                .then(|| beside(Spare::NOTHING))
                .flatten()
                .map(|at| at.max(waiter.rank));
            let at = usual.into_iter().chain(once_its_rank_has_come).min()?;
            Some((index, at))
        });
        urgent.min_by_key(|(_, at)| *at)
    }

    /// When whoever is next could go, so far as that is known; `None` where somebody has to land first.
    #[cfg(test)]
    pub(in crate::core) fn due(&self, ledger: &Ledger) -> Option<Time> {
        let (index, now) = (self.head()?, ledger.now());
        let has_place = |index: u32| {
            let waiter = &self.places[index as usize];
            let none = &crate::core::cost::Cost::none();
            ledger.fit_beside(none, waiter.slot, waiter.spare(now)) != Fit::InFlight
        };
        let head = &self.places[index as usize];
        let at = match head.fit(ledger, now) {
            Fit::Now => Some(now),
            Fit::At { at, .. } if at <= head.deadline && has_place(index) => Some(at),
            _ => None,
        };
        let urgent = self.more_urgent(ledger, index, now);
        let urgent =
            urgent.filter(|(index, _)| has_place(*index) && has_place(self.head().unwrap()));
        at.into_iter().chain(urgent.map(|(_, at)| at)).min()
    }

    /// When to come back: for the head, for an offer that lapses, for a deadline.
    fn come_back(&self, head: Option<Time>) -> Next {
        if self.waiting == 0 {
            return Next::Idle;
        }
        let lapse = self.offered.head().map(|index| self.lapse(index));
        let deadlines = self.lines.iter().filter_map(List::head);
        let deadline = deadlines
            .map(|index| self.places[index as usize].deadline)
            .min();
        match [head, lapse, deadline].into_iter().flatten().min() {
            Some(at) if at < Time::MAX => Next::At(at),
            _ => Next::Idle,
        }
    }

    fn lapse(&self, index: u32) -> Time {
        match self.places[index as usize].state {
            State::Offered { until } => until,
            _ => Time::MAX,
        }
    }

    /// Takes back offers that lapsed.
    pub(crate) fn take_back(&mut self, ledger: &mut Ledger, now: Time) {
        while let Some(index) = self.offered.head().filter(|i| self.lapse(*i) <= now) {
            self.offered.remove(&mut self.places, index);
            let waiter = &mut self.places[index as usize];
            waiter.state = State::Parked;
            ledger.release(&waiter.cost, waiter.slot);
        }
    }

    /// Tells those behind the head, in front of their own line, whose time is up. True where `woken` is full.
    fn expire(&mut self, ledger: &Ledger, now: Time, woken: &mut Vec<W>) -> bool {
        let first = self.head();
        for line in 0..LINES {
            while let Some(index) = self.lines[line].head().filter(|i| Some(*i) != first) {
                let waiter = &self.places[index as usize];
                if waiter.deadline > now {
                    break;
                }
                if woken.len() == woken.capacity() {
                    return true;
                }
                let fit = waiter.fit(ledger, now);
                self.refuse(ledger, index, fit, woken);
            }
        }
        false
    }

    fn refuse(&mut self, ledger: &Ledger, index: u32, fit: Fit, woken: &mut Vec<W>) {
        self.unlist(ledger, index);
        let waiter = &mut self.places[index as usize];
        waiter.state = State::Expired { fit };
        woken.extend(waiter.waker.take());
    }

    fn offer(&mut self, ledger: &mut Ledger, index: u32, now: Time, woken: &mut Vec<W>) {
        if !self.places[index as usize].has_begun() {
            self.flows.rotate(&self.places, index);
        }
        self.unlist(ledger, index);
        let waiter = &mut self.places[index as usize];
        ledger.hold(&waiter.cost, waiter.slot);
        waiter.state = State::Offered {
            until: now.after(LAPSE),
        };
        woken.extend(waiter.waker.take());
        self.offered.push_back(&mut self.places, index);
    }

    /// Offers to those of the next few, by rank, who fit beside the head. True where `woken` is full.
    fn look_ahead(
        &mut self,
        ledger: &mut Ledger,
        head: u32,
        now: Time,
        woken: &mut Vec<W>,
    ) -> bool {
        // A limit of which everybody takes something and nothing is left: nobody fits.
        let mut meters = ledger.meters().iter().zip(&self.asked);
        if meters.any(|(meter, asked)| asked.takers == self.waiting && !meter.fits(1, now)) {
            return false;
        }
        let mut at = self.lines.map(|list| list.head());
        for _ in 0..=LOOK_AHEAD {
            let mut next = None;
            for (line, index) in at.iter().enumerate() {
                let Some(index) = *index else { continue };
                let rank = self.places[index as usize].rank;
                if next.is_none_or(|(_, _, least)| rank < least) {
                    next = Some((line, index, rank));
                }
            }
            let Some((line, index, _)) = next else {
                return false;
            };
            at[line] = self.places[index as usize].links.next();
            if index == head {
                continue;
            }
            let waiter = &self.places[index as usize];
            let (cost, slot, place) = (&waiter.cost, waiter.slot, waiter.place);
            if self.pass_beside(ledger, cost, slot, place, waiter.spare(now)) {
                // Held by `pass`; the offer holds anew.
                ledger.release(cost, slot);
                if woken.len() == woken.capacity() {
                    return true;
                }
                self.offer(ledger, index, now, woken);
            }
        }
        false
    }
}
