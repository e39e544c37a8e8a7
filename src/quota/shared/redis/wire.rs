//! Calls and answers as the script reads and writes them: doubles, the low byte first, which hold whole numbers below 2^53.

use crate::core::pool::{Adjust, Call, Change, Decision, PoolLimit, PoolShape, Reply, Stamp};

/// What is written of an idle pool stays for two days, or for two of its windows.
const KEPT: u64 = 48 * 3_600 * 1_000;

struct Doubles(Vec<u8>);

impl Doubles {
    fn put(&mut self, n: u64) {
        self.0.extend((n as f64).to_le_bytes());
    }

    fn all(&mut self, numbers: impl IntoIterator<Item = u64>) {
        numbers.into_iter().for_each(|n| self.put(n));
    }
}

/// A call of so many limits.
pub(super) fn write(limits: &[PoolLimit], call: &Call) -> Vec<u8> {
    let longest = limits.iter().map(|limit| limit.window).max().unwrap_or(0);
    let sizes = 10 + 8 * limits.len() + (2 + limits.len()) * (call.adjusts.len() + call.asks.len());
    let mut to = Doubles(Vec::with_capacity(8 * sizes));
    to.all([
        call.seq,
        call.epoch,
        call.fresh,
        call.clock,
        u64::from(call.beat),
        KEPT.max(longest / 500),
    ]);
    to.all([limits.len(), call.adjusts.len(), call.asks.len()].map(|n| n as u64));
    for limit in limits {
        let shape = match limit.shape {
            PoolShape::Rolling => 0,
            PoolShape::Bucket => 1,
            PoolShape::Fixed => 2,
        };
        to.all([
            shape,
            limit.amount,
            limit.window,
            limit.transit,
            limit.step,
            limit.burst,
        ]);
        to.all(limit.ends);
    }
    for Adjust { change, cost } in &call.adjusts {
        let (kind, when) = match change {
            Change::Late => (1, 0),
            Change::Back(at) => (2, at.0),
            Change::Unsent(at) => (3, at.0),
            Change::Replay(ago) => (4, *ago),
            Change::Foreign(ago) => (5, *ago),
            Change::Outside => (6, 0),
            Change::Pause(span) => (7, *span),
            Change::Resume => (8, 0),
            Change::Sent(ago) => (9, *ago),
            Change::Replayed(processes) => (10, *processes),
            Change::Reserved(ahead) => (11, *ahead),
        };
        to.all([kind, when]);
        to.all(cost.iter().copied());
    }
    for ask in &call.asks {
        to.all([ask.horizon, u64::from(ask.beside)]);
        to.all(ask.cost.iter().copied());
    }
    to.put(call.heard);
    to.0
}

/// An answer; `None` where it isn't one.
pub(super) fn read(bytes: &[u8]) -> Option<Reply> {
    let mut numbers = bytes.chunks_exact(8).map(|eight| {
        let eight = <[u8; 8]>::try_from(eight).unwrap_or_default();
        f64::from_le_bytes(eight) as u64
    });
    let mut next = || numbers.next();
    let mut reply = Reply {
        epoch: next()?,
        created: next()? == 1,
        lost: next()? == 1,
        now: Stamp(next()?),
        processes: next()? as u32,
        ..Reply::default()
    };
    let (limits, asks) = (next()?, next()?);
    for _ in 0..limits {
        reply.used.push(next()?);
        reply.outside.push(next()?);
        reply.doubtful.push(next()?);
    }
    for _ in 0..asks {
        let (kind, span, other) = (next()?, next()?, next()?);
        reply.decisions.push(match kind {
            0 => Decision::Granted {
                send_in: span,
                at: Stamp(other),
            },
            1 => Decision::Wait {
                at_least: span,
                limit: other as usize,
            },
            2 => Decision::Never {
                limit: other as usize,
            },
            _ => return None,
        });
    }
    Some(reply)
}
