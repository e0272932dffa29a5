//! The program as its user meets it: usage errors, lists, reports, exit statuses.

use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;

/// One check that is quick and passes.
const QUICK: &str = "push/applies";

pub(crate) fn avp_conform(arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("avp-conform").unwrap();
    command.args(arguments).env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").env_remove("PORT");
    command.env_remove("GITHUB_STEP_SUMMARY");
    command
}

/// Runs, checks the exit status, and gives stdout and stderr.
pub(crate) fn run(arguments: &[&str], status: i32) -> (String, String) {
    let output = avp_conform(arguments).output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(status), "{arguments:?}\n{out}\n{err}");
    (out, err)
}

/// Runs into a usage error, which is told on stderr in one sentence and with nothing on stdout.
pub(crate) fn usage_error(arguments: &[&str]) -> String {
    let (out, err) = run(arguments, 2);
    assert_eq!(out, "");
    assert!(err.starts_with("error: "), "{err}");
    err
}

#[test]
fn a_server_must_be_named() {
    assert!(usage_error(&[]).contains("--server URL, --server-cmd CMD, or --embedded"));
    for empty in [&["--server", ""][..], &["--server="], &["--server", " \n"]] {
        assert!(usage_error(empty).contains("is empty"), "{empty:?}");
    }
    assert!(usage_error(&["--server", "http://h", "--embedded"]).contains("cannot be used with"));
    assert!(usage_error(&["--server", "localhost:80"]).contains("http://localhost:80"));
    assert!(usage_error(&["--server", "http://h", "--idp", ""]).contains("--idp is empty"));
}

#[test]
fn credentials_do_not_show_in_errors() {
    for arguments in [
        &["--server", "http://h", "--header", "hunter2"][..],
        &["--server", "http://h", "--header", "X Y: hunter2"],
        &["--server", "http://h", "--header", "Authorization: hunter2"],
        &["--server", "http://h", "--idp-header", "X-Key: hunter2\u{7f}"],
        &["--server", "http://user:hunter2@h"],
        &["--server", "http://h", "--idp", "http://user:hunter2@h"],
    ] {
        assert!(!usage_error(arguments).contains("hunter2"), "{arguments:?}");
    }
}

#[test]
fn options_that_mean_nothing_are_errors() {
    let said = |option: &[&str]| usage_error(&[&["--embedded"], option].concat());
    assert!(said(&["--only", "puhs/*"]).contains("did you mean push/*"));
    assert!(said(&["--skip", "*"]).contains("no check to run"));
    assert!(said(&["--timeout", "0s"]).contains("more than nothing"));
    assert!(said(&["--timeout", "soon"]).contains("500ms"));
    assert!(said(&["--spec", "0.5"]).contains("0.4"));
    assert!(said(&["--jobs", "0"]).contains("1..=256"));
    assert!(said(&["--fault", "no-such-fault"]).contains("list --faults"));
    assert!(said(&["--ca-cert", "/no/such/file"]).contains("/no/such/file"));
    assert!(usage_error(&["--server", "http://h", "--fault", "x"]).contains("cannot be used with"));
}

#[test]
fn reports_that_cannot_be_written_are_errors_before_the_run() {
    let said = |report: &[&str]| usage_error(&[&["--embedded"], report].concat());
    assert!(said(&["--report", "pdf=x"]).contains("json, junit, markdown, html"));
    assert!(said(&["--report", "json"]).contains("FORMAT=PATH"));
    assert!(said(&["--report", "json=/no/such/folder/x"]).contains("doesn't exist"));
    assert!(said(&["--report", "json=/"]).contains("is a folder"));
    assert!(said(&["--report", "json=-", "--report", "junit=-"]).contains("same place"));
}

#[test]
fn help_fits_80_columns() {
    for arguments in [&["--help"][..], &["-h"], &["list", "--help"], &["serve", "--help"]] {
        let (out, _) = run(arguments, 0);
        for line in out.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}

#[test]
fn lists_for_people_and_programs() {
    let (out, _) = run(&["list"], 0);
    assert!(out.contains("push/applies  §6 · must\n"), "{out}");
    let (out, _) = run(&["list", "--requirements"], 0);
    assert!(out.contains("no check: a matter of deployment") && out.contains("proved by push/"), "{out}");
    assert!(out.lines().all(|line| line.chars().count() <= 80));

    let (out, _) = run(&["list", "--format", "json"], 0);
    let lists: Value = serde_json::from_str(&out).unwrap();
    let checks = lists["checks"].as_array().unwrap();
    assert!(checks.iter().any(|check| check["id"] == QUICK && check["level"] == "must"));
    assert!(lists.get("requirements").is_none());
    let (out, _) = run(&["list", "--requirements", "--faults", "--quirks", "--format", "json"], 0);
    let lists: Value = serde_json::from_str(&out).unwrap();
    assert!(lists["requirements"].as_array().unwrap().iter().any(|row| row["unprovable"].is_string()));
    assert!(lists["faults"].is_array() && lists["quirks"].is_array() && lists.get("checks").is_none());
}

#[test]
fn judges_the_built_in_server() {
    let (out, err) = run(&["--embedded", "--only", QUICK, "--seed", "42"], 0);
    assert!(out.starts_with("INCOMPLETE  the built-in server"), "{out}");
    assert!(out.contains("1 passed · 0 failed") && out.contains("seed 42"), "{out}");
    assert!(out.contains("not selected by --only"), "{out}");
    assert!(err.starts_with("avp-conform "), "{err}");
    assert!(!out.contains('\u{1b}') && !err.contains('\u{1b}'));
    let (out, _) = run(&["--embedded", "--only", QUICK, "--color", "always", "-v"], 0);
    assert!(out.contains('\u{1b}'));
}

#[test]
fn writes_every_report() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let option = |format: &str, path: &Path| format!("{format}={}", path.display());
    let (junit, markdown) = (option("junit", &file("r.xml")), option("markdown", &file("r.md")));
    let arguments = ["--embedded", "--only", QUICK, "--report", &junit, "--report", &markdown, "--report", "json=-"];
    let (out, err) = run(&arguments, 0);
    let report: Value = serde_json::from_str(&out).unwrap();
    let schema: Value = serde_json::from_str(avp_conform::report::SCHEMA_JSON).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<_> = validator.iter_errors(&report).map(|error| error.to_string()).collect();
    assert_eq!(errors, [] as [String; 0]);
    assert_eq!(report["verdict"], "incomplete");
    assert!(err.contains("INCOMPLETE"), "the summary makes way: {err}");
    assert!(std::fs::read_to_string(file("r.xml")).unwrap().contains("<testsuites"));
    assert!(std::fs::read_to_string(file("r.md")).unwrap().starts_with("# "));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn a_server_that_is_not_there_cannot_be_judged() {
    // Bound and dropped: nobody listens there now.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let (out, _) = run(&["--server", &url, "--header", "X-Key: hunter2"], 3);
    assert!(out.starts_with(&format!("NOT JUDGED  {url}")), "{out}");
    assert!(out.contains("refused"), "{out}");
    assert!(!out.contains("hunter2"));
}

#[test]
fn credentials_that_a_server_echoes_stay_out_of_everything() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || listener.incoming().flatten().for_each(|stream| drop(echo(stream))));
    let arguments = ["--server", &url, "--header", "X-Key: hunter2hunter2", "--trace", "-v", "--report", "json=-"];
    let output = avp_conform(&arguments).output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(!out.contains("hunter2") && !err.contains("hunter2"), "{out}\n{err}");
    assert!(err.contains("x-key: ***"), "{err}");
}

/// Answers with the head of the request.
fn echo(mut stream: std::net::TcpStream) -> std::io::Result<()> {
    use std::io::{Read, Write};
    let mut buffer = [0; 4096];
    let length = stream.read(&mut buffer)?;
    write!(stream, "HTTP/1.1 500 Oops\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")?;
    stream.write_all(&buffer[..length])
}

#[cfg(unix)]
mod unix {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    fn program() -> Command {
        Command::new(assert_cmd::cargo::cargo_bin!("avp-conform"))
    }

    #[test]
    fn serves_until_sigterm() {
        let mut serve = program();
        serve.args(["serve", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = serve.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        let address = url.strip_prefix("http://").unwrap();
        let second = program().args(["serve", "--listen", address]).output().unwrap();
        assert_eq!(second.status.code(), Some(2));
        assert!(String::from_utf8(second.stderr).unwrap().contains("another program has it"));
        let judged = program().args(["--server", &url, "--only", super::QUICK]).output().unwrap();
        assert_eq!(judged.status.code(), Some(0));
        assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }

    #[test]
    fn a_reader_that_has_had_enough_is_no_panic() {
        for arguments in [&["list"][..], &["--embedded", "--only", super::QUICK]] {
            let mut child = program().args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            drop(child.stdout.take());
            let output = child.wait_with_output().unwrap();
            let err = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(0), "{err}");
            assert!(!err.contains("panicked"), "{err}");
        }
    }
}
