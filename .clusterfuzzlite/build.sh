#!/bin/bash -eu
# Builds every fuzz target from $SRC/avp-conform into $OUT, each with its seeds and the dictionary, as ClusterFuzzLite and OSS-Fuzz
# expect them: $OUT/<target>, $OUT/<target>_seed_corpus.zip, $OUT/<target>.dict.
#
# TARGETS builds only those; CARGO_FUZZ_FLAGS are added to `cargo fuzz build`.
cd "$SRC/avp-conform"
targets=${TARGETS:-$(cd fuzz/fuzz_targets && ls *.rs | sed 's/\.rs$//')}
# The images have a nightly compiler by default; other machines have it beside another.
nightly=$(rustc --version | grep -q nightly || echo +nightly)
triple=$(rustc -vV | sed -n 's/^host: //p')

# The seeds that are made of the vectors come from the program itself.
cargo run --quiet --locked --bin avp-conform -- vectors seeds "$PWD/fuzz/corpus"
for target in $targets; do
    # shellcheck disable=SC2086 # several flags, or none
    cargo $nightly fuzz build -O ${CARGO_FUZZ_FLAGS:-} "$target"
    cp "fuzz/target/$triple/release/$target" "$OUT/$target"
    cp fuzz/dictionaries/avp.dict "$OUT/$target.dict"
    python3 - "$OUT/${target}_seed_corpus.zip" "fuzz/corpus/$target" "fuzz/seeds/$target" <<'ZIP'
import pathlib, sys, zipfile
archive, *folders = sys.argv[1:]
with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as corpus:
    for folder in map(pathlib.Path, folders):
        for seed in sorted(folder.iterdir()) if folder.is_dir() else []:
            corpus.write(seed, f"{folder.parent.name}-{seed.name}")
ZIP
done
