//! Lines of a file, one at a time, in bounded memory.

use std::io::{self, BufRead};

// What a buffer may keep after an unusually long line.
const KEPT: usize = 1 << 20;

/// Reads lines no longer than a maximum.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    reader: R,
    longest: usize,
    text: Vec<u8>,
}

/// A line without its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// What it says; where it is too long, its beginning.
    pub(crate) text: &'a [u8],
    /// How many bytes it takes in the file.
    pub(crate) bytes: u64,
    /// Whether it ends with a newline, as all but a torn last line do.
    pub(crate) ended: bool,
    /// Whether it is longer than a line may be.
    pub(crate) too_long: bool,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(reader: R, longest: usize) -> Self {
        Self {
            reader,
            longest,
            text: Vec::new(),
        }
    }

    pub(crate) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.text.clear();
        self.text.shrink_to(KEPT);
        let (mut bytes, mut ended) = (0, false);
        while !ended {
            let chunk = match self.reader.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if chunk.is_empty() {
                break;
            }
            let (part, used) = match chunk.iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    ended = true;
                    (&chunk[..end], end + 1)
                }
                None => (chunk, chunk.len()),
            };
            // One byte more than allowed tells that it is too long; the rest is passed over.
            let room = (self.longest + 1).saturating_sub(self.text.len());
            self.text.extend_from_slice(&part[..part.len().min(room)]);
            bytes += used as u64;
            self.reader.consume(used);
        }
        Ok((bytes > 0).then_some(Line {
            text: &self.text,
            bytes,
            ended,
            too_long: self.text.len() > self.longest,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_one_by_one_and_long_ones_are_passed_over() {
        let text = b"one\n\ntoo long\nlast";
        for size in 1..20 {
            let mut lines = Lines::new(io::BufReader::with_capacity(size, &text[..]), 4);
            let mut seen = Vec::new();
            while let Some(line) = lines.next().unwrap() {
                let text = String::from_utf8(line.text.to_vec()).unwrap();
                seen.push((text, line.bytes, line.ended, line.too_long));
            }
            assert_eq!(
                seen,
                [
                    ("one".to_owned(), 4, true, false),
                    (String::new(), 1, true, false),
                    ("too l".to_owned(), 9, true, true),
                    ("last".to_owned(), 4, false, false),
                ]
            );
        }
    }
}
