//! What a line makes of the provider's word.

use super::{builder, line::Line};
use crate::{
    core::{
        cost::{Cost, Resource},
        ledger::Stated,
        settlement::Departure,
    },
    verdict::RateStatus,
};

impl Line {
    /// What the provider says of its limits, as the request that left then, and was charged `cost`, found them.
    pub(super) fn observe(&self, status: &RateStatus, cost: &Cost, departure: Departure) {
        let readings = [
            (Resource::Requests, &status.requests),
            (Resource::Tokens, &status.tokens),
            (Resource::InputTokens, &status.input_tokens),
            (Resource::OutputTokens, &status.output_tokens),
        ];
        let adopts = self.settings().adopt;
        if (readings.iter()).all(|(_, r)| r.remaining.is_none() && r.limit.is_none()) {
            return;
        }
        let planned = |amount| builder::planned(amount, self.settings().headroom);
        let (mut learnt, mut bounds) = ([None; 4], [None; 4]);
        self.change(|ledger| {
            let mut turn = false;
            let told = learnt.iter_mut().zip(&mut bounds);
            for ((resource, reading), (learnt, bound)) in readings.into_iter().zip(told) {
                let stated = Stated {
                    limit: reading.limit,
                    remaining: reading.remaining,
                    window: reading.window,
                };
                if adopts && ledger.adopt(resource, stated, planned, cost, departure) {
                    (*learnt, turn) = (ledger.limit_of(resource, stated), true);
                }
                if !adopts {
                    *bound = ledger.bound(resource, stated, planned, cost, departure);
                    turn |= bound.is_some();
                }
                turn |= ledger.observe(resource, stated, departure);
            }
            turn
        });
        self.learnt(learnt.into_iter().flatten());
        self.bounded(bounds.into_iter().flatten());
        self.look_at_use(&Cost::none());
    }
}
