//! Laws of `RetryBudget`.

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;
use tokio::time::advance;
use tower::{Layer, Service, ServiceExt, retry::budget::Budget};
use tower_quota::{BackoffRetryLayer, RetryBudget};

use crate::support::mock::*;

#[tokio::test(start_paused = true)]
async fn dropped_at_any_poll_it_sends_nothing_more_and_owes_nothing() {
    for polls in 0..4 {
        let mock = Mock::new([DOWN]);
        let budget = RetryBudget::percent(0).reserve(5);
        let mut service = BackoffRetryLayer::new()
            .random(|| u64::MAX)
            .budget(budget.clone())
            .layer(mock.clone());
        let mut future = Box::pin(service.ready().await.unwrap().call(request()));
        for _ in 0..polls {
            assert!(poll(future.as_mut()).is_pending());
        }
        drop(future);
        assert_eq!(budget.balance(), Some(5), "after {polls} polls");
        advance(Duration::from_secs(100)).await;
        assert_eq!((mock.calls(), mock.in_flight()), (1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_sleeping_retry_has_paid() {
    let mock = Mock::new([DOWN]);
    let budget = RetryBudget::percent(0).reserve(3);
    let service = BackoffRetryLayer::new().budget(budget.clone()).layer(mock);
    let mut sleepers: Vec<_> = (0..10)
        .map(|_| Box::pin(service.clone().oneshot(request())))
        .collect();
    let asleep = sleepers
        .iter_mut()
        .filter_map(|s| poll(s.as_mut()).is_pending().then_some(()));
    assert_eq!(asleep.count(), 3);
    assert_eq!(budget.balance(), Some(0));
}

#[tokio::test(start_paused = true)]
async fn services_of_one_layer_and_their_clones_share_its_budget() {
    let mock = Mock::new([DOWN]);
    let layer = BackoffRetryLayer::new()
        .attempts(2)
        .budget(RetryBudget::percent(0).reserve(2));
    for service in [layer.layer(mock.clone()), layer.clone().layer(mock.clone())] {
        service.clone().oneshot(request()).await.unwrap();
        service.oneshot(request()).await.unwrap();
    }
    assert_eq!(mock.calls(), 4 + 2);
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_succeeds_can_be_paid_back_and_a_throttled_one_be_cheaper() {
    let budget = RetryBudget::percent(0).reserve(2).refund_success();
    let layer = BackoffRetryLayer::new().budget(budget.clone());
    let serve = |steps: &[Step]| {
        layer
            .layer(Mock::new(steps.iter().copied()))
            .oneshot(request())
    };
    for _ in 0..10 {
        serve(&[DOWN, OK]).await.unwrap();
    }
    assert_eq!(budget.balance(), Some(2));
    serve(&[DOWN, DOWN, OK]).await.unwrap();
    assert_eq!(
        budget.balance(),
        Some(1),
        "only the last one's cost comes back"
    );

    let budget = RetryBudget::percent(0).reserve(1).throttle_cost(25);
    let layer = BackoffRetryLayer::new().attempts(9).budget(budget);
    let mock = Mock::new([RATE_LIMITED]);
    layer.layer(mock.clone()).oneshot(request()).await.unwrap();
    assert_eq!(mock.calls(), 1 + 4);
}

#[tokio::test(start_paused = true)]
async fn a_budget_of_towers_is_asked() {
    struct Two(std::sync::atomic::AtomicUsize);
    impl Budget for Two {
        fn deposit(&self) {}
        fn withdraw(&self) -> bool {
            self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < 2
        }
    }
    let mock = Mock::new([DOWN]);
    let layer = BackoffRetryLayer::new()
        .attempts(9)
        .budget(Arc::new(Two(0.into())));
    layer.layer(mock.clone()).oneshot(request()).await.unwrap();
    assert_eq!(mock.calls(), 3);
}

proptest! {
    /// Whatever is dropped whenever: what the budget gave and didn't get back was sent.
    #[test]
    fn the_budget_knows_exactly_what_was_sent(
        calls in proptest::collection::vec(
            (proptest::collection::vec(0u8..6, 1..5), 0usize..12, 0u64..900), 1..12,
        ),
        attempts in 1u32..5,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let budget = RetryBudget::percent(0).reserve(8);
            let layer = BackoffRetryLayer::new().attempts(attempts).budget(budget.clone());
            let (mut first, mut sent) = (0, 0);
            for (steps, polls, pause) in calls {
                let step = |step| match step {
                    0 => OK,
                    1 => Step::Slow(Duration::from_millis(300)),
                    2 => RATE_LIMITED,
                    3 => Step::Refuse,
                    _ => DOWN,
                };
                let steps: Vec<_> = steps.into_iter().map(step).collect();
                let mock = Mock::new(steps.iter().copied());
                let mut call = Box::pin(layer.layer(mock.clone()).oneshot(request()));
                for _ in 0..polls {
                    if poll(call.as_mut()).is_ready() {
                        break;
                    }
                    advance(Duration::from_millis(pause)).await;
                }
                drop(call);
                assert_eq!(mock.in_flight(), 0);
                assert!(mock.calls() <= attempts as usize);
                // A retry that is refused further in was never sent.
                let last = mock.calls().clamp(1, steps.len()) - 1;
                let refused = mock.calls() > 1 && steps[last] == Step::Refuse;
                first += mock.calls().min(1);
                sent += mock.calls() - usize::from(refused);
            }
            assert_eq!(budget.balance(), Some(8 - (sent - first) as u64));
        });
    }
}
