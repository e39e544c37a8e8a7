//! The departure scope: whether one of our layers further in still holds a request, or has sent it.
//!
//! A charge stands for one departure. A layer that waits for its own turn says so, in a thread-local, during `call` or
//! `poll`, and so does one that lets a request go; the layers around it listen. So an outer charge stays held while an
//! inner layer waits, and no layer knows another. What was said during a `call` they may hear at their first poll. Silence
//! means nothing: whatever stands in between needn't look at what is inside of it every time it is polled.
//!
//! Who lets a request go *again*, after the outer charges were used up by an earlier try, asks first ([`again`]): each
//! layer further out takes a further charge, in its own line, before the try leaves.
//!
//! The other way round, the layer around offers what it has charged: one further in, on the same quota, takes the offer
//! instead of charging again, and needs no place in flight of its own. What it took for a try that never left it gives back, for
//! whoever comes next.
//!
//! Layers that only wrap futures are transparent to it. A buffer or a spawned task in between isn't: the charge is then
//! dated when the buffer takes the request, and what the task tries again is not asked for.

mod frame;
#[cfg(test)]
mod tests;

use std::{
    cell::{Cell, OnceCell},
    mem::{self, ManuallyDrop},
    task::{Context, Poll},
};

use self::frame::Frame;
pub(crate) use self::frame::{Charged, Further, Offer, Place, join};
use crate::{clock, core::cost::Cost, error::Rejected};

thread_local! {
    // Of the layers around whoever runs now. Never dropped, so that it is at hand without a look at whether it was: where a thread
    // ends, nobody is around anybody.
    static SCOPES: ManuallyDrop<Scopes> = const { ManuallyDrop::new(Scopes::new()) };
}

/// So many layers are found at once; those beyond have a place further on.
const NEAR: usize = 8;

struct Chunk {
    frames: [Frame; NEAR],
    next: OnceCell<Box<Chunk>>,
}

impl Chunk {
    const fn new() -> Self {
        Self {
            frames: [const { Frame::new() }; NEAR],
            next: OnceCell::new(),
        }
    }
}

/// The layers around whoever runs now, the outermost first.
struct Scopes {
    depth: Cell<usize>,
    first: Chunk,
}

impl Scopes {
    const fn new() -> Self {
        Self {
            depth: Cell::new(0),
            first: Chunk::new(),
        }
    }

    #[inline]
    const fn is_empty(&self) -> bool {
        self.depth.get() == 0
    }

    #[inline]
    fn frame(&self, index: usize) -> &Frame {
        match self.first.frames.get(index) {
            Some(frame) => frame,
            None => self.far(index),
        }
    }

    #[cold]
    fn far(&self, index: usize) -> &Frame {
        let mut chunk = &self.first;
        for _ in 0..index / NEAR {
            chunk = chunk.next.get_or_init(|| Box::new(Chunk::new()));
        }
        &chunk.frames[index % NEAR]
    }

    #[inline]
    fn frames(&self) -> impl DoubleEndedIterator<Item = &Frame> {
        (0..self.depth.get()).map(|index| self.frame(index))
    }

    /// Another layer, the innermost.
    #[inline(never)]
    fn begin(&self, quota: usize, offer: Offer, charged: Charged<'_>) {
        let depth = self.depth.get();
        self.frame(depth).begin(quota, offer, charged);
        self.depth.set(depth + 1);
    }

    /// The innermost layer is no more.
    #[inline(never)]
    fn end(&self) -> Option<Offer> {
        let depth = self.depth.get() - 1;
        self.depth.set(depth);
        self.frame(depth).end()
    }

    /// The same of one of the first [`NEAR`].
    #[inline(always)]
    fn end_near(&self) -> Offer {
        let depth = self.depth.get().wrapping_sub(1);
        self.depth.set(depth);
        self.first.frames[depth % NEAR].offer().unasked()
    }

    /// The same, of one that hands the request on.
    #[inline(never)]
    fn hand_on_with(&self, quota: usize, offer: Offer, charged: Charged<'_>) {
        self.tell(Place::HandedOn);
        let depth = self.depth.get();
        self.frame(depth).begin(quota, offer, charged);
        self.depth.set(depth + 1);
    }

    /// Tells everybody where the request is; who knows that it has left keeps to that.
    #[inline]
    fn tell(&self, place: Place) {
        for frame in self.frames() {
            if frame.place() != Place::Left {
                frame.put(place);
            }
        }
    }

    /// The request has left.
    #[inline(never)]
    fn leave(&self) {
        self.tell(Place::Left);
    }

    /// What a request on this quota finds.
    #[inline(never)]
    fn arrive(&self, quota: usize) -> Found {
        // Of those on the same quota only what is taken over counts.
        if self.frames().any(|frame| frame.is_used_up(Some(quota))) {
            Found::UsedUp
        } else if self.depth.get() >= NEAR || self.on(quota).is_some() {
            Found::Offers
        } else {
            Found::Nothing
        }
    }

    /// The innermost layer on `quota`.
    #[inline]
    fn on(&self, quota: usize) -> Option<&Frame> {
        self.frames().rev().find(|frame| frame.is_on(quota))
    }
}

/// What is further in is called or polled as long as this lasts, and finds the offer.
#[must_use = "the offer is taken back when it is dropped"]
pub(crate) struct Scope(());

// What every request calls: with `SCOPES`, at hand everywhere, it does nothing but call what isn't inlined.

/// Makes an offer of what was `charged` on `quota` to whatever is called or polled from here on.
#[inline]
pub(crate) fn offer(quota: usize, offer: Offer, charged: Charged<'_>) -> Scope {
    clock::forget();
    SCOPES.with(|scopes| scopes.begin(quota, offer, charged));
    Scope(())
}

/// The same by who hands the request on.
#[inline]
pub(crate) fn hand_on_with(quota: usize, offer: Offer, charged: Charged<'_>) -> Scope {
    clock::forget();
    SCOPES.with(|scopes| scopes.hand_on_with(quota, offer, charged));
    Scope(())
}

impl Scope {
    /// What of a further charge those further in find.
    pub(crate) fn with_further(self, further: Further) -> Self {
        SCOPES.with(|scopes| {
            let innermost = scopes.depth.get() - 1;
            scopes.frame(innermost).answer(further);
        });
        self
    }

    /// What became of the offer, of which may be heard later: where there was [nothing](Found::Nothing) to heed, and the scope
    /// lasts no longer than a call. Who asks for more, which takes a poll, asks again at the next. It neither branches nor unwinds.
    #[inline(always)]
    pub(crate) fn end_near(scope: &mut Option<Self>) -> Offer {
        mem::forget(scope.take());
        SCOPES.with(|scopes| scopes.end_near())
    }

    /// What became of the offer; `None` where everything is as it was. What was asked for beyond it is told by
    /// [`asked`], right after this.
    #[inline]
    pub(crate) fn end(self) -> Option<Offer> {
        mem::forget(self);
        SCOPES.with(|scopes| scopes.end())
    }
}

/// Takes the offer back while unwinding.
impl Drop for Scope {
    fn drop(&mut self) {
        if Self(()).end().is_some() {
            drop(asked());
        }
    }
}

/// What those further in have asked for beyond the offer that has just [ended](Scope::end).
#[cold]
pub(crate) fn asked() -> Option<Further> {
    SCOPES.with(|scopes| scopes.frame(scopes.depth.get()).asked())
}

/// The request is held: by whoever says this, who is about to answer `Pending`.
pub(crate) fn hold() {
    SCOPES.with(|scopes| scopes.tell(Place::Held));
}

/// The request is handed on, by whoever held it.
pub(crate) fn hand_on() {
    clock::forget();
    SCOPES.with(|scopes| scopes.tell(Place::HandedOn));
}

/// The request has left.
#[inline]
pub(crate) fn leave() {
    SCOPES.with(|scopes| {
        if !scopes.is_empty() {
            scopes.leave();
        }
    });
}

/// A try is over, of somebody who may make another. `sent`: it may have left, if nobody further in has kept it.
pub(crate) fn over(sent: bool) {
    SCOPES.with(|scopes| {
        for frame in scopes.frames() {
            match frame.place() {
                Place::HandedOn if sent => frame.put(Place::Left),
                _ if !sent => frame.put(Place::Held),
                _ => {}
            }
        }
    });
}

/// What a request finds where it asks for its turn.
pub(crate) enum Found {
    /// The charge of somebody further out is used up: they are to be asked [`again`] first.
    UsedUp,
    /// Perhaps a layer further out, on the same quota, has charged something already: that is to be [taken](take_offer), and the
    /// rest charged.
    Offers,
    /// Nothing that it would have to heed, nor many layers.
    Nothing,
}

/// Looks at what those further out offer to a request on this quota.
#[inline]
pub(crate) fn arrive(quota: usize) -> Found {
    SCOPES.with(|scopes| match scopes.is_empty() {
        true => Found::Nothing,
        false => scopes.arrive(quota),
    })
}

/// Asks everybody further out whose charge is used up for another, the outermost first; those on the quota `own` aren't
/// asked. Ready once all of them are there; the request is held then, by whoever asked. Waits as it would in their lines.
///
/// # Errors
///
/// The refusal of one who can't: the request may not leave.
pub(crate) fn again(cx: &mut Context<'_>, own: Option<usize>) -> Poll<Result<(), Rejected>> {
    SCOPES.with(|scopes| {
        let used_up = || scopes.frames().filter(|frame| frame.is_used_up(own));
        for frame in used_up() {
            match frame.asked() {
                Some(Further::Granted(cost)) => {
                    frame.answer(Further::Granted(cost));
                }
                Some(Further::Refused(rejected)) => {
                    frame.answer(Further::Told(cx.waker().clone()));
                    return Poll::Ready(Err(rejected));
                }
                asked => {
                    // Others may wait for it as well, each to be woken by itself.
                    let mut askers = match asked {
                        Some(Further::Asked(askers)) => askers,
                        _ => Vec::new(),
                    };
                    join(&mut askers, cx.waker().clone());
                    frame.answer(Further::Asked(askers));
                    return Poll::Pending;
                }
            }
        }
        for frame in used_up() {
            if let Some(Further::Granted(cost)) = frame.asked() {
                frame.claim(&cost, cx.waker());
            }
        }
        Poll::Ready(Ok(()))
    })
}

/// What a layer further out, on the same quota, has charged already.
pub(crate) fn take_offer(quota: usize) -> Option<Cost> {
    SCOPES.with(|scopes| scopes.on(quota).map(Frame::take))
}

/// What was [taken](take_offer) for a try that never left: it is there for the next.
pub(crate) fn give_back(quota: usize, charged: &Cost) {
    if *charged == Cost::none() {
        return;
    }
    SCOPES.with(|scopes| {
        if let Some(frame) = scopes.on(quota) {
            frame.offer_anew(charged);
        }
    });
}
