//! What of a quota outlives the process.

use std::time::{Duration, SystemTime};

use super::{Quota, QuotaBuilder, sync::Arc};
use crate::{
    core::{ledger::SavedLedger, time::Time},
    error::ConfigError,
};

/// How it is written. Another one is refused.
const FORMAT: u32 = 1;

/// A program that was down for longer was down for so long: ten years.
const LONGEST: Duration = Duration::from_secs(10 * 366 * 86_400);

/// What was spent of a quota's limits, to go on from after a restart. From [`Quota::save`], for
/// [`QuotaBuilder::restore`].
///
/// With the feature `serde` it can be serialised and read again: JSON, a few hundred bytes, for a rolling limit up to 40 kB. What it
/// contains is for this crate alone; its `format` is 1, and others are refused by [`build`](QuotaBuilder::build).
///
/// | what | after a restart |
/// |---|---|
/// | what left and counts | counts on, until the same instant |
/// | what was granted and hadn't left | counts as if it had left when it was saved |
/// | time that passed while the program was down | counts; where the clock went back, none has passed |
/// | pauses | go on |
/// | limits whose amounts changed meanwhile | keep what is spent; where the quota [adopts](QuotaBuilder::adopt), the amounts that answers stated |
/// | limits whose shape changed | what counted is charged as if it had left at the restart |
/// | limits that are new, or gone | begin unspent, are forgotten |
/// | what left after it was last saved | is lost: save often, and the last time when nothing is sent any more |
/// | places in flight, those in line, quotas of keys | begin anew |
/// | whether the provider gives back, and how much may go at once after a 429 | is learnt anew |
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SavedState {
    format: u32,
    // Since 1970.
    saved_at: Duration,
    pool: Option<String>,
    accounts: SavedLedger,
}

impl SavedState {
    /// When it was saved, by the clock of that time.
    pub fn saved_at(&self) -> SystemTime {
        let at = SystemTime::UNIX_EPOCH.checked_add(self.saved_at);
        at.unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

/// A saved state, and the time by the clock that goes on from it.
#[derive(Clone, Debug)]
pub(super) struct Restored {
    pub(super) state: SavedState,
    pub(super) wall: SystemTime,
}

impl Restored {
    /// How long it was down.
    pub(super) fn down(&self) -> Duration {
        let down = self.wall.duration_since(self.state.saved_at());
        // A clock that went back has let no time pass, and one that leapt not more than anything lasts here.
        down.unwrap_or_default().min(LONGEST)
    }

    /// What the ledger's time is now.
    pub(super) fn now(&self) -> Time {
        self.state.accounts.then().after(self.down())
    }

    pub(super) const fn accounts(&self) -> &SavedLedger {
        &self.state.accounts
    }

    /// Whether it can be gone on from by a quota of that name.
    pub(super) fn check(&self, pool: Option<&str>) -> Result<(), ConfigError> {
        let format = self.state.format;
        if format != FORMAT {
            return Err(nonsense(format!(
                "a state of format {format}: this version reads {FORMAT}"
            )));
        }
        if let (Some(saved), Some(pool)) = (self.state.pool.as_deref(), pool)
            && saved != pool
        {
            return Err(nonsense(format!(
                "a state of the quota {saved:?} for one that is called {pool:?}"
            )));
        }
        Ok(())
    }
}

/// A state that can't be gone on from.
pub(super) fn nonsense(problem: impl Into<String>) -> ConfigError {
    ConfigError::new("restore", problem)
}

impl Quota {
    /// What is spent, to go on from after a restart.
    ///
    /// Write it where a crash can't leave half of it: into another file first, renamed when it is whole.
    ///
    #[cfg_attr(feature = "serde", doc = "```")]
    #[cfg_attr(not(feature = "serde"), doc = "```ignore")]
    /// use tower_quota::{Cost, Limit, Quota, quota::SavedState};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let file = std::env::temp_dir().join(format!("tower-quota-{}.json", std::process::id()));
    /// let builder = Quota::builder().limit(Limit::requests_per_day(10_000));
    /// let quota = builder.clone().build()?;
    /// drop(quota.try_acquire(Cost::request())?);
    ///
    /// // Every few seconds, and at the end:
    /// let half = file.with_extension("half");
    /// std::fs::write(&half, serde_json::to_vec(&quota.save())?)?;
    /// std::fs::rename(&half, &file)?;
    ///
    /// // After a restart:
    /// let saved: SavedState = serde_json::from_slice(&std::fs::read(&file)?)?;
    /// let quota = builder.restore(saved).build()?;
    /// assert_eq!(quota.snapshot().limits[0].left, 9_999);
    /// # Ok(std::fs::remove_file(&file)?) }
    /// ```
    pub fn save(&self) -> SavedState {
        self.save_at(SystemTime::now())
    }

    /// The same where the clock on the wall says so.
    pub fn save_at(&self, wall: SystemTime) -> SavedState {
        let line = self.books.look();
        SavedState {
            format: FORMAT,
            saved_at: (wall.duration_since(SystemTime::UNIX_EPOCH)).unwrap_or_default(),
            pool: line.watch.pool().map(str::to_owned),
            accounts: line.read(|ledger, _| ledger.save()),
        }
    }
}

impl QuotaBuilder {
    /// Goes on from a saved state instead of with everything unspent, see [`SavedState`].
    /// [`build`](Self::build) refuses one of another format, of a quota with another name, without any limit of this one, or whose
    /// figures make no sense.
    pub fn restore(self, saved: SavedState) -> Self {
        self.restore_at(saved, SystemTime::now())
    }

    /// The same where the clock on the wall says so.
    pub fn restore_at(mut self, saved: SavedState, wall: SystemTime) -> Self {
        let restored = Restored { state: saved, wall };
        self.restored = Some(Arc::new(restored));
        self
    }
}
