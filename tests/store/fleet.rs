//! Many clients of one pool, and what their provider sees.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::task::JoinHandle;
use tower_quota::{
    Cost, Limit, Quota,
    quota::shared::{OnStoreDown, RedisStore, SharedQuotaBuilder},
};

/// When what was sent, in amounts, and how long it had waited.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    pub at: Instant,
    pub waited: Duration,
}

/// A provider's log.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<Sent>>>);

impl Log {
    pub fn add(&self, sent: Sent) {
        self.0.lock().unwrap().push(sent);
    }

    pub fn all(&self) -> Vec<Sent> {
        self.0.lock().unwrap().clone()
    }

    pub fn times(&self) -> Vec<Instant> {
        let mut times: Vec<_> = self.all().iter().map(|sent| sent.at).collect();
        times.sort();
        times
    }

    /// The most in any window.
    pub fn most_in(&self, window: Duration) -> usize {
        let times = self.times();
        let (mut first, mut most) = (0, 0);
        for (last, at) in times.iter().enumerate() {
            while *at >= times[first] + window {
                first += 1;
            }
            most = most.max(last + 1 - first);
        }
        most
    }

    /// When something was sent next after an instant.
    pub fn next_after(&self, at: Instant) -> Option<Duration> {
        self.times()
            .into_iter()
            .find(|time| *time > at)
            .map(|time| time - at)
    }

    pub fn longest_wait_between(&self, from: Instant, until: Instant) -> Duration {
        let inside = self
            .all()
            .into_iter()
            .filter(|sent| sent.at >= from && sent.at < until);
        inside.map(|sent| sent.waited).max().unwrap_or_default()
    }
}

/// Clients of one pool, each with connections of its own.
pub struct Fleet {
    pub log: Log,
    pub quotas: Vec<Quota>,
    tasks: Vec<JoinHandle<()>>,
}

impl Fleet {
    pub fn new(
        processes: usize,
        limit: &Limit,
        store: impl Fn(usize) -> RedisStore,
        set: impl Fn(SharedQuotaBuilder) -> SharedQuotaBuilder,
    ) -> Self {
        Self::named("fleet", processes, limit, store, set)
    }

    pub fn named(
        name: &str,
        processes: usize,
        limit: &Limit,
        store: impl Fn(usize) -> RedisStore,
        set: impl Fn(SharedQuotaBuilder) -> SharedQuotaBuilder,
    ) -> Self {
        let quotas = (0..processes).map(|process| {
            let builder = Quota::builder()
                .limit(limit.clone())
                .max_wait(Duration::from_secs(30));
            let (quota, driver) = set(builder.shared(store(process)).pool(name))
                .build()
                .unwrap();
            tokio::spawn(driver);
            quota
        });
        Self {
            log: Log::default(),
            quotas: quotas.collect(),
            tasks: Vec::new(),
        }
    }

    /// Each sends as much as it may, by so many callers, who pause for so long between two requests.
    pub fn send(&mut self, callers: usize, pause: Duration) {
        for quota in &self.quotas {
            for _ in 0..callers {
                let (quota, log) = (quota.clone(), self.log.clone());
                self.tasks.push(tokio::spawn(async move {
                    loop {
                        let asked = Instant::now();
                        match quota.acquire(Cost::request()).await {
                            Ok(permit) => {
                                let at = Instant::now();
                                log.add(Sent {
                                    at,
                                    waited: at - asked,
                                });
                                drop(permit);
                            }
                            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                        }
                        if !pause.is_zero() {
                            tokio::time::sleep(pause).await;
                        }
                    }
                }));
            }
        }
    }
}

impl Fleet {
    /// Nobody sends any more, and what was granted and not sent is back.
    pub async fn stop(&mut self) {
        for task in self.tasks.drain(..) {
            task.abort();
            let _ = task.await;
        }
        seconds(0.5).await;
    }
}

/// What the store counts, but for the requests that this takes: each process tells with its next call what goes back.
pub async fn counted(fleet: &Fleet) -> usize {
    let first = &fleet.quotas[..1];
    for quota in fleet.quotas.iter().chain(first) {
        drop(quota.acquire(Cost::request()).await.unwrap());
    }
    fleet.quotas[0].snapshot().limits[0].used as usize - fleet.quotas.len() - 1
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

pub const fn share(builder: SharedQuotaBuilder) -> SharedQuotaBuilder {
    builder.on_store_down(OnStoreDown::LocalShare)
}

pub async fn seconds(seconds: f64) {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
}

/// The most that may be in a window: 1.02 of the limit.
pub const fn bound(limit: usize) -> usize {
    limit + limit / 50
}

/// With slack, where the machine is shared.
pub fn within(bound: Duration) -> Duration {
    let ci = std::env::var_os("CI").is_some();
    bound + Duration::from_millis(if ci { 500 } else { 250 })
}

/// Until it's so, in steps that don't matter: servers may take several tries to agree.
pub async fn until(what: &str, mut so: impl FnMut() -> bool) -> Instant {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < Duration::from_secs(50), "not {what}");
        seconds(0.005).await;
    }
    Instant::now()
}
