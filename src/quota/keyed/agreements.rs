//! What keys have agreed to.

use std::collections::HashMap;

use super::{
    super::sync::Arc,
    tier::{Terms, Tier},
};

/// What keys of one tier have agreed to: as of a change of the tier, and of the whole.
pub(super) struct Agreement {
    pub(super) tier: Tier,
    pub(super) version: u64,
    pub(super) epoch: u32,
    pub(super) terms: Arc<Terms>,
    // How many keys have.
    keys: u32,
}

impl Agreement {
    /// Whether it is that of now.
    #[inline]
    pub(super) fn is_current(&self, epoch: u32) -> bool {
        self.epoch == epoch && self.version == self.tier.each().version()
    }
}

/// All that any key has agreed to, each once.
#[derive(Default)]
pub(super) struct Agreements {
    all: Vec<Option<Agreement>>,
    // Where they are, by tier, version and epoch.
    named: HashMap<(usize, u64, u32), u32>,
    // Where those that aren't any more were.
    free: Vec<u32>,
}

impl Agreements {
    #[inline]
    pub(super) fn get(&self, at: u32) -> Option<&Agreement> {
        self.all.get(at as usize)?.as_ref()
    }

    /// One more key has that tier, as it is now.
    pub(super) fn agree(&mut self, tier: &Tier, epoch: u32) -> (u32, &Agreement) {
        let each = tier.each();
        let version = each.version();
        let name = (tier.name(), version, epoch);
        let at = match self.named.get(&name) {
            Some(at) => *at,
            None => {
                let at = self.free.pop().unwrap_or(self.all.len() as u32);
                if at as usize == self.all.len() {
                    self.all.push(None);
                }
                self.named.insert(name, at);
                at
            }
        };
        let agreement = self.all[at as usize].get_or_insert_with(|| Agreement {
            tier: tier.clone(),
            version,
            epoch,
            terms: each.terms(),
            keys: 0,
        });
        agreement.keys += 1;
        (at, agreement)
    }

    /// One key less; the last one's agreement.
    pub(super) fn leave(&mut self, at: u32) -> Option<Agreement> {
        let place = self.all.get_mut(at as usize)?;
        let agreement = place.as_mut()?;
        agreement.keys -= 1;
        if agreement.keys > 0 {
            return None;
        }
        let name = (agreement.tier.name(), agreement.version, agreement.epoch);
        self.named.remove(&name);
        self.free.push(at);
        place.take()
    }
}
