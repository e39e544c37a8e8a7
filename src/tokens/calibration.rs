//! What is learnt of every model.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use http::Request;

use super::{
    address::{self, Address},
    estimate::{Estimate, read, unread},
    fit::Fit,
    tally::{Scale, Sum},
    text::Traits,
};
use crate::{body::ReplayBody, core::cost::Cost, verdict::Usage};

/// How many models are told apart, at the most.
const MOST_MODELS: usize = 64;
/// A longer name isn't a model's.
const LONGEST: usize = 256;

/// Estimates that learn, of each model by itself, from what its answers say they used. A handle: clones share it.
///
/// See the [module](crate::tokens) for how well it does. It takes 4 KiB for each of at most 64 models; those above that,
/// whose answers say nothing, or that are named nowhere, count as [`estimate`](super::estimate) does. A model that has
/// answered keeps its place.
///
/// ```
/// use http::Request;
/// use tower_quota::{Resource, Usage, tokens::Calibration};
///
/// let calibration = Calibration::new();
/// let request = Request::new(r#"{"model":"some","messages":[{"role":"user","content":"漢字漢字漢字漢字漢字漢字"}]}"#);
/// let (cost, lesson) = calibration.weigh(&request).unwrap();
/// assert_eq!(cost.of(Resource::InputTokens), 21);
/// // … send it …
/// lesson.unwrap().learn(&Usage::new(14, 40));
/// let (cost, _) = calibration.weigh(&request).unwrap();
/// assert!(cost.of(Resource::InputTokens) < 19);
/// assert_eq!(calibration.models()[0].answers, 1);
/// ```
#[derive(Clone, Default)]
pub struct Calibration {
    models: Arc<RwLock<HashMap<Box<str>, Arc<Model>>>>,
}

/// What is learnt of one model.
struct Model(Mutex<Fit>);

impl Model {
    fn fit(&self) -> MutexGuard<'_, Fit> {
        // Consistent after each call, whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far a [`Calibration`] has come with one model.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Calibrated {
    /// The model's name.
    pub model: String,
    /// How many answers it has learnt from.
    pub answers: u64,
    /// How far off its estimates were, of the last twenty answers or so, as a part of what was counted; without the margin.
    pub error: f64,
}

impl Calibration {
    /// One that has learnt nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// [`tokens::estimate`](super::estimate), by what is learnt of the body's model.
    pub fn estimate<'a>(&self, body: &'a [u8]) -> Option<Estimate<'a>> {
        let read = read(body, Scale::BYTES, &Address::default())?;
        let model = read.model().and_then(|name| self.known(name));
        Some(read.estimate(input(model.as_deref(), &read.sum)))
    }

    /// Tokens of a text by itself, by what is learnt of `model`: to pack several into one request.
    pub fn count_text(&self, model: &str, text: &str) -> u64 {
        let mut sum = Sum::default();
        sum.traits.text(text.as_bytes());
        input(self.known(address::bare(model)).as_deref(), &sum)
    }

    /// What a request will cost, where its body can be read ahead, and what its answer can teach, where it can: of a JSON
    /// body that is all text, to a model that is named in the address or in the body.
    pub fn weigh<B: ReplayBody>(&self, request: &Request<B>) -> Option<(Cost, Option<Lesson>)> {
        address::of(request.uri(), |address| {
            request.body().look(|body| {
                let Some(read) = read(body, Scale::BYTES, address) else {
                    return (unread(body), None);
                };
                let model = address.model.or(read.model());
                let model = model.and_then(|name| self.model(name));
                let cost = read.cost(input(model.as_deref(), &read.sum));
                let lesson = model.filter(|_| !read.sum.blurred);
                let lesson = lesson.map(|model| Lesson {
                    model,
                    traits: read.sum.traits,
                    tokens: read.sum.tokens,
                });
                (cost, lesson)
            })
        })
    }

    /// The models that have answered, by name.
    pub fn models(&self) -> Vec<Calibrated> {
        let models = self.models.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = models
            .iter()
            .map(|(name, model)| {
                let fit = model.fit();
                Calibrated {
                    model: name.to_string(),
                    answers: fit.answers(),
                    error: fit.error(),
                }
            })
            .filter(|model| model.answers > 0)
            .collect();
        all.sort_by(|a, b| a.model.cmp(&b.model));
        all
    }

    /// The model of that name, if it was met before.
    fn known(&self, name: &str) -> Option<Arc<Model>> {
        let models = self.models.read().unwrap_or_else(PoisonError::into_inner);
        models.get(name).cloned()
    }

    /// The model of that name, where there is room for it.
    fn model(&self, name: &str) -> Option<Arc<Model>> {
        if let Some(model) = self.known(name) {
            return Some(model);
        }
        if name.is_empty() || name.len() > LONGEST {
            return None;
        }
        let mut models = self.models.write().unwrap_or_else(PoisonError::into_inner);
        if models.len() >= MOST_MODELS && !models.contains_key(name) {
            // Made-up names are never answered, so that they can't take anyone's place.
            let idle =
                |model: &Arc<Model>| Arc::strong_count(model) == 1 && model.fit().answers() == 0;
            let idle = models.iter().find(|(_, model)| idle(model));
            let name = idle.map(|(name, _)| name.clone())?;
            models.remove(&name);
        }
        let model = models.entry(name.into());
        Some(Arc::clone(
            model.or_insert_with(|| Arc::new(Model(Mutex::new(Fit::new())))),
        ))
    }
}

/// Tokens of what was found.
fn input(model: Option<&Model>, sum: &Sum) -> u64 {
    match model {
        Some(model) => model.fit().estimate(&sum.traits).saturating_add(sum.tokens),
        None => sum.first_tokens(),
    }
}

impl fmt::Debug for Calibration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Calibration").field(&self.models()).finish()
    }
}

/// What a request is made of, kept until its answer says what that came to.
#[derive(Clone)]
pub struct Lesson {
    model: Arc<Model>,
    traits: Traits,
    // Those that are known without learning.
    tokens: u64,
}

impl Lesson {
    /// Learns from what the request has used. Figures that can't be true, and outliers, do no harm.
    pub fn learn(&self, usage: &Usage) {
        if let Some(tokens) = usage.input_tokens.checked_sub(self.tokens) {
            self.model.fit().learn(&self.traits, tokens);
        }
    }
}

impl fmt::Debug for Lesson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lesson(..)")
    }
}
