//! The spellings in which bytes turn up in text, logs and databases.

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
    /// How many characters in a row [`PARTIAL`] bytes of the secret take up at the least; at most the length.
    pub window: usize,
}

/// A secret counts as leaked when this many of its bytes are found in a row.
pub const PARTIAL: usize = 12;

const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, NO_PAD);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, NO_PAD);

/// Every common spelling of `secret`, each once: raw, as Latin-1 text in UTF-8, hex in both cases, as a UUID where it has the
/// length of one, both base64 alphabets at the three places that a secret can have within a group of three bytes, and a
/// list of decimal numbers.
///
/// UTF-16, escapes and encodings of encodings aren't among them: they are layers that are undone before the search.
pub fn forms(secret: &[u8]) -> Vec<Form> {
    let mut out: Vec<Form> = Vec::with_capacity(14);
    let mut add = |name, bytes: Vec<u8>, window: usize| {
        if !out.iter().any(|form| form.bytes == bytes) {
            let window = window.min(bytes.len());
            out.push(Form { name, bytes, window });
        }
    };
    add("raw", secret.to_vec(), PARTIAL);
    add("Latin-1 text", secret.iter().map(|&byte| char::from(byte)).collect::<String>().into_bytes(), PARTIAL);
    for digits in [b"0123456789abcdef", b"0123456789ABCDEF"] {
        let digits = hex(secret, digits);
        if secret.len() == 16 {
            // The dashes of a UUID are at most two among twelve bytes.
            add("UUID", dashed(&digits), PARTIAL * 2);
        }
        add("hex", digits, PARTIAL * 2);
    }
    for (name, characters) in in_base64(secret) {
        // 96 bits are 16 characters; one of them at the edge may depend on the neighbour.
        add(name, characters, 15);
    }
    for separator in [&b","[..], b", "] {
        add("a list of bytes", numbers(secret, separator), PARTIAL * (1 + separator.len()) - separator.len());
    }
    out
}

/// Thirty-two digits as a UUID writes them.
fn dashed(digits: &[u8]) -> Vec<u8> {
    let groups = [0..8, 8..12, 12..16, 16..20, 20..32].map(|group| digits.get(group).unwrap_or_default());
    groups.join(&b'-')
}

fn hex(secret: &[u8], digits: &[u8; 16]) -> Vec<u8> {
    secret.iter().flat_map(|byte| [byte >> 4, byte & 15].map(|digit| digits[usize::from(digit)])).collect()
}

/// Decimal numbers with something between them.
fn numbers(secret: &[u8], separator: &[u8]) -> Vec<u8> {
    let mut list = Vec::with_capacity(secret.len() * (3 + separator.len()));
    for (index, &byte) in secret.iter().enumerate() {
        if index > 0 {
            list.extend_from_slice(separator);
        }
        let digits = [byte / 100, byte / 10 % 10, byte % 10].map(|digit| b'0' + digit);
        let leading = if byte >= 100 {
            0
        } else if byte >= 10 {
            1
        } else {
            2
        };
        list.extend_from_slice(&digits[leading..]);
    }
    list
}

/// Some bytes in both base64 alphabets at the three places that they can have within a group of three, with the alphabets' names.
pub(super) fn in_base64(bytes: &[u8]) -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    let alphabets = [("base64", &STANDARD), ("base64url", &URL_SAFE)];
    (0..3).flat_map(move |before| alphabets.map(|(name, engine)| (name, inner_base64(engine, bytes, before))))
}

/// The characters that `secret` alone determines when `before` other bytes stand in front of it in its group of three.
fn inner_base64(engine: &GeneralPurpose, secret: &[u8], before: usize) -> Vec<u8> {
    let mut bytes = vec![0; before];
    bytes.extend_from_slice(secret);
    let text = engine.encode(&bytes).into_bytes();
    let (first, end) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
    text.get(first..end).unwrap_or_default().to_vec()
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
        let names: Vec<_> = forms(b"jklmnopqrstuv").iter().map(|form| form.name).collect();
        let expected = ["raw", "hex", "hex", "base64", "base64", "base64", "a list of bytes", "a list of bytes"];
        assert_eq!(names, expected);
        assert!(forms(&[7; 16]).iter().any(|form| form.bytes == b"07070707-0707-0707-0707-070707070707"));
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
            prop_assert!(holds(crate::ground::hex::encode(&whole).as_bytes(), &secret, "hex"));
            let list = format!("{whole:?}");
            prop_assert!(holds(list.as_bytes(), &secret, "a list of bytes"));
        }

        /// Any twelve bytes of a secret are spelled in at least `window` characters that stand in the whole's form as well.
        #[test]
        fn twelve_bytes_fill_a_window(secret in prop::array::uniform32(any::<u8>()), start in 0_usize..21) {
            let part = forms(&secret[start..start + PARTIAL]);
            for form in forms(&secret) {
                let inside = |other: &&Form| {
                    other.name == form.name && form.bytes.windows(other.bytes.len()).any(|window| window == other.bytes)
                };
                for other in part.iter().filter(inside) {
                    prop_assert!(other.bytes.len() >= form.window, "{} {}", form.name, other.bytes.len());
                }
            }
        }
    }
}
