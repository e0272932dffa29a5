//! Why, of the rules of operations and of all that comes after them (SPEC §6 and later).

use super::{Row, row};
use crate::requirements::*;

pub(super) static WHY: &[Row] = &[
    row(
        &[&ANSWERED],
        "A client without an answer can't know whether its write was carried out: it gives up, or writes twice.",
        "Look into the log of the server for what ends connections, and at the timeouts of a proxy in between.",
    ),
    row(
        &[&CALLERS_KEPT_APART],
        "A caller, a connection or an answer in a variable that all requests share is somebody else's as soon as two \
         requests meet, and nothing else of the server can be trusted.",
        "Keep what belongs to a request in its own context, take a connection or transaction of its own for each, and \
         wait where the database is busy.",
    ),
    row(
        &[&HTTP_PROFILE, &ESCAPED_PATH],
        "Ids come in any characters. If the path is decoded before it is split, the id with a slash in it is another \
         route.",
        "Split the escaped path first, decode each part once, and turn off the decoding of proxies in front.",
    ),
    row(
        &[&CREATE_RETURNS],
        "All that follows builds on it: the first manifest is what members verify the later ones against.",
        "Store manifest and envelope in one transaction, and answer with the stored manifest.",
    ),
    row(
        &[&CREATE_SOLE_MEMBER],
        "Who creates a repository with others in it claims that they are members, and may leave itself out of sight.",
        "Refuse a manifest whose roster isn't exactly the caller, before anything is written.",
    ),
    row(
        &[&CREATE_DUPLICATE, &STATUS_DUPLICATE, &RETRY_WRITES],
        "A second createRepo that overwrites takes a repository away from its members, with all that is in it.",
        "Insert with the id as the primary key, without OR REPLACE, and answer the violation with 409.",
    ),
    row(
        &[&CREATE_IDS_EXACT, &CREATE_ODD_IDS],
        "Two ids that a column takes for one are one repository: a stranger who picks a similar id gets at yours.",
        "Compare ids byte by byte (a binary collation), without folding, trimming, normalising or cutting.",
    ),
    row(
        &[&CREATE_CONSISTENT, &PUSH_CONSISTENT, &REMOVE_CONSISTENT],
        "An envelope that contradicts its manifest can't be opened by anybody who checks; the repository is then lost \
         to careful clients.",
        "Compare repository, version and epoch of envelope and manifest before writing, and refuse what can't be.",
    ),
    row(
        &[&CLIENT_IDS_ESCAPED],
        "An id with a slash or a question mark in it is another path, and another repository.",
        "Percent-encode every id in a path as a single segment, and take the body's from the same variable.",
    ),
    row(
        &[&CLIENT_CREATES_ALONE],
        "A server refuses a repository that has others in it from the start.",
        "Create with yourself as the only member, and invite afterwards.",
    ),
    row(
        &[&CLIENT_COUNTERS, &CLIENT_EXPECTS],
        "The expected version is the promise to have seen what is overwritten. A guessed one overwrites the unseen.",
        "Take the expected version from what was last read or written, and the new one from that.",
    ),
    row(
        &[&CLIENT_RETRIES],
        "After a conflict somebody else's change is there. Sending the old payload under a new version deletes it.",
        "Pull, apply the change to what was pulled, push that, and repeat.",
    ),
    row(
        &[&CLIENT_BOUNDED, &CLIENT_TERMINAL, &CLIENT_RETRY_AFTER],
        "A client that never gives up hangs its user, and together with the others it keeps a struggling server down.",
        "Bound retries and waiting, heed Retry-After, and don't repeat what was refused for good.",
    ),
    row(
        &[&CLIENT_HTTP, &CLIENT_LENIENT, &CLIENT_DISCOVERY_DEFAULT, &CLIENT_DISCOVERY_SILENT, &CLIENT_LOCATOR_OPTIONAL],
        "Servers and the proxies before them differ in whatever HTTP and the specification leave open.",
        "Leave framing, codings and JSON to a library, and read for what is needed.",
    ),
    row(
        &[&CLIENT_ERRORS],
        "Who is told that a removal has worked, relies on it.",
        "Look at the status of every answer, and pass a refusal on to the user as one.",
    ),
    row(
        &[
            &PULL_MEMBERS_ONLY,
            &PUSH_MEMBERS_ONLY,
            &ADD_MEMBERS_ONLY,
            &REMOVE_MEMBERS_ONLY,
            &FETCH_MEMBERS_ONLY,
            &STATUS_STRANGER,
        ],
        "Anybody can get a token: a key is made in a moment. If a token is all it takes, every repository is \
         everybody's.",
        "Look the caller up in the roster of this repository in the transaction that reads or writes, and refuse with \
         403.",
    ),
    row(
        &[&PULL_UNCHANGED, &PULL_OMITS_ENVELOPE],
        "Clients poll. Without unchanged every poll carries the whole payload.",
        "Compare the known version with the current one for equality, and leave the envelope out if they are the same.",
    ),
    row(
        &[&PULL_CURRENT, &READ_YOUR_WRITES],
        "A client that is shown an old state writes on top of it; its push conflicts, or undoes what others did.",
        "Read from where writes go, or wait until the replica or cache has caught up; answer with the envelope for \
         every version but the current one.",
    ),
    row(
        &[&PUSH_APPLIES, &PUSH_GAP],
        "A write that is acknowledged and not stored, or refused for a gap in its versions, is lost.",
        "Store the envelope as it came when the expected version is the current one, and answer with its version and \
         epoch.",
    ),
    row(
        &[&PUSH_GATED],
        "Without the gate the later of two writers deletes what the earlier wrote, and neither ever knows.",
        "Make the comparison part of the write: UPDATE … WHERE version = expected, and a conflict if no row was \
         changed.",
    ),
    row(
        &[&PUSH_CONFLICT],
        "A conflict is the normal course of things, after which a client pulls and tries again. As an error it ends \
         the client's work.",
        "Answer 200 with accepted false, conflict true, and the counters as they are now.",
    ),
    row(
        &[&PUSH_ROTATES],
        "If roster and envelope are written apart, members hold keys that don't open what is there.",
        "Replace the roster in the transaction that stores the envelope, and leave it alone if rotatedMembers is null \
         or absent.",
    ),
    row(
        &[&PUSH_REFUSED_WHOLE, &REMOVE_ATOMIC],
        "Half a write is a roster whose keys don't fit its envelope: the repository can be opened by nobody, or by \
         somebody who was removed.",
        "Check everything first, and write in one transaction that is rolled back on any error.",
    ),
    row(
        &[&PUSH_SCOPE],
        "A member of any repository, their own say, could write to all others.",
        "Authorise and write by the one id of the path, and refuse a body that names another.",
    ),
    row(
        &[&ADD_RECORDS, &ADD_ANY_MEMBER, &ADD_TWICE, &RETRY_ADD],
        "The entry is what the new member opens the repository with; an altered or doubled one shuts them out.",
        "Insert the entry as it was sent, keyed by repository and member; if it is there already, leave it and answer \
         with the manifest.",
    ),
    row(
        &[&ADD_NO_REKEY],
        "Who can replace a member's encryption key gets the next data key wrapped to a key of their own.",
        "Refuse an addMember for somebody who is a member with another key.",
    ),
    row(
        &[&REMOVE_DROPS, &REMOVE_REPLACES, &REMOVE_UNKNOWN, &REMOVE_ANY_ROSTER, &RETRY_REMOVE],
        "A removal takes the key away from somebody: a roster that still names them, or an envelope of the old epoch, \
         undoes it.",
        "In one transaction: make rewrappedMembers the roster without the removed one, store the rotated envelope, set \
         the epoch.",
    ),
    row(
        &[&REMOVE_REVOKES, &EFFECT_AUTHORITY],
        "Whoever is removed is mostly removed for a reason, and holds a token that is good for another hour.",
        "Read the roster in the transaction that has the effect, on every request; cache no membership.",
    ),
    row(
        &[&FETCH_ENTRY, &FETCH_EXACT],
        "A member's key that isn't found, or is another's, is a data key that is wrapped to the wrong person.",
        "Decode the id of the path once, as a path segment (+ is a plus), and look for exactly that.",
    ),
    row(
        &[&STATUS_TOKEN, &STATUS_UNKNOWN, &USUAL_STATUS],
        "Clients decide by the status: 401 means log in, 403 give up, 404 not there. A wrong one makes them do the \
         wrong thing.",
        "Map each reason to its status in one place: no valid token 401, no member 403, no such thing 404, success \
         200.",
    ),
    row(
        &[&REFUSAL_SILENT, &NOTHING_GIVEN_AWAY, &DISCRETION],
        "Rosters say who shares with whom, and counters when they work; that is what a vault keeps to itself.",
        "Answer outsiders with an error object that holds a code and a text, and give nothing else away on any path.",
    ),
    row(
        &[&NO_SIDE_DOOR],
        "What the guard in front reads in one way and the application in another is a way past the guard.",
        "Authorise in the application, on the same parsed request that is carried out.",
    ),
    row(
        &[&CONNECTION_IN_STEP],
        "Clients keep connections. What is left of a refused request is taken for the next one, which then fails \
         though nothing is wrong with it.",
        "Read or drop the whole body before a refusal is answered, or close the connection behind it.",
    ),
    row(
        &[&ANSWERS_TO_ASKERS, &BODY_CONSUMED, &FRAMING],
        "On a kept connection, what is left of one request is taken for the next: an answer meant for one client goes \
         to another.",
        "Leave framing to a maintained HTTP server, read or close after an early refusal, and refuse what can be read \
         in two ways.",
    ),
    row(
        &[&NEGOTIATION],
        "Clients and proxies ask for codings and types in any spelling that HTTP allows.",
        "Compare media types by type and subtype only, and compress only what was asked for.",
    ),
    row(
        &[&CLIENT_ID_HOSTLESS, &CLIENT_ADDRESS],
        "A repository may move to another host, and two hosts may have the same id: neither names a repository alone.",
        "Draw ids at random, and keep everything that belongs to a repository under its host and its id.",
    ),
    row(
        &[&CLIENT_TOKENS_V1],
        "An invitation that another client can't read is none.",
        "Encode compact JSON as base64url without padding, with the members that the specification names.",
    ),
    row(
        &[&DISCOVERY_SHAPE],
        "Clients ask discovery before they have a token, and trust what it says of keys.",
        "Serve it without authentication, as the object of the specification, or answer 404.",
    ),
    row(
        &[&BINDING_OPAQUE],
        "The binding is what tells a member's key from one that the server put there. A path that loses it looks like \
         an attack.",
        "Store keyBindingSig with the entry and carry it through every statement that writes members.",
    ),
    row(
        &[&BINDING_VALID],
        "A binding that doesn't verify makes careful clients refuse to wrap to that member.",
        "Sign the canonical message of the specification with the issuer's published key.",
    ),
    row(
        &[&CLIENT_VERIFIES_BINDING],
        "A server that swaps a key gets the data key wrapped to its own.",
        "Verify the binding under the issuer's key before wrapping, and refuse without one on hosts that you don't \
         operate.",
    ),
    row(
        &[&CLIENT_CARRIES_BINDINGS],
        "A member whose binding is lost can't be wrapped to by anybody who verifies: the next removal fails.",
        "Copy keyBindingSig of an entry when its data key is wrapped anew.",
    ),
    row(
        &[&ZERO_KNOWLEDGE, &NO_SECRET_ECHO, &CLIENT_ZERO_KNOWLEDGE],
        "The server is to hold nothing that opens a vault: whoever breaks into it must find ciphertext only.",
        "Send and store the members of the messages and nothing else; drop or refuse what looks like a secret.",
    ),
    row(
        &[&CREDENTIALS_NOT_KEPT],
        "Logs and backups are read by more people than the database; a token in them is a login.",
        "Store hashes of tokens, delete used nonces, and keep Authorization and bodies out of logs.",
    ),
    row(
        &[&REPLACED_IS_DROPPED],
        "Who was removed holds the old key; an old envelope that is still there is open to them.",
        "Delete what a removal replaces, from history tables, too.",
    ),
    row(
        &[&CRASH_KEEPS],
        "A client that was told that its write is stored has thrown its own copy away; whoever was removed is back \
         with the old roster.",
        "Answer after the commit, not before it, and keep used nonces where the rest is kept.",
    ),
    row(
        &[&CRASH_WHOLE],
        "A roster of one state with the envelope of another can't be opened by anybody, and nobody is there to finish \
         the write.",
        "Write roster, envelope, version and epoch in one transaction.",
    ),
    row(
        &[&VERSION_MONOTONIC, &EPOCH_RISES],
        "Counters that go back let an old state pass for a new one.",
        "Refuse versions and epochs that don't rise, in the transaction that writes.",
    ),
    row(
        &[&OLD_KEYS_USELESS, &CLIENT_ROTATES],
        "A removal without a new key removes nobody: the old one opens all that comes.",
        "Make a data key, wrap it for all who stay and for nobody else, and encrypt under the next epoch.",
    ),
    row(
        &[&WRITES_SERIALIZED],
        "Two pushes that both succeed for the same version: one of them is gone, and its author was told that it was \
         stored.",
        "Compare and write in one statement or under one lock that is taken before the comparison, and retry when the \
         database says so.",
    ),
    row(
        &[&SNAPSHOT_READS],
        "A manifest of one state with the envelope of another can't be opened, and looks like tampering.",
        "Read both in one statement, or in one transaction of snapshot isolation.",
    ),
    row(
        &[&TLS, &CLIENT_TLS],
        "A token or a login in the clear is everybody's on the way.",
        "Serve TLS only, and verify certificates against the system's authorities; never switch that off.",
    ),
    row(
        &[&BAD_INPUT, &STALLED_REQUEST, &HANGUPS_SURVIVED],
        "One odd request that takes a server down, or makes all others wait, takes the vault from everybody.",
        "Bound bodies, depths and times, validate before working, answer 4xx, and hold no lock while a client is \
         waited for.",
    ),
    row(
        &[&ERROR_OBJECT, &LIMITS],
        "Clients tell the user what to do by the code of an error; a limit that looks like a conflict is retried for \
         ever.",
        "Answer every refusal, those of the framework and the proxy included, with the error object and the status of \
         its code.",
    ),
    row(
        &[&SHARE_REFRESH_TOKENS],
        "The flag says what members agreed to share; if it is lost on the way, clients share what they shouldn't, or \
         nothing.",
        "Store it with the repository, and serve it in every manifest.",
    ),
];
