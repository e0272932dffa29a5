//! The rooms of the source, as the README's map lists them: each may use those above it in the list, and no others.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Pairs of rooms that know nothing of each other, although one stands above the other in the map: each is the other's oracle.
const STRANGERS: [(&str, &str); 8] = [
    ("model", "client"),
    ("model", "server"),
    ("client", "server"),
    ("model", "agent"),
    ("server", "agent"),
    ("client", "agent"),
    ("server", "scenarios"),
    ("faults", "scenarios"),
];

/// The rooms of `src`, in the order of the map.
fn rooms() -> Vec<String> {
    let readme = include_str!("../../README.md");
    let row = |line: &str| Some(line.strip_prefix("| `src/")?.split_once('`')?.0.to_owned());
    readme.lines().filter_map(row).collect()
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.file_name().and_then(|name| name.to_str()) {
            // Tests may look anywhere.
            Some("tests" | "tests.rs") => {}
            Some(_) if path.is_dir() => files(&path, found),
            Some(name) if name.ends_with(".rs") => found.push(path),
            _ => {}
        }
    }
}

/// The rooms that a text names behind `crate::`. Comments and the unit tests at the end don't count.
fn named(text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let code: String = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut names = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            None => names.extend([word(rest)]),
            Some(group) => {
                let group = group.split(';').next().unwrap_or_default();
                names.extend(group.split(',').map(|one| word(one.trim_start())));
            }
        }
    }
    names
}

#[test]
fn every_room_is_on_the_map() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let folders = std::fs::read_dir(source).unwrap().map(|entry| entry.unwrap());
    let folders: BTreeSet<_> =
        folders.filter(|entry| entry.path().is_dir()).map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert_eq!(rooms().into_iter().collect::<BTreeSet<_>>(), folders);
}

#[test]
fn rooms_use_only_those_above_them_on_the_map() {
    let (rooms, source) = (rooms(), Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let place = |name: &str| rooms.iter().position(|room| room == name);
    let strangers =
        |one: &str, other: &str| STRANGERS.iter().any(|pair| *pair == (one, other) || *pair == (other, one));
    let (mut wrong, mut arrows) = (Vec::new(), 0);
    for (at, room) in rooms.iter().enumerate() {
        let mut found = Vec::new();
        files(&source.join(room), &mut found);
        for path in found {
            for other in named(&std::fs::read_to_string(&path).unwrap()) {
                let Some(there) = place(&other).filter(|there| *there != at) else { continue };
                arrows += 1;
                if there > at || strangers(room, &other) {
                    wrong.push(format!("{} uses crate::{other}", path.strip_prefix(&source).unwrap().display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(arrows > 300, "only {arrows} uses were seen");
}

#[test]
fn uses_are_read() {
    let text = "use crate::wire::{self, Operation};\n// crate::cli\nuse crate::{codec::base64, scan};\nfn f() { crate::ground::lock(&x) }\n";
    let text = format!("{text}#[cfg(test)]\nmod tests {{ use crate::server; }}");
    assert_eq!(named(&text).into_iter().collect::<Vec<_>>(), ["codec", "ground", "scan", "wire"]);
}
