//! Whether to try again, and when.

use std::time::Duration;

use tokio::time::Instant;

use super::budget::{Paid, RetryBudget};
use crate::{
    core::{backoff::Backoff, dice::Dice},
    verdict::Verdict,
};

#[derive(Clone, Debug)]
pub(super) struct Policy {
    pub(super) attempts: u32,
    pub(super) backoff: Backoff,
    pub(super) max_hint: Duration,
    pub(super) deadline: Option<Duration>,
    pub(super) budget: Option<RetryBudget>,
    pub(super) dice: Dice,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            attempts: 3,
            backoff: Backoff::default(),
            max_hint: Duration::from_secs(60),
            deadline: None,
            budget: Some(RetryBudget::default()),
            dice: Dice::default(),
        }
    }
}

/// How far a call has come.
#[derive(Debug)]
pub(super) struct Progress {
    /// Tries that were sent.
    pub(super) made: u32,
    /// The back-off before the last of them.
    pub(super) before: Option<Duration>,
    /// When the whole call has to end.
    pub(super) deadline: Option<Instant>,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Next {
    /// The outcome is the caller's, for this reason.
    Return(&'static str),
    /// Wait so long, then try again. `None` where there is no budget.
    Retry(Duration, Option<Paid>),
}

impl Policy {
    /// What to do after an outcome.
    pub(super) fn next(&self, verdict: Verdict, progress: &mut Progress) -> Next {
        let hint = match verdict {
            Verdict::RateLimited { retry_after, .. } | Verdict::Overloaded { retry_after } => {
                retry_after
            }
            Verdict::Transient { .. } => None,
            _ => return Next::Return("final"),
        };
        if progress.made >= self.attempts {
            return Next::Return("no attempts left");
        }
        if hint.is_some_and(|hint| hint > self.max_hint) {
            return Next::Return("asked to wait too long");
        }
        let roll = self.dice.roll();
        let backoff = self.backoff.wait(progress.made, progress.before, roll);
        let wait = backoff.max(hint.unwrap_or_default());
        if let Some(deadline) = progress.deadline
            && deadline.saturating_duration_since(Instant::now()) <= wait
        {
            return Next::Return("past the deadline");
        }
        let paid = match &self.budget {
            None => None,
            Some(budget) => match budget.withdraw(matches!(verdict, Verdict::RateLimited { .. })) {
                None => return Next::Return("no budget left"),
                paid => paid,
            },
        };
        progress.before = Some(backoff);
        Next::Retry(wait, paid)
    }
}
