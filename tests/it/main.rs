//! All integration tests, in one binary because that links faster.

#[cfg(feature = "testing")]
mod testing_box;
