//! Text that stays text in a page.

use super::super::text::{clean, is_unsafe};

/// Deepest indentation of a body.
const DEEPEST: usize = 12;

/// For content and for attributes in double quotes; line breaks and what steers or hides are spelled out.
pub(in super::super) fn esc(text: &str) -> String {
    markup(&clean(text))
}

/// As [`esc`], with line breaks kept.
pub(super) fn lines(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(esc).collect();
    lines.join("\n")
}

fn markup(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// A link to a check of this page.
pub(super) fn link(id: &str) -> String {
    let id = esc(id);
    format!("<a href=\"#{id}\"><code>{id}</code></a>")
}

/// A JSON body with a member a line. Nothing but blanks between tokens is changed: numbers and escapes are what came.
pub(super) fn indented(body: &str) -> String {
    let trimmed = body.trim();
    if !trimmed.starts_with(['{', '[']) {
        return trimmed.to_owned();
    }
    let mut out = String::with_capacity(body.len() * 2);
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    let mut chars = trimmed.chars().peekable();
    while let Some(c) = chars.next() {
        if quoted {
            out.push(c);
            quoted = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            '{' | '[' => {
                out.push(c);
                while chars.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                if chars.next_if(|next| matches!((c, *next), ('{', '}') | ('[', ']'))).is_some() {
                    out.push(if c == '{' { '}' } else { ']' });
                } else {
                    depth += 1;
                    line_break(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line_break(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line_break(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => {
                quoted = c == '"';
                out.push(c);
            }
        }
    }
    out
}

fn line_break(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth.min(DEEPEST)));
}

/// Whether a text could stand in a command that is copied: nothing in it is invisible.
pub(super) fn is_plain(text: &str) -> bool {
    !text.chars().any(|c| c != '\n' && is_unsafe(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        assert_eq!(
            esc("<a href=\"x\">&'\u{1b}\u{202e}\n"),
            "&lt;a href=&quot;x&quot;&gt;&amp;&#39;\\u{1b}\\u{202e}\\n"
        );
        assert_eq!(lines("a\n<b>\r"), "a\n&lt;b&gt;\\r");
        assert!(is_plain("a\nb") && !is_plain("a\u{200b}"));
    }

    #[test]
    fn bodies_are_indented_and_nothing_else() {
        assert_eq!(
            indented(r#"{"a":[1,{}],"b":"x,{\"y\":1}"}"#),
            "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": \"x,{\\\"y\\\":1}\"\n}"
        );
        assert_eq!(indented(r#"{"n": 1e400 , "s":"\\"}"#), "{\n  \"n\": 1e400,\n  \"s\": \"\\\\\"\n}");
        assert_eq!(indented("Internal Server Error"), "Internal Server Error");
        assert_eq!(indented(r#"{"cut":"of"#), "{\n  \"cut\": \"of");
        assert!(indented(&"[".repeat(8192)).len() < 300_000);
    }
}
