//! Putting a shared quota together.

use std::{fmt, time::Duration};

use super::{
    Driver, OnStoreDown,
    desk::{Desk, Handle, Hub, Shared},
    store::QuotaStore,
};
use crate::{
    core::{
        digest::digest,
        limit::{Limit, Shape},
        meter::Meter,
        time::{Time, nanos},
    },
    error::ConfigError,
    quota::{
        Quota, QuotaBuilder,
        line::Line,
        sync::{Arc, Weak},
    },
};

/// Names one pool in a store: letters, digits and `-_./`, whatever the quota was called.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PoolId(Arc<str>);

impl PoolId {
    /// The pool of that name. For tests of stores: quotas name theirs themselves.
    pub fn new(name: &str) -> Self {
        Self(readable(name).into())
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name without what means something in a store's keys.
fn readable(name: &str) -> String {
    let keep = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    name.chars()
        .map(|c| if keep(c) { c } else { '_' })
        .collect()
}

impl QuotaBuilder {
    /// Has a store count, which other processes share: [`RedisStore`](super::RedisStore), with the feature `redis`, or any other
    /// [`QuotaStore`]. The limits, the line of those who wait here, the layers and the errors are the same.
    pub fn shared(self, store: impl QuotaStore) -> SharedQuotaBuilder {
        SharedQuotaBuilder {
            quota: self,
            store: Arc::new(store),
            pool: None,
            on_store_down: OnStoreDown::default(),
            expected_processes: None,
            patience: Duration::from_millis(100),
            slots: 60,
            lease: Duration::ZERO,
        }
    }

    pub(in crate::quota) fn desk(&self, line: &Weak<Line>) -> Option<Arc<Desk>> {
        let shared = self.shared.clone()?;
        Some(Arc::new(Desk::new(Weak::clone(line), shared)))
    }

    /// The same for one key among many, by its digest: a pool of its own.
    pub(in crate::quota) fn shared_by(mut self, key: &str) -> Self {
        self.shared = self.shared.as_ref().map(|shared| shared.of_key(key));
        self
    }
}

/// Puts a [`Quota`] together that many processes share, see [`shared`](super).
///
/// | setting | default |
/// |---|---|
/// | [`pool`](Self::pool) | what the quota is [`named`](QuotaBuilder::named); one of the two is needed |
/// | [`on_store_down`](Self::on_store_down) | [`LocalShare`](OnStoreDown::LocalShare) |
/// | [`expected_processes`](Self::expected_processes) | what the store has last seen |
/// | [`patience`](Self::patience) | 100 ms |
/// | [`slots`](Self::slots) | 60 |
/// | [`lease`](Self::lease) | none |
#[must_use]
pub struct SharedQuotaBuilder {
    quota: QuotaBuilder,
    store: Arc<dyn QuotaStore>,
    pool: Option<String>,
    on_store_down: OnStoreDown,
    expected_processes: Option<u32>,
    patience: Duration,
    slots: u32,
    lease: Duration,
}

impl fmt::Debug for SharedQuotaBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedQuotaBuilder")
            .field("quota", &self.quota)
            .field("pool", &self.pool)
            .field("on_store_down", &self.on_store_down)
            .finish_non_exhaustive()
    }
}

impl SharedQuotaBuilder {
    /// What the pool is called in the store: whoever gives the same name, and limits of the same resources, windows and
    /// shapes, shares it; amounts may differ, and each process keeps to its own. Not an API key: names can be read.
    pub fn pool(mut self, name: &str) -> Self {
        self.pool = Some(name.into());
        self
    }

    /// What becomes of requests while the store is away.
    pub const fn on_store_down(mut self, policy: OnStoreDown) -> Self {
        self.on_store_down = policy;
        self
    }

    /// Among how many processes the limits are divided while the store is away and was never seen.
    pub const fn expected_processes(mut self, processes: u32) -> Self {
        self.expected_processes = Some(processes);
        self
    }

    /// After so long without an answer the store is taken to be away. Default: 100 ms.
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// In how many slots a rolling window is kept, from 4 to 1,024: a request counts for up to one slot longer. More slots use
    /// more of the limit and more of the store's memory. Default: 60, which uses 97 % to 98 %.
    pub const fn slots(mut self, slots: u32) -> Self {
        self.slots = slots;
        self
    }

    /// Has what requests are going to need granted ahead, for so long, which spares calls where a process sends thousands of requests
    /// a second. As much longer a request counts. Default: none.
    pub const fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// The quota, and the driver that talks to the store: spawn it.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] as for [`QuotaBuilder::build`], and for what a shared quota can't have.
    pub fn build(self) -> Result<(Quota, Driver), ConfigError> {
        let refuse = |setting, problem: String| Err(ConfigError::new(setting, problem));
        let name = self
            .pool
            .as_deref()
            .or(self.quota.pool.as_deref())
            .unwrap_or_default();
        if name.is_empty() {
            return refuse(
                "pool",
                "a shared quota needs a name, by `pool` or `named`".into(),
            );
        }
        check(&self.quota, self.lease)?;
        if self.quota.restored.is_some() {
            return refuse(
                "restore",
                "the store keeps the state of a shared quota".into(),
            );
        }
        if self.expected_processes == Some(0) {
            return refuse(
                "expected_processes",
                "0 processes would share nothing".into(),
            );
        }
        if self.patience < Duration::from_millis(1) {
            return refuse(
                "patience",
                format!("{:?} is less than a millisecond", self.patience),
            );
        }
        if !(4..=1_024).contains(&self.slots) {
            return refuse("slots", format!("{} is not from 4 to 1024", self.slots));
        }
        if let OnStoreDown::Wait {
            max: Duration::ZERO,
        } = self.on_store_down
        {
            return refuse("on_store_down", "waiting for 0 s is `FailClosed`".into());
        }
        let pool = PoolId(
            format!(
                "{}/{}",
                readable(name),
                fingerprint(&self.quota.limits, self.slots)
            )
            .into(),
        );
        let hub = Arc::new(Hub::new(
            self.store,
            self.on_store_down,
            self.expected_processes,
            self.patience,
            name.into(),
        ));
        let mut quota = self.quota;
        quota.shared = Some(Shared {
            hub: Arc::clone(&hub),
            _handle: Arc::new(Handle::new(&hub)),
            pool,
            slots: self.slots,
            lease: self.lease,
        });
        let quota = quota.build()?;
        Ok((quota, Driver::new(hub)))
    }
}

/// Refuses what a shared quota can't have.
fn check(settings: &QuotaBuilder, lease: Duration) -> Result<(), ConfigError> {
    let refuse = |setting, problem: String| Err(ConfigError::new(setting, problem));
    if settings.discover {
        return refuse(
            "shared",
            "a quota that discovers its limits can't be shared: give it limits".into(),
        );
    }
    if settings.limits.is_empty() {
        return refuse("shared", "a shared quota needs at least one limit".into());
    }
    let short = |limit: &&Limit| lease > limit.window / 8;
    if let Some(limit) = settings.limits.iter().find(short) {
        return refuse(
            "lease",
            format!("{lease:?} is more than an eighth of the window of {limit}"),
        );
    }
    Ok(())
}

/// What has to be alike for two quotas to share a pool.
fn fingerprint(limits: &[Limit], slots: u32) -> String {
    let of = limits.iter().map(|limit| {
        let shape = match limit.shape {
            None | Some(Shape::Rolling) => 0u8,
            Some(Shape::Bucket) => 1,
            Some(Shape::Fixed(_)) => 2,
        };
        (limit.resource.to_string(), limit.window.as_nanos(), shape)
    });
    let of: Vec<_> = of.collect();
    digest(&(of, slots))[..8].to_owned()
}

impl Shared {
    pub(in crate::quota) fn meter(&self, limit: &Limit, amount: u64, now: Time) -> Meter {
        let transit = limit.transit_or_default() + self.lease;
        Meter::stocked(limit, amount, nanos(transit), self.slots, now)
    }

    fn of_key(&self, key: &str) -> Self {
        self.called(format!("{}/{key}", self.pool))
    }

    /// The same for these limits.
    pub(in crate::quota) fn for_limits(&self, limits: &[Limit]) -> Self {
        let (name, _) = self.pool.0.rsplit_once('/').unwrap_or((&self.pool.0, ""));
        self.called(format!("{name}/{}", fingerprint(limits, self.slots)))
    }

    fn called(&self, pool: String) -> Self {
        Self {
            pool: PoolId(pool.into()),
            ..self.clone()
        }
    }

    /// Whether it is the same pool, seen to in the same way.
    pub(in crate::quota) fn is(&self, other: &Self) -> bool {
        (&self.pool, self.lease) == (&other.pool, other.lease) && Arc::ptr_eq(&self.hub, &other.hub)
    }

    /// Refuses what a shared quota can't have.
    pub(in crate::quota) fn check(&self, settings: &QuotaBuilder) -> Result<(), ConfigError> {
        check(settings, self.lease)
    }
}
