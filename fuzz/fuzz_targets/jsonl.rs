//! The main job's input: lines of requests.

#![no_main]
#![allow(dead_code, reason = "the example uses all of it")]

use std::io::BufReader;

use libfuzzer_sys::fuzz_target;

#[path = "../../examples/parallel_processor/input.rs"]
mod input;
#[path = "../../examples/parallel_processor/lines.rs"]
mod lines;

use input::Job;
use lines::Lines;

const LONGEST: usize = 4_096;

fuzz_target!(|data: &[u8]| {
    let Some((size, file)) = data.split_first() else {
        return;
    };
    let size = usize::from(*size).max(1);
    let mut lines = Lines::new(BufReader::with_capacity(size, file), LONGEST);
    let (mut bytes, mut parts) = (0, file.split_inclusive(|byte| *byte == b'\n'));
    while let Some(line) = lines.next().expect("a slice doesn't fail") {
        let part = parts.next().expect("no more lines than there are");
        assert_eq!(line.bytes, part.len() as u64);
        assert_eq!(line.ended, part.ends_with(b"\n"));
        assert!(line.text.len() <= LONGEST + 1);
        bytes += line.bytes;
        match Job::read(line.text, line.too_long) {
            Some(Ok(job)) => {
                let body: serde_json::Value = serde_json::from_str(job.text()).expect("JSON");
                assert!(body.is_object());
                assert!(job.metadata.is_none() || body.get("metadata").is_none());
            }
            Some(Err(malformed)) => {
                let _: String = serde_json::from_str(&malformed.shown).expect("a string");
            }
            None => {}
        }
    }
    assert_eq!(bytes, file.len() as u64);
    assert!(parts.next().is_none());
});
