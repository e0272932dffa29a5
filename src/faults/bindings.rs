//! Bindings and flags that get lost on one write path (SPEC §4, §9; revision 0.4).

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use serde_json::{Value, json};

use super::table::*;
use super::tools::{Object, entries, is_in, lock, manifest};
use super::verbatim::{Serving, Storing, each_entry, in_entries, url_alphabet};
use crate::server::operations;
use crate::server::refusal::Refusal;
use crate::server::repo::{Decision, Repo, Visit};
use crate::server::route::Route;
use crate::server::rules::VaultRules;
use crate::wire::{MemberAddRequest, MemberEntry, VaultManifest};

fn without_bindings(repo: &mut Repo) {
    each_entry(repo, |entry| entry.key_binding_sig = None);
}

fn without_sharing(repo: &mut Repo) {
    repo.manifest.share_refresh_tokens = None;
}

fn drop_from_manifest(name: &'static str) -> impl FnOnce(&mut Value) {
    move |answer| manifest(answer, |object: &mut Object| drop(object.remove(name)))
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault("binding-lost-on-create", &BINDING_OPAQUE, "createRepo doesn't store the binding signature.", || {
        vault(Storing(Some(Route::CreateRepo), without_bindings))
    }),
    fault(
        "binding-lost-on-add",
        &BINDING_OPAQUE,
        "addMember doesn't store the new member's binding signature.",
        || {
            vault(Storing(Some(Route::AddMember), |repo| {
                if let Some(last) = repo.manifest.members.last_mut() {
                    last.key_binding_sig = None;
                }
            }))
        },
    ),
    fault(
        "binding-back-when-added-again",
        &BINDING_OPAQUE,
        "Who was removed and is added again without a binding signature has his former one.",
        || vault(BindingBackWhenAddedAgain::default()),
    ),
    fault(
        "others-bindings-lost-on-add",
        &BINDING_OPAQUE,
        "addMember loses the binding signatures of those who were there.",
        || {
            vault(Storing(Some(Route::AddMember), |repo| {
                if let Some((_, others)) = repo.manifest.members.split_last_mut() {
                    others.iter_mut().for_each(|entry| entry.key_binding_sig = None);
                }
            }))
        },
    ),
    fault("binding-lost-on-push", &BINDING_OPAQUE, "push loses binding signatures.", || {
        vault(Storing(Some(Route::Push), without_bindings))
    }),
    fault("binding-lost-on-remove", &BINDING_OPAQUE, "removeMember loses binding signatures.", || {
        vault(Storing(Some(Route::RemoveMember), without_bindings))
    }),
    fault("binding-not-fetched", &BINDING_OPAQUE, "fetchMemberKey leaves the binding signature out.", || {
        edge(Serving(Some(Route::FetchMemberKey), |answer| {
            if let Some(entry) = answer.as_object_mut() {
                entry.remove("keyBindingSig");
            }
        }))
    }),
    fault("binding-not-pulled", &BINDING_OPAQUE, "pull leaves binding signatures out.", || {
        edge(Serving(Some(Route::Pull), |answer| entries(answer, |entry| drop(entry.remove("keyBindingSig")))))
    }),
    fault("binding-made-up", &BINDING_OPAQUE, "Who has no binding signature is served with an empty one.", || {
        edge(Serving(None, |answer| {
            entries(answer, |entry| {
                entry.entry("keyBindingSig").or_insert(json!(""));
            })
        }))
    }),
    fault(
        "binding-null-is-text",
        &BINDING_OPAQUE,
        "Who has no binding signature is served with the text null.",
        || {
            edge(Serving(None, |answer| {
                entries(answer, |entry| {
                    entry.entry("keyBindingSig").or_insert(json!("null"));
                })
            }))
        },
    ),
    fault("binding-cut-at-64", &BINDING_OPAQUE, "Binding signatures are cut off after 64 characters.", || {
        vault(Storing(None, |repo| {
            each_entry(repo, |entry| {
                if let Some(sig) = &mut entry.key_binding_sig {
                    sig.truncate(64)
                }
            })
        }))
    }),
    fault("binding-url-alphabet", &BINDING_OPAQUE, "Binding signatures are served in the URL-safe alphabet.", || {
        edge(Serving(None, |answer| in_entries("keyBindingSig", url_alphabet)(answer)))
    }),
    fault(
        "binding-kept-on-rotation",
        &BINDING_OPAQUE,
        "A rotation keeps a member's old binding signature instead of the new one.",
        || vault(BindingKeptOnRotation),
    ),
    fault(
        "x25519-kept-on-rotation",
        &STORED_VERBATIM,
        "A rotation keeps a member's old X25519 key next to the new wrapped key.",
        || vault(X25519KeptOnRotation),
    ),
    fault("sharing-lost-on-create", &SHARE_REFRESH_TOKENS, "createRepo doesn't store shareRefreshTokens.", || {
        vault(Storing(Some(Route::CreateRepo), without_sharing))
    }),
    fault("sharing-lost-on-push", &SHARE_REFRESH_TOKENS, "push loses shareRefreshTokens.", || {
        vault(Storing(Some(Route::Push), without_sharing))
    }),
    fault("sharing-lost-on-add", &SHARE_REFRESH_TOKENS, "addMember loses shareRefreshTokens.", || {
        vault(Storing(Some(Route::AddMember), without_sharing))
    }),
    fault("sharing-lost-on-remove", &SHARE_REFRESH_TOKENS, "removeMember loses shareRefreshTokens.", || {
        vault(Storing(Some(Route::RemoveMember), without_sharing))
    }),
    fault("sharing-not-pulled", &SHARE_REFRESH_TOKENS, "pull leaves shareRefreshTokens out.", || {
        edge(Serving(Some(Route::Pull), |answer| drop_from_manifest("shareRefreshTokens")(answer)))
    }),
    fault(
        "sharing-not-in-add-answer",
        &SHARE_REFRESH_TOKENS,
        "The answer of addMember leaves shareRefreshTokens out.",
        || edge(Serving(Some(Route::AddMember), |answer| drop_from_manifest("shareRefreshTokens")(answer))),
    ),
    fault(
        "sharing-always-true",
        &SHARE_REFRESH_TOKENS,
        "shareRefreshTokens is true even if it was sent as false.",
        || {
            vault(Storing(None, |repo| {
                if repo.manifest.share_refresh_tokens.is_some() {
                    repo.manifest.share_refresh_tokens = Some(true)
                }
            }))
        },
    ),
    fault("fetch-other-x25519", &FETCH_ENTRY, "fetchMemberKey answers with another member's X25519 key.", || {
        vault(FetchOtherX25519)
    }),
    fault("pull-binding-of-others-only", &BINDING_OPAQUE, "A pull hides the caller's own binding signature.", || {
        vault(PullBindingOfOthersOnly)
    }),
    fault(
        "bindings-are-unique",
        &BINDING_OPAQUE,
        "A binding that is known from another repository breaks a constraint: its addition fails.",
        || vault(BindingsAreUnique::default()),
    ),
];

#[derive(Default)]
struct BindingBackWhenAddedAgain {
    former: Mutex<HashMap<(String, String), String>>,
}

impl VaultRules for BindingBackWhenAddedAgain {
    fn stored(&self, route: Route, before: Option<&Repo>, mut next: Repo) -> Repo {
        let mut former = lock(&self.former);
        for entry in before.map_or(&[][..], |repo| &repo.manifest.members) {
            let key = (next.manifest.repo_id.clone(), entry.ed25519_public_key.clone());
            if let Some(sig) = entry.key_binding_sig.clone().filter(|_| !is_in(&next, &key.1)) {
                former.insert(key, sig);
            }
        }
        let id = next.manifest.repo_id.clone();
        if let Some(last) = next.manifest.members.last_mut().filter(|_| route == Route::AddMember)
            && last.key_binding_sig.is_none()
        {
            last.key_binding_sig = former.remove(&(id, last.ed25519_public_key.clone()));
        }
        next
    }
}

struct BindingKeptOnRotation;

impl VaultRules for BindingKeptOnRotation {
    fn stored(&self, route: Route, before: Option<&Repo>, mut next: Repo) -> Repo {
        if let Some(before) = before.filter(|_| matches!(route, Route::Push | Route::RemoveMember)) {
            each_entry(&mut next, |entry| {
                if let Some(old) = before.manifest.member(&entry.ed25519_public_key) {
                    entry.key_binding_sig.clone_from(&old.key_binding_sig);
                }
            });
        }
        next
    }
}

struct X25519KeptOnRotation;

impl VaultRules for X25519KeptOnRotation {
    fn stored(&self, route: Route, before: Option<&Repo>, mut next: Repo) -> Repo {
        if let Some(before) = before.filter(|_| matches!(route, Route::Push | Route::RemoveMember)) {
            each_entry(&mut next, |entry| {
                if let Some(old) = before.manifest.member(&entry.ed25519_public_key) {
                    entry.x25519_public_key.clone_from(&old.x25519_public_key);
                }
            });
        }
        next
    }
}

struct FetchOtherX25519;

impl VaultRules for FetchOtherX25519 {
    fn fetch(&self, _: &Visit, repo: &Repo, member_id: &str) -> Decision<MemberEntry> {
        let Some(entry) = repo.manifest.member(member_id) else {
            return Decision::refuse(crate::server::refusal::Refusal::not_found("no such member"));
        };
        let other = repo.manifest.members.iter().find(|other| other.ed25519_public_key != member_id);
        let mut entry = entry.clone();
        entry.x25519_public_key.clone_from(&other.unwrap_or(&entry.clone()).x25519_public_key);
        Decision::read(entry)
    }
}

struct PullBindingOfOthersOnly;

impl VaultRules for PullBindingOfOthersOnly {
    fn manifest_served(&self, visit: &Visit, repo: &Repo) -> VaultManifest {
        let mut manifest = repo.manifest.clone();
        if visit.route == Route::Pull && is_in(repo, &visit.caller) {
            let own = manifest.members.iter_mut().filter(|entry| entry.ed25519_public_key == visit.caller);
            own.for_each(|entry| entry.key_binding_sig = None);
        }
        manifest
    }
}

#[derive(Default)]
struct BindingsAreUnique {
    known: Mutex<HashSet<String>>,
}

impl VaultRules for BindingsAreUnique {
    fn add(&self, visit: &Visit, repo: &Repo, request: &MemberAddRequest) -> Decision<VaultManifest> {
        let binding = request.member.key_binding_sig.clone();
        if binding.is_some_and(|binding| !lock(&self.known).insert(binding)) {
            return Decision::refuse(Refusal::internal("UNIQUE constraint failed"));
        }
        operations::add(self, visit, repo, request)
    }
}
