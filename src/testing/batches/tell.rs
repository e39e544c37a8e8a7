//! How files and batches are told.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Batch, File};

/// Of the time that a batch takes, this is for looking at its file, and this for writing the results.
const VALIDATING: f64 = 0.1;
const FINALIZING: f64 = 0.1;

/// How far a batch is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Phase {
    Validating,
    /// Of its requests, this part is done.
    InProgress(f64),
    Finalizing,
    Completed,
    Failed,
    Cancelled,
}

impl Phase {
    pub(super) fn of(batch: &Batch, now: Duration) -> Self {
        if batch.cancelled.is_some() {
            return Self::Cancelled;
        }
        let since = now.saturating_sub(batch.began);
        let part = match batch.takes {
            Duration::ZERO => 1.0,
            takes => since.as_secs_f64() / takes.as_secs_f64(),
        };
        if part < VALIDATING {
            return Self::Validating;
        }
        if batch.outcome.is_err() {
            return Self::Failed;
        }
        if since >= batch.takes {
            return Self::Completed;
        }
        let running = (part - VALIDATING) / (1.0 - VALIDATING - FINALIZING);
        if running < 1.0 {
            Self::InProgress(running)
        } else {
            Self::Finalizing
        }
    }

    pub(super) const fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// How much of its requests is done.
    pub(super) const fn share(self) -> f64 {
        match self {
            Self::Validating => 0.0,
            Self::InProgress(part) => part,
            _ => 1.0,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Validating => "validating",
            Self::InProgress(_) => "in_progress",
            Self::Finalizing => "finalizing",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

pub(super) fn list(data: Vec<Value>) -> Value {
    json!({"object": "list", "data": data, "has_more": false})
}

pub(super) fn file(id: &str, file: &File) -> Value {
    json!({
        "id": id,
        "object": "file",
        "bytes": file.bytes.len(),
        "created_at": file.created,
        "filename": file.name,
        "purpose": file.purpose,
        "status": "processed",
    })
}

/// What the file of a batch's results is called.
pub(super) fn results(batch: &str, failed: bool) -> String {
    let number = batch.strip_prefix("batch_").unwrap_or(batch);
    let kind = if failed { "errors" } else { "output" };
    format!("file-{kind}-{number}")
}

pub(super) fn batch(id: &str, batch: &Batch, now: Duration) -> Value {
    let phase = Phase::of(batch, now);
    let all = match &batch.outcome {
        Ok(ran) if phase != Phase::Validating => &ran.lines[..],
        _ => &[],
    };
    let done = batch.done(now).min(all.len());
    let failed = all[..done].iter().filter(|line| line.failed).count();
    let results =
        |failed, count: usize| (phase.is_over() && count > 0).then(|| results(id, failed));
    // The time of day so long after it began.
    let at = |part: f64, reached: bool| {
        reached.then(|| batch.created + batch.takes.mul_f64(part).as_secs())
    };
    let errors = batch.outcome.as_ref().err();
    let errors = errors.filter(|_| phase == Phase::Failed).map(|wrongs| {
        let told = wrongs.iter().map(|wrong| {
            let (code, message, line) = (wrong.code, wrong.message, wrong.line);
            json!({"code": code, "message": message, "param": null, "line": line})
        });
        json!({"object": "list", "data": told.collect::<Vec<_>>()})
    });
    let is = |wanted: Phase| phase == wanted;
    let ran = !is(Phase::Validating) && !is(Phase::Failed);
    let cancelled = batch.cancelled.map(|at| {
        let since = at.saturating_sub(batch.began);
        batch.created + since.as_secs()
    });
    json!({
        "id": id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "errors": errors,
        "input_file_id": batch.input,
        "completion_window": "24h",
        "status": phase.name(),
        "output_file_id": results(false, done - failed),
        "error_file_id": results(true, failed),
        "created_at": batch.created,
        "in_progress_at": at(VALIDATING, ran),
        "expires_at": batch.created + 86_400,
        "finalizing_at": at(1.0 - FINALIZING, is(Phase::Finalizing) || is(Phase::Completed)),
        "completed_at": at(1.0, is(Phase::Completed)),
        "failed_at": at(VALIDATING, is(Phase::Failed)),
        "expired_at": null,
        "cancelling_at": cancelled,
        "cancelled_at": cancelled,
        "request_counts": {
            "total": all.len(),
            "completed": done - failed,
            "failed": failed,
        },
        "metadata": batch.metadata,
    })
}
