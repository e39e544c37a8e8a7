//! Who imports whom: read from the sources, so that the rooms stay rooms.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Every room and what it may import. A room stands below all that it imports, so there is no circle.
const ROOMS: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("inner", &[]),
    ("lock", &[]),
    ("recycled", &[]),
    ("sync", &[]),
    ("spares", &["sync"]),
    ("marked", &[]),
    ("key", &[]),
    ("clock", &["core"]),
    ("error", &["core"]),
    ("verdict", &["core", "error", "marked"]),
    ("departure", &["clock", "core", "error"]),
    ("observe", &["lock", "core", "clock", "error", "verdict"]),
    (
        "quota",
        &[
            "clock",
            "core",
            "error",
            "marked",
            "verdict",
            "departure",
            "observe",
            "key",
            "recycled",
            "sync",
        ],
    ),
    ("presets", &["core", "quota"]),
    ("provider", &["core", "error", "verdict"]),
    (
        "body",
        &["core", "error", "verdict", "departure", "provider"],
    ),
    (
        "answers",
        &[
            "core", "error", "marked", "verdict", "provider", "body", "recycled",
        ],
    ),
    ("tokens", &["core", "error", "verdict", "body"]),
    (
        "admission",
        &[
            "clock",
            "core",
            "error",
            "verdict",
            "departure",
            "quota",
            "provider",
            "body",
            "answers",
            "tokens",
        ],
    ),
    // The layers that limit.
    (
        "rate_limit",
        &[
            "inner",
            "core",
            "error",
            "verdict",
            "quota",
            "provider",
            "body",
            "answers",
            "admission",
        ],
    ),
    (
        "token_budget",
        &[
            "inner",
            "core",
            "error",
            "verdict",
            "quota",
            "provider",
            "body",
            "answers",
            "tokens",
            "admission",
            "recycled",
        ],
    ),
    // The layers that know no quota.
    (
        "backoff_retry",
        &[
            "inner",
            "lock",
            "core",
            "clock",
            "error",
            "marked",
            "verdict",
            "departure",
            "observe",
            "provider",
            "body",
            "answers",
            "spares",
        ],
    ),
    (
        "fallback",
        &[
            "inner",
            "core",
            "clock",
            "error",
            "marked",
            "verdict",
            "departure",
            "observe",
            "provider",
            "body",
            "answers",
            "spares",
        ],
    ),
    (
        "circuit_breaker",
        &[
            "lock",
            "sync",
            "core",
            "clock",
            "error",
            "verdict",
            "departure",
            "observe",
            "provider",
            "body",
            "answers",
        ],
    ),
    // Among several services.
    ("split", &["inner", "lock", "error", "departure"]),
    ("headroom", &["quota"]),
    // Ways in and out.
    (
        "respond",
        &[
            "core", "error", "verdict", "observe", "quota", "provider", "body",
        ],
    ),
    ("edge", &["error", "body"]),
    // A provider of its own, which must not share our mistakes.
    ("testing", &["error"]),
    // Pages alone.
    ("guide", &[]),
];

const LAYERS: [&str; 5] = [
    "rate_limit",
    "token_budget",
    "backoff_retry",
    "fallback",
    "circuit_breaker",
];

/// At most so many lines, that a file can be read in one go …
const LINES: usize = 400;
/// … but for these, at most so many: the lock's own state has to stand in one place.
const LONGER: &[(&str, usize)] = &[("quota/line.rs", 420)];

pub fn sources() -> Vec<(PathBuf, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut files) = (vec![src.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                files.push((path.strip_prefix(&src).unwrap().to_owned(), text));
            }
        }
    }
    assert!(files.len() > 50, "the sources weren't found");
    files
}

/// The room of a file: its folder below `src`, or itself.
fn room(path: &Path) -> String {
    let first = path.iter().next().unwrap().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// Without comments, so that links in the docs don't count, and without what only they import.
fn code(text: &str) -> String {
    let mut code = String::new();
    let mut docs_only = false;
    for line in text.lines() {
        // `://` is an address in a string.
        let end = line.match_indices("//").map(|(at, _)| at);
        let end = end.filter(|&at| !line[..at].ends_with(':')).min();
        let line = line[..end.unwrap_or(line.len())].trim_end();
        docs_only |= line.trim() == "#[cfg(doc)]";
        if !docs_only {
            code.push_str(line);
            code.push('\n');
        }
        docs_only &= !line.ends_with(';');
    }
    code
}

/// The first names of all paths from the crate's root, of groups as well: `crate::{a::b, c}`.
fn imports(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || "_$".contains(c)) {
            continue;
        }
        let path = &code[at + "crate::".len()..];
        let name = |path: &str| {
            let path = path.trim_start();
            let end = path.find(|c: char| !c.is_alphanumeric() && c != '_');
            path[..end.unwrap_or(path.len())].to_owned()
        };
        let Some(group) = path.strip_prefix('{') else {
            found.insert(name(path));
            continue;
        };
        let mut depth = 0;
        let mut start = 0;
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth > 0 => depth -= 1,
                ',' | '}' if depth == 0 => {
                    found.insert(name(&group[start..at]));
                    start = at + 1;
                    if c == '}' {
                        break;
                    }
                }
                _ => {}
            }
        }
    }
    found.remove("");
    found
}

/// The highest that `super::super::…` climbs.
fn climbs(code: &str) -> usize {
    (1..)
        .take_while(|&n| code.contains(&"super::".repeat(n)))
        .count()
}

#[test]
fn every_room_imports_only_what_stands_above_it() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let (room, code) = (room(&path), code(&text));
        if room == "lib" {
            continue;
        }
        let Some((_, may)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            wrong.push(format!("{room} isn't among the rooms"));
            continue;
        };
        for import in imports(&code) {
            // A name without a room, such as `crate::Quota`, hides where it comes from.
            if import != room && !may.contains(&import.as_str()) {
                wrong.push(format!("{} imports crate::{import}", path.display()));
            }
        }
        // Relative paths stay inside of the room.
        let depth = path.iter().count() - usize::from(path.ends_with("mod.rs"));
        if climbs(&code) >= depth.max(1) + usize::from(code.contains("mod tests {")) {
            wrong.push(format!("{} climbs out of its room", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_rooms_have_no_circle_and_layers_are_strangers() {
    for (at, (room, may)) in ROOMS.iter().enumerate() {
        for import in *may {
            let above = ROOMS[..at].iter().any(|(name, _)| name == import);
            assert!(above, "{room} stands above {import}");
            assert!(!LAYERS.contains(import), "{room} imports a layer, {import}");
        }
    }
    for (path, text) in sources() {
        let room = room(&path);
        for layer in LAYERS.iter().filter(|layer| **layer != room) {
            let found = room != "lib" && imports(&code(&text)).contains(*layer);
            assert!(!found, "{} imports {layer}", path.display());
        }
    }
}

#[test]
fn files_are_short() {
    for (path, text) in sources() {
        let longer = LONGER.iter().find(|(name, _)| path == Path::new(name));
        let most = longer.map_or(LINES, |(_, most)| *most);
        let lines = text.lines().count();
        assert!(lines <= most, "{}: {lines} lines", path.display());
    }
}

#[test]
fn imports_are_found_wherever_they_stand() {
    let text = "use crate::{\n    a::{b, c},\n    d,\n};\nfn f() -> crate::e::F { g(\"http://x\", crate::h) } // crate::i\n//! crate::j\n#[cfg(doc)]\nuse crate::{\n    K,\n};\nuse crate::l;";
    let found = imports(&code(text));
    assert_eq!(found.into_iter().collect::<String>(), "adehl");
    assert_eq!(climbs("use super::super::x; use super::y;"), 2);
}
