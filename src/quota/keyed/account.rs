//! One key's accounts.

use std::{borrow::Borrow, fmt};

use super::{
    super::{
        Grant, Quota, Rank, Reserved,
        books::Books,
        line::Line,
        refusal::{self, rejected},
        sync::Arc,
    },
    agreements::Agreement,
    keys::Keys,
    shard::Id,
    tier::Tier,
};
use crate::{
    clock::Moment,
    core::{
        cost::Cost,
        keyed::{Account, Plan, TakesMore},
        ledger::Fit,
        limit::LimitId,
        settlement::{Departure, Settle},
        time::Time,
    },
    error::{Reason, Refusal, Rejected},
};

/// One key's accounts, wherever they are: packed among those of all others, or whole.
#[derive(Clone)]
pub(in crate::quota) struct KeyAccount {
    pub(super) keys: Arc<Keys>,
    pub(super) tier: Tier,
    pub(super) id: Id,
    /// As of when it has this tier.
    pub(super) epoch: u32,
}

/// Packed accounts, for a refusal to tell of.
struct Packed<'a>(&'a Plan, &'a [Account], Time);

impl refusal::Books for Packed<'_> {
    fn limit(&self, index: usize) -> (LimitId, u64) {
        let Self(plan, accounts, now) = *self;
        (plan.mould(index).id(), plan.left(accounts, index, now))
    }

    fn max_per_request(&self) -> u64 {
        self.0.max_per_request()
    }
}

/// The refusal of `cost`, by packed accounts of which it doesn't fit.
#[cold]
pub(super) fn refuse<E: From<Rejected>>(
    plan: &Plan,
    accounts: &[Account],
    cost: &Cost,
    now: Time,
) -> E {
    let fit = plan.fit(accounts, cost, now);
    let packed = Packed(plan, accounts, now);
    rejected(&packed, cost, fit, None, Reason::LimitReached, now)
}

impl KeyAccount {
    /// Whether what the key has agreed to isn't what it has any more.
    #[inline]
    pub(super) fn outdates(&self, agreement: &Agreement) -> bool {
        !agreement.is_current(agreement.epoch.max(self.epoch))
    }

    /// Names it among all quotas.
    pub(in crate::quota) fn name(&self) -> usize {
        // An odd number is nobody's address.
        let keys = Arc::as_ptr(&self.keys) as usize;
        (self.id.low() as usize ^ keys.rotate_left(32)) | 1
    }

    pub(in crate::quota) const fn tier(&self) -> &Tier {
        &self.tier
    }

    /// A quota, whose line it is from now on.
    pub(in crate::quota) fn line(&self) -> Arc<Line> {
        let whole = self.keys.with(self, true, |_, _| Err::<(), _>(TakesMore));
        whole.err().unwrap_or_else(|| self.copy())
    }

    /// A quota that is as this is now.
    pub(in crate::quota) fn copy(&self) -> Arc<Line> {
        self.keys.copy(self)
    }

    pub(in crate::quota) fn now(&self) -> Time {
        self.keys.now()
    }

    /// Holds `cost` where it fits; where it doesn't, a refusal, or the line that it is to be asked of.
    #[inline]
    fn ask<E>(
        &self,
        cost: &Cost,
        otherwise: impl Fn(&Plan, &[Account], Time) -> Result<E, TakesMore>,
    ) -> Result<Result<(), E>, Arc<Line>> {
        self.keys.with(self, true, |plan, accounts| {
            // What fitted when they were written last, fits: it needs no look at the clock.
            if !plan.fits(accounts, cost, Time::ZERO) {
                let now = self.keys.now();
                if !plan.fits(accounts, cost, now) {
                    return otherwise(plan, accounts, now).map(Err);
                }
            }
            plan.hold(accounts, cost).map(Ok)
        })
    }

    fn granted(&self, cost: &Cost, rank: Rank) -> Grant {
        self.tier.watch().granted(rank.class);
        Grant::new(Books::Key(self.clone()), cost.clone(), false)
    }

    /// Takes `cost` now, or says when to come back.
    pub(in crate::quota) fn try_reserve<E>(
        &self,
        cost: &Cost,
        begun: bool,
        rank: Rank,
    ) -> Result<Grant, E>
    where
        E: From<Rejected> + Borrow<Rejected>,
    {
        let asked = self.ask(cost, |plan, accounts, now| {
            Ok(refuse(plan, accounts, cost, now))
        });
        match asked {
            Ok(Ok(())) => Ok(self.granted(cost, rank)),
            Ok(Err(refusal)) => {
                self.tier.watch().refused(E::borrow(&refusal));
                Err(refusal)
            }
            Err(line) => Quota::of(line).try_reserve(cost, begun, rank),
        }
    }

    /// Takes `cost` now, or a place in line for it.
    pub(in crate::quota) fn reserve(&self, cost: &Cost, begun: bool, rank: Rank) -> Reserved {
        let asked = self.ask(cost, |plan, accounts, now| {
            match plan.fit(accounts, cost, now) {
                Fit::Never { .. } => Ok(refuse(plan, accounts, cost, now)),
                _ => Err(TakesMore),
            }
        });
        match asked {
            Ok(Ok(())) => Reserved::Granted(self.granted(cost, rank)),
            Ok(Err(refusal)) => {
                self.tier.watch().refused(Refusal::borrow(&refusal));
                Reserved::Refused(refusal)
            }
            Err(line) => Quota::of(line).reserve(cost, begun, rank),
        }
    }

    /// What was held leaves now.
    pub(in crate::quota) fn date(&self, cost: &Cost, now: Moment) -> Result<Departure, Arc<Line>> {
        let at = self.keys.time(now);
        self.keys.with(self, false, |plan, accounts| {
            plan.date(accounts, cost, at)?;
            Ok(Departure { at, mark: None })
        })
    }

    /// What is held goes back.
    pub(in crate::quota) fn release(&self, cost: &Cost) -> Result<(), Arc<Line>> {
        self.keys.with(self, false, |plan, accounts| {
            plan.release(accounts, cost);
            Ok(())
        })
    }

    /// What left at `dated` has never arrived; `held`: it is held again.
    pub(in crate::quota) fn refund(
        &self,
        cost: &Cost,
        dated: Time,
        held: bool,
    ) -> Result<(), Arc<Line>> {
        let now = self.keys.now();
        self.keys.with(self, false, |plan, accounts| {
            if held {
                plan.hold(accounts, cost)?;
            }
            let refunded = plan.refund(accounts, cost, dated, now);
            if held && refunded.is_err() {
                plan.release(accounts, cost);
            }
            refunded
        })
    }

    /// What left at `dated` turned out to be another cost.
    pub(in crate::quota) fn settle(
        &self,
        costs: (&Cost, &Cost),
        policy: Settle,
        dated: Time,
    ) -> Result<(), Arc<Line>> {
        let now = self.keys.now();
        self.keys.with(self, false, |plan, accounts| {
            plan.settle(accounts, costs, policy, dated, now)
        })
    }
}

impl fmt::Debug for KeyAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyAccount").finish_non_exhaustive()
    }
}
