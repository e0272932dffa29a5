//! How numbers and tokens are shown.

/// Characters that [`token_in_json`] keeps.
const KEPT_OF_TOKEN: usize = 16;

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

/// Keeps the beginning of the value of a JSON member `token`.
pub(crate) fn token_in_json(text: String) -> String {
    let value = text.find("\"token\"").and_then(|name| {
        let after = &text[name + 7..];
        let value = after.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
        let start = text.len() - value.len();
        Some((start, start + value.find('"').unwrap_or(value.len())))
    });
    let Some((start, end)) = value else { return text };
    let kept: String = text[start..end].chars().take(KEPT_OF_TOKEN).collect();
    if kept.len() == end - start { text } else { format!("{}{kept}…{}", &text[..start], &text[end..]) }
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
        assert_eq!(
            token_in_json(format!("{{\"token\" : \"{token}\",\"expiresAt\":1}}")),
            "{\"token\" : \"eyJhbGciOiJFZERT…\",\"expiresAt\":1}"
        );
        assert_eq!(token_in_json(format!("{{\"token\":\"{token}")), "{\"token\":\"eyJhbGciOiJFZERT…");
        for same in [r#"{"token":"short"}"#, r#"{"token":1}"#, r#"{"token"#, r#"{"token""#, "", r#"{"token":"é"#] {
            assert_eq!(token_in_json(same.into()), same);
        }
    }
}
