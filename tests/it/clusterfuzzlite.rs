//! `.clusterfuzzlite/build.sh` puts into $OUT what ClusterFuzzLite and OSS-Fuzz look for. Compiling the targets takes minutes, so a stand-in
//! for cargo makes empty ones here; `.ci/run` runs the script for real where a nightly compiler and cargo-fuzz are.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use avp_conform::fuzzing::TARGETS;

/// Runs the program for `cargo run`, and makes the file that `cargo fuzz build` would.
const CARGO: &str = r#"#!/bin/sh -eu
[ "$1" = +nightly ] && shift
case $1 in
run) while [ "$1" != -- ]; do shift; done; shift; exec "$PROGRAM" "$@" ;;
fuzz) for target; do :; done
    folder=fuzz/target/$(rustc -vV | sed -n 's/^host: //p')/release
    mkdir -p "$folder" && echo "$*" > "$folder/$target" ;;
*) echo "cargo $*?" >&2; exit 1 ;;
esac
"#;

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

#[test]
fn every_target_comes_with_seeds_and_dictionary() {
    if !Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success()) {
        eprintln!("LEFT OUT: there is no python3 here to pack the seeds");
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let temporary = tempfile::tempdir().unwrap();
    let (source, out, bin) = (temporary.path().join("src"), temporary.path().join("out"), temporary.path().join("bin"));
    for part in ["fuzz_targets", "seeds", "dictionaries"] {
        copy(&root.join("fuzz").join(part), &source.join("avp-conform/fuzz").join(part));
    }
    for folder in [&out, &bin] {
        fs::create_dir(folder).unwrap();
    }
    fs::write(bin.join("cargo"), CARGO).unwrap();
    fs::set_permissions(bin.join("cargo"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let output = Command::new(root.join(".clusterfuzzlite/build.sh"))
        .env("PATH", path)
        .env("SRC", &source)
        .env("OUT", &out)
        .env("PROGRAM", env!("CARGO_BIN_EXE_avp-conform"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for (name, _) in TARGETS {
        let built = fs::read_to_string(out.join(name)).expect(name);
        assert!(built.starts_with("fuzz build -O"), "{built}");
        assert!(fs::metadata(out.join(format!("{name}.dict"))).expect(name).len() > 100);
        let seeds = fs::read(out.join(format!("{name}_seed_corpus.zip"))).expect(name);
        let entries = seeds.windows(4).filter(|four| four == b"PK\x01\x02").count();
        assert!(entries >= 2, "{name} has {entries} seeds");
    }
    assert_eq!(fs::read_dir(&out).unwrap().count(), 3 * TARGETS.len());
}
