//! What a server has stored and logged is searched: with the run, and later by itself.

use std::path::Path;
use std::process::{Command, Output};

use avp_conform::faults::FaultKind;
use avp_conform::selftest::{self, Effort, Subject};
use avp_conform::server::Profile;
use serde_json::Value;

/// The checks that send what is looked for, and those that look.
const SEARCH: [&str; 4] = ["--only", "storage/*", "--only", "zero-knowledge/*"];

fn program(arguments: &[&str]) -> Output {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("avp-conform"));
    command.args(arguments).env_remove("CLICOLOR_FORCE").output().unwrap()
}

/// Runs with a JSON report; the exit status and the report.
fn judged(arguments: &[&str]) -> (i32, Value) {
    let output = program(&[arguments, &["--report", "json=-"]].concat());
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {err}"));
    (output.status.code().unwrap(), report)
}

/// Status and message of a check in a report.
fn result<'a>(report: &'a Value, id: &str) -> (&'a str, &'a str) {
    let check = report["checks"].as_array().unwrap().iter().find(|check| check["id"] == id).unwrap();
    (check["status"].as_str().unwrap(), check["message"].as_str().unwrap_or_default())
}

/// Each by a check that names its rule.
#[test]
fn every_storage_fault_is_found() {
    let is_storage =
        |subject: &Subject| matches!(subject, Subject::Fault(fault) if fault.info().kind == FaultKind::Storage);
    let subjects: Vec<_> = selftest::subjects(Profile::Http).into_iter().filter(is_storage).collect();
    assert!(subjects.len() >= 16);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let trials = runtime.block_on(selftest::run(Profile::Http, &subjects, Effort::Quick, 3, |_| {}));
    let wrong: Vec<_> = trials.iter().filter(|trial| !trial.right).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_built_in_server_keeps_no_secret() {
    let (status, report) = judged(&[&["--embedded", "--embedded-storage"], &SEARCH[..]].concat());
    assert_eq!(status, 0);
    for check in report["checks"].as_array().unwrap() {
        let id = check["id"].as_str().unwrap();
        if id.starts_with("storage/") {
            assert_eq!(check["status"], "pass", "{check}");
            assert!(check["message"].as_str().unwrap().contains("searched for"), "{check}");
        }
    }
}

/// `serve` with a database and a log in a folder, ended when it is dropped.
#[cfg(unix)]
struct Serve {
    child: std::process::Child,
    url: String,
}

#[cfg(unix)]
impl Serve {
    fn start(folder: &Path, fault: &str) -> Self {
        use std::io::{BufRead as _, BufReader};
        std::fs::create_dir(folder.join("storage")).unwrap();
        let log = std::fs::File::create(folder.join("server.log")).unwrap();
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("avp-conform"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--fault", fault, "--db"]).arg(folder.join("storage/x.db"));
        let mut child = command.stdout(std::process::Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        Self { child, url }
    }
}

#[cfg(unix)]
impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A run saves what it has sent; the scan finds it later, in the database, its log, and a dump of it.
#[test]
#[cfg(unix)]
fn a_later_scan_finds_what_a_run_has_sent() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let server = Serve::start(folder.path(), "keeps-decrypted-payloads");
    let canaries = path("canaries.json");
    let (status, report) = judged(&[&["--server", &server.url, "--save-canaries", &canaries], &SEARCH[..]].concat());
    let (skipped, message) = result(&report, "storage/no-accounts");
    assert!(status == 0 && skipped == "skip" && message.contains("scan --canaries"), "{status} {message}");
    let scan = |more: &[&str]| judged(&[&["scan", "--canaries", &canaries], more].concat());

    // The canaries in the same folder aren't taken for a leak.
    let (status, report) = scan(&[&path("")]);
    let (failed, message) = result(&report, "storage/no-accounts");
    assert_eq!((status, failed), (1, "fail"), "{message}");
    assert!(message.contains("storage/x.db, table kept, column value, row") && message.contains("as raw"), "{message}");
    assert_eq!(report["verdict"], "not-conformant");
    assert_eq!(result(&report, "storage/no-keys").0, "pass");

    let dump = format!("gzip -c {} | base64", path("storage/x.db-wal"));
    let (status, report) = scan(&["--storage-cmd", &dump, "--only", "storage/no-accounts"]);
    let (_, message) = result(&report, "storage/no-accounts");
    assert!(status == 1 && message.contains("in gzip in base64"), "{message}");

    let (status, report) = scan(&["--logs", &path("server.log"), "--server-pid", &server.child.id().to_string()]);
    assert!(matches!(status, 0 | 1), "{report}");
    drop(server);
    std::fs::create_dir(path("elsewhere")).unwrap();
    std::fs::write(path("elsewhere/x"), "something else").unwrap();
    let (status, report) = scan(&[&path("elsewhere")]);
    assert_eq!((status, report["verdict"].as_str()), (3, Some("not-judged")), "{report}");
}

/// Without anything to search, the checks say so, and a run of nothing else comes to no verdict; a fault of the storage is searched for unasked.
#[test]
fn storage_is_searched_where_it_is_asked_for_or_broken() {
    let (status, report) = judged(&["--embedded", "--only", "storage/*"]);
    assert_eq!((status, result(&report, "storage/no-keys").0), (3, "skip"));
    let (_, report) = judged(&["--embedded", "--fault", "keeps-tokens", "--only", "storage/*"]);
    let (status, message) = result(&report, "storage/no-tokens");
    assert!(status == "warn" && message.contains("table kept"), "{status} {message}");
}

#[test]
fn what_cannot_be_searched_is_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let nonsense = folder.path().join("nonsense").display().to_string();
    std::fs::write(&nonsense, "{}").unwrap();
    for (arguments, said) in [
        (&["--embedded", "--storage", "/no/such/path"][..], "--storage /no/such/path"),
        (&["--embedded", "--logs", "/dev/null"], "neither a file nor a folder"),
        (&["--embedded", "--server-pid", "4294967295"], "process 4294967295"),
        (&["--embedded", "--save-canaries", "/no/such/folder/x"], "--save-canaries /no/such/folder/x"),
        (&["--embedded", "--storage", &nonsense, "--only", "push/applies"], "leave out the checks storage/*"),
        (&["scan", "--canaries", &nonsense], "nothing to search"),
        (&["scan", "--canaries", &nonsense, "."], "isn't a file that --save-canaries wrote"),
        (&["scan", "--canaries", "/no/such/file", "."], "--canaries /no/such/file"),
        (&["scan", "--canaries", &nonsense, ".", "--only", "push/*"], "all that a scan runs"),
    ] {
        let output = program(arguments);
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {err}");
        assert!(err.starts_with("error: ") && err.contains(said), "{arguments:?}: {err}");
        assert!(output.stdout.is_empty());
    }
}
