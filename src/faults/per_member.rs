//! What is kept once per member, although it belongs to a member of one repository: rights, keys, bindings (SPEC §4,
//! §6).

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use axum::http::request::Parts;
use serde_json::{Map, Value};

use super::table::*;
use super::tools::{is_in, lock};
use crate::codec::jwt::Jwt;
use crate::server::redemption::Authority;
use crate::server::refusal::Refusal;
use crate::server::repo::{Repo, Visit};
use crate::server::route::Route;
use crate::server::rules::{IdentityRules, VaultRules, conformant};
use crate::wire::MemberEntry;

/// A server that keeps part of what is known of a member once for all repositories.
struct Shared {
    part: fn(&mut MemberEntry, &MemberEntry),
    /// Whether the first one counts, rather than the last.
    first: bool,
    members: Mutex<HashMap<String, MemberEntry>>,
}

fn shared(first: bool, part: fn(&mut MemberEntry, &MemberEntry)) -> Shared {
    Shared { part, first, members: Mutex::default() }
}

impl VaultRules for Shared {
    fn stored(&self, _: Route, before: Option<&Repo>, next: Repo) -> Repo {
        let mut members = lock(&self.members);
        for entry in &next.manifest.members {
            // A write brings only the entries that it changes.
            if before.and_then(|repo| repo.manifest.member(&entry.ed25519_public_key)) == Some(entry) {
                continue;
            }
            match self.first {
                true => drop(members.entry(entry.ed25519_public_key.clone()).or_insert_with(|| entry.clone())),
                false => drop(members.insert(entry.ed25519_public_key.clone(), entry.clone())),
            }
        }
        next
    }

    fn loaded(&self, _: Route, mut repo: Repo) -> Repo {
        let members = lock(&self.members);
        for entry in &mut repo.manifest.members {
            if let Some(known) = members.get(&entry.ed25519_public_key) {
                (self.part)(entry, known);
            }
        }
        repo
    }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "rights-in-the-token",
        &REMOVE_REVOKES,
        "A token lists its member's repositories, and opens them as long as it lives.",
        || identity_and_vault(RightsInTheToken::default()),
    ),
    fault(
        "x25519-key-of-last-repository",
        &STORED_VERBATIM,
        "A member's X25519 key is kept once, as the last repository has it.",
        || vault(shared(false, |entry, known| entry.x25519_public_key.clone_from(&known.x25519_public_key))),
    ),
    fault(
        "x25519-key-of-first-repository",
        &STORED_VERBATIM,
        "A member's X25519 key is kept once, as the first repository had it.",
        || vault(shared(true, |entry, known| entry.x25519_public_key.clone_from(&known.x25519_public_key))),
    ),
    fault(
        "binding-of-last-repository",
        &BINDING_OPAQUE,
        "A member's binding signature is kept once, as the last repository has it.",
        || vault(shared(false, |entry, known| entry.key_binding_sig.clone_from(&known.key_binding_sig))),
    ),
    fault(
        "wrapped-key-of-last-repository",
        &STORED_VERBATIM,
        "A member's wrapped key is kept once, as the last repository has it.",
        || vault(shared(false, |entry, known| entry.wrapped_data_key.clone_from(&known.wrapped_data_key))),
    ),
    fault(
        "epoch-of-last-repository",
        &STORED_VERBATIM,
        "A member's key epoch is kept once, as the last repository has it.",
        || vault(shared(false, |entry, known| entry.key_epoch = known.key_epoch)),
    ),
];

#[derive(Default)]
struct RightsInTheToken {
    of_members: Mutex<HashMap<String, HashSet<String>>>,
    told: Mutex<HashMap<String, HashSet<String>>>,
}

impl IdentityRules for RightsInTheToken {
    fn claims(&self, issuer: &str, member: &str, issued: i64, expires: i64, jti: String) -> Map<String, Value> {
        let repos = lock(&self.of_members).get(member).cloned().unwrap_or_default();
        lock(&self.told).insert(jti.clone(), repos);
        conformant::claims(issuer, member, issued, expires, jti)
    }

    fn authenticate(&self, authority: &Authority, _: Route, parts: &Parts) -> Result<String, Refusal> {
        let caller = conformant::authenticate(self, authority, parts)?;
        let token = self.bearer(parts).and_then(|token| Jwt::parse(&token).ok());
        let jti = token.and_then(|token| Some(token.claims.get("jti")?.as_str()?.to_owned()));
        let repos = jti.and_then(|jti| lock(&self.told).get(&jti).cloned()).unwrap_or_default();
        // What this token lists, for the rest of the request.
        lock(&self.told).insert(caller.clone(), repos);
        Ok(caller)
    }
}

impl VaultRules for RightsInTheToken {
    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        let listed = lock(&self.told).get(&visit.caller).is_some_and(|repos| repos.contains(&repo.manifest.repo_id));
        listed || is_in(repo, &visit.caller)
    }

    fn committed(
        &self,
        _: &crate::server::store::Tx<'_>,
        _: &Visit,
        _: Option<&Repo>,
        next: &Repo,
    ) -> rusqlite::Result<()> {
        let (mut members, id) = (lock(&self.of_members), &next.manifest.repo_id);
        for repos in members.values_mut() {
            repos.remove(id);
        }
        for entry in &next.manifest.members {
            members.entry(entry.ed25519_public_key.clone()).or_default().insert(id.clone());
        }
        Ok(())
    }
}
