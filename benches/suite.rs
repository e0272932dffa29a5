//! How long judging the built-in server takes, and what one exchange with it costs.
//!
//! `cargo bench --bench suite`

use std::hint::black_box;
use std::sync::Arc;

use avp_conform::causes;
use avp_conform::faults;
use avp_conform::runner::{self, CheckResult, Event, RunConfig, Target};
use avp_conform::server;
use criterion::{Criterion, criterion_group, criterion_main};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime")
}

/// Starts a server and judges it, as `--embedded` does.
async fn judge(only: Option<&str>, grpc: bool) -> u8 {
    let listener = || std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let running = server::start_with(server::Config::default(), listener(), Some(listener())).await.expect("a server");
    let url = match running.grpc().filter(|_| grpc) {
        Some(address) => format!("grpc://{address}"),
        None => format!("http://{}", running.addr()),
    };
    let url = url.parse().expect("a URL");
    let mut config = RunConfig::new(Target::Url(url));
    config.only.extend(only.map(|glob| globset::Glob::new(glob).expect("a glob")));
    let (_keep, stop) = tokio::sync::watch::channel(false);
    let end = runner::run(config, stop, &mut |event| drop(black_box(event))).await;
    running.shutdown().await;
    end.exit_code
}

/// All that a run finds on a server whose repositories can't be used, which is what takes longest to group.
async fn findings() -> Vec<Arc<CheckResult>> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let fault = faults::Fault::by_name("create-not-stored");
    let running =
        server::start(server::Config { deviation: faults::deviation(fault, &[]), ..Default::default() }, listener)
            .await
            .expect("a server");
    let config = RunConfig::new(Target::Url(format!("http://{}", running.addr()).parse().expect("a URL")));
    let (_keep, stop) = tokio::sync::watch::channel(false);
    let mut results = Vec::new();
    runner::run(config, stop, &mut |event| {
        if let Event::CheckFinished(result) = event {
            results.push(result);
        }
    })
    .await;
    running.shutdown().await;
    results
}

fn grouping(criterion: &mut Criterion) {
    let results = runtime().block_on(findings());
    criterion.bench_function("causes of a server with 299 findings", |bencher| {
        bencher.iter(|| causes::find(black_box(&results).iter().map(AsRef::as_ref)));
    });
}

fn suite(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("suite");
    group.sample_size(10);
    group.bench_function("whole default run", |bencher| bencher.to_async(&runtime).iter(|| judge(None, false)));
    group.bench_function("the checks of push", |bencher| {
        bencher.to_async(&runtime).iter(|| judge(Some("push/*"), false))
    });
    group.bench_function("contention", |bencher| bencher.to_async(&runtime).iter(|| judge(Some("race/*"), false)));
    group.finish();
}

/// The same checks by either profile, of an area in which none is of one profile only.
fn profiles(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("the checks of rights");
    group.sample_size(10);
    for (name, grpc) in [("HTTP", false), ("gRPC", true)] {
        group.bench_function(name, |bencher| bencher.to_async(&runtime).iter(|| judge(Some("rights/*"), grpc)));
    }
    group.finish();
}

criterion_group!(benches, grouping, suite, profiles);
criterion_main!(benches);
