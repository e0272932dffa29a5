//! Odd habits, which the judge must let pass.

use super::{Habit, HabitInfo, habits};

habits![
    SENDS_TWICE("client-sends-twice") = "Sends a push again, byte for byte, after it was accepted.",
    RAW_PLUS("client-raw-plus") = "Leaves + and = as they are in paths.",
    STALE_PUSH("client-stale-push") = "Pushes once with an old version on purpose, to see the conflict.",
    VERSION_SKIPS("client-version-skips") = "Counts versions in steps of five.",
    NULLS("client-nulls") = "Sends null for optional members that are absent.",
    FOLLOWS_AS_GET("client-follows-as-get") = "Follows redirects as GET without the token.",
    FOLLOWS_BARE("client-follows-without-token") = "Follows 307 and 308 with the body but without the token.",
    SHARES("client-shares-refresh-tokens") = "Creates repositories with shareRefreshTokens.",
    LOGIN_EACH_TIME("client-login-each-time") = "Logs in anew for every request.",
    PULLS_TWICE("client-pulls-twice") = "Pulls twice before it does anything.",
    CHUNKED_REQUESTS("client-chunked-requests") = "Sends bodies in chunks.",
    REMOVES_BY_PUSH("client-removes-by-push") = "Removes a member by a push with another roster.",
    FROM_ZERO("client-version-zero") = "Creates repositories at version 0.",
    KNOWS_ZERO("client-knows-zero") =
        "Creates repositories at version 0, pulls as if it knew that one, and pulls again where nothing is new.",
    CREATES_ANOTHER("client-creates-another") =
        "Creates another repository of its own beside each that it is asked for.",
    OLD_ACCOUNTS_ONLY("client-odd-provenance") = "Writes provenance that is an empty string.",
];
