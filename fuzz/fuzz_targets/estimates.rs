//! Request bodies: what they will cost, whose model they name, and another model's name in its place.

#![no_main]

use bytes::Bytes;
use http::Request;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tower_quota::{
    Usage,
    fallback::swap_model,
    tokens::{Calibration, count_text, estimate, estimate_cost, model_of},
};

fuzz_target!(|data: &[u8]| {
    let _ = (
        estimate(data).map(|found| format!("{found:?}")),
        estimate_cost(data),
    );
    if let Ok(text) = std::str::from_utf8(data) {
        let count = count_text(text);
        assert!(
            count <= 4 * text.len() as u64 + 16,
            "{count} for {} bytes",
            text.len()
        );
    }
    let request = Request::post("/v1/chat/completions")
        .body(Bytes::copy_from_slice(data))
        .expect("a request");
    let _ = model_of(&request);
    let calibration = Calibration::new();
    for _ in 0..3 {
        if let Some((_, Some(lesson))) = calibration.weigh(&request) {
            lesson.learn(&Usage::new(data.len() as u64, 10));
        }
    }
    // All but the model stays as it was.
    let before = serde_json::from_slice::<Value>(data);
    if let Some(swapped) = swap_model("other")(request)
        && let Ok(mut before @ Value::Object(_)) = before
    {
        let mut after: Value = serde_json::from_slice(swapped.body()).expect("JSON as before");
        assert_eq!(after["model"], "other");
        before["model"].take();
        after["model"].take();
        assert_eq!(before, after);
    }
});
