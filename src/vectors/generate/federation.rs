//! `federation.json`.

use serde_json::Value;

use super::super::fields::{Fields, fields};
use super::super::formats::{INVITE, LOCATOR};
use super::super::op::CodecOp;
use super::{Made, case, member, ours, primitive, seed};
use crate::codec::{base64, key_wrap, signature};

const JWKS: &str = "https://idp.example/.well-known/jwks.json";
const REPO: &str = "3b1f9c64-0b2a-4f1e-9c3d-1a2b3c4d5e6f";

fn key(label: &str) -> String {
    base64::encode(&signature::public_key(&seed::bytes(&format!("federation/{label}"))))
}

fn x_key(label: &str) -> String {
    base64::encode(&key_wrap::public_key(&seed::bytes(&format!("federation/{label}"))))
}

fn locators() -> Vec<(&'static str, &'static str, Fields)> {
    let scheme = key_wrap::SCHEME_ID;
    let bare = |id: &str| fields! { "host": "vault.example", "repoId": id };
    vec![
        (
            "locator-full",
            "every member",
            fields! { "host": "vault.example", "repoId": REPO, "schemeId": scheme, "keyEpoch": 0, "issuerJwksUrl": JWKS },
        ),
        (
            "locator-no-issuer",
            "the deployment publishes no bindings",
            fields! { "host": "vault.example", "repoId": REPO, "schemeId": scheme, "keyEpoch": 3 },
        ),
        ("locator-bare", "host and id alone: the manifest says the rest", bare(REPO)),
        (
            "locator-port",
            "an authority with a port",
            fields! { "host": "vault.example:8443", "repoId": REPO, "schemeId": scheme, "keyEpoch": 1 },
        ),
        (
            "locator-large-epoch",
            "2^53 + 1, which an IEEE double loses",
            fields! { "host": "h", "repoId": "r", "schemeId": scheme, "keyEpoch": (1_i64 << 53) + 1 },
        ),
        (
            "locator-max-epoch",
            "2^63 - 1",
            fields! { "host": "h", "repoId": "r", "schemeId": scheme, "keyEpoch": i64::MAX },
        ),
        ("locator-non-ascii", "an id beyond ASCII: UTF-8 in the JSON, no escapes", bare("dépôt-\u{1f511}")),
        ("locator-escapes", "an id that JSON has to escape", bare("a\"b\\c/d\u{1f}")),
        (
            "locator-url-alphabet",
            "a token with both characters that the standard alphabet spells otherwise",
            bare("???>>>~~~"),
        ),
        ("locator-one-more-byte", "another length: the token ends otherwise", fields! { "host": "h", "repoId": "rr" }),
        ("locator-two-more-bytes", "and another", fields! { "host": "h", "repoId": "rrr" }),
    ]
}

pub(super) fn file() -> Made<Value> {
    let mut tokens = Vec::new();
    let invite = |a: &str, b: &str| fields! { "ed25519PublicKey": a, "x25519PublicKey": b };
    for (name, reason, keys) in [
        ("invite-bob", "an ordinary invite request", invite(&key("bob"), &x_key("bob-x"))),
        ("invite-carol", "another one", invite(&key("carol"), &x_key("carol-x"))),
        (
            "invite-slashes",
            "keys whose base64 has many slashes",
            invite(&base64::encode(&[0xff; 32]), &base64::encode(&[0xfb; 32])),
        ),
    ] {
        tokens.push(token(name, reason, INVITE, "joiner -> inviter", CodecOp::EncodeInvite, keys)?);
    }
    for (name, reason, members) in locators() {
        tokens.push(token(name, reason, LOCATOR, "inviter -> joiner", CodecOp::EncodeLocator, members)?);
    }
    let about = "Join tokens and addresses (SPEC section 8).";
    Ok(fields! { "description": format!("{about} {}", seed::sentence()), "tokens": tokens, "uris": uris() }.into())
}

fn token(name: &str, reason: &str, schema: &str, direction: &str, op: CodecOp, members: Fields) -> Made<Value> {
    let text = member(&ours(op, &members)?, "token")?;
    let text = text.as_str().unwrap_or_default();
    let json = base64::decode_url(text).map_err(primitive)?;
    let mut decoded = fields! { "v": 1 };
    decoded.extend(members);
    Ok(case(
        name,
        reason,
        &["token"],
        fields! {
            "schema": schema, "direction": direction, "decoded": decoded,
            "canonicalJson": String::from_utf8(json).map_err(primitive)?, "base64url": text,
        },
    ))
}

fn uris() -> Vec<Value> {
    let rows = [
        ("plain", "host and id", "vault.example", REPO),
        ("port", "an authority with a port", "vault.example:8443", REPO),
        ("ipv4", "an address instead of a name", "192.0.2.1:8787", "r"),
        ("ipv6", "brackets belong to the host", "[2001:db8::1]", "r"),
        ("ipv6-port", "brackets and a port", "[2001:db8::1]:8787", "r"),
        ("one-character-id", "the shortest id", "h", "r"),
        ("percent-escapes", "the id is exact: nothing is unescaped", "vault.example", "a%2Fb%20c"),
        ("unreserved", "every unreserved character", "vault.example", "azAZ09-._~"),
        ("capitals", "an id keeps its capitals", "vault.example", "RePo"),
        ("non-ascii-id", "an id beyond ASCII, as it stands", "vault.example", "d\u{e9}p\u{f4}t"),
        ("long-id", "255 characters", "vault.example", &"r".repeat(255)),
    ];
    let row = |(name, reason, host, id): (&str, &str, &str, &str)| {
        case(name, reason, &["address"], fields! { "uri": format!("avp://{host}/{id}"), "host": host, "repoId": id })
    };
    rows.into_iter().map(row).collect()
}
