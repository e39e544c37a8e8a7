use http::StatusCode;

use crate::{
    error::BoxError,
    provider::{Trouble, trouble},
    verdict::Verdict,
};

/// Why a try failed that may work next time, for schedules and costs that differ.
///
/// Finer than the [`Verdict`], which doesn't tell a time-out from a broken connection: there the
/// error and everything that caused it are looked through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// A limit was reached (429).
    RateLimited,
    /// The provider has too much to do (503, 529).
    Overloaded,
    /// Nothing came in time: tower's, tokio's, hyper's and reqwest's time-outs, that of a connection
    /// among them, I/O that timed out, 408 and 504.
    TimedOut,
    /// There was no connection, or it broke.
    Connection,
    /// Whatever else may work next time: 409, other 5xx, errors of a kind that isn't known.
    Transient,
}

impl Cause {
    /// What is behind a verdict that may be tried again; for any other it is `Transient`.
    pub(super) fn of(verdict: Verdict, outcome: Result<Option<StatusCode>, &BoxError>) -> Self {
        match (verdict, outcome) {
            (Verdict::RateLimited { .. }, _) => Self::RateLimited,
            (Verdict::Overloaded { .. }, _) => Self::Overloaded,
            (_, Ok(Some(StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT))) => {
                Self::TimedOut
            }
            (_, Ok(_)) => Self::Transient,
            (_, Err(error)) => match trouble(error.as_ref()) {
                Trouble::TimedOut => Self::TimedOut,
                Trouble::Connection => Self::Connection,
                Trouble::Other => Self::Transient,
            },
        }
    }
}

/// A figure for each cause.
#[derive(Clone, Copy, Debug)]
pub(super) struct Costs([u32; Cause::Transient as usize + 1]);

impl Costs {
    /// The same for all.
    pub(super) const fn new(cost: u32) -> Self {
        Self([cost; Cause::Transient as usize + 1])
    }

    pub(super) const fn with(mut self, cause: Cause, cost: u32) -> Self {
        self.0[cause as usize] = cost;
        self
    }

    pub(super) const fn of(&self, cause: Cause) -> u32 {
        self.0[cause as usize]
    }
}
