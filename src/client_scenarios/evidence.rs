//! What all runs together have shown, and what can be concluded from it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::run::Ran;
use super::subject::Exit;
use super::vault::{ArrivedAt, Bend, Demand, Endpoint, Record};
use crate::client::{Exchange, Mask, RecordedBody};
use crate::codec::DataKey;
use crate::scenarios::Finding;
use crate::wire::EncryptedEnvelope;

/// All runs.
pub(super) struct Evidence {
    pub runs: BTreeMap<Bend, Ran>,
    /// More runs with a vault that isn't bent, made where something looked unusual.
    pub usual: Vec<Ran>,
    pub scenes: HashMap<&'static str, SceneResult>,
    pub shows: Option<regex::Regex>,
    /// Whether the suite decides what the client does.
    pub driven: bool,
}

/// What a check of clients makes of the evidence.
#[derive(Debug)]
pub(super) enum ClientJudgement {
    /// The rule holds as far as was seen; how much was seen.
    Holds(String),
    /// It doesn't.
    Broken(Vec<Finding>),
    /// An adapter's client was asked for everything, and does nothing that the rule is about.
    NotApplicable(String),
    /// A scene ended at its door: see [`Evidence::settle`].
    Shut(Finding),
    /// Nothing was seen that the rule is about.
    NotExercised(String),
    /// The suite can't tell.
    Unclear(String),
}

/// What a scene comes to.
pub(super) type SceneResult = (ClientJudgement, Duration);

impl ClientJudgement {
    /// Broken if something was found, otherwise as much as `tried` says.
    pub(super) fn of(findings: Vec<Finding>, tried: usize, what: &str, missing: &str) -> Self {
        match (findings.is_empty(), tried) {
            (false, _) => Self::Broken(findings),
            (true, 0) => Self::NotExercised(missing.to_owned()),
            (true, count) => Self::Holds(crate::ground::shown::count(count, what)),
        }
    }
}

/// The shape of a run: who did what, and how it ended.
type Shape = (Exit, Vec<(usize, Endpoint, bool)>);

impl Evidence {
    /// What scenes come to that ended before their point: one check says that the client can't join, no other repeats it.
    pub(super) fn settle(&mut self) {
        let (works, reads) = (self.works(), self.reads());
        for (id, (judgement, _)) in &mut self.scenes {
            *judgement = match std::mem::replace(judgement, ClientJudgement::Holds(String::new())) {
                ClientJudgement::Shut(finding) if *id == "client-join/locators" && works && reads != Some(false) => {
                    ClientJudgement::Broken(vec![finding])
                }
                ClientJudgement::Shut(finding) => ClientJudgement::NotExercised(format!(
                    "the client can't join and read a repository that another member has made: {}",
                    finding.observed
                )),
                ClientJudgement::Unclear(why) if !works => ClientJudgement::NotExercised(why),
                other => other,
            };
        }
    }

    /// As [`ClientJudgement::NotExercised`]; but what an adapter's client never does when it is asked for everything, it doesn't do at all.
    pub(super) fn never(&self, why: &str) -> ClientJudgement {
        let honest = self.run(Bend::Honest);
        let all = self.driven && self.works() && honest.is_some_and(|honest| honest.unsupported.is_empty());
        let why = why.to_owned();
        if all { ClientJudgement::NotApplicable(why) } else { ClientJudgement::NotExercised(why) }
    }

    /// The run with a bend, if it was made.
    pub(super) fn run(&self, bend: Bend) -> Option<&Ran> {
        self.runs.get(&bend)
    }

    /// The runs in which a client does what it always does.
    pub(super) fn sane(&self) -> impl Iterator<Item = &Ran> {
        self.runs.values().filter(|ran| ran.bend.is_sane())
    }

    /// Whether the program works at all.
    pub(super) fn works(&self) -> bool {
        self.run(Bend::Honest).is_some_and(|ran| ran.exit == Exit::Code(0))
    }

    /// Whether the runs with an honest vault look the same, so that shapes can be compared.
    fn is_steady(&self) -> bool {
        let order = |bend| self.run(bend).map(|ran| ran.shape().1);
        let usual = order(Bend::Honest);
        usual == order(Bend::Again) && self.usual.iter().all(|ran| usual.as_ref() == Some(&ran.shape().1))
    }

    /// Whether a run looks as if a rule were broken that nothing but a comparison with other runs shows.
    pub(super) fn is_suspect(&self, bend: Bend) -> bool {
        match bend.demand() {
            Demand::Bear => self.works() && self.goes_on(bend) == Some(false),
            Demand::Read => self.reads() == Some(true) && self.took(bend) == Some(false),
            _ => false,
        }
    }

    /// What a run did otherwise than the usual one, in words.
    pub(super) fn otherwise(&self, ran: &Ran) -> String {
        let Some(honest) = self.run(Bend::Honest) else { return "it did something else than usual".into() };
        let (usual, here) = (honest.shape().1, ran.shape().1);
        let step = |steps: &[(usize, Endpoint, bool)], at: usize| match steps.get(at) {
            Some((_, endpoint, true)) => endpoint.name().to_owned(),
            Some((_, endpoint, false)) => format!("{} that is refused", endpoint.name()),
            None => "nothing".into(),
        };
        match (0..usual.len().max(here.len())).find(|at| usual.get(*at) != here.get(*at)) {
            Some(at) if step(&usual, at) == step(&here, at) => {
                format!("its {}. operation, {}, is another member's than usual", at + 1, step(&here, at))
            }
            Some(at) => {
                format!("its {}. operation is {}, and usually {}", at + 1, step(&here, at), step(&usual, at))
            }
            None => "it did something else than usual".into(),
        }
    }

    /// A run's shape as far as it can be compared.
    fn shape(&self, bend: Bend) -> Option<Shape> {
        let (exit, steps) = self.run(bend)?.shape();
        Some((exit, if self.is_steady() { steps } else { Vec::new() }))
    }

    /// Whether a client goes on as if nothing were bent.
    pub(super) fn goes_on(&self, bend: Bend) -> Option<bool> {
        let (mut ran, mut honest) = (self.shape(bend)?, self.shape(Bend::Honest)?);
        // Whoever gets an envelope that is new to it has no reason to ask for it again.
        if bend == Bend::ExtraEnvelope {
            [&mut ran, &mut honest]
                .into_iter()
                .for_each(|(_, steps)| steps.retain(|(_, endpoint, _)| *endpoint != Endpoint::Pull));
        }
        Some(ran == honest)
    }

    /// Whether what the vault's member has written shows in the run itself: in the output, or in what was written on top of it.
    fn shows(&self, ran: &Ran) -> bool {
        let garbage = self.run(Bend::RotatedGarbage);
        let pattern =
            self.shows.as_ref().filter(|shows| garbage.is_none_or(|garbage| !shows.is_match(&garbage.output)));
        ran.output.contains(&ran.canary) || pattern.is_some_and(|shows| shows.is_match(&ran.output)) || ran.writes_on()
    }

    /// Whether runs that read and runs that can't differ.
    pub(super) fn tells_apart(&self) -> bool {
        self.shape(Bend::Rotated).is_some() && self.shape(Bend::Rotated) != self.shape(Bend::RotatedGarbage)
    }

    /// Whether the client reads what another member has written; `None` if that can't be seen.
    pub(super) fn reads(&self) -> Option<bool> {
        let control = self.run(Bend::Rotated).filter(|control| !control.keys.is_empty())?;
        if self.shows(control) {
            return Some(true);
        }
        if self.tells_apart() {
            return Some(true);
        }
        // Not different from one that can't be read: it either never looks at payloads, or can't read this one. Garbage in its
        // own wrapped key or payload tells which.
        let looks = [Bend::GarbageWrap, Bend::GarbagePayload].into_iter().any(|bend| self.goes_on(bend) == Some(false));
        (looks && self.goes_on(Bend::Rotated) == Some(false)).then_some(false)
    }

    /// Whether the client took what was served; `None` if that can't be seen.
    pub(super) fn took(&self, bend: Bend) -> Option<bool> {
        let ran = self.run(bend).filter(|ran| !ran.keys.is_empty())?;
        if self.shows(ran) {
            return Some(true);
        }
        let control = self.run(Bend::Rotated)?;
        if self.tells_apart() && self.reads() == Some(true) {
            return Some(self.shape(bend) == self.shape(Bend::Rotated));
        }
        // What shows in the control would show here.
        self.shows(control).then_some(false)
    }
}

impl Ran {
    /// Operations on the vault in their order, members by the order of their appearance.
    fn shape(&self) -> Shape {
        let mut members: Vec<&str> = Vec::new();
        let steps = self.records.iter().filter(|record| record.place == ArrivedAt::Vault && record.endpoint.is_vault());
        let steps = steps.map(|record| {
            let caller = record.caller.as_deref().unwrap_or_default();
            let index = members.iter().position(|known| *known == caller).unwrap_or_else(|| {
                members.push(caller);
                members.len() - 1
            });
            (index, record.endpoint, record.status.is_some_and(|status| status < 300))
        });
        let steps = steps.collect();
        (self.exit.clone(), steps)
    }

    /// The requests to the vault.
    pub(super) fn at_vault(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(|record| record.place == ArrivedAt::Vault)
    }

    /// Requests of one operation.
    pub(super) fn of(&self, endpoint: Endpoint) -> impl Iterator<Item = &Record> {
        self.at_vault().filter(move |record| record.endpoint == endpoint)
    }

    /// Tokens that were given out.
    pub(super) fn tokens(&self) -> Vec<&str> {
        self.of(Endpoint::Token).filter_map(|record| record.answer["token"].as_str()).collect()
    }

    /// The keys of the vault's that an envelope could be under.
    pub(super) fn keys_of(&self, envelope: &EncryptedEnvelope) -> Vec<&DataKey> {
        let fits = |forged: &&super::vault::forge::Forged| {
            forged.repo == envelope.repo_id && forged.epoch == envelope.key_epoch
        };
        self.keys.iter().filter(fits).map(|forged| &forged.key).collect()
    }

    /// Whether the client has written under a key that it can only have from what the vault's member wrote.
    fn writes_on(&self) -> bool {
        self.of(Endpoint::Push).filter_map(envelope).any(|envelope| {
            self.keys_of(&envelope).into_iter().any(|key| super::vault::reading::open(key, &envelope).is_some())
        })
    }
}

/// The envelope that a request carries.
pub(super) fn envelope(record: &Record) -> Option<EncryptedEnvelope> {
    let pointer = match record.endpoint {
        Endpoint::Create => "/initialEnvelope",
        Endpoint::Push => "/envelope",
        Endpoint::Remove => "/rotatedEnvelope",
        _ => return None,
    };
    serde_json::from_value(record.field(pointer)?.clone()).ok()
}

/// A finding with the request that shows it.
pub(super) fn finding(
    ran: &Ran,
    record: Option<&Record>,
    expected: impl Into<String>,
    observed: impl Into<String>,
) -> Finding {
    let mut observed = observed.into();
    if ran.bend != Bend::Honest {
        observed = format!("{observed} (while {})", ran.bend.what());
    }
    Finding { expected: expected.into(), observed, exchange: record.map(exchange), evidence: Vec::new() }
}

/// A record as reports show exchanges.
pub(super) fn exchange(record: &Record) -> Arc<Exchange> {
    let shorten = |value: &str| {
        let length = value.chars().count();
        let start: String = value.chars().take(24).collect();
        if length > 24 { format!("{start}… ({length} characters)") } else { start }
    };
    let answer = record.answer.to_string();
    Arc::new(Exchange {
        operation: record.endpoint.name(),
        method: record.method.clone(),
        path: record.target.clone(),
        authorization: record.header("authorization").map(shorten),
        request: RecordedBody::of(&record.body.clone().into(), &Mask::default()),
        status: record.status,
        grpc: None,
        content_type: None,
        response: if record.answer.is_null() {
            RecordedBody::default()
        } else {
            RecordedBody::of(&answer.into(), &Mask::default())
        },
        error: record.status.is_none().then(|| "the vault doesn't answer".to_owned()),
        duration: record.took,
    })
}
