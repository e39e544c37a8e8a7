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
