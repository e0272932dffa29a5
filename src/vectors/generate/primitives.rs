//! `aad.json`, `base64.json` and the cases of the RFCs.

use serde_json::Value;

use super::super::fields::fields;
use super::super::op::CodecOp;
use super::super::rfc;
use super::{Made, case, file, member, ours, seed};

use crate::ground::hex;

const UUID: &str = "3b1f9c64-0b2a-4f1e-9c3d-1a2b3c4d5e6f";

pub(super) fn aad() -> Made<Value> {
    let mut cases = Vec::new();
    let mut add = |name: &str, reason: &str, flag: &str, id: &str, version: i64, epoch: i64| -> Made<()> {
        let mut input = fields! { "repoId": id, "payloadVersion": version, "keyEpoch": epoch };
        let expected = member(&ours(CodecOp::Aad, &input)?, "aadHex")?;
        input.insert("expectedAadHex".into(), expected);
        cases.push(case(name, reason, &[flag], input));
        Ok(())
    };
    add("ordinary", "what most repositories look like", "ordinary", UUID, 7, 2)?;
    for (name, reason, id) in ids() {
        add(name, reason, "repo-id", &id, 1, 0)?;
    }
    add("separator-in-id", "the separator may stand in the id; nothing is escaped", "separator", "a\u{1f}b", 1, 0)?;
    add("separator-only", "an id of the separator alone gives two of them", "separator", "\u{1f}", 1, 0)?;
    add("separator-ends-id", "differs from the id without it by one byte", "separator", "a\u{1f}", 1, 0)?;
    let lookalike = "a\u{1f}\0\0\0\0\0\0\0\u{1}\0\0\0\0\0\0\0\u{2}";
    add(
        "id-looks-like-aad",
        "an id that is itself additional data of another repository",
        "separator",
        lookalike,
        3,
        4,
    )?;
    for (name, reason, number) in counters() {
        add(&format!("version-{name}"), reason, "counter", "r", number, 0)?;
        add(&format!("epoch-{name}"), reason, "counter", "r", 0, number)?;
    }
    add("version-1-epoch-2", "the version stands before the epoch", "order", "r", 1, 2)?;
    add("version-2-epoch-1", "its counterpart: a swap makes one of the two wrong", "order", "r", 2, 1)?;
    add("both-max", "both counters at their upper bound", "counter", "r", i64::MAX, i64::MAX)?;
    add("both-min", "both counters at their lower bound", "counter", "r", i64::MIN, i64::MIN)?;
    Ok(file("Additional authenticated data of payload ciphertexts (SPEC section 4).", cases))
}

fn ids() -> Vec<(&'static str, &'static str, String)> {
    vec![
        ("empty-id", "an empty id leaves the separator at the front", String::new()),
        ("one-character-id", "the shortest id that is one", "a".into()),
        ("latin-id", "UTF-8, two bytes for a character", "dépôt-ü".into()),
        ("decomposed-id", "no normalization: e and U+0301 stay two characters", "de\u{301}po\u{302}t".into()),
        ("cjk-id", "UTF-8, three bytes for a character", "\u{4fdd}\u{7ba1}\u{5eab}".into()),
        (
            "emoji-id",
            "UTF-8, four bytes: not the surrogates of UTF-16",
            "\u{1f511}vault\u{1f9d1}\u{200d}\u{1f680}".into(),
        ),
        ("nul-id", "no C string: a NUL doesn't end it", "a\0b".into()),
        ("case-id", "ids are exact: capitals stay capitals", "RePo".into()),
        ("blank-id", "nothing is trimmed", " r ".into()),
        ("quoted-id", "JSON escapes belong to JSON, not to the id", "\"\\/\n\t".into()),
        ("percent-id", "percent escapes belong to URLs: they stay as they are", "a%2Fb%1F".into()),
        ("digits-id", "an id of digits is no number", "0123456789".into()),
        ("byte-order-mark-id", "U+FEFF at the start is a character like others", "\u{feff}r".into()),
        ("long-id", "255 characters", "r".repeat(255)),
        ("long-id-in-utf8", "255 characters of four bytes each: 1020 bytes", "\u{1f511}".repeat(255)),
    ]
}

fn counters() -> Vec<(&'static str, &'static str, i64)> {
    vec![
        ("0", "zero is eight bytes, too", 0),
        ("1", "the last byte is the least", 1),
        ("minus-1", "two's complement: all bits set", -1),
        ("255", "one byte full", 255),
        ("256", "the second byte from the end", 256),
        ("byte-order", "each byte differs: any other order shows", 0x0102_0304_0506_0708),
        ("2-31-minus-1", "the upper bound of 32 bits", i64::from(i32::MAX)),
        ("2-31", "one more than 32 bits take: no sign extension", 1 << 31),
        ("minus-2-31", "the lower bound of 32 bits: sign extension", i64::from(i32::MIN)),
        ("2-32", "the low 32 bits are zero", 1 << 32),
        ("2-53-minus-1", "the last integer that an IEEE double surely keeps", (1 << 53) - 1),
        ("2-53-plus-1", "the first integer that an IEEE double loses", (1 << 53) + 1),
        ("minus-2-53-minus-1", "the same below zero", -(1 << 53) - 1),
        ("max", "2^63 - 1, the upper bound", i64::MAX),
        ("min", "-2^63, the lower bound", i64::MIN),
    ]
}

pub(super) fn hkdf() -> Made<Value> {
    let mut cases: Vec<Value> = rfc::HKDF
        .iter()
        .map(|row| {
            case(row.source, "published case: anchors HKDF outside this project", &["rfc"], fields! {
                "source": row.source, "hash": "SHA-256", "ikmHex": row.ikm, "saltHex": row.salt, "infoHex": row.info,
                "length": row.length, "prkHex": row.prk, "okmHex": row.okm,
            })
        })
        .collect();
    let info = hex::encode(crate::codec::key_wrap::INFO.as_bytes());
    for (name, reason, salt, info, length) in [
        (
            "wrap-shape",
            "the sizes and the label of the wrap scheme",
            hex::encode(&seed::bytes::<32>("hkdf/salt")),
            info.as_str(),
            32,
        ),
        ("zero-salt", "a salt of 32 zero bytes is as good as none", "00".repeat(32), info.as_str(), 32),
        (
            "long-salt",
            "a salt longer than a block is hashed by HMAC",
            hex::encode(&seed::bytes::<65>("hkdf/long")),
            info.as_str(),
            32,
        ),
        ("empty-info", "without a label the key is another one", hex::encode(&seed::bytes::<32>("hkdf/salt")), "", 32),
        (
            "two-blocks",
            "more than one block of output",
            hex::encode(&seed::bytes::<32>("hkdf/salt")),
            info.as_str(),
            64,
        ),
        ("one-byte", "less than one block of output", hex::encode(&seed::bytes::<32>("hkdf/salt")), info.as_str(), 1),
    ] {
        let mut input = fields! { "hash": "SHA-256", "ikmHex": hex::encode(&seed::bytes::<32>("hkdf/ikm")),
        "saltHex": salt, "infoHex": info, "length": length };
        let output = ours(CodecOp::Hkdf, &input)?;
        input.extend(output);
        input.insert("source".into(), "avp-conform".into());
        cases.push(case(name, reason, &["own"], input));
    }
    Ok(file("HKDF-SHA256 (RFC 5869), which derives the key encryption key (SPEC section 4).", cases))
}

pub(super) fn x25519() -> Made<Value> {
    let mut cases: Vec<Value> = rfc::X25519
        .iter()
        .map(|row| {
            let name = format!("{}, {}", row.source, row.name);
            case(
                &name,
                "published case: anchors X25519 outside this project",
                &["rfc"],
                fields! {
                    "source": row.source, "scalarHex": row.scalar, "uCoordinateHex": row.u, "outputHex": row.output,
                },
            )
        })
        .collect();
    let mut high = seed::bytes::<32>("x25519/point");
    let plain = {
        high[31] &= 0x7f;
        high
    };
    high[31] |= 0x80;
    let scalar = seed::bytes::<32>("x25519/scalar");
    for (name, reason, scalar, point) in [
        ("base-point", "a key pair: the scalar times 9", scalar, nine()),
        ("unclamped-scalar", "clamping is part of the function: all bits set", [0xff; 32], nine()),
        ("zero-scalar", "clamping makes a scalar of zeros a valid one", [0; 32], nine()),
        ("random-point", "the counterpart of the next case", scalar, plain),
        ("high-bit-of-point", "the highest bit of a point is ignored: same output", scalar, high),
    ] {
        let mut input = fields! { "scalarHex": hex::encode(&scalar), "uCoordinateHex": hex::encode(&point) };
        let output = ours(CodecOp::X25519, &input)?;
        input.extend(output);
        input.insert("source".into(), "avp-conform".into());
        cases.push(case(name, reason, &["own"], input));
    }
    Ok(file("X25519 (RFC 7748), the key agreement of the wrap scheme (SPEC section 4).", cases))
}

fn nine() -> [u8; 32] {
    let mut point = [0; 32];
    point[0] = 9;
    point
}

pub(super) fn ed25519() -> Made<Value> {
    let mut cases: Vec<Value> = rfc::ED25519
        .iter()
        .map(|row| {
            let name = format!("{}, {}", row.source, row.name);
            case(
                &name,
                "published case: anchors Ed25519 outside this project",
                &["rfc"],
                fields! {
                    "source": row.source, "seedHex": row.seed, "publicKeyHex": row.public, "messageHex": row.message,
                    "signatureHex": row.signature,
                },
            )
        })
        .collect();
    for (name, reason, message) in [
        ("nonce", "a challenge nonce: 32 raw bytes", seed::bytes::<32>("ed25519/nonce").to_vec()),
        ("long-nonce", "a nonce may be longer", seed::bytes::<64>("ed25519/long").to_vec()),
        ("text", "a binding message is text", b"AA==|Ag==".to_vec()),
        (
            "one-block",
            "128 bytes: with prefix and keys, across blocks of SHA-512",
            seed::bytes::<128>("ed25519/block").to_vec(),
        ),
        ("kibibyte", "a long message", seed::bytes::<1024>("ed25519/kib").to_vec()),
    ] {
        let seed = hex::encode(&seed::bytes::<32>(&format!("ed25519/{name}/seed")));
        let mut input = fields! { "seedHex": seed, "messageHex": hex::encode(&message) };
        let signature = ours(CodecOp::Sign, &input)?;
        let public = ours(CodecOp::Ed25519PublicKey, &input)?;
        input.extend(signature.into_iter().chain(public));
        input.insert("source".into(), "avp-conform".into());
        cases.push(case(name, reason, &["own"], input));
    }
    Ok(file("Ed25519 (RFC 8032), which signs nonces, bindings and tokens (SPEC sections 3 and 9).", cases))
}

pub(super) fn base64() -> Made<Value> {
    let mut cases = Vec::new();
    let mut add = |name: &str, reason: &str, flag: &str, bytes: &[u8]| {
        let text = crate::codec::base64::encode(bytes);
        cases.push(case(name, reason, &[flag], fields! { "hex": hex::encode(bytes), "base64": text }));
    };
    for length in 0..=6 {
        let name = format!("RFC 4648 10, {length} bytes");
        add(&name, "published case", "rfc", &b"foobar"[..length]);
    }
    add("alphabet", "every character of the alphabet, in order", "own", &alphabet());
    add(
        "plus-and-slash",
        "the two characters that base64url spells otherwise",
        "own",
        &[0xfb, 0xef, 0xbe, 0xff, 0xff, 0xff],
    );
    for (length, reason) in [
        (12, "an IV: no padding"),
        (32, "a key: one character of padding"),
        (48, "a wrapped key"),
        (64, "a signature: two characters of padding"),
    ] {
        add(&format!("{length}-bytes"), reason, "own", &seed::bytes::<64>("base64/bytes")[..length]);
    }
    add("zeros", "zero bytes are bytes", "own", &[0; 32]);
    add("ones", "all bits set", "own", &[0xff; 32]);
    Ok(file("Base64 in the standard alphabet with padding (SPEC section 2, RFC 4648).", cases))
}

/// The 48 bytes whose encoding is the alphabet.
fn alphabet() -> Vec<u8> {
    (0_u8..64)
        .collect::<Vec<_>>()
        .chunks_exact(4)
        .flat_map(|four| [four[0] << 2 | four[1] >> 4, four[1] << 4 | four[2] >> 2, four[2] << 6 | four[3]])
        .collect()
}
