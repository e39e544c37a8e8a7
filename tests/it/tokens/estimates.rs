//! How far estimates are off, against the counts of two real tokenizers.

use std::sync::LazyLock;

use http::Request;
use tower_quota::{Resource, Usage, tokens, tokens::Calibration};

/// Names of models with the vocabularies `o200k_base` and `cl100k_base`.
const MODELS: [&str; 2] = ["gpt-4o", "gpt-4"];

struct Kind {
    name: &'static str,
    texts: Vec<&'static str>,
}

static KINDS: LazyLock<[Kind; 4]> = LazyLock::new(|| {
    [
        ("English", include_str!("../../data/texts/prose.txt")),
        ("code", include_str!("../../data/texts/code.txt")),
        ("CJK", include_str!("../../data/texts/cjk.txt")),
        ("JSON", include_str!("../../data/texts/json.txt")),
    ]
    .map(|(name, texts)| Kind {
        name,
        texts: texts.split("\n=====\n").collect(),
    })
});

/// Random numbers, the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
}

/// What a request is made of: those to learn from have the one half of every text, those to estimate the other.
#[derive(Clone, Copy, PartialEq)]
enum Half {
    Learn,
    Estimate,
}

fn halves(text: &str) -> (&str, &str) {
    let middle = (text.len() / 2..).find(|&at| text.is_char_boundary(at));
    text.split_at(middle.unwrap())
}

/// A chat of one to five messages, each of texts of one kind and cut anywhere, and the tokens that its model counts.
fn chat(dice: &mut Dice, model: &str, kinds: &[usize], half: Half) -> (String, u64) {
    let kind = &KINDS[kinds[dice.below(kinds.len())]];
    let mut tokens = 3;
    let messages: Vec<_> = (0..1 + dice.below(5))
        .map(|at| {
            // From some ten characters to some thousands.
            let wanted = 20 << dice.below(8);
            let mut text = String::new();
            while text.chars().count() < wanted {
                let at = dice.below(kind.texts.len());
                let (head, tail) = halves(kind.texts[at]);
                // By turns, since texts begin otherwise than they end.
                let first = (half == Half::Learn) == at.is_multiple_of(2);
                text.push_str(if first { head } else { tail });
                text.push_str("\n\n");
            }
            let skipped = dice.below(12);
            let text: String = text.chars().skip(skipped).take(wanted).collect();
            let role = ["user", "assistant"][at % 2];
            let count = |text| tokens::exact::count_text(model, text).unwrap();
            tokens += 3 + count(role) + count(&text);
            serde_json::json!({"role": role, "content": text})
        })
        .collect();
    let body = serde_json::json!({"model": model, "messages": messages, "max_tokens": 100});
    (body.to_string(), tokens)
}

/// How far off estimates are after `answers` answers: the mean of the absolute errors, and of the errors, in per cent.
fn error(model: &str, kinds: &[usize], answers: usize) -> (f64, f64) {
    const SEEDS: u64 = 5;
    const CHATS: usize = 60;
    let (mut absolute, mut signed) = (0.0, 0.0);
    for seed in 1..=SEEDS {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let calibration = Calibration::new();
        for _ in 0..answers {
            let (body, tokens) = chat(&mut dice, model, kinds, Half::Learn);
            let (_, lesson) = calibration.weigh(&Request::new(body)).unwrap();
            lesson.unwrap().learn(&Usage::new(tokens, 9));
        }
        for _ in 0..CHATS {
            let (body, tokens) = chat(&mut dice, model, kinds, Half::Estimate);
            let (cost, _) = calibration.weigh(&Request::new(body)).unwrap();
            let found = cost.of(Resource::InputTokens);
            let off = found as f64 / tokens as f64 - 1.0;
            absolute += off.abs();
            signed += off;
        }
    }
    let all = (SEEDS * CHATS as u64) as f64;
    (100.0 * absolute / all, 100.0 * signed / all)
}

#[test]
fn after_twenty_answers_estimates_are_within_five_per_cent_and_ten_on_a_mix() {
    for model in MODELS {
        for (kinds, most) in [
            (&[0][..], 5.0),
            (&[1], 5.0),
            (&[2], 5.0),
            (&[3], 5.0),
            (&[0, 1, 2, 3], 10.0),
        ] {
            let name = match kinds {
                [one] => KINDS[*one].name,
                _ => "mix",
            };
            let [first, few, twenty, hundred] =
                [0, 5, 20, 100].map(|answers| error(model, kinds, answers));
            println!(
                "{model:7} {name:8} after 0: {:5.1} ({:+5.1}); 5: {:4.1} ({:+4.1}); 20: {:4.1} ({:+4.1}); 100: {:4.1} ({:+4.1}) %",
                first.0, first.1, few.0, few.1, twenty.0, twenty.1, hundred.0, hundred.1,
            );
            assert!(twenty.0 < most, "{model}, {name}: {:.1} %", twenty.0);
            assert!(
                twenty.1 > -most / 2.0,
                "{model}, {name}: {:.1} % too low",
                twenty.1
            );
        }
    }
}
