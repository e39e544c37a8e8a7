use tower_layer::Layer;

use super::Headroom;
use crate::quota::Quota;

/// Tells a balancer how full an endpoint's quota is. See the [module](super).
#[derive(Clone, Debug)]
#[must_use]
pub struct HeadroomLayer {
    quota: Quota,
}

impl HeadroomLayer {
    /// By this quota: the one that the endpoint's limiters hold.
    pub const fn new(quota: Quota) -> Self {
        Self { quota }
    }
}

impl<S> Layer<S> for HeadroomLayer {
    type Service = Headroom<S>;

    fn layer(&self, inner: S) -> Headroom<S> {
        Headroom::new(inner, self.quota.clone())
    }
}
