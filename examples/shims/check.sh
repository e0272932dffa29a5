#!/bin/sh
# Puts the example shims to the bank and to random cases, as far as their interpreters are here, and says which it left out.
#
#     examples/shims/check.sh [PATH/TO/avp-conform] [OPTIONS OF codec]
here=$(dirname "$0")
program=${1:-avp-conform}
[ $# -gt 0 ] && shift
failed=0

run() {
    name=$1 probe=$2 shim=$3
    shift 3
    if sh -c "$probe" >/dev/null 2>&1; then
        echo "== $name"
        "$program" codec --shim "$shim" "$@" || failed=1
    else
        echo "== $name: LEFT OUT, \`$probe\` fails here"
    fi
}

run Python "python3 -c 'import cryptography'" "python3 '$here/shim.py'" "$@"
run Node "node -e 'process.exit(process.versions.node.split(\".\")[0] < 18 ? 1 : 0)'" "node '$here/shim.mjs'" "$@"
run Java "java --version | grep -E '^[a-z]* (1[7-9]|[2-9][0-9])'" "java '$here/Shim.java'" "$@"
exit $failed
