//! A service of which there is only one.
//~ a layer that waits or tries again needs an inner service that is `Clone`
//~ `tower::util::BoxCloneService`

use http::{Request, Response};
use tower::{BoxError, ServiceBuilder, ServiceExt, util::BoxService};
use tower_quota::RateLimitLayer;

async fn send(inner: BoxService<Request<()>, Response<String>, BoxError>) {
    let service = ServiceBuilder::new()
        .layer(RateLimitLayer::per_minute(500))
        .service(inner);
    let _ = service.oneshot(Request::default()).await;
}

fn main() {
    let _ = send;
}
