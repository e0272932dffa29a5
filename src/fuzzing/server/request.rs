//! From a step of a plan to a request, and to what may come of it.

use bytes::Bytes;
use http::Method;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::credential::Credentials;
use super::mutate;
use super::plan::{Act, Change, Count, People, Slip, Step, Twist, Wire};
use super::scene::Scene;
use crate::client::RawRequest;
use crate::client::random::Choices;
use crate::codec::key_wrap::SCHEME_ID;
use crate::model::{self, Call, Words};
use crate::requirements::{self as rule, Requirement};
use crate::scenarios::Operation;
use crate::wire::{
    CreateRepoRequest, MemberAddRequest, MemberRemoveRequest, PullRequest, PushRequest, Schema, VaultManifest,
};

/// Longest answer that is read, in bytes.
const ANSWER_LIMIT: usize = 8 << 20;

/// What may come of a request.
#[derive(Clone, Debug)]
pub(super) enum Judged {
    /// What the model says; `lenient`: or a refusal, or something that only the server can tell.
    Model {
        /// The call that it amounts to.
        call: Call,
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
    pub twist: String,
    /// Whether it was sent just before: a careful server may take it for a retry.
    pub again: bool,
}

/// A request before anything is done to it.
struct Message {
    operation: Operation,
    body: Option<Value>,
    member: usize,
}

impl Scene {
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
            twist: credentials.what.clone(),
            again: false,
        };
        match &step.twist {
            None => prepared.judged = self.judged(&message, &credentials, false),
            Some(twist) => self.twist(&mut prepared, &message, twist, &credentials, &mut dice),
        }
        // Ids that have to be escaped may be refused.
        if let Judged::Model { lenient, .. } = &mut prepared.judged {
            *lenient |= self.is_oddly_named(repo, message.operation);
        }
        Some(prepared)
    }

    /// Does something to a request that was right.
    fn twist(
        &mut self,
        prepared: &mut Prepared,
        message: &Message,
        twist: &Twist,
        credentials: &Credentials,
        dice: &mut Choices,
    ) {
        let repo = prepared.repo;
        let what = match (twist, &message.body) {
            (Twist::OtherPath, Some(_)) if message.operation != Operation::CreateRepo => {
                let other = (repo + 1) % self.slots.len();
                prepared.request.path = message.operation.path(&self.slots[other].id, "");
                (prepared.judged, prepared.repo) = (Judged::Crossed { body: repo }, other);
                "the path names another repository".to_owned()
            }
            (Twist::Member(change), Some(body)) => {
                let changed = mutate::change(body, *change, dice);
                self.canaries.extend(changed.canary);
                prepared.judged = self.judged_changed(message, repo, *change, &changed.bytes, credentials);
                prepared.request.body = Some(changed.bytes.into());
                changed.what
            }
            (Twist::Body(body), Some(right)) => {
                let (bytes, what) = mutate::whole(right.to_string().as_bytes(), *body);
                let same = serde_json::from_slice::<Value>(&bytes).is_ok_and(|value| &value == right);
                let malformed = Judged::Malformed { harmless: false };
                prepared.judged = if same { self.judged(message, credentials, true) } else { malformed };
                prepared.request.body = Some(bytes.into());
                what.to_owned()
            }
            (Twist::Route(which), _) => {
                prepared.judged = Judged::Malformed { harmless: false };
                misroute(&mut prepared.request, *which)
            }
            (Twist::Wire(wire), _) => {
                prepared.wire = Some(*wire);
                let lenient = matches!(wire, Wire::ContentType(_) | Wire::Chunked | Wire::AfterRefusal);
                prepared.judged = self.judged(message, credentials, lenient);
                rewired(&mut prepared.request, *wire)
            }
            _ => {
                prepared.judged = self.judged(message, credentials, false);
                String::new()
            }
        };
        let both = [std::mem::take(&mut prepared.twist), what];
        prepared.twist = both.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(", ");
    }

    fn message(&mut self, step: &Step, dice: &mut Choices) -> Option<Message> {
        let repo = step.repo % self.slots.len();
        let id = self.slots[repo].id.clone();
        let (version, epoch) = self.counters(repo);
        let mut member = 0;
        let (operation, body) = match &step.act {
            Act::CreateRepo { .. } => (Operation::CreateRepo, json!(self.creation(repo, &step.act, dice)?)),
            Act::Pull { known } => {
                (Operation::Pull, json!(PullRequest { repo_id: id, known_payload_version: known.from(version) }))
            }
            Act::Push { .. } => (Operation::Push, json!(self.push(repo, &step.act, dice)?)),
            Act::AddMember { who, epoch: at, rekeyed, bound } => {
                let entry = self.entry(*who, at.from(epoch), *rekeyed, *bound, dice);
                (Operation::AddMember, json!(MemberAddRequest { repo_id: id, member: entry }))
            }
            Act::RemoveMember { .. } => (Operation::RemoveMember, json!(self.removal(repo, &step.act, dice)?)),
            Act::FetchMemberKey { who } => {
                member = *who;
                (Operation::FetchMemberKey, Value::Null)
            }
            Act::Challenge | Act::Redeem { .. } | Act::Again | Act::Look | Act::Audit | Act::Discovery => return None,
        };
        Some(Message { operation, body: (!body.is_null()).then_some(body), member })
    }

    fn creation(&self, repo: usize, act: &Act, dice: &mut Choices) -> Option<CreateRepoRequest> {
        let Act::CreateRepo { id: _, roster, version, epoch, envelope } = act else { return None };
        let manifest = VaultManifest {
            repo_id: self.slots[repo].id.clone(),
            scheme_id: SCHEME_ID.into(),
            key_epoch: *epoch,
            payload_version: *version,
            members: roster.iter().map(|who| self.entry(*who, *epoch, false, false, dice)).collect(),
            share_refresh_tokens: None,
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
        people.into_iter().map(|who| self.entry(who, epoch, false, false, dice)).collect()
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
            body: message.body.as_ref().map(|body| Bytes::from(body.to_string())),
            answer_limit: ANSWER_LIMIT,
        }
    }

    /// What the model has to say about a message that is well formed.
    fn judged(&mut self, message: &Message, credentials: &Credentials, lenient: bool) -> Judged {
        if credentials.either {
            return Judged::Answered;
        }
        let caller = credentials.caller.map(|who| self.word(who));
        let body = message.body.clone().unwrap_or_default();
        let member = self.id(message.member).to_owned();
        match call_of(&mut self.words, message.operation, &member, body) {
            Some((operation, _)) => Judged::Model { call: Call { caller, operation }, lenient },
            None => Judged::Answered,
        }
    }

    /// What may come of a body with one member changed.
    fn judged_changed(
        &mut self,
        message: &Message,
        repo: usize,
        change: Change,
        bytes: &[u8],
        credentials: &Credentials,
    ) -> Judged {
        let harmless = matches!(change, Change::Unknown | Change::Twice | Change::Deep);
        let value = serde_json::from_slice::<Value>(bytes).unwrap_or_default();
        let kind = message.operation.request_kind();
        if harmless || kind.is_none_or(|kind| !Schema::violations(kind, &value, 1).is_empty()) {
            return Judged::Malformed { harmless };
        }
        if credentials.either {
            return Judged::Answered;
        }
        let caller = credentials.caller.map(|who| self.word(who));
        let Some((operation, repo_id)) = call_of(&mut self.words, message.operation, "", value) else {
            // An integer that is written as a fraction, say.
            return Judged::Malformed { harmless: true };
        };
        if repo_id != self.slots[repo].id {
            return Judged::Answered;
        }
        Judged::Model {
            call: Call { caller, operation },
            lenient: !matches!(change, Change::Integer(_) | Change::Drop),
        }
    }
}

/// The call that a body makes, and the repository that it names.
fn call_of(words: &mut Words, operation: Operation, member: &str, body: Value) -> Option<(model::Operation, String)> {
    fn read<T: DeserializeOwned>(body: Value) -> Option<T> {
        serde_json::from_value(body).ok()
    }
    Some(match operation {
        Operation::CreateRepo => {
            let create: CreateRepoRequest = read(body)?;
            (words.create(&create), create.manifest.repo_id)
        }
        Operation::Pull => {
            let pull: PullRequest = read(body)?;
            (Words::pull(&pull), pull.repo_id)
        }
        Operation::Push => {
            let push: PushRequest = read(body)?;
            (words.push(&push), push.repo_id)
        }
        Operation::AddMember => {
            let add: MemberAddRequest = read(body)?;
            (words.add(&add), add.repo_id)
        }
        Operation::RemoveMember => {
            let remove: MemberRemoveRequest = read(body)?;
            (words.remove(&remove), remove.repo_id)
        }
        Operation::FetchMemberKey => (words.fetch(member), String::new()),
        Operation::Challenge | Operation::Token | Operation::Discovery => return None,
    })
}

/// Another method, or a route that doesn't exist; says which.
fn misroute(request: &mut RawRequest, which: u8) -> String {
    match which % 6 {
        0 => request.method = Method::DELETE,
        1 => request.method = Method::PATCH,
        2 => request.method = if request.method == Method::GET { Method::POST } else { Method::GET },
        3 => request.path.push_str("/more"),
        4 => request.path = format!("/v2{}", request.path),
        _ => request.path.push_str("%zz"),
    }
    if request.method == Method::GET {
        request.body = None;
    }
    match which % 6 {
        0..=2 => format!("the method {}", request.method),
        _ => "a route that doesn't exist".into(),
    }
}

fn rewired(request: &mut RawRequest, wire: Wire) -> String {
    let Wire::ContentType(which) = wire else { return format!("{wire:?}").to_lowercase() };
    let types =
        ["text/plain", "application/octet-stream", "application/json; charset=utf-16", "x", "multipart/form-data"];
    request.headers.retain(|(name, _)| name != CONTENT_TYPE);
    let content_type = types.get(usize::from(which) % (types.len() + 1));
    if let Some(value) = content_type {
        request.headers.push((CONTENT_TYPE, HeaderValue::from_static(value)));
    }
    content_type.map_or("no Content-Type".into(), |value| format!("Content-Type: {value}"))
}

/// The rule that a malformed request breaks when it is accepted.
pub(super) fn rule_of(prepared: &Prepared) -> &'static Requirement {
    prepared.rule.unwrap_or(&rule::BAD_INPUT)
}
