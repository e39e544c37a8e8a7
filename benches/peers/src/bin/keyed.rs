//! A limit for every key, beside governor's: bytes a key, and nanoseconds a check at 1, 1,000 and 1,000,000 keys.
//!
//! Every key has a bucket of a thousand requests a minute. The checked keys come in a scrambled order, so that at a million
//! nearly each of them is out of the processor's caches.

use std::{
    convert::Infallible,
    future::Future,
    num::NonZeroU32,
    pin::pin,
    task::{Context, Poll, Waker},
};

use allocation_counter::measure;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use peers::{Table, nanos};
use tower::{Layer, Service, service_fn};
use tower_quota::RateLimitLayer;

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

fn theirs() -> DefaultKeyedRateLimiter<u64> {
    RateLimiter::keyed(Quota::per_minute(NonZeroU32::new(1_000).expect("not 0")))
}

fn ours() -> impl Service<u64> {
    let client = service_fn(|_: u64| std::future::ready(Ok::<_, Infallible>(())));
    RateLimitLayer::per_minute(1_000)
        .keyed(|key: &u64| *key)
        .reject()
        .opaque()
        .layer(client)
}

fn call(service: &mut impl Service<u64>, key: u64) {
    let context = &mut Context::from_waker(Waker::noop());
    assert!(service.poll_ready(context).is_ready());
    assert!(matches!(
        pin!(service.call(key)).poll(context),
        Poll::Ready(_)
    ));
}

fn main() {
    let mut table = Table::new("keys of a bucket each", "tower-quota", "governor");
    let (mut kept, mut theirs_kept) = (None, None);
    let bytes = measure(|| {
        let mut service = ours();
        (0..MILLION).for_each(|key| call(&mut service, key));
        kept = Some(service);
    });
    let theirs_bytes = measure(|| {
        let limiter = theirs();
        (0..MILLION).for_each(|key| drop(limiter.check_key(&key)));
        theirs_kept = Some(limiter);
    });
    let each = |bytes: i64| bytes as f64 / MILLION as f64;
    table.line(
        "bytes a key",
        each(bytes.bytes_current),
        each(theirs_bytes.bytes_current),
    );
    drop((kept, theirs_kept));

    for keys in [1, 1_000, MILLION] {
        let (mut service, limiter) = (ours(), theirs());
        for key in 0..keys {
            call(&mut service, key);
            let _ = limiter.check_key(&key);
        }
        let (mut next, mut their_next) = (scrambled(keys), scrambled(keys));
        let own = nanos(ROUNDS, CHECKS, || call(&mut service, next()));
        let peer = nanos(ROUNDS, CHECKS, || drop(limiter.check_key(&their_next())));
        table.line(&format!("ns a check, {keys} keys"), own, peer);
    }
    table.print();
}
