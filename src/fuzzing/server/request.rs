//! From a step of a plan to a request, and to what may come of it.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::case_state::CaseState;
use super::credential::Credentials;
use super::plan::{Act, Count, People, Slip, Step, Wire};
use crate::client::RawRequest;
use crate::codec::key_wrap::SCHEME_ID;
use crate::ground::Choices;
use crate::model::{self, Invocation, Symbols};
use crate::requirements::{self as rule, Requirement, Revision};
use crate::wire::Operation;
use crate::wire::{CreateRepoRequest, MemberAddRequest, MemberRemoveRequest, PullRequest, PushRequest, VaultManifest};

/// Longest answer that is read, in bytes.
const ANSWER_LIMIT: usize = 8 << 20;

/// From this size on a server may stop reading, in bytes.
const HUGE: usize = 4 << 20;
/// From this size on a request may be refused for its size, in bytes.
const LONG: usize = 64 << 10;

/// What may come of a request.
#[derive(Clone, Debug)]
pub(super) enum Judged {
    /// What the model says; `lenient`: or a refusal, or something that only the server can tell.
    Model {
        /// The call that it amounts to.
        invocation: Invocation,
        /// Whether the request is odd enough to be refused.
        lenient: bool,
    },
    /// Path and body name two repositories.
    Crossed {
        /// The one in the body.
        body: usize,
    },
    /// A 4xx; acceptance is harmless, or not.
    Malformed {
        /// Whether a server may well take it.
        harmless: bool,
    },
    /// Anything but a broken answer.
    Answered,
}

/// A request, ready to be sent.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    pub by: usize,
    pub repo: usize,
    pub operation: Operation,
    pub request: RawRequest,
    pub wire: Option<Wire>,
    pub judged: Judged,
    /// The rule that acceptance breaks, where it isn't the model's.
    pub rule: Option<&'static Requirement>,
    /// What is odd about it.
    pub mutation: String,
    /// Whether something was done to it that a careful server may have its own status for.
    pub odd: bool,
    /// Whether it was sent just before: a careful server may take it for a retry.
    pub again: bool,
}

impl Prepared {
    /// Whether its body is larger than a server need read.
    pub(super) fn is_huge(&self) -> bool {
        self.request.body.as_ref().is_some_and(|body| body.len() > HUGE)
    }
}

/// A request before anything is done to it.
pub(super) struct Message {
    pub operation: Operation,
    pub body: Option<Bytes>,
    pub member: usize,
    /// What it amounts to for the model.
    pub action: model::Action,
}

impl Message {
    fn of(operation: Operation, request: &impl Serialize, action: model::Action) -> Self {
        // A message is always JSON: it has no map with other keys than texts.
        let body = serde_json::to_vec(request).unwrap_or_default();
        Self { operation, body: Some(body.into()), member: 0, action }
    }

    /// The body, for those who change it.
    pub(super) fn value(&self) -> Value {
        self.body.as_deref().and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default()
    }
}

impl CaseState {
    /// The request of a step, with a token if the actor has one.
    pub(super) fn prepare(&mut self, step: &Step) -> Option<Prepared> {
        let mut dice = Choices::new(step.dice, "body");
        if let Act::CreateRepo { id, .. } = step.act {
            self.name(step.repo % self.slots.len(), id);
        }
        let message = self.message(step, &mut dice)?;
        let repo = step.repo % self.slots.len();
        let credentials = self.credentials(step.by, &step.credential);
        let mut prepared = Prepared {
            by: step.by,
            repo,
            operation: message.operation,
            request: self.request(&message, repo, &credentials),
            wire: None,
            judged: Judged::Answered,
            rule: credentials.rule,
            mutation: credentials.what.clone(),
            odd: step.mutation.is_some(),
            again: false,
        };
        match &step.mutation {
            None => prepared.judged = self.judged(&message.action, &credentials, false),
            Some(mutation) => self.mutation(&mut prepared, &message, mutation, &credentials, &mut dice),
        }
        // What is long may be too long.
        prepared.odd |= prepared.request.body.as_ref().is_some_and(|body| body.len() > LONG);
        // Ids that have to be escaped may be refused.
        if let Judged::Model { lenient, .. } = &mut prepared.judged {
            *lenient |= self.is_oddly_named(repo, message.operation);
        }
        Some(prepared)
    }

    fn message(&mut self, step: &Step, dice: &mut Choices) -> Option<Message> {
        let repo = step.repo % self.slots.len();
        let id = self.slots[repo].id.clone();
        let (version, epoch) = self.counters(repo);
        Some(match &step.act {
            Act::CreateRepo { .. } => {
                let request = self.creation(repo, &step.act, dice)?;
                Message::of(Operation::CreateRepo, &request, self.symbols.create(&request))
            }
            Act::Pull { known } => {
                let request = PullRequest { repo_id: id, known_payload_version: known.from(version) };
                Message::of(Operation::Pull, &request, Symbols::pull(&request))
            }
            Act::Push { .. } => {
                let request = self.push(repo, &step.act, dice)?;
                Message::of(Operation::Push, &request, self.symbols.push(&request))
            }
            Act::AddMember { who, epoch: at, rekeyed, bound } => {
                let entry = self.entry(*who, at.from(epoch), *rekeyed, *bound, dice);
                let request = MemberAddRequest { repo_id: id, member: entry };
                Message::of(Operation::AddMember, &request, self.symbols.add(&request))
            }
            Act::RemoveMember { .. } => {
                let request = self.removal(repo, &step.act, dice)?;
                Message::of(Operation::RemoveMember, &request, self.symbols.remove(&request))
            }
            Act::FetchMemberKey { who } => {
                let id = self.id(*who).to_owned();
                let action = self.symbols.fetch(&id);
                Message { operation: Operation::FetchMemberKey, body: None, member: *who, action }
            }
            Act::Challenge | Act::Redeem { .. } | Act::Again | Act::Look | Act::Audit | Act::Discovery => return None,
        })
    }

    fn creation(&self, repo: usize, act: &Act, dice: &mut Choices) -> Option<CreateRepoRequest> {
        let Act::CreateRepo { id: _, roster, version, epoch, envelope, shared } = act else { return None };
        let manifest = VaultManifest {
            repo_id: self.slots[repo].id.clone(),
            scheme_id: SCHEME_ID.into(),
            key_epoch: *epoch,
            payload_version: *version,
            members: roster.iter().map(|who| self.any_entry(*who, *epoch, dice)).collect(),
            share_refresh_tokens: shared.filter(|_| self.revision >= Revision::V0_4),
        };
        let initial_envelope = self.slipped(repo, *version, *epoch, *envelope, dice);
        Some(CreateRepoRequest { manifest, initial_envelope })
    }

    fn push(&mut self, repo: usize, act: &Act, dice: &mut Choices) -> Option<PushRequest> {
        let Act::Push { expected, version, epoch, roster, envelope } = act else { return None };
        let (current, old) = self.counters(repo);
        let (version, epoch) = (version.from(current), epoch.from(old));
        Some(PushRequest {
            repo_id: self.slots[repo].id.clone(),
            envelope: self.slipped(repo, version, epoch, *envelope, dice),
            expected_payload_version: expected.from(current),
            rotated_members: roster.as_ref().map(|people| self.entries(repo, people, None, epoch, dice)),
        })
    }

    fn removal(&mut self, repo: usize, act: &Act, dice: &mut Choices) -> Option<MemberRemoveRequest> {
        let Act::RemoveMember { who, version, epoch, roster, envelope } = act else { return None };
        let (current, old) = self.counters(repo);
        let (version, epoch) = (version.from(current), epoch.from(old));
        Some(MemberRemoveRequest {
            repo_id: self.slots[repo].id.clone(),
            removed_member_id: self.id(*who).to_owned(),
            rotated_envelope: self.slipped(repo, version, epoch, *envelope, dice),
            rewrapped_members: self.entries(repo, roster, Some(*who), epoch, dice),
            new_key_epoch: epoch,
        })
    }

    fn entries(
        &mut self,
        repo: usize,
        people: &People,
        without: Option<usize>,
        epoch: i64,
        dice: &mut Choices,
    ) -> Vec<crate::wire::MemberEntry> {
        let people = self.people(repo, people, without);
        people.into_iter().map(|who| self.any_entry(who, epoch, dice)).collect()
    }

    fn slipped(
        &self,
        repo: usize,
        version: i64,
        epoch: i64,
        slip: Slip,
        dice: &mut Choices,
    ) -> crate::wire::EncryptedEnvelope {
        let (repo, version, epoch) = match slip {
            Slip::None => (repo, version, epoch),
            Slip::Repo => ((repo + 1) % self.slots.len(), version, epoch),
            Slip::Version => (repo, Count::Plus(1).from(version), epoch),
            Slip::Epoch => (repo, version, Count::Plus(1).from(epoch)),
        };
        self.envelope(repo, version, epoch, dice)
    }

    fn request(&self, message: &Message, repo: usize, credentials: &Credentials) -> RawRequest {
        let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
        if message.body.is_some() {
            headers.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
        }
        if let Some(value) = credentials.header.as_deref().and_then(|text| HeaderValue::from_str(text).ok()) {
            headers.push((AUTHORIZATION, value));
        }
        let path = message.operation.path(&self.slots[repo].id, self.id(message.member));
        RawRequest {
            method: message.operation.method(),
            path: credentials.query.as_ref().map_or(path.clone(), |query| format!("{path}?{query}")),
            headers,
            body: message.body.clone(),
            answer_limit: ANSWER_LIMIT,
        }
    }

    /// What the model has to say about a message that is well formed.
    pub(super) fn judged(&mut self, action: &model::Action, credentials: &Credentials, lenient: bool) -> Judged {
        if credentials.either {
            return Judged::Answered;
        }
        let caller = credentials.caller.map(|who| self.symbol(who));
        Judged::Model { invocation: Invocation { caller, action: action.clone() }, lenient }
    }
}

/// What a body asks for, and the repository that it names.
pub(super) fn action_of(symbols: &mut Symbols, operation: Operation, body: Value) -> Option<(model::Action, String)> {
    fn read<T: DeserializeOwned>(body: Value) -> Option<T> {
        serde_json::from_value(body).ok()
    }
    Some(match operation {
        Operation::CreateRepo => {
            let create: CreateRepoRequest = read(body)?;
            (symbols.create(&create), create.manifest.repo_id)
        }
        Operation::Pull => {
            let pull: PullRequest = read(body)?;
            (Symbols::pull(&pull), pull.repo_id)
        }
        Operation::Push => {
            let push: PushRequest = read(body)?;
            (symbols.push(&push), push.repo_id)
        }
        Operation::AddMember => {
            let add: MemberAddRequest = read(body)?;
            (symbols.add(&add), add.repo_id)
        }
        Operation::RemoveMember => {
            let remove: MemberRemoveRequest = read(body)?;
            (symbols.remove(&remove), remove.repo_id)
        }
        Operation::FetchMemberKey | Operation::Challenge | Operation::Token | Operation::Discovery => return None,
    })
}

/// The rule that a malformed request breaks when it is accepted.
pub(super) fn rule_of(prepared: &Prepared) -> &'static Requirement {
    prepared.rule.unwrap_or(&rule::BAD_INPUT)
}

/// The rule that a request without a sound answer shows as broken: that of its operation, if nothing is wrong with the request.
pub(super) fn rule_of_answer(prepared: &Prepared) -> &'static Requirement {
    let right =
        matches!(prepared.judged, Judged::Model { lenient: false, .. }) || prepared.operation.is_authentication();
    if !right || prepared.odd || prepared.rule.is_some() || prepared.wire.is_some() || !prepared.mutation.is_empty() {
        return rule_of(prepared);
    }
    match prepared.operation {
        Operation::Challenge | Operation::Token => &rule::NO_ACCOUNT,
        Operation::CreateRepo => &rule::CREATE_RETURNS,
        Operation::Pull => &rule::PULL_CURRENT,
        Operation::Push => &rule::PUSH_APPLIES,
        Operation::AddMember => &rule::ADD_RECORDS,
        Operation::RemoveMember => &rule::REMOVE_REPLACES,
        Operation::FetchMemberKey => &rule::FETCH_ENTRY,
        Operation::Discovery => &rule::DISCOVERY_SHAPE,
    }
}
