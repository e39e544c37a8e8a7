//! Who served an answer, and why those before it didn't.

use std::{error::Error, fmt, sync::Arc, time::Duration};

use http::{Extensions, StatusCode};

use super::memory::{Down, Spans};
use crate::{
    error::{BoxError, causes},
    marked::Marked,
    verdict::Verdict,
};

/// Which link of a fallback served an answer: in the extensions of a response that a link served. There is none where the
/// first service did, nor where nobody did: on an answer that would fall back by default if there were another link.
///
/// ```
/// use tower_quota::fallback::ServedBy;
///
/// # let response = http::Response::new(());
/// let by_whom = ServedBy::of(&response).map_or("first", ServedBy::name);
/// # assert_eq!(by_whom, "first");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedBy {
    name: Arc<str>,
    index: usize,
}

impl ServedBy {
    pub(super) fn new(name: &str, index: usize) -> Self {
        Self {
            name: name.into(),
            index,
        }
    }

    /// The link that served this response, where one did.
    pub fn of(response: &impl Marked) -> Option<&Self> {
        response.marks().get()
    }

    /// The link's name: `"fallback"` where it was given none.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which link of its layer it is: 1 is the one that the first service falls back to.
    pub const fn index(&self) -> usize {
        self.index
    }
}

/// Which link an answer is of, whether it serves or not: for chains further out.
#[derive(Clone)]
struct AnsweredBy(ServedBy);

/// Marks an answer of the link `by`, unless one of a chain further in has answered, which knows better.
pub(super) fn sign(extensions: &mut Extensions, by: &ServedBy, serves: bool) {
    let answered = extensions.get::<AnsweredBy>().cloned();
    let AnsweredBy(by) = answered.unwrap_or_else(|| {
        let by = AnsweredBy(by.clone());
        extensions.insert(by.clone());
        by
    });
    if serves {
        extensions.insert(by);
    }
}

/// Why one member of a chain didn't serve a request.
#[derive(Clone, Debug)]
pub struct Cause {
    member: ServedBy,
    verdict: Verdict,
    status: Option<StatusCode>,
    error: Option<Arc<dyn Error + Send + Sync>>,
    skipped: bool,
    // For how long it is down, where that is known.
    pub(super) span: Option<Duration>,
}

impl Cause {
    pub(super) fn skipped(member: &ServedBy, down: &Down) -> Self {
        Self {
            member: member.clone(),
            verdict: down.verdict,
            status: None,
            error: None,
            skipped: true,
            span: Some(down.left),
        }
    }

    pub(super) fn failed(member: &ServedBy, verdict: Verdict, span: Option<Duration>) -> Self {
        Self {
            member: member.clone(),
            verdict,
            status: None,
            error: None,
            skipped: false,
            span,
        }
    }

    pub(super) fn status_of(mut self, status: Option<StatusCode>) -> Self {
        self.status = status;
        self
    }

    pub(super) fn because(mut self, error: BoxError) -> Self {
        self.error = Some(error.into());
        self
    }

    /// Its name: a link's is the one it was given, else `"fallback"`; `"first"` is the first service.
    pub fn name(&self) -> &str {
        self.member.name()
    }

    /// Which member of its layer's chain it is: 0 is the first service, 1 the first link.
    pub const fn index(&self) -> usize {
        self.member.index()
    }

    /// What its outcome meant. Of one that was passed over, what it had said before, with the time that was left of its
    /// hint.
    pub const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// The status of its answer, where it gave one.
    pub const fn status(&self) -> Option<StatusCode> {
        self.status
    }

    /// Its error, where it gave one.
    pub fn error(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        self.error.as_deref()
    }

    /// Whether it was passed over, because it is remembered as down.
    pub const fn was_skipped(&self) -> bool {
        self.skipped
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.name())?;
        if self.skipped {
            f.write_str("passed over, ")?;
        }
        match (&self.error, self.status) {
            (Some(error), _) => write!(f, "{error}"),
            (None, Some(status)) => write!(f, "{status}"),
            (None, None) => write!(f, "{:?}", self.verdict),
        }
    }
}

/// Why the others didn't serve a request, in the order in which they were tried: in the extensions of a response that
/// somebody else served, and found by [`find`](Self::find) in the error where nobody did.
///
/// ```
/// use tower_quota::fallback::Causes;
///
/// # let response = http::Response::new(());
/// for cause in Causes::of(&response).into_iter().flatten() {
///     println!("{}: {:?}", cause.name(), cause.verdict());
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Causes(Arc<[Cause]>);

impl Causes {
    pub(super) fn new(causes: Vec<Cause>) -> Option<Self> {
        (!causes.is_empty()).then(|| Self(causes.into()))
    }

    /// The causes that a response carries.
    pub fn of(response: &impl Marked) -> Option<&Self> {
        response.marks().get()
    }

    /// The causes that an error carries, or anything that caused it.
    pub fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        let trail = causes(error).find_map(<dyn Error>::downcast_ref::<Trail>);
        trail.map(|trail| &trail.causes)
    }

    /// The causes, in the order in which they were tried.
    pub fn iter(&self) -> std::slice::Iter<'_, Cause> {
        self.0.iter()
    }

    /// How many there are: at least one.
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The last one.
    pub fn last(&self) -> &Cause {
        self.0.last().expect("there is at least one")
    }

    /// Puts them among the extensions of an answer; `before` those that it carries from further in, or after them.
    pub(super) fn add(self, extensions: &mut Extensions, before: bool) {
        let all = match extensions.remove::<Self>() {
            Some(inner) if before => self.iter().chain(&inner).cloned().collect(),
            Some(inner) => inner.iter().chain(&self).cloned().collect(),
            None => self.0,
        };
        extensions.insert(Self(all));
    }
}

impl<'a> IntoIterator for &'a Causes {
    type Item = &'a Cause;
    type IntoIter = std::slice::Iter<'a, Cause>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The error of the last that was asked, where nobody served, and why those before it didn't.
///
/// Its message ends in the last one's. Its source tells the causes, and has the last one's error for its own source; not
/// where that was computed here after others had been sent the request: then [`last`](Self::last) alone shows it.
#[derive(Debug)]
pub struct FallbackError(Trail);

/// What the error carries. The error's source, not the error itself: wrappers that forward `source()` hide themselves.
#[derive(Debug)]
struct Trail {
    last: BoxError,
    by: ServedBy,
    causes: Causes,
    // The last one's error is of something computed here, after others had left: it must not pass for theirs, or what it
    // says of not having been sent would give back their charge.
    sealed: bool,
}

impl FallbackError {
    /// The error as it is where it was the only one.
    pub(super) fn boxed(
        last: BoxError,
        by: &ServedBy,
        causes: Vec<Cause>,
        sealed: bool,
    ) -> BoxError {
        let Some(causes) = Causes::new(causes) else {
            return last;
        };
        let by = by.clone();
        Box::new(Self(match last.downcast::<Self>() {
            // The last was a chain itself.
            Ok(inner) => Trail {
                causes: Causes(causes.iter().chain(&inner.0.causes).cloned().collect()),
                sealed: sealed || inner.0.sealed,
                ..inner.0
            },
            Err(last) => Trail {
                last,
                by,
                causes,
                sealed,
            },
        }))
    }

    /// Why the others didn't serve.
    pub const fn causes(&self) -> &Causes {
        &self.0.causes
    }

    /// Who was asked last.
    pub const fn asked_last(&self) -> &ServedBy {
        &self.0.by
    }

    /// The error of the last that was asked.
    pub fn last(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.0.last
    }

    /// The same, to be kept.
    pub fn into_last(self) -> BoxError {
        self.0.last
    }
}

impl fmt::Display for FallbackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no fallback served either: {}", self.0.last)
    }
}

impl Error for FallbackError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

impl fmt::Display for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("before it: ")?;
        for (at, cause) in self.causes.iter().enumerate() {
            let comma = if at == 0 { "" } else { "; " };
            write!(f, "{comma}{cause}")?;
        }
        Ok(())
    }
}

impl Error for Trail {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        (!self.sealed).then_some(&*self.last)
    }
}

/// Puts down why a member didn't serve; one that is a chain itself, all of its members.
pub(super) fn put_down(
    causes: &mut Vec<Cause>,
    at: usize,
    cause: Cause,
    why: Result<Option<&Extensions>, BoxError>,
) {
    match why {
        Ok(extensions) => {
            let inner = extensions.and_then(|all| all.get::<Causes>());
            let by = extensions.and_then(|all| all.get::<AnsweredBy>());
            let member = by.map_or(&cause.member, |by| &by.0).clone();
            let own = Cause { member, ..cause };
            causes.splice(at..at, inner.into_iter().flatten().cloned().chain([own]));
        }
        Err(error) => match error.downcast::<FallbackError>() {
            Ok(inner) => {
                let own = Cause {
                    member: inner.0.by.clone(),
                    ..cause.because(inner.0.last)
                };
                let before = inner.0.causes.iter().cloned();
                causes.splice(at..at, before.chain([own]));
            }
            Err(error) => causes.insert(at, cause.because(error)),
        },
    }
}

/// For how long an outcome keeps its member down: one that is a chain itself, until the first of its members is back.
pub(super) fn span(
    spans: Spans,
    verdict: &Verdict,
    why: Result<Option<&Extensions>, &BoxError>,
) -> Option<Duration> {
    let own = spans.of(verdict, why.err())?;
    let inner = match why {
        Ok(extensions) => extensions.and_then(|all| all.get::<Causes>()),
        Err(error) => Causes::find(error.as_ref()),
    };
    let mut inner = inner.into_iter().flatten();
    inner.try_fold(own, |least, cause| Some(least.min(cause.span?)))
}
