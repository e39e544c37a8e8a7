//! A judgement of answers that the service doesn't give.
//~ can't judge answers of type
//~ for answers that aren't `http::Response<_>`, call `.opaque()` on the layer
//~ names its argument's type: `|outcome: Result<&Response<_>, &BoxError>| ..`, or after `.opaque()`

use http::{Request, Response};
use tower::{BoxError, Service, ServiceBuilder};
use tower_quota::{CircuitBreakerLayer, Verdict};

fn serve(_: impl Service<Request<String>>) {}

fn main() {
    let judge = |outcome: Result<&u32, &BoxError>| match outcome {
        Ok(_) => Verdict::Success,
        Err(_) => Verdict::Transient { sent: true },
    };
    let service = ServiceBuilder::new()
        .layer(CircuitBreakerLayer::new().classify(judge))
        .service_fn(|_: Request<String>| async { Ok::<_, BoxError>(Response::new(String::new())) });
    serve(service);
}
