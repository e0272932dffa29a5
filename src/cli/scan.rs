//! `avp-conform scan`: what an earlier run has sent, looked for in what a server has stored.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::reports::ReportArgs;
use super::shared::StorageArgs;
use super::{UsageError, run, select, values};
use crate::report::Recorder;
use crate::report::shell::quote;
use crate::requirements::Revision;
use crate::runner::{StoredConfig, judge_stored};
use crate::scan::{self, ScanProgress};
use crate::scenarios::storage::Evidence;

/// Options of `scan`.
#[derive(Args, Debug)]
pub(super) struct ScanArgs {
    /// What to look for: the file that --save-canaries wrote
    #[arg(long, value_name = "FILE")]
    canaries: PathBuf,
    /// Files and folders that the server stores in, or dumps of them
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    storage: StorageArgs,
    /// Run only these checks: globs on ids; repeatable
    #[arg(long, value_name = "GLOB")]
    only: Vec<String>,
    /// Warnings fail
    #[arg(long)]
    strict: bool,
    /// Bound on the whole search
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = values::time)]
    deadline: Duration,
    #[command(flatten)]
    reports: ReportArgs,
}

/// Searches, judges, reports, and tells the exit status.
pub(super) fn scan(args: &ScanArgs) -> Result<u8, UsageError> {
    let mut storage = args.storage.clone();
    storage.storage.extend(args.paths.iter().cloned());
    if storage.is_empty() {
        return Err("nothing to search: give a PATH, --storage-cmd, --logs or --server-pid".into());
    }
    let only = select::globs("--only", &args.only, Revision::default())?;
    if !select::leaves(&only, &[], Revision::default(), "storage/") {
        return Err("--only leaves out the checks storage/*, which are all that a scan runs".into());
    }
    let sources = storage.sources()?;
    let secrets = scan::load(&args.canaries).map_err(|error| UsageError(format!("--canaries {error}")))?;
    if secrets.is_empty() {
        return Err(UsageError(format!("--canaries {}: there is nothing in it", args.canaries.display())));
    }
    args.reports.check()?;
    let started = tokio::time::Instant::now();
    let progress = Arc::new(ScanProgress::default());
    let shown = show(&progress);
    let outcome = scan::scan(&scan::searcher(&secrets), &sources, Some(&args.canaries), &progress, args.deadline);
    shown.finish();
    let evidence = Evidence { secrets, sources, outcome };
    let config = StoredConfig { target: target(args), rerun: rerun(args), strict: args.strict, only };
    let mut recorder = Recorder::default();
    judge_stored(&evidence, config, started, &mut |event| recorder.event(&event));
    let finished = recorder.finish().ok_or("the run never started; this is a bug of avp-conform")?;
    args.reports.write(&finished)
}

/// The bar, as long as the search takes.
struct Shown {
    bar: ProgressBar,
    ticker: std::thread::JoinHandle<()>,
    progress: Arc<ScanProgress>,
}

/// Shows bytes and rate on a terminal.
fn show(progress: &Arc<ScanProgress>) -> Shown {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template(
        "{binary_bytes} of {binary_total_bytes}  {binary_bytes_per_sec}  {elapsed}  {wide_bar}",
    ) {
        bar.set_style(style);
    }
    let (ticking, seen) = (bar.clone(), Arc::clone(progress));
    let ticker = std::thread::spawn(move || {
        while !ticking.is_finished() {
            ticking.set_length(seen.total.load(Ordering::Relaxed));
            ticking.set_position(seen.done.load(Ordering::Relaxed));
            std::thread::park_timeout(run::TICK);
        }
    });
    Shown { bar, ticker, progress: Arc::clone(progress) }
}

impl Shown {
    fn finish(self) {
        self.bar.set_position(self.progress.done.load(Ordering::Relaxed));
        self.bar.finish_and_clear();
        self.ticker.thread().unpark();
        // It doesn't panic, and has nothing left to do.
        let _ = self.ticker.join();
    }
}

fn target(args: &ScanArgs) -> String {
    let StorageArgs { storage, storage_cmd, logs, server_pid } = &args.storage;
    let paths = args.paths.iter().chain(storage).chain(logs).map(|path| path.display().to_string());
    let others = storage_cmd.iter().cloned().chain(server_pid.iter().map(|pid| format!("process {pid}")));
    paths.chain(others).collect::<Vec<_>>().join(", ")
}

fn rerun(args: &ScanArgs) -> String {
    let StorageArgs { storage, storage_cmd, logs, server_pid } = &args.storage;
    let mut words = vec!["scan".to_owned(), "--canaries".into(), quote(&args.canaries.to_string_lossy())];
    words.extend(args.paths.iter().map(|path| quote(&path.to_string_lossy())));
    let paths = [("--storage", storage), ("--logs", logs)];
    for (option, path) in paths.iter().flat_map(|(option, paths)| paths.iter().map(move |path| (option, path))) {
        words.extend([(*option).to_owned(), quote(&path.to_string_lossy())]);
    }
    words.extend(storage_cmd.iter().flat_map(|line| ["--storage-cmd".to_owned(), quote(line)]));
    words.extend(server_pid.iter().flat_map(|pid| ["--server-pid".to_owned(), pid.to_string()]));
    words.join(" ")
}
