//! How full a quota is, as one number that can be compared.

use super::line::Line;
use crate::core::{ledger::Ledger, queue::Queue, time::Time};

const WHOLE: u128 = 1_000_000;
/// More than any share: what is paused comes after all that isn't.
const PAUSED: u64 = 1 << 40;

impl Line {
    /// How full it is.
    pub(super) fn fullness(&self) -> u64 {
        self.look_at(of)
    }
}

/// The fullest limit's share, in millionths, with those in line; where something is paused, more than that by the pause in
/// milliseconds.
fn of<W>(ledger: &Ledger, queue: &Queue<W>, now: Time) -> u64 {
    let mut paused = ledger.paused();
    let in_flight = ledger.in_flight().saturating_add(queue.waiting());
    let mut fullest = share(in_flight as u64, ledger.room_in_flight() as u64);
    for (index, meter) in ledger.meters().iter().enumerate() {
        paused = paused.max(meter.paused());
        if meter.is_known() {
            let asked = queue.asked_by_all(index);
            let taken = meter.used().saturating_add(meter.held());
            fullest = fullest.max(share(taken.saturating_add(asked), meter.largest()));
        }
    }
    if paused <= now {
        return fullest;
    }
    let millis = paused.since(now).as_nanos().div_ceil(1_000_000);
    PAUSED.saturating_add(u64::try_from(millis).unwrap_or(u64::MAX))
}

fn share(taken: u64, whole: u64) -> u64 {
    let millionths = u128::from(taken) * WHOLE / u128::from(whole.max(1));
    u64::try_from(millionths).unwrap_or(PAUSED).min(PAUSED - 1)
}
