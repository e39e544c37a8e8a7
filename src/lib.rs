//! Tower middleware that keeps a client inside its providers' limits, retries politely and
//! degrades gracefully.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod answers;
pub mod body;
mod core;
#[cfg(feature = "reqwest")]
#[cfg_attr(docsrs, doc(cfg(feature = "reqwest")))]
pub mod edge;
mod error;
pub mod provider;
pub mod respond;
pub mod tokens;
mod verdict;

pub use crate::{
    body::{BodyTooLarge, BufferBodyLayer, BufferedBody, ReplayBody},
    core::{
        cost::{Cost, Resource},
        limit::{Anchor, Limit, LimitId},
    },
    error::{BoxError, ConfigError, Reason, Rejected, RejectedError, Scope},
    respond::RespondLayer,
    verdict::{Classify, RateReading, RateStatus, Usage, Verdict},
};
