//! A command line as words, the way a POSIX shell splits it (without expanding anything).

/// Why a text isn't a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No word in it.
    #[error("the command is empty")]
    Empty,
    /// A quote that nothing closes, or a backslash with nothing behind it.
    #[error("a quote isn't closed, or the last backslash has nothing behind it")]
    Open,
}

/// Splits at blanks; quotes and backslashes keep what they keep in a shell, and a word that begins with `#` begins a comment.
///
/// # Errors
/// [`CommandError`].
pub fn split(text: &str) -> Result<Vec<String>, CommandError> {
    let words = shlex::split(text).ok_or(CommandError::Open)?;
    if words.is_empty() { Err(CommandError::Empty) } else { Ok(words) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let words = |text| split(text).map(|words| words.join("|"));
        assert_eq!(words("python3 shim.py  -x").unwrap(), "python3|shim.py|-x");
        assert_eq!(words(r#"'a b'"c \" \d"\ e '' "#).unwrap(), r#"a bc " \d e|"#);
        assert_eq!(words(" "), Err(CommandError::Empty));
        for open in ["a 'b", "a \"b", "a\\"] {
            assert_eq!(words(open), Err(CommandError::Open), "{open}");
        }
    }
}
