//! An answer's usage is the same however its body is cut.

#![no_main]

use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use tower_quota::{Usage, provider::UsageScanner};

const TYPES: [&str; 4] = [
    "application/json",
    "text/event-stream",
    "application/x-ndjson",
    "application/vnd.amazon.eventstream",
];

fn read<'a>(kind: &'static str, chunks: impl Iterator<Item = &'a [u8]>) -> Option<Usage> {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static(kind));
    let mut scanner = UsageScanner::of(&headers)?;
    chunks.for_each(|chunk| scanner.push(chunk));
    scanner.finish()
}

fuzz_target!(|data: &[u8]| {
    let Some((size, body)) = data.split_first() else {
        return;
    };
    let size = usize::from(*size).max(1);
    for kind in TYPES {
        let whole = read(kind, std::iter::once(body));
        assert_eq!(whole, read(kind, body.chunks(size)), "{kind} by {size}");
    }
});
