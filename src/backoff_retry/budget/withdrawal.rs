//! What is held of a budget: guards that give back by their drop.

use std::sync::{Arc, Mutex};

use super::{Kind, RetryBudget};
use crate::{core::retry_budget::active::Active, lock::lock};

/// A retry that is paid for. Dropped before it is [`sent`](Self::sent), it is paid back.
///
/// # Cancel safety
/// Hold it in the future that waits and sends: whenever that is dropped, the budget knows.
#[derive(Debug)]
#[must_use = "dropped before it is sent, it is paid back"]
pub struct Withdrawal {
    from: RetryBudget,
    cost: u64,
    sent: bool,
}

impl Withdrawal {
    pub(super) const fn new(from: RetryBudget, cost: u64) -> Self {
        Self {
            from,
            cost,
            sent: false,
        }
    }

    /// The retry is sent: from now on a drop pays nothing back.
    pub const fn sent(&mut self) {
        self.sent = true;
    }

    /// What was sent never left: whatever is further in refused it. Pays back, as if it hadn't been.
    pub fn never_left(mut self) {
        self.sent = false;
    }

    /// The retry succeeded: pays back what the budget says a success does.
    pub fn succeeded(mut self) {
        self.sent = true;
        match &self.from.0 {
            Kind::Share(share) => share.succeeded(self.cost),
            Kind::Quota(stock) => stock.pay_back(self.cost),
            Kind::Throttle(throttle) => lock(throttle).succeed(),
            Kind::Active(_) | Kind::Tower(_) => {}
        }
    }
}

impl Drop for Withdrawal {
    fn drop(&mut self) {
        match &self.from.0 {
            // It was under way until now, sent or not.
            Kind::Active(active) => lock(active).retry_ends(),
            _ if self.sent => {}
            Kind::Share(share) => share.pay_back(self.cost),
            Kind::Quota(stock) => stock.pay_back(self.cost),
            // What it took was for the failure before.
            Kind::Throttle(_) | Kind::Tower(_) => {}
        }
    }
}

/// A request under way, until it is dropped.
#[derive(Debug, Default)]
#[must_use = "the request is under way until this is dropped"]
pub struct Ongoing {
    #[expect(dead_code, reason = "its drop says that the request is over")]
    place: Option<Place>,
}

/// A place among the requests under way.
#[derive(Debug)]
struct Place(Arc<Mutex<Active>>);

impl Ongoing {
    pub(super) fn new(active: Arc<Mutex<Active>>) -> Self {
        lock(&active).request_begins();
        Self {
            place: Some(Place(active)),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.0).request_ends();
    }
}
