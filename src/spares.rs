//! Clones that a call needs only where it goes another way than most: kept, unused, from one call to the next.

use crate::sync::{Arc, AtomicU64, Mutex, Ordering, fence};

/// So many are kept at most. With more calls under way than that, each of the others has one of its own.
const KEPT: u64 = 256;

/// What the calls of a service and its clones share: `T`, and clones of `S` that nobody has polled or called, as many as there
/// are calls that may take one. So a call takes two steps on one counter, however much it takes to clone `S`.
#[expect(
    clippy::redundant_allocation,
    reason = "the inner one counts the calls alone, not those who may make them"
)]
pub(crate) struct Spares<S, T>(Arc<Arc<Shared<S, T>>>);

/// What a call holds of it.
pub(crate) struct Spare<S, T>(Arc<Shared<S, T>>);

struct Shared<S, T> {
    common: T,
    kept: Mutex<Vec<S>>,
    // How many were ever put there, and taken; changed under the lock.
    put: AtomicU64,
    taken: AtomicU64,
}

impl<S, T> Spares<S, T> {
    pub(crate) fn new(common: T) -> Self {
        Self(Arc::new(Arc::new(Shared {
            common,
            kept: Mutex::new(Vec::new()),
            put: AtomicU64::new(0),
            taken: AtomicU64::new(0),
        })))
    }

    #[inline]
    pub(crate) fn common(&self) -> &T {
        &self.0.common
    }

    /// What a call needs that takes no clone.
    #[inline]
    pub(crate) fn none(&self) -> Spare<S, T> {
        Spare(Arc::clone(&self.0))
    }

    /// What a call needs that may take a clone of `original`, as it is now or was at a call before. The call gets one of its
    /// `own` where so many are kept for others that there is no room for another.
    #[inline]
    pub(crate) fn one(&self, original: &S, own: impl FnOnce(S)) -> Spare<S, T>
    where
        S: Clone,
    {
        let spare = self.none();
        // In this order: what is put there by whoever begins after the calls are counted must not count, and what was taken by
        // whoever has ended before must. So there are at least as many as it says, when the calls are counted.
        let put = spare.0.put.load(Ordering::Acquire);
        // One is held by the service; each of the others is a call that may take a clone, has taken it, or takes none.
        let calls = Arc::strong_count(&spare.0) as u64 - 1;
        fence(Ordering::Acquire);
        let taken = spare.0.taken.load(Ordering::Relaxed);
        if calls > put.saturating_sub(taken)
            && let Some(clone) = spare.0.keep_another(original)
        {
            own(clone);
        }
        spare
    }
}

impl<S, T> Shared<S, T> {
    /// Gives the clone back where there is no room for it.
    #[cold]
    #[inline(never)]
    fn keep_another(&self, original: &S) -> Option<S>
    where
        S: Clone,
    {
        let clone = original.clone();
        let mut kept = self.kept.lock();
        if kept.len() as u64 >= KEPT {
            return Some(clone);
        }
        kept.push(clone);
        let put = self.put.load(Ordering::Relaxed);
        self.put.store(put + 1, Ordering::Release);
        None
    }
}

impl<S, T> Spare<S, T> {
    #[inline]
    pub(crate) fn common(&self) -> &T {
        &self.0.common
    }

    /// The clone, once, unless the call takes none or has one of its own.
    pub(crate) fn take(&self) -> Option<S> {
        let mut kept = self.0.kept.lock();
        let clone = kept.pop()?;
        let taken = self.0.taken.load(Ordering::Relaxed);
        self.0.taken.store(taken + 1, Ordering::Relaxed);
        Some(clone)
    }
}

impl<S, T> Clone for Spares<S, T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        panic::{AssertUnwindSafe, catch_unwind},
        rc::Rc,
        sync::{Arc, Weak},
    };

    use super::{KEPT, Spare, Spares};

    /// Tells how many there are of it.
    type Counted = Arc<()>;

    /// What is kept, and what calls have of their own.
    fn begin(
        spares: &Spares<Counted, ()>,
        original: &Counted,
        own: &mut Vec<Counted>,
    ) -> Spare<Counted, ()> {
        spares.one(original, |clone| own.push(clone))
    }

    #[test]
    fn calls_one_after_the_other_clone_once() {
        let (original, spares, mut own) = (Counted::new(()), Spares::new(()), Vec::new());
        for _ in 0..10 {
            drop(begin(&spares, &original, &mut own));
            drop(spares.none());
        }
        assert_eq!((Arc::strong_count(&original), own.len()), (2, 0));
        let taken = begin(&spares, &original, &mut own).take();
        assert!(taken.is_some());
        drop(taken);
        assert_eq!(Arc::strong_count(&original), 1, "what was taken isn't kept");
        begin(&spares.clone(), &original, &mut own);
        assert_eq!(Arc::strong_count(&original), 2);
        drop(spares);
        assert_eq!(
            Arc::strong_count(&original),
            1,
            "nothing outlives the service"
        );
    }

    #[test]
    fn there_is_a_clone_for_every_call_under_way_and_no_more_are_kept_than_there_is_room_for() {
        let (original, spares, mut own) = (Counted::new(()), Spares::new(()), Vec::new());
        let room = KEPT as usize;
        let calls = room + 10;
        let held: Vec<_> = (0..calls)
            .map(|_| begin(&spares, &original, &mut own))
            .collect();
        assert_eq!((Arc::strong_count(&original), own.len()), (1 + calls, 10));
        own.clear();
        let taken: Vec<_> = held.iter().filter_map(Spare::take).collect();
        assert_eq!(taken.len(), room);
        drop((held, taken));
        assert_eq!(Arc::strong_count(&original), 1);
    }

    #[test]
    fn whoever_takes_while_others_begin_and_end_finds_a_clone() {
        let (original, spares) = (Counted::new(()), Spares::new(()));
        let gone = Arc::downgrade(&original);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (original, spares) = (Arc::clone(&original), spares.clone());
                scope.spawn(move || {
                    for step in 0..2_000 {
                        let mut own = Vec::new();
                        let first = begin(&spares, &original, &mut own);
                        let second = begin(&spares, &original, &mut own);
                        if (step + thread) % 3 == 0 {
                            assert!(first.take().is_some());
                        }
                        drop(first);
                        assert!(step % 2 == 0 || second.take().is_some());
                    }
                });
            }
        });
        drop((original, spares));
        assert_eq!(Weak::strong_count(&gone), 0);
    }

    /// Its clone panics while it is broken, and so, meanwhile, it may be asked for by a call inside of that.
    #[derive(Default)]
    struct Fragile {
        is_broken: Rc<Cell<bool>>,
        around: Option<Spares<Self, ()>>,
    }

    impl Clone for Fragile {
        fn clone(&self) -> Self {
            let whole = || Self {
                is_broken: Rc::clone(&self.is_broken),
                around: None,
            };
            if let Some(spares) = &self.around {
                let inside = spares.one(&whole(), |_| unreachable!("there is room"));
                assert!(inside.take().is_some());
            }
            assert!(!self.is_broken.get(), "somebody's own code");
            whole()
        }
    }

    #[test]
    fn a_clone_that_panics_or_calls_is_nobody_else_s_loss() {
        let spares = Spares::new(());
        let original = Fragile {
            is_broken: Rc::default(),
            around: Some(spares.clone()),
        };
        let call = || spares.one(&original, |_| unreachable!("there is room"));
        let first = call();
        original.is_broken.set(true);
        let failed = catch_unwind(AssertUnwindSafe(|| [(); 3].map(|()| call())));
        assert!(failed.is_err());
        original.is_broken.set(false);
        let calls = [first, call(), call()];
        assert!(calls.iter().all(|call| call.take().is_some()));
    }
}
