//! What a rule is for, and how a server or client is mended that breaks it: for `avp-conform explain` and the pages that it
//! makes. In our own words, and no claim about anybody's code.

use super::{Requirement, catalogue::*};

/// Rules that share a reason.
struct Row {
    rules: &'static [&'static Requirement],
    /// The attack or the loss behind it.
    why: &'static str,
    /// What to do.
    mend: &'static str,
}

macro_rules! rows {
    ($([$($rule:ident),+] $why:literal, $mend:literal;)*) => {
        &[$(Row { rules: &[$(&$rule),+], why: $why, mend: $mend }),*]
    };
}

static WHY: &[Row] = rows! {
    [BASE64, CLIENT_BASE64]
        "Two spellings of the same bytes are two keys to whoever compares text: a member is then a stranger to itself, and a \
         signature over one spelling doesn't fit the other.",
        "Use the standard alphabet with padding everywhere, decode strictly, and encode again before anything is compared.";
    [KEY_ENCODING, IDENTITY_CANONICAL]
        "The spelling of the key is the member's id. A key that is taken in two spellings can be two members, one of whom is \
         still in after the other was removed.",
        "Decode the key, demand exactly 32 bytes, encode it again, and refuse the request if that isn't what was sent.";
    [FIELD_NAMES, CLIENT_SHAPES]
        "Clients in typed languages read exactly what the message tables promise. An extra member, a null or another name is an \
         error to one client and silently lost by the next.",
        "Write answers from types of their own that have the members of the message tables, not from rows or domain classes.";
    [INT64, CLIENT_INT64]
        "A counter that was rounded names another version. A push gated by it overwrites what somebody else has written, or \
         conflicts for ever; bound into the ciphertext, it makes the payload unreadable.",
        "Keep counters in 64-bit signed integers from the parser to the column; in JavaScript that means BigInt or a parser that keeps digits.";
    [PLAIN_INTEGERS]
        "5.0 and 5e0 are integers to JSON Schema, and a parse error to most typed clients.",
        "Write integers from integer types; a float or a decimal column adds the fraction.";
    [JSON_CONTENT_TYPE, CLIENT_JSON_CONTENT_TYPE]
        "Many HTTP libraries don't parse a body that isn't labelled as JSON, and browsers may take it for something else.",
        "Send Content-Type: application/json with every JSON body, errors included.";
    [CLIENT_SIZES]
        "A key, IV or tag of another size was made by another algorithm than the one that the others will use to open it.",
        "Use the raw forms: 32 bytes of key (not DER or PEM), 12 of IV, 64 of signature, and leave the tag at the end of the ciphertext.";
    [NONCE_SIZE, NONCE_RANDOM, NONCE_LOOKS_RANDOM]
        "Whoever can foretell a nonce can have it signed beforehand, by a client that believes it logs in elsewhere, and present \
         the signature when the nonce is issued.",
        "Draw 32 bytes from the operating system's random source for every challenge, and encode those.";
    [NONCE_SINGLE_USE]
        "A login that somebody has seen (in a log, through a proxy) can be played again for a token of the victim's.",
        "Delete the nonce in the same statement that finds it, and go on only if a row was deleted.";
    [NONCE_ISSUED]
        "If any bytes will do, the attacker chooses what is signed: a nonce of another server, or a document.",
        "Look the nonce up among those that were issued; a nonce that carries its own proof needs a MAC and a record of its use.";
    [NONCE_EXPIRES, NONCE_TTL]
        "A nonce that lives long is a signature that can be used long after the client has forgotten it.",
        "Store the time of issue with the nonce, and compare it with the server's clock when it is redeemed; two minutes are enough.";
    [STATUS_NONCE]
        "A client that is told 401 gets a new nonce and tries again. Any other status is an outage to it.",
        "Answer unknown, used and expired nonces alike, with 401.";
    [NONCE_REDEEMABLE]
        "Legitimate logins fail at random if one challenge makes another one void, and anybody who knows a public key can lock \
         its holder out.",
        "Keep each nonce by itself, not one for each key, and void it only by use or by age.";
    [NONCE_BOUND]
        "A nonce that serves any key lets an attacker pass on a challenge of somebody else's.",
        "Store the key with the nonce and compare both.";
    [SIGNATURE_RAW, CLIENT_SIGNS_RAW]
        "Both sides have to sign and verify the same bytes, or nobody who was made elsewhere can log in.",
        "Decode the nonce from base64 first, and sign or verify what comes out.";
    [SIGNATURE_VERIFIED]
        "Without it, everybody who knows a public key is its holder: all repositories are open.",
        "Verify with Ed25519 under the key of the request, over the nonce that was issued, and give a token only after that.";
    [SIGNATURE_STRICT]
        "Signatures that can be altered and still verify, and keys under which anything verifies, break what others build on them: \
         a replay looks like a new signature, and a key can belong to nobody.",
        "Use the strict verification of your library (verify_strict, ZIP 215 off), which refuses small orders and an unreduced S.";
    [NO_ACCOUNT, PORTABLE_IDENTITY]
        "The protocol has no accounts: a vault that asks for a registration can't be joined by an invitation.",
        "Give a token to any key that signs its nonce, and decide by membership in the repository alone.";
    [TOKEN_ANSWER]
        "A client plans its next login by the expiry. In seconds where milliseconds are meant, the token seems expired since 1970.",
        "Answer the token and its expiry in milliseconds since 1970, as a JSON integer.";
    [TOKEN_CLAIMS]
        "A JWT is read by proxies and logs. An account or an email in it joins identities that the protocol keeps apart.",
        "Put sub (key: and the id), kind, iat and exp into the token, and nothing about a person.";
    [KEY_SET]
        "With the private key anybody makes tokens; without the public one nobody can verify a binding.",
        "Publish the public parameters of the signing key only (for OKP: kty, crv, x, and kid).";
    [TOKEN_REQUIRED]
        "An operation that needs no token is open to the whole network.",
        "Authenticate in one place in front of all vault routes, so that a new route can't be forgotten.";
    [TOKEN_VERIFIED, TOKEN_LOCAL]
        "A token that is read but not verified can be written by anybody, for any member.",
        "Verify the signature with the one algorithm and the one key of this server (never those that the token names), and the \
         issuer and audience, before any claim is looked at.";
    [TOKEN_EXPIRES, TOKEN_SHORT_LIVED]
        "A stolen token is worth what it opens until it expires.",
        "Compare the expiry with the clock on every request, without leeway of more than seconds.";
    [TOKEN_LASTS]
        "A session that ends because somebody else logs in lets anybody log members out.",
        "Keep tokens apart from each other; a bounded store must forget the expired ones, not the oldest.";
    [TOKEN_UNGUESSABLE]
        "A token that is computed from what went over the wire can be computed by whoever saw it.",
        "Use a signed token, or 32 random bytes.";
    [TOKEN_FETCHES_NOTHING]
        "A token that names where its key is (jku, x5u) makes the server fetch from, and trust, whatever the attacker names.",
        "Ignore jku, x5u, jwk and x5c; verify with the keys that are configured.";
    [TOKEN_BEARER_ONLY]
        "A token in a URL stands in logs, histories and Referer headers.",
        "Read the token from Authorization: Bearer and nowhere else.";
    [UNAUTHENTICATED_SILENCE]
        "Who has no token learns which repositories exist, by asking.",
        "Authenticate before the repository is looked up.";
    [SUBJECT_IS_CALLER]
        "If the request says who is asking, it says what it likes.",
        "Take the caller from the verified token only; a member id in a body names whom it is about, never who asks.";
    [CLIENT_TOKEN_PER_HOST]
        "A token shown to another host is that host's to use.",
        "Keep tokens by origin, and drop Authorization when a redirect leads to another one.";
    [CLIENT_FRESH_CHALLENGE]
        "A nonce that is redeemed twice is refused by every careful server; that login fails at random.",
        "Begin every login with a challenge, also a retried one.";
    [CLIENT_BEARER, CLIENT_TOKEN_OPAQUE]
        "The format of a token is the server's matter and changes without notice.",
        "Keep the token as the text that came, at any length, and send exactly that after `Bearer `.";
    [CLIENT_RELOGIN]
        "A client that doesn't log in again is dead after an hour; one that does so for ever is an attack on its server.",
        "After a 401, log in once and try once more; then tell the user.";
    [STORED_VERBATIM]
        "What is stored is opaque ciphertext. One byte that is trimmed, re-encoded or cut off, and nobody ever opens it again.",
        "Store strings as they came, in columns that neither trim, fold, normalise nor limit them, and don't parse them.";
    [CLIENT_AAD, CLIENT_AAD_CHECKED]
        "Without the binding a server can serve an old payload as the new one, or one repository's as another's, unnoticed.",
        "Build the additional data from repository id, version and epoch as the specification lays out, and refuse what doesn't open with it.";
    [CLIENT_WRAP, CLIENT_WRAP_CHECKED]
        "A wrapped key that was swapped makes a client encrypt for whoever swapped it.",
        "Follow the scheme that schemeId names to the byte, authenticate the tag, and refuse every other scheme.";
    [CLIENT_DATA_KEY]
        "Who is a member of one repository reads every other one under the same key; and a key that is made of ids is known to the \
         server, from which it is to be kept.",
        "Draw 32 random bytes for every repository.";
    [CLIENT_FRESH_IV]
        "AES-GCM with an IV that comes twice under a key gives away both texts and the key that authenticates them.",
        "Draw 12 random bytes for every encryption, also for a retried one.";
    [CLIENT_FRESH_EPHEMERAL]
        "An ephemeral key that is used twice wraps under one key twice, and joins members that should be apart.",
        "Make a key pair for every wrap, and forget its private half.";
    [CLIENT_NULLS]
        "Servers may write an optional member as null or leave it out; a client that tells these apart fails at every other server.",
        "Read null as absent.";
    [CLIENT_STRICT_ENVELOPE]
        "A client that goes back to an earlier version undoes removals and changes without a word.",
        "Remember the highest version and epoch for each repository, and refuse what lies below or contradicts itself.";
    [CLIENT_PROVENANCE_ABSENT, CLIENT_PAYLOAD, CLIENT_STAMP, CLIENT_PROVENANCE_SET]
        "The payload is what clients of different makers share; nobody in between can mend it.",
        "Write the members that the specification names with their types, and read payloads that lack the optional ones.";
    [CLIENT_KEEPS_ACCOUNTS, CLIENT_KEEPS_UNKNOWN, CLIENT_KEEPS_04]
        "Every write replaces the whole payload. What a client doesn't carry over is lost to everybody.",
        "Change the document that was read and write it back whole, with the members that you don't know.";
    [ANSWERED]
        "A client without an answer can't know whether its write was carried out: it gives up, or writes twice.",
        "Look into the log of the server for what ends connections, and at the timeouts of a proxy in between.";
    [CALLERS_KEPT_APART]
        "A caller, a connection or an answer in a variable that all requests share is somebody else's as soon as two requests meet, and nothing else of the server can be trusted.",
        "Keep what belongs to a request in its own context, take a connection or transaction of its own for each, and wait where the database is busy.";
    [HTTP_PROFILE, ESCAPED_PATH]
        "Ids come in any characters. If the path is decoded before it is split, the id with a slash in it is another route.",
        "Split the escaped path first, decode each part once, and turn off the decoding of proxies in front.";
    [CREATE_RETURNS]
        "All that follows builds on it: the first manifest is what members verify the later ones against.",
        "Store manifest and envelope in one transaction, and answer with the stored manifest.";
    [CREATE_SOLE_MEMBER]
        "Who creates a repository with others in it claims that they are members, and may leave itself out of sight.",
        "Refuse a manifest whose roster isn't exactly the caller, before anything is written.";
    [CREATE_DUPLICATE, STATUS_DUPLICATE, RETRY_WRITES]
        "A second createRepo that overwrites takes a repository away from its members, with all that is in it.",
        "Insert with the id as the primary key, without OR REPLACE, and answer the violation with 409.";
    [CREATE_IDS_EXACT, CREATE_ODD_IDS]
        "Two ids that a column takes for one are one repository: a stranger who picks a similar id gets at yours.",
        "Compare ids byte by byte (a binary collation), without folding, trimming, normalising or cutting.";
    [CREATE_CONSISTENT, PUSH_CONSISTENT, REMOVE_CONSISTENT]
        "An envelope that contradicts its manifest can't be opened by anybody who checks; the repository is then lost to careful clients.",
        "Compare repository, version and epoch of envelope and manifest before writing, and refuse what can't be.";
    [CLIENT_IDS_ESCAPED]
        "An id with a slash or a question mark in it is another path, and another repository.",
        "Percent-encode every id in a path as a single segment, and take the body's from the same variable.";
    [CLIENT_CREATES_ALONE]
        "A server refuses a repository that has others in it from the start.",
        "Create with yourself as the only member, and invite afterwards.";
    [CLIENT_COUNTERS, CLIENT_EXPECTS]
        "The expected version is the promise to have seen what is overwritten. A guessed one overwrites the unseen.",
        "Take the expected version from what was last read or written, and the new one from that.";
    [CLIENT_RETRIES]
        "After a conflict somebody else's change is there. Sending the old payload under a new version deletes it.",
        "Pull, apply the change to what was pulled, push that, and repeat.";
    [CLIENT_BOUNDED, CLIENT_TERMINAL, CLIENT_RETRY_AFTER]
        "A client that never gives up hangs its user, and together with the others it keeps a struggling server down.",
        "Bound retries and waiting, heed Retry-After, and don't repeat what was refused for good.";
    [CLIENT_HTTP, CLIENT_LENIENT, CLIENT_DISCOVERY_DEFAULT, CLIENT_DISCOVERY_SILENT, CLIENT_LOCATOR_OPTIONAL]
        "Servers and the proxies before them differ in whatever HTTP and the specification leave open.",
        "Leave framing, codings and JSON to a library, and read for what is needed.";
    [CLIENT_ERRORS]
        "Who is told that a removal has worked, relies on it.",
        "Look at the status of every answer, and pass a refusal on to the user as one.";
    [PULL_MEMBERS_ONLY, PUSH_MEMBERS_ONLY, ADD_MEMBERS_ONLY, REMOVE_MEMBERS_ONLY, FETCH_MEMBERS_ONLY, STATUS_STRANGER]
        "Anybody can get a token: a key is made in a moment. If a token is all it takes, every repository is everybody's.",
        "Look the caller up in the roster of this repository in the transaction that reads or writes, and refuse with 403.";
    [PULL_UNCHANGED, PULL_OMITS_ENVELOPE]
        "Clients poll. Without unchanged every poll carries the whole payload.",
        "Compare the known version with the current one for equality, and leave the envelope out if they are the same.";
    [PULL_CURRENT, READ_YOUR_WRITES]
        "A client that is shown an old state writes on top of it; its push conflicts, or undoes what others did.",
        "Read from where writes go, or wait until the replica or cache has caught up; answer with the envelope for every version but the current one.";
    [PUSH_APPLIES, PUSH_GAP]
        "A write that is acknowledged and not stored, or refused for a gap in its versions, is lost.",
        "Store the envelope as it came when the expected version is the current one, and answer with its version and epoch.";
    [PUSH_GATED]
        "Without the gate the later of two writers deletes what the earlier wrote, and neither ever knows.",
        "Make the comparison part of the write: UPDATE … WHERE version = expected, and a conflict if no row was changed.";
    [PUSH_CONFLICT]
        "A conflict is the normal course of things, after which a client pulls and tries again. As an error it ends the client's work.",
        "Answer 200 with accepted false, conflict true, and the counters as they are now.";
    [PUSH_ROTATES]
        "If roster and envelope are written apart, members hold keys that don't open what is there.",
        "Replace the roster in the transaction that stores the envelope, and leave it alone if rotatedMembers is null or absent.";
    [PUSH_REFUSED_WHOLE, REMOVE_ATOMIC]
        "Half a write is a roster whose keys don't fit its envelope: the repository can be opened by nobody, or by somebody who was removed.",
        "Check everything first, and write in one transaction that is rolled back on any error.";
    [PUSH_SCOPE]
        "A member of any repository, their own say, could write to all others.",
        "Authorise and write by the one id of the path, and refuse a body that names another.";
    [ADD_RECORDS, ADD_ANY_MEMBER, ADD_TWICE, RETRY_ADD]
        "The entry is what the new member opens the repository with; an altered or doubled one shuts them out.",
        "Insert the entry as it was sent, keyed by repository and member; if it is there already, leave it and answer with the manifest.";
    [ADD_NO_REKEY]
        "Who can replace a member's encryption key gets the next data key wrapped to a key of their own.",
        "Refuse an addMember for somebody who is a member with another key.";
    [REMOVE_DROPS, REMOVE_REPLACES, REMOVE_UNKNOWN, REMOVE_ANY_ROSTER, RETRY_REMOVE]
        "A removal takes the key away from somebody: a roster that still names them, or an envelope of the old epoch, undoes it.",
        "In one transaction: make rewrappedMembers the roster without the removed one, store the rotated envelope, set the epoch.";
    [REMOVE_REVOKES, EFFECT_AUTHORITY]
        "Whoever is removed is mostly removed for a reason, and holds a token that is good for another hour.",
        "Read the roster in the transaction that has the effect, on every request; cache no membership.";
    [FETCH_ENTRY, FETCH_EXACT]
        "A member's key that isn't found, or is another's, is a data key that is wrapped to the wrong person.",
        "Decode the id of the path once, as a path segment (+ is a plus), and look for exactly that.";
    [STATUS_TOKEN, STATUS_UNKNOWN, USUAL_STATUS]
        "Clients decide by the status: 401 means log in, 403 give up, 404 not there. A wrong one makes them do the wrong thing.",
        "Map each reason to its status in one place: no valid token 401, no member 403, no such thing 404, success 200.";
    [REFUSAL_SILENT, NOTHING_GIVEN_AWAY, DISCRETION]
        "Rosters say who shares with whom, and counters when they work; that is what a vault keeps to itself.",
        "Answer outsiders with an error object that holds a code and a text, and give nothing else away on any path.";
    [NO_SIDE_DOOR]
        "What the guard in front reads in one way and the application in another is a way past the guard.",
        "Authorise in the application, on the same parsed request that is carried out.";
    [CONNECTION_IN_STEP]
        "Clients keep connections. What is left of a refused request is taken for the next one, which then fails though nothing is wrong with it.",
        "Read or drop the whole body before a refusal is answered, or close the connection behind it.";
    [ANSWERS_TO_ASKERS, BODY_CONSUMED, FRAMING]
        "On a kept connection, what is left of one request is taken for the next: an answer meant for one client goes to another.",
        "Leave framing to a maintained HTTP server, read or close after an early refusal, and refuse what can be read in two ways.";
    [NEGOTIATION]
        "Clients and proxies ask for codings and types in any spelling that HTTP allows.",
        "Compare media types by type and subtype only, and compress only what was asked for.";
    [CLIENT_ID_HOSTLESS, CLIENT_ADDRESS]
        "A repository may move to another host, and two hosts may have the same id: neither names a repository alone.",
        "Draw ids at random, and keep everything that belongs to a repository under its host and its id.";
    [CLIENT_TOKENS_V1]
        "An invitation that another client can't read is none.",
        "Encode compact JSON as base64url without padding, with the members that the specification names.";
    [DISCOVERY_SHAPE]
        "Clients ask discovery before they have a token, and trust what it says of keys.",
        "Serve it without authentication, as the object of the specification, or answer 404.";
    [BINDING_OPAQUE]
        "The binding is what tells a member's key from one that the server put there. A path that loses it looks like an attack.",
        "Store keyBindingSig with the entry and carry it through every statement that writes members.";
    [BINDING_VALID]
        "A binding that doesn't verify makes careful clients refuse to wrap to that member.",
        "Sign the canonical message of the specification with the issuer's published key.";
    [CLIENT_VERIFIES_BINDING]
        "A server that swaps a key gets the data key wrapped to its own.",
        "Verify the binding under the issuer's key before wrapping, and refuse without one on hosts that you don't operate.";
    [CLIENT_CARRIES_BINDINGS]
        "A member whose binding is lost can't be wrapped to by anybody who verifies: the next removal fails.",
        "Copy keyBindingSig of an entry when its data key is wrapped anew.";
    [ZERO_KNOWLEDGE, NO_SECRET_ECHO, CLIENT_ZERO_KNOWLEDGE]
        "The server is to hold nothing that opens a vault: whoever breaks into it must find ciphertext only.",
        "Send and store the members of the messages and nothing else; drop or refuse what looks like a secret.";
    [CREDENTIALS_NOT_KEPT]
        "Logs and backups are read by more people than the database; a token in them is a login.",
        "Store hashes of tokens, delete used nonces, and keep Authorization and bodies out of logs.";
    [REPLACED_IS_DROPPED]
        "Who was removed holds the old key; an old envelope that is still there is open to them.",
        "Delete what a removal replaces, from history tables, too.";
    [CRASH_KEEPS]
        "A client that was told that its write is stored has thrown its own copy away; whoever was removed is back with the old roster.",
        "Answer after the commit, not before it, and keep used nonces where the rest is kept.";
    [CRASH_WHOLE]
        "A roster of one state with the envelope of another can't be opened by anybody, and nobody is there to finish the write.",
        "Write roster, envelope, version and epoch in one transaction.";
    [VERSION_MONOTONIC, EPOCH_RISES]
        "Counters that go back let an old state pass for a new one.",
        "Refuse versions and epochs that don't rise, in the transaction that writes.";
    [OLD_KEYS_USELESS, CLIENT_ROTATES]
        "A removal without a new key removes nobody: the old one opens all that comes.",
        "Make a data key, wrap it for all who stay and for nobody else, and encrypt under the next epoch.";
    [WRITES_SERIALIZED]
        "Two pushes that both succeed for the same version: one of them is gone, and its author was told that it was stored.",
        "Compare and write in one statement or under one lock that is taken before the comparison, and retry when the database says so.";
    [SNAPSHOT_READS]
        "A manifest of one state with the envelope of another can't be opened, and looks like tampering.",
        "Read both in one statement, or in one transaction of snapshot isolation.";
    [TLS, CLIENT_TLS]
        "A token or a login in the clear is everybody's on the way.",
        "Serve TLS only, and verify certificates against the system's authorities; never switch that off.";
    [BAD_INPUT, STALLED_REQUEST, HANGUPS_SURVIVED]
        "One odd request that takes a server down, or makes all others wait, takes the vault from everybody.",
        "Bound bodies, depths and times, validate before working, answer 4xx, and hold no lock while a client is waited for.";
    [ERROR_OBJECT, LIMITS]
        "Clients tell the user what to do by the code of an error; a limit that looks like a conflict is retried for ever.",
        "Answer every refusal, those of the framework and the proxy included, with the error object and the status of its code.";
    [SHARE_REFRESH_TOKENS]
        "The flag says what members agreed to share; if it is lost on the way, clients share what they shouldn't, or nothing.",
        "Store it with the repository, and serve it in every manifest.";
};

/// What a rule is for; `None` where nobody has written it down.
pub fn why(rule: &Requirement) -> Option<&'static str> {
    row(rule).map(|row| row.why)
}

/// What to do about it.
pub fn mend(rule: &Requirement) -> Option<&'static str> {
    row(rule).map(|row| row.mend)
}

fn row(rule: &Requirement) -> Option<&'static Row> {
    WHY.iter().find(|row| row.rules.iter().any(|of_row| of_row.id == rule.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_explained_once() {
        let rows =
            |rule: &Requirement| WHY.iter().flat_map(|row| row.rules).filter(|of_row| of_row.id == rule.id).count();
        let wrong: Vec<_> = ALL.iter().filter(|rule| rows(rule) != 1).map(|rule| (rule.id, rows(rule))).collect();
        assert_eq!(wrong, [], "add a row to src/requirements/why.rs, or the rule to one");
    }

    #[test]
    fn texts_are_sentences() {
        for text in WHY.iter().flat_map(|row| [row.why, row.mend]) {
            assert!(
                text.ends_with('.') && text.starts_with(|c: char| c.is_uppercase() || c.is_ascii_digit()),
                "{text}"
            );
        }
    }
}
