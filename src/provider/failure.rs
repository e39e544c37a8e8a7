//! What an error means that came instead of an answer.

use std::{error::Error, io};

use crate::{
    error::{Rejected, causes},
    verdict::Verdict,
};

/// What an error means that came instead of an answer, by whatever is known in its chain of
/// sources.
///
/// | error | verdict |
/// |---|---|
/// | our own [`Rejected`] | `Refused` |
/// | a connection that never came about (I/O kinds, reqwest, hyper-util), tower's load shedding | `Transient { sent: false }` |
/// | a request that reqwest can't build | `Permanent` |
/// | a time-out, and anything unknown | `Transient { sent: true }` |
pub fn classify_error(error: &(dyn Error + 'static)) -> Verdict {
    if Rejected::find(error).is_some() {
        return Verdict::Refused;
    }
    for error in causes(error) {
        if never_left(error) {
            return Verdict::Transient { sent: false };
        }
        #[cfg(feature = "reqwest")]
        if error
            .downcast_ref::<reqwest::Error>()
            .is_some_and(reqwest::Error::is_builder)
        {
            return Verdict::Permanent;
        }
    }
    Verdict::Transient { sent: true }
}

/// Whether this very error says that the request never reached the provider.
fn never_left(error: &(dyn Error + 'static)) -> bool {
    if error.is::<tower::load_shed::error::Overloaded>() {
        return true;
    }
    #[cfg(feature = "reqwest")]
    if let Some(error) = error.downcast_ref::<reqwest::Error>() {
        return error.is_connect();
    }
    #[cfg(feature = "hyper")]
    if let Some(error) = error.downcast_ref::<hyper_util::client::legacy::Error>() {
        return error.is_connect();
    }
    error.downcast_ref::<io::Error>().is_some_and(|error| {
        use io::ErrorKind as K;
        matches!(
            error.kind(),
            K::ConnectionRefused | K::AddrNotAvailable | K::HostUnreachable | K::NetworkUnreachable
        )
    })
}

/// What is behind an error, for those who treat time-outs and connections differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Nothing came in time, be it a connection or an answer.
    TimedOut,
    /// There was no connection, or it broke.
    Connection,
    /// Anything else, or nobody knows.
    Other,
}

#[cfg(any(feature = "hyper", feature = "reqwest"))]
impl Trouble {
    const fn told(timed_out: bool, connection: bool) -> Self {
        match (timed_out, connection) {
            (true, _) => Self::TimedOut,
            (false, true) => Self::Connection,
            (false, false) => Self::Other,
        }
    }
}

/// Looks through an error and all that caused it. A time-out anywhere is a time-out.
pub(crate) fn trouble(error: &(dyn Error + 'static)) -> Trouble {
    let mut found = Trouble::Other;
    for error in causes(error) {
        match trouble_here(error) {
            Trouble::TimedOut => return Trouble::TimedOut,
            Trouble::Connection => found = Trouble::Connection,
            Trouble::Other => {}
        }
    }
    found
}

/// What this very error says.
fn trouble_here(error: &(dyn Error + 'static)) -> Trouble {
    if error.is::<tower::timeout::error::Elapsed>() || error.is::<tokio::time::error::Elapsed>() {
        return Trouble::TimedOut;
    }
    #[cfg(feature = "reqwest")]
    if let Some(error) = error.downcast_ref::<reqwest::Error>() {
        return Trouble::told(error.is_timeout(), error.is_connect() || error.is_request());
    }
    #[cfg(feature = "hyper")]
    if let Some(error) = error.downcast_ref::<hyper_util::client::legacy::Error>() {
        return Trouble::told(false, error.is_connect());
    }
    #[cfg(feature = "hyper")]
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        let broken = error.is_incomplete_message() || error.is_closed() || error.is_canceled();
        return Trouble::told(error.is_timeout(), broken);
    }
    let Some(error) = error.downcast_ref::<io::Error>() else {
        return Trouble::Other;
    };
    use io::ErrorKind as K;
    match error.kind() {
        K::TimedOut => Trouble::TimedOut,
        K::ConnectionRefused
        | K::ConnectionReset
        | K::ConnectionAborted
        | K::NotConnected
        | K::AddrNotAvailable
        | K::HostUnreachable
        | K::NetworkUnreachable
        | K::NetworkDown
        | K::BrokenPipe
        | K::UnexpectedEof => Trouble::Connection,
        _ => Trouble::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{BoxError, Reason, RejectedError};
    use std::fmt;

    #[derive(Debug)]
    struct Wrapped(BoxError);

    impl fmt::Display for Wrapped {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("wrapped")
        }
    }

    impl Error for Wrapped {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(self.0.as_ref())
        }
    }

    fn judge(error: impl Into<BoxError>) -> Verdict {
        let bare = error.into();
        let first = classify_error(bare.as_ref());
        let wrapped = Wrapped(Box::new(Wrapped(bare)));
        assert_eq!(classify_error(&wrapped), first, "wrapping changes nothing");
        first
    }

    #[test]
    fn our_own_refusal_is_known_however_wrapped() {
        let refused = RejectedError::from(Rejected::new(Reason::CircuitOpen));
        assert_eq!(judge(refused), Verdict::Refused);
    }

    #[test]
    fn a_connection_that_never_came_about_was_not_sent() {
        for kind in [
            io::ErrorKind::ConnectionRefused,
            io::ErrorKind::AddrNotAvailable,
            io::ErrorKind::HostUnreachable,
            io::ErrorKind::NetworkUnreachable,
        ] {
            assert_eq!(
                judge(io::Error::from(kind)),
                Verdict::Transient { sent: false }
            );
            let nested = io::Error::other(io::Error::from(kind));
            assert_eq!(judge(nested), Verdict::Transient { sent: false });
        }
        let shed = tower::load_shed::error::Overloaded::new();
        assert_eq!(judge(shed), Verdict::Transient { sent: false });
    }

    #[test]
    fn whatever_else_happened_may_have_been_sent() {
        for kind in [
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::TimedOut,
            io::ErrorKind::BrokenPipe,
            io::ErrorKind::UnexpectedEof,
        ] {
            assert_eq!(
                judge(io::Error::from(kind)),
                Verdict::Transient { sent: true }
            );
        }
        let elapsed = tower::timeout::error::Elapsed::new();
        assert_eq!(judge(elapsed), Verdict::Transient { sent: true });
        assert_eq!(judge("anything"), Verdict::Transient { sent: true });
    }
}
