//! How long histories take to be read and checked, and how much memory: `cargo bench --bench history`.
//!
//! Each size runs in a process of its own, so that its peak is its own. Times are the best of three.

#[path = "shared/memory.rs"]
mod memory;

use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use avp_conform::history::simulate::{Simulation, simulate};
use avp_conform::history::{self, Linearizability};

const SIZES: [usize; 3] = [10_000, 100_000, 1_000_000];
const CLIENTS: u32 = 16;
/// One operation in so many has an unknown outcome; 0: none.
const UNKNOWN: [usize; 2] = [0, 100];
const RUNS: usize = 3;
/// Set for the processes that measure.
const SIZE: &str = "AVP_BENCH_HISTORY";

fn main() {
    if let Ok(size) = std::env::var(SIZE) {
        let (operations, unknown_one_in) = size.split_once(' ').expect("a size and a share");
        measure(operations.parse().expect("a size"), unknown_one_in.parse().expect("a share"));
        return;
    }
    println!("{:>10} {:>8} {:>9} {:>10} {:>10} {:>10}", "operations", "unknown", "file", "read", "check", "peak");
    for unknown_one_in in UNKNOWN {
        for operations in SIZES {
            let program = std::env::current_exe().expect("a program knows where it is");
            let status = Command::new(program).env(SIZE, format!("{operations} {unknown_one_in}")).status();
            assert!(status.expect("the program starts again").success());
        }
    }
}

fn measure(operations: usize, unknown_one_in: usize) {
    let mut file = tempfile::tempfile().expect("a temporary file");
    {
        let made = simulate(Simulation { operations, clients: CLIENTS, unknown_one_in, seed: 7 });
        history::write("the file", &made, std::io::BufWriter::new(&file)).expect("room for the file");
        file.flush().expect("room for the file");
    }
    // What making the history took isn't part of the peak that counts.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let bytes = file.metadata().expect("the file is there").len();
    let (mut reading, mut checking, mut decided) = (Duration::MAX, Duration::MAX, true);
    for _ in 0..RUNS {
        std::io::Seek::rewind(&mut file).expect("a file can be read again");
        let started = Instant::now();
        let read =
            history::read("the file", std::io::BufReader::with_capacity(1 << 20, &file)).expect("it was just written");
        reading = reading.min(started.elapsed());
        let started = Instant::now();
        let verdict = history::check(&read);
        checking = checking.min(started.elapsed());
        match verdict {
            Linearizability::Linearizable { .. } => {}
            // Of so many operations of unknown outcome any number may still take effect: the search has a bound.
            Linearizability::Undecided { .. } => decided = false,
            Linearizability::NotLinearizable(counterexample) => {
                panic!("a simulated history has an order: {counterexample:?}")
            }
        }
    }
    let unknown = if unknown_one_in == 0 { "none".to_owned() } else { format!("1 in {unknown_one_in}") };
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    println!(
        "{operations:>10} {unknown:>8} {:>9} {:>7.0} ms {:>7.1} ms {:>10}{}",
        mib(bytes),
        reading.as_secs_f64() * 1e3,
        checking.as_secs_f64() * 1e3,
        memory::peak("self").map_or_else(|| "?".into(), mib),
        if decided { "" } else { "  given up" },
    );
}
