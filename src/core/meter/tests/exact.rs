//! Providers that count exactly, by the instants of arrival.

use std::collections::VecDeque;

/// How a provider counts, exactly, by the instants of arrival.
#[derive(Clone, Debug)]
pub(crate) enum Provider {
    Log {
        amount: u64,
        window: u64,
        log: VecDeque<(u64, u64, u64)>,
    },
    /// Missing tokens × nanoseconds of the window.
    Bucket {
        amount: u64,
        window: u64,
        missing: u128,
        at: u64,
    },
    Fixed {
        amount: u64,
        window: u64,
        phase: u64,
        used: u64,
        start: u64,
    },
    FirstUse {
        amount: u64,
        window: u64,
        used: u64,
        end: u64,
    },
}

impl Provider {
    pub(crate) fn log(amount: u64, window: u64) -> Self {
        Self::Log {
            amount,
            window,
            log: VecDeque::new(),
        }
    }

    pub(crate) fn bucket(amount: u64, window: u64) -> Self {
        Self::Bucket {
            amount,
            window,
            missing: 0,
            at: 0,
        }
    }

    pub(crate) fn fixed(amount: u64, window: u64, phase: u64) -> Self {
        let phase = phase % window;
        Self::Fixed {
            amount,
            window,
            phase,
            used: 0,
            start: 0,
        }
    }

    pub(crate) fn first_use(amount: u64, window: u64) -> Self {
        Self::FirstUse {
            amount,
            window,
            used: 0,
            end: 0,
        }
    }

    fn roll(&mut self, now: u64) {
        match self {
            Self::Log { window, log, .. } => {
                while log.front().is_some_and(|(t, ..)| t + *window <= now) {
                    log.pop_front();
                }
            }
            Self::Bucket {
                amount,
                missing,
                at,
                ..
            } => {
                *missing = missing.saturating_sub(u128::from(now - *at) * u128::from(*amount));
                *at = now;
            }
            Self::Fixed {
                window,
                phase,
                used,
                start,
                ..
            } => {
                let began = (now + *window - *phase) / *window;
                if began != *start {
                    (*start, *used) = (began, 0);
                }
            }
            Self::FirstUse {
                window, used, end, ..
            } => {
                if now >= *end {
                    (*used, *end) = (0, now + *window);
                }
            }
        }
    }

    /// Whether the request `id` of `n` tokens that arrives now is admitted.
    pub(crate) fn admits(&mut self, id: u64, n: u64, now: u64) -> bool {
        self.roll(now);
        match self {
            Self::Log { amount, log, .. } => {
                let used: u64 = log.iter().map(|(.., n)| n).sum();
                let fits = used + n <= *amount;
                if fits {
                    log.push_back((now, id, n));
                }
                fits
            }
            Self::Bucket {
                amount,
                window,
                missing,
                ..
            } => {
                let n = u128::from(n) * u128::from(*window);
                let fits = *missing + n <= u128::from(*amount) * u128::from(*window);
                if fits {
                    *missing += n;
                }
                fits
            }
            Self::Fixed { amount, used, .. } | Self::FirstUse { amount, used, .. } => {
                let fits = *used + n <= *amount;
                if fits {
                    *used += n;
                }
                fits
            }
        }
    }

    /// What is left, as an answer says it.
    pub(crate) fn left(&mut self, now: u64) -> u64 {
        self.roll(now);
        match self {
            Self::Log { amount, log, .. } => *amount - log.iter().map(|(.., n)| n).sum::<u64>(),
            Self::Bucket {
                amount,
                window,
                missing,
                ..
            } => *amount - (*missing / u128::from(*window)) as u64,
            Self::Fixed { amount, used, .. } | Self::FirstUse { amount, used, .. } => {
                *amount - *used
            }
        }
    }

    /// Gives back `n` of the request `id`, which was charged too much.
    pub(crate) fn trues_up(&mut self, id: u64, n: u64, now: u64) {
        self.roll(now);
        match self {
            Self::Log { log, .. } => {
                if let Some(entry) = log.iter_mut().find(|(_, other, _)| *other == id) {
                    entry.2 -= n;
                }
            }
            Self::Bucket {
                window, missing, ..
            } => {
                *missing = missing.saturating_sub(u128::from(n) * u128::from(*window));
            }
            // Whether it was of this window isn't kept: never gives back, which a client must bear too.
            Self::Fixed { .. } | Self::FirstUse { .. } => {}
        }
    }
}
