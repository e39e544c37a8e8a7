//! What is kept for the more urgent.

use super::{Priority, QuotaBuilder};
use crate::{
    core::{ledger::Spare, queue::CLASSES},
    error::ConfigError,
};

impl QuotaBuilder {
    /// Keeps the last part of every limit, of this share, and of the places in flight, for requests that are at least as
    /// urgent: whoever is less urgent finds it taken, until it has waited for as long as its [priority](Priority) counts as having come later.
    /// Whoever asks for more than the rest goes where nothing is taken, and so takes of what is kept: nobody is shut out for good.
    /// May be said once for each of several priorities; what is kept for each is kept from all that are less urgent.
    ///
    /// ```
    /// use tower_quota::{Limit, Priority, Quota};
    ///
    /// // Background work uses 70 % at the most as long as others may come, the standard 90 %.
    /// let quota = Quota::builder()
    ///     .limit(Limit::tokens_per_minute(100_000))
    ///     .keep_for(Priority::Interactive, 0.1)
    ///     .keep_for(Priority::Standard, 0.2)
    ///     .build()?;
    /// # let _ = quota; Ok::<(), tower_quota::ConfigError>(())
    /// ```
    pub fn keep_for(mut self, priority: Priority, share: f64) -> Self {
        self.kept.push((priority, share));
        self
    }

    /// What has to stay free beside the requests of each class.
    pub(super) fn kept(&self) -> [Spare; CLASSES] {
        std::array::from_fn(|class| {
            let kept =
                (self.kept.iter()).filter(|(priority, _)| usize::from(priority.class()) < class);
            let share: f64 = kept.map(|(_, share)| share).sum();
            Spare::millionths((share * 1e6).round() as u32)
        })
    }

    pub(super) fn check_kept(&self) -> Result<(), ConfigError> {
        let refuse = |problem: String| Err(ConfigError::new("keep_for", problem));
        for (index, (priority, share)) in self.kept.iter().enumerate() {
            let same = |other: &&(Priority, f64)| other.0.class() == priority.class();
            if let Some((_, before)) = self.kept[..index].iter().find(same) {
                return refuse(format!(
                    "{share} for {priority:?}, for whom {before} is kept already"
                ));
            }
            if !(*share > 0.0 && *share < 1.0) {
                return refuse(format!(
                    "{share} for {priority:?} is not a share between 0 and 1"
                ));
            }
            if usize::from(priority.class()) == CLASSES - 1 {
                return refuse(format!(
                    "nobody is less urgent than {priority:?}, from whom {share} could be kept"
                ));
            }
        }
        let kept: f64 = self.kept.iter().map(|(_, share)| share).sum();
        if kept >= 1.0 {
            return refuse(format!(
                "{kept} kept in all leaves nothing for the least urgent"
            ));
        }
        Ok(())
    }
}
