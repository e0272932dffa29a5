//! `avp-conform fuzz` as a user runs it, against the built-in server.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn fuzz(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_avp-conform");
    Command::new(program).arg("fuzz").args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs and expects an exit status.
fn ends(arguments: &[&str], status: i32) -> String {
    let output = fuzz(arguments);
    let text = text(&output);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {text}");
    text
}

#[test]
fn a_right_server_gives_no_finding() {
    let folder = tempfile::tempdir().unwrap();
    let save = folder.path().join("found.json");
    let save = save.to_str().unwrap();
    let text = ends(&["--embedded", "--cases", "8", "--seed", "7", "--strict", "--save", save], 0);
    assert!(text.contains("nothing found") && text.contains("8 cases") && text.contains("seed 7"), "{text}");
    assert!(!Path::new(save).exists(), "there is nothing to save");
}

#[test]
fn a_finding_is_shrunk_shown_saved_and_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let save = folder.path().join("found.json");
    let save = save.to_str().unwrap();
    let broken = ["--embedded", "--fault", "push-any-version"];
    let text = ends(&[&broken[..], &["--first", "--seed", "1", "--save", save]].concat(), 1);
    assert!(text.contains("1. failure: push · AVP-10-version-monotonic"), "{text}");
    assert!(text.contains("curl -sS -g --path-as-is -X POST") && text.contains("\"${ALICE}\""), "{text}");
    assert!(text.contains(&format!("--replay {save}")), "{text}");
    // Challenge, token, create, push: nothing less shows it.
    let saved: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(save).unwrap()).unwrap();
    let finding = saved.as_array().unwrap().iter().find(|each| each["rule"] == "AVP-10-version-monotonic").unwrap();
    assert_eq!(finding["steps"].as_array().unwrap().len(), 2, "{finding:#}");
    assert_eq!(finding["transcript"].as_array().unwrap().len(), 4, "{finding:#}");
    let text = ends(&[&broken[..], &["--replay", save]].concat(), 1);
    assert!(text.contains("AVP-10-version-monotonic"), "{text}");
    let text = ends(&["--embedded", "--replay", save], 0);
    assert!(text.contains("doesn't show any more"), "{text}");
}

/// Every format has each finding, with the command that plays it again.
#[test]
fn findings_go_into_every_format_of_report() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).display().to_string();
    let formats = ["json", "html", "junit", "sarif", "markdown", "tap", "github", "har", "badge"];
    let mut words: Vec<String> =
        ["--embedded", "--fault", "push-any-version", "--cases", "20", "--seed", "1", "--strict"]
            .map(str::to_owned)
            .to_vec();
    words.extend(["--save".to_owned(), place("found.json")]);
    words.extend(formats.iter().flat_map(|format| ["--report".to_owned(), format!("{format}={}", place(format))]));
    ends(&words.iter().map(String::as_str).collect::<Vec<_>>(), 1);
    let read = |name: &str| std::fs::read_to_string(place(name)).unwrap();
    let report: Value = serde_json::from_str(&read("json")).unwrap();
    let schema: Value = serde_json::from_str(avp_conform::report::SCHEMA_JSON).unwrap();
    let errors: Vec<_> =
        jsonschema::validator_for(&schema).unwrap().iter_errors(&report).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!((&report["verdict"], &report["exitStatus"]), (&"not-conformant".into(), &1.into()));
    let checks = report["checks"].as_array().unwrap();
    let saved: Vec<Value> = serde_json::from_str(&read("found.json")).unwrap();
    assert_eq!(checks.len(), saved.len());
    let id = checks.iter().find(|check| check["status"] == "fail").unwrap()["id"].as_str().unwrap();
    assert!(id.starts_with("fuzz/push/avp-"), "{id}");
    for format in ["html", "junit", "sarif", "markdown", "tap", "github"] {
        assert!(read(format).contains(id), "{format} lacks {id}");
    }
    let page = read("html");
    assert!(page.contains("avp-conform fuzz --embedded --fault push-any-version --strict --replay "), "{page}");
    assert!(!page.contains("--only"), "a finding can't be chosen by --only");
    for format in formats {
        let text = read(format);
        let whole = text.split(['"', ' ', '\'', '<']).find(|word| word.starts_with("eyJ") && word.len() > 60);
        assert_eq!(whole, None, "a token is in the {format} report");
    }
}

#[test]
fn a_campaign_that_finds_nothing_proves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("report.json").display().to_string();
    let save = folder.path().join("found.json").display().to_string();
    let report = format!("json={place}");
    ends(&["--embedded", "--cases", "3", "--save", &save, "--report", &report], 0);
    let report: Value = serde_json::from_str(&std::fs::read_to_string(place).unwrap()).unwrap();
    assert_eq!((&report["verdict"], &report["exitStatus"]), (&"incomplete".into(), &0.into()));
    ends(&["--embedded", "--cases", "3", "--report", "json=/nowhere/at/all.json"], 2);
    ends(&["--embedded", "--replay", &save, "--report", "json=-"], 2);
}

#[test]
fn credentials_are_shown_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let save = folder.path().join("found.json");
    let save = save.to_str().unwrap();
    let key = ["--header", "X-Secret: s3cr3t-value"];
    let arguments = ["--embedded", "--fault", "push-any-version", "--first", "--seed", "1", "--save", save];
    let text = ends(&[&arguments[..], &key].concat(), 1) + &std::fs::read_to_string(save).unwrap();
    assert!(!text.contains("s3cr3t-value"), "{text}");
    // Tokens are cut short wherever they stand.
    let whole = text.split(['"', ' ', '\'']).find(|word| word.starts_with("eyJ") && word.len() > 60);
    assert_eq!(whole, None);
}

#[test]
fn a_target_that_falls_ends_the_campaign() {
    let folder = tempfile::tempdir().unwrap();
    let save = folder.path().join("found.json");
    let arguments = ["--embedded", "--fault", "malformed-json-kills", "--seed", "2", "--duration", "60s"];
    let text = ends(&[&arguments[..], &["--save", save.to_str().unwrap()]].concat(), 3);
    assert!(text.contains("NOT JUDGED  the target stopped answering"), "{text}");
}

#[test]
fn a_target_that_is_not_there_is_not_judged() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = ends(&["--server", &format!("http://{free}"), "--cases", "1"], 3);
    assert!(text.contains("connection refused") && !text.contains("nothing found"), "{text}");
}

#[test]
fn a_file_that_is_cut_off_or_empty_is_not_replayed() {
    let folder = tempfile::tempdir().unwrap();
    for (text, said) in
        [("[{\"rule\": \"AVP-6-pu", "cut off"), ("{}", "no file of findings"), ("[]", "no finding in it")]
    {
        let path = folder.path().join("found.json");
        std::fs::write(&path, text).unwrap();
        let shown = ends(&["--embedded", "--replay", path.to_str().unwrap()], 2);
        assert!(shown.contains(said) && shown.contains("found.json"), "{text}: {shown}");
    }
}

#[test]
fn a_habit_that_only_warns_is_told_and_does_not_fail() {
    let folder = tempfile::tempdir().unwrap();
    let save = folder.path().join("found.json");
    let save = save.to_str().unwrap();
    let habit = ["--embedded", "--quirk", "created-201", "--cases", "4", "--seed", "3", "--save", save];
    let text = ends(&habit, 0);
    assert!(text.contains("warning: createRepo · AVP-6-usual-status") && text.contains("1 warning"), "{text}");
    // Every case goes on behind it.
    assert!(text.contains("in 4 cases"), "{text}");
    ends(&[&habit[..], &["--strict"]].concat(), 1);
    ends(&["--embedded", "--quirk", "created-201", "--strict", "--replay", save], 1);
}

#[test]
fn later_revisions_are_judged_when_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let save = folder.path().join("found.json");
    let save = save.to_str().unwrap();
    for (fault, spec, rule) in [
        ("errors-plain-text", "0.3", "AVP-0.3-error-object"),
        ("sharing-lost-on-push", "0.4", "AVP-0.4-share-refresh-tokens"),
    ] {
        let broken = ["--embedded", "--fault", fault, "--first", "--seed", "1", "--save", save, "--duration", "30s"];
        let text = ends(&[&broken[..], &["--spec", spec]].concat(), 1);
        assert!(text.contains(rule) && text.contains(&format!("--spec {spec}")), "{fault}: {text}");
        ends(&["--embedded", "--fault", fault, "--cases", "4", "--seed", "1"], 0);
    }
    ends(&["--embedded", "--spec", "0.4", "--cases", "8", "--seed", "7", "--strict"], 0);
}

#[test]
fn usage_errors() {
    for (arguments, said) in [
        (&["--cases", "1"][..], "no server to judge"),
        (&["--embedded", "--fault", "nonsense"], "nonsense"),
        (&["--embedded", "--replay", "/no/such/file"], "/no/such/file"),
        (&["--embedded", "--replay", "Cargo.toml"], "no file of findings"),
        (&["--server", "http://h", "--embedded"], "cannot be used with"),
    ] {
        let text = ends(arguments, 2);
        assert!(text.contains(said), "{arguments:?}: {text}");
    }
}
