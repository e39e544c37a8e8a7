//! What reading the usage of a stream costs: `cargo bench --bench usage`.
//!
//! A mebibyte of events, in chunks that end with an event (`0`) or after so many bytes, wherever that is.

use divan::{Bencher, black_box, counter::BytesCount};
use tower_quota::provider::UsageScanner;

fn main() {
    divan::main();
}

const SIZE: usize = 1 << 20;

#[derive(Clone, Copy, Debug)]
enum Api {
    Chat,
    Messages,
    Gemini,
}

const CASES: [(Api, usize); 9] = {
    use Api::{Chat, Gemini, Messages};
    [
        (Chat, 0),
        (Chat, 1_000),
        (Chat, 16_384),
        (Messages, 0),
        (Messages, 1_000),
        (Messages, 16_384),
        (Gemini, 0),
        (Gemini, 1_000),
        (Gemini, 16_384),
    ]
};

#[divan::bench(args = CASES)]
fn usage(bencher: Bencher<'_, '_>, (api, size): (Api, usize)) {
    let event = match api {
        Api::Chat => {
            "data: {\"id\":\"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT\",\"object\":\"chat.completion.chunk\",\
             \"created\":1741569952,\"model\":\"gpt-4.1-2025-04-14\",\"service_tier\":\"default\",\
             \"choices\":[{\"index\":0,\"delta\":{\"content\":\" harbour\"},\"logprobs\":null,\"finish_reason\":null}],\
             \"usage\":null}\n\n"
        }
        Api::Messages => {
            "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\
             \"delta\":{\"type\":\"text_delta\",\"text\":\" some words more\"}}\n\n"
        }
        Api::Gemini => {
            "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"of several words, together\"}],\
             \"role\": \"model\"},\"index\": 0}],\"usageMetadata\": {\"promptTokenCount\": 30,\
             \"candidatesTokenCount\": 20,\"totalTokenCount\": 50},\"modelVersion\": \"gemini-2.5-flash\"}\r\n\r\n"
        }
    };
    let stream = event.repeat(SIZE / event.len());
    let size = if size == 0 { event.len() } else { size };
    bencher.counter(BytesCount::new(stream.len())).bench(|| {
        let mut scanner = UsageScanner::new();
        for chunk in black_box(stream.as_bytes()).chunks(size) {
            scanner.push(chunk);
        }
        scanner.finish()
    });
}
