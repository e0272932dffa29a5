//! Base64 as the protocol uses it: padded standard alphabet on the wire (SPEC §2), unpadded URL alphabet for invite
//! tokens (SPEC §8.1). Decoding is strict: one byte string has exactly one spelling.

use ::base64::Engine as _;
use ::base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// Why a string isn't the canonical base64 of anything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Base64Error {
    /// A character outside the alphabet (or padding in the wrong place).
    #[error("character {character:?} at offset {offset} isn't in the alphabet")]
    Alphabet {
        /// Byte offset in the text.
        offset: usize,
        /// The offending byte, as a character.
        character: char,
    },
    /// The number of characters can't encode whole bytes.
    #[error("{0} characters can't encode a whole number of bytes")]
    Length(usize),
    /// Padding is missing, superfluous or misplaced.
    #[error("padding is missing or wrong")]
    Padding,
    /// Bits of the last character that encode nothing aren't zero (RFC 4648 §3.5).
    #[error("unused bits of the last character aren't zero")]
    TrailingBits,
    /// It decodes, but not to as many bytes as are needed.
    #[error("decodes to {actual} bytes instead of {expected}")]
    Size {
        /// Bytes needed.
        expected: usize,
        /// Bytes found.
        actual: usize,
    },
}

/// Padded standard base64 (RFC 4648 §4).
pub fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The bytes of a padded standard base64 string.
///
/// # Errors
/// Anything but the canonical spelling: [`Base64Error`] says what is wrong.
pub fn decode(text: &str) -> Result<Vec<u8>, Base64Error> {
    STANDARD.decode(text).map_err(|e| explain(text, e))
}

/// [`decode`] for a value of a fixed size of `N` bytes.
///
/// # Errors
/// As [`decode`], or [`Base64Error::Size`].
pub fn decode_array<const N: usize>(text: &str) -> Result<[u8; N], Base64Error> {
    let bytes = decode(text)?;
    <[u8; N]>::try_from(bytes.as_slice()).map_err(|_| Base64Error::Size { expected: N, actual: bytes.len() })
}

/// Unpadded URL-safe base64 (RFC 4648 §5).
pub fn encode_url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes of an unpadded URL-safe base64 string.
///
/// # Errors
/// Anything but the canonical spelling.
pub fn decode_url(text: &str) -> Result<Vec<u8>, Base64Error> {
    URL_SAFE_NO_PAD.decode(text).map_err(|e| explain(text, e))
}

fn explain(text: &str, error: ::base64::DecodeError) -> Base64Error {
    use ::base64::DecodeError as E;
    match error {
        E::InvalidByte(_, b'=') | E::InvalidPadding => Base64Error::Padding,
        E::InvalidByte(offset, byte) => {
            let character = text.get(offset..).and_then(|rest| rest.chars().next());
            Base64Error::Alphabet { offset, character: character.unwrap_or(char::from(byte)) }
        }
        E::InvalidLength(length) => Base64Error::Length(length),
        E::InvalidLastSymbol { .. } => Base64Error::TrailingBits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_4648_section_10() {
        for (plain, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(plain.as_bytes()), text);
            assert_eq!(decode(text).unwrap(), plain.as_bytes());
            assert_eq!(decode_url(text.trim_end_matches('=')).unwrap(), plain.as_bytes());
        }
    }

    #[test]
    fn one_spelling_only() {
        assert_eq!(decode("Zg"), Err(Base64Error::Padding));
        assert_eq!(decode("Zg="), Err(Base64Error::Padding));
        assert_eq!(decode("Zh=="), Err(Base64Error::TrailingBits));
        assert!(matches!(decode("-_-_"), Err(Base64Error::Alphabet { offset: 0, character: '-' })));
        assert!(decode("Zg==\n").is_err());
        assert!(matches!(decode(" Zg=="), Err(Base64Error::Alphabet { offset: 0, .. })));
        assert!(matches!(decode_url("Zg=="), Err(Base64Error::Padding)));
        assert!(matches!(decode_url("++"), Err(Base64Error::Alphabet { .. })));
        assert_eq!(decode_array::<4>("Zm9v"), Err(Base64Error::Size { expected: 4, actual: 3 }));
    }
}
