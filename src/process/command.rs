//! Command lines as they are typed for a program that no shell starts.

/// What a shell would do with a command line and nobody does here: the part of it that shows, and what to call it.
///
/// What stands in single quotes is text, so `sh -c '…'` can have all of it.
pub fn shell_feature(line: &str) -> Option<(String, &'static str)> {
    let first = line.split_whitespace().next().unwrap_or_default();
    if first.split_once('=').is_some_and(|(name, _)| is_name(name)) {
        return Some((first.to_owned(), "a variable that is set for one command"));
    }
    if BUILT_IN.contains(&first) {
        return Some((first.to_owned(), "a command of the shell itself"));
    }
    let mut rest = line;
    let mut doubled = false;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        match c {
            '\\' => rest = after.get(after.chars().next().map_or(0, char::len_utf8)..).unwrap_or_default(),
            '\'' if !doubled => rest = after.split_once('\'').map_or("", |(_, after)| after),
            '"' => (doubled, rest) = (!doubled, after),
            '`' => return Some(("`".into(), "a command within the command")),
            '$' => match substitution(after) {
                Some(found) => return Some(found),
                None => rest = after,
            },
            '|' | '&' | ';' | '<' | '>' if !doubled => {
                let operator: String = rest.chars().take_while(|c| "|&;<>".contains(*c)).collect();
                return Some((operator, "an operator"));
            }
            _ => rest = after,
        }
    }
    let home = line.split_whitespace().find(|word| word.starts_with("~/"));
    home.map(|word| (word.to_owned(), "the home folder by its sign"))
}

/// Commands that no file holds.
const BUILT_IN: [&str; 8] = ["cd", "source", ".", "export", "exec", "ulimit", "eval", "set"];

/// The one variable that is known: the port.
pub const PORT: [&str; 2] = ["$PORT", "${PORT}"];

/// A variable or a command after a dollar sign, other than the port.
fn substitution(after: &str) -> Option<(String, &'static str)> {
    if after.starts_with('(') {
        return Some(("$(".into(), "a command within the command"));
    }
    let braced = after.strip_prefix('{');
    let name: String = braced.unwrap_or(after).chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    if name == "PORT" || !is_name(&name) {
        return None;
    }
    Some((format!("${name}"), "a variable"))
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_for_a_shell_is_seen() {
        for (line, seen) in [
            ("a && b", "&&"),
            ("a | tee log", "|"),
            ("a >log 2>&1", ">"),
            ("a &", "&"),
            ("a; b", ";"),
            ("a $HOME/x", "$HOME"),
            ("a \"$HOME\"", "$HOME"),
            ("a ${DB}", "$DB"),
            ("a $(pwd)", "$("),
            ("a `pwd`", "`"),
            ("DB=x a", "DB=x"),
            ("cd x", "cd"),
            ("~/bin/a", "~/bin/a"),
        ] {
            assert_eq!(shell_feature(line).map(|(seen, _)| seen).as_deref(), Some(seen), "{line}");
        }
        for line in [
            "./server --port {port}",
            "sh -c 'cd x && exec ./server >log'",
            "a $PORT ${PORT} \"$PORT\"",
            "a \"x;y|z\" a\\;b 5$ --url http://x?a=b",
            "java -Dserver.port=$PORT -jar it's'.jar'",
            "a 'unclosed",
        ] {
            assert_eq!(shell_feature(line), None, "{line}");
        }
    }
}
