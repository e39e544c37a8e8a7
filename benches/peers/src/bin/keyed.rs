//! A limit for every key, beside governor's: bytes a key, and nanoseconds a check at 1, 1,000 and 1,000,000 keys.
//!
//! The checked keys come in a scrambled order, so that at a million nearly each of them is out of the processor's caches.

use std::{num::NonZeroU32, time::Duration};

use allocation_counter::measure;
use governor::{DefaultKeyedRateLimiter, RateLimiter};
use peers::{Table, nanos};
use tower_quota::{
    Cost, Limit, Quota,
    quota::{KeyedQuotas, Tier},
};

const MILLION: u64 = 1_000_000;
const CHECKS: u32 = 200_000;
const ROUNDS: u32 = 7;

/// Another key with every call, each of the first `n` once before any comes again; `n` is at most a million.
fn scrambled(n: u64) -> impl FnMut() -> u64 {
    let mut at = 0;
    move || {
        // A step without a common factor with `n`.
        at = (at + 618_033) % n;
        at
    }
}

/// A bucket that holds `burst` and refills one in `each`.
fn theirs(burst: u32, each: Duration) -> DefaultKeyedRateLimiter<u64> {
    let burst = NonZeroU32::new(burst).expect("not 0");
    let quota = governor::Quota::with_period(each).expect("not 0");
    RateLimiter::keyed(quota.allow_burst(burst))
}

fn ours(burst: u32, each: Duration) -> KeyedQuotas<u64> {
    let limit = Limit::requests(burst.into(), each * burst);
    let tier = Tier::new(Quota::builder().limit(limit)).expect("valid");
    KeyedQuotas::new(move |_: &u64| tier.clone()).max_keys(2 * MILLION as usize)
}

fn main() {
    let request = Cost::request();
    let mut table = Table::new("a bucket for each key", "tower-quota", "governor");
    // Spent for longer than this takes, as what is whole again is forgotten.
    let (burst, each) = (10, Duration::from_secs(600));
    let (mut kept, mut theirs_kept) = (None, None);
    let bytes = measure(|| {
        let quotas = ours(burst, each);
        (0..MILLION).for_each(|key| quotas.spend(&key, &request).expect("the first"));
        kept = Some(quotas);
    });
    let theirs_bytes = measure(|| {
        let limiter = theirs(burst, each);
        (0..MILLION).for_each(|key| limiter.check_key(&key).expect("the first"));
        theirs_kept = Some(limiter);
    });
    assert_eq!(kept.as_ref().map(KeyedQuotas::len), Some(MILLION as usize));
    let a_key = |bytes: i64| bytes as f64 / MILLION as f64;
    let (own, peer) = (bytes.bytes_current, theirs_bytes.bytes_current);
    table.line("bytes a key", a_key(own), a_key(peer));
    drop((kept, theirs_kept));

    let scarce = (1, Duration::from_secs(600));
    // Never runs out, and stays spent for longer than this takes, here too.
    let plenty = (2_000_000, Duration::from_secs(15));
    for (answer, (burst, each)) in [("admitted", plenty), ("refused", scarce)] {
        for keys in [1, 1_000, MILLION] {
            let (quotas, limiter) = (ours(burst, each), theirs(burst, each));
            for key in 0..keys {
                let _ = (quotas.spend(&key, &request), limiter.check_key(&key));
            }
            let (mut next, mut their_next) = (scrambled(keys), scrambled(keys));
            let admits = answer == "admitted";
            let own = nanos(ROUNDS, CHECKS, || {
                assert_eq!(quotas.spend(&next(), &request).is_ok(), admits);
            });
            let peer = nanos(ROUNDS, CHECKS, || {
                assert_eq!(limiter.check_key(&their_next()).is_ok(), admits);
            });
            table.line(&format!("ns a check, {answer}, of {keys} keys"), own, peer);
        }
    }
    table.print();
}
