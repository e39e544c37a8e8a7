//! What a refused request is told.

use crate::{
    core::{
        cost::Cost,
        ledger::{Blame, Fit, Ledger},
        limit::LimitId,
        meter::Stock,
        time::Time,
    },
    error::{Reason, Rejected},
};

/// The refusal of `cost`; `at` is when to come back, where that isn't what the fit says.
#[cold]
pub(super) fn rejected(
    ledger: &Ledger,
    cost: &Cost,
    fit: Fit,
    at: Option<Time>,
    reason: Reason,
    now: Time,
) -> Rejected {
    let mut rejected = describe(ledger, fit, at, reason, now);
    if let Some(limit) = rejected.limit {
        rejected.asked = cost.of(limit.resource);
    }
    if let Fit::At {
        blame: Blame::Limit(index),
        ..
    } = fit
    {
        // By the limit alone it could go now.
        rejected.kept = ledger.meters()[index].fits(rejected.asked, now);
    }
    rejected
}

fn describe(ledger: &Ledger, fit: Fit, at: Option<Time>, reason: Reason, now: Time) -> Rejected {
    let (reason, fits_at, blame) = match fit {
        Fit::Now => (reason, None, None),
        Fit::InFlight if reason == Reason::LimitReached => (Reason::InFlightFull, None, None),
        Fit::InFlight => (reason, None, None),
        Fit::At { at, blame } => (reason, Some(at), Some(blame)),
        Fit::Never { blame } => (Reason::TooLarge, None, Some(blame)),
    };
    let mut rejected = Rejected::new(reason);
    rejected.retry_after = at.or(fits_at).map(|at| at.since(now));
    match blame {
        Some(Blame::Limit(index)) => {
            let meter = &ledger.meters()[index];
            rejected.limit = Some(meter.id());
            rejected.left = meter.left();
            if meter.stock().is_some_and(Stock::is_closed) {
                rejected.reason = Reason::Unavailable;
                return rejected;
            }
        }
        Some(Blame::Pause(index)) => {
            rejected.limit = Some(ledger.meters()[index].id());
            if reason == Reason::LimitReached {
                rejected.reason = Reason::Paused;
            }
        }
        Some(Blame::PauseOfAll) if reason == Reason::LimitReached => {
            rejected.reason = Reason::Paused;
        }
        Some(Blame::PerRequest) => {
            rejected.limit = Some(LimitId::per_request(ledger.max_per_request()));
            rejected.left = ledger.max_per_request();
        }
        Some(Blame::PauseOfAll) | None => {}
    }
    if let (Some(limit), Reason::TooLarge) = (rejected.limit, rejected.reason) {
        rejected.left = limit.amount;
    }
    rejected
}
