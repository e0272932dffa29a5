//! Servers that the suite starts itself: what comes of good and bad commands, and that nothing stays behind.
#![cfg(target_os = "linux")]

use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

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
