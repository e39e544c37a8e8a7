//! What of an account outlives the process.
//!
//! All instants stay on the time line of the ledger that was saved: whoever goes on from it goes on there.

use super::{Meter, account::Account};
use crate::core::{
    limit::Limit,
    time::{Time, nanos},
};

/// A limit's account as it was saved. What was held then counts as sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct SavedMeter {
    pub(crate) resource: String,
    pub(crate) window: u64,
    pub(crate) stated: u64,
    used: u64,
    paused: u64,
    account: SavedAccount,
    pace: Option<SavedBucket>,
    // Since when a bucket is kept as a rolling window, because others take from it.
    shared: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub(super) enum SavedAccount {
    Rolling(SavedRolling),
    Bucket(SavedBucket),
    Fixed(SavedFixed),
}

/// When each charge expires, and how much it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct SavedRolling {
    pub(super) spent: Vec<(u64, u64)>,
    pub(super) others: Option<SavedOthers>,
}

/// Whole units, and what is beyond them in units × nanoseconds of the window.
pub(super) type Missing = (u64, u64);

#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct SavedBucket {
    pub(super) missing: Missing,
    pub(super) at: u64,
    pub(super) lifted: u64,
    pub(super) lifted_to: Missing,
    pub(super) before: Missing,
    pub(super) fresh: u64,
    pub(super) turned: u64,
    pub(super) less_fresh: u64,
    pub(super) turned_before: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct SavedFixed {
    // The first and the last instant at which it may end, and when its opener left.
    pub(super) end: Option<(u64, u64, Option<u64>)>,
    pub(super) used: u64,
    pub(super) since: u64,
    pub(super) begun: u64,
    pub(super) next: u64,
    pub(super) straddling: Option<(u64, u64)>,
    pub(super) counted: u64,
    pub(super) others: Option<SavedOthers>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct SavedOthers {
    pub(super) newest: u64,
    pub(super) peaks: Vec<u64>,
    pub(super) fading: u64,
}

/// Why a saved account can't be gone on from.
pub(crate) type Nonsense = &'static str;

/// No account comes to more than this, so that what is read can't overflow.
const MOST: u64 = 1 << 54;

/// An amount that is believed.
pub(super) const fn amount(n: u64) -> Result<u64, Nonsense> {
    if n > MOST {
        return Err("an amount is more than can be counted");
    }
    Ok(n)
}

/// An instant up to `latest`.
pub(super) fn until(at: u64, latest: Time) -> Result<Time, Nonsense> {
    if at > latest.nanos() {
        return Err("an instant is too far in the future");
    }
    Ok(Time::from_nanos(at))
}

impl Meter {
    /// `None` for a limit that nobody knows yet.
    pub(crate) fn save(&self, now: Time) -> Option<SavedMeter> {
        let mut sent = self.clone();
        sent.date(self.held, now);
        Some(SavedMeter {
            resource: self.id.resource.to_string(),
            window: nanos(self.id.window),
            stated: self.stated,
            used: sent.used(),
            paused: self.paused.nanos(),
            account: match &sent.account {
                // What a store counts it keeps.
                Account::Unknown | Account::Stock(_) => return None,
                Account::Rolling(account) => SavedAccount::Rolling(account.save()),
                Account::Bucket(account) => SavedAccount::Bucket(account.save()),
                Account::Fixed(account) => SavedAccount::Fixed(account.save()),
            },
            pace: sent.pace.as_ref().map(super::Bucket::save),
            shared: self.shared.kept_rolling().map(Time::nanos),
        })
    }

    /// Whether it was this limit that was saved, whatever its amount was.
    pub(crate) fn was(&self, saved: &SavedMeter) -> bool {
        self.is_known()
            && nanos(self.id.window) == saved.window
            && self.id.resource.to_string() == saved.resource
    }

    /// Whether it is yet to be learnt, and may be this.
    pub(crate) fn may_be(&self, saved: &SavedMeter) -> bool {
        !self.is_known() && self.id.resource.to_string() == saved.resource
    }

    /// The limit that was saved, as this meter's.
    pub(crate) fn limit_of(&self, saved: &SavedMeter) -> Limit {
        let window = std::time::Duration::from_nanos(saved.window);
        Limit::new(self.id.resource, saved.stated, window)
    }

    /// Goes on from what was `saved` then; the account is new, and begins `now`. Where the limit has another shape
    /// meanwhile, all that counted then is charged now.
    pub(crate) fn restore(
        &mut self,
        saved: &SavedMeter,
        then: Time,
        now: Time,
    ) -> Result<(), Nonsense> {
        // A year's pause and more may be by hand.
        self.paused = Time::from_nanos(saved.paused);
        // With all the slack that a limit can have.
        let latest = then.nanos().saturating_add(saved.window.saturating_mul(8));
        let latest = Time::from_nanos(latest);
        if let Some(since) = saved.shared {
            self.share_since(until(since, then)?, now);
        }
        match (&mut self.account, &saved.account) {
            (Account::Rolling(account), SavedAccount::Rolling(saved)) => {
                account.restore(saved, latest)?;
            }
            (Account::Bucket(account), SavedAccount::Bucket(saved)) => {
                account.restore(saved, then)?;
            }
            (Account::Fixed(account), SavedAccount::Fixed(saved)) => {
                account.restore(saved, latest, then)?;
            }
            _ => {
                let used = amount(saved.used)?;
                self.charge(used, now);
                return Ok(());
            }
        }
        if let (Some(pace), Some(saved)) = (&mut self.pace, &saved.pace) {
            pace.restore(saved, then)?;
        }
        Ok(())
    }
}
