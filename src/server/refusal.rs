//! Refusals: every answer that isn't 2xx, with the error object of revision 0.3 as its body.

use std::borrow::Cow;

use axum::http::StatusCode;
use bytes::Bytes;
use serde::Serialize;

/// Why a request isn't carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: StatusCode,
    /// One of the codes of revision 0.3; `None` where it has no code for the case.
    pub code: Option<&'static str>,
    /// One sentence for a human. Never holds a token, a nonce or a part of the body.
    pub detail: Cow<'static, str>,
}

#[derive(Serialize)]
struct ErrorObject<'a> {
    error: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    detail: &'a str,
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code: Some(code), detail: detail.into() }
    }

    /// 400: the request isn't what the operation takes.
    pub fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", detail)
    }

    /// 401: no valid token, or a nonce that can't be redeemed.
    pub fn unauthorized(detail: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
    }

    /// 403: the caller has no authority here.
    pub fn forbidden(detail: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// 404: no such repository, member or route.
    pub fn not_found(detail: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// 409: the repository id is taken.
    pub fn duplicate_repo() -> Self {
        Self::new(StatusCode::CONFLICT, "duplicate_repo", "a repository with this id exists")
    }

    /// 413: more body than the server takes.
    pub fn too_large(limit: usize) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", format!("a request body has at most {limit} bytes"))
    }

    /// 405: the path exists, the method doesn't.
    pub fn wrong_method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "bad_request", "this path takes another method")
    }

    /// 408: the body didn't arrive in time.
    pub fn too_slow() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "bad_request", "the request body took too long")
    }

    /// 500: the server's own trouble (disk full, no entropy); no input leads here.
    pub fn internal(detail: &'static str) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, code: None, detail: detail.into() }
    }

    /// The error object (revision 0.3).
    pub fn body(&self) -> Bytes {
        let error = self.status.canonical_reason().unwrap_or("error");
        let object = ErrorObject { error, code: self.code, detail: &self.detail };
        // Three strings always serialise.
        serde_json::to_vec(&object).map(Bytes::from).unwrap_or_default()
    }
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        tracing::error!(%error, "storage failed");
        Self::internal("the storage failed")
    }
}
