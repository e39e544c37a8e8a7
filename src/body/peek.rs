//! Reading the head of an error's body.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::Response;
use pin_project_lite::pin_project;

use super::MeteredBody;

pin_project! {
    /// Resolves to the response once its verdict is known: at once for a success, after a bounded
    /// look at the body for an error.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Peek<B> {
        response: Option<Response<B>>,
    }
}

impl<B> Peek<B> {
    pub(crate) const fn new(response: Response<B>) -> Self {
        Self {
            response: Some(response),
        }
    }
}

impl<B> Future for Peek<B> {
    type Output = Response<MeteredBody<B>>;

    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = self.project().response.take().expect("polled after ready");
        Poll::Ready(response.map(MeteredBody::new))
    }
}
