//! Chains against a naive model: random outcomes, random waits.

use proptest::prelude::*;
use tower_quota::BoxError;

use super::{
    chain::{causes_of, served},
    *,
};

#[derive(Clone, Copy, Debug)]
enum Does {
    Serves,
    Fails,
    Asks(u64),
    Broke,
    Wrong,
    CantBeReadied,
}

fn does() -> impl Strategy<Value = Does> {
    prop_oneof![
        Just(Does::Serves),
        Just(Does::Fails),
        (0_u64..90).prop_map(Does::Asks),
        Just(Does::Broke),
        Just(Does::Wrong),
        Just(Does::CantBeReadied),
    ]
}

/// A call: what each member would do, and how many seconds pass before it.
fn rounds() -> impl Strategy<Value = Vec<(u64, Vec<Does>)>> {
    let members = 2_usize..5;
    members.prop_flat_map(|n| {
        let round = (0_u64..20, prop::collection::vec(does(), n));
        prop::collection::vec(round, 1..30)
    })
}

/// Until when each member is down, in seconds; 0 where it isn't.
struct Naive {
    down: Vec<u64>,
    now: u64,
}

impl Naive {
    /// Who is asked next: the first from `from` on that isn't down, else the one that is back first.
    fn choose(&self, from: usize) -> Option<usize> {
        let members = from..self.down.len();
        let up = members.clone().find(|m| self.down[*m] <= self.now);
        up.or_else(|| members.min_by_key(|m| self.down[*m]))
    }

    /// Who is called, in order, and whose outcome it is; `None` where that is of nobody.
    fn call(&mut self, does: &[Does]) -> (Vec<usize>, Option<usize>) {
        let (mut called, mut last) = (Vec::new(), None);
        let mut next = self.choose(0);
        let mut passed_over = next != Some(0);
        while let Some(member) = next {
            let ready = !matches!(does[member], Does::CantBeReadied);
            if ready {
                called.push(member);
            }
            // What keeps the first from becoming ready is an outcome; what keeps a link, isn't.
            if ready || member == 0 {
                last = Some(member);
                passed_over = false;
            }
            let known = self.down[member] != 0;
            match does[member] {
                Does::Asks(secs) if secs > 0 => self.down[member] = self.now + secs.min(60),
                Does::Broke => self.down[member] = self.now + 600,
                Does::Serves | Does::Wrong if known => self.down[member] = 0,
                _ => {}
            }
            if ready && matches!(does[member], Does::Serves | Does::Wrong) {
                return (called, last);
            }
            next = self.choose(member + 1);
            // The first was passed over for nothing; then its outcome is the answer.
            if next.is_none() && passed_over {
                let ready = !matches!(does[0], Does::CantBeReadied);
                if ready {
                    called.push(0);
                    match does[0] {
                        Does::Asks(secs) if secs > 0 => self.down[0] = self.now + secs.min(60),
                        Does::Broke => self.down[0] = self.now + 600,
                        Does::Serves | Does::Wrong => self.down[0] = 0,
                        _ => {}
                    }
                }
                return (called, Some(0));
            }
        }
        (called, last)
    }
}

async fn holds(rounds: Vec<(u64, Vec<Does>)>) {
    let n = rounds[0].1.len();
    let mocks: Vec<Mock> = (0..n).map(|_| Mock::new([OK])).collect();
    let layer = FallbackLayer::chain(mocks[1..].iter().cloned());
    let mut naive = Naive {
        down: vec![0; n],
        now: 1,
    };
    for (wait, does) in rounds {
        advance(Duration::from_secs(wait)).await;
        naive.now += wait;
        for (mock, does) in mocks.iter().zip(&does) {
            mock.becomes(match does {
                Does::CantBeReadied => Readiness::Broken,
                _ => Readiness::Ready,
            });
            mock.does(match does {
                Does::Fails | Does::CantBeReadied => DOWN,
                Does::Serves => OK,
                Does::Asks(secs) => rate_limited(Some(Duration::from_secs(*secs))),
                Does::Broke => Step::Judged(Verdict::QuotaExhausted),
                Does::Wrong => Step::Judged(Verdict::Permanent),
            });
        }
        let before: Vec<_> = mocks.iter().map(Mock::calls).collect();
        let service = layer.layer(mocks[0].clone());
        let answer: Result<_, BoxError> = service.oneshot(request()).await;
        let calls = mocks.iter().map(Mock::calls).zip(before);
        let calls = calls.enumerate().filter(|(_, (now, before))| now > before);
        let called: Vec<_> = calls.map(|(member, _)| member).collect();
        let (mut expected, by) = naive.call(&does);
        let by = by.expect("there is an outcome of somebody");
        expected.sort_unstable();
        assert_eq!(called, expected, "{does:?} at {}", naive.now);
        match answer {
            Ok(answer) => {
                let serves = by > 0 && matches!(does[by], Does::Serves | Does::Wrong);
                let served = served(&answer).map(|(_, index)| index);
                assert_eq!(served, serves.then_some(by));
                // Everybody who was called is a cause, but who served.
                let causes = causes_of(&answer);
                for member in called.into_iter().filter(|member| *member != by) {
                    let cause = causes.iter().filter(|c| c.starts_with(&member.to_string()));
                    assert_eq!(cause.count(), 1, "{member} of {causes:?}");
                }
            }
            Err(error) => {
                assert_eq!(error.to_string(), "broken");
                assert!(matches!(does[0], Does::CantBeReadied));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn chains_do_what_the_naive_model_does(rounds in rounds()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(holds(rounds));
    }
}
