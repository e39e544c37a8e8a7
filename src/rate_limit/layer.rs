use std::hash::Hash;

use tower_layer::Layer;

use super::RateLimit;
use crate::{
    admission::{InTurn, Keyed, Limiter, OneRequest, Prioritised, SharedBy, Unkeyed},
    answers::{Http, Judged, Opaque},
    core::limit::Limit,
    inner::CloneInner,
    quota::{KeyedQuotas, Priority, Quota, Tier},
    verdict::Provider,
};

/// Keeps a service within limits on requests. See [the module](crate::rate_limit).
#[derive(Clone, Debug)]
#[must_use]
pub struct RateLimitLayer<C = OneRequest, P = Http> {
    limiter: Limiter<C, P>,
}

impl RateLimitLayer {
    /// Requests take from `quota`, one request each. Of limits on anything else they take nothing: a quota of tokens alone
    /// limits nothing here, that is [`TokenBudgetLayer`](crate::TokenBudgetLayer)'s.
    pub const fn new(quota: Quota) -> Self {
        Self {
            limiter: Limiter::new(quota, OneRequest),
        }
    }

    /// Without a quota of its own: for [keys](Self::for_keys) that have theirs.
    pub fn unlimited() -> Self {
        Self::new(Quota::unlimited())
    }

    /// Never more than `requests` in any second.
    ///
    /// # Panics
    ///
    /// If `requests` is 0.
    #[track_caller]
    pub fn per_second(requests: u64) -> Self {
        Self::of(Limit::requests_per_second(requests))
    }

    /// Never more than `requests` in any minute.
    ///
    /// # Panics
    ///
    /// If `requests` is 0.
    #[track_caller]
    pub fn per_minute(requests: u64) -> Self {
        Self::of(Limit::requests_per_minute(requests))
    }

    #[track_caller]
    fn of(limit: Limit) -> Self {
        Self {
            limiter: Limiter::of(limit, OneRequest),
        }
    }
}

impl<C, P> RateLimitLayer<C, P> {
    /// A quota for every key, each with the settings of this layer's own and unspent at first;
    /// limits without a stated shape are buckets there. See [`KeyedQuotas`] for how many keys there may be, and
    /// [`key`](crate::key) for keys. A layer has one: for limits by two things make a tuple of them, or stack two layers.
    pub fn keyed<Req, K, F>(self, key: F) -> RateLimitLayer<Keyed<C, F, K>, P>
    where
        C: Unkeyed,
        F: Fn(&Req) -> K,
        K: Hash,
    {
        let quotas = KeyedQuotas::like(self.quota());
        self.map(|limiter| limiter.keyed(key, quotas))
    }

    /// A quota for every key, of which `tier` tells what it has: a [`Tier`], or a [`Quota`] that all share for which it is the
    /// answer. Begin with [`unlimited`](RateLimitLayer::unlimited). For a handle on them see [`for_keys`](Self::for_keys).
    ///
    /// # Panics
    ///
    /// If the layer has a quota of its own, which would be nobody's.
    #[track_caller]
    pub fn keyed_by<Req, K, F, T>(
        self,
        key: F,
        tier: impl Fn(&K) -> T + Send + Sync + 'static,
    ) -> RateLimitLayer<Keyed<C, F, K>, P>
    where
        C: Unkeyed,
        F: Fn(&Req) -> K,
        K: Hash,
        T: Into<Tier>,
    {
        self.limiter.assert_unlimited("keyed_by");
        let quotas = KeyedQuotas::new(tier);
        self.map(|limiter| limiter.keyed(key, quotas))
    }

    /// Each key's own of these quotas, which the caller keeps a handle on. Begin with [`unlimited`](RateLimitLayer::unlimited), and for
    /// a limit of all keys together stack another layer.
    ///
    /// # Panics
    ///
    /// If the layer has a quota of its own, which would be nobody's.
    #[track_caller]
    pub fn for_keys<Req, K, F>(
        self,
        key: F,
        quotas: KeyedQuotas<K>,
    ) -> RateLimitLayer<Keyed<C, F, K>, P>
    where
        C: Unkeyed,
        F: Fn(&Req) -> K,
        K: Hash,
    {
        self.limiter.assert_unlimited("for_keys");
        self.map(|limiter| limiter.keyed(key, quotas))
    }

    /// How urgent a request is.
    pub fn priority<Req, F>(self, priority: F) -> RateLimitLayer<Prioritised<C, F>, P>
    where
        F: Fn(&Req) -> Priority,
    {
        self.map(|limiter| limiter.priority(priority))
    }

    /// Requests take turns: inside a priority each `key` goes once before any goes again, so that those who wait by the
    /// thousand delay anybody else by one of theirs. For a quota that callers share, each with a
    /// [key](Self::keyed) of its own further out or none.
    pub fn in_turn<Req, K, F>(self, key: F) -> RateLimitLayer<InTurn<C, F>, P>
    where
        F: Fn(&Req) -> K,
        K: Hash,
    {
        self.map(|limiter| limiter.in_turn(key))
    }

    /// The layer's quota is shared by callers that have [quotas](Self::for_keys) of their own further out: they take
    /// [turns](Self::in_turn), each by the priority of its [`Tier`].
    pub fn shared_by<Req, K, F>(
        self,
        key: F,
        quotas: KeyedQuotas<K>,
    ) -> RateLimitLayer<SharedBy<C, F, K>, P>
    where
        F: Fn(&Req) -> K,
        K: Hash,
    {
        self.map(|limiter| limiter.shared_by(key, quotas))
    }

    /// Refuses what would have to wait.
    pub fn reject(self) -> Self {
        self.map(Limiter::reject)
    }

    /// Counts a request when it arrives here, once, whatever becomes of it further in: for servers. Without it a request
    /// counts when it leaves, and again each time that a layer of ours further in lets it go again.
    pub fn on_arrival(self) -> Self {
        self.map(Limiter::on_arrival)
    }

    /// Leaves in the extensions of each answer what is left of the limits ([`Allowance`](crate::Allowance)), which
    /// [`RespondLayer`](crate::RespondLayer) makes header fields of: with a [key](Self::keyed) those of the caller, without one those that all callers share. Takes a few allocations for each answer, so that it
    /// is off by default; what is refused is told either way.
    pub fn tell(self) -> Self {
        self.map(Limiter::tell)
    }

    /// Judges answers by `judge`, see [`Classify`](crate::Classify): whether a request never reached the provider, so that its charge goes back.
    pub fn classify<F>(self, judge: F) -> RateLimitLayer<C, Judged<P, F>> {
        self.map(|limiter| limiter.classify(judge))
    }

    /// The quota that requests take from, where there is no key.
    pub const fn quota(&self) -> &Quota {
        self.limiter.quota()
    }

    fn map<D, Q>(
        self,
        change: impl FnOnce(Limiter<C, P>) -> Limiter<D, Q>,
    ) -> RateLimitLayer<D, Q> {
        RateLimitLayer {
            limiter: change(self.limiter),
        }
    }
}

impl<C> RateLimitLayer<C, Http> {
    /// For answers that aren't `http::Response<_>`: they pass as they are, and a request's place in
    /// flight is free once the answer is there. Before [`classify`](Self::classify), which judges those then.
    pub fn opaque(self) -> RateLimitLayer<C, Opaque> {
        self.map(Limiter::opaque)
    }

    /// Whose answers these are, where it is known beforehand; otherwise it is told from each answer. Say it on the
    /// innermost layer, which reads the answer for all.
    pub fn provider(self, provider: Provider) -> RateLimitLayer<C, Provider> {
        self.map(|limiter| limiter.of_provider(provider))
    }
}

impl<S: CloneInner, C: Clone, P: Clone> Layer<S> for RateLimitLayer<C, P> {
    type Service = RateLimit<S, C, P>;

    fn layer(&self, inner: S) -> Self::Service {
        RateLimit {
            inner,
            limiter: self.limiter.clone(),
        }
    }
}
