//! Divides requests among services by weight: active-active.
//!
//! ```
//! use tower::{Service, ServiceExt};
//! use tower_quota::Split;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), std::convert::Infallible> {
//! # let east = tower::service_fn(|_: u32| async { Ok::<_, std::convert::Infallible>("east") });
//! # let west = east.clone();
//!
//! let mut split = Split::new([(60, east), (40, west)]);
//! let answer = split.ready().await?.call(1).await?;
//! # assert_eq!(answer, "east");
//! # Ok(())
//! # }
//! ```
//!
//! Tuned: drained while it runs, and refilled:
//!
//! ```
//! # use tower_quota::{ConfigError, Split};
//! # fn main() -> Result<(), ConfigError> {
//! let split = Split::new([(60, "east"), (40, "west")]);
//! let handle = split.handle();
//! handle.set(0, 0)?; // everything goes west
//! assert_eq!(handle.weights(), [0, 40]);
//! assert!(handle.set(1, 0).is_err(), "somebody has to be there");
//! # Ok(())
//! # }
//! ```
//!
//! # What goes where
//!
//! Smooth weighted round robin: nobody's turns come in a row unless they must. Among as many consecutive requests as the
//! weights add up to, each service gets exactly its weight of them; of two services, at any moment each is less than one
//! request away from its share. A request counts when it is called, whatever becomes of it. Setting a weight begins the
//! round anew.
//!
//! All services have one type; those of different types become one in tower's `BoxCloneService`. Where one refuses or fails, its
//! outcome is the answer: for another to help out, put a [`FallbackLayer`](crate::FallbackLayer) around it, with the
//! other as its link; or around the whole, with a service of its own. To go where there is most room instead, see
//! [`headroom`](crate::headroom).
//!
//! # When
//!
//! Several regions or accounts serve at the same time. For one that only helps out, a [`FallbackLayer`](crate::FallbackLayer) alone. There is nothing to set
//! but the weights.
//!
//! # Sharing
//!
//! Clones share the weights and whose turn it is. The services are cloned for each request.
//!
//! # Cancellation
//!
//! A future that is dropped while its service isn't ready gives up its place there, and its turn is spent.
//!
//! # Errors
//!
//! Those of the service whose turn it is; one that fails to become ready fails its own requests alone. It is readied in the
//! future of the request, so that one that is stuck holds up nobody but those whose turn it is.
//!
//! # Order in a stack
//!
//! Around whole stacks, each with limiters, breaker and retries of its own. A limiter around it charges each request once,
//! when its service takes it.

mod future;
mod service;
mod turns;

pub use future::SplitFuture;
pub use service::{Split, SplitHandle};
