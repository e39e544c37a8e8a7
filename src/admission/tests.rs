//! A layer further in, on the same quota as the one around it.

use std::{
    future::{Future, Ready, ready},
    io,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use http::{HeaderMap, StatusCode};
use tokio::time::{Instant, advance};
use tower::service_fn;

use super::{
    aftermath::Aftermath,
    door::{Door, Manners},
    future::Admission,
    sent::{Sent, Told},
};
use crate::{
    answers::{Depth, Opaque},
    core::{cost::Cost, limit::Limit},
    departure,
    error::BoxError,
    quota::{Grant, Quota, Rank},
    verdict::Verdict,
};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Copy)]
struct Nothing;

impl Aftermath for Nothing {
    type Watch = ();
    type Notes = ();

    const DEPTH: Depth = Depth::Errors;

    fn answered(self, (): &mut (), _: Verdict, _: Option<(StatusCode, &HeaderMap)>, _: Grant) {}
}

/// A try: whether it gets there.
fn attempt(
    quota: &Quota,
    tokens: u64,
    arrives: bool,
) -> impl Future<Output = Result<(), BoxError>> {
    let outcome = |arrives| -> Ready<Result<(), BoxError>> {
        ready(match arrives {
            true => Ok(()),
            false => Err(io::Error::from(io::ErrorKind::ConnectionRefused).into()),
        })
    };
    let door = Door {
        quota,
        cost: &Cost::tokens(tokens),
        rank: Rank::DEFAULT,
        manners: Manners::DEFAULT,
    };
    Admission::new(
        &mut service_fn(outcome),
        arrives,
        &door,
        &Opaque,
        (Nothing, ()),
    )
}

/// A request that the layer around has charged with so many tokens.
fn charged(quota: &Quota, tokens: u64) -> Sent {
    let grant = quota.reserve_now(&Cost::tokens(tokens), false, Rank::DEFAULT);
    let mut sent = Sent::new(grant.expect("room"), Manners::DEFAULT);
    let scope = sent.calling();
    departure::hold();
    sent.called(scope);
    sent
}

/// Polls what is further in, which isn't answered by that.
fn poll<T>(sent: &mut Sent, inner: impl FnOnce(&mut Context<'_>) -> T) -> T {
    let cx = &mut Context::from_waker(Waker::noop());
    let scope = sent.polling(cx);
    let done = inner(cx);
    sent.polled(scope, Told::Pending);
    done
}

fn books(quota: &Quota) -> (u64, u64) {
    let limit = quota.snapshot().limits[0];
    (limit.used, limit.held)
}

#[tokio::test(start_paused = true)]
async fn what_a_try_took_over_that_never_left_is_there_for_the_next() {
    let quota = Quota::new(Limit::tokens(100, SECOND)).expect("valid");
    let mut sent = charged(&quota, 10);
    for (tokens, arrives) in [(10, false), (1_000, true), (15, false), (10, false)] {
        poll(&mut sent, |cx| {
            let tried = pin!(attempt(&quota, tokens, arrives)).poll(cx);
            assert!(matches!(tried, Poll::Ready(Err(_))));
            // Until there is another.
            departure::hold();
        });
        assert_eq!(books(&quota), (0, 10), "{tokens} {arrives}");
    }
    poll(&mut sent, |cx| {
        let tried = pin!(attempt(&quota, 12, true)).poll(cx);
        assert!(matches!(tried, Poll::Ready(Ok(()))));
    });
    assert_eq!(books(&quota), (12, 0));
    // What has left is nobody's to take over.
    poll(&mut sent, |cx| {
        let tried = pin!(attempt(&quota, 10, true)).poll(cx);
        assert!(matches!(tried, Poll::Ready(Ok(()))));
    });
    assert_eq!(books(&quota), (22, 0));
}

#[tokio::test(start_paused = true)]
async fn what_a_try_took_over_that_waited_in_vain_is_there_for_the_next() {
    let limit = Limit::tokens(100, SECOND).transit(Duration::ZERO);
    let builder = Quota::builder().limit(limit).max_wait(2 * SECOND);
    let quota = builder.build().expect("valid");
    let mut sent = charged(&quota, 10);
    drop(quota.try_acquire(Cost::tokens(90)).expect("room"));
    let mut waits = Box::pin(poll(&mut sent, |_| attempt(&quota, 20, true)));
    assert!(poll(&mut sent, |cx| waits.as_mut().poll(cx)).is_pending());
    quota.pause_until(Instant::now() + 5 * SECOND);
    advance(4 * SECOND).await;
    let refused = poll(&mut sent, |cx| {
        let refused = waits.as_mut().poll(cx);
        departure::hold();
        refused
    });
    assert!(matches!(refused, Poll::Ready(Err(_))));
    advance(SECOND).await;
    poll(&mut sent, |cx| {
        let tried = pin!(attempt(&quota, 10, true)).poll(cx);
        assert!(matches!(tried, Poll::Ready(Ok(()))));
    });
    assert_eq!(books(&quota), (10, 0));
}
