//! Whose turn it is.

/// Smooth weighted round robin: each turn, everybody's claim grows by their weight; who claims most gets it and pays all the
/// weights.
#[derive(Debug)]
pub(super) struct Turns {
    weights: Vec<u32>,
    claims: Vec<i64>,
}

impl Turns {
    pub(super) fn new(weights: Vec<u32>) -> Self {
        Self {
            claims: vec![0; weights.len()],
            weights,
        }
    }

    pub(super) fn weights(&self) -> &[u32] {
        &self.weights
    }

    /// Sets one weight, unless none would be left then.
    pub(super) fn set(&mut self, index: usize, weight: u32) -> bool {
        let mut others = self
            .weights
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != index);
        if weight == 0 && others.all(|(_, weight)| *weight == 0) {
            return false;
        }
        self.weights[index] = weight;
        self.claims.fill(0);
        true
    }

    pub(super) fn next(&mut self) -> usize {
        let mut all = 0;
        let mut most = None;
        for (at, (claim, weight)) in self.claims.iter_mut().zip(&self.weights).enumerate() {
            *claim += i64::from(*weight);
            all += i64::from(*weight);
            if *weight > 0 && most.is_none_or(|(_, best)| *claim > best) {
                most = Some((at, *claim));
            }
        }
        let (turn, _) = most.expect("somebody has a weight");
        self.claims[turn] -= all;
        turn
    }
}
