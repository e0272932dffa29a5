//! Why, of the rules of keys, tokens, envelopes and payloads (SPEC §2–§5).

use super::{Row, row};
use crate::requirements::*;

pub(super) static WHY: &[Row] = &[
    row(
        &[&BASE64, &CLIENT_BASE64],
        "Two spellings of the same bytes are two keys to whoever compares text: a member is then a stranger to itself, \
         and a signature over one spelling doesn't fit the other.",
        "Use the standard alphabet with padding everywhere, decode strictly, and encode again before anything is \
         compared.",
    ),
    row(
        &[&KEY_ENCODING, &IDENTITY_CANONICAL],
        "The spelling of the key is the member's id. A key that is taken in two spellings can be two members, one of \
         whom is still in after the other was removed.",
        "Decode the key, demand exactly 32 bytes, encode it again, and refuse the request if that isn't what was sent.",
    ),
    row(
        &[&FIELD_NAMES, &CLIENT_SHAPES],
        "Clients in typed languages read exactly what the message tables promise. An extra member, a null or another \
         name is an error to one client and silently lost by the next.",
        "Write answers from types of their own that have the members of the message tables, not from rows or domain \
         classes.",
    ),
    row(
        &[&INT64, &CLIENT_INT64],
        "A counter that was rounded names another version. A push gated by it overwrites what somebody else has \
         written, or conflicts for ever; bound into the ciphertext, it makes the payload unreadable.",
        "Keep counters in 64-bit signed integers from the parser to the column; in JavaScript that means BigInt or a \
         parser that keeps digits.",
    ),
    row(
        &[&PLAIN_INTEGERS],
        "5.0 and 5e0 are integers to JSON Schema, and a parse error to most typed clients.",
        "Write integers from integer types; a float or a decimal column adds the fraction.",
    ),
    row(
        &[&JSON_CONTENT_TYPE, &CLIENT_JSON_CONTENT_TYPE],
        "Many HTTP libraries don't parse a body that isn't labelled as JSON, and browsers may take it for something \
         else.",
        "Send Content-Type: application/json with every JSON body, errors included.",
    ),
    row(
        &[&CLIENT_SIZES],
        "A key, IV or tag of another size was made by another algorithm than the one that the others will use to open \
         it.",
        "Use the raw forms: 32 bytes of key (not DER or PEM), 12 of IV, 64 of signature, and leave the tag at the end \
         of the ciphertext.",
    ),
    row(
        &[&NONCE_SIZE, &NONCE_RANDOM, &NONCE_LOOKS_RANDOM],
        "Whoever can foretell a nonce can have it signed beforehand, by a client that believes it logs in elsewhere, \
         and present the signature when the nonce is issued.",
        "Draw 32 bytes from the operating system's random source for every challenge, and encode those.",
    ),
    row(
        &[&NONCE_SINGLE_USE],
        "A login that somebody has seen (in a log, through a proxy) can be played again for a token of the victim's.",
        "Delete the nonce in the same statement that finds it, and go on only if a row was deleted.",
    ),
    row(
        &[&NONCE_ISSUED],
        "If any bytes will do, the attacker chooses what is signed: a nonce of another server, or a document.",
        "Look the nonce up among those that were issued; a nonce that carries its own proof needs a MAC and a record \
         of its use.",
    ),
    row(
        &[&NONCE_EXPIRES, &NONCE_TTL],
        "A nonce that lives long is a signature that can be used long after the client has forgotten it.",
        "Store the time of issue with the nonce, and compare it with the server's clock when it is redeemed; two \
         minutes are enough.",
    ),
    row(
        &[&STATUS_NONCE],
        "A client that is told 401 gets a new nonce and tries again. Any other status is an outage to it.",
        "Answer unknown, used and expired nonces alike, with 401.",
    ),
    row(
        &[&NONCE_REDEEMABLE, &LOGIN_NOT_LOCKED],
        "Legitimate logins fail at random if one challenge makes another one void, and anybody who knows a public key \
         can lock its holder out.",
        "Keep each nonce by itself, not one for each key, and void it only by use or by age.",
    ),
    row(
        &[&NONCE_BOUND],
        "A nonce that serves any key lets an attacker pass on a challenge of somebody else's.",
        "Store the key with the nonce and compare both.",
    ),
    row(
        &[&SIGNATURE_RAW, &CLIENT_SIGNS_RAW],
        "Both sides have to sign and verify the same bytes, or nobody who was made elsewhere can log in.",
        "Decode the nonce from base64 first, and sign or verify what comes out.",
    ),
    row(
        &[&SIGNATURE_VERIFIED],
        "Without it, everybody who knows a public key is its holder: all repositories are open.",
        "Verify with Ed25519 under the key of the request, over the nonce that was issued, and give a token only after \
         that.",
    ),
    row(
        &[&SIGNATURE_STRICT],
        "Signatures that can be altered and still verify, and keys under which anything verifies, break what others \
         build on them: a replay looks like a new signature, and a key can belong to nobody.",
        "Use the strict verification of your library (verify_strict, ZIP 215 off), which refuses small orders and an \
         unreduced S.",
    ),
    row(
        &[&NO_ACCOUNT, &PORTABLE_IDENTITY],
        "The protocol has no accounts: a vault that asks for a registration can't be joined by an invitation.",
        "Give a token to any key that signs its nonce, and decide by membership in the repository alone.",
    ),
    row(
        &[&TOKEN_ANSWER],
        "A client plans its next login by the expiry. In seconds where milliseconds are meant, the token seems expired \
         since 1970.",
        "Answer the token and its expiry in milliseconds since 1970, as a JSON integer.",
    ),
    row(
        &[&TOKEN_CLAIMS],
        "A JWT is read by proxies and logs. An account or an email in it joins identities that the protocol keeps \
         apart.",
        "Put sub (key: and the id), kind, iat and exp into the token, and nothing about a person.",
    ),
    row(
        &[&KEY_SET],
        "With the private key anybody makes tokens; without the public one nobody can verify a binding.",
        "Publish the public parameters of the signing key only (for OKP: kty, crv, x, and kid).",
    ),
    row(
        &[&TOKEN_REQUIRED],
        "An operation that needs no token is open to the whole network.",
        "Authenticate in one place in front of all vault routes, so that a new route can't be forgotten.",
    ),
    row(
        &[&TOKEN_VERIFIED, &TOKEN_LOCAL],
        "A token that is read but not verified can be written by anybody, for any member.",
        "Verify the signature with the one algorithm and the one key of this server (never those that the token \
         names), and the issuer and audience, before any claim is looked at.",
    ),
    row(
        &[&TOKEN_EXPIRES, &TOKEN_SHORT_LIVED],
        "A stolen token is worth what it opens until it expires.",
        "Compare the expiry with the clock on every request, without leeway of more than seconds.",
    ),
    row(
        &[&TOKEN_LASTS],
        "A session that ends because somebody else logs in lets anybody log members out.",
        "Keep tokens apart from each other; a bounded store must forget the expired ones, not the oldest.",
    ),
    row(
        &[&TOKEN_UNGUESSABLE],
        "A token that is computed from what went over the wire can be computed by whoever saw it.",
        "Use a signed token, or 32 random bytes.",
    ),
    row(
        &[&TOKEN_FETCHES_NOTHING],
        "A token that names where its key is (jku, x5u) makes the server fetch from, and trust, whatever the attacker \
         names.",
        "Ignore jku, x5u, jwk and x5c; verify with the keys that are configured.",
    ),
    row(
        &[&TOKEN_BEARER_ONLY],
        "A token in a URL stands in logs, histories and Referer headers.",
        "Read the token from Authorization: Bearer and nowhere else.",
    ),
    row(
        &[&UNAUTHENTICATED_SILENCE],
        "Who has no token learns which repositories exist, by asking.",
        "Authenticate before the repository is looked up.",
    ),
    row(
        &[&SUBJECT_IS_CALLER],
        "If the request says who is asking, it says what it likes.",
        "Take the caller from the verified token only; a member id in a body names whom it is about, never who asks.",
    ),
    row(
        &[&CLIENT_TOKEN_PER_HOST],
        "A token shown to another host is that host's to use.",
        "Keep tokens by origin, and drop Authorization when a redirect leads to another one.",
    ),
    row(
        &[&CLIENT_FRESH_CHALLENGE],
        "A nonce that is redeemed twice is refused by every careful server; that login fails at random.",
        "Begin every login with a challenge, also a retried one.",
    ),
    row(
        &[&CLIENT_BEARER, &CLIENT_TOKEN_OPAQUE],
        "The format of a token is the server's matter and changes without notice.",
        "Keep the token as the text that came, at any length, and send exactly that after `Bearer `.",
    ),
    row(
        &[&CLIENT_RELOGIN],
        "A client that doesn't log in again is dead after an hour; one that does so for ever is an attack on its \
         server.",
        "After a 401, log in once and try once more; then tell the user.",
    ),
    row(
        &[&STORED_VERBATIM],
        "What is stored is opaque ciphertext. One byte that is trimmed, re-encoded or cut off, and nobody ever opens \
         it again.",
        "Store strings as they came, in columns that neither trim, fold, normalise nor limit them, and don't parse \
         them.",
    ),
    row(
        &[&CLIENT_AAD, &CLIENT_AAD_CHECKED],
        "Without the binding a server can serve an old payload as the new one, or one repository's as another's, \
         unnoticed.",
        "Build the additional data from repository id, version and epoch as the specification lays out, and refuse \
         what doesn't open with it.",
    ),
    row(
        &[&CLIENT_WRAP, &CLIENT_WRAP_CHECKED],
        "A wrapped key that was swapped makes a client encrypt for whoever swapped it.",
        "Follow the scheme that schemeId names to the byte, authenticate the tag, and refuse every other scheme.",
    ),
    row(
        &[&CLIENT_DATA_KEY],
        "Who is a member of one repository reads every other one under the same key; and a key that is made of ids is \
         known to the server, from which it is to be kept.",
        "Draw 32 random bytes for every repository.",
    ),
    row(
        &[&CLIENT_FRESH_IV],
        "AES-GCM with an IV that comes twice under a key gives away both texts and the key that authenticates them.",
        "Draw 12 random bytes for every encryption, also for a retried one.",
    ),
    row(
        &[&CLIENT_FRESH_EPHEMERAL],
        "An ephemeral key that is used twice wraps under one key twice, and joins members that should be apart.",
        "Make a key pair for every wrap, and forget its private half.",
    ),
    row(
        &[&CLIENT_NULLS],
        "Servers may write an optional member as null or leave it out; a client that tells these apart fails at every \
         other server.",
        "Read null as absent.",
    ),
    row(
        &[&CLIENT_STRICT_ENVELOPE],
        "A client that goes back to an earlier version undoes removals and changes without a word.",
        "Remember the highest version and epoch for each repository, and refuse what lies below or contradicts itself.",
    ),
    row(
        &[&CLIENT_PROVENANCE_ABSENT, &CLIENT_PAYLOAD, &CLIENT_STAMP, &CLIENT_PROVENANCE_SET],
        "The payload is what clients of different makers share; nobody in between can mend it.",
        "Write the members that the specification names with their types, and read payloads that lack the optional \
         ones.",
    ),
    row(
        &[&CLIENT_KEEPS_ACCOUNTS, &CLIENT_KEEPS_UNKNOWN, &CLIENT_KEEPS_04],
        "Every write replaces the whole payload. What a client doesn't carry over is lost to everybody.",
        "Change the document that was read and write it back whole, with the members that you don't know.",
    ),
];
