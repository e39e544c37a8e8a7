//! A body that can't be read ahead or sent again.
//~ the request body `Limited<http_body_util::Full<bytes::Bytes>>` can't be sent again or read ahead
//~ put `BufferBodyLayer::new()` outside of this layer

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{Full, Limited};
use tower::{BoxError, Service, ServiceBuilder};
use tower_quota::TokenBudgetLayer;

fn serve(_: impl Service<Request<Limited<Full<Bytes>>>>) {}

fn main() {
    let service = ServiceBuilder::new()
        .layer(TokenBudgetLayer::per_minute(30_000))
        .service_fn(|_: Request<_>| async { Ok::<_, BoxError>(Response::new(Full::<Bytes>::default())) });
    serve(service);
}
