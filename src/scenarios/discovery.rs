//! Discovery (SPEC §8.2): optional, but what is offered must be right.

use serde_json::Value;
use url::Url;

use super::check::checks;
use super::context::to_set_up;
use super::{Answer, Auth, Call, Ctx, Operation, Outcome, Stop};
use crate::codec::{base64, jwt::Jwt, signature};
use crate::model::{PROFILES, wrong_discovery};

checks! {
    only = Http;
    "discovery/shape", Must, "§8.2", [DISCOVERY_SHAPE], shape,
        "/.well-known/avp, if it answers, is an object that names the profiles, http-json among them";
    "discovery/unauthenticated", Must, "§8.2", [DISCOVERY_SHAPE], unauthenticated,
        "/.well-known/avp, if it is there, needs no token";
    "discovery/issuer-address", Should, "§8.2", [DISCOVERY_SHAPE], issuer_address,
        "issuerJwksUrl, if it is given, is an absolute http or https URL";
    "discovery/key-set", Should, "§3", [KEY_SET], key_set,
        "The key set that discovery names holds the key that signs the tokens";
    "discovery/key-set-is-public", Hardening, "§3", [KEY_SET], key_set_is_public,
        "The key set that discovery names holds no private key";
}

fn not_offered(answer: &Answer<'_>) -> Stop {
    Stop::not_applicable(format!("the server offers no discovery (status {}); it needn't", answer.status))
}

async fn discover<'c>(cx: &'c Ctx, auth: &Auth) -> Result<Answer<'c>, Stop> {
    // Not as an operation: the schema is closed, while §8.2 has "at least" these members.
    cx.call(Call { operation: None, ..Call::operation(Operation::Discovery, "", "", auth, None) }).await
}

/// The document, for checks of what it says.
async fn document(cx: &Ctx) -> Result<(Answer<'_>, Value), Stop> {
    let answer = discover(cx, &Auth::None).await?;
    if !answer.is_success() {
        return Err(not_offered(&answer));
    }
    let body = answer.json().map_err(|reason| to_set_up(answer.violation("discovery is JSON", reason)))?;
    Ok((answer, body))
}

/// A 2xx that isn't the document is worse than a 404: a client would believe it.
async fn shape(cx: &Ctx) -> Outcome {
    let answer = discover(cx, &Auth::None).await?;
    if !answer.is_success() {
        return Err(not_offered(&answer));
    }
    let body = answer.json().map_err(|reason| answer.violation("discovery is a JSON object", reason))?;
    if let Some((expected, observed)) = wrong_discovery(&body) {
        return Err(answer.violation(expected, observed));
    }
    let profiles = &body["profiles"];
    let names: Vec<&str> = profiles.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    // It speaks http-json: this answer, and every other check, show it.
    answer.should(names.contains(&"http-json"), "profiles names http-json", || format!("profiles is {profiles}"));
    answer.should(names.iter().all(|name| PROFILES.contains(name)), "profiles names http-json and grpc only", || {
        format!("profiles is {profiles}")
    });
    let label = answer.exchange.content_type.as_deref().unwrap_or("none");
    // Where other answers aren't either, schema/content-type says so.
    let alone = cx.world.seen.answers.content_type_findings().is_empty();
    answer.should(!alone || label.to_ascii_lowercase().contains("json"), "discovery is labelled as JSON", || {
        format!("Content-Type: {label}")
    });
    Ok(())
}

/// Who has no token yet is whom it is for. That a server has no discovery shows in its answer to somebody who has one.
async fn unauthenticated(cx: &Ctx) -> Outcome {
    let answer = discover(cx, &Auth::None).await?;
    if answer.is_success() {
        return Ok(());
    }
    let alice = cx.member().await?;
    let known = discover(cx, &alice.auth()).await?;
    let is_there = known.is_success() && known.json().is_ok_and(|body| body.get("profiles").is_some());
    answer.must(!is_there, "discovery needs no token", || {
        format!("{} without a token, {} with one", answer.summary(), known.summary())
    })?;
    Err(not_offered(&answer))
}

/// The URL of the key set; skips when there is none.
async fn issuer(cx: &Ctx) -> Result<(Answer<'_>, String), Stop> {
    let (answer, body) = document(cx).await?;
    match body.get("issuerJwksUrl") {
        Some(Value::String(url)) => Ok((answer, url.clone())),
        _ => Err(Stop::not_applicable("discovery names no key set; it needn't")),
    }
}

/// A client has nothing that it could resolve a relative one against.
async fn issuer_address(cx: &Ctx) -> Outcome {
    let (answer, url) = issuer(cx).await?;
    let absolute = Url::parse(&url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    answer.must(absolute, "issuerJwksUrl is an absolute http or https URL", || format!("it is {url:?}"))
}

/// A key set that is named and isn't there.
const NO_KEY_SET: &str = "a key set that isn't there";

/// The key set, if this very server publishes it; another host may be out of reach from here.
async fn own_key_set(cx: &Ctx) -> Result<(Answer<'_>, Vec<Value>), Stop> {
    let (_, url) = issuer(cx).await?;
    let path = Url::parse(&url).ok().and_then(|url| cx.world.target.vault.path_of(&url));
    let Some(path) = path else {
        return Err(Stop::not_applicable(format!("the key set is published elsewhere: {url}")));
    };
    let call = Call { operation: None, path, ..Call::operation(Operation::Discovery, "", "", &Auth::None, None) };
    let answer = cx.call(call).await?;
    let expected = "the key set that discovery names is a JSON Web Key Set";
    answer.must(answer.is_success(), expected, || answer.summary())?;
    let body = answer.json().map_err(|reason| answer.violation(expected, reason))?;
    match body.get("keys").and_then(Value::as_array) {
        Some(keys) => Ok((answer, keys.clone())),
        None => Err(answer.violation(expected, "it has no array of keys")),
    }
}

/// The issuer's Ed25519 keys: those of `--jwks`, or else what the server itself publishes; none when there is nothing to be had.
pub(super) async fn issuer_keys(cx: &Ctx) -> Vec<[u8; 32]> {
    if let Some(keys) = cx.world.manners.issuer_keys.get() {
        return keys.clone();
    }
    own_key_set(cx).await.map_or_else(|_| Vec::new(), |(_, keys)| keys.iter().filter_map(public_key).collect())
}

/// The most keys of a key set that are looked at one by one.
const MOST_KEYS: usize = 4;

/// The texts of the keys that the server itself publishes, as they stand in its key set; none when there is nothing to be had.
pub(super) async fn listed_keys(cx: &Ctx) -> Vec<String> {
    #[derive(serde::Deserialize)]
    struct Set {
        keys: Vec<Box<serde_json::value::RawValue>>,
    }
    let Ok((answer, _)) = own_key_set(cx).await else { return Vec::new() };
    let set: Option<Set> = serde_json::from_slice(&answer.body).ok();
    set.map_or_else(Vec::new, |set| set.keys.iter().take(MOST_KEYS).map(|key| key.get().to_owned()).collect())
}

/// Whoever holds the key set verifies a token as RFC 7515 says: by `kid` if there is one, else by trying.
async fn key_set(cx: &Ctx) -> Outcome {
    let (answer, keys) = match own_key_set(cx).await {
        Ok(set) => set,
        Err(stop) => return cx.told_once(NO_KEY_SET, Err(stop)),
    };
    let alice = cx.member().await?;
    let Ok(jwt) = Jwt::parse(&alice.token) else {
        cx.remark("the tokens are opaque");
        return Ok(());
    };
    let alg = jwt.header.get("alg").and_then(Value::as_str).unwrap_or("absent");
    if !matches!(alg, "EdDSA" | "Ed25519") {
        cx.remark(format!("tokens are signed with alg {alg}, which isn't verified here"));
        return Ok(());
    }
    let named = jwt.header.get("kid").filter(|kid| !kid.is_null());
    let candidates = candidates(&keys, &jwt);
    answer.must(
        is_signed_by(&jwt, &candidates),
        "a token verifies under a key of the key set that discovery names",
        || {
            let kid = named.map_or_else(|| "no kid".to_owned(), |kid| format!("kid {kid}"));
            format!(
                "the token has {kid}; {} of {} keys come into question, and none verifies it",
                candidates.len(),
                keys.len()
            )
        },
    )
}

/// The Ed25519 keys of a key set that a token may be signed with.
pub(crate) fn candidates(keys: &[Value], jwt: &Jwt) -> Vec<[u8; 32]> {
    let named = jwt.header.get("kid").filter(|kid| !kid.is_null());
    let fits = |key: &&Value| named.is_none_or(|kid| key.get("kid").is_none_or(|its| its == kid));
    keys.iter().filter(fits).filter_map(public_key).collect()
}

/// Whether a token verifies under one of the keys.
pub(crate) fn is_signed_by(jwt: &Jwt, keys: &[[u8; 32]]) -> bool {
    keys.iter().any(|key| signature::verify(key, jwt.signing_input.as_bytes(), &jwt.signature).is_ok())
}

/// RFC 8037: base64url without padding.
fn public_key(key: &Value) -> Option<[u8; 32]> {
    if key.get("crv").and_then(Value::as_str) != Some("Ed25519") {
        return None;
    }
    base64::decode_url(key.get("x")?.as_str()?).ok()?.try_into().ok()
}

/// Members of a JSON Web Key that are nobody else's business (RFC 7518 §6, RFC 8037 §2).
const PRIVATE: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "k"];

/// With the private key anybody makes tokens.
async fn key_set_is_public(cx: &Ctx) -> Outcome {
    let (answer, keys) = match own_key_set(cx).await {
        Ok(set) => set,
        Err(stop) => return cx.told_once(NO_KEY_SET, Err(stop)),
    };
    for key in &keys {
        let leaked = PRIVATE.into_iter().find(|name| key.get(name).is_some_and(|value| !value.is_null()));
        answer.must(leaked.is_none(), "a published key set holds public keys only", || {
            format!("a key has the private member {}", leaked.unwrap_or_default())
        })?;
    }
    Ok(())
}
