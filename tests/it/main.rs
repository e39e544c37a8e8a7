//! All integration tests in one binary, so that they link once.

mod provider;
#[cfg(feature = "testing")]
mod testing_box;
