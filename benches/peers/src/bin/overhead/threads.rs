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
    Client, Failsafe, PLENTY, Plain, median, our_five, their_breaker, their_five, their_rate,
    tokens,
};
use tower::{Layer, Service, limit::ConcurrencyLimitLayer};
use tower_quota::{CircuitBreakerLayer, RateLimitLayer};

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
    let five = our_five!(()).service(Client);
    let theirs = their_five!().service(Client);
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

/// Rounds without which a median says nothing.
const ENOUGH: usize = 20;

/// As Markdown; says where there is nothing to say.
pub(crate) fn table(stacks: &mut [Shared]) -> Vec<String> {
    if stacks.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![
        format!(
            "**{TITLE}**, in ns, the whole call of each; of the rounds in which both had a processor each from start to end"
        ),
        String::new(),
        "| job | whose | one thread | two threads | ratio | rounds |".to_owned(),
        "|---|---|---|---|---|---|".to_owned(),
    ];
    for stack in stacks {
        let rounds = stack.together.len();
        let (alone, together) = (median(&mut stack.alone), median(&mut stack.together));
        // A thread that has let go of its processor, to wait for the other, gets it back late where others want it.
        let figures = if rounds < ENOUGH {
            String::from("| | too few |")
        } else {
            format!("{alone:.0} | {together:.0} | {:.1} |", together / alone)
        };
        let whose = whose(stack.peer);
        lines.push(format!("| {} | {whose} | {figures} {rounds} |", stack.name));
    }
    lines
}
