//! `avp-conform client`: judge a client of the protocol.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::Args;
use globset::{Glob, GlobBuilder};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::watch;

use super::known::{KnownFile, known_file};
use super::near::near_misses;
use super::reports::ReportArgs;
use super::run::{TICK, interrupts};
use super::select::section_glob;
use super::{UsageError, output, runtime, values};
use crate::client::random;
use crate::client_scenarios::{self as clients, ClientConfig, ClientProgress, Subject};
use crate::ground::lock;
use crate::report::human::{Live, LiveOptions};
use crate::report::shell::quote;
use crate::report::{Recorder, Run};
use crate::requirements::Revision;
use crate::runner::{Event, Rerun};

const AFTER: &str = "\
In the arguments of CMD, {url} stands for the vault's address, {host} for its host:port, {port}, and {ca} for the
file of the certificate authority to trust; the environment has AVP_SERVER_URL and AVP_CA_FILE. docs/clients.md says more.

Examples:
  avp-conform client -- python3 my_client.py {url}
  avp-conform client --shows 'first account: \\w+' -- ./demo
  avp-conform client --driver -- node my_adapter.mjs
  avp-conform client --listen 127.0.0.1:8787
  avp-conform client --embedded --fault client-aad-through-double";

/// Options of `client`.
#[derive(Args, Debug)]
#[command(after_help = AFTER, override_usage = "avp-conform client [OPTIONS] -- CMD ARGS...
       avp-conform client --driver [OPTIONS] -- CMD ARGS...
       avp-conform client --listen ADDR:PORT [OPTIONS]
       avp-conform client --embedded [--driver] [--fault NAME] [OPTIONS]")]
pub(super) struct ClientArgs {
    /// Talk to an adapter around a library, over its standard input and output
    #[arg(long, help_heading = "Target", conflicts_with = "listen")]
    driver: bool,
    /// Serve a vault here, and judge whatever talks to it; Ctrl-C gives the verdict
    #[arg(long, value_name = "ADDR:PORT", help_heading = "Target", conflicts_with_all = ["embedded", "command"])]
    listen: Option<String>,
    /// Judge the built-in client
    #[arg(long, help_heading = "Target", conflicts_with = "command")]
    embedded: bool,
    /// Break this rule of the built-in client (list --client-faults)
    #[arg(long, value_name = "NAME", help_heading = "Target", requires = "embedded")]
    fault: Option<String>,
    /// Give the built-in client this odd habit (list --client-faults); repeatable
    #[arg(long, value_name = "NAME", help_heading = "Target", requires = "embedded")]
    quirk: Vec<String>,
    /// What the program prints when it has read a repository: a text or a regular expression
    #[arg(long, value_name = "TEXT", help_heading = "Target")]
    shows: Option<String>,
    /// Bound on one run of the program, or on one answer of the adapter
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = values::time, help_heading = "Target")]
    timeout: Duration,
    /// Bound on everything
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = values::time, help_heading = "Target")]
    deadline: Duration,
    /// Runs of the program at once; twice the processors by default
    #[arg(long, value_name = "N", help_heading = "Target", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// Run only these: globs on ids (client-read/*) or sections (§4); repeatable
    #[arg(long, value_name = "GLOB", help_heading = "Selection")]
    only: Vec<String>,
    /// Leave these checks out; repeatable
    #[arg(long, value_name = "GLOB", help_heading = "Selection")]
    skip: Vec<String>,
    /// Also run what waits until --timeout: a vault that never answers
    #[arg(long, help_heading = "Selection")]
    slow: bool,
    /// Revision of the specification to judge by: 0.2, 0.3 or 0.4
    #[arg(long, value_name = "REV", default_value = "0.2", value_parser = values::revision(), help_heading = "Selection")]
    #[arg(hide_possible_values = true)]
    spec: Revision,
    /// Recorded in the reports; keys and ids are always fresh
    #[arg(long, value_name = "N", help_heading = "Selection")]
    seed: Option<u64>,
    /// Warnings fail
    #[arg(long, help_heading = "Selection")]
    strict: bool,
    /// Failures listed in FILE don't fail the run: one check id or glob a line; what is listed and doesn't fail does
    #[arg(long, value_name = "FILE", help_heading = "Selection")]
    known: Option<PathBuf>,
    /// Write what failed to FILE, for --known; reasons and dates of the file given there are kept
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    write_known: Option<PathBuf>,
    #[command(flatten)]
    reports: ReportArgs,
    /// The program and its arguments
    #[arg(last = true, value_name = "CMD ARGS")]
    command: Vec<String>,
}

/// Judges, reports, and tells the exit status.
pub(super) fn client(args: &ClientArgs) -> Result<u8, UsageError> {
    args.reports.check()?;
    let config = config(args)?;
    let written = args.write_known.as_deref().map(|path| KnownFile::new(path, config.known.as_ref())).transpose()?;
    let runtime = runtime()?;
    let run = runtime.block_on(judge(args, config));
    runtime.shutdown_background();
    let run = run?;
    let status = args.reports.write(&run)?;
    if let Some(told) = written.map(|file| file.write(&run, args.strict)).transpose()?.flatten() {
        output::print_error(&told, args.reports.color.choice())?;
    }
    Ok(status)
}

fn config(args: &ClientArgs) -> Result<ClientConfig, UsageError> {
    let habits = super::agent::habits(args.fault.as_deref(), &args.quirk)?;
    let subject = match (args.embedded, args.driver, args.command.is_empty()) {
        (true, false, _) => Subject::Embedded(habits),
        (true, true, _) => Subject::EmbeddedDriver(habits),
        (false, true, false) => Subject::Driver(args.command.clone()),
        (false, false, false) => Subject::Program(args.command.clone()),
        (false, _, true) if args.listen.is_some() => Subject::Program(Vec::new()),
        (false, _, true) => {
            return Err(
                "no client to judge: give -- CMD ARGS, --listen ADDR:PORT, or --embedded; --help says more".into()
            );
        }
    };
    let driven = subject.is_driven();
    let shows = args.shows.as_deref().map(clients::shows_pattern).transpose()?;
    let processors = std::thread::available_parallelism().map_or(2, usize::from);
    let config = ClientConfig {
        subject,
        shows,
        timeout: args.timeout,
        deadline: args.deadline,
        jobs: args.jobs.map_or(processors * 2, usize::from),
        only: globs("--only", &args.only, driven)?,
        skip: globs("--skip", &args.skip, driven)?,
        strict: args.strict,
        known: args.known.as_deref().map(known_file).transpose()?,
        slow: args.slow,
        spec: args.spec,
        seed: args.seed.unwrap_or_else(|| u64::from_le_bytes(random::bytes())),
        target_name: target(args),
        rerun: rerun(args),
        progress: Arc::new(ClientProgress::default()),
    };
    if clients::leaves_nothing(&config) {
        return Err("--only and --skip leave no check to run".into());
    }
    Ok(config)
}

fn target(args: &ClientArgs) -> String {
    if args.embedded {
        let fault = args.fault.as_ref().map(|fault| format!(" with fault {fault}"));
        return format!("the built-in client{}", fault.unwrap_or_default());
    }
    match &args.listen {
        Some(address) => format!("whoever talks to {address}"),
        None => args.command.join(" "),
    }
}

/// The command line that judges the client again.
fn rerun(args: &ClientArgs) -> Rerun {
    let mut words = vec!["client".to_owned()];
    let flags =
        [(args.embedded, "--embedded"), (args.driver, "--driver"), (args.slow, "--slow"), (args.strict, "--strict")];
    words.extend(flags.iter().filter(|(given, _)| *given).map(|(_, option)| (*option).to_owned()));
    let mut valued = |option: &str, value: &str| words.extend([option.to_owned(), quote(value)]);
    let given = [("--listen", &args.listen), ("--fault", &args.fault), ("--shows", &args.shows)];
    given.iter().for_each(|(option, value)| value.iter().for_each(|value| valued(option, value)));
    args.quirk.iter().for_each(|quirk| valued("--quirk", quirk));
    if args.timeout != Duration::from_secs(10) {
        valued("--timeout", &values::time_text(args.timeout));
    }
    if args.spec != Revision::default() {
        valued("--spec", args.spec.name());
    }
    let program: Vec<String> = args.command.iter().map(|word| quote(word)).collect();
    Rerun { options: words.join(" "), program: program.join(" "), ..Rerun::default() }
}

/// Compiles the globs of an option and makes sure that each of them means something.
fn globs(option: &str, patterns: &[String], driven: bool) -> Result<Vec<Glob>, UsageError> {
    let compile = |pattern: &String| {
        let pattern = pattern.trim();
        let text = section_glob(pattern).unwrap_or_else(|| pattern.to_owned());
        let glob = GlobBuilder::new(&text)
            .build()
            .map_err(|error| UsageError(format!("{option} {pattern:?} isn't a glob: {}", error.kind())))?;
        let matcher = glob.compile_matcher();
        let means =
            |check: &&clients::ClientCheck| matcher.is_match(check.info.id) || matcher.is_match(check.info.section);
        match clients::all().find(means) {
            None => {
                let near = near_misses(pattern, clients::all().map(|check| check.info.id.to_owned()));
                Err(UsageError(format!(
                    "{option} {pattern:?} matches no check{near} (avp-conform list --clients names them all)"
                )))
            }
            Some(_) if !driven && clients::all().filter(means).all(clients::ClientCheck::needs_driver) => {
                Err(UsageError(format!("{option} {pattern:?} matches checks that take an adapter only (--driver)")))
            }
            Some(_) => Ok(glob),
        }
    };
    patterns.iter().map(compile).collect()
}

/// Runs the client and the checks, and shows them.
async fn judge(args: &ClientArgs, config: ClientConfig) -> Result<Run, UsageError> {
    let live = Arc::new(Mutex::new(Live::new(LiveOptions {
        color: args.reports.color.choice(),
        verbose: args.reports.verbose,
        trace: false,
        columns: output::size().columns,
    })));
    let (stop, stopped) = watch::channel(false);
    let signals = tokio::spawn(interrupts(stop));
    let mut recorder = Recorder::default();
    let bar = ProgressBar::new(0);
    let ticking = tokio::spawn(tick(bar.clone(), Arc::clone(&config.progress)));
    let mut emit = |event: Event| {
        if matches!(event, Event::CheckStarted(_)) {
            bar.finish_and_clear();
        }
        recorder.event(&event);
        lock(&live).event(&event);
    };
    match &args.listen {
        None => drop(clients::judge(config, stopped, &mut emit).await),
        Some(address) => {
            let choice = args.reports.color.choice();
            let told = |url: &str| {
                let text = format!("a vault listens on {url}; use your client, look at {url}/, and end with Ctrl-C\n");
                let _ = output::print_error(&text, choice);
            };
            clients::listen(config, address, stopped, &mut emit, told)
                .await
                .map_err(|error| UsageError(format!("can't listen on {address}: {error}")))?;
        }
    }
    ticking.abort();
    signals.abort();
    bar.finish_and_clear();
    lock(&live).finish();
    recorder.finish().ok_or_else(|| "the run never started; this is a bug of avp-conform".into())
}

/// Shows how many runs of the program are done.
async fn tick(bar: ProgressBar, progress: Arc<ClientProgress>) {
    if let Ok(style) = ProgressStyle::with_template("{pos}/{len} runs of the client  {elapsed}  {wide_bar}") {
        bar.set_style(style);
    }
    loop {
        bar.set_length(progress.total.load(Ordering::Relaxed));
        bar.set_position(progress.done.load(Ordering::Relaxed));
        tokio::time::sleep(TICK).await;
    }
}
