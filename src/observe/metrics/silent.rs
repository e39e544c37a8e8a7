//! Nobody listens.

use std::{sync::Arc, time::Duration};

use super::Levels;
use crate::{
    core::{cost::Cost, time::Time},
    error::Rejected,
    verdict::Verdict,
};

#[derive(Debug)]
pub(crate) struct Metrics;

impl Metrics {
    pub(crate) fn new(_pool: Option<Arc<str>>, _model: Option<Arc<str>>) -> Self {
        Self
    }

    pub(crate) const fn granted(&self, _class: u8, _waited: Duration) {}

    pub(crate) const fn refused(&self, _rejected: &Rejected) {}

    pub(crate) const fn answered(&self, _verdict: &Verdict) {}

    pub(crate) const fn settled(&self, _used: &Cost) {}

    pub(crate) const fn tried(&self, _retry: bool) {}

    pub(crate) const fn circuits(&self, _state: &'static str, _count: usize) {}

    pub(crate) const fn moved(&self, _from: &'static str, _to: &'static str) {}

    pub(crate) const fn circuit_refused(&self) {}

    pub(crate) const fn store_away(&self, _away: bool) {}

    pub(crate) const fn is_due(&self, _now: Time) -> bool {
        false
    }

    pub(crate) const fn publish(&self, _levels: &Levels) {}
}
