//! A call on its way, and the waiting for it.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use super::{OnStoreDown, line::Plan, session::Session, store::StoreError};
use crate::core::pool::{Call, PoolLimit, Reply};

pub(super) type Answer = (Call, Vec<PoolLimit>, Result<Reply, StoreError>);

/// A call on its way.
pub(super) struct Flight {
    pub(super) answer: Pin<Box<dyn Future<Output = Answer> + Send>>,
    pub(super) since: Instant,
    // Since when the call, which may have been made before, is unanswered.
    pub(super) first: Instant,
    // The store is taken to be away for its sake.
    pub(super) overdue: bool,
}

/// What woke a session.
pub(super) enum Woken {
    Answered(Box<Answer>),
    Overdue,
    Other,
}

impl Session {
    /// Until something may have changed.
    pub(super) async fn sleep(
        &self,
        plan: &Plan,
        away: bool,
        mut flight: Option<&mut Flight>,
        now: Instant,
    ) -> Woken {
        let hub = &self.desk.shared().hub;
        let overdue = flight
            .as_ref()
            .filter(|flight| !flight.overdue && !away)
            .map(|flight| flight.since + hub.patience);
        let until = if away {
            let closes = match (hub.on_down, hub.down()) {
                (OnStoreDown::Wait { max }, Some(since)) => {
                    Some(since + max).filter(|at| *at > now)
                }
                _ => None,
            };
            [
                self.talk.alone,
                self.talk.retry.filter(|_| flight.is_none()),
                closes,
                plan.sweep,
            ]
        } else {
            [
                overdue,
                self.talk.wait.filter(|_| flight.is_none()),
                self.talk.retry,
                plan.sweep.filter(|_| flight.is_none()),
            ]
        };
        // Those who leave the line don't say so.
        let idle = (plan.waiting > 0).then(|| now + Duration::from_secs(1));
        let until = until.into_iter().chain([idle]).flatten().min();
        let until = until.map(|at| at.max(now + Duration::from_micros(200)));
        // While a call is on its way those who come are for the next one; but not while the store is away.
        let listens = away || flight.is_none();
        let mut notified = pin!(self.desk.notify.notified());
        let mut timer = pin!(until.map(sleep_until));
        poll_fn(|cx: &mut Context<'_>| {
            if let Some(flight) = &mut flight
                && let Poll::Ready(answer) = flight.answer.as_mut().poll(cx)
            {
                return Poll::Ready(Woken::Answered(Box::new(answer)));
            }
            if listens && notified.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Woken::Other);
            }
            if let Some(timer) = timer.as_mut().as_pin_mut()
                && timer.poll(cx).is_ready()
            {
                let is_overdue = overdue.is_some_and(|at| Instant::now() >= at);
                return Poll::Ready(if is_overdue {
                    Woken::Overdue
                } else {
                    Woken::Other
                });
            }
            Poll::Pending
        })
        .await
    }
}
