//! Which resource ran out, by the rate headers.

use std::time::Duration;

use crate::{
    core::cost::Resource,
    verdict::{RateReading, RateStatus},
};

/// What is said of one resource.
pub(super) const fn reading(status: &RateStatus, resource: Resource) -> Option<RateReading> {
    Some(match resource {
        Resource::Requests => status.requests,
        Resource::Tokens => status.tokens,
        Resource::InputTokens => status.input_tokens,
        Resource::OutputTokens => status.output_tokens,
        Resource::Unit(_) => return None,
    })
}

/// The resource of which nothing is left, or else the one that is whole again just when the
/// answer says to come back. Where several are so, nothing tells.
pub(super) fn empty_or_due(status: &RateStatus, hint: Option<Duration>) -> Option<Resource> {
    only(status, |reading| reading.remaining == Some(0))
        .or_else(|| only(status, |reading| hint.is_some() && reading.reset == hint))
}

fn only(status: &RateStatus, test: impl Fn(&RateReading) -> bool) -> Option<Resource> {
    let narrow = [
        (Resource::Requests, &status.requests),
        (Resource::OutputTokens, &status.output_tokens),
        (Resource::InputTokens, &status.input_tokens),
    ];
    let mut found = narrow.iter().filter(|(_, reading)| test(reading));
    let tokens = test(&status.tokens);
    match (found.next(), found.next()) {
        (None, _) => tokens.then_some(Resource::Tokens),
        // Anthropic's reading of all tokens repeats the tighter one of input and output.
        (Some((resource, _)), None) => {
            (!tokens || *resource != Resource::Requests).then_some(*resource)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_empty_is_told_and_of_two_the_narrower() {
        let empty = RateReading::new().remaining(0);
        let some = RateReading::new().remaining(7);
        let mut status = RateStatus {
            requests: some,
            tokens: empty,
            input_tokens: some,
            output_tokens: some,
        };
        assert_eq!(empty_or_due(&status, None), Some(Resource::Tokens));
        status.output_tokens = empty;
        assert_eq!(empty_or_due(&status, None), Some(Resource::OutputTokens));
        status.requests = empty;
        assert_eq!(empty_or_due(&status, None), None);
        status.output_tokens = some;
        assert_eq!(empty_or_due(&status, None), None, "requests and tokens");
        status.tokens = some;
        assert_eq!(empty_or_due(&status, None), Some(Resource::Requests));
    }

    #[test]
    fn where_something_is_left_of_all_the_one_that_is_due_is_told() {
        let wait = Duration::from_millis(7_660);
        let status = RateStatus {
            tokens: RateReading::new().remaining(6_200).reset(wait),
            ..RateStatus::new()
        };
        assert_eq!(empty_or_due(&status, Some(wait)), Some(Resource::Tokens));
        assert_eq!(empty_or_due(&status, Some(2 * wait)), None);
        assert_eq!(empty_or_due(&status, None), None);
    }
}
