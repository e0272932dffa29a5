//! What the rules say where their bodies are more than a line: plain functions, because every fault is a type of its own
//! and would have its own copy of what stands in a default method.

use axum::http::request::Parts;
use serde_json::{Map, Value, json};

use super::IdentityRules;
use crate::codec::jwt::Jwt;
use crate::codec::{base64, signature};
use crate::server::nonces::Issued;
use crate::server::redemption::Authority;
use crate::server::refusal::Refusal;
use crate::server::repo::{Decision, Repo};
use crate::wire::MemberEntry;

pub(crate) fn read_nonce(text: &str) -> Option<Vec<u8>> {
    base64::decode(text).ok()
}

pub(crate) fn nonce_is_redeemable(
    rules: &dyn IdentityRules,
    issued: Option<&Issued>,
    identity: &str,
    ttl: std::time::Duration,
) -> bool {
    issued.is_some_and(|issued| rules.nonce_belongs(&issued.key, identity) && issued.at.elapsed() <= ttl)
}

pub(crate) fn nonce_signature_holds(key: &[u8; 32], nonce: &[u8], signature: &str) -> bool {
    base64::decode(signature).is_ok_and(|signature| signature::verify(key, nonce, &signature).is_ok())
}

pub(crate) fn claims(issuer: &str, member: &str, issued: i64, expires: i64, jti: String) -> Map<String, Value> {
    let mut claims = Map::new();
    for (name, value) in [
        ("sub", json!(format!("key:{member}"))),
        ("kind", json!("keypair")),
        ("iss", json!(issuer)),
        ("iat", json!(issued)),
        ("exp", json!(expires)),
        ("jti", json!(jti)),
    ] {
        claims.insert(name.to_owned(), value);
    }
    claims
}

pub(crate) fn authenticate(rules: &dyn IdentityRules, authority: &Authority, parts: &Parts) -> Result<String, Refusal> {
    let token = rules.bearer(parts).ok_or(Refusal::unauthorized("no bearer token"))?;
    rules.member_of_token(authority, &token)
}

pub(crate) fn token_signature_holds(issuer_key: &[u8; 32], token: &Jwt) -> bool {
    signature::verify(issuer_key, token.signing_input.as_bytes(), &token.signature).is_ok()
}

pub(crate) fn token_issuer_holds(ours: &str, token: &Jwt) -> bool {
    token.claims.get("iss").and_then(Value::as_str) == Some(ours)
}

pub(crate) fn member_of_subject(subject: &str) -> Option<String> {
    subject.strip_prefix("key:").map(str::to_owned)
}

pub(crate) fn has_member(members: &[MemberEntry], id: &str) -> bool {
    members.iter().any(|entry| entry.ed25519_public_key == id)
}

pub(crate) fn sole_member_is_caller(members: &[MemberEntry], caller: &str) -> bool {
    matches!(members, [only] if only.ed25519_public_key == caller)
}

pub(crate) fn added(repo: &Repo, entry: &MemberEntry) -> Repo {
    let mut next = repo.clone();
    next.manifest.members.push(entry.clone());
    next.last_removal = None;
    next
}

pub(crate) fn removal_is_retry(repo: &Repo, digest: &[u8]) -> bool {
    repo.last_removal.as_deref() == Some(digest)
}

pub(crate) fn fetch(repo: &Repo, member_id: &str) -> Decision<MemberEntry> {
    match repo.manifest.member(member_id) {
        Some(entry) => Decision::read(entry.clone()),
        None => Decision::refuse(Refusal::not_found("no such member")),
    }
}
