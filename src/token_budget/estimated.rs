use http::Request;

use crate::{admission::Charge, body::ReplayBody, core::cost::Cost, tokens};

/// A request costs one request, and the tokens estimated from its JSON body.
///
/// See [`tokens`](crate::tokens) for what is counted. A body that isn't at hand
/// ([`ReplayBody::peek`]) or isn't JSON is estimated by its length.
#[derive(Clone, Copy, Debug, Default)]
pub struct Estimated;

impl<B: ReplayBody> Charge<Request<B>> for Estimated {
    fn cost(&self, request: &Request<B>) -> Cost {
        tokens::estimate_cost(request.body().peek().unwrap_or_default())
    }
}
