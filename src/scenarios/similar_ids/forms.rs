//! Ids of a well-known form (a number, a moment, a hash, an address), in two spellings that whoever reads that form takes for
//! one value. Every value is random, so that no earlier run has used it.

use crate::client::random;
use crate::ground::hex;

/// What the form is, and two spellings of one random value.
pub(super) type Form = (&'static str, fn() -> (String, String));

pub(super) const FORMS: &[Form] = &[
    ("a date", || {
        let (day, minutes) = moment();
        (format!("{day}T10:{minutes}Z"), format!("{day}T10:{minutes}.000Z"))
    }),
    ("a time zone", || {
        let (day, minutes) = moment();
        (format!("{day}T10:{minutes}+02:00"), format!("{day}T08:{minutes}Z"))
    }),
    ("an exponent", || with(number(), |number| (format!("{number}e3"), format!("{number}000")))),
    ("zeros before digits", || with(number(), |number| (format!("00{number}"), number.to_string()))),
    ("a plus sign before digits", || with(number(), |number| (format!("+{number}"), number.to_string()))),
    ("a hexadecimal number", || with(number(), |number| (format!("{number:#x}"), number.to_string()))),
    ("a number of 32 bits", || {
        with(number(), |number| ((u64::from(number) + (1 << 32)).to_string(), number.to_string()))
    }),
    ("Arabic digits", || {
        with(number(), |number| {
            let arabic = |digit: u8| char::from_u32(0x660 + u32::from(digit - b'0')).unwrap_or_default();
            (number.to_string().bytes().map(arabic).collect(), number.to_string())
        })
    }),
    ("a separator between digits", || {
        with(number(), |number| (format!("{}_{:03}", number / 1000, number % 1000), number.to_string()))
    }),
    ("a number of 64 bits", || {
        with(number(), |number| ((u128::from(number) + (1 << 64)).to_string(), number.to_string()))
    }),
    ("a ULID in small letters", || with(ulid(), |ulid| (ulid.to_lowercase(), ulid))),
    ("a ULID with O for zero", || with(ulid(), |ulid| (ulid.replace('0', "O"), ulid))),
    ("an object id of 12 bytes", || in_capitals(&random::bytes::<12>())),
    ("a hash of 20 bytes", || in_capitals(&random::bytes::<20>())),
    ("a hash of 32 bytes", || in_capitals(&random::bytes::<32>())),
    ("base64 with odd last bits", || {
        let id = crate::codec::base64::encode(&random::bytes::<16>()).replace(['+', '/'], "x");
        // Of the last of 22 characters two bits count: A, Q, g or w; the next letter has the same two.
        let id = id.trim_end_matches('=').to_owned();
        let last = id.chars().last().map_or('A', |last| char::from(last as u8 + 1));
        (format!("{}{last}", &id[..id.len() - 1]), id)
    }),
    ("a domain in capitals", || {
        with(label(), |label| (format!("{label}.EXAMPLE.ORG"), format!("{label}.example.org")))
    }),
    ("an address in capitals", || {
        with(label(), |label| (format!("{label}@EXAMPLE.ORG"), format!("{label}@example.org")))
    }),
];

/// With `--thorough`, besides.
pub(super) const MORE: &[Form] = &[
    ("a fraction", || with(number(), |number| (format!("{number}.0"), number.to_string()))),
    ("zeros after a fraction", || with(number(), |number| (format!("{number}.50"), format!("{number}.5")))),
    ("a blank before digits", || with(number(), |number| (format!(" {number}"), number.to_string()))),
    ("a version", || with(number(), |number| (format!("{number}.0.0"), format!("{number}.0")))),
    ("an address of 32 bits", || {
        let [a, b, c] = random::bytes();
        (format!("127.{a}.{b}.{c}"), format!("127.{a}.{b}.0{c:o}"))
    }),
    ("an address with a tag", || {
        with(label(), |label| (format!("{label}+a@example.org"), format!("{label}@example.org")))
    }),
    ("an address of the web", || {
        with(label(), |label| (format!("https://example.org:443/{label}"), format!("https://example.org/{label}")))
    }),
    ("JSON text", || with(label(), |label| (format!("\"{label}\""), label))),
    ("a JSON object", || with(label(), |label| (format!("{{\"a\": \"{label}\"}}"), format!("{{\"a\":\"{label}\"}}")))),
];

fn with<T>(value: T, spell: impl FnOnce(T) -> (String, String)) -> (String, String) {
    spell(value)
}

/// A number of 31 bits, so that it has ten digits and no sign.
fn number() -> u32 {
    u32::from_le_bytes(random::bytes()) >> 1 | 1 << 30
}

/// A day, and minutes and seconds.
fn moment() -> (String, String) {
    let [year, month, day, minute, second] = [(1970, 400), (1, 12), (1, 28), (0, 60), (0, 60)]
        .map(|(first, count)| first + u32::from_le_bytes(random::bytes()) % count);
    (format!("{year}-{month:02}-{day:02}"), format!("{minute:02}:{second:02}"))
}

/// As <https://github.com/ulid/spec> writes it: 26 characters of Crockford's base32. One is a zero.
fn ulid() -> String {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let digits = random::bytes::<23>().map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
    format!("01J{}", String::from_iter(digits))
}

/// Some bytes in hexadecimal, with a letter in any case.
fn in_capitals(bytes: &[u8]) -> (String, String) {
    let digits = hex::encode(&[bytes, &[0xab]].concat()[1..]);
    (digits.to_uppercase(), digits)
}

/// Letters and digits, of which the first is a letter.
fn label() -> String {
    format!("a{}", hex::encode(&random::bytes::<8>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_has_two_spellings_that_no_other_run_has() {
        for (what, spell) in FORMS.iter().chain(MORE) {
            for _ in 0..200 {
                let (first, second) = spell();
                assert_ne!(first, second, "{what}");
                assert_ne!(spell().0, first, "{what}");
            }
        }
    }

    #[test]
    fn odd_last_bits_stand_for_the_same_bytes() {
        use base64::Engine as _;
        use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
        let config = GeneralPurposeConfig::new()
            .with_decode_allow_trailing_bits(true)
            .with_decode_padding_mode(DecodePaddingMode::Indifferent);
        let lenient = GeneralPurpose::new(&base64::alphabet::STANDARD, config);
        let spell = FORMS.iter().find(|(what, _)| what.starts_with("base64")).unwrap().1;
        for _ in 0..50 {
            let (first, second) = spell();
            assert_eq!(lenient.decode(first).unwrap(), lenient.decode(second).unwrap());
        }
    }
}
