//! Boxes that are used again: what a request holds takes one pointer on its way through the layers, and no allocation.

use std::{
    cell::RefCell,
    ops::{Deref, DerefMut},
    thread::LocalKey,
};

/// So many boxes of a kind are kept by each thread for those to come.
const KEPT: usize = 256;

/// Boxes that nobody uses.
pub(crate) type Spares<T> = RefCell<Vec<Box<T>>>;

/// What is kept in boxes that are used again.
pub(crate) trait Recycle: Default + 'static {
    /// Those of this thread.
    fn spares() -> &'static LocalKey<Spares<Self>>;

    /// Gives up what it holds, before it waits for its next use, which finds it so.
    fn clear(&mut self);
}

/// A box from those that were used before, where there is one.
pub(crate) struct Recycled<T: Recycle>(Option<Box<T>>);

impl<T: Recycle> Recycled<T> {
    /// As nobody has used it, or [cleared](Recycle::clear).
    #[inline]
    pub(crate) fn blank() -> Self {
        // A thread that ends has none left.
        let spare = T::spares().try_with(|spares| spares.borrow_mut().pop());
        Self(Some(spare.ok().flatten().unwrap_or_default()))
    }
}

impl<T: Recycle> Deref for Recycled<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.0.as_ref().expect("there until it is dropped")
    }
}

impl<T: Recycle> DerefMut for Recycled<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("there until it is dropped")
    }
}

impl<T: Recycle> Drop for Recycled<T> {
    #[inline]
    fn drop(&mut self) {
        let Some(mut used) = self.0.take() else {
            return;
        };
        used.clear();
        let _ = T::spares().try_with(|spares| {
            let mut spares = spares.borrow_mut();
            if spares.len() < KEPT {
                spares.push(used);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::{
        panic::{AssertUnwindSafe, catch_unwind},
        rc::Rc,
        sync::mpsc,
    };

    use super::*;

    thread_local! {
        static SPARES: Spares<Held> = const { RefCell::new(Vec::new()) };
        // What a thread still holds when it ends.
        static LAST: RefCell<Option<Recycled<Held>>> = const { RefCell::new(None) };
    }

    /// Does something when it is dropped.
    struct Then(Option<Box<dyn FnOnce()>>);

    impl Then {
        fn new(act: impl FnOnce() + 'static) -> Self {
            Self(Some(Box::new(act)))
        }
    }

    impl Drop for Then {
        fn drop(&mut self) {
            if let Some(act) = self.0.take() {
                act();
            }
        }
    }

    #[derive(Default)]
    struct Held {
        then: Option<Then>,
    }

    impl Recycle for Held {
        fn spares() -> &'static LocalKey<Spares<Self>> {
            &SPARES
        }

        fn clear(&mut self) {
            self.then = None;
        }
    }

    fn held(act: impl FnOnce() + 'static) -> Recycled<Held> {
        let mut held = Recycled::<Held>::blank();
        assert!(held.then.is_none(), "nothing of whoever had it before");
        held.then = Some(Then::new(act));
        held
    }

    fn kept() -> usize {
        SPARES.with_borrow(Vec::len)
    }

    #[test]
    fn what_a_box_gives_up_may_use_boxes_itself() {
        let inner = held(|| drop([held(|| ()), held(|| drop(held(|| ())))]));
        drop(held(|| drop(inner)));
        assert_eq!(kept(), 4);
        // Where there is no room for more as well.
        drop([(); KEPT].map(|()| held(|| ())));
        assert_eq!(kept(), KEPT);
        let more = [(); KEPT + 1].map(|()| held(|| drop(held(|| ()))));
        drop(more);
        assert_eq!(kept(), KEPT);
    }

    #[test]
    fn a_box_that_could_not_be_cleared_is_not_used_again() {
        drop([held(|| ()), held(|| ())]);
        let fails = held(|| panic!("by whoever is dropped"));
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(fails)));
        assert!(dropped.is_err());
        assert_eq!(kept(), 1);
        drop([held(|| ()), held(|| ())]);
        assert_eq!(kept(), 2);
    }

    #[test]
    fn what_a_thread_still_holds_when_it_ends_is_given_up() {
        for boxes_come_first in [false, true] {
            let (told, heard) = mpsc::channel();
            let thread = std::thread::spawn(move || {
                if boxes_come_first {
                    assert_eq!(kept(), 0);
                }
                LAST.with_borrow(|last| assert!(last.is_none()));
                let mark = Rc::new(());
                let gone = Rc::downgrade(&mark);
                let last = held(move || {
                    drop(held(move || drop(mark)));
                    told.send(gone.strong_count()).expect("it is heard");
                });
                LAST.set(Some(last));
            });
            thread.join().expect("no panic");
            assert_eq!(heard.recv(), Ok(0));
        }
    }
}
