//! The default command: judge a server.

pub(super) mod args;
pub(super) mod config;
pub(super) mod rerun;

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;

use self::args::RunArgs;
use super::serve::asked_to_end;
use super::{USAGE, UsageError, backend, known::KnownFile, output, runtime};
use crate::client::Profile;
use crate::history::{self, History, HistoryError, Linearizability};
use crate::report::human::{Live, LiveOptions};
use crate::report::text::clean;
use crate::report::{Drawn, Format, Recorder, Redactor, Run};
use crate::runner::{self, Event, RunConfig, Target};
use crate::selftest::{Around, Stage};
use crate::server::Running;

/// Time between two looks at the clock for the progress display.
pub(super) const TICK: Duration = Duration::from_millis(200);
/// Exit status of a second Ctrl-C.
const INTERRUPTED: i32 = 130;

/// Judges, reports, and tells the exit status.
pub(super) fn run(args: &RunArgs) -> Result<u8, UsageError> {
    let mut config = config::of(args)?;
    let server = config::embedded(args)?;
    args.reports.check()?;
    let redactor = Redactor::new(config.headers.iter().chain(&config.idp_headers));
    let saved = args.save_history.as_deref().map(SavedHistory::create).transpose()?;
    let written = args.write_known.as_deref().map(|path| KnownFile::new(path, config.known.as_ref())).transpose()?;
    let recording = config.recording.clone();
    config.trace |= args.reports.want(Format::wants_every_exchange);
    if args.reports.want(Format::wants_histories) && config.recording.is_none() {
        config.recording = Some(Arc::default());
    }
    let recording = recording.or_else(|| config.recording.clone());
    let runtime = runtime()?;
    let finished = runtime.block_on(async {
        let stage = match server {
            None => None,
            Some(server) => Some(set(args, server, &mut config).await?),
        };
        let finished = judge(args, config).await;
        drop(stage);
        finished
    });
    // A name that is still being looked up, say, must not hold up the end.
    runtime.shutdown_background();
    let mut finished = finished?;
    finished.history = recording.as_ref().and_then(|recording| drawn(&recording.history(), &redactor));
    let mut status = args.reports.write(&finished)?;
    if let Some(told) = written.map(|file| file.write(&finished, args.strict)).transpose()?.flatten() {
        output::print_error(&told, args.reports.color.choice())?;
    }
    if let (Some(saved), Some(recording)) = (saved, recording) {
        let told = saved.write(&recording.history(), &redactor).unwrap_or_else(|error| {
            status = if status == 0 { USAGE } else { status };
            format!("error: {}\n", clean(&error.to_string()))
        });
        output::print_error(&told, args.reports.color.choice())?;
    }
    Ok(status)
}

/// The file of `--save-history`, opened before the run so that a mistyped path costs nothing.
struct SavedHistory {
    name: String,
    file: File,
}

impl SavedHistory {
    fn create(path: &Path) -> Result<Self, UsageError> {
        let name = path.display().to_string();
        let file = File::create(path).map_err(|error| format!("--save-history {name} can't be written: {error}"))?;
        Ok(Self { name, file })
    }

    /// Writes the history, and a picture beside it if there is no order; tells what was written.
    fn write(mut self, recorded: &History, redactor: &Redactor) -> Result<String, HistoryError> {
        let name = std::mem::take(&mut self.name);
        let failed = |source| HistoryError::Write { name: name.clone(), source };
        let mut lines = Vec::new();
        history::write(&name, recorded, &mut lines)?;
        let lines = redactor.text(&String::from_utf8_lossy(&lines));
        self.file.write_all(lines.as_bytes()).map_err(failed)?;
        let mut told = format!("history of {} operations: {}\n", recorded.ops.len(), clean(&name));
        if let Linearizability::NotLinearizable(counterexample) = history::check(recorded) {
            let picture = format!("{name}.html");
            let page = redactor.text(&history::html(recorded, &counterexample, &name));
            std::fs::write(&picture, page).map_err(|source| HistoryError::Write { name: picture.clone(), source })?;
            let _ = writeln!(told, "it is not linearizable: {}", clean(&picture));
        }
        Ok(told)
    }
}

/// What a report shows of the recorded history; nothing where no check recorded any.
fn drawn(recorded: &History, redactor: &Redactor) -> Option<Drawn> {
    let operations = recorded.ops.len();
    if operations == 0 {
        return None;
    }
    let (said, figure) = match history::check(recorded) {
        Linearizability::Linearizable { repositories } => {
            let noun = if repositories == 1 { "repository" } else { "repositories" };
            (
                format!("in {repositories} {noun}, and there is an order that explains every answer"),
                history::overview(recorded),
            )
        }
        Linearizability::NotLinearizable(counterexample) => (
            "and no order explains all answers; the shortest part that shows it:".into(),
            history::figure(recorded, &counterexample),
        ),
        Linearizability::Undecided { .. } => {
            ("and too many of unknown outcome meet to be tried in every order".into(), history::overview(recorded))
        }
    };
    Some(Drawn { operations, said, figure: redactor.text(&figure) })
}

/// Starts the built-in server with what has to be around it, and makes it the target. Files take longer, so they are only there
/// where they are asked for or needed; they are searched when the checks have run.
async fn set(args: &RunArgs, server: crate::server::Config, config: &mut RunConfig) -> Result<Stage, UsageError> {
    let fault = args.fault.as_deref().map(backend::fault).transpose()?;
    let mut around = fault.map_or_else(Around::default, |fault| Around::of(fault.info()));
    around.searched |= args.embedded_storage;
    around.grpc = config.profile == Profile::Grpc;
    around.both |= config.wants_both;
    if config.wants_both && around.process.is_some() {
        return Err("--profile both can't show this --fault: a server that is killed speaks HTTP/JSON".into());
    }
    let stage = Stage::set(server, around).await.map_err(UsageError)?;
    stage.apply(config);
    Ok(stage)
}

/// Starts the built-in server and makes it the target.
pub(super) async fn embed(server: crate::server::Config, config: &mut RunConfig) -> Result<Running, UsageError> {
    let grpc = config.profile == Profile::Grpc;
    let second = if grpc { Some(backend::bind("127.0.0.1:0")?) } else { None };
    let running = backend::start_with(server, backend::bind("127.0.0.1:0")?, second).await?;
    let url = running.grpc().map_or_else(|| format!("http://{}", running.addr()), |addr| format!("grpc://{addr}"));
    let url = url.parse().map_err(|error| UsageError(format!("{url}: {error}")))?;
    config.server = Target::Url(url);
    Ok(running)
}

/// Runs the checks and shows them.
async fn judge(args: &RunArgs, config: RunConfig) -> Result<Run, UsageError> {
    let redactor = Redactor::new(config.headers.iter().chain(&config.idp_headers));
    let live = Arc::new(Mutex::new(Live::new(LiveOptions {
        color: args.reports.color.choice(),
        verbose: args.reports.verbose,
        trace: args.trace,
        columns: output::size().columns,
    })));
    let lock = |live: &Mutex<Live>, act: &dyn Fn(&mut Live)| act(&mut crate::ground::lock(live));
    let ticking = Arc::clone(&live);
    let clock = tokio::spawn(async move {
        loop {
            tokio::time::sleep(TICK).await;
            lock(&ticking, &Live::tick);
        }
    });
    let (stop, stopped) = watch::channel(false);
    let signals = tokio::spawn(interrupts(stop));
    let mut recorder = Recorder::default();
    let mut emit = |event: Event| {
        let event = redactor.event(event);
        recorder.event(&event);
        lock(&live, &|live| live.event(&event));
    };
    runner::run(config, stopped, &mut emit).await;
    clock.abort();
    signals.abort();
    lock(&live, &Live::finish);
    recorder.finish().ok_or_else(|| "the run never started; this is a bug of avp-conform".into())
}

/// The first Ctrl-C (or SIGTERM) ends the run with the report so far, the second ends the program.
pub(super) async fn interrupts(stop: watch::Sender<bool>) {
    asked_to_end().await;
    let _ = stop.send(true);
    asked_to_end().await;
    std::process::exit(INTERRUPTED);
}
