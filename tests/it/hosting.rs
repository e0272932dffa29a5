//! Servers that the suite starts itself: what comes of good and bad commands, and that nothing stays behind.
#![cfg(target_os = "linux")]

use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use avp_conform::faults::FaultKind;
use avp_conform::selftest::{self, Effort, Subject};
use serde_json::Value;

/// A check that takes some milliseconds.
const QUICK: &str = "push/applies";
/// Set in the environment of the suite, and so of all that it starts.
const MARK: &str = "AVP_TEST_MARK";

/// The suite, and whoever carries its mark.
struct Suite {
    mark: String,
}

impl Suite {
    fn new() -> Self {
        let random = tempfile::Builder::new().prefix("avp-mark-").tempdir().unwrap();
        Self { mark: random.path().file_name().unwrap().to_str().unwrap().to_owned() }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(arguments).env(MARK, &self.mark).env_remove("CLICOLOR_FORCE");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Processes that the suite has left behind.
    fn left(&self) -> Vec<String> {
        let wanted = format!("{MARK}={}", self.mark);
        let carries = |folder: &std::path::Path| {
            let environment = std::fs::read(folder.join("environ")).ok()?;
            let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
            let ended = stat.contains(") Z ") || stat.contains(") X ");
            (!ended && environment.split(|byte| *byte == 0).any(|it| it == wanted.as_bytes())).then_some(stat)
        };
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| carries(&entry.ok()?.path())).collect()
    }

    /// Nothing is left, if not at once then soon.
    fn leaves_nothing(&self, soon: Duration) {
        let started = Instant::now();
        while !self.left().is_empty() {
            assert!(started.elapsed() < soon, "left behind: {:?}", self.left());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn program() -> std::path::PathBuf {
    assert_cmd::cargo::cargo_bin!("avp-conform").to_path_buf()
}

/// `serve`, as a command line.
fn serve(more: &str) -> String {
    format!("{} serve --listen 127.0.0.1:{{port}} {more}", program().display())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_server_is_started_judged_and_stopped() {
    let suite = Suite::new();
    let output = suite.run(&["--server-cmd", &serve(""), "--only", QUICK, "--report", "json=-"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(suite.left(), [] as [String; 0]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["checks"].as_array().unwrap().iter().filter(|check| check["status"] == "pass").count(), 1);
}

/// The port can come from the environment, and the identity provider can be another process (here one that isn't the vault's,
/// whose tokens are worth nothing).
#[test]
fn two_commands_have_a_port_each() {
    let suite = Suite::new();
    let plain = format!("{} serve", program().display());
    let (server, idp) = (format!("sh -c 'test {{idp-port}} != $PORT && exec {plain}'"), plain);
    let arguments = ["--server-cmd", &server, "--idp-cmd", &idp, "--only", "auth/fresh-keypair", "--report", "json=-"];
    let output = suite.run(&arguments);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["requests"].as_u64().unwrap() > 2, "{}", text(&output.stderr));
    assert_eq!(suite.left(), [] as [String; 0]);
}

/// What can't be judged ends with 3 and one sentence, soon, and nothing stays behind.
#[test]
fn bad_commands_are_told_in_a_sentence() {
    let elsewhere = format!("{} serve --listen 127.0.0.1:0", program().display());
    let cases = [
        (
            "sh -c 'echo no database; echo really not >&2; exit 1'",
            "ended with exit status 1 (its last words: really not)",
        ),
        ("sh -c 'kill -9 $$'", "ended with signal 9"),
        ("true", "stay in the foreground"),
        ("sh -c ./no-such-server", "a shell found no such program"),
        ("sh -c 'head -c 1000000000 /dev/zero; sleep 60'", "nobody answered at http://127.0.0.1:"),
        ("sh -c 'trap \"\" TERM; while :; do sleep 0.1; done'", "the server ignored SIGTERM for 3 s, and was killed"),
        ("sh -c 'sleep 61 & setsid sleep 62 & sleep 63'", "nobody answered"),
        ("sh -c 'sleep 61 & setsid sleep 62 &'", "nobody answered"),
        (&elsewhere, "and listens on port"),
        ("sh -c 'printf \"\\033[31mred\\n\"; exit 1'", "its last words: "),
    ];
    std::thread::scope(|scope| {
        for (command, said) in cases {
            scope.spawn(move || {
                let suite = Suite::new();
                let output = suite.run(&["--server-cmd", command, "--ready-timeout", "1s", "--only", QUICK]);
                let all = text(&output.stdout) + &text(&output.stderr);
                let words = all.split_whitespace().collect::<Vec<_>>().join(" ");
                assert_eq!(output.status.code(), Some(3), "{command}: {all}");
                assert!(words.to_lowercase().contains(&said.to_lowercase()), "{command}: {all}");
                assert!(!all.contains('\u{1b}'), "{command}: {all:?}");
                assert_eq!(suite.left(), [] as [String; 0], "{command}");
            });
        }
    });
}

#[test]
fn what_can_be_seen_beforehand_is_an_error_of_usage() {
    let suite = Suite::new();
    for (arguments, said) in [
        (&["--server-cmd", "no-such-server"][..], "no program no-such-server"),
        (&["--server-cmd", "./no-such-server"], "no file ./no-such-server"),
        (&["--server-cmd", "a && b"], "sh -c 'a && b'"),
        (&["--server-cmd", "a > log"], "sh -c 'a > log'"),
        (&["--idp-cmd", "true"], "no server to judge"),
        (&["--server-cmd", "true", "--ready-timeout", "soon"], "500ms"),
        (&["--server-cmd", "true", "--embedded"], "cannot be used with"),
    ] {
        let output = suite.run(arguments);
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {err}");
        assert!(err.contains(said), "{arguments:?}: {err}");
    }
    assert_eq!(suite.left(), [] as [String; 0]);
}

#[test]
fn whoever_is_there_already_is_not_taken_for_the_server() {
    let suite = Suite::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let output = suite.run(&["--server-cmd", "sleep 60", "--server", &url]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stdout).contains("answers at"), "{}", text(&output.stdout));
    assert_eq!(suite.left(), [] as [String; 0]);
}

/// Waits until the server that the suite has started is there.
fn started(suite: &Suite, child: &Child) {
    let mine = child.id().to_string();
    let begun = Instant::now();
    while suite.left().iter().filter(|stat| !stat.starts_with(&mine)).count() < 3 {
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", suite.left());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Also a grandchild that has left the process group.
const FAMILY: &str = "sh -c 'setsid sleep 61 & sleep 62'";

#[test]
fn nothing_outlives_a_suite_that_is_interrupted() {
    let suite = Suite::new();
    let child = suite.command(&["--server-cmd", FAMILY, "--only", QUICK]).spawn().unwrap();
    started(&suite, &child);
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stdout));
    assert_eq!(suite.left(), [] as [String; 0]);
}

#[test]
fn nothing_outlives_a_suite_that_is_killed() {
    let suite = Suite::new();
    let mut child = suite.command(&["--server-cmd", FAMILY, "--only", QUICK]).spawn().unwrap();
    started(&suite, &child);
    child.kill().unwrap();
    child.wait().unwrap();
    suite.leaves_nothing(Duration::from_secs(20));
}

/// What the server prints is a log: nobody has to name a file.
#[test]
fn what_a_server_prints_is_searched() {
    let suite = Suite::new();
    let command = serve("--fault logs-tokens");
    let only = ["--only", "storage/*", "--only", "zero-knowledge/*"];
    let output = suite.run(&[&["--server-cmd", &command, "--report", "json=-"], &only[..]].concat());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = report["checks"].as_array().unwrap().iter().find(|check| check["id"] == "storage/no-tokens").unwrap();
    assert!(found["message"].as_str().unwrap().contains("standard-error"), "{found}");
    assert_eq!(suite.left(), [] as [String; 0]);
}

/// Judged with a JSON report; the report.
fn judged(suite: &Suite, arguments: &[&str]) -> Value {
    let output = suite.run(&[arguments, &["--report", "json=-"]].concat());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)))
}

/// Ids and messages of the checks that ended so.
fn with<'a>(report: &'a Value, status: &str) -> Vec<(&'a str, &'a str)> {
    let checks = report["checks"].as_array().unwrap().iter().filter(|check| check["status"] == status);
    checks.map(|check| (check["id"].as_str().unwrap(), check["message"].as_str().unwrap_or_default())).collect()
}

/// Two processes on one file, killed again and again: nothing to complain about.
#[test]
fn the_built_in_server_survives_crashes_and_company() {
    let (suite, folder) = (Suite::new(), tempfile::tempdir().unwrap());
    let command = serve(&format!("--db {}", folder.path().join("x.db").display()));
    let several = ["--replicas", "2", "--crash-rounds", "4", "--only", "replica/*", "--only", "crash/*"];
    let report = judged(&suite, &[&["--server-cmd", &command], &several[..]].concat());
    for status in ["fail", "warn", "error"] {
        assert_eq!(with(&report, status), [], "{status}");
    }
    let passed = with(&report, "pass");
    assert!(passed.iter().filter(|(id, _)| id.starts_with("crash/")).count() == 6, "{passed:?}");
    assert!(passed.iter().filter(|(id, _)| id.starts_with("replica/")).count() > 10, "{passed:?}");
    assert!(report["hosted"]["peakMemoryBytes"].as_u64().unwrap() > 1 << 20, "{}", report["hosted"]);
    assert_eq!(report["hosted"]["deaths"], 0);
    assert_eq!(suite.left(), [] as [String; 0]);
}

/// A server that speaks nothing but gRPC to the suite is killed and looked at alike.
#[test]
fn crashes_are_judged_over_grpc() {
    let (suite, folder) = (Suite::new(), tempfile::tempdir().unwrap());
    for (name, fault, rounds) in [("right", "", "4"), ("faulty", "--fault crash-loses-pushes", "20")] {
        let (program, file) = (program(), folder.path().join(format!("{name}.db")));
        let command = format!(
            "{} serve --listen 127.0.0.1:0 --grpc 127.0.0.1:{{port}} {fault} --db {}",
            program.display(),
            file.display()
        );
        let arguments = ["--server-cmd", &command, "--profile", "grpc", "--only", "crash/*", "--crash-rounds", rounds];
        let report = judged(&suite, &arguments);
        let warnings = with(&report, "warn");
        assert_eq!((with(&report, "fail"), with(&report, "error")), (vec![], vec![]));
        assert_eq!(warnings.is_empty(), fault.is_empty(), "{name}: {warnings:?}");
        assert_eq!(with(&report, "pass").len(), 6 - warnings.len(), "{name}");
    }
    assert_eq!(suite.left(), [] as [String; 0]);
}

#[test]
fn a_server_that_keeps_nothing_has_nothing_to_lose() {
    let suite = Suite::new();
    let report = judged(&suite, &["--server-cmd", &serve(""), "--only", "crash/*", "--only", QUICK]);
    let skipped = with(&report, "skip");
    let told = skipped.iter().filter(|(_, message)| message.contains("keeps nothing over a plain restart"));
    assert_eq!(told.count(), 6, "{skipped:?}");
    assert_eq!((with(&report, "warn"), with(&report, "error")), (vec![], vec![]));
    assert_eq!(suite.left(), [] as [String; 0]);
}

/// Each by a check that names its rule.
#[test]
fn every_fault_of_several_processes_is_found() {
    let kinds = [FaultKind::Replica, FaultKind::Stranger, FaultKind::Crash];
    let is_one = |subject: &Subject| matches!(subject, Subject::Fault(fault) if kinds.contains(&fault.info().kind));
    let subjects: Vec<_> = selftest::subjects(avp_conform::server::Profile::Http).into_iter().filter(is_one).collect();
    assert!(subjects.len() >= 20, "{}", subjects.len());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let trials =
        runtime.block_on(selftest::run(avp_conform::server::Profile::Http, &subjects, Effort::Quick, 3, |_| {}));
    let wrong: Vec<_> = trials.iter().filter(|trial| !trial.right).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What a run can't be without is no part of it; whoever asks is told what it takes.
#[test]
fn checks_of_several_processes_wait_to_be_asked() {
    let suite = Suite::new();
    let report = judged(&suite, &["--embedded", "--only", QUICK]);
    let of = |report: &Value, area: &str| {
        report["checks"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|check| check["id"].as_str().unwrap().starts_with(area))
            .count()
    };
    assert_eq!((of(&report, "replica/"), of(&report, "stranger/"), of(&report, "crash/")), (0, 0, 0));
    let report = judged(&suite, &["--embedded", "--only", QUICK, "--only", "replica/*", "--only", "crash/*"]);
    let skipped = with(&report, "skip");
    let told = |id: &str| skipped.iter().find(|(known, _)| *known == id).unwrap().1;
    assert!(told("replica/token-of-another").contains("--replica URL"));
    assert!(told("crash/writes-are-whole").contains("--server-cmd"));
}

/// The checks that kill it are named, and the others are judged.
#[test]
fn what_kills_the_server_does_not_end_the_run() {
    let suite = Suite::new();
    let checks = ["--only", "bad-input/*-deep-nesting", "--only", "bad-input/*-not-json"];
    let report = judged(&suite, &[&["--embedded", "--fault", "crash-on-deep-nesting"], &checks[..]].concat());
    let warned = with(&report, "warn");
    assert_eq!(warned.len(), 7, "{warned:?}");
    for (id, message) in warned {
        assert!(id.ends_with("-deep-nesting") && message.contains("signal 6"), "{id}: {message}");
    }
    assert_eq!(with(&report, "pass").len(), 7);
    assert_eq!((report["exitStatus"].as_u64(), report["hosted"]["deaths"].as_u64()), (Some(0), Some(7)));
    assert_eq!(suite.left(), [] as [String; 0]);
}

/// Somebody else does; then no check is blamed, and nothing counts that was under way.
#[test]
fn a_death_that_is_nobodys_fault_is_told() {
    let suite = Suite::new();
    let command = serve("");
    // Enough checks that some are under way when it dies, however fast the machine is.
    let many = ["push/*", "pull/*", "add-member/*", "remove-member/*", "create-repo/*"].map(|glob| ["--only", glob]);
    let arguments = [&["--server-cmd", &command, "--report", "json=-"], many.as_flattened()].concat();
    let child = suite.command(&arguments).spawn().unwrap();
    let mine = format!("{} ", child.id());
    let begun = Instant::now();
    let server = loop {
        let family = suite.left();
        let served = family.iter().find(|stat| stat.contains("(avp-conform)") && !stat.starts_with(&mine));
        if let Some(pid) = served.and_then(|stat| stat.split(' ').next()) {
            break pid.to_owned();
        }
        assert!(begun.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(10));
    };
    std::thread::sleep(Duration::from_millis(700));
    assert!(Command::new("kill").args(["-KILL", &server]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((with(&report, "fail"), with(&report, "error")), (vec![], vec![]), "{}", text(&output.stderr));
    assert_eq!(report["exitStatus"], 0, "{report}");
    assert_eq!(suite.left(), [] as [String; 0]);
}

#[test]
fn addresses_that_make_no_sense_are_errors_of_usage() {
    let suite = Suite::new();
    for (arguments, said) in [
        (&["--server", "http://127.0.0.1:1", "--replica", "http://127.0.0.1:1"][..], "named twice"),
        (&["--server", "http://127.0.0.1:1", "--stranger", "http://127.0.0.1:1/"], "named twice"),
        (&["--server", "http://127.0.0.1:1", "--replicas", "2"], "--server-cmd"),
        (&["--server-cmd", "true", "--replicas", "0"], "1..=8"),
        (&["--embedded", "--crash-rounds", "2"], "--server-cmd"),
        (&["--server", "http://127.0.0.1:1", "--stranger", "h"], "--stranger"),
    ] {
        let output = suite.run(arguments);
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {err}");
        assert!(err.contains(said), "{arguments:?}: {err}");
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody = format!("http://127.0.0.1:{port}");
    let output = suite.run(&["--server-cmd", &serve(""), "--replica", &nobody, "--only", QUICK]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stdout).contains(&format!("--replica {nobody}")), "{}", text(&output.stdout));
    assert_eq!(suite.left(), [] as [String; 0]);
}
