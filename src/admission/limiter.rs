//! The settings that both limiting layers have.

use tower_service::Service;

use super::{
    Charge, InTurn, Keyed, Prioritised, SharedBy,
    aftermath::Aftermath,
    door::{Door, Manners},
    future::Admission,
};
use crate::{
    answers::{Answers, Http, Judged, Opaque},
    core::limit::Limit,
    error::Scope,
    quota::{KeyedQuotas, Quota, Rank},
    tokens::Lesson,
    verdict::Provider,
};

/// Whose quota pays, how requests are charged, and how answers are read.
#[derive(Clone, Debug)]
pub(crate) struct Limiter<C, P> {
    quota: Quota,
    charge: C,
    answers: P,
    manners: Manners,
}

impl<C> Limiter<C, Http> {
    pub(crate) const fn new(quota: Quota, charge: C) -> Self {
        Self {
            quota,
            charge,
            answers: Http,
            manners: Manners::DEFAULT,
        }
    }

    /// With a quota of this limit alone. Panics where the limit makes no sense.
    #[track_caller]
    pub(crate) fn of(limit: Limit, charge: C) -> Self {
        match Quota::new(limit) {
            Ok(quota) => Self::new(quota, charge),
            Err(error) => panic!("{error}"),
        }
    }
}

impl<C, P> Limiter<C, P> {
    pub(crate) const fn quota(&self) -> &Quota {
        &self.quota
    }

    pub(crate) const fn charged(&self) -> &C {
        &self.charge
    }

    /// Refuses a quota of the layer's own, where `setting` gives each key another: it would hold nobody.
    #[track_caller]
    pub(crate) fn assert_unlimited(&self, setting: &str) {
        if let Some(limit) = self.quota.limit() {
            panic!(
                "{setting}: {limit} of the layer's own would hold nobody: begin with `unlimited()`, and for a limit of all keys together stack another layer"
            );
        }
    }

    /// A quota for every key.
    pub(crate) fn keyed<K, F>(self, key: F, quotas: KeyedQuotas<K>) -> Limiter<Keyed<C, F, K>, P> {
        self.charge(|charge| Keyed::new(charge, key, quotas))
    }

    /// The layer's own is shared by those of keys.
    pub(crate) fn shared_by<K, F>(
        self,
        key: F,
        quotas: KeyedQuotas<K>,
    ) -> Limiter<SharedBy<C, F, K>, P> {
        self.charge(|charge| SharedBy::new(charge, key, quotas))
    }

    pub(crate) fn priority<F>(self, priority: F) -> Limiter<Prioritised<C, F>, P> {
        self.charge(|charge| Prioritised::new(charge, priority))
    }

    pub(crate) fn in_turn<F>(self, key: F) -> Limiter<InTurn<C, F>, P> {
        self.charge(|charge| InTurn::new(charge, key))
    }

    pub(crate) fn charge<D>(self, charge: impl FnOnce(C) -> D) -> Limiter<D, P> {
        Limiter {
            quota: self.quota,
            charge: charge(self.charge),
            answers: self.answers,
            manners: self.manners,
        }
    }

    pub(crate) fn reject(mut self) -> Self {
        self.manners = self.manners.reject();
        self
    }

    pub(crate) fn on_arrival(mut self) -> Self {
        self.manners = self.manners.on_arrival();
        self
    }

    pub(crate) fn tell(mut self) -> Self {
        self.manners = self.manners.tell();
        self
    }

    pub(crate) const fn is_on_arrival(&self) -> bool {
        self.manners.is_on_arrival()
    }

    pub(crate) fn opaque(self) -> Limiter<C, Opaque> {
        self.answers(|_| Opaque)
    }

    pub(crate) fn classify<F>(self, judge: F) -> Limiter<C, Judged<P, F>> {
        self.answers(|answers| Judged::new(answers, judge))
    }

    pub(crate) fn of_provider(self, provider: Provider) -> Limiter<C, Provider> {
        self.answers(|_| provider)
    }

    fn answers<Q>(self, answers: impl FnOnce(P) -> Q) -> Limiter<C, Q> {
        Limiter {
            quota: self.quota,
            charge: self.charge,
            answers: answers(self.answers),
            manners: self.manners,
        }
    }

    /// Whose answers these are, where that is known beforehand.
    pub(crate) fn provider<R>(&self) -> Option<Provider>
    where
        P: Answers<R>,
    {
        self.answers.provider()
    }

    /// Decides on a request; `inner` was readied. Without a key the limit is `shared`'s. `aftermath` is made of what the
    /// answer can teach, with its notes.
    pub(crate) fn admit<S, Req, A>(
        &self,
        inner: &mut S,
        request: Req,
        shared: Scope,
        aftermath: impl FnOnce(Option<Lesson>) -> (A, A::Notes),
    ) -> Admission<S, Req, P, A>
    where
        S: Service<Req> + Clone,
        C: Charge<Req>,
        P: Answers<S::Response> + Clone,
        A: Aftermath,
    {
        let own = self.charge.quota(&request);
        // In one look: what may have to be dropped is written, and read again, at each.
        let (quota, scope) = match &own {
            None => (&self.quota, shared),
            Some((quota, scope)) => (quota, *scope),
        };
        let (mut cost, lesson) = self.charge.weigh(&request);
        let (aftermath, notes) = aftermath(lesson);
        aftermath.reserves(&mut cost, quota);
        let door = Door {
            quota,
            cost: &cost,
            rank: Rank::new(self.charge.priority(&request), self.charge.turn(&request)),
            manners: self.manners.of(scope),
        };
        Admission::new(inner, request, &door, &self.answers, (aftermath, notes))
    }
}
