//! Lists of links, and what is known of those that didn't serve.

use std::{
    error::Error as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use http::Response;
use tower::{ServiceExt, util::BoxCloneSyncService};
use tower_quota::fallback::{Cause, FallbackError};
use tracing::{Event, Level, Metadata, Subscriber, field, span};

use super::*;

/// Name, index, status, error, and whether it was passed over.
pub(super) fn told<'a>(causes: impl IntoIterator<Item = &'a Cause>) -> Vec<String> {
    let tell = |cause: &Cause| format!("{} {cause}", cause.index());
    causes.into_iter().map(tell).collect()
}

pub(super) fn causes_of<B>(answer: &Response<B>) -> Vec<String> {
    told(Causes::of(answer).into_iter().flatten())
}

pub(super) fn served<B>(answer: &Response<B>) -> Option<(&str, usize)> {
    let by = ServedBy::of(answer)?;
    Some((by.name(), by.index()))
}

#[tokio::test(start_paused = true)]
async fn a_list_stops_at_the_first_that_serves_and_keeps_every_cause_in_order() {
    let (first, b) = (
        Mock::new([Step::Error("a is down")]),
        Mock::new([Step::Status(503)]),
    );
    let (c, d, e) = (
        Mock::new([Step::Refuse]),
        Mock::new([Step::Status(201)]),
        Mock::new([OK]),
    );
    let layer = FallbackLayer::to(b.clone())
        .name("b")
        .then(c.clone())
        .name("c")
        .then(d.clone())
        .name("d")
        .then(e.clone());
    let answer = layer.layer(first).oneshot(request()).await.unwrap();
    assert_eq!([&b, &c, &d, &e].map(Mock::calls), [1, 1, 1, 0]);
    assert_eq!(answer.status(), 201);
    assert_eq!(served(&answer), Some(("d", 3)));
    let causes = causes_of(&answer);
    assert_eq!(
        causes[..2],
        ["0 first: a is down", "1 b: 503 Service Unavailable"]
    );
    assert!(causes[2].starts_with("2 c: request refused"), "{causes:?}");
    assert_eq!(causes.len(), 3);
    let causes = Causes::of(&answer).unwrap();
    assert_eq!(causes.last().verdict(), Verdict::Refused);
    let error = causes.last().error().unwrap();
    assert!(Rejected::find(error).is_some());
}

#[tokio::test(start_paused = true)]
async fn where_nobody_serves_the_last_outcome_is_returned_with_the_causes_of_the_others() {
    let links = || [Mock::new([DOWN]), Mock::new([Step::Error("c is down")])];
    let layer = FallbackLayer::chain(links());
    let service = layer.layer(Mock::new([Step::Error("a is down")]));
    let error = service.oneshot(request()).await.unwrap_err();
    assert_eq!(error.to_string(), "no fallback served either: c is down");
    let causes = Causes::find(error.as_ref()).unwrap();
    assert_eq!(
        told(causes),
        [
            "0 first: a is down",
            "1 fallback: 500 Internal Server Error"
        ]
    );
    let failed = error.downcast_ref::<FallbackError>().unwrap();
    assert_eq!(failed.asked_last().index(), 2);
    // A reporter tells all of it.
    let trail = failed.source().unwrap();
    let expected = "before it: first: a is down; fallback: 500 Internal Server Error";
    assert_eq!(trail.to_string(), expected);
    assert_eq!(trail.source().unwrap().to_string(), "c is down");
    // And behind another layer's error.
    let wrapped = tower_quota::BoxError::from(std::io::Error::other(error));
    assert_eq!(Causes::find(wrapped.as_ref()).map(Causes::len), Some(2));

    let answering = FallbackLayer::chain(links().into_iter().rev());
    let answer = answering.layer(Mock::new([DOWN])).oneshot(request());
    let answer = answer.await.unwrap();
    // Nobody served that.
    assert_eq!((answer.status().as_u16(), served(&answer)), (500, None));
    assert_eq!(causes_of(&answer).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_error_that_nobody_else_was_asked_about_stays_as_it_is() {
    let unready = Mock::new([OK]);
    unready.becomes(Readiness::Broken);
    let layer = FallbackLayer::to(unready);
    let service = layer.layer(Mock::new([Step::Error("a is down")]));
    let error = service.oneshot(request()).await.unwrap_err();
    assert_eq!(error.to_string(), "a is down");
}

#[tokio::test(start_paused = true)]
async fn each_link_has_its_own_verdicts() {
    let (large, other) = (
        Mock::new([Step::Status(201)]),
        Mock::new([Step::Status(202)]),
    );
    let layer = FallbackLayer::to(large.clone())
        .on(|verdict| matches!(verdict, Verdict::TooLarge))
        .name("large")
        .then(other.clone());
    for (step, status) in [
        (Step::Judged(Verdict::TooLarge), 201),
        (DOWN, 202),
        (OK, 200),
        (Step::Judged(Verdict::Permanent), 418),
    ] {
        let answer = layer.layer(Mock::new([step])).oneshot(request()).await;
        assert_eq!(answer.unwrap().status(), status, "{step:?}");
    }
    // One that was asked is judged for the next.
    large.does(Step::Judged(Verdict::Permanent));
    let first = Mock::new([Step::Judged(Verdict::TooLarge)]);
    let answer = layer.layer(first).oneshot(request()).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), served(&answer)),
        (418, Some(("large", 1)))
    );
    assert_eq!(other.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_link_that_cannot_be_asked_is_left_out() {
    let (b, c) = (Mock::new([OK]), Mock::new([Step::Status(201)]));
    b.becomes(Readiness::Broken);
    let layer = FallbackLayer::chain([b.clone(), c.clone()]);
    let answer = layer
        .layer(Mock::new([DOWN]))
        .oneshot(request())
        .await
        .unwrap();
    assert_eq!((answer.status().as_u16(), b.calls()), (201, 0));
    let causes = causes_of(&answer);
    assert_eq!(
        causes,
        ["0 first: 500 Internal Server Error", "1 fallback: broken"]
    );
    // Nobody can be: the last real outcome.
    c.becomes(Readiness::Broken);
    let answer = layer
        .layer(Mock::new([DOWN]))
        .oneshot(request())
        .await
        .unwrap();
    assert_eq!((answer.status().as_u16(), served(&answer)), (500, None));
    assert_eq!(causes_of(&answer).len(), 2);
    // Each gets a copy, and what can't be copied is sent once.
    let (b, c) = (Mock::new([DOWN]), Mock::new([OK]));
    let first = Mock::new([DOWN]);
    first.becomes(Readiness::Broken);
    let layer = FallbackLayer::chain([b.taking(), c.taking()]);
    let answer = layer
        .layer(first.taking())
        .oneshot(Request::new(Once("{}".into())));
    assert_eq!(answer.await.unwrap().status(), 500);
    assert_eq!((b.calls(), c.calls()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn models_of_one_service_are_tried_in_order_each_with_the_request_that_came() {
    let mock = Mock::new([DOWN, DOWN, DOWN, OK]);
    let layer = FallbackLayer::rewrite(swap_model("medium"))
        .name("medium")
        .then_rewrite(swap_model("small"))
        .then_rewrite(swap_model("tiny"))
        .name("tiny");
    let answer = layer.layer(mock.clone()).oneshot(request()).await.unwrap();
    assert_eq!(served(&answer), Some(("tiny", 3)));
    assert_eq!(causes_of(&answer).len(), 3);
    let models = ["big", "medium", "small", "tiny"];
    let expected = models.map(|model| format!(r#"{{"model":"{model}","messages":[]}}"#));
    assert_eq!(mock.bodies(), expected);
    // One that there is no request for is left out.
    type Rewrite = Box<dyn Fn(Request<Bytes>) -> Option<Request<Bytes>>>;
    let mock = Mock::new([DOWN, OK]);
    let layer = FallbackLayer::rewrite(Box::new(|_| None) as Rewrite).then_rewrite(Box::new(
        |request: Request<Bytes>| Some(request.map(|_| "x".into())),
    ));
    let answer = layer.layer(mock.clone()).oneshot(request()).await.unwrap();
    assert_eq!(served(&answer), Some(("fallback", 2)));
    assert_eq!((mock.calls(), mock.bodies()[1].clone()), (2, "x".into()));
}

#[tokio::test(start_paused = true)]
async fn stacks_keep_every_cause_as_lists_do() {
    let error = |text| Mock::new([Step::Error(text)]);
    let service = FallbackLayer::to(error("b is down"))
        .name("b")
        .layer(error("a is down"));
    let service = FallbackLayer::to(Mock::new([DOWN]))
        .name("c")
        .layer(service);
    let stack = FallbackLayer::to(Mock::new([OK]))
        .name("d")
        .layer(service.clone());
    let expected = [
        "0 first: a is down",
        "1 b: b is down",
        "1 c: 500 Internal Server Error",
    ];
    let answer = stack.oneshot(request()).await.unwrap();
    assert_eq!(
        (served(&answer), causes_of(&answer)),
        (Some(("d", 1)), expected.map(Into::into).into())
    );
    // A link that is a chain itself.
    let inner = FallbackLayer::to(Mock::new([OK]))
        .name("c")
        .layer(error("b is down"));
    let outer = FallbackLayer::to(inner).layer(error("a is down"));
    let answer = outer.oneshot(request()).await.unwrap();
    assert_eq!(served(&answer), Some(("c", 1)));
    assert_eq!(
        causes_of(&answer),
        ["0 first: a is down", "0 first: b is down"]
    );
    let inner = FallbackLayer::to(error("c is down"))
        .name("c")
        .layer(error("b is down"));
    let outer = FallbackLayer::to(inner).layer(error("a is down"));
    let failed = outer.oneshot(request()).await.unwrap_err();
    let causes = Causes::find(failed.as_ref()).unwrap();
    assert_eq!(told(causes), ["0 first: a is down", "0 first: b is down"]);
    assert_eq!(failed.to_string(), "no fallback served either: c is down");
}

#[tokio::test(start_paused = true)]
async fn services_of_different_types_are_boxed_into_one_list() {
    let b = BoxCloneSyncService::new(Mock::new([DOWN]));
    let c = BoxCloneSyncService::new(service_fn(|_: Request<Bytes>| async {
        Ok::<_, tower_quota::BoxError>(Response::new(Full::new(Bytes::from("cached"))))
    }));
    let layer = FallbackLayer::chain([b, c]);
    let service = layer.layer(Mock::new([DOWN]));
    assert_send(&service);
    assert_sync(&service);
    let answer = service.oneshot(request()).await.unwrap();
    assert_eq!(
        answer.into_body().collect().await.unwrap().to_bytes(),
        "cached"
    );
}

#[tokio::test(start_paused = true)]
async fn what_has_failed_is_let_go_of_before_the_next_is_asked() {
    let (first, b, c) = (
        Mock::new([DOWN]),
        Mock::new([DOWN]),
        Mock::new([Step::Hang]),
    );
    let layer = FallbackLayer::chain([b.clone(), c.clone()]);
    let mut call = Box::pin(layer.layer(first.clone()).oneshot(request()));
    assert!(poll(call.as_mut()).is_pending());
    assert_eq!([&first, &b, &c].map(Mock::in_flight), [0, 0, 1]);
    drop(call);
    assert_eq!(c.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn dropped_at_any_poll_a_list_calls_nobody_else() {
    let second = std::time::Duration::from_secs(1);
    let mocks = [0; 4].map(|_| Mock::new([Step::Slow(second)]));
    let [first, b, c, d] = mocks.clone();
    for stage in 0..8 {
        // Each is stuck, then slow.
        let calls = || mocks.iter().map(Mock::calls).collect::<Vec<_>>();
        for mock in &mocks {
            mock.becomes(Readiness::Stuck);
        }
        let limited = |mock: &Mock| {
            mock.clone()
                .map_result(|_| Err::<Answer, tower_quota::BoxError>("down".into()))
        };
        let links = [limited(&b), limited(&c), limited(&d)];
        let service = FallbackLayer::chain(links).layer(limited(&first));
        let mut call = Box::pin(service.oneshot(request()));
        for at in 0..stage {
            assert!(poll(call.as_mut()).is_pending());
            if at % 2 == 0 {
                mocks[at / 2].becomes(Readiness::Ready);
            } else {
                advance(second).await;
            }
        }
        let before = calls();
        drop(call);
        advance(second * 10).await;
        assert_eq!(calls(), before, "{stage}");
        assert!(mocks.iter().all(|mock| mock.in_flight() == 0));
    }
}

#[tokio::test(start_paused = true)]
async fn the_users_judgement_is_of_every_link_of_a_list() {
    let says = |text: &'static str| {
        service_fn(move |_: ()| async move { Ok::<_, tower_quota::BoxError>(text) })
    };
    // Of numbers as texts: those from 500 on don't serve.
    let judge = |outcome: Result<&&'static str, &tower_quota::BoxError>| match outcome {
        Ok(&"500" | &"503") => Verdict::Transient { sent: true },
        Ok(_) => Verdict::Success,
        Err(_) => Verdict::Permanent,
    };
    let layer = FallbackLayer::chain([says("503"), says("0"), says("never")]);
    let layer = layer.opaque().classify(judge);
    for (first, expected) in [("400", "400"), ("500", "0")] {
        let answer = layer.layer(says(first)).oneshot(()).await.unwrap();
        assert_eq!(answer, expected);
    }
}

/// Counts what is told, by level.
#[derive(Clone, Default)]
struct Told(Arc<[AtomicUsize; 2]>, Arc<std::sync::Mutex<String>>);

impl Subscriber for Told {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("tower_quota::fallback")
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        let info = *event.metadata().level() == Level::INFO;
        self.0[usize::from(!info)].fetch_add(1, Ordering::SeqCst);
        struct Text<'a>(&'a mut String);
        impl field::Visit for Text<'_> {
            fn record_debug(&mut self, field: &field::Field, value: &dyn std::fmt::Debug) {
                *self.0 += &format!("{field}={value:?} ");
            }
        }
        event.record(&mut Text(&mut self.1.lock().unwrap()));
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn a_call_that_falls_back_is_told_once_and_each_further_link_more_quietly() {
    let told = Told::default();
    // With one alone, whoever comes by an event first in another thread, and listens to nobody, turns it off for all.
    let _other = tracing::Dispatch::new(Told::default());
    let _guard = tracing::subscriber::set_default(told.clone());
    let counts = || [0, 1].map(|at: usize| told.0[at].load(Ordering::SeqCst));
    let layer = FallbackLayer::to(Mock::new([DOWN])).name("b");
    let layer = layer.then(Mock::new([DOWN])).then(Mock::new([OK]));
    layer
        .layer(Mock::new([OK]))
        .oneshot(request())
        .await
        .unwrap();
    assert_eq!(counts(), [0, 0]);
    let failing = layer.layer(Mock::new([Step::Error("sk-secret")]));
    failing.oneshot(request()).await.unwrap();
    assert_eq!(counts(), [1, 2]);
    let text = told.1.lock().unwrap().clone();
    assert!(text.contains("link=\"b\""), "{text}");
    assert!(text.contains("verdict=Transient"), "{text}");
    assert!(!text.contains("secret"), "{text}");
}

#[test]
#[should_panic(expected = "chain: 0 links")]
fn a_list_without_links_is_refused() {
    let _ = FallbackLayer::chain(Vec::<Mock>::new());
}
