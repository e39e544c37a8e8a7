//! The way in and out for clients with request and response types of their own.
//!
//! Inside, the layers work on http types alone. At the innermost end, [`ReqwestService`] sends an
//! `http::Request` by a `reqwest::Client`; at the outermost, [`ReqwestLayer`] takes a
//! `reqwest::Request` and gives a `reqwest::Response`, for those who hold these types:
//!
//! ```no_run
//! use tower::{BoxError, ServiceBuilder, ServiceExt};
//! use tower_quota::{BufferBodyLayer, edge::{ReqwestLayer, ReqwestService}};
//!
//! # async fn example() -> Result<(), BoxError> {
//! let client = reqwest::Client::new();
//! let stack = ServiceBuilder::new()
//!     .layer(ReqwestLayer::new())        // reqwest's types outside of it, http's inside
//!     .layer(BufferBodyLayer::new())     // copies of the request share its bytes from here on
//!     // … the layers …
//!     .service(ReqwestService::new(client.clone()));
//!
//! let request = client.get("https://example.com/").build()?;
//! let response: reqwest::Response = stack.oneshot(request).await?;
//! # drop(response); Ok(()) }
//! ```
//!
//! # async-openai
//!
//! Its stack begins with a factory of requests. One line builds the request and hands it on. What it needs, beside this crate's feature
//! `reqwest`:
//!
//! ```toml
//! async-openai = { version = "0.43", features = ["chat-completion", "middleware"] }
//! reqwest = "0.13"
//! tower = { version = "0.5", features = ["util"] }
//! ```
//!
//! It brings no retries of its own then: those are in the stack that it begins with, which this one replaces.
//!
//! ```no_run
//! use async_openai::{Client, error::OpenAIError, middleware::HttpRequestFactory};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_quota::{BufferBodyLayer, edge::{ReqwestLayer, ReqwestService}};
//!
//! let stack = ServiceBuilder::new()
//!     .layer(ReqwestLayer::new())
//!     .layer(BufferBodyLayer::new())
//!     // … the layers …
//!     .service(ReqwestService::new(reqwest::Client::new()));
//! let client = Client::new().with_http_service(service_fn(move |factory: HttpRequestFactory| {
//!     let stack = stack.clone();
//!     async move {
//!         let request = factory.build().await?;
//!         stack.oneshot(request).await.map_err(OpenAIError::Boxed)
//!     }
//! }));
//! # drop(client);
//! ```
//!
//! # When
//!
//! Over reqwest, or over async-openai, which sends by it. hyper's clients, axum and tonic speak http's types: they need neither. There is
//! nothing to set; the client's own settings are reqwest's.
//!
//! # Sharing
//!
//! Clones share the `reqwest::Client`, and so its connections.
//!
//! # Cancellation
//!
//! A future that is dropped drops reqwest's, which cancels the request.
//!
//! # Errors
//!
//! A `reqwest::Error` comes as it is inside of the [`BoxError`](crate::BoxError), but for the
//! query of its URL: some providers take keys there. Behind a fallback it is the [`last`](crate::fallback::FallbackError::last) of
//! its error. [`UnsendableRequest`] is a request that can't be
//! turned into the other type at all.
//!
//! # Order in a stack
//!
//! [`ReqwestLayer`] outermost, with a [`BufferBodyLayer`](crate::BufferBodyLayer) next to it; [`ReqwestService`] innermost.

mod reqwest;

pub use self::reqwest::{
    ReqwestDoor, ReqwestDoorFuture, ReqwestFuture, ReqwestLayer, ReqwestService, UnsendableRequest,
};
