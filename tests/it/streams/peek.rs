//! What a stream turns out to be, and that it passes whole.

use std::time::Duration;

use http::Response;
use tokio::time::Instant;
use tower_quota::{
    Verdict,
    answers::{Answers, Depth, Http},
    body::MeteredBody,
};

use super::{Step::*, *};

const SECOND: Duration = Duration::from_secs(1);

async fn read<B: http_body::Body>(
    response: Response<B>,
) -> (Option<Verdict>, MeteredBody<B>, Duration) {
    let start = Instant::now();
    let response = Http.read(response, Depth::Streams).answer().await;
    (
        Verdict::of(&response),
        response.into_body(),
        start.elapsed(),
    )
}

#[tokio::test(start_paused = true)]
async fn an_error_before_the_content_is_the_verdict_and_passes_whole() {
    for (event, is_it) in [
        (OVERLOADED, Verdict::Overloaded { retry_after: None }),
        (INVALID, Verdict::Permanent),
    ] {
        for silent in [CREATED, ROLE, KEEP_ALIVE] {
            let steps = [
                Data(silent),
                Wait(SECOND),
                Data(event),
                Wait(SECOND),
                Data(DONE),
            ];
            let (verdict, body, took) = read(events(&steps)).await;
            assert_eq!((verdict, took), (Some(is_it), SECOND), "{silent}");
            assert_eq!(text(body).await.unwrap(), [silent, event, DONE].concat());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_head_is_handed_on_with_the_first_content() {
    let steps = [
        Data(CREATED),
        Wait(3 * SECOND),
        Data(HELLO),
        Wait(SECOND),
        Data(OVERLOADED),
    ];
    let (verdict, body, took) = read(events(&steps)).await;
    assert_eq!((verdict, took), (Some(Verdict::Success), 3 * SECOND));
    assert_eq!(
        text(body).await.unwrap(),
        [CREATED, HELLO, OVERLOADED].concat()
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_content_is_waited_for_ten_seconds() {
    for rest in [Hang, KeepAlives] {
        let (verdict, _, took) = read(events(&[Data(CREATED), rest])).await;
        assert_eq!(
            (verdict, took),
            (Some(Verdict::Success), 10 * SECOND),
            "{rest:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_before_its_content_may_work_next_time() {
    let (verdict, body, _) = read(events(&[Data(ROLE), Break])).await;
    assert_eq!(verdict, Some(Verdict::Transient { sent: true }));
    let (read_so_far, error) = text(body).await.unwrap_err();
    assert_eq!(
        (read_so_far.as_str(), error.to_string().as_str()),
        (ROLE, "reset")
    );
    let (verdict, _, _) = read(events(&[Data(HELLO), Break])).await;
    assert_eq!(
        verdict,
        Some(Verdict::Success),
        "what came can't be taken back"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_without_content_is_a_success() {
    for steps in [&[][..], &[Data(ROLE), Data(DONE)], &[Data(CREATED)]] {
        let (verdict, body, took) = read(events(steps)).await;
        assert_eq!(
            (verdict, took),
            (Some(Verdict::Success), Duration::ZERO),
            "{steps:?}"
        );
        drop(body);
    }
}

#[tokio::test(start_paused = true)]
async fn a_prompt_that_is_sent_back_first_is_read_past() {
    let long = "x".repeat(100_000);
    let created: &str =
        format!("event: response.created\ndata: {{\"instructions\":\"{long}\"}}\n\n").leak();
    let (verdict, body, _) = read(events(&[Data(created), Data(created), Data(LIMITED)])).await;
    assert!(
        matches!(verdict, Some(Verdict::RateLimited { .. })),
        "{verdict:?}"
    );
    assert_eq!(
        text(body).await.unwrap().len(),
        2 * created.len() + LIMITED.len()
    );
    // But not for ever.
    let (verdict, body, _) = read(events(&[
        Data(created),
        Data(created),
        Data(created),
        Data(OVERLOADED),
    ]))
    .await;
    assert_eq!(verdict, Some(Verdict::Success));
    assert_eq!(
        text(body).await.unwrap().len(),
        3 * created.len() + OVERLOADED.len()
    );
}

#[tokio::test(start_paused = true)]
async fn who_does_nothing_about_it_holds_nothing_back() {
    let start = Instant::now();
    let response = Http.read(events(&[Hang]), Depth::Errors).answer().await;
    assert_eq!(
        (Verdict::of(&response), start.elapsed()),
        (None, Duration::ZERO)
    );
    let response = Http
        .read(events(&[Data(OVERLOADED)]), Depth::Errors)
        .answer()
        .await;
    assert_eq!(Verdict::of(&response), None, "left to layers further out");
    let (verdict, ..) = read(response).await;
    assert_eq!(verdict, Some(Verdict::Overloaded { retry_after: None }));
}

#[tokio::test(start_paused = true)]
async fn other_types_are_not_read() {
    let (verdict, _, took) = read(answer("application/json", &[Hang])).await;
    assert_eq!((verdict, took), (None, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_grpc_answer_is_what_its_trailers_say_if_it_has_nothing_else() {
    let grpc = |steps: &[Step]| answer("application/grpc+proto", steps);
    let (verdict, body, _) = read(grpc(&[Trailers("grpc-status", "14")])).await;
    assert_eq!(verdict, Some(Verdict::Overloaded { retry_after: None }));
    let trailers = body.collect().await.unwrap().trailers().cloned();
    assert_eq!(trailers.unwrap()["grpc-status"], "14");

    let steps = [
        Wait(SECOND),
        Data("message"),
        Wait(SECOND),
        Trailers("grpc-status", "14"),
    ];
    let (verdict, _, took) = read(grpc(&steps)).await;
    assert_eq!((verdict, took), (Some(Verdict::Success), SECOND));

    let mut alone = grpc(&[Hang]);
    alone
        .headers_mut()
        .insert("grpc-status", "8".parse().unwrap());
    let (verdict, _, took) = read(alone).await;
    assert!(
        matches!(verdict, Some(Verdict::RateLimited { .. })),
        "{verdict:?}"
    );
    assert_eq!(took, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_compressed_is_not_held_back() {
    for (coding, expected) in [
        ("gzip", (None, Duration::ZERO)),
        ("br", (None, Duration::ZERO)),
        ("identity", (Some(Verdict::Success), 10 * SECOND)),
    ] {
        let mut stream = events(&[Data("\u{1f}\u{8b}"), Hang]);
        let headers = stream.headers_mut();
        headers.insert("content-encoding", coding.parse().unwrap());
        let (verdict, _, took) = read(stream).await;
        assert_eq!((verdict, took), expected, "{coding}");
    }
}
