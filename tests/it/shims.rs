//! The example shims, and what becomes of shims that misbehave. A shim whose interpreter or library isn't there is
//! left out, and the test says so.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_avp-conform");
pub const SHIMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/shims");

/// Runs the driver and gives its exit status with the JSON report.
pub fn drive(shim: &str, options: &[&str]) -> (i32, Value) {
    let output = Command::new(PROGRAM)
        .args(["codec", "--shim", shim, "--report", "json=-", "--seed", "7"])
        .args(options)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output)));
    (output.status.code().unwrap(), report)
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Ids and messages of a status.
pub fn with(report: &Value, status: &str) -> BTreeMap<String, String> {
    let checks = report["checks"].as_array().unwrap().iter().filter(|check| check["status"] == status);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    checks.map(|check| (text(&check["id"]), text(&check["message"]))).collect()
}

/// Whether a command works here; what doesn't is announced.
fn present(command: &[&str]) -> bool {
    let status = Command::new(command[0]).args(&command[1..]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let works = status.is_ok_and(|status| status.success());
    if !works {
        eprintln!("LEFT OUT: `{}` doesn't work here", command.join(" "));
    }
    works
}

pub fn python() -> bool {
    present(&["python3", "-c", "import cryptography"])
}

pub fn node() -> bool {
    present(&["node", "-e", "process.exit(process.versions.node.split('.')[0] < 18 ? 1 : 0)"])
}

pub fn java() -> bool {
    present(&["java", "--source", "17", "-version"]) || present(&["java", "-version"])
}

/// An example shim confirms every vector and agrees on random cases.
fn confirms(command: &str) {
    let (status, report) = drive(command, &["--cases", "1500"]);
    for kind in ["fail", "warn", "error", "skip"] {
        assert_eq!(with(&report, kind), BTreeMap::new(), "{command}: {kind}");
    }
    assert_eq!((status, report["verdict"].as_str()), (0, Some("conformant")), "{command}");
    assert!(with(&report, "pass").len() > 450);
}

#[test]
fn python_confirms_the_bank() {
    if python() {
        confirms(&format!("python3 {SHIMS}/shim.py"));
    }
}

#[test]
fn node_confirms_the_bank() {
    if node() {
        confirms(&format!("node {SHIMS}/shim.mjs"));
    }
}

#[test]
fn java_confirms_the_bank() {
    if java() {
        confirms(&format!("java {SHIMS}/Shim.java"));
    }
}

#[test]
fn our_own_codec_as_a_shim() {
    confirms(&format!("{PROGRAM} codec --serve"));
}

#[test]
fn what_the_specification_leaves_open_is_a_warning_at_most() {
    if python() {
        let original = std::fs::read_to_string(Path::new(SHIMS).join("shim.py")).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shim.py");
        let lax = original.replace("height >= FIELD or height in SMALL_ORDER", "False");
        std::fs::write(&path, lax).unwrap();
        let shim = format!("python3 '{}'", path.display());
        let (status, report) = drive(&shim, &["--cases", "200"]);
        assert_eq!(with(&report, "fail"), BTreeMap::new());
        assert!(with(&report, "warn").contains_key("negative-open/ed25519-verify-key-of-small-order"));
        assert_eq!(status, 0);
        assert_eq!(drive(&shim, &["--cases", "200", "--strict"]).0, 1);
    }
}

/// A shim of shell commands around our own codec.
fn piped(before: &str, after: &str) -> String {
    let filter = |text: &str| if text.is_empty() { "cat".to_owned() } else { format!("sed -u '\\''{text}'\\''") };
    // `'\''` is a quote within quotes, for the shell that the driver imitates as well as for `sh -c`.
    format!("sh -c '{} | \"{PROGRAM}\" codec --serve | {}'", filter(before), filter(after))
}

fn only(ops: &[&'static str]) -> Vec<&'static str> {
    let mut options = vec!["--cases", "300", "--timeout", "700ms"];
    options.extend(ops.iter().flat_map(|op| ["--only", op]));
    options
}

#[test]
fn a_shim_that_hangs_is_told_and_the_rest_goes_on() {
    let (status, report) = drive(&piped("/\"op\":\"sign\"/d", ""), &only(&["ed25519/*", "differential/*"]));
    let failed = with(&report, "fail");
    assert!(failed["ed25519/rfc-8032-7-1-test-1"].starts_with("no answer within 0.7 s"), "{failed:?}");
    assert!(with(&report, "pass").contains_key("differential/aad"));
    // After three times it isn't asked any more.
    assert!(with(&report, "skip").values().any(|message| message.starts_with("not asked any more: sign")));
    assert_eq!(status, 1);
}

#[test]
fn a_shim_that_prints_garbage_is_told() {
    let (status, report) = drive(&piped("", "s/.*wrappedKey.*/oops: wrapped/"), &only(&["key-wrap/*", "aad/*"]));
    let failed = with(&report, "fail");
    assert!(
        failed["key-wrap/alice"].contains("printed a line that is no answer")
            && failed["key-wrap/alice"].contains("oops: wrapped"),
        "{failed:?}"
    );
    assert!(with(&report, "pass").contains_key("aad/ordinary"));
    assert_eq!(status, 1);
}

#[test]
fn a_shim_that_dies_is_told() {
    let (status, report) = drive(&piped("/\"op\":\"hkdf\"/Q", ""), &only(&["hkdf/*", "aad/*"]));
    let failed = with(&report, "fail");
    assert!(failed["hkdf/rfc-5869-a-1"].starts_with("the shim died"), "{failed:?}");
    assert!(with(&report, "pass").contains_key("aad/ordinary"));
    assert_eq!(status, 1);
}

#[test]
fn what_a_shim_does_not_do_is_left_out() {
    let (status, report) = drive(
        &piped("s/\"op\":\"hkdf\"/\"op\":\"none\"/", ""),
        &only(&["hkdf/*", "key-wrap/alice", "differential/hkdf"]),
    );
    let left_out = with(&report, "skip");
    assert_eq!(left_out["hkdf/wrap-shape"], "the shim doesn't do hkdf");
    assert_eq!(left_out["differential/hkdf"], "the shim doesn't do hkdf");
    assert_eq!(with(&report, "pass")["key-wrap/alice"], "without hkdf, which the shim doesn't do");
    assert_eq!((status, report["verdict"].as_str()), (0, Some("incomplete")));
}

#[test]
fn a_shim_that_answers_nothing_is_not_judged() {
    for (shim, said) in [
        ("sh -c 'echo boom >&2; exit 7'", "the shim died (exit status: 7); it said: boom"),
        ("sh -c 'cat > /dev/null'", "no answer within 2.1 s"),
        (
            "sh -c 'echo welcome; cat > /dev/null'",
            "no answer, not a JSON object (expected value at line 1 column 1): welcome",
        ),
        ("cat", "without exactly one of"),
        ("/no/such/shim", "the shim can't be started: /no/such/shim"),
    ] {
        let (status, report) = drive(shim, &["--timeout", "700ms"]);
        let reason = report["reason"].as_str().unwrap();
        assert!(reason.contains(said), "{shim}: {reason}");
        assert_eq!((status, report["verdict"].as_str()), (3, Some("not-judged")), "{shim}");
        assert_eq!(with(&report, "fail"), BTreeMap::new());
    }
}

#[test]
fn an_iv_drawn_by_the_shim_is_fine_once() {
    // A codec that encrypts under the one IV it likes: decryptable, but never fresh.
    if !python() {
        return;
    }
    let original = std::fs::read_to_string(Path::new(SHIMS).join("shim.py")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shim.py");
    for (iv, wrong) in [("__import__('os').urandom(12)", false), ("bytes(12)", true)] {
        let own = original.replace(
            "key, iv = unbase64(q[\"keyB64\"], 32), unbase64(q[\"ivB64\"], 12)\n    return {\"ivB64\": q[\"ivB64\"],",
            &format!("key, iv = unbase64(q[\"keyB64\"], 32), {iv}\n    return {{\"ivB64\": b64(iv),"),
        );
        assert_ne!(own, original);
        std::fs::write(&path, own).unwrap();
        let (status, report) = drive(
            &format!("python3 '{}'", path.display()),
            &["--cases", "400", "--only", "payload-aead/*", "--only", "differential/encrypt"],
        );
        let failed = with(&report, "fail");
        assert_eq!(
            failed.get("differential/encrypt").is_some_and(|message| message.contains("twice")),
            wrong,
            "{failed:?}"
        );
        assert_eq!((status, failed.len()), (i32::from(wrong), usize::from(wrong)));
    }
}

#[test]
fn a_counterexample_is_shrunk_and_repeatable() {
    if !python() {
        return;
    }
    let original = std::fs::read_to_string(Path::new(SHIMS).join("shim.py")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shim.py");
    std::fs::write(
        &path,
        original.replace("return repo_id.encode() +", "return repo_id.replace('\\x1f', '').encode() +"),
    )
    .unwrap();
    let shim = format!("python3 '{}'", path.display());
    let options = ["--cases", "4000", "--only", "differential/aad"];
    let (status, report) = drive(&shim, &options);
    let message = &with(&report, "fail")["differential/aad"];
    assert!(
        message.contains(r#"asked: {"id":0,"keyEpoch":0,"op":"aad","payloadVersion":0,"repoId":"\u001f"}"#),
        "{message}"
    );
    assert_eq!(status, 1);
    assert_eq!(&with(&drive(&shim, &options).1, "fail")["differential/aad"], message);
}

#[test]
fn usage_errors() {
    let run = |arguments: &[&str]| Command::new(PROGRAM).args(arguments).stdin(Stdio::null()).output().unwrap();
    for (arguments, said) in [
        (&["codec", "--shim", "a 'b"][..], "a quote isn't closed"),
        (&["codec", "--shim", "cat", "--only", "aad/nonsense"], "leave no check to run"),
        (&["codec", "--shim", "cat", "--vectors", "/no/such/folder"], "/no/such/folder"),
        (&["codec"], "--shim"),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output).contains(said), "{arguments:?}: {}", text(&output));
    }
}
