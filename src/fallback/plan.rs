//! When to fall back, onto which link, and under which name.

use std::sync::Arc;

use super::{
    causes::{Cause, ServedBy},
    memory::{Down, Memory, Seen, Spans},
};
use crate::verdict::Verdict;

type FallsBack = dyn Fn(&Verdict) -> bool + Send + Sync;

/// What is set for one link.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) on: Option<Arc<FallsBack>>,
    pub(super) name: Arc<str>,
}

impl Link {
    fn takes(&self, verdict: &Verdict) -> bool {
        match &self.on {
            Some(on) => on(verdict),
            None => !serves(verdict),
        }
    }
}

/// Whether an outcome is as good as anybody's: it works, or would fail anywhere.
pub(super) const fn serves(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Success | Verdict::Permanent)
}

impl Default for Link {
    fn default() -> Self {
        Self {
            on: None,
            name: "fallback".into(),
        }
    }
}

/// The settings of a layer's links and what is remembered of them. Member 0 is the first service, member `n` is the nth
/// link.
pub(super) struct Plan {
    links: Vec<Link>,
    served_by: Vec<ServedBy>,
    // As far as that is known beforehand: what somebody else decides isn't.
    keeps_successes: bool,
    pub(super) memory: Memory,
}

/// Where a call goes, and which members it passes over because they are remembered as down.
pub(super) struct Choice {
    pub(super) member: usize,
    pub(super) skipped: Vec<Cause>,
}

impl Plan {
    pub(super) fn new(links: Vec<Link>, spans: Spans) -> Arc<Self> {
        let names = std::iter::once("first").chain(links.iter().map(|link| &*link.name));
        let served_by = names.enumerate().map(|(n, name)| ServedBy::new(name, n));
        Arc::new(Self {
            served_by: served_by.collect(),
            keeps_successes: links.iter().all(|link| link.on.is_none()),
            memory: Memory::new(links.len() + 1, spans),
            links,
        })
    }

    /// The same with other settings, and nothing remembered.
    pub(super) fn edit(&self, edit: impl FnOnce(&mut Vec<Link>, &mut Spans)) -> Arc<Self> {
        let (mut links, mut spans) = (self.links.clone(), self.memory.spans());
        edit(&mut links, &mut spans);
        Self::new(links, spans)
    }

    pub(super) fn served_by(&self, member: usize) -> &ServedBy {
        &self.served_by[member]
    }

    /// Whether somebody but the last link is called so.
    pub(super) fn has_member(&self, name: &str) -> bool {
        let others = &self.served_by[..self.links.len()];
        others.iter().any(|other| other.name() == name)
    }

    pub(super) fn last_name(&self) -> &str {
        self.served_by.last().map_or("", ServedBy::name)
    }

    /// Whether there is a link after this member.
    pub(super) const fn has_more(&self, member: usize) -> bool {
        member < self.links.len()
    }

    /// Whether the caller gets every success: no link is asked after one.
    pub(super) const fn keeps_successes(&self) -> bool {
        self.keeps_successes
    }

    #[inline]
    pub(super) fn look(&self, member: usize) -> Seen {
        self.memory.look(member)
    }

    /// Whether nobody remembers the first service as down.
    #[inline]
    pub(super) fn is_up(&self) -> bool {
        self.look(0) == Seen::UP
    }

    /// Where a call starts that doesn't start with the first service, because that is down and somebody else isn't, or is
    /// back earlier.
    #[inline]
    pub(super) fn start(&self) -> Option<Choice> {
        if self.is_up() {
            return None;
        }
        self.pass_over()
    }

    #[cold]
    #[inline(never)]
    fn pass_over(&self) -> Option<Choice> {
        let down = self.memory.down(0)?;
        let choice = self.choose(0, &down.verdict, Some(down))?;
        (choice.member != 0).then_some(choice)
    }

    /// Who comes after `member`, whose verdict this is.
    pub(super) fn next(&self, member: usize, verdict: &Verdict) -> Option<Choice> {
        self.choose(member, verdict, None)
    }

    /// The first link after `member` that takes this verdict and isn't down; where all of them are, the one that is back
    /// first. So is `member` itself, if it is down.
    fn choose(&self, member: usize, verdict: &Verdict, own: Option<Down>) -> Option<Choice> {
        let mut downs = Vec::new();
        downs.extend(own.map(|down| (member, down)));
        for at in member + 1..self.served_by.len() {
            if !self.links[at - 1].takes(verdict) {
                continue;
            }
            match self.memory.down(at) {
                Some(down) => downs.push((at, down)),
                None => return Some(self.choice(at, &downs)),
            }
        }
        let first_back = downs.iter().min_by_key(|(_, down)| down.until)?.0;
        Some(self.choice(first_back, &downs))
    }

    fn choice(&self, member: usize, downs: &[(usize, Down)]) -> Choice {
        let before = downs.iter().filter(|(at, _)| *at < member);
        let skipped = before.map(|(at, down)| Cause::skipped(self.served_by(*at), down));
        Choice {
            member,
            skipped: skipped.collect(),
        }
    }
}
