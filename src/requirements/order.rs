//! Which rule builds on which, so that a run can say what to repair first.
//!
//! A rule builds on another where the other's checks have to come off well before a check of it means anything: nothing is
//! pulled that wasn't created, and no race is lost whose requests don't work one after the other. The rows are in an order in
//! which every rule comes after those it builds on: the first rows are the most fundamental. [`rank`] is the place in it.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use super::{Requirement, catalogue::*};

/// A rule, and those that it builds on directly.
type Row = (&'static Requirement, &'static [&'static Requirement]);

/// Every rule that binds a server or an identity provider, the most fundamental first.
static ORDER: &[Row] = &[
    // What bytes travel, and how.
    (&ANSWERED, &[]),
    (&CALLERS_KEPT_APART, &[]),
    (&CONNECTION_IN_STEP, &[]),
    (&HTTP_PROFILE, &[]),
    (&JSON_CONTENT_TYPE, &[]),
    (&BASE64, &[]),
    (&KEY_ENCODING, &[&BASE64]),
    (&FIELD_NAMES, &[&HTTP_PROFILE]),
    (&DISCOVERY_SHAPE, &[]),
    // A token, which everything else needs.
    (&NONCE_SIZE, &[&BASE64, &FIELD_NAMES]),
    (&NONCE_RANDOM, &[&NONCE_SIZE]),
    (&NONCE_LOOKS_RANDOM, &[&NONCE_RANDOM]),
    // A nonce that others have had may be spent.
    (&SIGNATURE_RAW, &[&NONCE_SIZE, &NONCE_RANDOM]),
    (&TOKEN_ANSWER, &[&SIGNATURE_RAW, &FIELD_NAMES]),
    (&NO_ACCOUNT, &[&TOKEN_ANSWER]),
    (&PORTABLE_IDENTITY, &[&NO_ACCOUNT]),
    // Who gets none.
    (&NONCE_ISSUED, &[&NO_ACCOUNT]),
    (&SIGNATURE_VERIFIED, &[&NO_ACCOUNT]),
    (&NONCE_SINGLE_USE, &[&NONCE_ISSUED, &NONCE_RANDOM]),
    (&NONCE_BOUND, &[&SIGNATURE_VERIFIED, &NONCE_ISSUED]),
    (&NONCE_REDEEMABLE, &[&NO_ACCOUNT]),
    (&LOGIN_NOT_LOCKED, &[&NONCE_REDEEMABLE]),
    (&NONCE_EXPIRES, &[&NO_ACCOUNT]),
    (&NONCE_TTL, &[&NONCE_EXPIRES]),
    (&SIGNATURE_STRICT, &[&SIGNATURE_VERIFIED]),
    (&IDENTITY_CANONICAL, &[&SIGNATURE_VERIFIED, &KEY_ENCODING]),
    (&TOKEN_CLAIMS, &[&TOKEN_ANSWER]),
    (&KEY_SET, &[&DISCOVERY_SHAPE]),
    (&TOKEN_UNGUESSABLE, &[&TOKEN_ANSWER]),
    (&TOKEN_SHORT_LIVED, &[&TOKEN_ANSWER]),
    // Every operation does what it is for, as long as a token lasts.
    (&TOKEN_LASTS, &[&NO_ACCOUNT]),
    (&CREATE_RETURNS, &[&NO_ACCOUNT, &TOKEN_LASTS]),
    (&PULL_CURRENT, &[&CREATE_RETURNS]),
    (&PULL_UNCHANGED, &[&CREATE_RETURNS]),
    (&PULL_OMITS_ENVELOPE, &[&PULL_UNCHANGED]),
    (&PUSH_APPLIES, &[&PULL_CURRENT]),
    (&ADD_RECORDS, &[&PULL_CURRENT]),
    (&PUSH_ROTATES, &[&PUSH_APPLIES]),
    (&REMOVE_REPLACES, &[&ADD_RECORDS, &PULL_CURRENT]),
    (&FETCH_ENTRY, &[&ADD_RECORDS, &PUSH_ROTATES, &REMOVE_REPLACES]),
    (&REMOVE_DROPS, &[&ADD_RECORDS]),
    (&READ_YOUR_WRITES, &[&PULL_CURRENT, &PUSH_APPLIES]),
    (&STORED_VERBATIM, &[&CREATE_RETURNS, &PUSH_APPLIES, &ADD_RECORDS, &REMOVE_REPLACES]),
    (&BINDING_OPAQUE, &[&STORED_VERBATIM]),
    // Who may, and that nobody else may.
    (&SUBJECT_IS_CALLER, &[&NO_ACCOUNT]),
    (&TOKEN_REQUIRED, &[&CREATE_RETURNS]),
    (&TOKEN_VERIFIED, &[&TOKEN_REQUIRED]),
    (&TOKEN_LOCAL, &[&TOKEN_VERIFIED]),
    (&TOKEN_EXPIRES, &[&TOKEN_VERIFIED]),
    (&TOKEN_BEARER_ONLY, &[&TOKEN_REQUIRED]),
    (&CREATE_SOLE_MEMBER, &[&CREATE_RETURNS]),
    (&CREATE_DUPLICATE, &[&CREATE_RETURNS, &PULL_CURRENT]),
    (&PULL_MEMBERS_ONLY, &[&PULL_CURRENT, &SUBJECT_IS_CALLER]),
    (&FETCH_MEMBERS_ONLY, &[&FETCH_ENTRY, &PULL_MEMBERS_ONLY]),
    (&PUSH_MEMBERS_ONLY, &[&PUSH_APPLIES, &PULL_MEMBERS_ONLY]),
    (&PUSH_SCOPE, &[&PUSH_MEMBERS_ONLY]),
    (&ADD_MEMBERS_ONLY, &[&ADD_RECORDS, &PULL_MEMBERS_ONLY]),
    (&REMOVE_MEMBERS_ONLY, &[&REMOVE_REPLACES, &PULL_MEMBERS_ONLY]),
    (&UNAUTHENTICATED_SILENCE, &[&TOKEN_REQUIRED]),
    (&ADD_ANY_MEMBER, &[&ADD_RECORDS]),
    (&ADD_TWICE, &[&ADD_RECORDS]),
    (&STATUS_TOKEN, &[&TOKEN_REQUIRED, &TOKEN_VERIFIED]),
    (&STATUS_NONCE, &[&NONCE_ISSUED, &NONCE_SINGLE_USE, &NONCE_EXPIRES]),
    (
        &STATUS_STRANGER,
        &[&PULL_MEMBERS_ONLY, &PUSH_MEMBERS_ONLY, &ADD_MEMBERS_ONLY, &REMOVE_MEMBERS_ONLY, &REMOVE_DROPS],
    ),
    (&STATUS_UNKNOWN, &[&PULL_MEMBERS_ONLY, &FETCH_ENTRY]),
    (&STATUS_DUPLICATE, &[&CREATE_DUPLICATE]),
    (&REFUSAL_SILENT, &[&PULL_MEMBERS_ONLY, &TOKEN_REQUIRED]),
    // What mustn't happen, and what a refusal leaves.
    (&PUSH_GATED, &[&PUSH_APPLIES]),
    (&PUSH_CONFLICT, &[&PUSH_GATED]),
    (&PUSH_REFUSED_WHOLE, &[&PUSH_APPLIES]),
    (&EPOCH_RISES, &[&REMOVE_REPLACES]),
    (&VERSION_MONOTONIC, &[&PUSH_APPLIES]),
    (&REMOVE_ATOMIC, &[&REMOVE_REPLACES, &REMOVE_DROPS]),
    (
        &REMOVE_REVOKES,
        &[
            &REMOVE_DROPS,
            &PULL_MEMBERS_ONLY,
            &PUSH_MEMBERS_ONLY,
            &ADD_MEMBERS_ONLY,
            &REMOVE_MEMBERS_ONLY,
            &FETCH_MEMBERS_ONLY,
        ],
    ),
    (&OLD_KEYS_USELESS, &[&REMOVE_REPLACES]),
    (&INT64, &[&PUSH_GATED, &PULL_CURRENT, &PULL_UNCHANGED, &EPOCH_RISES, &VERSION_MONOTONIC, &ADD_RECORDS]),
    (&PLAIN_INTEGERS, &[&INT64]),
    (&BINDING_VALID, &[&BINDING_OPAQUE]),
    (&USUAL_STATUS, &[&TOKEN_REQUIRED, &CREATE_DUPLICATE, &PULL_MEMBERS_ONLY, &FETCH_ENTRY]),
    (&CREATE_ODD_IDS, &[&CREATE_RETURNS, &HTTP_PROFILE, &FETCH_ENTRY]),
    (&PUSH_GAP, &[&PUSH_APPLIES]),
    (&REMOVE_UNKNOWN, &[&REMOVE_ATOMIC, &STATUS_UNKNOWN]),
    (&CREATE_CONSISTENT, &[&CREATE_RETURNS]),
    (&PUSH_CONSISTENT, &[&PUSH_REFUSED_WHOLE, &PUSH_ROTATES]),
    (&REMOVE_CONSISTENT, &[&REMOVE_ATOMIC]),
    (&ADD_NO_REKEY, &[&ADD_TWICE]),
    (&FETCH_EXACT, &[&FETCH_ENTRY]),
    (&NO_SECRET_ECHO, &[&CREATE_RETURNS, &PUSH_APPLIES, &ADD_RECORDS, &REMOVE_REPLACES]),
    (&ZERO_KNOWLEDGE, &[&NO_SECRET_ECHO]),
    (&BAD_INPUT, &[&PUSH_REFUSED_WHOLE, &REMOVE_ATOMIC, &ADD_RECORDS, &CREATE_RETURNS]),
    (&BODY_CONSUMED, &[&TOKEN_REQUIRED, &CONNECTION_IN_STEP]),
    (&TOKEN_FETCHES_NOTHING, &[&TOKEN_VERIFIED]),
    (&REMOVE_ANY_ROSTER, &[&REMOVE_REPLACES]),
    (&NOTHING_GIVEN_AWAY, &[&PULL_MEMBERS_ONLY, &REFUSAL_SILENT]),
    // Whether something took effect is told by what is served afterwards.
    (
        &NO_SIDE_DOOR,
        &[
            &TOKEN_REQUIRED,
            &PULL_MEMBERS_ONLY,
            &REFUSAL_SILENT,
            &STORED_VERBATIM,
            &READ_YOUR_WRITES,
            &NOTHING_GIVEN_AWAY,
        ],
    ),
    // An id that stands for another is found by whoever asks by another road, too.
    (&CREATE_IDS_EXACT, &[&CREATE_RETURNS, &PULL_CURRENT]),
    (&HANGUPS_SURVIVED, &[&PULL_CURRENT]),
    (&DISCRETION, &[&REFUSAL_SILENT]),
    (&FRAMING, &[&PULL_CURRENT]),
    (&NEGOTIATION, &[&PULL_CURRENT, &JSON_CONTENT_TYPE]),
    // At the same time.
    (&ANSWERS_TO_ASKERS, &[&PULL_CURRENT]),
    (&SNAPSHOT_READS, &[&READ_YOUR_WRITES, &PUSH_ROTATES, &PUSH_GATED, &REMOVE_ATOMIC]),
    // Who has won is told by reads.
    (
        &WRITES_SERIALIZED,
        &[&PUSH_GATED, &PUSH_CONFLICT, &ADD_RECORDS, &CREATE_DUPLICATE, &REMOVE_ATOMIC, &EPOCH_RISES, &SNAPSHOT_READS],
    ),
    (&EFFECT_AUTHORITY, &[&REMOVE_REVOKES]),
    (&STALLED_REQUEST, &[&PULL_CURRENT]),
    // What is kept.
    (&CREDENTIALS_NOT_KEPT, &[&TOKEN_ANSWER]),
    (&REPLACED_IS_DROPPED, &[&REMOVE_REPLACES]),
    (&CRASH_KEEPS, &[&READ_YOUR_WRITES, &NONCE_SINGLE_USE, &REMOVE_REVOKES]),
    (&CRASH_WHOLE, &[&PUSH_ROTATES, &REMOVE_ATOMIC]),
    // Later revisions.
    (&ERROR_OBJECT, &[&TOKEN_REQUIRED]),
    (&LIMITS, &[&ERROR_OBJECT]),
    (&RETRY_ADD, &[&ADD_TWICE]),
    (&RETRY_REMOVE, &[&REMOVE_ATOMIC]),
    (&RETRY_WRITES, &[&CREATE_DUPLICATE, &PUSH_CONFLICT]),
    (&ESCAPED_PATH, &[&CREATE_ODD_IDS]),
    (&SHARE_REFRESH_TOKENS, &[&PUSH_ROTATES, &REMOVE_REPLACES]),
];

/// Every rule that binds a client and that a check proves, the most fundamental first.
static OF_CLIENTS: &[Row] = &[
    // What nothing else makes up for.
    (&CLIENT_ZERO_KNOWLEDGE, &[]),
    // A request that a server understands.
    (&CLIENT_SIGNS_RAW, &[]),
    (&CLIENT_FRESH_CHALLENGE, &[&CLIENT_SIGNS_RAW]),
    (&CLIENT_BEARER, &[]),
    (&CLIENT_BASE64, &[]),
    (&CLIENT_SIZES, &[&CLIENT_BASE64]),
    (&CLIENT_SHAPES, &[&CLIENT_BASE64]),
    (&CLIENT_JSON_CONTENT_TYPE, &[]),
    (&CLIENT_IDS_ESCAPED, &[]),
    // An answer that is right in one of many ways.
    (&CLIENT_HTTP, &[]),
    (&CLIENT_TOKEN_OPAQUE, &[]),
    (&CLIENT_NULLS, &[]),
    (&CLIENT_LENIENT, &[&CLIENT_HTTP]),
    (&CLIENT_CREATES_ALONE, &[&CLIENT_SHAPES]),
    (&CLIENT_LOCATOR_OPTIONAL, &[]),
    (&CLIENT_TOKENS_V1, &[]),
    // What is sealed, and what is read.
    (&CLIENT_WRAP, &[&CLIENT_SHAPES, &CLIENT_SIZES]),
    (&CLIENT_AAD, &[&CLIENT_SHAPES, &CLIENT_SIZES, &CLIENT_IDS_ESCAPED]),
    (&CLIENT_INT64, &[&CLIENT_SHAPES]),
    (&CLIENT_PAYLOAD, &[&CLIENT_AAD]),
    (&CLIENT_PROVENANCE_ABSENT, &[&CLIENT_PAYLOAD]),
    (&CLIENT_PROVENANCE_SET, &[&CLIENT_PAYLOAD]),
    (&CLIENT_STAMP, &[&CLIENT_PAYLOAD]),
    (&CLIENT_WRAP_CHECKED, &[&CLIENT_WRAP]),
    (&CLIENT_AAD_CHECKED, &[&CLIENT_AAD]),
    (&CLIENT_STRICT_ENVELOPE, &[&CLIENT_WRAP_CHECKED, &CLIENT_AAD_CHECKED]),
    (&CLIENT_FRESH_IV, &[&CLIENT_SIZES]),
    (&CLIENT_FRESH_EPHEMERAL, &[&CLIENT_SIZES]),
    (&CLIENT_DATA_KEY, &[&CLIENT_WRAP]),
    // What a write does.
    (&CLIENT_COUNTERS, &[&CLIENT_SHAPES]),
    (&CLIENT_EXPECTS, &[&CLIENT_COUNTERS]),
    (&CLIENT_KEEPS_ACCOUNTS, &[&CLIENT_AAD, &CLIENT_PAYLOAD, &CLIENT_SHAPES]),
    (&CLIENT_KEEPS_UNKNOWN, &[&CLIENT_KEEPS_ACCOUNTS]),
    (&CLIENT_KEEPS_04, &[&CLIENT_KEEPS_ACCOUNTS]),
    (&CLIENT_RETRIES, &[&CLIENT_KEEPS_ACCOUNTS, &CLIENT_EXPECTS]),
    (&CLIENT_ROTATES, &[&CLIENT_WRAP, &CLIENT_AAD, &CLIENT_COUNTERS]),
    (&CLIENT_CARRIES_BINDINGS, &[&CLIENT_ROTATES]),
    (&CLIENT_ADDRESS, &[&CLIENT_IDS_ESCAPED]),
    (&CLIENT_ID_HOSTLESS, &[]),
    // Whom it trusts, and what it tells whom.
    (&CLIENT_TOKEN_PER_HOST, &[&CLIENT_BEARER]),
    (&CLIENT_DISCOVERY_SILENT, &[]),
    (&CLIENT_VERIFIES_BINDING, &[]),
    (&CLIENT_TLS, &[]),
    // How it bears what goes wrong.
    (&CLIENT_RELOGIN, &[&CLIENT_BEARER]),
    (&CLIENT_BOUNDED, &[&CLIENT_RETRIES]),
    (&CLIENT_ERRORS, &[]),
    (&CLIENT_TERMINAL, &[]),
    (&CLIENT_RETRY_AFTER, &[]),
];

/// Every rule's place in the order, and all that it builds on, directly or not.
static CLOSURE: LazyLock<HashMap<&str, (usize, HashSet<&str>)>> = LazyLock::new(|| {
    let mut closure: HashMap<&str, (usize, HashSet<&str>)> = HashMap::new();
    for (rank, (rule, below)) in ORDER.iter().chain(OF_CLIENTS).enumerate() {
        let mut all: HashSet<&str> = below.iter().map(|rule| rule.id).collect();
        for (_, further) in below.iter().filter_map(|rule| closure.get(rule.id)) {
            all.extend(further);
        }
        closure.insert(rule.id, (rank, all));
    }
    closure
});

/// The place of a rule, 0 for the most fundamental.
pub fn rank(rule: &str) -> usize {
    CLOSURE.get(rule).map_or(ORDER.len() + OF_CLIENTS.len(), |(rank, _)| *rank)
}

/// Whether a rule builds on another, directly or not.
pub fn builds_on(rule: &str, other: &str) -> bool {
    CLOSURE.get(rule).is_some_and(|(_, below)| below.contains(other))
}

#[cfg(test)]
mod tests {
    use super::super::Party;
    use super::*;

    #[test]
    fn every_rule_has_one_place() {
        let of_servers = |rule: &Requirement| matches!(rule.binds, Party::Server | Party::IdentityProvider);
        let proved = |rule: &Requirement| {
            crate::client_scenarios::all().any(|check| check.info.requirements.iter().any(|each| each.id == rule.id))
        };
        let placed: Vec<_> = ORDER.iter().chain(OF_CLIENTS).map(|(rule, _)| rule.id).collect();
        for rule in ALL.iter().filter(|rule| of_servers(rule) || proved(rule)) {
            let times = placed.iter().filter(|id| **id == rule.id).count();
            assert_eq!(times, 1, "{} stands in the order {times} times", rule.id);
        }
        assert!(ORDER.iter().all(|(rule, _)| of_servers(rule)) && OF_CLIENTS.iter().all(|(rule, _)| proved(rule)));
    }

    #[test]
    fn nothing_builds_on_what_comes_after_it() {
        for (place, (rule, below)) in ORDER.iter().chain(OF_CLIENTS).enumerate() {
            for other in *below {
                assert!(rank(other.id) < place, "{} builds on {}, which comes after it", rule.id, other.id);
            }
            assert!(!builds_on(rule.id, rule.id), "{}", rule.id);
        }
        assert!(builds_on("AVP-10-writes-serialized", "AVP-6-create-returns-manifest"));
        assert!(!builds_on("AVP-6-create-returns-manifest", "AVP-10-writes-serialized"));
    }
}
