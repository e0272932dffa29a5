//! The record of one request and its answer, shortened for people, with credentials masked.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use super::Mask;

/// How many bytes of a body a record keeps.
pub const KEPT_BODY: usize = 8192;

/// A body as far as a record keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordedBody {
    /// The first [`KEPT_BODY`] bytes, as text (invalid UTF-8 replaced).
    pub text: ByteString,
    /// Length of the whole body in bytes.
    pub length: usize,
}

impl RecordedBody {
    /// Keeps the beginning of a body, without credentials. A body that is kept as it is shares its memory.
    pub fn of(body: &Bytes, mask: &Mask) -> Self {
        let length = body.len();
        let whole = (length <= KEPT_BODY && mask.holds_none(body)).then(|| ByteString::try_from(body.clone()));
        match whole {
            Some(Ok(text)) => Self { text, length },
            _ => Self { text: mask.beginning(body, KEPT_BODY).into(), length },
        }
    }

    /// Whether the record is shorter than the body.
    pub fn is_cut(&self) -> bool {
        self.length > KEPT_BODY
    }
}

/// The gRPC call that an exchange was: its request and answer stand in the exchange as the JSON that says the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedCall {
    /// Service and method, e.g. `avp.Vault/Push`.
    pub method: Cow<'static, str>,
    /// `grpc-status`; `None` when the call didn't end.
    pub code: Option<u32>,
    /// The name of the code.
    pub status: Option<String>,
    /// `grpc-message`.
    pub message: Option<String>,
    /// Further metadata of headers and trailers, `name: value`, shortened.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metadata: Vec<String>,
}

/// One request and what came of it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Exchange {
    /// What the check was doing, e.g. `push`.
    pub operation: &'static str,
    /// HTTP method.
    pub method: String,
    /// Path and query as sent.
    pub path: String,
    /// `Authorization` as sent but shortened, `None` when there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization: Option<String>,
    /// The request's body.
    pub request: RecordedBody,
    /// Status code; `None` when no answer came.
    pub status: Option<u16>,
    /// The gRPC call that it was, if it was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc: Option<RecordedCall>,
    /// `Content-Type` of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// The answer's body.
    pub response: RecordedBody,
    /// Why no (whole) answer came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// From sending to the last byte.
    #[serde(rename = "durationMs", serialize_with = "milliseconds")]
    pub duration: Duration,
}

impl Exchange {
    /// How much memory it takes, in bytes; roughly.
    pub fn size(&self) -> usize {
        let optional = [&self.authorization, &self.content_type, &self.error].into_iter().flatten();
        let texts = [&self.method, &self.path].into_iter().chain(optional);
        let bodies = self.request.text.len() + self.response.text.len();
        // What the allocator and the lists that hold it add.
        size_of::<Self>() + 160 + bodies + texts.map(|text| text.capacity() + 16).sum::<usize>()
    }
}

fn milliseconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((duration.as_secs_f64() * 1e6).round() / 1e3)
}
