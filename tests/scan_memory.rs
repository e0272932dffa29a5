//! A scan takes less than 64 MiB, whatever it is given. Alone in its process, as it looks at the memory of all of it.
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::io::Write as _;
use std::time::Duration;

use avp_conform::client::random;
use avp_conform::scan::{Class, Hit, Role, ScanProgress, Secret, Source, scan, searcher};

const BOUND: u64 = 64 << 10;

/// A line of `/proc/self/status`, in KiB.
fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_matches([':', '\t', ' ', 'k', 'B']).parse().unwrap()
}

/// Compressed with the largest window that is decoded, all of which is used.
fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(23).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn many_compressed_members_take_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let secret = |_| Secret {
        class: Class::Key,
        what: "data key".into(),
        check: "a/check".into(),
        bytes: random::bytes::<32>().to_vec(),
    };
    let secrets: Vec<_> = (0..300).map(secret).collect();
    let mut noise = vec![0; 1 << 20];
    random::fill(&mut noise);
    // Nine MiB of noise, three times within each other, and the first key at the end of the innermost; in hex among more of
    // that, which isn't stored as it is.
    let digits = avp_conform::ground::hex::encode(&[&noise[..3000], &secrets[0].bytes].concat());
    let innermost = [noise.repeat(9), digits.into_bytes()].concat();
    let around = |inner: Vec<u8>| [noise.repeat(9), inner].concat();
    let member = zstd(&around(zstd(&around(zstd(&innermost)))));
    drop(innermost);
    for name in ["one", "two", "three"] {
        std::fs::write(folder.path().join(name), member.repeat(2)).unwrap();
    }
    drop(member);
    let before = status("RssAnon");
    let sources = [Source::Path(Role::Storage, folder.path().to_owned())];
    let (outcome, peak) = std::thread::scope(|scope| {
        let scanning = scope
            .spawn(|| scan(&searcher(&secrets), &sources, None, &ScanProgress::default(), Duration::from_secs(60)));
        // The system keeps no peak of this kind; pages of the program itself don't count, however many of them are read.
        let mut peak = 0;
        while !scanning.is_finished() {
            peak = peak.max(status("RssAnon"));
            std::thread::sleep(Duration::from_micros(200));
        }
        (scanning.join().unwrap(), peak)
    });
    let taken = peak.saturating_sub(before);
    // Noise may happen to look like another encoding, so that a file may show the key in one more guise.
    let is_innermost = |hit: &&Hit| hit.sighting.layers == ["zstd"; 3] && hit.sighting.whole;
    let files: BTreeSet<_> = outcome.hits.iter().filter(is_innermost).map(|hit| &hit.source).collect();
    assert_eq!(files.len(), 3, "{:?} {:?}", outcome.hits, outcome.remarks);
    assert!(taken < BOUND, "{taken} KiB");
    eprintln!("{taken} KiB");
}
