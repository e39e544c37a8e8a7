//! Waiting for one's turn.

use std::{
    fmt,
    future::Future,
    hash::Hash,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use super::{
    Quota,
    books::Books,
    grant::Grant,
    line::Line,
    permit::Permit,
    priority::{Priority, Rank, flow},
    sync::Arc,
    watch::Standing,
};
use crate::{
    core::{cost::Cost, queue::Key},
    error::Rejected,
};

/// A place in a quota's line. Leaves it when dropped, and gives back what was offered.
pub(crate) struct Waiting {
    line: Arc<Line>,
    // None once it was granted or refused.
    key: Option<Key>,
    standing: Standing,
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").finish_non_exhaustive()
    }
}

impl Waiting {
    pub(super) fn new(line: Arc<Line>, key: Key, standing: Standing) -> Self {
        let waiting = Self {
            line,
            key: Some(key),
            standing,
        };
        waiting.line.queued(&standing);
        waiting
    }

    /// Names the quota among all others.
    pub(crate) fn quota_id(&self) -> usize {
        self.line.id
    }

    /// Resolves when the turn has come. Must not be polled again after that.
    pub(crate) fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Result<Grant, Rejected>> {
        let key = self.key.expect("polled after it was ready");
        match self.line.look(key, cx.waker()) {
            Ok(None) => Poll::Pending,
            Ok(Some((cost, slot))) => {
                self.key = None;
                let grant = Grant::new(Books::Line(Arc::clone(&self.line)), cost, slot);
                self.line.waited(&grant.cost(), &self.standing);
                Poll::Ready(Ok(grant))
            }
            Err(rejected) => {
                self.key = None;
                self.line.refused(&rejected);
                Poll::Ready(Err(rejected))
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.line.leave(key);
        }
    }
}

/// The future of [`Quota::acquire`].
///
/// # Cancel safety
///
/// Dropped before it resolves it leaves the line without a trace; what was already offered to it goes to the next.
#[must_use = "futures do nothing unless polled"]
pub struct Acquire {
    state: State,
}

enum State {
    /// Hasn't asked yet.
    New {
        quota: Quota,
        cost: Cost,
        rank: Rank,
    },
    /// In line.
    Waiting(Waiting),
    Done,
}

impl fmt::Debug for Acquire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire").finish_non_exhaustive()
    }
}

impl Acquire {
    pub(super) const fn new(quota: Quota, cost: Cost) -> Self {
        Self {
            state: State::New {
                quota,
                cost,
                rank: Rank::DEFAULT,
            },
        }
    }

    /// How urgent it is. Once it is in line, that is decided.
    pub fn priority(mut self, priority: Priority) -> Self {
        if let State::New { rank, .. } = &mut self.state {
            rank.class = priority.class();
        }
        self
    }

    /// Takes turns with those of other keys: inside a priority each key goes once before any goes again. Once it is in
    /// line, that is decided.
    pub fn in_turn(mut self, key: &(impl Hash + ?Sized)) -> Self {
        if let State::New { rank, .. } = &mut self.state {
            rank.flow = flow(key);
        }
        self
    }
}

impl Future for Acquire {
    type Output = Result<Permit, Rejected>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            match &mut this.state {
                State::New { quota, cost, rank } => match quota.reserve(cost, false, *rank) {
                    super::Reserved::Granted(grant) => {
                        let permit = Permit::new(grant, mem::take(cost), false);
                        this.state = State::Done;
                        return Poll::Ready(Ok(permit));
                    }
                    super::Reserved::Queued(waiting) => this.state = State::Waiting(waiting),
                    super::Reserved::Refused(refusal) => {
                        this.state = State::Done;
                        return Poll::Ready(Err(refusal.into()));
                    }
                },
                State::Waiting(waiting) => {
                    let turn = ready!(waiting.poll_turn(cx));
                    this.state = State::Done;
                    return Poll::Ready(turn.map(|grant| {
                        let cost = grant.cost().into_owned();
                        Permit::new(grant, cost, true)
                    }));
                }
                State::Done => panic!("`Acquire` polled after it resolved"),
            }
        }
    }
}
