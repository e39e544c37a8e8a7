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

mod buffer;
mod metered;
mod peek;
mod replay;

pub use buffer::{BodyTooLarge, BufferBody, BufferBodyFuture, BufferBodyLayer, BufferedBody};
pub use metered::{MeteredBody, Watch};
pub use peek::Peek;
pub use replay::ReplayBody;

/// As much of an error's body is read; what follows says nothing new.
const MOST: usize = 64 * 1024;
/// As much of a stream is read before its first content: some send the whole prompt back first, twice.
const MOST_OF_A_STREAM: usize = 256 * 1024;
