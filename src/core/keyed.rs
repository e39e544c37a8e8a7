//! The accounts of one key among a million: a few words a limit, by a plan that many share.
//!
//! They decide what a [`Ledger`](super::ledger::Ledger) of the same limits would decide. What it takes more for they don't do:
//! whoever asks then goes on with a ledger, which the accounts are [moved](Plan::unpack) to and [back](Plan::pack).

mod small;

pub(crate) use self::small::Small;

use super::{
    cost::{Cost, Resource},
    ledger::{Blame, Fit, Ledger},
    meter::{Mould, Packed},
    settlement::Settle,
    time::Time,
};

/// One limit's account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    packed: Packed,
    held: u32,
    /// A mark of its owner's own, where there is room for one.
    pub(crate) mark: bool,
}

/// It takes more than what is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TakesMore;

/// What the accounts of all keys with the same limits have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    moulds: Box<[Mould]>,
    max_per_request: u64,
}

/// More limits than these aren't packed.
pub(crate) const LIMITS: usize = 4;

impl Plan {
    /// `None` for more limits than are packed, or for none.
    pub(crate) fn new(moulds: Vec<Mould>, max_per_request: u64) -> Option<Self> {
        (1..=LIMITS).contains(&moulds.len()).then(|| Self {
            moulds: moulds.into(),
            max_per_request,
        })
    }

    /// How many accounts it has.
    pub(crate) const fn len(&self) -> usize {
        self.moulds.len()
    }

    pub(crate) fn mould(&self, index: usize) -> &Mould {
        &self.moulds[index]
    }

    pub(crate) const fn max_per_request(&self) -> u64 {
        self.max_per_request
    }

    /// Whether `cost` fits now.
    #[inline]
    pub(crate) fn fits(&self, accounts: &[Account], cost: &Cost, now: Time) -> bool {
        let fits = |(mould, account): (&Mould, &Account)| match cost.of(mould.resource()) {
            0 => true,
            n => {
                n <= mould.capacity()
                    && mould
                        .bucket(&account.packed, now)
                        .fits(n, account.held.into())
            }
        };
        cost.of(Resource::Tokens) <= self.max_per_request
            && self.moulds.iter().zip(accounts).all(fits)
    }

    /// When `cost` fits.
    #[cold]
    pub(crate) fn fit(&self, accounts: &[Account], cost: &Cost, now: Time) -> Fit {
        if cost.of(Resource::Tokens) > self.max_per_request {
            return Fit::Never {
                blame: Blame::PerRequest,
            };
        }
        let too_large = |mould: &Mould| cost.of(mould.resource()) > mould.capacity();
        if let Some(index) = self.moulds.iter().position(too_large) {
            return Fit::Never {
                blame: Blame::Limit(index),
            };
        }
        let (mut at, mut last) = (now, None);
        for (index, (mould, account)) in self.moulds.iter().zip(accounts).enumerate() {
            let n = cost.of(mould.resource());
            if n > 0 {
                let bucket = mould.bucket(&account.packed, now);
                let later = bucket.earliest(n, account.held.into(), at);
                if later > at {
                    (at, last) = (later, Some(index));
                }
            }
        }
        match last {
            Some(index) => Fit::At {
                at,
                blame: Blame::Limit(index),
            },
            None => Fit::Now,
        }
    }

    /// What is left of the limit of this index.
    pub(crate) fn left(&self, accounts: &[Account], index: usize, now: Time) -> u64 {
        let (mould, account) = (&self.moulds[index], &accounts[index]);
        let used = mould.bucket(&account.packed, now).used();
        let taken = used.saturating_add(account.held.into());
        mould.capacity().saturating_sub(taken)
    }

    /// Takes `cost` without a date.
    pub(crate) fn hold(&self, accounts: &mut [Account], cost: &Cost) -> Result<(), TakesMore> {
        let mut held = [0; LIMITS];
        for ((mould, account), held) in self.moulds.iter().zip(&*accounts).zip(&mut held) {
            let n = u32::try_from(cost.of(mould.resource()));
            let sum = n.ok().and_then(|n| account.held.checked_add(n));
            *held = sum.ok_or(TakesMore)?;
        }
        for (account, held) in accounts.iter_mut().zip(held) {
            account.held = held;
        }
        Ok(())
    }

    /// Gives back what is held.
    pub(crate) fn release(&self, accounts: &mut [Account], cost: &Cost) {
        for (mould, account) in self.moulds.iter().zip(accounts) {
            let n = u32::try_from(cost.of(mould.resource())).unwrap_or(u32::MAX);
            account.held = account.held.saturating_sub(n);
        }
    }

    /// Charges what left now and isn't held.
    #[inline]
    pub(crate) fn charge(
        &self,
        accounts: &mut [Account],
        cost: &Cost,
        now: Time,
    ) -> Result<(), TakesMore> {
        self.change(accounts, |mould, packed| {
            let n = cost.of(mould.resource());
            if n == 0 {
                return Some(*packed);
            }
            let mut bucket = mould.bucket(packed, now);
            bucket.charge(n);
            mould.pack(&bucket)
        })
    }

    /// Charges `cost` for what leaves now, if it fits.
    #[inline]
    pub(crate) fn spend(
        &self,
        accounts: &mut [Account],
        cost: &Cost,
        now: Time,
    ) -> Result<bool, TakesMore> {
        if cost.of(Resource::Tokens) > self.max_per_request {
            return Ok(false);
        }
        // Most have one limit, and what is moved about is most of what that costs.
        if let ([mould], [account]) = (&*self.moulds, &mut *accounts) {
            return spend(mould, account, cost, now);
        }
        let mut all = [Packed::default(); LIMITS];
        for ((mould, account), packed) in self.moulds.iter().zip(&*accounts).zip(&mut all) {
            let mut spent = *account;
            if !spend(mould, &mut spent, cost, now)? {
                return Ok(false);
            }
            *packed = spent.packed;
        }
        for (account, packed) in accounts.iter_mut().zip(all) {
            account.packed = packed;
        }
        Ok(true)
    }

    /// What was held has left now.
    pub(crate) fn date(
        &self,
        accounts: &mut [Account],
        cost: &Cost,
        now: Time,
    ) -> Result<(), TakesMore> {
        self.charge(accounts, cost, now)?;
        self.release(accounts, cost);
        Ok(())
    }

    /// What left at `dated` turned out to be another cost; less is given back by policy.
    pub(crate) fn settle(
        &self,
        accounts: &mut [Account],
        (charged, used): (&Cost, &Cost),
        policy: Settle,
        dated: Time,
        now: Time,
    ) -> Result<(), TakesMore> {
        let down = matches!(policy, Settle::TrueUp | Settle::RealTime);
        self.change(accounts, |mould, packed| {
            let resource = mould.resource();
            let (charged, used) = (charged.of(resource), used.of(resource));
            let mut bucket = mould.bucket(packed, now);
            if used > charged {
                bucket.owe(used - charged, mould.most_owed());
            } else if down && used < charged {
                if !mould.gives_back() {
                    return None;
                }
                bucket.give_back(charged - used, dated);
            } else {
                return Some(*packed);
            }
            mould.pack(&bucket)
        })
    }

    /// What left at `dated` has never arrived.
    pub(crate) fn refund(
        &self,
        accounts: &mut [Account],
        cost: &Cost,
        dated: Time,
        now: Time,
    ) -> Result<(), TakesMore> {
        self.change(accounts, |mould, packed| {
            let n = cost.of(mould.resource());
            if n == 0 {
                return Some(*packed);
            }
            if !mould.gives_back() {
                return None;
            }
            let mut bucket = mould.bucket(packed, now);
            bucket.refund(n, dated);
            mould.pack(&bucket)
        })
    }

    /// All or none of them.
    #[inline]
    fn change(
        &self,
        accounts: &mut [Account],
        change: impl Fn(&Mould, &Packed) -> Option<Packed>,
    ) -> Result<(), TakesMore> {
        let mut changed = [Packed::default(); LIMITS];
        for ((mould, account), packed) in self.moulds.iter().zip(&*accounts).zip(&mut changed) {
            *packed = change(mould, &account.packed).ok_or(TakesMore)?;
        }
        for (account, packed) in accounts.iter_mut().zip(changed) {
            account.packed = packed;
        }
        Ok(())
    }

    /// Whether nothing is spent or held.
    pub(crate) fn is_idle(&self, accounts: &[Account], now: Time) -> bool {
        (self.moulds.iter().zip(accounts))
            .all(|(mould, account)| account.held == 0 && mould.is_full(&account.packed, now))
    }

    /// The accounts of a ledger of these limits, as it was last advanced, if that is all it comes to.
    pub(crate) fn pack(&self, ledger: &Ledger) -> Option<[Account; LIMITS]> {
        let meters = ledger.meters();
        if meters.len() != self.len() || ledger.in_flight() > 0 || ledger.is_paused() {
            return None;
        }
        let mut accounts = [Account::default(); LIMITS];
        for ((mould, meter), account) in self.moulds.iter().zip(meters).zip(&mut accounts) {
            account.packed = meter.pack(mould, ledger.now())?;
            account.held = u32::try_from(meter.held()).ok()?;
        }
        Some(accounts)
    }

    /// Moves accounts to a new ledger of these limits, which was advanced to now.
    pub(crate) fn unpack(&self, accounts: &[Account], ledger: &mut Ledger) {
        let now = ledger.now();
        for ((mould, account), meter) in self.moulds.iter().zip(accounts).zip(ledger.meters_mut()) {
            meter.unpack(mould, &account.packed, account.held.into(), now);
        }
    }

    /// The accounts for this plan of somebody who had others by another: what is spent and held of a limit of the same
    /// resource and window stays so.
    pub(crate) fn repack(
        &self,
        other: &Self,
        before: &[Account],
        now: Time,
    ) -> Result<[Account; LIMITS], TakesMore> {
        let mut accounts = [Account::default(); LIMITS];
        for (mould, account) in self.moulds.iter().zip(&mut accounts) {
            let same = |other: &Mould| {
                other.resource() == mould.resource() && other.id().window == mould.id().window
            };
            if let Some(index) = other.moulds.iter().position(same) {
                let (other, before) = (&other.moulds[index], &before[index]);
                let packed = mould.repack(other, &before.packed, now).ok_or(TakesMore)?;
                (account.packed, account.held) = (packed, before.held);
            }
        }
        Ok(accounts)
    }
}

/// Charges `cost` to one limit's account for what leaves now, if it fits.
#[inline]
fn spend(mould: &Mould, account: &mut Account, cost: &Cost, now: Time) -> Result<bool, TakesMore> {
    let n = cost.of(mould.resource());
    if n == 0 {
        return Ok(true);
    }
    if n > mould.capacity() {
        return Ok(false);
    }
    let held = account.held.into();
    if mould.gives_back() {
        return mould
            .spend(&mut account.packed, n, held, now)
            .ok_or(TakesMore);
    }
    let mut bucket = mould.bucket(&account.packed, now);
    if !bucket.fits(n, held) {
        return Ok(false);
    }
    bucket.charge(n);
    account.packed = mould.pack(&bucket).ok_or(TakesMore)?;
    Ok(true)
}
