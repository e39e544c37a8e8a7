//! A limit that a store counts.

use super::{Account, Meter, Stock};
use crate::core::{
    limit::{Limit, LimitId, Shape},
    pool::{Change, PoolLimit, PoolShape},
    time::{Time, nanos},
};

impl Meter {
    /// The account of a limit that a store counts; `amount` is what to plan with, `slots` how finely a rolling window is kept.
    pub(crate) fn stocked(limit: &Limit, amount: u64, transit: u64, slots: u32, now: Time) -> Self {
        let micros = |nanos: u64| nanos.div_ceil(1_000);
        let window = micros(nanos(limit.window)).max(1);
        let shape = match &limit.shape {
            None | Some(Shape::Rolling) => PoolShape::Rolling,
            Some(Shape::Bucket) => PoolShape::Bucket,
            Some(Shape::Fixed(_)) => PoolShape::Fixed,
        };
        let stock = Stock::new(PoolLimit {
            shape,
            amount,
            window,
            transit: micros(transit),
            step: (window / u64::from(slots.max(1))).max(1),
            burst: limit.burst.unwrap_or(0),
            ends: [0; 2],
        });
        let mut meter = Self::new(limit, amount, None, now);
        meter.id = LimitId {
            amount,
            ..limit.id()
        };
        (meter.account, meter.pace) = (Account::Stock(Box::new(stock)), None);
        meter
    }

    /// Something that the store has to be told.
    pub(crate) fn tell(&mut self, change: Change) {
        if let Some(stock) = self.stock_mut() {
            stock.tell(change);
        }
    }

    /// How much may go at once since the provider has refused something that fitted.
    pub(crate) fn braked(&self) -> Option<u64> {
        self.brake.as_deref().map(|brake| brake.pace.capacity())
    }

    #[inline]
    pub(crate) fn stock(&self) -> Option<&Stock> {
        match &self.account {
            Account::Stock(stock) => Some(stock),
            _ => None,
        }
    }

    pub(crate) fn stock_mut(&mut self) -> Option<&mut Stock> {
        match &mut self.account {
            Account::Stock(stock) => Some(stock),
            _ => None,
        }
    }
}
