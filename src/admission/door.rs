//! What a request meets at a limiting layer.

use std::fmt;

use crate::{
    core::cost::Cost,
    error::Scope,
    quota::{Quota, Rank, Reserved},
};

/// How a layer limits. One byte: parts that are written one by one and then read together have to be waited for.
#[derive(Clone, Copy)]
pub(crate) struct Manners(u8);

impl Manners {
    pub(crate) const DEFAULT: Self = Self(0);

    const REJECTS: u8 = 1;
    const ON_ARRIVAL: u8 = 1 << 1;
    const TELLS: u8 = 1 << 2;
    const SHARED: u8 = 1 << 3;

    /// It refuses instead of waiting.
    pub(crate) const fn reject(self) -> Self {
        Self(self.0 | Self::REJECTS)
    }

    /// A request counts when it arrives here, once, whatever becomes of it further in.
    pub(crate) const fn on_arrival(self) -> Self {
        Self(self.0 | Self::ON_ARRIVAL)
    }

    /// Admitted answers tell what the caller has left.
    pub(crate) const fn tell(self) -> Self {
        Self(self.0 | Self::TELLS)
    }

    /// It limits those.
    #[inline]
    pub(crate) const fn of(self, scope: Scope) -> Self {
        match scope {
            Scope::Caller => self,
            Scope::Shared => Self(self.0 | Self::SHARED),
        }
    }

    #[inline]
    const fn has(self, what: u8) -> bool {
        self.0 & what != 0
    }

    #[inline]
    pub(crate) const fn rejects(self) -> bool {
        self.has(Self::REJECTS)
    }

    #[inline]
    pub(crate) const fn is_on_arrival(self) -> bool {
        self.has(Self::ON_ARRIVAL)
    }

    /// Whether admitted answers tell their caller what is left.
    #[inline]
    pub(crate) const fn tells_caller(self) -> bool {
        self.0 & (Self::TELLS | Self::SHARED) == Self::TELLS
    }

    /// Whose limit it is.
    #[inline]
    pub(crate) const fn scope(self) -> Scope {
        match self.has(Self::SHARED) {
            false => Scope::Caller,
            true => Scope::Shared,
        }
    }
}

impl fmt::Debug for Manners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manners")
            .field("reject", &self.rejects())
            .field("on_arrival", &self.is_on_arrival())
            .field("tell", &self.has(Self::TELLS))
            .finish_non_exhaustive()
    }
}

/// What a request meets at a limiting layer.
pub(crate) struct Door<'a> {
    pub(crate) quota: &'a Quota,
    pub(crate) cost: &'a Cost,
    pub(crate) rank: Rank,
    pub(crate) manners: Manners,
}

impl Door<'_> {
    /// Takes what the request needs, less what layers further out, on the same quota, have `charged` already.
    #[inline(always)]
    pub(super) fn reserve(&self, charged: Option<&Cost>) -> Reserved {
        let rest = charged.map(|charged| self.cost.clone().without(charged));
        let (cost, begun) = (rest.as_ref().unwrap_or(self.cost), rest.is_some());
        if self.manners.rejects() {
            self.quota.reserve_or_refuse(cost, begun, self.rank)
        } else {
            self.quota.reserve(cost, begun, self.rank)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_manner_is_there_by_itself() {
        let (none, told) = (Manners::DEFAULT, |manners: Manners| {
            let (rejects, arrival) = (manners.rejects(), manners.is_on_arrival());
            (rejects, arrival, manners.tells_caller(), manners.scope())
        });
        assert_eq!(told(none), (false, false, false, Scope::Caller));
        assert_eq!(told(none.reject()), (true, false, false, Scope::Caller));
        assert_eq!(told(none.on_arrival()), (false, true, false, Scope::Caller));
        assert_eq!(told(none.tell()), (false, false, true, Scope::Caller));
        // What others use as well isn't the caller's to know.
        let shared = none.reject().on_arrival().tell().of(Scope::Shared);
        assert_eq!(told(shared), (true, true, false, Scope::Shared));
        assert_eq!(told(none.of(Scope::Caller)), told(none));
    }
}
