use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_service::Service;

use crate::departure;

pin_project! {
    /// The future of [`Split`](super::Split).
    #[must_use = "futures do nothing unless polled"]
    pub struct SplitFuture<S, Req>
    where
        S: Service<Req>,
    {
        #[pin]
        state: State<S, S::Future, Req>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F, Req> {
        // Readying the service whose turn it is.
        Readying { service: S, request: Option<Req> },
        // It has the request.
        Calling { #[pin] future: F },
        // The outcome was given; nothing of the call is held any more.
        Done,
    }
}

impl<S: Service<Req>, Req> SplitFuture<S, Req> {
    pub(super) const fn new(service: S, request: Req) -> Self {
        Self {
            state: State::Readying {
                service,
                request: Some(request),
            },
        }
    }
}

impl<S: Service<Req>, Req> Future for SplitFuture<S, Req> {
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Readying { service, request } => match service.poll_ready(cx) {
                    Poll::Pending => {
                        departure::hold();
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok(())) => {
                        departure::hand_on();
                        let request = request.take().expect("polled after ready");
                        let future = service.call(request);
                        this.state.set(State::Calling { future });
                    }
                    Poll::Ready(Err(error)) => {
                        departure::hold();
                        this.state.set(State::Done);
                        return Poll::Ready(Err(error));
                    }
                },
                StateProj::Calling { future } => {
                    let outcome = ready!(future.poll(cx));
                    this.state.set(State::Done);
                    return Poll::Ready(outcome);
                }
                StateProj::Done => panic!("polled after ready"),
            }
        }
    }
}

impl<S: Service<Req>, Req> fmt::Debug for SplitFuture<S, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Readying { .. } => "SplitFuture(readying)",
            State::Calling { .. } => "SplitFuture(calling)",
            State::Done => "SplitFuture(done)",
        })
    }
}
