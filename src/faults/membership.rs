//! Strangers who may, members who may not, and members who are members no longer (SPEC §6, authorization).

use std::collections::HashSet;
use std::sync::Mutex;

use axum::http::StatusCode;

use super::table::*;
use super::tools::{entitled, is_in, is_refused, lock};
use crate::server::operations;
use crate::server::refusal::Refusal;
use crate::server::repo::{Answer, Call, Outcome, Repo, Visit};
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
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Outcome<Answer> {
        let outcome = operations::transition(self, visit, state);
        if visit.route == self.0 && is_refused(&outcome, StatusCode::FORBIDDEN) {
            let next = operations::transition(self, &entitled(visit, state), state).next;
            return Outcome { next, ..outcome };
        }
        outcome
    }
}

/// One operation that trusts a list of members that removals don't touch.
struct Unforgetting {
    route: Route,
    ever: Mutex<HashSet<(String, String)>>,
}

fn unforgetting(route: Route) -> Unforgetting {
    Unforgetting { route, ever: Mutex::default() }
}

impl VaultRules for Unforgetting {
    fn stored(&self, _: Route, _: Option<&Repo>, next: Repo) -> Repo {
        let ids = next.manifest.members.iter().map(|entry| &entry.ed25519_public_key);
        lock(&self.ever).extend(ids.map(|id| (next.manifest.repo_id.clone(), id.clone())));
        next
    }

    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        let key = (repo.manifest.repo_id.clone(), visit.caller.clone());
        is_in(repo, &visit.caller) || visit.route == self.route && lock(&self.ever).contains(&key)
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

fn is_creator(visit: &Visit, repo: &Repo) -> bool {
    repo.manifest.members.first().is_some_and(|entry| entry.ed25519_public_key == visit.caller)
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
    fault("removed-may-pull", &REMOVE_REVOKES, "A removed member may still pull.", || vault(unforgetting(Route::Pull))),
    fault("removed-may-push", &REMOVE_REVOKES, "A removed member may still push.", || vault(unforgetting(Route::Push))),
    fault("removed-may-add", &REMOVE_REVOKES, "A removed member may still add members.", || {
        vault(unforgetting(Route::AddMember))
    }),
    fault("removed-may-remove", &REMOVE_REVOKES, "A removed member may still remove members.", || {
        vault(unforgetting(Route::RemoveMember))
    }),
    fault("removed-may-fetch", &REMOVE_REVOKES, "A removed member may still fetch member keys.", || {
        vault(unforgetting(Route::FetchMemberKey))
    }),
    fault("membership-cached", &REMOVE_REVOKES, "Who was let into a repository once is let in for good.", || {
        vault(MembershipCached::default())
    }),
    fault("creator-stays", &REMOVE_REVOKES, "The creator of a repository keeps access after a removal.", || {
        vault(CreatorStays::default())
    }),
    fault("rotated-out-may-pull", &PUSH_ROTATES, "Who is left out by rotatedMembers may still pull.", || {
        vault(RotatedOutMayPull::default())
    }),
    fault("only-creator-adds", &ADD_ANY_MEMBER, "Only the first member may add others.", || vault(OnlyCreatorAdds)),
    fault("only-creator-pushes", &PUSH_APPLIES, "Only the first member may push; the others read.", || {
        vault(OnlyCreatorPushes)
    }),
    fault("only-creator-removes", &REMOVE_REPLACES, "Only the first member may remove others.", || {
        vault(OnlyCreatorRemoves)
    }),
    fault("fetch-own-entry-only", &FETCH_ENTRY, "fetchMemberKey lets members see nobody but themselves.", || {
        vault(FetchOwnEntryOnly)
    }),
    fault("unknown-repo-is-empty", &PULL_MEMBERS_ONLY, "A pull of an unknown repository gets an empty one.", || {
        vault(UnknownRepoIsEmpty)
    }),
    fault("unknown-repo-made-by-push", &PUSH_MEMBERS_ONLY, "A push to an unknown repository makes it.", || {
        vault(UnknownRepoMadeByPush)
    }),
    fault("unknown-repo-is-400", &STATUS_UNKNOWN, "An unknown repository is 400.", || vault(UnknownRepoIs400)),
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
        let brought = match &visit.call {
            Call::Push(request) => request.rotated_members.as_deref().unwrap_or_default(),
            _ => &[],
        };
        is_in(repo, &visit.caller) || brought.iter().any(|entry| entry.ed25519_public_key == visit.caller)
    }
}

struct StrangerAddsHimself;

impl VaultRules for StrangerAddsHimself {
    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        let himself = matches!(&visit.call, Call::Add(request) if request.member.ed25519_public_key == visit.caller);
        himself || is_in(repo, &visit.caller)
    }
}

struct StrangerLearnsUnchanged;

impl VaultRules for StrangerLearnsUnchanged {
    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        let current = matches!(&visit.call,
            Call::Pull(request) if request.known_payload_version == repo.manifest.payload_version);
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

#[derive(Default)]
struct MembershipCached {
    seen: Mutex<HashSet<(String, String)>>,
}

impl VaultRules for MembershipCached {
    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        let key = (repo.manifest.repo_id.clone(), visit.caller.clone());
        let mut seen = lock(&self.seen);
        is_in(repo, &visit.caller) && {
            seen.insert(key.clone());
            true
        } || seen.contains(&key)
    }
}

#[derive(Default)]
struct CreatorStays {
    creators: Mutex<HashSet<(String, String)>>,
}

impl VaultRules for CreatorStays {
    fn stored(&self, route: Route, _: Option<&Repo>, next: Repo) -> Repo {
        if let (Route::CreateRepo, Some(entry)) = (route, next.manifest.members.first()) {
            let key = (next.manifest.repo_id.clone(), entry.ed25519_public_key.clone());
            lock(&self.creators).insert(key);
        }
        next
    }

    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        let key = (repo.manifest.repo_id.clone(), visit.caller.clone());
        is_in(repo, &visit.caller) || lock(&self.creators).contains(&key)
    }
}

#[derive(Default)]
struct RotatedOutMayPull {
    out: Mutex<HashSet<(String, String)>>,
}

impl VaultRules for RotatedOutMayPull {
    fn stored(&self, route: Route, before: Option<&Repo>, next: Repo) -> Repo {
        for entry in before.filter(|_| route == Route::Push).iter().flat_map(|repo| &repo.manifest.members) {
            if !is_in(&next, &entry.ed25519_public_key) {
                let key = (next.manifest.repo_id.clone(), entry.ed25519_public_key.clone());
                lock(&self.out).insert(key);
            }
        }
        next
    }

    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        let key = (repo.manifest.repo_id.clone(), visit.caller.clone());
        is_in(repo, &visit.caller) || visit.route == Route::Pull && lock(&self.out).contains(&key)
    }
}

struct OnlyCreatorAdds;

impl VaultRules for OnlyCreatorAdds {
    fn add(
        &self,
        visit: &Visit,
        repo: &Repo,
        request: &crate::wire::MemberAddRequest,
    ) -> Outcome<crate::wire::VaultManifest> {
        if is_creator(visit, repo) {
            return operations::add(self, visit, repo, request);
        }
        Outcome::refuse(Refusal::forbidden("only the owner may invite"))
    }
}

struct OnlyCreatorPushes;

impl VaultRules for OnlyCreatorPushes {
    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        if visit.route == Route::Push { is_creator(visit, repo) } else { is_in(repo, &visit.caller) }
    }
}

struct OnlyCreatorRemoves;

impl VaultRules for OnlyCreatorRemoves {
    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        if visit.route == Route::RemoveMember { is_creator(visit, repo) } else { is_in(repo, &visit.caller) }
    }
}

struct FetchOwnEntryOnly;

impl VaultRules for FetchOwnEntryOnly {
    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        let own = !matches!(&visit.call, Call::Fetch(member_id) if *member_id != visit.caller);
        own && is_in(repo, &visit.caller)
    }
}

struct UnknownRepoIsEmpty;

impl VaultRules for UnknownRepoIsEmpty {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Outcome<Answer> {
        let (None, Call::Pull(request)) = (state, &visit.call) else {
            return operations::transition(self, visit, state);
        };
        let manifest = crate::wire::VaultManifest {
            repo_id: visit.repo_id.clone(),
            scheme_id: crate::codec::key_wrap::SCHEME_ID.into(),
            key_epoch: 0,
            payload_version: 0,
            members: Vec::new(),
            share_refresh_tokens: None,
        };
        let unchanged = request.known_payload_version == 0;
        Outcome::read(Answer::Pull(crate::wire::PullResponse { manifest, envelope: None, unchanged }))
    }
}

struct UnknownRepoMadeByPush;

impl VaultRules for UnknownRepoMadeByPush {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Outcome<Answer> {
        let (None, Call::Push(request)) = (state, &visit.call) else {
            return operations::transition(self, visit, state);
        };
        let repo = Repo {
            manifest: crate::wire::VaultManifest {
                repo_id: visit.repo_id.clone(),
                scheme_id: crate::codec::key_wrap::SCHEME_ID.into(),
                key_epoch: request.envelope.key_epoch,
                payload_version: request.envelope.payload_version,
                members: request.rotated_members.clone().unwrap_or_default(),
                share_refresh_tokens: None,
            },
            envelope: request.envelope.clone(),
            last_removal: None,
        };
        Outcome::write(Answer::Push(operations::push_answer(&repo, true)), repo)
    }
}

struct UnknownRepoIs400;

impl VaultRules for UnknownRepoIs400 {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Outcome<Answer> {
        if state.is_none() && visit.route != Route::CreateRepo {
            return Outcome::refuse(Refusal::bad_request("no such repository"));
        }
        operations::transition(self, visit, state)
    }
}
