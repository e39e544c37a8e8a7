//! Which errand a request is on.

use http::{Method, header, request::Parts};
use serde_json::Value;

use super::{
    super::{complaint::Complaint, dialects::json},
    Errand, multipart,
};

/// OpenAI takes files of up to 200 MB for batches.
const MOST_BYTES: usize = 200_000_000;

/// Reads a request for what stands below the address; `None` where it isn't about files or batches.
pub(in super::super) fn read(
    parts: &Parts,
    below: &str,
    body: &[u8],
) -> Option<Result<Errand, Complaint>> {
    let way = below.strip_prefix("/v1/")?;
    let way: Vec<&str> = way.split('/').collect();
    let id = |id: &str| id.to_owned();
    let errand = match (&parts.method, &way[..]) {
        (&Method::POST, ["files"]) => upload(parts, body),
        (&Method::GET, ["files"]) => Ok(Errand::Files),
        (&Method::GET, ["files", file]) => Ok(Errand::File(id(file))),
        (&Method::GET, ["files", file, "content"]) => Ok(Errand::Content(id(file))),
        (&Method::DELETE, ["files", file]) => Ok(Errand::Delete(id(file))),
        (&Method::POST, ["batches"]) => create(body),
        (&Method::GET, ["batches"]) => Ok(Errand::Batches),
        (&Method::GET, ["batches", batch]) => Ok(Errand::Batch(id(batch))),
        (&Method::POST, ["batches", batch, "cancel"]) => Ok(Errand::Cancel(id(batch))),
        (
            method,
            ["files" | "batches"]
            | ["files" | "batches", _]
            | ["files", _, "content"]
            | ["batches", _, "cancel"],
        ) => Err(Complaint::wrong_method(method, parts.uri.path())),
        _ => return None,
    };
    Some(errand)
}

fn upload(parts: &Parts, body: &[u8]) -> Result<Errand, Complaint> {
    let kind = parts.headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let form = multipart::parts(kind, body);
    let form = form.ok_or_else(|| Complaint::wrong("file", "a form as `multipart/form-data`"))?;
    let part = |name: &'static str| {
        let part = form.iter().find(|part| part.name == name);
        part.ok_or_else(|| Complaint::missing(name))
    };
    let (file, purpose) = (part("file")?, part("purpose")?);
    if file.bytes.len() > MOST_BYTES {
        return Err(Complaint::wrong("file", "a file of at most 200 MB"));
    }
    Ok(Errand::Upload {
        name: file.file.clone().unwrap_or_else(|| "upload".to_owned()),
        purpose: String::from_utf8_lossy(&purpose.bytes).into_owned(),
        bytes: file.bytes.clone(),
    })
}

fn create(body: &[u8]) -> Result<Errand, Complaint> {
    let body = json(body)?;
    let text = |name: &'static str| match body.get(name) {
        Some(Value::String(text)) => Ok(text.clone()),
        None | Some(Value::Null) => Err(Complaint::missing(name)),
        Some(_) => Err(Complaint::wrong(name, "a string")),
    };
    let errand = Errand::Create {
        input: text("input_file_id")?,
        endpoint: text("endpoint")?,
        metadata: body.get("metadata").cloned().unwrap_or_default(),
    };
    if text("completion_window")? != "24h" {
        return Err(Complaint::wrong("completion_window", "`24h`"));
    }
    match &errand {
        Errand::Create { endpoint, .. } if !super::run::is_served(endpoint) => Err(
            Complaint::wrong("endpoint", "one of those that take batches"),
        ),
        _ => Ok(errand),
    }
}
