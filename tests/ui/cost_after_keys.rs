//! What a request costs is said after whose quota pays, which would be forgotten for it.
//~ `.cost(..)` would forget what `Keyed<Estimated,
//~ say `.cost(..)` before `.keyed(..)`

use http::Request;
use tower_quota::{Cost, TokenBudgetLayer, key};

fn main() {
    let layer = TokenBudgetLayer::per_minute(30_000)
        .keyed(key::api_key::<String>())
        .cost(|_: &Request<String>| Cost::tokens(100));
    let _ = layer;
}
