//! What a layer leaves behind for the next one that is as deep.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::{Wake, Waker},
};

use super::*;
use crate::error::Reason;

/// What somebody further in does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Nothing,
    Take,
    Ask,
    FindGranted,
    FindRefused,
}

struct Counted;

impl Wake for Counted {
    fn wake(self: Arc<Self>) {}
}

fn cost() -> Cost {
    Cost::tokens(7).unit("images", 1)
}

/// So many layers, the outermost with a charge that is used up, and a deed at the innermost, which panics afterwards or doesn't.
fn nest(depth: usize, quota: usize, deed: Deed, waker: &Waker, panics: bool) {
    let is_outermost = quota == 1;
    let cost = cost();
    let charged = match quota % 2 {
        0 => Charged::Tokens(5),
        _ => Charged::Cost(&cost),
    };
    let place = match deed {
        Deed::Nothing | Deed::Take => Place::HandedOn,
        _ if is_outermost => Place::Left,
        _ => Place::Held,
    };
    let mut scope = offer(quota, Offer::new(place, false, false), charged);
    match deed {
        _ if !is_outermost => {}
        Deed::FindGranted => scope = scope.with_further(Further::Granted(cost.clone())),
        Deed::FindRefused => {
            scope = scope.with_further(Further::Refused(Rejected::new(Reason::LimitReached)));
        }
        _ => {}
    }
    if quota < depth {
        nest(depth, quota + 1, deed, waker, panics);
    } else {
        let cx = &mut Context::from_waker(waker);
        match deed {
            Deed::Nothing => assert!(!matches!(arrive(0), Found::UsedUp)),
            Deed::Take => assert_eq!(take_offer(1), Some(cost.clone())),
            Deed::Ask => assert!(again(cx, None).is_pending()),
            Deed::FindGranted => assert!(matches!(again(cx, None), Poll::Ready(Ok(())))),
            Deed::FindRefused => assert!(matches!(again(cx, None), Poll::Ready(Err(_)))),
        }
        assert!(!panics, "somebody's own code");
    }
    let heard = scope.end();
    let further = heard
        .filter(|heard| heard.is_asked() || heard.is_claimed())
        .and_then(|_| asked());
    assert!(is_outermost || further.is_none());
    if is_outermost {
        let claimed = heard.is_some_and(Offer::is_claimed);
        assert_eq!(claimed, deed == Deed::FindGranted);
        assert!(match deed {
            Deed::Ask => matches!(further, Some(Further::Asked(_))),
            Deed::FindGranted | Deed::FindRefused => {
                matches!(&further, Some(Further::Told(asker)) if asker.will_wake(waker))
            }
            _ => further.is_none(),
        });
    }
}

#[test]
fn nothing_of_a_layer_is_left_behind_however_deep_it_is_and_however_it_ends() {
    let deeds = [
        Deed::Nothing,
        Deed::Take,
        Deed::Ask,
        Deed::FindGranted,
        Deed::FindRefused,
    ];
    let depths = [1, 2, NEAR, NEAR + 1, 2 * NEAR, 3 * NEAR + 1];
    let asker = Arc::new(Counted);
    let waker = Waker::from(Arc::clone(&asker));
    for (depth, deed) in depths
        .into_iter()
        .flat_map(|at| deeds.map(|deed| (at, deed)))
    {
        for panics in [false, true] {
            let nested = AssertUnwindSafe(|| nest(depth, 1, deed, &waker, panics));
            assert_eq!(catch_unwind(nested).is_err(), panics, "{depth} {deed:?}");
            SCOPES.with(|scopes| {
                assert_eq!(scopes.depth.get(), 0);
                for index in 0..=depth {
                    assert!(
                        scopes.frame(index).is_blank(),
                        "{index} of {depth}: {deed:?}"
                    );
                }
            });
            assert_eq!(Arc::strong_count(&asker), 2, "ours and the waker's");
        }
    }
}

#[test]
fn what_ends_near_by_begins_near_by() {
    let begin = |quota| {
        let offer = Offer::new(Place::HandedOn, false, false);
        hand_on_with(quota, offer, Charged::Tokens(1))
    };
    let mut scopes = Vec::new();
    for quota in 1..=NEAR {
        assert!(matches!(arrive(100), Found::Nothing));
        scopes.push(Some(begin(quota)));
        assert!(matches!(arrive(quota), Found::Offers));
    }
    assert!(matches!(arrive(100), Found::Offers), "too far in");
    assert_eq!(take_offer(100), None);
    assert_eq!(take_offer(NEAR), Some(Cost::tokens(1)));
    hold();
    for (at, scope) in scopes.iter_mut().enumerate().rev() {
        let told = Scope::end_near(scope);
        assert_eq!(
            (told.place(), told.is_taken()),
            (Place::Held, at + 1 == NEAR)
        );
        assert!(told.is_touched() && scope.is_none());
    }
    assert!(matches!(arrive(1), Found::Nothing));
}

/// What is told during a call is heard later, but for what was asked for: that is of no use to anybody.
#[test]
fn who_asks_while_it_is_called_is_nobody_to_the_layer_that_comes_next() {
    let [early, late] = [(); 2].map(|()| Waker::from(Arc::new(Counted)));
    let ask = |asker: &Waker| again(&mut Context::from_waker(asker), None);
    let at = |place| Offer::new(place, true, false);
    let ask_early = || {
        let scope = hand_on_with(1, at(Place::Left), Charged::Tokens(1));
        assert!(ask(&early).is_pending());
        assert!(Scope::end_near(&mut Some(scope)).is_touched());
    };
    ask_early();
    let scope = offer(2, at(Place::HandedOn), Charged::Tokens(1));
    hold();
    assert!(scope.end().is_some_and(|heard| !heard.is_asked()));
    assert!(asked().is_none());
    ask_early();
    let scope = offer(3, at(Place::Left), Charged::Tokens(1));
    assert!(ask(&late).is_pending());
    assert!(scope.end().is_some_and(Offer::is_asked));
    let Some(Further::Asked(askers)) = asked() else {
        panic!("somebody has asked");
    };
    assert!(matches!(&askers[..], [asker] if asker.will_wake(&late)));
}
