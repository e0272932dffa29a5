//! A call as the request of the HTTP/JSON profile that says the same, and that profile's errors as words.

use std::net::SocketAddr;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method as HttpMethod, Request, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::super::connection::Profile;
use super::super::route::Route;
use crate::wire::proto::Method;

/// How much is said of why a call failed, in characters.
const LONGEST_WORDS: usize = 4000;

/// What stays as it is in a path segment.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The sentence of an error object; all of it, where it says more.
pub(super) fn words(body: &[u8]) -> String {
    let object: Value = serde_json::from_slice(body).unwrap_or_default();
    let usual = ["error", "code", "detail"];
    let says_more =
        object.as_object().is_some_and(|members| members.keys().any(|name| !usual.contains(&name.as_str())));
    let text = object["detail"].as_str().or_else(|| object["error"].as_str()).filter(|_| !says_more);
    text.map_or_else(|| String::from_utf8_lossy(body).chars().take(LONGEST_WORDS).collect(), str::to_owned)
}

/// The request of the HTTP/JSON profile that says the same as a call.
pub(super) fn translate(local: SocketAddr, method: Method, metadata: &HeaderMap, json: Vec<u8>) -> Request<Body> {
    let route = match method {
        Method::CreateRepo => Route::CreateRepo,
        Method::Pull => Route::Pull,
        Method::Push => Route::Push,
        Method::AddMember => Route::AddMember,
        Method::RemoveMember => Route::RemoveMember,
        Method::FetchMemberKey => Route::FetchMemberKey,
        Method::Challenge => Route::Challenge,
        Method::Token => Route::Token,
    };
    let named: Value = serde_json::from_slice(&json).unwrap_or_default();
    let segment = |name: &str| segment(named[name].as_str().unwrap_or_default());
    let path = route.template().replace("{repoId}", &segment("repoId")).replace("{memberId}", &segment("memberId"));
    let fetches = method == Method::FetchMemberKey;
    let length = (!fetches).then_some(json.len());
    let mut request = Request::new(if fetches { Body::empty() } else { Body::from(json) });
    *request.method_mut() = if fetches { HttpMethod::GET } else { HttpMethod::POST };
    // A path of escaped segments is always one.
    *request.uri_mut() = path.parse().unwrap_or_default();
    // Who looks at a request may want to know how it came.
    request.extensions_mut().insert(Profile::Grpc);
    let headers = request.headers_mut();
    let own = |name: &HeaderName| *name == header::TE || name.as_str().starts_with("grpc-");
    for (name, value) in metadata.iter().filter(|(name, _)| !own(name)) {
        headers.append(name, value.clone());
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    if let Some(length) = length {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    if let Ok(host) = HeaderValue::from_str(&local.to_string()) {
        headers.insert(header::HOST, host);
    }
    request
}

/// An empty segment matches no route, though a repository may be asked for by an empty id; the escape of nothing is an id nobody has.
fn segment(text: &str) -> String {
    if text.is_empty() { "%00".into() } else { utf8_percent_encode(text, SEGMENT).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_becomes_the_request_that_says_the_same() {
        let local = "127.0.0.1:1".parse().unwrap();
        let mut metadata = HeaderMap::new();
        metadata.append("authorization", "Bearer x".parse().unwrap());
        metadata.append("te", "trailers".parse().unwrap());
        let json = br#"{"repoId":"a/b","memberId":"c+d"}"#.to_vec();
        let request = translate(local, Method::FetchMemberKey, &metadata, json);
        assert_eq!(request.uri().path(), "/v1/repos/a%2Fb/member/c%2Bd");
        assert_eq!(
            (request.method(), request.headers()["authorization"].as_bytes()),
            (&HttpMethod::GET, &b"Bearer x"[..])
        );
        assert!(!request.headers().contains_key("te"));
    }
}
