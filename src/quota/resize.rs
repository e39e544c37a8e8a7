//! Another amount for a limit that is there.

use std::{sync::Arc, time::SystemTime};

use super::{QuotaBuilder, builder::check_limit};
use crate::{
    core::limit::{AnchorKind, Limit, Shape},
    error::ConfigError,
};

/// The next boundary of a calendar.
type Next = Arc<dyn Fn(SystemTime) -> SystemTime + Send + Sync>;

/// Refuses a limit that makes no sense, and one that states another shape, burst or transit than the one in `settings` has:
/// nothing but its amount changes.
pub(super) fn check(limit: &Limit, settings: &QuotaBuilder) -> Result<(), ConfigError> {
    check_limit(limit)?;
    let same = |other: &&Limit| (other.resource, other.window) == (limit.resource, limit.window);
    // One that the provider has stated has nothing but its amount.
    let learnt = Limit::new(limit.resource, limit.amount, limit.window);
    let has = settings.limits.iter().find(same).unwrap_or(&learnt);
    let other = match (&limit.shape, limit.burst, limit.transit) {
        // One that is made anew each time is another function, and no other calendar.
        (Some(shape), ..) if !limit.moves_like(has, |_, _| true) => {
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

impl Limit {
    /// Its shape, rolling where none is stated.
    fn stated_shape(&self) -> &Shape {
        self.shape.as_ref().unwrap_or(&Shape::Rolling)
    }

    /// Whether windows move as those of the other. Calendars are functions: whether two are the same, `calendars` tells.
    pub(super) fn moves_like(
        &self,
        other: &Self,
        calendars: impl FnOnce(&Next, &Next) -> bool,
    ) -> bool {
        match (self.stated_shape(), other.stated_shape()) {
            (Shape::Rolling, Shape::Rolling) | (Shape::Bucket, Shape::Bucket) => true,
            (Shape::Fixed(one), Shape::Fixed(other)) => match (&one.0, &other.0) {
                (AnchorKind::FirstUse, AnchorKind::FirstUse) => true,
                (AnchorKind::Aligned(one), AnchorKind::Aligned(other)) => one == other,
                (AnchorKind::Calendar(one), AnchorKind::Calendar(other)) => calendars(one, other),
                _ => false,
            },
            _ => false,
        }
    }
}
