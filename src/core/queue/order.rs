//! Those who wait, one after the other.

#[cfg(test)]
use super::waiter::{Key, State};
use super::{Queue, Who};
use crate::core::{cost::Cost, ledger::Spare, list::List, time::Time};

impl<W> Queue<W> {
    /// Shows those who wait, whoever is next first and the others by rank, as long as `look` wants more: what they ask for,
    /// whether they take a place in flight, and what has to stay free beside them.
    pub(crate) fn in_order(
        &self,
        now: Time,
        mut look: impl FnMut(Who, &Cost, bool, Spare) -> bool,
    ) {
        let first = self.head();
        let mut show = |index: u32| {
            let waiter = &self.places[index as usize];
            let who = Who(index, waiter.order());
            look(who, &waiter.cost, waiter.slot, waiter.spare(now))
        };
        if !first.is_none_or(&mut show) {
            return;
        }
        let mut at = self.lines.each_ref().map(List::head);
        loop {
            let ranked = at.iter().enumerate().filter_map(|(line, index)| {
                let index = (*index)?;
                Some((self.places[index as usize].order(), line, index))
            });
            let Some((_, line, index)) = ranked.min() else {
                return;
            };
            at[line] = self.places[index as usize].links.next();
            if Some(index) != first && !show(index) {
                return;
            }
        }
    }
}

/// What tests look at.
#[cfg(test)]
impl Who {
    pub(in crate::core) const fn key(self) -> Key {
        Key(self.0)
    }
}

#[cfg(test)]
impl<W> Queue<W> {
    pub(in crate::core) fn is_offered(&self, Key(index): Key) -> bool {
        matches!(self.places[index as usize].state, State::Offered { .. })
    }

    pub(in crate::core) fn places(&self) -> usize {
        self.places.len()
    }

    /// How many flows, and how many keys, there is memory for.
    pub(in crate::core) fn room(&self) -> [usize; 2] {
        self.flows.room()
    }
}
