//! One thread, and two that share a stack.

use std::{
    fmt::Debug,
    fs,
    future::poll_fn,
    hint::{black_box, spin_loop},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use http::Request;
use peers::{
    Client, Failsafe, PLENTY, Plain, median, their_breaker, their_bulkhead, their_fallback,
    their_rate, their_retry, tokens,
};
use tower::{Layer, Service, ServiceBuilder, limit::ConcurrencyLimitLayer};
use tower_quota::{BackoffRetryLayer, CircuitBreakerLayer, FallbackLayer, RateLimitLayer};

use crate::{admitted::governed, report::whose};

pub(crate) const TITLE: &str = "Two threads sharing one stack";

const CALLS: u32 = 400;

/// One stack, and what a call of each thread takes.
pub(crate) struct Shared {
    name: &'static str,
    peer: &'static str,
    run: Box<dyn Fn(usize) -> Option<Duration>>,
    alone: Vec<f64>,
    together: Vec<f64>,
}

impl Shared {
    /// Times it once, unless that is disturbed.
    pub(crate) fn round(&mut self) {
        let each = |took: Duration| took.as_nanos() as f64 / f64::from(CALLS);
        self.alone.extend((self.run)(1).map(each));
        self.together.extend((self.run)(2).map(each));
    }
}

/// How often this thread was sent from its processor, where the system tells.
fn switches() -> u64 {
    let told = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let line = told
        .lines()
        .find_map(|line| line.strip_prefix("nonvoluntary_ctxt_switches:"));
    line.and_then(|number| number.trim().parse().ok())
        .unwrap_or_default()
}

/// From the first start to the last end, if all begin together and none is sent from its processor for another program.
fn at_once<W: FnOnce()>(threads: usize, make: impl Fn() -> W + Sync) -> Option<Duration> {
    let (ready, set) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let all = |of: &AtomicUsize| {
        of.fetch_add(1, Ordering::SeqCst);
        while of.load(Ordering::SeqCst) < threads {
            spin_loop();
        }
    };
    let one = || {
        let work = make();
        all(&ready);
        let before = switches();
        all(&set);
        let start = Instant::now();
        work();
        let end = Instant::now();
        (switches() == before).then_some((start, end))
    };
    let one = &one;
    let spans = thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        let ended = running.into_iter().map(|thread| thread.join().ok()?);
        ended.collect::<Option<Vec<_>>>()
    })?;
    let (first, last_start) = (
        spans.iter().map(|(start, _)| *start).min()?,
        spans.iter().map(|(start, _)| *start).max()?,
    );
    let took = spans.iter().map(|(_, end)| *end).max()? - first;
    (last_start - first < took / 10).then_some(took)
}

fn shared<S>(name: &'static str, peer: &'static str, service: S) -> Shared
where
    S: Service<Plain, Error: Debug> + Clone + Send + Sync + 'static,
{
    let make = move || {
        let mut service = service.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        move || {
            runtime.block_on(async {
                for _ in 0..CALLS {
                    let ready = poll_fn(|cx| service.poll_ready(cx)).await;
                    ready.expect("it is ready");
                    let answer = service.call(black_box(Request::new(()))).await;
                    black_box(answer).expect("it is admitted");
                }
            });
        }
    };
    Shared {
        name,
        peer,
        run: Box::new(move |threads| at_once(threads, &make)),
        alone: Vec::new(),
        together: Vec::new(),
    }
}

pub(crate) fn stacks() -> Vec<Shared> {
    let five = ServiceBuilder::new()
        .layer(FallbackLayer::to(Client))
        .layer(BackoffRetryLayer::new())
        .layer(RateLimitLayer::per_minute(PLENTY))
        .layer(tokens::<()>())
        .layer(CircuitBreakerLayer::new())
        .service(Client);
    let theirs = ServiceBuilder::new()
        .layer(their_fallback())
        .layer(their_retry())
        .layer(their_rate(1 << 40))
        .layer(their_bulkhead(64))
        .layer(their_breaker!().0)
        .service(Client);
    let resilience = "tower-resilience";
    vec![
        shared("bare service", "none", Client),
        shared(
            "rate limit",
            "",
            RateLimitLayer::per_minute(PLENTY).layer(Client),
        ),
        shared("rate limit", resilience, their_rate(1 << 40).layer(Client)),
        shared("rate limit", "governor, direct", governed()),
        shared(
            "in flight",
            "tower",
            ConcurrencyLimitLayer::new(64).layer(Client),
        ),
        shared("token budget", "", tokens::<()>().layer(Client)),
        shared("breaker", "", CircuitBreakerLayer::new().layer(Client)),
        shared("breaker", resilience, their_breaker!().0.layer(Client)),
        shared("breaker", "failsafe", Failsafe::closed()),
        shared("five layers", "", five),
        shared("five layers", resilience, theirs),
    ]
}

pub(crate) fn print(stacks: &mut [Shared]) {
    if stacks.is_empty() {
        return;
    }
    println!("**{TITLE}**: ns, the whole call of each thread\n");
    println!("| job | whose | one thread | two threads | ratio | rounds |");
    println!("|---|---|---|---|---|---|");
    for stack in stacks {
        let rounds = stack.together.len();
        if rounds == 0 || stack.alone.is_empty() {
            println!(
                "| {} | {} | | | disturbed | 0 |",
                stack.name,
                whose(stack.peer)
            );
            continue;
        }
        let (alone, together) = (median(&mut stack.alone), median(&mut stack.together));
        println!(
            "| {} | {} | {alone:.0} | {together:.0} | {:.1} | {rounds} |",
            stack.name,
            whose(stack.peer),
            together / alone
        );
    }
    println!("\n*rounds*: in which both threads had a processor each from start to end");
}
