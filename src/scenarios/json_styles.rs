//! JSON in every spelling that RFC 8259 allows.

use bytes::Bytes;
use serde_json::Value;

/// An object, with so many blanks after its opening brace.
pub(super) fn padded(json: &[u8], blanks: usize) -> Bytes {
    let mut text = Vec::with_capacity(json.len() + blanks);
    text.push(b'{');
    text.resize(1 + blanks, b' ');
    text.extend_from_slice(&json[1..]);
    text.into()
}

/// How a message is spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// Every character of every string as `\uXXXX`, in both cases of digits, or as its short escape.
    Escaped,
    /// The names of members as well.
    NamesEscaped,
    /// Only what some writers escape: `/` as `\/`, `+` as `\u002B`, `=` as `\u003d`.
    PartlyEscaped,
    /// Members in the reverse of their order.
    Reversed,
    /// Blanks, tabs and line ends wherever they may be.
    Spaced,
}

impl Style {
    /// How such JSON looks, for a reader.
    pub(super) fn what(self) -> &'static str {
        match self {
            Self::Escaped => "JSON with every character of its strings escaped",
            Self::NamesEscaped => "JSON with names escaped as well",
            Self::PartlyEscaped => "JSON with slash, plus and equals sign escaped",
            Self::Reversed => "JSON with its members in the reverse order",
            Self::Spaced => "JSON with blanks and line ends between everything",
        }
    }
}

pub(super) fn spelled(value: &Value, style: Style) -> String {
    let mut out = String::new();
    write(value, style, &mut out);
    if style == Style::Spaced { format!("\r\n\t {out} \n\r") } else { out }
}

fn write(value: &Value, style: Style, out: &mut String) {
    let blank = if style == Style::Spaced { " \t\r\n" } else { "" };
    match value {
        Value::Object(members) => {
            let mut pairs: Vec<_> = members.iter().collect();
            if style == Style::Reversed {
                pairs.reverse();
            }
            out.push('{');
            for (number, (name, member)) in pairs.into_iter().enumerate() {
                out.push_str(if number > 0 { "," } else { "" });
                out.push_str(blank);
                text(name, if style == Style::NamesEscaped { Style::Escaped } else { Style::Spaced }, out);
                out.push_str(blank);
                out.push(':');
                out.push_str(blank);
                write(member, style, out);
                out.push_str(blank);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (number, item) in items.iter().enumerate() {
                out.push_str(if number > 0 { "," } else { "" });
                out.push_str(blank);
                write(item, style, out);
                out.push_str(blank);
            }
            out.push(']');
        }
        Value::String(string) => text(string, style, out),
        other => out.push_str(&other.to_string()),
    }
}

fn text(string: &str, style: Style, out: &mut String) {
    out.push('"');
    for (number, c) in string.chars().enumerate() {
        let units = c.encode_utf16(&mut [0; 2]).to_vec();
        match (style, c) {
            (Style::Escaped | Style::PartlyEscaped, '/') if number % 2 == 0 || style == Style::PartlyEscaped => {
                out.push_str("\\/");
            }
            (Style::PartlyEscaped, '+') => out.push_str("\\u002B"),
            (Style::PartlyEscaped, '=') => out.push_str("\\u003d"),
            (Style::Escaped, _) => {
                for unit in units {
                    let digits = if number % 2 == 0 { format!("{unit:04x}") } else { format!("{unit:04X}") };
                    out.push_str("\\u");
                    out.push_str(&digits);
                }
            }
            (_, '"' | '\\') => out.extend(['\\', c]),
            (_, c) if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => out.push(c),
        }
    }
    out.push('"');
}
