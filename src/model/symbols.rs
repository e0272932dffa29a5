//! Between the messages on the wire and the symbols that the model compares.

use std::collections::HashMap;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Action, Entry, Envelope, Expected, Manifest, Response, Roster, Symbol};
use crate::requirements::Revision;
use crate::wire::{
    self, CreateRepoRequest, EncryptedEnvelope, MemberAddRequest, MemberEntry, MemberRemoveRequest, MessageKind,
    PullRequest, PullResponse, PushRequest, PushResponse, VaultManifest,
};

/// What separates the parts of a symbol that stands for several members of a message; in none of them, as they are base64 or ids.
const SEPARATOR: &str = "\u{1f}";

/// A 2xx body that isn't the message of its operation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body isn't a {message}: {reason}")]
pub struct WireError {
    /// Name of the message.
    pub message: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

/// The texts that symbols stand for. Symbols of one collection mean nothing to another.
#[derive(Clone, Debug, Default)]
pub struct Symbols {
    revision: Revision,
    numbers: HashMap<Box<str>, u32>,
    texts: Vec<Box<str>>,
}

impl Symbols {
    /// Symbols for the messages of a revision; the default is 0.2.
    pub fn of(revision: Revision) -> Self {
        Self { revision, ..Self::default() }
    }

    /// The symbol for a text, the same for the same text.
    pub fn symbol(&mut self, text: &str) -> Symbol {
        if let Some(number) = self.numbers.get(text) {
            return Symbol(*number);
        }
        let number = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        self.texts.push(text.into());
        self.numbers.insert(text.into(), number);
        Symbol(number)
    }

    /// The text of a symbol; empty for a symbol of another collection.
    pub fn text(&self, symbol: Symbol) -> &str {
        usize::try_from(symbol.0).ok().and_then(|at| self.texts.get(at)).map_or("", |text| text)
    }

    /// A member entry.
    pub fn entry(&mut self, entry: &MemberEntry) -> Entry {
        let key = &entry.wrapped_data_key;
        // Absent and null are one; an empty text is something else.
        let binding = entry.key_binding_sig.as_deref().unwrap_or(SEPARATOR);
        let rest = [&key.ciphertext, &key.scheme_id, &key.ephemeral_public_key, &key.iv, binding].join(SEPARATOR);
        Entry {
            member: self.symbol(&entry.ed25519_public_key),
            x25519: self.symbol(&entry.x25519_public_key),
            epoch: entry.key_epoch,
            rest: self.symbol(&rest),
        }
    }

    /// A roster.
    pub fn roster(&mut self, members: &[MemberEntry]) -> Roster {
        Roster::new(members.iter().map(|entry| self.entry(entry)).collect())
    }

    /// A manifest. `shareRefreshTokens`, a member of revision 0.4, counts from there on.
    pub fn manifest(&mut self, manifest: &VaultManifest) -> Manifest {
        Manifest {
            repo: self.symbol(&manifest.repo_id),
            scheme: self.symbol(&manifest.scheme_id),
            version: manifest.payload_version,
            epoch: manifest.key_epoch,
            members: self.roster(&manifest.members),
            shared: self.revision >= Revision::V0_4 && manifest.share_refresh_tokens.unwrap_or(false),
        }
    }

    /// An envelope.
    pub fn envelope(&mut self, envelope: &EncryptedEnvelope) -> Envelope {
        Envelope {
            repo: self.symbol(&envelope.repo_id),
            version: envelope.payload_version,
            epoch: envelope.key_epoch,
            sealed: self.symbol(&[envelope.ciphertext.as_str(), &envelope.iv].join(SEPARATOR)),
        }
    }

    /// createRepo.
    pub fn create(&mut self, request: &CreateRepoRequest) -> Action {
        let (manifest, envelope) = (self.manifest(&request.manifest), self.envelope(&request.initial_envelope));
        Action::CreateRepo { manifest, envelope }
    }

    /// pull.
    pub fn pull(request: &PullRequest) -> Action {
        Action::Pull { known: request.known_payload_version }
    }

    /// push.
    pub fn push(&mut self, request: &PushRequest) -> Action {
        Action::Push {
            envelope: self.envelope(&request.envelope),
            expected: request.expected_payload_version,
            rotated: request.rotated_members.as_ref().map(|members| self.roster(members)),
        }
    }

    /// addMember.
    pub fn add(&mut self, request: &MemberAddRequest) -> Action {
        Action::AddMember { entry: self.entry(&request.member) }
    }

    /// removeMember.
    pub fn remove(&mut self, request: &MemberRemoveRequest) -> Action {
        Action::RemoveMember {
            removed: self.symbol(&request.removed_member_id),
            envelope: self.envelope(&request.rotated_envelope),
            members: self.roster(&request.rewrapped_members),
            epoch: request.new_key_epoch,
        }
    }

    /// fetchMemberKey.
    pub fn fetch(&mut self, member_id: &str) -> Action {
        Action::FetchMemberKey { member: self.symbol(member_id) }
    }
}

/// The answer to an operation, from status and body. Members that the schema doesn't know are left out.
///
/// # Errors
/// [`WireError`]: a 2xx whose body isn't the operation's message.
pub fn read_answer(symbols: &mut Symbols, action: &Action, status: u16, body: &[u8]) -> Result<Response, WireError> {
    match status {
        200..300 => {
            let kind = answer_kind(action);
            let mut body = serde_json::from_slice(body).map_err(|error| unreadable(kind, &error))?;
            wire::prune(kind, &mut body);
            read_body(symbols, action, body)
        }
        400..500 => Ok(Response::Refused(status)),
        _ => Ok(Response::Broken(status)),
    }
}

/// The answer to an operation from the body of a 2xx that holds nothing but what the schema knows.
///
/// # Errors
/// [`WireError`]: it isn't the operation's message.
pub fn read_body(symbols: &mut Symbols, action: &Action, body: Value) -> Result<Response, WireError> {
    let kind = answer_kind(action);
    Ok(match action {
        Action::CreateRepo { .. } | Action::AddMember { .. } | Action::RemoveMember { .. } => {
            Response::Manifest(symbols.manifest(&message(kind, body)?))
        }
        Action::Pull { .. } => {
            let pulled: PullResponse = message(kind, body)?;
            Response::Pull {
                manifest: symbols.manifest(&pulled.manifest),
                envelope: pulled.envelope.map(|envelope| symbols.envelope(&envelope)),
                unchanged: pulled.unchanged,
            }
        }
        Action::Push { .. } => {
            let PushResponse { accepted, payload_version, key_epoch, conflict } = message(kind, body)?;
            Response::Push { accepted, version: payload_version, epoch: key_epoch, conflict }
        }
        Action::FetchMemberKey { .. } => Response::Entry(symbols.entry(&message(kind, body)?)),
    })
}

fn answer_kind(action: &Action) -> MessageKind {
    match action {
        Action::CreateRepo { .. } | Action::AddMember { .. } | Action::RemoveMember { .. } => {
            MessageKind::VaultManifest
        }
        Action::Pull { .. } => MessageKind::PullResponse,
        Action::Push { .. } => MessageKind::PushResponse,
        Action::FetchMemberKey { .. } => MessageKind::MemberEntry,
    }
}

/// An integer may be written as 1.0; what the schema doesn't know is the schema's business.
fn message<T: DeserializeOwned>(kind: MessageKind, mut body: Value) -> Result<T, WireError> {
    crate::wire::prune(kind, &mut body);
    serde_json::from_value(body).map_err(|error| unreadable(kind, &error))
}

fn unreadable(kind: MessageKind, error: &serde_json::Error) -> WireError {
    WireError { message: kind.name(), reason: error.to_string() }
}

/// Describing things to a person.
impl Symbols {
    /// What a symbol stands for, shortened to what is recognisable.
    pub fn short(&self, symbol: Symbol) -> String {
        let text = self.text(symbol).split(SEPARATOR).next().unwrap_or_default();
        if text.chars().count() <= 12 {
            return text.to_owned();
        }
        text.chars().take(8).chain(['…']).collect()
    }

    /// An expectation.
    pub fn expected(&self, expected: &Expected) -> String {
        match expected {
            Expected::Is(answer) => self.answer(answer),
            Expected::Refusal(None) => "a 4xx".into(),
            Expected::Refusal(Some(reason)) => format!("status {}", reason.code()),
        }
    }

    /// An answer.
    pub fn answer(&self, answer: &Response) -> String {
        match answer {
            Response::Manifest(manifest) => self.manifest_text(manifest),
            Response::Pull { manifest, envelope, unchanged } => {
                let sealed = envelope.map(|envelope| self.envelope_text(&envelope));
                let with = sealed.unwrap_or_else(|| "no envelope".into());
                format!("{} and {with}{}", self.manifest_text(manifest), if *unchanged { ", unchanged" } else { "" })
            }
            Response::Push { accepted, version, epoch, conflict } => {
                let outcome = match (accepted, conflict) {
                    (true, false) => "accepted",
                    (false, true) => "a conflict",
                    (false, false) => "not accepted",
                    (true, true) => "accepted and a conflict",
                };
                format!("{outcome} at version {version}, epoch {epoch}")
            }
            Response::Entry(entry) => format!("the entry {}", self.entry_text(entry)),
            Response::Refused(status) => format!("refused with {status}"),
            Response::Broken(status) => format!("status {status}"),
        }
    }

    fn manifest_text(&self, manifest: &Manifest) -> String {
        let members: Vec<_> = manifest.members.entries().iter().take(6).map(|entry| self.short(entry.member)).collect();
        let more = manifest.members.entries().len().saturating_sub(members.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("version {}, epoch {}, members {}{more}", manifest.version, manifest.epoch, members.join(" "))
    }

    fn envelope_text(&self, envelope: &Envelope) -> String {
        format!("envelope {} of version {}, epoch {}", self.short(envelope.sealed), envelope.version, envelope.epoch)
    }

    fn entry_text(&self, entry: &Entry) -> String {
        format!("{} of {} at epoch {}", self.short(entry.rest), self.short(entry.member), entry.epoch)
    }

    /// The first difference between an answer that was due and the one that came; `None` when they are of different kinds.
    pub fn difference(&self, due: &Response, came: &Response) -> Option<String> {
        match (due, came) {
            (Response::Manifest(due), Response::Manifest(came)) => self.manifests_differ(due, came),
            (
                Response::Pull { manifest, envelope, unchanged },
                Response::Pull { manifest: served, envelope: sealed, unchanged: said },
            ) => self.manifests_differ(manifest, served).or_else(|| {
                if unchanged != said {
                    return Some(format!("unchanged is {said}"));
                }
                match (envelope, sealed) {
                    (Some(due), Some(came)) if due != came => {
                        Some(format!("{}, not {}", self.envelope_text(came), self.envelope_text(due)))
                    }
                    (Some(_), None) => Some("no envelope".into()),
                    _ => None,
                }
            }),
            _ => None,
        }
    }

    fn manifests_differ(&self, due: &Manifest, came: &Manifest) -> Option<String> {
        if (due.version, due.epoch) != (came.version, came.epoch) {
            let (version, epoch) = (came.version, came.epoch);
            return Some(format!("version {version} and epoch {epoch}, not {} and {}", due.version, due.epoch));
        }
        if due.repo != came.repo || due.scheme != came.scheme {
            return Some("another repoId or schemeId".into());
        }
        if due.shared != came.shared {
            return Some(format!("shareRefreshTokens {}, not {}", came.shared, due.shared));
        }
        self.rosters_differ(&due.members, &came.members)
    }

    fn rosters_differ(&self, due: &Roster, came: &Roster) -> Option<String> {
        for entry in due.entries() {
            match came.get(entry.member) {
                None => return Some(format!("member {} is missing", self.short(entry.member))),
                Some(other) if other != entry => {
                    return Some(format!("entry {}, not {}", self.entry_text(other), self.entry_text(entry)));
                }
                Some(_) => {}
            }
        }
        let stranger = came.entries().iter().find(|entry| !due.has(entry.member));
        let strange = stranger.map(|entry| format!("member {} is in it and shouldn't be", self.short(entry.member)));
        strange.or_else(|| (due != came).then(|| "a member is in it twice".into()))
    }
}
