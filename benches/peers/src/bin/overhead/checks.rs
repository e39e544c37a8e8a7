//! A limiter that is asked, with nothing behind it.

use std::{num::NonZeroU32, time::Duration};

use governor::{DefaultDirectRateLimiter, RateLimiter};
use peers::{PLENTY, Way};
use tower_quota::{Cost, Limit, Quota};

const DAY: Duration = Duration::from_secs(86_400);

fn check(
    name: &'static str,
    peer: &'static str,
    mut admits: impl FnMut() -> bool + 'static,
) -> Way {
    let expected = name == "admitted";
    Way {
        name,
        peer,
        future: 0,
        send: Box::new(move |calls| (0..calls).for_each(|_| assert_eq!(admits(), expected))),
    }
}

fn ours(name: &'static str, limit: Limit) -> Way {
    let quota = Quota::new(limit).expect("it makes sense");
    let admits = move || quota.try_acquire(Cost::request()).is_ok();
    admits();
    check(name, "", admits)
}

fn theirs(name: &'static str, limiter: DefaultDirectRateLimiter) -> Way {
    let admits = move || limiter.check().is_ok();
    admits();
    check(name, "governor", admits)
}

pub(crate) fn ways() -> Vec<Way> {
    let plenty = governor::Quota::per_second(NonZeroU32::MAX);
    let once = governor::Quota::with_period(DAY).expect("not 0");
    vec![
        ours("admitted", Limit::requests_per_minute(PLENTY)),
        theirs("admitted", RateLimiter::direct(plenty)),
        ours("refused", Limit::requests(1, DAY)),
        theirs(
            "refused",
            RateLimiter::direct(once.allow_burst(NonZeroU32::MIN)),
        ),
    ]
}
