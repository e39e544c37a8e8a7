//! A quota for every key.

mod account;
mod agreements;
mod keys;
mod settings;
mod shard;
#[cfg(test)]
mod tests;
mod tier;
mod whole;

use std::{fmt, hash::Hash};

pub(super) use self::account::KeyAccount;
pub use self::tier::Tier;

use self::{keys::Keys, shard::Id};
use super::{Priority, Quota, books::Books, sync::Arc};
use crate::{core::cost::Cost, error::Rejected, key::fingerprint};

/// How many keys have a quota of their own, at the most.
const MOST_KEYS: usize = 100_000;

/// A quota for every key, whose [`Tier`] says what it has. A handle: clones are the same quotas.
///
/// ```
/// use std::collections::HashMap;
/// use tower::ServiceBuilder;
/// use tower_quota::{
///     Limit, Priority, Quota, TokenBudgetLayer,
///     key::{self, Key},
///     quota::{KeyedQuotas, Tier},
/// };
///
/// # use {http::{Request, Response}, tower_quota::BufferedBody};
/// # let client = tower::service_fn(|_: Request<BufferedBody>| async {
/// #     Ok::<_, std::io::Error>(Response::new(BufferedBody::from(&b""[..])))
/// # });
/// let per_minute = |requests, tokens| {
///     Quota::builder()
///         .limit(Limit::requests_per_minute(requests))
///         .limit(Limit::tokens_per_minute(tokens))
/// };
/// let free = Tier::new(per_minute(5, 5_000))?.priority(Priority::Background);
/// let pro = Tier::new(per_minute(60, 100_000))?;
/// // Whoever has no key that we know is one among strangers, who share one quota.
/// let strangers = Tier::shared(per_minute(5, 5_000).build()?);
///
/// let plans = HashMap::from([(Key::of("sk-alice"), free.clone()), (Key::of("sk-bob"), pro)]);
/// let tenants = KeyedQuotas::new(move |key: &Option<Key>| {
///     let plan = key.and_then(|key| plans.get(&key));
///     plan.unwrap_or(&strangers).clone()
/// });
///
/// // Each tenant's own quota with a line of its own, then the one that they share, which takes tenants in turn, by their tiers.
/// let provider = Quota::new(Limit::tokens_per_minute(150_000))?;
/// let service = ServiceBuilder::new()
///     .layer(TokenBudgetLayer::unlimited().for_keys(key::api_key(), tenants.clone()))
///     .layer(TokenBudgetLayer::new(provider).shared_by(key::api_key(), tenants.clone()))
///     .service(client);
/// # let _ = tower::ServiceExt::oneshot(service, Request::new(BufferedBody::from(&b"{}"[..])));
///
/// // At run time: a whole tier, one tenant, or whoever the function has another answer for.
/// free.resize(Limit::tokens_per_minute(10_000))?;
/// tenants.set(&Some(Key::of("sk-alice")), Tier::new(per_minute(10, 20_000))?);
/// tenants.reload();
/// # Ok::<(), tower_quota::ConfigError>(())
/// ```
///
/// # Keys
///
/// A key is told from others by what it [hashes](Hash), of which 96 bits are kept, by a secret of this process; the key itself
/// isn't. The key function, `Hash` and the function that tells a key's tier run under no lock of ours: they may call these
/// quotas. The first two run with every request; the last for a key that isn't known, after a [`reload`](Self::reload), and
/// always for keys of a [shared](Tier::shared) tier. Tiers are made before, and cloned there: a shared one that is made there limits nobody.
///
/// # Memory
///
/// A key of one bucket limit on requests takes 76 bytes at the most; see [`Tier`] for others. At most [`max_keys`](Self::max_keys) are kept at a
/// time, 100,000 if nothing else is said.
///
/// Forgotten are keys of which nothing is spent, held or paused, and which nobody has asked for since they were looked at last.
/// With every new key four places of the table are looked at, and where there is no room left up to 256: no request pays for
/// all. Nothing is lost with such a key but an amount that [`resize`](Quota::resize) of its own quota has changed, and no other is
/// ever forgotten. Where no room is found, the keys of one tier that come
/// above the bound share one quota of that tier (beyond 16 tiers they share another's). Places are divided among parts of the table,
/// of about a thousand keys and more each: so a few keys may find no room while others have some left.
///
/// So no stream of made-up keys takes more memory than that, nor a place from a key that is in use. Give those who are nobody
/// that you know a [shared](Tier::shared) tier: they take no place at all.
pub struct KeyedQuotas<K: ?Sized> {
    inner: Arc<Inner<K>>,
}

type TierOf<K> = dyn Fn(&K) -> Tier + Send + Sync;

struct Inner<K: ?Sized> {
    keys: Arc<Keys>,
    tier: Arc<TierOf<K>>,
}

impl<K: ?Sized> KeyedQuotas<K> {
    /// Quotas of which `tier` tells what a key has: a [`Tier`], made before; or a [`Quota`], which is that key's own then.
    pub fn new<T: Into<Tier>>(tier: impl Fn(&K) -> T + Send + Sync + 'static) -> Self {
        Self::of(Arc::new(move |key: &K| tier(key).into()), MOST_KEYS)
    }

    fn of(tier: Arc<TierOf<K>>, most: usize) -> Self {
        let keys = Arc::new(Keys::new(most));
        Self {
            inner: Arc::new(Inner { keys, tier }),
        }
    }

    /// Each key has a quota like that one, unspent at first.
    pub(crate) fn like(quota: &Quota) -> Self {
        let tier = Tier::like(quota);
        Self::of(Arc::new(move |_: &K| tier.clone()), MOST_KEYS)
    }

    /// At most so many keys have a quota of their own at a time, by default 100,000. Said where the quotas are made: what was
    /// spent so far is forgotten.
    ///
    /// # Panics
    ///
    /// If it is 0.
    #[track_caller]
    pub fn max_keys(self, keys: usize) -> Self {
        assert!(
            keys > 0,
            "max_keys: 0 would leave no key a quota of its own"
        );
        Self::of(Arc::clone(&self.inner.tier), keys)
    }

    /// How many keys are kept.
    pub fn len(&self) -> usize {
        self.inner.keys.len()
    }

    /// Whether no key is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The tier of every key is asked for anew, each with its next request. What is spent stays spent where the limits are on the
    /// same resource and window.
    pub fn reload(&self) {
        self.inner.keys.begin_epoch();
    }
}

impl<K: Hash + ?Sized> KeyedQuotas<K> {
    /// The quota of `key`. The handle goes on when the key was forgotten meanwhile, but to no other tier: ask anew for each
    /// request.
    pub fn get(&self, key: &K) -> Quota {
        let id = Id::new(fingerprint(key));
        let epoch = self.inner.keys.epoch();
        let tier = self.inner.keys.tier(id);
        let tier = tier.unwrap_or_else(|| (self.inner.tier)(key).of_key(key));
        if let Some(quota) = tier.one() {
            return quota.clone();
        }
        let made = tier.each().made().is_some() || tier.each().is_shared();
        let account = self.account(id, tier, epoch);
        let books = if made {
            Books::Line(account.line())
        } else {
            Books::Key(account)
        };
        Quota { books }
    }

    fn account(&self, id: Id, tier: Tier, epoch: u32) -> KeyAccount {
        KeyAccount {
            keys: Arc::clone(&self.inner.keys),
            tier,
            id,
            epoch,
        }
    }

    /// Takes `cost` from the quota of `key` for a request that leaves now, or says when to come back: `try_acquire` for those who
    /// have nothing to settle.
    ///
    /// # Errors
    ///
    /// [`Rejected`], and nothing is spent.
    pub fn spend(&self, key: &K, cost: &Cost) -> Result<(), Rejected> {
        let id = Id::new(fingerprint(key));
        let keys = &self.inner.keys;
        match keys.spend(id, cost) {
            Some(spent) => spent,
            None => self.get(key).try_acquire(cost.clone()).map(drop),
        }
    }

    /// The tier of `key`.
    pub fn tier(&self, key: &K) -> Tier {
        let tier = self.inner.keys.tier(Id::new(fingerprint(key)));
        tier.map_or_else(|| (self.inner.tier)(key), |tier| tier.base().clone())
    }

    /// How urgent a request of `key` is, by its tier.
    pub fn priority(&self, key: &K) -> Priority {
        self.tier(key).level()
    }

    /// Gives one key a tier by hand, whatever the function says, until [`unset`](Self::unset). What is spent stays spent where the
    /// limits are on the same resource and window. Kept for good, whether it is asked for or not.
    pub fn set(&self, key: &K, tier: Tier) {
        let id = Id::new(fingerprint(key));
        self.inner
            .keys
            .set(&self.account(id, tier.of_key(key), self.inner.keys.epoch()));
    }

    /// The key has the tier again that the function says, from its next request on.
    pub fn unset(&self, key: &K) {
        let id = Id::new(fingerprint(key));
        self.inner.keys.unset(id);
    }
}

impl<K: ?Sized> Clone for KeyedQuotas<K> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<K: ?Sized> fmt::Debug for KeyedQuotas<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedQuotas")
            .field("keys", &self.len())
            .finish_non_exhaustive()
    }
}
