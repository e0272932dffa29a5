//! Reading tokens and ids out of a request's head.

use axum::http::{HeaderMap, header};
use percent_encoding::percent_decode_str;

use super::refusal::Refusal;

/// The token of the one `Authorization: Bearer <token>` header; none if there are two headers, or another scheme. The
/// scheme's letter case doesn't matter (RFC 9110 §11.1), the token's does.
pub fn bearer(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (values.next()?.to_str().ok()?, values.next()) else { return None };
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim_matches(' ');
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| token.to_owned())
}

/// Percent-decodes one segment of the raw path. `+` stays a plus.
///
/// # Errors
/// 400 for an escape that isn't one, and for bytes that aren't UTF-8.
pub fn decode_segment(raw: &str) -> Result<String, Refusal> {
    let bytes = raw.as_bytes();
    let broken = bytes.iter().enumerate().any(|(at, &byte)| {
        byte == b'%' && !bytes.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
    });
    if broken {
        return Err(Refusal::bad_request("the path has a broken percent escape"));
    }
    let text = percent_decode_str(raw).decode_utf8();
    text.map(Into::into).map_err(|_| Refusal::bad_request("the path isn't UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_decode_strictly() {
        assert_eq!(decode_segment("a%2Fb+c%3D%c3%a9").unwrap(), "a/b+c=é");
        for broken in ["%", "%2", "%zz", "%+1", "%ff"] {
            assert!(decode_segment(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn one_bearer_header_only() {
        let headers = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, value.parse().unwrap());
            }
            bearer(&headers)
        };
        assert_eq!(headers(&["Bearer abc"]).as_deref(), Some("abc"));
        assert_eq!(headers(&["bearer abc"]).as_deref(), Some("abc"));
        for wrong in [&["Basic abc"][..], &["Bearer"], &["Bearer "], &["abc"], &["Bearer a", "Bearer a"], &[]] {
            assert_eq!(headers(wrong), None, "{wrong:?}");
        }
    }
}
