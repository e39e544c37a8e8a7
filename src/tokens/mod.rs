//! What a request will cost: estimates from JSON bodies, without a tokenizer.
//!
//! ```
//! use tower_quota::{Resource, tokens};
//!
//! let body = br#"{"model":"gpt-4o","max_tokens":100,
//!     "messages":[{"role":"user","content":"Say hello to the whole world, please."}]}"#;
//! let estimate = tokens::estimate(body).unwrap();
//! assert_eq!(estimate.model.as_deref(), Some("gpt-4o"));
//! assert_eq!((estimate.input, estimate.output), (17, 100));
//! assert_eq!(tokens::estimate_cost(body).of(Resource::Tokens), 117);
//! ```
//!
//! # How it counts
//!
//! The estimate is rather too high than too low: too high costs a little of the quota until the
//! answer settles it, too low costs a 429. Against `o200k_base`, English prose comes out 10 to 15 %
//! too high, Rust code 20 to 30 %, JSON between 6 % too low and 5 % too high, Chinese, Japanese,
//! Korean and Russian 30 to 85 %. `cl100k_base` of 2023 needs up to twice the estimate for Greek
//! and Arabic, and base64 in the midst of a text counts half of what it should: a request with
//! much of either is better given a cost by hand.
//!
//! | what | tokens |
//! |---|---|
//! | letters and spaces | 1 for 4 bytes |
//! | digits | 3 for 8 |
//! | punctuation and line breaks | 1 for 2 |
//! | characters of two bytes (Cyrillic, Greek, Arabic, accents) | 1 for 2 |
//! | characters of three bytes (Chinese, Japanese, Korean, Indic) | 1 each |
//! | characters of four bytes (emoji) | 3 each |
//! | a number (so that token ids count themselves), `true`, `false` | 1 |
//! | a message, an item, a tool | 4 more |
//! | the answer's beginning | 3 |
//! | an image | [`IMAGE`]; [`IMAGE_LOW`] with `"detail":"low"` |
//! | files, audio and other base64 | 1 for 64 bytes |
//!
//! The output is what the request allows: the largest of `max_tokens`, `max_completion_tokens`,
//! `max_output_tokens`, Google's `maxOutputTokens` and Bedrock's `maxTokens`, times `n`. Where
//! it says nothing, it is [`OUTPUT`]; for embeddings, it is nothing.
//!
//! A wrong `max_tokens` costs as much as a wrong prompt: say what is needed, not what is possible.

mod address;
mod calibration;
mod estimate;
#[cfg(feature = "tiktoken")]
#[cfg_attr(docsrs, doc(cfg(feature = "tiktoken")))]
pub mod exact;
mod fit;
mod lax;
mod tally;
#[cfg(test)]
mod tests;
mod text;
mod weigh;

pub use address::model_of;
pub(crate) use address::with_model;
pub use calibration::{Calibrated, Calibration, Lesson};
pub use estimate::{
    Estimate, IMAGE, IMAGE_LOW, OUTPUT, count_text, estimate, estimate_cost, estimate_request,
};
