//! `avp-conform list`: checks, requirements, faults and quirks, for people and for programs.

mod human;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::shared::ColorArgs;
use super::{UsageError, backend, output};
use crate::agent::{Habit, HabitInfo};
use crate::client_scenarios;
use crate::faults::{Fault, Quirk};
use crate::requirements::{self, Level, Party, Requirement, Revision};
use crate::scenarios::CheckInfo;

/// Options of `list`.
#[derive(Args, Debug)]
pub(super) struct ListArgs {
    /// List the requirements, with the checks that prove each of them, or why none can
    #[arg(long)]
    pub requirements: bool,
    /// List what the built-in server can do wrong
    #[arg(long)]
    pub faults: bool,
    /// List the odd but allowed habits of the built-in server
    #[arg(long)]
    pub quirks: bool,
    /// List the checks of clients
    #[arg(long)]
    pub clients: bool,
    /// List what the built-in client can do wrong, and its odd but allowed habits
    #[arg(long)]
    pub client_faults: bool,
    /// How to print the list
    #[arg(long, value_enum, default_value = "human")]
    pub format: ListFormat,
    #[command(flatten)]
    pub color: ColorArgs,
}

/// How `list` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ListFormat {
    Human,
    Json,
}

/// What is listed; what wasn't asked for isn't there.
#[derive(Debug, Default, Serialize)]
struct Lists {
    #[serde(skip_serializing_if = "Option::is_none")]
    checks: Option<Vec<CheckRow>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requirements: Option<Vec<RequirementRow>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    faults: Option<Vec<FaultRow>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quirks: Option<Vec<QuirkRow>>,
}

#[derive(Debug, Serialize)]
struct CheckRow {
    id: &'static str,
    title: &'static str,
    section: &'static str,
    level: Level,
    since: Revision,
    /// Runs with `--slow` only.
    slow: bool,
    requirements: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct RequirementRow {
    id: &'static str,
    section: &'static str,
    level: Level,
    binds: Party,
    since: Revision,
    text: &'static str,
    /// The checks that prove it.
    checks: Vec<&'static str>,
    /// Why none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    unprovable: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct FaultRow {
    name: &'static str,
    /// What the server does wrong.
    summary: &'static str,
    /// The rule that it breaks.
    requirement: &'static str,
}

#[derive(Debug, Serialize)]
struct QuirkRow {
    name: &'static str,
    summary: &'static str,
}

/// Prints what was asked for; without a wish, the checks.
pub(super) fn list(args: &ListArgs) -> Result<u8, UsageError> {
    let lists = Lists {
        checks: if args.clients {
            Some(client_checks())
        } else {
            let others = args.requirements || args.faults || args.quirks || args.client_faults;
            (!others).then(checks)
        },
        requirements: args.requirements.then(requirements),
        faults: if args.client_faults { Some(client_faults()) } else { args.faults.then(faults) },
        quirks: if args.client_faults { Some(client_quirks()) } else { args.quirks.then(quirks) },
    };
    let text = match args.format {
        ListFormat::Json => {
            let text = serde_json::to_string_pretty(&lists).map_err(|error| error.to_string())?;
            format!("{text}\n")
        }
        ListFormat::Human => human::render(&lists, output::size().columns),
    };
    output::print(&text, args.color.choice())?;
    Ok(0)
}

fn checks() -> Vec<CheckRow> {
    let row = |check: &'static crate::scenarios::Check| CheckRow {
        id: check.info.id,
        title: check.info.title,
        section: check.info.section,
        level: check.info.level,
        since: check.info.since,
        slow: check.waits,
        requirements: check.info.requirements.iter().map(|requirement| requirement.id).collect(),
    };
    crate::scenarios::all().map(row).collect()
}

fn client_checks() -> Vec<CheckRow> {
    let row = |check: &'static client_scenarios::ClientCheck| CheckRow {
        id: check.info.id,
        title: check.info.title,
        section: check.info.section,
        level: check.info.level,
        since: check.info.since,
        slow: check.waits,
        requirements: check.info.requirements.iter().map(|requirement| requirement.id).collect(),
    };
    client_scenarios::all().map(row).collect()
}

fn client_faults() -> Vec<FaultRow> {
    let row = |info: &'static HabitInfo| {
        let requirement = info.breaks.map_or("", |rule| rule.id);
        FaultRow { name: info.name, summary: info.summary, requirement }
    };
    Habit::faults().map(row).collect()
}

fn client_quirks() -> Vec<QuirkRow> {
    Habit::quirks().map(|info| QuirkRow { name: info.name, summary: info.summary }).collect()
}

fn requirements() -> Vec<RequirementRow> {
    let row = |requirement: &&'static Requirement| RequirementRow {
        id: requirement.id,
        section: requirement.section,
        level: requirement.level,
        binds: requirement.binds,
        since: requirement.since,
        text: requirement.text,
        checks: backend::checks()
            .chain(client_scenarios::all().map(|check| &check.info))
            .filter(|check| proves(check, requirement))
            .map(|check| check.id)
            .collect(),
        unprovable: requirement.unprovable,
    };
    requirements::ALL.iter().map(row).collect()
}

fn proves(check: &CheckInfo, requirement: &Requirement) -> bool {
    check.requirements.iter().any(|proved| proved.id == requirement.id)
}

fn faults() -> Vec<FaultRow> {
    let row = |fault: &Fault| {
        let info = fault.info();
        FaultRow { name: info.name, summary: info.summary, requirement: info.requirement }
    };
    Fault::all().iter().map(row).collect()
}

fn quirks() -> Vec<QuirkRow> {
    let row = |quirk: &Quirk| QuirkRow { name: quirk.info().name, summary: quirk.info().summary };
    Quirk::all().iter().map(row).collect()
}
