//! The checks of clients: what each looks at, and which runs it needs.

use super::bends::{bears, reads, reads_others, refuses, tells_errors};
use super::evidence::{Evidence, Judgement};
use super::rules::{flow, login, payloads, requests, sealed, secrets};
use super::scenes::{self, Scene};
use super::vault::Bend;
use crate::requirements::Revision;
use crate::scenarios::CheckInfo;

/// How a check judges: it sees all runs, and the bends that it has asked for.
type Judge = fn(&Evidence, &[Bend]) -> Judgement;

/// A check of clients.
pub struct ClientCheck {
    /// What a reader knows it by.
    pub info: CheckInfo,
    /// The runs that it needs besides the honest ones.
    pub bends: &'static [Bend],
    /// Whether it waits (`--slow`).
    pub waits: bool,
    pub(super) way: Way,
}

/// How a check comes to its judgement.
pub(super) enum Way {
    /// From the runs.
    Runs(Judge),
    /// In a scene of its own, which takes an adapter.
    Scene(Scene),
}

impl ClientCheck {
    /// Whether it takes an adapter (`--driver`).
    pub fn needs_driver(&self) -> bool {
        matches!(self.way, Way::Scene(_))
    }
}

macro_rules! client_checks {
    ($($id:literal, $level:ident, $section:literal, [$($requirement:ident),+], $title:literal, [$($bend:ident),* $(,)?],
        $way:ident $judge:expr $(, since $since:ident)? $(, waits = $waits:literal)?;)*) => {
        static CHECKS: &[ClientCheck] = &[$(ClientCheck {
            info: CheckInfo {
                id: $id,
                title: $title,
                section: $section,
                level: crate::requirements::Level::$level,
                requirements: &[$(&crate::requirements::$requirement),+],
                since: client_checks!(@since $($since)?),
            },
            bends: &[$(Bend::$bend),*],
            waits: client_checks!(@waits $($waits)?),
            way: Way::$way($judge),
        }),*];
    };
    (@since) => { Revision::V0_2 };
    (@since $since:ident) => { Revision::$since };
    (@waits) => { false };
    (@waits $waits:literal) => { $waits };
}

/// Every check of clients, in the order of the specification.
pub fn all() -> impl Iterator<Item = &'static ClientCheck> {
    CHECKS.iter()
}

client_checks! {
    "client-request/base64", Must, "§2", [CLIENT_BASE64], "Binary values are padded standard base64", [Rotated], Runs requests::base64_spelling;
    "client-request/sizes", Must, "§2", [CLIENT_SIZES], "Keys, IVs and signatures have their sizes", [Rotated], Runs requests::sizes;
    "client-request/shapes", Must, "§2", [CLIENT_SHAPES], "Requests are as the schema says", [Rotated, Nulls], Runs requests::shapes;
    "client-read/exact-int64", Must, "§2", [CLIENT_INT64, CLIENT_AAD], "Counters beyond 2^32 and 2^53 are read exactly",
        [Rotated, RotatedGarbage, BigCounters, BiggerVersion, Version32, Version31, BigSpaced], Runs reads;
    "client-write/exact-int64", Must, "§2", [CLIENT_INT64, CLIENT_AAD], "Payloads over versions beyond 2^53 are bound exactly",
        [Rotated, RotatedGarbage, BigCounters, BiggerVersion, Version32, Version31, BigSpaced], Runs payloads::bound;
    "client-write/exact-epoch", Must, "§2", [CLIENT_INT64], "Epochs beyond 2^53 are named exactly by invitations and removals", [], Scene scenes::exact_epoch;
    "client-login/far-expiry", Must, "§2", [CLIENT_INT64], "An expiry beyond 2^53 is an expiry", [ExpiryFar], Runs bears;

    "client-login/signs-raw-nonce", Must, "§3", [CLIENT_SIGNS_RAW], "The raw bytes of the nonce are signed", [], Runs login::signs_raw;
    "client-login/nonce-of-any-length", Must, "§3", [CLIENT_SIGNS_RAW], "Nonces of more than 32 bytes are signed whole",
        [Nonce33, Nonce64, Nonce512, NonceText, NonceLine], Runs login::signs_any_length;
    "client-login/fresh-challenge", Must, "§3", [CLIENT_FRESH_CHALLENGE], "Every token is asked for with a nonce of its own",
        [TokenRevoked], Runs login::fresh_challenge;
    "client-token/bearer", Must, "§6", [CLIENT_BEARER], "The token is in Authorization: Bearer as issued, and nowhere else",
        [TokenOdd, Rotated], Runs login::bearer;
    "client-token/opaque", Must, "§3", [CLIENT_TOKEN_OPAQUE], "Tokens of any format and of 8 KiB are used as they are",
        [TokenLong, TokenOdd, TokenJwt, TokenJwe], Runs bears;
    "client-token/stays-home-post-307", Must, "§3", [CLIENT_TOKEN_PER_HOST], "A redirected POST (307, 308) doesn't take the token to another server",
        [Redirect307Port, Redirect307Host, Redirect308Host, RedirectPull307, RedirectChain307, RedirectRelative307,
         RedirectOn307, RedirectWithin307,
         RedirectUser307, RedirectPrefix307, RedirectPlain307, RedirectMoved], Runs login::stays_home;
    "client-token/stays-home-post-302", Must, "§3", [CLIENT_TOKEN_PER_HOST], "A redirected POST (301, 302, 303) doesn't take the token to another server",
        [Redirect301Port, Redirect302Host, Redirect302Port, Redirect303Host, RedirectPull302,
         RedirectOn302, RedirectWithin302, RedirectChain302, RedirectRelative302, RedirectUser302, RedirectPrefix302, RedirectPlain302, CreatedElsewhere], Runs login::stays_home;
    "client-token/stays-home-get", Must, "§3", [CLIENT_TOKEN_PER_HOST], "A redirected GET doesn't take the token to another server",
        [RedirectGet302, RedirectGet307, RedirectDiscovery], Runs login::stays_home;
    "client-token/per-host", Must, "§3", [CLIENT_TOKEN_PER_HOST], "Two hosts get tokens of their own", [], Scene scenes::two_hosts;
    "client-token/own", Must, "§6", [CLIENT_CREATES_ALONE], "Every member asks with a token of its own", [], Scene scenes::own_token;
    "client-token/new-login", Hardening, "§3", [CLIENT_RELOGIN], "A token that isn't valid any longer leads to one new login",
        [TokenRevoked, NoTokenValid], Runs login::logs_in_anew;

    "client-read/what-others-seal", Must, "§4", [CLIENT_AAD], "What another member has sealed is read",
        [Rotated, RotatedGarbage, GarbagePayload, GarbageWrap, AadNone, AadLittleEndian, AadDecimal, AadNoSeparator, AadNoEpoch,
         WrapNoAad, WrapLabel, WrapNoSalt, WrapRawSecret], Runs |evidence, _| reads_others(evidence, false);
    "client-read/what-others-wrap", Must, "§4", [CLIENT_WRAP], "A data key that another member has wrapped is unwrapped",
        [Rotated, RotatedGarbage, GarbagePayload, GarbageWrap, AadNone, AadLittleEndian, AadDecimal, AadNoSeparator, AadNoEpoch,
         WrapNoAad, WrapLabel, WrapNoSalt, WrapRawSecret], Runs |evidence, _| reads_others(evidence, true);
    "client-read/wrap-any-secret", Must, "§4", [CLIENT_WRAP], "A shared secret with a zero byte at its end is 32 bytes as any other",
        [Rotated, RotatedGarbage, GarbagePayload, GarbageWrap, SecretZero, SecretZeroEnd], Runs reads;
    "client-read/any-repository", Must, "§4", [CLIENT_AAD, CLIENT_INT64, CLIENT_IDS_ESCAPED], "Repositories of any id, version and epoch are read",
        [], Scene scenes::any_repository;
    "client-write/bound", Must, "§4", [CLIENT_AAD], "What a client pushes is bound to repository, version and epoch",
        [Rotated, RotatedGarbage, ConflictRead, ConflictFirst], Runs payloads::bound;
    "client-refuse/other-version", Must, "§4", [CLIENT_AAD_CHECKED], "A payload that is bound to another version isn't read",
        [Rotated, RotatedGarbage, GarbagePayload, GarbageWrap, AadVersion, AadNextVersion], Runs refuses;
    "client-refuse/other-epoch", Must, "§4", [CLIENT_AAD_CHECKED], "A payload that is bound to another epoch isn't read",
        [Rotated, RotatedGarbage, GarbagePayload, GarbageWrap, AadEpoch, AadNoEpoch], Runs refuses;
    "client-refuse/other-repository", Must, "§4", [CLIENT_AAD_CHECKED], "A payload that is bound to another repository isn't read",
        [Rotated, RotatedGarbage, GarbagePayload, GarbageWrap, AadRepo], Runs refuses;
    "client-refuse/bound-otherwise", Must, "§4", [CLIENT_AAD_CHECKED, CLIENT_AAD], "A payload that is bound to nothing, or in another layout, isn't read",
        [Rotated, RotatedGarbage, GarbagePayload, GarbageWrap, AadNone, AadLittleEndian, AadDecimal, AadNoSeparator,
         AadSwapped, AadDecimals, AadVersionless, AadIdOnly], Runs refuses;
    "client-refuse/altered", Must, "§4", [CLIENT_AAD_CHECKED], "An altered payload isn't read",
        [Rotated, RotatedGarbage, GarbagePayload, GarbageWrap, TagFlipped, TagCut, CiphertextFlipped], Runs refuses;
    "client-refuse/wrap-altered", Must, "§4", [CLIENT_WRAP_CHECKED], "An altered wrapped key isn't taken",
        [Rotated, RotatedGarbage, GarbagePayload, GarbageWrap, WrapTagFlipped, WrapTagCut, WrapTagStub], Runs refuses;
    "client-refuse/wrapped-otherwise", Must, "§4", [CLIENT_WRAP_CHECKED, CLIENT_WRAP], "A key that was wrapped in another way isn't taken",
        [Rotated, RotatedGarbage, GarbagePayload, GarbageWrap, WrapNoAad, WrapLabel, WrapNoSalt, WrapRawSecret, WrapNoSaltAlone,
         WrapNoInfo, WrapSaltRecipient, WrapOtherInfo], Runs refuses;
    "client-refuse/strict-envelope", Hardening, "§4", [CLIENT_STRICT_ENVELOPE], "Headers that contradict each other, unknown schemes and short keys are refused",
        [Rotated, RotatedGarbage, GarbagePayload, GarbageWrap, UnknownScheme, NextScheme, SchemeCase, NoScheme, ManifestScheme, ShortKey, HeaderVersion, OtherRepo], Runs refuses;
    "client-refuse/writes-over", Must, "§4", [CLIENT_AAD_CHECKED], "Nothing is written over a payload that isn't authentic", [], Scene scenes::writes_over;
    "client-write/fresh-iv", Must, "§4", [CLIENT_FRESH_IV], "An IV is used for one payload only", [Rotated], Runs sealed::fresh_iv;
    "client-write/iv-after-error", Must, "§4", [CLIENT_FRESH_IV], "No IV is used again by later pushes, one that failed included", [], Scene scenes::fresh_iv;
    "client-write/fresh-ephemeral", Must, "§4", [CLIENT_FRESH_EPHEMERAL], "Every wrap has an ephemeral key of its own", [Rotated], Runs sealed::fresh_ephemeral;
    "client-write/wrap-iv", Must, "§4", [CLIENT_WRAP], "Every wrap has a fresh IV", [Rotated], Runs sealed::fresh_wrap_iv;
    "client-write/own-data-key", Must, "§4", [CLIENT_DATA_KEY], "Every repository has a data key of its own", [], Scene scenes::own_data_key;
    "client-write/scheme", Must, "§4", [CLIENT_WRAP], "A scheme goes by its name", [Rotated], Runs requests::scheme;
    "client-write/wraps-anew", Must, "§4", [CLIENT_WRAP, CLIENT_FRESH_EPHEMERAL], "An invitation wraps the data key of now, with a new ephemeral key",
        [], Scene scenes::wraps_anew;
    "client-http/nulls", Must, "§4", [CLIENT_NULLS], "null and absent mean the same", [Nulls], Runs bears;

    "client-read/no-provenance", Must, "§5", [CLIENT_PROVENANCE_ABSENT], "Accounts without provenance are read",
        [Rotated, RotatedGarbage, GarbagePayload, GarbageWrap, NoProvenance, SparseAccounts], Runs reads;
    "client-read/stamp", Must, "§5", [CLIENT_STAMP], "The stamp inside a payload decides nothing",
        [Rotated, RotatedGarbage, GarbagePayload, GarbageWrap, StampOther], Runs reads;
    "client-read/types", Must, "§5", [CLIENT_PAYLOAD], "Accounts of every type are read",
        [Rotated, RotatedGarbage, GarbagePayload, GarbageWrap, AllTypes], Runs reads;
    "client-read/large", Must, "§6", [CLIENT_HTTP], "An answer of more than 100 kilobytes is read",
        [Rotated, RotatedGarbage, GarbagePayload, GarbageWrap, ManyAccounts], Runs reads;
    "client-read/any-time", Hardening, "§5", [CLIENT_LENIENT], "A time is any int64",
        [Rotated, RotatedGarbage, GarbagePayload, GarbageWrap, BigTimes], Runs reads;
    "client-read/unknown-members", Hardening, "§5", [CLIENT_KEEPS_UNKNOWN], "Accounts with unknown members, and empty payloads, are read",
        [Rotated, RotatedGarbage, GarbagePayload, GarbageWrap, UnknownMembers, EmptyPayload], Runs reads;
    "client-write/payload", Must, "§5", [CLIENT_PAYLOAD], "Payloads have the members of §5", [Rotated, ConflictRead], Runs payloads::shape;
    "client-write/provenance", Should, "§5", [CLIENT_PROVENANCE_SET], "Added accounts say where they are from", [Rotated], Runs payloads::provenance;
    "client-write/keeps-accounts", Hardening, "§5", [CLIENT_KEEPS_ACCOUNTS], "What others have written is there after a push",
        [Rotated, ConflictRead], Runs payloads::keeps;
    "client-write/keeps-unknown", Hardening, "§5", [CLIENT_KEEPS_UNKNOWN], "Members that 0.2 doesn't know survive a push",
        [Rotated, UnknownMembers], Runs payloads::keeps_unknown;
    "client-write/keeps-unknown-always", Hardening, "§5", [CLIENT_KEEPS_UNKNOWN], "Members that 0.2 doesn't know survive conflicts and removals",
        [], Scene scenes::keeps_unknown;
    "client-write/put-keeps", Must, "§5", [CLIENT_KEEPS_ACCOUNTS, CLIENT_PAYLOAD], "A put adds an account and leaves the others as they are", [], Scene scenes::put_keeps;

    "client-request/ids", Must, "§6", [CLIENT_IDS_ESCAPED], "Ids arrive as they are", [Rotated], Runs requests::ids;
    "client-request/odd-ids", Must, "§6", [CLIENT_IDS_ESCAPED], "Ids with slashes, blanks and percent signs arrive as they are", [], Scene scenes::odd_ids;
    "client-request/content-type", Should, "§6", [CLIENT_JSON_CONTENT_TYPE], "JSON bodies say so in Content-Type", [], Runs requests::content_type;
    "client-write/creates-alone", Must, "§6", [CLIENT_CREATES_ALONE], "A repository is created with its creator as the only member", [], Runs requests::creates_alone;
    "client-write/counters", Must, "§6", [CLIENT_COUNTERS], "The counters of a write agree, and versions rise",
        [Rotated, ConflictRead, ConflictFirst], Runs requests::counters;
    "client-write/expects", Must, "§6", [CLIENT_EXPECTS], "A push expects a version that was read or written", [Rotated], Runs flow::expects;
    "client-conflict/retries", Must, "§6", [CLIENT_RETRIES], "After a conflict: pull, apply again, retry",
        [ConflictRead, ConflictFirst, Rotated, RotatedGarbage, GarbagePayload, GarbageWrap], Runs flow::conflict;
    "client-conflict/keeps-others", Must, "§6", [CLIENT_RETRIES, CLIENT_KEEPS_ACCOUNTS], "What others have changed between a pull and a push is so after the retry",
        [ConflictRead], Runs payloads::reapplies;
    "client-conflict/again", Must, "§6", [CLIENT_RETRIES], "Every conflict is followed by a pull, not only the first", [ConflictAlways], Runs flow::again;
    "client-conflict/reapplies", Must, "§6", [CLIENT_RETRIES, CLIENT_KEEPS_ACCOUNTS], "Somebody else's change survives a retry", [], Scene scenes::put_reapplies;
    "client-conflict/same-account", Must, "§6", [CLIENT_RETRIES, CLIENT_KEEPS_ACCOUNTS], "After a conflict over one account, the change is applied to it again",
        [], Scene scenes::same_account;
    "client-conflict/lost-answer", Must, "§6", [CLIENT_RETRIES, CLIENT_FRESH_IV], "A put whose push got no answer is done only if it was carried out",
        [], Scene scenes::lost_answer;
    "client-conflict/bounded", Hardening, "§6", [CLIENT_BOUNDED], "Retries have an end", [ConflictAlways], Runs flow::bounded;
    "client-http/framing", Must, "§6", [CLIENT_HTTP], "Answers are read however they are framed",
        [Chunked, ChunkExtensions, Dribble, CloseEach, CloseDelimited, Headers], Runs bears;
    "client-http/any-text", Must, "§6", [CLIENT_HTTP], "Text that isn't ASCII is read wherever chunks end in it", [], Scene scenes::any_text;
    "client-http/spelling", Must, "§6", [CLIENT_HTTP], "JSON is read however it is spelled, and rosters in any order",
        [Escaped, Reordered, RosterReversed, OwnEntryFirst, OwnEntryLast, Charset], Runs bears;
    "client-http/lenient", Hardening, "§6", [CLIENT_LENIENT], "Another 2xx, an envelope too many or a later member are no error",
        [Created201, Accepted202, ExtraEnvelope, PlainType, LaterMembers], Runs bears;
    "client-http/errors", Hardening, "§6", [CLIENT_ERRORS], "A refused operation isn't told as a success", [Forbidden, ServerError, ConflictAlways], Runs tells_errors;
    "client-http/gives-up", Hardening, "§6", [CLIENT_BOUNDED], "A client that gets no answer gives up", [Hang], Runs login::gives_up, waits = true;
    "client-http/terminal", Must, "§6", [CLIENT_TERMINAL], "What is refused for good isn't tried again", [Forbidden], Runs flow::terminal, since V0_3;
    "client-http/retry-after", Must, "§6", [CLIENT_RETRY_AFTER], "Retry-After is heeded", [RetryAfter], Runs flow::waits, since V0_3;

    "client-join/invites", Must, "§8.1", [CLIENT_TOKENS_V1], "Invite requests and locators have their form", [], Scene scenes::invites;
    "client-write/guest-reads", Must, "§4", [CLIENT_WRAP, CLIENT_AAD], "An invited member unwraps the data key and opens the first payload",
        [], Scene scenes::guest_reads;
    "client-write/hostless-id", Must, "§8", [CLIENT_ID_HOSTLESS], "The id of a new repository doesn't encode the host", [], Runs requests::hostless;
    "client-read/apart", Must, "§8", [CLIENT_ADDRESS], "Repositories are told apart by host and id", [], Scene scenes::apart;
    "client-join/locators", Must, "§8.1", [CLIENT_LOCATOR_OPTIONAL], "Locators with absent members and old hints are enough", [], Scene scenes::locators;
    "client-join/discovery-silent", Must, "§8.2", [CLIENT_DISCOVERY_SILENT], "Discovery is asked without a token", [NoDiscovery], Runs login::discovery_silent;
    "client-join/no-discovery", Hardening, "§8.2", [CLIENT_LENIENT], "A vault without discovery is a vault, and one that speaks gRPC as well", [NoDiscovery, Discovery500, DiscoveryBoth], Runs bears;
    "client-join/served-keys", Should, "§9", [CLIENT_VERIFIES_BINDING], "A key that only the server vouches for gets no data key", [SwappedKeys], Runs sealed::middle;
    "client-join/bindings", Must, "§9", [CLIENT_VERIFIES_BINDING], "Bindings are verified before a data key is wrapped", [], Scene scenes::bindings;
    "client-join/issuer-silent", Must, "§9", [CLIENT_VERIFIES_BINDING], "Where the issuer's keys can't be had, no binding verifies", [], Scene scenes::issuer_silent;
    "client-join/binding-each", Must, "§9", [CLIENT_VERIFIES_BINDING], "What is verified is the entry that is wrapped to, each time", [], Scene scenes::binding_each;
    "client-join/invited-key", Must, "§9", [CLIENT_VERIFIES_BINDING], "An invitation wraps to the key that the joiner has named", [], Scene scenes::invited_key;
    "client-write/keeps-bindings", Hardening, "§9", [CLIENT_CARRIES_BINDINGS], "A removal carries the bindings of those who stay", [], Scene scenes::keeps_bindings;
    "client-write/removal", Must, "§10", [CLIENT_ROTATES], "After a removal those who stay read, and nobody else", [], Scene scenes::rotation;
    "client-write/removal-current", Must, "§10", [CLIENT_ROTATES, CLIENT_KEEPS_ACCOUNTS], "A removal keeps everybody and everything that is there now",
        [], Scene scenes::removal_current;
    "client-write/removal-again", Must, "§10", [CLIENT_ROTATES, CLIENT_KEEPS_ACCOUNTS], "Every removal has a data key of its own", [], Scene scenes::removal_again;
    "client-refuse/old-key", Must, "§10", [CLIENT_AAD_CHECKED, CLIENT_ROTATES], "A payload under the data key of an earlier epoch isn't read",
        [], Scene scenes::old_key;

    "client-write/data-key-secret", Must, "§10", [CLIENT_ZERO_KNOWLEDGE, CLIENT_DATA_KEY], "No data key is made of what the server knows",
        [Rotated], Runs secrets::data_key;
    "client-write/zero-knowledge", Must, "§10", [CLIENT_ZERO_KNOWLEDGE], "No request holds a seed, a private key, a data key or an account",
        [Rotated, ConflictRead, TokenRevoked, Forbidden, ServerError, PushForbidden], Runs secrets::zero_knowledge;
    "client-write/rotates", Must, "§10", [CLIENT_ROTATES], "A removal comes with the next epoch, a new key and new wraps", [Rotated], Runs flow::rotates;
    "client-http/certificate", Must, "§12", [CLIENT_TLS], "Nothing is sent to a server with a wrong certificate",
        [TlsRight, TlsUnknownCa, TlsWrongName, TlsWrongDns, TlsExpired, TlsSelfSigned, TlsNotYet, TlsLater], Runs login::certificate;
    "client-http/stays-encrypted", Hardening, "§12", [CLIENT_TLS], "A vault with TLS is asked for nothing in clear text", [TlsRight], Runs login::stays_encrypted;
    "client-http/issuer-certificate", Must, "§12", [CLIENT_TLS], "The issuer isn't asked over a connection with a wrong certificate", [], Scene scenes::issuer_certificate;

    "client-write/keeps-later", Must, "§5", [CLIENT_KEEPS_04], "Refresh tokens and bans survive a push", [Rotated, RotatedGarbage, UnknownMembers],
        Runs payloads::keeps_later, since V0_4;
}
