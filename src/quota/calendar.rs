//! Boundaries on the wall clock, as the ledger's time sees them.

use std::time::{Duration, SystemTime};

use super::sync::Arc;
use crate::core::{
    limit::{AnchorKind, Limit, Shape},
    meter::Boundaries,
    time::{Time, nanos},
};

/// Maps the ledger's time to the wall clock as it stood when the quota was built.
struct Calendar {
    wall: SystemTime,
    origin: Time,
    next: Arc<dyn Fn(SystemTime) -> SystemTime + Send + Sync>,
}

impl Boundaries for Calendar {
    fn after(&self, t: Time) -> Time {
        let wall = if t < self.origin {
            self.wall.checked_sub(self.origin.since(t))
        } else {
            self.wall.checked_add(t.since(self.origin))
        };
        let Some(wall) = wall else {
            return Time::MAX;
        };
        match (self.next)(wall).duration_since(wall) {
            Ok(ahead) => t.after(ahead),
            // Not after it: whoever asks takes one window instead.
            Err(_) => t,
        }
    }
}

/// The boundaries of a limit that is fixed to the wall clock; `origin` is when `wall` was read.
pub(super) fn boundaries(
    limit: &Limit,
    wall: SystemTime,
    origin: Time,
) -> Option<Arc<dyn Boundaries>> {
    let Some(Shape::Fixed(anchor)) = &limit.shape else {
        return None;
    };
    let next: Arc<dyn Fn(SystemTime) -> SystemTime + Send + Sync> = match &anchor.0 {
        AnchorKind::FirstUse => return None,
        AnchorKind::Aligned(start) => {
            let (start, window) = (*start, limit.window);
            Arc::new(move |t| aligned(start, window, t))
        }
        AnchorKind::Calendar(next) => Arc::clone(next),
    };
    Some(Arc::new(Calendar { wall, origin, next }))
}

/// The first boundary after `t` of windows that follow each other, one of them from `start` on.
fn aligned(start: SystemTime, window: Duration, t: SystemTime) -> SystemTime {
    let window = u128::from(nanos(window));
    let ahead = match t.duration_since(start) {
        Ok(since) => window - since.as_nanos() % window,
        Err(before) => match before.duration().as_nanos() % window {
            0 => window,
            rest => rest,
        },
    };
    t + Duration::from_nanos(u64::try_from(ahead).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_boundary_is_after_the_instant_on_either_side_of_the_anchor() {
        let minute = Duration::from_secs(60);
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        for (offset, expected) in [
            (0i64, 60i64),
            (1, 60),
            (59, 60),
            (60, 120),
            (-1, 0),
            (-60, 0),
        ] {
            let shift = |s: i64| {
                if s < 0 {
                    start - Duration::from_secs(s.unsigned_abs())
                } else {
                    start + Duration::from_secs(s.unsigned_abs())
                }
            };
            assert_eq!(
                aligned(start, minute, shift(offset)),
                shift(expected),
                "{offset}"
            );
        }
    }
}
