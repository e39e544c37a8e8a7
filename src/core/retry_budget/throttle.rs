//! Tokens that failures use up and successes earn: gRPC's retry throttling (gRFC A6).

/// A token, in the parts that are counted: gRPC's ratios have three decimals.
pub(crate) const TOKEN: u64 = 1_000;

/// Retries are allowed while more than half of the tokens are there.
#[derive(Clone, Debug)]
pub(crate) struct Throttle {
    max: u64,
    gain: u64,
    tokens: u64,
}

impl Throttle {
    /// At most `max` tokens, all there to begin with; a success earns `gain` thousandths of one.
    pub(crate) const fn new(max: u32, gain: u64) -> Self {
        let max = max as u64 * TOKEN;
        Self {
            max,
            gain,
            tokens: max,
        }
    }

    /// A try failed, which costs a token, whether or not there is another try. Says whether there
    /// may be one.
    pub(crate) const fn fail(&mut self) -> bool {
        self.tokens = self.tokens.saturating_sub(TOKEN);
        self.tokens > self.max / 2
    }

    pub(crate) fn succeed(&mut self) {
        self.tokens = self.tokens.saturating_add(self.gain).min(self.max);
    }

    /// In thousandths of a token.
    pub(crate) const fn tokens(&self) -> u64 {
        self.tokens
    }
}
