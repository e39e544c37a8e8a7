//! What is read of an answer.

use std::{cell::RefCell, fmt, mem, thread::LocalKey};

use crate::{
    provider::UsageScanner,
    recycled::{Recycle, Recycled, Spares},
    tokens::Lesson,
    verdict::Usage,
};

thread_local! {
    static SPARES: Spares<Sheet> = const { RefCell::new(Vec::new()) };
}

/// What is read of an answer, and what that can teach.
pub(super) struct Notes(Recycled<Sheet>);

#[derive(Default)]
struct Sheet {
    scanner: UsageScanner,
    lesson: Option<Lesson>,
}

impl Recycle for Sheet {
    fn spares() -> &'static LocalKey<Spares<Self>> {
        &SPARES
    }

    fn clear(&mut self) {
        (self.scanner, self.lesson) = (UsageScanner::new(), None);
    }
}

impl Notes {
    /// With what the answer can teach.
    pub(super) fn new(lesson: Option<Lesson>) -> Self {
        let mut sheet = Recycled::<Sheet>::blank();
        sheet.lesson = lesson;
        Self(sheet)
    }

    /// A chunk of the answer passed.
    #[inline]
    pub(super) fn push(&mut self, data: &[u8]) {
        self.0.scanner.push(data);
    }

    /// The answer ended: what it has used, where it says so. That was learnt from.
    pub(super) fn finish(mut self) -> Option<Usage> {
        let usage = mem::take(&mut self.0.scanner).finish();
        if let (Some(lesson), Some(usage)) = (&self.0.lesson, &usage) {
            lesson.learn(usage);
        }
        usage
    }
}

impl fmt::Debug for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notes(..)")
    }
}
