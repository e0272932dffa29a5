//! The checks of keys, tokens, envelopes and payloads (SPEC §2–§5).

use super::{ClientCheck, check};
use crate::client_scenarios::bends::{bears, reads, reads_others, refuses};
use crate::client_scenarios::rules::{login, payloads, requests, sealed};
use crate::client_scenarios::scenes;
use crate::client_scenarios::vault::Bend::{self, *};
use crate::requirements::{Level::*, *};

/// A payload as §4 has it, payloads that nobody reads, and ways that no specification has, by which a client reads only its own kind.
const RIGHT_AND_OWN_WAYS: &[Bend] = &[
    Rotated,
    RotatedGarbage,
    GarbagePayload,
    GarbageWrap,
    AadNone,
    AadLittleEndian,
    AadDecimal,
    AadNoSeparator,
    AadNoEpoch,
    WrapNoAad,
    WrapLabel,
    WrapNoSalt,
    WrapRawSecret,
];

/// The checks of these sections.
pub(super) static CHECKS: &[ClientCheck] = &[
    check("client-request/base64", Must, "§2", &[&CLIENT_BASE64])
        .title("Binary values are padded standard base64")
        .runs(&[Rotated], requests::base64_spelling),
    check("client-request/sizes", Must, "§2", &[&CLIENT_SIZES])
        .title("Keys, IVs and signatures have their sizes")
        .runs(&[Rotated], requests::sizes),
    check("client-request/shapes", Must, "§2", &[&CLIENT_SHAPES])
        .title("Requests are as the schema says")
        .runs(&[Rotated, Nulls], requests::shapes),
    check("client-read/exact-int64", Must, "§2", &[&CLIENT_INT64, &CLIENT_AAD])
        .title("Counters beyond 2^32 and 2^53 are read exactly")
        .runs(&[Rotated, RotatedGarbage, BigCounters, BiggerVersion, Version32, Version31, BigSpaced], reads),
    check("client-write/exact-int64", Must, "§2", &[&CLIENT_INT64, &CLIENT_AAD])
        .title("Payloads over versions beyond 2^53 are bound exactly")
        .runs(&[Rotated, RotatedGarbage, BigCounters, BiggerVersion, Version32, Version31, BigSpaced], payloads::bound),
    check("client-write/exact-epoch", Must, "§2", &[&CLIENT_INT64])
        .title("Epochs beyond 2^53 are named exactly by invitations and removals")
        .scene(scenes::exact_epoch),
    check("client-login/far-expiry", Must, "§2", &[&CLIENT_INT64])
        .title("An expiry beyond 2^53 is an expiry")
        .runs(&[ExpiryFar], bears),
    check("client-login/signs-raw-nonce", Must, "§3", &[&CLIENT_SIGNS_RAW])
        .title("The raw bytes of the nonce are signed")
        .runs(&[], login::signs_raw),
    check("client-login/nonce-of-any-length", Must, "§3", &[&CLIENT_SIGNS_RAW])
        .title("Nonces of more than 32 bytes are signed whole")
        .runs(&[Nonce33, Nonce64, Nonce512, NonceText, NonceLine], login::signs_any_length),
    check("client-login/fresh-challenge", Must, "§3", &[&CLIENT_FRESH_CHALLENGE])
        .title("Every token is asked for with a nonce of its own")
        .runs(&[TokenRevoked], login::fresh_challenge),
    check("client-token/bearer", Must, "§6", &[&CLIENT_BEARER])
        .title("The token is in Authorization: Bearer as issued, and nowhere else")
        .runs(&[TokenOdd, Rotated], login::bearer),
    check("client-token/opaque", Must, "§3", &[&CLIENT_TOKEN_OPAQUE])
        .title("Tokens of any format and of 8 KiB are used as they are")
        .runs(&[TokenLong, TokenOdd, TokenJwt, TokenJwe], bears),
    check("client-token/stays-home-post-307", Must, "§3", &[&CLIENT_TOKEN_PER_HOST])
        .title("A redirected POST (307, 308) doesn't take the token to another server")
        .runs(
            &[
                Redirect307Port,
                Redirect307Host,
                Redirect308Host,
                RedirectPull307,
                RedirectChain307,
                RedirectRelative307,
                RedirectOn307,
                RedirectWithin307,
                RedirectUser307,
                RedirectPrefix307,
                RedirectPlain307,
                RedirectMoved,
            ],
            login::stays_home,
        ),
    check("client-token/stays-home-post-302", Must, "§3", &[&CLIENT_TOKEN_PER_HOST])
        .title("A redirected POST (301, 302, 303) doesn't take the token to another server")
        .runs(
            &[
                Redirect301Port,
                Redirect302Host,
                Redirect302Port,
                Redirect303Host,
                RedirectPull302,
                RedirectOn302,
                RedirectWithin302,
                RedirectChain302,
                RedirectRelative302,
                RedirectUser302,
                RedirectPrefix302,
                RedirectPlain302,
                CreatedElsewhere,
            ],
            login::stays_home,
        ),
    check("client-token/stays-home-get", Must, "§3", &[&CLIENT_TOKEN_PER_HOST])
        .title("A redirected GET doesn't take the token to another server")
        .runs(&[RedirectGet302, RedirectGet307, RedirectDiscovery], login::stays_home),
    check("client-token/per-host", Must, "§3", &[&CLIENT_TOKEN_PER_HOST])
        .title("Two hosts get tokens of their own")
        .scene(scenes::two_hosts),
    check("client-token/own", Must, "§6", &[&CLIENT_CREATES_ALONE])
        .title("Every member asks with a token of its own")
        .scene(scenes::own_token),
    check("client-token/new-login", Hardening, "§3", &[&CLIENT_RELOGIN])
        .title("A token that isn't valid any longer leads to one new login")
        .runs(&[TokenRevoked, NoTokenValid], login::logs_in_anew),
    check("client-read/what-others-seal", Must, "§4", &[&CLIENT_AAD])
        .title("What another member has sealed is read")
        .runs(RIGHT_AND_OWN_WAYS, |evidence, _| reads_others(evidence, false)),
    check("client-read/what-others-wrap", Must, "§4", &[&CLIENT_WRAP])
        .title("A data key that another member has wrapped is unwrapped")
        .runs(RIGHT_AND_OWN_WAYS, |evidence, _| reads_others(evidence, true)),
    check("client-read/wrap-any-secret", Must, "§4", &[&CLIENT_WRAP])
        .title("A shared secret with a zero byte at its end is 32 bytes as any other")
        .runs(&[Rotated, RotatedGarbage, GarbagePayload, GarbageWrap, SecretZero, SecretZeroEnd], reads),
    check("client-read/any-repository", Must, "§4", &[&CLIENT_AAD, &CLIENT_INT64, &CLIENT_IDS_ESCAPED])
        .title("Repositories of any id, version and epoch are read")
        .scene(scenes::any_repository),
    check("client-write/bound", Must, "§4", &[&CLIENT_AAD])
        .title("What a client pushes is bound to repository, version and epoch")
        .runs(&[Rotated, RotatedGarbage, ConflictRead, ConflictFirst], payloads::bound),
    check("client-refuse/other-version", Must, "§4", &[&CLIENT_AAD_CHECKED])
        .title("A payload that is bound to another version isn't read")
        .runs(&[Rotated, RotatedGarbage, GarbagePayload, GarbageWrap, AadVersion, AadNextVersion], refuses),
    check("client-refuse/other-epoch", Must, "§4", &[&CLIENT_AAD_CHECKED])
        .title("A payload that is bound to another epoch isn't read")
        .runs(&[Rotated, RotatedGarbage, GarbagePayload, GarbageWrap, AadEpoch, AadNoEpoch], refuses),
    check("client-refuse/other-repository", Must, "§4", &[&CLIENT_AAD_CHECKED])
        .title("A payload that is bound to another repository isn't read")
        .runs(&[Rotated, RotatedGarbage, GarbagePayload, GarbageWrap, AadRepo], refuses),
    check("client-refuse/bound-otherwise", Must, "§4", &[&CLIENT_AAD_CHECKED, &CLIENT_AAD])
        .title("A payload that is bound to nothing, or in another layout, isn't read")
        .runs(
            &[
                Rotated,
                RotatedGarbage,
                GarbagePayload,
                GarbageWrap,
                AadNone,
                AadLittleEndian,
                AadDecimal,
                AadNoSeparator,
                AadSwapped,
                AadDecimals,
                AadVersionless,
                AadIdOnly,
            ],
            refuses,
        ),
    check("client-refuse/altered", Must, "§4", &[&CLIENT_AAD_CHECKED])
        .title("An altered payload isn't read")
        .runs(&[Rotated, RotatedGarbage, GarbagePayload, GarbageWrap, TagFlipped, TagCut, CiphertextFlipped], refuses),
    check("client-refuse/wrap-altered", Must, "§4", &[&CLIENT_WRAP_CHECKED])
        .title("An altered wrapped key isn't taken")
        .runs(
            &[Rotated, RotatedGarbage, GarbagePayload, GarbageWrap, WrapTagFlipped, WrapTagCut, WrapTagStub],
            refuses,
        ),
    check("client-refuse/wrapped-otherwise", Must, "§4", &[&CLIENT_WRAP_CHECKED, &CLIENT_WRAP])
        .title("A key that was wrapped in another way isn't taken")
        .runs(
            &[
                Rotated,
                RotatedGarbage,
                GarbagePayload,
                GarbageWrap,
                WrapNoAad,
                WrapLabel,
                WrapNoSalt,
                WrapRawSecret,
                WrapNoSaltAlone,
                WrapNoInfo,
                WrapSaltRecipient,
                WrapOtherInfo,
            ],
            refuses,
        ),
    check("client-refuse/strict-envelope", Hardening, "§4", &[&CLIENT_STRICT_ENVELOPE])
        .title("Headers that contradict each other, unknown schemes and short keys are refused")
        .runs(
            &[
                Rotated,
                RotatedGarbage,
                GarbagePayload,
                GarbageWrap,
                UnknownScheme,
                NextScheme,
                SchemeCase,
                NoScheme,
                ManifestScheme,
                ShortKey,
                HeaderVersion,
                OtherRepo,
            ],
            refuses,
        ),
    check("client-refuse/writes-over", Must, "§4", &[&CLIENT_AAD_CHECKED])
        .title("Nothing is written over a payload that isn't authentic")
        .scene(scenes::writes_over),
    check("client-write/fresh-iv", Must, "§4", &[&CLIENT_FRESH_IV])
        .title("An IV is used for one payload only")
        .runs(&[Rotated], sealed::fresh_iv),
    check("client-write/iv-after-error", Must, "§4", &[&CLIENT_FRESH_IV])
        .title("No IV is used again by later pushes, one that failed included")
        .scene(scenes::fresh_iv),
    check("client-write/fresh-ephemeral", Must, "§4", &[&CLIENT_FRESH_EPHEMERAL])
        .title("Every wrap has an ephemeral key of its own")
        .runs(&[Rotated], sealed::fresh_ephemeral),
    check("client-write/wrap-iv", Must, "§4", &[&CLIENT_WRAP])
        .title("Every wrap has a fresh IV")
        .runs(&[Rotated], sealed::fresh_wrap_iv),
    check("client-write/own-data-key", Must, "§4", &[&CLIENT_DATA_KEY])
        .title("Every repository has a data key of its own")
        .scene(scenes::own_data_key),
    check("client-write/scheme", Must, "§4", &[&CLIENT_WRAP])
        .title("A scheme goes by its name")
        .runs(&[Rotated], requests::scheme),
    check("client-write/wraps-anew", Must, "§4", &[&CLIENT_WRAP, &CLIENT_FRESH_EPHEMERAL])
        .title("An invitation wraps the data key of now, with a new ephemeral key")
        .scene(scenes::wraps_anew),
    check("client-http/nulls", Must, "§4", &[&CLIENT_NULLS])
        .title("null and absent mean the same")
        .runs(&[Nulls], bears),
    check("client-read/no-provenance", Must, "§5", &[&CLIENT_PROVENANCE_ABSENT])
        .title("Accounts without provenance are read")
        .runs(&[Rotated, RotatedGarbage, GarbagePayload, GarbageWrap, NoProvenance, SparseAccounts], reads),
    check("client-read/stamp", Must, "§5", &[&CLIENT_STAMP])
        .title("The stamp inside a payload decides nothing")
        .runs(&[Rotated, RotatedGarbage, GarbagePayload, GarbageWrap, StampOther], reads),
    check("client-read/types", Must, "§5", &[&CLIENT_PAYLOAD])
        .title("Accounts of every type are read")
        .runs(&[Rotated, RotatedGarbage, GarbagePayload, GarbageWrap, AllTypes], reads),
    check("client-read/large", Must, "§6", &[&CLIENT_HTTP])
        .title("An answer of more than 100 kilobytes is read")
        .runs(&[Rotated, RotatedGarbage, GarbagePayload, GarbageWrap, ManyAccounts], reads),
    check("client-read/any-time", Hardening, "§5", &[&CLIENT_LENIENT])
        .title("A time is any int64")
        .runs(&[Rotated, RotatedGarbage, GarbagePayload, GarbageWrap, BigTimes], reads),
    check("client-read/unknown-members", Hardening, "§5", &[&CLIENT_KEEPS_UNKNOWN])
        .title("Accounts with unknown members, and empty payloads, are read")
        .runs(&[Rotated, RotatedGarbage, GarbagePayload, GarbageWrap, UnknownMembers, EmptyPayload], reads),
    check("client-write/payload", Must, "§5", &[&CLIENT_PAYLOAD])
        .title("Payloads have the members of §5")
        .runs(&[Rotated, ConflictRead], payloads::shape),
    check("client-write/provenance", Should, "§5", &[&CLIENT_PROVENANCE_SET])
        .title("Added accounts say where they are from")
        .runs(&[Rotated], payloads::provenance),
    check("client-write/keeps-accounts", Hardening, "§5", &[&CLIENT_KEEPS_ACCOUNTS])
        .title("What others have written is there after a push")
        .runs(&[Rotated, ConflictRead], payloads::keeps),
    check("client-write/keeps-unknown", Hardening, "§5", &[&CLIENT_KEEPS_UNKNOWN])
        .title("Members that 0.2 doesn't know survive a push")
        .runs(&[Rotated, UnknownMembers], payloads::keeps_unknown),
    check("client-write/keeps-unknown-always", Hardening, "§5", &[&CLIENT_KEEPS_UNKNOWN])
        .title("Members that 0.2 doesn't know survive conflicts and removals")
        .scene(scenes::keeps_unknown),
    check("client-write/put-keeps", Must, "§5", &[&CLIENT_KEEPS_ACCOUNTS, &CLIENT_PAYLOAD])
        .title("A put adds an account and leaves the others as they are")
        .scene(scenes::put_keeps),
];
