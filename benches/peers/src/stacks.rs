//! What is compared: layers around one trivial service, ours and the peers'.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use tower::Service;
use tower_quota::{Cost, Limit, Quota, ReplayBody, TokenBudgetLayer};

/// More than any run takes.
pub const PLENTY: u64 = 1 << 50;

/// Answers at once.
#[derive(Clone, Debug)]
pub struct Client;

/// What it answers.
pub type Answer = Response<Empty<Bytes>>;

impl<B> Service<Request<B>> for Client {
    type Response = Answer;
    type Error = Infallible;
    type Future = Ready<Result<Answer, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        ready(Ok(Response::default()))
    }
}

/// Requests and tokens a minute, never reached.
pub fn quota() -> Quota {
    Quota::builder()
        .limit(Limit::requests_per_minute(PLENTY))
        .limit(Limit::tokens_per_minute(PLENTY))
        .build()
        .expect("limits that make sense")
}

/// A budget whose requests cost 120 tokens.
pub fn tokens<B>() -> TokenBudgetLayer<impl tower_quota::admission::Charge<Request<B>> + Clone> {
    tokens_of(quota())
}

/// The same of this quota.
pub fn tokens_of<B>(
    quota: Quota,
) -> TokenBudgetLayer<impl tower_quota::admission::Charge<Request<B>> + Clone> {
    TokenBudgetLayer::new(quota).cost(|_: &Request<B>| Cost::input_output(100, 20))
}

/// A request's body that can't be sent again.
#[derive(Debug)]
pub struct Once;

impl ReplayBody for Once {
    fn replay(&self) -> Option<Self> {
        None
    }
}
