//! Every future is dropped at every one of its await points.
//!
//! The inner service pends in `poll_ready`, in `call` and before each frame of its body; the layers wait in line, in pauses,
//! for the next try and for the other service. One run for every poll that a call has: it is dropped right after that
//! poll, wherever it is, and then nothing may be missing or too much.

mod inner;
mod world;

use std::{pin::Pin, task::Poll, time::Duration};

use http_body::Body;
use tokio::time::advance;
use tower::ServiceExt;

use self::{
    inner::Fate::{self, Answer, Broken, Refused, Reset, Status, Stream},
    world::{Before, Case, Part, World},
};
use crate::support::Bell;

const STEP: Duration = Duration::from_millis(50);
/// Nobody waits longer than this, all in all.
const PATIENCE: u32 = 600;

/// What was dropped, and where.
#[derive(Debug, Default, PartialEq)]
struct Tally {
    cases: u64,
    drops: u64,
    // Before a call, between calls or in one, and in the answer's body.
    unsent: u64,
    under_way: u64,
    in_body: u64,
    // Of calls that had been tried again, or had gone to the other service.
    retried: u64,
    fallen_back: u64,
    waits: u64,
}

/// Drops the call after `polls` polls. `false` where it ended before.
async fn dropped_after(polls: u64, case: Case, tally: &mut Tally) -> bool {
    let mut world = World::new(case).await;
    let bell = Bell::rung();
    let mut call = Box::pin(world.service().oneshot(World::request()));
    let (mut left, mut body, mut joined, mut steps) = (polls, None, false, 0);
    let is_over = loop {
        if left == 0 {
            break false;
        }
        if !bell.rang() {
            assert!(steps < PATIENCE, "nobody wakes it");
            (steps, joined) = (
                steps + 1,
                joined || {
                    world.join();
                    true
                },
            );
            world.tick();
            advance(STEP).await;
            continue;
        }
        left -= 1;
        match &mut body {
            None => {
                if let Poll::Ready(outcome) = bell.poll(call.as_mut()) {
                    let Ok(answer) = outcome else { break true };
                    world.status = Some(answer.status().as_u16());
                    body = Some(answer.into_body());
                    bell.ring();
                }
            }
            Some(body) => {
                let frame = std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx));
                match bell.poll(std::pin::pin!(frame)) {
                    Poll::Ready(Some(Ok(_))) => bell.ring(),
                    Poll::Ready(None | Some(Err(_))) => break true,
                    Poll::Pending => {}
                }
            }
        }
        world.dated();
        if !joined && body.is_some() {
            world.join();
            joined = true;
        }
        world.tick();
    };
    if !is_over {
        let [first, second] = world.calls();
        tally.drops += 1;
        tally.waits += u64::from(steps > 0);
        tally.retried += u64::from(world.retries() > 0);
        tally.fallen_back += u64::from(second > 0);
        match () {
            () if body.is_some() => tally.in_body += 1,
            () if first + second == 0 => tally.unsent += 1,
            () => tally.under_way += 1,
        }
    }
    drop((call, body));
    world.check().await;
    !is_over
}

async fn everywhere(case: Case, tally: &mut Tally) {
    tally.cases += 1;
    let mut polls = 0;
    // The captured output of a failing test says which it was.
    while {
        println!("dropped after {polls} polls: {case:?}");
        dropped_after(polls, case, tally).await
    } {
        polls += 1;
        assert!(polls < 1_000, "no end of it");
    }
}

use Part::{
    Breaker, Chain, Computed, Door, Fallback, Gate, KeyedBreaker, KeyedGate, PerKey, Requests,
    Respond, Retry, Rewrite, Split, Tokens,
};

/// Each layer alone.
const ALONE: [&[Part]; 14] = [
    &[Door],
    &[Respond],
    &[Fallback],
    &[Chain],
    &[Rewrite],
    &[Computed],
    &[Retry],
    &[Requests],
    &[PerKey],
    &[Tokens],
    &[Breaker],
    &[KeyedBreaker],
    &[Split],
    &[Gate, Breaker],
];

/// The documented order, and others: limits around what tries again.
const TOGETHER: [&[Part]; 11] = [
    &[Door, Fallback, Retry, Gate, Requests, Tokens, Breaker],
    &[
        Respond,
        Rewrite,
        Retry,
        KeyedGate,
        PerKey,
        Tokens,
        KeyedBreaker,
    ],
    &[Requests, Tokens, Retry, Breaker],
    &[Tokens, Retry, Requests],
    &[Requests, Fallback],
    &[Tokens, Chain, Retry],
    &[Retry, Requests, Tokens],
    &[Requests, Tokens, KeyedGate, KeyedBreaker],
    &[Requests, Split],
    &[Requests, Tokens, Door],
    &[Requests, Rewrite, Retry],
];

const BEFORE: [Before; 5] = [
    Before::Quiet,
    Before::Paused,
    Before::Busy,
    Before::Open,
    Before::HalfOpen,
];

/// What becomes of the calls to the first service and to the other.
const FATES: [(&[Fate], &[Fate]); 10] = [
    (&[Answer], &[]),
    (&[Stream], &[]),
    (&[Broken], &[]),
    (&[Status(404)], &[]),
    (&[Status(500), Answer], &[Stream]),
    (&[Refused, Stream], &[Answer]),
    (&[Status(429), Reset, Answer], &[Status(500), Answer]),
    (&[Status(503), Answer], &[Refused, Stream]),
    (&[Status(500), Status(500), Status(500)], &[Answer]),
    (&[Reset, Refused, Reset], &[Status(503), Status(500)]),
];

async fn all(stacks: &[&'static [Part]]) -> Tally {
    let mut tally = Tally::default();
    for parts in stacks {
        for before in BEFORE {
            let has = |part: Part| parts.contains(&part);
            let limits = has(Requests) || has(PerKey) || has(Tokens);
            let circuits = has(Breaker) || has(KeyedBreaker);
            let matters = match before {
                Before::Quiet => true,
                Before::Paused | Before::Busy => limits,
                Before::Open | Before::HalfOpen => circuits,
            };
            if !matters {
                continue;
            }
            for (fates, second) in FATES {
                let case = Case {
                    parts,
                    before,
                    fates,
                    second,
                };
                everywhere(case, &mut tally).await;
            }
        }
    }
    tally
}

#[tokio::test(start_paused = true)]
async fn dropped_at_any_poll_a_layer_leaves_nothing_behind_and_nothing_undone() {
    let tally = all(&ALONE).await;
    println!("{tally:?}");
    // So that nobody's change makes it drop next to nothing.
    assert!(tally.drops > 2_000, "{tally:?}");
}

#[tokio::test(start_paused = true)]
async fn dropped_at_any_poll_the_whole_stack_leaves_nothing_behind_and_nothing_undone() {
    let tally = all(&TOGETHER).await;
    println!("{tally:?}");
    let Tally {
        unsent,
        under_way,
        in_body,
        retried,
        fallen_back,
        waits,
        ..
    } = tally;
    for part in [unsent, under_way, in_body, retried, fallen_back, waits] {
        assert!(part > 300, "{tally:?}");
    }
}
