//! Limits of several kinds, of several models, that change, and that others spend from.

use tower_quota::testing::{Call, Limits, Provider, Settlement, Shape};

use super::{ask, ms, post, secs, send};

fn chat(model: &str) -> Call {
    Call::chat(model, 10, 90)
}

#[test]
fn aliases_share_a_pool_and_others_have_their_own() {
    let provider = Provider::openai()
        .requests_per_minute(1)
        .pool(["big", "big-2025"], Limits::none().requests_per_minute(2))
        .build()
        .unwrap();
    let now = provider.started();
    let admitted = |model| provider.handle(now, &chat(model)).is_admitted();
    assert!(admitted("big") && admitted("big-2025"));
    assert!(!admitted("big") && !admitted("big-2025"));
    // All the rest share what is left.
    assert!(admitted("small") && !admitted("smaller"));
    let (big, rest) = (provider.report_of("big-2025"), provider.report());
    assert_eq!((big.requests, big.admitted, big.rate_limited), (4, 2, 2));
    assert_eq!(big.requests_per_minute, Some(2));
    assert_eq!((rest.requests, rest.requests_per_minute), (6, Some(1)));
}

#[tokio::test(start_paused = true)]
async fn a_message_names_the_pool_where_the_model_is_an_alias() {
    let provider = Provider::openai()
        .pool(
            ["gpt-4.1", "gpt-4.1-2025-04-14"],
            Limits::none().tokens_per_minute(30_000),
        )
        .build()
        .unwrap();
    let body = r#"{"model": "gpt-4.1-2025-04-14", "max_tokens": 37313, "messages": [{"role": "user", "content": ""}]}"#;
    let (status, body) = ask(&provider, post("/v1/chat/completions", body)).await;
    let message = body["error"]["message"].as_str().unwrap();
    assert_eq!(status, 429);
    assert!(message.starts_with("Request too large for gpt-4.1-2025-04-14 (for limit gpt-4.1) in organization org-box on tokens per min (TPM): Limit 30000, Requested 37313."), "{message}");
}

#[test]
fn a_model_in_two_pools_makes_no_sense() {
    let limits = Limits::none();
    let twice = Provider::openai()
        .pool(["a", "b"], limits)
        .pool(["b"], limits);
    assert_eq!(twice.build().unwrap_err().setting(), "pool");
    let nobody = Provider::openai().pool([""; 0], limits);
    assert_eq!(nobody.build().unwrap_err().setting(), "pool");
}

#[test]
fn what_others_spend_is_missing_here() {
    let provider = Provider::openai().tokens_per_minute(1_000).build().unwrap();
    let now = provider.started();
    assert!(provider.spend(now, &Call::embeddings("m", 800)));
    assert!(!provider.spend(now, &Call::embeddings("m", 201)));
    let refused = provider.handle(now, &Call::embeddings("m", 300));
    assert_eq!(refused.retry_after(), Some(secs(6)));
    let report = provider.report();
    assert_eq!(
        (
            report.requests,
            report.requests_elsewhere,
            report.tokens_elsewhere
        ),
        (1, 1, 800)
    );
}

#[test]
fn what_others_spend_is_their_answer_as_well() {
    let provider = Provider::anthropic()
        .output_tokens_per_minute(600)
        .build()
        .unwrap();
    let now = provider.started();
    assert!(provider.spend(now, &Call::chat("claude", 10, 600)));
    let refused = provider.handle(now, &Call::chat("claude", 10, 1));
    assert_eq!(refused.retry_after(), Some(ms(100)));
}

#[test]
fn what_is_overdrawn_shows_as_nothing_or_as_less() {
    for (provider, shown) in [(Provider::openai(), "0"), (Provider::azure(), "-27689")] {
        let provider = provider.tokens_per_minute(1_000).build().unwrap();
        let now = provider.started();
        provider.overdraw(now, &Call::embeddings("m", 28_689));
        let answer = provider
            .handle(now, &Call::embeddings("m", 1))
            .finish(now)
            .unwrap();
        assert_eq!(answer.status(), 429);
        assert_eq!(answer.headers()["x-ratelimit-remaining-tokens"], shown);
    }
}

#[test]
fn limits_that_shrink_bind_at_once_and_keep_what_was_charged() {
    for shape in [Shape::Rolling, Shape::Bucket, Shape::Fixed] {
        let provider = Provider::openai()
            .tokens_per_minute(216_000)
            .shape(shape)
            .build()
            .unwrap();
        let now = provider.started();
        assert!(
            provider
                .handle(now, &Call::embeddings("m", 30_000))
                .is_admitted()
        );
        provider.limits(now, |limits| limits.tokens_per_minute(36_000));
        assert!(
            provider
                .handle(now, &Call::embeddings("m", 6_000))
                .is_admitted()
        );
        let refused = provider.handle(now, &Call::embeddings("m", 600));
        let wait = refused.retry_after().unwrap();
        assert_eq!(
            wait,
            if shape == Shape::Bucket {
                secs(1)
            } else {
                secs(60)
            },
            "{shape:?}"
        );
        assert!(
            !provider
                .handle(now + wait - ms(1), &Call::embeddings("m", 600))
                .is_admitted()
        );
        assert!(
            provider
                .handle(now + wait, &Call::embeddings("m", 600))
                .is_admitted()
        );
        provider.limits(now + wait, |limits| limits.tokens_per_minute(None));
        assert!(
            provider
                .handle(now + wait, &Call::embeddings("m", 1 << 30))
                .is_admitted()
        );
    }
}

#[test]
fn a_charge_from_before_a_change_is_trued_up_after_it() {
    let provider = Provider::openai()
        .tokens_per_minute(6_000)
        .settlement(Settlement::TrueUp)
        .completion(0.0..=0.0)
        .build()
        .unwrap();
    let now = provider.started();
    let open = provider.handle(now, &Call::chat("m", 1_000, 5_000));
    let then = now + secs(30);
    assert!(
        provider
            .handle(then, &Call::embeddings("m", 3_000))
            .is_admitted()
    );
    provider.limits(then, |limits| limits.tokens_per_minute(3_000));
    let _ = open.finish(then);
    // Told the truth at once, the account lacks these 3,000 and nothing else.
    let refused = provider.handle(then, &Call::embeddings("m", 50));
    assert_eq!(refused.retry_after(), Some(secs(1)));
}

#[test]
fn output_tokens_are_counted_as_they_come_and_reserve_nothing() {
    let provider = Provider::anthropic()
        .limits(
            Limits::none()
                .input_tokens_per_minute(1_000)
                .output_tokens_per_minute(600),
        )
        .build()
        .unwrap();
    let now = provider.started();
    let huge = Call::chat("claude", 100, 1_000_000);
    assert_eq!(
        provider.handle(now, &huge).outcome(),
        tower_quota::testing::Outcome::Admitted
    );
    let first = provider.handle(now, &Call::chat("claude", 100, 700));
    assert!(
        provider
            .handle(now, &Call::chat("claude", 100, 1))
            .is_admitted()
    );
    // 700 of 600 were produced: new requests wait until there is one again.
    let _ = first.finish(now);
    let refused = provider.handle(now, &Call::chat("claude", 100, 1));
    assert_eq!(refused.retry_after(), Some(ms(10_100)));
    assert_eq!(provider.report().most_tokens_produced_in_a_minute, 700);
}

#[test]
fn cached_input_is_free_where_the_provider_says_so() {
    for (provider, left) in [
        (Provider::anthropic(), "600"),
        (Provider::anthropic().count_cached(true), "0"),
    ] {
        let provider = provider
            .input_tokens_per_minute(1_000)
            .cached(0.6)
            .build()
            .unwrap();
        let now = provider.started();
        let answer = provider
            .handle(now, &Call::chat("claude", 1_000, 5))
            .finish(now)
            .unwrap();
        assert_eq!(
            answer.headers()["anthropic-ratelimit-input-tokens-remaining"],
            left
        );
    }
}

#[tokio::test(start_paused = true)]
async fn numbers_that_are_too_large_overflow_nothing() {
    let provider = Provider::openai().build().unwrap();
    let body = format!(
        r#"{{"model": "m", "n": 128, "max_tokens": {}, "messages": [{{}}]}}"#,
        u64::MAX
    );
    for _ in 0..3 {
        let answer = send(&provider, post("/v1/chat/completions", body.clone()))
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
    }
    assert_eq!(provider.report().tokens_admitted, 3 << 40);
}
