//! Clones of links that calls share.
#![cfg(any(tower_quota_loom, tower_quota_shuttle))]

use std::{
    future::{Ready, poll_fn, ready},
    task::{Context, Poll},
};

use tower::{Layer, Service};
use tower_quota::{BoxError, FallbackLayer};
use tower_quota_interleavings::{TASKS, block_on, spawn, try_all};

/// Fails where it is told to; the other answers.
#[derive(Clone)]
struct Inner {
    fails: bool,
    name: &'static str,
}

impl Service<()> for Inner {
    type Response = &'static str;
    type Error = BoxError;
    type Future = Ready<Result<&'static str, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(if self.fails {
            Err("down".into())
        } else {
            Ok(self.name)
        })
    }
}

#[test]
fn whoever_falls_back_finds_a_link_whoever_comes_and_goes_meanwhile() {
    try_all("spare links", 2, || {
        let link = Inner {
            fails: false,
            name: "link",
        };
        let first = Inner {
            fails: true,
            name: "first",
        };
        let service = FallbackLayer::to(link).opaque().layer(first);
        let tasks: Vec<_> = (0..TASKS)
            .map(|index| {
                let mut service = service.clone();
                spawn(move || {
                    block_on(poll_fn(|cx| service.poll_ready(cx))).expect("never fails");
                    let call = service.call(());
                    // The last of them is given up.
                    if index + 1 == TASKS {
                        return None;
                    }
                    block_on(call).ok()
                })
            })
            .collect();
        for (index, task) in tasks.into_iter().enumerate() {
            let answer = task.join().expect("no panic");
            assert_eq!(answer, (index + 1 < TASKS).then_some("link"));
        }
    });
}
