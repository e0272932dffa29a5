//! `--save-history` and `history check`, as a user meets them.

use std::path::Path;

use assert_cmd::Command;

/// Runs, and gives exit status, stdout and stderr.
fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::cargo_bin("avp-conform").unwrap().args(arguments).env_remove("PORT").output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn saved(folder: &Path, only: &str, options: &[&str]) -> (String, String) {
    let file = folder.join("races.jsonl").display().to_string();
    let common = ["--embedded", "--only", only, "--save-history", &file];
    let (_, _, told) = run(&[&common, options].concat());
    assert!(told.contains(&format!("operations: {file}")), "{told}");
    (file, told)
}

#[test]
fn a_saved_history_of_a_right_server_has_an_order() {
    let folder = tempfile::tempdir().unwrap();
    let (file, told) = saved(folder.path(), "race/*", &[]);
    assert!(!told.contains("not linearizable"), "{told}");
    let (status, out, _) = run(&["history", "check", &file]);
    assert_eq!(status, Some(0), "{out}");
    assert!(out.starts_with("LINEARIZABLE"), "{out}");
    let lines = std::fs::read_to_string(&file).unwrap().lines().count();
    assert!(lines > 100, "{lines} lines are hardly what 19 checks did");
}

#[test]
fn a_torn_read_is_told_and_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let (file, told) =
        saved(folder.path(), "race/history-is-linearizable", &["--fault", "race-pull-old-roster", "--budget", "200ms"]);
    let picture = format!("{file}.html");
    assert!(told.contains(&format!("it is not linearizable: {picture}")), "{told}");
    let other = folder.path().join("other.html").display().to_string();
    let (status, out, _) = run(&["history", "check", &file, "--html", &other]);
    assert_eq!(status, Some(1), "{out}");
    assert!(out.starts_with("NOT LINEARIZABLE") && out.contains("can't have been answered like that"), "{out}");
    for drawn in [picture, other] {
        let page = std::fs::read_to_string(&drawn).unwrap();
        assert!(page.starts_with("<!doctype html>") && page.contains("no order</h1>"), "{drawn}: {page}");
    }
}

#[test]
fn what_cannot_be_read_or_written_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (status, _, told) = run(&["history", "check", &path("none")]);
    assert!(status == Some(2) && told.contains("can't be read"), "{told}");
    std::fs::write(path("text"), "hello\n").unwrap();
    let (status, _, told) = run(&["history", "check", &path("text")]);
    assert!(status == Some(2) && told.contains("isn't a history"), "{told}");
    std::fs::write(path("line"), "{\"format\":\"avp-history\",\"version\":1}\n{\"client\":\"one\"}\n").unwrap();
    let (status, _, told) = run(&["history", "check", &path("line")]);
    assert!(status == Some(2) && told.contains("line 2, client: invalid type"), "{told}");
    let (status, _, told) = run(&["--embedded", "--only", "push/applies", "--save-history", &path("no/such/folder")]);
    assert!(status == Some(2) && told.contains("--save-history"), "{told}");
}
