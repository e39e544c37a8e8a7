//! Two things tell whose quota pays, of which one would be forgotten.
//~ `Keyed<OneRequest,
//~ ` tells already whose quota pays
//~ make one key of the two: `.keyed(|request| (tenant(request), model(request)))`

use tower_quota::{RateLimitLayer, key};

fn main() {
    let layer = RateLimitLayer::per_minute(60)
        .keyed(key::header::<String>("x-tenant"))
        .keyed(key::path::<String>());
    let _ = layer;
}
