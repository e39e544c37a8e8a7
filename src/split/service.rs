use std::{
    fmt,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use tower_service::Service;

use super::{future::SplitFuture, turns::Turns};
use crate::{error::ConfigError, inner::CloneInner, lock::lock};

/// Divides requests among services by weight. See the [module](super).
pub struct Split<S> {
    services: Vec<S>,
    turns: Arc<Mutex<Turns>>,
}

/// Sees and sets the weights of a [`Split`]. A handle: clones share them.
#[derive(Clone)]
pub struct SplitHandle {
    turns: Arc<Mutex<Turns>>,
}

impl<S: CloneInner> Split<S> {
    /// These services by these weights, of which each says how many of as many requests as all of them add up to. Zero for
    /// a service that gets none for now.
    ///
    /// # Panics
    ///
    /// Where every weight is zero, or there is no service.
    #[track_caller]
    pub fn new(services: impl IntoIterator<Item = (u32, S)>) -> Self {
        let (weights, services): (Vec<_>, Vec<_>) = services.into_iter().unzip();
        let some = weights.iter().any(|weight| *weight > 0);
        assert!(some, "weights: {weights:?} leave nobody to call");
        Self {
            services,
            turns: Arc::new(Mutex::new(Turns::new(weights))),
        }
    }
}

impl<S> Split<S> {
    /// Sees and sets the weights.
    pub fn handle(&self) -> SplitHandle {
        SplitHandle {
            turns: Arc::clone(&self.turns),
        }
    }
}

impl SplitHandle {
    /// The weights, in the order of the services.
    pub fn weights(&self) -> Vec<u32> {
        lock(&self.turns).weights().to_vec()
    }

    /// Sets the weight of the service of this index, counted from 0; zero drains it: requests that it has go on.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] where there is no such service, or where no weight would be left.
    pub fn set(&self, index: usize, weight: u32) -> Result<(), ConfigError> {
        let mut turns = lock(&self.turns);
        let services = turns.weights().len();
        if index >= services {
            drop(turns);
            let problem = format!("there is no service {index} among {services}");
            return Err(ConfigError::new("weights", problem));
        }
        if turns.set(index, weight) {
            return Ok(());
        }
        drop(turns);
        let problem = format!("0 for service {index} leaves nobody to call");
        Err(ConfigError::new("weights", problem))
    }
}

impl<S, Req> Service<Req> for Split<S>
where
    S: Service<Req> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = SplitFuture<S, Req>;

    /// Always ready: whose turn it is turns out when it is called.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let turn = lock(&self.turns).next();
        SplitFuture::new(self.services[turn].clone(), request)
    }
}

impl<S: Clone> Clone for Split<S> {
    fn clone(&self) -> Self {
        Self {
            services: self.services.clone(),
            turns: Arc::clone(&self.turns),
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for Split<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Split")
            .field("services", &self.services)
            .field("weights", &self.handle().weights())
            .finish()
    }
}

impl fmt::Debug for SplitHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SplitHandle")
            .field("weights", &self.weights())
            .finish()
    }
}
