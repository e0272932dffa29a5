//! Text made fit for a reader: harmless, short and wrapped.
//!
//! What a server sends is hostile until proven otherwise: everything that a report takes from an event goes through
//! [`clean`] before it reaches a terminal or a file that a browser renders.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::runner::Hosted;

/// Longest JSON string that [`condense`] leaves alone: a UUID is 36 characters, a key 44.
const WHOLE_STRING: usize = 40;
/// Characters that it leaves of a longer one.
const KEPT_OF_STRING: usize = 20;

/// Columns that breaking a long word after a comma may waste.
const BREAK_WITHIN: usize = 24;

/// Escapes whatever could steer a terminal or mislead a reader: control characters (line breaks too), escape sequences,
/// and the invisible characters that reorder or hide text.
pub fn clean(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_unsafe(c) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Whether a character is one that [`clean`] escapes.
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// What a line may not begin with in the log of GitHub Actions, which would carry it out.
const LOG_COMMANDS: [&str; 14] = [
    "error",
    "warning",
    "notice",
    "debug",
    "group",
    "endgroup",
    "add-mask",
    "set-output",
    "set-env",
    "add-path",
    "save-state",
    "stop-commands",
    "echo",
    "add-matcher",
];

/// Takes the meaning from whatever a CI system would read as a command to it, wherever a wrapped line may have put it: the log
/// commands of GitHub Actions (`::error::` at the beginning of a line, `##[error]`), Azure Pipelines and TeamCity.
pub fn disarm(text: &str) -> Cow<'_, str> {
    if !text.contains("::") && !text.contains("##") {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for line in text.split_inclusive('\n') {
        let rest = line.trim_start();
        let named = rest.strip_prefix("::").is_some_and(|rest| {
            let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
            LOG_COMMANDS.contains(&name.to_ascii_lowercase().as_str())
        });
        if named {
            out.push_str(&line[..line.len() - rest.len()]);
            out.push_str(": :");
            out.push_str(&rest[2..]);
        } else {
            out.push_str(line);
        }
    }
    for opening in ["##[", "##vso[", "##teamcity["] {
        out = out.replace(opening, &format!("# {}", &opening[1..]));
    }
    Cow::Owned(out)
}

/// Columns that a text takes on a terminal.
pub fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// Breaks a text into lines of at most `columns`, at blanks where possible. Never empty.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(8);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let needed = width(word);
        let blank = usize::from(used > 0);
        if used + blank + needed > columns && used > 0 && (needed <= columns || used + blank + 8 > columns) {
            lines.push(String::new());
            used = 0;
        }
        push_word(&mut lines, &mut used, word, columns);
    }
    lines
}

/// Appends a word to the last line, breaking the word itself where it must be: after a comma and the like if one is near.
fn push_word(lines: &mut Vec<String>, used: &mut usize, word: &str, columns: usize) {
    if let Some(line) = lines.last_mut().filter(|_| *used > 0) {
        line.push(' ');
        *used += 1;
    }
    let mut rest = word;
    while *used + width(rest) > columns {
        let place = break_place(rest, columns.saturating_sub(*used));
        let (head, tail) = rest.split_at(place);
        append(lines, head);
        lines.push(String::new());
        *used = 0;
        rest = tail;
    }
    append(lines, rest);
    *used += width(rest);
}

fn append(lines: &mut [String], text: &str) {
    if let Some(line) = lines.last_mut() {
        line.push_str(text);
    }
}

/// Where to break a word that is wider than `room`, in bytes; at least one character fits on any line.
fn break_place(word: &str, room: usize) -> usize {
    let mut used = 0;
    let mut last = 0;
    let mut good = 0;
    for (index, c) in word.char_indices() {
        used += c.width().unwrap_or(0);
        if used > room && (last > 0 || room < BREAK_WITHIN) {
            break;
        }
        last = index + c.len_utf8();
        if matches!(c, ',' | ';' | '&' | '?' | '/' | '}') && room.saturating_sub(used) < BREAK_WITHIN {
            good = last;
        }
    }
    if good > 0 { good } else { last }
}

/// Wraps and keeps at most `lines` lines; what was cut off shows as `…`.
pub fn wrap_at_most(text: &str, columns: usize, lines: usize) -> Vec<String> {
    let mut wrapped = wrap(text, columns);
    if wrapped.len() > lines {
        wrapped.truncate(lines.max(1));
        if let Some(last) = wrapped.last_mut() {
            *last = cut(last, columns);
        }
    }
    wrapped
}

/// Shortens to one line of at most `columns`; what was cut off shows as `…`.
pub fn fit(text: &str, columns: usize) -> String {
    if width(text) <= columns { text.to_owned() } else { cut(text, columns) }
}

/// As much of a text as leaves room for the `…` that ends it.
fn cut(text: &str, columns: usize) -> String {
    let mut out = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > columns {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}

/// A body on one line: blanks between JSON tokens are collapsed and long strings keep their beginning only.
pub fn condense(body: &str) -> String {
    let json = body.trim_start().starts_with(['{', '[', '"']);
    let mut out = String::with_capacity(body.len().min(512));
    let mut chars = body.trim().chars().peekable();
    while let Some(c) = chars.next() {
        if json && c == '"' {
            out.push('"');
            condense_string(&mut chars, &mut out);
        } else if c.is_whitespace() {
            while chars.next_if(|next| next.is_whitespace()).is_some() {}
            out.push(' ');
        } else {
            out.push(c);
        }
    }
    out
}

/// Takes the rest of a JSON string, closing quote included (there is none where a record was cut).
fn condense_string(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) {
    let mut content = String::new();
    let mut closed = false;
    while let Some(c) = chars.next() {
        if c == '"' {
            closed = true;
            break;
        }
        content.push(c);
        if c == '\\' {
            content.extend(chars.next());
        }
    }
    if content.chars().count() > WHOLE_STRING {
        out.extend(content.chars().take(KEPT_OF_STRING));
        out.push('…');
    } else {
        out.push_str(&content);
    }
    if closed {
        out.push('"');
    }
}

/// `840 ms`, `1.24 s`, `2 min 5 s`.
pub fn duration(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1e3;
    match millis {
        m if m < 9.95 => format!("{m:.1} ms"),
        m if m < 999.5 => format!("{m:.0} ms"),
        m if m < 59_995.0 => format!("{:.2} s", m / 1e3),
        m => {
            let seconds = (m / 1e3).round();
            format!("{} min {} s", (seconds / 60.0).floor(), seconds % 60.0)
        }
    }
}

/// Milliseconds with microsecond resolution, as the JSON report states every time.
pub fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// What servers have used that the suite has started.
pub fn used(hosted: Hosted) -> String {
    let mib = hosted.peak_memory_bytes.div_ceil(1 << 20);
    let cpu = duration(Duration::from_millis(hosted.cpu_ms));
    let deaths = match hosted.deaths {
        0 => String::new(),
        1 => ", and it died once".to_owned(),
        times => format!(", and it died {times} times"),
    };
    format!("the server used {mib} MiB of memory at the most, and {cpu} of processor time{deaths}")
}

/// A sentence begins with a capital and ends with a full stop.
pub fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first: String = chars.next().map(|c| c.to_uppercase().collect()).unwrap_or_default();
    let end = if text.ends_with(['.', '!', '?', ':', '…']) { "" } else { "." };
    format!("{first}{}{end}", chars.as_str())
}

/// Sorts `§8.2` between `§8` and `§10`.
pub fn section_order(section: &str) -> Vec<u32> {
    section.trim_start_matches('§').split('.').map(|part| part.parse().unwrap_or(u32::MAX)).collect()
}

/// Epoch milliseconds as RFC 3339 in UTC.
pub fn rfc3339(epoch_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(epoch_ms).unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_survives() {
        let hostile = "a\x1b[2Jb\x07\r\n\tc\u{9b}31m\u{202e}d\u{200b}\u{2066}\u{7f}\u{0}";
        let cleaned = clean(hostile);
        assert_eq!(cleaned, "a\\u{1b}[2Jb\\u{7}\\r\\n\\tc\\u{9b}31m\\u{202e}d\\u{200b}\\u{2066}\\u{7f}\\u{0}");
        assert!(matches!(clean("plain — §6 … ok"), Cow::Borrowed(_)));
    }

    #[test]
    fn nothing_commands_a_ci_system() {
        assert_eq!(
            disarm("a ::error::b\n  ::error file=x::c\n::add-mask::d"),
            "a ::error::b\n  : :error file=x::c\n: :add-mask::d"
        );
        assert_eq!(disarm("x ##vso[task.setvariable] ##[error]y"), "x # #vso[task.setvariable] # #[error]y");
        assert!(matches!(disarm("§6 [::1]:80"), Cow::Owned(text) if text == "§6 [::1]:80"));
        assert!(matches!(disarm("plain"), Cow::Borrowed(_)));
    }

    #[test]
    fn wraps_at_blanks_and_breaks_what_has_none() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("0123456789abc de", 10), ["0123456789", "abc de"]);
        assert_eq!(wrap("", 10), [""]);
        assert_eq!(wrap("{\"a\":1,\"long\":2345}", 12), ["{\"a\":1,", "\"long\":2345}"]);
        assert_eq!(wrap("漢字漢字漢字", 8), ["漢字漢字", "漢字"]);
        for line in wrap("a bb ccc dddd eeeee ffffff ggggggg hhhhhhhh", 9) {
            assert!(width(&line) <= 9, "{line}");
        }
        assert_eq!(wrap_at_most("one two three four five", 8, 2), ["one two", "three…"]);
        assert_eq!(fit("abcdef", 4), "abc…");
        assert_eq!(fit("abcd", 4), "abcd");
    }

    #[test]
    fn bodies_become_short() {
        assert_eq!(condense("{\n  \"a\": 1,\n  \"b\": [ ]\n}"), "{ \"a\": 1, \"b\": [ ] }");
        let long = format!(r#"{{"ciphertext":"{}","n":1}}"#, "A".repeat(200));
        assert_eq!(condense(&long), format!(r#"{{"ciphertext":"{}…","n":1}}"#, "A".repeat(KEPT_OF_STRING)));
        assert_eq!(condense(r#"{"a":"x\"y"}"#), r#"{"a":"x\"y"}"#);
        assert_eq!(condense(r#"{"a":"cut"#), r#"{"a":"cut"#);
        assert_eq!(condense("<html>\n <p class=\"x\">"), "<html> <p class=\"x\">");
    }

    #[test]
    fn times_and_sections() {
        for (micros, text) in
            [(1_240, "1.2 ms"), (840_000, "840 ms"), (1_240_000, "1.24 s"), (125_000_000, "2 min 5 s")]
        {
            assert_eq!(duration(Duration::from_micros(micros)), text);
        }
        assert!(section_order("§8.2") > section_order("§8") && section_order("§8.2") < section_order("§10"));
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
    }
}
