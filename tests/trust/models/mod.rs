//! Quotas by their handles, against models that are too simple to be wrong.

mod quota;

/// So many histories at least, as many as `PROPTEST_CASES` says where that is more.
fn cases() -> u32 {
    let asked = std::env::var("PROPTEST_CASES").ok();
    let asked = asked.and_then(|n| n.parse().ok());
    asked.unwrap_or(0).max(10_000)
}
