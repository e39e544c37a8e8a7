use http::Request;
use proptest::prelude::*;

use super::*;
use crate::core::cost::{Cost, Resource};

fn both(body: &str) -> (u64, u64) {
    let estimate = estimate(body.as_bytes()).unwrap();
    (estimate.input, estimate.output)
}

#[test]
fn messages_count_as_text_and_as_parts() {
    let text = both(r#"{"messages":[{"role":"user","content":"0123456789abcdef"}]}"#);
    // Ten digits and six letters, the message and the answer's beginning.
    assert_eq!(text, (6 + 4 + 3, OUTPUT));
    let parts = r#"{"messages":[{"role":"user","content":[
        {"type":"text","text":"0123456789abcdef"}]}]}"#;
    assert_eq!(both(parts), (7 + 4 + 3, OUTPUT));
    let google = r#"{"contents":[{"role":"user","parts":[{"text":"0123456789abcdef"}]}],
        "generationConfig":{"maxOutputTokens":7,"candidateCount":2}}"#;
    assert_eq!(both(google), (6 + 4 + 3, 14));
}

#[test]
fn the_output_is_what_the_request_allows() {
    for (allowed, output) in [
        (r#""max_tokens":100"#, 100),
        (r#""max_completion_tokens":200,"max_tokens":100"#, 200),
        (r#""max_output_tokens":300"#, 300),
        (r#""max_tokens":100,"n":3"#, 300),
        (r#""n":3"#, 3 * OUTPUT),
        (r#""max_tokens":null,"n":null"#, OUTPUT),
        (r#""max_tokens":"many""#, OUTPUT),
        (r#""max_tokens":-5"#, OUTPUT),
        (r#""max_tokens":1e2"#, 100),
        (r#""max_tokens":18446744073709551615,"n":9"#, u64::MAX),
        (r#""max_tokens":0"#, 0),
        (r#""inferenceConfig":{"maxTokens":50}"#, 50),
    ] {
        let body = format!(r#"{{"messages":[],{allowed}}}"#);
        assert_eq!(both(&body).1, output, "{allowed}");
    }
    let prompts = both(r#"{"prompt":["a","b"],"max_tokens":10}"#);
    assert_eq!(prompts.1, 20, "each prompt has its answer");
    assert_eq!(both(r#"{"prompt":[1,2,3],"max_tokens":10}"#), (6, 10));
}

#[test]
fn embeddings_have_no_output() {
    assert_eq!(both(r#"{"input":["abcd","efgh"]}"#), (2, 0));
    assert_eq!(both(r#"{"input":[1,2,3,4]}"#), (4, 0));
    assert_eq!(both(r#"{"input":[[1,2],[3]]}"#), (3, 0));
    let named = r#"{"model":"text-embedding-3-small","input":"abcd"}"#;
    assert_eq!(both(named), (1, 0));
    assert_eq!(both(r#"{"input":"abcd","dimensions":256}"#), (1, 0));
    // A response looks the same but for its model.
    assert_eq!(both(r#"{"model":"gpt-5","input":"abcd"}"#), (4, OUTPUT));
    let items = r#"{"input":[{"role":"user","content":"abcd"}]}"#;
    assert_eq!(both(items), (1 + 4 + 3, OUTPUT));
}

#[test]
fn an_image_counts_once_whatever_its_size() {
    let data = "A".repeat(100_000);
    for part in [
        format!(r#"{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{data}"}}}}"#),
        r#"{"type":"image_url","image_url":{"url":"https://x/y.png","detail":"high"}}"#.into(),
        r#"{"type":"input_image","image_url":"https://x/y.png"}"#.into(),
        format!(
            r#"{{"type":"image","source":{{"type":"base64","media_type":"image/png","data":"{data}"}}}}"#
        ),
        format!(r#"{{"type":"image","source":{{"data":"{data}","media_type":"image/png"}}}}"#),
        r#"{"type":"image","source":{"type":"url","url":"https://x/y"}}"#.into(),
        format!(r#"{{"inlineData":{{"mimeType":"image/png","data":"{data}"}}}}"#),
        format!(r#"{{"image":{{"format":"png","source":{{"bytes":"{data}"}}}}}}"#),
    ] {
        let body = format!(r#"{{"messages":[{{"role":"user","content":[{part}]}}]}}"#);
        let found = both(&body).0 - 4 - 3;
        assert!((IMAGE..IMAGE + 20).contains(&found), "{found}: {part:.80}");
    }
    let low = r#"{"messages":[{"content":[{"type":"image_url",
        "image_url":{"url":"https://x/y.png","detail":"low"}}]}]}"#;
    assert_eq!(both(low).0, IMAGE_LOW + 7);
    let text = r#"{"messages":[{"content":[{"type":"text","text":"a picture follows, so look"},
        {"type":"input_image","image_url":"https://x/y.png"}]}]}"#;
    assert!(both(text).0 > IMAGE + 7 + 6, "the text beside it counts");
}

#[test]
fn tools_count_and_files_count_little() {
    let bare = both(r#"{"messages":[]}"#).0;
    let tools = r#"{"messages":[],"tools":[{"type":"function","function":{"name":"weather",
        "description":"The weather of a place.","parameters":{"type":"object","properties":
        {"id":{"type":"string","description":"Which place"}},"required":["id"]}}}]}"#;
    assert!(both(tools).0 > bare + 30);
    let data = "A".repeat(64_000);
    let file = format!(
        r#"{{"messages":[{{"content":[{{"type":"file","file":{{"file_data":"{data}"}}}}]}}]}}"#
    );
    assert!((1_000..1_050).contains(&both(&file).0));
}

#[test]
fn anything_else_is_estimated_by_its_length() {
    let (open, close) = ("[".repeat(5_000), "]".repeat(5_000));
    let deep = format!(r#"{{"messages":{open}{close}}}"#);
    for body in ["[]", "null", "x", r#"{"messages":["#, &deep, "\u{fffd}\0"] {
        assert_eq!(estimate(body.as_bytes()), None, "{body:.30}");
        let cost = estimate_cost(body.as_bytes());
        let quarter = (body.len() as u64).div_ceil(4);
        assert_eq!(cost, Cost::input_output(quarter, OUTPUT));
    }
    assert_eq!(estimate_cost(b""), Cost::request());
}

#[test]
fn members_that_do_not_matter_may_be_anything() {
    let body = r#"{"model":{"a":1},"metadata":{"messages":["x"]},"stream":true,"max_tokens":[1],
        "n":{},"messages":[],"user":"someone","generationConfig":null}"#;
    assert_eq!(both(body), (3, OUTPUT));
    let escaped = estimate(br#"{"model":"a\u0062","messages":[]}"#).unwrap();
    assert_eq!(escaped.model.as_deref(), Some("ab"));
}

#[test]
fn a_path_tells_embeddings_too() {
    let cost = |path: &str| {
        let mut request = Request::new(r#"{"input":"abcd","model":"own"}"#);
        *request.uri_mut() = path.parse().unwrap();
        estimate_request(&request).unwrap()
    };
    assert_eq!(cost("/v1/embeddings").of(Resource::OutputTokens), 0);
    assert_eq!(cost("/v1/responses"), Cost::input_output(4, OUTPUT));
}

proptest! {
    #[test]
    fn no_body_makes_it_panic(body in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = estimate_cost(&body);
    }

    #[test]
    fn more_text_never_counts_less(text in "[a-z0-9 .,!é漢]{0,40}", more in "[a-z0-9 ]{0,20}") {
        let count = |text: &str| both(&format!(r#"{{"prompt":"{text}"}}"#)).0;
        let longer = [&text[..], &more].concat();
        prop_assert!(count(&longer) >= count(&text));
    }
}
