//! How providers speak: a file for each API, and one for the headers.

mod anthropic;
mod azure;
mod gemini;
mod groq;
mod headers;
mod openai;
mod read;
mod responses;

use std::time::Duration;

use http::{HeaderMap, Method, StatusCode, request::Parts};
use serde_json::Value;

pub use self::headers::RateHeaders;
pub(super) use self::{headers::write as write_headers, read::json};
use super::{
    Call, Settlement, Shape, Stream, StreamFault,
    accounts::Refusal,
    answers::{Answer, Spent, Stamp, put},
    batches::{self, Errand},
    call::Endpoint,
    complaint::Complaint,
    script::Tale,
    settings::Settings,
};

/// Whose API a box has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    OpenAi,
    Azure,
    Groq,
    Anthropic,
    Gemini,
}

/// What is said to a request that is served.
pub(super) enum Told {
    Whole(Answer),
    Parts(Tale),
}

/// What is said to a request that a limit refuses.
pub(super) struct Refused<'a> {
    pub(super) refusal: &'a Refusal,
    /// The wait that is stated, which needn't be true.
    pub(super) said: Option<Duration>,
    pub(super) model: &'a str,
    /// What the limit is called where that isn't the model.
    pub(super) pool: Option<&'a str>,
    pub(super) organization: &'a str,
    pub(super) stamp: Stamp,
}

impl Dialect {
    pub(super) fn settings(self) -> Settings {
        let settings = Settings::new(self);
        let models = |models: &[&str]| models.iter().map(ToString::to_string).collect();
        match self {
            Self::OpenAi => settings,
            Self::Azure => Settings {
                requests_shape: Shape::Fixed,
                tokens_shape: Shape::Fixed,
                rate_headers: RateHeaders::Azure,
                refuse_in_stream: true,
                ..settings
            },
            Self::Groq => Settings {
                count_cached: false,
                models: models(&["llama-3.1-8b-instant"]),
                rate_headers: RateHeaders::Groq,
                ..settings
            },
            Self::Anthropic => Settings {
                settlement: Settlement::TrueUp,
                count_cached: false,
                models: models(&["claude-sonnet-4-5"]),
                rate_headers: RateHeaders::Anthropic,
                ..settings
            },
            Self::Gemini => Settings {
                day_shape: Shape::Fixed,
                models: models(&["gemini-2.5-flash"]),
                rate_headers: RateHeaders::None,
                ..settings
            },
        }
    }

    /// Whether the most that an answer may have is charged on arrival.
    pub(super) fn reserves_answers(self) -> bool {
        !matches!(self, Self::Anthropic | Self::Gemini)
    }

    /// What API clients are told, after the address.
    pub(super) fn base_path(self) -> &'static str {
        match self {
            Self::OpenAi | Self::Anthropic => "/v1",
            Self::Azure => "/openai/v1",
            Self::Groq => "/openai/v1",
            Self::Gemini => "/v1beta",
        }
    }

    /// The key that a request brings.
    pub(super) fn key(self, parts: &Parts) -> Option<&str> {
        let header = |name: &str| parts.headers.get(name)?.to_str().ok();
        let own = match self {
            Self::OpenAi | Self::Groq => None,
            Self::Azure => header("api-key"),
            Self::Anthropic => header("x-api-key"),
            Self::Gemini => header("x-goog-api-key").or_else(|| {
                let query = parts.uri.query()?;
                query.split('&').find_map(|pair| pair.strip_prefix("key="))
            }),
        };
        own.or_else(|| {
            let (scheme, key) = match header("authorization")?.split_once(' ') {
                Some(both) => both,
                // Something was brought, though not a key.
                None => return Some(""),
            };
            Some(if scheme.eq_ignore_ascii_case("bearer") {
                key
            } else {
                ""
            })
        })
    }

    /// Reads a request, or says what is wrong with it.
    pub(super) fn read(
        self,
        parts: &Parts,
        body: &[u8],
        settings: &Settings,
    ) -> Result<Call, Complaint> {
        let (method, path) = (&parts.method, parts.uri.path());
        match self {
            Self::OpenAi => openai::read(method, path, path, None, body, settings),
            Self::Azure => azure::read(method, path, body, settings),
            Self::Groq => {
                let below = path.strip_prefix("/openai").unwrap_or(path);
                openai::read(method, path, below, None, body, settings)
            }
            Self::Anthropic => anthropic::read(method, path, body, settings),
            Self::Gemini => gemini::read(method, path, parts.uri.query(), body, settings),
        }
    }

    /// Reads a request about files or batches, where there are any; `None` where it is about something else.
    pub(super) fn errand(self, parts: &Parts, body: &[u8]) -> Option<Result<Errand, Complaint>> {
        let path = parts.uri.path();
        let below = match self {
            Self::OpenAi => path,
            Self::Azure | Self::Groq => path.strip_prefix("/openai").unwrap_or(path),
            Self::Anthropic | Self::Gemini => return None,
        };
        batches::read(parts, below, body)
    }

    /// Reads a request of a batch: its address is OpenAI's, whoever runs it.
    pub(super) fn read_batched(
        endpoint: &str,
        body: &[u8],
        settings: &Settings,
    ) -> Result<Call, Complaint> {
        openai::read(&Method::POST, endpoint, endpoint, None, body, settings)
    }

    /// The answer to a request that is served.
    pub(super) fn served(
        self,
        call: &Call,
        spent: Spent,
        stamp: Stamp,
        settings: &Settings,
        stream: &Stream,
    ) -> Told {
        match (call.endpoint, self) {
            (Endpoint::Embeddings { inputs }, _) => {
                Told::Whole(openai::embeddings(call, spent, inputs, settings.dimensions))
            }
            (Endpoint::Models | Endpoint::Errand, _) => Told::Whole(self.models(&[], stamp)),
            (Endpoint::Responses { stream: false }, _) => {
                Told::Whole(responses::whole(call, spent, stamp))
            }
            (Endpoint::Responses { stream: true }, _) => {
                Told::Parts(responses::stream(call, spent, stamp, stream))
            }
            (Endpoint::Chat { stream: None }, Self::Anthropic) => {
                Told::Whole(anthropic::whole(call, spent, stamp))
            }
            (Endpoint::Chat { stream: None }, Self::Gemini) => {
                Told::Whole(gemini::whole(call, spent, stamp))
            }
            (Endpoint::Chat { stream: None }, _) => Told::Whole(openai::chat(call, spent, stamp)),
            (Endpoint::Chat { stream: Some(_) }, Self::Anthropic) => {
                Told::Parts(anthropic::stream(call, spent, stamp))
            }
            (Endpoint::Chat { stream: Some(how) }, Self::Gemini) => {
                Told::Parts(gemini::stream(call, spent, stamp, how))
            }
            (Endpoint::Chat { stream: Some(how) }, _) => {
                Told::Parts(openai::stream(call, spent, stamp, how))
            }
        }
    }

    /// What a stream says last when it fails after so many pieces.
    pub(super) fn last_words(
        self,
        call: &Call,
        fault: StreamFault,
        pieces: u64,
        stamp: Stamp,
    ) -> Vec<String> {
        let said = match fault {
            StreamFault::BreakOff => return Vec::new(),
            StreamFault::Upstream => return openai::upstream(call, stamp),
            StreamFault::Overloaded => None,
            StreamFault::RateLimited(wait) => Some(wait),
        };
        match (call.endpoint, self) {
            (Endpoint::Responses { .. }, _) => responses::failure(call, said, pieces, stamp),
            (Endpoint::Chat { stream: Some(how) }, Self::Gemini) => gemini::failure(how, said),
            (_, Self::Anthropic) => anthropic::failure(said, stamp),
            _ => openai::failure(call, said),
        }
    }

    pub(super) fn models(self, models: &[&str], stamp: Stamp) -> Answer {
        match self {
            Self::Anthropic => anthropic::models(models, stamp),
            Self::Gemini => gemini::models(models),
            _ => openai::models(models, stamp),
        }
    }

    /// A refusal by a limit, with when to come back where that is stated.
    pub(super) fn refused(self, refused: &Refused<'_>) -> Answer {
        match self {
            Self::OpenAi => openai::refused(refused),
            Self::Azure => azure::refused(refused),
            Self::Groq => groq::refused(refused),
            Self::Anthropic => anthropic::refused(refused),
            Self::Gemini => gemini::refused(refused),
        }
    }

    /// The status of that.
    pub(super) fn refusal_status(self, refused: &Refused<'_>) -> StatusCode {
        match self {
            Self::Groq => groq::status(refused),
            _ => StatusCode::TOO_MANY_REQUESTS,
        }
    }

    /// The same refusal as a stream that a 200 begins.
    pub(super) fn refused_in_stream(
        self,
        call: &Call,
        refused: &Refused<'_>,
        stream: &Stream,
    ) -> Tale {
        responses::refused(call, refused, stream)
    }

    /// No money is left.
    pub(super) fn out_of_money(self, model: &str, stamp: Stamp) -> Answer {
        match self {
            Self::Anthropic => anthropic::spend_limit(stamp),
            Self::Gemini => gemini::no_quota(model),
            _ => self.complain(Complaint::insufficient_quota(), stamp),
        }
    }

    /// With what the provider says that it is down.
    pub(super) fn unavailable(self) -> StatusCode {
        match self {
            Self::Anthropic => StatusCode::from_u16(529).unwrap_or(StatusCode::SERVICE_UNAVAILABLE),
            _ => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub(super) fn complain(self, complaint: Complaint, stamp: Stamp) -> Answer {
        match self {
            Self::Anthropic => anthropic::complain(complaint, stamp),
            Self::Gemini => gemini::complain(&complaint),
            _ => openai::complain(&complaint),
        }
    }

    /// The headers that every answer has.
    pub(super) fn common_headers(self, headers: &mut HeaderMap, stamp: Stamp, organization: &str) {
        let date = std::time::UNIX_EPOCH + stamp.wall;
        put(headers, "date", httpdate::fmt_http_date(date));
        let id = format!("req_{:032x}", stamp.id);
        match self {
            Self::OpenAi => {
                put(headers, "x-request-id", id);
                put(headers, "openai-organization", organization);
                put(headers, "openai-version", "2020-10-01");
            }
            Self::Azure => {
                put(headers, "apim-request-id", format!("{:032x}", stamp.id));
                put(headers, "x-ms-region", "Sweden Central");
            }
            Self::Groq => put(headers, "x-request-id", id),
            Self::Anthropic => {
                put(headers, "request-id", id);
                put(headers, "anthropic-organization-id", organization);
            }
            Self::Gemini => put(headers, "server", "scaffolding on HTTPServer2"),
        }
    }
}

/// A server-sent event without a name.
fn data(value: &Value) -> String {
    format!("data: {value}\n\n")
}

/// A server-sent event with the name that its `type` is.
fn event(value: &Value) -> String {
    let name = value["type"].as_str().unwrap_or_default();
    format!("event: {name}\ndata: {value}\n\n")
}

const EVENTS: &str = "text/event-stream; charset=utf-8";
