//! The one place where the server reads the wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// Epoch milliseconds (SPEC §2).
pub fn now_ms() -> i64 {
    // Before 1970 counts as 1970; after the year 292 million as its end.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
