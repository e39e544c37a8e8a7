use std::{fmt, sync::Arc};

use tower_layer::Layer;

use super::{
    Fallback,
    merge::ServedBy,
    second::{Rewritten, To},
};
use crate::{
    answers::{Http, Judged, Opaque},
    inner::CloneInner,
    verdict::{Provider, Verdict},
};

/// Tries another service, or the same with another request, where the first couldn't serve. See
/// the [module](super).
///
/// | setting | default |
/// |---|---|
/// | [`on`](Self::on) | rate limited, overloaded, transient, quota exhausted, too large, refused |
/// | [`name`](Self::name) | `"fallback"` |
/// | [`provider`](Self::provider) | told from each answer |
#[must_use]
pub struct FallbackLayer<L, P = Http> {
    link: L,
    plan: Plan,
    answers: P,
}

/// When to fall back, and under which name.
#[derive(Clone)]
pub(super) struct Plan {
    on: Option<Arc<FallsBack>>,
    pub(super) served_by: ServedBy,
}

type FallsBack = dyn Fn(&Verdict) -> bool + Send + Sync;

impl Plan {
    pub(super) fn falls_back(&self, verdict: &Verdict) -> bool {
        match &self.on {
            Some(on) => on(verdict),
            None => !matches!(verdict, Verdict::Success | Verdict::Permanent),
        }
    }
}

impl<T: CloneInner> FallbackLayer<To<T>> {
    /// To another service. Its request type must be the same; with http, its response body need
    /// not be, nor its error.
    pub fn to(service: T) -> Self {
        Self::new(To(service))
    }
}

impl<F> FallbackLayer<Rewritten<(), F>> {
    /// To the same service with another request: `rewrite` makes it, or says by `None` that there
    /// is none.
    pub fn rewrite<Req, O>(rewrite: F) -> Self
    where
        F: Fn(Req) -> O,
        O: Into<Option<Req>>,
    {
        Self::new(Rewritten {
            service: (),
            rewrite: Arc::new(rewrite),
        })
    }
}

impl<L> FallbackLayer<L> {
    fn new(link: L) -> Self {
        Self {
            link,
            plan: Plan {
                on: None,
                served_by: ServedBy::new("fallback"),
            },
            answers: Http,
        }
    }
}

impl<L, P> FallbackLayer<L, P> {
    /// Falls back where this is true, and nowhere else.
    pub fn on(mut self, falls_back: impl Fn(&Verdict) -> bool + Send + Sync + 'static) -> Self {
        self.plan.on = Some(Arc::new(falls_back));
        self
    }

    /// What [`ServedBy`] says of an answer from here.
    pub fn name(mut self, name: &str) -> Self {
        self.plan.served_by = ServedBy::new(name);
        self
    }

    /// For requests and answers of any type; the requests must be `Clone`, and both services
    /// answer with the same type.
    pub fn opaque(self) -> FallbackLayer<L, Opaque> {
        self.with(|_| Opaque)
    }

    /// Judges the first service's answers by `judge` instead.
    pub fn classify<F>(self, judge: F) -> FallbackLayer<L, Judged<P, F>> {
        self.with(|answers| Judged::new(answers, judge))
    }

    fn with<Q>(self, answers: impl FnOnce(P) -> Q) -> FallbackLayer<L, Q> {
        FallbackLayer {
            link: self.link,
            plan: self.plan,
            answers: answers(self.answers),
        }
    }
}

impl<L> FallbackLayer<L, Http> {
    /// Whose answers these are, where it is known beforehand; otherwise it is told from each answer. Say it on the
    /// innermost layer, which reads the answer for all.
    pub fn provider(self, provider: Provider) -> FallbackLayer<L, Provider> {
        self.with(|_| provider)
    }
}

impl<S: CloneInner, T: Clone, P: Clone> Layer<S> for FallbackLayer<To<T>, P> {
    type Service = Fallback<S, To<T>, P>;

    fn layer(&self, inner: S) -> Self::Service {
        Fallback::new(
            inner,
            self.link.clone(),
            self.plan.clone(),
            self.answers.clone(),
        )
    }
}

impl<S: CloneInner, F, P: Clone> Layer<S> for FallbackLayer<Rewritten<(), F>, P> {
    type Service = Fallback<S, Rewritten<S, F>, P>;

    fn layer(&self, inner: S) -> Self::Service {
        let second = Rewritten {
            service: inner.clone(),
            rewrite: Arc::clone(&self.link.rewrite),
        };
        Fallback::new(inner, second, self.plan.clone(), self.answers.clone())
    }
}

impl<L: Clone, P: Clone> Clone for FallbackLayer<L, P> {
    fn clone(&self) -> Self {
        Self {
            link: self.link.clone(),
            plan: self.plan.clone(),
            answers: self.answers.clone(),
        }
    }
}

impl<L: fmt::Debug, P: fmt::Debug> fmt::Debug for FallbackLayer<L, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackLayer")
            .field("link", &self.link)
            .field("name", &self.plan.served_by.name())
            .field("answers", &self.answers)
            .finish_non_exhaustive()
    }
}
