//! How accounts change other than by asks.

use super::{Adjust, Change, Pool, PoolLimit, PoolShape};

impl Pool {
    pub(super) fn adjust(&mut self, limits: &[PoolLimit], adjust: &Adjust, now: u64) {
        match adjust.change {
            Change::Pause(span) if adjust.cost.iter().all(|n| *n == 0) => {
                self.paused = self.paused.max(now + span);
            }
            Change::Resume => self.paused = 0,
            Change::Foreign(ago) => self.foreign_at = now.saturating_sub(ago),
            Change::Replayed(processes) => self.replayed(limits, processes, now),
            _ => {}
        }
        let learnt = self.learnt(limits);
        // What several replay comes in another order than it left.
        let in_order = self.learning == 0;
        let at = match adjust.change {
            Change::Reserved(ahead) => now + ahead,
            Change::Replay(ago) | Change::Sent(ago) => now.saturating_sub(ago),
            _ => now,
        };
        for ((dim, limit), n) in self.dims.iter_mut().zip(limits).zip(&adjust.cost) {
            let n = limit.most().min(*n);
            if adjust.change == Change::Resume {
                dim.paused = 0;
            }
            if n == 0 {
                continue;
            }
            match adjust.change {
                Change::Late => dim.charge(limit, n, now),
                Change::Back(at) => dim.back(limit, n, at.0, false, now),
                Change::Unsent(at) => dim.back(limit, n, at.0, true, now),
                // What a bucket held then is known, however much went through it before.
                Change::Replay(_) | Change::Reserved(_)
                    if limit.shape == PoolShape::Bucket && at <= learnt.foreign => {}
                Change::Replay(_) | Change::Reserved(_) => {
                    dim.known_now(limit, n, at, &learnt, now);
                    dim.replay(limit, n, at, now, in_order);
                }
                Change::Sent(_) => dim.replay(limit, n, at, now, in_order),
                Change::Foreign(_) if limit.shape == PoolShape::Bucket => {
                    dim.held(limit, n, learnt.foreign);
                }
                Change::Foreign(_) => {
                    let rest = n.saturating_sub(dim.known(limit, now));
                    if rest > 0 {
                        dim.adds(limit, rest, &learnt, now);
                    }
                }
                Change::Outside => {
                    if n > dim.outside {
                        dim.charge(limit, n - dim.outside, now);
                        dim.outside = n;
                    }
                    dim.outside_at = now;
                }
                Change::Pause(span) => dim.paused = dim.paused.max(now + span),
                Change::Resume | Change::Replayed(_) => {}
            }
        }
    }
}
