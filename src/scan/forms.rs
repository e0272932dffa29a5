//! The spellings in which bytes turn up in text, logs and databases.

use std::fmt::Write as _;

use ::base64::Engine as _;
use ::base64::alphabet;
use ::base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

/// One spelling of some bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// Name for a report, e.g. `base64`.
    pub name: &'static str,
    /// What to look for.
    pub bytes: Vec<u8>,
}

const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, NO_PAD);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, NO_PAD);

/// Every common spelling of `secret`, each once: raw, as Latin-1 text in UTF-8, hex in both cases, both base64 alphabets at
/// the three places that a secret can have within a group of three bytes, and a list of decimal numbers.
///
/// Spellings by JSON escapes aren't among them: [`without_escapes`] undoes those in the text that is searched.
pub fn forms(secret: &[u8]) -> Vec<Form> {
    let mut out: Vec<Form> = Vec::with_capacity(12);
    let mut add = |name, bytes: Vec<u8>| {
        if !out.iter().any(|form| form.bytes == bytes) {
            out.push(Form { name, bytes });
        }
    };
    add("raw", secret.to_vec());
    add("Latin-1 text", secret.iter().map(|&byte| char::from(byte)).collect::<String>().into_bytes());
    let hex = secret.iter().fold(String::with_capacity(secret.len() * 2), |mut hex, byte| {
        // Writing to a string can't fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    add("hex", hex.to_ascii_uppercase().into_bytes());
    add("hex", hex.into_bytes());
    for before in 0..3 {
        add("base64", inner_base64(&STANDARD, secret, before));
        add("base64url", inner_base64(&URL_SAFE, secret, before));
    }
    for separator in [",", ", "] {
        let numbers: Vec<_> = secret.iter().map(u8::to_string).collect();
        add("a list of bytes", numbers.join(separator).into_bytes());
    }
    out
}

/// The characters that `secret` alone determines when `before` other bytes stand in front of it in its group of three.
fn inner_base64(engine: &GeneralPurpose, secret: &[u8], before: usize) -> Vec<u8> {
    let mut bytes = vec![0; before];
    bytes.extend_from_slice(secret);
    let text = engine.encode(&bytes).into_bytes();
    let (first, end) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
    text.get(first..end).unwrap_or_default().to_vec()
}

/// The text with JSON's escapes undone, wherever they stand; `None` when there are none.
///
/// Serializers escape more than they must: `/` as `\/` in PHP, `+` as `\u002B` in .NET, all that isn't ASCII in Python.
pub fn without_escapes(text: &[u8]) -> Option<Vec<u8>> {
    let first = text.iter().position(|&byte| byte == b'\\')?;
    let mut out = Vec::with_capacity(text.len());
    let (head, mut rest) = text.split_at(first);
    out.extend_from_slice(head);
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let Some((&escaped, after)) = rest.split_first() else { break };
        rest = after;
        match escaped {
            b'u' => {
                let digits = rest.get(..4).and_then(|digits| std::str::from_utf8(digits).ok());
                let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
                if let Some(character) = code.and_then(char::from_u32) {
                    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                    rest = rest.get(4..).unwrap_or_default();
                }
            }
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'b' => out.push(8),
            b'f' => out.push(12),
            other => out.push(other),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn holds(text: &[u8], secret: &[u8], name: &str) -> bool {
        let is_in = |form: &Form| text.windows(form.bytes.len()).any(|window| window == form.bytes);
        forms(secret).iter().any(|form| form.name == name && is_in(form))
    }

    #[test]
    fn plain_letters_have_few_forms() {
        let names: Vec<_> = forms(b"jklmnopqr").iter().map(|form| form.name).collect();
        let expected = ["raw", "hex", "hex", "base64", "base64", "base64", "a list of bytes", "a list of bytes"];
        assert_eq!(names, expected);
    }

    #[test]
    fn escapes_are_undone() {
        assert_eq!(without_escapes(b"plain"), None);
        assert_eq!(without_escapes(br#"a\/b\u002Bc\u00e9\n\""#).unwrap(), "a/b+cé\n\"".as_bytes());
        // Broken escapes lose nothing but the backslash.
        assert_eq!(without_escapes(br"\uzz\").unwrap(), b"zz");
    }

    proptest! {
        #[test]
        fn a_secret_within_more_bytes_is_seen(
            before in prop::collection::vec(any::<u8>(), 0..7),
            secret in prop::array::uniform32(any::<u8>()),
            after in prop::collection::vec(any::<u8>(), 0..7),
        ) {
            let whole = [&before[..], &secret[..], &after[..]].concat();
            prop_assert!(holds(&whole, &secret, "raw"));
            prop_assert!(holds(STANDARD.encode(&whole).as_bytes(), &secret, "base64"));
            let url = URL_SAFE.encode(&whole);
            prop_assert!(holds(url.as_bytes(), &secret, "base64url") || holds(url.as_bytes(), &secret, "base64"));
            prop_assert!(holds(crate::client::random::hex(&whole).as_bytes(), &secret, "hex"));
            let list = format!("{whole:?}");
            prop_assert!(holds(list.as_bytes(), &secret, "a list of bytes"));
        }

        #[test]
        fn escaped_json_reads_as_its_text(text in ".{0,40}") {
            let json = serde_json::to_string(&text).unwrap();
            let undone = without_escapes(json.as_bytes()).unwrap_or_else(|| json.clone().into_bytes());
            prop_assert_eq!(&undone[1..undone.len() - 1], text.as_bytes());
        }
    }
}
