//! The answer on its way.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use pin_project_lite::pin_project;

use super::{
    RespondBody,
    layer::{Others, Rules},
};
use crate::error::BoxError;

pin_project! {
    /// The answer of [`Respond`](super::Respond).
    #[must_use = "futures do nothing unless polled"]
    pub struct RespondFuture<F, E> {
        #[pin]
        state: State<F>,
        rules: Rules<E>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        // The inner service has the request.
        Calling { #[pin] future: F },
        // The inner service can't be called.
        Failed { error: Option<BoxError> },
        // The answer was given; nothing of the call is held any more.
        Done,
    }
}

impl<F, E> RespondFuture<F, E> {
    pub(super) const fn new(future: F, rules: Rules<E>) -> Self {
        Self {
            state: State::Calling { future },
            rules,
        }
    }

    pub(super) const fn failed(error: BoxError, rules: Rules<E>) -> Self {
        Self {
            state: State::Failed { error: Some(error) },
            rules,
        }
    }
}

impl<F, B, G, E> Future for RespondFuture<F, E>
where
    F: Future<Output = Result<Response<B>, G>>,
    G: Into<BoxError>,
    E: Others,
{
    type Output = Result<Response<RespondBody<B>>, E::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let outcome = match this.state.as_mut().project() {
            StateProj::Calling { future } => ready!(future.poll(cx)).map_err(Into::into),
            StateProj::Failed { error } => Err(error.take().expect("polled after it was ready")),
            StateProj::Done => panic!("polled after it was ready"),
        };
        this.state.set(State::Done);
        Poll::Ready(match outcome {
            Ok(answer) => Ok(this.rules.pass(answer)),
            Err(error) => this.rules.answer(error),
        })
    }
}

impl<F, E> fmt::Debug for RespondFuture<F, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RespondFuture").finish_non_exhaustive()
    }
}
