//! What a request will cost.

use crate::core::cost::Cost;

/// One request whose body is `body`: four bytes a token, and 1,024 tokens for the answer.
pub(crate) fn estimate_cost(body: &[u8]) -> Cost {
    Cost::input_output((body.len() as u64).div_ceil(4), 1_024)
}
