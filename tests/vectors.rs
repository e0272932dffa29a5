//! The bank as it is committed, and the checker on it and on tampered copies.

use std::path::Path;

use avp_conform::vectors::{Verdict, bank, check};

fn committed() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors"))
}

#[test]
fn the_committed_files_are_the_generated_ones() {
    for file in bank().unwrap() {
        let path = committed().join(file.name);
        if std::env::var_os("AVP_WRITE_VECTORS").is_some() {
            std::fs::write(&path, &file.text).unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(text == file.text, "{} differs: run `avp-conform vectors generate`", path.display());
    }
}

#[test]
fn the_bank_is_right() {
    let checked = check(committed()).unwrap();
    let problems: Vec<_> = checked
        .files
        .iter()
        .flat_map(|file| file.cases.iter().map(move |case| (file, case)))
        .filter(|(_, case)| case.verdict != Verdict::Right || !case.remarks.is_empty())
        .map(|(file, case)| format!("{}: {}: {:?} {:?}", file.name, case.name, case.problems, case.remarks))
        .collect();
    assert_eq!(problems, [] as [String; 0]);
    assert_eq!(checked.exit_code(), 0);
    assert_eq!(checked.absent_files, [] as [&str; 0]);
    assert!(checked.files.iter().all(|file| file.unknown_members.is_empty() && file.unreadable.is_none()));
    assert!(checked.count(Verdict::Right) > 400, "{}", checked.count(Verdict::Right));
}
