//! Settings that many keys have.

use std::time::Duration;

use super::super::{QuotaBuilder, builder::planned, sync::Arc};
use crate::core::{
    keyed::Plan,
    limit::{Limit, Shape},
    meter::Mould,
};

impl QuotaBuilder {
    /// Limits without a stated shape become buckets. And nothing is in transit between those who count and what they count, unless
    /// it is said, or the provider is to say how much it counts.
    pub(in crate::quota) fn for_keys(mut self) -> Self {
        // What it is told by is that of the quota that it is made from.
        (self.keyed, self.alerts) = (true, None);
        for limit in &mut self.limits {
            limit.shape.get_or_insert(Shape::Bucket);
            if !self.adopt {
                limit.transit.get_or_insert(Duration::ZERO);
            }
        }
        let shared = self.shared.take();
        self.shared = shared.map(|shared| shared.for_limits(&self.limits));
        self
    }

    /// The same settings with another amount for the limit on the same resource and window.
    pub(in crate::quota) fn resized(mut self, limit: &Limit) -> Option<Self> {
        let same =
            |other: &&mut Limit| (other.resource, other.window) == (limit.resource, limit.window);
        self.limits.iter_mut().find(same)?.amount = limit.amount;
        Some(self)
    }

    /// Whether nothing but amounts of limits are others.
    pub(in crate::quota) fn is_resized(&self, other: &Self) -> bool {
        let limits = self.limits.iter().zip(&other.limits);
        self.limits.len() == other.limits.len()
            && limits.into_iter().all(|(one, other)| one.is_resized(other))
            && (self.max_in_flight, self.max_per_request)
                == (other.max_in_flight, other.max_per_request)
            && (self.headroom, self.max_wait) == (other.headroom, other.max_wait)
            && (self.max_queue, self.cool_down) == (other.max_queue, other.cool_down)
            && self.kept == other.kept
            && match (&self.shared, &other.shared) {
                (Some(one), Some(other)) => one.is(other),
                (None, None) => true,
                _ => false,
            }
    }

    /// Whether what the provider says of its limits is about these: not where they are those of a key, unless it adopts them.
    pub(in crate::quota) const fn listens(&self) -> bool {
        !self.keyed || self.adopt
    }

    /// What the accounts of many keys with these settings have in common, where a few words a limit are enough for them.
    pub(in crate::quota) fn plan(&self) -> Option<Plan> {
        let plain = !self.adopt
            && self.shared.is_none()
            && self.max_in_flight == usize::MAX
            && self.kept.is_empty();
        let mould = |limit: &Limit| Mould::new(limit, planned(limit.amount, self.headroom));
        let moulds = self.limits.iter().map(mould).collect::<Option<_>>();
        Plan::new(moulds.filter(|_| plain)?, self.max_per_request)
    }
}

impl Limit {
    /// Whether nothing but the amount is another.
    fn is_resized(&self, other: &Self) -> bool {
        self.moves_like(other, Arc::ptr_eq)
            && (self.resource, self.window) == (other.resource, other.window)
            && (self.burst, self.transit) == (other.burst, other.transit)
    }
}
