//! Exact counts, of texts of any kind.

use tower_quota::tokens::exact::{count_text, estimate, warm_up};

#[test]
fn long_texts_count_as_short_ones_do() {
    let sentence = "One of many sentences, all of which look the same to anybody who reads them. ";
    let one = count_text("gpt-4o", sentence.trim_end()).unwrap();
    // What ends with a space has it before the next word.
    let many = count_text("gpt-4o", sentence.repeat(1_000).trim_end()).unwrap();
    assert_eq!(many, one * 1_000);
}

#[test]
fn hostile_texts_are_counted_in_time() {
    for part in [
        " ", "a", "\n", " \n", "\t ", "1", "!", "漢", "é", "'s", "\u{300}", "\u{200d}", "🦀",
    ] {
        let text = part.repeat(200_000 / part.len());
        for model in ["gpt-4o", "gpt-4"] {
            let tokens = count_text(model, &text).unwrap();
            assert!((1..=200_000).contains(&tokens), "{part:?}: {tokens}");
        }
    }
}

#[test]
fn models_are_found_by_their_names() {
    for model in [
        "gpt-4o",
        "gpt-4o-2024-08-06",
        "openai/gpt-4.1-mini",
        "ft:gpt-4o:us::x",
        "gpt-5",
        "o3",
    ] {
        assert!(warm_up(model), "{model}");
    }
    for model in ["", "claude-sonnet-4", "gemini-2.0-flash", "ft:", "own"] {
        assert!(!warm_up(model), "{model}");
    }
    let body =
        br#"{"model":"gpt-4o","max_tokens":9,"messages":[{"role":"user","content":"Say hello."}]}"#;
    let found = estimate(body).unwrap();
    assert_eq!((found.input, found.output), (3 + 4 + 3, 9));
    assert_eq!(estimate(br#"{"messages":[]}"#), None);
    assert_eq!(estimate(b"no JSON"), None);
}
