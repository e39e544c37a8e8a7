//! Looking for bytes that are near.

/// So many bytes are looked at one by one, before the rest at once.
const NEAR: usize = 16;

/// Where the first such byte is. Most are so near that it takes longer to begin a search for them.
#[inline]
pub(super) fn near(
    text: &[u8],
    is: impl Fn(u8) -> bool,
    far: impl FnOnce(&[u8]) -> Option<usize>,
) -> Option<usize> {
    let (first, rest) = text.split_at(text.len().min(NEAR));
    let found = first.iter().position(|byte| is(*byte));
    found.or_else(|| far(rest).map(|at| first.len() + at))
}
