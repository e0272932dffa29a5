//! What servers make of paths, methods and headers that aren't the usual ones, without letting anybody in by them.

use std::io::Write as _;

use axum::http::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, LOCATION, TRANSFER_ENCODING,
};
use axum::http::request::Parts;
use axum::http::{Method, Request, Response, StatusCode, Uri};
use bytes::Bytes;
use hyper::body::Incoming;

use crate::server::edge::Edge;
use crate::server::refusal::Refusal;
use crate::server::route::Route;

/// A path with a slash behind it is another address of the one without.
pub struct SlashRedirects;

impl Edge for SlashRedirects {
    fn response(&self, route: Route, parts: &Parts, mut response: Response<Bytes>) -> Response<Bytes> {
        let bare = parts.uri.path().strip_suffix('/').filter(|bare| !bare.is_empty() && !bare.starts_with("//"));
        if let (Route::Unknown, Some(location)) = (route, bare.and_then(|bare| HeaderValue::from_str(bare).ok())) {
            *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
            response.headers_mut().insert(LOCATION, location);
        }
        response
    }
}

/// Slashes too many, dot segments and upper case in the route's words make no difference, before anybody is authorised.
pub struct FoldsPaths;

impl Edge for FoldsPaths {
    fn arrival(&self, request: &mut Request<Incoming>) {
        const WORDS: [&str; 7] = ["v1", "repos", "pull", "push", "add-member", "remove-member", "member"];
        let kept = request.uri().path().split('/').filter(|segment| !segment.is_empty() && *segment != ".");
        let folded = kept.map(|segment| {
            let lower = segment.to_ascii_lowercase();
            if WORDS.contains(&lower.as_str()) { lower } else { segment.to_owned() }
        });
        let path = format!("/{}", folded.collect::<Vec<_>>().join("/"));
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        if let Ok(target) = format!("{path}{query}").parse::<Uri>() {
            *request.uri_mut() = target;
        }
    }
}

/// A web application's page is the answer to every GET that nothing else answers.
pub struct FallbackPage;

impl Edge for FallbackPage {
    fn response(&self, route: Route, parts: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        if route != Route::Unknown || parts.method != Method::GET {
            return response;
        }
        let mut page = Response::new(Bytes::from_static(b"<!doctype html><title>Vault</title><div id=app></div>"));
        page.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
        page
    }
}

/// OPTIONS is for browsers, which may come from anywhere, without credentials.
pub struct Preflights;

impl Edge for Preflights {
    fn response(&self, _: Route, parts: &Parts, mut response: Response<Bytes>) -> Response<Bytes> {
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        if parts.method != Method::OPTIONS {
            return response;
        }
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("authorization, content-type"));
        *response.status_mut() = StatusCode::NO_CONTENT;
        response.map(|_| Bytes::new())
    }
}

/// Answers are compressed for who asks for it, or, as far as nobody says no, for everybody.
pub struct Compresses {
    pub everybody: bool,
}

impl Edge for Compresses {
    fn response(&self, _: Route, parts: &Parts, mut response: Response<Bytes>) -> Response<Bytes> {
        let asked = parts.headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
        let named = |asked: &str| asked.split(',').any(|coding| coding.trim() == "gzip");
        let wanted = asked.map_or(self.everybody, named);
        if !wanted || response.body().is_empty() || response.headers().contains_key(CONTENT_ENCODING) {
            return response;
        }
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        // Into memory: it can't fail.
        let _ = encoder.write_all(response.body());
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        response.map(|_| encoder.finish().unwrap_or_default().into())
    }
}

/// A body needs a length.
pub struct LengthRequired;

impl Edge for LengthRequired {
    fn head(&self, _: Route, parts: &mut Parts) -> Result<(), Refusal> {
        if parts.headers.contains_key(TRANSFER_ENCODING) {
            return Err(Refusal { status: StatusCode::LENGTH_REQUIRED, code: None, detail: "no length".into() });
        }
        Ok(())
    }
}

/// Each answer to a member may be kept by the member's own cache for no longer than it takes to ask again.
pub struct Revalidated;

impl Edge for Revalidated {
    fn response(&self, _: Route, _: &Parts, mut response: Response<Bytes>) -> Response<Bytes> {
        let headers = response.headers_mut();
        headers
            .insert(axum::http::header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=0, must-revalidate"));
        headers.insert(axum::http::header::ETAG, HeaderValue::from_static("\"1\""));
        response
    }
}
