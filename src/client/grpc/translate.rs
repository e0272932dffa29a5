//! A request of the HTTP/JSON profile as the gRPC call that says the same, and the call's answer as the profile's answer.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::super::error::TransportError;
use super::super::message::{GrpcStatus, RawAnswer, RawRequest};
use super::{GrpcAnswer, GrpcCall};
use crate::wire::proto::{Code, Method, framed};

/// A message from which on "too much" means this message rather than a number of them, in bytes.
const LARGE: usize = 1 << 20;

/// Headers that speak of HTTP itself, or of its body. What is said in them has no place in a call.
const OF_HTTP: [&str; 16] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "connection",
    "content-encoding",
    "content-length",
    "expect",
    "host",
    "if-match",
    "if-none-match",
    "keep-alive",
    "range",
    "te",
    "transfer-encoding",
    "upgrade",
    "x-http-method-override",
];

fn unsayable(reason: impl Into<String>) -> TransportError {
    TransportError::Unsayable(reason.into())
}

/// What a request is over gRPC.
///
/// # Errors
/// [`TransportError::Unsayable`] for what only HTTP and JSON can say: other paths and methods, members that are missing or of
/// another type, a path that names another repository than the body.
pub(in super::super) fn call_of(request: &RawRequest) -> Result<(Method, GrpcCall), TransportError> {
    let (method, json) = operation(request)?;
    let message = method.request_to_proto(&json).map_err(|error| unsayable(error.to_string()))?;
    Ok((method, GrpcCall { path: method.path().into(), metadata: metadata(request)?, data: framed(&message).into() }))
}

fn operation(request: &RawRequest) -> Result<(Method, Bytes), TransportError> {
    let segments: Vec<&str> = request.path.split('/').collect();
    let body = request.body.clone().unwrap_or_default();
    let post = request.method == http::Method::POST;
    let (method, repo) = match (post, segments.as_slice()) {
        (true, ["", "api", "auth", "keypair", "challenge"]) => (Method::Challenge, None),
        (true, ["", "api", "auth", "keypair", "token"]) => (Method::Token, None),
        (true, ["", "v1", "repos"]) => (Method::CreateRepo, None),
        (true, ["", "v1", "repos", repo, "pull"]) => (Method::Pull, Some(*repo)),
        (true, ["", "v1", "repos", repo, "push"]) => (Method::Push, Some(*repo)),
        (true, ["", "v1", "repos", repo, "add-member"]) => (Method::AddMember, Some(*repo)),
        (true, ["", "v1", "repos", repo, "remove-member"]) => (Method::RemoveMember, Some(*repo)),
        (false, ["", "v1", "repos", repo, "member", member])
            if body.is_empty() && request.method == http::Method::GET =>
        {
            let json = json!({ "repoId": decoded(repo)?, "memberId": decoded(member)? });
            return Ok((Method::FetchMemberKey, json.to_string().into()));
        }
        _ => return Err(unsayable("there is no such call")),
    };
    if let Some(repo) = repo {
        let named: Value = serde_json::from_slice(&body).unwrap_or_default();
        if named["repoId"].as_str() != Some(decoded(repo)?.as_str()) {
            return Err(unsayable("a call has no path that could name another repository than the message"));
        }
    }
    Ok((method, body))
}

fn decoded(segment: &str) -> Result<String, TransportError> {
    if segment.contains('?') {
        return Err(unsayable("a call has no query"));
    }
    let text = percent_decode_str(segment).decode_utf8();
    text.map(Into::into).map_err(|_| unsayable("a text in a message is UTF-8"))
}

fn metadata(request: &RawRequest) -> Result<Vec<(HeaderName, HeaderValue)>, TransportError> {
    let mut metadata = Vec::with_capacity(request.headers.len());
    for (name, value) in &request.headers {
        if *name == CONTENT_TYPE {
            let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
            if essence != "application/json" {
                return Err(unsayable("a call has no other content type than its own"));
            }
        } else if OF_HTTP.contains(&name.as_str()) {
            return Err(unsayable(format!("{name} means nothing in a call")));
        } else {
            metadata.push((name.clone(), value.clone()));
        }
    }
    Ok(metadata)
}

/// The answer of the HTTP/JSON profile that says the same as that of a call whose message had so many bytes.
///
/// # Errors
/// [`TransportError::NotGrpc`] when a call that is OK has no message, or one that can't be read.
pub(in super::super) fn answer_of(
    method: Method,
    answer: GrpcAnswer,
    sent: usize,
) -> Result<RawAnswer, TransportError> {
    let GrpcAnswer { code, message, headers, data } = answer;
    let not_grpc = |reason: String| TransportError::NotGrpc(reason);
    let body = if code == Code::OK {
        let data = data.ok_or_else(|| not_grpc("the call is OK, but there is no message".into()))?;
        method.answer_to_json(&data).map_err(|error| not_grpc(error.to_string()))?
    } else {
        message.clone().into_bytes()
    };
    let status = match code {
        Code::RESOURCE_EXHAUSTED if sent > LARGE => 413,
        code => code.http(),
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Ok(RawAnswer { status, headers, body: body.into(), grpc: Some(GrpcStatus { code, message }), marked: false })
}

/// `grpc-message` is percent-encoded; what isn't is taken as it is.
pub(super) fn message_of(headers: &HeaderMap) -> String {
    let Some(value) = headers.get("grpc-message") else { return String::new() };
    let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
    percent_decode_str(&text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: http::Method, path: &str, body: Option<Value>) -> RawRequest {
        let body = body.map(|body| body.to_string().into());
        RawRequest { method, path: path.into(), headers: Vec::new(), body, answer_limit: 1000 }
    }

    #[test]
    fn operations_become_calls() {
        let pull = json!({ "repoId": "a/b", "knownPayloadVersion": 7 });
        let (method, call) = call_of(&request(http::Method::POST, "/v1/repos/a%2Fb/pull", Some(pull.clone()))).unwrap();
        assert_eq!((method, call.path.as_str()), (Method::Pull, "/avp.Vault/Pull"));
        assert_eq!(call.data[..], [0, 0, 0, 0, 7, 10, 3, b'a', b'/', b'b', 16, 7]);
        let (method, call) = call_of(&request(http::Method::GET, "/v1/repos/r/member/m%2B", None)).unwrap();
        assert_eq!((method, &call.data[5..]), (Method::FetchMemberKey, &b"\x0a\x01r\x12\x02m+"[..]));
        for (method, path, body) in [
            (http::Method::POST, "/v1/repos/other/pull", Some(pull.clone())),
            (http::Method::PUT, "/v1/repos/a%2Fb/pull", Some(pull.clone())),
            (http::Method::POST, "/v1/repos/a%2Fb/pull?x=1", Some(pull)),
            (http::Method::POST, "/v1/repos/r/pull", Some(json!({ "repoId": "r" }))),
            (http::Method::GET, "/.well-known/avp", None),
            (http::Method::GET, "/v1/repos/r/member/%ff", None),
        ] {
            let error = call_of(&request(method, path, body)).unwrap_err();
            assert!(matches!(error, TransportError::Unsayable(_)), "{path}: {error}");
        }
    }

    #[test]
    fn answers_say_the_same() {
        let answer = |code, message: &str, data: Option<&[u8]>| GrpcAnswer {
            code: Code(code),
            message: message.into(),
            headers: HeaderMap::new(),
            data: data.map(Bytes::copy_from_slice),
        };
        let fine = answer_of(Method::Challenge, answer(0, "", Some(b"\x0a\x02ab")), 10).unwrap();
        assert_eq!((fine.status.as_u16(), &fine.body[..]), (200, &br#"{"nonce":"ab"}"#[..]));
        let refused = answer_of(Method::Pull, answer(5, "no such repository", None), 10).unwrap();
        assert_eq!((refused.status.as_u16(), &refused.body[..]), (404, &b"no such repository"[..]));
        assert_eq!(answer_of(Method::Pull, answer(8, "", None), 10).unwrap().status, 429);
        assert_eq!(answer_of(Method::Pull, answer(8, "", None), 5 << 20).unwrap().status, 413);
        assert_eq!(answer_of(Method::Pull, answer(99, "", None), 10).unwrap().status, 500);
        for data in [None, Some(&b"\x0a\x02\xff\xff"[..]), Some(b"\x0a\x09a")] {
            assert!(answer_of(Method::Challenge, answer(0, "", data), 10).is_err(), "{data:?}");
        }
    }
}
