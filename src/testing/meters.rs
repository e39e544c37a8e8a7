//! How a provider may count: three shapes, each a plain account that is exact to the nanosecond.
//!
//! Written apart from `crate::core` on purpose: this is the referee that the layers are tried
//! against, so it must not share their mistakes. Times are nanoseconds since the provider
//! started and never run backwards.

use std::{collections::VecDeque, time::Duration};

pub(super) use super::bucket::Bucket;

/// How a limit of the box counts its minute or its day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shape {
    /// Exactly what was charged in the last window, from a log of every charge. A charge leaves
    /// exactly one window after it came.
    Rolling,
    /// A bucket that holds the limit and refills continuously, as OpenAI's does. The default.
    #[default]
    Bucket,
    /// Counts from 0 in every window. Windows follow each other without a gap; the first starts
    /// with the first request that counts.
    Fixed,
    /// Like [`Fixed`](Self::Fixed), with a boundary this long after the provider's start.
    FixedAt(Duration),
}

/// A duration in whole nanoseconds: 584 years fit.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// One limit's account.
#[derive(Debug)]
pub(super) enum Meter {
    Rolling(Rolling),
    Bucket(Bucket),
    Fixed(Fixed),
}

impl Meter {
    pub(super) fn new(shape: Shape, limit: u64, window: Duration) -> Self {
        let window = nanos(window);
        match shape {
            Shape::Rolling => Self::Rolling(Rolling::new(limit, window)),
            Shape::Bucket => Self::Bucket(Bucket::new(limit, window)),
            Shape::Fixed => Self::Fixed(Fixed::new(limit, window, None)),
            Shape::FixedAt(phase) => Self::Fixed(Fixed::new(limit, window, Some(nanos(phase)))),
        }
    }

    /// How long until `amount` fits, if nothing else comes: 0 is now, `None` never.
    pub(super) fn wait(&mut self, now: u64, amount: u64) -> Option<u64> {
        match self {
            Self::Rolling(meter) => meter.wait(now, amount),
            Self::Bucket(meter) => meter.wait(now, amount),
            Self::Fixed(meter) => meter.wait(now, amount),
        }
    }

    /// Charges, whether it fits or not. An `open` charge may be settled later.
    pub(super) fn charge(&mut self, now: u64, charge: Charge) {
        match self {
            Self::Rolling(meter) => meter.charge(now, charge),
            Self::Bucket(meter) => meter.charge(now, charge),
            Self::Fixed(meter) => meter.charge(now, charge),
        }
    }

    /// Closes an open charge at `amount`, as if that had been charged in the first place.
    pub(super) fn settle(&mut self, now: u64, id: u64, amount: u64) {
        match self {
            Self::Rolling(meter) => meter.settle(id, amount),
            Self::Bucket(meter) => meter.settle(now, id, amount),
            Self::Fixed(meter) => meter.settle(now, id, amount),
        }
    }

    /// Another limit from now on; the id is one that no charge has.
    pub(super) fn resize(&mut self, now: u64, id: u64, limit: u64, quantum: Option<Duration>) {
        match self {
            Self::Rolling(meter) => meter.limit = limit,
            Self::Bucket(meter) => meter.resize(now, id, limit, quantum),
            Self::Fixed(meter) => meter.limit = limit,
        }
    }

    /// What counts now; a bucket's part of a token counts as a whole one.
    pub(super) fn used(&mut self, now: u64) -> u64 {
        match self {
            Self::Rolling(meter) => meter.used(now),
            Self::Bucket(meter) => meter.used(now),
            Self::Fixed(meter) => meter.used(now),
        }
    }

    /// How long until nothing counts any more, if nothing else comes.
    pub(super) fn reset(&mut self, now: u64) -> u64 {
        match self {
            Self::Rolling(meter) => meter.reset(now),
            Self::Bucket(meter) => meter.reset(now),
            Self::Fixed(meter) => meter.reset(now),
        }
    }
}

/// What one request was charged. Ids ascend.
#[derive(Clone, Copy, Debug)]
pub(super) struct Charge {
    pub(super) id: u64,
    pub(super) amount: u64,
    /// It will be settled.
    pub(super) open: bool,
}

pub(super) fn position<T>(log: &VecDeque<(T, Charge)>, id: u64) -> Option<usize> {
    log.binary_search_by_key(&id, |(_, charge)| charge.id).ok()
}

/// Every charge of the last window.
#[derive(Debug)]
pub(super) struct Rolling {
    limit: u64,
    window: u64,
    log: VecDeque<(u64, Charge)>,
    used: u64,
}

impl Rolling {
    fn new(limit: u64, window: u64) -> Self {
        Self {
            limit,
            window,
            log: VecDeque::new(),
            used: 0,
        }
    }

    fn used(&mut self, now: u64) -> u64 {
        while let Some((at, charge)) = self.log.front() {
            if now - at < self.window {
                break;
            }
            self.used -= charge.amount;
            self.log.pop_front();
        }
        self.used
    }

    fn wait(&mut self, now: u64, amount: u64) -> Option<u64> {
        if amount > self.limit {
            return None;
        }
        let mut left = self.used(now);
        let mut wait = 0;
        for (at, charge) in &self.log {
            if left <= self.limit - amount {
                break;
            }
            left -= charge.amount;
            wait = at + self.window - now;
        }
        Some(wait)
    }

    fn charge(&mut self, now: u64, charge: Charge) {
        self.used(now);
        self.used += charge.amount;
        self.log.push_back((now, charge));
    }

    fn settle(&mut self, id: u64, amount: u64) {
        if let Some(i) = position(&self.log, id) {
            let charge = &mut self.log[i].1;
            self.used = self.used - charge.amount + amount;
            charge.amount = amount;
            charge.open = false;
        }
    }

    fn reset(&mut self, now: u64) -> u64 {
        self.used(now);
        self.log.back().map_or(0, |(at, _)| at + self.window - now)
    }
}

/// A counter that starts anew at every boundary.
#[derive(Debug)]
pub(super) struct Fixed {
    limit: u64,
    window: u64,
    /// A boundary; none before the first charge where that is the first boundary.
    phase: Option<u64>,
    /// The end of the window that the counter counts.
    end: u64,
    used: u64,
    /// The open charges of this window; later ones can't be settled any more, they're forgotten.
    open: VecDeque<((), Charge)>,
}

impl Fixed {
    fn new(limit: u64, window: u64, phase: Option<u64>) -> Self {
        Self {
            limit,
            window,
            phase: phase.map(|phase| phase % window),
            end: 0,
            used: 0,
            open: VecDeque::new(),
        }
    }

    fn used(&mut self, now: u64) -> u64 {
        if let Some(phase) = self.phase
            && now >= self.end
        {
            self.end = match now.checked_sub(phase) {
                Some(since) => phase + (since / self.window + 1) * self.window,
                None => phase,
            };
            self.used = 0;
            self.open.clear();
        }
        self.used
    }

    fn wait(&mut self, now: u64, amount: u64) -> Option<u64> {
        if amount > self.limit {
            return None;
        }
        let fits = self.used(now) <= self.limit - amount;
        Some(if fits { 0 } else { self.end - now })
    }

    fn charge(&mut self, now: u64, charge: Charge) {
        self.phase.get_or_insert(now % self.window);
        self.used(now);
        self.used += charge.amount;
        if charge.open {
            self.open.push_back(((), charge));
        }
    }

    fn settle(&mut self, now: u64, id: u64, amount: u64) {
        self.used(now);
        if let Some(i) = position(&self.open, id)
            && let Some(((), charge)) = self.open.remove(i)
        {
            self.used = self.used - charge.amount + amount;
        }
    }

    fn reset(&mut self, now: u64) -> u64 {
        if self.used(now) == 0 {
            0
        } else {
            self.end - now
        }
    }
}
