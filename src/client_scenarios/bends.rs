//! Judging by bends: going on, reading, refusing.

use super::evidence::{ClientJudgement, Evidence, finding};
use super::rules::requests::names_nobody;
use super::run::Ran;
use super::subject::Exit;
use super::vault::{Bend, Demand, Endpoint, Record};

/// Why nothing can be said about a program that fails as it is.
const FAILS_ANYWAY: &str = "the program fails even with a vault that isn't bent (see the other checks, and -v)";

/// Why nothing can be said about a run whose requests name nothing that there is.
const NAMES_NOBODY: &str = "an id in a path doesn't arrive in the program's run (see client-request/ids)";

/// The client goes on as if nothing were bent.
pub(super) fn bears(evidence: &Evidence, bends: &[Bend]) -> ClientJudgement {
    let Some(honest) = evidence.run(Bend::Honest) else { return ClientJudgement::NotExercised(FAILS_ANYWAY.into()) };
    if !evidence.works() && names_nobody(honest) {
        return ClientJudgement::NotExercised(NAMES_NOBODY.into());
    }
    if !evidence.works() {
        // Each variant is as right as the usual way: a client that works with one of them only has a taste of its own.
        let mut works = bends.iter().filter(|bend| evidence.run(**bend).is_some_and(|ran| ran.exit == Exit::Code(0)));
        let Some(only) = works.next() else { return ClientJudgement::NotExercised(FAILS_ANYWAY.into()) };
        let expected = format!("the client works not only when {}", only.what());
        let observed = format!("otherwise: {}{}", honest.exit, last_line(&honest.output));
        return ClientJudgement::Broken(vec![finding(honest, honest.at_vault().last(), expected, observed)]);
    }
    let uses = |endpoint| honest.of(endpoint).any(|record| record.is_done());
    let mut tried = 0;
    let mut findings = Vec::new();
    for &bend in bends {
        let needed = match bend {
            Bend::Nulls
            | Bend::ExtraEnvelope
            | Bend::RosterReversed
            | Bend::OwnEntryFirst
            | Bend::OwnEntryLast
            | Bend::LaterMembers => uses(Endpoint::Pull),
            Bend::NoDiscovery | Bend::Discovery500 | Bend::DiscoveryBoth => {
                honest.of(Endpoint::Discovery).next().is_some()
            }
            _ => true,
        };
        let Some(ran) = evidence.run(bend).filter(|_| needed) else { continue };
        let goes_on = evidence.goes_on(bend) == Some(true);
        // Ids differ from run to run.
        if !goes_on && names_nobody(ran) {
            continue;
        }
        tried += 1;
        if !goes_on {
            let expected = format!("the client goes on as usual when {}", bend.what());
            let last = ran.at_vault().last();
            let how = if ran.exit == honest.exit { evidence.otherwise(ran) } else { ran.exit.to_string() };
            let mut found = finding(ran, last, expected, format!("{how}{}", last_line(&ran.output)));
            found.observed = found.observed.replace(&format!(" (while {})", bend.what()), "");
            findings.push(found);
        }
    }
    ClientJudgement::of(findings, tried, "variant", "nothing in the program's run depends on it")
}

/// The last line of an output, for a reader to recognize.
pub(super) fn last_line(output: &str) -> String {
    let line = output.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let line: String = line.trim().chars().filter(|c| !c.is_control()).take(160).collect();
    if line.is_empty() { String::new() } else { format!(", and its output ends with: {line}") }
}

const READS_NOTHING: &str = "that this client reads a payload shows in nothing: print an account's name after a pull (see --shows), or \
                             write after reading";

/// The client reads what another member has written in an unusual but right way.
pub(super) fn reads(evidence: &Evidence, bends: &[Bend]) -> ClientJudgement {
    match evidence.reads() {
        Some(true) => {}
        Some(false) => return ClientJudgement::NotExercised("it can't read what other members write at all".into()),
        None => return ClientJudgement::NotExercised(READS_NOTHING.into()),
    }
    let mut tried = 0;
    let mut findings = Vec::new();
    for &bend in bends.iter().filter(|bend| bend.demand() == Demand::Read) {
        let Some(ran) = evidence.run(bend) else { continue };
        // There is no name to show in an empty payload.
        let took = if bend == Bend::EmptyPayload && !evidence.tells_apart() { None } else { evidence.took(bend) };
        let Some(took) = took else { continue };
        tried += 1;
        if !took {
            let pulled = ran.of(Endpoint::Pull).filter(|record| record.is_done()).last();
            let what = format!("a payload is read where {}", bend.what());
            let mut found = finding(ran, pulled, what, format!("it isn't: {}{}", ran.exit, last_line(&ran.output)));
            found.observed = found.observed.replace(&format!(" (while {})", bend.what()), "");
            findings.push(found);
        }
    }
    ClientJudgement::of(findings, tried, "payload", READS_NOTHING)
}

/// The client doesn't take what is served.
pub(super) fn refuses(evidence: &Evidence, bends: &[Bend]) -> ClientJudgement {
    if evidence.reads() != Some(true) {
        let taken = taken(evidence, bends);
        return if taken.is_empty() {
            let why = if evidence.reads().is_none() {
                READS_NOTHING
            } else {
                "it can't read what other members write at all"
            };
            ClientJudgement::NotExercised(why.into())
        } else {
            ClientJudgement::Broken(taken)
        };
    }
    let forbidden = bends.iter().filter(|bend| bend.demand() == Demand::Refuse);
    let tried = forbidden.filter(|bend| evidence.took(**bend).is_some()).count();
    ClientJudgement::of(taken(evidence, bends), tried, "refusal", READS_NOTHING)
}

fn taken(evidence: &Evidence, bends: &[Bend]) -> Vec<crate::scenarios::Finding> {
    let forbidden = bends.iter().filter(|bend| bend.demand() == Demand::Refuse);
    let taken = forbidden.filter(|bend| evidence.took(**bend) == Some(true));
    let found = taken.filter_map(|bend| {
        let ran = evidence.run(*bend)?;
        let pulled = ran.of(Endpoint::Pull).find(|record| record.is_done() && !record.answer["envelope"].is_null());
        let expected = format!("what is served is refused where {}", bend.what());
        let mut found = finding(ran, pulled, expected, "the client took it");
        found.observed = format!("the client took it, and went on ({})", ran.exit);
        Some(found)
    });
    found.collect()
}

/// Ways of making things that no specification has, by which a client can be known that reads only its own kind.
const OWN_WAYS: [Bend; 9] = [
    Bend::AadNone,
    Bend::AadLittleEndian,
    Bend::AadDecimal,
    Bend::AadNoSeparator,
    Bend::AadNoEpoch,
    Bend::WrapNoAad,
    Bend::WrapLabel,
    Bend::WrapNoSalt,
    Bend::WrapRawSecret,
];

/// More of them, tried only with a client that reads nothing else.
pub(super) const RARE_WAYS: [Bend; 13] = [
    Bend::AadSwapped,
    Bend::AadInt32,
    Bend::AadDecimals,
    Bend::AadJson,
    Bend::AadVersionless,
    Bend::AadIdOnly,
    Bend::WrapSaltRecipient,
    Bend::WrapSha512,
    Bend::WrapOtherInfo,
    Bend::WrapNoInfo,
    Bend::WrapExpandOnly,
    Bend::WrapSaltText,
    Bend::WrapKeyText,
];

/// Whether what a client of an adapter writes tells that its wraps are right, or wrong.
fn wraps_right(evidence: &Evidence) -> Option<bool> {
    match &evidence.scenes.get("client-write/guest-reads")?.0 {
        ClientJudgement::Holds(_) => Some(true),
        ClientJudgement::Broken(findings) => {
            Some(findings.iter().any(|found| found.expected == super::scenes::WRAPS_RIGHT))
        }
        _ => None,
    }
}

/// The client reads what another member has written by the letter of the specification.
pub(super) fn reads_others(evidence: &Evidence, wraps: bool) -> ClientJudgement {
    if !evidence.works() {
        return ClientJudgement::NotExercised(FAILS_ANYWAY.into());
    }
    let Some(ran) = evidence.run(Bend::Rotated).filter(|ran| !ran.keys.is_empty()) else {
        return ClientJudgement::NotExercised("no member pulls a payload that somebody else could have written".into());
    };
    let ways = OWN_WAYS.into_iter().chain(RARE_WAYS);
    let own: Vec<_> = ways.filter(|bend| evidence.took(*bend) == Some(true)).collect();
    let is_wrap = |bend: &Bend| bend.name().starts_with("wrap");
    match evidence.reads() {
        Some(true) => ClientJudgement::Holds(String::new()),
        None => ClientJudgement::NotExercised(READS_NOTHING.into()),
        // What it writes itself tells as well, where somebody else can look into it.
        Some(false) if own.iter().any(|bend| is_wrap(bend) != wraps) || wraps_right(evidence) == Some(wraps) => {
            ClientJudgement::NotExercised("its payloads can't be read for another reason".into())
        }
        Some(false) => {
            let pulled = ran.of(Endpoint::Pull).filter(|record| record.is_done()).last();
            let expected = "a payload is read that another member has sealed, and whose key it has wrapped, as §4 says";
            let own = own.first().map_or_else(String::new, |bend| format!("; it reads one where {}", bend.what()));
            let observed = format!("it isn't: {}{}{own}", ran.exit, last_line(&ran.output));
            let mut found = finding(ran, pulled, expected, observed.clone());
            found.observed = observed;
            ClientJudgement::Broken(vec![found])
        }
    }
}

/// A refused operation isn't told as a success.
pub(super) fn tells_errors(evidence: &Evidence, bends: &[Bend]) -> ClientJudgement {
    if !evidence.works() {
        return ClientJudgement::NotExercised(FAILS_ANYWAY.into());
    }
    // Who asks for nothing is refused nothing.
    let pushes = |ran: &Ran| {
        ran.of(Endpoint::Push).any(|record| !record.is_done()) && !ran.of(Endpoint::Push).any(Record::is_done)
    };
    let asks = |ran: &&Ran| match ran.bend {
        Bend::ConflictAlways => pushes(ran),
        _ => ran.at_vault().any(|record| record.endpoint.is_vault()),
    };
    let runs: Vec<_> = bends.iter().filter_map(|bend| evidence.run(*bend)).filter(asks).collect();
    let wrong = runs.iter().filter(|ran| ran.exit == Exit::Code(0));
    let expected = "a program that can't do its work ends with a status other than 0";
    let findings = wrong.map(|ran| finding(ran, ran.at_vault().last(), expected, "exit status 0")).collect();
    ClientJudgement::of(findings, runs.len(), "refusal", FAILS_ANYWAY)
}
