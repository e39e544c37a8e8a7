//! A call under way in a `BackoffRetryLayer`, whose tries all fail.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    task::Poll,
    time::Duration,
};

use tokio::time::{Instant, advance};
use tower::{Layer, ServiceExt, service_fn, util::BoxCloneService};
use tower_quota::{Backoff, BackoffRetryLayer, BoxError, Verdict};

use super::case::Failure;
use crate::support::poll_once;

type Call = Pin<Box<dyn Future<Output = Result<(), BoxError>>>>;

pub struct Retrying {
    start: Instant,
    service: BoxCloneService<(), (), BoxError>,
    call: Option<Call>,
    // How often the service was called, and how often it should have been.
    tries: Arc<AtomicU64>,
    expected: u64,
    // When the next try is due.
    pub due: Option<Duration>,
    // What the service tells to wait, in nanoseconds, and what is drawn.
    hint: Arc<AtomicU64>,
    roll: Arc<AtomicU64>,
    // What the service says from now on.
    mood: Arc<AtomicU64>,
}

/// It fails for now, has recovered, or says that it never will.
const DOWN: u64 = 0;
const UP: u64 = 1;
const FINAL: u64 = 2;

impl Retrying {
    pub fn new(backoff: &Backoff, attempts: u64, deadline: Option<Duration>) -> Self {
        let tries = Arc::new(AtomicU64::new(0));
        let (hint, roll) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (count, told, drawn) = (Arc::clone(&tries), Arc::clone(&hint), Arc::clone(&roll));
        let mood = Arc::new(AtomicU64::new(DOWN));
        let (up, says) = (Arc::clone(&mood), Arc::clone(&mood));
        let inner = service_fn(move |()| {
            count.fetch_add(1, SeqCst);
            let up = up.load(SeqCst) == UP;
            async move {
                if up {
                    Ok(())
                } else {
                    Err::<(), BoxError>("down".into())
                }
            }
        });
        let judge = move |outcome: Result<&(), &BoxError>| match outcome {
            Ok(()) => Verdict::Success,
            Err(_) if says.load(SeqCst) == FINAL => Verdict::Permanent,
            Err(_) => Verdict::Overloaded {
                retry_after: Some(Duration::from_nanos(told.load(SeqCst)))
                    .filter(|it| !it.is_zero()),
            },
        };
        let mut layer = BackoffRetryLayer::new()
            .attempts(u32::try_from(attempts).unwrap_or(u32::MAX))
            .backoff(backoff.clone())
            .max_hint(Duration::MAX)
            .hint_jitter(0)
            .no_budget()
            .random(move || drawn.load(SeqCst));
        if let Some(deadline) = deadline {
            layer = layer.deadline(deadline);
        }
        let layer = layer.opaque().classify(judge);
        Self {
            start: Instant::now(),
            service: BoxCloneService::new(layer.layer(inner)),
            call: None,
            tries,
            expected: 0,
            due: None,
            hint,
            roll,
            mood,
        }
    }

    /// The service says not to come back.
    pub fn stop(&self) {
        self.mood.store(FINAL, SeqCst);
    }

    /// The try that is due succeeds.
    pub fn success(&mut self) -> Result<(), Failure> {
        self.mood.store(UP, SeqCst);
        self.failure(None, Duration::ZERO, 0)
    }

    /// A try fails: the first of a call, or the one that is due. `wait` is until the next.
    pub fn failure(
        &mut self,
        wait: Option<Duration>,
        hint: Duration,
        roll: u64,
    ) -> Result<(), Failure> {
        self.hint.store(hint.as_nanos() as u64, SeqCst);
        self.roll.store(roll, SeqCst);
        let now = self.start.elapsed();
        match &self.call {
            // Nobody asks any more, so that nothing may be sent.
            None if self.expected > 0 => return self.see(),
            None => {
                self.expected = 1;
                self.call = Some(Box::pin(self.service.clone().oneshot(())));
                self.poll();
            }
            Some(_) if self.due == Some(now) => {
                self.expected += 1;
                self.poll();
            }
            Some(_) => return Err(format!("the next try is due at {:?}", self.due)),
        }
        self.due = wait
            .filter(|_| self.call.is_some())
            .map(|wait| now + wait.max(hint));
        self.see()
    }

    fn poll(&mut self) {
        if let Some(call) = &mut self.call
            && let Poll::Ready(_) = poll_once(call)
        {
            self.call = None;
        }
    }

    fn see(&self) -> Result<(), Failure> {
        match self.tries.load(SeqCst) {
            tries if tries == self.expected => Ok(()),
            tries => Err(format!("{tries} tries were sent, not {}", self.expected)),
        }
    }

    /// Whether another try is waited for.
    pub const fn goes_on(&self) -> bool {
        self.call.is_some()
    }

    /// Nothing is sent before it is due.
    pub async fn advance_to(&mut self, to: Duration) -> Result<(), Failure> {
        let just_before = self
            .due
            .map(|due| due.saturating_sub(Duration::from_millis(1)));
        for stop in [just_before, Some(to)]
            .into_iter()
            .flatten()
            .filter(|stop| *stop <= to)
        {
            let now = self.start.elapsed();
            if stop > now {
                advance(stop - now).await;
            }
            if self.due.is_none_or(|due| stop < due) {
                self.poll();
                self.see()?;
            }
        }
        Ok(())
    }

    /// The caller goes away.
    pub fn cancel(&mut self) {
        self.call = None;
    }
}
