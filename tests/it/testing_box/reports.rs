//! What a run is said to have been.

use std::time::Duration;

use tower_quota::testing::{Call, Outcome, Provider, Shape};

use super::{Lcg, MODEL, ms, secs, tokens};

/// The most in any window, found by trying every one that begins or ends with an arrival.
fn most(window: Duration, arrivals: &[(Duration, u64)]) -> u64 {
    let held = |from: Duration| {
        let inside = |at: Duration| at >= from && at - from < window;
        let charges = arrivals.iter().filter(|(at, _)| inside(*at));
        charges.map(|(_, amount)| amount).sum()
    };
    arrivals
        .iter()
        .map(|(from, _)| held(*from))
        .max()
        .unwrap_or(0)
}

#[test]
fn the_maxima_are_those_of_a_naive_computation() {
    for seed in 0..10 {
        // A bucket, so that windows hold up to twice the limit.
        let provider = Provider::openai()
            .requests_per_minute(40)
            .tokens_per_minute(1_000)
            .minute(secs(10))
            .day(secs(60))
            .seed(seed)
            .build()
            .unwrap();
        let mut lcg = Lcg(seed);
        let mut now = provider.started();
        for _ in 0..500 {
            now += ms(lcg.below(4) * lcg.below(300));
            let _ = provider.handle(now, &tokens(1 + lcg.below(100)));
        }
        let arrivals = provider.arrivals();
        let requests: Vec<_> = arrivals.iter().map(|a| (a.at, a.requests)).collect();
        let charges: Vec<_> = arrivals.iter().map(|a| (a.at, a.charged)).collect();
        let report = provider.report();
        assert_eq!(report.most_requests_in_a_minute, most(secs(10), &requests));
        assert_eq!(report.most_tokens_in_a_minute, most(secs(10), &charges));
        assert_eq!(report.most_requests_in_a_day, most(secs(60), &requests));
        assert_eq!(report.seed, seed);

        let (first, last) = (arrivals[0].at, arrivals.last().unwrap().at);
        let whole = (last - first).as_millis() / 10_000;
        assert_eq!(u128::from(report.windows), whole);
        let end = first + secs(10) * report.windows as u32;
        let used = |of: &[(Duration, u64)]| -> f64 {
            let inside = of.iter().filter(|(at, _)| *at < end);
            inside.map(|(_, amount)| *amount as f64).sum()
        };
        let windows = report.windows as f64;
        assert_eq!(report.utilisation(), used(&charges) / (windows * 1_000.0));
        assert_eq!(
            report.request_utilisation(),
            used(&requests) / (windows * 40.0)
        );
    }
}

#[test]
fn a_window_holds_its_beginning_and_not_its_end() {
    let provider = Provider::openai()
        .tokens_per_minute(100)
        .shape(Shape::Rolling)
        .build()
        .unwrap();
    for minute in 0..5 {
        let now = provider.started() + secs(60) * minute;
        assert!(provider.handle(now, &tokens(100)).is_admitted());
    }
    let report = provider.report();
    assert_eq!(report.most_tokens_in_a_minute, 100);
    assert_eq!((report.windows, report.utilisation()), (4, 1.0));
}

#[test]
fn without_a_whole_window_nothing_is_claimed() {
    let provider = Provider::openai().tokens_per_minute(100).build().unwrap();
    assert_eq!(provider.report().utilisation(), 0.0);
    let _ = provider.handle(provider.started(), &tokens(100));
    assert_eq!(
        (provider.report().windows, provider.report().utilisation()),
        (0, 0.0)
    );
}

#[test]
fn every_arrival_is_logged_with_what_became_of_it() {
    let provider = Provider::openai().tokens_per_minute(1_000).build().unwrap();
    let now = provider.started() + ms(5);
    let _ = provider.handle(now, &Call::chat(MODEL, 100, 500));
    let _ = provider.handle(now, &Call::chat(MODEL, 100, 500));
    let _ = provider.handle(now, &Call::chat(MODEL, 100, 1_000));
    provider.faults(|f| f.dead_model(MODEL));
    let _ = provider.handle(now, &Call::chat(MODEL, 100, 1));

    let arrivals = provider.arrivals();
    let seen: Vec<_> = arrivals
        .iter()
        .map(|a| {
            (
                a.outcome, a.status, a.requests, a.reserved, a.charged, a.actual,
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            (Outcome::Admitted, Some(200), 1, 600, 600, 600),
            (Outcome::RateLimited, Some(429), 0, 600, 0, 0),
            (Outcome::TooLarge, Some(429), 0, 1_100, 0, 0),
            (Outcome::Uncounted, Some(404), 0, 101, 0, 0),
        ]
    );
    assert!(arrivals.iter().all(|a| a.at == ms(5) && &*a.model == MODEL));
    let report = provider.report();
    assert_eq!(
        (report.requests, report.admitted, report.rate_limited),
        (4, 1, 1)
    );
    assert_eq!(
        (report.too_large, report.uncounted, report.status(429)),
        (1, 1, 2)
    );
    assert_eq!(
        report.to_string(),
        "4 requests: 1 admitted, 1 rate limited, 1 too large, 1 uncounted; 600 tokens admitted, \
         600 charged, 600 used; at most 1 requests and 600 tokens in a minute; 0.0 % of the \
         requests and 0.0 % of the tokens of 0 minutes used; seed 1"
    );
}

#[test]
fn the_log_is_bounded_and_the_sums_are_not() {
    let provider = Provider::openai().log_capacity(3).build().unwrap();
    for i in 0..10 {
        let _ = provider.handle(provider.started() + secs(i), &tokens(i));
    }
    let kept: Vec<u64> = provider.arrivals().iter().map(|a| a.reserved).collect();
    assert_eq!(kept, [7, 8, 9]);
    assert_eq!(
        (
            provider.report().requests,
            provider.report().tokens_admitted
        ),
        (10, 45)
    );
}

#[test]
fn what_is_in_flight_is_counted_until_it_is_finished_or_dropped() {
    let provider = Provider::openai().build().unwrap();
    let now = provider.started();
    let replies: Vec<_> = (0..5).map(|_| provider.handle(now, &tokens(1))).collect();
    assert_eq!(provider.report().in_flight, 5);
    for (i, reply) in replies.into_iter().enumerate() {
        if i % 2 == 0 {
            drop(reply);
        } else {
            let _ = reply.finish(now);
        }
    }
    let _ = provider.handle(now, &tokens(1));
    let report = provider.report();
    assert_eq!((report.in_flight, report.peak_in_flight), (0, 5));
}
