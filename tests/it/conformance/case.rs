//! Scenarios as they are written down, and what is seen of ours beside what they expect.

use std::{cell::RefCell, collections::BTreeSet, time::Duration};

use serde_json::{Map, Value};

/// Why a case doesn't pass.
pub type Failure = String;

/// A JSON object of which nothing may be overlooked.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    all: Map<String, Value>,
    read: RefCell<BTreeSet<String>>,
}

impl Fields {
    fn new(value: Option<Value>) -> Result<Self, Failure> {
        match value {
            None => Ok(Self::default()),
            Some(Value::Object(all)) => Ok(Self {
                all,
                read: RefCell::default(),
            }),
            Some(other) => Err(format!("{other} isn't an object")),
        }
    }

    pub fn get(&self, key: &str) -> Option<&Value> {
        self.read.borrow_mut().insert(key.to_owned());
        self.all.get(key)
    }

    pub fn has(&self, key: &str) -> bool {
        self.all.contains_key(key)
    }

    /// A number as it stands.
    pub fn number(&self, key: &str) -> Result<Option<f64>, Failure> {
        self.typed(key, "a number", Value::as_f64)
    }

    /// A whole number.
    pub fn count(&self, key: &str) -> Result<Option<u64>, Failure> {
        let whole = |value: &Value| {
            let number = value.as_f64().filter(|n| n.fract() == 0.0 && *n >= 0.0)?;
            Some(value.as_u64().unwrap_or(number as u64))
        };
        self.typed(key, "a whole number", whole)
    }

    pub fn text(&self, key: &str) -> Result<Option<&str>, Failure> {
        self.typed(key, "a string", |value| value.as_str())
    }

    pub fn flag(&self, key: &str) -> Result<bool, Failure> {
        Ok(self
            .typed(key, "true or false", Value::as_bool)?
            .unwrap_or(false))
    }

    /// A span in milliseconds, to the nanosecond.
    pub fn span(&self, key: &str) -> Result<Option<Duration>, Failure> {
        self.number(key)?.map(span).transpose()
    }

    pub fn texts(&self, key: &str) -> Result<Vec<String>, Failure> {
        let texts = self.typed(key, "an array of strings", |value| {
            let texts = value.as_array()?.iter();
            texts.map(|text| Some(text.as_str()?.to_owned())).collect()
        })?;
        Ok(texts.unwrap_or_default())
    }

    /// An object in it, of which nothing may be overlooked either.
    pub fn inner(&self, key: &str) -> Result<Self, Failure> {
        Self::new(self.get(key).cloned())
    }

    /// Objects in an array in it.
    pub fn inners(&self, key: &str) -> Result<Vec<Self>, Failure> {
        let all = self.typed(key, "an array", Value::as_array)?;
        let all = all.into_iter().flatten();
        all.map(|value| Self::new(Some(value.clone()))).collect()
    }

    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.all.keys().map(String::as_str)
    }

    fn typed<'a, T>(
        &'a self,
        key: &str,
        what: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Failure> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => match read(value) {
                None => Err(format!("`{key}` is {value}, not {what}")),
                read => Ok(read),
            },
        }
    }

    /// What nobody asked for is what nobody understands.
    pub fn all_read(&self, of: &str) -> Result<(), Failure> {
        let read = self.read.borrow();
        let unknown = self.all.keys().filter(|key| !read.contains(*key));
        match unknown.collect::<Vec<_>>() {
            unknown if unknown.is_empty() => Ok(()),
            unknown => Err(format!("{of}: unknown {unknown:?}")),
        }
    }
}

/// Milliseconds, of which six decimals count.
pub fn span(ms: f64) -> Result<Duration, Failure> {
    // Whole milliseconds and their decimals apart: together they'd be more than a float holds.
    let nanos = (ms.fract() * 1e6).round() as u64;
    match Duration::try_from_secs_f64(ms.trunc() / 1e3) {
        _ if ms < 0.0 => Err(format!("{ms} ms is before the beginning")),
        Ok(_) if ms < 1e15 => {
            Ok(Duration::from_millis(ms.trunc() as u64) + Duration::from_nanos(nanos))
        }
        Ok(long) => Ok(long),
        Err(_) => Ok(Duration::MAX),
    }
}

pub fn ms(span: Duration) -> f64 {
    span.as_nanos() as f64 / 1e6
}

#[derive(Clone, Debug)]
pub struct Step {
    pub at: Duration,
    pub event: String,
    /// How many times the event happens; what is expected holds after the last.
    pub repeat: u64,
    pub fields: Fields,
    pub expect: Map<String, Value>,
}

#[derive(Clone, Debug)]
pub struct Case {
    pub id: String,
    pub concern: String,
    pub model: String,
    pub stance: String,
    pub config: Fields,
    pub steps: Vec<Step>,
}

impl Case {
    /// One line of the file.
    pub fn parse(line: &str) -> Result<Self, Failure> {
        let value: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let fields = Fields::new(Some(value))?;
        let text = |key: &str| match fields.text(key)? {
            Some(text) => Ok(text.to_owned()),
            None => Err(format!("no `{key}`")),
        };
        for key in ["source", "notes"] {
            fields.get(key);
        }
        let case = Self {
            id: text("id")?,
            concern: text("concern")?,
            model: text("model")?,
            stance: text("stance")?,
            config: fields.inner("config")?,
            steps: (fields.inners("steps")?.into_iter())
                .map(Step::parse)
                .collect::<Result<_, _>>()?,
        };
        if !matches!(&*case.stance, "adopt" | "strengthen" | "profile") {
            return Err(format!("{}: unknown stance {:?}", case.id, case.stance));
        }
        fields.all_read(&case.id)?;
        Ok(case)
    }

    /// All expectations: of which step, and which key.
    pub fn expectations(&self) -> Vec<(usize, String)> {
        let of = |(at, step): (usize, &Step)| {
            let keys = step.expect.keys().cloned();
            keys.map(|key| (at, key)).collect::<Vec<_>>()
        };
        self.steps.iter().enumerate().flat_map(of).collect()
    }

    /// The same with one expectation that can't be true as well.
    pub fn mutated(&self, step: usize, key: &str) -> Self {
        let mut case = self.clone();
        let value = case.steps[step].expect.get_mut(key).expect("it is there");
        mutate(value);
        case
    }
}

fn mutate(value: &mut Value) {
    *value = match &*value {
        Value::Null => Value::from("something"),
        Value::Bool(flag) => Value::from(!flag),
        Value::Number(number) => {
            let number = number.as_f64().expect("a number");
            Value::from(number + 1.5 + number.abs() / 50.0)
        }
        Value::String(text) => Value::from(format!("not {text}")),
        // A range has to move as a whole.
        Value::Array(all) if all.iter().any(Value::is_number) => {
            let highest = all.iter().filter_map(Value::as_f64).fold(0.0, f64::max);
            let moved = |value: &Value| value.as_f64().map(|n| Value::from(n + highest + 1.0));
            all.iter().filter_map(moved).collect()
        }
        Value::Array(all) => (all.iter().cloned())
            .chain([Value::from("and more")])
            .collect(),
        Value::Object(_) => Value::Null,
    };
}

impl Step {
    fn parse(fields: Fields) -> Result<Self, Failure> {
        let expect = match fields.get("expect") {
            None => Map::new(),
            Some(Value::Object(expect)) => expect.clone(),
            Some(other) => return Err(format!("`expect` is {other}")),
        };
        Ok(Self {
            at: fields.span("at_ms")?.ok_or("a step without `at_ms`")?,
            event: fields
                .text("event")?
                .ok_or("a step without `event`")?
                .to_owned(),
            repeat: fields.count("repeat")?.unwrap_or(1),
            expect,
            fields,
        })
    }

    /// Compares what is seen with what is expected. `see` says `None` of what it doesn't know.
    pub fn check(&self, mut see: impl FnMut(&str) -> Option<Seen>) -> Result<(), Failure> {
        for (key, expected) in &self.expect {
            let seen = see(key).ok_or_else(|| format!("unknown expectation `{key}`"))?;
            if !seen.agrees(expected) {
                return Err(format!("`{key}` is {seen:?}, expected {expected}"));
            }
        }
        Ok(())
    }

    pub fn unknown<T>(&self) -> Result<T, Failure> {
        Err(format!("unknown event `{}`", self.event))
    }

    /// Names the step in a failure.
    pub fn failed(&self, at: usize, why: &str) -> Failure {
        format!("step {at} ({} at {:?}): {why}", self.event, self.at)
    }
}

/// What is seen of ours after a step.
#[derive(Clone, Debug)]
pub enum Seen {
    Number(f64),
    /// A number of which only so much is promised.
    About(f64, f64),
    /// A number in two readings.
    Either(f64, f64),
    /// A number that has to lie in a range.
    Inside(f64),
    Text(String),
    /// What others call by different names.
    AnyOf(&'static [&'static str]),
    Flag(bool),
    Numbers(Vec<f64>),
    Texts(Vec<String>),
    /// There is no such thing at this point.
    Nothing,
}

impl Seen {
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// Milliseconds, or `none` where there is no such span.
    pub fn ms(time: Option<Duration>, none: f64) -> Self {
        Self::Number(time.map_or(none, ms))
    }

    fn agrees(&self, expected: &Value) -> bool {
        let near = |seen: f64, expected: f64, slack: f64| {
            // A nanosecond of milliseconds, and what floats lose of large numbers.
            (seen - expected).abs() <= slack.max(1e-6).max(expected.abs() * 1e-12)
        };
        let numbers =
            || -> Option<Vec<f64>> { expected.as_array()?.iter().map(Value::as_f64).collect() };
        let texts =
            || -> Option<Vec<&str>> { expected.as_array()?.iter().map(Value::as_str).collect() };
        match self {
            Self::Number(seen) => expected.as_f64().is_some_and(|it| near(*seen, it, 0.0)),
            Self::About(seen, slack) => expected.as_f64().is_some_and(|it| near(*seen, it, *slack)),
            Self::Either(one, other) => {
                (expected.as_f64()).is_some_and(|it| near(*one, it, 0.0) || near(*other, it, 0.0))
            }
            Self::Inside(seen) => numbers()
                .is_some_and(|range| matches!(*range, [low, high] if (low..=high).contains(seen))),
            Self::Text(seen) => expected.as_str() == Some(seen),
            Self::AnyOf(seen) => expected.as_str().is_some_and(|it| seen.contains(&it)),
            Self::Flag(seen) => expected.as_bool() == Some(*seen),
            Self::Numbers(seen) => numbers().is_some_and(|it| {
                it.len() == seen.len()
                    && it.iter().zip(seen).all(|(it, seen)| near(*seen, *it, 0.0))
            }),
            Self::Texts(seen) => texts().is_some_and(|it| it == *seen),
            Self::Nothing => expected.is_null(),
        }
    }
}
