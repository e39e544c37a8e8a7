//! Keys are told after pools, which would be forgotten for them.
//~ `Pooled<Estimated>` tells already whose quota pays
//~ say `.pools(..)` after the key

use tower_quota::{TokenBudgetLayer, key, token_budget::Pools};

fn main() {
    let layer = TokenBudgetLayer::per_minute(30_000)
        .pools(Pools::new())
        .keyed(key::api_key::<String>());
    let _ = layer;
}
