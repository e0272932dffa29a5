//! Runs over several jobs, and what is made of their reports: merged, compared, side by side.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::cli::{run, usage_error};

/// Few enough to be quick, with a whole-run check among them.
const ONLY: [&str; 8] = ["--only", "push/*", "--only", "refusal/*", "--only", "later/*", "--only", "schema/*"];
const FAULT: [&str; 3] = ["--embedded", "--fault", "push-any-version"];

fn report(folder: &Path, name: &str, more: &[&str], status: i32) -> String {
    let path = folder.join(name).display().to_string();
    let json = format!("json={path}");
    run(&[&FAULT[..], &ONLY, &["--seed", "7", "--report", &json], more].concat(), status);
    path
}

fn read(path: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// What has to be the same in a whole run and in its merged parts: the rest is times, ids and keys.
fn essence(report: &Value) -> (BTreeMap<String, (String, String)>, Vec<String>) {
    let checks = report["checks"].as_array().unwrap().iter().map(|check| {
        let text = |name: &str| check[name].as_str().unwrap_or_default().to_owned();
        (text("id"), (text("status"), text("omission")))
    });
    let members = ["verdict", "reason", "exitStatus", "summary", "strict", "spec", "interrupted", "causes"];
    (checks.collect(), members.map(|name| report[name].to_string()).to_vec())
}

#[test]
fn merged_parts_are_the_whole_run() {
    let folder = tempfile::tempdir().unwrap();
    let whole = report(folder.path(), "whole.json", &[], 1);
    let parts: Vec<String> = (1..=3)
        .map(|part| {
            let name = format!("{part}.json");
            let json = format!("json={}", folder.path().join(&name).display());
            let shard = format!("{part}/3");
            // Whether a part by itself fails depends on what is in it.
            let words = [&FAULT[..], &ONLY, &["--seed", "7", "--report", &json, "--shard", &shard]].concat();
            crate::cli::avp_conform(&words).output().unwrap();
            folder.path().join(name).display().to_string()
        })
        .collect();
    let merged = folder.path().join("merged.json").display().to_string();
    let json = format!("json={merged}");
    let words = [&["merge"], &parts.iter().map(String::as_str).collect::<Vec<_>>()[..], &["--report", &json]].concat();
    let (out, _) = run(&words, 1);
    assert!(out.starts_with("NOT CONFORMANT"), "{out}");
    assert_eq!(essence(&read(&merged)), essence(&read(&whole)));
    assert!(read(&merged).get("shard").is_none() && read(&parts[0])["shard"] == "1/3");

    assert!(usage_error(&["merge", &parts[0], &parts[1]]).contains("part 3/3 is missing"));
    assert!(usage_error(&["merge", &parts[0], &parts[0]]).contains("both part 1/3"));
    assert!(usage_error(&["merge", &parts[0], &whole]).contains("no part of a run"));
    assert!(usage_error(&["--embedded", "--shard", "4/3"]).contains("K/N"));
}

#[test]
fn reports_are_compared_and_set_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let bad = report(folder.path(), "bad.json", &[], 1);
    let good = folder.path().join("good.json").display().to_string();
    run(&[&["--embedded"], &ONLY[..], &["--report", &format!("json={good}")]].concat(), 0);
    let (out, _) = run(&["diff", &bad, &good], 0);
    assert!(out.contains("Fixed") && out.contains("push/version-never-falls  fail → pass"), "{out}");
    let (out, _) = run(&["diff", &good, &bad], 1);
    assert!(out.contains("Broken") && out.lines().all(|line| line.chars().count() <= 100), "{out}");
    let (out, _) = run(&["matrix", &bad, &good], 0);
    assert!(out.contains("✕   ✓ ≠AVP-10-version-monotonic"), "{out}");
    let html = folder.path().join("m.html").display().to_string();
    run(&["matrix", &bad, &good, "--html", &html], 0);
    assert!(std::fs::read_to_string(html).unwrap().contains("class=\"differs\""));
    assert!(usage_error(&["diff", &good, "/no/such/file"]).contains("/no/such/file"));
    // A report in other formats, without another run.
    let sarif = folder.path().join("r.sarif").display().to_string();
    run(&["merge", &bad, "--report", &format!("sarif={sarif}")], 1);
    assert!(read(&sarif)["runs"][0]["results"].as_array().is_some_and(|results| !results.is_empty()));
}

#[test]
fn parts_of_a_selftest_are_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let only = ["--only", "pushes-answered-201", "--only", "push-gap"];
    let names = |report: &Value| -> Vec<String> {
        let trials = report["trials"].as_array().unwrap();
        let mut names: Vec<_> = trials.iter().map(|trial| trial["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    let subjects: Vec<String> = avp_conform::selftest::subjects(avp_conform::server::Profile::Http)
        .iter()
        .map(|subject| subject.name().to_owned())
        .filter(|name| only.iter().any(|text| name.contains(text)))
        .collect();
    assert!(!subjects.is_empty());
    let parts = u32::try_from(subjects.len()).unwrap().min(2);
    let mut files = Vec::new();
    for part in 1..=parts {
        let shard = format!("{part}/{parts}");
        let output =
            crate::cli::avp_conform(&[&["selftest", "--report", "json", "--shard", &shard], &only[..]].concat())
                .output()
                .unwrap();
        let path = folder.path().join(format!("{part}.json"));
        std::fs::write(&path, output.stdout).unwrap();
        files.push(path.display().to_string());
    }
    let words: Vec<&str> = std::iter::once("merge").chain(files.iter().map(String::as_str)).collect();
    let output = crate::cli::avp_conform(&words).output().unwrap();
    let mut expected = subjects;
    expected.sort();
    assert_eq!(names(&serde_json::from_slice(&output.stdout).unwrap()), expected);
}

#[test]
fn findings_of_fuzzing_are_merged() {
    let folder = tempfile::tempdir().unwrap();
    let files: Vec<String> =
        (1..=2).map(|part| folder.path().join(format!("{part}.json")).display().to_string()).collect();
    for (part, file) in (1..).zip(&files) {
        let shard = format!("{part}/2");
        let words = [
            "fuzz",
            "--embedded",
            "--fault",
            "push-any-version",
            "--cases",
            "12",
            "--seed",
            "1",
            "--shard",
            &shard,
            "--save",
            file,
        ];
        crate::cli::avp_conform(&words).output().unwrap();
        assert!(Path::new(file).exists());
    }
    let merged = folder.path().join("all.json").display().to_string();
    let output =
        crate::cli::avp_conform(&["merge", &files[0], &files[1], &files[0], "--save", &merged]).output().unwrap();
    let key =
        |finding: &Value| (finding["kind"].to_string(), finding["rule"].to_string(), finding["operation"].to_string());
    let keys = |path: &str| -> Vec<_> { read(path).as_array().unwrap().iter().map(key).collect() };
    let mut expected = [keys(&files[0]), keys(&files[1])].concat();
    let mut found = keys(&merged);
    expected.sort();
    expected.dedup();
    found.sort();
    assert_eq!(found, expected, "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(output.status.code(), Some(i32::from(!found.is_empty())));
}
