//! Who somebody is: challenge, token, and what a token proves (SPEC §3).

use std::future::ready;
use std::time::Duration;

use axum::http::request::Parts;
use serde_json::{Map, Value};

use super::{AsIdentity, Later, conformant};
use crate::codec::base64;
use crate::codec::jwt::Jwt;
use crate::server::credentials;
use crate::server::issuer::{self, Issuer};
use crate::server::nonces::{Issued, Nonces};
use crate::server::redemption::{self, Authority};
use crate::server::refusal::Refusal;
use crate::server::route::Route;
use crate::wire::{ChallengeResponse, TokenRequest, TokenResponse};

/// The decisions of the identity provider, and of the vault about tokens.
pub trait IdentityRules: AsIdentity + Send + Sync + 'static {
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
        conformant::read_nonce(text)
    }

    /// Whether nonces are kept in the database, where every process of a deployment finds them.
    fn shares_nonces(&self) -> bool {
        true
    }

    /// How long a nonce can be redeemed (SPEC §3.1 recommends at most two minutes).
    fn nonce_ttl(&self, configured: Duration) -> Duration {
        configured
    }

    /// The whole challenge.
    fn challenge(&self, authority: &Authority, key: &str) -> Result<ChallengeResponse, Refusal> {
        redemption::challenge(self.identity_rules(), authority, key)
    }

    // ---- Token (SPEC §3.2) ----

    /// Whether a nonce was issued, to this caller, and not too long ago (SPEC §3.2, §12).
    fn nonce_is_redeemable(&self, issued: Option<&Issued>, identity: &str, ttl: Duration) -> bool {
        conformant::nonce_is_redeemable(self.identity_rules(), issued, identity, ttl)
    }

    /// Whether a nonce issued to one identity serves another: no.
    fn nonce_belongs(&self, issued_to: &str, identity: &str) -> bool {
        issued_to == identity
    }

    /// Whether the signature covers the raw nonce bytes under the caller's key (SPEC §3.2).
    fn nonce_signature_holds(&self, key: &[u8; 32], _nonce_text: &str, nonce: &[u8], signature: &str) -> bool {
        conformant::nonce_signature_holds(key, nonce, signature)
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
        Box::pin(ready(redemption::redeem(self.identity_rules(), authority, request)))
    }

    /// Takes note of a login that was granted; a conformant provider keeps nothing of it.
    fn redeemed(&self, _request: &TokenRequest, _granted: &TokenResponse) {}

    /// The seed of the signing key, if it isn't this deployment's own secret.
    fn signing_seed(&self) -> Option<[u8; 32]> {
        None
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
        conformant::claims(issuer, member, issued, expires, jti)
    }

    // ---- Bearer tokens (SPEC §3, §6) ----

    /// The bearer token of a request: one Authorization header, nothing else.
    fn bearer(&self, parts: &Parts) -> Option<String> {
        credentials::bearer(&parts.headers)
    }

    /// The member id of the caller of a vault operation, or 401 (SPEC §3, §6).
    fn authenticate(&self, authority: &Authority, _route: Route, parts: &Parts) -> Result<String, Refusal> {
        conformant::authenticate(self.identity_rules(), authority, parts)
    }

    /// The member that a token stands for, or 401.
    fn member_of_token(&self, authority: &Authority, token: &str) -> Result<String, Refusal> {
        authority.issuer.member_of(self.identity_rules(), token)
    }

    /// Verifies a token that isn't known by its spelling.
    fn verify_token(&self, issuer: &Issuer, token: &str, now_ms: i64) -> Result<String, Refusal> {
        issuer::verify(self.identity_rules(), issuer, token, now_ms)
    }

    /// Whether a token's header is exactly the one that this issuer writes (algorithm, type and key).
    fn token_header_holds(&self, ours: &Map<String, Value>, theirs: &Map<String, Value>) -> bool {
        ours == theirs
    }

    /// Whether this issuer signed the token.
    fn token_signature_holds(&self, issuer_key: &[u8; 32], token: &Jwt) -> bool {
        conformant::token_signature_holds(issuer_key, token)
    }

    /// Whether the token says that it is this issuer's: tokens are server-local (SPEC §3).
    fn token_issuer_holds(&self, ours: &str, token: &Jwt) -> bool {
        conformant::token_issuer_holds(ours, token)
    }

    /// Whether a token that expires at `expires` epoch seconds is still valid.
    fn token_is_live(&self, now_ms: i64, expires: i64) -> bool {
        now_ms < expires.saturating_mul(1000)
    }

    /// The member id in a token's subject (SPEC §3).
    fn member_of_subject(&self, subject: &str) -> Option<String> {
        conformant::member_of_subject(subject)
    }
}
