//! Bodies: request bodies that can be sent again ([`ReplayBody`], [`BufferBodyLayer`]), and response bodies that let go of what a request holds when they end ([`MeteredBody`]).
//!
//! # Buffering request bodies
//!
//! Retry, fallback and the estimate of tokens need the request's bytes. Bodies that are bytes
//! anyway (`Bytes`, `String`, `Full`, …) need nothing; others are collected once, at the door:
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
//! use tower_quota::{BufferBodyLayer, BufferedBody, ReplayBody};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), BoxError> {
//! let stack = ServiceBuilder::new()
//!     .layer(BufferBodyLayer::new().limit(1024 * 1024)) // default: 8 MiB
//!     // … the layers that send again and read ahead …
//!     .service_fn(|request: Request<BufferedBody>| async move {
//!         assert_eq!(request.body().peek(), Some(&b"hello"[..]));
//!         Ok::<_, BoxError>(Response::new(()))
//!     });
//! stack.oneshot(Request::new(Full::new(Bytes::from("hello")))).await?;
//! # Ok(()) }
//! ```
//!
//! # When
//!
//! Once, where requests are streams or reqwest's and a layer further in sends again or reads ahead. Every setting and its default:
//! [`BufferBodyLayer`].
//!
//! # Sharing
//!
//! Copies of a request share its bytes; services share nothing.
//!
//! # Cancellation
//!
//! A future that is dropped lets go of what was collected. The inner service wasn't called until all of it was there.
//!
//! # Errors
//!
//! [`BodyTooLarge`], which [`RespondLayer`](crate::RespondLayer) makes a 413; the body's own error; else the inner service's.
//!
//! # Order in a stack
//!
//! Outside of every layer that sends again or reads ahead; inside of `ReqwestLayer`.
//!
//! # Streams
//!
//! An answer may be an error under status 200: a stream (`text/event-stream`) whose first events say so, or a gRPC answer whose
//! trailers do. Retry, fallback, circuit breaker and token budget read a stream up to its first content, since until then
//! nothing of the answer was handed on and it can still be tried again; after it, never. Events without content are `response.created`,
//! `message_start`, `ping`, a chat chunk that names but a role, and comments. For that the answer's head is held back for ten
//! seconds and 256 KiB at the most; what is still silent then is taken for a success, and so is what is compressed, at once.
//! [`RateLimitLayer`](crate::RateLimitLayer) alone
//! holds nothing back, so that a server's own streams can be behind it.
//!
//! OpenAI and those who follow it state the usage of a chat's stream only where the request has
//! `"stream_options": {"include_usage": true}`. Without it nothing is settled: the stream costs what was estimated, with all of
//! `max_tokens`, and teaches the estimates nothing.
//!
//! An error after the first content passes like any event. A token budget keeps the charge of a stream that ends with one, as it does
//! of a stream that is cut or dropped.

mod buffer;
mod metered;
mod peek;
mod replay;

pub use buffer::{BodyTooLarge, BufferBody, BufferBodyFuture, BufferBodyLayer, BufferedBody};
pub use metered::{MeteredBody, Watch};
pub use peek::{Depth, Peek, Read};
pub use replay::ReplayBody;

/// As much of an error's body is read; what follows says nothing new.
const MOST: usize = 64 * 1024;
/// As much of a stream is read before its first content: some send the whole prompt back first, twice.
const MOST_OF_A_STREAM: usize = 256 * 1024;
/// A frame counts as so many bytes at least: frames take memory too, however small they are, and there may be no end of them.
const LEAST: usize = 64;
