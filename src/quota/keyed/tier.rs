//! What keys of one kind have.

use std::{
    fmt,
    hash::Hash,
    sync::atomic::{AtomicU8, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release},
};

use super::super::{
    Priority, Quota, QuotaBuilder,
    line::Line,
    outputs::Outputs,
    resize,
    sync::{Arc, Mutex},
    watch::Watch,
};
use crate::{
    core::{digest::digest, keyed::Plan, limit::Limit},
    error::ConfigError,
};

/// What each key of one kind has: the amounts of its limits, and how urgent its requests are beside those of other kinds. A
/// handle: clones are the same tier, and a change by one of them counts for all keys that have it.
///
/// ```
/// use tower_quota::{Limit, Priority, Quota, quota::Tier};
///
/// let free = Tier::new(
///     Quota::builder()
///         .limit(Limit::requests_per_minute(5))
///         .limit(Limit::tokens_per_minute(5_000)),
/// )?
/// .priority(Priority::Background);
/// // Later on, for all keys that have it:
/// free.resize(Limit::requests_per_minute(10))?;
/// # Ok::<(), tower_quota::ConfigError>(())
/// ```
///
/// Limits without a stated shape are buckets, and what is counted here is counted at once: without a stated
/// [`transit`](Limit::transit) there is none. What a provider says of its limits isn't about those of a tier, unless it
/// [adopts](QuotaBuilder::adopt) them.
///
/// | a key of | takes |
/// |---|---|
/// | one bucket limit | 38 bytes, where the table was enlarged last 76 |
/// | the same, once any of it was given back or more than 4,095 were held at once, or with a stated transit | 48 more |
/// | two to four bucket limits | 32 more for each of them, and 16 |
/// | any limits, while somebody waits in its line, or it is paused | 2.4 KB more |
/// | a rolling or fixed limit, more than four limits, `max_in_flight`, `keep_for` or `adopt`: while something of it counts | 2.4 KB more for one limit; a rolling one grows with use to 4 KB beyond that, and gives it back when it is idle |
///
/// A rolling window is cut into 64 steps instead of 1,024, so that each of its charges counts for up to a 64th of it longer.
#[derive(Clone)]
pub struct Tier {
    inner: Arc<Inner>,
}

struct Inner {
    kind: Kind,
    // As a level.
    priority: AtomicU8,
}

enum Kind {
    Each(Each),
    One(Quota),
}

/// Where each key has its own.
pub(super) struct Each {
    // Grows with each change.
    version: AtomicU64,
    terms: Mutex<Arc<Terms>>,
    pub(super) watch: Arc<Watch>,
    outputs: Outputs,
    listens: bool,
    // One that somebody else has made, for one key.
    made: Option<Arc<Line>>,
    // Of one key, where a store counts: the tier that it has, and what the key is called there. The terms are of that version.
    of: Option<(Tier, String)>,
}

/// The settings as they are between two changes.
pub(super) struct Terms {
    pub(super) settings: Arc<QuotaBuilder>,
    /// Set where keys are kept packed.
    pub(super) plan: Option<Plan>,
}

impl Terms {
    fn new(settings: QuotaBuilder) -> Arc<Self> {
        Arc::new(Self {
            plan: settings.plan(),
            settings: Arc::new(settings),
        })
    }
}

impl Tier {
    /// Each key has a quota of its own, with these settings. What of them names, and the alerts, are all keys' together.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for what [`build`](QuotaBuilder::build) refuses, and for a saved state: keys begin unspent.
    pub fn new(settings: QuotaBuilder) -> Result<Self, ConfigError> {
        settings.check()?;
        if settings.restored.is_some() {
            let problem = "a state of one quota is for no tier, whose keys are many";
            return Err(ConfigError::new("restore", problem));
        }
        let watch = Arc::new(settings.watch());
        Ok(Self::of(settings.for_keys(), watch, None))
    }

    /// All keys of it share `quota`: strangers, for instance, however many they are. Made once, before the function that tells tiers,
    /// which clones it: of one that is made in there each request would have another quota, and be limited by none.
    pub fn shared(quota: Quota) -> Self {
        Self::from_kind(Kind::One(quota))
    }

    /// Without limits: for callers that aren't counted, such as programs of one's own. Their keys take no place.
    pub fn unlimited() -> Self {
        Self::shared(Quota::unlimited())
    }

    /// Each key has a quota like that one, unspent at first. Where that is [shared](super::super::shared) by processes, so are the
    /// quotas of keys: each key has a pool of its own in the store, and all of them that one's driver.
    ///
    /// Changes reach keys as they do otherwise, in the process that makes them: to have a limit changed for all, each has to
    /// [`resize`](Self::resize) it. A key that is given another such tier keeps what it has spent where both are of the same pool, by name
    /// and limits; else it begins unspent.
    pub fn like(quota: &Quota) -> Self {
        let line = quota.books.look();
        Self::of(
            line.settings().clone().for_keys(),
            Arc::clone(&line.watch),
            None,
        )
    }

    fn of(settings: QuotaBuilder, watch: Arc<Watch>, of: Option<(Self, String)>) -> Self {
        let listens = settings.listens();
        let version = of.as_ref().map_or(0, |(tier, _)| tier.each().version());
        Self::from_kind(Kind::Each(Each {
            version: AtomicU64::new(version),
            terms: Mutex::new(Terms::new(settings)),
            watch,
            outputs: Outputs::new(),
            listens,
            made: None,
            of,
        }))
    }

    /// The same for one key where a store counts: it has a pool of its own there.
    pub(super) fn of_key(self, key: &(impl Hash + ?Sized)) -> Self {
        let Kind::Each(each) = &self.inner.kind else {
            return self;
        };
        let terms = each.terms();
        if each.made.is_some() || each.of.is_some() || terms.settings.shared.is_none() {
            return self;
        }
        let (key, watch) = (digest(key), Arc::clone(&each.watch));
        let settings = QuotaBuilder::clone(&terms.settings).shared_by(&key);
        Self::of(settings, watch, Some((self, key)))
    }

    /// What it was made of for one key, else itself.
    pub(super) fn base(&self) -> &Self {
        match &self.inner.kind {
            Kind::Each(Each {
                of: Some((tier, _)),
                ..
            }) => tier,
            _ => self,
        }
    }

    fn from_kind(kind: Kind) -> Self {
        Self {
            inner: Arc::new(Inner {
                kind,
                priority: AtomicU8::new(Priority::default().class()),
            }),
        }
    }

    /// How urgent the requests of its keys are where they meet those of others: in a layer that is
    /// [shared by](crate::TokenBudgetLayer::shared_by) them. Default: [`Priority::Standard`]. Said again later on, it counts for
    /// all keys that have this tier.
    pub fn priority(self, priority: Priority) -> Self {
        self.inner.priority.store(priority.class(), Relaxed);
        self
    }

    pub(super) fn level(&self) -> Priority {
        Priority::Level(self.base().inner.priority.load(Relaxed))
    }

    /// Another amount for the limit on the same resource and window, for all keys that have this tier: from each one's next
    /// request on. What is spent stays spent.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for a limit that makes no sense, that states another shape, burst or transit than it has, for which there is
    /// [`change`](Self::change), or where there is none on this resource and window.
    pub fn resize(&self, limit: Limit) -> Result<(), ConfigError> {
        let each = match &self.inner.kind {
            Kind::Each(each) => each,
            Kind::One(quota) => return quota.resize(limit),
        };
        let settings = QuotaBuilder::clone(&each.terms().settings);
        resize::check(&limit, &settings)?;
        let Some(settings) = settings.resized(&limit) else {
            return Err(ConfigError::new(
                "resize",
                format!(
                    "this tier has no limit on {} per {:?}",
                    limit.resource, limit.window
                ),
            ));
        };
        settings.check()?;
        each.change(settings);
        Ok(())
    }

    /// Other settings, for all keys that have this tier: from each one's next request on. What is spent of a limit on the same
    /// resource and window stays spent; others begin unspent. Names and alerts stay those of before. Where a store counts, all begin
    /// unspent unless the limits are the same but for their amounts.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] as in [`new`](Self::new), for a tier whose keys [share](Self::shared) a quota, and for what a quota that
    /// processes share can't have.
    pub fn change(&self, mut settings: QuotaBuilder) -> Result<(), ConfigError> {
        let Kind::Each(each) = &self.inner.kind else {
            let problem = "all keys of this tier share one quota, which has settings of its own";
            return Err(ConfigError::new("change", problem));
        };
        settings.check()?;
        if settings.restored.is_some() || settings.adopt != each.listens {
            let problem = "neither a saved state nor another `adopt` comes with a change";
            return Err(ConfigError::new("change", problem));
        }
        if let Some(shared) = &each.terms().settings.shared {
            shared.check(&settings)?;
            settings.shared = Some(shared.clone());
        }
        each.change(settings.for_keys());
        Ok(())
    }

    /// The quota that all its keys share.
    pub(super) fn one(&self) -> Option<&Quota> {
        match &self.inner.kind {
            Kind::One(quota) => Some(quota),
            Kind::Each(_) => None,
        }
    }

    /// Of a tier whose keys share nothing.
    pub(super) fn each(&self) -> &Each {
        match &self.inner.kind {
            Kind::Each(each) => each,
            Kind::One(_) => unreachable!("keys that share a quota have no accounts"),
        }
    }

    pub(in crate::quota) fn watch(&self) -> &Watch {
        &self.each().watch
    }

    pub(in crate::quota) fn outputs(&self) -> &Outputs {
        &self.each().outputs
    }

    pub(in crate::quota) fn listens(&self) -> bool {
        self.each().listens
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// Names it among all others, as long as it is there.
    pub(super) fn name(&self) -> usize {
        Arc::as_ptr(&self.inner) as usize
    }
}

impl Each {
    pub(super) const fn made(&self) -> Option<&Arc<Line>> {
        self.made.as_ref()
    }

    /// Whether nobody has a handle on the quota of a key of this tier, besides the key.
    pub(super) fn alone(&self, line: &Arc<Line>) -> bool {
        let made = self
            .made
            .as_ref()
            .is_some_and(|made| Arc::ptr_eq(made, line));
        Arc::strong_count(line) == 1 + usize::from(made)
    }

    #[inline]
    pub(super) fn version(&self) -> u64 {
        match &self.of {
            None => self.version.load(Acquire),
            Some((tier, _)) => tier.each().version.load(Acquire),
        }
    }

    pub(super) fn terms(&self) -> Arc<Terms> {
        if let Some((tier, key)) = &self.of {
            let version = self.version();
            if version != self.version.load(Acquire) {
                let settings = QuotaBuilder::clone(&tier.each().terms().settings);
                self.put(settings.shared_by(key), Some(version));
            }
        }
        Arc::clone(&self.terms.lock())
    }

    /// Whether a store counts.
    pub(super) fn is_shared(&self) -> bool {
        self.of.is_some()
    }

    fn change(&self, settings: QuotaBuilder) {
        self.put(settings, None);
    }

    /// Other terms, of that version, or of the next.
    fn put(&self, settings: QuotaBuilder, version: Option<u64>) {
        let terms = Terms::new(settings);
        let mut held = self.terms.lock();
        let old = std::mem::replace(&mut *held, terms);
        let version = version.unwrap_or_else(|| self.version.load(Acquire) + 1);
        self.version.store(version, Release);
        drop(held);
        // The user's anchors, where they aren't another's as well.
        drop(old);
    }
}

impl From<Quota> for Tier {
    /// Of one key alone: that very quota is its own, as long as the key is kept. It takes a whole quota's memory, and learns like
    /// any other.
    fn from(quota: Quota) -> Self {
        let line = quota.books.line();
        Self::from_kind(Kind::Each(Each {
            version: AtomicU64::new(0),
            terms: Mutex::new(Arc::new(Terms {
                settings: line.settings_shared(),
                plan: None,
            })),
            watch: Arc::clone(&line.watch),
            outputs: Outputs::new(),
            listens: line.settings().listens(),
            made: Some(line),
            of: None,
        }))
    }
}

impl fmt::Debug for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tier = f.debug_struct("Tier");
        match &self.inner.kind {
            Kind::Each(each) => tier.field("settings", &each.terms().settings),
            Kind::One(quota) => tier.field("shared", quota),
        };
        tier.field("priority", &self.level()).finish()
    }
}
