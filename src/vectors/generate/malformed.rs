//! `malformed.json`: texts that aren't what they should be.

use serde_json::Value;

use super::super::fields::{Fields, fields};
use super::mutation::{changed, decoded, flipped, rejected, seeded, shorten};
use super::open::either;
use super::{Made, bindings, negative, negative_unwrap};
use crate::codec::base64;
use crate::ground::hex;

pub(super) fn file() -> Made<Value> {
    let mut cases = base64_texts();
    cases.extend(base64_in_place()?);
    cases.extend(invites());
    cases.extend(locators());
    cases.extend(payloads());
    cases.extend(addresses());
    cases.extend(forged_bindings()?);
    Ok(super::file("Texts that aren't base64, join tokens, payloads, addresses or bindings of the protocol.", cases))
}

/// Other spellings of bytes in base64.
fn spellings(bytes: &[u8]) -> Vec<(&'static str, &'static str, String)> {
    let text = base64::encode(bytes);
    let (head, tail) = text.split_at(text.len() / 2);
    vec![
        ("base64url alphabet", "binary values have the standard alphabet", text.replace('+', "-").replace('/', "_")),
        ("no padding", "binary values have their padding", text.trim_end_matches('=').to_owned()),
        ("line break inside", "RFC 4648 3.1: no line breaks", format!("{head}\r\n{tail}")),
        ("line break behind", "RFC 4648 3.1: no line breaks", format!("{text}\n")),
        ("blank before", "RFC 4648 3.3: characters outside the alphabet are refused", format!(" {text}")),
        ("blank inside", "RFC 4648 3.3: characters outside the alphabet are refused", format!("{head} {tail}")),
        ("foreign character inside", "skipping it would give one key many spellings", format!("{head}!{tail}")),
        ("character beyond ASCII", "characters outside the alphabet are refused", format!("{head}\u{e9}{tail}")),
        ("padding twice", "padding fills up four characters and no more", format!("{text}====")),
        ("padding inside", "padding stands at the end", format!("{head}={tail}")),
        ("one character too many", "no number of bytes has such a length", format!("{}A", &text[..text.len() - 4])),
        ("hexadecimal", "not base64 at all, though the alphabet has all of its digits", hex::encode(bytes) + "0"),
    ]
}

fn base64_texts() -> Vec<Value> {
    // 32 bytes whose text has both characters that base64url spells otherwise.
    let mut bytes: [u8; 32] = seeded("malformed/base64");
    (bytes[0], bytes[1], bytes[2]) = (0xfb, 0xff, 0xfe);
    let rows = spellings(&bytes).into_iter();
    let mut cases: Vec<Value> = rows
        .map(|(mutation, reason, text)| {
            rejected("decode-base64", mutation, reason, &["base64"], fields! { "base64": text })
        })
        .collect();
    let open = fields! { "base64": "Zh==" };
    let reason = "RFC 4648 3.5 lets a decoder accept unused bits, but then one member id has several spellings";
    cases.push(either("decode-base64", "unused bits", reason, &["base64"], true, open, fields! { "hex": "66" }));
    cases
}

/// The same spellings where binary values stand.
fn base64_in_place() -> Made<Vec<Value>> {
    let mut payload = negative::valid_payload()?;
    payload.remove("plaintextUtf8");
    let wrap = negative_unwrap::valid_wrap();
    let unwrap = negative_unwrap::members(&wrap.recipient, &wrap.wrapped()?)?;
    let mut cases = Vec::new();
    for (op, valid, name) in [
        ("payload-decrypt", &payload, "ciphertextB64"),
        ("payload-decrypt", &payload, "ivB64"),
        ("key-unwrap", &unwrap, "ephemeralPublicKeyB64"),
        ("key-unwrap", &unwrap, "ciphertextB64"),
    ] {
        let right = valid[name].as_str().unwrap_or_default();
        for (mutation, reason, text) in spellings(&decoded(&valid[name])) {
            // Not every value has padding or the characters in question.
            if text == right
                || !["base64url alphabet", "no padding", "line break behind", "foreign character inside"]
                    .contains(&mutation)
            {
                continue;
            }
            let mut members = valid.clone();
            members.insert(name.into(), text.into());
            let mutation = format!("{name} with {mutation}");
            cases.push(rejected(op, &mutation, reason, &["base64"], members));
        }
    }
    Ok(cases)
}

fn token(json: &str) -> String {
    base64::encode_url(json.as_bytes())
}

/// What no token of either kind may be; `good` is one that is right, `positional` its values as an array, which some JSON
/// libraries take for the object.
fn tokens(op: &str, good: &str, positional: &str) -> Vec<Value> {
    let without_v = good.replacen("\"v\":1,", "", 1);
    let versioned = |v: &str| token(&good.replacen("\"v\":1", &format!("\"v\":{v}"), 1));
    let rows = [
        (
            "padded",
            "tokens have no padding",
            base64::encode(format!("{good} ").as_bytes()).replace('+', "-").replace('/', "_"),
            true,
        ),
        (
            "line break inside",
            "no characters beside the alphabet",
            {
                let text = token(good);
                let (a, b) = text.split_at(8);
                format!("{a}\n{b}")
            },
            false,
        ),
        (
            "cut",
            "half a token is none",
            {
                let text = token(good);
                text[..text.len() / 2].to_owned()
            },
            false,
        ),
        ("empty", "nothing is no token", String::new(), false),
        ("JSON as it is", "a token is encoded", good.to_owned(), false),
        ("not JSON", "JSON is encoded", token("hello"), false),
        ("an array", "an object is encoded", token(positional), false),
        ("a string", "an object is encoded", token("\"x\""), false),
        ("null", "an object is encoded", token("null"), false),
        ("something behind the object", "one object and nothing else", token(&format!("{good}{{}}")), false),
        ("not UTF-8", "JSON is UTF-8", base64::encode_url(&[good.as_bytes(), &[0xff]].concat()), false),
        ("without v", "the version is required", token(&without_v), false),
        ("v 2", "only version 1 is defined", versioned("2"), false),
        ("v 0", "only version 1 is defined", versioned("0"), false),
        ("v as text", "the version is a number", versioned("\"1\""), false),
        ("v true", "the version is a number", versioned("true"), false),
        ("v null", "the version is required", versioned("null"), false),
    ];
    let rows = rows.into_iter().filter(|(.., padded)| !padded || padded_differs(good));
    rows.map(|(mutation, reason, text, _)| rejected(op, mutation, reason, &["token"], fields! { "token": text }))
        .collect()
}

/// Whether the padded spelling of the token has padding at all.
fn padded_differs(good: &str) -> bool {
    !(good.len() + 1).is_multiple_of(3)
}

fn invites() -> Vec<Value> {
    let (a, b) = (base64::encode(&seeded::<32>("malformed/ed")), base64::encode(&seeded::<32>("malformed/x")));
    let good = format!("{{\"v\":1,\"ed25519PublicKey\":\"{a}\",\"x25519PublicKey\":\"{b}\"}}");
    let mut cases = tokens("decode-invite", &good, &format!("[1,\"{a}\",\"{b}\"]"));
    for (mutation, reason, json) in [
        ("without Ed25519 key", "both keys are required", format!("{{\"v\":1,\"x25519PublicKey\":\"{b}\"}}")),
        ("without X25519 key", "both keys are required", format!("{{\"v\":1,\"ed25519PublicKey\":\"{a}\"}}")),
        (
            "key null",
            "both keys are required",
            format!("{{\"v\":1,\"ed25519PublicKey\":\"{a}\",\"x25519PublicKey\":null}}"),
        ),
        ("key as number", "keys are texts", format!("{{\"v\":1,\"ed25519PublicKey\":7,\"x25519PublicKey\":\"{b}\"}}")),
        ("member in capitals", "names are exact", good.replace("x25519PublicKey", "X25519PublicKey")),
    ] {
        cases.push(rejected("decode-invite", mutation, reason, &["token"], fields! { "token": token(&json) }));
    }
    let decoded =
        fields! { "decoded": fields! { "v": 1, "ed25519PublicKey": a.as_str(), "x25519PublicKey": b.as_str() } };
    let unknown = good.replacen("\"v\":1", "\"v\":1,\"note\":\"x\"", 1);
    cases.push(opened(
        "decode-invite",
        "unknown member",
        "a later revision may add some; the schema of this one has none",
        &unknown,
        &decoded,
    ));
    let loose = good.replace(',', ", ").replace(':', ": ");
    cases.push(opened(
        "decode-invite",
        "blanks in the JSON",
        "tokens are compact, but nothing depends on it",
        &loose,
        &decoded,
    ));
    cases
}

fn opened(op: &str, mutation: &str, reason: &str, json: &str, decoded: &Fields) -> Value {
    either(op, mutation, reason, &["token"], false, fields! { "token": token(json) }, decoded.clone())
}

/// Mutation, reason, and the JSON of the token.
const WRONG_LOCATORS: [(&str, &str, &str); 8] = [
    ("without host", "a locator says where", "{\"v\":1,\"repoId\":\"r\"}"),
    ("without id", "a locator says which", "{\"v\":1,\"host\":\"h\"}"),
    ("host null", "a locator says where", "{\"v\":1,\"host\":null,\"repoId\":\"r\"}"),
    ("id as number", "an id is a text", "{\"v\":1,\"host\":\"h\",\"repoId\":7}"),
    ("epoch as text", "int64 is a JSON integer", "{\"v\":1,\"host\":\"h\",\"repoId\":\"r\",\"keyEpoch\":\"3\"}"),
    ("epoch with a fraction", "int64 is a JSON integer", "{\"v\":1,\"host\":\"h\",\"repoId\":\"r\",\"keyEpoch\":3.5}"),
    (
        "epoch of 2^63",
        "one more than int64 takes",
        "{\"v\":1,\"host\":\"h\",\"repoId\":\"r\",\"keyEpoch\":9223372036854775808}",
    ),
    (
        "issuer as list",
        "the issuer's key set is one URL",
        "{\"v\":1,\"host\":\"h\",\"repoId\":\"r\",\"issuerJwksUrl\":[]}",
    ),
];

fn locators() -> Vec<Value> {
    let good = "{\"v\":1,\"host\":\"vault.example\",\"repoId\":\"r-1\",\"keyEpoch\":3}";
    let mut cases = tokens("decode-locator", good, "[1,\"vault.example\",\"r-1\",null,3,null]");
    let standard = base64::encode(good.replace("r-1", "???>>>~~~").as_bytes());
    cases.push(rejected(
        "decode-locator",
        "standard alphabet",
        "tokens have the URL alphabet",
        &["token"],
        fields! { "token": standard.trim_end_matches('=') },
    ));
    for (mutation, reason, json) in WRONG_LOCATORS {
        cases.push(rejected("decode-locator", mutation, reason, &["token"], fields! { "token": token(json) }));
    }
    let bare = fields! { "v": 1, "host": "h", "repoId": "r", "schemeId": Value::Null, "keyEpoch": Value::Null, "issuerJwksUrl": Value::Null };
    let decoded = fields! { "decoded": bare };
    let nulls = "{\"v\":1,\"host\":\"h\",\"repoId\":\"r\",\"schemeId\":null,\"keyEpoch\":null,\"issuerJwksUrl\":null}";
    cases.push(opened(
        "decode-locator",
        "hints of null",
        "an optional member may be absent; null stands for that elsewhere",
        nulls,
        &decoded,
    ));
    let unknown = "{\"v\":1,\"host\":\"h\",\"repoId\":\"r\",\"note\":\"x\"}";
    cases.push(opened(
        "decode-locator",
        "unknown member",
        "a later revision may add some; the schema of this one has none",
        unknown,
        &decoded,
    ));
    cases
}

fn payloads() -> Vec<Value> {
    let account = "{\"uuid\":\"u\",\"username\":\"n\",\"accessToken\":\"t\",\"type\":\"OFFLINE\",\"lastUsed\":1}";
    let with = |account: &str| format!("{{\"alts\":[{account}],\"payloadVersion\":1}}");
    let rows = [
        ("empty", "nothing is no JSON", String::new()),
        ("not JSON", "the plaintext is JSON", "hello".into()),
        ("an array", "the plaintext is an object", "[[],1]".into()),
        ("cut", "half an object is none", with(account)[..20].to_owned()),
        ("something behind the object", "one object and nothing else", with(account) + "{}"),
        ("without alts", "an empty list of accounts is a list", "{\"payloadVersion\":1}".into()),
        ("alts of null", "an empty list of accounts is a list", "{\"alts\":null,\"payloadVersion\":1}".into()),
        ("alts an object", "accounts stand in a list", format!("{{\"alts\":{account},\"payloadVersion\":1}}")),
        ("account of null", "an account is an object", with("null")),
        ("account an array", "an account is an object", with("[\"u\",\"n\",\"t\",\"OFFLINE\",1]")),
        ("version as text", "int64 is a JSON integer", "{\"alts\":[],\"payloadVersion\":\"1\"}".into()),
        ("last use as text", "int64 is a JSON integer", with(&account.replace(":1}", ":\"1\"}"))),
        ("last use with a fraction", "int64 is a JSON integer", with(&account.replace(":1}", ":1.5}"))),
        ("last use of 2^63", "one more than int64 takes", with(&account.replace(":1}", ":9223372036854775808}"))),
        ("name as number", "names are texts", with(&account.replace("\"n\"", "7"))),
    ];
    rows.into_iter()
        .map(|(mutation, reason, json)| {
            rejected("parse-payload", mutation, reason, &["payload"], fields! { "plaintextUtf8": json })
        })
        .collect()
}

fn addresses() -> Vec<Value> {
    let rows = [
        ("https scheme", "the scheme is avp", "https://h/r"),
        ("no scheme", "the scheme is avp", "h/r"),
        ("one slash", "an authority follows two slashes", "avp:/h/r"),
        ("no slashes", "an authority follows two slashes", "avp:h/r"),
        ("longer scheme", "the scheme is avp", "avps://h/r"),
        ("no host", "a repository lies on a host", "avp:///r"),
        ("port alone", "a repository lies on a host", "avp://:80/r"),
        ("no id", "an address names a repository", "avp://h"),
        ("empty id", "an address names a repository", "avp://h/"),
        ("empty", "nothing is no address", ""),
        ("user before the host", "an authority is host or host:port", "avp://user@h/r"),
        ("port of letters", "a port is a number", "avp://h:http/r"),
        ("port of 65536", "a port has 16 bits", "avp://h:65536/r"),
        ("negative port", "a port has no sign", "avp://h:-1/r"),
        ("two ports", "an authority is host or host:port", "avp://h:1:2/r"),
        ("open bracket", "an IPv6 host stands in brackets", "avp://[::1/r"),
        ("no IPv6 in brackets", "brackets are for IPv6", "avp://[vault]/r"),
        ("blank in the host", "no blanks in a URI", "avp://va ult/r"),
        ("blank before", "nothing is trimmed", " avp://h/r"),
        ("line break behind", "nothing is trimmed", "avp://h/r\n"),
        ("backslashes", "slashes are slashes", "avp:\\\\h\\r"),
    ];
    let mut cases: Vec<Value> = rows
        .into_iter()
        .map(|(mutation, reason, uri)| {
            rejected("parse-address", mutation, reason, &["address"], fields! { "uri": uri })
        })
        .collect();
    let open = |mutation: &str, reason: &str, uri: &str, id: &str| {
        either(
            "parse-address",
            mutation,
            reason,
            &["address"],
            false,
            fields! { "uri": uri },
            fields! { "host": "h", "repoId": id },
        )
    };
    cases.push(open("scheme in capitals", "RFC 3986 3.1: schemes know no letter case", "AVP://h/r", "r"));
    cases.push(open("slash in the id", "an id is opaque, but a slash ends a segment", "avp://h/a/b", "a/b"));
    cases
}

fn forged_bindings() -> Made<Vec<Value>> {
    let mut valid = bindings::signed("alice")?;
    valid.remove("issuerSeedHex");
    valid.remove("expectedMessageUtf8");
    let other = bindings::signed("bob")?;
    let mut cases = Vec::new();
    let mut add = |mutation: &str, reason: &str, changes: &[(&str, Value)]| {
        let mut members = valid.clone();
        members.extend(changes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        cases.push(rejected("verify-binding", mutation, reason, &["binding"], members));
    };
    let (ed25519, x25519, signature) =
        (valid["ed25519PublicKey"].clone(), valid["x25519PublicKey"].clone(), valid["keyBindingSig"].clone());
    add(
        "another issuer",
        "a binding is worth its issuer",
        &[("issuerPublicKeyB64", other["issuerPublicKeyB64"].clone())],
    );
    add(
        "another X25519 key",
        "the attack that a binding prevents: a server gives its own key",
        &[("x25519PublicKey", other["x25519PublicKey"].clone())],
    );
    add(
        "another member",
        "a binding doesn't move to another member",
        &[("ed25519PublicKey", other["ed25519PublicKey"].clone())],
    );
    add("keys swapped", "each key has its place", &[("ed25519PublicKey", x25519), ("x25519PublicKey", ed25519)]);
    add(
        "signature of another binding",
        "a signature belongs to its message",
        &[("keyBindingSig", other["keyBindingSig"].clone())],
    );
    add("last bit of the signature", "every bit counts", &[("keyBindingSig", flipped(&signature, 32, 1))]);
    let url = signature.as_str().unwrap_or_default().replace('+', "-").replace('/', "_");
    for (mutation, reason, spelled) in [
        ("signature a byte short", "a signature has 64 bytes", changed(&signature, shorten)),
        ("empty signature", "no signature is no binding", "".into()),
        ("signature in base64url", "binary values have the standard alphabet", url.trim_end_matches('=').into()),
    ] {
        add(mutation, reason, &[("keyBindingSig", spelled)]);
    }
    Ok(cases)
}
