//! What a codec can be asked, as one request with one answer. Vectors, the shim protocol and the random cases all speak
//! in these terms; `examples/shims/README.md` describes them for authors of shims.

use super::fields::{FieldError, Fields, string};
use crate::requirements::{self as rules, Requirement};
use serde_json::Value;

macro_rules! ops {
    ($($variant:ident = $name:literal, $section:literal, [$($rule:ident),+], $title:literal;)*) => {
        /// An operation of a codec.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum CodecOp {
            $(#[doc = $title] $variant,)*
        }

        impl CodecOp {
            /// Every operation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its name in the protocol.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The section of the specification that it belongs to.
            pub fn section(self) -> &'static str {
                match self { $(Self::$variant => $section,)* }
            }

            /// What it does, in one line.
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            /// The rules that its answers prove or break.
            pub fn requirements(self) -> &'static [&'static Requirement] {
                match self {
                    $(Self::$variant => {
                        static RULES: &[&Requirement] = &[$(&rules::$rule),+];
                        RULES
                    })*
                }
            }
        }
    };
}

ops! {
    Aad = "aad", "§4", [CLIENT_AAD, INT64], "builds the additional authenticated data";
    Encrypt = "encrypt", "§4", [CLIENT_AAD], "encrypts a payload";
    Decrypt = "decrypt", "§4", [CLIENT_AAD], "decrypts a payload";
    Wrap = "wrap", "§4", [CLIENT_WRAP], "wraps a data key to a recipient";
    Unwrap = "unwrap", "§4", [CLIENT_WRAP], "unwraps a data key";
    X25519 = "x25519", "§4", [CLIENT_WRAP], "multiplies an X25519 point by a scalar";
    X25519PublicKey = "x25519-public-key", "§4", [CLIENT_WRAP, KEY_ENCODING], "derives an X25519 public key";
    Hkdf = "hkdf", "§4", [CLIENT_WRAP], "derives a key by HKDF";
    Ed25519PublicKey = "ed25519-public-key", "§2", [KEY_ENCODING], "derives an Ed25519 public key from its seed";
    Sign = "sign", "§3", [SIGNATURE_VERIFIED], "makes an Ed25519 signature";
    Verify = "verify", "§3", [SIGNATURE_VERIFIED, SIGNATURE_STRICT], "verifies an Ed25519 signature";
    SignNonce = "sign-nonce", "§3", [SIGNATURE_RAW], "signs the raw bytes of a challenge nonce";
    BindingMessage = "binding-message", "§9", [CLIENT_VERIFIES_BINDING], "builds the message of a key binding";
    VerifyBinding = "verify-binding", "§9", [CLIENT_VERIFIES_BINDING], "verifies a key binding";
    EncodeInvite = "encode-invite", "§8.1", [CLIENT_TOKENS_V1], "encodes an invite request";
    DecodeInvite = "decode-invite", "§8.1", [CLIENT_TOKENS_V1], "decodes an invite request";
    EncodeLocator = "encode-locator", "§8.1", [CLIENT_TOKENS_V1], "encodes a repo locator";
    DecodeLocator = "decode-locator", "§8.1", [CLIENT_TOKENS_V1], "decodes a repo locator";
    ParseAddress = "parse-address", "§8", [CREATE_IDS_EXACT], "parses an avp:// address";
    FormatAddress = "format-address", "§8", [CREATE_IDS_EXACT], "writes an avp:// address";
    ParsePayload = "parse-payload", "§5", [CLIENT_PROVENANCE_ABSENT], "reads a decrypted payload";
    EncodeBase64 = "encode-base64", "§2", [BASE64], "encodes bytes as base64";
    DecodeBase64 = "decode-base64", "§2", [BASE64], "decodes base64";
}

impl CodecOp {
    /// Whether its success says anything beyond success.
    pub fn has_result(self) -> bool {
        !matches!(self, Self::Verify | Self::VerifyBinding)
    }

    /// The operation of a name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|op| op.name() == name)
    }
}

/// A question to a codec.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// What to do.
    pub op: CodecOp,
    /// With what.
    pub fields: Fields,
}

impl Request {
    /// Puts operation and members together.
    pub fn new(op: CodecOp, fields: Fields) -> Self {
        Self { op, fields }
    }

    /// The line that asks a shim, without its line break.
    pub fn to_line(&self, id: u64) -> String {
        let mut map = super::fields::fields! { "id": id, "op": self.op.name() };
        map.extend(self.fields.iter().map(|(name, value)| (name.clone(), value.clone())));
        Value::Object(map).to_string()
    }

    /// Reads such a line.
    ///
    /// # Errors
    /// In words, for anything but a JSON object with a known `op`; the id comes along if it could be read.
    pub fn of_line(line: &str) -> Result<(u64, Self), (Option<u64>, BadRequest)> {
        let mut fields: Fields =
            serde_json::from_str(line).map_err(|error| (None, BadRequest::Json(error.to_string())))?;
        let id = fields.remove("id").and_then(|id| id.as_u64()).ok_or((None, BadRequest::Id))?;
        let name = string(&fields, "op").map_err(|error| (Some(id), BadRequest::Field(error)))?;
        let op = CodecOp::by_name(name).ok_or_else(|| (Some(id), BadRequest::Op(name.to_owned())))?;
        fields.remove("op");
        Ok((id, Self { op, fields }))
    }
}

/// Why a line isn't a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    /// No JSON object.
    #[error("not a JSON object: {0}")]
    Json(String),
    /// Without a number to answer to.
    #[error("`id` is missing or no number")]
    Id,
    /// `op` is missing or no string.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// An operation that doesn't exist.
    #[error("there is no operation {0:?}")]
    Op(String),
}

/// What a codec says to a request.
#[derive(Clone, Debug, PartialEq)]
pub enum CodecAnswer {
    /// Done; the members are the result.
    Result(Fields),
    /// The input isn't valid, and why.
    Reject(String),
    /// The codec has no such operation.
    Unsupported(String),
    /// Something went wrong that says nothing about the input.
    Error(String),
}

impl CodecAnswer {
    /// The line that answers a request, without its line break.
    pub fn to_line(&self, id: u64) -> String {
        let (name, value) = match self {
            Self::Result(fields) => ("result", Value::Object(fields.clone())),
            Self::Reject(text) => ("reject", text.as_str().into()),
            Self::Unsupported(text) => ("unsupported", text.as_str().into()),
            Self::Error(text) => ("error", text.as_str().into()),
        };
        let mut map = super::fields::fields! { "id": id };
        map.insert(name.into(), value);
        Value::Object(map).to_string()
    }

    /// Reads such a line.
    ///
    /// # Errors
    /// In words, for anything but a JSON object with a numeric `id` and exactly one of `result` (an object), `reject`,
    /// `unsupported` and `error`.
    pub fn of_line(line: &[u8]) -> Result<(u64, Self), String> {
        let mut map: Fields = serde_json::from_slice(line).map_err(|error| format!("not a JSON object ({error})"))?;
        let id = map.get("id").and_then(Value::as_u64).ok_or("without a numeric `id`")?;
        let kinds = ["result", "reject", "unsupported", "error"];
        let mut found = kinds.into_iter().filter(|kind| map.contains_key(*kind));
        let (Some(kind), None) = (found.next(), found.next()) else {
            return Err("without exactly one of `result`, `reject`, `unsupported` and `error`".into());
        };
        let value = map.remove(kind).unwrap_or_default();
        let text = || value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let answer = match kind {
            "result" => match value {
                Value::Object(fields) => Self::Result(fields),
                other => return Err(format!("whose `result` is {} instead of an object", super::fields::kind(&other))),
            },
            "reject" => Self::Reject(text()),
            "unsupported" => Self::Unsupported(text()),
            _ => Self::Error(text()),
        };
        Ok((id, answer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_survive_the_wire() {
        let request = Request::new(CodecOp::Aad, super::super::fields::fields! { "keyEpoch": i64::MIN });
        assert_eq!(Request::of_line(&request.to_line(7)), Ok((7, request)));
        assert!(matches!(Request::of_line(r#"{"id":1,"op":"fly"}"#), Err((Some(1), BadRequest::Op(_)))));
        assert!(matches!(Request::of_line("[]"), Err((None, BadRequest::Json(_)))));
    }

    #[test]
    fn answers_survive_the_wire_and_garbage_does_not() {
        for answer in [
            CodecAnswer::Result(super::super::fields::fields! { "a": 1 }),
            CodecAnswer::Reject("no".into()),
            CodecAnswer::Unsupported(String::new()),
            CodecAnswer::Error("oops".into()),
        ] {
            assert_eq!(CodecAnswer::of_line(answer.to_line(3).as_bytes()), Ok((3, answer)));
        }
        for garbage in [
            "",
            "hello",
            "[]",
            "{}",
            r#"{"id":1}"#,
            r#"{"id":1,"result":{},"reject":""}"#,
            r#"{"id":"1","reject":""}"#,
            r#"{"id":1,"result":[]}"#,
        ] {
            assert!(CodecAnswer::of_line(garbage.as_bytes()).is_err(), "{garbage}");
        }
    }

    #[test]
    fn names_are_unique() {
        for op in CodecOp::ALL {
            assert_eq!(CodecOp::by_name(op.name()), Some(*op));
        }
    }
}
