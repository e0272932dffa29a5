#!/bin/sh
# Judges the example clients, as far as their interpreters are here, and says which it left out.
#
#     examples/drivers/check.sh [PATH/TO/avp-conform] [OPTIONS OF client]
here=$(dirname "$0")
program=${1:-avp-conform}
[ $# -gt 0 ] && shift
failed=0

run() {
    name=$1 probe=$2 interpreter=$3 adapter=$4
    shift 4
    if sh -c "$probe" >/dev/null 2>&1; then
        echo "== $name"
        "$program" client --driver --strict "$@" -- "$interpreter" "$here/$adapter" || failed=1
    else
        echo "== $name: LEFT OUT, \`$probe\` fails here"
    fi
}

run Python "python3 -c 'import cryptography'" python3 driver.py "$@"
run Node "node -e 'process.exit(process.versions.node.split(\".\")[0] < 20 ? 1 : 0)'" node driver.mjs "$@"
exit $failed
