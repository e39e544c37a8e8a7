//! What a request takes, and how limits are named.

use std::time::Duration;

use crate::core::{
    cost::{Cost, Resource},
    limit::Limit,
};

const ALL: [Resource; 6] = [
    Resource::Requests,
    Resource::Tokens,
    Resource::InputTokens,
    Resource::OutputTokens,
    Resource::Unit("images"),
    Resource::Unit("seconds"),
];

fn all(cost: &Cost) -> [u64; 6] {
    ALL.map(|resource| cost.of(resource))
}

/// One request of 100 and 20 tokens, with three images.
fn some() -> Cost {
    Cost::input_output(100, 20).unit("images", 3)
}

#[test]
fn a_cost_takes_what_it_was_made_of() {
    assert_eq!(all(&Cost::none()), [0; 6]);
    assert_eq!(all(&Cost::request()), [1, 0, 0, 0, 0, 0]);
    assert_eq!(all(&Cost::tokens(7)), [1, 7, 7, 7, 0, 0]);
    assert_eq!(all(&some()), [1, 120, 100, 20, 3, 0]);
    assert_eq!(all(&some().requests(4)), [4, 120, 100, 20, 3, 0]);
    assert_eq!(
        Cost::input_output(u64::MAX, 1).of(Resource::Tokens),
        u64::MAX
    );
}

#[test]
fn a_unit_is_named_once_and_beside_others() {
    let both = some().unit("seconds", 9);
    assert_eq!(all(&both), [1, 120, 100, 20, 3, 9]);
    assert_eq!(all(&both.unit("images", 5)), [1, 120, 100, 20, 5, 9]);
    // Clones share them.
    assert!(some().units().is_some() && Cost::tokens(1).units().is_none());
}

#[test]
fn other_tokens_leave_requests_and_units_alone() {
    let other = some().requests(2).with_tokens(9, 8, 7);
    assert_eq!(all(&other), [2, 9, 8, 7, 3, 0]);
}

#[test]
fn less_output_takes_as_much_off_the_whole() {
    let limited = |output| {
        let mut cost = some();
        cost.limit_output(output);
        cost
    };
    assert_eq!(all(&limited(5)), [1, 105, 100, 5, 3, 0]);
    assert_eq!(limited(20), some());
    assert_eq!(limited(21), some());
}

#[test]
fn what_is_left_of_a_cost_and_what_was_taken_off_make_it_up_again() {
    let part = Cost::input_output(30, 20).requests(0).unit("images", 1);
    let rest = some().without(&part);
    assert_eq!(all(&rest), [1, 70, 70, 0, 2, 0]);
    assert_eq!(rest.plus(&part), some());
    assert_eq!(all(&part.without(&some())), [0; 6]);
    let sum = some().plus(&Cost::none().unit("seconds", 2));
    assert_eq!(all(&sum), [1, 120, 100, 20, 3, 2]);
}

#[test]
fn limits_are_named_by_amount_resource_and_window() {
    let per = |window| Limit::requests(5, window).to_string();
    assert_eq!(per(Duration::from_secs(1)), "5 requests per second");
    assert_eq!(per(Duration::from_secs(60)), "5 requests per minute");
    assert_eq!(per(Duration::from_secs(86_400)), "5 requests per day");
    assert_eq!(per(Duration::from_millis(1_500)), "5 requests per 1.5s");
    let request = crate::core::limit::LimitId::per_request(8_000);
    assert_eq!(request.to_string(), "8000 tokens per request");
    let names = ALL.map(|resource| resource.to_string());
    let [.., input, output, images, _] = &names;
    assert_eq!(
        [input, output, images],
        ["input tokens", "output tokens", "images"]
    );
    assert_eq!(
        Limit::tokens_per_day(9).window(),
        Duration::from_secs(86_400)
    );
}

#[test]
fn a_cost_shows_all_of_it_and_knows_whether_it_is_of_one_request() {
    let cost = Cost::input_output(3, 4).requests(2).unit("images", 5);
    assert_eq!(
        format!("{cost:?}"),
        "Cost { requests: 2, tokens: 7, input: 3, output: 4, units: Some([(\"images\", 5)]) }"
    );
    for (cost, is_one) in [
        (Cost::tokens(9), true),
        (Cost::none(), false),
        (Cost::tokens(9).requests(2), false),
        (Cost::request().unit("images", 1), false),
        (Cost::none().unit("images", 1), false),
    ] {
        assert_eq!(cost.is_one_request(), is_one, "{cost:?}");
    }
}
