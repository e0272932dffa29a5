//! Mistakes that show whenever the client does what it does wrong.

use super::{Habit, HabitInfo, habits};

habits![
    SIGNS_TEXT("client-signs-nonce-text", CLIENT_SIGNS_RAW) = "Signs the base64 text of the nonce.",
    SIGNS_FIRST_32("client-signs-first-32-bytes", CLIENT_SIGNS_RAW) = "Signs only the first 32 bytes of a nonce.",
    SIGNS_TRIMMED("client-signs-nonce-trimmed", CLIENT_SIGNS_RAW) =
        "Strips blanks and zero bytes from the ends of a nonce before it signs.",
    REDEEMS_TWICE("client-redeems-nonce-twice", CLIENT_FRESH_CHALLENGE) =
        "Redeems a nonce a second time instead of asking for a new one.",
    ONE_NONCE_FOR_ALL("client-keeps-nonce", CLIENT_FRESH_CHALLENGE) =
        "Keeps the nonce of the first login for the next ones.",
    TOKEN_IN_URL("client-token-in-url", CLIENT_BEARER) = "Repeats the token in the query of the URL.",
    TOKEN_IN_BODY("client-token-in-body", CLIENT_BEARER) = "Repeats the token as a member of the request.",
    TOKEN_IN_HEADER("client-token-in-other-header", CLIENT_BEARER) = "Repeats the token in a header of its own.",
    TOKEN_SCHEME("client-token-scheme", CLIENT_BEARER) = "Sends the token as Authorization: Token.",
    TOKEN_LOWERCASE("client-token-lowercase", CLIENT_BEARER) = "Sends the token in lower case.",
    TOKEN_MUST_BE_JWT("client-token-must-be-jwt", CLIENT_TOKEN_OPAQUE) = "Refuses a token that isn't a JWT.",
    TOKEN_CUT("client-token-cut", CLIENT_TOKEN_OPAQUE) = "Keeps only the first 4096 characters of a token.",
    TOKEN_FOLLOWS_307("client-token-follows-307", CLIENT_TOKEN_PER_HOST) =
        "Follows a 307 or 308 to another server, with the token.",
    TOKEN_FOLLOWS_302("client-token-follows-302", CLIENT_TOKEN_PER_HOST) =
        "Follows a 301, 302 or 303 to another server, with the token.",
    TOKEN_FOLLOWS_PORT("client-token-follows-port", CLIENT_TOKEN_PER_HOST) =
        "Takes another port of the same machine for the same server.",
    ONE_TOKEN_FOR_ALL("client-one-token-for-all", CLIENT_TOKEN_PER_HOST) = "Uses its first token with every server.",
    TOKEN_BY_NAME("client-token-by-host-name", CLIENT_TOKEN_PER_HOST) = "Keeps tokens by host name, without the port.",
    TOKEN_TO_ISSUER("client-token-to-issuer", CLIENT_TOKEN_PER_HOST) =
        "Asks the issuer for its keys with the vault's token.",
    NO_RELOGIN("client-no-new-login", CLIENT_RELOGIN) = "Ends with an error when its token isn't accepted any longer.",
    ENDLESS_LOGIN("client-endless-logins", CLIENT_RELOGIN) =
        "Logs in again and again as long as it is answered with 401.",
    EXPIRY_AS_INT_32("client-expiry-32-bit", CLIENT_INT64) = "Can't read an expiry beyond 2^53.",
    AAD_LITTLE_ENDIAN("client-aad-little-endian", CLIENT_AAD) = "Binds counters in little-endian order.",
    AAD_NO_SEPARATOR("client-aad-no-separator", CLIENT_AAD) = "Leaves out the separator after the repository id.",
    AAD_DECIMAL("client-aad-decimal", CLIENT_AAD) = "Binds the counters as decimal text.",
    AAD_NONE("client-aad-none", CLIENT_AAD) = "Binds its payloads to nothing.",
    AAD_NO_EPOCH("client-aad-without-epoch", CLIENT_AAD) = "Leaves the epoch out of the additional data.",
    AAD_DOUBLE("client-aad-through-double", CLIENT_INT64) =
        "Passes the counters of the additional data through a double.",
    AAD_NEGATIVE("client-aad-32-bit", CLIENT_INT64) = "Binds only the lower 32 bits of the counters.",
    TAG_UNCHECKED("client-tag-unchecked", CLIENT_AAD_CHECKED) = "Decrypts payloads without looking at the tag.",
    AAD_FALLBACK("client-aad-fallback", CLIENT_AAD_CHECKED) =
        "Reads a payload that is bound to nothing if it can't be read otherwise.",
    OLDER_VERSIONS("client-reads-other-versions", CLIENT_AAD_CHECKED) =
        "Tries the neighbouring versions if a payload can't be read.",
    OLDER_EPOCHS("client-reads-other-epochs", CLIENT_AAD_CHECKED) =
        "Tries the neighbouring epochs if a payload can't be read.",
    ANY_REPO_ID("client-reads-other-repositories", CLIENT_STRICT_ENVELOPE) =
        "Goes by the repository id that an envelope names.",
    HEADER_UNCHECKED("client-ignores-manifest-version", CLIENT_STRICT_ENVELOPE) =
        "Takes an envelope of another version than the manifest's.",
    WRAP_NO_AAD("client-wrap-no-aad", CLIENT_WRAP) = "Wraps and unwraps without additional data.",
    WRAP_INFO("client-wrap-info", CLIENT_WRAP) = "Wraps and unwraps with a label of its own.",
    WRAP_NO_SALT("client-wrap-no-salt", CLIENT_WRAP) = "Derives the key of the wrap with an empty salt.",
    WRAP_RAW_SECRET("client-wrap-raw-secret", CLIENT_WRAP) = "Uses the shared secret itself as the key of the wrap.",
    WRAP_UNCHECKED("client-wrap-tag-unchecked", CLIENT_WRAP_CHECKED) = "Unwraps without looking at the tag.",
    WRAP_ANY_SCHEME("client-any-scheme", CLIENT_STRICT_ENVELOPE) =
        "Takes a wrapped key of a scheme that it doesn't know.",
    SAME_IV("client-same-iv", CLIENT_FRESH_IV) = "Seals every payload with the same IV.",
    IV_FROM_VERSION("client-iv-from-version", CLIENT_FRESH_IV) = "Takes the payload version for the IV.",
    SAME_EPHEMERAL("client-same-ephemeral", CLIENT_FRESH_EPHEMERAL) = "Wraps with one ephemeral key for all.",
    LONG_IV("client-iv-16-bytes", CLIENT_SIZES) = "Sends IVs of 16 bytes.",
    KEYS_AS_DER("client-keys-as-der", CLIENT_SIZES) = "Sends X25519 keys in their DER form.",
    URL_ALPHABET("client-base64url", CLIENT_BASE64) = "Spells ciphertexts in the URL alphabet.",
    NO_PADDING("client-no-padding", CLIENT_BASE64) = "Leaves out the padding.",
    NUMBERS_AS_TEXT("client-numbers-as-text", CLIENT_SHAPES) = "Sends counters as strings.",
    SNAKE_CASE("client-snake-case", CLIENT_SHAPES) = "Names members in snake_case.",
    EXTRA_MEMBERS("client-extra-members", CLIENT_SHAPES) = "Adds a member of its own to requests.",
    MISSING_MEMBER("client-missing-member", CLIENT_SHAPES) = "Leaves out knownPayloadVersion.",
    NO_CONTENT_TYPE("client-no-content-type", CLIENT_JSON_CONTENT_TYPE) = "Labels its JSON as plain text.",
    PLAIN_PAYLOAD("client-plain-payload", CLIENT_ZERO_KNOWLEDGE) = "Sends the payload as base64 without encrypting it.",
    PLAIN_DATA_KEY("client-plain-data-key", CLIENT_ZERO_KNOWLEDGE) =
        "Sends the data key where the wrapped one belongs.",
    SEED_IN_HEADER("client-seed-in-header", CLIENT_ZERO_KNOWLEDGE) = "Sends its seed in a header.",
    SEED_IN_AGENT("client-seed-in-user-agent", CLIENT_ZERO_KNOWLEDGE) = "Identifies itself by its seed in User-Agent.",
    SEED_IN_HEX("client-seed-in-query", CLIENT_ZERO_KNOWLEDGE) = "Puts its seed into the query of the URL, in hex.",
    PRIVATE_KEY_AS_DER("client-private-key-der", CLIENT_ZERO_KNOWLEDGE) =
        "Sends its private Ed25519 key in PKCS#8 when it logs in.",
    ACCOUNT_TO_OTHERS("client-tells-accounts", CLIENT_ZERO_KNOWLEDGE) =
        "Tells the credential of an account that it adds in a header.",
    PRIVATE_KEY_IN_BODY("client-private-key-in-body", CLIENT_ZERO_KNOWLEDGE) =
        "Sends its private X25519 key when it logs in.",
    NAME_IN_URL("client-name-in-url", CLIENT_ZERO_KNOWLEDGE) = "Names the account in the query of the URL.",
    DROPS_UNKNOWN("client-drops-unknown-members", CLIENT_KEEPS_UNKNOWN) = "Writes back only the members that it knows.",
    DROPS_OTHERS("client-drops-other-accounts", CLIENT_KEEPS_ACCOUNTS) = "Writes only the account that it adds.",
    LOSES_BANS("client-loses-bans", CLIENT_KEEPS_ACCOUNTS) = "Loses the bans of accounts when it writes.",
    NEEDS_PROVENANCE("client-needs-provenance", CLIENT_PROVENANCE_ABSENT) = "Can't read accounts without provenance.",
    NO_PROVENANCE("client-no-provenance", CLIENT_PROVENANCE_SET) = "Adds accounts without provenance.",
    TRUSTS_STAMP("client-trusts-stamp", CLIENT_STAMP) = "Refuses a payload whose stamp isn't the envelope's version.",
    NO_STAMP("client-no-stamp", CLIENT_PAYLOAD) = "Writes payloads without payloadVersion.",
    ACCOUNTS_UNDER_OTHER_NAME("client-accounts-member", CLIENT_PAYLOAD) = "Writes lastUsed as text.",
    CREATES_WITH_TWO("client-creates-with-two", CLIENT_CREATES_ALONE) = "Creates a repository with a second member.",
    CREATE_DISAGREES("client-create-counters", CLIENT_COUNTERS) =
        "Creates a repository whose envelope is of another version than the manifest.",
    SAME_VERSION("client-same-version", CLIENT_COUNTERS) = "Pushes an envelope of the version that it replaces.",
    INVITES_AT_ZERO("client-invites-at-epoch-zero", CLIENT_COUNTERS) =
        "Adds members at the epoch that a repository begins with.",
    PUSHES_AT_ZERO("client-pushes-at-epoch-zero", CLIENT_COUNTERS) =
        "Pushes at the epoch that a repository begins with.",
    OLD_ENTRY_EPOCH("client-old-entry-epoch", CLIENT_COUNTERS) = "Leaves the old epoch in the entries of a removal.",
    EXPECTS_FROM_ANSWER("client-expects-from-answer", CLIENT_RETRIES) =
        "Takes the version of a conflict answer for the next try, without pulling.",
    GIVES_UP_ON_CONFLICT("client-gives-up-on-conflict", CLIENT_RETRIES) = "Ends with an error after a conflict.",
    IGNORES_CONFLICT("client-ignores-conflict", CLIENT_RETRIES) = "Takes a conflict for a success.",
    OVERWRITES_ON_CONFLICT("client-overwrites-on-conflict", CLIENT_RETRIES) =
        "Retries with what it had made before, and loses the other's change.",
    ENDLESS_CONFLICT("client-endless-conflict", CLIENT_BOUNDED) = "Retries after conflicts for ever.",
    BLIND_PUSH("client-blind-push", CLIENT_EXPECTS) = "Guesses the version that it replaces.",
    RAW_SLASH("client-raw-slash", CLIENT_IDS_ESCAPED) = "Puts ids into paths as they are.",
    DOUBLE_ESCAPE("client-double-escape", CLIENT_IDS_ESCAPED) = "Percent-encodes ids twice.",
    KEEPS_DATA_KEY("client-keeps-data-key", CLIENT_ROTATES) = "Keeps the data key when it removes a member.",
    HASHES_DATA_KEY("client-hashes-data-key", CLIENT_ROTATES) =
        "Makes the new data key of the old one when it removes a member.",
    CONFLICT_KEEPS_KEY("client-keeps-key-after-conflict", CLIENT_AAD) =
        "Retries after a conflict under the data key that it had, whatever it has pulled.",
    KEEPS_EPOCH("client-keeps-epoch", CLIENT_ROTATES) = "Keeps the epoch when it removes a member.",
    KEEPS_REMOVED("client-keeps-removed", CLIENT_ROTATES) = "Wraps the new data key to the removed member, too.",
    KEEPS_WRAPS("client-keeps-wraps", CLIENT_ROTATES) = "Leaves the old wrapped keys of others in the roster.",
    FORGETS_MEMBERS("client-forgets-members", CLIENT_ROTATES) =
        "Leaves everybody but itself out of the roster when it removes one member.",
    IGNORES_ERRORS("client-ignores-errors", CLIENT_ERRORS) = "Tells every answer as a success.",
    NEEDS_200("client-needs-200", CLIENT_LENIENT) = "Takes a 201 for an error.",
    NEEDS_CONTENT_TYPE("client-needs-content-type", CLIENT_LENIENT) =
        "Refuses JSON that isn't labelled exactly application/json.",
    REFUSES_LATER("client-refuses-later-members", CLIENT_LENIENT) = "Refuses a manifest with shareRefreshTokens.",
    REFUSES_NULL("client-refuses-null", CLIENT_NULLS) = "Can't read a manifest whose keyBindingSig is null.",
    FIRST_IS_ME("client-first-member-is-me", CLIENT_HTTP) = "Takes the first entry of a roster for its own.",
    FIRST_CHUNK("client-first-chunk", CLIENT_HTTP) = "Takes the first part of an answer for all of it.",
    NEEDS_LENGTH("client-needs-length", CLIENT_HTTP) = "Can't read answers without Content-Length.",
    RAW_ESCAPES("client-ignores-escapes", CLIENT_HTTP) =
        "Takes the escapes of JSON strings for the characters themselves.",
    NEEDS_ISSUER("client-needs-issuer", CLIENT_LOCATOR_OPTIONAL) = "Can't read a locator without issuerJwksUrl.",
    TRUSTS_HINTS("client-trusts-hints", CLIENT_LOCATOR_OPTIONAL) = "Takes the locator's epoch for the repository's.",
    PADDED_TOKENS("client-padded-invites", CLIENT_TOKENS_V1) = "Pads its invite requests and locators.",
    SPACED_TOKENS("client-spaced-invites", CLIENT_TOKENS_V1) =
        "Writes the JSON of invite requests and locators with blanks.",
    DISCOVERY_WITH_TOKEN("client-discovery-with-token", CLIENT_DISCOVERY_SILENT) = "Asks for discovery with a token.",
    NO_BINDING("client-no-binding-check", CLIENT_VERIFIES_BINDING) = "Wraps to whatever key a server names.",
    BINDING_REVERSED("client-binding-reversed", CLIENT_VERIFIES_BINDING) =
        "Verifies bindings over the two keys in the other order.",
    ANY_CERTIFICATE("client-any-certificate", CLIENT_TLS) = "Accepts any certificate.",
    ANY_HOST_NAME("client-any-host-name", CLIENT_TLS) = "Accepts a certificate for another name.",
    NEVER_GIVES_UP("client-never-gives-up", CLIENT_BOUNDED) = "Waits for an answer for ever.",
    RETRIES_TERMINAL("client-retries-refusals", CLIENT_TERMINAL) = "Tries again what was refused for good.",
    IGNORES_RETRY_AFTER("client-ignores-retry-after", CLIENT_RETRY_AFTER) =
        "Tries again at once when it is told to wait.",
    LOSES_REFRESH_TOKENS("client-loses-refresh-tokens", CLIENT_KEEPS_04) =
        "Loses refresh tokens and the map of bans when it writes.",
    ID_OF_HOST("client-id-of-host", CLIENT_ID_HOSTLESS) = "Begins the ids of its repositories with the host.",
    ID_IS_URI("client-id-is-uri", CLIENT_ID_HOSTLESS) = "Takes the address of a repository for its id.",
    NAME_IN_ID("client-name-in-id", CLIENT_ZERO_KNOWLEDGE) = "Names a repository after the first account in it.",
    UUID_IN_HEADER("client-uuid-in-header", CLIENT_ZERO_KNOWLEDGE) =
        "Numbers its requests by the id of the account that it adds.",
];
