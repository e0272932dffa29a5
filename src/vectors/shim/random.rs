//! Random questions. A recipe is what a question is made of; making the recipe simpler makes the question simpler, and
//! it stays a sound question all the way.

use serde_json::Value;

use super::super::evaluate::evaluate;
use super::super::fields::{Fields, fields};
use super::super::op::{CodecAnswer, CodecOp, Request};
use super::mutate::{Mutation, mutate};
use crate::codec::key_wrap::{self, SCHEME_ID};
use crate::codec::payload::{AltAccount, AltPayload, AltType, Ban};
use crate::codec::{base64, signature};
use crate::ground::Choices;
use crate::ground::hex;

/// What a question is made of. Not every operation uses everything.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Recipe {
    pub op: CodecOp,
    /// Repository id, name, or whatever text there is.
    pub id: String,
    /// Plaintext.
    pub text: String,
    pub version: i64,
    pub epoch: i64,
    /// Seeds, private keys, data keys.
    pub keys: [[u8; 32]; 3],
    pub iv: [u8; 12],
    /// Message or key material.
    pub bytes: Vec<u8>,
    pub host: String,
    /// Bits that say which optional things are there.
    pub options: u8,
    pub mutation: Option<Mutation>,
}

/// A question with what a codec that draws its own ephemeral key is judged by.
pub(super) struct Made {
    pub request: Request,
    pub recipient_private: Option<String>,
}

impl Recipe {
    /// A random recipe for an operation.
    pub(super) fn random(op: CodecOp, choices: &mut Choices) -> Self {
        let mut iv = [0; 12];
        iv.iter_mut().for_each(|byte| *byte = choices.draw().to_le_bytes()[0]);
        let length = size(choices);
        let bytes = (0..length).map(|_| choices.draw().to_le_bytes()[0]).collect();
        let mutable = super::mutate::targets(op).len();
        let mutation = (mutable > 0 && choices.below(3) == 0).then(|| Mutation::random(op, choices));
        Self {
            op,
            id: if op == CodecOp::ParseAddress || op == CodecOp::FormatAddress {
                segment(choices)
            } else {
                text(choices, 24)
            },
            text: text(choices, length),
            version: integer(choices),
            epoch: integer(choices),
            keys: std::array::from_fn(|_| key(choices)),
            iv,
            bytes,
            host: host(choices),
            options: choices.draw().to_le_bytes()[0],
            mutation,
        }
    }

    /// The question. `None` when our own codec can't make its ingredients (which the tests rule out).
    pub(super) fn make(&self) -> Option<Made> {
        let mut fields = self.fields()?;
        if let Some(mutation) = &self.mutation {
            mutate(&mut fields, self.op, mutation);
        }
        let recipient_private = (self.op == CodecOp::Wrap).then(|| base64::encode(&self.keys[1]));
        Some(Made { request: Request::new(self.op, fields), recipient_private })
    }

    fn fields(&self) -> Option<Fields> {
        let [a, b, c] = &self.keys;
        let b64 = |bytes: &[u8]| base64::encode(bytes);
        let x_public = |private| b64(&key_wrap::public_key(private));
        let place = || fields! { "repoId": self.id.as_str(), "payloadVersion": self.version, "keyEpoch": self.epoch };
        let sealing = || {
            let mut fields = place();
            fields.extend(fields! { "keyB64": b64(a), "ivB64": b64(&self.iv), "plaintextUtf8": self.text.as_str() });
            fields
        };
        let wrapping = || {
            fields! { "dataKeyB64": b64(a), "recipientPublicKeyB64": x_public(b), "ephemeralPrivateKeyB64": b64(c),
            "ivB64": b64(&self.iv) }
        };
        Some(match self.op {
            CodecOp::Aad => place(),
            CodecOp::Encrypt => sealing(),
            CodecOp::Decrypt => {
                let mut fields = sealing();
                fields.extend(ours(CodecOp::Encrypt, &fields)?);
                fields.remove("plaintextUtf8");
                fields
            }
            CodecOp::Wrap => wrapping(),
            CodecOp::Unwrap => {
                let mut fields = ours(CodecOp::Wrap, &wrapping())?;
                fields.insert("recipientPrivateKeyB64".into(), b64(b).into());
                fields
            }
            CodecOp::X25519 => {
                fields! { "scalarHex": hex::encode(a), "uCoordinateHex": hex::encode(&key_wrap::public_key(b)) }
            }
            CodecOp::X25519PublicKey => fields! { "privateKeyB64": b64(a) },
            CodecOp::Hkdf => {
                fields! { "hash": "SHA-256", "ikmHex": hex::encode(&self.bytes), "saltHex": hex::encode(&a[..usize::from(self.options % 33)]),
                "infoHex": hex::encode(self.id.as_bytes()), "length": 1 + i64::from(self.options % 100) }
            }
            CodecOp::Ed25519PublicKey => fields! { "seedHex": hex::encode(a) },
            CodecOp::Sign => fields! { "seedHex": hex::encode(a), "messageHex": hex::encode(&self.bytes) },
            CodecOp::Verify => {
                fields! { "publicKeyHex": hex::encode(&signature::public_key(a)), "messageHex": hex::encode(&self.bytes),
                "signatureHex": hex::encode(&signature::sign(a, &self.bytes)) }
            }
            CodecOp::SignNonce => fields! { "seedHex": hex::encode(a), "nonce": b64(&[&b[..], &self.bytes].concat()) },
            _ => return self.texts(),
        })
    }

    /// As [`Self::fields`], for operations on texts.
    fn texts(&self) -> Option<Fields> {
        let [a, b, c] = &self.keys;
        let public = |seed| base64::encode(&signature::public_key(seed));
        let keys =
            || fields! { "ed25519PublicKey": public(a), "x25519PublicKey": base64::encode(&key_wrap::public_key(b)) };
        Some(match self.op {
            CodecOp::BindingMessage => keys(),
            CodecOp::VerifyBinding => {
                let mut fields = keys();
                let message = ours(CodecOp::BindingMessage, &fields)?;
                let signed = signature::sign(c, message.get("messageUtf8")?.as_str()?.as_bytes());
                fields.extend(fields! { "issuerPublicKeyB64": public(c), "keyBindingSig": base64::encode(&signed) });
                fields
            }
            CodecOp::EncodeInvite => keys(),
            CodecOp::DecodeInvite => ours(CodecOp::EncodeInvite, &keys())?,
            CodecOp::EncodeLocator => self.locator(),
            CodecOp::DecodeLocator => ours(CodecOp::EncodeLocator, &self.locator())?,
            CodecOp::ParseAddress => fields! { "uri": format!("avp://{}/{}", self.host, self.id) },
            CodecOp::FormatAddress => fields! { "host": self.host.as_str(), "repoId": self.id.as_str() },
            CodecOp::ParsePayload => fields! { "plaintextUtf8": self.payload() },
            CodecOp::EncodeBase64 => fields! { "hex": hex::encode(&self.bytes) },
            CodecOp::DecodeBase64 => fields! { "base64": base64::encode(&self.bytes) },
            _ => return None,
        })
    }

    fn has(&self, bit: u8) -> bool {
        self.options >> bit & 1 == 1
    }

    fn locator(&self) -> Fields {
        let mut fields = fields! { "host": self.host.as_str(), "repoId": self.id.as_str() };
        let hints = [
            ("schemeId", Value::from(SCHEME_ID)),
            ("keyEpoch", self.epoch.into()),
            ("issuerJwksUrl", "https://idp.example/jwks.json".into()),
        ];
        for (bit, (name, value)) in (0..).zip(hints) {
            if self.has(bit) {
                fields.insert(name.into(), value);
            }
        }
        fields
    }

    fn payload(&self) -> String {
        let kinds = [AltType::Microsoft, AltType::Cookie, AltType::Session, AltType::Offline];
        let ban = Ban {
            banned: self.has(0),
            observed_at: self.epoch,
            source: "s".into(),
            detail: self.id.clone(),
            observed_by: self.has(1).then(|| base64::encode(&self.keys[0])),
        };
        let account = AltAccount {
            uuid: "u".into(),
            username: self.id.clone(),
            access_token: self.text.clone(),
            kind: kinds[usize::from(self.options & 3)],
            last_used: self.epoch,
            last_used_by: self.has(2).then(|| base64::encode(&self.keys[1])),
            ban: self.has(3).then_some(ban),
            source_client: self.has(4).then(|| "c".into()),
            source_user: self.has(5).then(|| self.id.clone()),
        };
        let payload = AltPayload { alts: vec![account; usize::from(self.options >> 6)], payload_version: self.version };
        let json = payload.to_json();
        // Older clients leave out what newer ones write as null.
        if self.has(1) { json } else { json.replace(",\"sourceClient\":null", "").replace(",\"ban\":null", "") }
    }
}

fn ours(op: CodecOp, fields: &Fields) -> Option<Fields> {
    match evaluate(&Request::new(op, fields.clone())) {
        Ok(CodecAnswer::Result(result)) => Some(result),
        _ => None,
    }
}

/// Mostly small, sometimes around the borders of blocks, seldom large.
fn size(choices: &mut Choices) -> usize {
    match choices.below(20) {
        0 => 0,
        1..=6 => [1, 15, 16, 17, 31, 32, 33, 63, 64, 65][choices.below(10)],
        7 => choices.below(2048),
        _ => choices.below(64),
    }
}

/// An integer with a liking for borders.
fn integer(choices: &mut Choices) -> i64 {
    let any = choices.draw().cast_signed();
    match choices.below(4) {
        0 => {
            let border = [0, 1 << 31, 1 << 32, 1 << 53, i64::MAX, i64::MIN][choices.below(6)];
            border.wrapping_add(i64::try_from(choices.below(5)).unwrap_or(0) - 2)
        }
        1 => any,
        _ => any >> choices.below(64),
    }
}

/// A key; now and then one with a special pattern.
fn key(choices: &mut Choices) -> [u8; 32] {
    match choices.below(24) {
        0 => [0xff; 32],
        1 => [0x01; 32],
        _ => {
            let mut key = [0; 32];
            key.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&choices.draw().to_le_bytes()));
            key
        }
    }
}

/// Text of at most so many characters from several scripts, controls among them.
fn text(choices: &mut Choices, most: usize) -> String {
    const PALETTES: [&[char]; 5] = [
        &['a', 'b', 'Z', '0', '-', '_', '.'],
        &['é', 'ü', 'ß', 'e', '\u{301}', 'Ω'],
        &['\u{4fdd}', '\u{5eab}', '\u{1f511}', '\u{1f680}', '\u{ffff}', '\u{10ffff}'],
        &['\u{1f}', '\0', '\n', '\t', '\u{8}', '\u{7f}', '\u{2028}', '\u{feff}'],
        &['"', '\\', '/', '|', ' ', '%', '+', '=', '<', '\'', '?', '>', '~'],
    ];
    let length = choices.below(most + 1);
    let mixed = choices.below(3) == 0;
    let palette = choices.below(PALETTES.len());
    let mut pick = || {
        let palette = PALETTES[if mixed { choices.below(PALETTES.len()) } else { palette }];
        palette[choices.below(palette.len())]
    };
    (0..length).map(|_| pick()).collect()
}

/// A repository id as it may stand in an address: no blanks, nothing that ends a segment.
fn segment(choices: &mut Choices) -> String {
    const PIECES: [&str; 10] = ["a", "Z", "7", "-", ".", "_", "~", "%2F", "\u{e9}", "r"];
    let length = 1 + choices.below(12);
    (0..length).map(|_| PIECES[choices.below(PIECES.len())]).collect()
}

fn host(choices: &mut Choices) -> String {
    let name = ["vault.example", "h", "192.0.2.1", "[2001:db8::1]", "a-b.c9"][choices.below(5)];
    match choices.below(2) {
        0 => name.to_owned(),
        _ => format!("{name}:{}", 1 + choices.below(65_535)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recipe_makes_a_question_that_our_codec_understands() {
        let mut choices = Choices::new(1, "test");
        for op in CodecOp::ALL {
            let mut accepted = 0;
            for _ in 0..60 {
                let made = Recipe::random(*op, &mut choices).make().expect("ingredients");
                let answer = evaluate(&made.request).unwrap_or_else(|error| panic!("{op:?}: {error}"));
                accepted += usize::from(matches!(answer, CodecAnswer::Result(_)));
            }
            assert!(accepted > 20, "{op:?}: {accepted} of 60 accepted");
        }
    }
}
