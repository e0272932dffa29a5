//! Words for a POSIX shell: whatever stands in them, it is text. The one place that quotes.

use std::fmt::Write as _;

use super::text::{is_unsafe, width};

/// A word as a POSIX shell reads it.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { quoted(word) }
}

/// In single quotes. What could steer the terminal that shows the command is made by `printf` when it runs.
fn quoted(word: &str) -> String {
    let mut out = String::from("'");
    let mut chars = word.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' => out.push_str(r"'\''"),
            // Left as it is: a substitution would lose it.
            '\n' => out.push('\n'),
            c if is_unsafe(c) => {
                let mut bytes = c.to_string();
                while let Some(c) = chars.next_if(|c| *c != '\n' && is_unsafe(*c)) {
                    bytes.push(c);
                }
                out.push_str("'\"$(printf '");
                for byte in bytes.bytes() {
                    // Writing to a string can't fail.
                    let _ = write!(out, "\\{byte:03o}");
                }
                out.push_str("')\"'");
            }
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}

/// As [`quote`], with shell variables in place of values that the reader has to fill in: `(value, NAME)`.
pub fn quote_with(word: &str, variables: &[(String, String)]) -> String {
    let first = variables
        .iter()
        .filter(|(value, _)| !value.is_empty())
        .filter_map(|(value, name)| Some((word.find(value.as_str())?, value.len(), name)))
        .min_by_key(|(at, length, _)| (*at, std::cmp::Reverse(*length)));
    let Some((at, length, name)) = first else { return quote(word) };
    let (before, after) = (&word[..at], &word[at + length..]);
    let part = |text: &str, quoted: String| if text.is_empty() { String::new() } else { quoted };
    format!("{}\"${{{name}}}\"{}", part(before, quote(before)), part(after, quote_with(after, variables)))
}

/// A command over several lines that a shell reads as the one it was: between words, and within them where one is longer than a
/// line. Lines after the first begin with `indent` blanks, but those that go on with a word.
pub fn fold(command: &str, columns: usize, indent: usize) -> String {
    let columns = columns.max(40);
    let mut out = String::new();
    let (mut used, mut begins) = (indent, true);
    let words = split(command);
    for (place, word) in words.iter().enumerate() {
        // An option stays with its value.
        let value = words.get(place + 1).filter(|next| word.starts_with('-') && !next.starts_with('-'));
        let with_value = width(word) + value.map_or(0, |value| 1 + width(value));
        let needed = if indent + with_value + 2 <= columns { with_value } else { width(word) };
        if !begins && used + 1 + needed + 2 > columns {
            out.push_str(" \\\n");
            out.push_str(&" ".repeat(indent));
            used = indent;
        } else if !begins {
            out.push(' ');
            used += 1;
        }
        used = push_folded(&mut out, word, used, columns);
        begins = false;
    }
    out
}

/// The words of a command, still quoted.
fn split(command: &str) -> Vec<&str> {
    let (mut words, mut start, mut inside, mut escaped) = (Vec::new(), 0, None, false);
    for (at, c) in command.char_indices() {
        match (inside, c) {
            _ if escaped => escaped = false,
            (None | Some('"'), '\\') => escaped = true,
            (None, '\'' | '"') => inside = Some(c),
            (Some(open), c) if c == open => inside = None,
            (None, ' ') => {
                words.push(&command[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    words.push(&command[start..]);
    words.retain(|word| !word.is_empty());
    words
}

/// Appends a word, broken where it must be: a backslash at the end of a line goes with the line's end, but not within quotes.
fn push_folded(out: &mut String, word: &str, mut used: usize, columns: usize) -> usize {
    let (mut inside, mut escaped) = (None, false);
    for c in word.chars() {
        let needed = unicode_width::UnicodeWidthChar::width(c).unwrap_or(0);
        if !escaped && used + needed + 2 > columns {
            match inside {
                None => {
                    out.push_str("\\\n");
                    used = 0;
                }
                Some('\'') => {
                    out.push_str("'\\\n'");
                    used = 1;
                }
                Some(_) => {}
            }
        }
        out.push(c);
        used = if c == '\n' { 0 } else { used + needed };
        match (inside, c) {
            _ if escaped => escaped = false,
            (None | Some('"'), '\\') => escaped = true,
            (None, '\'' | '"') => inside = Some(c),
            (Some(open), c) if c == open => inside = None,
            _ => {}
        }
    }
    used
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a shell makes of a word.
    #[cfg(unix)]
    fn read_back(quoted: &str) -> Vec<u8> {
        let script = format!("printf %s {quoted}");
        let run = std::process::Command::new("sh").arg("-c").arg(&script).env("ALICE", "a token").output().unwrap();
        assert!(run.status.success(), "{script}\n{}", String::from_utf8_lossy(&run.stderr));
        run.stdout
    }

    #[cfg(unix)]
    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        let words = [
            "",
            "plain",
            "it's $HOME",
            "$(touch /tmp/owned)",
            "`id`",
            "\"; id; \"",
            "a\\nb",
            "\\",
            "!history",
            "*",
            "~",
            "-n",
            "\u{1b}[31mred",
            "\r\n",
            "a\nb",
            "ends\n",
            "\n",
            "tab\tbell\u{7}",
            "\u{202e}reversed\u{200b}",
            "é\u{1f511}",
            "%s%n",
            "'",
            "''",
            "a'\n'b",
            "x\u{9b}y",
            "{a,b}",
            "#",
            "&|;<>()",
        ];
        for word in words {
            let quoted = quote(word);
            assert_eq!(String::from_utf8_lossy(&read_back(&quoted)), word, "{quoted}");
            assert!(!quoted.chars().any(|c| c != '\n' && is_unsafe(c)), "{quoted}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn variables_stand_for_values() {
        let variables = [("s3cret".to_owned(), "ALICE".to_owned()), ("s3cret-too".to_owned(), "BOB".to_owned())];
        let quoted = quote_with("Bearer s3cret$(id)", &variables);
        assert_eq!(quoted, "'Bearer '\"${ALICE}\"'$(id)'");
        assert_eq!(read_back(&quoted), b"Bearer a token$(id)");
        assert_eq!(quote_with("s3cret-too", &variables), "\"${BOB}\"");
        assert_eq!(quote_with("nothing", &variables), "nothing");
    }

    #[cfg(unix)]
    #[test]
    fn a_folded_command_is_the_same_command() {
        let words = [
            "curl".to_owned(),
            format!("http://127.0.0.1/{}", "a/".repeat(90)),
            format!("{{\"it's\":\"{}\"}}", "x'y \\ é".repeat(40)),
            format!("tabs\t{}\nand lines", "\u{202e}".repeat(3)),
            String::new(),
            "漢字".repeat(60),
        ];
        for columns in [40, 80, 100] {
            let command = words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
            let folded = fold(&command, columns, 7);
            assert!(
                folded.lines().filter(|line| !line.contains("printf")).all(|line| width(line) <= columns),
                "{folded}"
            );
            let script = format!("printf '<%s>' {folded}");
            let run = std::process::Command::new("sh").arg("-c").arg(&script).output().unwrap();
            let read: String = words.iter().map(|word| format!("<{word}>")).collect();
            assert_eq!(String::from_utf8_lossy(&run.stdout), read, "{folded}");
        }
    }

    #[test]
    fn quotes_for_a_shell() {
        assert_eq!(quote("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(quote(""), "''");
    }
}
