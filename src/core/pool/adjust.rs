//! How accounts change other than by asks.

use super::{Adjust, Change, Pool, PoolLimit};

impl Pool {
    pub(super) fn adjust(&mut self, limits: &[PoolLimit], adjust: &Adjust, now: u64) {
        match adjust.change {
            Change::Pause(span) if adjust.cost.iter().all(|n| *n == 0) => {
                self.paused = self.paused.max(now + span);
            }
            Change::Resume => self.paused = 0,
            Change::Foreign(ago) => self.foreign_at = now.saturating_sub(ago),
            _ => {}
        }
        let foreign_at = self.foreign_at;
        for ((dim, limit), n) in self.dims.iter_mut().zip(limits).zip(&adjust.cost) {
            let n = *n;
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
                Change::Replay(ago) => {
                    let known = n.min(dim.foreign);
                    if known > 0 {
                        dim.foreign -= known;
                        dim.back(limit, known, foreign_at, false, now);
                    }
                    dim.replay(limit, n, now.saturating_sub(ago), now);
                }
                Change::Foreign(_) => {
                    let rest = n.saturating_sub(dim.used(limit, now));
                    if rest > 0 {
                        dim.foreign += rest;
                        dim.replay(limit, rest, foreign_at, now);
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
                Change::Resume => {}
            }
        }
    }
}
