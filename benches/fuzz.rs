//! What the server fuzzer finds and how fast it is: every sequential fault of the built-in server with a fixed seed, then the
//! clean server and every quirk, in which it must find nothing.
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
use avp_conform::fuzzing::server::{Campaign, Limits, run};
use avp_conform::requirements::{self, Revision};
use avp_conform::runner::{RunConfig, Target};
use avp_conform::server::{self, API_KEY, Config, Fault, FaultKind, Quirk};
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
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let seconds =
        arguments.iter().position(|word| word == "--seconds").and_then(|at| arguments.get(at + 1)?.parse().ok());
    let wanted: Vec<&String> =
        arguments.iter().filter(|word| !word.starts_with("--") && word.parse::<u64>().is_err()).collect();
    // The fuzzer judges by revision 0.2, which servers that break a later one conform to.
    let broken =
        |fault: &&Fault| requirements::by_id(fault.info().requirement).is_some_and(|rule| rule.since == Revision::V0_2);
    let sequential = |fault: &&Fault| fault.info().kind == FaultKind::Sequential && broken(fault);
    let faults = Fault::all().iter().filter(sequential).copied().map(Subject::Fault);
    let all = faults.chain([Subject::Clean]).chain(Quirk::all().iter().copied().map(Subject::Quirk));
    let subjects: VecDeque<_> =
        all.filter(|subject| wanted.is_empty() || wanted.iter().any(|text| subject.name().contains(*text))).collect();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (mut right, mut wrong) = (0, Vec::new());
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
            if shown(subject, &campaign) { right += 1 } else { wrong.push(subject.name()) }
        }
    });
    println!("\n{right} as they should be, {} not: {}", wrong.len(), wrong.join(" "));
}

async fn fuzz(subject: Subject, seconds: Option<u64>) -> Campaign {
    let mut config = Config::default();
    match subject {
        Subject::Clean => {}
        Subject::Fault(fault) => config.fault = Some(fault),
        Subject::Quirk(quirk) => config.quirks = vec![quirk],
    }
    let is_fault = matches!(subject, Subject::Fault(_));
    let running = server::start(config, TcpListener::bind("127.0.0.1:0").expect("a port")).await.expect("a server");
    let url = format!("http://{}", running.addr()).parse().expect("a URL");
    let mut config = RunConfig::new(Target::Url(url));
    (config.jobs, config.timeout) = (4, Duration::from_secs(5));
    let value = http::HeaderValue::from_static(API_KEY.1);
    config.headers = vec![Header { name: http::HeaderName::from_static(API_KEY.0), value }];
    let seconds = seconds.unwrap_or(if is_fault { 30 } else { 10 });
    let limits = Limits { cases: None, duration: Some(Duration::from_secs(seconds)), first: is_fault };
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
            format!("{} {} [{} requests]", report.found.operation, report.found.rule.id, report.transcript.len())
        })
        .collect();
    let (rule, right) = match subject {
        Subject::Fault(fault) => (fault.info().requirement, !found.is_empty()),
        Subject::Clean | Subject::Quirk(_) => ("", found.is_empty() && progress.cases > 0),
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
