//! Request bodies: read up to a limit and a deadline, or thrown away politely.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;

use super::refusal::Refusal;

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(60);
/// How much of a body nobody wants is read, so that the connection can be used again.
const DISCARD: usize = 64 * 1024;
/// How long that may take.
const DISCARD_PATIENCE: Duration = Duration::from_secs(1);

/// The whole body.
///
/// # Errors
/// 413 when it is longer than `limit`, 408 when it takes too long, 400 when the transfer breaks.
pub async fn read(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Refusal> {
    if announced(headers).is_some_and(|length| length > limit) {
        return Err(Refusal::too_large(limit));
    }
    match timeout(PATIENCE, Limited::new(body, limit).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::too_large(limit)),
        Ok(Err(_)) => Err(Refusal::bad_request("the request body broke off")),
        Err(_) => Err(Refusal::too_slow()),
    }
}

/// Reads a small rest of a refused request; tells whether the connection is clean afterwards. A client that gets an early
/// refusal is still writing, and what it writes must not be taken for its next request.
pub async fn discard(headers: &HeaderMap, body: Body) -> bool {
    if announced(headers).is_some_and(|length| length > DISCARD) {
        return false;
    }
    let mut body = Limited::new(body, DISCARD);
    let drained = async {
        while let Some(frame) = body.frame().await {
            if frame.is_err() {
                return false;
            }
        }
        true
    };
    timeout(DISCARD_PATIENCE, drained).await.unwrap_or(false)
}

fn announced(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
