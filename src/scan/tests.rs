//! Secrets in every guise that the issue of it names, and trees that do what real ones do.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use proptest::prelude::*;

mod compressed;
mod guises;

use super::*;
use crate::client::random;
use crate::codec::base64;

fn secret(class: Class, bytes: &[u8]) -> Secret {
    Secret { class, what: "key".into(), check: "a/check".into(), bytes: bytes.to_vec() }
}

/// Of any twelve bytes one isn't ASCII: those that are would be their own Latin-1 text, and found as that, too.
fn key() -> [u8; 32] {
    let mut key: [u8; 32] = random::bytes();
    key.iter_mut().step_by(8).for_each(|byte| *byte |= 0x80);
    key
}

fn looking_for(bytes: &[u8]) -> Look {
    Look::new(&searcher(&[secret(Class::Key, bytes)]))
}

/// The encodings around what is found.
fn layers(look: &Look, text: &[u8]) -> Vec<Vec<&'static str>> {
    look.at(text).into_iter().map(|sighting| sighting.layers).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ::zstd::encode_all(bytes, 3).unwrap()
}

fn utf16(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|byte| [*byte, 0]).collect()
}

fn text_base64(bytes: &[u8]) -> Vec<u8> {
    base64::encode(bytes).into_bytes()
}

fn text_hex(bytes: &[u8]) -> Vec<u8> {
    crate::ground::hex::encode(bytes).into_bytes()
}

type Encoder = fn(&[u8]) -> Vec<u8>;

fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    random::fill(&mut bytes);
    bytes
}

#[test]
fn every_encoding_and_two_of_them_within_each_other() {
    let key = key();
    let look = looking_for(&key);
    let encodings: [(&str, Encoder); 5] =
        [("base64", text_base64), ("hex", text_hex), ("gzip", gzip), ("zlib", zlib), ("zstd", zstd)];
    for (outer_name, outer) in encodings {
        for (inner_name, inner) in encodings {
            // In the middle of something else, so that neither begins at a convenient place.
            let inside = [b"{\"k\":\"".to_vec(), inner(&key), b"\"}".to_vec()].concat();
            let text = [noise(1001), b" ".to_vec(), outer(&inside), b" ".to_vec(), noise(77)].concat();
            assert!(!layers(&look, &text).is_empty(), "{inner_name} in {outer_name}");
        }
    }
}

#[test]
fn utf16_escapes_and_wrapped_lines() {
    let key: [u8; 32] = [0xfb; 32].map(|byte: u8| byte ^ random::bytes::<1>()[0] & 3);
    let look = looking_for(&key);
    let text = text_base64(&key);
    let spelled = String::from_utf8(text.clone()).unwrap();
    assert!(spelled.contains('+') && spelled.contains('/') || spelled.contains('v'), "{spelled}");
    let url: String = spelled.replace('+', "%2B").replace('/', "%2f").replace('=', "%3D");
    let json = spelled.replace('/', "\\/").replace('+', "\\u002B");
    let twice = json.replace('\\', "\\\\");
    let html = spelled.replace('+', "&#43;").replace('/', "&#x2F;");
    let big_endian: Vec<u8> = text.iter().flat_map(|byte| [0, *byte]).collect();
    for (name, form) in [
        ("url", url.into_bytes()),
        ("json", json.into_bytes()),
        ("json in json", twice.into_bytes()),
        ("html", html.into_bytes()),
        ("utf-16le", utf16(&text)),
        ("utf-16be", big_endian),
        ("utf-16 of hex", utf16(&text_hex(&key))),
        ("utf-16 in base64", text_base64(&utf16(&text_hex(&key)))),
    ] {
        for before in 0..4 {
            let text = [&noise(100)[..], &b"    "[..before], &form, b" ", &noise(100)].concat();
            assert!(!layers(&look, &text).is_empty(), "{name} after {before}");
        }
    }
    // MIME wraps base64 at 76 characters.
    let encoded = base64::encode(&[noise(300), gzip(&key), noise(300)].concat());
    let wrapped: Vec<_> = encoded.as_bytes().chunks(76).collect();
    assert_eq!(layers(&look, &wrapped.join(&b"\r\n"[..])), [["base64", "gzip"]]);
}

#[test]
fn digits_that_are_worth_decoding_are_told_once() {
    let key = key();
    let look = looking_for(&key);
    // With text around it, base64 and hex are decoded, too, and the key is in them as it is.
    let inside = [&b"some text, "[..], &key, b", and some more of it"].concat();
    for encoding in [text_hex as Encoder, text_base64] {
        for around in [|bytes: &[u8]| bytes.to_vec(), gzip] {
            let found = look.at(&around(&encoding(&inside)));
            assert!(found.iter().any(|seen| seen.whole));
            let is_decoded = |seen: &&Sighting| matches!(seen.layers.last(), Some(&"hex" | &"base64"));
            assert_eq!(found.iter().find(is_decoded), None);
        }
    }
}

#[test]
fn parts_over_many_blocks() {
    let key = key();
    let look = looking_for(&key);
    // What can't be compressed is kept as it is; this can.
    let large = [text_hex(&noise(2 << 20)), key.to_vec(), text_hex(&noise(1 << 19))].concat();
    let found = layers(&look, &[noise(12345), gzip(&large)].concat());
    assert_eq!(found, [["gzip"]]);
    let found = layers(&look, &[b"{\"blob\":\"".to_vec(), text_base64(&zstd(&large)), b"\"}".to_vec()].concat());
    assert_eq!(found, [["base64", "zstd"]]);
    // Deeper than anybody encodes is left alone.
    let deep = (0..8).fold(key.to_vec(), |bytes, _| text_hex(&bytes));
    assert_eq!(layers(&look, &deep), [] as [Vec<&str>; 0]);
}

#[test]
fn a_bomb_is_bounded() {
    let key = key();
    // Two layers: a GiB of zeros in some kilobytes, with the key in front.
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&key).unwrap();
    let zeros = vec![0; 1 << 20];
    (0..128).for_each(|_| encoder.write_all(&zeros).unwrap());
    let bomb = gzip(&encoder.finish().unwrap());
    assert!(bomb.len() < 50_000);
    assert_eq!(layers(&looking_for(&key), &bomb), [["gzip", "gzip"]]);
}

fn scan_folder(path: &Path, secrets: &[Secret], but: Option<&Path>) -> ScanOutcome {
    let source = Source::Path(Role::Storage, path.to_owned());
    source.check().unwrap();
    scan(&searcher(secrets), &[source], but, &ScanProgress::default(), Duration::from_secs(60))
}

#[test]
#[cfg(unix)]
fn trees_with_everything_in_them() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let key = key();
    let secrets = [secret(Class::Key, &key)];
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir_all(at("a/b")).unwrap();
    symlink(folder.path(), at("a/b/loop")).unwrap();
    symlink(at("a/there"), at("link")).unwrap();
    symlink(at("nowhere"), at("dangling")).unwrap();
    std::fs::write(at("a/there"), [noise(40 << 20), key.to_vec()].concat()).unwrap();
    std::fs::write(at("empty"), "").unwrap();
    let fifo = std::process::Command::new("mkfifo").arg(at("fifo")).status().unwrap();
    assert!(fifo.success());
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    std::fs::write(at("secret"), key).unwrap();
    std::fs::set_permissions(at("secret"), PermissionsExt::from_mode(0o0)).unwrap();
    save(&at("canaries"), &secrets).unwrap();
    let sparse = std::fs::File::create(at("sparse")).unwrap();
    sparse.set_len(1 << 42).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, &key, (1 << 41) + 5).unwrap();
    let outcome = scan_folder(folder.path(), &secrets, Some(&at("canaries")));
    let mut found: Vec<_> =
        outcome.hits.iter().map(|hit| (hit.source.rsplit('/').next().unwrap(), &hit.sighting)).collect();
    // Root reads what nobody may.
    found.retain(|(name, _)| *name != "secret");
    found.sort_by_key(|(name, _)| *name);
    let places: Vec<_> = found.iter().map(|(name, sighting)| (*name, sighting.location.clone())).collect();
    // The file is reported under one of its names.
    assert_eq!(places[1], ("sparse", Location::Offset((1 << 41) + 5)));
    assert!(matches!(places[0].0, "there" | "link") && places[0].1 == Location::Offset(40 << 20), "{places:?}");
    assert_eq!(places.len(), 2);
    let remarks = outcome.remarks.join("\n");
    for word in
        ["a fifo", "a socket", "symbolic link back to", "a symbolic link to nothing", "the file of canaries itself"]
    {
        assert!(remarks.contains(word), "{word}: {remarks}");
    }
}

#[test]
fn databases_name_table_and_column_and_free_pages_count() {
    let (kept, deleted) = (key(), key());
    let secrets = [secret(Class::Key, &kept), secret(Class::Key, &deleted)];
    let folder = tempfile::tempdir().unwrap();
    let connection = rusqlite::Connection::open(folder.path().join("x.db")).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    connection.execute_batch("CREATE TABLE audit (id INTEGER PRIMARY KEY, body BLOB)").unwrap();
    // Compressed, and longer than a page, so that it stands in pieces in the file.
    let blob = zlib(&[text_base64(&noise(30_000)), text_hex(&kept), text_base64(&noise(30_000))].concat());
    connection.execute("INSERT INTO audit VALUES (17, ?)", [&blob]).unwrap();
    connection.execute("INSERT INTO audit VALUES (18, ?)", [&deleted[..]]).unwrap();
    connection.execute("DELETE FROM audit WHERE id = 18", ()).unwrap();
    let outcome = scan_folder(folder.path(), &secrets, None);
    let of = |tag| outcome.hits.iter().filter(move |hit| hit.sighting.tag == tag);
    let location = Location::Column { table: "audit".into(), column: "body".into(), row: Some(17) };
    assert_eq!(
        of(0).map(|hit| (hit.sighting.location.clone(), hit.sighting.layers.clone())).collect::<Vec<_>>(),
        [(location, vec!["zlib"])]
    );
    assert!(of(0).all(|hit| hit.live));
    assert!(of(1).count() > 0 && of(1).all(|hit| !hit.live));
}

#[test]
#[cfg(target_os = "linux")]
fn memory_of_a_process() {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};
    let text = crate::ground::hex::encode(&random::bytes::<16>());
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "read secret; echo ready; read more"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = shell.spawn().unwrap();
    writeln!(child.stdin.as_ref().unwrap(), "{text}").unwrap();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut String::new()).unwrap();
    let source = Source::Process(child.id());
    let outcome = source.check().map(|()| {
        let searcher = searcher(&[secret(Class::Account, text.as_bytes())]);
        scan(&searcher, &[source], None, &ScanProgress::default(), Duration::from_secs(60))
    });
    child.kill().unwrap();
    child.wait().unwrap();
    match outcome {
        Ok(outcome) => {
            assert!(
                outcome.hits.iter().any(|hit| hit.role == Role::Memory && hit.source.contains("memory of process"))
            );
        }
        // Some systems let nobody look into a child.
        Err(error) => assert!(error.to_string().contains("can't be read"), "{error}"),
    }
}

#[test]
fn output_of_commands() {
    let searcher = searcher(&[secret(Class::Account, b"Sixteen5characters6and7more")]);
    let sources = [Source::Command("printf Sixteen5characters6and7more".into()), Source::Command("exit 7".into())];
    let outcome = scan(&searcher, &sources, None, &ScanProgress::default(), Duration::from_secs(60));
    assert!(outcome.hits.len() == 1 && outcome.hits[0].live, "{outcome:?}");
    assert!(outcome.remarks.len() == 1 && outcome.remarks[0].contains('7'), "{outcome:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Wherever blocks and pieces are cut: twelve bytes of a secret, in any encoding, at any place.
    #[test]
    fn nothing_is_lost_at_an_edge(
        start in 0_usize..21,
        near in prop::sample::select(vec![0_usize, 1 << 10, 32 << 10, 34 << 10, 256 << 10, 258 << 10, 512 << 10]),
        off in 0_usize..120,
        encoding in 0_usize..6,
    ) {
        let key = key();
        let part = &key[start..start + PARTIAL];
        let encode = [<[u8]>::to_vec, text_hex, text_base64, gzip, |b: &[u8]| utf16(&text_hex(b)), |b: &[u8]| text_base64(&text_base64(b))];
        let text = [vec![b'.'; (near + off).saturating_sub(60)], encode[encoding](part), vec![b'.'; 3000]].concat();
        prop_assert!(!looking_for(&key).at(&text).is_empty());
    }

    /// No input makes it panic, and none of it is taken for a secret.
    #[test]
    fn anything_can_be_searched(
        pieces in prop::collection::vec((0_usize..9, prop::collection::vec(any::<u8>(), 0..300)), 0..20),
    ) {
        let mut text = Vec::new();
        for (kind, bytes) in pieces {
            let mut whole = match kind {
                0 => bytes,
                1 => text_base64(&bytes),
                2 => text_hex(&bytes),
                3 => gzip(&bytes),
                4 => zlib(&bytes),
                5 => zstd(&bytes),
                6 => utf16(&text_hex(&bytes)),
                7 => bytes.iter().flat_map(|byte| format!("%{byte:02x}\\u00{byte:02X}&#{byte};").into_bytes()).collect(),
                _ => zlib(&text_base64(&gzip(&bytes))),
            };
            whole.truncate(whole.len().saturating_sub(usize::from(kind % 3 == 1)));
            text.append(&mut whole);
        }
        prop_assert_eq!(looking_for(&random::bytes::<32>()).at(&text), []);
    }
}

#[test]
fn a_searcher_is_small_enough() {
    let secrets: Vec<_> = (0..4000).map(|_| secret(Class::Key, &random::bytes::<32>())).collect();
    let searcher: Arc<Searcher> = searcher(&secrets);
    assert!(searcher.size() < 48 << 20, "{}", searcher.size());
}

/// What isn't read in time is left out, and the outcome says so: a folder, a command, a database whose trees have no end.
#[test]
fn a_search_ends_in_time() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), vec![b'x'; 1 << 20]).unwrap();
    let searcher = searcher(&[secret(Class::Key, b"never to be found anywhere")]);
    let sources = [Source::Path(Role::Storage, folder.path().into()), Source::Command("sleep 60".into())];
    let started = std::time::Instant::now();
    for source in sources {
        let outcome = scan(&searcher, &[source], None, &ScanProgress::default(), Duration::ZERO);
        assert!(outcome.cut_short && started.elapsed() < Duration::from_secs(20), "{outcome:?}");
    }
}

#[test]
fn the_first_of_many_is_found_by_all_processors() {
    let (key, other) = (random::bytes::<32>(), random::bytes::<32>());
    let secrets = [secret(Class::Key, &key)];
    let position = |look: &Look, item: &(usize, Vec<u8>)| look.at(&item.1).into_iter().next().map(|_| item.0);
    let numbered: Vec<_> =
        (0..200).map(|at| (at, if at % 50 == 37 { text_base64(&key) } else { text_base64(&other) })).collect();
    assert_eq!(first_found(&searcher_of_answers(&secrets), &numbered, position), Some(37));
    assert_eq!(first_found(&searcher_of_answers(&secrets), &numbered[..37], position), None);
}
