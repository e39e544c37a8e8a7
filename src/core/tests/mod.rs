//! The ledger and the line against naive models.

mod costs;
mod elsewhere;
mod front;
#[cfg(feature = "serde")]
mod gone_on;
mod history;
mod kept;
mod keyed;
mod learn;
mod ledger;
mod line;
mod packed;
mod queue;
mod rest;
mod saved;
mod state;
mod stated;

use super::meter::tests::{Kind, Random, at, cases, limit, meter_of};
use super::{
    cost::Cost,
    ledger::{Fit, Ledger},
    limit::Limit,
};

/// A ledger of one limit on tokens of this kind for each amount.
fn ledger_of(limits: &[(Limit, Kind)], max_in_flight: usize) -> Ledger {
    let meters = limits.iter().map(|(limit, kind)| meter_of(limit, *kind));
    Ledger::new(meters.collect(), max_in_flight, u64::MAX)
}

/// A ledger of one rolling limit on tokens, without transit.
fn rolling(amount: u64, window: u64) -> Ledger {
    ledger_of(
        &[(limit(Kind::Rolling, amount, window, 0), Kind::Rolling)],
        usize::MAX,
    )
}

fn at_of(fit: Fit) -> Option<u64> {
    match fit {
        Fit::At { at, .. } => Some(at.nanos()),
        _ => None,
    }
}

fn tokens(n: u64) -> Cost {
    Cost::tokens(n)
}
