//! What is told by `tracing`, for those who look.

use std::{
    collections::BTreeMap,
    fmt::{Debug, Write},
    sync::{Arc, Mutex},
};

use tracing::{
    Dispatch, Event, Level, Subscriber,
    field::{Field, Visit},
    span,
    subscriber::{DefaultGuard, NoSubscriber},
};
use tracing_subscriber::{
    Layer, Registry,
    layer::{Context, SubscriberExt},
};

/// What one event or span says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(pub BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = String::new();
        write!(text, "{value:?}").unwrap();
        self.0.insert(field.name(), text);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.into());
    }
}

#[derive(Clone, Debug)]
pub struct Told {
    pub level: Level,
    pub target: &'static str,
    pub fields: Fields,
}

impl Told {
    pub fn message(&self) -> &str {
        self.of("message")
    }

    /// A field; empty where there is none.
    pub fn of(&self, field: &str) -> &str {
        self.fields.0.get(field).map_or("", |value| value)
    }
}

#[derive(Debug, Default)]
struct Heard {
    events: Mutex<Vec<Told>>,
    spans: Mutex<BTreeMap<u64, Fields>>,
}

/// Hears every event of this thread, as long as it lives.
pub struct Events {
    heard: Arc<Heard>,
    _listening: DefaultGuard,
    // While there is one subscriber alone, a place that another test's thread reaches first is thought to interest nobody.
    _second: Dispatch,
}

impl Events {
    pub fn new() -> Self {
        let heard = Arc::new(Heard::default());
        let second = Dispatch::new(NoSubscriber::new());
        let listener = Dispatch::new(Registry::default().with(Listener(Arc::clone(&heard))));
        Self {
            heard,
            _listening: tracing::dispatcher::set_default(&listener),
            _second: second,
        }
    }

    /// All events of ours so far, which are forgotten.
    pub fn take(&self) -> Vec<Told> {
        std::mem::take(&mut *self.heard.events.lock().unwrap())
    }

    /// Those with this message.
    pub fn called(&self, message: &str) -> Vec<Told> {
        let mut events = self.take();
        events.retain(|event| event.message() == message);
        events
    }

    /// The fields of all spans.
    pub fn spans(&self) -> Vec<Fields> {
        let spans = self.heard.spans.lock().unwrap();
        spans.values().cloned().collect()
    }
}

struct Listener(Arc<Heard>);

impl<S: Subscriber> Layer<S> for Listener {
    fn on_new_span(&self, span: &span::Attributes<'_>, id: &span::Id, _: Context<'_, S>) {
        let mut fields = Fields::default();
        span.record(&mut fields);
        let mut spans = self.0.spans.lock().unwrap();
        spans.insert(id.into_u64(), fields);
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, _: Context<'_, S>) {
        if let Some(fields) = self.0.spans.lock().unwrap().get_mut(&id.into_u64()) {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target().starts_with("tower_quota") {
            let mut fields = Fields::default();
            event.record(&mut fields);
            self.0.events.lock().unwrap().push(Told {
                level: *event.metadata().level(),
                target: event.metadata().target(),
                fields,
            });
        }
    }
}
