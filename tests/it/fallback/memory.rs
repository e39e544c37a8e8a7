//! Who has asked for time is passed over until then.

use tokio::time::{Instant, sleep};
use tower::{ServiceBuilder, limit::ConcurrencyLimit};
use tower_quota::{CircuitBreakerLayer, Reason, RejectedError};

use super::{
    chain::{causes_of, served},
    *,
};

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn limited(n: u64) -> Mock {
    Mock::new([rate_limited(Some(secs(n)))])
}

#[tokio::test(start_paused = true)]
async fn a_primary_that_asked_for_time_gets_none_until_then_and_not_a_nanosecond_longer() {
    for step in [rate_limited(Some(secs(20))), overloaded(Some(secs(20)))] {
        let (first, second) = (Mock::new([step, OK]), Mock::new([Step::Status(201)]));
        let layer = FallbackLayer::to(second.clone());
        let service = layer.layer(first.clone());
        let ask = || service.clone().oneshot(request());
        assert_eq!(ask().await.unwrap().status(), 201);
        for _ in 0..3 {
            let answer = ask().await.unwrap();
            assert_eq!(served(&answer), Some(("fallback", 1)));
            let causes = Causes::of(&answer).unwrap();
            assert_eq!((causes.len(), causes.last().was_skipped()), (1, true));
            assert_eq!(causes.last().verdict().retry_after(), Some(secs(20)));
        }
        advance(secs(20) - Duration::from_nanos(1)).await;
        assert_eq!(ask().await.unwrap().status(), 201);
        assert_eq!((first.calls(), second.calls()), (1, 5));
        advance(Duration::from_nanos(1)).await;
        assert_eq!(ask().await.unwrap().status(), 200);
        assert_eq!(ask().await.unwrap().status(), 200);
        assert_eq!((first.calls(), second.calls()), (3, 5));
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_hint_or_without_memory_each_request_goes_to_the_first() {
    let none = FallbackLayer::to(Mock::new([OK])).no_memory();
    let some = FallbackLayer::to(Mock::new([OK]));
    for (layer, step) in [
        (none.clone(), rate_limited(Some(secs(20)))),
        (none, Step::Judged(Verdict::QuotaExhausted)),
        (some.clone(), RATE_LIMITED),
        (some.clone(), DOWN),
        (some.clone(), Step::Judged(Verdict::TooLarge)),
        (some.clone(), Step::Refuse),
        (
            some.exhausted_for(Duration::ZERO),
            Step::Judged(Verdict::QuotaExhausted),
        ),
    ] {
        let first = Mock::new([step]);
        let service = layer.layer(first.clone());
        for n in 1..4 {
            service.clone().oneshot(request()).await.unwrap();
            assert_eq!(first.calls(), n, "{step:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_hint_that_lies_banishes_nobody_and_no_money_has_its_own_time() {
    let layer = || FallbackLayer::to(Mock::new([OK]));
    let day = rate_limited(Some(secs(86_400)));
    let broke = Step::Judged(Verdict::QuotaExhausted);
    for (layer, step, expected) in [
        (layer(), day, 60),
        (layer().memory(secs(7)), day, 7),
        (layer(), broke, 600),
        (layer().exhausted_for(secs(9)).memory(secs(7)), broke, 9),
    ] {
        let first = Mock::new([step]);
        let service = layer.layer(first.clone());
        let start = Instant::now();
        while first.calls() < 3 {
            service.clone().oneshot(request()).await.unwrap();
            advance(secs(1)).await;
        }
        assert_eq!(first.times(start), [0, expected, 2 * expected].map(secs));
    }
}

#[tokio::test(start_paused = true)]
async fn every_service_and_clone_of_a_layer_shares_it_and_a_setting_begins_another() {
    let layer = FallbackLayer::to(Mock::new([OK]));
    layer.layer(limited(30)).oneshot(request()).await.unwrap();
    let first = Mock::new([OK]);
    for layer in [layer.clone(), layer.clone().clone()] {
        let service = layer.layer(first.clone());
        service.clone().oneshot(request()).await.unwrap();
        service.oneshot(request()).await.unwrap();
    }
    assert_eq!(first.calls(), 0);
    let other = layer.name("another").layer(first.clone());
    other.oneshot(request()).await.unwrap();
    assert_eq!(first.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_is_passed_over_until_it_lets_a_probe_through() {
    let first = Mock::new([DOWN]);
    let breaker = CircuitBreakerLayer::new().consecutive_failures(1);
    let service = ServiceBuilder::new()
        .layer(FallbackLayer::to(Mock::new([Step::Status(201)])))
        .layer(breaker)
        .service(first.clone());
    let start = Instant::now();
    // It fails, opens, is asked once more, and says when to come back.
    for _ in 0..3 {
        let answer = service.clone().oneshot(request()).await.unwrap();
        assert_eq!(answer.status(), 201);
    }
    let answer = service.clone().oneshot(request()).await.unwrap();
    let causes = Causes::of(&answer).unwrap();
    assert!(causes.last().was_skipped());
    assert_eq!(causes.last().verdict(), Verdict::Refused);
    first.does(OK);
    while first.calls() < 2 {
        advance(Duration::from_millis(100)).await;
        service.clone().oneshot(request()).await.unwrap();
    }
    let probe = first.times(start)[1];
    assert!((secs(4)..=secs(6) + Duration::from_millis(100)).contains(&probe));
}

#[tokio::test(start_paused = true)]
async fn each_member_of_a_list_is_remembered() {
    let (first, b, c) = (limited(10), limited(20), Mock::new([OK]));
    let layer = FallbackLayer::chain([b.clone(), c.clone()]);
    let service = layer.layer(first.clone());
    let ask = || service.clone().oneshot(request());
    let calls = || [&first, &b, &c].map(Mock::calls);
    ask().await.unwrap();
    assert_eq!(calls(), [1, 1, 1]);
    let answer = ask().await.unwrap();
    assert_eq!(calls(), [1, 1, 2]);
    assert_eq!(causes_of(&answer).len(), 2);
    assert_eq!(served(&answer), Some(("fallback", 2)));
    first.does(DOWN);
    advance(secs(10)).await;
    ask().await.unwrap();
    assert_eq!(calls(), [2, 1, 3]);
    advance(secs(10)).await;
    b.does(OK);
    ask().await.unwrap();
    assert_eq!(calls(), [3, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn where_all_are_down_the_one_that_is_back_first_is_asked() {
    let (first, b, c) = (limited(30), limited(10), limited(20));
    let layer = FallbackLayer::chain([b.clone(), c.clone()]);
    let service = layer.layer(first.clone());
    let ask = || service.clone().oneshot(request());
    let calls = || [&first, &b, &c].map(Mock::calls);
    ask().await.unwrap();
    assert_eq!(calls(), [1, 1, 1]);
    // b says 10 s more; then c, which is back after it, is asked all the same.
    ask().await.unwrap();
    assert_eq!(calls(), [1, 2, 2]);
    // The first is, once it is back first.
    advance(secs(9)).await;
    b.does(rate_limited(Some(secs(50))));
    c.does(rate_limited(Some(secs(50))));
    ask().await.unwrap();
    assert_eq!(calls(), [1, 3, 3]);
    first.does(OK);
    assert_eq!(ask().await.unwrap().status(), 200);
    assert_eq!(calls(), [2, 3, 3]);
    // It served, in spite of what it had said: that is over.
    ask().await.unwrap();
    assert_eq!(calls(), [3, 3, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_success_that_was_on_its_way_before_proves_nothing() {
    let first = Mock::new([Step::Slow(secs(1)), rate_limited(Some(secs(20)))]);
    let second = Mock::new([OK]);
    let layer = FallbackLayer::to(second.clone());
    let service = layer.layer(first.clone());
    let slow = tokio::spawn(service.clone().oneshot(request()));
    tokio::task::yield_now().await;
    service.clone().oneshot(request()).await.unwrap();
    slow.await.unwrap().unwrap();
    service.clone().oneshot(request()).await.unwrap();
    assert_eq!((first.calls(), second.calls()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_first_that_is_down_and_stuck_holds_up_nobody() {
    let (first, second) = (limited(20), Mock::new([OK]));
    let layer = FallbackLayer::to(second.clone());
    let service = layer.layer(first.clone());
    service.clone().oneshot(request()).await.unwrap();
    first.becomes(Readiness::Stuck);
    let polls = first.ready_polls();
    let mut call = Box::pin(service.oneshot(request()));
    assert!(poll(call.as_mut()).is_ready());
    assert_eq!(first.ready_polls(), polls);
}

#[tokio::test(start_paused = true)]
async fn what_the_first_had_reserved_is_given_back_when_it_is_passed_over() {
    let first = ConcurrencyLimit::new(limited(20), 2);
    let layer = FallbackLayer::to(Mock::new([Step::Status(201)]));
    let service = layer.layer(first.clone());
    let (mut readied, mut other) = (service.clone(), service);
    readied.ready().await.unwrap();
    other.ready().await.unwrap().call(request()).await.unwrap();
    let answer = readied.call(request()).await.unwrap();
    assert_eq!(answer.status(), 201);
    // Both places are free, while the services are still there.
    let (mut a, mut b) = (first.clone(), first);
    assert!(poll(Box::pin(ServiceExt::<Request<Bytes>>::ready(&mut a)).as_mut()).is_ready());
    assert!(poll(Box::pin(ServiceExt::<Request<Bytes>>::ready(&mut b)).as_mut()).is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_service_that_was_ready_while_the_first_was_down_goes_there_once_it_is_back() {
    for step in [OK, DOWN] {
        let first = Mock::new([rate_limited(Some(secs(20))), step]);
        let second = Mock::new([Step::Status(201)]);
        let layer = FallbackLayer::to(second.clone());
        let mut service = layer.layer(first.clone());
        service
            .ready()
            .await
            .unwrap()
            .call(request())
            .await
            .unwrap();
        service.ready().await.unwrap();
        advance(secs(20)).await;
        // It is readied late, by whoever calls.
        first.becomes(Readiness::Stuck);
        let mut call = Box::pin(service.call(request()));
        assert!(poll(call.as_mut()).is_pending());
        first.becomes(Readiness::Ready);
        let answer = call.await.unwrap();
        let fell = step != OK;
        assert_eq!(answer.status(), if fell { 201 } else { 200 });
        assert_eq!((first.calls(), second.calls()), (2, 1 + usize::from(fell)));
    }
    // What keeps it from becoming ready then is an outcome, and needs no copy.
    let (first, second) = (limited(20), Mock::new([OK]));
    let layer = FallbackLayer::rewrite(|request: Request<Once>| request);
    let mut service = layer.layer(first.taking());
    let once = || Request::new(Once("{}".into()));
    service.ready().await.unwrap().call(once()).await.unwrap();
    service.ready().await.unwrap();
    advance(secs(20)).await;
    first.becomes(Readiness::Broken);
    let error = service.call(once()).await.unwrap_err();
    assert_eq!(error.to_string(), "broken");
    let layer = FallbackLayer::to(second.taking());
    first.becomes(Readiness::Ready);
    let mut service = layer.layer(first.taking());
    service.ready().await.unwrap().call(once()).await.unwrap();
    service.ready().await.unwrap();
    advance(secs(20)).await;
    first.becomes(Readiness::Broken);
    let answer = service.call(once()).await.unwrap();
    assert_eq!((answer.status().as_u16(), second.calls()), (200, 1));
}

#[tokio::test(start_paused = true)]
async fn a_link_that_does_not_take_what_is_remembered_is_no_way_past() {
    let (first, second) = (limited(20), Mock::new([OK]));
    let layer = FallbackLayer::to(second.clone()).on(|v| matches!(v, Verdict::TooLarge));
    let service = layer.layer(first.clone());
    for _ in 0..3 {
        let answer = service.clone().oneshot(request()).await.unwrap();
        assert_eq!(answer.status(), 418);
    }
    assert_eq!((first.calls(), second.calls()), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn where_no_link_can_be_asked_the_first_is_after_all() {
    let (first, second) = (
        Mock::new([rate_limited(Some(secs(20))), OK]),
        Mock::new([OK]),
    );
    let layer = FallbackLayer::to(second.taking());
    let service = layer.layer(first.taking());
    let once = || Request::new(Once("{}".into()));
    // A refusal's request can't be copied, but what it said is remembered.
    let answer = service.clone().oneshot(once()).await.unwrap();
    assert_eq!((answer.status().as_u16(), second.calls()), (418, 0));
    assert_eq!(service.clone().oneshot(once()).await.unwrap().status(), 200);
    assert_eq!((first.calls(), second.calls()), (1, 1));
    second.becomes(Readiness::Broken);
    let answer = service.clone().oneshot(once()).await.unwrap();
    assert_eq!((answer.status().as_u16(), served(&answer)), (200, None));
    assert_eq!((first.calls(), second.calls()), (2, 1));
    // With nothing to be rewritten either.
    let first = Mock::new([rate_limited(Some(secs(20))), OK]);
    let layer = FallbackLayer::rewrite(|_: Request<Bytes>| None);
    let service = layer.layer(first.clone());
    for status in [418, 200, 200] {
        let answer = service.clone().oneshot(request()).await.unwrap();
        assert_eq!(answer.status(), status);
    }
    assert_eq!(first.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn dropped_while_the_first_is_passed_over_it_calls_nobody() {
    let (first, second) = (limited(20), Mock::new([OK]));
    let layer = FallbackLayer::to(second.clone());
    let service = layer.layer(first.clone());
    service.clone().oneshot(request()).await.unwrap();
    second.becomes(Readiness::Stuck);
    for polls in 0..3 {
        let mut call = Box::pin(service.clone().oneshot(request()));
        for _ in 0..polls {
            assert!(poll(call.as_mut()).is_pending());
        }
        drop(call);
    }
    assert_eq!((first.calls(), second.calls()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_stack_is_down_until_the_first_of_its_members_is_back() {
    // The inner link asks for longer than the first: the outer layer may not pass over the first for that long.
    for (b, expected) in [(limited(50), 10), (Mock::new([DOWN]), 10)] {
        let (first, c) = (limited(10), Mock::new([OK]));
        let inner = FallbackLayer::to(b).layer(first.clone());
        let service = FallbackLayer::to(c.clone()).layer(inner);
        let start = Instant::now();
        while first.calls() < 2 {
            service.clone().oneshot(request()).await.unwrap();
            sleep(secs(1)).await;
        }
        assert_eq!(first.times(start)[1], secs(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn requests_of_any_type_are_remembered_by_their_errors() {
    let calls = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = calls.clone();
    let first = service_fn(move |_: u32| {
        counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let open = Rejected::new(Reason::CircuitOpen).retry_after(Some(secs(5)));
        async { Err::<u32, RejectedError>(open.into()) }
    });
    let second = service_fn(|n: u32| async move { Ok::<u32, std::io::Error>(n + 1) });
    let service = FallbackLayer::to(second).opaque().layer(first);
    for _ in 0..3 {
        assert_eq!(service.clone().oneshot(1).await.unwrap(), 2);
    }
    assert_eq!(calls.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[test]
#[should_panic(expected = "memory: 0ns")]
fn a_memory_of_nothing_is_refused() {
    let _ = FallbackLayer::to(Mock::new([OK])).memory(Duration::ZERO);
}
