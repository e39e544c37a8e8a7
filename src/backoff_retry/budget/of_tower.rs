//! tower's budgets as ours, and ours as tower's.

use std::sync::Arc;

use tower::retry::budget::Budget;

use super::{Kind, RetryBudget};
use crate::backoff_retry::cause::Cause;

impl<B: Budget + Send + Sync + 'static> From<Arc<B>> for RetryBudget {
    fn from(budget: Arc<B>) -> Self {
        Self(Kind::Tower(budget))
    }
}

/// For tower's own retries, which don't say why they are made, nor what came of them: each costs what
/// a [`Cause::Transient`] does, and none is paid back. A budget [of the requests under
/// way](RetryBudget::of_active) can't count them.
impl Budget for RetryBudget {
    fn deposit(&self) {
        Self::deposit(self);
    }

    fn withdraw(&self) -> bool {
        Self::withdraw(self, Cause::Transient)
            .map(|mut paid| paid.sent())
            .is_some()
    }
}
