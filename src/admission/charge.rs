//! What a request is charged, on which quota, and how urgent it is.

use std::{fmt, hash::Hash, sync::Arc};

use crate::{
    core::cost::Cost,
    error::Scope,
    quota::{KeyedQuotas, Priority, Quota, flow},
    tokens::Lesson,
};

/// Tells what a request costs, how urgent it is and whose quota pays. Made by the layers' settings.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't tell what a request of type `{Req}` costs",
    note = "the default estimates tokens from the JSON body of an `http::Request<B>` where `B: ReplayBody`: put `BufferBodyLayer::new()` outside of this layer",
    note = "for other requests give the layer `.cost(|request: &{Req}| Cost::tokens(..))`"
)]
pub trait Charge<Req> {
    /// What the request costs.
    fn cost(&self, request: &Req) -> Cost;

    /// What the request costs, and what its answer can teach about that.
    fn weigh(&self, request: &Req) -> (Cost, Option<Lesson>) {
        (self.cost(request), None)
    }

    /// How urgent it is.
    fn priority(&self, _request: &Req) -> Priority {
        Priority::default()
    }

    /// With whom it takes turns: inside a priority each number goes once before any goes again. 0 is everybody's who has none.
    fn turn(&self, _request: &Req) -> u64 {
        0
    }

    /// Whose quota pays, where that isn't the layer's own, and whose limit that is.
    fn quota(&self, _request: &Req) -> Option<(Quota, Scope)> {
        None
    }
}

/// Tells what a request costs, and nothing else: a layer's `cost` may take its place.
#[diagnostic::on_unimplemented(
    message = "`.cost(..)` would forget what `{Self}` tells besides what requests cost",
    note = "say `.cost(..)` before `.keyed(..)`, `.keyed_by(..)`, `.for_keys(..)`, `.pools(..)`, `.priority(..)`, `.in_turn(..)` and `.shared_by(..)`"
)]
pub trait CostAlone {}

impl CostAlone for OneRequest {}
impl<F> CostAlone for CostOf<F> {}

/// Doesn't tell whose quota pays: a key may.
#[diagnostic::on_unimplemented(
    message = "`{Self}` tells already whose quota pays; another key would have it forgotten",
    note = "make one key of the two: `.keyed(|request| (tenant(request), model(request)))`; for a limit by each, stack a layer for each",
    note = "say `.pools(..)` after the key: models without a pool take from their key's quota then"
)]
pub trait Unkeyed {}

impl Unkeyed for OneRequest {}
impl<F> Unkeyed for CostOf<F> {}
impl<C: Unkeyed, F> Unkeyed for Prioritised<C, F> {}
impl<C: Unkeyed, F> Unkeyed for InTurn<C, F> {}
impl<C: Unkeyed, F, K> Unkeyed for SharedBy<C, F, K> {}

/// Every request costs one request and no tokens.
#[derive(Clone, Copy, Debug, Default)]
pub struct OneRequest;

impl<Req> Charge<Req> for OneRequest {
    fn cost(&self, _request: &Req) -> Cost {
        Cost::request()
    }
}

/// What a request costs is the user's to say.
pub struct CostOf<F>(Arc<F>);

impl<F> CostOf<F> {
    pub(crate) fn new(cost: F) -> Self {
        Self(Arc::new(cost))
    }
}

impl<F> Clone for CostOf<F> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<F> fmt::Debug for CostOf<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CostOf(..)")
    }
}

impl<Req, F: Fn(&Req) -> Cost> Charge<Req> for CostOf<F> {
    fn cost(&self, request: &Req) -> Cost {
        (self.0)(request)
    }
}

/// What a charge around another leaves to that one.
macro_rules! as_charged {
    ($($what:ident),+) => {
        $(as_charged! { @ $what })+
    };
    (@ cost) => { as_charged! { @ cost -> Cost } };
    (@ weigh) => { as_charged! { @ weigh -> (Cost, Option<Lesson>) } };
    (@ priority) => { as_charged! { @ priority -> Priority } };
    (@ turn) => { as_charged! { @ turn -> u64 } };
    (@ quota) => { as_charged! { @ quota -> Option<(Quota, Scope)> } };
    (@ $what:ident -> $told:ty) => {
        fn $what(&self, request: &Req) -> $told {
            self.charge.$what(request)
        }
    };
}

/// Keys, and what tells them, aren't shown.
macro_rules! shows_its_charge {
    ($($name:ident<C $(, $other:ident)+>),+) => {$(
        impl<C: fmt::Debug $(, $other)+> fmt::Debug for $name<C $(, $other)+> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("charge", &self.charge)
                    .finish_non_exhaustive()
            }
        }
    )+};
}

shows_its_charge!(Prioritised<C, F>, InTurn<C, F>, Keyed<C, F, K>, SharedBy<C, F, K>);

/// `C`, with a priority that is the user's to say.
pub struct Prioritised<C, F> {
    charge: C,
    priority: Arc<F>,
}

impl<C, F> Prioritised<C, F> {
    pub(crate) fn new(charge: C, priority: F) -> Self {
        Self {
            charge,
            priority: Arc::new(priority),
        }
    }
}

impl<C: Clone, F> Clone for Prioritised<C, F> {
    fn clone(&self) -> Self {
        Self {
            charge: self.charge.clone(),
            priority: Arc::clone(&self.priority),
        }
    }
}

impl<Req, C: Charge<Req>, F: Fn(&Req) -> Priority> Charge<Req> for Prioritised<C, F> {
    as_charged!(cost, weigh, turn, quota);

    fn priority(&self, request: &Req) -> Priority {
        (self.priority)(request)
    }
}

/// `C`, whose requests take turns by a key.
pub struct InTurn<C, F> {
    charge: C,
    key: Arc<F>,
}

impl<C, F> InTurn<C, F> {
    pub(crate) fn new(charge: C, key: F) -> Self {
        Self {
            charge,
            key: Arc::new(key),
        }
    }
}

impl<C: Clone, F> Clone for InTurn<C, F> {
    fn clone(&self) -> Self {
        Self {
            charge: self.charge.clone(),
            key: Arc::clone(&self.key),
        }
    }
}

impl<Req, K: Hash, C: Charge<Req>, F: Fn(&Req) -> K> Charge<Req> for InTurn<C, F> {
    as_charged!(cost, weigh, priority, quota);

    fn turn(&self, request: &Req) -> u64 {
        flow(&(self.key)(request))
    }
}

/// `C`, with a quota for every key.
pub struct Keyed<C, F, K> {
    charge: C,
    key: Arc<F>,
    quotas: KeyedQuotas<K>,
}

impl<C, F, K> Keyed<C, F, K> {
    pub(crate) fn new(charge: C, key: F, quotas: KeyedQuotas<K>) -> Self {
        Self {
            charge,
            key: Arc::new(key),
            quotas,
        }
    }
}

impl<C: Clone, F, K> Clone for Keyed<C, F, K> {
    fn clone(&self) -> Self {
        Self {
            charge: self.charge.clone(),
            key: Arc::clone(&self.key),
            quotas: self.quotas.clone(),
        }
    }
}

impl<Req, C, F, K> Charge<Req> for Keyed<C, F, K>
where
    C: Charge<Req>,
    F: Fn(&Req) -> K,
    K: Hash,
{
    as_charged!(cost, weigh, priority, turn);

    fn quota(&self, request: &Req) -> Option<(Quota, Scope)> {
        Some((self.quotas.get(&(self.key)(request)), Scope::Caller))
    }
}

/// `C`, on a quota that keys share: they take turns, each by the priority of its tier.
pub struct SharedBy<C, F, K> {
    charge: C,
    key: Arc<F>,
    quotas: KeyedQuotas<K>,
}

impl<C, F, K> SharedBy<C, F, K> {
    pub(crate) fn new(charge: C, key: F, quotas: KeyedQuotas<K>) -> Self {
        Self {
            charge,
            key: Arc::new(key),
            quotas,
        }
    }
}

impl<C: Clone, F, K> Clone for SharedBy<C, F, K> {
    fn clone(&self) -> Self {
        Self {
            charge: self.charge.clone(),
            key: Arc::clone(&self.key),
            quotas: self.quotas.clone(),
        }
    }
}

impl<Req, C, F, K> Charge<Req> for SharedBy<C, F, K>
where
    C: Charge<Req>,
    F: Fn(&Req) -> K,
    K: Hash,
{
    as_charged!(cost, weigh, quota);

    fn priority(&self, request: &Req) -> Priority {
        self.quotas.priority(&(self.key)(request))
    }

    fn turn(&self, request: &Req) -> u64 {
        flow(&(self.key)(request))
    }
}
