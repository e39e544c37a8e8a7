//! What the compiler says of the mistakes that are easily made.
//!
//! Each file of `tests/ui` is one; its `//~` lines say what has to be in the message. Only our own words are looked
//! for, so that they hold for any compiler; a snapshot of all of it wouldn't.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

const MANIFEST: &str = r#"
[package]
name = "mistakes"
version = "0.0.0"
edition = "2024"

[dependencies]
bytes = "1"
http = "1"
http-body-util = "0.1"
tower = { version = "0.5", features = ["full"] }

[workspace]
"#;

/// A package that has every file of `tests/ui` for a program.
fn package() -> (PathBuf, Vec<PathBuf>) {
    let house = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = fs::read_dir(house.join("tests/ui")).unwrap();
    let mut cases: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    cases.sort();
    let mut manifest = format!(
        "{}\n[dependencies.tower-quota]\npath = {house:?}\n",
        MANIFEST.trim_start()
    );
    for case in &cases {
        let name = case.file_stem().unwrap();
        manifest += &format!("\n[[bin]]\nname = {name:?}\npath = {case:?}\n");
    }
    let package = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mistakes");
    fs::create_dir_all(&package).unwrap();
    fs::write(package.join("Cargo.toml"), manifest).unwrap();
    // The versions that are here already.
    fs::copy(house.join("Cargo.lock"), package.join("Cargo.lock")).unwrap();
    (package, cases)
}

#[test]
fn mistakes_are_told_in_our_words() {
    let (package, cases) = package();
    assert!(cases.len() >= 4);
    for case in cases {
        let output = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()))
            .current_dir(&package)
            .args(["check", "--quiet", "--offline", "--target-dir", "target"])
            .arg("--bin")
            .arg(case.file_stem().unwrap())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let file = fs::read_to_string(&case).unwrap();
        assert!(!output.status.success(), "{} compiles", case.display());
        for words in file.lines().filter_map(|line| line.strip_prefix("//~ ")) {
            assert!(said.contains(words), "{words:?} isn't said:\n{said}");
        }
    }
}
