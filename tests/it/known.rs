//! Known failures: a run that fails as it is known to doesn't fail, and the file can't rot.

use assert_cmd::Command;

const FAULT: &str = "push-ungated";

/// Runs a few checks against the built-in server with a fault; gives exit status and what it said.
fn run(fault: Option<&str>, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::cargo_bin("avp-conform").unwrap();
    command.args(["--embedded", "--color", "never", "--only", "push/stale*", "--only", "push/applies"]);
    command.args(fault.iter().flat_map(|fault| ["--fault", fault])).args(arguments).env_remove("PORT");
    let output = command.output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (output.status.code().unwrap(), text)
}

#[test]
fn from_a_first_run_to_a_file_that_rots() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("known.txt");
    let file = path.to_str().unwrap();
    let (status, text) = run(Some(FAULT), &["--write-known", file]);
    assert_eq!(status, 1, "{text}");
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(written.lines().any(|line| line.starts_with("push/stale")), "{written}");

    let json = folder.path().join("report.json");
    let report = format!("json={}", json.display());
    let (status, text) = run(Some(FAULT), &["--known", file, "--report", &report]);
    assert_eq!(status, 0, "{text}");
    assert!(text.contains("NOT CONFORMANT, AS KNOWN"), "{text}");
    let report = std::fs::read_to_string(json).unwrap();
    assert!(report.contains(r#""verdict": "not-conformant-as-known""#) && report.contains(r#""known": ""#), "{report}");

    // Once the server is mended, the file has to go.
    let (status, text) = run(None, &["--known", file]);
    assert_eq!(status, 1, "{text}");
    assert!(text.contains("fails no more"), "{text}");

    // Reasons and dates survive a new file.
    std::fs::write(&path, "push/stale* until:2999-01-31 ticket 12\n").unwrap();
    let (status, text) = run(Some(FAULT), &["--known", file, "--write-known", file]);
    assert!(status <= 1, "{text}");
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(written.contains(" until:2999-01-31 ticket 12"), "{written}");
}

#[test]
fn mistakes_in_the_file_are_told_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("known.txt");
    std::fs::write(&path, "push/applies\npush/stale* until:soon\n").unwrap();
    let (status, text) = run(None, &["--known", path.to_str().unwrap()]);
    assert!(status == 2 && text.contains("known.txt:2: until:soon is no date"), "{text}");
    let (status, text) = run(None, &["--known", folder.path().join("none").to_str().unwrap()]);
    assert!(status == 2 && text.contains("--known"), "{text}");
}

#[test]
fn a_client_may_have_known_failures_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("known.txt");
    let file = path.to_str().unwrap();
    let judged = |fault: Option<&str>, arguments: &[&str]| {
        let mut command = Command::cargo_bin("avp-conform").unwrap();
        command.args(["client", "--embedded", "--color", "never", "--only", "client-token/*", "--timeout", "20s"]);
        command.args(fault.iter().flat_map(|fault| ["--fault", fault])).args(arguments);
        let output = command.output().unwrap();
        (output.status.code().unwrap(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let fault = Some("client-token-in-url");
    let (status, text) = judged(fault, &["--write-known", file]);
    assert_eq!(status, 1, "{text}");
    let (status, text) = judged(fault, &["--known", file]);
    assert!(status == 0 && text.contains("NOT CONFORMANT, AS KNOWN"), "{text}");
    let (status, text) = judged(None, &["--known", file]);
    assert!(status == 1 && text.contains("fails no more"), "{text}");
    std::fs::write(&path, "client-token/nonsense\n").unwrap();
    let (status, text) = judged(fault, &["--known", file]);
    assert!(status == 1 && text.contains("matches no check"), "{text}");
}
