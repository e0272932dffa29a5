//! `avp-conform fuzz`: random sequences of requests against a server, every answer held to the model.

mod curl;
mod human;
mod run;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::watch;

use self::curl::Bodies;
use super::reports::ReportFiles;
use super::run::rerun::masked;
use super::run::{config, embed, interrupts};
use super::shared::{ColorArgs, ProfileArg, ProfilesArg};
use super::{UsageError, backend, output, runtime, values};
use crate::client::random;
use crate::fuzzing::server::{self as fuzzer, Campaign, CampaignProgress, End, Limits, Saved};
use crate::report::shell::quote;
use crate::requirements::Revision;
use crate::runner::{Rerun, RunConfig, Shard};
use crate::server::Config;

const AFTER: &str = "\
Exit status:
  0    nothing failed
  1    the server failed (or was warned of, with --strict)
  2    usage: options that can't be, a file that can't be read or written
  3    the target could not be judged: unreachable, died, no AVP server
  130  interrupted

Examples:
  avp-conform fuzz --embedded --fault push-any-version --cases 50
  avp-conform fuzz --server http://127.0.0.1:8787 --duration 10m
  avp-conform fuzz --server grpc://127.0.0.1:50051
  avp-conform fuzz --server http://127.0.0.1:8787 --report html=fuzz.html
  avp-conform fuzz --server http://127.0.0.1:8787 --replay avp-fuzz.json";

/// How long it goes on when nothing is said.
const DURATION: Duration = Duration::from_secs(60);

/// Bound on one request when nothing is said.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Options of `fuzz`.
#[derive(Args, Debug)]
#[command(after_help = AFTER)]
pub(super) struct FuzzArgs {
    /// Server to fuzz: http://, https:// (a path prefix is fine), grpc://host:port, grpcs://host, or avp://host, with or without a port
    #[arg(long, value_name = "URL", conflicts_with = "embedded")]
    server: Option<String>,
    /// Fuzz the built-in reference server instead
    #[arg(long)]
    embedded: bool,
    /// Which profile of the built-in server to fuzz [default: http]
    #[arg(long, value_name = "http|grpc", value_enum, hide_possible_values = true, requires = "embedded")]
    profile: Option<ProfileArg>,
    /// Identity provider, when challenge and token live elsewhere
    #[arg(long, value_name = "URL", conflicts_with = "embedded")]
    idp: Option<String>,
    /// Break this rule of the built-in server (list --faults)
    #[arg(long, value_name = "NAME", requires = "embedded")]
    fault: Option<String>,
    /// Give the built-in server this odd habit (list --quirks); repeatable
    #[arg(long, value_name = "NAME", requires = "embedded")]
    quirk: Vec<String>,
    /// Send this header with every request; never shown; repeatable
    #[arg(long, value_name = "K: V")]
    header: Vec<String>,
    /// Trust these certificate authorities (PEM) besides the system's; repeatable
    #[arg(long, value_name = "FILE")]
    ca_cert: Vec<PathBuf>,
    /// Accept any TLS certificate
    #[arg(long)]
    insecure: bool,
    /// End after this time; 60s unless --cases is given
    #[arg(long, value_name = "TIME", value_parser = values::time)]
    duration: Option<Duration>,
    /// End after so many cases, each a sequence of some dozens of requests
    #[arg(long, value_name = "N")]
    cases: Option<u64>,
    /// Repeat the cases of an earlier campaign, which printed this seed (keys and ids are always fresh)
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// One of N jobs, each of which plays other cases; avp-conform merge puts their findings together
    #[arg(long, value_name = "K/N", conflicts_with = "replay")]
    shard: Option<Shard>,
    /// Cases at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
    /// Bound on one request
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = values::time)]
    timeout: Duration,
    /// End with the first finding that fails the server
    #[arg(long)]
    first: bool,
    /// Play the cases of this file again, and nothing else
    #[arg(long, value_name = "FILE", conflicts_with_all = ["duration", "cases", "seed", "report"])]
    replay: Option<PathBuf>,
    /// Where findings are saved, if there are any
    #[arg(long, value_name = "FILE", default_value = "avp-fuzz.json")]
    save: PathBuf,
    /// Revision of the specification to judge by: 0.2, 0.3 or 0.4
    #[arg(long, value_name = "REV", default_value = "0.2", value_parser = values::revision(), hide_possible_values = true)]
    spec: Revision,
    /// Warnings fail
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    reports: ReportFiles,
    #[command(flatten)]
    color: ColorArgs,
}

impl FuzzArgs {
    /// Whom the requests go to, and how. The target of `--embedded` is filled in when its server listens.
    fn config(&self) -> Result<RunConfig, UsageError> {
        if self.server.is_none() && !self.embedded {
            return Err(
                "no server to judge: give --server URL, or --embedded for the built-in one; fuzz --help says more"
                    .into(),
            );
        }
        let name = self.server.as_ref().map(|server| server.trim().to_owned());
        Ok(RunConfig {
            idp: self.idp.as_deref().map(|url| values::url("--idp", url)).transpose()?,
            headers: config::headers("--header", &self.header)?,
            ca_certs: config::certificates(&self.ca_cert)?,
            insecure: self.insecure,
            timeout: self.timeout,
            jobs: self.jobs.into(),
            fits: false,
            seed: self.seed,
            strict: self.strict,
            wanted: self.profile.map(ProfileArg::profile),
            spec: self.spec,
            target_name: Some(name.unwrap_or_else(|| config::embedded_name(self.fault.as_deref()))),
            ..RunConfig::new(config::target(
                self.server.as_deref(),
                self.embedded,
                self.profile.map(ProfilesArg::from),
            )?)
        })
    }

    /// The built-in server that was asked for, if it was.
    fn embedded(&self) -> Result<Option<Config>, UsageError> {
        let config = || {
            let deviation = backend::deviation(self.fault.as_deref(), &self.quirk)?;
            Ok(Config { deviation, ..Config::default() })
        };
        self.embedded.then(config).transpose()
    }

    /// The options with which a finding is played again: credentials masked, quoted for a shell.
    fn rerun(&self) -> String {
        let mut words: Vec<String> = Vec::new();
        words.extend(self.embedded.then(|| "--embedded".to_owned()));
        let mut valued = |option: &str, value: &str| words.extend([option.to_owned(), quote(value.trim())]);
        for (option, value) in [("--server", &self.server), ("--idp", &self.idp), ("--fault", &self.fault)] {
            value.iter().for_each(|value| valued(option, value));
        }
        if let Some(profile) = self.profile {
            valued("--profile", ProfilesArg::from(profile).name());
        }
        self.quirk.iter().for_each(|quirk| valued("--quirk", quirk));
        self.header.iter().for_each(|header| valued("--header", &masked(header)));
        self.ca_cert.iter().for_each(|path| valued("--ca-cert", &path.to_string_lossy()));
        if self.timeout != TIMEOUT {
            valued("--timeout", &values::time_text(self.timeout));
        }
        if self.spec != Revision::default() {
            valued("--spec", self.spec.name());
        }
        words.extend(self.insecure.then(|| "--insecure".to_owned()));
        words.extend(self.strict.then(|| "--strict".to_owned()));
        words.join(" ")
    }
}

/// Carries `fuzz` out and tells the exit status.
pub(super) fn run(args: &FuzzArgs) -> Result<u8, UsageError> {
    let mut config = args.config()?;
    let embedded = args.embedded()?;
    let saved = args.replay.as_deref().map(read).transpose()?;
    args.reports.check()?;
    let runtime = runtime()?;
    let done = runtime.block_on(async {
        let running = match embedded {
            None => None,
            Some(server) => Some(embed(server, &mut config).await?),
        };
        let done = match &saved {
            Some(saved) => replay(args, &config, saved).await,
            None => campaign(args, &config, &args.rerun()).await,
        };
        drop(running);
        done
    });
    runtime.shutdown_background();
    done
}

async fn campaign(args: &FuzzArgs, config: &RunConfig, options: &str) -> Result<u8, UsageError> {
    let seed = args.seed.unwrap_or_else(|| u64::from(u32::from_le_bytes(random::bytes())));
    let seed = args.shard.map_or(seed, |shard| other_seed(seed, shard));
    let duration = args.duration.or(args.cases.is_none().then_some(DURATION));
    let limits = Limits { cases: args.cases, duration, first: args.first, strict: args.strict };
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
        bar.set_style(style);
    }
    let (stop, stopped) = watch::channel(false);
    let signals = tokio::spawn(interrupts(stop));
    let mut show = |progress: CampaignProgress| {
        bar.tick();
        bar.set_message(human::progress(&progress));
    };
    let campaign = fuzzer::run(config, seed, limits, stopped, &mut show).await;
    signals.abort();
    bar.finish_and_clear();
    let replays = format!("fuzz {options} --replay {}", quote(&args.save.to_string_lossy()));
    let again = Rerun { options: replays, campaign: true, ..Rerun::default() };
    let mut text = String::new();
    let mut bodies = Bodies::beside(&args.save);
    for (number, report) in campaign.reports.iter().enumerate() {
        text += &human::report(number + 1, report, config, &mut bodies).map_err(unwritten)?;
    }
    // A part of a campaign leaves a file in any case, so that whoever merges knows that it was there.
    if !campaign.reports.is_empty() || args.shard.is_some() {
        save(&args.save, &campaign)?;
    }
    if !campaign.reports.is_empty() {
        text += &human::replay_hint(&again);
    }
    text += &human::ending(&campaign, seed);
    let status = status(&campaign, args.strict);
    match run::of_campaign(&campaign, config, again, seed, status) {
        Some(run) => args.reports.write(&run, &text, args.color.choice()),
        None => Ok(status),
    }
}

/// A seed of its own for each part. What is printed is the one that `--seed` takes without `--shard`.
fn other_seed(seed: u64, shard: Shard) -> u64 {
    // The step of a Weyl sequence: no two parts of one seed come near each other.
    seed.wrapping_add(u64::from(shard.part).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// As in the judging command.
fn status(campaign: &Campaign, strict: bool) -> u8 {
    let failed = campaign.reports.iter().any(|report| strict || report.found.fails());
    match campaign.end {
        End::Aborted(_) => 3,
        End::Interrupted => 130,
        End::Done => u8::from(failed),
    }
}

fn unwritten(error: std::io::Error) -> UsageError {
    UsageError(format!("a body of a finding can't be written beside it: {error}"))
}

fn save(path: &Path, campaign: &Campaign) -> Result<(), UsageError> {
    let saved: Vec<_> = campaign.reports.iter().map(Saved::from).collect();
    let text = serde_json::to_string_pretty(&saved).map_err(|error| error.to_string())?;
    std::fs::write(path, text + "\n").map_err(|error| UsageError(format!("--save {}: {error}", path.display())))
}

fn read(path: &Path) -> Result<Vec<Saved>, UsageError> {
    let failed = |error: String| UsageError(format!("--replay {}: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    let foreign = |error: serde_json::Error| {
        let cut = if error.is_eof() { "cut off, or no" } else { "no" };
        failed(format!("{cut} file of findings, such as --save writes: {error}"))
    };
    let saved: Vec<Saved> = serde_json::from_str(&text).map_err(foreign)?;
    if let Some(step) = saved.iter().flat_map(|saved| &saved.steps).find(|step| !step.is_possible()) {
        return Err(failed(format!("no case has an identity {} or a repository {}", step.by, step.repo)));
    }
    if saved.is_empty() { Err(failed("there is no finding in it".into())) } else { Ok(saved) }
}

async fn replay(args: &FuzzArgs, config: &RunConfig, saved: &[Saved]) -> Result<u8, UsageError> {
    let played = match fuzzer::replay(config, saved).await {
        Ok(played) => played,
        Err(abort) => {
            output::print_error(&human::aborted(&abort), args.color.choice())?;
            return Ok(3);
        }
    };
    let mut text = String::new();
    let mut failed = false;
    let mut bodies = Bodies::beside(args.replay.as_deref().unwrap_or(&args.save));
    for (number, (saved, played)) in saved.iter().zip(&played).enumerate() {
        failed |= played.findings.iter().any(|found| args.strict || found.fails());
        text += &human::replayed(number + 1, saved, played, config, &mut bodies).map_err(unwritten)?;
    }
    output::print(&text, args.color.choice())?;
    Ok(u8::from(failed))
}
