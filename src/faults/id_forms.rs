//! Ids of a well-known form that are looked up by the value that they spell (SPEC §8).

use super::collations::collating;
use super::table::*;

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "ids-as-numbers",
        &CREATE_IDS_EXACT,
        "A repository id that reads as a number is one, so 1e3 is 1000.",
        || vault(collating(as_number)),
    ),
    fault(
        "ids-as-ulids",
        &CREATE_IDS_EXACT,
        "A repository id that reads as a ULID is one, in whatever letters.",
        || vault(collating(as_ulid)),
    ),
    fault(
        "ids-as-hashes",
        &CREATE_IDS_EXACT,
        "A repository id of 64 hexadecimal digits is the bytes they say.",
        || vault(collating(|id| as_bytes(id, 64))),
    ),
    fault(
        "ids-as-object-ids",
        &CREATE_IDS_EXACT,
        "A repository id of 24 hexadecimal digits is the bytes they say.",
        || vault(collating(|id| as_bytes(id, 24))),
    ),
    fault("ids-as-words-of-32-bits", &CREATE_IDS_EXACT, "A repository id of digits is a number, modulo 2^32.", || {
        vault(collating(|id| id.parse::<u128>().map_or_else(|_| id.to_owned(), |number| (number as u32).to_string())))
    }),
    fault("ids-as-words-of-64-bits", &CREATE_IDS_EXACT, "A repository id of digits is a number, modulo 2^64.", || {
        vault(collating(|id| id.parse::<u128>().map_or_else(|_| id.to_owned(), |number| (number as u64).to_string())))
    }),
    fault(
        "ids-with-small-domains",
        &CREATE_IDS_EXACT,
        "In a repository id that reads as an address, the letters after the at sign have no case.",
        || {
            vault(collating(|id| match id.split_once('@') {
                Some((local, domain)) => format!("{local}@{}", domain.to_lowercase()),
                None => id.to_owned(),
            }))
        },
    ),
    fault(
        "ids-as-bytes-of-base64",
        &CREATE_IDS_EXACT,
        "A repository id of 22 characters is what they stand for in base64, so that the last four bits don't count.",
        || {
            vault(collating(|id| match id.as_bytes() {
                [begin @ .., last] if id.len() == 22 && id.is_ascii() => {
                    format!("{}{}", String::from_utf8_lossy(begin), last_of_16_bytes(*last))
                }
                _ => id.to_owned(),
            }))
        },
    ),
];

fn as_number(id: &str) -> String {
    id.trim().parse::<f64>().map_or_else(|_| id.to_owned(), |number| number.to_string())
}

/// What a ULID is looked up by, which reads O as zero and I and L as one.
fn as_ulid(id: &str) -> String {
    let is_one = id.len() == 26 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_one { id.to_uppercase().replace('O', "0").replace(['I', 'L'], "1") } else { id.to_owned() }
}

/// What hexadecimal digits are looked up by, if there are so many.
fn as_bytes(id: &str, digits: usize) -> String {
    let is_one = id.len() == digits && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_one { id.to_lowercase() } else { id.to_owned() }
}

/// The digit of base64 that has the same upper two bits and no others.
fn last_of_16_bytes(digit: u8) -> char {
    match digit {
        b'A'..=b'P' => 'A',
        b'Q'..=b'Z' | b'a'..=b'f' => 'Q',
        b'g'..=b'v' => 'g',
        _ => 'w',
    }
}
