//! Who asks: people with pauses, and workers without.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{task::JoinSet, time::sleep};
use tower::ServiceExt;
use tower_quota::BoxError;

use super::stack::{MODELS, Stack, lock};

/// So many callers at the most; of every eight of them five are people.
const MOST: usize = 64;

/// Callers on their way; dropped, they stop.
pub(crate) struct Load {
    /// How many of them ask.
    active: Arc<AtomicUsize>,
    _callers: JoinSet<()>,
}

impl Load {
    pub(crate) fn start(stack: &Stack) -> Self {
        let active = Arc::new(AtomicUsize::new(24));
        let mut callers = JoinSet::new();
        for number in 0..MOST {
            callers.spawn(call(number, stack.clone(), active.clone()));
        }
        Self {
            active,
            _callers: callers,
        }
    }

    /// Eight callers more or fewer.
    pub(crate) fn change(&self, by: isize) {
        let now = self.active.load(Relaxed);
        let now = now.saturating_add_signed(8 * by).clamp(8, MOST);
        self.active.store(now, Relaxed);
    }
}

async fn call(number: usize, stack: Stack, active: Arc<AtomicUsize>) {
    let background = number % 8 >= 5;
    loop {
        if number >= active.load(Relaxed) {
            sleep(Duration::from_millis(100)).await;
            continue;
        }
        if ask(&stack, background).await.is_err() || !background {
            let pause = 0.5 + 2.5 * rand::random::<f64>();
            sleep(Duration::from_secs_f64(pause)).await;
        }
    }
}

async fn ask(stack: &Stack, background: bool) -> Result<(), BoxError> {
    let model = &MODELS[usize::from(background)];
    let words = 20 + (120.0 * rand::random::<f64>()) as usize;
    let body = json!({"model": model.name, "max_tokens": 40 + words,
        "messages": [{"role": "user", "content": "quota ".repeat(words)}]});
    let mut request = reqwest::Request::new(reqwest::Method::POST, stack.url.parse()?);
    if background {
        request.headers_mut().insert("x-background", "1".parse()?);
    }
    *request.body_mut() = Some(body.to_string().into());
    let answer = stack.service.clone().oneshot(request).await?;
    let answer: Value = answer.error_for_status()?.json().await?;
    let tokens = |name: &str| answer["usage"][name].as_u64().unwrap_or_default();
    let model = answer["model"].as_str().unwrap_or_default().to_owned();
    let mut sums = lock(&stack.tally.tokens);
    let sums = sums.entry(model).or_default();
    sums.0 += tokens("prompt_tokens");
    sums.1 += tokens("completion_tokens");
    Ok(())
}
