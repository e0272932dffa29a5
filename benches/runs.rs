//! How long whole runs take, as their users time them: the program as a process of its own, against the built-in server, with the
//! habits of servers that runs are slow against.
//!
//! Time is the median of the rounds by the clock, from the start of the process to its end; where a server runs in a process of its
//! own, processor time and memory are those of the suite alone. Both need Linux, and are left out elsewhere.
//!
//! ```sh
//! cargo bench --bench runs
//! cargo bench --bench runs -- --rounds 9
//! ```

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_avp-conform");

/// What is judged: a name, and the quirks of a server of its own (`None`: `--embedded`).
const TARGETS: [(&str, Option<&[&str]>); 6] = [
    ("`--embedded`", None),
    ("the same server, by itself", Some(&[])),
    ("head and body in two segments", Some(&["two-segments"])),
    ("one connection at a time", Some(&["one-connection"])),
    ("both", Some(&["two-segments", "one-connection"])),
    ("50 ms an answer", Some(&["latency-50ms"])),
];

/// Ends a server with the program.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already; there is nobody to tell.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(quirks: &[&str]) -> (Server, String) {
    let quirks = quirks.iter().flat_map(|quirk| ["--quirk", quirk]);
    let child = Command::new(PROGRAM)
        .args(["serve", "--listen", "127.0.0.1:0"])
        .args(quirks)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut server = Server(child.expect("the program runs"));
    let output = BufReader::new(server.0.stdout.take().expect("it was piped"));
    let url = output.lines().map_while(Result::ok).find_map(|line| {
        let at = line.find("http://")?;
        Some(line[at..].split_whitespace().next()?.to_owned())
    });
    (server, url.expect("the server says where it listens"))
}

/// One run.
struct Run {
    took: Duration,
    /// Processor time in seconds.
    busy: f64,
    /// Most memory at once, in MiB.
    peak: f64,
    report: Value,
}

/// Processor time of the children that have ended, in seconds; 0 where the system doesn't say.
fn children_time() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    // Fields 16 and 17 of proc(5), in ticks of 10 ms.
    (ticks(13) + ticks(14)) / 100.0
}

/// The most memory that a process has had at once so far, in MiB; 0 where the system doesn't say.
fn peak_of(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

fn judge(target: &[&str]) -> Run {
    let report = tempfile::NamedTempFile::new().expect("a file");
    let (began, busy) = (Instant::now(), children_time());
    let mut child = Command::new(PROGRAM)
        .args(target)
        .arg("--report")
        .arg(format!("json={}", report.path().display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program runs");
    let mut peak = 0.0_f64;
    let status = loop {
        peak = peak.max(peak_of(child.id()));
        if let Some(status) = child.try_wait().expect("the program ends") {
            break status;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let took = began.elapsed();
    assert!(status.success(), "a run against a right server ends with {status}");
    let text = std::fs::read_to_string(report.path()).expect("a report");
    Run { took, busy: children_time() - busy, peak, report: serde_json::from_str(&text).expect("JSON") }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let rounds =
        arguments.iter().position(|word| word == "--rounds").and_then(|at| arguments.get(at + 1)?.parse().ok());
    let rounds: usize = rounds.unwrap_or(3).max(1);
    println!("| target | checks | requests | s | ms per check | s of processor time | MiB at most |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for (name, quirks) in TARGETS {
        let served = quirks.map(serve);
        let target: Vec<&str> = match &served {
            Some((_, url)) => vec!["--server", url],
            None => vec!["--embedded"],
        };
        let runs: Vec<Run> = (0..rounds).map(|_| judge(&target)).collect();
        let of = |figure: fn(&Run) -> f64| median(runs.iter().map(figure).collect());
        let seconds = of(|run| run.took.as_secs_f64());
        let checks = of(|run| {
            let summary = &run.report["summary"];
            ["pass", "fail", "warn", "error"].iter().filter_map(|status| summary[*status].as_f64()).sum()
        });
        println!(
            "| {name} | {checks} | {} | {seconds:.2} | {:.1} | {:.2} | {:.0} |",
            of(|run| run.report["requests"].as_f64().unwrap_or(0.0)),
            seconds * 1000.0 / checks,
            of(|run| run.busy),
            of(|run| run.peak),
        );
    }
}
