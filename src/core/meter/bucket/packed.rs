//! A bucket in three words, for those who have one by the million.

use super::Bucket;
use crate::core::{
    cost::Resource,
    limit::{Limit, LimitId, OWED, Shape},
    time::{Time, nanos},
};

/// What a bucket comes to as long as nothing needs more. Means something by its [`Mould`] alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Packed {
    // When what was missing was last lifted for what is in transit; without a transit allowance, when it was last written.
    since: u64,
    // What was missing before that; without a transit allowance, when something was last given back, and one more.
    before: u64,
    // What was charged since, in the mould's units. 0: nothing is missing.
    spent: u64,
}

impl Packed {
    #[inline]
    pub(crate) const fn of_words(since: u64, before: u64, spent: u64) -> Self {
        Self {
            since,
            before,
            spent,
        }
    }

    #[inline]
    pub(crate) const fn words(&self) -> (u64, u64, u64) {
        (self.since, self.before, self.spent)
    }
}

/// What all buckets of one limit have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mould {
    id: LimitId,
    // Both divided by what divides them, where nothing is in transit: it is the same rate.
    rate: u64,
    window: u64,
    divisor: u64,
    capacity: u64,
    transit: u64,
    in_transit: u128,
    // Charges and refills come in whole multiples of this; where so many are too many, in multiples of it, rounded up: by less
    // than what refills in a nanosecond.
    unit: u64,
}

impl Mould {
    /// Of a limit of which `amount` is planned with; `None` where it needs more than three words.
    pub(crate) fn new(limit: &Limit, amount: u64) -> Option<Self> {
        if !matches!(limit.shape, Some(Shape::Bucket)) {
            return None;
        }
        let (window, transit) = (nanos(limit.window), nanos(limit.transit_or_default()));
        let capacity = limit.burst.unwrap_or(amount);
        let empty = Bucket::new(amount, window, capacity, transit, Time::ZERO);
        // What a full bucket may be overdrawn by, too.
        let most = empty.scaled(capacity).saturating_add(empty.refill(transit));
        let common = common_divisor(empty.rate, window);
        let divisor = if transit == 0 { common } else { 1 };
        let mut unit = common;
        while most / u128::from(unit) > u128::from(u64::MAX / 8) {
            unit *= 2;
        }
        let mould = Self {
            id: LimitId {
                amount,
                ..limit.id()
            },
            rate: empty.rate / divisor,
            window: window / divisor,
            divisor,
            capacity,
            transit,
            in_transit: empty.in_transit(),
            unit: unit / divisor,
        };
        (mould.in_transit < u128::from(u64::MAX)).then_some(mould)
    }

    pub(crate) const fn id(&self) -> LimitId {
        self.id
    }

    #[inline]
    pub(crate) const fn resource(&self) -> Resource {
        self.id.resource
    }

    pub(crate) const fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Whether what is given back can be told from what is packed: where something may be in transit, how much of it is new
    /// has to be known.
    #[inline]
    pub(crate) const fn gives_back(&self) -> bool {
        self.transit == 0
    }

    /// What is owed at the most beyond the capacity.
    pub(crate) const fn most_owed(&self) -> u64 {
        self.id.amount.saturating_mul(OWED)
    }

    /// The bucket as it is `now`.
    #[inline]
    pub(crate) fn bucket(&self, packed: &Packed, now: Time) -> Bucket {
        let since = Time::from_nanos(packed.since);
        let at = now.max(since);
        let mut bucket = Bucket::new(self.rate, self.window, self.capacity, self.transit, at);
        if self.gives_back() {
            bucket.gave_back = packed.before.checked_sub(1).map(Time::from_nanos);
        }
        if packed.spent > 0 {
            let spent = u128::from(packed.spent) * u128::from(self.unit) + self.in_transit;
            let refilled = bucket.refill(at.nanos() - since.nanos());
            bucket.missing = spent.saturating_sub(refilled);
            (bucket.lifted, bucket.lifted_to) = (since, self.in_transit);
            if !self.gives_back() {
                bucket.before = packed.before.into();
            }
        }
        bucket
    }

    /// Charges `n`, at most the capacity, that leaves now, if it fits beside what is held. For where nothing is ever in transit: no
    /// bucket has to be made up. `None` where it takes more than three words.
    #[inline]
    pub(crate) fn spend(&self, packed: &mut Packed, n: u64, held: u64, now: Time) -> Option<bool> {
        let scaled = |n: u64| u128::from(n) * u128::from(self.window);
        let since = packed.since.max(now.nanos());
        let refilled = u128::from(since - packed.since) * u128::from(self.rate);
        let missing = u128::from(packed.spent) * u128::from(self.unit);
        let charged = missing.saturating_sub(refilled).saturating_add(scaled(n));
        if charged.saturating_add(scaled(held)) > scaled(self.capacity) {
            return Some(false);
        }
        (packed.spent, packed.since) = (self.units(charged)?, since);
        Some(true)
    }

    /// The same for somebody who goes on with it whole. What may be new nobody has kept: where something may be in transit, it is
    /// taken to be everything, so that nothing is given back until the next charges are.
    pub(crate) fn whole(&self, packed: &Packed, now: Time) -> Bucket {
        let mut bucket = self.multiplied(self.bucket(packed, now));
        if !self.gives_back() && bucket.missing > 0 {
            bucket.less_fresh = u64::MAX / 2;
            bucket.turned_before = Time::ZERO;
        }
        bucket
    }

    /// With the limit's own rate and window.
    fn multiplied(&self, mut bucket: Bucket) -> Bucket {
        bucket.rate *= self.divisor;
        bucket.window *= self.divisor;
        bucket.missing *= u128::from(self.divisor);
        bucket
    }

    /// Whether nothing is missing.
    pub(crate) fn is_full(&self, packed: &Packed, now: Time) -> bool {
        packed.spent == 0 || self.bucket(packed, now).missing == 0
    }

    /// The bucket in three words, as of when it was last advanced. `None` where it takes more. What of it is new isn't kept.
    #[inline]
    pub(crate) fn pack(&self, bucket: &Bucket) -> Option<Packed> {
        let at = bucket.at.nanos();
        if self.gives_back() {
            let gave_back = bucket.gave_back;
            return Some(Packed {
                since: at,
                before: gave_back.map_or(0, |at| at.nanos().saturating_add(1)),
                spent: self.units(bucket.missing)?,
            });
        }
        if bucket.missing == 0 {
            return Some(Packed::default());
        }
        // It matters for what is given back later on.
        if bucket.gave_back.is_some() {
            return None;
        }
        // As if it had been lifted so long ago that nothing is in transit any more: so sums stay small.
        let settled = (bucket.ahead() == 0).then(|| at.checked_sub(self.transit));
        let settled = settled.flatten().map(|since| (since, self.in_transit));
        let lifted =
            (bucket.lifted_to == self.in_transit).then_some((bucket.lifted.nanos(), bucket.before));
        let (since, before) = settled.or(lifted)?;
        let charged = bucket.missing.saturating_add(bucket.refill(at - since));
        let spent = self.units(charged.checked_sub(self.in_transit)?)?;
        Some(Packed {
            since,
            before: u64::try_from(before).ok()?,
            spent,
        })
    }

    /// The bucket of somebody else, whole until now, if three words are enough for it.
    pub(crate) fn pack_whole(&self, bucket: &Bucket) -> Option<Packed> {
        let (rate, window) = (self.rate * self.divisor, self.window * self.divisor);
        let is_this = (bucket.rate, bucket.capacity) == (rate, self.capacity)
            && (bucket.window, bucket.transit) == (window, self.transit);
        let none_new = bucket.missing == 0 || (bucket.fresh == 0 && bucket.less_fresh == 0);
        if !is_this || !none_new {
            return None;
        }
        let mut divided = bucket.clone();
        divided.missing = divided.missing.div_ceil(self.divisor.into());
        self.pack(&divided)
    }

    /// What was packed by another mould of the same resource and window: what is missing stays missing.
    pub(crate) fn repack(&self, other: &Self, packed: &Packed, now: Time) -> Option<Packed> {
        let before = other.multiplied(other.bucket(packed, now));
        let at = before.at;
        let mut bucket = Bucket::new(self.rate, self.window, self.capacity, self.transit, at);
        bucket.missing = before.missing.div_ceil(self.divisor.into());
        if bucket.missing > 0 && before.rate != self.rate * self.divisor {
            bucket.gave_back = Some(at);
        }
        self.pack(&bucket)
    }

    /// So much in whole units, rounded up.
    #[inline]
    fn units(&self, scaled: u128) -> Option<u64> {
        match u64::try_from(scaled) {
            Ok(scaled) if self.unit == 1 => Some(scaled),
            Ok(scaled) => Some(scaled.div_ceil(self.unit)),
            Err(_) => u64::try_from(scaled.div_ceil(self.unit.into())).ok(),
        }
    }
}

const fn common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    if a == 0 { 1 } else { a }
}
