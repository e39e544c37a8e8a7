//! A linked list through the places of a vector: push, remove and insert without allocating.

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

/// First and last place of a list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct List {
    head: Option<u32>,
    tail: Option<u32>,
}

impl List {
    pub(crate) const EMPTY: Self = Self {
        head: None,
        tail: None,
    };

    pub(crate) const fn head(&self) -> Option<u32> {
        self.head
    }

    pub(crate) const fn tail(&self) -> Option<u32> {
        self.tail
    }

    pub(crate) fn push_back<T: AsMut<Links>>(&mut self, places: &mut [T], index: u32) {
        *places[index as usize].as_mut() = Links {
            prev: self.tail,
            next: None,
        };
        match self.tail {
            Some(tail) => places[tail as usize].as_mut().next = Some(index),
            None => self.head = Some(index),
        }
        self.tail = Some(index);
    }

    /// Puts `index` in front of `before`, which is in this list.
    pub(crate) fn insert_before<T: AsMut<Links>>(
        &mut self,
        places: &mut [T],
        before: u32,
        index: u32,
    ) {
        let prev = places[before as usize].as_mut().prev.replace(index);
        *places[index as usize].as_mut() = Links {
            prev,
            next: Some(before),
        };
        match prev {
            Some(prev) => places[prev as usize].as_mut().next = Some(index),
            None => self.head = Some(index),
        }
    }

    /// Takes `index`, which is in this list, out of it.
    pub(crate) fn remove<T: AsMut<Links>>(&mut self, places: &mut [T], index: u32) {
        let Links { prev, next } = std::mem::take(places[index as usize].as_mut());
        match prev {
            Some(prev) => places[prev as usize].as_mut().next = next,
            None => self.head = next,
        }
        match next {
            Some(next) => places[next as usize].as_mut().prev = prev,
            None => self.tail = prev,
        }
    }
}
