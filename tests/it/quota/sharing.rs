//! A quota that many share: turns by key, and what is kept for the more urgent.

use std::{convert::Infallible, time::Duration};

use http::{Request, Response};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tower::{Layer, ServiceExt, service_fn};
use tower_quota::{Cost, Limit, Priority, Quota, RateLimitLayer, Reason};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn exact(limit: Limit) -> Limit {
    limit.transit(Duration::ZERO)
}

#[tokio::test(start_paused = true)]
async fn a_thousand_waiters_of_one_tenant_delay_another_by_one() {
    let quota = Quota::new(exact(Limit::requests_per_second(1))).unwrap();
    drop(quota.try_acquire(Cost::request()).unwrap());
    let mut flood = JoinSet::new();
    for _ in 0..1_000 {
        // Those who can't make it within `max_wait` are refused at once.
        flood.spawn(quota.acquire(Cost::request()).in_turn("loud"));
    }
    sleep(SECOND / 2).await;
    let (start, rate) = (Instant::now(), SECOND);
    // Not refused either for those who wait before it.
    drop(
        quota
            .acquire(Cost::request())
            .in_turn("calm")
            .await
            .unwrap(),
    );
    assert!(start.elapsed() <= 2 * rate, "{:?}", start.elapsed());
    drop(
        quota
            .acquire(Cost::request())
            .in_turn("calm")
            .await
            .unwrap(),
    );
    assert!(start.elapsed() <= 4 * rate, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn layers_take_turns_by_the_key_of_the_request() {
    let quota = Quota::new(exact(Limit::requests_per_second(1))).unwrap();
    let inner =
        service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(String::new())) });
    let tenant = |request: &Request<()>| request.headers().get("x-tenant").cloned();
    let service = RateLimitLayer::new(quota).in_turn(tenant).layer(inner);
    let ask = |tenant: &str| {
        let request = Request::builder()
            .header("x-tenant", tenant)
            .body(())
            .unwrap();
        service.clone().oneshot(request)
    };
    ask("loud").await.unwrap();
    let mut flood = JoinSet::new();
    for _ in 0..1_000 {
        flood.spawn(ask("loud"));
    }
    sleep(SECOND / 2).await;
    let start = Instant::now();
    ask("calm").await.unwrap();
    assert!(start.elapsed() <= 2 * SECOND, "{:?}", start.elapsed());
}

/// The 99th percentile of how long the interactive wait, one of two tokens a second, while the background always has work; and
/// how many tokens a minute the background gets.
async fn under_saturation(keep: Option<f64>) -> (Duration, u64) {
    let mut quota = Quota::builder()
        .limit(exact(Limit::tokens(600, MINUTE)))
        .max_wait(10 * MINUTE);
    if let Some(share) = keep {
        quota = quota.keep_for(Priority::Interactive, share);
    }
    let quota = quota.build().unwrap();
    let mut background = JoinSet::new();
    for _ in 0..8 {
        let quota = quota.clone();
        background.spawn(async move {
            let mut sent = 0;
            let end = Instant::now() + 30 * MINUTE;
            while Instant::now() < end {
                let permit = quota
                    .acquire_as(Cost::tokens(10), Priority::Background)
                    .await;
                sent += permit.map_or(0, |_| 10);
                sleep(Duration::from_millis(100)).await;
            }
            sent
        });
    }
    let mut waits = Vec::new();
    for _ in 0..29 * 60 {
        let start = Instant::now();
        drop(
            quota
                .acquire_as(Cost::tokens(2), Priority::Interactive)
                .await
                .unwrap(),
        );
        waits.push(start.elapsed());
        sleep(SECOND).await;
    }
    let mut sent = 0;
    while let Some(tokens) = background.join_next().await {
        sent += tokens.unwrap();
    }
    waits.sort();
    (waits[waits.len() * 99 / 100], sent / 30)
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_for_the_interactive_spares_them_the_wait_and_starves_nobody() {
    let (without, all) = under_saturation(None).await;
    let (with, most) = under_saturation(Some(0.25)).await;
    println!("p99 of the interactive: {without:?} alone by priority, {with:?} with a quarter kept");
    println!("the background's tokens a minute: {all} and {most}");
    assert!(without > SECOND, "{without:?}");
    assert!(with < Duration::from_millis(2), "{with:?}");
    // Of the first 450 of 600 what the interactive leave, about 120 a minute.
    assert!((320..=345).contains(&most), "{most}");
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_for_others_sends_nobody_away_who_would_have_it_in_time() {
    let quota = Quota::builder()
        .limit(exact(Limit::tokens(100, 60 * MINUTE)))
        .keep_for(Priority::Interactive, 0.5)
        .max_wait(MINUTE)
        .build()
        .unwrap();
    let urgent = quota.acquire_as(Cost::tokens(60), Priority::Interactive);
    drop(urgent.await.unwrap());
    // Nothing is kept from the standard once it has waited for half a minute, alone or not.
    let start = Instant::now();
    let (one, other) = tokio::join!(
        quota.acquire(Cost::tokens(20)),
        quota.acquire(Cost::tokens(20))
    );
    drop((one.unwrap(), other.unwrap()));
    assert_eq!(start.elapsed(), 30 * SECOND);
    let late = quota.acquire(Cost::tokens(20)).await.unwrap_err();
    assert_eq!(late.reason, Reason::WaitTooLong);
}

#[tokio::test(start_paused = true)]
async fn who_may_not_wait_is_refused_what_is_kept_for_others() {
    let quota = Quota::builder()
        .limit(exact(Limit::requests(10, MINUTE)))
        .keep_for(Priority::Interactive, 0.2)
        .build()
        .unwrap();
    for _ in 0..8 {
        drop(quota.try_acquire(Cost::request()).unwrap());
    }
    let refused = quota.try_acquire(Cost::request()).unwrap_err();
    assert_eq!((refused.reason, refused.left), (Reason::LimitReached, 2));
    for _ in 0..2 {
        drop(
            quota
                .acquire_as(Cost::request(), Priority::Interactive)
                .await
                .unwrap(),
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_that_the_rest_is_kept_for_the_more_urgent() {
    let quota = |keeps: bool| {
        let quota = Quota::builder().limit(exact(Limit::tokens(100, MINUTE)));
        let quota = match keeps {
            true => quota.keep_for(Priority::Interactive, 0.3),
            false => quota,
        };
        let quota = quota.build().unwrap();
        drop(quota.try_acquire(Cost::tokens(60)).unwrap());
        quota
    };
    let keeps = quota(true);
    let refused = keeps.try_acquire(Cost::tokens(20)).unwrap_err();
    assert_eq!((refused.left, refused.kept), (40, true));
    let said = "asks for 20 of 100 tokens per minute, 40 left and kept for the more urgent, come";
    assert!(refused.to_string().contains(said), "{refused}");
    // What wouldn't fit anyway, and what nothing is kept from.
    let refused = keeps.try_acquire(Cost::tokens(41)).unwrap_err();
    assert_eq!((refused.left, refused.kept), (40, false));
    let refused = quota(false).try_acquire(Cost::tokens(41)).unwrap_err();
    assert!(!refused.kept && refused.to_string().contains(", 40 left, come back"));
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_more_than_what_is_not_kept_goes_where_nothing_is_taken() {
    let quota = Quota::builder()
        .limit(exact(Limit::tokens(100, MINUTE)))
        .keep_for(Priority::Interactive, 0.3)
        .build()
        .unwrap();
    let one = quota.try_acquire(Cost::tokens(1)).unwrap();
    quota.try_acquire(Cost::tokens(71)).unwrap_err();
    one.cancel();
    drop(quota.try_acquire(Cost::tokens(71)).unwrap());
}
