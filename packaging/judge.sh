#!/usr/bin/env bash
# Judges a server and leaves reports: what action.yml and the GitLab template run.
#
# SERVER, SERVER_CMD, KNOWN and ARGS are as the options of avp-conform; ARGS are words as a shell reads them, without
# expansion. REPORTS is the folder of the reports. Ends with the exit status of avp-conform.
set -uo pipefail

reports=${REPORTS:-avp-conformance}
mkdir -p "$reports"
# What an earlier run has left must not be taken for this one's.
rm -f "$reports"/avp.{json,html,xml,sarif}

words=()
ARGS=${ARGS:-}
[ -n "${SERVER:-}" ] && words+=(--server "$SERVER")
[ -n "${SERVER_CMD:-}" ] && words+=(--server-cmd "$SERVER_CMD")
[ -n "${KNOWN:-}" ] && words+=(--known "$KNOWN")
# xargs knows quotes, and nothing that it reads is run.
if [ -n "${ARGS//[[:space:]]/}" ]; then
    if ! printf '%s' "$ARGS" | xargs printf '%s\0' >"$reports/.args"; then
        echo "args can't be read as words: $ARGS" >&2
        exit 2
    fi
    while IFS= read -r -d '' word; do words+=("$word"); done <"$reports/.args"
    rm -f "$reports/.args"
fi
[ -n "${GITHUB_ACTIONS:-}" ] && words+=(--report github=-)

status=0
avp-conform "${words[@]}" \
    --report json="$reports/avp.json" --report html="$reports/avp.html" \
    --report junit="$reports/avp.xml" --report sarif="$reports/avp.sarif" || status=$?

# A member of the report's summary, or of the report itself: each stands on a line of its own.
member() { sed -n "s/^ \{$2\}\"$1\": \"\{0,1\}\([a-z0-9-]*\)\"\{0,1\},\{0,1\}\$/\1/p" "$reports/avp.json" | head -n 1; }
if [ -n "${GITHUB_OUTPUT:-}" ] && [ -s "$reports/avp.json" ]; then
    {
        echo "verdict=$(member verdict 2)"
        for word in pass:passed fail:failed warn:warnings error:errors skip:skipped; do
            echo "${word#*:}=$(member "${word%:*}" 4)"
        done
    } >>"$GITHUB_OUTPUT"
fi
[ -n "${GITHUB_OUTPUT:-}" ] && echo "exit-status=$status" >>"$GITHUB_OUTPUT"
exit "$status"
