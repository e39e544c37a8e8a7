//! What a caller has left of its own limits, for its answer to tell.

use std::time::Duration;

use http::Extensions;

use super::{line::Line, sync::Arc};
use crate::{
    core::{limit::LimitId, meter::Meter, time::Time},
    marked::Marked,
};

/// What a caller has left of its own limits, as its answer finds them: in the extensions of answers that passed a layer that
/// [tells](crate::RateLimitLayer::tell) it. [`RespondLayer`](crate::RespondLayer) makes header fields of it.
///
/// ```
/// use http::Response;
/// use tower_quota::Allowance;
///
/// fn log<B>(answer: &Response<B>) {
///     for of in Allowance::of(answer).iter().flat_map(|allowance| allowance.limits()) {
///         println!("{} left of {}, all of it in {:?}", of.left, of.limit, of.whole_in);
///     }
/// }
/// # log(&Response::new(()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    limits: Arc<[Left]>,
}

/// What is left of one limit, in units of its resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Left {
    /// Which limit.
    pub limit: LimitId,
    /// What is left, once the request has been charged.
    pub left: u64,
    /// When all of it is there again if nothing more is asked; zero where it is.
    pub whole_in: Duration,
}

impl Allowance {
    /// What a layer further in has left in the answer's extensions.
    pub fn of(answer: &impl Marked) -> Option<&Self> {
        answer.marks().get()
    }

    /// The caller's limits, those of the layer furthest in first, and else as its quota has them.
    pub fn limits(&self) -> &[Left] {
        &self.limits
    }

    /// Leaves it among the marks of an answer, beside what layers further in have left there.
    pub(crate) fn join(self, marks: &mut Extensions) {
        let joined = match marks.get::<Self>() {
            Some(before) => Self {
                limits: before.limits.iter().chain(&*self.limits).copied().collect(),
            },
            None => self,
        };
        marks.insert(joined);
    }
}

impl Line {
    /// What is left of the limits now.
    pub(super) fn allowance(&self) -> Allowance {
        let limits = self.with(|ledger| {
            let now = ledger.now();
            let known = ledger.meters().iter().filter(|meter| meter.is_known());
            known.map(|meter| left(meter, now)).collect()
        });
        Allowance { limits }
    }
}

fn left(meter: &Meter, now: Time) -> Left {
    Left {
        limit: meter.id(),
        left: meter.left(),
        whole_in: meter.earliest(meter.largest(), now, now).since(now),
    }
}
