//! `avp-conform codec`: tests anybody's codec through a shim, or is one.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::Args;
use globset::{Glob, GlobSet, GlobSetBuilder};
use tokio::sync::watch;

use super::near::near_misses;
use super::reports::ReportArgs;
use super::run::{TICK, interrupts};
use super::{UsageError, output, runtime, values};
use crate::client::random;
use crate::ground::lock;
use crate::report::human::{Live, LiveOptions};
use crate::report::{Recorder, Run, shell};
use crate::runner::Event;
use crate::vectors::shim::{self, Options, Plan, Selection};

const AFTER: &str = "\
Exit status:
  0    every answer was right, or nothing was wrong though checks were left out
  1    a check failed (or a warning, with --strict)
  2    usage: options that can't be, a report that can't be written
  3    the shim could not be judged: it doesn't start, or answers nothing
  130  interrupted

Examples:
  avp-conform codec --shim 'python3 examples/shims/shim.py'
  avp-conform codec --shim 'java examples/shims/Shim.java' --cases 20000
  avp-conform codec --shim ./my-shim --only 'negative/*' --report junit=codec.xml

The protocol is one line of JSON per question and answer: examples/shims/README.md.";

/// Options of `codec`.
#[derive(Args, Debug)]
#[command(after_help = AFTER)]
pub(super) struct CodecArgs {
    /// Command that runs the shim: a program and its arguments, quoted as for a shell
    #[arg(long, value_name = "CMD ARGS", required_unless_present = "serve")]
    shim: Option<String>,
    /// Be a shim oneself, for the codec of this program
    #[arg(long, conflicts_with = "shim")]
    serve: bool,
    /// Random cases, over all operations; 0 for none
    #[arg(long, value_name = "N", default_value_t = 2000)]
    cases: usize,
    /// Repeat the random cases of an earlier run, which printed this seed
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Vectors of this folder instead of the built-in ones
    #[arg(long, value_name = "DIR")]
    vectors: Option<PathBuf>,
    /// Run only these: globs on ids (negative/*) or sections (§4); repeatable
    #[arg(long, value_name = "GLOB")]
    only: Vec<String>,
    /// Leave these out; repeatable
    #[arg(long, value_name = "GLOB")]
    skip: Vec<String>,
    /// Bound on one answer
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = values::time)]
    timeout: Duration,
    /// Bound on the whole run
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = values::time)]
    deadline: Duration,
    /// Warnings fail
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    reports: ReportArgs,
}

/// Carries `codec` out and tells the exit status.
pub(super) fn run(args: CodecArgs) -> Result<u8, UsageError> {
    let Some(command) = args.shim.clone() else {
        // A driver that has heard enough closes the pipe: no error.
        return Ok(u8::from(shim::serve(std::io::stdin().lock(), std::io::stdout().lock()).is_err()));
    };
    args.reports.check()?;
    let plan = plan(&args)?;
    let options = options(&args, &command)?;
    let finished = judge(&args, options, plan)?;
    args.reports.write(&finished)
}

fn options(args: &CodecArgs, command: &str) -> Result<Options, UsageError> {
    let words = shim::split(command).map_err(|error| format!("--shim {command:?}: {error}"))?;
    let seed = args.seed.unwrap_or_else(|| u64::from(u32::from_le_bytes(random::bytes())));
    let vectors = args.vectors.as_ref().map(|folder| format!(" --vectors {}", shell::quote(&folder.to_string_lossy())));
    let strict = if args.strict { " --strict" } else { "" };
    let rerun = format!(
        "codec --shim {}{} --cases {} --seed {seed}{strict}",
        shell::quote(command),
        vectors.unwrap_or_default(),
        args.cases
    );
    Ok(Options {
        words,
        target: command.to_owned(),
        rerun,
        cases: args.cases,
        seed,
        timeout: args.timeout,
        deadline: args.deadline,
        strict: args.strict,
    })
}

fn plan(args: &CodecArgs) -> Result<Plan, UsageError> {
    let cases = match &args.vectors {
        None => shim::bank_cases(),
        Some(folder) => shim::cases_of(folder),
    };
    let cases = cases.map_err(|error| error.to_string())?;
    let selection = Selection { only: globs("--only", &args.only)?, skip: globs("--skip", &args.skip)? };
    let plan = Plan::new(cases, args.cases > 0, &selection);
    if plan.is_empty() {
        let near = args.only.first().map(|typed| near_misses(typed, plan.ids().into_iter().map(str::to_owned)));
        return Err(UsageError(format!("--only and --skip leave no check to run{}", near.unwrap_or_default())));
    }
    Ok(plan)
}

fn globs(option: &str, patterns: &[String]) -> Result<Option<GlobSet>, UsageError> {
    if patterns.is_empty() {
        return Ok(None);
    }
    let mut builder = GlobSetBuilder::new();
    for pattern in patterns {
        let glob = Glob::new(pattern.trim());
        builder.add(glob.map_err(|error| format!("{option} {pattern:?} isn't a glob: {}", error.kind()))?);
    }
    Ok(Some(builder.build().map_err(|error| error.to_string())?))
}

/// Runs the checks in a thread of their own and shows them.
fn judge(args: &CodecArgs, options: Options, plan: Plan) -> Result<Run, UsageError> {
    let live = Arc::new(Mutex::new(Live::new(LiveOptions {
        color: args.reports.color.choice(),
        verbose: args.reports.verbose,
        trace: false,
        columns: output::size().columns,
    })));
    let runtime = runtime()?;
    let finished = runtime.block_on(async {
        let (stop, stopped) = watch::channel(false);
        let signals = tokio::spawn(interrupts(stop));
        let shown = Arc::clone(&live);
        let mut work = tokio::task::spawn_blocking(move || {
            let mut recorder = Recorder::default();
            let mut emit = |event: Event| {
                recorder.event(&event);
                lock(&shown).event(&event);
            };
            shim::run(&options, plan, &|| *stopped.borrow(), &mut emit);
            recorder.finish()
        });
        let finished = loop {
            tokio::select! {
                finished = &mut work => break finished,
                () = tokio::time::sleep(TICK) => lock(&live).tick(),
            }
        };
        signals.abort();
        finished
    });
    runtime.shutdown_background();
    lock(&live).finish();
    let bug = "the run broke off; this is a bug of avp-conform";
    finished.map_err(|_| bug)?.ok_or_else(|| bug.into())
}
