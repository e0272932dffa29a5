//! `avp-conform merge`: the parts of a run, of a selftest or of a fuzzing campaign that several jobs have done, as one.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::known::known_file;
use super::reports::ReportArgs;
use super::{UsageError, compare, output};
use crate::fuzzing::server::Saved as FuzzFinding;
use crate::report::{Recorder, Run, Saved};
use crate::runner::{self, CheckResult, Event, Judged, RunEnd, RunInfo, Shard, Status, Summary, Verdict};

const AFTER: &str = "\
Exit status: that of the whole run.

Examples:
  avp-conform --server \"$URL\" --shard 1/2 --report json=1.json    (one job)
  avp-conform --server \"$URL\" --shard 2/2 --report json=2.json    (another)
  avp-conform merge 1.json 2.json --report html=report.html
  avp-conform merge whole.json --report sarif=report.sarif";

/// Options of `merge`.
#[derive(Args, Debug)]
#[command(after_help = AFTER)]
pub(super) struct MergeArgs {
    /// JSON reports of all parts (--shard K/N --report json=FILE), or of a whole run; or the files of fuzz --save or of selftest
    /// --report json
    #[arg(required = true, value_name = "REPORT")]
    files: Vec<PathBuf>,
    /// The file of known failures that the whole run is held to
    #[arg(long, value_name = "FILE")]
    known: Option<PathBuf>,
    /// Warnings fail, as they do where the parts were run with --strict
    #[arg(long)]
    strict: bool,
    /// Where the findings of fuzzing are saved, each once
    #[arg(long, value_name = "FILE", default_value = "avp-fuzz.json")]
    save: PathBuf,
    #[command(flatten)]
    reports: ReportArgs,
}

/// What the files are.
enum FileKind {
    Reports,
    Selftest,
    Fuzzing,
}

/// Merges, and tells the exit status of the whole.
pub(super) fn merge(args: &MergeArgs) -> Result<u8, UsageError> {
    let kind = kind(&args.files[0])?;
    if !matches!(kind, FileKind::Reports) && !args.reports.files.are_none() {
        return Err(
            "--report is of runs; a selftest's parts are merged on standard output, findings of fuzzing in --save"
                .into(),
        );
    }
    match kind {
        FileKind::Reports => {
            args.reports.check()?;
            let parts = args.files.iter().map(|path| compare::read(path)).collect::<Result<Vec<_>, _>>()?;
            args.reports.write(&whole(args, parts)?)
        }
        FileKind::Selftest => selftest(args),
        FileKind::Fuzzing => fuzzing(args),
    }
}

fn json(path: &Path) -> Result<Value, UsageError> {
    let failed = |error: String| UsageError(format!("{}: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| failed(format!("no JSON: {error}")))
}

fn kind(path: &Path) -> Result<FileKind, UsageError> {
    match json(path)? {
        Value::Array(_) => Ok(FileKind::Fuzzing),
        Value::Object(object) if object.contains_key("trials") => Ok(FileKind::Selftest),
        _ => Ok(FileKind::Reports),
    }
}

/// Whether these are the parts of one thing, each once and all of them.
fn complete(shards: &[(String, Option<Shard>)]) -> Result<(), UsageError> {
    if let [(_, None)] = shards {
        return Ok(());
    }
    let mut seen: BTreeMap<u32, &str> = BTreeMap::new();
    let mut of = None;
    for (file, shard) in shards {
        let shard =
            shard.ok_or_else(|| UsageError(format!("{file} is no part of a run: those are made with --shard K/N")))?;
        if *of.get_or_insert(shard.of) != shard.of {
            return Err(UsageError(format!("{file} is part {shard}, others are of another number of parts")));
        }
        if let Some(other) = seen.insert(shard.part, file) {
            return Err(UsageError(format!("{file} and {other} are both part {shard}")));
        }
    }
    let of = of.unwrap_or(1);
    match (1..=of).find(|part| !seen.contains_key(part)) {
        Some(part) => Err(UsageError(format!("part {part}/{of} is missing"))),
        None => Ok(()),
    }
}

/// The parts of a run as the run that they are parts of.
fn whole(args: &MergeArgs, parts: Vec<Saved>) -> Result<Run, UsageError> {
    let shard = |part: &Saved| Ok((part.file.clone(), part.shard().map_err(|error| error.to_string())?));
    complete(&parts.iter().map(shard).collect::<Result<Vec<_>, UsageError>>()?)?;
    let (version, spec) = (parts[0].version().to_owned(), parts[0].spec.clone());
    if let Some(other) = parts.iter().find(|part| part.version() != version || part.spec != spec) {
        return Err(UsageError(format!("{} was made by another version, or by another revision", other.file)));
    }
    let sharded = parts.len() > 1;
    let mut runs = parts
        .into_iter()
        .map(|part| part.into_run().map_err(|error| UsageError(error.to_string())))
        .collect::<Result<Vec<_>, _>>()?;
    if !sharded && args.known.is_none() && !args.strict {
        return runs.pop().ok_or_else(|| "no report".into());
    }
    let results: Vec<Vec<Arc<CheckResult>>> = runs.iter().map(|run| run.results.clone()).collect();
    let results = runner::together(&results);
    if let [first, ..] = runner::missing(&results).as_slice() {
        return Err(UsageError(format!("no part has run {first}: were they run with the same options?")));
    }
    conclude(args, &runs, results)
}

/// Verdict, counts and notes of all parts.
fn conclude(args: &MergeArgs, runs: &[Run], results: Vec<Arc<CheckResult>>) -> Result<Run, UsageError> {
    let strict = args.strict || runs.iter().any(|run| run.info.strict);
    let covered = runs.iter().flat_map(|run| run.end.known.iter().map(|(id, said)| (*id, said.clone()))).collect();
    let said = Judged { covered, stale: each_once(runs.iter().flat_map(|run| &run.end.stale)) };
    let known = args.known.as_deref().map(known_file).transpose()?;
    // A part to which no check came is no broken one.
    let broken = runs.iter().find(|run| {
        let empty = run.end.verdict == Verdict::NotJudged && run.end.advice.contains("--only");
        run.end.interrupted || (run.end.exit_code == 3 && !empty && run.with(Status::Error).is_empty())
    });
    let broken = broken.map(|run| {
        let shard = run.info.shard.map_or_else(|| "the run".to_owned(), |shard| format!("part {shard}"));
        format!("{shard}: {}", run.end.reason)
    });
    let judged = runner::judge_results(&results, strict, known.as_ref(), said, broken);
    let mut summary = Summary::default();
    results.iter().for_each(|result| summary.count(result.status));
    let end = RunEnd {
        verdict: judged.verdict,
        reason: judged.reason,
        advice: judged.advice,
        summary,
        requests: runs.iter().map(|run| run.end.requests).sum(),
        duration: runs.iter().map(|run| run.end.duration).max().unwrap_or(Duration::ZERO),
        interrupted: runs.iter().any(|run| run.end.interrupted),
        exit_code: judged.exit_code,
        known: judged.known,
        stale: judged.stale.clone(),
        hosted: None,
    };
    let planned = results.iter().filter(|result| result.status != Status::Skip).count();
    let info = RunInfo { planned, shard: None, strict, ..RunInfo::clone(&runs[0].info) };
    let mut recorder = Recorder::default();
    recorder.event(&Event::RunStarted(Arc::new(info)));
    for note in each_once(runs.iter().flat_map(|run| &run.notes).chain(&judged.stale)) {
        recorder.event(&Event::Note(note));
    }
    for result in results {
        recorder.event(&Event::CheckFinished(result));
    }
    recorder.event(&Event::RunFinished(Arc::new(end)));
    recorder.finish().ok_or_else(|| "nothing to merge".into())
}

/// What several parts say, in the order of the first.
fn each_once<'a>(texts: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut seen = HashSet::new();
    texts.filter(|text| seen.insert(text.as_str())).cloned().collect()
}

/// The trials of all parts; 1 when a server came off wrong.
fn selftest(args: &MergeArgs) -> Result<u8, UsageError> {
    let parts = args.files.iter().map(|path| json(path)).collect::<Result<Vec<_>, _>>()?;
    let shard = |(path, part): (&PathBuf, &Value)| {
        let shard = part["shard"].as_str().map(str::parse).transpose();
        shard
            .map(|shard| (path.display().to_string(), shard))
            .map_err(|what| UsageError(format!("{}: {what}", path.display())))
    };
    complete(&args.files.iter().zip(&parts).map(shard).collect::<Result<Vec<_>, _>>()?)?;
    let mut trials: Vec<Value> = Vec::new();
    for (path, part) in args.files.iter().zip(&parts) {
        let of_part = part["trials"].as_array();
        trials
            .extend(of_part.ok_or_else(|| UsageError(format!("{}: no trials in it", path.display())))?.iter().cloned());
    }
    trials.sort_by(|one, other| one["name"].as_str().cmp(&other["name"].as_str()));
    let right = trials.iter().all(|trial| trial["right"] == true);
    let whole = serde_json::json!({ "tool": parts[0]["tool"], "right": right, "trials": trials });
    output::print_data(&format!("{whole:#}\n"))?;
    Ok(u8::from(!right))
}

/// The findings of all parts, each once; 1 when there is one that fails the server.
fn fuzzing(args: &MergeArgs) -> Result<u8, UsageError> {
    let mut seen = HashSet::new();
    let mut kept: Vec<FuzzFinding> = Vec::new();
    for path in &args.files {
        let foreign =
            |error| UsageError(format!("{}: no file of findings, such as fuzz --save writes: {error}", path.display()));
        let findings: Vec<FuzzFinding> = serde_json::from_value(json(path)?).map_err(foreign)?;
        kept.extend(findings.into_iter().filter(|finding| seen.insert(finding.key())));
    }
    let text = serde_json::to_string_pretty(&kept).map_err(|error| error.to_string())?;
    std::fs::write(&args.save, text + "\n").map_err(|error| format!("--save {}: {error}", args.save.display()))?;
    let mut told = String::new();
    for finding in &kept {
        let kind = if finding.fails() { "failure" } else { "warning" };
        told += &format!("{kind}  {}  {}\n", finding.operation, finding.rule);
    }
    told += &format!("{} in {}\n", crate::ground::shown::count(kept.len(), "finding"), args.save.display());
    output::print(&told, args.reports.color.choice())?;
    Ok(u8::from(kept.iter().any(|finding| args.strict || finding.fails())))
}
