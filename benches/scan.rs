//! How fast storage is searched, beside ripgrep on the same tree for the same literals, each as a whole program.
//!
//! Wanted: 1 GB/s per processor for 2,000 literals, about three times what ripgrep does. ripgrep looks for the whole literals in
//! the bytes as they are; this program looks for parts of them too, and undoes encodings on the way.
//!
//! The tree is in the page cache. Rates are by processor time, which other programs on the machine disturb least, and by
//! the clock with all processors. `AVP_BENCH_MIB` is the size of each file, 64 by default; without `rg`, ripgrep is left out.

#[path = "shared/processor.rs"]
mod processor;

use std::fs::{File, create_dir};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use avp_conform::client::random;
use avp_conform::codec::base64;
use avp_conform::scan::{Class, Secret, forms, save};

use processor::children_time;

/// Keys: some 2,000 literals, counting those that ripgrep can be given.
const KEYS: usize = 276;
/// Rounds, of which the best counts.
const ROUNDS: usize = 4;

/// Best times of a command: by the clock, and of processors.
fn measure(command: &mut Command) -> (f64, f64) {
    let mut best = (f64::MAX, f64::MAX);
    for _ in 0..ROUNDS {
        let (clock, busy) = (Instant::now(), children_time());
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("the program starts");
        assert!(matches!(status.code(), Some(0..=3)), "{status}");
        best.0 = best.0.min(clock.elapsed().as_secs_f64());
        best.1 = best.1.min(children_time() - busy);
    }
    best
}

fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    random::fill(&mut bytes);
    bytes
}

/// Lines as a server's dump or log has them, full of keys and ciphertext in base64.
fn rows(length: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(length + 4096);
    while out.len() < length {
        let text = |length| base64::encode(&noise(length));
        out.extend_from_slice(
            format!(
                "{{\"repoId\":\"{}\",\"payloadVersion\":17,\"ed25519PublicKey\":\"{}\",\"iv\":\"{}\",\"ciphertext\":\"{}\"}}\n",
                random::uuid(), text(32), text(12), text(900),
            )
            .as_bytes(),
        );
    }
    out.truncate(length);
    out
}

/// An access log.
fn log(length: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(length + 4096);
    while out.len() < length {
        let [a, b, c, d] = random::bytes();
        let line = format!(
            "2026-01-02T03:04:{:02}.{b:03}Z INFO vault::http request method=POST route=/v1/repos/{{repoId}}/pull status=200 \
             micros={} peer=10.0.{c}.{d}:{} the request was answered and the connection is kept open for the next one\n",
            a % 60,
            u32::from(a) * 37,
            1024 + u32::from(b),
        );
        out.extend_from_slice(line.as_bytes());
    }
    out.truncate(length);
    out
}

/// A tree of one kind of data.
fn tree(folder: &Path, name: &str, data: &[u8]) -> std::path::PathBuf {
    let tree = folder.join(name);
    create_dir(&tree).expect("a folder");
    for file in 0..4 {
        std::fs::write(tree.join(file.to_string()), data).expect("a file");
    }
    tree
}

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (canaries, patterns) = (folder.path().join("canaries"), folder.path().join("patterns"));
    let secret = |_| Secret { class: Class::Key, what: "data key".into(), check: "bench".into(), bytes: noise(32) };
    let secrets: Vec<_> = (0..KEYS).map(secret).collect();
    save(&canaries, &secrets).expect("the canaries are written");
    let mut file = BufWriter::new(File::create(&patterns).expect("a file"));
    let mut literals = 0;
    for form in secrets.iter().flat_map(|secret| forms(&secret.bytes)) {
        if (22..=64).contains(&form.bytes.len()) && form.bytes.is_ascii() && !form.bytes.contains(&b'\n') {
            file.write_all(&[&form.bytes[..], b"\n"].concat()).expect("patterns are written");
            literals += 1;
        }
    }
    file.flush().expect("patterns are written");
    let length = std::env::var("AVP_BENCH_MIB").ok().and_then(|text| text.parse().ok()).unwrap_or(64_usize) << 20;
    println!("{literals} literals of 22 to 64 characters; 4 files of {} MiB each", length >> 20);
    println!("{:8}  {:>28}  {:>28}  {:>6}", "", "avp-conform scan", "rg -a -F -f", "ratio");
    for (name, data) in [("noise", noise(length)), ("rows", rows(length)), ("log", log(length))] {
        let tree = tree(folder.path(), name, &data);
        let gigabytes = 4.0 * data.len() as f64 / 1e9;
        let mut scan = Command::new(env!("CARGO_BIN_EXE_avp-conform"));
        let ours = measure(scan.args(["scan", "--canaries"]).arg(&canaries).arg(&tree));
        let shown =
            |(clock, busy): (f64, f64)| format!("{:.2} GB/s, {:.2} per core", gigabytes / clock, gigabytes / busy);
        let mut ripgrep = Command::new("rg");
        ripgrep.args(["-a", "-F", "-c", "-f"]).arg(&patterns).arg(&tree);
        let is_there = Command::new("rg").arg("--version").stdout(Stdio::null()).status().is_ok();
        let theirs = is_there.then(|| measure(&mut ripgrep));
        let (other, ratio) = match theirs {
            Some(theirs) => (shown(theirs), format!("{:.1}", theirs.1 / ours.1)),
            None => ("not installed".into(), String::new()),
        };
        println!("{name:8}  {:>28}  {other:>28}  {ratio:>6}", shown(ours));
        std::fs::remove_dir_all(&tree).expect("the tree is removed");
    }
}
