//! What a request holds of a quota.

use std::{fmt, time::Duration};

use tokio::time::Instant;

use super::{line::Line, sync::Arc};
use crate::{
    core::{
        cost::{Cost, Resource},
        settlement::{Departure, Settle},
    },
    verdict::{RateStatus, Usage},
};

/// A turn that was granted. Gives everything back on drop until the request has left; from then on
/// only its place in flight.
pub(crate) struct Grant {
    line: Arc<Line>,
    cost: Cost,
    // A place in flight that it still takes.
    slot: bool,
    departure: Option<Departure>,
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("cost", &self.cost)
            .field("left", &self.has_left())
            .finish_non_exhaustive()
    }
}

impl Grant {
    /// Of a cost that the line's ledger holds already.
    pub(super) const fn new(line: Arc<Line>, cost: Cost, slot: bool) -> Self {
        Self {
            line,
            cost,
            slot,
            departure: None,
        }
    }

    pub(crate) const fn cost(&self) -> &Cost {
        &self.cost
    }

    /// What was charged, with the tokens that the provider counted instead of the estimate.
    pub(crate) fn used(&self, usage: &Usage) -> Cost {
        self.cost
            .with_tokens(usage.total_tokens, usage.input_tokens, usage.output_tokens)
    }

    /// Names the quota among all others.
    pub(crate) fn quota_id(&self) -> usize {
        Arc::as_ptr(&self.line) as usize
    }

    /// Whether the request has left.
    pub(crate) const fn has_left(&self) -> bool {
        self.departure.is_some()
    }

    /// The request leaves now: from here on its charge has a date. Once; later calls do nothing.
    pub(crate) fn depart(&mut self) {
        if self.departure.is_none() {
            let cost = &self.cost;
            self.departure = Some(self.line.with(|ledger| ledger.date(cost)));
        }
    }

    /// The request leaves at the instant of its grant, without another look at the clock.
    pub(crate) fn depart_at_once(&mut self) {
        if self.departure.is_none() {
            self.departure = Some(self.line.date_at_once(&self.cost));
        }
    }

    /// The answer has arrived: frees the place in flight, keeps the charge.
    pub(crate) fn land(&mut self) {
        if std::mem::take(&mut self.slot) {
            self.line.land();
        }
    }

    /// What was charged turned out to be `used`: more is charged, less is given back by policy. Frees
    /// the place in flight.
    pub(crate) fn settle(mut self, used: &Cost, policy: Settle) {
        self.depart();
        let (cost, departure) = (&self.cost, self.departure.unwrap_or_default());
        let slot = std::mem::take(&mut self.slot);
        self.line.change(|ledger| {
            ledger.settle(cost, used, departure.at, policy);
            if slot {
                ledger.land();
            }
        });
    }

    /// What the answer to this request says is left.
    pub(crate) fn observe(&self, status: &RateStatus) {
        self.line
            .observe(status, self.departure.unwrap_or_default());
    }

    /// The provider refused for want of `resource` (of something, for `None`): nothing more of it for
    /// as long as it asks to wait.
    pub(crate) fn refused(&self, resource: Option<Resource>, wait: Option<Duration>) {
        self.line.with(|ledger| ledger.refused(resource));
        if let Some(wait) = wait {
            self.line.pause(resource, Instant::now() + wait);
        }
    }

    /// The request never reached the provider: everything goes back.
    pub(crate) fn refund(mut self) {
        if let Some(departure) = self.departure {
            let (cost, slot) = (&self.cost, std::mem::take(&mut self.slot));
            self.line.change(|ledger| {
                ledger.refund(cost, departure.at);
                if slot {
                    ledger.land();
                }
            });
        }
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        if self.has_left() {
            self.land();
        } else {
            let (cost, slot) = (&self.cost, self.slot);
            self.line.change(|ledger| ledger.release(cost, slot));
        }
    }
}
