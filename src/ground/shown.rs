//! How numbers and tokens are shown.

use std::ops::Range;

use memchr::memmem;

/// Characters that [`without_tokens`] keeps.
const KEPT_OF_TOKEN: usize = 16;
/// Quotes, colons and blanks between a name and its value.
const MOST_BETWEEN: usize = 8;

/// `1 check`, `2 checks`, `2 pushes`, `2 repositories`, `2 keys`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    if number == 1 {
        return format!("1 {noun}");
    }
    let hisses = ["s", "x", "z", "sh", "ch"].iter().any(|end| noun.ends_with(end));
    match noun.strip_suffix('y').filter(|stem| !stem.ends_with(['a', 'e', 'i', 'o', 'u'])) {
        Some(stem) => format!("{number} {stem}ies"),
        None if hisses => format!("{number} {noun}es"),
        None => format!("{number} {noun}s"),
    }
}

/// Enough of an `Authorization` to recognise it.
pub(crate) fn authorization(value: &str) -> String {
    let kept: String = value.chars().take(24).collect();
    if kept.len() == value.len() { kept } else { format!("{kept}… ({} characters)", value.len()) }
}

/// Keeps the beginnings of tokens: of a JWT wherever it stands, and of what follows `Bearer` or a name that ends in `token`, in JSON, a
/// query, a form, a cookie or a sentence.
pub(crate) fn without_tokens(text: String) -> String {
    let places = tokens(text.as_bytes());
    if places.is_empty() {
        return text;
    }
    let (mut out, mut done) = (String::with_capacity(text.len()), 0);
    for place in places {
        out.push_str(&text[done..place.start + KEPT_OF_TOKEN]);
        out.push('\u{2026}');
        done = place.end;
    }
    out + &text[done..]
}

/// Where tokens stand of which something is to be left out; they are ASCII, and apart from each other.
fn tokens(text: &[u8]) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut take = |start: usize| {
        let end = start + text[start..].iter().take_while(|byte| is_of_token(**byte)).count();
        if end - start > KEPT_OF_TOKEN && found.iter().all(|place| place.end <= start || end <= place.start) {
            found.push(start..end);
        }
    };
    for at in memmem::find_iter(text, b"eyJ") {
        let before = at.checked_sub(1).map(|at| text[at]);
        let length = text[at..].iter().take_while(|byte| is_of_token(**byte)).count();
        // Header and claims of a JWT; base64 has no dots.
        if before.is_none_or(|byte| !is_of_token(byte)) && text[at..at + length].contains(&b'.') {
            take(at);
        }
    }
    for name in [b"oken".as_slice(), b"OKEN", b"earer", b"EARER"] {
        for at in memmem::find_iter(text, name) {
            let after = at + name.len();
            let between = text[after..].iter().take(MOST_BETWEEN).take_while(|byte| b"\"'\\:= ".contains(byte)).count();
            // `tokens` and `token_type` are other words, and a sentence goes on after a blank.
            let is_value = text[after..after + between].iter().any(|byte| *byte != b' ');
            if is_value || (between > 0 && name.eq_ignore_ascii_case(b"earer")) {
                take(after + between);
            }
        }
    }
    found.sort_by_key(|place| place.start);
    found
}

fn is_of_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nouns_have_their_plurals() {
        for (noun, many) in
            [("check", "2 checks"), ("push", "2 pushes"), ("repository", "2 repositories"), ("key", "2 keys")]
        {
            assert_eq!((count(1, noun), count(2, noun)), (format!("1 {noun}"), many.to_owned()));
        }
    }

    #[test]
    fn tokens_are_shortened() {
        let token = "eyJhbGciOiJFZERTQSJ9.e30.c2ln";
        for (text, shown) in [
            (
                format!("{{\"token\" : \"{token}\",\"expiresAt\":1}}"),
                "{\"token\" : \"eyJhbGciOiJFZERT\u{2026}\",\"expiresAt\":1}",
            ),
            (format!("{{\"token\":\"{token}"), "{\"token\":\"eyJhbGciOiJFZERT\u{2026}"),
            (format!("no: {token}, no."), "no: eyJhbGciOiJFZERT\u{2026}, no."),
            ("/v1?access_token=or5LKYegv60g_WE6H-0123&x=1".into(), "/v1?access_token=or5LKYegv60g_WE6\u{2026}&x=1"),
            ("Bearer or5LKYegv60g_WE6H-0123 is".into(), "Bearer or5LKYegv60g_WE6\u{2026} is"),
            (r#"{\"accessToken\":\"or5LKYegv60g_WE6H-0123\"}"#.into(), r#"{\"accessToken\":\"or5LKYegv60g_WE6…\"}"#),
        ] {
            assert_eq!(without_tokens(text), shown);
        }
        for same in [
            r#"{"token":"short"}"#,
            r#"{"token":1}"#,
            r#"{"token"#,
            r#"{"token""#,
            "",
            r#"{"token":"é"#,
            "the token is refused",
            "a token otherwise-than-expected",
            "tokens-of-a-long-word-are-none",
            "a ciphertext, eyJhbGciOiJFZERTQSJ9e30c2ln, without dots",
            "Bearer",
        ] {
            assert_eq!(without_tokens(same.into()), same);
        }
    }
}
