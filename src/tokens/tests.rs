use http::Request;
use proptest::prelude::*;

use super::*;
use crate::{
    body::ReplayBody,
    core::cost::{Cost, Resource},
    verdict::Usage,
};

fn both(body: &str) -> (u64, u64) {
    let estimate = estimate(body.as_bytes()).unwrap();
    (estimate.input, estimate.output)
}

#[test]
fn messages_count_as_text_and_as_parts() {
    let text = both(r#"{"messages":[{"role":"user","content":"0123456789abcdef"}]}"#);
    // A number of ten digits and a word of six letters, the message and the answer's beginning.
    assert_eq!(count_text("0123456789abcdef"), 5);
    assert_eq!(text, (5 + 4 + 3, OUTPUT));
    let parts = r#"{"messages":[{"role":"user","content":[
        {"type":"text","text":"0123456789abcdef"}]}]}"#;
    assert_eq!(both(parts), (6 + 4 + 3, OUTPUT));
    let google = r#"{"contents":[{"role":"user","parts":[{"text":"0123456789abcdef"}]}],
        "generationConfig":{"maxOutputTokens":7,"candidateCount":2}}"#;
    assert_eq!(both(google), (5 + 4 + 3, 14));
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
    assert!(both(tools).0 > bare + 25);
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

/// A chat of some text to some model.
fn chat(model: &str, text: &str) -> Request<String> {
    let body = serde_json::json!({"model": model, "messages": [{"role": "user", "content": text}]});
    Request::new(body.to_string())
}

fn at(path: &str, body: &'static str) -> Request<&'static str> {
    Request::post(path).body(body).unwrap()
}

fn input<B: ReplayBody>(calibration: &Calibration, request: &Request<B>) -> u64 {
    let (cost, _) = calibration.weigh(request).unwrap();
    cost.of(Resource::InputTokens)
}

#[test]
fn the_shapes_of_all_providers_count_alike() {
    let count = |body: &str| both(body).0;
    let text = "The whole prompt counts, wherever a provider wants it to stand.";
    let expected = count_text(text) + 4 + 3;
    for body in [
        r#"{"messages":[{"role":"user","content":"T"}]}"#,
        r#"{"messages":[{"role":"user","content":[{"text":"T"}]}],"inferenceConfig":{"maxTokens":9}}"#,
        r#"{"contents":[{"parts":[{"text":"T"}]}],"generationConfig":{"maxOutputTokens":9}}"#,
        r#"{"model":"gpt-5","input":[{"role":"user","content":"T"}]}"#,
    ] {
        assert_eq!(count(&body.replace('T', text)), expected, "{body}");
    }
    for body in [
        r#"{"messages":[],"system":"T"}"#,
        r#"{"messages":[],"system":[{"text":"T"}]}"#,
        r#"{"contents":[],"systemInstruction":{"parts":[{"text":"T"}]}}"#,
        r#"{"model":"gpt-5","input":"","instructions":"T"}"#,
        r#"{"model":"gpt-5","input":"T"}"#,
    ] {
        assert_eq!(count(&body.replace('T', text)), expected - 4, "{body}");
    }
    // A tool, a schema and a call count, whoever is asked for them.
    for body in [
        r#"{"messages":[],"tools":[{"name":"f","description":"T","input_schema":{"type":"object"}}]}"#,
        r#"{"contents":[],"tools":[{"functionDeclarations":[{"name":"f","description":"T"}]}]}"#,
        r#"{"messages":[],"toolConfig":{"tools":[{"toolSpec":{"name":"f","description":"T"}}]}}"#,
        r#"{"messages":[{"content":[{"type":"tool_use","name":"f","input":{"query":"T"}}]}]}"#,
    ] {
        assert!(count(&body.replace('T', text)) > expected - 4, "{body}");
    }
}

#[test]
fn the_model_stands_in_the_address_or_in_the_body() {
    let body =
        r#"{"messages":[{"model":"no"}],"a":"\"model\":{[","model":"b","b":[{"model":"no"}]}"#;
    for (path, model) in [
        ("/v1/chat/completions", Some("b")),
        ("/v1/models/gpt-4o", Some("b")),
        (
            "/v1beta/models/gemini-2.0-flash:generateContent",
            Some("gemini-2.0-flash"),
        ),
        (
            "/v1beta/models/gemini-2.0-flash:streamGenerateContent?alt=sse",
            Some("gemini-2.0-flash"),
        ),
        (
            "/v1/projects/p/locations/l/publishers/anthropic/models/claude-3-5-sonnet@20241022:rawPredict",
            Some("claude-3-5-sonnet@20241022"),
        ),
        (
            "/openai/deployments/ours/chat/completions?api-version=1",
            Some("ours"),
        ),
        ("/openai/deployments/", Some("b")),
        (
            "/model/anthropic.claude-v2%3A1/converse",
            Some("anthropic.claude-v2:1"),
        ),
        (
            "/model/amazon.nova-lite-v1:0/invoke-with-response-stream",
            Some("amazon.nova-lite-v1:0"),
        ),
        ("/model/x/other", Some("b")),
        ("/model/%zz/converse", Some("b")),
        ("/model/%ff/converse", Some("b")),
        ("/", Some("b")),
    ] {
        assert_eq!(model_of(&at(path, body)).as_deref(), model, "{path}");
    }
    for (body, model) in [
        (r#" { "model" : "a" } "#, Some("a")),
        (r#"{"model":"models/a"}"#, Some("a")),
        (r#"{"model":"a","model":"b"}"#, Some("b")),
        (r#"{"modelId":"a"}"#, Some("a")),
        (r#"{"mod\u0065l":"\u0061"}"#, Some("a")),
        (r#"{"model":null}"#, None),
        (r#"{"model":["a"]}"#, None),
        (r#"{"model":"a","rest":"cut"#, Some("a")),
        (r#"{"messages":[{"model":"a"}]}"#, None),
        (r#"["model","a"]"#, None),
        ("{", None),
        ("{\"model\"", None),
        ("{\"model\":", None),
        ("{\"model\":\"", None),
        ("{\"model\":\"\\", None),
        ("", None),
    ] {
        assert_eq!(model_of(&at("/", body)).as_deref(), model, "{body}");
    }
    let long = format!("/model/{}/converse", "a".repeat(257));
    assert_eq!(model_of(&at(&long, "{}")), None);
}

#[test]
fn addresses_of_embeddings_have_no_output() {
    for (path, body) in [
        (
            "/models/gemini-embedding-001:embedContent",
            r#"{"content":{"parts":[{"text":"abcd"}]}}"#,
        ),
        (
            "/models/own:batchEmbedContents",
            r#"{"requests":[{"content":{"parts":[{"text":"abcd"}]}}]}"#,
        ),
        ("/openai/deployments/own/embeddings", r#"{"input":"abcd"}"#),
    ] {
        let cost = estimate_request(&at(path, body)).unwrap();
        assert_eq!(cost.of(Resource::OutputTokens), 0, "{path}");
        assert!(cost.of(Resource::InputTokens) > 0, "{path}");
    }
}

#[test]
fn a_model_is_learnt_by_itself() {
    let calibration = Calibration::new();
    let text = "Some words that this model counts twice as high as most others do. ".repeat(20);
    let first = input(&calibration, &chat("a", &text));
    for _ in 0..20 {
        let (_, lesson) = calibration.weigh(&chat("a", &text)).unwrap();
        lesson.unwrap().learn(&Usage::new(first * 2, 1));
    }
    let learnt = input(&calibration, &chat("a", &text));
    assert!(
        learnt.abs_diff(first * 2) * 50 < first * 2,
        "{learnt} for {}",
        first * 2
    );
    assert_eq!(input(&calibration, &chat("b", &text)), first);
    assert!(calibration.count_text("a", &text) > count_text(&text) * 3 / 2);
    assert_eq!(calibration.count_text("b", &text), count_text(&text));
    let models = calibration.models();
    assert_eq!(
        (models.len(), &*models[0].model, models[0].answers),
        (1, "a", 20)
    );
    // By its address as well.
    let asked = at(
        "/models/a:generateContent",
        r#"{"contents":[{"parts":[{"text":"Some words"}]}]}"#,
    );
    assert!(calibration.weigh(&asked).unwrap().1.is_some());
}

#[test]
fn only_texts_teach() {
    let calibration = Calibration::new();
    let teaches = |body: &'static str| calibration.weigh(&at("/", body)).unwrap().1.is_some();
    for body in [
        r#"{"model":"a","messages":[{"role":"user","content":"x"}],"tools":[]}"#,
        r#"{"model":"a","messages":[{"content":[{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}]}]}"#,
        r#"{"model":"a","messages":[],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}]}"#,
        r#"{"model":"a","input":[{"type":"message","content":[{"type":"input_text","text":"x"}]}],"previous_response_id":null}"#,
        r#"{"model":"a","input":[1,2,3]}"#,
    ] {
        assert!(teaches(body), "{body}");
    }
    for body in [
        r#"{"messages":[{"role":"user","content":"x"}]}"#,
        r#"{"model":"a","messages":[{"content":[{"type":"image_url","image_url":{"url":"https://x/y"}}]}]}"#,
        r#"{"model":"a","messages":[{"content":[{"type":"input_audio","input_audio":{"data":"AAAA"}}]}]}"#,
        r#"{"model":"a","messages":[{"content":[{"type":"file","file":{"file_id":"f"}}]}]}"#,
        r#"{"model":"a","messages":[{"content":"data:text/plain;base64,AAAA"}]}"#,
        r#"{"model":"a","contents":[{"parts":[{"fileData":{"fileUri":"x"}}]}]}"#,
        r#"{"model":"a","input":"x","previous_response_id":"r"}"#,
        r#"{"model":"a","prompt":{"id":"p"}}"#,
        r#"{"model":"a","messages":[],"tools":[{"type":"web_search_20250305","name":"web_search"}]}"#,
        "no JSON",
    ] {
        assert!(!teaches(body), "{body}");
    }
}

#[test]
fn no_stream_of_names_takes_memory_or_a_place() {
    let calibration = Calibration::new();
    let (_, lesson) = calibration.weigh(&chat("real", "Some words")).unwrap();
    lesson.unwrap().learn(&Usage::new(9, 1));
    for n in 0..1_000 {
        let (_, lesson) = calibration
            .weigh(&chat(&format!("made up {n}"), "x"))
            .unwrap();
        assert!(lesson.is_some(), "the last one made room");
    }
    for n in 0..1_000 {
        let (_, lesson) = calibration
            .weigh(&chat(&format!("answers {n}"), "Some words"))
            .unwrap();
        if let Some(lesson) = lesson {
            lesson.learn(&Usage::new(9, 1));
        }
    }
    let models = calibration.models();
    assert_eq!(models.len(), 64);
    assert!(models.iter().any(|model| model.model == "real"));
    assert!(
        calibration
            .weigh(&chat(&"a".repeat(300), "x"))
            .unwrap()
            .1
            .is_none()
    );
    assert!(!format!("{calibration:?}").contains("Some words"));
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

    #[test]
    fn no_body_makes_the_search_for_a_model_panic(body in "[{}\\[\\]\",:\\\\model a-]{0,60}") {
        let found = model_of(&Request::new(body.clone()));
        // Where it is JSON, both readers find the same.
        if let Some(estimate) = estimate(body.as_bytes()) {
            prop_assert_eq!(found, estimate.model.map(|model| model.into_owned()));
        }
    }
}
