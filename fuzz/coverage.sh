#!/bin/sh
# Lines of src/codec and src/wire that the seeds of all targets reach together. Run `cargo +nightly fuzz coverage` for every target
# first, as the README has it; LLVM_COV names another llvm-cov than rustup's.
cd "$(dirname "$0")/.." || exit 2
sysroot=$(rustc +nightly --print sysroot)
triple=$(rustc +nightly -vV | sed -n 's/^host: //p')
cov=${LLVM_COV:-$sysroot/lib/rustlib/$triple/bin/llvm-cov}
profdata=${LLVM_PROFDATA:-$(dirname "$cov")/llvm-profdata}
set -- fuzz/coverage/*/coverage.profdata
"$profdata" merge -sparse "$@" -o fuzz/coverage/all.profdata || exit 2
first=
objects=
for target in fuzz/fuzz_targets/*.rs; do
    binary=target/$triple/coverage/$triple/release/$(basename "$target" .rs)
    [ -x "$binary" ] || binary=fuzz/$binary
    if [ -z "$first" ]; then first=$binary; else objects="$objects -object $binary"; fi
done
# shellcheck disable=SC2086 # a list
"$cov" report "$first" $objects -instr-profile=fuzz/coverage/all.profdata src/codec src/wire
