//! Whether the files that a run is told can be what they are to be.

use std::{
    fs::{self, OpenOptions},
    path::Path,
};

/// Whether each of them is another file than all others.
pub(crate) fn all_distinct(files: &[(&str, &Path)]) -> Result<(), String> {
    for (at, one) in files.iter().enumerate() {
        for other in &files[..at] {
            distinct(*one, *other)?;
        }
    }
    Ok(())
}

/// Whether it is a file that can be read.
pub(crate) fn readable(flag: &str, path: &Path) -> Result<(), String> {
    let shown = path.display();
    let facts = fs::metadata(path).map_err(|error| format!("{flag} {shown}: {error}"))?;
    if facts.is_dir() {
        return Err(format!("{flag} {shown}: is a directory"));
    }
    fs::File::open(path)
        .map(drop)
        .map_err(|error| format!("{flag} {shown}: {error}"))
}

/// Opens without changing what is there; a file that isn't there yet is made.
pub(crate) fn writable(flag: &str, path: &Path) -> Result<(), String> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map(drop)
        .map_err(|error| format!("{flag} {}: can't be written: {error}", path.display()))
}

fn distinct(one: (&str, &Path), other: (&str, &Path)) -> Result<(), String> {
    if is_same(one.1, other.1) {
        return Err(format!(
            "{} and {} are the same file: {}",
            one.0,
            other.0,
            one.1.display()
        ));
    }
    Ok(())
}

fn is_same(one: &Path, other: &Path) -> bool {
    if one == other {
        return true;
    }
    #[cfg(unix)]
    if let (Ok(one), Ok(other)) = (fs::metadata(one), fs::metadata(other)) {
        use std::os::unix::fs::MetadataExt;
        // Hard links too.
        return (one.dev(), one.ino()) == (other.dev(), other.ino());
    }
    match (fs::canonicalize(one), fs::canonicalize(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}
