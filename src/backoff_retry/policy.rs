//! Whether to try again, and when.

use std::time::Duration;

use http::HeaderName;
use tokio::time::Instant;

use super::{
    budget::{Ongoing, RetryBudget, Withdrawal},
    cause::Cause,
    gave_up::GaveUp,
};
use crate::{
    core::{backoff::Backoff, dice::Dice},
    observe::Tries,
    verdict::Verdict,
};

/// From here on a limit that doesn't say when to come back is none that a call can wait for.
const LONG_WINDOW: Duration = Duration::from_secs(3_600);

#[derive(Clone, Debug)]
pub(super) struct Policy {
    pub(super) attempts: u32,
    pub(super) backoff: Backoff,
    // For some causes another.
    pub(super) special: Vec<(Cause, Backoff)>,
    pub(super) max_hint: Duration,
    // How far a wait may be spread above a hint, in per cent of it.
    pub(super) above_hint: u32,
    pub(super) deadline: Option<Duration>,
    pub(super) budget: Option<RetryBudget>,
    pub(super) dice: Dice,
    pub(super) marks: Marks,
    // Who counts tries.
    pub(super) tries: Tries,
}

/// What is written onto requests.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks {
    pub(super) key: Option<HeaderName>,
    pub(super) attempt_header: Option<HeaderName>,
    pub(super) attempt_extension: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            attempts: 3,
            backoff: Backoff::default(),
            special: Vec::new(),
            max_hint: Duration::from_secs(60),
            above_hint: 50,
            deadline: None,
            budget: Some(RetryBudget::default()),
            dice: Dice::default(),
            marks: Marks::default(),
            tries: Tries::default(),
        }
    }
}

/// How far a call has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    /// Tries that were sent.
    pub(super) made: u32,
    /// The back-off before the last of them.
    pub(super) before: Option<Duration>,
    /// When the whole call has to end.
    pub(super) deadline: Option<Instant>,
}

impl Progress {
    /// The first try is under way.
    pub(super) const fn first(deadline: Option<Instant>) -> Self {
        Self {
            made: 1,
            before: None,
            deadline,
        }
    }
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Next {
    /// The outcome is the caller's, whatever would come of another try.
    Final,
    /// The outcome is the caller's, for this reason.
    GiveUp(GaveUp),
    /// Wait so long, then try again. `None` where there is no budget.
    Retry(Duration, Option<Withdrawal>),
}

impl Policy {
    /// A call begins. `alone`: nobody [tells the budget](super::retries::Retries::deposit) later.
    #[inline]
    pub(super) fn begin(&self, alone: bool) -> Ongoing {
        match &self.budget {
            Some(budget) if alone || !budget.takes_late_deposits() => budget.begin(),
            _ => Ongoing::default(),
        }
    }

    #[cold]
    #[inline(never)]
    pub(super) fn ends(deadline: Duration) -> Option<Instant> {
        Instant::now().checked_add(deadline)
    }

    /// What to do after an outcome; `repeatable` says whether there is a request to send.
    pub(super) fn next(
        &self,
        verdict: Verdict,
        cause: Cause,
        repeatable: bool,
        progress: &mut Progress,
    ) -> Next {
        if !matches!(
            verdict,
            Verdict::RateLimited { .. } | Verdict::Overloaded { .. } | Verdict::Transient { .. }
        ) {
            return Next::Final;
        }
        match self.wait(verdict, cause, repeatable, progress) {
            Ok((wait, backoff)) => {
                let paid = match &self.budget {
                    None => None,
                    Some(budget) => match budget.withdraw(cause) {
                        None => return Next::GiveUp(GaveUp::NoBudget),
                        paid => paid,
                    },
                };
                progress.before = Some(backoff);
                Next::Retry(wait, paid)
            }
            Err(why) => {
                if let Some(budget) = &self.budget {
                    budget.failed();
                }
                Next::GiveUp(why)
            }
        }
    }

    /// How long to wait, and how much of it the schedule says.
    fn wait(
        &self,
        verdict: Verdict,
        cause: Cause,
        repeatable: bool,
        progress: &Progress,
    ) -> Result<(Duration, Duration), GaveUp> {
        if progress.made >= self.attempts {
            return Err(GaveUp::AttemptsUsed);
        }
        if !repeatable {
            return Err(GaveUp::NotRepeatable);
        }
        let hint = verdict.retry_after();
        if hint.is_some_and(|hint| hint > self.max_hint) {
            return Err(GaveUp::HintTooLong);
        }
        if let Verdict::RateLimited {
            window: Some(window),
            retry_after: None,
            ..
        } = verdict
            && window >= LONG_WINDOW
        {
            return Err(GaveUp::WindowTooLong);
        }
        let roll = self.dice.roll();
        let schedule = self.schedule(cause);
        let backoff = schedule.wait(progress.made, progress.before, roll);
        let wait = hint.map_or(backoff, |hint| {
            backoff.max(schedule.above(hint, self.above_hint, roll))
        });
        if let Some(deadline) = progress.deadline
            && deadline.saturating_duration_since(Instant::now()) <= wait
        {
            return Err(GaveUp::PastDeadline);
        }
        Ok((wait, backoff))
    }

    fn schedule(&self, cause: Cause) -> &Backoff {
        let special = self.special.iter().find(|(of, _)| *of == cause);
        special.map_or(&self.backoff, |(_, backoff)| backoff)
    }
}
