//! A linked list through the places of a vector: push, remove and insert without allocating.

use std::marker::PhantomData;

/// A place's neighbours.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Links {
    prev: Option<u32>,
    next: Option<u32>,
}

impl Links {
    pub(crate) const fn next(self) -> Option<u32> {
        self.next
    }
}

/// A place in the list that is called `L`; one place may be in several lists.
pub(crate) trait Linked<L> {
    fn links(&mut self) -> &mut Links;
}

/// First and last place of a list.
#[derive(Debug)]
pub(crate) struct List<L = ()> {
    head: Option<u32>,
    tail: Option<u32>,
    called: PhantomData<L>,
}

impl<L> Clone for List<L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<L> Copy for List<L> {}

impl<L> List<L> {
    pub(crate) const EMPTY: Self = Self {
        head: None,
        tail: None,
        called: PhantomData,
    };

    pub(crate) const fn head(&self) -> Option<u32> {
        self.head
    }

    pub(crate) const fn tail(&self) -> Option<u32> {
        self.tail
    }

    pub(crate) fn push_back<T: Linked<L>>(&mut self, places: &mut [T], index: u32) {
        *places[index as usize].links() = Links {
            prev: self.tail,
            next: None,
        };
        match self.tail {
            Some(tail) => places[tail as usize].links().next = Some(index),
            None => self.head = Some(index),
        }
        self.tail = Some(index);
    }

    /// Puts `index` in front of `before`, which is in this list.
    pub(crate) fn insert_before<T: Linked<L>>(
        &mut self,
        places: &mut [T],
        before: u32,
        index: u32,
    ) {
        let prev = places[before as usize].links().prev.replace(index);
        *places[index as usize].links() = Links {
            prev,
            next: Some(before),
        };
        match prev {
            Some(prev) => places[prev as usize].links().next = Some(index),
            None => self.head = Some(index),
        }
    }

    /// Takes `index`, which is in this list, out of it.
    pub(crate) fn remove<T: Linked<L>>(&mut self, places: &mut [T], index: u32) {
        let Links { prev, next } = std::mem::take(places[index as usize].links());
        match prev {
            Some(prev) => places[prev as usize].links().next = next,
            None => self.head = next,
        }
        match next {
            Some(next) => places[next as usize].links().prev = prev,
            None => self.tail = prev,
        }
    }
}
