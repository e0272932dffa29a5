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

#[path = "shared/memory.rs"]
mod memory;
#[path = "shared/processor.rs"]
mod processor;
#[path = "shared/served.rs"]
mod served;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use processor::children_time;
use serde_json::Value;
use served::{median, serve};

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

/// One run.
struct Run {
    took: Duration,
    /// Processor time in seconds.
    busy: f64,
    /// Most memory at once, in MiB.
    peak: u64,
    report: Value,
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
    let (process, mut peak) = (child.id().to_string(), 0);
    let status = loop {
        peak = peak.max(memory::peak(&process).unwrap_or(0) >> 20);
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
            of(|run| run.peak as f64),
        );
    }
}
