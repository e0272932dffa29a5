//! `avp-conform selftest`: judges the suite by the built-in server and its faults.

mod causes;

use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::UsageError;
use super::shared::ProfileArg;
use crate::client::Profile;
use crate::report::text::clean;
use crate::runner::Shard;
use crate::selftest::{self, Effort, Subject, Trial};
use crate::server;

/// Servers judged at once where nobody says how many: a run of a few checks waits most of its time.
const SERVERS: u16 = 8;
/// Clients judged at once: of the scenes that show a fault most wait for something.
const CLIENTS: u16 = 6;
/// Whole runs judged at once.
const WHOLE_RUNS: u16 = 3;

/// Options of `selftest`.
#[derive(Args, Debug)]
pub(super) struct SelftestArgs {
    /// Judge the suite by the built-in server's gRPC profile: the faults and quirks that can exist there
    #[arg(long, value_name = "http|grpc", value_enum, default_value = "http", hide_possible_values = true)]
    profile: ProfileArg,
    /// Judge only the servers whose name has this in it; repeatable
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// Servers judged at once: 8, most of whose time is waiting, 6 clients, or 3 with --causes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: Option<u16>,
    /// Only tell whether all is as it should be, as a gate wants to know: of a fault no more than one check that catches it, first
    /// the one that did before; and quirks are judged several at once
    #[arg(long, conflicts_with_all = ["clients", "causes", "report"])]
    quick: bool,
    /// With --quick: also write which check saw which fault; the next --quick asks these first (src/selftest/shown_by.txt)
    #[arg(long, value_name = "PATH", requires = "quick")]
    save_shown_by: Option<PathBuf>,
    /// Judge the judge of clients instead: by the built-in client, its faults and its quirks
    #[arg(long)]
    clients: bool,
    /// Judge every fault of a MUST by all checks, and measure whether the first cause names the broken rule; with --clients, every
    /// fault of the built-in client
    #[arg(long, conflicts_with = "report")]
    causes: bool,
    /// With --causes: only one fault in so many
    #[arg(long, value_name = "N", default_value_t = 1, requires = "causes", conflicts_with = "clients", value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
    /// With --causes: also write the report of every run into this folder
    #[arg(long, value_name = "FOLDER", requires = "causes", conflicts_with = "clients")]
    save: Option<PathBuf>,
    /// With --causes: read what --save has written instead of running anything
    #[arg(long, value_name = "FOLDER", requires = "causes", conflicts_with_all = ["save", "clients"])]
    from: Option<PathBuf>,
    /// Judge the K-th of N parts of them; avp-conform merge puts the parts' --report json together
    #[arg(long, value_name = "K/N", conflicts_with = "clients")]
    shard: Option<Shard>,
    /// Print the matrix as json or markdown instead of a table
    #[arg(long, value_name = "FORMAT", value_parser = ["json", "markdown"])]
    report: Option<String>,
    /// Write the page of requirements, checks and faults to this file, and do nothing else
    #[arg(long, value_name = "PATH")]
    coverage: Option<PathBuf>,
}

/// Runs the selftest; 0 when every server came off as it should, 1 otherwise.
pub(super) fn selftest(args: &SelftestArgs) -> Result<u8, UsageError> {
    if let Some(path) = &args.coverage {
        std::fs::write(path, selftest::coverage())
            .map_err(|error| UsageError(format!("--coverage {}: {error}", path.display())))?;
        return Ok(0);
    }
    if args.clients {
        return clients(args);
    }
    if args.causes {
        return causes::causes(args);
    }
    let profile = match args.profile.profile() {
        Profile::Http => server::Profile::Http,
        Profile::Grpc => server::Profile::Grpc,
    };
    let wanted = |subject: &Subject| args.only.is_empty() || args.only.iter().any(|text| subject.name().contains(text));
    let own = |place: usize| args.shard.is_none_or(|shard| shard.has(place));
    let subjects = selftest::subjects(profile).into_iter().filter(wanted).enumerate();
    let subjects: Vec<_> = subjects.filter(|(place, _)| own(*place)).map(|(_, subject)| subject).collect();
    if subjects.is_empty() {
        return Err(UsageError(
            "--only and --shard leave no server to judge (avp-conform list --faults names them)".into(),
        ));
    }
    let bar = ProgressBar::new(subjects.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{pos}/{len} servers  {elapsed}  {wide_msg}") {
        bar.set_style(style);
    }
    let runtime = super::runtime()?;
    let started = std::time::Instant::now();
    let effort = if args.quick { Effort::Quick } else { Effort::Matrix };
    let mut tick = |trial: &Trial| {
        bar.inc(1);
        bar.set_message(trial.subject.name());
        if !trial.right {
            bar.suspend(|| eprintln!("{}: {}", trial.subject.name(), clean(&trial.complaint)));
        }
    };
    let trials = runtime.block_on(async {
        let jobs = usize::from(args.jobs.unwrap_or(SERVERS));
        let mut trials = selftest::run(profile, &subjects, effort, jobs, &mut tick).await;
        // A busy machine can hide a race or time out a server: what came off wrong is judged once more, alone.
        for trial in trials.iter_mut().filter(|trial| !trial.right) {
            *trial = selftest::judge(profile, trial.subject, effort).await;
        }
        trials
    });
    bar.finish_and_clear();
    let text = match args.report.as_deref() {
        Some("json") => {
            let mut matrix = selftest::json(&trials);
            if let Some(shard) = args.shard {
                matrix["shard"] = shard.to_string().into();
            }
            format!("{matrix:#}\n")
        }
        Some(_) => selftest::markdown(&trials),
        None => table(&trials, started.elapsed()),
    };
    super::output::print(&text, anstream::ColorChoice::Auto)?;
    // After the table, so that a path that can't be written loses nothing.
    if let Some(path) = &args.save_shown_by {
        std::fs::write(path, selftest::shown_by(&trials))
            .map_err(|error| UsageError(format!("--save-shown-by {}: {error}", path.display())))?;
    }
    Ok(u8::from(trials.iter().any(|trial| !trial.right)))
}

/// The same for clients.
fn clients(args: &SelftestArgs) -> Result<u8, UsageError> {
    let wanted = |name: &str| args.only.is_empty() || args.only.iter().any(|text| name.contains(text));
    let subjects: Vec<_> = selftest::client_subjects()
        .into_iter()
        .filter(|subject| wanted(subject.map_or("clean", |info| info.name)))
        .collect();
    if subjects.is_empty() {
        return Err(UsageError(
            "--only leaves no client to judge (avp-conform list --client-faults names them)".into(),
        ));
    }
    let bar = ProgressBar::new(subjects.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{pos}/{len} clients  {elapsed}  {wide_msg}") {
        bar.set_style(style);
    }
    let runtime = super::runtime()?;
    let started = std::time::Instant::now();
    let jobs = usize::from(args.jobs.unwrap_or(if args.causes { WHOLE_RUNS } else { CLIENTS }));
    let trials = runtime.block_on(selftest::run_clients(&subjects, jobs, args.causes, |trial| {
        bar.inc(1);
        bar.set_message(trial.name);
    }));
    bar.finish_and_clear();
    let (right, wrong): (Vec<_>, Vec<_>) = trials.iter().partition(|trial| trial.complaint.is_none());
    let mut text = String::new();
    for trial in right.iter().chain(&wrong) {
        let mark = if trial.complaint.is_none() { "ok   " } else { "WRONG" };
        let rule = trial.breaks.map_or("", |rule| rule.id);
        text.push_str(&format!("{mark} {:34} {rule:32} {:>5.0?}\n", trial.name, trial.took));
        let by = trial.complaint.clone().unwrap_or_else(|| trial.related.join(", "));
        if !by.is_empty() {
            text.push_str(&format!("            {by}\n"));
        }
    }
    let (first_causes, told) = if args.causes { causes::of_clients(&trials) } else { (String::new(), true) };
    text.push_str(&first_causes);
    let faults = trials.iter().filter(|trial| trial.breaks.is_some()).count();
    let counts = format!("{} as they should be, {} not", right.len(), wrong.len());
    text.push_str(&format!("\n{} clients ({faults} faults) in {:.1?}: {counts}\n", trials.len(), started.elapsed()));
    super::output::print(&text, anstream::ColorChoice::Auto)?;
    Ok(u8::from(!wrong.is_empty() || !told))
}

fn table(trials: &[Trial], took: std::time::Duration) -> String {
    let mut text = String::new();
    // What is wrong comes last, where a terminal shows it.
    let (right, wrong): (Vec<_>, Vec<_>) = trials.iter().partition(|trial| trial.right);
    for trial in right.into_iter().chain(wrong) {
        let (what, requirement) = match trial.subject {
            Subject::Fault(fault) => ("fault", fault.info().requirement),
            Subject::Quirk(_) | Subject::AllQuirks => ("quirk", ""),
            Subject::Clean => ("", ""),
        };
        let mark = if trial.right { "ok   " } else { "WRONG" };
        text.push_str(&format!("{mark} {what:5} {:34} {requirement:28} {:>5.0?}\n", trial.subject.name(), trial.took));
        let by = if trial.right { trial.related.join(", ") } else { trial.complaint.clone() };
        if !by.is_empty() {
            text.push_str(&format!("            {by}\n"));
        }
    }
    let wrong = trials.iter().filter(|trial| !trial.right).count();
    let faults = trials.iter().filter(|trial| matches!(trial.subject, Subject::Fault(_))).count();
    text.push_str(&format!(
        "\n{} servers ({faults} faults) in {took:.1?}: {} as they should be, {wrong} not\n",
        trials.len(),
        trials.len() - wrong
    ));
    text
}
