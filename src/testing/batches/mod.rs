//! Files, and batches of requests that are made from them: OpenAI's Batch API, which Groq and Azure have as well.
//!
//! All of a batch is decided when it is made; how much of it can be seen depends on the time.

mod multipart;
mod read;
mod run;
mod tell;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

pub(super) use self::read::read;
use self::{
    run::{Ran, Wrong},
    tell::Phase,
};
use super::{
    answers::{self, Answer, Stamp},
    complaint::Complaint,
    dice::Dice,
    faults::Faults,
    settings::Settings,
};

/// What a request wants of files and batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    Upload {
        name: String,
        purpose: String,
        bytes: Bytes,
    },
    Files,
    File(String),
    Content(String),
    Delete(String),
    Create {
        input: String,
        endpoint: String,
        metadata: Value,
    },
    Batches,
    Batch(String),
    Cancel(String),
}

/// When an errand is run, by whose rules, and what is drawn for it.
pub(super) struct Visit<'a> {
    pub(super) settings: &'a Settings,
    pub(super) faults: &'a Faults,
    /// Since the provider's start.
    pub(super) now: Duration,
    pub(super) stamp: Stamp,
    pub(super) dice: &'a mut Dice,
}

/// All files and batches of a provider.
#[derive(Default)]
pub(super) struct Shelf {
    files: BTreeMap<String, File>,
    batches: BTreeMap<String, Batch>,
}

struct File {
    name: String,
    purpose: String,
    created: u64,
    bytes: Bytes,
    /// Results are there once their batch has come to its end.
    of: Option<String>,
}

struct Batch {
    input: String,
    endpoint: String,
    metadata: Value,
    began: Duration,
    /// The time of day then.
    created: u64,
    takes: Duration,
    cancelled: Option<Duration>,
    outcome: Result<Ran, Vec<Wrong>>,
}

impl Shelf {
    pub(super) fn run(&mut self, errand: Errand, visit: Visit<'_>) -> Answer {
        let (dialect, stamp) = (visit.settings.dialect, visit.stamp);
        let answer = self.answer(errand, visit);
        answer.unwrap_or_else(|complaint| dialect.complain(complaint, stamp))
    }

    fn answer(&mut self, errand: Errand, visit: Visit<'_>) -> Result<Answer, Complaint> {
        let now = visit.now;
        let said = match errand {
            Errand::Upload {
                name,
                purpose,
                bytes,
            } => {
                let id = format!("file-{:032x}", visit.stamp.id);
                let file = File {
                    name,
                    purpose,
                    created: visit.stamp.created(),
                    bytes,
                    of: None,
                };
                let said = tell::file(&id, &file);
                self.files.insert(id, file);
                said
            }
            Errand::Files => {
                let files = self
                    .files
                    .iter()
                    .filter(|(_, file)| self.is_there(file, now));
                tell::list(files.map(|(id, file)| tell::file(id, file)).collect())
            }
            Errand::File(id) => tell::file(&id, self.file(&id, now)?),
            Errand::Content(id) => {
                let bytes = self.file(&id, now)?.bytes.clone();
                return Ok(answers::text(
                    StatusCode::OK,
                    "application/octet-stream",
                    bytes,
                ));
            }
            Errand::Delete(id) => {
                self.file(&id, now)?;
                self.files.remove(&id);
                json!({"id": id, "object": "file", "deleted": true})
            }
            Errand::Create {
                input,
                endpoint,
                metadata,
            } => self.create(input, endpoint, metadata, visit)?,
            Errand::Batches => {
                let batches = self.batches.iter();
                tell::list(
                    batches
                        .map(|(id, batch)| tell::batch(id, batch, now))
                        .collect(),
                )
            }
            Errand::Batch(id) => tell::batch(&id, self.batch(&id)?, now),
            Errand::Cancel(id) => self.cancel(&id, now)?,
        };
        Ok(answers::json(StatusCode::OK, &said))
    }

    /// A file of a batch's results is one only when the batch is over.
    fn is_there(&self, file: &File, now: Duration) -> bool {
        let batch = file.of.as_ref().and_then(|id| self.batches.get(id));
        batch.is_none_or(|batch| Phase::of(batch, now).is_over())
    }

    fn file(&self, id: &str, now: Duration) -> Result<&File, Complaint> {
        let file = self.files.get(id).filter(|file| self.is_there(file, now));
        file.ok_or_else(|| Complaint::nothing_there("File", id))
    }

    fn batch(&self, id: &str) -> Result<&Batch, Complaint> {
        let batch = self.batches.get(id);
        batch.ok_or_else(|| Complaint::nothing_there("Batch", id))
    }

    fn create(
        &mut self,
        input: String,
        endpoint: String,
        metadata: Value,
        mut visit: Visit<'_>,
    ) -> Result<Value, Complaint> {
        let file = self.file(&input, visit.now)?;
        if file.purpose != "batch" {
            return Err(Complaint::wrong(
                "input_file_id",
                "a file for the purpose `batch`",
            ));
        }
        let id = format!("batch_{:032x}", visit.stamp.id);
        let outcome = run::run(&file.bytes, &endpoint, &mut visit);
        let batch = Batch {
            input,
            endpoint,
            metadata,
            began: visit.now,
            created: visit.stamp.created(),
            takes: visit.settings.batch_takes,
            cancelled: None,
            outcome,
        };
        let said = tell::batch(&id, &batch, visit.now);
        self.shelve(&id, &batch, visit.stamp.created());
        self.batches.insert(id, batch);
        Ok(said)
    }

    /// Cancelled at once, with what was done by then.
    fn cancel(&mut self, id: &str, now: Duration) -> Result<Value, Complaint> {
        self.batch(id)?;
        let Some(mut batch) = self.batches.remove(id) else {
            return Err(Complaint::nothing_there("Batch", id));
        };
        if !Phase::of(&batch, now).is_over() {
            let done = batch.done(now);
            batch.cancelled = Some(now);
            if let Ok(ran) = &mut batch.outcome {
                ran.lines.truncate(done);
            }
            self.shelve(id, &batch, batch.created);
        }
        let said = tell::batch(id, &batch, now);
        self.batches.insert(id.to_owned(), batch);
        Ok(said)
    }

    /// Puts what a batch results in where it will be found, in place of what was there.
    fn shelve(&mut self, id: &str, batch: &Batch, created: u64) {
        for failed in [false, true] {
            let file = tell::results(id, failed);
            self.files.remove(&file);
            let bytes = batch.results(failed);
            if !bytes.is_empty() {
                let kind = if failed { "error" } else { "output" };
                let results = File {
                    name: format!("{id}_{kind}.jsonl"),
                    purpose: "batch_output".to_owned(),
                    created,
                    bytes: bytes.into(),
                    of: Some(id.to_owned()),
                };
                self.files.insert(file, results);
            }
        }
    }
}

impl Batch {
    /// How many of its requests are done.
    fn done(&self, now: Duration) -> usize {
        let all = self.outcome.as_ref().map_or(0, |ran| ran.lines.len());
        let phase = Phase::of(self, now);
        if phase.is_over() {
            return all;
        }
        (phase.share() * all as f64) as usize
    }

    /// The lines that were served, or those that weren't.
    fn results(&self, failed: bool) -> Vec<u8> {
        let lines = self.outcome.iter().flat_map(|ran| &ran.lines);
        let lines = lines.filter(|line| line.failed == failed);
        lines.flat_map(|line| line.text.bytes()).collect()
    }
}
