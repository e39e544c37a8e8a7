//! The guard that users hold.

use super::grant::Grant;
use crate::{
    core::{cost::Cost, settlement::Settle},
    verdict::Usage,
};

/// The right to send one request, now.
///
/// Its charge counts from the grant; its place in flight is taken until it is dropped, so keep it
/// until the answer has been read.
///
/// | what you do | what the quota takes it for |
/// |---|---|
/// | `drop` | sent: the quota can't know better |
/// | [`settle`](Self::settle), [`settle_as`](Self::settle_as) | sent, and used as stated |
/// | [`cancel`](Self::cancel) | not sent: everything goes back |
#[derive(Debug)]
#[must_use = "a permit that is dropped counts as a request that was sent"]
pub struct Permit {
    grant: Grant,
    cost: Cost,
}

impl Permit {
    /// Of a grant of this cost. `now`: if the clock was read, then for the grant itself.
    pub(super) fn new(mut grant: Grant, cost: Cost, now: bool) -> Self {
        if now {
            grant.depart_at_once();
        } else {
            grant.depart();
        }
        Self { grant, cost }
    }

    /// What was charged.
    pub const fn cost(&self) -> &Cost {
        &self.cost
    }

    /// The request was sent and the provider counted `usage`: more than was charged is charged too, less is given back.
    ///
    /// Give back only what the provider gives back; for one that keeps what a request reserved, drop the permit
    /// instead. Requests and [units](Cost::unit) of the user's own stay as they were charged.
    pub fn settle(self, usage: Usage) {
        let used = self.grant.used(&usage);
        self.grant.settle(&used, Settle::TrueUp);
    }

    /// The request was sent and has taken `used` all in all, [units](Cost::unit) of the user's own included: more than was charged is
    /// charged too, less is given back. For what no provider counts, such as [money](crate::guide::tenants#a-cap-on-money).
    pub fn settle_as(self, used: Cost) {
        self.grant.settle(&used, Settle::TrueUp);
    }

    /// The request was never sent: everything goes back.
    pub fn cancel(self) {
        self.grant.refund();
    }
}
