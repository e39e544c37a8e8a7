use super::super::stream::EDGE;
use super::*;
use crate::provider::events::{Events, Part};

/// The same as walking over all of it, however much it looks at and keeps.
fn scan(parts: &[&[u8]]) -> Option<Usage> {
    let stream = parts.concat();
    for (edge, most) in [(1, 2), (1, 9), (60, 120), (60, 155), (200, 400)] {
        let mut scanner = Stream::keeping(edge, most);
        parts.iter().for_each(|part| scanner.push(part));
        assert_eq!(
            scanner.finish(),
            by_walking(edge, &stream),
            "looking at {edge}, keeping {most}"
        );
    }
    let usage = super::scan(parts);
    assert_eq!(usage, by_walking(EDGE, &stream));
    usage
}

/// The usage of the last event that has one, if that ends in the last bytes; a message begins in the first.
fn by_walking(edge: usize, stream: &[u8]) -> Option<Usage> {
    let (mut json, mut events) = (Json::new(), Events::begun());
    json.begin();
    let (mut heard, mut end) = (0, 0);
    for at in 0..stream.len() {
        let was_inside = events.is_inside();
        let mut byte = &stream[at..=at];
        while let Some(part) = events.next(&mut byte) {
            match part {
                Part::Name(_) => {}
                Part::Data(data) => json.push(data),
                Part::End => {
                    if json.found.count() > heard {
                        (heard, end) = (json.found.count(), at + 1);
                    }
                    json.begin();
                }
            }
        }
        if events.is_inside() && !was_inside && at >= edge {
            json.found.is_past_begin();
        }
    }
    if json.found.count() > heard {
        end = stream.len();
    }
    if stream.len() - end >= edge {
        json.found.forget();
    }
    json.found.finish()
}

fn whole(stream: &str) -> Option<Usage> {
    scan(&[stream.as_bytes()])
}

const CHAT: &str = ": OPENROUTER PROCESSING\n\n\
    data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}],\"usage\":null}\n\n\
    data: {\"choices\":[{\"delta\":{\"content\":\"é \\\"usage\\\": {\\\"prompt_tokens\\\":7}\"}}],\"error\":null,\"usage\":null}\n\n\
    data: {\"choices\":[{\"delta\":{\"content\":\"\\\\\",\"usage\":{\"prompt_tokens\":5}}}]}\n\n\
    :\n\n\
    data: {\"choices\":[],\"usage\" : {\"prompt_tokens\":30,\"completion_tokens\":12,\"total_tokens\":42,\
    \"prompt_tokens_details\":{\"cached_tokens\":20}}}\n\n\
    data: [DONE]\n\n";

const RESPONSES: &str = "event: response.created\n\
    data: {\"type\":\"response.created\",\"response\":{\"id\":\"r\",\"error\":null,\"usage\":null,\"metadata\":{\"usage\":\"x\"}}}\n\n\
    event: response.output_text.delta\n\
    data: {\"type\":\"response.output_text.delta\",\"delta\":\"Hi\"}\n\n\
    event: response.completed\n\
    data: {\"type\":\"response.completed\",\"response\":{\"id\":\"r\",\"output\":[{\"usage\":{\"input_tokens\":1}}],\
    \"usage\":{\"input_tokens\":36,\"input_tokens_details\":{\"cached_tokens\":4},\"output_tokens\":87,\"total_tokens\":123}}}\n\n";

const ANTHROPIC: &str = "event: message_start\n\
    data: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"role\":\"assistant\",\"content\":[],\"usage\":{\"input_tokens\":25,\
    \"cache_creation_input_tokens\":100,\"cache_read_input_tokens\":1000,\"output_tokens\":3}}}\n\n\
    event: ping\ndata: {\"type\": \"ping\"}\n\n\
    event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}}\n\n\
    event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":10}}\n\n\
    event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{},\"usage\":{\"output_tokens\":15,\"input_tokens\":0}}\n\n\
    event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

const GEMINI: &str = "data: {\"candidates\":[{}],\"usageMetadata\":{\"promptTokenCount\":174,\"totalTokenCount\":174}}\r\n\r\n\
    data: {\"candidates\":[{\"args\":{\"usageMetadata\":{\"promptTokenCount\":9}}}],\"usageMetadata\": {\"promptTokenCount\": 174,\
    \"candidatesTokenCount\": 573,\"thoughtsTokenCount\": 956,\"totalTokenCount\": 1703}}\r\n\r\n\
    data: {\"candidates\":[{\"args\":{\"usageMetadata\":{\"promptTokenCount\":9}}}]}\r\n\r\n";

/// What a gateway makes of Bedrock's events, over several lines.
const CONVERSE: &str = "event: messageStart\rdata: {\"role\":\"assistant\"}\r\r\
    event: metadata\rdata: {\rdata:   \"usage\":\rdata:   {\"inputTokens\":10,\rdata:    \"outputTokens\":5,\rdata:    \"totalTokens\":15}\rdata: }\r\r";

fn streams() -> [(&'static str, Option<Usage>); 6] {
    [
        (CHAT, usage(30, 12, 42, 20)),
        (RESPONSES, usage(36, 87, 123, 4)),
        (ANTHROPIC, usage(1_125, 15, 1_140, 1_000)),
        (GEMINI, usage(174, 1_529, 1_703, 0)),
        (CONVERSE, usage(10, 5, 15, 0)),
        (
            "data: {\"x_groq\":{\"id\":\"r\",\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}}\n\n",
            usage(3, 4, 7, 0),
        ),
    ]
}

fn bytes(stream: &str) -> Vec<&[u8]> {
    stream.as_bytes().chunks(1).collect()
}

#[test]
fn every_providers_stream_reads_wherever_it_is_cut() {
    for (stream, expected) in streams() {
        assert_eq!(whole(stream), expected, "{stream}");
        assert_eq!(scan(&bytes(stream)), expected, "{stream}");
        for at in 0..stream.len() {
            let (a, b) = stream.as_bytes().split_at(at);
            assert_eq!(scan(&[a, b]), expected, "{stream} cut at {at}");
        }
        let marked = format!("\u{feff}{stream}");
        assert_eq!(super::scan(&bytes(&marked)), expected, "{stream}");
        // The last event may lack its end.
        assert_eq!(whole(stream.trim_end()), expected, "{stream}");
    }
}

#[test]
fn many_events_in_one_chunk_read_like_one_after_the_other() {
    let delta = "data: {\"choices\":[{\"args\":{\"usage\":{\"prompt_tokens\":9}}}]}\n\n";
    let usages: String = (1..30)
        .map(|n| format!("data: {{\"usage\":{{\"prompt_tokens\":{n}}}}}\n\n"))
        .collect();
    for stream in [
        usages.clone(),
        format!("{usages}{}", delta.repeat(30)),
        format!("{}{usages}{}", delta.repeat(9), delta.repeat(9)),
    ] {
        assert_eq!(whole(&stream), usage(29, 0, 29, 0));
        assert_eq!(scan(&bytes(&stream)), usage(29, 0, 29, 0));
    }
}

#[test]
fn a_stream_that_fails_or_never_gets_to_its_end_has_no_usage() {
    let begun = ANTHROPIC
        .split_inclusive("\n\n")
        .take(3)
        .collect::<String>();
    let overloaded =
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n";
    let known = "data: {\"usageMetadata\":{\"promptTokenCount\":1,\"candidatesTokenCount\":2}}\n\n";
    for stream in [
        begun.clone(),
        format!("{begun}{overloaded}"),
        format!("{known}data: {{\"error\":{{\"code\":503}}}}\n\n"),
        format!("{known}data: {{\"error\" :\ndata: \"Too many tokens\"}}\n\n"),
        "data: {\"usage\":{\"prompt_tokens\":1},\"error\":\"x\"}\n\n".to_owned(),
        "data: {\"error\":\"x\",\"usage\":{\"prompt_tokens\":1}}\n\n".to_owned(),
        "data: {\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":\"x\"},\"usage\":null}}\n\n".to_owned(),
        "data: {\"usage\":{}}\n\n".to_owned(),
        ": {\"usage\":{\"prompt_tokens\":1}}\n\nid: {\"usage\":{\"prompt_tokens\":1}}\n\n".to_owned(),
    ] {
        assert_eq!(whole(&stream), None, "{stream}");
        assert_eq!(scan(&bytes(&stream)), None, "{stream}");
    }
    // What is told after an error was counted.
    let stream = format!("data: {{\"error\":\"x\"}}\n\n{known}");
    assert_eq!(whole(&stream), usage(1, 2, 3, 0));
    assert_eq!(scan(&bytes(&stream)), usage(1, 2, 3, 0));
    // A name inside is no error of the stream's.
    let stream = format!(
        "{known}data: {{\"candidates\":[{{\"error\":{{\"code\":1}}}}],\"error\":null}}\n\n"
    );
    assert_eq!(whole(&stream), usage(1, 2, 3, 0));
}

#[test]
fn what_counts_is_the_last_usage_unless_an_error_follows_wherever_it_is_cut() {
    for order in 0..4_usize.pow(5) {
        let (mut stream, mut expected) = (String::new(), None);
        for nth in 0..5 {
            stream += &match order / 4_usize.pow(nth) % 4 {
                0 => "data: {\"text\":\"some\"}\n\n".to_owned(),
                1 => "data: {\"error\":{\"code\":1}}\n\n".to_owned(),
                2 => "data: {\"a\":{\"usage\":{\"prompt_tokens\":9}}}\n\n".to_owned(),
                _ => format!("data: {{\"usage\":{{\"prompt_tokens\":{}}}}}\n\n", nth + 1),
            };
            match order / 4_usize.pow(nth) % 4 {
                1 => expected = None,
                3 => expected = usage(u64::from(nth) + 1, 0, u64::from(nth) + 1, 0),
                _ => {}
            }
        }
        for size in [20, 45, 60, 75, 90, 110] {
            let parts: Vec<&[u8]> = stream.as_bytes().chunks(size).collect();
            assert_eq!(scan(&parts), expected, "{stream} in {size}");
        }
    }
}

fn frame(headers: &[u8], document: &str) -> Vec<u8> {
    let all = (16 + headers.len() + document.len()) as u32;
    let mut frame = all.to_be_bytes().to_vec();
    frame.extend((headers.len() as u32).to_be_bytes());
    frame.extend(b"\"{\"[");
    frame.extend(headers);
    frame.extend(document.as_bytes());
    frame.extend(b"}\"{\"");
    frame
}

#[test]
fn events_in_frames_read_wherever_they_are_cut() {
    let metadata = r#"{"metrics":{"latencyMs":1},"usage":{"inputTokens":10,"outputTokens":5,"totalTokens":15}}"#;
    let stream = [
        frame(
            b"\x0b:event-type\x07\0\x0cmessageStart",
            r#"{"role":"assistant"}"#,
        ),
        frame(
            b"",
            r#"{"delta":{"text":"{\"usage\":{\"inputTokens\":1}}"}}"#,
        ),
        frame(b"", ""),
        frame(b"\x0b:event-type\x07\0\x08metadata", metadata),
    ]
    .concat();
    for at in 0..stream.len() {
        let (a, b) = stream.split_at(at);
        assert_eq!(super::scan(&[a, b]), usage(10, 5, 15, 0), "cut at {at}");
    }
    let broken = [0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(super::scan(&[&broken, &stream]), None);
}

#[test]
fn what_is_told_long_before_the_end_is_not_what_was_used() {
    let text = "data: {\"choices\":[{\"delta\":{\"content\":\"some\"}}],\"usage\":null}\n\n";
    let long = format!(
        "data: {{\"text\":\"{}\",\"usage\":{{\"prompt_tokens\":5}}}}\n\n",
        "x".repeat(20_000)
    );
    let told = "data: {\"usage\":{\"prompt_tokens\":5}}\n\n";
    for event in [told, &long] {
        for events in [0, 3, 20, 64, 66, 300] {
            let stream = format!("{}{event}{}", text.repeat(100), text.repeat(events));
            let expected = (events * text.len() < EDGE).then_some(Usage::new(5, 0));
            for size in [1, 100, 1_000, 5_000, 9_000, 16_384, 100_000] {
                let parts: Vec<&[u8]> = stream.as_bytes().chunks(size).collect();
                assert_eq!(
                    super::scan(&parts),
                    expected,
                    "{events} events behind it, in {size}"
                );
            }
        }
    }
}

#[test]
fn an_event_may_be_cut_between_its_lines() {
    let text = "data: {\"choices\":[],\"usage\":null}\n\n".repeat(400);
    let long = "x".repeat(30_000);
    let event = format!(
        "data: {{\ndata:  \"usage\":\ndata: {{\"prompt_tokens\":5}},\ndata: \"text\":\"{long}\"\ndata: }}"
    );
    for newline in ["\n", "\r\n", "\r"] {
        let event = event.replace('\n', newline);
        for cut in 0..80 {
            let (begin, end) = event.split_at(cut);
            for kept in [text.len(), text.len() - 9_000] {
                let (before, after) = text.split_at(kept);
                let begin = format!("{after}{begin}");
                let parts = [before, &begin, end].map(str::as_bytes);
                assert_eq!(super::scan(&parts), usage(5, 0, 5, 0), "cut at {cut}");
            }
        }
    }
}

#[test]
fn a_message_of_any_length_has_its_begin_and_its_end() {
    let text = "event: content_block_delta\ndata: {\"delta\":{\"text\":\"some\"}}\n\n";
    let start = "event: message_start\ndata: {\"message\":{\"usage\":{\"input_tokens\":25,\"output_tokens\":3}}}\n\n";
    let end = "event: message_delta\ndata: {\"usage\":{\"output_tokens\":15}}\n\nevent: message_stop\ndata: {}\n\n";
    for pings in [0, 10, 200] {
        for events in [0, 1, 60, 150, 1_000, 10_000] {
            let pings = ": keep-alive\n\n".repeat(pings);
            let stream = format!("{pings}{start}{}{end}", text.repeat(events));
            for size in [1, 70, 1_000, 5_000, 16_384, 1 << 20] {
                let parts: Vec<&[u8]> = stream.as_bytes().chunks(size).collect();
                assert_eq!(
                    super::scan(&parts),
                    usage(25, 15, 40, 0),
                    "{events} in {size}"
                );
            }
        }
    }
}

#[test]
fn no_stream_however_long_takes_memory() {
    let mut stream = Stream::new();
    let long = "x".repeat(1 << 20);
    for _ in 0..16 {
        stream.push(format!("data: {{\"text\":\"{long}").as_bytes());
        stream.push(format!("{long}{long}\n").as_bytes());
        stream.push(format!("event{long}").as_bytes());
        stream.push(
            format!("{long}\n\ndata: {{\"usage\":{{\"prompt_tokens\":1,\"x\":\"{long}").as_bytes(),
        );
        stream.push(b"\"}}\n\n");
    }
    assert!(stream.capacity() <= 48 * 1024, "{}", stream.capacity());
    assert_eq!(stream.finish(), None);
}

/// Pieces of events, good and bad.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("data: ".to_owned()),
        Just("\n\n".to_owned()),
        "(\n|\r|\r\n|: x|event: error\n|id: 1|data|\u{feff}|é)",
        "[\\[\\]{}\":,\\\\u0-9 ]{0,6}",
        "\\{?\"(usage|usageMetadata|usages|error|message|response|delta)\" ?: ?(\\{|null|\")?",
        "\\{\"usage\":\\{\"(input|output)_(tokens|token|tokensCount)\":[0-9]{1,3}\\}\\}",
        "data: \\{\"message\":\\{\"usage\":\\{\"input_tokens\":[0-9]{1,3},\"output_tokens\":1\\}\\}\\}\n\n",
        "data: \\{\"usage\":\\{\"output_tokens\":[0-9]{1,3}\\}\\}\n\n",
        Just("data: {\"a\":{\"usage\":{\"output_tokens\":9}}}\n\n".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_stream_in_any_cuts_gives_the_same(
        pieces in proptest::collection::vec(piece(), 0..40),
        sizes in proptest::collection::vec(1_usize..60, 1..9),
    ) {
        let stream = format!("data: {}", pieces.concat());
        let expected = scan(&bytes(&stream));
        prop_assert_eq!(whole(&stream), expected);
        let mut rest = stream.as_bytes();
        let mut parts = Vec::new();
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (part, other) = rest.split_at(*size.min(&rest.len()));
            parts.push(part);
            rest = other;
        }
        prop_assert_eq!(scan(&parts), expected);
    }

    #[test]
    fn long_streams_in_any_cuts_give_the_same(
        events in proptest::collection::vec((piece(), 0_usize..4, 0_usize..12_000), 0..12),
        sizes in proptest::collection::vec(1_usize..20_000, 1..9),
    ) {
        let mut stream = "data: ".to_owned();
        for (piece, kind, len) in events {
            let long = "x".repeat(len);
            stream += &match kind {
                0 => format!("data: {{\"text\":\"{long}\"}}\n\n"),
                1 => format!("data: {{\"text\":\"{long}\",\"usage\":{{\"prompt_tokens\":{len}}}}}\n\n"),
                2 => format!("data: {{\"usage\":{{\"prompt_tokens\":{len}}},\"text\":\"{long}\"}}\r\n\r\n"),
                _ => "data: {\"some\":\"text\"}\r\r".repeat(len / 20),
            };
            stream += &piece;
        }
        let mut rest = stream.as_bytes();
        let mut parts = Vec::new();
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (part, other) = rest.split_at(*size.min(&rest.len()));
            parts.push(part);
            rest = other;
        }
        prop_assert_eq!(scan(&parts), super::whole(&stream));
    }

    #[test]
    fn no_bytes_in_a_stream_make_it_panic(
        first in proptest::sample::select(vec![&b"d"[..], b":", b"\0", b"data: {\"usage\":{", b"\0\0\0\x20\0\0\0\0"]),
        body in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let _ = super::scan(&[first, &body]);
    }
}
