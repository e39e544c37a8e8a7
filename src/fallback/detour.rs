//! What a call needs of its own once it doesn't only go to the first service.

use super::{causes::Cause, outcome::Outcome, service::Chain};
use crate::verdict::Verdict;

/// The last real outcome, until the next member has the request.
pub(super) struct Put<C: Chain<Req>, Req> {
    pub(super) outcome: Outcome<C, Req>,
    pub(super) cause: Cause,
    // How many causes came before it.
    pub(super) at: usize,
}

/// The way of a request that doesn't only go to the first service.
pub(super) struct Detour<C: Chain<Req>, Req> {
    // Who has the request, or is asked: 0 is the first service.
    pub(super) member: usize,
    // The links, once one of them is asked.
    pub(super) second: Option<C::Second>,
    // As it came, where nobody was sent it.
    pub(super) request: Option<Req>,
    // As it goes to the link that is asked.
    pub(super) bound: Option<Req>,
    pub(super) put: Option<Put<C, Req>>,
    // Of the outcome before, or what was remembered of the first service.
    pub(super) verdict: Verdict,
    pub(super) causes: Vec<Cause>,
    // The first service, where it was passed over: asked after all where nobody else can be.
    pub(super) resort: Option<C::First>,
    pub(super) fell: bool,
    // Somebody may have been sent the request.
    pub(super) left: bool,
}

impl<C: Chain<Req>, Req> Detour<C, Req> {
    pub(super) const fn new(
        second: Option<C::Second>,
        request: Option<Req>,
        resort: Option<C::First>,
    ) -> Self {
        Self {
            member: 0,
            second,
            request,
            bound: None,
            put: None,
            verdict: Verdict::Success,
            causes: Vec::new(),
            resort,
            fell: false,
            left: false,
        }
    }
}
