//! What a request meets at a limiting layer.

use crate::{
    core::cost::Cost,
    error::Scope,
    quota::{Quota, Rank, Reserved},
};

/// How a layer limits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manners {
    /// Refuse instead of waiting.
    pub(crate) reject: bool,
    /// A request counts when it arrives here, once, whatever becomes of it further in.
    pub(crate) on_arrival: bool,
    /// Whose limit it is.
    pub(crate) scope: Scope,
    /// Admitted answers tell what the caller has left.
    pub(crate) tell: bool,
}

/// What a request meets at a limiting layer.
pub(crate) struct Door<'a> {
    pub(crate) quota: &'a Quota,
    pub(crate) cost: Cost,
    pub(crate) rank: Rank,
    pub(crate) manners: Manners,
}

impl Door<'_> {
    /// Takes what the request needs, less what layers further out, on the same quota, have `charged` already.
    #[inline]
    pub(super) fn reserve(self, charged: Option<&Cost>) -> Reserved {
        let begun = charged.is_some();
        let cost = match charged {
            Some(charged) => self.cost.without(charged),
            None => self.cost,
        };
        if self.manners.reject {
            self.quota.reserve_or_refuse(&cost, begun, self.rank)
        } else {
            self.quota.reserve(&cost, begun, self.rank)
        }
    }
}
