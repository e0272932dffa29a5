//! A part of a secret in any guise that docs/storage.md promises, within any others, wherever it stands.

use ::base64::Engine as _;
use ::base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

use super::*;

/// Ways to spell a secret that the searcher knows by themselves.
const SPELLINGS: [Encoder; 5] = [
    text_base64,
    text_hex,
    upper_hex,
    |bytes| URL_SAFE_NO_PAD.encode(bytes).into_bytes(),
    |bytes| format!("{bytes:?}").into_bytes(),
];

fn upper_hex(bytes: &[u8]) -> Vec<u8> {
    text_hex(bytes).to_ascii_uppercase()
}

fn wrapped(bytes: &[u8], length: usize, end: &[u8]) -> Vec<u8> {
    text_base64(bytes).chunks(length).collect::<Vec<_>>().join(end)
}

/// Layers that take anything.
const OF_BYTES: [Encoder; 11] = [
    text_base64,
    |bytes| STANDARD_NO_PAD.encode(bytes).into_bytes(),
    |bytes| URL_SAFE.encode(bytes).into_bytes(),
    |bytes| URL_SAFE_NO_PAD.encode(bytes).into_bytes(),
    |bytes| wrapped(bytes, 64, b"\n"),
    |bytes| wrapped(bytes, 76, b"\r\n"),
    text_hex,
    upper_hex,
    gzip,
    zlib,
    zstd,
];

fn escaped(bytes: &[u8], escape: impl Fn(char) -> String) -> Vec<u8> {
    let each = |byte: &u8| if byte.is_ascii_alphanumeric() { char::from(*byte).into() } else { escape((*byte).into()) };
    bytes.iter().map(each).collect::<String>().into_bytes()
}

/// Layers that take text.
const OF_TEXT: [Encoder; 5] = [
    utf16,
    |bytes| bytes.iter().flat_map(|byte| [0, *byte]).collect(),
    |bytes| escaped(bytes, |character| format!("%{:02X}", u32::from(character))),
    |bytes| escaped(bytes, |character| format!("\\u{:04x}", u32::from(character))),
    |bytes| escaped(bytes, |character| format!("&#{};", u32::from(character))),
];

/// What stands around it in a layer.
#[derive(Clone, Debug)]
struct Around {
    layer: usize,
    before: usize,
    after: usize,
}

fn layer() -> impl Strategy<Value = Around> {
    let lengths = prop_oneof![0_usize..5, 0_usize..700];
    (0..OF_BYTES.len() + OF_TEXT.len(), lengths.clone(), lengths).prop_map(|(layer, before, after)| Around {
        layer,
        before,
        after,
    })
}

/// Within a layer; text amid some more of it, and anything but compressed data, which come first, amid noise.
fn put_into(around: &Around, inner: Vec<u8>, is_compressed: &mut bool) -> Vec<u8> {
    let is_text = inner.is_ascii() && !inner.contains(&0);
    if let Some(of_text) = around.layer.checked_sub(OF_BYTES.len()).filter(|_| is_text) {
        *is_compressed = false;
        return of_text_amid(OF_TEXT[of_text], &inner);
    }
    let before = if *is_compressed { around.before % 4 } else { around.before };
    let layer = around.layer % OF_BYTES.len();
    *is_compressed = layer >= 8;
    OF_BYTES[layer](&[noise(before), b" ".to_vec(), inner, b" ".to_vec(), noise(around.after)].concat())
}

fn of_text_amid(encode: Encoder, inner: &[u8]) -> Vec<u8> {
    encode(&[b"{\"k\": \"", inner, b"\"}"].concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_guise_within_any_others(
        start in 0_usize..21,
        spelling in 0..SPELLINGS.len(),
        layers in prop::collection::vec(layer(), 0..4),
        near in prop::sample::select(vec![0_usize, 0, 0, 64 << 10]),
        off in 0_usize..200,
    ) {
        let key: [u8; 32] = random::bytes();
        let spelled = SPELLINGS[spelling](&key[start..start + PARTIAL]);
        let mut is_compressed = false;
        let hidden = layers.iter().fold(spelled, |inner, around| put_into(around, inner, &mut is_compressed));
        let text = [noise((near + off).saturating_sub(100)), b" ".to_vec(), hidden, b" ".to_vec(), noise(99)].concat();
        prop_assert!(!looking_for(&key).at(&text).is_empty());
    }
}
