//! The quota alone, saturated, against exact providers in virtual time.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use tokio::time::Instant;
use tower_quota::{Anchor, Cost, Limit, Quota};

use crate::quota::support::{Random, SECOND};

const AMOUNT: u64 = 30_000;
const WINDOW: u64 = 60_000_000_000;
const WINDOWS: u64 = 100;

/// Exactly what each way of counting admits; arrivals in order.
enum Provider {
    Log(VecDeque<(u64, u64)>, u64),
    /// Missing tokens × nanoseconds of the window, and when.
    Bucket(u128, u64),
    /// The phase, the window and what it holds.
    Fixed(u64, u64, u64),
    /// When its window ends, and what it holds.
    FirstUse(u64, u64),
}

impl Provider {
    fn admits(&mut self, now: u64, n: u64) -> bool {
        match self {
            Self::Log(log, sum) => {
                while log.front().is_some_and(|(at, _)| *at + WINDOW <= now) {
                    *sum -= log.pop_front().map_or(0, |(_, n)| n);
                }
                let fits = *sum + n <= AMOUNT;
                if fits {
                    *sum += n;
                    log.push_back((now, n));
                }
                fits
            }
            Self::Bucket(missing, at) => {
                *missing = missing.saturating_sub(u128::from(now - *at) * u128::from(AMOUNT));
                *at = now;
                let asked = *missing + u128::from(n) * u128::from(WINDOW);
                let fits = asked <= u128::from(AMOUNT) * u128::from(WINDOW);
                if fits {
                    *missing = asked;
                }
                fits
            }
            Self::Fixed(phase, window, used) => {
                let this = (now + *phase) / WINDOW;
                if this != *window {
                    (*window, *used) = (this, 0);
                }
                *used += n;
                *used <= AMOUNT
            }
            Self::FirstUse(end, used) => {
                if now >= *end {
                    (*end, *used) = (now + WINDOW, 0);
                }
                *used += n;
                *used <= AMOUNT
            }
        }
    }
}

/// A mix of sizes, the largest 5 % of the budget.
fn size(random: &mut Random) -> u64 {
    match random.upto(9) {
        0 => AMOUNT / 20,
        1..=3 => 200 + random.upto(800),
        _ => 20 + random.upto(180),
    }
}

/// Sends as the quota lets it, `waiters` in line at a time, and returns what left when.
async fn departures(limit: Limit, waiters: usize, seed: u64) -> Vec<(u64, u64)> {
    let quota = Quota::builder()
        .limit(limit)
        .max_wait(3_600 * SECOND)
        .build()
        .expect("valid");
    let start = Instant::now();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    for k in 0..waiters as u64 {
        let (quota, tell) = (quota.clone(), tell.clone());
        tokio::spawn(async move {
            let mut random = Random(seed + k * 1_000_003);
            while start.elapsed().as_nanos() < u128::from((WINDOWS + 1) * WINDOW) {
                let n = size(&mut random);
                drop(quota.acquire(Cost::tokens(n)).await.expect("patient"));
                let _ = tell.send((start.elapsed().as_nanos() as u64, n));
            }
        });
    }
    drop(tell);
    let mut log = Vec::new();
    while let Some(entry) = told.recv().await {
        log.push(entry);
    }
    log
}

/// Use as tokens admitted in the first windows after the first arrival, in percent; and refusals.
fn judged(log: &[(u64, u64)], mut provider: Provider, transit: u64, seed: u64) -> (f64, u64) {
    let mut random = Random(seed);
    let mut arrivals = BTreeMap::new();
    for (k, (at, n)) in log.iter().enumerate() {
        arrivals.insert((at + random.upto(transit / 2), k), *n);
    }
    let first = arrivals.keys().next().expect("something arrived").0;
    let (mut admitted, mut refused) = (0, 0);
    for ((at, _), n) in arrivals {
        if !provider.admits(at, n) {
            refused += 1;
        } else if at < first + WINDOWS * WINDOW {
            admitted += n;
        }
    }
    (admitted as f64 * 100.0 / (WINDOWS * AMOUNT) as f64, refused)
}

#[tokio::test(start_paused = true)]
async fn no_refusal_and_nearly_all_of_the_quota_used() {
    let transit = WINDOW / 64;
    let minute = || Limit::tokens(AMOUNT, Duration::from_nanos(WINDOW));
    for waiters in [200, 2_000] {
        let log = departures(minute(), waiters, 7).await;
        for (name, provider) in [
            ("rolling", Provider::Log(VecDeque::new(), 0)),
            ("bucket", Provider::Bucket(0, 0)),
            ("fixed", Provider::Fixed(WINDOW / 3, 0, 0)),
        ] {
            let (used, refused) = judged(&log, provider, transit, 11);
            println!(
                "{waiters} in line, rolling client, {name} provider: {used:.2} % used, {refused} refused"
            );
            assert!(
                refused == 0 && used >= 97.0,
                "{name}: {used:.2} %, {refused} refused"
            );
        }
        for (name, limit, provider) in [
            ("bucket", minute().bucket(), Provider::Bucket(0, 0)),
            (
                "first-use",
                minute().fixed(Anchor::first_use()),
                Provider::FirstUse(0, 0),
            ),
        ] {
            let log = departures(limit, waiters, 7).await;
            let (used, refused) = judged(&log, provider, transit, 11);
            println!(
                "{waiters} in line, {name} client and provider: {used:.2} % used, {refused} refused"
            );
            assert!(
                refused == 0 && used >= 97.0,
                "{name}: {used:.2} %, {refused} refused"
            );
        }
    }
}
