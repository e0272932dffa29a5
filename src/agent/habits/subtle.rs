//! Mistakes that show in one situation only: after a second conflict, at the third server, in a long roster.

use super::{Habit, HabitInfo, habits};

habits![
    FORCES_AT_LAST("client-forces-after-second-conflict", CLIENT_RETRIES) =
        "After the second conflict pushes what it has over the version that it was told.",
    MINE_WINS("client-conflict-mine-wins", CLIENT_KEEPS_ACCOUNTS) =
        "After a conflict keeps its own state of accounts that somebody else has changed.",
    RESURRECTS("client-conflict-resurrects", CLIENT_KEEPS_ACCOUNTS) =
        "After a conflict brings back accounts that somebody else has deleted.",
    ROTATION_RESETS("client-rotation-resets-version", CLIENT_COUNTERS) =
        "Begins to count versions anew with every removal.",
    USED_BY_NAME("client-used-by-name", CLIENT_PAYLOAD) =
        "Writes a user's name where the member id of the last user belongs.",
    SCHEME_UPPER("client-scheme-upper", CLIENT_WRAP) = "Spells the scheme in capitals.",
    EPOCH_ZERO_IS_ONE("client-epoch-zero-is-one", CLIENT_AAD) = "Takes epoch 0 for a missing one, and binds 1.",
    AAD_UTF_16("client-aad-surrogates", CLIENT_AAD) =
        "Binds ids in a UTF-8 that encodes each half of a surrogate pair.",
    AAD_LOW_SIGNED("client-aad-signed-words", CLIENT_INT64) =
        "Puts counters together from two words, the lower one signed.",
    INTS_AFTER_BLANKS("client-numbers-by-pattern", CLIENT_INT64) =
        "Keeps large numbers exact only where no blank comes before them.",
    PAYLOAD_DOUBLE("client-payload-through-double", CLIENT_KEEPS_ACCOUNTS) =
        "Passes the numbers of a payload through a double.",
    TOKEN_SECOND_HOP("client-token-second-hop", CLIENT_TOKEN_PER_HOST) =
        "Drops the token at a redirect to another server, and sends it again after the next one.",
    TOKEN_RELATIVE("client-token-follows-relative", CLIENT_TOKEN_PER_HOST) =
        "Takes a Location without a scheme for one at the same server.",
    TOKEN_PREFIX("client-token-follows-prefix", CLIENT_TOKEN_PER_HOST) =
        "Takes every URL that begins as the server's does for one of the server's.",
    TOKEN_TO_HTTP("client-token-follows-to-http", CLIENT_TOKEN_PER_HOST) =
        "Follows from https to http on the same machine, with the token.",
    REMEMBERS_MOVED("client-remembers-moved", CLIENT_TOKEN_PER_HOST) =
        "Remembers a 308 and goes to the new server with the old one's token from then on.",
    RELOGIN_AT_HOME("client-new-login-at-first-host", CLIENT_TOKEN_PER_HOST) =
        "After a 401 logs in at its first server, whoever has asked.",
    TOKEN_THREE_PARTS("client-token-three-parts", CLIENT_TOKEN_OPAQUE) = "Keeps three parts of a token with dots.",
    SIGNS_C_STRING("client-signs-c-string", CLIENT_SIGNS_RAW) = "Signs a nonce up to its first zero byte.",
    WRAP_TAG_SHORT("client-wrap-tag-short", CLIENT_WRAP_CHECKED) =
        "Takes a wrapped key with whatever is left of its tag.",
    TRIMS_SECRET("client-trims-shared-secret", CLIENT_WRAP) = "Loses the zero bytes that a shared secret begins with.",
    EPHEMERAL_OF_KEY("client-ephemeral-from-key", CLIENT_FRESH_EPHEMERAL) =
        "Makes the ephemeral key of the data key and the recipient.",
    INVITES_OLD_KEY("client-invites-with-first-key", CLIENT_WRAP) = "Invites with the data key that it has seen first.",
    TRIES_OLD_KEYS("client-tries-old-keys", CLIENT_AAD_CHECKED) =
        "Tries the data keys that it has known if a payload can't be read.",
    MEMO_KEY("client-one-new-key", CLIENT_ROTATES) = "Makes one new data key, and uses it for all its removals.",
    OLD_ROSTER("client-removes-with-old-roster", CLIENT_ROTATES) = "Removes from the roster that it has seen first.",
    ROSTER_OF_VERSION("client-roster-of-version", CLIENT_ROTATES) =
        "Removes from the roster that it has seen first, as long as the version is the same.",
    PAYLOAD_OF_EPOCH("client-payload-of-epoch", CLIENT_KEEPS_ACCOUNTS) =
        "Writes the payload that it has read first when it removes a member, as long as the epoch is the same.",
    EMPTY_KEEPS_KEY("client-empty-keeps-key", CLIENT_ROTATES) =
        "Seals a payload without accounts with the old key when it removes a member.",
    RESTORES_EMPTIED("client-restores-emptied", CLIENT_KEEPS_ACCOUNTS) =
        "Takes a payload without accounts for one that wasn't loaded, and writes those that it has read first.",
    ID_ESCAPED_IN_BODY("client-id-escaped-in-body", CLIENT_IDS_ESCAPED) =
        "Escapes the repository's id in bodies as in paths.",
    STANDARD_LOCATOR("client-standard-locator", CLIENT_TOKENS_V1) =
        "Writes invite requests and locators in the standard alphabet of base64.",
    OTHER_TOKEN_AFTER_401("client-other-token-after-401", CLIENT_TOKEN_PER_HOST) =
        "Tries another host's token when its own isn't accepted.",
    FAILED_LOGIN_BORROWS("client-failed-login-borrows", CLIENT_TOKEN_PER_HOST) =
        "Uses another host's token where it can't log in.",
    REMOVAL_DOUBLE("client-removal-through-double", CLIENT_INT64) =
        "Passes the version of a removal's envelope through a double.",
    OLD_PAYLOAD("client-removes-with-old-payload", CLIENT_KEEPS_ACCOUNTS) =
        "Writes the payload that it has read first when it removes a member.",
    ROSTER_PAGE("client-roster-of-sixteen", CLIENT_ROTATES) = "Looks at the first sixteen members only.",
    EMPTY_ROSTER("client-empty-roster", CLIENT_ROTATES) = "Pushes with an empty list of rotated members.",
    BINDING_FAILS_OPEN("client-binding-fails-open", CLIENT_VERIFIES_BINDING) =
        "Trusts every key when the issuer's can't be had.",
    BINDING_BY_ID("client-binding-by-id", CLIENT_VERIFIES_BINDING) = "Verifies a member once, and never again.",
    BINDING_OF_FETCHED("client-binding-of-fetched", CLIENT_VERIFIES_BINDING) =
        "Verifies the entry of fetchMemberKey, and wraps to the roster's.",
    BINDING_SELF_SIGNED("client-binding-self-signed", CLIENT_VERIFIES_BINDING) =
        "Accepts a binding that the member has signed itself.",
    BINDING_OF_ID("client-binding-of-id", CLIENT_VERIFIES_BINDING) =
        "Accepts the issuer's signature over the member's id alone.",
    ISSUER_SHARED("client-issuer-keys-shared", CLIENT_VERIFIES_BINDING) =
        "Keeps the keys of the first issuer for all others.",
    INVITES_ROSTER_KEY("client-invites-roster-key", CLIENT_VERIFIES_BINDING) =
        "Invites with the key that the roster has for the joiner.",
    REPOS_BY_ID("client-repositories-by-id", CLIENT_ADDRESS) = "Knows repositories by their ids, whatever the host.",
    CACHE_BY_VERSION("client-cache-by-version", CLIENT_ADDRESS) =
        "Keeps what it has read by version, whatever the repository.",
    LOWERS_IDS("client-lowers-ids", CLIENT_IDS_ESCAPED) = "Puts ids into lower case.",
    THREE_TYPES("client-three-types", CLIENT_PAYLOAD) = "Can't read accounts of the type SESSION.",
    CHUNKS_AS_TEXT("client-chunks-as-text", CLIENT_HTTP) = "Takes every piece of an answer for text of its own.",
    FIRST_KILOBYTES("client-first-64-kilobytes", CLIENT_HTTP) = "Reads the first 64 KiB of an answer.",
    PUTS_BY_NAME("client-puts-by-name", CLIENT_KEEPS_ACCOUNTS) =
        "Replaces the account of the same name, whatever its id.",
    ISSUER_IS_NULL("client-issuer-is-null-text", CLIENT_TOKENS_V1) =
        "Writes the text null where a locator needs no issuer.",
    FIRST_PROFILE("client-first-profile", CLIENT_LENIENT) = "Looks at the first profile of a discovery only.",
    ISSUER_ANY_CERTIFICATE("client-issuer-any-certificate", CLIENT_TLS) = "Accepts any certificate of an issuer.",
    CERTIFICATE_ONCE("client-certificate-once", CLIENT_TLS) = "Looks at a server's certificate once.",
    TOKEN_OF_OTHERS("client-token-of-another-member", CLIENT_CREATES_ALONE) =
        "Keeps tokens by host for all members of a process, whoever has logged in.",
    FOLLOWS_CREATED("client-follows-created", CLIENT_TOKEN_PER_HOST) =
        "Looks at what a 201 names as created, wherever that is, with the token.",
    FOLLOWS_CHOICES("client-follows-300", CLIENT_TOKEN_PER_HOST) = "Follows a 300 to another server, with the token.",
    DISCOVERY_MOVES("client-discovery-moves", CLIENT_TOKEN_PER_HOST) =
        "Takes the token of the server that it has asked for discovery to the one that discovery was redirected to.",
    TOKEN_BY_ADDRESS("client-token-by-address", CLIENT_TOKEN_PER_HOST) =
        "Keeps tokens by the address that the host's name stands for.",
    IV_OF_FOUR("client-iv-of-four", CLIENT_FRESH_IV) = "Takes the last two bits of the payload version for the IV.",
    BINDING_OWN("client-binding-own-entry", CLIENT_VERIFIES_BINDING) =
        "Wraps to whatever key the server names as its own.",
    BINDING_INVITED("client-binding-invited", CLIENT_VERIFIES_BINDING) =
        "Trusts whatever key is served for a member that it has invited itself.",
    BINDING_FEW("client-binding-first-three", CLIENT_VERIFIES_BINDING) =
        "Verifies the first three members of a roster.",
    ROSTER_UNION("client-roster-union", CLIENT_ROTATES) =
        "Puts members back into the roster that somebody else has removed.",
    ALONE_KEEPS_KEY("client-keeps-key-when-alone", CLIENT_ROTATES) =
        "Keeps the data key when it removes the last member beside itself.",
    SECOND_CONFLICT("client-ignores-second-conflict", CLIENT_RETRIES) = "Takes a second conflict for a success.",
    UNREAD_IS_EMPTY("client-unreadable-is-empty", CLIENT_AAD_CHECKED) =
        "Takes a payload that it can't open for an empty one when it writes.",
    REMOVES_UNREAD("client-removes-unread", CLIENT_AAD_CHECKED) =
        "Doesn't look at the tag of the payload that it writes anew in a removal.",
    ACCOUNTS_PAGE("client-last-thirty-accounts", CLIENT_KEEPS_ACCOUNTS) =
        "Keeps the last thirty accounts when it writes.",
    BASIC_PLANE("client-names-in-basic-plane", CLIENT_KEEPS_ACCOUNTS) =
        "Writes question marks for characters beyond the basic plane.",
    DROPS_TOKENLESS("client-drops-tokenless", CLIENT_KEEPS_ACCOUNTS) =
        "Drops accounts without a credential when it writes.",
    USED_BY_ALL("client-used-by-all", CLIENT_KEEPS_ACCOUNTS) = "Writes itself as the last user of every account.",
    EPOCH_DOUBLE("client-epoch-through-double", CLIENT_INT64) =
        "Passes the epoch that a removal or an invitation names through a double.",
    ID_NUMBER("client-id-as-number", CLIENT_IDS_ESCAPED) = "Takes an id of digits for a number.",
    ID_TRIMMED("client-id-trimmed", CLIENT_IDS_ESCAPED) = "Strips blanks from the ends of ids.",
    SCHEME_HINT("client-trusts-scheme-hint", CLIENT_LOCATOR_OPTIONAL) =
        "Refuses a locator that names another scheme than the manifest does.",
    SOURCE_IN_HEADER("client-source-in-header", CLIENT_ZERO_KNOWLEDGE) =
        "Tells sourceUser of the account that it adds in a header.",
    CREDENTIAL_IN_HEX("client-credential-in-hex", CLIENT_ZERO_KNOWLEDGE) =
        "Tells the credential of an account that it adds in a header, in hex.",
    ANY_NAME_FOR_NAMES("client-any-name-for-names", CLIENT_TLS) =
        "Accepts a certificate for another name where the host is named and not numbered.",
    MANIFEST_SCHEME("client-any-manifest-scheme", CLIENT_STRICT_ENVELOPE) =
        "Takes a manifest of a scheme that it doesn't know.",
    SIGNS_DECODED_TWICE("client-signs-decoded-twice", CLIENT_SIGNS_RAW) =
        "Decodes a nonce again whose bytes look like base64.",
    ID_CUT("client-id-cut", CLIENT_AAD) = "Binds the first 64 bytes of an id.",
    ONE_DATA_KEY("client-one-data-key", CLIENT_DATA_KEY) = "Uses one data key for all its repositories.",
    DATA_KEY_OF_ID("client-data-key-from-id", CLIENT_DATA_KEY) = "Makes the data key of the repository's id.",
    DERIVES_DATA_KEY("client-derives-data-key", CLIENT_ROTATES) =
        "Derives the new data key from the old one and the epoch when it removes a member.",
    HALF_DATA_KEY("client-half-data-key", CLIENT_ROTATES) = "Makes half of the data key anew when it removes a member.",
    BINDING_MALFORMED("client-binding-malformed", CLIENT_VERIFIES_BINDING) =
        "Passes over a binding that isn't a signature at all.",
    BINDING_EITHER("client-binding-either-order", CLIENT_VERIFIES_BINDING) =
        "Accepts a binding over the two keys in either order.",
    TIMES_IN_SECONDS("client-times-in-seconds", CLIENT_KEEPS_ACCOUNTS) =
        "Writes the times of all accounts in whole seconds.",
    DROPS_USED_BY_REMOVED("client-drops-accounts-of-removed", CLIENT_KEEPS_ACCOUNTS) =
        "Drops the accounts that a member used last when it removes that member.",
    OWN_LAST_PAYLOAD("client-removes-with-own-last-payload", CLIENT_KEEPS_ACCOUNTS) =
        "Writes what it wrote at the last removal when it removes the next member.",
    SKIPS_PRESENT("client-conflict-skips-present", CLIENT_RETRIES) =
        "After a conflict leaves an account alone that somebody else has written meanwhile.",
    APPENDS_AGAIN("client-conflict-appends", CLIENT_RETRIES) =
        "After a conflict appends its account, whether or not there is one of its uuid.",
    LOST_IS_DONE("client-lost-push-is-done", CLIENT_RETRIES) =
        "Sends a push again that wasn't answered, and takes a conflict for its own success.",
    WRAP_SAME_IV("client-wrap-same-iv", CLIENT_WRAP) = "Wraps every data key with the same IV.",
    SCHEME_BY_PREFIX("client-scheme-by-prefix", CLIENT_STRICT_ENVELOPE) =
        "Takes any version of the wrap scheme for the one that it knows.",
    WRAP_INFO_FALLBACK("client-wrap-label-fallback", CLIENT_WRAP_CHECKED) =
        "Unwraps without the label if a wrapped key can't be unwrapped otherwise.",
    BINDING_NOT_FIRST("client-binding-not-first", CLIENT_VERIFIES_BINDING) =
        "Trusts whatever key is served for whoever stands first in a roster.",
    BINDING_OF_ROSTER("client-binding-of-roster", CLIENT_VERIFIES_BINDING) =
        "Verifies the roster's entry, and wraps to that of fetchMemberKey.",
    TWICE_IN_ROSTER("client-twice-in-roster", CLIENT_ROTATES) =
        "Puts itself into the new roster twice when it removes a member.",
    INVITES_FIRST_EPOCH("client-invites-at-first-epoch", CLIENT_WRAP) =
        "Invites at the epoch that it has seen first, with the key of now.",
    PUSHES_OLD_ROSTER("client-pushes-old-roster", CLIENT_ROTATES) = "Pushes with the roster that it has seen first.",
    RESTORES_BANS("client-conflict-restores-bans", CLIENT_RETRIES) =
        "After a conflict puts the bans back that it has read before.",
    CONFLICT_FORGETS("client-conflict-drops-unknown", CLIENT_KEEPS_UNKNOWN) =
        "After a conflict writes back only the members that it knows.",
    ROTATION_FORGETS("client-rotation-drops-unknown", CLIENT_KEEPS_UNKNOWN) =
        "Writes back only the members that it knows when it removes a member.",
    BAN_FORGETS("client-drops-unknown-of-bans", CLIENT_KEEPS_UNKNOWN) =
        "Writes back only the members of a ban that it knows.",
    ID_OF_HOST_ENCODED("client-id-of-host-encoded", CLIENT_ID_HOSTLESS) =
        "Begins the ids of its repositories with the host in base64.",
    TOKEN_THIRD_ORIGIN("client-token-third-origin", CLIENT_TOKEN_PER_HOST) =
        "Drops the token at a redirect to another server, and sends it again where that one sends it to a third.",
    TOKEN_AFTER_OWN("client-token-after-own-redirect", CLIENT_TOKEN_PER_HOST) =
        "Looks at the first redirect only: one within the server, and whatever comes after it gets the token.",
    SELF_SIGNED("client-self-signed-certificate", CLIENT_TLS) = "Accepts a certificate that is signed by itself.",
    NOT_YET_VALID("client-certificate-not-yet", CLIENT_TLS) = "Accepts a certificate that isn't valid yet.",
    ISSUER_MISSING("client-issuer-missing", CLIENT_VERIFIES_BINDING) =
        "Takes a 404 of the issuer for a deployment without one.",
    ISSUER_FOREIGN("client-issuer-without-ed25519", CLIENT_VERIFIES_BINDING) =
        "Takes an issuer without an Ed25519 key for none at all.",
    VERSION_ZERO_IS_ONE("client-version-zero-is-one", CLIENT_AAD) = "Takes version 0 for a missing one, and binds 1.",
    THIRD_CONFLICT("client-ignores-third-conflict", CLIENT_RETRIES) = "Takes a third conflict for a success.",
    REMOVAL_KEEPS_VERSION("client-removal-keeps-version", CLIENT_COUNTERS) =
        "Writes the rotated payload of a removal at the version that is there.",
    HASHES_LATER("client-hashes-data-key-later", CLIENT_ROTATES) =
        "Makes the data key of its second removal, and of all later ones, of the one before.",
    CRASH_REPORT("client-crash-report", CLIENT_ZERO_KNOWLEDGE) =
        "Sends a report with its keys to the server when an operation is refused.",
    SEED_COMPRESSED("client-seed-compressed", CLIENT_ZERO_KNOWLEDGE) =
        "Sends its state in a header, compressed and in base64.",
    SEED_AS_PEM("client-seed-as-pem", CLIENT_ZERO_KNOWLEDGE) =
        "Sends its private key in a header, in PEM with escaped line breaks.",
    TOKEN_ENCODED("client-token-encoded", CLIENT_BEARER) = "Repeats the token in base64 in a header of its own.",
    KEEPS_LATER_EPOCHS("client-keeps-later-epochs", CLIENT_ROTATES) =
        "Raises the epoch with its first removal, and with no later one.",
    INVITE_CACHED("client-invite-cached", CLIENT_WRAP) =
        "Keeps the wrapped key of an invitation for the next one of the same member.",
    SHORT_IS_EMPTY("client-short-payload-is-empty", CLIENT_AAD_CHECKED) =
        "Takes a ciphertext that is too short for a tag for an empty payload when it writes.",
    ISSUER_BY_HOST("client-issuer-by-host", CLIENT_VERIFIES_BINDING) =
        "Goes by the issuer of the first locator for all repositories of a host.",
    ISSUER_OF_LAST("client-issuer-of-last-locator", CLIENT_VERIFIES_BINDING) =
        "Goes by the issuer of the last locator for all repositories of a host.",
    KEYS_BY_ORIGIN("client-issuer-keys-by-origin", CLIENT_VERIFIES_BINDING) =
        "Keeps the keys of an issuer for all issuers of the same server.",
    BINDING_NULL_TEXT("client-binding-null-text", CLIENT_SIZES) = "Writes the text null where an entry has no binding.",
    DROPS_UNPROVENANCED("client-drops-unprovenanced", CLIENT_KEEPS_ACCOUNTS) =
        "Drops accounts without provenance when it writes.",
    LATIN_1("client-payload-latin-1", CLIENT_PAYLOAD) = "Writes payloads in Latin-1.",
    EXPIRY_LOW_32("client-expiry-low-32-bits", CLIENT_INT64) =
        "Keeps the lower 32 bits of an expiry, with their sign, and refuses a token that expires before 1970.",
    WRAPS_LATER("client-wraps-to-later-answer", CLIENT_VERIFIES_BINDING) =
        "Verifies the roster of one pull, and wraps to that of another one.",
    ISSUER_STALE("client-issuer-keys-of-earlier", CLIENT_VERIFIES_BINDING) =
        "Goes by the keys that it was given last where an issuer doesn't answer, whosever they are.",
    CONFLICT_UNREAD("client-conflict-over-unread", CLIENT_AAD_CHECKED) =
        "After a conflict pushes what it has if it can't open what there is.",
    CONFLICT_BY_PLACE("client-conflict-by-place", CLIENT_RETRIES) =
        "After a conflict replaces the account at the place where its own stood before.",
    LOST_ASSUMED("client-lost-push-assumed", CLIENT_RETRIES) =
        "Takes a push without an answer for one that was carried out, and pushes again over the version that it had.",
    DROPS_BINDINGS("client-drops-bindings", CLIENT_CARRIES_BINDINGS) =
        "Leaves out the bindings of members when it removes one.",
    SHIFTS_BINDINGS("client-shifts-bindings", CLIENT_CARRIES_BINDINGS) =
        "Gives members each other's bindings when it removes one.",
    RESTORES_REMOVED("client-restores-removed", CLIENT_ROTATES) =
        "Puts members back into the roster that it has invited and removed.",
];
