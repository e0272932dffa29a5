//! Servers that misread media types, content codings and long headers (RFC 9110).

use std::io::{Read as _, Write as _};

use axum::http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use axum::http::request::Parts;
use axum::http::{Response, StatusCode};
use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::framing::says;
use super::table::*;
use crate::server::edge::Edge;
use crate::server::refusal::Refusal;
use crate::server::route::Route;
use crate::server::store::Store;

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Into memory: it can't fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

fn asks_for_gzip(parts: &Parts) -> bool {
    parts.headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains("gzip"))
}

fn compressed(mut response: Response<Bytes>, times: usize, declared: bool) -> Response<Bytes> {
    if declared {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response.map(|body| (0..times).fold(body, |body, _| gzipped(&body).into()))
}

fn refused(status: StatusCode, detail: &'static str) -> Refusal {
    Refusal { status, code: None, detail: detail.into() }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault("charset-refused", &NEGOTIATION, "application/json; charset=utf-8 is no JSON.", || edge(CharsetRefused)),
    fault("media-type-by-letter", &NEGOTIATION, "Application/JSON is no JSON.", || edge(MediaTypeByLetter)),
    fault("accept-list-refused", &NEGOTIATION, "Who accepts several media types is told that none is served.", || {
        edge(AcceptListRefused)
    }),
    fault("gzip-twice", &NEGOTIATION, "Answers are compressed twice and declared once.", || edge(GzipTwice)),
    fault("gzip-undeclared", &NEGOTIATION, "Answers are compressed, and nothing says so.", || edge(GzipUndeclared)),
    fault("gzip-though-refused", &NEGOTIATION, "gzip;q=0 is taken for gzip.", || edge(GzipThoughRefused)),
    fault("gzip-body-fatal", &NEGOTIATION, "A compressed body ends in a 500.", || edge(GzipBodyFatal)),
    fault("gzip-body-unbounded", &NEGOTIATION, "A compressed body is inflated to whatever size.", || {
        edge(GzipBodyUnbounded)
    }),
    fault("long-header-fatal", &FRAMING, "A header of some KiB ends in a 500.", || edge(LongHeaderFatal)),
];

struct CharsetRefused;

impl Edge for CharsetRefused {
    fn head(&self, _: Route, parts: &mut Parts) -> Result<(), Refusal> {
        if says(parts, CONTENT_TYPE).contains("charset") {
            Err(refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not JSON"))
        } else {
            Ok(())
        }
    }
}

struct MediaTypeByLetter;

impl Edge for MediaTypeByLetter {
    fn head(&self, _: Route, parts: &mut Parts) -> Result<(), Refusal> {
        let label = says(parts, CONTENT_TYPE);
        if label.chars().any(char::is_uppercase) {
            Err(refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not JSON"))
        } else {
            Ok(())
        }
    }
}

struct AcceptListRefused;

impl Edge for AcceptListRefused {
    fn head(&self, _: Route, parts: &mut Parts) -> Result<(), Refusal> {
        if says(parts, ACCEPT).contains(',') { Err(refused(StatusCode::NOT_ACCEPTABLE, "only JSON")) } else { Ok(()) }
    }
}

struct GzipTwice;

impl Edge for GzipTwice {
    fn response(&self, _: Route, parts: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        if asks_for_gzip(parts) { compressed(response, 2, true) } else { response }
    }
}

struct GzipUndeclared;

impl Edge for GzipUndeclared {
    fn response(&self, _: Route, parts: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        if asks_for_gzip(parts) { compressed(response, 1, false) } else { response }
    }
}

struct GzipThoughRefused;

impl Edge for GzipThoughRefused {
    fn response(&self, _: Route, parts: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        if says(parts, ACCEPT_ENCODING).contains("gzip;q=0") { compressed(response, 1, true) } else { response }
    }
}

struct GzipBodyFatal;

impl Edge for GzipBodyFatal {
    fn head(&self, _: Route, parts: &mut Parts) -> Result<(), Refusal> {
        if parts.headers.contains_key(CONTENT_ENCODING) {
            Err(Refusal::internal("unexpected byte 0x1f"))
        } else {
            Ok(())
        }
    }
}

struct GzipBodyUnbounded;

impl Edge for GzipBodyUnbounded {
    fn body(&self, _: &Store, _: Route, parts: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        if says(parts, CONTENT_ENCODING) != "gzip" {
            return Ok(body);
        }
        let mut plain = Vec::new();
        let read = GzDecoder::new(&body[..]).read_to_end(&mut plain);
        read.map(|_| plain.into()).map_err(|_| Refusal::bad_request("not gzip"))
    }
}

struct LongHeaderFatal;

impl Edge for LongHeaderFatal {
    fn head(&self, _: Route, parts: &mut Parts) -> Result<(), Refusal> {
        if parts.headers.values().any(|value| value.len() > 8192) {
            Err(Refusal::internal("buffer too small"))
        } else {
            Ok(())
        }
    }
}
