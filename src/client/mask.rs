//! Keeps the credentials of a deployment out of whatever is recorded or said.
//!
//! The values of `--header` are nobody's business but the server's, and a server may echo them: an error page that lists the
//! request's headers, say. So what comes is masked at the moment of recording, before anything is cut off: half of a
//! credential is still one.

use std::ops::Range;
use std::sync::Arc;

use memchr::memmem::Finder;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::Header;
use crate::codec::base64;

/// What stands in place of a credential.
pub const MASK: &str = "***";
/// Shorter values would blot out harmless text.
const SHORTEST: usize = 4;
/// Shorter values have no encoded forms, which would be found by chance.
const SHORTEST_ENCODED: usize = 6;
/// So much of the beginning of a longer value counts for it, in bytes; or half of it, if that is more.
const BEGINNING: usize = 12;
/// Where a text was cut; any beginning of a value in front of it counts for it.
const CUT: &str = "…";

/// What a URL leaves as it is.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Replaces credentials, however they are spelled.
#[derive(Clone, Default)]
pub struct Mask {
    forms: Arc<[Form]>,
}

/// A spelling of a credential.
struct Form {
    bytes: Vec<u8>,
    /// Finds the beginning that counts for it.
    beginning: Finder<'static>,
}

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mask({} forms)", self.forms.len())
    }
}

impl Mask {
    /// Masks the values of headers, with and without a scheme such as `Basic`, and what is encoded in them.
    pub fn new<'a>(headers: impl IntoIterator<Item = &'a Header>) -> Self {
        let mut forms: Vec<Vec<u8>> =
            headers.into_iter().flat_map(credentials).flat_map(|value| spellings(&value)).collect();
        forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        forms.dedup();
        let form = |bytes: Vec<u8>| {
            let beginning = if bytes.len() <= BEGINNING { bytes.len() } else { BEGINNING.max(bytes.len() / 2) };
            Form { beginning: Finder::new(&bytes[..beginning]).into_owned(), bytes }
        };
        Self { forms: forms.into_iter().map(form).collect() }
    }

    /// Whether there is nothing to mask.
    pub fn is_empty(&self) -> bool {
        self.forms.is_empty()
    }

    /// Length of the longest spelling: so many bytes after a cut are needed to see what the cut goes through.
    pub fn longest(&self) -> usize {
        self.forms.first().map_or(0, |form| form.bytes.len())
    }

    /// Whether there is nothing to mask in a text.
    pub fn holds_none(&self, text: &[u8]) -> bool {
        self.is_empty() || self.places(text).is_empty()
    }

    /// The text without credentials.
    pub fn text(&self, text: String) -> String {
        if self.holds_none(text.as_bytes()) {
            return text;
        }
        self.beginning(text.as_bytes(), text.len())
    }

    /// The first `limit` bytes without credentials, as text (invalid UTF-8 replaced).
    pub fn beginning(&self, bytes: &[u8], limit: usize) -> String {
        let seen = &bytes[..bytes.len().min(limit.saturating_add(self.longest()))];
        let limit = limit.min(seen.len());
        let mut out = Vec::with_capacity(limit);
        let mut done = 0;
        for Range { start, end } in self.places(seen) {
            if start >= limit {
                break;
            }
            out.extend_from_slice(&seen[done..start]);
            out.extend_from_slice(MASK.as_bytes());
            done = end;
        }
        out.extend_from_slice(seen.get(done..limit).unwrap_or_default());
        String::from_utf8_lossy(&out).into_owned()
    }

    /// Where credentials stand: in order, and apart from each other.
    fn places(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        for form in self.forms.iter() {
            let mut from = 0;
            while let Some(at) = bytes.get(from..).and_then(|rest| form.beginning.find(rest)) {
                let start = from + at;
                let same = form.bytes.iter().zip(&bytes[start..]).take_while(|(one, other)| one == other).count();
                found.push(start..start + same);
                // Another form may begin within this one; this one doesn't matter there.
                from = start + same.max(1);
            }
        }
        // What was cut before it came here: by us, for a line of a report, or by the server.
        for cut in memchr::memmem::find_iter(bytes, CUT) {
            let before = &bytes[..cut];
            let beginnings = self.forms.iter().filter_map(|form| {
                let longest = form.bytes.len().min(cut);
                (SHORTEST..=longest).rev().find(|length| before.ends_with(&form.bytes[..*length]))
            });
            found.extend(beginnings.max().map(|length| cut - length..cut));
        }
        found.sort_by_key(|place| place.start);
        let mut apart: Vec<Range<usize>> = Vec::new();
        for place in found {
            match apart.last_mut() {
                Some(last) if place.start <= last.end => last.end = last.end.max(place.end),
                _ => apart.push(place),
            }
        }
        apart
    }
}

/// What is secret in a header.
fn credentials(header: &Header) -> Vec<Vec<u8>> {
    // What every client says is no credential, and stands in many an honest answer.
    if ["accept", "accept-encoding", "accept-language", "cache-control", "connection", "content-type"]
        .contains(&header.name.as_str())
    {
        return Vec::new();
    }
    let value = header.value.as_bytes();
    let last = value.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    let mut all = vec![value.to_vec(), last.to_vec()];
    if ["authorization", "proxy-authorization", "cookie"].contains(&header.name.as_str()) {
        // `Digest response="…"`, `session=…; theme=…`
        let parts = value.split(|byte| b" ,;".contains(byte)).filter_map(|part| {
            let at = part.iter().position(|byte| *byte == b'=')?;
            Some(part[at + 1..].trim_ascii().iter().copied().filter(|byte| *byte != b'"').collect::<Vec<u8>>())
        });
        all.extend(parts.filter(|part| part.len() >= 8));
    }
    if let Some(Ok(decoded)) = value.strip_prefix(b"Basic ").map(|_| base64::decode(&String::from_utf8_lossy(last))) {
        // A server may say who was let in, and the word that let them in.
        let password = decoded.iter().position(|byte| *byte == b':').map(|at| decoded[at + 1..].to_vec());
        all.extend(password);
        all.push(decoded);
    }
    all.retain(|value| value.len() >= SHORTEST);
    all
}

/// How a value may be spelled in an answer.
fn spellings(value: &[u8]) -> Vec<Vec<u8>> {
    let mut all = vec![value.to_vec()];
    if let Ok(text) = std::str::from_utf8(value) {
        let quoted = serde_json::Value::from(text).to_string();
        let quoted = &quoted[1..quoted.len() - 1];
        let html = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let (named, numbered) = (html.replace('"', "&quot;"), html.replace('"', "&#34;"));
        all.extend([quoted.to_owned(), quoted.replace('/', r"\/")].map(String::into_bytes));
        all.extend([named.replace('\'', "&#39;"), named, numbered.replace('\'', "&#39;")].map(String::into_bytes));
    }
    if value.len() < SHORTEST_ENCODED {
        return all;
    }
    let escaped = percent_encode(value, UNRESERVED).to_string();
    all.push(lower_escapes(&escaped).into_bytes());
    all.push(escaped.replace("%20", "+").into_bytes());
    all.push(escaped.into_bytes());
    let hex = crate::ground::hex::encode(value);
    all.push(hex.to_uppercase().into_bytes());
    all.push(hex.into_bytes());
    all.extend([value.to_ascii_lowercase(), value.to_ascii_uppercase()]);
    all.extend(byte_by_byte(value));
    for before in 0..3 {
        let inside = inside_base64(value, before);
        all.push(inside.replace('+', "-").replace('/', "_").into_bytes());
        all.push(inside.into_bytes());
    }
    all
}

/// As languages and templates write bytes one by one: in URLs, strings, markup, arrays and dumps.
fn byte_by_byte(value: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let each = |write: fn(u8) -> String, between: &str| {
        let all: Vec<_> = value.iter().map(|byte| write(*byte)).collect();
        all.join(between).into_bytes()
    };
    [
        each(|byte| format!("%{byte:02X}"), ""),
        each(|byte| format!("%{byte:02x}"), ""),
        each(|byte| format!("\\u{byte:04x}"), ""),
        each(|byte| format!("\\u{byte:04X}"), ""),
        each(|byte| format!("\\x{byte:02x}"), ""),
        each(|byte| format!("\\x{byte:02X}"), ""),
        each(|byte| format!("\\{byte:03o}"), ""),
        each(|byte| format!("&#{byte};"), ""),
        each(|byte| format!("&#x{byte:x};"), ""),
        each(|byte| format!("&#x{byte:X};"), ""),
        each(|byte| byte.to_string(), ","),
        each(|byte| byte.to_string(), ", "),
        each(|byte| byte.to_string(), " "),
        each(|byte| format!("{byte:02x}"), ":"),
        each(|byte| format!("{byte:02X}"), ":"),
        each(|byte| format!("{byte:02x}"), " "),
        each(|byte| char::from(byte).to_string(), " "),
    ]
    .into_iter()
}

fn lower_escapes(text: &str) -> String {
    let mut since = 3;
    text.chars()
        .map(|c| {
            since = if c == '%' { 0 } else { since + 1 };
            if since < 3 { c.to_ascii_lowercase() } else { c }
        })
        .collect()
}

/// The characters that a value makes in base64 whatever stands around it, after so many bytes (modulo 3).
fn inside_base64(value: &[u8], before: usize) -> String {
    let padded = [&vec![0; before][..], value].concat();
    let text = base64::encode(&padded);
    let (first, last) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
    text[first..last].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &'static str, value: &str) -> Header {
        Header { name: http::HeaderName::from_static(name), value: value.parse().unwrap() }
    }

    fn masked(values: &[&str], text: &str) -> String {
        let headers: Vec<_> = values.iter().map(|value| header("x-key", value)).collect();
        Mask::new(&headers).text(text.into())
    }

    #[test]
    fn the_longer_of_two_values_leaves_no_tail() {
        for values in [["secret", "secret-and-more"], ["secret-and-more", "secret"]] {
            assert_eq!(masked(&values, "secret-and-more, secret."), "***, ***.");
        }
        // Nor do two that overlap.
        assert_eq!(masked(&["abcdef", "defghi"], "<abcdefghi>"), "<***>");
    }

    #[test]
    fn bytes_that_are_written_one_by_one_are_masked() {
        let secret = "s3cret/of+Deployment";
        for spelled in [
            "%73%33%63%72%65%74%2F%6F%66%2B%44%65%70%6C%6F%79%6D%65%6E%74",
            r"\u0073\u0033\u0063\u0072\u0065\u0074\u002f\u006f\u0066\u002b\u0044\u0065\u0070\u006c\u006f\u0079\u006d\u0065\u006e\u0074",
            "&#115;&#51;&#99;&#114;&#101;&#116;&#47;&#111;&#102;&#43;&#68;&#101;&#112;&#108;&#111;&#121;&#109;&#101;&#110;&#116;",
            "115,51,99,114,101,116,47,111,102,43,68,101,112,108,111,121,109,101,110,116",
            r"\x73\x33\x63\x72\x65\x74\x2f\x6f\x66\x2b\x44\x65\x70\x6c\x6f\x79\x6d\x65\x6e\x74",
            "S3CRET/OF+DEPLOYMENT",
        ] {
            assert_eq!(masked(&[secret], &format!("[{spelled}]")), "[***]");
        }
    }

    #[test]
    fn a_cut_never_goes_through_a_credential() {
        let secret = "s3cret-of-the-deployment";
        let mask = Mask::new(&[header("x-key", secret)]);
        for at in 0..60 {
            let text = format!("{}{secret}{}", ".".repeat(at), "-".repeat(40));
            for limit in 0..text.len() {
                let kept = mask.beginning(text.as_bytes(), limit);
                assert!(!kept.contains("s3c"), "{at} {limit} {kept}");
                assert!(limit <= at || kept.starts_with(&format!("{}***", ".".repeat(at))));
                assert!(kept.len() <= limit + MASK.len());
            }
        }
        assert_eq!(Mask::default().beginning("é".as_bytes(), 1), "\u{fffd}");
    }

    #[test]
    fn what_was_cut_before_is_masked_too() {
        let secret = "s3cret-of-the-deployment";
        for kept in 1..=secret.len() {
            let shown = masked(&[secret], &format!("is \"{}… (90 characters)", &secret[..kept]));
            assert!(kept < SHORTEST || shown == "is \"***… (90 characters)", "{shown}");
        }
        assert_eq!(masked(&[secret], "a road… and s3crets"), "a road… and s3crets");
    }

    #[test]
    fn spelled_otherwise_it_is_the_same() {
        let secret = "k/\"+é <&> 0123456789";
        let mask = Mask::new(&[Header {
            name: http::HeaderName::from_static("x-key"),
            value: http::HeaderValue::from_bytes(secret.as_bytes()).unwrap(),
        }]);
        let json = serde_json::Value::from(secret).to_string();
        let echoes = [
            secret.to_owned(),
            json.trim_matches('"').to_owned(),
            json.trim_matches('"').replace('/', "\\/"),
            "k%2F%22%2B%C3%A9%20%3C%26%3E%200123456789".to_owned(),
            "k%2f%22%2b%c3%a9%20%3c%26%3e%200123456789".to_owned(),
            "k%2F%22%2B%C3%A9+%3C%26%3E+0123456789".to_owned(),
            "k/&quot;+é &lt;&amp;&gt; 0123456789".to_owned(),
            crate::ground::hex::encode(secret.as_bytes()),
        ];
        for echo in echoes {
            assert_eq!(mask.text(format!("[{echo}]")), "[***]", "{echo}");
        }
        for before in ["", "a", "ab", "abc"] {
            let echo = base64::encode(format!("{before}{secret}~~~").as_bytes());
            for echo in [echo.replace('+', "-").replace('/', "_"), echo] {
                let shown = mask.text(echo.clone());
                assert!(shown.contains(MASK) && shown.len() < 20, "{echo} {shown}");
            }
        }
    }

    #[test]
    fn schemes_and_what_they_encode() {
        let mask = Mask::new(&[header("authorization", "Basic dXNlcjpwYXNzd29yZA==")]);
        assert_eq!(mask.text("Basic dXNlcjpwYXNzd29yZA==, dXNlcjpwYXNzd29yZA==, password".into()), "***, ***, ***");
        let mask = Mask::new(&[header("cookie", "session=0123456789; theme=dark")]);
        assert_eq!(mask.text("0123456789 is dark".into()), "*** is dark");
        // The server may have cut it, too.
        assert_eq!(masked(&["0123456789abcdefghijklmnop"], "bad key 0123456789abcdefgh…"), "bad key ***…");
    }

    #[test]
    fn harmless_text_stays() {
        assert_eq!(masked(&["1"], "1 of 10"), "1 of 10");
        let mask = Mask::new(&[header("accept", "application/json")]);
        assert!(mask.is_empty());
        assert!(!format!("{:?}", Mask::new(&[header("x-key", "s3cret")])).contains("s3c"));
    }
}
