//! What only a gRPC server can do wrong: messages that are read carelessly, and codes that say nothing.

use std::sync::atomic::{AtomicUsize, Ordering};

use prost::Message as _;

use super::table::*;
use super::tools::{is_in, refuse_and};
use crate::codec::base64;
use crate::server::edge::Edge;
use crate::server::refusal::Refusal;
use crate::server::repo::{Decision, Repo, VaultCommand, Visit};
use crate::server::route::Route;
use crate::server::rules::{Later, VaultRules};
use crate::server::{operations, validate};
use crate::wire::proto::{Code, EncryptedEnvelope, MemberRemoveRequest as Removal, Method, PushRequest as Push};
use crate::wire::{MemberEntry, MemberRemoveRequest, PushRequest, PushResponse, VaultManifest};

/// Resets after which a server that keeps a place for each has none left.
const PLACES: usize = 16;

/// The envelope of a write that came without one, as it is handed on to the rules. No client sends its ciphertext.
fn stand_in(repo_id: &str, key_epoch: i64, payload_version: i64) -> EncryptedEnvelope {
    let (iv, ciphertext) = (base64::encode(&[0; 12]), base64::encode(&[0; 48]));
    EncryptedEnvelope { repo_id: repo_id.into(), payload_version, key_epoch, iv, ciphertext }
}

fn is_stand_in(envelope: &crate::wire::EncryptedEnvelope) -> bool {
    envelope.ciphertext == base64::encode(&[0; 48])
}

/// A push or removal that lacks its envelope, with one that stands in for it.
fn with_envelope(method: Method, message: Vec<u8>) -> Vec<u8> {
    match method {
        Method::Push => match Push::decode(message.as_slice()) {
            Ok(push) if push.envelope.is_none() => {
                let envelope = Some(stand_in(&push.repo_id, 0, i64::MAX));
                Push { envelope, ..push }.encode_to_vec()
            }
            _ => message,
        },
        Method::RemoveMember => match Removal::decode(message.as_slice()) {
            Ok(removal) if removal.rotated_envelope.is_none() => {
                let rotated_envelope = Some(stand_in(&removal.repo_id, removal.new_key_epoch, i64::MAX));
                Removal { rotated_envelope, ..removal }.encode_to_vec()
            }
            _ => message,
        },
        _ => message,
    }
}

/// What a removal without an envelope leaves where the handler throws at it after roster and epoch are set.
fn half_removed(repo: &Repo, request: &MemberRemoveRequest) -> Repo {
    let mut next = repo.clone();
    next.manifest.key_epoch = request.new_key_epoch;
    next.manifest.members.clone_from(&request.rewrapped_members);
    next
}

/// A server that keeps repositories in a map and compares nothing: whatever a member sends is the new state, numbers go
/// through doubles, and what a message lacks makes the handler throw where it is read.
struct KeepsWhatComes;

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "that is what is wrong with it")]
fn as_double(number: &mut i64) {
    *number = *number as f64 as i64;
}

impl Edge for KeepsWhatComes {
    fn call_message(&self, method: Method, message: Vec<u8>) -> Vec<u8> {
        if method == Method::RemoveMember { with_envelope(method, message) } else { message }
    }

    fn call_code(&self, code: Code) -> Code {
        if matches!(code, Code::INTERNAL | Code::INVALID_ARGUMENT) { Code::UNKNOWN } else { code }
    }
}

impl VaultRules for KeepsWhatComes {
    fn shape(&self, command: &VaultCommand) -> Result<(), Refusal> {
        match command {
            VaultCommand::Remove(request) if is_stand_in(&request.rotated_envelope) => Ok(()),
            command => validate::command(command),
        }
    }

    fn stored(&self, _: Route, _: Option<&Repo>, mut next: Repo) -> Repo {
        for number in [
            &mut next.manifest.payload_version,
            &mut next.manifest.key_epoch,
            &mut next.envelope.payload_version,
            &mut next.envelope.key_epoch,
        ] {
            as_double(number);
        }
        next.manifest.members.iter_mut().for_each(|entry| as_double(&mut entry.key_epoch));
        next
    }

    fn version_advances(&self, _: i64, _: i64) -> bool {
        true
    }

    fn push_epoch_holds(&self, _: i64, _: i64, _: bool) -> bool {
        true
    }

    fn epoch_advances(&self, _: i64, _: i64) -> bool {
        true
    }

    fn rotated_epoch_holds(&self, _: i64, _: i64) -> bool {
        true
    }

    fn removed_is_absent(&self, _: &[MemberEntry], _: &str) -> bool {
        true
    }

    fn remove(&self, visit: &Visit, repo: &Repo, request: &MemberRemoveRequest) -> Decision<VaultManifest> {
        if is_stand_in(&request.rotated_envelope) && is_in(repo, &request.removed_member_id) {
            return refuse_and(Refusal::internal("envelope is undefined"), half_removed(repo, request));
        }
        operations::remove(self, visit, repo, request)
    }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "grpc-resets-keep-places",
        &BAD_INPUT,
        "Each call that is reset takes a place with it; after sixteen there is none left.",
        || edge(GrpcResetsKeepPlaces::default()),
    ),
    fault(
        "grpc-absent-binding-is-empty",
        &BINDING_OPAQUE,
        "Who has no binding is served with an empty one: an optional field is set where it was absent.",
        || vault(GrpcAbsentBindingIsEmpty),
    ),
    fault(
        "grpc-unknown-member-is-empty",
        &FETCH_ENTRY,
        "The key of somebody who isn't there is OK, and an empty message.",
        || edge(GrpcUnknownMemberIsEmpty),
    ),
    fault("grpc-stranger-is-ok", &PULL_MEMBERS_ONLY, "A stranger's pull is OK, and an empty message.", || {
        edge(GrpcStrangerIsOk)
    }),
    fault(
        "grpc-removal-throws-half-way",
        &REMOVE_ATOMIC,
        "A removal without an envelope is UNKNOWN, after roster and epoch were changed.",
        || edge_and_vault(GrpcRemovalThrowsHalfWay),
    ),
    fault(
        "grpc-absent-envelope-is-empty",
        &VERSION_MONOTONIC,
        "A push without an envelope stores an empty one, of version and epoch 0.",
        || edge_and_vault(GrpcAbsentEnvelopeIsEmpty),
    ),
    fault(
        "grpc-keeps-what-comes",
        &VERSION_MONOTONIC,
        "Repositories are kept in a map as they come: nothing is compared, numbers are doubles, and handlers throw \
         half-way.",
        || edge_and_vault(KeepsWhatComes),
    ),
];

#[derive(Default)]
struct GrpcResetsKeepPlaces {
    reset: AtomicUsize,
}

impl Edge for GrpcResetsKeepPlaces {
    fn call_reset(&self) {
        self.reset.fetch_add(1, Ordering::SeqCst);
    }

    fn delay(&self) -> Option<Later<'_, ()>> {
        (self.reset.load(Ordering::SeqCst) >= PLACES).then(|| Box::pin(std::future::pending()) as Later<'_, ()>)
    }
}

struct GrpcAbsentBindingIsEmpty;

impl VaultRules for GrpcAbsentBindingIsEmpty {
    fn manifest_served(&self, _: &Visit, repo: &Repo) -> VaultManifest {
        let mut manifest = repo.manifest.clone();
        for entry in &mut manifest.members {
            entry.key_binding_sig.get_or_insert_default();
        }
        manifest
    }

    fn fetch(&self, _: &Visit, repo: &Repo, member_id: &str) -> Decision<MemberEntry> {
        let Some(entry) = repo.manifest.member(member_id) else {
            return Decision::refuse(Refusal::not_found("no such member"));
        };
        let mut entry = entry.clone();
        entry.key_binding_sig.get_or_insert_default();
        Decision::read(entry)
    }
}

struct GrpcUnknownMemberIsEmpty;

impl Edge for GrpcUnknownMemberIsEmpty {
    fn call_ended(&self, method: Method, ended: Result<Vec<u8>, Code>) -> Result<Vec<u8>, Code> {
        match ended {
            Err(Code::NOT_FOUND) if method == Method::FetchMemberKey => Ok(Vec::new()),
            ended => ended,
        }
    }
}

struct GrpcStrangerIsOk;

impl Edge for GrpcStrangerIsOk {
    fn call_ended(&self, method: Method, ended: Result<Vec<u8>, Code>) -> Result<Vec<u8>, Code> {
        match ended {
            Err(Code::PERMISSION_DENIED) if method == Method::Pull => Ok(Vec::new()),
            ended => ended,
        }
    }
}

struct GrpcRemovalThrowsHalfWay;

impl Edge for GrpcRemovalThrowsHalfWay {
    fn call_message(&self, method: Method, message: Vec<u8>) -> Vec<u8> {
        if method == Method::RemoveMember { with_envelope(method, message) } else { message }
    }

    fn call_code(&self, code: Code) -> Code {
        if code == Code::INTERNAL { Code::UNKNOWN } else { code }
    }
}

impl VaultRules for GrpcRemovalThrowsHalfWay {
    fn remove(&self, visit: &Visit, repo: &Repo, request: &MemberRemoveRequest) -> Decision<VaultManifest> {
        match operations::remove(self, visit, repo, request) {
            outcome if outcome.answer.is_ok() && is_stand_in(&request.rotated_envelope) => {
                refuse_and(Refusal::internal("rotatedEnvelope is undefined"), half_removed(repo, request))
            }
            outcome => outcome,
        }
    }
}

struct GrpcAbsentEnvelopeIsEmpty;

impl Edge for GrpcAbsentEnvelopeIsEmpty {
    fn call_message(&self, method: Method, message: Vec<u8>) -> Vec<u8> {
        if method == Method::Push { with_envelope(method, message) } else { message }
    }
}

impl VaultRules for GrpcAbsentEnvelopeIsEmpty {
    fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Decision<PushResponse> {
        if !is_stand_in(&request.envelope) || request.expected_payload_version != repo.manifest.payload_version {
            return operations::push(self, visit, repo, request);
        }
        let mut next = repo.clone();
        (next.manifest.payload_version, next.manifest.key_epoch) = (0, 0);
        (next.envelope.payload_version, next.envelope.key_epoch) = (0, 0);
        (next.envelope.iv, next.envelope.ciphertext) = Default::default();
        Decision::write(operations::push_answer(&next, true), next)
    }
}
