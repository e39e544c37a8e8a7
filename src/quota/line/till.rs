//! What is taken of a quota, leaves and lands without its lock, as long as nothing but counting is to be done.
//!
//! Whoever holds the lock, and finds nobody in line and room that nobody but those who come can take, opens the till: so much may
//! be taken from it, a step at a time, by whoever comes. Everybody who takes the lock closes it first and enters what was taken, so that
//! under the lock the ledger is as exact as if it had counted all of it.
//!
//! What leaves is counted in the step of the ledger in which it does: those of one step are one and the same to it. The first of a
//! step takes the lock.

use super::super::sync::{AtomicU64, Ordering};
use crate::core::{
    cost::{Cost, Resource},
    ledger::{Issue, Ledger, Step},
    settlement::{Departure, Mark},
    time::Time,
};

/// So many requests and tokens, in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::quota) struct Amount(u64);

impl Amount {
    const TOKENS: u64 = (1 << 40) - 1;
    const ONE_REQUEST: u64 = 1 << 40;
    /// Half of what there is room for, so that those who count at the same time don't overflow it.
    const MOST: Self = Self::new(1 << 23, 1 << 39);
    /// No request takes more tokens from it.
    const LARGEST: u64 = 1 << 28;

    const fn new(requests: u64, tokens: u64) -> Self {
        Self(requests * Self::ONE_REQUEST + tokens)
    }

    /// What one request takes of limits on requests and tokens; `None` where that isn't for here.
    #[inline]
    pub(in crate::quota) fn of(cost: &Cost) -> Option<Self> {
        let tokens = cost.of(Resource::Tokens);
        let fits = cost.is_one_request() && tokens <= Self::LARGEST;
        fits.then(|| Self(Self::ONE_REQUEST + tokens))
    }

    #[inline]
    const fn requests(self) -> u64 {
        self.0 / Self::ONE_REQUEST
    }

    #[inline]
    pub(in crate::quota) const fn tokens(self) -> u64 {
        self.0 & Self::TOKENS
    }

    /// As a cost, of which limits on requests and tokens know.
    #[inline]
    pub(in crate::quota) const fn cost(self) -> Cost {
        Cost::tokens(self.tokens()).requests(self.requests())
    }

    #[inline]
    const fn without(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

/// No step: nothing is before.
const NONE: u64 = 0;
/// Nobody compares.
const UNMARKED: u64 = u64::MAX;

/// Where nothing was taken from it as long as it was open, or it may not be, it stays closed so many times: to open it takes longer
/// than to take something by the lock. In tests hardly ever, so that random histories go by it.
const RESTS: u8 = if cfg!(test) { 1 } else { 15 };

/// What is counted without the lock.
#[derive(Debug)]
pub(super) struct Till {
    // What is left to be taken; nothing while it is closed.
    credit: AtomicU64,
    // How many have ever been taken, and what is left to be: as of its opening.
    begun: AtomicU64,
    // The most that were in flight at once.
    peak: AtomicU64,
    // How many have landed, ever.
    landed: AtomicU64,
    // What has left in this step.
    gone: AtomicU64,
    // The first instant after the step, `NONE` while it changes or isn't known, and how long it is.
    end: AtomicU64,
    span: AtomicU64,
    // The mark of what leaves, without what has `gone`.
    departed: AtomicU64,
    unused: AtomicU64,
    // No request takes more tokens.
    largest: u64,
}

/// What the one who holds the lock knows of it.
#[derive(Debug, Default)]
pub(super) struct Counted {
    // What it was opened with.
    issued: Option<Amount>,
    // What has left in this step and is entered.
    gone: Amount,
    step: Step,
    // Whether it may leave without the lock.
    is_in_step: bool,
    // So many times it isn't opened.
    rests: u8,
}

impl Till {
    /// A closed one.
    pub(super) fn new(largest: u64) -> Self {
        Self {
            credit: AtomicU64::new(0),
            begun: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            landed: AtomicU64::new(0),
            gone: AtomicU64::new(0),
            end: AtomicU64::new(NONE),
            span: AtomicU64::new(0),
            departed: AtomicU64::new(0),
            unused: AtomicU64::new(UNMARKED),
            largest,
        }
    }

    /// Takes so much, where it is there.
    #[inline]
    pub(super) fn take(&self, amount: Amount) -> bool {
        if amount.tokens() > self.largest {
            return false;
        }
        let begun = self.begun.load(Ordering::Acquire);
        let mut credit = Amount(self.credit.load(Ordering::Acquire));
        loop {
            if credit.requests() == 0 || credit.tokens() < amount.tokens() {
                return false;
            }
            let rest = credit.without(amount);
            let (old, new) = (credit.0, rest.0);
            match (self.credit).compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => {
                    self.peaked(begun, rest);
                    return true;
                }
                Err(other) => credit = Amount(other),
            }
        }
    }

    /// Looks how many are in flight, of what was taken up to there.
    #[inline]
    pub(super) fn peaked(&self, begun: u64, rest: Amount) {
        let landed = self.landed.load(Ordering::Relaxed);
        // None, where others have come and landed since.
        let in_flight = begun.wrapping_sub(rest.requests()).wrapping_sub(landed);
        if in_flight.cast_signed() > self.peak.load(Ordering::Relaxed).cast_signed() {
            self.raise(begun, in_flight);
        }
    }

    #[cold]
    fn raise(&self, begun: u64, in_flight: u64) {
        // Opened anew meanwhile, it says nothing.
        if self.begun.load(Ordering::Acquire) == begun {
            self.peak.fetch_max(in_flight, Ordering::Relaxed);
        }
    }

    /// So much has left now; `None` where the lock is to be taken for it.
    #[inline]
    pub(super) fn leave(&self, amount: Amount, now: Time) -> Option<Departure> {
        let end = self.end.load(Ordering::Acquire);
        let span = self.span.load(Ordering::Relaxed);
        let now_is_in_it = now.nanos() < end && end - now.nanos() <= span;
        let gone = Amount(self.gone.load(Ordering::Relaxed));
        let is_full =
            gone.requests() > Amount::MOST.requests() || gone.tokens() > Amount::MOST.tokens();
        if !now_is_in_it || is_full {
            return None;
        }
        let before = Amount(self.gone.fetch_add(amount.0, Ordering::AcqRel));
        let unused = self.unused.load(Ordering::Acquire);
        let mark = if unused == UNMARKED {
            None
        } else {
            let departed = self.departed.load(Ordering::Acquire);
            // Another step may have begun meanwhile, without what has gone.
            let is_same = self.end.load(Ordering::Acquire) == end;
            let gone = before.tokens() + amount.tokens();
            is_same.then(|| Mark {
                departed: departed.wrapping_add(gone),
                unused,
            })
        };
        Some(Departure { at: now, mark })
    }

    /// One has landed.
    #[inline]
    pub(super) fn land(&self) {
        self.landed.fetch_add(1, Ordering::Release);
    }

    /// Closes it and enters what was counted.
    #[inline]
    pub(super) fn close(&self, counted: &mut Counted, ledger: &mut Ledger) {
        if let Some(issued) = counted.issued.take() {
            let taken = issued.without(Amount(self.credit.swap(0, Ordering::AcqRel)));
            if taken == Amount::default() {
                counted.rests = RESTS;
            } else {
                ledger.taken_elsewhere(&taken.cost(), taken.requests());
            }
        }
        // In this order: what has landed has left.
        let landed = self.landed.load(Ordering::Acquire);
        let gone = Amount(self.gone.load(Ordering::Acquire));
        if gone != counted.gone {
            let newly = gone.without(counted.gone);
            ledger.left_elsewhere(&newly.cost(), counted.step.until);
            counted.gone = gone;
        }
        ledger.landed(landed);
        ledger.peaked(self.peak.load(Ordering::Relaxed) as usize);
    }

    /// Opens it, where that may be and is of use: nobody may be in line.
    pub(super) fn open(&self, counted: &mut Counted, ledger: &mut Ledger) -> bool {
        if counted.rests > 0 {
            counted.rests -= 1;
            return false;
        }
        let Some(Issue { requests, tokens }) = ledger.issue() else {
            counted.rests = RESTS;
            return false;
        };
        let requests = requests.min(Amount::MOST.requests());
        let issued = Amount::new(requests, tokens.min(Amount::MOST.tokens()));
        if requests > 0 {
            let begun = (ledger.in_flight() as u64).wrapping_add(ledger.landed_elsewhere());
            (self.begun).store(begun.wrapping_add(requests), Ordering::Release);
            self.credit.store(issued.0, Ordering::Release);
            counted.issued = Some(issued);
        }
        requests > 0
    }

    /// Begins the step that it is now, where that is known, and dates in it what leaves now. What left in the one before comes
    /// first: dates of a ledger don't go back.
    pub(super) fn step(
        &self,
        counted: &mut Counted,
        ledger: &mut Ledger,
        amount: Amount,
    ) -> Departure {
        let step = ledger.step();
        if let Some(step) = step.filter(|step| *step != counted.step) {
            self.end.store(NONE, Ordering::Release);
            let gone = Amount(self.gone.swap(0, Ordering::AcqRel));
            let newly = gone.without(counted.gone);
            if newly != Amount::default() {
                ledger.left_elsewhere(&newly.cost(), counted.step.until);
            }
            (counted.gone, counted.step) = (Amount::default(), step);
        }
        let departure = ledger.date(&amount.cost());
        if let Some(step) = step {
            counted.is_in_step = true;
            self.keep_up(counted, ledger);
            self.span.store(step.span, Ordering::Relaxed);
            (self.end).store(step.until.nanos().wrapping_add(1), Ordering::Release);
        }
        // Whoever leaves by the lock begins the step for those who don't.
        counted.rests = 0;
        departure
    }

    /// The ledger isn't looked at any more: tells those who come what they need of it.
    #[inline]
    pub(super) fn keep_up(&self, counted: &mut Counted, ledger: &Ledger) {
        if !counted.is_in_step {
            return;
        }
        if !ledger.has_steps() {
            // Its accounts are to be looked at when something leaves.
            self.end.store(NONE, Ordering::Release);
            counted.is_in_step = false;
            return;
        }
        if let Some(mark) = ledger.mark() {
            // Below none, where what has gone has been returned: together they are right.
            let departed = mark.departed.wrapping_sub(counted.gone.tokens());
            self.departed.store(departed, Ordering::Release);
            self.unused.store(mark.unused, Ordering::Release);
        }
    }
}
