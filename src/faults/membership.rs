//! Strangers who may what only members may (SPEC §6).

use std::collections::HashSet;
use std::sync::Mutex;

use axum::http::StatusCode;

use super::table::*;
use super::tools::{entitled, is_in, is_refused, lock};
use crate::server::operations;
use crate::server::repo::{Decision, Repo, Success, VaultCommand, Visit};
use crate::server::route::Route;
use crate::server::rules::VaultRules;

/// One operation that doesn't ask whether the caller is a member.
struct OpenToStrangers(Route);

impl VaultRules for OpenToStrangers {
    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        visit.route == self.0 || is_in(repo, &visit.caller)
    }

    fn rotation_keeps_caller(&self, _: &[crate::wire::MemberEntry], _: &str) -> bool {
        true
    }
}

/// One operation that is refused after it was carried out.
struct RefusedButDone(Route);

impl VaultRules for RefusedButDone {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Decision<Success> {
        let outcome = operations::transition(self, visit, state);
        if visit.route == self.0 && is_refused(&outcome, StatusCode::FORBIDDEN) {
            let next = operations::transition(self, &entitled(visit, state), state).next;
            return Decision { next, ..outcome };
        }
        outcome
    }
}

/// One operation that looks for the caller among the members of all repositories.
struct Anywhere {
    route: Option<Route>,
    members: Mutex<HashSet<String>>,
}

fn anywhere(route: Option<Route>) -> Anywhere {
    Anywhere { route, members: Mutex::default() }
}

impl VaultRules for Anywhere {
    fn stored(&self, _: Route, _: Option<&Repo>, next: Repo) -> Repo {
        let ids = next.manifest.members.iter().map(|entry| entry.ed25519_public_key.clone());
        lock(&self.members).extend(ids);
        next
    }

    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        let loose = self.route.is_none_or(|route| route == visit.route);
        is_in(repo, &visit.caller) || loose && lock(&self.members).contains(&visit.caller)
    }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "membership-is-a-text-search",
        &SUBJECT_IS_CALLER,
        "Whoever's id stands anywhere in the roster is a member.",
        || vault(MembershipIsATextSearch),
    ),
    fault("stranger-may-pull", &PULL_MEMBERS_ONLY, "Anybody with a token may pull.", || {
        vault(OpenToStrangers(Route::Pull))
    }),
    fault("stranger-may-push", &PUSH_MEMBERS_ONLY, "Anybody with a token may push.", || {
        vault(OpenToStrangers(Route::Push))
    }),
    fault("stranger-may-add", &ADD_MEMBERS_ONLY, "Anybody with a token may add members.", || {
        vault(OpenToStrangers(Route::AddMember))
    }),
    fault("stranger-may-remove", &REMOVE_MEMBERS_ONLY, "Anybody with a token may remove members.", || {
        vault(OpenToStrangers(Route::RemoveMember))
    }),
    fault("stranger-may-fetch", &FETCH_MEMBERS_ONLY, "Anybody with a token may fetch member keys.", || {
        vault(OpenToStrangers(Route::FetchMemberKey))
    }),
    fault(
        "member-of-any-repo",
        &PULL_MEMBERS_ONLY,
        "Whoever is a member of some repository is treated as a member of every one.",
        || vault(anywhere(None)),
    ),
    fault(
        "push-by-member-of-any-repo",
        &PUSH_MEMBERS_ONLY,
        "push looks for the caller among the members of all repositories.",
        || vault(anywhere(Some(Route::Push))),
    ),
    fault(
        "remove-by-member-of-any-repo",
        &REMOVE_MEMBERS_ONLY,
        "removeMember looks for the caller among the members of all repositories.",
        || vault(anywhere(Some(Route::RemoveMember))),
    ),
    fault(
        "fetch-by-member-of-any-repo",
        &FETCH_MEMBERS_ONLY,
        "fetchMemberKey looks for the caller among the members of all repositories.",
        || vault(anywhere(Some(Route::FetchMemberKey))),
    ),
    fault(
        "stranger-push-403-but-done",
        &PUSH_MEMBERS_ONLY,
        "A stranger's push is stored before it is refused.",
        || vault(RefusedButDone(Route::Push)),
    ),
    fault(
        "stranger-add-403-but-done",
        &ADD_MEMBERS_ONLY,
        "A stranger's addMember is stored before it is refused.",
        || vault(RefusedButDone(Route::AddMember)),
    ),
    fault(
        "stranger-remove-403-but-done",
        &REMOVE_MEMBERS_ONLY,
        "A stranger's removeMember is stored before it is refused.",
        || vault(RefusedButDone(Route::RemoveMember)),
    ),
    fault(
        "stranger-with-rotation",
        &PUSH_MEMBERS_ONLY,
        "A push is authorized by the roster that it brings along.",
        || vault(StrangerWithRotation),
    ),
    fault("stranger-adds-himself", &ADD_MEMBERS_ONLY, "Anybody may add himself.", || vault(StrangerAddsHimself)),
    fault(
        "stranger-learns-unchanged",
        &PULL_MEMBERS_ONLY,
        "A pull at the current version is answered before membership is checked.",
        || vault(StrangerLearnsUnchanged),
    ),
    fault(
        "guest-of-the-inviter",
        &PULL_MEMBERS_ONLY,
        "Whoever was added by somebody is let into all repositories of that somebody.",
        || vault(GuestOfTheInviter::default()),
    ),
    fault(
        "memberships-by-the-page",
        &CREATE_RETURNS,
        "Whether the caller is a member is looked up among his newest 50 repositories.",
        || vault(MembershipsByThePage::default()),
    ),
    fault(
        "member-in-any-case",
        &PULL_MEMBERS_ONLY,
        "Whether the caller is a member is asked without regard to letter case.",
        || vault(MemberInAnyCase),
    ),
    fault(
        "push-by-the-beginning-of-an-id",
        &PUSH_MEMBERS_ONLY,
        "push compares the first 40 characters of ids only.",
        || vault(PushByTheBeginningOfAnId),
    ),
];

struct MembershipIsATextSearch;

impl VaultRules for MembershipIsATextSearch {
    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        serde_json::to_string(&repo.manifest.members).is_ok_and(|roster| roster.contains(&visit.caller))
    }
}

struct StrangerWithRotation;

impl VaultRules for StrangerWithRotation {
    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        let brought = match &visit.command {
            VaultCommand::Push(request) => request.rotated_members.as_deref().unwrap_or_default(),
            _ => &[],
        };
        is_in(repo, &visit.caller) || brought.iter().any(|entry| entry.ed25519_public_key == visit.caller)
    }
}

struct StrangerAddsHimself;

impl VaultRules for StrangerAddsHimself {
    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        let himself =
            matches!(&visit.command, VaultCommand::Add(request) if request.member.ed25519_public_key == visit.caller);
        himself || is_in(repo, &visit.caller)
    }
}

struct StrangerLearnsUnchanged;

impl VaultRules for StrangerLearnsUnchanged {
    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        let current = matches!(&visit.command,
            VaultCommand::Pull(request) if request.known_payload_version == repo.manifest.payload_version);
        current || is_in(repo, &visit.caller)
    }
}

#[derive(Default)]
struct GuestOfTheInviter {
    guests: Mutex<HashSet<(String, String)>>,
}

impl VaultRules for GuestOfTheInviter {
    fn stored(&self, route: Route, _: Option<&Repo>, next: Repo) -> Repo {
        if let (Route::AddMember, [host, .., guest]) = (route, next.manifest.members.as_slice()) {
            let key = (host.ed25519_public_key.clone(), guest.ed25519_public_key.clone());
            lock(&self.guests).insert(key);
        }
        next
    }

    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        let host = repo.manifest.members.first().map(|entry| entry.ed25519_public_key.clone());
        let key = (host.unwrap_or_default(), visit.caller.clone());
        is_in(repo, &visit.caller) || lock(&self.guests).contains(&key)
    }
}

#[derive(Default)]
struct MembershipsByThePage {
    of: Mutex<std::collections::HashMap<String, Vec<String>>>,
}

impl VaultRules for MembershipsByThePage {
    fn stored(&self, route: Route, _: Option<&Repo>, next: Repo) -> Repo {
        if let (Route::CreateRepo, Some(owner)) = (route, next.manifest.members.first()) {
            let id = next.manifest.repo_id.clone();
            lock(&self.of).entry(owner.ed25519_public_key.clone()).or_default().push(id);
        }
        next
    }

    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        let of = lock(&self.of);
        let mine = of.get(&visit.caller).map_or(&[][..], Vec::as_slice);
        let beyond = &mine[..mine.len().saturating_sub(50)];
        is_in(repo, &visit.caller) && !beyond.contains(&repo.manifest.repo_id)
    }
}

struct MemberInAnyCase;

impl VaultRules for MemberInAnyCase {
    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        repo.manifest.members.iter().any(|entry| entry.ed25519_public_key.eq_ignore_ascii_case(&visit.caller))
    }
}

struct PushByTheBeginningOfAnId;

impl VaultRules for PushByTheBeginningOfAnId {
    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        let alike = |entry: &crate::wire::MemberEntry| entry.ed25519_public_key.get(..40) == visit.caller.get(..40);
        is_in(repo, &visit.caller) || visit.route == Route::Push && repo.manifest.members.iter().any(alike)
    }
}
