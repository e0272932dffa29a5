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
