//! The gRPC profile as a user meets it: the built-in server over it, its faults, its reports, and the command line.

use assert_cmd::Command;
use serde_json::Value;

/// Output and errors of a run that ends with a status.
fn run(arguments: &[&str], status: i32) -> (String, String) {
    let output = Command::cargo_bin("avp-conform").unwrap().args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{arguments:?}\n{out}\n{err}");
    (out, err)
}

fn grpc<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [&["--embedded", "--profile", "grpc"], arguments].concat()
}

#[test]
fn checks_that_speak_in_operations_run_as_they_are() {
    let only = ["push/applies", "remove-member/rotates", "race/push-has-one-winner", "grpc/*"];
    let arguments: Vec<_> = only.iter().flat_map(|only| ["--only", only]).collect();
    let (out, _) = run(&grpc(&arguments), 0);
    assert!(out.contains("0 failed · 0 warnings · 0 errors"), "{out}");
}

#[test]
fn what_only_http_has_is_no_part_of_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let report = format!("json={}", folder.path().join("r.json").display());
    run(&grpc(&["--only", "push/applies", "--report", &report]), 0);
    let report: Value = serde_json::from_slice(&std::fs::read(folder.path().join("r.json")).unwrap()).unwrap();
    let ids: Vec<_> = report["checks"].as_array().unwrap().iter().map(|check| check["id"].as_str().unwrap()).collect();
    assert!(ids.contains(&"grpc/broken-frames") && ids.contains(&"push/stale-is-conflict"));
    assert!(!ids.iter().any(|id| id.starts_with("framing/") || id.starts_with("json/")), "{ids:?}");
}

#[test]
fn faults_are_found_over_grpc_and_shown_as_calls() {
    let folder = tempfile::tempdir().unwrap();
    let report = format!("json={}", folder.path().join("r.json").display());
    let (out, _) =
        run(&grpc(&["--only", "push/stale-is-conflict", "--fault", "conflict-is-409", "--report", &report]), 1);
    assert!(out.contains("request   avp.Vault/Push · authorization: Bearer "), "{out}");
    assert!(out.contains("answer    ALREADY_EXISTS (6)"), "{out}");
    let report: Value = serde_json::from_slice(&std::fs::read(folder.path().join("r.json")).unwrap()).unwrap();
    let check = report["checks"].as_array().unwrap().iter().find(|check| check["id"] == "push/stale-is-conflict");
    let call = &check.unwrap()["exchanges"].as_array().unwrap().last().unwrap()["grpc"];
    assert_eq!((&call["method"], &call["code"]), (&"avp.Vault/Push".into(), &6.into()), "{call}");
}

#[test]
fn options_that_contradict_each_other() {
    let (_, err) = run(&["--server", "http://127.0.0.1:1", "--profile", "grpc"], 2);
    assert!(err.contains("grpc://HOST:PORT"), "{err}");
    let (_, err) = run(&["--server", "grpc://127.0.0.1"], 2);
    assert!(err.contains("needs a port"), "{err}");
    let (_, err) = run(&["--server", "grpc://127.0.0.1:1/prefix"], 2);
    assert!(err.contains("no path prefix"), "{err}");
}

#[test]
fn an_http_server_is_no_grpc_server() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let running = runtime.block_on(avp_conform::server::start(Default::default(), listener)).unwrap();
    let (out, _) = run(&["--server", &format!("grpc://{}", running.addr()), "--timeout", "3s"], 3);
    assert!(out.contains("NOT JUDGED") && out.contains("profile"), "{out}");
}

/// The ids of the checks that ended so.
fn with_status(report: &Value, status: &str) -> Vec<String> {
    let checks = report["checks"].as_array().unwrap().iter();
    let mut ids: Vec<_> = checks
        .filter(|check| check["status"] == status)
        .map(|check| check["id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    ids
}

fn json_report(arguments: &[&str], status: i32) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let report = format!("json={}", folder.path().join("r.json").display());
    run(&[arguments, &["--report", &report]].concat(), status);
    serde_json::from_slice(&std::fs::read(folder.path().join("r.json")).unwrap()).unwrap()
}

#[test]
fn both_profiles_are_judged_and_whether_they_agree() {
    let only = ["push/applies", "profiles/*", "grpc/absent-messages", "json/*"];
    let only: Vec<_> = only.iter().flat_map(|only| ["--only", only]).collect();
    let report = json_report(&[&["--embedded", "--profile", "both"], only.as_slice()].concat(), 0);
    let passed = with_status(&report, "pass");
    for id in ["push/applies@http", "push/applies@grpc", "grpc/absent-messages@grpc", "profiles/reads-follow-writes"] {
        assert!(passed.iter().any(|passed| passed == id), "{id} isn't in {passed:?}");
    }
    assert!(!passed.iter().any(|id| id.starts_with("json/") && id.ends_with("@grpc")), "{passed:?}");
    let of = |id: &str| report["checks"].as_array().unwrap().iter().find(|check| check["id"] == id).unwrap().clone();
    assert_eq!(of("push/applies@grpc")["profile"], "grpc");
    assert_eq!(of("push/applies@http")["profile"], "http-json");
    assert_eq!(of("profiles/created-once").get("profile"), None);
}

#[test]
fn what_fails_in_one_profile_is_told_by_its_name() {
    let fault = ["--embedded", "--profile", "both", "--fault", "grpc-removal-throws-half-way"];
    let only = ["--only", "grpc/absent-messages", "--only", "remove-member/rotates"];
    let report = json_report(&[&fault[..], &only].concat(), 1);
    assert_eq!(with_status(&report, "fail"), ["grpc/absent-messages@grpc"]);
    assert_eq!(with_status(&report, "pass"), ["remove-member/rotates@grpc", "remove-member/rotates@http"]);
}

#[test]
fn a_store_for_each_profile_is_no_violation() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let bind = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let start = |grpc| {
        let starting = avp_conform::server::start_with(Default::default(), bind(), grpc);
        runtime.block_on(starting).unwrap()
    };
    let (one, other) = (start(None), start(Some(bind())));
    let (http, grpc) = (format!("http://{}", one.addr()), format!("grpc://{}", other.grpc().unwrap()));
    let only = ["--only", "profiles/*", "--only", "push/applies"];
    let report = json_report(&[&["--server", &http, "--grpc", &grpc], &only[..]].concat(), 0);
    assert_eq!(with_status(&report, "pass"), ["push/applies@grpc", "push/applies@http"]);
    let checks = report["checks"].as_array().unwrap();
    let agreement = checks.iter().find(|check| check["id"] == "profiles/created-once").unwrap();
    assert_eq!(agreement["omission"], "not-applicable", "{agreement}");
    assert!(agreement["message"].as_str().unwrap().contains("a store each"), "{agreement}");
}

#[test]
fn options_for_both_profiles() {
    let (_, err) = run(&["--server", "http://127.0.0.1:1", "--profile", "both"], 2);
    assert!(err.contains("--grpc grpc://HOST:PORT"), "{err}");
    let (_, err) = run(&["--server", "http://127.0.0.1:1", "--grpc", "http://127.0.0.1:2"], 2);
    assert!(err.contains("grpc:// or grpcs://"), "{err}");
    let (_, err) = run(&["--server", "grpc://127.0.0.1:1", "--grpc", "grpc://127.0.0.1:2"], 2);
    assert!(err.contains("already"), "{err}");
    let (_, err) = run(&["--server", "http://127.0.0.1:1", "--grpc", "grpc://127.0.0.1:2", "--profile", "http"], 2);
    assert!(err.contains("leave one of the two out"), "{err}");
}

/// A public server keeps repositories in a map and compares nothing. Each of its mistakes is a failure, and of the checks that
/// have nothing to do with them none is.
#[test]
fn a_server_that_compares_nothing() {
    // Races are lost at once; every check that provokes one would go on much longer for that.
    let report = json_report(&grpc(&["--fault", "grpc-keeps-what-comes", "--budget", "1ms"]), 1);
    let failed = with_status(&report, "fail");
    for id in [
        "push/version-never-falls",
        "push/version-never-falls-when-rotating",
        "remove-member/version-must-not-fall",
        "remove-member/epoch-must-rise",
        "remove-member/refused-changes-nothing",
        "grpc/absent-messages",
    ] {
        assert!(failed.iter().any(|failed| failed == id), "{id} isn't in {failed:?}");
    }
    let exact = ["pull/epochs-exact", "pull/versions-around-53-bits", "pull/versions-around-63-bits"];
    assert!(exact.iter().all(|id| failed.iter().any(|failed| failed == id)), "{failed:?}");
    // Without a comparison, of two writes that meet both apply.
    let due = ["version", "epoch", "counters", "absent", "refused", "named-in-the-roster", "race/"];
    for id in &failed {
        assert!(due.iter().any(|word| id.contains(word)), "{id} fails, too: {failed:?}");
    }
    assert!(with_status(&report, "error").is_empty(), "{:?}", with_status(&report, "error"));
}

#[test]
fn the_fuzzer_says_its_requests_as_calls() {
    let folder = tempfile::tempdir().unwrap();
    let save = folder.path().join("f.json").display().to_string();
    let fuzz = |more: &[&str], status| {
        let fixed = ["fuzz", "--embedded", "--profile", "grpc", "--seed", "7", "--save", &save];
        run(&[&fixed[..], more].concat(), status).0
    };
    let clean = fuzz(&["--cases", "12"], 0);
    assert!(clean.contains("nothing found"), "{clean}");
    let found = fuzz(&["--cases", "60", "--first", "--fault", "push-any-version"], 1);
    assert!(found.contains("grpcurl -plaintext -import-path schema -proto avp.proto"), "{found}");
    assert!(found.contains("avp.Vault/Push"), "{found}");
    let again = fuzz_again(&save);
    assert!(again.contains("version"), "{again}");
}

fn fuzz_again(save: &str) -> String {
    run(&["fuzz", "--embedded", "--profile", "grpc", "--fault", "push-any-version", "--replay", save], 1).0
}

#[test]
fn a_server_that_the_suite_starts_speaks_what_it_is_told_to() {
    let program = assert_cmd::cargo::cargo_bin("avp-conform").display().to_string();
    let one = format!("{program} serve --listen 127.0.0.1:0 --grpc 127.0.0.1:{{port}}");
    let (out, _) = run(&["--server-cmd", &one, "--profile", "grpc", "--only", "push/applies"], 0);
    assert!(out.contains("1 passed"), "{out}");
    let both = format!("{program} serve --listen 127.0.0.1:{{port}} --grpc 127.0.0.1:{{grpc-port}}");
    let only = ["--only", "push/applies", "--only", "profiles/created-once"];
    let (out, _) = run(&[&["--server-cmd", &both, "--profile", "both"], &only[..]].concat(), 0);
    assert!(out.contains("3 passed"), "{out}");
}

#[test]
fn profiles_that_disagree_are_found() {
    let both = ["--embedded", "--profile", "both", "--only", "profiles/*", "--fault"];
    let failed = |fault| with_status(&json_report(&[&both[..], &[fault]].concat(), 1), "fail");
    assert!(failed("profiles-pulls-cached").contains(&"profiles/reads-follow-writes".to_owned()));
    assert!(failed("profiles-tokens-apart").contains(&"profiles/token-of-the-other".to_owned()));
}
