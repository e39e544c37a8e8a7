//! What a refused request is told.

use crate::{
    core::{
        cost::Cost,
        ledger::{Blame, Fit, Ledger, Spare},
        limit::LimitId,
        meter::Stock,
        time::Time,
    },
    error::{Reason, Rejected},
};

/// The accounts that a refusal tells of.
pub(super) trait Books {
    /// The limit of this index, and what is left of it.
    fn limit(&self, index: usize) -> (LimitId, u64);

    fn max_per_request(&self) -> u64;

    /// Whether so much of it fits now, were it not for what is kept for others. Packed accounts keep nothing.
    fn fits_alone(&self, _index: usize, _n: u64, _now: Time) -> bool {
        false
    }

    /// Whether nobody knows what is left of that limit: whoever counts it is away.
    fn is_closed(&self, _index: usize) -> bool {
        false
    }
}

impl Books for Ledger {
    fn limit(&self, index: usize) -> (LimitId, u64) {
        let meter = &self.meters()[index];
        (meter.id(), meter.left())
    }

    fn max_per_request(&self) -> u64 {
        self.max_per_request()
    }

    fn fits_alone(&self, index: usize, n: u64, now: Time) -> bool {
        self.meters()[index].fits(n, now)
    }

    fn is_closed(&self, index: usize) -> bool {
        self.meters()[index].stock().is_some_and(Stock::is_closed)
    }
}

/// The last refusal: whoever asks for the same, while nobody has changed anything, is told the same but for how long to wait.
/// Where there is no room, requests come by the thousand.
#[derive(Debug, Default)]
pub(super) struct Last {
    // Until when nothing of it changes by itself either.
    until: Time,
    // Boxed: most quotas never refuse.
    told: Option<Box<Told>>,
}

#[derive(Debug)]
struct Told {
    cost: Cost,
    spare: Spare,
    refusal: Rejected,
    at: Time,
}

impl Last {
    /// Somebody may change what it tells of.
    #[inline]
    pub(super) const fn forget(&mut self) {
        self.until = Time::ZERO;
    }

    /// This was told while nobody waits. Kept when it is told for the second time: where each cost is another, that would be for
    /// nothing.
    pub(super) fn keep(
        &mut self,
        ledger: &mut Ledger,
        (cost, spare): (&Cost, Spare),
        fit: Fit,
        refusal: &Rejected,
    ) {
        let Fit::At {
            at,
            blame: Blame::Limit(_),
        } = fit
        else {
            return;
        };
        let told = self.told.get_or_insert_with(|| {
            Box::new(Told {
                cost: Cost::none(),
                spare,
                refusal: refusal.clone(),
                at,
            })
        });
        if told.spare == spare && told.cost == *cost {
            self.until = ledger.stays();
            (told.at, told.refusal) = (at, refusal.clone());
        } else if cost.units().is_none() {
            (told.cost, told.spare) = (cost.clone(), spare);
        }
    }

    /// The same for whoever asks for the same.
    #[inline]
    pub(super) fn again<E>(&self, cost: &Cost, spare: Spare, now: Time) -> Option<E>
    where
        E: From<Rejected>,
    {
        let told = self.told.as_ref().filter(|_| now < self.until)?;
        let same = told.spare == spare && told.cost == *cost;
        same.then(|| {
            let wait = Some(told.at.since(now));
            told.refusal.clone().retry_after(wait).into()
        })
    }
}

/// The refusal of `cost`; `at` is when to come back, where that isn't what the fit says.
pub(super) fn rejected<E: From<Rejected>>(
    books: &impl Books,
    cost: &Cost,
    fit: Fit,
    at: Option<Time>,
    reason: Reason,
    now: Time,
) -> E {
    let mut rejected = describe(books, fit, at, reason, now);
    if let Some(limit) = rejected.limit {
        rejected.asked = cost.of(limit.resource);
    }
    if let Fit::At {
        blame: Blame::Limit(index),
        ..
    } = fit
        && rejected.asked <= rejected.left
    {
        // By the limit alone it could go now.
        rejected.kept = books.fits_alone(index, rejected.asked, now);
    }
    rejected.into()
}

#[inline]
fn describe(books: &impl Books, fit: Fit, at: Option<Time>, reason: Reason, now: Time) -> Rejected {
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
            let (limit, left) = books.limit(index);
            (rejected.limit, rejected.left) = (Some(limit), left);
            if books.is_closed(index) {
                rejected.reason = Reason::Unavailable;
                return rejected;
            }
        }
        Some(Blame::Pause(index)) => {
            rejected.limit = Some(books.limit(index).0);
            if reason == Reason::LimitReached {
                rejected.reason = Reason::Paused;
            }
        }
        Some(Blame::PauseOfAll) if reason == Reason::LimitReached => {
            rejected.reason = Reason::Paused;
        }
        Some(Blame::PerRequest) => {
            rejected.limit = Some(LimitId::per_request(books.max_per_request()));
            rejected.left = books.max_per_request();
        }
        Some(Blame::PauseOfAll) | None => {}
    }
    if let (Some(limit), Reason::TooLarge) = (rejected.limit, rejected.reason) {
        rejected.left = limit.amount;
    }
    rejected
}
