#!/bin/sh -eu
# Lines of src/codec and src/wire that the seeds of all targets reach together: those made of the vectors, and fuzz/seeds.
# Exits with 1 when they are less than 95 %.
#
# Needs cargo-fuzz and an llvm-profdata and llvm-cov as new as the nightly's LLVM: rustup's component llvm-tools, or a distribution's
# package, whose folder LLVM_PATH names.
cd "$(dirname "$0")/.." && mkdir -p fuzz/coverage
triple=$(rustc +nightly -vV | sed -n 's/^host: //p')
llvm=${LLVM_PATH:-$(rustc +nightly --print sysroot)/lib/rustlib/$triple/bin}
cargo run --quiet --locked -- vectors seeds fuzz/corpus
objects=
for file in fuzz/fuzz_targets/*.rs; do
    target=$(basename "$file" .rs)
    cargo +nightly fuzz coverage ${LLVM_PATH:+--llvm-path "$LLVM_PATH/llvm-profdata"} "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" \
        >"fuzz/coverage/$target.log" 2>&1 || { cat "fuzz/coverage/$target.log" >&2; exit 2; }
    objects="$objects ${objects:+-object} target/$triple/coverage/$triple/release/$target"
done
"$llvm/llvm-profdata" merge -sparse fuzz/coverage/*/coverage.profdata -o fuzz/coverage/all.profdata
# shellcheck disable=SC2086 # a list
"$llvm/llvm-cov" report $objects -instr-profile=fuzz/coverage/all.profdata src/codec src/wire | tee fuzz/coverage/report.txt
awk '$1 == "TOTAL" { print "lines reached: " $10; exit ($10 + 0 < 95) }' fuzz/coverage/report.txt
