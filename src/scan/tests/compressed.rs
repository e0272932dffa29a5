//! Compressed data of every make.

use flate2::write::{DeflateEncoder, GzEncoder};
use flate2::{Compression, GzBuilder};

use super::*;

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A key, and a body of a request that holds it, not as it is.
fn body() -> ([u8; 32], Vec<u8>) {
    // Always the same, so that every run compresses the same bytes.
    let key: [u8; 32] = std::array::from_fn(|index| (index as u8).wrapping_mul(167) ^ 0x5c);
    let text =
        format!("{{\"some\":\"member\",\"dataKey\":\"{}\",\"other\":\"member\"}}", crate::ground::hex::encode(&key));
    (key, text.into_bytes())
}

/// A member of a ZIP archive.
fn zip(bytes: &[u8]) -> Vec<u8> {
    let deflated = deflate(bytes);
    let lengths = [deflated.len(), bytes.len()].map(|length| u32::try_from(length).unwrap().to_le_bytes()).concat();
    let name = b"dump.json";
    let header = [b"PK\x03\x04\x14\0\0\0\x08\0\0\0\0\0\0\0\0\0", &lengths[..], &[name.len() as u8, 0, 4, 0]].concat();
    [&header[..], name, b"\xfe\xca\0\0", &deflated, b"PK\x01\x02 and so on"].concat()
}

#[test]
fn raw_deflate_where_something_tells_it() {
    let (key, body) = body();
    let look = looking_for(&key);
    let http = [b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\n\r\n", &deflate(&body)[..], b"HTTP/1.1"].concat();
    for (name, bytes) in [
        ("a file", deflate(&body)),
        ("a long file", deflate(&[&text_hex(&noise(300_000)), &body[..], &text_hex(&noise(300_000))].concat())),
        ("two members of an archive", [noise(777), zip(b"something else"), zip(&body)].concat()),
        ("a response among others", [noise(1234), http.clone(), http].concat()),
        ("a small window, after a header", [&b"a: b\r\n\r\n"[..], &zlib_with(4, &body)].concat()),
        ("base64", [b"{\"a\":\"", &text_base64(&deflate(&body))[..], b"\"}"].concat()),
        ("hex", [b"COPY t\n\\\\x", &text_hex(&deflate(&body))[..], b"\n"].concat()),
        ("base64 of the key alone", [b" ", &text_base64(&deflate(&key))[..], b" "].concat()),
    ] {
        let found = layers(&look, &bytes);
        let is_deflated = |layers: &Vec<&str>| layers.contains(&"deflate") || layers.contains(&"zlib");
        assert!(found.iter().any(is_deflated), "{name}: {found:?}");
    }
}

#[test]
fn raw_deflate_in_a_column() {
    let (key, body) = body();
    let folder = tempfile::tempdir().unwrap();
    let connection = rusqlite::Connection::open(folder.path().join("x.db")).unwrap();
    connection.execute_batch("CREATE TABLE bodies (body BLOB)").unwrap();
    connection.execute("INSERT INTO bodies VALUES (?)", [deflate(&body)]).unwrap();
    let outcome = scan_folder(folder.path(), &[secret(Class::Key, &key)], None);
    let [hit] = &outcome.hits[..] else { panic!("{outcome:?}") };
    assert!(hit.live && hit.sighting.layers == ["deflate"], "{hit:?}");
}

/// zlib whose header says that it has a window of 256 bytes, times two to the power of a number.
fn zlib_with(window: u8, bytes: &[u8]) -> Vec<u8> {
    let first = window << 4 | 8;
    let check = (31 - u16::from_be_bytes([first, 0x40]) % 31) as u8;
    [&[first, 0x40 | check], &zlib(bytes)[2..]].concat()
}

#[test]
fn zlib_with_any_window() {
    // Within 256 bytes, so that any window is large enough.
    let key = key();
    let body = [b"data key ", &text_hex(&key)[..], b" data key"].concat();
    let look = looking_for(&key);
    for window in 0..8 {
        let blob = zlib_with(window, &body);
        // Undoing the hex as well may show it a second time.
        assert!(layers(&look, &blob).contains(&vec!["zlib"]), "{window}");
        let text = [b" ", &text_base64(&blob)[..], b" "].concat();
        assert!(layers(&look, &text).contains(&vec!["base64", "zlib"]), "{window}");
    }
}

#[test]
fn gzip_with_all_its_fields_and_members() {
    let (key, body) = body();
    let with_fields = || {
        let fields = GzBuilder::new().extra(noise(500)).filename("server.log").comment("rotated").mtime(1);
        let mut encoder: GzEncoder<_> = fields.write(Vec::new(), Compression::best());
        encoder.write_all(&body).unwrap();
        encoder.finish().unwrap()
    };
    let look = looking_for(&key);
    assert_eq!(layers(&look, &[noise(99), with_fields()].concat()), [["gzip"]]);
    let members = [gzip(b"a member"), gzip(&text_hex(&noise(200_000))), with_fields()].concat();
    assert_eq!(layers(&look, &members), [["gzip"]]);
}

#[test]
fn zstd_with_windows_frames_and_what_is_left_out() {
    let (key, body) = body();
    let windowed = |log: u32| {
        let mut encoder = ::zstd::stream::Encoder::new(Vec::new(), 3).unwrap();
        encoder.window_log(log).unwrap();
        // Found only by whoever goes back so far.
        encoder.write_all(&[&text_hex(&noise(1 << 20)), &body[..]].concat()).unwrap();
        encoder.finish().unwrap()
    };
    let look = looking_for(&key);
    assert_eq!(layers(&look, &windowed(23)), [["zstd"]]);
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    let frames = [zstd(b"a frame"), zstd(&text_hex(&noise(300_000))), skippable, windowed(18)].concat();
    assert_eq!(layers(&look, &frames), [["zstd"]]);

    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("long"), windowed(27)).unwrap();
    let outcome = scan_folder(folder.path(), &[secret(Class::Key, &key)], None);
    assert!(outcome.hits.is_empty() && outcome.remarks[0].contains("more than 8 MiB"), "{outcome:?}");
}
