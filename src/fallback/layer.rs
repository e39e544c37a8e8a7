use std::{fmt, sync::Arc, time::Duration};

use tower_layer::Layer;

use super::{
    Fallback,
    computed::{Computed, ComputedAsync},
    memory::Spans,
    plan::{Link, Plan},
    second::{Links, Rewritten, To, Unserved},
};
use crate::{
    answers::{Http, Judged, Opaque},
    inner::CloneInner,
    spares::Spares,
    verdict::{Provider, Verdict},
};

/// Tries another service, or the same with another request, where the first couldn't serve, or computes the answer. See
/// the [module](super).
///
/// | setting | of | default |
/// |---|---|---|
/// | [`on`](Self::on) | the last link | rate limited, overloaded, transient, quota exhausted, too large, refused |
/// | [`name`](Self::name) | the last link | `"fallback"` |
/// | [`memory`](Self::memory) | all | at most 60 s |
/// | [`exhausted_for`](Self::exhausted_for) | all | 10 min |
/// | [`provider`](Self::provider) | all | told from each answer |
#[must_use]
pub struct FallbackLayer<L, P = Http> {
    link: L,
    plan: Arc<Plan>,
    answers: P,
}

impl<T: CloneInner> FallbackLayer<To<T>> {
    /// To another service. Its request type must be the same; with http, its response body need
    /// not be, nor its error.
    pub fn to(service: T) -> Self {
        Self::new(To(service), 1)
    }
}

impl<T: CloneInner> FallbackLayer<Links<T>> {
    /// To other services of one type, in this order, until one serves. Services of different types become one in tower's
    /// `BoxCloneSyncService`.
    ///
    /// # Panics
    ///
    /// Without any.
    #[track_caller]
    pub fn chain(services: impl IntoIterator<Item = T>) -> Self {
        let links = Links::new(services);
        let n = links.all.len();
        assert!(n > 0, "chain: 0 links lead nowhere");
        Self::new(links, n)
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
        let link = Rewritten {
            service: (),
            rewrites: Arc::new([Arc::new(rewrite)]),
        };
        Self::new(link, 1)
    }
}

impl<F> FallbackLayer<Computed<F>> {
    /// To an answer that is computed here, of what is known of the failure. It leaves for nowhere and never fails; with
    /// http, its body may be any.
    pub fn respond<Req, R>(answer: F) -> Self
    where
        F: Fn(Unserved<Req>) -> R,
    {
        Self::new(Computed(Arc::new(answer)), 1)
    }
}

impl<F> FallbackLayer<ComputedAsync<F>> {
    /// To an answer that a future computes, which may fail: from a cache, say. Nothing of ours counts what it sends itself.
    pub fn respond_async<Req, T>(answer: F) -> Self
    where
        F: Fn(Unserved<Req>) -> T,
    {
        Self::new(ComputedAsync(Arc::new(answer)), 1)
    }
}

impl<L> FallbackLayer<L> {
    fn new(link: L, links: usize) -> Self {
        Self {
            link,
            plan: Plan::new(vec![Link::default(); links], Spans::default()),
            answers: Http,
        }
    }
}

impl<L, P> FallbackLayer<L, P> {
    /// Falls back onto the last link where this is true of the outcome before, and nowhere else.
    pub fn on(self, falls_back: impl Fn(&Verdict) -> bool + Send + Sync + 'static) -> Self {
        self.edit(|links, _| last(links).on = Some(Arc::new(falls_back)))
    }

    /// What [`ServedBy`](super::ServedBy) says of an answer from the last link.
    ///
    /// # Panics
    ///
    /// If it is empty, `"first"`, which is the first service's, or another link's.
    #[track_caller]
    pub fn name(self, name: &str) -> Self {
        assert!(!name.is_empty(), "name: {name:?} is no name");
        let taken = self.plan.has_member(name);
        assert!(!taken, "name: {name:?} is the name of another member");
        self.edit(|links, _| last(links).name = name.into())
    }

    /// Remembers who asked for time, or whose circuit is open, and passes them over until then, but never for longer than
    /// `max`: a hint that lies must not banish a provider for a day. Whatever a hint says, of members that are all
    /// remembered as down the one that is back first is asked.
    ///
    /// # Panics
    ///
    /// With zero: see [`no_memory`](Self::no_memory).
    #[track_caller]
    pub fn memory(self, max: Duration) -> Self {
        assert!(
            !max.is_zero(),
            "memory: {max:?} remembers nothing; that is `no_memory`"
        );
        self.edit(|_, spans| spans.max = Some(max))
    }

    /// Remembers nothing: every request goes to the first service first.
    pub fn no_memory(self) -> Self {
        self.edit(|_, spans| spans.max = None)
    }

    /// For how long a member without money is passed over; zero for not at all.
    pub fn exhausted_for(self, wait: Duration) -> Self {
        self.edit(|_, spans| spans.exhausted = wait)
    }

    /// Judges the answers by `judge` instead, see [`Classify`](crate::Classify): those of the first service, and those of the links of a list and of a
    /// rewritten request. Of a single other service the outcome is returned whatever it is.
    pub fn classify<F>(self, judge: F) -> FallbackLayer<L, Judged<P, F>> {
        self.with(|answers| Judged::new(answers, judge))
    }

    /// Another link of the list, with the settings of its own that follow.
    fn add<M>(self, link: impl FnOnce(L) -> M) -> FallbackLayer<M, P> {
        FallbackLayer {
            plan: self.plan.edit(|links, _| links.push(Link::default())),
            link: link(self.link),
            answers: self.answers,
        }
    }

    fn edit(mut self, edit: impl FnOnce(&mut Vec<Link>, &mut Spans)) -> Self {
        self.plan = self.plan.edit(edit);
        self
    }

    fn with<Q>(self, answers: impl FnOnce(P) -> Q) -> FallbackLayer<L, Q> {
        FallbackLayer {
            link: self.link,
            plan: self.plan,
            answers: answers(self.answers),
        }
    }
}

fn last(links: &mut [Link]) -> &mut Link {
    links.last_mut().expect("there is at least one")
}

impl<T: CloneInner, P> FallbackLayer<To<T>, P> {
    /// And where that can't serve either, to another service of the same type: a list. [`on`](Self::on) and
    /// [`name`](Self::name) are then the new link's.
    pub fn then(self, service: T) -> FallbackLayer<Links<T>, P> {
        self.add(|To(first)| Links::new([first, service]))
    }
}

impl<T: CloneInner, P> FallbackLayer<Links<T>, P> {
    /// And where none of them can serve, to another service of the same type. [`on`](Self::on) and
    /// [`name`](Self::name) are then the new link's.
    pub fn then(self, service: T) -> Self {
        self.add(|links| Links::new(links.all.iter().cloned().chain([service])))
    }
}

impl<F, P> FallbackLayer<Rewritten<(), F>, P> {
    /// And where that isn't served either, to the same service with yet another request, made of the one that came.
    /// [`on`](Self::on) and [`name`](Self::name) are then the new link's.
    pub fn then_rewrite(self, rewrite: F) -> Self {
        let rewrite = Arc::new(rewrite);
        self.add(|link| Rewritten {
            service: (),
            rewrites: link.rewrites.iter().cloned().chain([rewrite]).collect(),
        })
    }
}

impl<L> FallbackLayer<L, Http> {
    /// For requests and answers of any type; the requests must be `Clone`, and all services
    /// answer with the same type.
    /// Before [`classify`](Self::classify), which judges those then.
    pub fn opaque(self) -> FallbackLayer<L, Opaque> {
        self.with(|_| Opaque)
    }

    /// Whose answers these are, where it is known beforehand; otherwise it is told from each answer. Say it on the
    /// innermost layer, which reads the answer for all.
    pub fn provider(self, provider: Provider) -> FallbackLayer<L, Provider> {
        self.with(|_| provider)
    }
}

/// The links are the same for every service.
macro_rules! layers {
    ($($link:ident)+) => {$(
        impl<S: CloneInner, T, P: Clone> Layer<S> for FallbackLayer<$link<T>, P>
        where
            $link<T>: Clone,
        {
            type Service = Fallback<S, $link<T>, P>;

            fn layer(&self, inner: S) -> Self::Service {
                let (link, answers) = (self.link.clone(), self.answers.clone());
                Fallback::new(inner, link, Spares::new(Arc::clone(&self.plan)), answers)
            }
        }
    )+};
}

layers!(To Links Computed ComputedAsync);

impl<S: CloneInner, F, P: Clone> Layer<S> for FallbackLayer<Rewritten<(), F>, P> {
    type Service = Fallback<S, Rewritten<S, F>, P>;

    fn layer(&self, inner: S) -> Self::Service {
        let second = Rewritten {
            service: inner.clone(),
            rewrites: Arc::clone(&self.link.rewrites),
        };
        let spares = Spares::new(Arc::clone(&self.plan));
        Fallback::new(inner, second, spares, self.answers.clone())
    }
}

impl<L: Clone, P: Clone> Clone for FallbackLayer<L, P> {
    fn clone(&self) -> Self {
        Self {
            link: self.link.clone(),
            plan: Arc::clone(&self.plan),
            answers: self.answers.clone(),
        }
    }
}

impl<L: fmt::Debug, P: fmt::Debug> fmt::Debug for FallbackLayer<L, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackLayer")
            .field("link", &self.link)
            .field("name", &self.plan.last_name())
            .field("answers", &self.answers)
            .finish_non_exhaustive()
    }
}
