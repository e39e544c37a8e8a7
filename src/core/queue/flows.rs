//! Taking turns: inside a class each flow goes once before any goes again.
//!
//! A flow is those who wait for one key, in the order of their ranks. Where nobody has a key all are of one flow, and it is
//! first come, first served.

use std::collections::HashMap;

use super::{CLASSES, Place, Waiter};
use crate::core::list::{Linked, Links, List};

/// The name of the lists of those who wait in one flow.
#[derive(Clone, Copy, Debug)]
pub(super) struct InTurn;

#[derive(Debug)]
struct Flow {
    waiters: List<InTurn>,
    waiting: u32,
    links: Links,
}

impl Linked<()> for Flow {
    fn links(&mut self) -> &mut Links {
        &mut self.links
    }
}

/// All flows in which somebody waits.
#[derive(Debug)]
pub(super) struct Flows {
    flows: Vec<Flow>,
    free: Vec<u32>,
    classes: [Turns; CLASSES],
    // Those of keys.
    keyed: HashMap<Place, u32>,
}

/// The flows of one class.
#[derive(Clone, Copy, Debug)]
struct Turns {
    order: List,
    flows: u32,
    waiting: u32,
    // Of everybody who has no key.
    plain: Option<u32>,
}

impl Turns {
    const NONE: Self = Self {
        order: List::EMPTY,
        flows: 0,
        waiting: 0,
        plain: None,
    };
}

impl Flows {
    pub(super) fn new() -> Self {
        Self {
            flows: Vec::new(),
            free: Vec::new(),
            classes: [Turns::NONE; CLASSES],
            keyed: HashMap::new(),
        }
    }

    /// How many flows, and how many keys, there is memory for.
    #[cfg(test)]
    pub(super) fn room(&self) -> [usize; 2] {
        [self.flows.capacity(), self.keyed.capacity()]
    }

    /// Who of this class is next.
    pub(super) fn next(&self, class: u8) -> Option<u32> {
        let first = self.classes[usize::from(class)].order.head()?;
        self.flows[first as usize].waiters.head()
    }

    /// How much of the `sum` that a class asks for goes before whoever joins it there.
    pub(super) fn ahead(&self, place: Place, sum: u64) -> u64 {
        let turns = &self.classes[usize::from(place.class)];
        if turns.flows == 0 {
            return sum;
        }
        let own = self
            .find(place)
            .map_or(0, |flow| self.flows[flow as usize].waiting);
        let others = turns.flows - u32::from(own > 0);
        let rounds = u128::from(own) + 1;
        let ahead = (rounds * u128::from(others) + u128::from(own)).min(turns.waiting.into());
        let part = u128::from(sum) * ahead / u128::from(turns.waiting.max(1));
        part.try_into().unwrap_or(sum)
    }

    fn find(&self, place: Place) -> Option<u32> {
        if place.flow == 0 {
            self.classes[usize::from(place.class)].plain
        } else {
            self.keyed.get(&place).copied()
        }
    }

    /// A waiter joins its flow, where its rank belongs; a flow that wasn't there takes the last turn.
    pub(super) fn join<W>(&mut self, waiters: &mut [Waiter<W>], index: u32) {
        let place = waiters[index as usize].place;
        let flow = self.find(place).unwrap_or_else(|| self.open(place));
        self.classes[usize::from(place.class)].waiting += 1;
        let flow = &mut self.flows[flow as usize];
        flow.waiting += 1;
        super::by_rank(&mut flow.waiters, waiters, index);
    }

    fn open(&mut self, place: Place) -> u32 {
        let flow = Flow {
            waiters: List::EMPTY,
            waiting: 0,
            links: Links::default(),
        };
        let at = match self.free.pop() {
            Some(at) => {
                self.flows[at as usize] = flow;
                at
            }
            None => {
                self.flows.push(flow);
                self.flows.len() as u32 - 1
            }
        };
        let turns = &mut self.classes[usize::from(place.class)];
        turns.order.push_back(&mut self.flows, at);
        turns.flows += 1;
        if place.flow == 0 {
            turns.plain = Some(at);
        } else {
            self.keyed.insert(place, at);
        }
        at
    }

    /// A waiter leaves its flow; a flow without waiters is gone.
    pub(super) fn leave<W>(&mut self, waiters: &mut [Waiter<W>], index: u32) {
        let place = waiters[index as usize].place;
        let at = self.find(place).expect("it waits there");
        let turns = &mut self.classes[usize::from(place.class)];
        turns.waiting -= 1;
        let flow = &mut self.flows[at as usize];
        flow.waiting -= 1;
        flow.waiters.remove(waiters, index);
        if flow.waiting > 0 {
            return;
        }
        turns.order.remove(&mut self.flows, at);
        turns.flows -= 1;
        if place.flow == 0 {
            turns.plain = None;
        } else {
            self.keyed.remove(&place);
        }
        self.free.push(at);
        // Many keys once don't keep their memory for ever.
        if self.keyed.is_empty() && self.keyed.capacity() > super::KEPT_PLACES {
            self.keyed = HashMap::new();
        }
        if self.free.len() == self.flows.len() && self.flows.capacity() > super::KEPT_PLACES {
            self.flows = Vec::new();
            self.free = Vec::new();
        }
    }

    /// The flow of whoever goes now, where it is the first of it, takes its next turn behind all others.
    pub(super) fn rotate<W>(&mut self, waiters: &[Waiter<W>], index: u32) {
        let place = waiters[index as usize].place;
        if let Some(at) = self.find(place)
            && self.flows[at as usize].waiters.head() == Some(index)
        {
            let order = &mut self.classes[usize::from(place.class)].order;
            order.remove(&mut self.flows, at);
            order.push_back(&mut self.flows, at);
        }
    }
}
