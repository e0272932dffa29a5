//! The rules of the protocol, one method each.
//!
//! The methods' bodies *are* the conformant server: [`Conformant`] overrides nothing, and a fault ([`super::faults`]) is a
//! type that overrides one of them. Decisions are small methods; the flows that ask them are plain functions in
//! [`operations`], [`redemption`], [`issuer`] and [`validate`], which are methods here too so that a fault can go wrong in
//! the order of the steps as well.

use std::borrow::Cow;
use std::future::ready;
use std::pin::Pin;
use std::time::Duration;

use axum::http::request::Parts;
use axum::http::{Response, Uri};
use bytes::Bytes;
use serde_json::{Map, Value, json};
use tokio::net::TcpStream;

use super::connection::Stream;
use super::issuer::{self, Issuer};
use super::nonces::{Issued, Nonces};
use super::redemption::{self, Authority};
use super::refusal::Refusal;
use super::repo::{Answer, Call, Outcome, Repo, Visit};
use super::route::Route;
use super::store::{Store, Tx};
use super::{credentials, operations, validate};
use crate::codec::jwt::Jwt;
use crate::codec::{base64, signature};
use crate::wire::{
    ChallengeResponse, CreateRepoRequest, MemberAddRequest, MemberEntry, MemberRemoveRequest, PullRequest,
    PullResponse, PushRequest, PushResponse, TokenRequest, TokenResponse, VaultManifest,
};

/// A boxed future, which is what lets an object-safe trait wait.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Lets default methods hand the rules on as an object.
pub trait AsRules {
    /// The rules as an object.
    fn rules(&self) -> &dyn Rules;
}

impl<T: Rules> AsRules for T {
    fn rules(&self) -> &dyn Rules {
        self
    }
}

/// The server that breaks nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Conformant;

impl Rules for Conformant {}

/// Every decision of the server; see the module.
pub trait Rules: AsRules + Send + Sync + 'static {
    // ---- Challenge (SPEC §3.1) ----

    /// The raw key of a member id: canonical base64 of a usable point, or 400.
    fn read_member_key(&self, text: &str) -> Result<[u8; 32], Refusal> {
        redemption::read_member_key(text)
    }

    /// The identity that a spelling of a key stands for: there is only one spelling, so itself (SPEC §2).
    fn identity(&self, key: &str) -> String {
        key.to_owned()
    }

    /// The bytes of a fresh nonce, at least 32 and random (SPEC §3.1).
    fn make_nonce(&self, _key: &str, random: [u8; 32]) -> Vec<u8> {
        random.to_vec()
    }

    /// A nonce on the wire: padded standard base64 (SPEC §2).
    fn spell_nonce(&self, nonce: &[u8]) -> String {
        base64::encode(nonce)
    }

    /// The bytes of a nonce that comes back.
    fn read_nonce(&self, text: &str) -> Option<Vec<u8>> {
        base64::decode(text).ok()
    }

    /// How long a nonce can be redeemed (SPEC §3.1 recommends at most two minutes).
    fn nonce_ttl(&self, configured: Duration) -> Duration {
        configured
    }

    /// The whole challenge.
    fn challenge(&self, authority: &Authority, key: &str) -> Result<ChallengeResponse, Refusal> {
        redemption::challenge(self.rules(), authority, key)
    }

    // ---- Token (SPEC §3.2) ----

    /// Whether a nonce was issued, to this caller, and not too long ago (SPEC §3.2, §12).
    fn nonce_is_redeemable(&self, issued: Option<&Issued>, identity: &str, ttl: Duration) -> bool {
        issued.is_some_and(|issued| self.nonce_belongs(&issued.key, identity) && issued.at.elapsed() <= ttl)
    }

    /// Whether a nonce issued to one identity serves another: no.
    fn nonce_belongs(&self, issued_to: &str, identity: &str) -> bool {
        issued_to == identity
    }

    /// Whether the signature covers the raw nonce bytes under the caller's key (SPEC §3.2).
    fn nonce_signature_holds(&self, key: &[u8; 32], _nonce_text: &str, nonce: &[u8], signature: &str) -> bool {
        base64::decode(signature).is_ok_and(|signature| signature::verify(key, nonce, &signature).is_ok())
    }

    /// Takes the nonce out of use and tells whether that worked: one caller gets to (SPEC §3.2, §12).
    fn spend(&self, nonces: &Nonces, nonce: &[u8]) -> bool {
        nonces.spend(nonce)
    }

    /// The whole redemption.
    fn redeem<'a>(
        &'a self,
        authority: &'a Authority,
        request: &'a TokenRequest,
    ) -> Later<'a, Result<TokenResponse, Refusal>> {
        Box::pin(ready(redemption::redeem(self.rules(), authority, request)))
    }

    /// How long a token is valid.
    fn token_ttl(&self, configured: Duration) -> Duration {
        configured
    }

    /// `expiresAt` of a token that expires at `expires` epoch seconds: epoch milliseconds (SPEC §2).
    fn expires_at(&self, expires: i64) -> i64 {
        expires.saturating_mul(1000)
    }

    /// The claims of a token: subject and kind as SPEC §3 has them, no account, email or role.
    fn claims(&self, issuer: &str, member: &str, issued: i64, expires: i64, jti: String) -> Map<String, Value> {
        let claims = [
            ("sub", json!(format!("key:{member}"))),
            ("kind", json!("keypair")),
            ("iss", json!(issuer)),
            ("iat", json!(issued)),
            ("exp", json!(expires)),
            ("jti", json!(jti)),
        ];
        claims.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    // ---- Bearer tokens (SPEC §3, §6) ----

    /// The bearer token of a request: one Authorization header, nothing else.
    fn bearer(&self, parts: &Parts) -> Option<String> {
        credentials::bearer(&parts.headers)
    }

    /// The member id of the caller of a vault operation, or 401 (SPEC §3, §6).
    fn authenticate(&self, authority: &Authority, _route: Route, parts: &Parts) -> Result<String, Refusal> {
        let token = self.bearer(parts).ok_or(Refusal::unauthorized("no bearer token"))?;
        self.member_of_token(authority, &token)
    }

    /// The member that a token stands for, or 401.
    fn member_of_token(&self, authority: &Authority, token: &str) -> Result<String, Refusal> {
        authority.issuer.member_of(self.rules(), token)
    }

    /// Verifies a token that isn't known by its spelling.
    fn verify_token(&self, issuer: &Issuer, token: &str, now_ms: i64) -> Result<String, Refusal> {
        issuer::verify(self.rules(), issuer, token, now_ms)
    }

    /// Whether a token's header is exactly the one that this issuer writes (algorithm, type and key).
    fn token_header_holds(&self, ours: &Map<String, Value>, theirs: &Map<String, Value>) -> bool {
        ours == theirs
    }

    /// Whether this issuer signed the token.
    fn token_signature_holds(&self, issuer_key: &[u8; 32], token: &Jwt) -> bool {
        signature::verify(issuer_key, token.signing_input.as_bytes(), &token.signature).is_ok()
    }

    /// Whether the token says that it is this issuer's: tokens are server-local (SPEC §3).
    fn token_issuer_holds(&self, ours: &str, token: &Jwt) -> bool {
        token.claims.get("iss").and_then(Value::as_str) == Some(ours)
    }

    /// Whether a token that expires at `expires` epoch seconds is still valid.
    fn token_is_live(&self, now_ms: i64, expires: i64) -> bool {
        now_ms < expires.saturating_mul(1000)
    }

    /// The member id in a token's subject (SPEC §3).
    fn member_of_subject(&self, subject: &str) -> Option<String> {
        subject.strip_prefix("key:").map(str::to_owned)
    }

    // ---- Routing and decoding (SPEC §6; WIRE, HTTP profile) ----

    /// A request target to use instead of the one that came; the conformant server routes on the raw path.
    fn rewrite_target(&self, _target: &Uri) -> Option<Uri> {
        None
    }

    /// One raw path segment, percent-decoded: `+` is a plus, bad escapes and bad UTF-8 are refused.
    fn decode_segment(&self, raw: &str) -> Result<String, Refusal> {
        credentials::decode_segment(raw)
    }

    /// Sees the token's owner and the path before the body is there. What it returns becomes [`Visit::early`].
    fn on_headers(&self, _store: &Store, _route: Route, _repo_id: Option<&str>, _caller: &str) -> Option<bool> {
        None
    }

    /// The bytes of a body before they are parsed.
    fn request_body(&self, _store: &Store, _route: Route, _parts: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        Ok(body)
    }

    /// Whether path and body name the same repository.
    fn body_names_repo(&self, path: &str, body: &str) -> bool {
        path == body
    }

    /// Sizes, spellings and ranges in a request (SPEC §2, §4), or 400.
    fn shape(&self, call: &Call) -> Result<(), Refusal> {
        validate::call(call)
    }

    /// The id under which a repository is stored: exactly the one it was created with (SPEC §8).
    fn repo_key<'a>(&self, id: &'a str) -> Cow<'a, str> {
        Cow::Borrowed(id)
    }

    // ---- The life of an operation (SPEC §6) ----

    /// Carries an operation out: load, decide and commit in one transaction (SPEC §6, §10).
    fn execute<'a>(&'a self, store: &'a Store, visit: &'a Visit) -> Later<'a, Result<Answer, Refusal>> {
        Box::pin(ready(operations::execute(self.rules(), store, visit)))
    }

    /// What an operation does to a state: 404 without one, 403 for strangers, then the operation.
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Outcome<Answer> {
        operations::transition(self.rules(), visit, state)
    }

    /// A state as it is read from the store.
    fn loaded(&self, _route: Route, repo: Repo) -> Repo {
        repo
    }

    /// A state as it is written to the store.
    fn stored(&self, _route: Route, _before: Option<&Repo>, next: Repo) -> Repo {
        next
    }

    /// Sees every committed change within its transaction.
    fn committed(&self, _tx: &Tx<'_>, _visit: &Visit, _before: Option<&Repo>, _next: &Repo) -> rusqlite::Result<()> {
        Ok(())
    }

    /// Whether the caller is a member now (SPEC §6, authorization).
    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        repo.manifest.member(&visit.caller).is_some()
    }

    /// The manifest that an answer carries.
    fn manifest_served(&self, _visit: &Visit, repo: &Repo) -> VaultManifest {
        repo.manifest.clone()
    }

    // ---- createRepo (SPEC §6) ----

    /// The operation; `existing` is the repository that has this id already.
    fn create(&self, visit: &Visit, existing: Option<&Repo>, request: &CreateRepoRequest) -> Outcome<VaultManifest> {
        operations::create(self.rules(), visit, existing, request)
    }

    /// Whether the roster is the caller and nobody else.
    fn sole_member_is_caller(&self, members: &[MemberEntry], caller: &str) -> bool {
        matches!(members, [only] if only.ed25519_public_key == caller)
    }

    /// Whether manifest, entry and envelope agree on repository, version and epoch (SPEC §4).
    fn creation_agrees(&self, request: &CreateRepoRequest) -> Result<(), Refusal> {
        operations::creation_agrees(request)
    }

    // ---- pull (SPEC §6) ----

    /// The operation.
    fn pull(&self, visit: &Visit, repo: &Repo, request: &PullRequest) -> Outcome<PullResponse> {
        operations::pull(self.rules(), visit, repo, request)
    }

    /// Whether the caller has the current version.
    fn is_current(&self, known: i64, current: i64) -> bool {
        known == current
    }

    // ---- push (SPEC §6, §10) ----

    /// The operation.
    fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Outcome<PushResponse> {
        operations::push(self.rules(), visit, repo, request)
    }

    /// The gate of optimistic concurrency.
    fn expectation_holds(&self, expected: i64, current: i64) -> bool {
        expected == current
    }

    /// What a stale writer is told: the current counters.
    fn conflict(&self, repo: &Repo, _request: &PushRequest) -> PushResponse {
        operations::push_answer(repo, false)
    }

    /// Whether an envelope is this repository's.
    fn envelope_belongs(&self, repo_id: &str, envelope_repo_id: &str) -> bool {
        repo_id == envelope_repo_id
    }

    /// Whether a version may follow the current one: strictly above, gaps allowed (SPEC §10).
    fn version_advances(&self, new: i64, current: i64) -> bool {
        new > current
    }

    /// Whether an epoch may come with a push: the current one, or none below it on the rotation path.
    fn push_epoch_holds(&self, new: i64, current: i64, rotates: bool) -> bool {
        if rotates { new >= current } else { new == current }
    }

    /// Whether a whole new roster makes sense: somebody is in it, nobody twice, all at the new epoch.
    fn roster_holds(&self, members: &[MemberEntry], epoch: i64) -> Result<(), Refusal> {
        operations::roster_holds(members, epoch)
    }

    /// Whether a rotating push keeps its own caller in.
    fn rotation_keeps_caller(&self, members: &[MemberEntry], caller: &str) -> bool {
        members.iter().any(|entry| entry.ed25519_public_key == caller)
    }

    /// The state after an accepted push: version and epoch from the envelope, and the new roster instead of the old one.
    fn pushed(&self, repo: &Repo, request: &PushRequest) -> Repo {
        operations::pushed(repo, request)
    }

    // ---- addMember (SPEC §6) ----

    /// The operation.
    fn add(&self, visit: &Visit, repo: &Repo, request: &MemberAddRequest) -> Outcome<VaultManifest> {
        operations::add(self.rules(), visit, repo, request)
    }

    /// Whether a new entry's wrapped key is for the current data key.
    fn added_epoch_holds(&self, entry_epoch: i64, current: i64) -> bool {
        entry_epoch == current
    }

    /// The state after an addition: the entry exactly as sent, at the end of the roster; counters don't move.
    fn added(&self, repo: &Repo, entry: &MemberEntry) -> Repo {
        let mut next = repo.clone();
        next.manifest.members.push(entry.clone());
        next.last_removal = None;
        next
    }

    // ---- removeMember (SPEC §6, §10) ----

    /// The operation.
    fn remove(&self, visit: &Visit, repo: &Repo, request: &MemberRemoveRequest) -> Outcome<VaultManifest> {
        operations::remove(self.rules(), visit, repo, request)
    }

    /// Whether this very removal made the current state; then it is a retry (revision 0.3).
    fn removal_is_retry(&self, repo: &Repo, digest: &[u8]) -> bool {
        repo.last_removal.as_deref() == Some(digest)
    }

    /// Whether the id to remove is in the roster.
    fn removal_is_of_member(&self, repo: &Repo, removed: &str) -> bool {
        repo.manifest.member(removed).is_some()
    }

    /// Whether the new epoch is above the old one (SPEC §10).
    fn epoch_advances(&self, new: i64, current: i64) -> bool {
        new > current
    }

    /// Whether the rotated envelope is of the new epoch.
    fn rotated_epoch_holds(&self, envelope_epoch: i64, new_epoch: i64) -> bool {
        envelope_epoch == new_epoch
    }

    /// Whether the removed member is really gone from the new roster.
    fn removed_is_absent(&self, members: &[MemberEntry], removed: &str) -> bool {
        members.iter().all(|entry| entry.ed25519_public_key != removed)
    }

    /// The state after a removal: roster, envelope, version and epoch, all at once.
    fn removed(&self, repo: &Repo, request: &MemberRemoveRequest, digest: Vec<u8>) -> Repo {
        operations::removed(repo, request, digest)
    }

    // ---- fetchMemberKey (SPEC §6, §9) ----

    /// The operation: the entry of exactly this id, or 404.
    fn fetch(&self, _visit: &Visit, repo: &Repo, member_id: &str) -> Outcome<MemberEntry> {
        match repo.manifest.member(member_id) {
            Some(entry) => Outcome::read(entry.clone()),
            None => Outcome::refuse(Refusal::not_found("no such member")),
        }
    }

    // ---- HTTP ----

    /// The answer as it leaves; the conformant server has nothing to add.
    fn response(&self, _route: Route, _parts: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        response
    }

    /// Waits before the answer leaves; the conformant server doesn't.
    fn before_response(&self, _route: Route) -> Option<Later<'_, ()>> {
        None
    }

    /// The byte stream under HTTP.
    fn stream(&self, stream: TcpStream) -> Box<dyn Stream> {
        Box::new(stream)
    }
}
