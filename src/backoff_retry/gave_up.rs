use std::fmt;

use crate::marked::Marked;

/// Why an outcome that may have been another next time wasn't tried again.
///
/// Left in the extensions of the last `http` answer, from where it comes through to reqwest's; other answers, and errors,
/// have no place for it: there the event tells. A success carries nothing, nor does an answer that is final by itself.
///
/// ```
/// # fn look(response: http::Response<()>) {
/// use tower_quota::backoff_retry::GaveUp;
///
/// if let Some(why) = GaveUp::of(&response) {
///     println!("{}: {why}", response.status());
/// }
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GaveUp {
    /// It was tried as often as [`attempts`](super::BackoffRetryLayer::attempts) says.
    AttemptsUsed,
    /// The provider asks for a longer wait than [`max_hint`](super::BackoffRetryLayer::max_hint).
    HintTooLong,
    /// A limit of an hour or more was reached, and nobody says when to come back.
    WindowTooLong,
    /// The [`deadline`](super::BackoffRetryLayer::deadline) would have passed, or has.
    PastDeadline,
    /// The [budget](super::RetryBudget) is empty.
    NoBudget,
    /// The request may not be sent twice, or couldn't be copied.
    NotRepeatable,
    /// The retry never left: the inner service failed to become ready, or a limit further out refused another charge.
    NotSent,
}

impl GaveUp {
    /// The mark that the outermost retry layer has left in the response's extensions.
    pub fn of(response: &impl Marked) -> Option<Self> {
        response.marks().get::<Self>().copied()
    }
}

impl fmt::Display for GaveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AttemptsUsed => "no attempts are left",
            Self::HintTooLong => "the provider asks to wait too long",
            Self::WindowTooLong => "the limit's window is too long to wait for",
            Self::PastDeadline => "the deadline is too near",
            Self::NoBudget => "the retry budget is empty",
            Self::NotRepeatable => "the request can't be sent again",
            Self::NotSent => "the retry couldn't be sent",
        })
    }
}
