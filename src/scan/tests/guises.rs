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

/// Where compressed layers begin among those of bytes, and where those are that two encodings have to be undone for: base64 on lines
/// whose ends JSON has escaped.
const COMPRESSED: usize = 11;
const ESCAPED_LINES: std::ops::Range<usize> = 8..COMPRESSED;
/// How many encodings within each other are undone.
const DEPTH: usize = 5;

/// Layers that take anything.
const OF_BYTES: [Encoder; COMPRESSED + 3] = [
    text_base64,
    |bytes| STANDARD_NO_PAD.encode(bytes).into_bytes(),
    |bytes| URL_SAFE.encode(bytes).into_bytes(),
    |bytes| URL_SAFE_NO_PAD.encode(bytes).into_bytes(),
    |bytes| wrapped(bytes, 64, b"\n"),
    |bytes| wrapped(bytes, 76, b"\r\n"),
    text_hex,
    upper_hex,
    |bytes| wrapped(bytes, 64, b"\\n"),
    |bytes| wrapped(bytes, 76, b"\\r\\n"),
    |bytes| wrapped(bytes, 64, b"\\u000a"),
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
    *is_compressed = layer >= COMPRESSED;
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
        let depth = |around: &Around| if ESCAPED_LINES.contains(&(around.layer % OF_BYTES.len())) { 2 } else { 1 };
        prop_assume!(layers.iter().map(depth).sum::<usize>() <= DEPTH);
        let key = key();
        let spelled = SPELLINGS[spelling](&key[start..start + PARTIAL]);
        let mut is_compressed = false;
        let hidden = layers.iter().fold(spelled, |inner, around| put_into(around, inner, &mut is_compressed));
        let text = [noise((near + off).saturating_sub(100)), b" ".to_vec(), hidden, b" ".to_vec(), noise(99)].concat();
        prop_assert!(!looking_for(&key).at(&text).is_empty());
    }
}

/// gzip with so long a name of a file, which has no character that is escaped, before the data.
fn gzip_named(length: usize, bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::GzBuilder::new().filename(vec![b'x'; length]).write(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Base64 is decoded from its beginning, however much of it comes before the first escape: as much as is at hand.
    #[test]
    fn base64_before_the_first_escape(
        length in 0_usize..700,
        line in prop::sample::select(vec![64_usize, 76, usize::MAX]),
        end in prop::sample::select(vec!["\n", "\r\n", "\\n", "\\r\\n", "\\\\n", "\\u000a", "%0a", "&#10;"]),
        slash in prop::sample::select(vec!["/", "\\/", "\\\\/", "\\u002f", "%2F", "&#x2F;"]),
        near in prop::sample::select(vec![0_usize, 64 << 10]),
        off in 0_usize..2000,
    ) {
        let key = key();
        let text = text_base64(&gzip_named(length, &[&text_hex(&key), &text_hex(&noise(300))[..]].concat()));
        let lines: Vec<_> = text.chunks(line).map(|line| String::from_utf8_lossy(line).replace('/', slash)).collect();
        let around = vec![b'.'; near + off];
        let text = [&around, &b" {\"k\": \""[..], lines.join(end).as_bytes(), b"\"} "].concat();
        prop_assert!(!looking_for(&key).at(&text).is_empty());
    }
}

/// What leads to an escape is gone over a few times at the most, whatever the text is made of and however deep the escapes are.
#[test]
fn escapes_take_no_time_that_grows_faster_than_they_do() {
    let look = looking_for(&random::bytes::<32>());
    let percent: Encoder = OF_TEXT[2];
    let (line, lines) = ("A".repeat(64), "AAAA\n".repeat(3000));
    let parts = [
        "\\",
        "\\n",
        "\\\\n",
        "\\/",
        "%41",
        "&#65;",
        "A",
        "A\n",
        "\n",
        &lines,
        &format!("{line}\\n"),
        &format!("{line}\\r\\n"),
    ];
    let started = std::time::Instant::now();
    for (one, other) in parts.iter().flat_map(|one| ["", "\\/", "%2F", " \\n\"", &lines].map(|other| (one, other))) {
        let text = [one.repeat((64 << 10) / one.len()), other.into()].concat().into_bytes();
        assert_eq!(look.at(&text), []);
        assert_eq!(look.at(&percent(&percent(&text))[..text.len()]), []);
    }
    // Each of 64 KiB being gone over from each of its bytes would take much longer.
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
}
