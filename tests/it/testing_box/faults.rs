//! What goes wrong on demand.

use std::io;

use http::{Request, Response, StatusCode};
use tokio::time::Instant;
use tower_quota::{
    BoxError,
    testing::{Outage, Outcome, Provider, ProviderBuilder, Settlement, When},
};

use super::{MODEL, ask, chat, ms, post, secs, send};

fn limited() -> ProviderBuilder {
    Provider::openai()
        .requests_per_minute(100)
        .tokens_per_minute(100_000)
}

fn was_cut(answer: Result<impl Sized, BoxError>) -> bool {
    let error = answer.err().expect("a closed connection");
    let error = error.downcast_ref::<io::Error>().expect("an i/o error");
    error.kind() == io::ErrorKind::ConnectionReset
}

#[tokio::test(start_paused = true)]
async fn transit_passes_before_the_count_and_latency_after_it() {
    let provider = limited().transit(ms(30)).latency(ms(70)).build().unwrap();
    let before = Instant::now();
    assert_eq!(ask(&provider, chat()).await.0, 200);
    assert_eq!(before.elapsed(), ms(100));
    assert_eq!(provider.arrivals()[0].at, ms(30));
}

#[tokio::test(start_paused = true)]
async fn delays_are_drawn_from_their_range_and_the_same_for_the_same_seed() {
    let run = async |seed| {
        let provider = limited()
            .seed(seed)
            .latency(ms(100)..ms(200))
            .build()
            .unwrap();
        let mut times = Vec::new();
        for _ in 0..50 {
            let before = Instant::now();
            ask(&provider, chat()).await;
            times.push(before.elapsed());
        }
        times
    };
    let times = run(1).await;
    // The timer's tick is a millisecond.
    assert!(
        times.iter().all(|t| (ms(100)..=ms(201)).contains(t)),
        "{times:?}"
    );
    assert!(times.iter().min() < Some(&ms(110)) && times.iter().max() > Some(&ms(190)));
    assert_eq!(times, run(1).await);
    assert_ne!(times, run(2).await);
}

#[tokio::test(start_paused = true)]
async fn an_outage_answers_503_counts_nothing_and_ends() {
    let provider = limited().build().unwrap();
    provider.faults(|f| f.outage(true));
    let (status, body) = ask(&provider, chat()).await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (503, &"server_is_overloaded".into())
    );
    assert_eq!(body["error"]["type"], "service_unavailable_error");
    provider.faults(|f| f.outage(false));
    assert_eq!(ask(&provider, chat()).await.0, 200);
    let report = provider.report();
    assert_eq!((report.admitted, report.uncounted), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_outage_can_be_scheduled() {
    let provider = limited()
        .faults(|f| {
            f.outage_during(secs(10)..secs(20), Outage::Unavailable)
                .outage_during(secs(30)..secs(40), Outage::Closed)
        })
        .build()
        .unwrap();
    let mut seen = Vec::new();
    for _ in 0..5 {
        seen.push(
            send(&provider, chat())
                .await
                .map(|a| a.status().as_u16())
                .ok(),
        );
        tokio::time::advance(secs(10)).await;
    }
    assert_eq!(seen, [Some(200), Some(503), Some(200), None, Some(200)]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_dropped_before_or_after_the_count() {
    for (when, admitted) in [(When::BeforeCounting, 0), (When::AfterCounting, 1)] {
        let provider = limited().faults(|f| f.drops(1.0, when)).build().unwrap();
        assert!(was_cut(send(&provider, chat()).await));
        let report = provider.report();
        assert_eq!((report.admitted, report.hung_up), (admitted, 1), "{when:?}");
        assert_eq!(report.tokens_charged, admitted * 100);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stall_is_silent_for_its_time_and_then_hangs_up() {
    let provider = limited()
        .faults(|f| f.stalls(1.0, secs(45)))
        .build()
        .unwrap();
    let before = Instant::now();
    assert!(was_cut(send(&provider, chat()).await));
    assert_eq!(before.elapsed(), secs(45));
    assert_eq!(provider.report().admitted, 1);
}

#[tokio::test(start_paused = true)]
async fn errors_come_with_their_status_and_probability_and_are_counted() {
    let provider = Provider::openai()
        .faults(|f| f.errors(0.3, StatusCode::BAD_GATEWAY))
        .build()
        .unwrap();
    for _ in 0..1_000 {
        ask(&provider, chat()).await;
    }
    let report = provider.report();
    assert_eq!(report.admitted, 1_000);
    assert!((250..350).contains(&report.status(502)), "{report}");
    assert_eq!(report.status(200) + report.status(502), 1_000);
}

#[tokio::test(start_paused = true)]
async fn an_error_uses_nothing_and_is_trued_up_to_that() {
    let provider = limited()
        .settlement(Settlement::TrueUp)
        .faults(|f| f.errors(1.0, StatusCode::INTERNAL_SERVER_ERROR))
        .build()
        .unwrap();
    let (status, body) = ask(&provider, chat()).await;
    assert_eq!(
        (status, &body["error"]["type"]),
        (500, &"server_error".into())
    );
    let report = provider.report();
    assert_eq!((report.tokens_admitted, report.tokens_charged), (100, 0));
}

#[tokio::test(start_paused = true)]
async fn credit_ends_after_so_many_requests_or_at_once() {
    let provider = limited()
        .faults(|f| f.insufficient_quota_after(2))
        .build()
        .unwrap();
    for status in [200, 200, 429] {
        assert_eq!(ask(&provider, chat()).await.0, status);
    }
    let answer = send(&provider, chat()).await.unwrap();
    assert!(!answer.headers().contains_key("retry-after"));
    let body = super::read(answer).await;
    assert_eq!(body["error"]["code"], "insufficient_quota");
    assert_eq!(body["error"]["type"], "insufficient_quota");
    provider.faults(|f| f.insufficient_quota(false));
    assert_eq!(ask(&provider, chat()).await.0, 200);
    provider.faults(|f| f.insufficient_quota(true));
    assert_eq!(ask(&provider, chat()).await.0, 429);
}

#[tokio::test(start_paused = true)]
async fn a_dead_model_is_unknown_or_fails_while_others_live() {
    let provider = limited().faults(|f| f.dead_model(MODEL)).build().unwrap();
    let (status, body) = ask(&provider, chat()).await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (404, &"model_not_found".into())
    );
    assert_eq!(
        body["error"]["message"],
        "The model `gpt-4.1-mini` does not exist or you do not have access to it."
    );
    let other = post("/v1/embeddings", r#"{"model": "other", "input": "text"}"#);
    assert_eq!(ask(&provider, other).await.0, 200);
    let list = Request::get("/v1/models").body(Default::default()).unwrap();
    let (_, list) = ask(&provider, list).await;
    assert_eq!(list["data"].as_array().unwrap().len(), 1);

    provider.faults(|f| f.dead_model_as(MODEL, StatusCode::SERVICE_UNAVAILABLE));
    assert_eq!(ask(&provider, chat()).await.0, 503);
    provider.faults(|f| f.live_model(MODEL));
    assert_eq!(ask(&provider, chat()).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn scripted_answers_come_in_order_word_for_word_and_uncounted() {
    let provider = limited().build().unwrap();
    let teapot = Response::builder()
        .status(418)
        .header("retry-after", "7.66");
    provider.then_answer(teapot.body("short and stout").unwrap());
    provider.then_answer(Response::builder().status(529).body("{}").unwrap());

    let answer = send(&provider, chat()).await.unwrap();
    assert_eq!(answer.status(), 418);
    assert_eq!(answer.headers().len(), 1);
    assert_eq!(answer.headers()["retry-after"], "7.66");
    assert_eq!(ask(&provider, chat()).await.0, 529);
    assert_eq!(ask(&provider, chat()).await.0, 200);
    let outcomes: Vec<_> = provider.arrivals().iter().map(|a| a.outcome).collect();
    assert_eq!(
        outcomes,
        [Outcome::Uncounted, Outcome::Uncounted, Outcome::Admitted]
    );
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_goes_away_has_been_counted_all_the_same() {
    let provider = limited()
        .settlement(Settlement::TrueUp)
        .completion(0.1..=0.1)
        .latency(secs(10))
        .build()
        .unwrap();
    let gone = tokio::time::timeout(secs(1), send(&provider, chat())).await;
    assert!(gone.is_err());
    let report = provider.report();
    assert_eq!((report.in_flight, report.tokens_charged), (0, 100));
}
