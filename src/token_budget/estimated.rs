use http::{Request, header::CONTENT_LENGTH};

use crate::{
    admission::{Charge, CostAlone, Unkeyed},
    body::ReplayBody,
    core::cost::Cost,
    tokens::{self, Calibration, Lesson},
};

/// A request costs one request, and the tokens estimated from its JSON body.
///
/// See [`tokens`] for what is counted, and how the estimates learn. A body that can't be read ahead is estimated by its
/// `content-length`: a token for four bytes, and [`tokens::OUTPUT`] more.
#[derive(Clone, Debug)]
pub struct Estimated {
    calibration: Option<Calibration>,
    #[cfg(feature = "tiktoken")]
    exact: bool,
}

impl CostAlone for Estimated {}
impl Unkeyed for Estimated {}

impl Default for Estimated {
    fn default() -> Self {
        Self::by(Some(Calibration::new()))
    }
}

impl Estimated {
    const fn by(calibration: Option<Calibration>) -> Self {
        Self {
            calibration,
            #[cfg(feature = "tiktoken")]
            exact: false,
        }
    }

    pub(super) fn calibrate(&mut self, calibration: Option<Calibration>) {
        self.calibration = calibration;
    }

    pub(super) const fn calibration(&self) -> Option<&Calibration> {
        self.calibration.as_ref()
    }

    #[cfg(feature = "tiktoken")]
    pub(super) fn count_exactly(&mut self) {
        self.exact = true;
    }

    /// What the request's own tokenizer counts, where that is wanted and known.
    fn exact<B: ReplayBody>(&self, request: &Request<B>) -> Option<Cost> {
        #[cfg(feature = "tiktoken")]
        if self.exact {
            return tokens::exact::estimate_request(request);
        }
        let _ = request;
        None
    }
}

impl<B: ReplayBody> Charge<Request<B>> for Estimated {
    fn cost(&self, request: &Request<B>) -> Cost {
        self.weigh(request).0
    }

    fn weigh(&self, request: &Request<B>) -> (Cost, Option<Lesson>) {
        if let Some(cost) = self.exact(request) {
            return (cost, None);
        }
        let weighed = match &self.calibration {
            Some(calibration) => calibration.weigh(request),
            None => tokens::estimate_request(request).map(|cost| (cost, None)),
        };
        weighed.unwrap_or_else(|| {
            let length = request.headers().get(CONTENT_LENGTH);
            let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
            let input = length.unwrap_or(0).div_ceil(4);
            (Cost::input_output(input, tokens::OUTPUT), None)
        })
    }
}
