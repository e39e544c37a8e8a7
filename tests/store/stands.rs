//! Processes that stand still while a pool is lost that they have used.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tower_quota::{
    Cost, Limit, Quota,
    quota::shared::{Call, LossFuture, MemoryStore, PoolId, PoolLimit, QuotaStore, StoreFuture},
};

const WINDOW: Duration = Duration::from_secs(6);
const LIMIT: usize = 200;
const TRIALS: u64 = 200;

/// A store that tells nobody where it forgets a pool, as one does that evicts it; or everybody.
struct Forgets(Arc<MemoryStore>, bool);

impl QuotaStore for Forgets {
    fn call<'a>(
        &'a self,
        pool: &'a PoolId,
        limits: &'a [PoolLimit],
        call: &'a Call,
    ) -> StoreFuture<'a> {
        self.0.call(pool, limits, call)
    }

    fn lost(&self) -> LossFuture<'_> {
        if self.1 {
            self.0.lost()
        } else {
            Box::pin(std::future::pending())
        }
    }
}

/// Does nothing while its process stands still.
pub async fn runs(stands: watch::Receiver<bool>, work: impl Future<Output = ()>) {
    let mut work = pin!(work);
    let mut stands = stands;
    loop {
        if *stands.borrow_and_update() {
            if stands.changed().await.is_err() {
                return;
            }
            continue;
        }
        let mut changed = pin!(stands.changed());
        let done = poll_fn(|cx| match changed.as_mut().poll(cx) {
            Poll::Ready(seen) => Poll::Ready(seen.is_err()),
            Poll::Pending => work.as_mut().poll(cx).map(|()| true),
        });
        if done.await {
            return;
        }
    }
}

/// Processes of one pool, each of which can be made to stand still.
struct Several {
    store: Arc<MemoryStore>,
    quotas: Vec<Quota>,
    stand: Vec<watch::Sender<bool>>,
    sent: Arc<Mutex<Vec<Instant>>>,
}

impl Several {
    fn new(processes: usize, limit: &Limit, told: bool) -> Self {
        let store = Arc::new(MemoryStore::new());
        let (mut quotas, mut stand) = (Vec::new(), Vec::new());
        for _ in 0..processes {
            let builder = Quota::builder().limit(limit.clone()).max_wait(WINDOW * 50);
            let builder = builder
                .shared(Forgets(Arc::clone(&store), told))
                .pool("loss");
            let (quota, driver) = builder.build().unwrap();
            let (stands, seen) = watch::channel(false);
            tokio::spawn(runs(seen, driver));
            quotas.push(quota);
            stand.push(stands);
        }
        Self {
            store,
            quotas,
            stand,
            sent: Arc::default(),
        }
    }

    /// Callers of a process, who send as much as they may.
    fn send(&self, process: usize, callers: usize, pause: Duration) {
        for _ in 0..callers {
            let (quota, sent) = (self.quotas[process].clone(), Arc::clone(&self.sent));
            let work = async move {
                loop {
                    drop(quota.acquire(Cost::request()).await.unwrap());
                    sent.lock().unwrap().push(Instant::now());
                    sleep(pause).await;
                }
            };
            tokio::spawn(runs(self.stand[process].subscribe(), work));
        }
    }

    /// Each is told how many there are.
    async fn meet(&self) {
        for process in (0..self.quotas.len()).cycle().take(2 * self.quotas.len()) {
            self.sends(process, 1).await;
        }
    }

    /// It gets so many at once.
    async fn sends(&self, process: usize, most: usize) {
        for _ in 0..most {
            drop(self.quotas[process].acquire(Cost::request()).await.unwrap());
            self.sent.lock().unwrap().push(Instant::now());
        }
    }

    fn evict(&self) {
        self.store.forget();
    }

    fn most_in(&self, window: Duration) -> usize {
        let sent = self.sent.lock().unwrap();
        let inside = |first: &Instant| {
            let inside = sent
                .iter()
                .filter(|at| *at >= first && **at < *first + window);
            inside.count()
        };
        sent.iter().map(inside).max().unwrap_or(0)
    }

    /// The longest that nothing was sent since then.
    fn next_after(&self, from: Instant) -> Duration {
        let sent = self.sent.lock().unwrap();
        let mut last = from;
        let mut longest = Duration::ZERO;
        for at in sent.iter().filter(|at| **at > from) {
            longest = longest.max(*at - last);
            last = *at;
        }
        longest
    }

    fn sent_between(&self, from: Instant, until: Instant) -> usize {
        let sent = self.sent.lock().unwrap();
        sent.iter()
            .filter(|at| **at >= from && **at < until)
            .count()
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_process_that_stands_still_has_sent_counts_however_late_it_tells() {
    for stands_still in [300, 600, 2_000, 7_000].map(Duration::from_millis) {
        let processes = Several::new(4, &Limit::requests(LIMIT as u64, WINDOW), false);
        processes.meet().await;
        // Nobody else knows of these.
        processes.sends(3, 150).await;
        processes.stand[3].send_replace(true);
        processes.evict();
        (0..4).for_each(|process| processes.send(process, 8, Duration::from_millis(20)));
        sleep(stands_still).await;
        processes.stand[3].send_replace(false);
        sleep(WINDOW * 12).await;
        let most = processes.most_in(WINDOW);
        println!("stood still for {stands_still:?}: {most} of {LIMIT} in a window");
        assert!(most <= LIMIT + LIMIT / 50, "{stands_still:?}: {most}");
        let now = Instant::now();
        let lately = processes.sent_between(now - WINDOW * 10, now);
        println!("{lately} in ten windows");
        assert!(lately >= LIMIT * 10 * 9 / 10, "{stands_still:?}: {lately}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_is_evicted_wherever_processes_stand_still_hands_out_no_more_than_its_limit() {
    let mut over = 0;
    for trial in 0..TRIALS {
        let mut dice: u64 = trial + 1;
        let mut below = |n: u64| {
            dice = dice
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (dice >> 33) % n
        };
        let processes = Several::new(4, &Limit::requests(LIMIT as u64, WINDOW), false);
        for process in 0..4 {
            let pause = Duration::from_millis(1 + below(40));
            processes.send(process, 1 + below(12) as usize, pause);
        }
        sleep(WINDOW + Duration::from_millis(below(8_000))).await;
        for _ in 0..1 + below(3) {
            let (one, other) = (below(4) as usize, below(4) as usize);
            processes.stand[one].send_replace(true);
            sleep(Duration::from_millis(below(120))).await;
            processes.stand[other].send_replace(below(2) == 0);
            processes.evict();
            sleep(Duration::from_millis(below(1_500))).await;
            processes.stand[one].send_replace(false);
            sleep(Duration::from_millis(below(300))).await;
            processes.stand[other].send_replace(false);
            sleep(Duration::from_millis(below(2_000))).await;
        }
        sleep(WINDOW * 2).await;
        let most = processes.most_in(WINDOW);
        assert!(most <= LIMIT + LIMIT / 10, "{trial}: {most}");
        over += u64::from(most > LIMIT + LIMIT / 50);
    }
    // 206 and 215 were seen, each once in 11,000 trials.
    assert!(over <= TRIALS / 50, "{over}");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_gone_for_good_holds_up_the_others_for_a_window_and_no_longer() {
    let processes = Several::new(4, &Limit::requests(LIMIT as u64, WINDOW), false);
    processes.meet().await;
    processes.stand[3].send_replace(true);
    processes.evict();
    let lost = Instant::now();
    (0..3).for_each(|process| processes.send(process, 8, Duration::from_millis(20)));
    sleep(WINDOW * 5).await;
    let first = processes.sent_between(lost, lost + WINDOW);
    let then = lost + WINDOW * 6 / 5;
    let later = processes.sent_between(then - WINDOW / 5, then + WINDOW * 3);
    println!("{first} in the window after the loss, {later} in the next three");
    assert!(first < LIMIT && later >= LIMIT * 3 * 95 / 100, "{later}");
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_that_finds_a_lost_pool_first_is_held_up_as_soon_as_others_tell() {
    let processes = Several::new(4, &Limit::requests(LIMIT as u64, WINDOW), false);
    for process in 0..3 {
        processes.sends(process, 60).await;
    }
    processes.evict();
    processes.sends(3, 1).await;
    (0..4).for_each(|process| processes.send(process, 8, Duration::from_millis(20)));
    sleep(WINDOW * 2).await;
    let most = processes.most_in(WINDOW);
    assert!(most <= LIMIT + LIMIT / 20, "{most}");
}

#[tokio::test(start_paused = true)]
async fn where_all_who_use_a_pool_are_about_nobody_waits_longer_than_it_learns() {
    for idle in [Duration::ZERO, WINDOW / 2, WINDOW * 3] {
        let processes = Several::new(5, &Limit::requests(20_000, WINDOW), true);
        processes.meet().await;
        sleep(idle).await;
        // One has sent something, and does nothing any more.
        (0..4).for_each(|process| processes.send(process, 2, Duration::from_millis(10)));
        sleep(WINDOW).await;
        processes.evict();
        let lost = Instant::now();
        sleep(WINDOW / 2).await;
        let next = processes.next_after(lost);
        println!("granted {next:?} after the loss, where one had done nothing for {idle:?}");
        assert!(next < Duration::from_millis(300), "{next:?}");
    }
}
