//! How full an endpoint's quota is, for tower's balancers: the endpoint with the most room is picked.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tower::BoxError> {
//! use tower::{Service, ServiceExt, balance::p2c::Balance, discover::ServiceList};
//! use tower_quota::{Limit, Quota, RateLimitLayer, headroom::Headroom};
//! # let client = tower::service_fn(|_: u32| async { Ok::<_, std::io::Error>(()) });
//!
//! // Three regions, each with its own quota.
//! let mut regions = Vec::new();
//! for per_minute in [500, 500, 100] {
//!     let quota = Quota::new(Limit::requests_per_minute(per_minute))?;
//!     let limited = tower::ServiceBuilder::new()
//!         .layer(RateLimitLayer::new(quota.clone()).opaque())
//!         .service(client.clone());
//!     regions.push(Headroom::new(limited, quota));
//! }
//! let mut balanced = Balance::new(ServiceList::new::<u32>(regions));
//! balanced.ready().await?.call(7).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Tuned: as a layer, outermost of an endpoint's stack:
//!
//! ```
//! # fn main() -> Result<(), tower_quota::BoxError> {
//! use tower::{Layer, load::Load};
//! use tower_quota::{Cost, Limit, Quota, headroom::HeadroomLayer};
//!
//! let quota = Quota::builder()
//!     .limit(Limit::requests_per_minute(500))
//!     .limit(Limit::tokens_per_minute(30_000))
//!     .build()?;
//! let endpoint = HeadroomLayer::new(quota.clone()).layer("client");
//! assert_eq!(endpoint.load().millionths(), 0);
//! let permit = quota.try_acquire(Cost::tokens(15_000))?;
//! assert_eq!(endpoint.load().millionths(), 500_000);
//! # drop(permit);
//! # Ok(())
//! # }
//! ```
//!
//! # When
//!
//! Several endpoints with quotas of their own, or shared with others, so that who has room changes. For fixed shares there is
//! [`Split`](crate::Split). There is nothing to set.
//!
//! # What is compared
//!
//! [`Fullness`]: the share of the fullest limit that is spent, held, or asked for by those who wait in line, in millionths. So
//! it goes on above the whole where requests wait, in proportion to how long they will. An endpoint that is paused is fuller
//! than any that isn't, and the fuller the longer.
//!
//! Shares are compared, not amounts: an endpoint with ten times the limit gets ten times the requests. It is looked up twice a
//! request by tower's `Balance`; a look takes the quota's lock once and allocates nothing.
//!
//! # Sharing
//!
//! All that are made of one quota are as full as that quota.
//!
//! # Cancellation
//!
//! Passes through whatever the endpoint does.
//!
//! # Errors
//!
//! Those of the endpoint.
//!
//! # Order in a stack
//!
//! Around an endpoint's whole stack, directly inside of the balancer. A [`FallbackLayer`](crate::FallbackLayer) goes around
//! the balancer.

mod fullness;
mod layer;
mod service;

pub use fullness::Fullness;
pub use layer::HeadroomLayer;
pub use service::Headroom;
