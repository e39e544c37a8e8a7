use http::{Request, header::CONTENT_LENGTH};

use crate::{admission::Charge, body::ReplayBody, core::cost::Cost, tokens};

/// A request costs one request, and the tokens estimated from its JSON body.
///
/// See [`tokens`] for what is counted. A body that can't be read ahead is estimated by its
/// `content-length`: a token for four bytes, and [`tokens::OUTPUT`] more.
#[derive(Clone, Copy, Debug, Default)]
pub struct Estimated;

impl<B: ReplayBody> Charge<Request<B>> for Estimated {
    fn cost(&self, request: &Request<B>) -> Cost {
        tokens::estimate_request(request).unwrap_or_else(|| {
            let length = request.headers().get(CONTENT_LENGTH);
            let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
            Cost::input_output(length.unwrap_or(0).div_ceil(4), tokens::OUTPUT)
        })
    }
}
