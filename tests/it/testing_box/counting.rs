//! What is admitted, what is refused, and for how long.

use std::time::Duration;

use tower_quota::testing::{Outcome, Provider, ProviderBuilder, Settlement, Shape};

use super::{Lcg, ms, secs, tokens};

const LIMIT: u64 = 1_000;
/// Odd on purpose: nothing divides evenly.
const MINUTE: Duration = Duration::from_nanos(9_999_999_967);

const SHAPES: [Shape; 4] = [
    Shape::Rolling,
    Shape::Bucket,
    Shape::Fixed,
    Shape::FixedAt(Duration::from_millis(3_333)),
];

fn limited(shape: Shape) -> ProviderBuilder {
    Provider::openai()
        .tokens_per_minute(LIMIT)
        .minute(MINUTE)
        .shape(shape)
}

/// A naive model: the charges so far, and what they leave by each shape's definition.
#[derive(Default)]
struct Naive {
    charges: Vec<(u128, u64)>,
}

impl Naive {
    fn fits(&self, shape: Shape, now: u128, amount: u64) -> bool {
        let (limit, minute) = (u128::from(LIMIT), MINUTE.as_nanos());
        let since = |from: u128| -> u128 {
            let charges = self.charges.iter().filter(|(at, _)| *at >= from);
            charges.map(|(_, amount)| u128::from(*amount)).sum()
        };
        let amount = u128::from(amount);
        let phase = match shape {
            Shape::Rolling => {
                let from = (now + 1).saturating_sub(minute);
                return since(from) + amount <= limit;
            }
            // From whichever charge the bucket was last full: what left must fit into what it
            // held and what came in since.
            Shape::Bucket => {
                return self.charges.iter().all(|(from, _)| {
                    (since(*from) + amount) * minute <= limit * (minute + now - from)
                });
            }
            Shape::FixedAt(phase) => phase.as_nanos(),
            _ => self.charges.first().map_or(now, |(at, _)| *at),
        };
        let window = |at: u128| (at + minute - phase % minute) / minute;
        let same = self
            .charges
            .iter()
            .filter(|(at, _)| window(*at) == window(now));
        let used: u128 = same.map(|(_, amount)| u128::from(*amount)).sum();
        used + amount <= limit
    }
}

#[test]
fn every_shape_admits_what_its_definition_allows_and_nothing_else() {
    for seed in 0..20 {
        for shape in SHAPES {
            let provider = limited(shape).build().unwrap();
            let (mut naive, mut lcg) = (Naive::default(), Lcg(seed));
            let mut now = Duration::ZERO;
            for _ in 0..300 {
                now += Duration::from_nanos(lcg.below(MINUTE.as_nanos() as u64 / 4));
                let amount = 1 + lcg.below(LIMIT / 2);
                let fits = naive.fits(shape, now.as_nanos(), amount);
                let reply = provider.handle(provider.started() + now, &tokens(amount));
                assert_eq!(reply.is_admitted(), fits, "{shape:?}, seed {seed}, {now:?}");
                if fits {
                    naive.charges.push((now.as_nanos(), amount));
                } else {
                    let then = (now + reply.retry_after().unwrap()).as_nanos();
                    assert!(
                        naive.fits(shape, then, amount),
                        "{shape:?}, seed {seed}, {now:?}"
                    );
                    assert!(
                        !naive.fits(shape, then - 1, amount),
                        "{shape:?}, seed {seed}, {now:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_rolling_minute_never_admits_more_than_its_limit() {
    let provider = limited(Shape::Rolling).build().unwrap();
    let mut lcg = Lcg(7);
    let mut now = provider.started();
    for _ in 0..5_000 {
        now += Duration::from_nanos(lcg.below(MINUTE.as_nanos() as u64 / 20));
        let _ = provider.handle(now, &tokens(1 + lcg.below(300)));
    }
    let report = provider.report();
    assert!(report.most_tokens_in_a_minute <= LIMIT, "{report}");
    assert!(report.utilisation() > 0.9, "{report}");
}

#[test]
fn the_stated_wait_is_exact() {
    let quantum = |shape| limited(shape).quantum(MINUTE / 60);
    for (name, set_up) in [
        ("plain", &limited as &dyn Fn(Shape) -> ProviderBuilder),
        ("by the quantum", &quantum),
    ] {
        for shape in SHAPES {
            let provider = set_up(shape).build().unwrap();
            let mut lcg = Lcg(11);
            let mut now = provider.started();
            let mut refusals = 0;
            for _ in 0..300 {
                now += Duration::from_nanos(lcg.below(MINUTE.as_nanos() as u64 / 8));
                let call = tokens(1 + lcg.below(LIMIT));
                let reply = provider.handle(now, &call);
                if reply.is_admitted() {
                    continue;
                }
                refusals += 1;
                let then = now + reply.retry_after().unwrap();
                let early = provider.handle(then - Duration::from_nanos(1), &call);
                assert_eq!(early.outcome(), Outcome::RateLimited, "{shape:?} {name}");
                assert_eq!(early.retry_after(), Some(Duration::from_nanos(1)));
                assert!(
                    provider.handle(then, &call).is_admitted(),
                    "{shape:?} {name}"
                );
                now = then;
            }
            assert!(refusals > 50, "{shape:?} {name}: {refusals}");
        }
    }
}

#[test]
fn the_wait_is_exact_where_refusals_count_too() {
    for shape in SHAPES {
        let set_up = || {
            Provider::openai()
                .requests_per_minute(5)
                .minute(MINUTE)
                .shape(shape)
                .count_refused(true)
                .build()
                .unwrap()
        };
        // Nine at once: four are refused, and count.
        let start = |provider: &Provider| {
            let ask = |_| {
                provider
                    .handle(provider.started(), &tokens(1))
                    .retry_after()
            };
            let waits: Vec<_> = (0..9).map(ask).collect();
            waits[8].unwrap()
        };
        let provider = set_up();
        let wait = start(&provider);
        let reply = provider.handle(provider.started() + wait, &tokens(1));
        assert!(reply.is_admitted(), "{shape:?}");

        let provider = set_up();
        let just_before = start(&provider) - Duration::from_nanos(1);
        let reply = provider.handle(provider.started() + just_before, &tokens(1));
        assert!(!reply.is_admitted(), "{shape:?}");
    }
}

#[test]
fn a_refused_request_changes_nothing() {
    let provider = Provider::openai()
        .requests_per_minute(10)
        .tokens_per_minute(LIMIT)
        .requests_per_day(3)
        .shape(Shape::Rolling)
        .build()
        .unwrap();
    let now = provider.started();
    assert!(provider.handle(now, &tokens(600)).is_admitted());
    // Each of these breaks one limit; the others aren't charged for it.
    for _ in 0..20 {
        assert!(!provider.handle(now, &tokens(401)).is_admitted());
    }
    assert!(provider.handle(now, &tokens(200)).is_admitted());
    assert!(provider.handle(now, &tokens(199)).is_admitted());
    // One token would be left in the minute, but no request in the day.
    let reply = provider.handle(now, &tokens(1));
    assert_eq!(reply.retry_after(), Some(secs(86_400)));
    assert_eq!(provider.report().tokens_admitted, 999);
}

#[test]
fn the_longest_wait_is_stated_where_several_limits_refuse() {
    let provider = Provider::openai()
        .requests_per_minute(1)
        .tokens_per_minute(LIMIT)
        .shape(Shape::Bucket)
        .build()
        .unwrap();
    let now = provider.started();
    assert!(provider.handle(now, &tokens(LIMIT)).is_admitted());
    let small = provider.handle(now, &tokens(LIMIT / 2));
    assert_eq!(small.retry_after(), Some(secs(60)));
    let then = now + secs(60);
    assert!(provider.handle(then, &tokens(LIMIT / 2)).is_admitted());
}

#[test]
fn a_request_above_a_whole_limit_never_fits() {
    for shape in SHAPES {
        let provider = limited(shape).build().unwrap();
        let reply = provider.handle(provider.started(), &tokens(LIMIT + 1));
        assert_eq!(reply.outcome(), Outcome::TooLarge);
        assert_eq!(reply.retry_after(), None);
        let whole = provider.handle(provider.started(), &tokens(LIMIT));
        assert!(whole.is_admitted());
    }
}

#[test]
fn a_quantum_spreads_a_minute_over_its_seconds() {
    let provider = Provider::openai()
        .requests_per_minute(600)
        .quantum(secs(1))
        .shape(Shape::Rolling)
        .build()
        .unwrap();
    let now = provider.started();
    let at_once = (0..600).filter(|_| provider.handle(now, &tokens(1)).is_admitted());
    assert_eq!(at_once.count(), 10);
    let next = provider.handle(now, &tokens(1));
    assert_eq!(next.retry_after(), Some(ms(100)));
}

#[test]
fn a_request_larger_than_a_quantum_is_paid_off_afterwards() {
    let provider = Provider::openai()
        .tokens_per_minute(60_000)
        .quantum(secs(1))
        .build()
        .unwrap();
    let now = provider.started();
    assert!(provider.handle(now, &tokens(5_000)).is_admitted());
    let next = provider.handle(now, &tokens(1_000));
    assert_eq!(next.retry_after(), Some(secs(5)));
}

fn trues_up(shape: Shape) -> ProviderBuilder {
    limited(shape).settlement(Settlement::TrueUp)
}

/// How many tokens would fit at this moment, found out without charging any.
fn left(provider: &Provider, now: tokio::time::Instant) -> u64 {
    let probe = Provider::handle(provider, now, &tokens(LIMIT + 1));
    let answer = probe.finish(now).unwrap();
    let left = &answer.headers()["x-ratelimit-remaining-tokens"];
    left.to_str().unwrap().parse().unwrap()
}

#[test]
fn a_true_up_gives_back_what_was_not_used() {
    for shape in SHAPES {
        let provider = trues_up(shape).completion(0.25..=0.25).build().unwrap();
        let now = provider.started();
        let call = tower_quota::testing::Call::chat("m", 100, 800);
        let reply = provider.handle(now, &call);
        assert_eq!(left(&provider, now), 100, "{shape:?}");
        assert!(reply.finish(now).is_some());
        assert_eq!(left(&provider, now), 700, "{shape:?}");
        let report = provider.report();
        assert_eq!(report.tokens_admitted, 900);
        assert_eq!((report.tokens_charged, report.tokens_actual), (300, 300));
    }
}

#[test]
fn a_true_up_charges_what_was_used_beyond_the_reservation() {
    for shape in SHAPES {
        let provider = trues_up(shape).prompt_factor(3.0).build().unwrap();
        let now = provider.started();
        let _ = provider.handle(now, &tokens(300)).finish(now);
        assert_eq!(left(&provider, now), 100, "{shape:?}");
    }
}

#[test]
fn a_reservation_that_is_kept_stays_whole() {
    for shape in SHAPES {
        let provider = limited(shape).prompt_factor(0.1).build().unwrap();
        let now = provider.started();
        let _ = provider.handle(now, &tokens(600)).finish(now);
        assert_eq!(left(&provider, now), 400, "{shape:?}");
        assert_eq!(provider.report().tokens_actual, 60);
    }
}

#[test]
fn a_reply_that_is_dropped_keeps_its_reservation() {
    for shape in SHAPES {
        let provider = trues_up(shape).prompt_factor(0.1).build().unwrap();
        drop(provider.handle(provider.started(), &tokens(600)));
        assert_eq!(left(&provider, provider.started()), 400, "{shape:?}");
    }
}

#[test]
fn a_trued_up_charge_counts_as_if_it_had_been_that_from_the_first() {
    // Answers take up to a third of a minute and come back out of order. Once all have, what is
    // left must be what a naive account says that was told the truth at once.
    for seed in 0..20 {
        for shape in [Shape::Rolling, Shape::Bucket] {
            let provider = trues_up(shape).prompt_factor(0.5).build().unwrap();
            let started = provider.started();
            let (mut naive, mut lcg) = (Naive::default(), Lcg(seed));
            let mut now = Duration::ZERO;
            let mut pending = Vec::new();
            for _ in 0..100 {
                now += Duration::from_nanos(lcg.below(MINUTE.as_nanos() as u64 / 10));
                let due = pending.extract_if(.., |(due, _)| *due <= now);
                for (due, reply) in due.collect::<Vec<(Duration, tower_quota::testing::Reply)>>() {
                    let _ = reply.finish(started + due);
                }
                let amount = 2 + 2 * lcg.below(LIMIT / 5);
                let reply = provider.handle(started + now, &tokens(amount));
                if reply.is_admitted() {
                    naive.charges.push((now.as_nanos(), amount / 2));
                    let takes = Duration::from_nanos(lcg.below(MINUTE.as_nanos() as u64 / 3));
                    pending.push((now + takes, reply));
                }
            }
            for (_, reply) in pending {
                let _ = reply.finish(started + now);
            }
            let left = left(&provider, started + now);
            assert!(
                naive.fits(shape, now.as_nanos(), left),
                "{shape:?}, seed {seed}"
            );
            assert!(
                !naive.fits(shape, now.as_nanos(), left + 1),
                "{shape:?}, seed {seed}"
            );
        }
    }
}

#[test]
fn a_true_up_after_a_window_has_closed_changes_nothing() {
    for shape in [Shape::Rolling, Shape::Fixed] {
        let provider = trues_up(shape).prompt_factor(0.1).build().unwrap();
        let reply = provider.handle(provider.started(), &tokens(1_000));
        let then = provider.started() + MINUTE;
        assert!(provider.handle(then, &tokens(700)).is_admitted());
        let _ = reply.finish(then);
        assert!(left(&provider, then) >= 300);
        assert!(left(&provider, then) <= 930, "{shape:?}");
    }
}

#[test]
fn nonsense_is_refused_where_it_is_set() {
    let wrong = |builder: ProviderBuilder| builder.build().unwrap_err().setting();
    assert_eq!(wrong(Provider::openai().minute(Duration::ZERO)), "minute");
    assert_eq!(wrong(Provider::openai().day(Duration::MAX)), "day");
    assert_eq!(wrong(Provider::openai().quantum(secs(61))), "quantum");
    assert_eq!(
        wrong(Provider::openai().completion(0.5..=f64::NAN)),
        "completion"
    );
    assert_eq!(
        wrong(Provider::openai().prompt_factor(-1.0)),
        "prompt_factor"
    );
}
