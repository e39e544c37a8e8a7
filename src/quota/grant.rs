//! What a request holds of a quota.

use std::fmt;

use super::{line::Line, sync::Arc};
use crate::{
    core::{cost::Cost, time::Time},
    verdict::Usage,
};

/// A turn that was granted. Gives everything back on drop until the request has left; from then on
/// only its place in flight.
pub(crate) struct Grant {
    line: Arc<Line>,
    cost: Cost,
    // A place in flight that it still takes.
    slot: bool,
    dated: Option<Time>,
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("cost", &self.cost)
            .field("left", &self.dated.is_some())
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
            dated: None,
        }
    }

    pub(super) const fn line(&self) -> &Arc<Line> {
        &self.line
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

    /// When the request left.
    pub(crate) const fn dated(&self) -> Option<Time> {
        self.dated
    }

    /// The request leaves now: from here on its charge has a date. Once; later calls do nothing.
    pub(crate) fn depart(&mut self) {
        if self.dated.is_none() {
            let cost = &self.cost;
            self.dated = Some(self.line.with(|ledger| ledger.date(cost)));
        }
    }

    /// The answer has arrived: frees the place in flight, keeps the charge.
    pub(crate) fn land(&mut self) {
        if std::mem::take(&mut self.slot) {
            self.line.change(|ledger| ledger.land());
        }
    }

    /// What was charged turned out to be `used`. More is charged; less is given back if `down`.
    pub(crate) fn settle(&mut self, used: &Cost, down: bool) {
        self.depart();
        let (cost, dated) = (&self.cost, self.dated.unwrap_or_default());
        self.line
            .change(|ledger| ledger.settle(cost, used, dated, down));
        // What isn't given back stays charged, and isn't charged again.
        self.cost = if down {
            used.clone()
        } else {
            self.cost.larger(used)
        };
    }

    /// The request never reached the provider: everything goes back.
    pub(crate) fn refund(mut self) {
        if let Some(dated) = self.dated {
            let (cost, slot) = (&self.cost, std::mem::take(&mut self.slot));
            self.line.change(|ledger| {
                ledger.refund(cost, dated);
                if slot {
                    ledger.land();
                }
                true
            });
        }
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        if self.dated.is_some() {
            self.land();
        } else {
            let (cost, slot) = (&self.cost, self.slot);
            self.line.change(|ledger| {
                ledger.release(cost, slot);
                true
            });
        }
    }
}
