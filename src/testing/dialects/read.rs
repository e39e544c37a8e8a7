//! What the bodies of all APIs have in common.

use std::sync::Arc;

use serde_json::Value;

use super::super::complaint::Complaint;

pub(in super::super) fn json(body: &[u8]) -> Result<Value, Complaint> {
    serde_json::from_slice(body).map_err(|_| Complaint::not_json())
}

pub(super) fn model(body: &Value) -> Result<Arc<str>, Complaint> {
    match body.get("model") {
        Some(Value::String(model)) if !model.is_empty() => Ok(model.as_str().into()),
        _ => Err(Complaint::no_model()),
    }
}

pub(super) fn number(body: &Value, name: &'static str) -> Result<Option<u64>, Complaint> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64() {
            Some(number) => Ok(Some(number)),
            None => Err(Complaint::wrong(name, "an integer of at least 0")),
        },
    }
}

/// A list with something in it.
pub(super) fn list<'a>(body: &'a Value, name: &'static str) -> Result<&'a [Value], Complaint> {
    match body.get(name) {
        Some(Value::Array(list)) if !list.is_empty() => Ok(list),
        None | Some(Value::Null) => Err(Complaint::missing(name)),
        Some(_) => Err(Complaint::wrong(name, "a list of messages")),
    }
}

/// The text of what is a string or a list of parts.
pub(super) fn text(content: Option<&Value>) -> String {
    match content {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts
            .iter()
            .filter_map(|part| part.get("text")?.as_str())
            .collect(),
        _ => String::new(),
    }
}
