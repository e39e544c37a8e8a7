//! How a run ends before its input does.

use std::{future::Future, pin::pin};

use tokio::sync::watch;

use super::stats::Wire;

/// Why a run ends early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Ctrl-C, or a request to terminate.
    Interrupted,
    /// There is no money left: nothing will be answered any more.
    QuotaExhausted,
    /// The provider hasn't answered for long.
    ProviderDown,
    /// What is answered can't be saved.
    CantWrite,
    /// The input can't be read on.
    CantRead,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    // What is on the wire comes to its end, nothing else leaves.
    Finishing(Reason),
    // Nothing is waited for.
    AtOnce(Reason),
}

/// Says when to end.
#[derive(Debug)]
pub(crate) struct Stop(watch::Sender<Phase>);

impl Default for Stop {
    fn default() -> Self {
        Self(watch::Sender::new(Phase::Running))
    }
}

impl Stop {
    /// Lets what is on the wire come to its end, and nothing else leave. The first reason stays.
    pub(crate) fn finish(&self, reason: Reason) -> bool {
        self.0.send_if_modified(|phase| {
            let first = *phase == Phase::Running;
            if first {
                *phase = Phase::Finishing(reason);
            }
            first
        })
    }

    /// Waits for nothing any more.
    pub(crate) fn at_once(&self, reason: Reason) {
        self.0.send_modify(|phase| {
            *phase = Phase::AtOnce(match *phase {
                Phase::Running => reason,
                Phase::Finishing(first) | Phase::AtOnce(first) => first,
            });
        });
    }

    /// Why the run ends early, if it does.
    pub(crate) fn reason(&self) -> Option<Reason> {
        match *self.0.borrow() {
            Phase::Running => None,
            Phase::Finishing(reason) | Phase::AtOnce(reason) => Some(reason),
        }
    }

    /// Resolves once nothing more may leave.
    pub(crate) async fn finishing(&self) {
        self.reached(|phase| *phase != Phase::Running).await;
    }

    /// Resolves once nothing is waited for.
    pub(crate) async fn now(&self) {
        self.reached(|phase| matches!(phase, Phase::AtOnce(_)))
            .await;
    }

    async fn reached(&self, there: impl FnMut(&Phase) -> bool) {
        let mut phases = self.0.subscribe();
        // The sender is `self`; it outlives this.
        let _ = phases.wait_for(there).await;
    }

    /// Runs `work` to its end, unless the run ends while `work` isn't on the wire.
    pub(crate) async fn or<T>(&self, wire: &Wire, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        let idle = pin!(async {
            self.finishing().await;
            wire.idle().await;
        });
        tokio::select! {
            biased;
            done = &mut work => Some(done),
            () = idle => None,
            () = self.now() => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use tokio::time::{Instant, sleep};

    use super::super::{record::Trouble, stats::Stats};
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_on_the_wire_comes_to_its_end_and_what_waits_does_not() {
        let stop = Stop::default();
        let stats = Arc::new(Stats::new(Duration::from_secs(60), None));
        let begin = Instant::now();
        let waiting = Wire::new(&stats);
        let waiting = stop.or(&waiting, sleep(Duration::from_secs(50)));
        let sent = Wire::new(&stats);
        let sent = stop.or(&sent, async {
            let departure = sent.departs();
            sleep(Duration::from_secs(20)).await;
            departure.answered();
            sleep(Duration::from_secs(1)).await;
        });
        let retried = Wire::new(&stats);
        let retried = stop.or(&retried, async {
            let departure = retried.departs();
            sleep(Duration::from_secs(15)).await;
            departure.failed(Trouble::new("500"));
            sleep(Duration::from_secs(60)).await;
        });
        let ends = async {
            sleep(Duration::from_secs(10)).await;
            stop.finish(Reason::Interrupted);
        };
        let (waiting, sent, retried, ()) = tokio::join!(waiting, sent, retried, ends);
        assert_eq!((waiting, sent, retried), (None, Some(()), None));
        assert_eq!(begin.elapsed(), Duration::from_secs(21));
        assert!(!stop.finish(Reason::QuotaExhausted));
        assert_eq!(stop.reason(), Some(Reason::Interrupted));
    }

    #[tokio::test(start_paused = true)]
    async fn at_once_waits_for_nothing() {
        let stop = Stop::default();
        let stats = Arc::new(Stats::new(Duration::from_secs(60), None));
        let wire = Wire::new(&stats);
        let _departure = wire.departs();
        stop.at_once(Reason::CantWrite);
        assert_eq!(stop.or(&wire, std::future::pending::<()>()).await, None);
    }
}
