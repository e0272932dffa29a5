#!/bin/sh
# Judges the example clients, as far as their interpreters are here, and says which it left out.
#
#     examples/drivers/check.sh [PATH/TO/avp-conform] [OPTIONS OF client]
here=$(dirname "$0")
program=${1:-avp-conform}
[ $# -gt 0 ] && shift
failed=0
classes=$(mktemp -d)
trap 'rm -rf "$classes"' EXIT

# NAME, a command that fails where the adapter can not run, the command of the adapter, options.
run() {
    name=$1 probe=$2 adapter=$3
    shift 3
    if sh -c "$probe" >/dev/null 2>&1; then
        echo "== $name"
        # shellcheck disable=SC2086 # a command is several words
        "$program" client --driver --strict "$@" -- $adapter || failed=1
    else
        echo "== $name: LEFT OUT, \`$probe\` fails here"
    fi
}

run Python "python3 -c 'import cryptography'" "python3 $here/driver.py" "$@"
# Older versions of Node leave the types to tsx, which npm has.
if node -e 'process.exit(process.features.typescript ? 0 : 1)' 2>/dev/null; then
    run TypeScript true "node $here/driver.ts" "$@"
else
    run TypeScript "npm install --silent --no-save --fetch-retries=1 --fetch-timeout=30000 --prefix '$classes' tsx@4" "node --import file://$classes/node_modules/tsx/dist/loader.mjs $here/driver.ts" "$@"
fi
# The JVM starts once for each scene: it needn't optimise, and what one start has loaded is kept for the others.
jvm="java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp $classes/driver.jar"
build="javac -d '$classes/java' '$here/../shims/Shim.java' '$here/Driver.java' && jar cf '$classes/driver.jar' -C '$classes/java' ."
warm="'$program' client --driver --jobs 1 --only client-login/signs-raw-nonce -- $jvm -XX:ArchiveClassesAtExit=$classes/driver.jsa Driver"
run Java "$build && { $warm || true; }" "$jvm -XX:SharedArchiveFile=$classes/driver.jsa Driver" "$@"
exit $failed
