//! What faults are made with.

use std::time::{Duration, Instant};

use axum::http::StatusCode;

pub use crate::faults::edits::*;
use crate::server::refusal::Refusal;
use crate::server::repo::{Decision, Repo, VaultCommand, Visit};
use crate::wire::MemberEntry;

/// The caller of a request that carries no valid token, on servers that let it through. No member id is empty.
pub const NOBODY: &str = "";

/// The entry of an id, to change it.
pub fn entry_mut<'a>(members: &'a mut [MemberEntry], id: &str) -> Option<&'a mut MemberEntry> {
    members.iter_mut().find(|entry| entry.ed25519_public_key == id)
}

/// Whether somebody is in the roster.
pub fn is_in(repo: &Repo, id: &str) -> bool {
    repo.manifest.member(id).is_some()
}

/// The same request as if somebody entitled had sent it: the first member, or the one that a creation names.
pub fn entitled(visit: &Visit, state: Option<&Repo>) -> Visit {
    let creator = match &visit.command {
        VaultCommand::Create(request) => request.manifest.members.first(),
        _ => None,
    };
    let somebody = creator.or_else(|| state.and_then(|repo| repo.manifest.members.first()));
    let mut visit = visit.clone();
    if let Some(entry) = somebody {
        visit.caller.clone_from(&entry.ed25519_public_key);
    }
    visit
}

/// A refusal that changes the state all the same.
pub fn refuse_and<T>(refusal: Refusal, next: Repo) -> Decision<T> {
    Decision { answer: Err(refusal), next: Some(next) }
}

/// A repository and one of its members, by their ids.
pub type RepoMember = (String, String);

/// The same, of a repository and a member's id.
pub fn repo_member(repo: &Repo, member: &str) -> RepoMember {
    (repo.manifest.repo_id.clone(), member.to_owned())
}

/// Whether a decision is a refusal with this status.
pub fn is_refused<T>(outcome: &Decision<T>, status: StatusCode) -> bool {
    outcome.answer.as_ref().is_err_and(|refusal| refusal.status == status)
}

/// Lets other requests run for a while. Tokio's timer has a resolution of a millisecond, so short waits yield in a
/// loop.
pub async fn gap(micros: u64) {
    let (started, window) = (Instant::now(), Duration::from_micros(micros));
    while started.elapsed() < window {
        tokio::task::yield_now().await;
    }
}

/// Replaces the values of some members of a JSON text, wherever they are: `change` gets the text of a value that is no
/// object or array with anything in it. Works on the text, so that numbers may be as long as they like.
pub fn each_token(body: &bytes::Bytes, names: &[&str], change: impl Fn(&str) -> Option<String>) -> bytes::Bytes {
    let Ok(mut rest) = std::str::from_utf8(body) else { return body.clone() };
    let mut out = String::with_capacity(rest.len());
    while let Some((at, name)) = first_of(rest, names) {
        let start = at + name.len() + 3;
        let value = &rest[start..];
        let end = match value.strip_prefix('"') {
            Some(text) => text.find('"').map_or(value.len(), |quote| quote + 2),
            None if value.starts_with(['[', '{']) => value.find([']', '}']).map_or(value.len(), |end| end + 1),
            None => value.find([',', '}', ']']).unwrap_or(value.len()),
        };
        out.push_str(&rest[..start]);
        let token = value[..end].trim();
        out.push_str(&change(token).unwrap_or_else(|| token.to_owned()));
        rest = &value[end..];
    }
    out.push_str(rest);
    out.into()
}

/// Where the first of some members begins, and which one it is.
fn first_of<'n>(text: &str, names: &[&'n str]) -> Option<(usize, &'n str)> {
    let places = names.iter().filter_map(|name| Some((text.find(&format!("\"{name}\":"))?, *name)));
    places.min_by_key(|(at, _)| *at)
}
