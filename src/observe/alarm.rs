//! What a quota keeps so that an alert is told once.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use super::{Alert, Alerts, alerts::is_telling};
use crate::{
    core::{
        edges::{self, Share, WHOLE},
        limit::LimitId,
        time::Time,
    },
    lock::lock,
    verdict::Verdict,
};

/// How much of a limit is used, and was before this was added to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Level {
    pub(crate) limit: LimitId,
    pub(crate) before: u64,
    pub(crate) used: u64,
    /// What it holds at most.
    pub(crate) most: u64,
}

/// What a quota keeps so that an alert is told once.
#[derive(Debug)]
pub(crate) struct Alarm {
    alerts: Alerts,
    pool: Option<Arc<str>>,
    // By limit: a bit for each threshold that was told.
    above: Mutex<Vec<u8>>,
    refused: Mutex<Share>,
    broke: AtomicBool,
}

impl Alarm {
    pub(crate) fn new(alerts: Alerts, pool: Option<Arc<str>>) -> Self {
        Self {
            refused: Mutex::new(alerts.share_of_refused()),
            above: Mutex::default(),
            broke: AtomicBool::new(false),
            alerts,
            pool,
        }
    }

    /// Whether use is worth a look.
    pub(crate) fn looks_at_use(&self) -> bool {
        !self.alerts.thresholds().is_empty() && !is_telling()
    }

    /// What the limits have come to. Decides only, and may be asked under a lock.
    pub(crate) fn cross(&self, levels: impl Iterator<Item = Level>) -> Vec<Alert> {
        let thresholds = self.alerts.thresholds();
        let mut told = Vec::new();
        let mut above = lock(&self.above);
        for (index, level) in levels.enumerate() {
            if above.len() <= index {
                above.push(0);
            }
            let Level {
                limit,
                before,
                used,
                most,
            } = level;
            let crossed = edges::cross(&mut above[index], thresholds, before, used, most);
            told.extend(crossed.map(|index| Alert::Used {
                pool: self.pool.clone(),
                limit,
                used,
                share: f64::from(thresholds[index]) / f64::from(WHOLE),
            }));
        }
        told
    }

    /// Tells what was decided. No lock may be held.
    pub(crate) fn tell(&self, alerts: Vec<Alert>) {
        self.alerts.tell(alerts);
    }

    /// A request was answered so.
    pub(crate) fn heard(&self, verdict: &Verdict, now: Time) {
        let tells = !is_telling();
        match verdict {
            Verdict::Refused => return,
            Verdict::Success => self.broke.store(false, Relaxed),
            Verdict::QuotaExhausted if tells && !self.broke.swap(true, Relaxed) => {
                let pool = self.pool.clone();
                self.alerts.tell([Alert::MoneyExhausted { pool }]);
            }
            _ => {}
        }
        let hit = matches!(verdict, Verdict::RateLimited { .. });
        let found = lock(&self.refused).record(hit, now, tells);
        if let Some(found) = found {
            self.alerts.tell([Alert::RateLimited {
                pool: self.pool.clone(),
                refused: found.hits,
                requests: found.all,
                over: self.alerts.time(),
            }]);
        }
    }
}
