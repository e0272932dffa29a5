//! Rosters that are longer than somebody thought: a page, a batch or a byte (SPEC §6).

use axum::http::Response;
use axum::http::request::Parts;
use bytes::Bytes;
use serde_json::Value;

use super::table::*;
use super::tools::{edit, manifest};
use crate::server::edge::Edge;
use crate::server::operations;
use crate::server::refusal::Refusal;
use crate::server::repo::{Decision, Repo, Visit};
use crate::server::route::Route;
use crate::server::rules::VaultRules;
use crate::wire::{MemberEntry, MemberRemoveRequest, PushRequest};

/// A server that serves only the beginning of a roster.
struct Page(Option<Route>, usize);

impl Edge for Page {
    fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        if self.0.is_some_and(|only| only != route) {
            return response;
        }
        edit(response, |answer| {
            manifest(answer, |manifest| {
                if let Some(Value::Array(members)) = manifest.get_mut("members") {
                    members.truncate(self.1);
                }
            });
        })
    }
}

/// A server that stores only the beginning of a roster.
struct Batch(fn(&mut Vec<MemberEntry>));

impl VaultRules for Batch {
    fn stored(&self, _: Route, _: Option<&Repo>, mut next: Repo) -> Repo {
        (self.0)(&mut next.manifest.members);
        next
    }
}

/// A server that looks for the caller, or for the member asked for, only at the beginning of a roster.
struct Search {
    /// Operations for which only the beginning counts; fetchMemberKey also looks for the member there if `asked`.
    routes: &'static [Route],
    asked: bool,
    first: usize,
}

impl VaultRules for Search {
    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        let end = if self.routes.contains(&visit.route) { self.first } else { usize::MAX };
        repo.manifest.members.iter().take(end).any(|entry| entry.ed25519_public_key == visit.caller)
    }

    fn fetch(&self, _: &Visit, repo: &Repo, member_id: &str) -> Decision<MemberEntry> {
        let end = if self.asked { self.first } else { usize::MAX };
        match repo.manifest.members.iter().take(end).find(|entry| entry.ed25519_public_key == member_id) {
            Some(entry) => Decision::read(entry.clone()),
            None => Decision::refuse(Refusal::not_found("no such member")),
        }
    }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault("roster-served-up-to-50", &STORED_VERBATIM, "Manifests show the first 50 members.", || edge(Page(None, 50))),
    fault("roster-served-up-to-100", &STORED_VERBATIM, "Manifests show the first 100 members.", || {
        edge(Page(None, 100))
    }),
    fault("roster-pulled-up-to-200", &STORED_VERBATIM, "A pull shows the first 200 members.", || {
        edge(Page(Some(Route::Pull), 200))
    }),
    fault(
        "roster-read-up-to-a-mib",
        &STORED_VERBATIM,
        "Members are read in pages of one MiB, and only the first page is read.",
        || edge(RosterReadUpToAMib),
    ),
    fault("roster-stored-up-to-255", &PUSH_ROTATES, "The first 255 members of a roster are stored.", || {
        vault(Batch(|members| members.truncate(255)))
    }),
    fault(
        "roster-stored-in-whole-batches",
        &PUSH_ROTATES,
        "Long rosters are stored in batches of 64, and the last, incomplete one is lost.",
        || {
            vault(Batch(|members| {
                if members.len() > 64 {
                    members.truncate(members.len() / 64 * 64)
                }
            }))
        },
    ),
    fault(
        "roster-position-in-a-byte",
        &PUSH_ROTATES,
        "The position in a roster is a byte, so the 257th member takes the place of the first.",
        || {
            vault(Batch(|members| {
                for position in 256..members.len() {
                    members[position % 256] = members[position].clone();
                }
                members.truncate(256);
            }))
        },
    ),
    fault("roster-of-101-loses-last", &ADD_RECORDS, "The 101st member that is added replaces the 100th.", || {
        vault(Batch(|members| {
            if members.len() == 101 {
                members.remove(99);
            }
        }))
    }),
    fault("rights-of-first-64", &PUSH_APPLIES, "Only the first 64 members may push.", || {
        vault(Search { routes: &[Route::Push], asked: false, first: 64 })
    }),
    fault("rights-of-first-100", &PULL_CURRENT, "Only the first 100 members may pull.", || {
        vault(Search { routes: &[Route::Pull], asked: false, first: 100 })
    }),
    fault("rights-of-first-255", &PUSH_APPLIES, "Only the first 255 members may push.", || {
        vault(Search { routes: &[Route::Push], asked: false, first: 255 })
    }),
    fault("add-right-of-first-100", &ADD_RECORDS, "Only the first 100 members may add others.", || {
        vault(Search { routes: &[Route::AddMember], asked: false, first: 100 })
    }),
    fault("remove-right-of-first-100", &REMOVE_REPLACES, "Only the first 100 members may remove others.", || {
        vault(Search { routes: &[Route::RemoveMember], asked: false, first: 100 })
    }),
    fault("fetch-finds-first-100", &FETCH_ENTRY, "fetchMemberKey looks among the first 100 members.", || {
        vault(Search { routes: &[], asked: true, first: 100 })
    }),
    fault("fetch-finds-first-10", &FETCH_ENTRY, "fetchMemberKey looks among the first 10 members.", || {
        vault(Search { routes: &[], asked: true, first: 10 })
    }),
    fault("fetch-finds-first-256", &FETCH_ENTRY, "fetchMemberKey looks among the first 256 members.", || {
        vault(Search { routes: &[], asked: true, first: 256 })
    }),
    fault(
        "rotation-drops-other-epochs",
        &PUSH_ROTATES,
        "Entries of a rotating push that aren't of its epoch are left out in silence.",
        || vault(RotationDropsOtherEpochs),
    ),
    fault(
        "removal-drops-other-epochs",
        &REMOVE_REPLACES,
        "Entries of a removal's roster that aren't of its epoch are left out in silence.",
        || vault(RemovalDropsOtherEpochs),
    ),
];

struct RosterReadUpToAMib;

impl Edge for RosterReadUpToAMib {
    fn response(&self, _: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        edit(response, |answer| {
            manifest(answer, |manifest| {
                if let Some(Value::Array(members)) = manifest.get_mut("members") {
                    let mut room = 1 << 20;
                    members.retain(|entry| {
                        room -= i64::try_from(entry.to_string().len()).unwrap_or(i64::MAX);
                        room > 0
                    });
                }
            });
        })
    }
}

struct RotationDropsOtherEpochs;

impl VaultRules for RotationDropsOtherEpochs {
    fn roster_holds(&self, _: &[MemberEntry], _: i64) -> Result<(), Refusal> {
        Ok(())
    }

    fn pushed(&self, repo: &Repo, request: &PushRequest) -> Repo {
        let mut next = operations::pushed(repo, request);
        let epoch = next.manifest.key_epoch;
        if request.rotated_members.is_some() {
            next.manifest.members.retain(|entry| entry.key_epoch == epoch);
        }
        next
    }
}

struct RemovalDropsOtherEpochs;

impl VaultRules for RemovalDropsOtherEpochs {
    fn roster_holds(&self, _: &[MemberEntry], _: i64) -> Result<(), Refusal> {
        Ok(())
    }

    fn removed(&self, repo: &Repo, request: &MemberRemoveRequest, digest: Vec<u8>) -> Repo {
        let mut next = operations::removed(repo, request, digest);
        next.manifest.members.retain(|entry| entry.key_epoch == request.new_key_epoch);
        next
    }
}
