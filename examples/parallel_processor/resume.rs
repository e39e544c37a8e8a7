//! Going on with an earlier run's output: what succeeded there isn't sent again.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
};

use super::{
    input,
    lines::Lines,
    record::{Identities, Identity, Record},
};

/// How long a line of the output may be: a request and its answer.
pub(crate) const LONGEST: usize = 4 * input::LONGEST;

/// What succeeded earlier, as a multiset: a request that stands twice in the input is due twice.
#[derive(Debug, Default)]
pub(crate) struct Done {
    identities: Identities,
    counts: HashMap<Identity, u32>,
}

impl Done {
    pub(crate) fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Whether this request is done already; says so once for each time it was.
    pub(crate) fn take(&mut self, request: &str, metadata: Option<&str>) -> bool {
        if self.counts.is_empty() {
            return false;
        }
        let identity = self.identities.of(request, metadata);
        let Some(count) = self.counts.get_mut(&identity) else {
            return false;
        };
        *count -= 1;
        if *count == 0 {
            self.counts.remove(&identity);
        }
        true
    }

    fn add(&mut self, record: &Record<'_>) {
        let identity = self.identities.of(record.request, record.metadata);
        *self.counts.entry(identity).or_default() += 1;
    }
}

/// Opens the output to go on with it, and says what is done.
///
/// Lines that failed are taken out, for they are tried again; a last line that a killed run tore is cut off. A file
/// that no run of ours has written is refused and left as it is.
pub(crate) fn open(path: &Path) -> Result<(File, Done), String> {
    let wrong = |error: io::Error| format!("--output {}: {error}", path.display());
    let append = || OpenOptions::new().append(true).create(true).open(path);
    let earlier = match fs::metadata(path) {
        Ok(facts) if facts.is_file() && facts.len() > 0 => File::open(path).map_err(wrong)?,
        // Nothing there, or a pipe or a device: there is nothing to go on with.
        _ => return Ok((append().map_err(wrong)?, Done::default())),
    };
    let kept =
        survey(&earlier).map_err(|problem| format!("--output {}: {problem}", path.display()))?;
    if kept.failed > 0 {
        keep_successes(path, &earlier, kept.bytes).map_err(wrong)?;
        return Ok((append().map_err(wrong)?, kept.done));
    }
    let mut file = append().map_err(wrong)?;
    file.set_len(kept.bytes).map_err(wrong)?;
    if !kept.ended {
        file.write_all(b"\n").map_err(wrong)?;
    }
    Ok((file, kept.done))
}

/// What an earlier run has left.
struct Kept {
    done: Done,
    /// How far the file is whole.
    bytes: u64,
    /// Whether its last line has its end.
    ended: bool,
    failed: u64,
}

// Reads everything before anything is changed.
fn survey(file: &File) -> Result<Kept, String> {
    let mut lines = Lines::new(BufReader::with_capacity(1 << 16, file), LONGEST);
    let mut kept = Kept {
        done: Done::default(),
        bytes: 0,
        ended: true,
        failed: 0,
    };
    let mut number = 0_u64;
    while let Some(line) = lines.next().map_err(|error| error.to_string())? {
        number += 1;
        match Record::read(line.text) {
            Some(record) => {
                if record.succeeded {
                    kept.done.add(&record);
                } else {
                    kept.failed += 1;
                }
                kept.ended = line.ended;
            }
            None if line.text.trim_ascii().is_empty() && line.ended => {}
            None if !line.ended && is_torn(line.text) => return Ok(kept),
            None => {
                return Err(format!(
                    "line {number} is no [request, response]; is it the output of something else? It is left as it is"
                ));
            }
        }
        kept.bytes += line.bytes;
    }
    Ok(kept)
}

// A write that was cut short; after a power failure there may be zeros in its place.
fn is_torn(text: &[u8]) -> bool {
    [&b"[{"[..], b"[\"", b"\0"]
        .iter()
        .any(|start| text.starts_with(start) || start.starts_with(text))
}

fn keep_successes(path: &Path, earlier: &File, bytes: u64) -> io::Result<()> {
    use io::{Read, Seek};
    let mut earlier = earlier;
    earlier.rewind()?;
    let mut lines = Lines::new(
        BufReader::with_capacity(1 << 16, earlier.take(bytes)),
        LONGEST,
    );
    replace(path, |file| {
        while let Some(line) = lines.next()? {
            if Record::read(line.text).is_some_and(|record| record.succeeded) {
                file.write_all(line.text)?;
                file.write_all(b"\n")?;
            }
        }
        Ok(())
    })
}

/// Replaces a file in one step: whoever looks sees the old one or the new one, whole.
pub(crate) fn replace(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    // Behind a symbolic link, so that the link stays.
    let path = fs::canonicalize(path)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let next = Scrap(path.with_file_name(name));
    let mut file = BufWriter::new(File::create(&next.0)?);
    file.get_ref()
        .set_permissions(fs::metadata(&path)?.permissions())?;
    write(&mut file)?;
    file.into_inner()
        .map_err(io::IntoInnerError::into_error)?
        .sync_all()?;
    fs::rename(&next.0, &path)
}

// A file that is in nobody's way if it doesn't get to its place.
struct Scrap(PathBuf);

impl Drop for Scrap {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Folder;
    use super::*;

    fn reopened(before: &str) -> Result<(String, Done), String> {
        let folder = Folder::new();
        let path = folder.file("out.jsonl", before);
        let (mut file, done) = open(&path).inspect_err(|_| {
            assert_eq!(
                fs::read_to_string(&path).unwrap(),
                before,
                "it must be left as it is"
            );
        })?;
        file.write_all(b"+\n").unwrap();
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        Ok((fs::read_to_string(&path).unwrap(), done))
    }

    #[test]
    fn a_request_that_was_done_twice_is_taken_twice() {
        let line = "[{\"input\":\"a\"},{\"data\":1}]\n";
        let (after, mut done) = reopened(&line.repeat(2)).unwrap();
        assert_eq!(after, format!("{line}{line}+\n"));
        let taken: Vec<_> = (0..3)
            .map(|_| done.take("{\"input\": \"a\"}", None))
            .collect();
        assert_eq!(taken, [true, true, false]);
    }

    #[test]
    fn metadata_tells_equal_requests_apart() {
        let (_, mut done) = reopened("[{\"input\":\"a\"},{},2]\n").unwrap();
        assert!(!done.take("{\"input\":\"a\"}", Some("1")));
        assert!(!done.take("{\"input\":\"a\"}", None));
        assert!(done.take("{\"input\":\"a\"}", Some("2")));
        assert!(done.is_empty());
    }

    #[test]
    fn what_failed_is_taken_out_and_due_again() {
        let good = "[{\"input\":\"a\"},{}]\n";
        let bad = "[{\"input\":\"b\"},[{\"message\":\"no\"}]]\n[\"junk\",[{}]]\n";
        let (after, mut done) = reopened(&format!("{good}{bad}{good}[{{\"inp")).unwrap();
        assert_eq!(after, format!("{good}{good}+\n"));
        assert!(!done.take("{\"input\":\"b\"}", None));
    }

    #[test]
    fn a_torn_last_line_is_cut_off_wherever_it_was_torn() {
        let good = "[{\"input\":\"世\"},{\"data\":[]},{\"row\":1}]\n";
        for cut in 0..good.len() {
            let torn = String::from_utf8_lossy(&good.as_bytes()[..cut]).into_owned();
            let (after, mut done) = reopened(&format!("{good}{torn}")).unwrap();
            if cut == good.len() - 1 {
                // Whole but for its end.
                assert_eq!(after, format!("{good}{good}+\n"));
                assert!(done.take("{\"input\":\"世\"}", Some("{\"row\":1}")));
            } else {
                assert_eq!(after, format!("{good}+\n"), "cut at {cut}");
            }
            assert!(done.take("{\"input\":\"世\"}", Some("{\"row\":1}")));
            assert!(done.is_empty());
        }
    }

    #[test]
    fn a_file_of_somebody_else_is_left_as_it_is() {
        for foreign in [
            "hello",
            "hello\n",
            "{\"a\":1}\n",
            "[{\"in\n[{},{}]\n",
            "[1,2]",
        ] {
            assert!(reopened(foreign).is_err(), "{foreign:?}");
        }
    }
}
