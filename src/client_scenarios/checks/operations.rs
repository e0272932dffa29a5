//! The checks of operations, and of all that comes after them (SPEC §6 and later).

use super::{ClientCheck, check};
use crate::client_scenarios::bends::{bears, tells_errors};
use crate::client_scenarios::rules::{flow, login, payloads, requests, sealed, secrets};
use crate::client_scenarios::scenes;
use crate::client_scenarios::vault::Bend::*;
use crate::requirements::{Level::*, Revision::*, *};

/// The checks of these sections.
pub(super) static CHECKS: &[ClientCheck] = &[
    check("client-request/ids", Must, "§6", &[&CLIENT_IDS_ESCAPED])
        .title("Ids arrive as they are")
        .runs(&[Rotated], requests::ids),
    check("client-request/odd-ids", Must, "§6", &[&CLIENT_IDS_ESCAPED])
        .title("Ids with slashes, blanks and percent signs arrive as they are")
        .scene(scenes::odd_ids),
    check("client-request/content-type", Should, "§6", &[&CLIENT_JSON_CONTENT_TYPE])
        .title("JSON bodies say so in Content-Type")
        .runs(&[], requests::content_type),
    check("client-write/creates-alone", Must, "§6", &[&CLIENT_CREATES_ALONE])
        .title("A repository is created with its creator as the only member")
        .runs(&[], requests::creates_alone),
    check("client-write/counters", Must, "§6", &[&CLIENT_COUNTERS])
        .title("The counters of a write agree, and versions rise")
        .runs(&[Rotated, ConflictRead, ConflictFirst], requests::counters),
    check("client-write/expects", Must, "§6", &[&CLIENT_EXPECTS])
        .title("A push expects a version that was read or written")
        .runs(&[Rotated], flow::expects),
    check("client-conflict/retries", Must, "§6", &[&CLIENT_RETRIES])
        .title("After a conflict: pull, apply again, retry")
        .runs(&[ConflictRead, ConflictFirst, Rotated, RotatedGarbage, GarbagePayload, GarbageWrap], flow::conflict),
    check("client-conflict/keeps-others", Must, "§6", &[&CLIENT_RETRIES, &CLIENT_KEEPS_ACCOUNTS])
        .title("What others have changed between a pull and a push is so after the retry")
        .runs(&[ConflictRead], payloads::reapplies),
    check("client-conflict/again", Must, "§6", &[&CLIENT_RETRIES])
        .title("Every conflict is followed by a pull, not only the first")
        .runs(&[ConflictAlways], flow::again),
    check("client-conflict/reapplies", Must, "§6", &[&CLIENT_RETRIES, &CLIENT_KEEPS_ACCOUNTS])
        .title("Somebody else's change survives a retry")
        .scene(scenes::put_reapplies),
    check("client-conflict/same-account", Must, "§6", &[&CLIENT_RETRIES, &CLIENT_KEEPS_ACCOUNTS])
        .title("After a conflict over one account, the change is applied to it again")
        .scene(scenes::same_account),
    check("client-conflict/lost-answer", Must, "§6", &[&CLIENT_RETRIES, &CLIENT_FRESH_IV])
        .title("A put whose push got no answer is done only if it was carried out")
        .scene(scenes::lost_answer),
    check("client-conflict/bounded", Hardening, "§6", &[&CLIENT_BOUNDED])
        .title("Retries have an end")
        .runs(&[ConflictAlways], flow::bounded),
    check("client-http/framing", Must, "§6", &[&CLIENT_HTTP])
        .title("Answers are read however they are framed")
        .runs(&[Chunked, ChunkExtensions, Dribble, CloseEach, CloseDelimited, Headers], bears),
    check("client-http/any-text", Must, "§6", &[&CLIENT_HTTP])
        .title("Text that isn't ASCII is read wherever chunks end in it")
        .scene(scenes::any_text),
    check("client-http/spelling", Must, "§6", &[&CLIENT_HTTP])
        .title("JSON is read however it is spelled, and rosters in any order")
        .runs(&[Escaped, Reordered, RosterReversed, OwnEntryFirst, OwnEntryLast, Charset], bears),
    check("client-http/lenient", Hardening, "§6", &[&CLIENT_LENIENT])
        .title("Another 2xx, an envelope too many or a later member are no error")
        .runs(&[Created201, Accepted202, ExtraEnvelope, PlainType, LaterMembers], bears),
    check("client-http/errors", Hardening, "§6", &[&CLIENT_ERRORS])
        .title("A refused operation isn't told as a success")
        .runs(&[Forbidden, ServerError, ConflictAlways], tells_errors),
    check("client-http/gives-up", Hardening, "§6", &[&CLIENT_BOUNDED])
        .title("A client that gets no answer gives up")
        .runs(&[Hang], login::gives_up)
        .waits(),
    check("client-http/terminal", Must, "§6", &[&CLIENT_TERMINAL])
        .title("What is refused for good isn't tried again")
        .since(V0_3)
        .runs(&[Forbidden], flow::terminal),
    check("client-http/retry-after", Must, "§6", &[&CLIENT_RETRY_AFTER])
        .title("Retry-After is heeded")
        .since(V0_3)
        .runs(&[RetryAfter], flow::waits),
    check("client-join/invites", Must, "§8.1", &[&CLIENT_TOKENS_V1])
        .title("Invite requests and locators have their form")
        .scene(scenes::invites),
    check("client-write/guest-reads", Must, "§4", &[&CLIENT_WRAP, &CLIENT_AAD])
        .title("An invited member unwraps the data key and opens the first payload")
        .scene(scenes::guest_reads),
    check("client-write/hostless-id", Must, "§8", &[&CLIENT_ID_HOSTLESS])
        .title("The id of a new repository doesn't encode the host")
        .runs(&[], requests::hostless),
    check("client-read/apart", Must, "§8", &[&CLIENT_ADDRESS])
        .title("Repositories are told apart by host and id")
        .scene(scenes::apart),
    check("client-join/locators", Must, "§8.1", &[&CLIENT_LOCATOR_OPTIONAL])
        .title("Locators with absent members and old hints are enough")
        .scene(scenes::locators),
    check("client-join/discovery-silent", Must, "§8.2", &[&CLIENT_DISCOVERY_SILENT])
        .title("Discovery is asked without a token")
        .runs(&[NoDiscovery], login::discovery_silent),
    check("client-join/no-discovery", Hardening, "§8.2", &[&CLIENT_LENIENT])
        .title("A vault without discovery is a vault, and one that speaks gRPC as well")
        .runs(&[NoDiscovery, Discovery500, DiscoveryBoth], bears),
    check("client-join/served-keys", Should, "§9", &[&CLIENT_VERIFIES_BINDING])
        .title("A key that only the server vouches for gets no data key")
        .runs(&[SwappedKeys], sealed::middle),
    check("client-join/bindings", Must, "§9", &[&CLIENT_VERIFIES_BINDING])
        .title("Bindings are verified before a data key is wrapped")
        .scene(scenes::bindings),
    check("client-join/issuer-silent", Must, "§9", &[&CLIENT_VERIFIES_BINDING])
        .title("Where the issuer's keys can't be had, no binding verifies")
        .scene(scenes::issuer_silent),
    check("client-join/binding-each", Must, "§9", &[&CLIENT_VERIFIES_BINDING])
        .title("What is verified is the entry that is wrapped to, each time")
        .scene(scenes::binding_each),
    check("client-join/invited-key", Must, "§9", &[&CLIENT_VERIFIES_BINDING])
        .title("An invitation wraps to the key that the joiner has named")
        .scene(scenes::invited_key),
    check("client-write/keeps-bindings", Hardening, "§9", &[&CLIENT_CARRIES_BINDINGS])
        .title("A removal carries the bindings of those who stay")
        .scene(scenes::keeps_bindings),
    check("client-write/removal", Must, "§10", &[&CLIENT_ROTATES])
        .title("After a removal those who stay read, and nobody else")
        .scene(scenes::rotation),
    check("client-write/removal-current", Must, "§10", &[&CLIENT_ROTATES, &CLIENT_KEEPS_ACCOUNTS])
        .title("A removal keeps everybody and everything that is there now")
        .scene(scenes::removal_current),
    check("client-write/removal-again", Must, "§10", &[&CLIENT_ROTATES, &CLIENT_KEEPS_ACCOUNTS])
        .title("Every removal has a data key of its own")
        .scene(scenes::removal_again),
    check("client-refuse/old-key", Must, "§10", &[&CLIENT_AAD_CHECKED, &CLIENT_ROTATES])
        .title("A payload under the data key of an earlier epoch isn't read")
        .scene(scenes::old_key),
    check("client-write/data-key-secret", Must, "§10", &[&CLIENT_ZERO_KNOWLEDGE, &CLIENT_DATA_KEY])
        .title("No data key is made of what the server knows")
        .runs(&[Rotated], secrets::data_key),
    check("client-write/zero-knowledge", Must, "§10", &[&CLIENT_ZERO_KNOWLEDGE])
        .title("No request holds a seed, a private key, a data key or an account")
        .runs(&[Rotated, ConflictRead, TokenRevoked, Forbidden, ServerError, PushForbidden], secrets::zero_knowledge),
    check("client-write/rotates", Must, "§10", &[&CLIENT_ROTATES])
        .title("A removal comes with the next epoch, a new key and new wraps")
        .runs(&[Rotated], flow::rotates),
    check("client-http/certificate", Must, "§12", &[&CLIENT_TLS])
        .title("Nothing is sent to a server with a wrong certificate")
        .runs(
            &[TlsRight, TlsUnknownCa, TlsWrongName, TlsWrongDns, TlsExpired, TlsSelfSigned, TlsNotYet, TlsLater],
            login::certificate,
        ),
    check("client-http/stays-encrypted", Hardening, "§12", &[&CLIENT_TLS])
        .title("A vault with TLS is asked for nothing in clear text")
        .runs(&[TlsRight], login::stays_encrypted),
    check("client-http/issuer-certificate", Must, "§12", &[&CLIENT_TLS])
        .title("The issuer isn't asked over a connection with a wrong certificate")
        .scene(scenes::issuer_certificate),
    check("client-write/keeps-later", Must, "§5", &[&CLIENT_KEEPS_04])
        .title("Refresh tokens and bans survive a push")
        .since(V0_4)
        .runs(&[Rotated, RotatedGarbage, UnknownMembers], payloads::keeps_later),
];
