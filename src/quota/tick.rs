//! Whom the timer wakes.

use std::task::Wake;

use super::{
    line::Line,
    sync::{Arc, Weak},
};

/// The timer's waker: the quota itself, as long as somebody has a handle on it.
pub(super) struct Tick(pub(super) Weak<Line>);

impl Wake for Tick {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(line) = self.0.upgrade() {
            line.tick();
        }
    }
}
