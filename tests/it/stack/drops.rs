//! Nothing leaks, wherever a future is dropped.

mod chancy;
mod world;

use std::{future::Future, pin::Pin, time::Duration};

use http::Response;
use http_body_util::BodyExt;
use tokio::time::advance;
use tower::ServiceExt;
use tower_quota::{BoxError, Cost, Limit, Permit, Quota, Rejected, Usage};

use self::world::{ALL, World};
use super::{Answer, Dice, books, chat, inside, patient_with};
use crate::support::mock::poll;

/// So many futures are dropped of each kind: 100,000 and some in all.
const DROPS: usize = 11_520;
const AT_ONCE: usize = 24;

type Call = Pin<Box<dyn Future<Output = Result<Response<Answer>, BoxError>> + Send>>;

#[tokio::test(start_paused = true)]
async fn whatever_is_dropped_and_wherever_the_books_are_exact() {
    for parts in ALL {
        for seed in 0..(DROPS / AT_ONCE) as u64 {
            episode(parts, seed).await;
        }
    }
}

async fn episode(parts: &'static [world::Part], seed: u64) {
    // The captured output of a failing test says which it was.
    println!("{parts:?}, seed {seed}");
    let mut dice = Dice(seed);
    let world = World::new(parts, seed);
    let mut calls: Vec<Call> = Vec::new();
    let mut answers = Vec::new();
    let mut made = 0;
    while made < AT_ONCE || !calls.is_empty() {
        let one = dice.below(calls.len().max(1) as u64) as usize;
        match dice.below(16) {
            0..4 if made < AT_ONCE => {
                made += 1;
                let request = inside(chat(5 + dice.below(300)));
                calls.push(Box::pin(world.service().oneshot(request)));
            }
            0..11 if !calls.is_empty() => {
                if let std::task::Poll::Ready(outcome) = poll(calls[one].as_mut()) {
                    drop(calls.swap_remove(one));
                    answers.extend(outcome);
                }
            }
            11 if !calls.is_empty() => drop(calls.swap_remove(one)),
            12..15 => advance(Duration::from_millis(dice.below(1_500))).await,
            _ if !answers.is_empty() => {
                let answer = answers.swap_remove(0);
                if dice.below(2) == 0 {
                    answer.into_body().collect().await.unwrap();
                }
            }
            _ => {}
        }
    }
    drop(answers);
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn at_whichever_poll_a_future_is_dropped_the_books_are_exact() {
    for parts in ALL {
        for seed in 0..8 {
            for k in 0..200 {
                println!("{parts:?}, seed {seed}, dropped after poll {k}");
                let world = World::new(parts, seed);
                // Some are ahead of it, and go away while it waits.
                let mut ahead: Vec<Call> = Vec::new();
                for _ in 0..6 {
                    ahead.push(Box::pin(world.service().oneshot(inside(chat(100)))));
                }
                let mut answers = Vec::new();
                let mut call: Call = Box::pin(world.service().oneshot(inside(chat(100))));
                let mut done = false;
                for n in 0..k {
                    if let std::task::Poll::Ready(answer) = poll(call.as_mut()) {
                        answers.push(answer);
                        done = true;
                        break;
                    }
                    let one = n % ahead.len().max(1);
                    if n % 9 == 8 && !ahead.is_empty() {
                        drop(ahead.swap_remove(one));
                    } else if !ahead.is_empty()
                        && let std::task::Poll::Ready(answer) = poll(ahead[one].as_mut())
                    {
                        drop(ahead.swap_remove(one));
                        answers.push(answer);
                    }
                    advance(Duration::from_millis(70)).await;
                }
                drop(call);
                drop(ahead);
                drop(answers);
                world.check().await;
                if done {
                    break;
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_acquire_that_is_dropped_leaves_no_trace() {
    for seed in 0..(DROPS / AT_ONCE) as u64 {
        println!("seed {seed}");
        acquire(seed).await;
    }
}

type Acquiring = Pin<Box<dyn Future<Output = Result<Permit, Rejected>>>>;

async fn acquire(seed: u64) {
    let mut dice = Dice(seed);
    let hour = Duration::from_secs(3_600);
    let limits = [Limit::requests(8, hour), Limit::tokens(1_500, hour)];
    let quota: Quota = patient_with(limits, 4);
    let (mut requests, mut tokens) = (0, 0);
    let mut waiting: Vec<Acquiring> = Vec::new();
    let mut permits: Vec<Permit> = Vec::new();
    let mut made = 0;
    while made < AT_ONCE || !waiting.is_empty() || !permits.is_empty() {
        let one = dice.below(waiting.len().max(1) as u64) as usize;
        match dice.below(16) {
            0..4 if made < AT_ONCE => {
                made += 1;
                waiting.push(Box::pin(quota.acquire(Cost::tokens(dice.below(400)))));
            }
            0..10 if !waiting.is_empty() => {
                if let std::task::Poll::Ready(outcome) = poll(waiting[one].as_mut()) {
                    drop(waiting.swap_remove(one));
                    permits.extend(outcome);
                }
            }
            10 if !waiting.is_empty() => drop(waiting.swap_remove(one)),
            11..14 if !permits.is_empty() => {
                let one = dice.below(permits.len() as u64) as usize;
                let permit = permits.swap_remove(one);
                let charged = permit.cost().of(tower_quota::Resource::Tokens);
                match dice.below(3) {
                    0 => permit.cancel(),
                    1 => {
                        let used = dice.below(300);
                        permit.settle(Usage::new(used, 0));
                        (requests, tokens) = (requests + 1, tokens + used);
                    }
                    _ => {
                        drop(permit);
                        (requests, tokens) = (requests + 1, tokens + charged);
                    }
                }
            }
            _ => advance(Duration::from_millis(dice.below(1_500))).await,
        }
    }
    assert_eq!(books(&quota), (vec![(requests, 0), (tokens, 0)], 0, 0));
}
