//! The one that writes the output.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufWriter, Write},
    thread::{self, JoinHandle},
};

use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// A line to be written.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Its place among the lines of this run.
    pub(crate) place: u64,
    pub(crate) line: String,
    /// Room in memory, given back once the line is written.
    pub(crate) room: Option<OwnedSemaphorePermit>,
}

/// Writes what comes, as it comes or by its place, until nobody has anything more to write. Whatever has come is in the
/// file as soon as there is nothing else to write: a killed run loses nothing of it.
pub(crate) fn start(
    file: File,
    ordered: bool,
    mut entries: mpsc::Receiver<Entry>,
) -> JoinHandle<io::Result<()>> {
    thread::spawn(move || {
        let mut file = BufWriter::with_capacity(1 << 16, file);
        let (mut waiting, mut next) = (BTreeMap::new(), 0);
        while let Some(first) = entries.blocking_recv() {
            let mut entry = Some(first);
            while let Some(Entry { place, line, room }) = entry {
                if ordered {
                    waiting.insert(place, (line, room));
                    while let Some((line, _room)) = waiting.remove(&next) {
                        file.write_all(line.as_bytes())?;
                        next += 1;
                    }
                } else {
                    file.write_all(line.as_bytes())?;
                }
                entry = entries.try_recv().ok();
            }
            file.flush()?;
        }
        // The run ended early, and lines between these are missing.
        for (line, _room) in waiting.into_values() {
            file.write_all(line.as_bytes())?;
        }
        file.flush()?;
        match file.get_ref().sync_data() {
            // Pipes and devices can't be synced.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            done => done,
        }
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::testing::Folder;
    use super::*;

    fn written(ordered: bool, places: &[u64]) -> String {
        let folder = Folder::new();
        let path = folder.file("out", "");
        let (tx, rx) = mpsc::channel(8);
        let writer = start(File::create(&path).unwrap(), ordered, rx);
        for place in places {
            let line = format!("{place} ");
            let entry = Entry {
                place: *place,
                line,
                room: None,
            };
            tx.blocking_send(entry).unwrap();
        }
        drop(tx);
        writer.join().unwrap().unwrap();
        fs::read_to_string(&path).unwrap()
    }

    #[test]
    fn lines_are_written_as_they_come_or_by_their_place() {
        assert_eq!(written(false, &[2, 0, 1]), "2 0 1 ");
        assert_eq!(written(true, &[2, 0, 3, 1]), "0 1 2 3 ");
    }

    #[test]
    fn lines_behind_a_gap_are_saved_at_the_end() {
        assert_eq!(written(true, &[5, 0, 3]), "0 3 5 ");
    }
}
