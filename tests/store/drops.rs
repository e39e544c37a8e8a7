//! Whoever stops asking, at whatever point, leaves nothing behind in the store.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::task::noop_waker_ref;
use tokio::time::advance;
use tower_quota::{
    Cost, Limit, Permit, Quota,
    quota::shared::{Call, Driver, MemoryStore, PoolId, PoolLimit, QuotaStore, StoreFuture},
};

const WINDOW: Duration = Duration::from_secs(2);
/// At this poll what others hold is given back.
const GIVEN_BACK: u32 = 60;

/// A store that takes several polls before it does what it is asked for, and several before it says so.
struct Slow(Arc<MemoryStore>);

async fn polls(n: u32) {
    for _ in 0..n {
        let mut pending = true;
        poll_fn(|cx| {
            cx.waker().wake_by_ref();
            if std::mem::take(&mut pending) {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        })
        .await;
    }
}

impl QuotaStore for Slow {
    fn call<'a>(
        &'a self,
        pool: &'a PoolId,
        limits: &'a [PoolLimit],
        call: &'a Call,
    ) -> StoreFuture<'a> {
        Box::pin(async move {
            polls(3).await;
            let reply = self.0.call(pool, limits, call).await;
            polls(3).await;
            reply
        })
    }
}

fn process(store: &Arc<MemoryStore>, slow: bool) -> (Quota, Driver) {
    let builder = Quota::builder()
        .limit(Limit::requests(10, WINDOW))
        .limit(Limit::tokens(1_000, WINDOW));
    let builder = if slow {
        builder.shared(Slow(Arc::clone(store)))
    } else {
        builder.shared(Arc::clone(store))
    };
    builder.pool("drops").build().unwrap()
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(noop_waker_ref()))
}

/// What the store counts, by what a newcomer is told, whose own request is the only one where nothing was left behind.
async fn counted(store: &Arc<MemoryStore>) -> Vec<u64> {
    let (quota, driver) = process(store, false);
    tokio::spawn(driver);
    drop(quota.acquire(Cost::tokens(1)).await.unwrap());
    let limits = quota.snapshot().limits;
    limits.iter().map(|limit| limit.used).collect()
}

/// Asks, and stops after so many polls, of which every other one is the driver's. False where it had been granted before.
async fn stops_after(steps: u32, taken: u64) -> bool {
    let store = Arc::new(MemoryStore::new());
    let (other, driver) = process(&store, false);
    tokio::spawn(driver);
    let mut held = Vec::new();
    for _ in 0..taken {
        held.push(other.acquire(Cost::tokens(50)).await.unwrap());
    }
    let (quota, driver) = process(&store, true);
    let mut driver = pin!(driver);
    let mut step = 0;
    let stopped = {
        let mut asked = pin!(quota.acquire(Cost::tokens(100)));
        loop {
            if step == steps {
                break true;
            }
            step += 1;
            if let Poll::Ready(granted) = poll(asked.as_mut()) {
                granted.unwrap().cancel();
                break false;
            }
            if step == steps {
                break true;
            }
            step += 1;
            assert!(poll(driver.as_mut()).is_pending());
            if step == GIVEN_BACK {
                held.drain(..).for_each(Permit::cancel);
            }
            if step % 8 == 0 {
                advance(Duration::from_millis(30)).await;
            }
            tokio::task::yield_now().await;
        }
    };
    held.into_iter().for_each(Permit::cancel);
    drop((quota, other));
    for _ in 0..200 {
        if poll(driver.as_mut()).is_ready() {
            break;
        }
        advance(Duration::from_millis(10)).await;
        tokio::task::yield_now().await;
    }
    assert!(poll(driver.as_mut()).is_ready(), "after {steps}: it ends");
    assert_eq!(counted(&store).await, [1, 1], "after {steps} of {taken}");
    stopped
}

#[tokio::test(start_paused = true)]
async fn whoever_stops_asking_at_any_poll_of_its_own_or_of_the_drivers_leaves_nothing_in_the_store()
{
    // Nothing is in the way; everything; the last one fits.
    for (taken, least) in [(0, 12), (10, GIVEN_BACK), (9, 12)] {
        let mut steps = 0;
        while stops_after(steps, taken).await {
            steps += 1;
            assert!(steps < 3_000, "it is never granted");
        }
        println!("with {taken} of 10 taken: granted after {steps} polls, dropped before each");
        assert!(steps >= least, "{steps}");
    }
}
