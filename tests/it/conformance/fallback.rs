//! A chain behind a first service that says what the case says: `fallback`.

use std::{
    error::Error,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower::{Layer, Service, ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_quota::{
    BoxError, CircuitBreakerLayer, CircuitHandle, Classify, FallbackLayer, Reason, Rejected,
    Verdict, fallback::Causes,
};

use super::case::{Case, Failure, Seen, Step};
use crate::support::mock::request;

type Link = BoxCloneSyncService<Request<Bytes>, Response<Full<Bytes>>, BoxError>;

/// What an answer says, or an error.
#[derive(Clone, Debug)]
struct Word(String);

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Word {}

/// A service that says a word, and how often it was asked.
fn says(word: Arc<Mutex<String>>, calls: Arc<AtomicU64>) -> Link {
    BoxCloneSyncService::new(service_fn(move |_| {
        calls.fetch_add(1, SeqCst);
        let word = Word(word.lock().unwrap().clone());
        async move {
            if word.0.starts_with("error:") {
                return Err(BoxError::from(word));
            }
            let status = word
                .0
                .parse()
                .ok()
                .and_then(|it| StatusCode::from_u16(it).ok());
            let mut answer = Response::new(Full::default());
            *answer.status_mut() = status.unwrap_or(StatusCode::OK);
            answer.extensions_mut().insert(word);
            Ok(answer)
        }
    }))
}

fn of_answer<B>(answer: &Response<B>) -> String {
    let word = answer.extensions().get::<Word>();
    word.map_or_else(|| "nothing".to_owned(), |word| word.0.clone())
}

/// The word of an error, which may be wrapped; a refusal's is its reason.
fn of_error(error: &(dyn Error + 'static)) -> String {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(word) = error.downcast_ref::<Word>() {
            return word.0.clone();
        }
        next = error.source();
    }
    match Rejected::find(error).map(|rejected| rejected.reason) {
        Some(Reason::CircuitOpen) => "error:circuit_open".to_owned(),
        Some(_) => "error:rate_limited".to_owned(),
        None => format!("error:{error}"),
    }
}

/// What is to be handled by a fallback.
#[derive(Clone)]
struct Handles(Vec<String>);

impl Handles {
    fn handle(&self, word: &str) -> bool {
        self.0
            .iter()
            .any(|pattern| match pattern.strip_suffix('*') {
                Some(start) => word.starts_with(start),
                None => word == pattern,
            })
    }
}

impl<B> Classify<Response<B>> for Handles {
    fn classify(&self, outcome: Result<&Response<B>, &BoxError>) -> Verdict {
        match outcome {
            Ok(answer) if self.handle(&of_answer(answer)) => Verdict::Transient { sent: true },
            Ok(_) => Verdict::Success,
            Err(error) if self.handle(&of_error(error.as_ref())) => {
                Verdict::Transient { sent: true }
            }
            Err(_) => Verdict::Permanent,
        }
    }
}

/// What came of one call.
struct Came {
    result: String,
    cause: Option<String>,
    fell_back: bool,
}

impl Came {
    fn of<B>(outcome: Result<Response<B>, BoxError>) -> Self {
        let (result, causes, fell_back) = match &outcome {
            Ok(answer) => {
                let causes = Causes::of(answer);
                (of_answer(answer), causes, causes.is_some())
            }
            Err(error) => {
                let causes = Causes::find(error.as_ref());
                (of_error(error.as_ref()), causes, causes.is_some())
            }
        };
        let cause = causes.map(|causes| {
            let cause = causes.last();
            match cause.error() {
                Some(error) => of_error(error),
                None => {
                    (cause.status()).map_or_else(String::new, |status| status.as_str().to_owned())
                }
            }
        });
        Self {
            result,
            cause,
            fell_back,
        }
    }
}

struct World<S> {
    service: S,
    word: Arc<Mutex<String>>,
    circuit: CircuitHandle,
    // Calls of the first service and of all others; events.
    counts: [Arc<AtomicU64>; 3],
}

pub async fn replay(case: &Case) -> Result<(), Failure> {
    let config = &case.config;
    let handles = Handles(config.texts("handles")?);
    let [first, others, events] = std::array::from_fn(|_| Arc::new(AtomicU64::new(0)));
    let link = |word: String| says(Arc::new(Mutex::new(word)), Arc::clone(&others));
    let links: Vec<Link> = config.texts("chain")?.into_iter().map(link).collect();
    config.all_read("config")?;
    let word = Arc::new(Mutex::new(String::new()));
    let breaker = CircuitBreakerLayer::new();
    let circuit = breaker.handle();
    let primary = breaker.layer(says(Arc::clone(&word), Arc::clone(&first)));
    let world = World {
        service: FallbackLayer::chain(links).classify(handles).layer(primary),
        word,
        circuit,
        counts: [first, others, events],
    };
    for (number, step) in case.steps.iter().enumerate() {
        let done = world.step(step).await;
        done.map_err(|why| step.failed(number, &why))?;
    }
    Ok(())
}

impl<S, B> World<S>
where
    S: Service<Request<Bytes>, Response = Response<B>, Error = BoxError> + Clone,
{
    async fn step(&self, step: &Step) -> Result<(), Failure> {
        let fields = &step.fields;
        let before = self.counted();
        let mut came = None;
        match &*step.event {
            "call" => {
                let word = fields.text("primary")?.ok_or("no `primary`")?;
                word.clone_into(&mut self.word.lock().unwrap());
                match fields.text("breaker")? {
                    None | Some("closed") => self.circuit.reset(),
                    Some("open" | "forced_open") => self.circuit.force_open(),
                    Some(other) => return Err(format!("unknown `breaker` {other:?}")),
                }
                let cancelled = fields.flag("caller_cancelled")?;
                for _ in 0..step.repeat {
                    let call = self.service.clone().oneshot(request());
                    if cancelled {
                        drop(call);
                        continue;
                    }
                    let outcome = Came::of(call.await);
                    self.counts[2].fetch_add(u64::from(outcome.fell_back), SeqCst);
                    came = Some(outcome);
                }
            }
            "read" => {}
            _ => return step.unknown(),
        }
        fields.all_read("step")?;
        let all = self.counted();
        // Of this step, or since the beginning: the cases don't say.
        let count = |which: usize| Seen::Either(all[which] - before[which], all[which]);
        step.check(|key| {
            Some(match key {
                "result" => match &came {
                    Some(came) => Seen::text(came.result.clone()),
                    None => Seen::text("cancelled"),
                },
                "cause" => {
                    let cause = came.as_ref().and_then(|came| came.cause.clone());
                    cause.map_or(Seen::Nothing, Seen::Text)
                }
                "primary_calls" => count(0),
                "fallback_calls" => count(1),
                "events" => count(2),
                _ => return None,
            })
        })
    }

    fn counted(&self) -> [f64; 3] {
        self.counts
            .each_ref()
            .map(|count| count.load(SeqCst) as f64)
    }
}
