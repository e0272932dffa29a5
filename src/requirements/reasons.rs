//! Why a rule is usually broken, in a line: a hint for whoever has to repair it, and no claim about the server at hand.

use super::{Requirement, catalogue::*};

/// The usual reason, where there is one, by the beginning of a check's id (empty for any) and the rule that it is about.
static USUAL: &[(&str, &Requirement, &str)] = &[
    (
        "fetch-member-key/id-",
        &FETCH_ENTRY,
        "reverse proxies often do this: nginx decodes %2F when proxy_pass has a path (even a bare /); frameworks that decode a \
         path before they split it do, too, and query decoders take + for a space",
    ),
    (
        "fetch-member-key/plain-plus",
        &FETCH_ENTRY,
        "a + is a blank only in form encoding: a query decoder was used on the path",
    ),
    (
        "",
        &INT64,
        "an IEEE double, which many JSON readers take, holds integers exactly up to 2^53 only; a 32-bit column ends earlier",
    ),
    ("race/", &NONCE_SINGLE_USE, "the nonce is looked up and deleted in two steps"),
    ("", &NONCE_SINGLE_USE, "the nonce is checked and not deleted, or not together with the check"),
    ("", &NONCE_RANDOM, "a seed from the clock, or one nonce kept for each key until it is used"),
    ("", &NONCE_SIZE, "a UUID has 16 bytes"),
    ("", &BASE64, "URL-safe or unpadded base64 is the default of some libraries; older ones break lines"),
    ("", &SIGNATURE_RAW, "the text of the nonce was verified instead of the bytes that it decodes to"),
    ("", &TOKEN_ANSWER, "seconds where milliseconds are meant, or a date as text"),
    ("", &TOKEN_VERIFIED, "a token was decoded without being verified, or its own header chose the algorithm"),
    ("", &TOKEN_REQUIRED, "the route was registered without the authentication that the others have"),
    (
        "",
        &FIELD_NAMES,
        "serializers write what a class or row has: members of their own, other names, null for what is absent",
    ),
    ("", &CREATE_IDS_EXACT, "a column that ignores case or trailing blanks, or that cuts what is longer"),
    ("", &CREATE_DUPLICATE, "INSERT OR REPLACE, or a map to which is written without a look"),
    ("", &STORED_VERBATIM, "what is opaque was parsed and written again, trimmed, or cut by a column"),
    ("", &BINDING_OPAQUE, "a table without a column for it, or a path that writes members and forgets it"),
    ("", &PULL_MEMBERS_ONLY, "a valid token was taken for membership"),
    ("", &PUSH_MEMBERS_ONLY, "a valid token was taken for membership"),
    ("", &ADD_MEMBERS_ONLY, "a valid token was taken for membership"),
    ("", &REMOVE_MEMBERS_ONLY, "a valid token was taken for membership"),
    ("", &FETCH_MEMBERS_ONLY, "a valid token was taken for membership"),
    ("", &PUSH_GATED, "the version is compared with < instead of =, or not at all"),
    ("", &PUSH_CONFLICT, "a conflict is 409 in most frameworks; here it is a 200 that says conflict"),
    ("", &PUSH_REFUSED_WHOLE, "a part was written before the rest was looked at, outside a transaction"),
    ("", &REMOVE_ATOMIC, "a part was written before the rest was looked at, outside a transaction"),
    ("", &REMOVE_REVOKES, "membership was read from the token or a cache, not from the roster of now"),
    ("", &WRITES_SERIALIZED, "a lock taken after the check, or a transaction that reads before it locks"),
    ("", &EFFECT_AUTHORITY, "the caller was looked up when the request began, not in the transaction that writes"),
    ("", &SNAPSHOT_READS, "manifest and envelope were read by two statements outside one transaction"),
    (
        "",
        &CALLERS_KEPT_APART,
        "a variable of the module that holds the request's caller or connection across an await, one transaction for all, or a database \
         that answers busy instead of waiting",
    ),
    (
        "",
        &CONNECTION_IN_STEP,
        "a refusal by a filter that answers before the body is read, on a connection that is kept",
    ),
    (
        "",
        &ANSWERED,
        "a proxy whose timeout is shorter than the server's, or workers that are ended at a limit of memory or requests",
    ),
    ("", &READ_YOUR_WRITES, "a cache that isn't told of the write, or a replica that lags"),
];

/// The usual reason why a check comes off badly, by the rule that it is about.
pub fn usual(check: &str, requirements: &[&Requirement]) -> Option<&'static str> {
    let rule = requirements.first()?;
    let of_rule = USUAL.iter().find(|(check_id, about, _)| about.id == rule.id && check.starts_with(check_id));
    of_rule.map(|(_, _, reason)| *reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_for_the_check_comes_before_the_one_for_the_rule() {
        assert!(usual("race/nonce-redeemed-once", &[&NONCE_SINGLE_USE]).unwrap().contains("two steps"));
        assert!(usual("fetch-member-key/id-with-slash", &[&FETCH_ENTRY, &HTTP_PROFILE]).unwrap().contains("nginx"));
        assert_eq!(usual("fetch-member-key/among-many", &[&FETCH_ENTRY]), None);
    }
}
