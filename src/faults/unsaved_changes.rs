//! What a refused request leaves in the session of a database until the next write saves it, and answers that are kept by the
//! request alone (SPEC §6, §10).

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use super::table::*;
use super::tools::lock;
use crate::server::operations;
use crate::server::refusal::Refusal;
use crate::server::repo::{Decision, Repo, Success, VaultCommand, Visit};
use crate::server::route::Route;
use crate::server::rules::VaultRules;

/// A refused request of one route changes what the next write of another route stores.
struct Unsaved {
    refused: Route,
    saved_by: Route,
    change: fn(&mut Repo, &VaultCommand),
    waiting: Mutex<HashMap<String, VaultCommand>>,
}

impl Unsaved {
    fn new(refused: Route, saved_by: Route, change: fn(&mut Repo, &VaultCommand)) -> Self {
        Self { refused, saved_by, change, waiting: Mutex::default() }
    }
}

impl VaultRules for Unsaved {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Decision<Success> {
        let mut outcome = operations::transition(self, visit, state);
        let mut waiting = lock(&self.waiting);
        match &mut outcome.next {
            None if visit.route == self.refused => drop(waiting.insert(visit.repo_id.clone(), visit.command.clone())),
            Some(next) if visit.route == self.saved_by => {
                if let Some(call) = waiting.remove(&visit.repo_id) {
                    (self.change)(next, &call);
                }
            }
            _ => {}
        }
        outcome
    }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "refused-addition-comes-with-a-push",
        &ADD_MEMBERS_ONLY,
        "The entry of a refused addMember stays in the session, and the next push saves it.",
        || {
            vault(Unsaved::new(Route::AddMember, Route::Push, |next, call| {
                if let VaultCommand::Add(request) = call
                    && next.manifest.member(&request.member.ed25519_public_key).is_none()
                {
                    next.manifest.members.push(request.member.clone());
                }
            }))
        },
    ),
    fault(
        "refused-wrap-comes-with-a-push",
        &ADD_RECORDS,
        "The wrapped key of a refused addMember of a member stays in the session, and the next push saves it.",
        || {
            vault(Unsaved::new(Route::AddMember, Route::Push, |next, call| {
                let VaultCommand::Add(request) = call else { return };
                let id = &request.member.ed25519_public_key;
                for entry in next.manifest.members.iter_mut().filter(|entry| entry.ed25519_public_key == *id) {
                    entry.wrapped_data_key = request.member.wrapped_data_key.clone();
                }
            }))
        },
    ),
    fault(
        "refused-removal-comes-with-an-addition",
        &REMOVE_ATOMIC,
        "A refused removal stays in the session, and the next addMember saves that the member is gone.",
        || {
            vault(Unsaved::new(Route::RemoveMember, Route::AddMember, |next, call| {
                if let VaultCommand::Remove(request) = call {
                    next.manifest.members.retain(|entry| entry.ed25519_public_key != request.removed_member_id);
                }
            }))
        },
    ),
    fault(
        "refused-envelope-comes-with-an-addition",
        &PUSH_REFUSED_WHOLE,
        "The envelope of a stranger's push stays in the session, and the next addMember saves it.",
        || {
            vault(Unsaved::new(Route::Push, Route::AddMember, |next, call| {
                if let VaultCommand::Push(request) = call
                    && request.expected_payload_version == next.manifest.payload_version
                {
                    next.envelope.iv.clone_from(&request.envelope.iv);
                    next.envelope.ciphertext.clone_from(&request.envelope.ciphertext);
                }
            }))
        },
    ),
    fault(
        "refused-scheme-comes-with-a-push",
        &CREATE_DUPLICATE,
        "The schemeId of a refused createRepo stays in the session, and the next push saves it.",
        || {
            vault(Unsaved::new(Route::CreateRepo, Route::Push, |next, call| {
                if let VaultCommand::Create(request) = call {
                    next.manifest.scheme_id.clone_from(&request.manifest.scheme_id);
                }
            }))
        },
    ),
    fault(
        "refused-removal-opens-the-gate",
        &PUSH_GATED,
        "A removal of nobody leaves a transaction open, in which the next push isn't gated.",
        || vault(RefusedRemovalOpensTheGate::default()),
    ),
    fault(
        "refused-removal-rolls-back",
        &READ_YOUR_WRITES,
        "A removal of nobody leaves a transaction open; the next push is acknowledged and rolled back with it.",
        || vault(RefusedRemovalRollsBack::default()),
    ),
    fault(
        "refused-addition-is-remembered",
        &ADD_RECORDS,
        "Who was named in a refused addMember counts as known, and the next one answers 200 and records nothing.",
        || vault(RefusedAdditionIsRemembered::default()),
    ),
    fault(
        "refusals-kept-by-body",
        &PUSH_APPLIES,
        "What was refused, or was a conflict, is refused again without a look when the same bytes come again.",
        || vault(RefusalsKeptByBody::default()),
    ),
];

#[derive(Default)]
struct RefusedRemovalOpensTheGate {
    open: Mutex<HashSet<String>>,
}

impl VaultRules for RefusedRemovalOpensTheGate {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Decision<Success> {
        let mut visit = visit.clone();
        if let (VaultCommand::Push(request), Some(repo)) = (&mut visit.command, state)
            && lock(&self.open).remove(&visit.repo_id)
        {
            request.expected_payload_version = repo.manifest.payload_version;
        }
        let outcome = operations::transition(self, &visit, state);
        if visit.route == Route::RemoveMember && outcome.next.is_none() {
            lock(&self.open).insert(visit.repo_id);
        }
        outcome
    }
}

#[derive(Default)]
struct RefusedRemovalRollsBack {
    open: Mutex<HashSet<String>>,
}

impl VaultRules for RefusedRemovalRollsBack {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Decision<Success> {
        let mut outcome = operations::transition(self, visit, state);
        let mut open = lock(&self.open);
        match visit.route {
            Route::RemoveMember if outcome.next.is_none() => drop(open.insert(visit.repo_id.clone())),
            Route::Push if outcome.next.is_some() && open.remove(&visit.repo_id) => outcome.next = None,
            _ => {}
        }
        outcome
    }
}

#[derive(Default)]
struct RefusedAdditionIsRemembered {
    known: Mutex<HashSet<(String, String)>>,
}

impl VaultRules for RefusedAdditionIsRemembered {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Decision<Success> {
        let outcome = operations::transition(self, visit, state);
        let VaultCommand::Add(request) = &visit.command else { return outcome };
        let key = (visit.repo_id.clone(), request.member.ed25519_public_key.clone());
        match (&outcome.next, state) {
            (Some(_), Some(repo)) if lock(&self.known).remove(&key) => {
                Decision::read(Success::Manifest(repo.manifest.clone()))
            }
            (None, Some(_)) if outcome.answer.is_err() => {
                lock(&self.known).insert(key);
                outcome
            }
            _ => outcome,
        }
    }
}

type Refused = Result<Success, Refusal>;

#[derive(Default)]
struct RefusalsKeptByBody {
    kept: Mutex<HashMap<(String, String), Refused>>,
}

impl VaultRules for RefusalsKeptByBody {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Decision<Success> {
        if !visit.route.writes() {
            return operations::transition(self, visit, state);
        }
        let key = (visit.caller.clone(), format!("{:?}", visit.command));
        if let Some(answer) = lock(&self.kept).get(&key) {
            return Decision { answer: answer.clone(), next: None };
        }
        let outcome = operations::transition(self, visit, state);
        if outcome.next.is_none() {
            lock(&self.kept).insert(key, outcome.answer.clone());
        }
        outcome
    }
}
