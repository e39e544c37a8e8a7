mod streams;

use super::*;
use proptest::prelude::*;

pub(super) fn scan(parts: &[&[u8]]) -> Option<Usage> {
    let mut scanner = UsageScanner::new();
    for part in parts {
        scanner.push(part);
    }
    scanner.finish()
}

pub(super) fn whole(body: &str) -> Option<Usage> {
    scan(&[body.as_bytes()])
}

pub(super) fn usage(input: u64, output: u64, total: u64, cached: u64) -> Option<Usage> {
    let mut usage = Usage::new(input, output);
    usage.total_tokens = total;
    usage.cached_tokens = cached;
    Some(usage)
}

const CHAT: &str = r#" {"id":"x","choices":[{"message":{"content":"a \"usage\": {\"prompt_tokens\":1} ]}\\",
        "usage":{"prompt_tokens":77}},"finish_reason":"stop"}],"us\u0061ge":{"prompt_tokens":5},
        "flag":true,"n":-1.5e3,"usage" : {"prompt_tokens":30,"completion_tokens":12,"total_tokens":42,
        "note":"} \"{","prompt_tokens_details":{"cached_tokens":20,"audio_tokens":null}},"after":["]"]}"#;

#[test]
fn every_providers_usage_reads() {
    assert_eq!(whole(CHAT), usage(30, 12, 42, 20));
    for (body, expected) in [
        // OpenAI's responses and embeddings.
        (
            r#"{"usage":{"input_tokens":36,"input_tokens_details":{"cached_tokens":4},
                    "output_tokens":87,"output_tokens_details":{"reasoning_tokens":9},"total_tokens":123}}"#,
            usage(36, 87, 123, 4),
        ),
        (
            r#"{"usage":{"prompt_tokens":8,"total_tokens":8}}"#,
            usage(8, 0, 8, 0),
        ),
        // Anthropic: the input excludes the cache.
        (
            r#"{"usage":{"input_tokens":10,"cache_creation_input_tokens":100,
                    "cache_read_input_tokens":1000,"output_tokens":5}}"#,
            usage(1_110, 5, 1_115, 1_000),
        ),
        // Google: thoughts are in the total and not in the candidates.
        (
            r#"{"usageMetadata":{"promptTokenCount":174,"candidatesTokenCount":573,
                    "thoughtsTokenCount":956,"cachedContentTokenCount":100,"totalTokenCount":1703}}"#,
            usage(174, 1_529, 1_703, 100),
        ),
        (
            r#"[{"usageMetadata":{"promptTokenCount":1}},
                    {"x":[{}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":4}}]"#,
            usage(3, 4, 7, 0),
        ),
        // Bedrock.
        (
            r#"{"usage":{"inputTokens":10,"outputTokens":5,"totalTokens":1015,
                    "cacheReadInputTokens":1000}}"#,
            usage(1_010, 5, 1_015, 1_000),
        ),
        // DeepSeek.
        (
            r#"{"usage":{"prompt_tokens":16,"completion_tokens":10,"prompt_cache_hit_tokens":8,"prompt_cache_miss_tokens":8}}"#,
            usage(16, 10, 26, 8),
        ),
        // Cohere.
        (
            r#"{"usage":{"billed_units":{"input_tokens":5,"output_tokens":8},
                    "tokens":{"input_tokens":71,"output_tokens":8}}}"#,
            usage(71, 8, 79, 0),
        ),
        // Lines of documents.
        (
            "{\"n\":1}\n{\"usage\":{\"prompt_tokens\":1}}\r\n\n{\"usage\":{\"prompt_tokens\":4}}\n{\"end\":1}\n",
            usage(4, 0, 4, 0),
        ),
        // Two vocabularies at once, floats and nulls.
        (
            r#"{"usage":{"prompt_tokens":7.0,"input_tokens":7,"completion_tokens":null,
                    "output_tokens":2,"total_tokens":"9"}}"#,
            usage(7, 2, 9, 0),
        ),
    ] {
        assert_eq!(whole(body), expected, "{body}");
    }
}

#[test]
fn whatever_else_has_no_usage() {
    for body in [
        "",
        "  ",
        "null",
        "<html>",
        "data: {}",
        "{",
        "{}",
        "[",
        "[[1],2,\"]\"]",
        r#"{"usage":null}"#,
        r#"{"usage":{}}"#,
        r#"{"usage":{"prompt_tokens":-1}}"#,
        r#"{"usage":{"prompt_tokens":1"#,
        r#"{"data":{"usage":{"prompt_tokens":1}}}"#,
        r#"{"usage":"{\"prompt_tokens\":1}"}"#,
        r#"{}{"usage":{"prompt_tokens":1}}"#,
        r#"[{"usageMetadata":{"promptTokenCount":1}},{"error":{"code":503}}]"#,
    ] {
        assert_eq!(whole(body), None, "{body}");
    }
    let long = "x".repeat(9_000);
    let large = format!(r#"{{"usage":{{"prompt_tokens":1,"x":"{long}"}}}}"#);
    assert_eq!(whole(&large), None);
    let later = format!(r#"{{"usage":{{"x":"{long}"}},"usage":{{"prompt_tokens":1}}}}"#);
    assert_eq!(whole(&later), usage(1, 0, 1, 0));
}

#[test]
fn only_a_cut_through_the_usage_allocates() {
    let mut json = Json::new();
    let vectors = "[0.125,-0.5],".repeat(10_000);
    json.push(format!(r#"{{"data":[{vectors}],"text":"{vectors}","#).as_bytes());
    assert_eq!(json.capacity(), 0);
    json.push(br#""usage":{"prompt_tokens":1,"details":{}}"#);
    assert_eq!(json.capacity(), 0);
    json.push(br#","usage":{"prompt_tokens":2"#);
    assert!(json.capacity() > 0);
    assert_eq!(json.found.finish(), usage(1, 0, 1, 0));
}

#[test]
fn every_single_cut_gives_the_same() {
    let body = CHAT.as_bytes();
    for at in 0..body.len() {
        let (a, b) = body.split_at(at);
        assert_eq!(scan(&[a, b]), usage(30, 12, 42, 20), "cut at {at}");
    }
    let bytes: Vec<&[u8]> = body.chunks(1).collect();
    assert_eq!(scan(&bytes), usage(30, 12, 42, 20));
}

proptest! {
    #[test]
    fn any_bytes_in_any_cuts_give_the_same(
        body in r#"[\[\]{}":,\\u0-9 ]{0,20}("usage":\{"input_tokens":[0-9]{1,4}\})?[\[\]{}":,\\u0-9 ]{0,20}"#,
        size in 1_usize..9,
    ) {
        let body = format!("{{{body}");
        let parts: Vec<&[u8]> = body.as_bytes().chunks(size).collect();
        prop_assert_eq!(scan(&parts), whole(&body));
    }

    #[test]
    fn arbitrary_cuts_of_an_answer_give_the_same(sizes in proptest::collection::vec(1_usize..40, 1..40)) {
        let mut rest = CHAT.as_bytes();
        let mut parts: Vec<&[u8]> = Vec::new();
        for size in sizes {
            let (part, other) = rest.split_at(size.min(rest.len()));
            parts.push(part);
            rest = other;
        }
        parts.push(rest);
        prop_assert_eq!(scan(&parts), usage(30, 12, 42, 20));
    }

    #[test]
    fn no_bytes_make_it_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = scan(&[b"{", &body]);
    }
}
