use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
};

use tower_service::Service;

use super::{
    FallbackFuture,
    computed::{Computed, ComputedAsync},
    merge::Merge,
    plan::Plan,
    second::{Links, Rewritten, Second, To},
    trip::Trip,
};
use crate::{
    answers::{Answers, CopyRequest, Http},
    error::BoxError,
    spares::Spares,
    verdict::{Classify, Verdict},
};

/// The service of [`FallbackLayer`](super::FallbackLayer): `T` is [`To`], [`Links`], [`Rewritten`],
/// [`Computed`] or [`ComputedAsync`].
pub struct Fallback<S, T, P = Http> {
    inner: S,
    second: T,
    spares: Spares<T, Arc<Plan>>,
    answers: P,
    // Whether the inner service was polled: it may hold something for us then.
    polled: bool,
    found: Found,
}

/// What `poll_ready` found.
enum Found {
    /// Nothing yet, or the first service ready.
    First,
    /// It is down, as far as anybody remembers: it wasn't asked.
    Down,
    /// What kept it from becoming ready: an outcome like any other.
    Unready(BoxError),
}

impl<S, T, P> Fallback<S, T, P> {
    pub(super) const fn new(inner: S, second: T, spares: Spares<T, Arc<Plan>>, answers: P) -> Self {
        Self {
            inner,
            second,
            spares,
            answers,
            polled: false,
            found: Found::First,
        }
    }
}

type Out<P, A> = <P as Answers<A>>::Out<()>;
type LinkAnswer<C, Req> =
    Out<<C as Chain<Req>>::Answers, <<C as Chain<Req>>::Second as Second<Req>>::Response>;

/// The parts of a [`Fallback`] that its future is made of.
pub trait Chain<Req> {
    /// The first service.
    type First: Service<Req, Error: Into<BoxError>>;
    /// The links.
    type Second: Second<Req>;
    /// What their answers are.
    type Answers: Merge<<Self::First as Service<Req>>::Response, <Self::Second as Second<Req>>::Response>
        + Classify<Out<Self::Answers, <Self::First as Service<Req>>::Response>>
        + CopyRequest<Req>;

    /// What a link's outcome means.
    fn verdict(
        answers: &Self::Answers,
        outcome: Result<&LinkAnswer<Self, Req>, &BoxError>,
    ) -> Verdict;
}

/// One link: its outcome is returned, whatever the user's judgement, which is of the first's answers.
macro_rules! one_link {
    ($($second:ident)+) => {$(
        impl<S, T, P, Req> Chain<Req> for Fallback<S, $second<T>, P>
        where
            S: Service<Req, Error: Into<BoxError>>,
            $second<T>: Second<Req>,
            P: Merge<S::Response, <$second<T> as Second<Req>>::Response>
                + Classify<Out<P, S::Response>>
                + CopyRequest<Req>,
        {
            type First = S;
            type Second = $second<T>;
            type Answers = P;

            fn verdict(
                answers: &P,
                outcome: Result<&Out<P, <$second<T> as Second<Req>>::Response>, &BoxError>,
            ) -> Verdict {
                answers.verdict_of_second(outcome)
            }
        }
    )+};
}

one_link!(To Computed ComputedAsync);

impl<S, T, P, Req> Chain<Req> for Fallback<S, Links<T>, P>
where
    S: Service<Req, Error: Into<BoxError>>,
    T: Service<Req, Error: Into<BoxError>> + Clone,
    P: Merge<S::Response, T::Response>
        + Classify<Out<P, S::Response>>
        + Classify<Out<P, T::Response>>
        + CopyRequest<Req>,
{
    type First = S;
    type Second = Links<T>;
    type Answers = P;

    fn verdict(answers: &P, outcome: Result<&Out<P, T::Response>, &BoxError>) -> Verdict {
        answers.classify(outcome)
    }
}

impl<S, F, P, Req> Chain<Req> for Fallback<S, Rewritten<S, F>, P>
where
    S: Service<Req, Error: Into<BoxError>>,
    Rewritten<S, F>: Second<Req, Response = S::Response>,
    P: Merge<S::Response, S::Response> + Classify<Out<P, S::Response>> + CopyRequest<Req>,
{
    type First = S;
    type Second = Rewritten<S, F>;
    type Answers = P;

    fn verdict(answers: &P, outcome: Result<&Out<P, S::Response>, &BoxError>) -> Verdict {
        answers.classify(outcome)
    }
}

impl<S, T, P, Req> Service<Req> for Fallback<S, T, P>
where
    Self: Chain<Req, First = S, Second = T, Answers = P>,
    S: Service<Req, Error: Into<BoxError>> + Clone,
    T: Second<Req> + Clone,
    P: Merge<S::Response, T::Response> + Classify<Out<P, S::Response>> + CopyRequest<Req> + Clone,
{
    type Response = P::Merged;
    type Error = BoxError;
    type Future = FallbackFuture<Self, Req>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if !matches!(self.found, Found::First) {
            return Poll::Ready(Ok(()));
        }
        if self.spares.common().start().is_some() {
            self.give_back();
            self.found = Found::Down;
            return Poll::Ready(Ok(()));
        }
        self.polled = true;
        match self.inner.poll_ready(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
            Poll::Ready(Err(error)) => {
                self.found = Found::Unready(error.into());
                Poll::Ready(Ok(()))
            }
        }
    }

    fn call(&mut self, request: Req) -> Self::Future {
        // It may have gone down since it was readied.
        if !matches!(self.found, Found::First) || !self.spares.common().is_up() {
            return self.pass(request);
        }
        let kept = self.answers.keep(&request);
        let mut trip = Some(Trip::first_asked((&self.spares, &self.second), kept));
        self.polled = false;
        let future = FallbackFuture::calling(&mut self.inner, request, &mut trip, &self.answers);
        // The future has taken it: there is nothing to drop.
        mem::forget(trip);
        future
    }
}

impl<S, T, P> Fallback<S, T, P> {
    /// A call that doesn't go straight to the first service, or may not.
    #[cold]
    #[inline(never)]
    fn pass<Req>(&mut self, request: Req) -> FallbackFuture<Self, Req>
    where
        Self: Chain<Req, First = S, Second = T, Answers = P>,
        S: Service<Req, Error: Into<BoxError>> + Clone,
        T: Second<Req> + Clone,
        P: Merge<S::Response, T::Response>
            + Classify<Out<P, S::Response>>
            + CopyRequest<Req>
            + Clone,
    {
        let links = (&self.spares, &self.second);
        let choice = match mem::replace(&mut self.found, Found::First) {
            Found::Unready(error) => {
                let trip = Trip::passing(links, request, None);
                // This instance must not be asked again; the next call is another's.
                self.give_back();
                return FallbackFuture::unready(error, trip, self.answers.clone());
            }
            Found::First => match self.spares.common().start() {
                None => {
                    let kept = self.answers.keep(&request);
                    let trip = &mut Some(Trip::first_asked(links, kept));
                    self.polled = false;
                    return FallbackFuture::calling(&mut self.inner, request, trip, &self.answers);
                }
                choice => {
                    self.give_back();
                    choice
                }
            },
            // It may be back by now, and isn't readied.
            Found::Down => self.spares.common().start(),
        };
        let resort = Some(self.inner.clone());
        let trip = Trip::passing((&self.spares, &self.second), request, resort);
        FallbackFuture::passing(choice, trip, self.answers.clone())
    }
}

impl<S: Clone, T: Clone, P: Clone> Fallback<S, T, P> {
    /// Gives back whatever the inner service has reserved for us.
    fn give_back(&mut self) {
        if mem::take(&mut self.polled) {
            self.inner = self.inner.clone();
        }
    }
}

impl<S: Clone, T: Clone, P: Clone> Clone for Fallback<S, T, P> {
    fn clone(&self) -> Self {
        Self::new(
            self.inner.clone(),
            self.second.clone(),
            self.spares.clone(),
            self.answers.clone(),
        )
    }
}

impl<S: fmt::Debug, T: fmt::Debug, P: fmt::Debug> fmt::Debug for Fallback<S, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fallback")
            .field("inner", &self.inner)
            .field("second", &self.second)
            .field("answers", &self.answers)
            .finish_non_exhaustive()
    }
}
