//! The departure scope: whether one of our layers further in still holds a request, or has sent it.
//!
//! A charge stands for one departure. A layer that waits for its own turn says so, in a thread-local, during `call` or
//! `poll`, and so does one that lets a request go; the layers around it listen. So an outer charge stays held while an
//! inner layer waits, and no layer knows another. Silence means nothing: whatever stands in between needn't look at what
//! is inside of it every time it is polled.
//!
//! Who lets a request go *again*, after the outer charges were used up by an earlier try, asks first ([`again`]): each
//! layer further out takes a further charge, in its own line, before the try leaves.
//!
//! The other way round, the layer around offers what it has charged: one further in, on the same quota, takes the offer
//! instead of charging again, and needs no place in flight of its own.
//!
//! Layers that only wrap futures are transparent to it. A buffer or a spawned task in between isn't: the charge is then
//! dated when the buffer takes the request, and what the task tries again is not asked for.

use std::{
    cell::{Cell, OnceCell},
    mem::{self, ManuallyDrop},
    task::{Context, Poll, Waker},
};

use crate::{clock, core::cost::Cost, error::Rejected};

thread_local! {
    // Of the layers around whoever runs now. Never dropped, so that it is at hand without a look at whether it was: where a thread
    // ends, nobody is around anybody.
    static SCOPES: ManuallyDrop<Scopes> = const { ManuallyDrop::new(Scopes::new()) };
}

/// Where a request is, as far as the layer that has charged it knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Place {
    /// One of our layers holds it.
    #[default]
    Held,
    /// With whatever is further in; nobody has told yet what became of it.
    HandedOn,
    /// It has left: the charge is used up.
    Left,
}

/// What a layer has charged for a request, as those further in find it and leave it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer {
    /// Where the request is.
    pub(crate) place: Place,
    /// Nothing of it is there to be taken over: it was, by somebody further in on the same quota, or is used up.
    pub(crate) taken: bool,
    /// It stands for whatever becomes of the request: for every further try as well.
    pub(crate) once: bool,
    /// It was there for a further try, and somebody has claimed it: it stands for the next departure.
    pub(crate) claimed: bool,
}

/// A charge for a further try, which those further in ask for.
#[derive(Debug)]
pub(crate) enum Further {
    /// Whoever waits for it, to be woken once it is there.
    Asked(Waker),
    /// It is there: so much.
    Granted(Cost),
    /// It can't be had.
    Refused(Rejected),
    /// Whoever asked has been told so.
    Told,
}

/// What those further in have told a layer: its offer as they leave it, and what they have asked for beyond it.
pub(crate) type Heard = (Offer, Option<Box<Further>>);

/// A layer around whoever runs now.
struct Frame {
    quota: Cell<usize>,
    offer: Cell<Offer>,
    // Nothing where it is taken.
    charged: Cell<Cost>,
    // `None` where nobody has asked. Boxed: hardly anybody does.
    further: Cell<Option<Box<Further>>>,
    // Whether anything isn't as it was when the layer began, or isn't to be left behind.
    touched: Cell<bool>,
}

impl Frame {
    const fn new() -> Self {
        Self {
            quota: Cell::new(0),
            offer: Cell::new(Offer {
                place: Place::Held,
                taken: true,
                once: false,
                claimed: false,
            }),
            charged: Cell::new(Cost::none()),
            further: Cell::new(None),
            touched: Cell::new(false),
        }
    }

    #[inline]
    fn change(&self, offer: Offer) {
        self.offer.set(offer);
        self.touched.set(true);
    }

    #[inline]
    fn put(&self, place: Place) {
        let offer = self.offer.get();
        if offer.place != place {
            self.change(Offer { place, ..offer });
        }
    }

    fn answer(&self, further: Further) {
        self.further.set(Some(Box::new(further)));
        self.touched.set(true);
    }

    #[inline]
    fn is_used_up(&self, own: Option<usize>) -> bool {
        let offer = self.offer.get();
        offer.place == Place::Left && !offer.once && Some(self.quota.get()) != own
    }

    #[inline]
    fn begin(&self, quota: usize, offer: Offer, charged: &Cost) {
        self.quota.set(quota);
        self.offer.set(offer);
        // Numbers may stay.
        self.touched.set(!offer.taken && charged.is_shared());
        if !offer.taken {
            self.charged.set(charged.clone());
        }
    }

    /// The layer is no more: what isn't as it was.
    #[inline]
    fn end(&self) -> Option<Heard> {
        self.touched.take().then(|| self.leave())
    }

    fn leave(&self) -> Heard {
        drop(self.charged.take());
        (self.offer.get(), self.further.take())
    }

    /// What there is to be taken over, which is gone then.
    fn take(&self) -> Cost {
        let offer = self.offer.get();
        self.change(Offer {
            taken: true,
            ..offer
        });
        if offer.taken {
            Cost::none()
        } else {
            self.charged.take()
        }
    }
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
    #[inline]
    fn begin(&self, quota: usize, offer: Offer, charged: &Cost) {
        let depth = self.depth.get();
        self.frame(depth).begin(quota, offer, charged);
        self.depth.set(depth + 1);
    }

    /// The innermost layer is no more.
    #[inline]
    fn end(&self) -> &Frame {
        let depth = self.depth.get() - 1;
        self.depth.set(depth);
        self.frame(depth)
    }

    /// Tells everybody where the request is; who knows that it has left keeps to that.
    #[inline]
    fn tell(&self, place: Place) {
        for frame in self.frames() {
            if frame.offer.get().place != Place::Left {
                frame.put(place);
            }
        }
    }

    /// What the innermost layer on `quota` has charged already.
    #[inline]
    fn take(&self, quota: usize) -> Option<Cost> {
        let frame = self.frames().rev().find(|f| f.quota.get() == quota)?;
        Some(frame.take())
    }
}

/// What is further in is called or polled as long as this lasts, and finds the offer.
#[must_use = "the offer is taken back when it is dropped"]
pub(crate) struct Scope(());

// What follows is called as often as anything, and not inlined: what belongs to a thread is at hand only in this crate.

/// Makes an offer of what was `charged` on `quota` to whatever is called or polled from here on.
pub(crate) fn offer(quota: usize, offer: Offer, charged: &Cost) -> Scope {
    clock::forget();
    SCOPES.with(|scopes| scopes.begin(quota, offer, charged));
    Scope(())
}

/// The same by who hands the request on.
pub(crate) fn hand_on_with(quota: usize, offer: Offer, charged: &Cost) -> Scope {
    clock::forget();
    SCOPES.with(|scopes| {
        scopes.tell(Place::HandedOn);
        scopes.begin(quota, offer, charged);
    });
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

    /// What became of the offer, and of what was asked for beyond it; `None` where everything is as it was.
    pub(crate) fn end(self) -> Option<Heard> {
        mem::forget(self);
        SCOPES.with(|scopes| scopes.end().end())
    }
}

/// Takes the offer back while unwinding.
impl Drop for Scope {
    fn drop(&mut self) {
        drop(Self(()).end());
    }
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
pub(crate) fn leave() {
    SCOPES.with(|scopes| scopes.tell(Place::Left));
}

/// A try is over, of somebody who may make another. `sent`: it may have left, if nobody further in has kept it.
pub(crate) fn over(sent: bool) {
    SCOPES.with(|scopes| {
        for frame in scopes.frames() {
            match frame.offer.get().place {
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
    /// What a layer further out, on the same quota, has charged already: the rest is to be charged. `None` where there is
    /// no such layer.
    Charged(Option<Cost>),
}

/// Looks at what those further out offer to a request on this quota, and takes it.
pub(crate) fn arrive(quota: usize) -> Found {
    SCOPES.with(|scopes| {
        // Of those on the same quota only what is taken over counts.
        if scopes.frames().any(|frame| frame.is_used_up(Some(quota))) {
            return Found::UsedUp;
        }
        Found::Charged(scopes.take(quota))
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
            match frame.further.take().map(|further| *further) {
                Some(Further::Granted(cost)) => {
                    frame.answer(Further::Granted(cost));
                }
                Some(Further::Refused(rejected)) => {
                    frame.answer(Further::Told);
                    return Poll::Ready(Err(rejected));
                }
                _ => {
                    frame.answer(Further::Asked(cx.waker().clone()));
                    return Poll::Pending;
                }
            }
        }
        for frame in used_up() {
            if let Some(Further::Granted(cost)) = frame.further.take().map(|further| *further) {
                frame.charged.set(cost);
                frame.change(Offer {
                    place: Place::Held,
                    taken: false,
                    claimed: true,
                    ..frame.offer.get()
                });
            }
        }
        Poll::Ready(Ok(()))
    })
}

/// What a layer further out, on the same quota, has charged already.
pub(crate) fn take_offer(quota: usize) -> Option<Cost> {
    SCOPES.with(|scopes| scopes.take(quota))
}
