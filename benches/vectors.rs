//! How long the checker takes for the whole bank, and how many random cases a second the driver puts to a shim that
//! answers at once (our own codec in another process).
//!
//! Wanted: below 100 ms, and 5,000 cases a second.

use std::path::Path;
use std::time::{Duration, Instant};

use avp_conform::vectors::shim::{Options, Plan, Selection, run};
use avp_conform::vectors::{CaseResult, bank, check};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Random cases of a run.
const CASES: usize = 20_000;

fn checker(criterion: &mut Criterion) {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors"));
    assert_eq!(check(folder).map(|checked| checked.count(CaseResult::Wrong)).ok(), Some(0));
    criterion.bench_function("vectors check, the whole bank", |bencher| bencher.iter(|| check(folder)));
    criterion.bench_function("vectors generate, the whole bank", |bencher| bencher.iter(bank));
}

fn driver(criterion: &mut Criterion) {
    let words: Vec<String> = [env!("CARGO_BIN_EXE_avp-conform"), "codec", "--serve"].map(str::to_owned).into();
    let options = Options {
        target: words.join(" "),
        words,
        rerun: String::new(),
        cases: CASES,
        seed: 1,
        timeout: Duration::from_secs(10),
        deadline: Duration::from_secs(300),
        strict: false,
    };
    let mut group = criterion.benchmark_group("codec");
    group.sample_size(10).measurement_time(Duration::from_secs(30)).throughput(Throughput::Elements(CASES as u64));
    group.bench_function("random cases against our own codec as a shim", |bencher| {
        bencher.iter_custom(|rounds| {
            let started = Instant::now();
            for _ in 0..rounds {
                let plan = Plan::new(Vec::new(), true, &Selection::default());
                let end = run(&options, plan, &|| false, &mut |_| {});
                assert_eq!(end.exit_code, 0, "{}", end.reason);
            }
            started.elapsed()
        });
    });
    group.finish();
}

criterion_group!(benches, checker, driver);
criterion_main!(benches);
