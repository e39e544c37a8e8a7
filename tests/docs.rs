//! What the pages promise of themselves: links that lead somewhere, and what every page says. Code in them is compiled as doc tests,
//! links between items are rustdoc's to check.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The manifest as it was written: packaging rewrites it.
fn manifest() -> String {
    fs::read_to_string(root().join("Cargo.toml.orig")).unwrap_or_else(|_| read("Cargo.toml"))
}

/// The pages that people read as files.
fn files() -> Vec<(PathBuf, String)> {
    let names = fs::read_dir(root()).unwrap();
    let names = names.map(|entry| PathBuf::from(entry.unwrap().file_name()));
    let pages = names.filter(|name| name.extension().is_some_and(|end| end == "md"));
    let pages: Vec<_> = pages.map(|name| (name.clone(), read(name))).collect();
    assert!(pages.len() >= 2, "the pages weren't found");
    pages
}

fn sources(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
}

/// Where `[text](target)` points, outside of fences.
fn links(markdown: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut fenced = false;
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        for (at, _) in line.match_indices("](") {
            let target = &line[at + 2..];
            let end = target.find(')').unwrap_or(target.len());
            found.push(target[..end].to_owned());
        }
    }
    found
}

/// `#every-settings-default` of `### Every setting's default`.
fn anchors(markdown: &str) -> Vec<String> {
    let headings = markdown.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let text = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = text
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn links_in_files_lead_somewhere() {
    let mut dead = Vec::new();
    for (name, text) in files() {
        for link in links(&text) {
            let alive = if let Some(anchor) = link.strip_prefix('#') {
                anchors(&text).iter().any(|known| known == anchor)
            } else if link.contains("://") {
                true
            } else {
                let path = link.split('#').next().unwrap();
                root().join(path).exists()
            };
            if !alive {
                dead.push(format!("{}: {link}", name.display()));
            }
        }
    }
    assert!(dead.is_empty(), "{}", dead.join("\n"));
}

/// Those that can't be rustdoc's own: to what needs a feature, and from files.
#[test]
fn links_to_the_published_docs_lead_somewhere() {
    const HOME: &str = "https://docs.rs/tower-quota/latest/tower_quota/";
    let mut pages = files();
    sources(&root().join("src"), &mut pages);
    let mut code = Vec::new();
    sources(&root().join("src"), &mut code);
    let front = read("src/lib.rs");
    let mut seen = 0;
    let mut dead = Vec::new();
    for (name, text) in &pages {
        for (at, _) in text.match_indices(HOME) {
            let link = &text[at + HOME.len()..];
            let end = link.find([')', ' ', '\n', '"']).unwrap_or(link.len());
            let link = link[..end].split('#').next().unwrap();
            seen += 1;
            let mut folders = link.split('/').collect::<Vec<_>>();
            let page = folders.pop().unwrap();
            let module = root().join("src").join(folders.join("/"));
            let is_there = module.is_dir() || module.with_extension("rs").is_file();
            // `struct.Quota.html` stands with the public module that it is declared in.
            let item = page.split('.').nth(1);
            let is_item = |item: &str| {
                let kinds = ["struct", "enum", "trait", "fn"];
                let is_declared = |text: &str| {
                    let mut kinds = kinds.iter();
                    kinds.any(|kind| text.contains(&format!("pub {kind} {item}")))
                };
                code.iter().any(|(path, text)| {
                    let room = path.strip_prefix(root().join("src")).unwrap();
                    let room = room.iter().next().unwrap().to_str().unwrap();
                    let public = format!("pub mod {};", room.trim_end_matches(".rs"));
                    let at_home = !folders.is_empty() || !front.contains(&public);
                    let inside = path.starts_with(&module) || *path == module.with_extension("rs");
                    is_declared(text) && at_home && inside
                })
            };
            if !is_there || !(page.is_empty() || item.is_some_and(is_item)) {
                dead.push(format!("{}: {link}", name.display()));
            }
        }
    }
    assert!(seen > 5, "only {seen} links were found");
    assert!(dead.is_empty(), "{}", dead.join("\n"));
}

/// Of everything that stands in a stack: its page tells a reader all there is to know.
#[test]
fn pages_say_when_defaults_sharing_cancellation_errors_and_order() {
    const PAGES: [&str; 11] = [
        "rate_limit",
        "token_budget",
        "backoff_retry",
        "fallback",
        "circuit_breaker",
        "quota",
        "respond",
        "split",
        "headroom",
        "body",
        "edge",
    ];
    const SECTIONS: [&str; 5] = [
        "When",
        "Sharing",
        "Cancellation",
        "Errors",
        "Order in a stack",
    ];
    let mut missing = Vec::new();
    for page in PAGES {
        let text = read(format!("src/{page}/mod.rs"));
        let page_lines = text.lines().filter_map(|line| line.strip_prefix("//!"));
        let lines: Vec<_> = page_lines.map(str::trim).collect();
        for section in SECTIONS {
            if !lines.contains(&format!("# {section}").as_str()) {
                missing.push(format!("{page}: # {section}"));
            }
        }
        if !lines.iter().any(|line| line.starts_with("```")) {
            missing.push(format!("{page}: an example"));
        }
        let tells = |line: &&str| line.contains("default") || line.contains("nothing to set");
        if !lines.iter().any(tells) {
            missing.push(format!("{page}: the defaults, or where they are"));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn every_feature_is_told_where_people_look() {
    let features = table("features");
    let names = features.lines().filter_map(|line| line.split_once(" = ["));
    let names: Vec<_> = names.map(|(name, _)| name.trim()).collect();
    assert!(names.len() >= 9, "{names:?}");
    for page in ["README.md", "src/lib.rs"] {
        let text = read(page);
        for name in names.iter().filter(|name| **name != "default") {
            let told = text.lines().any(|line| {
                let line = line.trim_start_matches("//!").trim();
                line.starts_with('|') && line.contains(&format!("`{name}`"))
            });
            assert!(told, "{page} has no row for the feature {name}");
        }
    }
}

/// The part of the manifest under `[name]`.
fn table(name: &str) -> String {
    let manifest = manifest();
    let part = manifest.split(&format!("\n[{name}]\n")).nth(1);
    let part = part.unwrap_or_else(|| panic!("no [{name}]"));
    part.split("\n[").next().unwrap().to_owned()
}

#[test]
fn every_dependency_of_the_default_build_has_its_reason() {
    let readme = read("README.md");
    let dependencies = table("dependencies");
    let lines = dependencies.lines().filter(|line| line.contains(" = "));
    let always = lines.filter(|line| !line.contains("optional = true"));
    let names: Vec<_> = always
        .map(|line| line.split_once(" = ").unwrap().0)
        .collect();
    assert!(names.len() > 10, "{names:?}");
    let (_, reasons) = readme.split_once("| dependency | what for |").unwrap();
    let rows = reasons
        .lines()
        .take_while(|line| line.is_empty() || line.starts_with('|'));
    let told: Vec<_> = rows
        .filter_map(|row| row.split('|').nth(1))
        .flat_map(|names| names.split(',').map(|name| name.split_whitespace().next()))
        .flatten()
        .collect();
    for name in names {
        assert!(told.contains(&name), "{name}: {told:?}");
    }
}

#[test]
fn badges_say_what_the_manifest_says() {
    let (readme, package) = (read("README.md"), manifest());
    let of = |key: &str| {
        let line = package.lines().find(|line| line.starts_with(key)).unwrap();
        line.split('"').nth(1).unwrap().to_owned()
    };
    assert!(readme.contains(&format!("badge/rust-{}%2B", of("rust-version"))));
    assert!(readme.contains(&format!("\nRust {} or later.", of("rust-version"))));
    let licence = of("license").replace("OR", "or").replace('-', "--");
    assert!(readme.contains(&format!("badge/licence-{}-", licence.replace(' ', "%20"))));
    assert!(package.contains("\nunsafe_code = \"forbid\""));
    assert!(readme.contains("badge/unsafe-forbidden-"));
}
