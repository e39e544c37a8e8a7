//! A key's quota, as long as its accounts aren't packed.

use super::{
    super::{Quota, QuotaBuilder, builder, line::Line, sync::Arc},
    shard::State,
};
use crate::core::keyed::{Account, LIMITS, Plan};

impl Line {
    pub(in crate::quota) fn settings_shared(&self) -> Arc<QuotaBuilder> {
        Arc::clone(&self.settings)
    }

    /// Goes on from packed accounts, with nothing spent so far.
    pub(super) fn unpack(&self, plan: &Plan, accounts: &[Account]) {
        self.with(|ledger| plan.unpack(accounts, ledger));
    }

    /// Its accounts, packed, where that is all that they come to. For one that nobody else has a handle on, so that nobody waits.
    pub(super) fn pack(&self, plan: Option<&Plan>) -> Option<State> {
        self.with(|ledger| match plan {
            Some(plan) => {
                let accounts: [Account; LIMITS] = plan.pack(ledger)?;
                Some(State::of(plan, &accounts))
            }
            // What isn't packed is told by nothing.
            None => ledger.is_idle().then(|| State::Unspent),
        })
    }

    /// Whether nothing is spent, held or paused.
    pub(super) fn is_idle(&self) -> bool {
        self.with(|ledger| ledger.is_idle())
    }

    /// Goes on from what another has spent of the limits that both have; with nothing spent so far.
    pub(super) fn go_on_from(&self, other: &Self) {
        let saved = other.read(|ledger, _| ledger.save());
        let settings = self.settings();
        let planned = |amount| builder::planned(amount, settings.headroom);
        self.with(|ledger| {
            // They may have none in common.
            let _ = ledger.restore(&saved, ledger.now(), settings.adopt, planned);
        });
    }

    /// The amounts are others, and nothing else is.
    pub(super) fn resize_all(self: &Arc<Self>, settings: &QuotaBuilder) {
        let quota = Quota::of(Arc::clone(self));
        for limit in &settings.limits {
            // All of them are its own, and were checked.
            let _ = quota.resize(limit.clone());
        }
    }
}
