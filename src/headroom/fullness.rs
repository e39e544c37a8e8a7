/// How full a quota is: less is more room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fullness(u64);

impl Fullness {
    pub(super) const fn new(millionths: u64) -> Self {
        Self(millionths)
    }

    /// In millionths of its fullest limit, those included that wait in line: above 1,000,000 where requests wait.
    pub const fn millionths(self) -> u64 {
        self.0
    }
}
