//! What a quirk reads in a request, and how it refuses one.

use axum::http::StatusCode;
use axum::http::request::Parts;

use crate::codec::jwt::Jwt;
use crate::server::credentials;
use crate::server::refusal::Refusal;
use crate::server::repo::Repo;
use crate::server::store::Store;

/// A refusal; 429 where the status is none.
pub(super) fn refuse(status: u16, code: &'static str, detail: &'static str) -> Refusal {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::TOO_MANY_REQUESTS);
    Refusal { status, code: Some(code), detail: detail.into() }
}

/// The repository in the path.
pub(super) fn repo(store: &Store, parts: &Parts) -> Result<Option<Repo>, Refusal> {
    let Some(raw) = parts.uri.path().strip_prefix("/v1/repos/").and_then(|rest| rest.split('/').next()) else {
        return Ok(None);
    };
    let id = credentials::decode_segment(raw)?;
    store.read(|tx| -> Result<_, Refusal> { Ok(tx.load(&id)?) })
}

/// Whose token it is. Only requests with a valid one get to where this is asked.
pub(super) fn caller(parts: &Parts) -> Option<String> {
    let token = Jwt::parse(&credentials::bearer(&parts.headers)?).ok()?;
    Some(token.subject()?.strip_prefix("key:")?.to_owned())
}
