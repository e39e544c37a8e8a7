//! What a layer asks of the service inside of it.

/// A service of which there can be more than one: all that are `Clone`.
///
/// A request that must wait gives the instance that was readied back, so that others can use it, and
/// comes later with a clone; what is sent again goes through a clone, too. Asked for where a layer meets its service,
/// so that the compiler says so there and not where the stack is called.
#[diagnostic::on_unimplemented(
    message = "a layer that waits or tries again needs an inner service that is `Clone`; `{Self}` isn't",
    label = "not `Clone`",
    note = "box it by `tower::util::BoxCloneService` instead of `BoxService`, or put a `tower::buffer::BufferLayer` between the two"
)]
pub trait CloneInner: Clone {}

// Else the compiler would speak of `Clone` alone.
#[diagnostic::do_not_recommend]
impl<S: Clone> CloneInner for S {}
