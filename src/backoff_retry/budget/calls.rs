//! What only the layer's own calls do.

use super::{Kind, RetryBudget};
use crate::{clock::Moment, lock::lock};

impl RetryBudget {
    /// Whether a deposit may wait for the outcome, so that whoever has looked at the clock meanwhile [says](Self::deposit_at)
    /// when it was.
    #[inline]
    pub(in crate::backoff_retry) const fn takes_late_deposits(&self) -> bool {
        matches!(self.0, Kind::Share(_))
    }

    /// As [`deposit`](Self::deposit), the moment being told.
    #[inline]
    pub(in crate::backoff_retry) fn deposit_at(&self, moment: impl FnOnce() -> Moment) {
        if let Kind::Share(share) = &self.0 {
            share.deposit(moment());
        }
    }

    pub(super) fn earn(&self) {
        match &self.0 {
            Kind::Quota(stock) => stock.reward(),
            Kind::Throttle(throttle) => lock(throttle).succeed(),
            Kind::Share(_) | Kind::Active(_) | Kind::Tower(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{Future, pending, ready},
        pin::pin,
        task::{Context, Waker},
        time::Duration,
    };

    use tower::{Layer, Service, service_fn};

    use super::*;
    use crate::{backoff_retry::BackoffRetryLayer, error::BoxError};

    /// What is there once a call was polled so often and dropped: of a whole retry for each request, and none to begin with.
    fn balance(
        layer: impl Fn(BackoffRetryLayer) -> BackoffRetryLayer,
        answer: Option<Result<(), &'static str>>,
        polls: usize,
    ) -> Option<u64> {
        let budget = RetryBudget::ratio(1, 1).reserve(0);
        let layer = layer(BackoffRetryLayer::new())
            .budget(budget.clone())
            .opaque();
        let mut service = layer.layer(service_fn(move |()| async move {
            match answer {
                Some(answer) => answer.map_err(BoxError::from),
                None => pending().await,
            }
        }));
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(service.poll_ready(cx).is_ready());
        {
            let mut call = pin!(service.call(()));
            for _ in 0..polls {
                let polled = call.as_mut().poll(cx).is_ready();
                assert_eq!(polled, answer.is_some());
            }
            if answer.is_none() {
                assert_eq!(
                    budget.balance(),
                    Some(0),
                    "nobody knows yet what comes of it"
                );
            }
        }
        budget.balance()
    }

    #[tokio::test(start_paused = true)]
    async fn every_call_deposits_once_with_its_outcome_or_when_it_is_given_up() {
        let three: fn(BackoffRetryLayer) -> BackoffRetryLayer = |layer| layer;
        for layer in [three, |layer| {
            layer.attempts(1).deadline(Duration::from_secs(60))
        }] {
            assert_eq!(balance(layer, Some(Ok(())), 1), Some(1));
            for polls in 0..3 {
                assert_eq!(balance(layer, None, polls), Some(1), "after {polls} polls");
            }
        }
        let once: fn(BackoffRetryLayer) -> BackoffRetryLayer = |layer| layer.attempts(1);
        for answer in [Ok(()), Err("no")] {
            assert_eq!(balance(once, Some(answer), 1), Some(1), "{answer:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_deposit_is_as_of_its_outcome() {
        let budget = RetryBudget::ratio(1, 1)
            .reserve(0)
            .window(Duration::from_secs(10));
        let layer = BackoffRetryLayer::new().budget(budget.clone()).opaque();
        let mut slow = layer.layer(service_fn(|()| async {
            tokio::time::sleep(Duration::from_secs(30)).await;
            Ok::<_, BoxError>(())
        }));
        slow.call(()).await.unwrap();
        assert_eq!(budget.balance(), Some(1));
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(budget.balance(), Some(1));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(budget.balance(), Some(0), "the reserve holds none");
        let mut fast = layer.layer(service_fn(|()| ready(Ok::<_, BoxError>(()))));
        for deposits in 1..=20 {
            fast.call(()).await.unwrap();
            assert_eq!(budget.balance(), Some(deposits));
        }
    }
}
