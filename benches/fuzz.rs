//! What the server fuzzer finds, and how soon: every sequential fault of the built-in server with a fixed seed, judged by the revision
//! whose rule it breaks; then the clean server, in which it must find nothing, and every quirk, which it may warn of and must not fail.
//! A fault that breaks a MUST is found by what fails the server, any other by a warning.
//!
//! ```sh
//! cargo bench --bench fuzz                        # all of it, at most 30 s for a fault, 10 s for a quirk
//! cargo bench --bench fuzz -- --seconds 5 push-   # the servers whose name has this in it
//! ```

use std::collections::VecDeque;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use avp_conform::client::Header;
use avp_conform::faults::{self, API_KEY, Fault, FaultKind, Quirk};
use avp_conform::fuzzing::server::{Campaign, Limits, ReportedCase, run};
use avp_conform::requirements;
use avp_conform::requirements::Level;
use avp_conform::runner::{RunConfig, Target};
use avp_conform::server::{self, Config};
use tokio::sync::watch;

/// The seed of every campaign.
const SEED: u64 = 1;
/// Servers fuzzed at once.
const AT_ONCE: usize = 2;

#[derive(Clone, Copy)]
enum Subject {
    Clean,
    Fault(Fault),
    Quirk(Quirk),
}

impl Subject {
    fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Fault(fault) => fault.info().name,
            Self::Quirk(quirk) => quirk.info().name,
        }
    }

    /// After which time a fault was found.
    fn found(self, campaign: &Campaign) -> Option<Duration> {
        let Self::Fault(fault) = self else { return None };
        let counts = |report: &&ReportedCase| report.found.fails() || fault.info().level != Level::Must;
        campaign.reports.iter().filter(counts).map(|report| report.since).min()
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let seconds =
        arguments.iter().position(|word| word == "--seconds").and_then(|at| arguments.get(at + 1)?.parse().ok());
    let wanted: Vec<&String> =
        arguments.iter().filter(|word| !word.starts_with("--") && word.parse::<u64>().is_err()).collect();
    let sequential = |fault: &&Fault| fault.info().kind == FaultKind::Sequential;
    let faults = Fault::all().iter().filter(sequential).copied().map(Subject::Fault);
    let all = faults.chain([Subject::Clean]).chain(Quirk::all().iter().copied().map(Subject::Quirk));
    let subjects: VecDeque<_> =
        all.filter(|subject| wanted.is_empty() || wanted.iter().any(|text| subject.name().contains(*text))).collect();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (mut right, mut wrong, mut worst) = (0, Vec::new(), (Duration::ZERO, ""));
    let queue = Arc::new(Mutex::new(subjects));
    let (results, mut finished) = tokio::sync::mpsc::unbounded_channel();
    runtime.block_on(async {
        for _ in 0..AT_ONCE {
            let (queue, results) = (Arc::clone(&queue), results.clone());
            tokio::spawn(async move {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some(subject) = next else { break };
                    if results.send((subject, fuzz(subject, seconds).await)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(results);
        while let Some((subject, campaign)) = finished.recv().await {
            if shown(subject, &campaign) {
                right += 1
            } else {
                wrong.push(subject.name())
            }
            if let Some(since) = subject.found(&campaign) {
                worst = worst.max((since, subject.name()));
            }
        }
    });
    println!("\n{right} as they should be, {} not: {}", wrong.len(), wrong.join(" "));
    println!("the fault that took longest to be found: {}, {:.1} s", worst.1, worst.0.as_secs_f64());
}

async fn fuzz(subject: Subject, seconds: Option<u64>) -> Campaign {
    let mut config = Config::default();
    match subject {
        Subject::Clean => {}
        Subject::Fault(fault) => config.deviation = faults::deviation(Some(fault), &[]),
        Subject::Quirk(quirk) => config.deviation = faults::deviation(None, &[quirk]),
    }
    let is_fault = matches!(subject, Subject::Fault(_));
    let running = server::start(config, TcpListener::bind("127.0.0.1:0").expect("a port")).await.expect("a server");
    let url = format!("http://{}", running.addr()).parse().expect("a URL");
    let mut config = RunConfig::new(Target::Url(url));
    (config.jobs, config.timeout) = (4, Duration::from_secs(5));
    let value = http::HeaderValue::from_static(API_KEY.1);
    config.headers = vec![Header { name: http::HeaderName::from_static(API_KEY.0), value }];
    let seconds = seconds.unwrap_or(if is_fault { 30 } else { 10 });
    let mut strict = false;
    if let Subject::Fault(fault) = subject {
        config.spec = requirements::by_id(fault.info().requirement).map_or(config.spec, |rule| rule.since);
        strict = fault.info().level != Level::Must;
    }
    let limits = Limits { cases: None, duration: Some(Duration::from_secs(seconds)), first: is_fault, strict };
    let (_keep, stop) = watch::channel(false);
    let campaign = run(&config, SEED, limits, stop, &mut |_| {}).await;
    drop(running);
    campaign
}

/// One line; whether it is as it should be.
fn shown(subject: Subject, campaign: &Campaign) -> bool {
    let progress = campaign.progress;
    let found: Vec<_> = campaign
        .reports
        .iter()
        .map(|report| {
            let ReportedCase { found, transcript, since, .. } = report;
            let (operation, seconds) = (found.operation, since.as_secs_f64());
            format!("{operation} {} [{} requests, {seconds:.1} s]", found.rule.id, transcript.len())
        })
        .collect();
    let fails = campaign.reports.iter().any(|report| report.found.fails());
    let (rule, right) = match subject {
        Subject::Fault(fault) => (fault.info().requirement, subject.found(campaign).is_some()),
        Subject::Clean => ("", found.is_empty() && progress.cases > 0),
        Subject::Quirk(_) => ("", !fails && progress.cases > 0),
    };
    println!(
        "{} {:34} {rule:28} {:>6} cases {:>7} requests {:>6.1} s  {}",
        if right { "ok   " } else { "WRONG" },
        subject.name(),
        progress.cases,
        progress.requests,
        progress.elapsed.as_secs_f64(),
        found.join(", ")
    );
    if !right && !matches!(subject, Subject::Fault(_)) {
        for report in &campaign.reports {
            println!("      expected {} · observed {}", report.found.expected, report.found.observed);
        }
        println!("      {:?}", campaign.end);
    }
    right
}
