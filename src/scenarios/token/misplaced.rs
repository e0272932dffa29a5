//! Tokens where none belongs: in cookies, other headers and bodies, and in `Authorization` not quite as they are (RFC 6750).

use bytes::Bytes;
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::{Stage, hidden};
use crate::codec::base64;
use crate::scenarios::attempts::Attempts;
use crate::scenarios::check::checks;
use crate::scenarios::{Auth, Call, Ctx, Finding, Member, Operation, Outcome, Stop};

checks! {
    "token/in-other-places", Hardening, "§3", [TOKEN_BEARER_ONLY], other_places,
        "A token in a cookie, another header or the body isn't accepted, nor one of two in Authorization";
}

pub(super) const TOKEN_HEADERS: [&str; 9] = [
    "x-auth-token",
    "x-access-token",
    "x-authorization",
    "x-forwarded-access-token",
    "x-token",
    "x-jwt",
    "token",
    "access-token",
    "x-session-token",
];
const TOKEN_COOKIES: [&str; 9] =
    ["token", "access_token", "accessToken", "session", "sid", "auth", "jwt", "authorization", "avp_token"];

/// Where a real token doesn't belong: it ends up in logs there, or goes along with requests that nobody meant to send.
async fn other_places(cx: &Ctx) -> Outcome {
    let stage = Stage::set(cx, Operation::Pull).await?;
    let mut tally = Attempts::new(cx);
    for (what, header) in misplaced(&stage.alice) {
        tally.attempt(what, Call { headers: header, ..stage.call(&Auth::None) }).await?;
    }
    let body = more_members(stage.body.as_ref(), &["token", "access_token", "accessToken"], &stage.alice.token);
    tally.attempt("in the body", Call { body, validated: false, ..stage.call(&Auth::None) }).await?;
    for (what, value) in respelled(&stage.alice.token) {
        tally.attempt(what, stage.call(&Auth::Header(value))).await?;
    }
    match tally.verdict("a token counts only as it is, and in the one Authorization header") {
        // One habit is one warning, however many of its forms are accepted.
        Err(Stop::Violation(finding)) => Err(Stop::Violation(Box::new(Finding { evidence: Vec::new(), ..*finding }))),
        other => other,
    }
}

pub(super) type Headers = Vec<(HeaderName, HeaderValue)>;

fn misplaced(alice: &Member) -> Vec<(&'static str, Headers)> {
    let token = &alice.token;
    let bearer = format!("Bearer {token}");
    let basic = |text: String| format!("Basic {}", base64::encode(text.as_bytes()));
    vec![
        ("in another header", each(&TOKEN_HEADERS, token)),
        ("with Bearer in another header", each(&TOKEN_HEADERS, &bearer)),
        // What gRPC libraries decode by themselves, and hand out beside the rest.
        ("in authorization-bin", each(&["authorization-bin"], &base64::encode(bearer.as_bytes()))),
        ("in Proxy-Authorization", each(&["proxy-authorization"], &bearer)),
        ("in a cookie", vec![(COOKIE, cookies(token))]),
        ("as the password of Basic", each(&["authorization"], &basic(format!(":{token}")))),
        ("as the user of Basic", each(&["authorization"], &basic(format!("{token}:")))),
        ("in the second of two Authorization headers", two_headers("Bearer garbage", &bearer)),
        ("in the first of two Authorization headers", two_headers(&bearer, "Bearer garbage")),
    ]
}

pub(super) fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("x"))
}

fn each(names: &[&'static str], text: &str) -> Headers {
    names.iter().map(|name| (HeaderName::from_static(name), value(text))).collect()
}

fn cookies(token: &str) -> HeaderValue {
    value(&TOKEN_COOKIES.map(|name| format!("{name}={token}")).join("; "))
}

pub(super) fn two_headers(first: &str, second: &str) -> Headers {
    vec![(AUTHORIZATION, value(first)), (AUTHORIZATION, value(second))]
}

/// A token in all headers and cookies that one may be looked for in.
pub(super) fn in_headers(token: &str) -> Headers {
    let mut headers = each(&TOKEN_HEADERS, token);
    headers.push((COOKIE, cookies(token)));
    headers
}

/// The value of `Authorization`, not quite as it should be. More blanks behind the scheme are left alone: RFC 9110 §11.4 has one or more.
fn respelled(token: &str) -> Vec<(&'static str, String)> {
    let mut all = vec![
        ("in quotes", format!("Bearer \"{token}\"")),
        ("after Bearer twice", format!("Bearer Bearer {token}")),
        ("in a list with another", format!("Bearer garbage, Bearer {token}")),
        ("in front of another", format!("Bearer {token}, Bearer garbage")),
        ("with a comma behind it", format!("Bearer {token},")),
        ("with a parameter behind it", format!("Bearer {token};x=y")),
        ("with a word behind it", format!("Bearer {token} x")),
        ("with padding behind it", format!("Bearer {token}=")),
        ("with a dot behind it", format!("Bearer {token}.")),
        ("with an empty part and another behind it", format!("Bearer {token}..x")),
        ("with token= in front of it", format!("Bearer token={token}")),
        ("in angle brackets", format!("Bearer <{token}>")),
    ];
    if token.contains(['-', '_']) && token.contains('.') {
        all.push(("in the other base64 alphabet", format!("Bearer {}", token.replace('-', "+").replace('_', "/"))));
    }
    if let Some(stray) = token.contains('.').then(|| hidden::stray_bits(token)).flatten() {
        all.push(("with stray bits in its last character", format!("Bearer {stray}")));
    }
    all
}

/// A body with more members, all of one value.
pub(super) fn more_members(body: Option<&Bytes>, names: &[&'static str], value: &str) -> Option<Bytes> {
    let mut json: Value = serde_json::from_slice(body?).ok()?;
    let object = json.as_object_mut()?;
    object.extend(names.iter().map(|name| ((*name).to_owned(), json!(value))));
    Some(json.to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_get_more_members() {
        let body = more_members(Some(&Bytes::from_static(b"{\"a\":1}")), &["b"], "x").unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), json!({ "a": 1, "b": "x" }));
    }
}
