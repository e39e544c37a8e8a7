//! A fallback of which there is only one.
//~ a layer that waits or tries again needs an inner service that is `Clone`
//~ `tower::util::BoxCloneService`

use http::{Request, Response};
use tower::{BoxError, util::BoxService};
use tower_quota::FallbackLayer;

async fn send(second: BoxService<Request<()>, Response<String>, BoxError>) {
    let _ = FallbackLayer::to(second);
}

fn main() {
    let _ = send;
}
