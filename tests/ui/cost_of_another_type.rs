//! A request that isn't http, and nobody says what it costs.
//~ `Estimated` can't tell what a request of type `u64` costs
//~ give the layer `.cost(|request: &u64| Cost::tokens(..))`

use tower::{BoxError, Service, ServiceBuilder};
use tower_quota::TokenBudgetLayer;

fn serve(_: impl Service<u64>) {}

fn main() {
    let service = ServiceBuilder::new()
        .layer(TokenBudgetLayer::per_minute(30_000).opaque())
        .service_fn(|n: u64| async move { Ok::<_, BoxError>(n) });
    serve(service);
}
