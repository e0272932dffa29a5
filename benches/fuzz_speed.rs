//! How fast the server fuzzer asks, beside wrk (<https://github.com/wg/wrk>), which does nothing but ask.
//!
//! The built-in server runs as a process of its own, so that nobody shares a runtime with it. In turn, with the same number of
//! connections: wrk sends one authenticated pull again and again; the fuzzer plays cases of its usual length in which everything
//! but getting a token and creating the repository is a pull; and the fuzzer fuzzes. The middle one is the like-for-like
//! comparison: the server does the same work, and what differs is what the fuzzer does with a request and its answer (keys of its
//! own for every case, the model, the schema, the record). In the last one most requests are dearer for the server too: writes,
//! signatures, bodies of megabytes, and requests that stop half-way and wait.
//!
//! ```sh
//! cargo bench --bench fuzz_speed                        # needs wrk (Debian: apt-get install wrk); says so without
//! cargo bench --bench fuzz_speed -- --connections 16 --seconds 5 --rounds 5
//! ```

#[path = "shared/served.rs"]
mod served;

use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use avp_conform::client::{Identity, RawRequest, Repo, Transport};
use avp_conform::codec::base64;
use avp_conform::fuzzing::server::{Limits, Saved, replay, run};
use avp_conform::runner::{RunConfig, Target};
use avp_conform::wire::Operation;
use serde_json::{Value, json};
use served::{median, serve};
use url::Url;

/// Pulls of a case: with the requests before them as many as a usual case has.
const PULLS: usize = 56;
/// Requests of a case before them: challenge, token, createRepo.
const BEFORE: usize = 3;
/// Cases between two looks at the clock.
const CASES: usize = 20;

fn option(name: &str, usual: u64) -> u64 {
    let arguments: Vec<String> = std::env::args().collect();
    let at = arguments.iter().position(|word| word == name);
    at.and_then(|at| arguments.get(at + 1)?.parse().ok()).unwrap_or(usual)
}

async fn post(transport: &Transport, operation: Operation, token: Option<&str>, body: &Value) -> Value {
    let mut headers = vec![(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"))];
    headers
        .extend(token.map(|token| (http::header::AUTHORIZATION, format!("Bearer {token}").parse().expect("a token"))));
    let request = RawRequest {
        method: operation.method(),
        path: operation.path("", ""),
        headers,
        body: Some(body.to_string().into()),
        answer_limit: 1 << 20,
    };
    let answer = transport.send(&request).await.expect("an answer");
    serde_json::from_slice(&answer.body).expect("JSON")
}

/// A script with which wrk pulls a repository that is made for it.
async fn script(url: &Url) -> tempfile::NamedTempFile {
    let transport = Transport::new(url, None, Vec::new(), Duration::from_secs(5)).expect("a transport");
    let alice = Identity::generate();
    let challenge = post(&transport, Operation::Challenge, None, &json!({ "ed25519PublicKey": alice.id })).await;
    let nonce = challenge["nonce"].as_str().expect("a nonce");
    let signature = base64::encode(&alice.sign(&base64::decode(nonce).expect("base64")));
    let redeem = json!({ "ed25519PublicKey": alice.id, "nonce": nonce, "signature": signature });
    let token = post(&transport, Operation::Token, None, &redeem).await;
    let token = token["token"].as_str().expect("a token");
    let repo = Repo::new(&alice);
    post(&transport, Operation::CreateRepo, Some(token), &json!(repo.create_request())).await;
    let mut script = tempfile::NamedTempFile::new().expect("a file");
    write!(
        script,
        "wrk.method = 'POST'\nwrk.path = '{}'\nwrk.body = '{}'\nwrk.headers['Content-Type'] = 'application/json'\n\
         wrk.headers['Authorization'] = 'Bearer {token}'\n",
        Operation::Pull.path(&repo.manifest.repo_id, ""),
        json!(repo.pull_request(0)),
    )
    .expect("it is written");
    script
}

/// Requests per second of wrk; `None` if it isn't installed.
fn wrk(url: &Url, script: &tempfile::NamedTempFile, connections: u64, seconds: u64) -> Option<f64> {
    let threads = connections.min(2).to_string();
    let output = Command::new("wrk")
        .args(["-t", &threads, "-c", &connections.to_string(), "-d", &format!("{seconds}s"), "-s"])
        .arg(script.path())
        .arg(url.as_str())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!text.contains("Non-2xx"), "wrk's pulls are refused: {text}");
    let rate = text.lines().find_map(|line| line.strip_prefix("Requests/sec:"))?;
    rate.trim().parse().ok()
}

fn config(url: &Url, jobs: usize) -> RunConfig {
    let mut config = RunConfig::new(Target::Url(url.clone()));
    config.jobs = jobs;
    config
}

#[expect(clippy::cast_precision_loss, reason = "a rate")]
fn rate(requests: u64, elapsed: Duration) -> f64 {
    requests as f64 / elapsed.as_secs_f64()
}

/// Requests per second of a campaign.
async fn fuzz(url: &Url, connections: u64, seconds: u64, seed: u64) -> f64 {
    let limits = Limits { cases: None, duration: Some(Duration::from_secs(seconds)), first: false, strict: false };
    let (_keep, stop) = tokio::sync::watch::channel(false);
    let jobs = usize::try_from(connections).expect("a small number");
    let campaign = run(&config(url, jobs), seed, limits, stop, &mut |_| {}).await;
    assert!(campaign.reports.is_empty(), "{:?}", campaign.reports);
    rate(campaign.progress.requests, campaign.progress.elapsed)
}

/// A case of pulls, as a file of findings has it.
fn pulls() -> Saved {
    let step = |act: Value| json!({ "by": 0, "repo": 0, "act": act, "dice": 1 });
    let create =
        json!({ "do": "createRepo", "id": "fresh", "roster": [0], "version": 1, "epoch": 0, "envelope": "none" });
    let mut steps = vec![step(create)];
    steps.extend((0..PULLS).map(|_| step(json!({ "do": "pull", "known": { "is": 0 } }))));
    let saved = json!({ "rule": "", "kind": "", "operation": "", "expected": "", "observed": "", "steps": steps });
    serde_json::from_value(saved).expect("the format of saved findings")
}

/// Requests per second of cases of pulls.
async fn fuzz_pulls(url: &Url, connections: u64, seconds: u64) -> f64 {
    let started = Instant::now();
    let until = started + Duration::from_secs(seconds);
    let workers = (0..connections).map(|_| {
        let config = config(url, 1);
        tokio::spawn(async move {
            let cases = vec![pulls(); CASES];
            let mut requests = 0;
            while Instant::now() < until {
                let played = replay(&config, &cases).await.expect("a target");
                assert!(played.iter().all(|played| played.findings.is_empty()));
                requests += (CASES * (BEFORE + PULLS)) as u64;
            }
            requests
        })
    });
    let mut requests = 0;
    for worker in workers.collect::<Vec<_>>() {
        requests += worker.await.expect("a worker");
    }
    rate(requests, started.elapsed())
}

fn main() {
    let (connections, seconds) = (option("--connections", 4).max(1), option("--seconds", 3).max(1));
    let (server, url) = serve(&[]);
    let url: Url = url.parse().expect("a URL");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let script = runtime.block_on(script(&url));
    let (mut asked, mut pulled, mut fuzzed) = (Vec::new(), Vec::new(), Vec::new());
    // Taking turns, so that whatever else the machine does is shared.
    for round in 0..option("--rounds", 3) {
        asked.extend(wrk(&url, &script, connections, seconds));
        pulled.push(runtime.block_on(fuzz_pulls(&url, connections, seconds)));
        fuzzed.push(runtime.block_on(fuzz(&url, connections, seconds, round)));
    }
    drop(server);
    println!("{connections} connections, medians of {} rounds of {seconds} s:", fuzzed.len());
    let asked = if asked.is_empty() { None } else { Some(median(asked)) };
    match asked {
        Some(asked) => println!("  wrk, pull alone         {asked:>8.0} requests/s"),
        None => println!("  wrk                     not installed: left out"),
    }
    for (what, rates) in [("fuzzer, pulls alone", pulled), ("fuzzer, as it is used", fuzzed)] {
        let rate = median(rates);
        let share = asked.map_or(String::new(), |asked| format!("  {:.0} % of wrk", rate / asked * 100.0));
        println!("  {what:22}  {rate:>8.0} requests/s{share}");
    }
}
