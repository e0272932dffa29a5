//! A command line as words, the way a POSIX shell splits it (without expanding anything).

/// Why a text isn't a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No word in it.
    #[error("the command is empty")]
    Empty,
    /// A quote that nothing closes.
    #[error("{0} isn't closed")]
    Open(&'static str),
}

/// Splits at blanks; single quotes keep everything, double quotes keep blanks, a backslash keeps the next character.
///
/// # Errors
/// [`CommandError`].
pub fn split(text: &str) -> Result<Vec<String>, CommandError> {
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            c if c.is_whitespace() => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next() {
                        Some('\'') => break,
                        Some(c) => word.push(c),
                        None => return Err(CommandError::Open("a single quote")),
                    }
                }
            }
            '"' => double_quoted(&mut characters, word.get_or_insert_default())?,
            '\\' => word.get_or_insert_default().push(characters.next().ok_or(CommandError::Open("a backslash"))?),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    if words.is_empty() { Err(CommandError::Empty) } else { Ok(words) }
}

fn double_quoted(characters: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), CommandError> {
    loop {
        match characters.next() {
            Some('"') => return Ok(()),
            Some('\\') => match characters.next() {
                Some(c @ ('"' | '\\' | '$' | '`')) => word.push(c),
                Some(c) => word.extend(['\\', c]),
                None => return Err(CommandError::Open("a double quote")),
            },
            Some(c) => word.push(c),
            None => return Err(CommandError::Open("a double quote")),
        }
    }
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
        assert_eq!(words("a 'b"), Err(CommandError::Open("a single quote")));
        assert_eq!(words("a \"b"), Err(CommandError::Open("a double quote")));
        assert_eq!(words("a\\"), Err(CommandError::Open("a backslash")));
    }
}
