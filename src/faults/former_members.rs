//! Members who are members no longer, members who may not, and repositories that aren't there (SPEC §6).

use std::collections::HashSet;
use std::sync::Mutex;

use super::table::*;
use super::tools::{is_in, lock};
use crate::server::operations;
use crate::server::refusal::Refusal;
use crate::server::repo::{Decision, Repo, Success, VaultCommand, Visit};
use crate::server::route::Route;
use crate::server::rules::VaultRules;

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

fn is_creator(visit: &Visit, repo: &Repo) -> bool {
    repo.manifest.members.first().is_some_and(|entry| entry.ed25519_public_key == visit.caller)
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
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
    ) -> Decision<crate::wire::VaultManifest> {
        if is_creator(visit, repo) {
            return operations::add(self, visit, repo, request);
        }
        Decision::refuse(Refusal::forbidden("only the owner may invite"))
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
        let own = !matches!(&visit.command, VaultCommand::Fetch(member_id) if *member_id != visit.caller);
        own && is_in(repo, &visit.caller)
    }
}

struct UnknownRepoIsEmpty;

impl VaultRules for UnknownRepoIsEmpty {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Decision<Success> {
        let (None, VaultCommand::Pull(request)) = (state, &visit.command) else {
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
        Decision::read(Success::Pull(crate::wire::PullResponse { manifest, envelope: None, unchanged }))
    }
}

struct UnknownRepoMadeByPush;

impl VaultRules for UnknownRepoMadeByPush {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Decision<Success> {
        let (None, VaultCommand::Push(request)) = (state, &visit.command) else {
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
        Decision::write(Success::Push(operations::push_answer(&repo, true)), repo)
    }
}

struct UnknownRepoIs400;

impl VaultRules for UnknownRepoIs400 {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Decision<Success> {
        if state.is_none() && visit.route != Route::CreateRepo {
            return Decision::refuse(Refusal::bad_request("no such repository"));
        }
        operations::transition(self, visit, state)
    }
}
