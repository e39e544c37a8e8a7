//! Another amount for a limit that is there.

use super::{QuotaBuilder, builder::check_limit};
use crate::{
    core::limit::{AnchorKind, Limit, Shape},
    error::ConfigError,
};

/// Refuses a limit that makes no sense, and one that states another shape, burst or transit than the one in `settings` has:
/// nothing but its amount changes.
pub(super) fn check(limit: &Limit, settings: &QuotaBuilder) -> Result<(), ConfigError> {
    check_limit(limit)?;
    let same = |other: &&Limit| (other.resource, other.window) == (limit.resource, limit.window);
    // One that the provider has stated has nothing but its amount.
    let learnt = Limit::new(limit.resource, limit.amount, limit.window);
    let has = settings.limits.iter().find(same).unwrap_or(&learnt);
    let other = match (&limit.shape, limit.burst, limit.transit) {
        (Some(shape), ..) if !shape.is_like(has.shape.as_ref().unwrap_or(&Shape::Rolling)) => {
            format!("of another shape, {shape:?}")
        }
        (_, Some(burst), _) if has.burst != Some(burst) => format!("with a burst of {burst}"),
        (.., Some(transit)) if has.transit_or_default() != transit => {
            format!("with a transit of {transit:?}")
        }
        _ => return Ok(()),
    };
    let problem = format!("{limit} {other}: nothing but the amount can be another");
    Err(ConfigError::new("resize", problem))
}

impl Shape {
    /// As far as can be told: calendars are functions.
    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Rolling, Self::Rolling) | (Self::Bucket, Self::Bucket) => true,
            (Self::Fixed(one), Self::Fixed(other)) => match (&one.0, &other.0) {
                (AnchorKind::Aligned(one), AnchorKind::Aligned(other)) => one == other,
                (AnchorKind::FirstUse, AnchorKind::FirstUse)
                | (AnchorKind::Calendar(_), AnchorKind::Calendar(_)) => true,
                _ => false,
            },
            _ => false,
        }
    }
}
