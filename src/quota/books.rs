//! Where a quota's accounts are, and what is written there of a charge.

use std::{fmt, time::Duration};

use super::{keyed::KeyAccount, line::Line, outputs::Outputs, sync::Arc};
use crate::{
    clock::Moment,
    core::{
        cost::{Cost, Resource},
        ledger::Ledger,
        settlement::{Departure, Settle},
        time::Time,
    },
    verdict::{RateStatus, Verdict},
};

/// Where a quota's accounts are. A handle: clones are the same.
#[derive(Clone)]
pub(crate) enum Books {
    /// In a ledger of its own, with a line.
    Line(Arc<Line>),
    /// Among those of other keys.
    Key(KeyAccount),
}

impl Books {
    /// Names the quota among all others.
    #[inline]
    pub(super) fn id(&self) -> usize {
        match self {
            Self::Line(line) => line.id,
            Self::Key(key) => key.name(),
        }
    }

    #[inline]
    pub(super) fn outputs(&self) -> &Outputs {
        match self {
            Self::Line(line) => &line.outputs,
            Self::Key(key) => key.tier().outputs(),
        }
    }

    /// Whether what the provider says of its limits is about these.
    pub(super) fn listens(&self) -> bool {
        match self {
            Self::Line(line) => line.settings().listens(),
            Self::Key(key) => key.tier().listens(),
        }
    }

    /// What was held leaves now.
    #[inline(always)]
    pub(super) fn date(&self, cost: &Cost, now: Moment) -> Departure {
        let by_line = |line: &Line| {
            let departure = line.date(cost, now);
            line.departed(departure.at);
            departure
        };
        match self {
            Self::Line(line) => by_line(line),
            Self::Key(key) => (key.date(cost, now)).unwrap_or_else(|line| by_line(&line)),
        }
    }

    /// The same for what was held a moment ago, as of the last look at the clock.
    #[inline]
    pub(super) fn date_at_once(&self, cost: &Cost) -> Departure {
        match self {
            Self::Line(line) => {
                let departure = line.date_at_once(cost);
                line.departed(departure.at);
                departure
            }
            Self::Key(_) => self.date(cost, Moment::now()),
        }
    }

    /// What is held goes back; `slot`: with a place in flight.
    pub(super) fn release(&self, cost: &Cost, slot: bool) {
        self.write(
            |key| key.release(cost),
            |ledger| {
                ledger.release(cost, slot);
                true
            },
        );
    }

    /// What left then is held again: it has never arrived.
    pub(super) fn hold_again(&self, cost: &Cost, departure: Departure) {
        self.write(
            |key| key.refund(cost, departure.at, true),
            |ledger| {
                ledger.refund(cost, departure.at);
                ledger.hold(cost, false);
                true
            },
        );
    }

    /// What left then has never arrived; `slot`: its place in flight is free.
    pub(super) fn refund(&self, cost: &Cost, departure: Departure, slot: bool) {
        self.write(
            |key| key.refund(cost, departure.at, false),
            |ledger| {
                ledger.refund(cost, departure.at);
                if slot {
                    ledger.land();
                }
                true
            },
        );
    }

    /// A place in flight is free.
    #[inline]
    pub(super) fn land(&self) {
        match self {
            Self::Line(line) => line.land(),
            // Packed accounts have no places.
            Self::Key(_) => {}
        }
    }

    /// What left then turned out to be `used`; `slot`: its place in flight is free.
    pub(super) fn settle(
        &self,
        (cost, used): (&Cost, &Cost),
        dated: Time,
        policy: Settle,
        slot: bool,
    ) {
        let policy = match policy {
            // Nobody else counts what is a key's own.
            Settle::Auto if !self.listens() => Settle::TrueUp,
            policy => policy,
        };
        self.write(
            |key| key.settle((cost, used), policy, dated),
            |ledger| {
                let given_back = ledger.settle(cost, used, dated, policy);
                (slot && ledger.land()) || given_back
            },
        );
        match self {
            Self::Line(line) => {
                line.watch.settled(used);
                line.look_at_use(&Cost::none());
            }
            Self::Key(key) => key.tier().watch().settled(used),
        }
    }

    /// What left then was served, and nothing is known of what it used; `slot`: its place in flight is free.
    pub(super) fn served(&self, dated: Time, slot: bool) {
        if let Self::Line(line) = self {
            line.change(|ledger| {
                let eased = ledger.admitted(dated);
                slot && ledger.land() || eased
            });
        }
    }

    /// What the answer to what left then says is left.
    pub(super) fn observe(&self, status: &RateStatus, cost: &Cost, departure: Departure) {
        if self.listens() {
            self.line().observe(status, cost, departure);
        }
    }

    /// The provider refused what left then.
    pub(super) fn refused(
        &self,
        resource: Option<Resource>,
        cost: &Cost,
        dated: Time,
        wait: Option<Duration>,
    ) {
        if self.listens() {
            self.line().change(|ledger| {
                ledger.refused(resource, cost, dated, wait);
                true
            });
        }
    }

    /// A request was answered so.
    pub(super) fn heard(&self, verdict: &Verdict) {
        match self {
            Self::Line(line) => line.watch.heard(verdict, || line.now()),
            Self::Key(key) => key.tier().watch().heard(verdict, || key.now()),
        }
    }

    /// The line, which a key has from now on.
    pub(super) fn line(&self) -> Arc<Line> {
        match self {
            Self::Line(line) => Arc::clone(line),
            Self::Key(key) => key.line(),
        }
    }

    /// A line to look at.
    pub(super) fn look(&self) -> Arc<Line> {
        match self {
            Self::Line(line) => Arc::clone(line),
            Self::Key(key) => key.copy(),
        }
    }

    /// To a key's accounts where they are packed, else to the ledger, which says whether somebody's turn may have come by it.
    fn write(
        &self,
        packed: impl FnOnce(&KeyAccount) -> Result<(), Arc<Line>>,
        whole: impl FnOnce(&mut Ledger) -> bool,
    ) {
        match self {
            Self::Line(line) => line.change(whole),
            Self::Key(key) => {
                if let Err(line) = packed(key) {
                    line.change(whole);
                }
            }
        }
    }
}

impl fmt::Debug for Books {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Books(..)")
    }
}
