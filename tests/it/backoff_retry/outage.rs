//! What an hour of total outage costs: 3,600 requests, one a second, all of which fail.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::Request;
use tokio::time::{Sleep, advance};
use tower::{
    Layer, Service, ServiceExt,
    retry::{
        Policy, Retry,
        budget::{Budget, TpsBudget},
    },
};
use tower_quota::{BackoffRetryLayer, BoxError, RetryBudget};

use super::SECOND;
use crate::support::mock::*;

const OFFERED: usize = 3_600;

/// How many requests an hour sends.
async fn sent<S>(mock: &Mock, service: S) -> usize
where
    S: Service<Request<Bytes>, Error = BoxError, Future: Send + 'static>,
    S: Clone + Send + 'static,
    S::Response: Send,
{
    let mut calls = Vec::new();
    for _ in 0..OFFERED {
        let service = service.clone();
        let call: BoxFuture<'static, bool> =
            Box::pin(async { service.oneshot(request()).await.is_ok() });
        calls.push(tokio::spawn(call));
        advance(SECOND).await;
    }
    for call in calls {
        assert!(call.await.unwrap(), "the last real outcome is the caller's");
    }
    println!("sent/offered {:.4}", mock.calls() as f64 / OFFERED as f64);
    mock.calls()
}

#[tokio::test(start_paused = true)]
async fn one_layer_sends_a_tenth_more_after_the_reserve() {
    let mock = Mock::new([DOWN]);
    let sent = sent(&mock, BackoffRetryLayer::new().layer(mock.clone())).await;
    assert!(sent - 10 <= OFFERED * 110 / 100, "{sent}");
    assert!(
        sent >= OFFERED * 110 / 100 - 1,
        "all of the budget is used: {sent}"
    );
}

#[tokio::test(start_paused = true)]
async fn two_stacked_layers_send_a_tenth_more_each() {
    let mock = Mock::new([DOWN]);
    let inner = BackoffRetryLayer::new().layer(mock.clone());
    let sent = sent(&mock, BackoffRetryLayer::new().layer(inner)).await;
    // What the outer reserve let through deposits with the inner layer.
    let reserves = 10 + 10 * 110 / 100;
    assert!(sent - reserves <= OFFERED * 121 / 100, "{sent}");
}

#[tokio::test(start_paused = true)]
async fn two_layers_on_one_budget_send_a_tenth_of_what_each_is_asked() {
    let mock = Mock::new([DOWN]);
    let layer = BackoffRetryLayer::new();
    let sent = sent(&mock, layer.layer(layer.layer(mock.clone()))).await;
    assert!(sent - 10 - 11 <= OFFERED * 121 / 100, "{sent}");
}

#[tokio::test(start_paused = true)]
async fn behind_towers_trait_ours_is_as_exact() {
    let mock = Mock::new([DOWN]);
    let budget = Arc::new(RetryBudget::default());
    let layer = BackoffRetryLayer::new().budget(budget);
    let sent = sent(&mock, layer.layer(mock.clone())).await;
    assert!(sent - 10 <= OFFERED * 110 / 100, "{sent}");
    assert!(sent >= OFFERED * 110 / 100 - 1, "{sent}");
}

#[tokio::test(start_paused = true)]
async fn towers_own_budget_of_a_tenth_holds_as_well() {
    let mock = Mock::new([DOWN]);
    let layer = BackoffRetryLayer::new().budget(Arc::new(TpsBudget::new(10 * SECOND, 0, 0.1)));
    let sent = sent(&mock, layer.layer(mock.clone())).await;
    assert!(sent - 10 <= OFFERED * 110 / 100, "{sent}");
}

/// tower's own retry with our budget: a fixed wait, three tries.
#[derive(Clone)]
struct Towers {
    budget: RetryBudget,
    left: u32,
}

impl<R> Policy<Request<Bytes>, R, BoxError> for Towers {
    type Future = Sleep;

    fn retry(&mut self, _: &mut Request<Bytes>, _: &mut Result<R, BoxError>) -> Option<Sleep> {
        self.left = self.left.checked_sub(1)?;
        Budget::withdraw(&self.budget).then(|| tokio::time::sleep(Duration::from_millis(500)))
    }

    fn clone_request(&mut self, request: &Request<Bytes>) -> Option<Request<Bytes>> {
        if self.left == 2 {
            Budget::deposit(&self.budget);
        }
        Some(request.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn under_towers_own_retry_ours_holds() {
    let mock = Mock::new([DOWN]);
    let policy = Towers {
        budget: RetryBudget::default(),
        left: 2,
    };
    let sent = sent(&mock, Retry::new(policy, mock.clone())).await;
    assert!(sent - 10 <= OFFERED * 110 / 100, "{sent}");
    assert!(sent >= OFFERED * 110 / 100 - 1, "{sent}");
}
