//! Bringing an output that was written in several runs into the order of the input.

use std::{
    fs::File,
    io::{self, BufReader, Seek, SeekFrom, Write},
    path::Path,
};

use super::{
    input::{self, Job},
    lines::Lines,
    record::{Identities, Identity, Record},
    resume::{self, replace},
};

/// Sorts the lines of `output` as their requests stand in `input`; lines of other inputs come first. Holds two identities
/// a line, no texts.
pub(crate) fn put_in_order(input: &Path, output: &Path) -> io::Result<()> {
    let identities = Identities::default();
    let wanted = identities_of_input(input, &identities)?;
    let mut found = identities_of_output(output, &identities)?;
    let in_order = found.iter().map(|(_, offset)| *offset).collect::<Vec<_>>();
    found.sort_unstable();

    // Both are sorted by identity, and equal ones by their place: pair them off.
    let mut wanted = wanted.into_iter().peekable();
    let mut places: Vec<(u64, u64)> = found
        .into_iter()
        .map(|(identity, offset)| {
            while wanted.next_if(|(other, _)| *other < identity).is_some() {}
            let place = wanted.next_if(|(other, _)| *other == identity);
            (place.map_or(0, |(_, number)| number), offset)
        })
        .collect();
    places.sort_unstable();
    if places.iter().map(|(_, offset)| *offset).eq(in_order) {
        return Ok(());
    }

    let mut source = File::open(output)?;
    replace(output, |file| {
        for (_, offset) in places {
            source.seek(SeekFrom::Start(offset))?;
            let mut lines = Lines::new(BufReader::new(&source), resume::LONGEST);
            if let Some(line) = lines.next()? {
                file.write_all(line.text)?;
                file.write_all(b"\n")?;
            }
        }
        Ok(())
    })
}

fn identities_of_input(path: &Path, identities: &Identities) -> io::Result<Vec<(Identity, u64)>> {
    let mut lines = Lines::new(
        BufReader::with_capacity(1 << 16, File::open(path)?),
        input::LONGEST,
    );
    let (mut all, mut number) = (Vec::new(), 0);
    while let Some(line) = lines.next()? {
        number += 1;
        let identity = match Job::read(line.text, line.too_long) {
            Some(Ok(job)) => identities.of(job.text(), job.metadata.as_deref()),
            Some(Err(malformed)) => identities.of(&malformed.shown, None),
            None => continue,
        };
        all.push((identity, number));
    }
    all.sort_unstable();
    Ok(all)
}

fn identities_of_output(path: &Path, identities: &Identities) -> io::Result<Vec<(Identity, u64)>> {
    let mut lines = Lines::new(
        BufReader::with_capacity(1 << 16, File::open(path)?),
        resume::LONGEST,
    );
    let (mut all, mut offset) = (Vec::new(), 0);
    while let Some(line) = lines.next()? {
        if let Some(record) = Record::read(line.text) {
            all.push((identities.of(record.request, record.metadata), offset));
        }
        offset += line.bytes;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::testing::Folder;
    use super::*;

    #[test]
    fn lines_stand_as_in_the_input_and_strangers_before_them() {
        let folder = Folder::new();
        let input = folder.file(
            "in",
            "{\"input\":1}\n\n{\"input\":2}\njunk\n{\"input\":1}\n{\"input\":3,\"metadata\":7}\n{\"input\":4}\n",
        );
        let output = folder.file(
            "out",
            "[{\"input\":3},{},7]\n[{\"input\":1},{\"first\":1}]\n[\"junk\",[{}]]\n[{\"input\":9},{}]\n[{\"input\":1},{\"second\":1}]\n[{\"input\":2},{}]\n",
        );
        put_in_order(&input, &output).unwrap();
        let ordered = "[{\"input\":9},{}]\n[{\"input\":1},{\"first\":1}]\n[{\"input\":2},{}]\n[\"junk\",[{}]]\n[{\"input\":1},{\"second\":1}]\n[{\"input\":3},{},7]\n";
        assert_eq!(fs::read_to_string(&output).unwrap(), ordered);
        put_in_order(&input, &output).unwrap();
        assert_eq!(fs::read_to_string(&output).unwrap(), ordered);
    }
}
