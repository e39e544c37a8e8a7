use std::hash::Hash;

use tower_layer::Layer;

use super::{Estimated, Pooled, Pools, TokenBudget};
use crate::{
    admission::{CostAlone, CostOf, InTurn, Keyed, Limiter, Prioritised, SharedBy, Unkeyed},
    answers::{Http, Judged, Opaque},
    core::{cost::Cost, limit::Limit, settlement::Settle},
    inner::CloneInner,
    quota::{KeyedQuotas, Priority, Quota, Tier},
    tokens::Calibration,
    verdict::Provider,
};

/// Keeps a service within limits on requests and tokens. See [the module](crate::token_budget).
#[derive(Clone, Debug)]
#[must_use]
pub struct TokenBudgetLayer<C = Estimated, P = Http> {
    limiter: Limiter<C, P>,
    settle: Settle,
}

impl TokenBudgetLayer {
    /// Requests take from `quota`: one request each, and their tokens.
    pub fn new(quota: Quota) -> Self {
        Self {
            limiter: Limiter::new(quota, Estimated::default()),
            settle: Settle::Auto,
        }
    }

    /// Without a quota of its own: for [keys](Self::for_keys) or [pools](Self::pools) that have theirs.
    pub fn unlimited() -> Self {
        Self::new(Quota::unlimited())
    }

    /// Never more than `tokens` in any minute, input and output together.
    ///
    /// # Panics
    ///
    /// If `tokens` is 0.
    #[track_caller]
    pub fn per_minute(tokens: u64) -> Self {
        Self::of(Limit::tokens_per_minute(tokens))
    }

    #[track_caller]
    fn of(limit: Limit) -> Self {
        Self {
            limiter: Limiter::of(limit, Estimated::default()),
            settle: Settle::Auto,
        }
    }
}

impl<P> TokenBudgetLayer<Estimated, P> {
    /// Estimates by what `calibration` has learnt, and teaches it: to look at it, and to share it between layers. Without,
    /// the layer has one of its own.
    pub fn calibrate(self, calibration: Calibration) -> Self {
        self.estimated(|estimated| estimated.calibrate(Some(calibration)))
    }

    /// Learns nothing: estimates as [`tokens::estimate`](crate::tokens::estimate) does.
    pub fn uncalibrated(self) -> Self {
        self.estimated(|estimated| estimated.calibrate(None))
    }

    /// Counts the texts of requests for OpenAI's models exactly; see [`tokens::exact`](crate::tokens::exact). Other models are
    /// estimated.
    #[cfg(feature = "tiktoken")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tiktoken")))]
    pub fn exact(self) -> Self {
        self.estimated(Estimated::count_exactly)
    }

    /// What this layer's estimates have learnt.
    pub const fn calibration(&self) -> Option<&Calibration> {
        self.limiter.charged().calibration()
    }

    fn estimated(self, change: impl FnOnce(&mut Estimated)) -> Self {
        self.map(|limiter| {
            limiter.charge(|mut estimated| {
                change(&mut estimated);
                estimated
            })
        })
    }
}

impl<C, P> TokenBudgetLayer<C, P> {
    /// What a request costs, instead of the estimate from its JSON body. To be said before keys, pools, priorities and turns.
    pub fn cost<Req, F>(self, cost: F) -> TokenBudgetLayer<CostOf<F>, P>
    where
        C: CostAlone,
        F: Fn(&Req) -> Cost,
    {
        self.map(|limiter| limiter.charge(|_| CostOf::new(cost)))
    }

    /// What becomes of what a request reserved and didn't use.
    pub fn settle(mut self, settle: Settle) -> Self {
        self.settle = settle;
        self
    }

    /// A quota for every key, each with the settings of this layer's own and unspent at first;
    /// limits without a stated shape are buckets there. See [`KeyedQuotas`] for how many keys there may be, and
    /// [`key`](crate::key) for keys. A layer has one: for limits by two things make a tuple of them, or stack two layers.
    pub fn keyed<Req, K, F>(self, key: F) -> TokenBudgetLayer<Keyed<C, F, K>, P>
    where
        C: Unkeyed,
        F: Fn(&Req) -> K,
        K: Hash,
    {
        let quotas = KeyedQuotas::like(self.quota());
        self.map(|limiter| limiter.keyed(key, quotas))
    }

    /// A quota for every key, of which `tier` tells what it has: a [`Tier`], or a [`Quota`] that all share for which it is the
    /// answer. Begin with [`unlimited`](TokenBudgetLayer::unlimited). For a handle on them see [`for_keys`](Self::for_keys).
    ///
    /// # Panics
    ///
    /// If the layer has a quota of its own, which would be nobody's.
    #[track_caller]
    pub fn keyed_by<Req, K, F, T>(
        self,
        key: F,
        tier: impl Fn(&K) -> T + Send + Sync + 'static,
    ) -> TokenBudgetLayer<Keyed<C, F, K>, P>
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

    /// A quota for every model that has one in `pools`; the others share this layer's own. For `http::Request<B>` where
    /// `B: ReplayBody`, since the body names the model.
    ///
    /// With [`keyed`](Self::keyed) before it, models without a pool take from their key's quota; behind it no key can be told.
    pub fn pools(self, pools: Pools) -> TokenBudgetLayer<Pooled<C>, P> {
        self.map(|limiter| limiter.charge(|charge| Pooled::new(charge, pools)))
    }

    /// Each key's own of these quotas, which the caller keeps a handle on. Begin with [`unlimited`](TokenBudgetLayer::unlimited), and for
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
    ) -> TokenBudgetLayer<Keyed<C, F, K>, P>
    where
        C: Unkeyed,
        F: Fn(&Req) -> K,
        K: Hash,
    {
        self.limiter.assert_unlimited("for_keys");
        self.map(|limiter| limiter.keyed(key, quotas))
    }

    /// How urgent a request is.
    pub fn priority<Req, F>(self, priority: F) -> TokenBudgetLayer<Prioritised<C, F>, P>
    where
        F: Fn(&Req) -> Priority,
    {
        self.map(|limiter| limiter.priority(priority))
    }

    /// Requests take turns: inside a priority each `key` goes once before any goes again, so that those who wait by the
    /// thousand delay anybody else by one of theirs. For a quota that callers share, each with a
    /// [key](Self::keyed) of its own further out or none.
    pub fn in_turn<Req, K, F>(self, key: F) -> TokenBudgetLayer<InTurn<C, F>, P>
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
    ) -> TokenBudgetLayer<SharedBy<C, F, K>, P>
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

    /// Charges a request when it arrives here, once, whatever becomes of it further in: for servers. Without it a request
    /// is charged when it leaves, and again each time that a layer of ours further in lets it go again.
    ///
    /// The limits are the server's own then: what a provider further in says of its limits lowers and pauses nothing here,
    /// and [`Settle::Auto`] settles by what was used.
    pub fn on_arrival(self) -> Self {
        self.map(Limiter::on_arrival)
    }

    /// Leaves in the extensions of each answer what is left of the limits ([`Allowance`](crate::Allowance)), which
    /// [`RespondLayer`](crate::RespondLayer) makes header fields of: callers share it without a key, so that there is something to tell with a [key](Self::keyed) alone. Takes a few allocations for each answer, so that it
    /// is off by default; what is refused is told either way.
    pub fn tell(self) -> Self {
        self.map(Limiter::tell)
    }

    /// Judges answers by `judge`, see [`Classify`](crate::Classify): whether a request never reached the provider, so that its charge goes back.
    pub fn classify<F>(self, judge: F) -> TokenBudgetLayer<C, Judged<P, F>> {
        self.map(|limiter| limiter.classify(judge))
    }

    /// The quota that requests take from, where there is no key.
    pub const fn quota(&self) -> &Quota {
        self.limiter.quota()
    }

    fn map<D, Q>(
        self,
        change: impl FnOnce(Limiter<C, P>) -> Limiter<D, Q>,
    ) -> TokenBudgetLayer<D, Q> {
        TokenBudgetLayer {
            limiter: change(self.limiter),
            settle: self.settle,
        }
    }
}

impl<C> TokenBudgetLayer<C, Http> {
    /// For answers that aren't `http::Response<_>`: they pass as they are, and a request's place in
    /// flight is free once the answer is there. Before [`classify`](Self::classify), which judges those then.
    pub fn opaque(self) -> TokenBudgetLayer<C, Opaque> {
        self.map(Limiter::opaque)
    }

    /// Whose answers these are, where it is known beforehand; otherwise it is told from each answer. Say it on the
    /// innermost layer, which reads the answer for all.
    pub fn provider(self, provider: Provider) -> TokenBudgetLayer<C, Provider> {
        self.map(|limiter| limiter.of_provider(provider))
    }
}

impl<S: CloneInner, C: Clone, P: Clone> Layer<S> for TokenBudgetLayer<C, P> {
    type Service = TokenBudget<S, C, P>;

    fn layer(&self, inner: S) -> Self::Service {
        TokenBudget {
            inner,
            limiter: self.limiter.clone(),
            settle: self.settle,
        }
    }
}
