//! Three small services of the job's own between the layers.

use std::{
    mem,
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use tokio::time::{Instant, sleep};
use tower::{Layer, Service, ServiceExt};
use tower_quota::{
    BoxError, BufferedBody, Reason, Rejected,
    answers::{CopyRequest, Http},
};

use crate::{input, run::Watched, send, stats::Wire};

type Answering<R> = Pin<Box<dyn Future<Output = Result<R, BoxError>> + Send>>;

/// Reads the answer as a whole, so that one whose body breaks off is tried again like any other.
#[derive(Clone, Debug)]
pub(crate) struct Whole<S>(S);

impl<S> Whole<S> {
    pub(crate) const fn new(inner: S) -> Self {
        Self(inner)
    }
}

impl<S, Req, B> Service<Req> for Whole<S>
where
    S: Service<Req, Response = Response<B>, Error: Into<BoxError>, Future: Send + 'static>,
    B: http_body::Body<Data: Send, Error: Into<BoxError>> + Send,
{
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = Answering<Self::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let answer = self.0.call(request);
        Box::pin(async move {
            let (head, body) = answer.await.map_err(Into::into)?.into_parts();
            let body = Limited::new(body, input::LONGEST).collect().await?;
            Ok(Response::from_parts(head, Full::new(body.to_bytes())))
        })
    }
}

/// Tells the request's [`Wire`] when it leaves and what comes back.
#[derive(Clone, Debug)]
pub(crate) struct Wired<S>(S);

impl<S> Wired<S> {
    pub(crate) const fn new(inner: S) -> Self {
        Self(inner)
    }
}

impl<S, B> Service<Request<B>> for Wired<S>
where
    S: Service<Request<B>, Response = Response<Full<Bytes>>, Error: Into<BoxError>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Answering<Self::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let wire = request.extensions().get::<Arc<Wire>>();
        let departure = wire.map(Wire::departs);
        let answer = self.0.call(request);
        Box::pin(async move {
            let answer = answer.await.map_err(Into::into);
            match (&answer, departure) {
                (Ok(answer), Some(departure)) if answer.status().is_success() => {
                    departure.answered();
                }
                (Ok(answer), Some(departure)) => {
                    let body = answer.body().clone().collect().await?.to_bytes();
                    departure.failed(send::trouble(answer.status(), &body));
                }
                (Err(error), Some(departure)) => departure.broke(error),
                (_, None) => {}
            }
            answer
        })
    }
}

/// Waits while the circuit is open: a line of a batch has time, and what was never sent is no failure.
#[derive(Clone, Debug)]
pub(crate) struct Patience<S> {
    inner: S,
    watched: Watched,
}

impl Patience<()> {
    pub(crate) const fn new(watched: Watched) -> Self {
        Self { inner: (), watched }
    }
}

impl<S> Layer<S> for Patience<()> {
    type Service = Patience<S>;

    fn layer(&self, inner: S) -> Patience<S> {
        Patience {
            inner,
            watched: self.watched.clone(),
        }
    }
}

// How long a circuit may stay open before the run ends: a provider that never answered is a wrong address rather than an
// outage.
const PATIENCE: Duration = Duration::from_secs(600);
const FIRST_PATIENCE: Duration = Duration::from_secs(60);

impl<S> Service<Request<BufferedBody>> for Patience<S>
where
    S: Service<Request<BufferedBody>, Error = BoxError> + Clone + Send + 'static,
    S::Response: Send,
    S::Future: Send,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Answering<Self::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<BufferedBody>) -> Self::Future {
        let clone = self.inner.clone();
        let mut service = mem::replace(&mut self.inner, clone);
        let watched = self.watched.clone();
        let copy = Http.copy(&request);
        let answer = service.call(request);
        Box::pin(async move {
            let mut outcome = answer.await;
            let begin = Instant::now();
            while let (Err(error), Some(copy)) = (&outcome, &copy)
                && let Some(rejected) = Rejected::find(error.as_ref())
                && rejected.reason == Reason::CircuitOpen
            {
                let answered = watched.stats.succeeded.load(Relaxed) > 0;
                let patience = if answered { PATIENCE } else { FIRST_PATIENCE };
                let wait = rejected.retry_after.unwrap_or(Duration::from_secs(1));
                if begin.elapsed() + wait > patience {
                    break;
                }
                watched.progress.waits(patience);
                sleep(wait.max(Duration::from_millis(10))).await;
                let request = Http.copy(copy).expect("a copy can be copied");
                outcome = service.ready().await?.call(request).await;
            }
            outcome
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use tower::service_fn;
    use tower_quota::RejectedError;

    use super::*;
    use crate::{progress::Progress, stats::Stats};

    fn watched() -> Watched {
        Watched {
            stats: Arc::new(Stats::new(Duration::from_secs(60), None)),
            stop: Arc::default(),
            progress: Progress::new(true, 0),
        }
    }

    /// Answers from the `opens_after`th call on; until then the circuit is open for 5 s more.
    async fn asked(opens_after: u32, answered: u64) -> (bool, Duration) {
        let watched = watched();
        watched.stats.succeeded.store(answered, Relaxed);
        let calls = Arc::new(AtomicU32::new(0));
        let inner = service_fn(move |_: Request<BufferedBody>| {
            let is_open = calls.fetch_add(1, Relaxed) < opens_after;
            async move {
                if is_open {
                    let wait = Some(Duration::from_secs(5));
                    let rejected = Rejected::new(Reason::CircuitOpen).retry_after(wait);
                    return Err(RejectedError::from(rejected).into());
                }
                Ok::<_, BoxError>(())
            }
        });
        let begin = Instant::now();
        let request = Request::new(BufferedBody::from("{}"));
        let outcome = Patience::new(watched).layer(inner).oneshot(request).await;
        (outcome.is_ok(), begin.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_circuit_is_waited_for() {
        assert_eq!(asked(0, 0).await, (true, Duration::ZERO));
        assert_eq!(asked(7, 0).await, (true, Duration::from_secs(35)));
        assert_eq!(asked(100, 1).await, (true, Duration::from_secs(500)));
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends_sooner_where_nobody_ever_answered() {
        assert_eq!(asked(u32::MAX, 0).await, (false, FIRST_PATIENCE));
        assert_eq!(asked(u32::MAX, 1).await, (false, PATIENCE));
    }
}
