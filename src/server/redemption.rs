//! The challenge→token flow of SPEC §3, step by step.

use std::time::Duration;

use super::clock;
use super::issuer::{Issuer, random};
use super::nonces::Nonces;
use super::refusal::Refusal;
use super::rules::IdentityRules;
use crate::codec::base64;
use crate::wire::{ChallengeResponse, TokenRequest, TokenResponse};

/// What authentication needs to remember.
#[derive(Debug)]
pub struct Authority {
    /// Mints and verifies tokens.
    pub issuer: Issuer,
    /// Issued nonces.
    pub nonces: Nonces,
    /// How long a nonce can be redeemed.
    pub nonce_ttl: Duration,
    /// How long a token is valid.
    pub token_ttl: Duration,
}

/// Issues a nonce.
///
/// # Errors
/// 400 for a key that can't be anybody's.
pub fn challenge(rules: &dyn IdentityRules, authority: &Authority, key: &str) -> Result<ChallengeResponse, Refusal> {
    rules.read_member_key(key)?;
    let nonce = rules.make_nonce(key, random::<32>()?);
    let spelled = rules.spell_nonce(&nonce);
    authority.nonces.add(nonce, rules.identity(key), rules.nonce_ttl(authority.nonce_ttl))?;
    Ok(ChallengeResponse { nonce: spelled })
}

/// Redeems a nonce: everything is checked first, and then exactly one caller gets to spend it.
///
/// # Errors
/// 400 for a malformed key, 401 for anything wrong with nonce or signature.
pub fn redeem(
    rules: &dyn IdentityRules,
    authority: &Authority,
    request: &TokenRequest,
) -> Result<TokenResponse, Refusal> {
    let nonce = check(rules, authority, request)?;
    if !rules.spend(&authority.nonces, &nonce) {
        return Err(Refusal::unauthorized("the nonce can't be redeemed"));
    }
    let granted = grant(rules, authority, &request.ed25519_public_key)?;
    rules.redeemed(request, &granted);
    Ok(granted)
}

/// Whether the nonce can be redeemed by this caller; the answer is its raw bytes. A failed attempt burns nothing: otherwise
/// whoever overhears a nonce could spoil it for its owner.
///
/// # Errors
/// As [`redeem`].
pub fn check(rules: &dyn IdentityRules, authority: &Authority, request: &TokenRequest) -> Result<Vec<u8>, Refusal> {
    let key = rules.read_member_key(&request.ed25519_public_key)?;
    let nonce = rules.read_nonce(&request.nonce).ok_or(Refusal::unauthorized("the nonce isn't base64"))?;
    let issued = authority.nonces.find(&nonce);
    let identity = rules.identity(&request.ed25519_public_key);
    if !rules.nonce_is_redeemable(issued.as_ref(), &identity, rules.nonce_ttl(authority.nonce_ttl)) {
        return Err(Refusal::unauthorized("the nonce can't be redeemed"));
    }
    if !rules.nonce_signature_holds(&key, &request.nonce, &nonce, &request.signature) {
        return Err(Refusal::unauthorized("the signature doesn't verify"));
    }
    Ok(nonce)
}

/// Mints the token.
///
/// # Errors
/// The operating system gives no random bytes.
pub fn grant(rules: &dyn IdentityRules, authority: &Authority, key: &str) -> Result<TokenResponse, Refusal> {
    let lifetime = i64::try_from(rules.token_ttl(authority.token_ttl).as_millis()).unwrap_or(i64::MAX);
    // JWTs count in seconds: rounded up, so that the token lives at least as long as it was meant to.
    let expires = clock::now_ms().saturating_add(lifetime).saturating_add(999) / 1000;
    let token = authority.issuer.mint(rules, &rules.identity(key), expires)?;
    Ok(TokenResponse { token, expires_at: rules.expires_at(expires) })
}

/// Reads a member id strictly: canonical base64 of 32 bytes that are a point of the curve, not of small order.
///
/// # Errors
/// 400 otherwise.
pub fn read_member_key(text: &str) -> Result<[u8; 32], Refusal> {
    use crate::codec::signature::{SignatureError, verify};
    let key =
        base64::decode_array::<32>(text).map_err(|error| Refusal::bad_request(format!("ed25519PublicKey: {error}")))?;
    // The key is judged before the signature, so the empty signature brings out what is wrong with the key.
    match verify(&key, b"", b"") {
        Err(SignatureError::PublicKey) => Err(Refusal::bad_request("ed25519PublicKey isn't a usable point")),
        _ => Ok(key),
    }
}
