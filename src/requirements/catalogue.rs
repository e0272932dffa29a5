//! The rows. One constant per rule, in the order of the specification.

use super::{Level::*, Party::*, Requirement, Revision::*};

macro_rules! catalogue {
    ($($name:ident = $id:literal, $section:literal, $level:ident, $party:ident, $since:ident, $text:literal $(, unprovable $why:literal)?;)*) => {
        $(
            #[doc = $text]
            pub static $name: Requirement = Requirement {
                id: $id, section: $section, level: $level, binds: $party, since: $since, text: $text,
                unprovable: catalogue!(@why $($why)?),
            };
        )*
        /// Every rule, in the order of the specification.
        pub static ALL: &[&Requirement] = &[$(&$name),*];
    };
    (@why) => { None };
    (@why $why:literal) => { Some($why) };
}

catalogue! {
    // §2 Conventions
    BASE64 = "AVP-2-base64", "§2", Must, Server, V0_2,
        "Binary values travel as base64 in the standard alphabet, with padding.";
    KEY_ENCODING = "AVP-2-key-encoding", "§2", Must, Server, V0_2,
        "Public keys are the base64 of their raw 32 bytes, and the Ed25519 key in that spelling is the member id.";
    FIELD_NAMES = "AVP-2-field-names", "§2", Must, Server, V0_2,
        "JSON members carry the camelCase names of the message tables; an answer has those members, of those types, and no others.";
    INT64 = "AVP-2-int64", "§2", Must, Server, V0_2,
        "Counters are JSON integers over the whole int64 range and never lose precision.";
    JSON_CONTENT_TYPE = "AVP-6-json-content-type", "§6", Should, Server, V0_2,
        "A JSON body is labelled as JSON in Content-Type.";

    CLIENT_BASE64 = "AVP-2-client-base64", "§2", Must, Client, V0_2,
        "Clients spell binary values as base64 in the standard alphabet, with padding, and in one spelling only.";
    CLIENT_SIZES = "AVP-2-client-sizes", "§2", Must, Client, V0_2,
        "Clients send raw keys of 32 bytes, IVs of 12, signatures of 64, and ciphertexts that end in a tag.";
    CLIENT_SHAPES = "AVP-2-client-shapes", "§2", Must, Client, V0_2,
        "Requests have the members of the message tables, of those types, and no others.";
    CLIENT_INT64 = "AVP-2-client-int64", "§2", Must, Client, V0_2,
        "Clients read, use and send counters over the whole int64 range without losing precision.";

    // §3 Identity and authentication
    NONCE_SIZE = "AVP-3-nonce-size", "§3", Must, IdentityProvider, V0_2,
        "A challenge nonce is the base64 of at least 32 bytes.";
    NONCE_RANDOM = "AVP-3-nonce-random", "§3", Must, IdentityProvider, V0_2,
        "Every challenge gets a fresh random nonce, for one key and across keys.";
    NONCE_LOOKS_RANDOM = "AVP-3-nonce-looks-random", "§3", Should, IdentityProvider, V0_2,
        "The bytes of nonces show no pattern that makes the next one predictable.";
    NONCE_SINGLE_USE = "AVP-3-nonce-single-use", "§3", Must, IdentityProvider, V0_2,
        "A nonce that has bought a token buys no second one.";
    NONCE_ISSUED = "AVP-3-nonce-issued", "§3", Must, IdentityProvider, V0_2,
        "Only a nonce that this identity provider has issued is worth a token.";
    NONCE_EXPIRES = "AVP-3-nonce-expires", "§3", Must, IdentityProvider, V0_2,
        "An expired nonce is refused.";
    STATUS_NONCE = "AVP-3-status-nonce", "§3", Must, IdentityProvider, V0_2,
        "A nonce that was never issued, is used up or has expired is answered with 401.";
    NONCE_REDEEMABLE = "AVP-3-nonce-redeemable", "§3", Must, IdentityProvider, V0_2,
        "A nonce that was issued, hasn't expired and hasn't been redeemed buys its key a token for a right signature.";
    NONCE_TTL = "AVP-3-nonce-ttl", "§3", Should, IdentityProvider, V0_2,
        "A nonce lives for two minutes at the most.";
    NONCE_BOUND = "AVP-3-nonce-bound", "§3", Should, IdentityProvider, V0_2,
        "A nonce issued for one key is useless to the holder of another.";
    SIGNATURE_RAW = "AVP-3-signature-raw-bytes", "§3", Must, IdentityProvider, V0_2,
        "The signature covers the decoded bytes of the nonce, not its base64 text.";
    SIGNATURE_VERIFIED = "AVP-3-signature-verified", "§3", Must, IdentityProvider, V0_2,
        "A token is given only for a signature that verifies under the key it is asked for.";
    SIGNATURE_STRICT = "AVP-3-signature-strict", "§3", Hardening, IdentityProvider, V0_2,
        "Signatures with an unreduced S and keys of small order buy no token (RFC 8032 §5.1.7).";
    LOGIN_NOT_LOCKED = "AVP-3-login-not-locked", "§3", Hardening, IdentityProvider, V0_2,
        "Wrong signatures of others, for a key that everybody knows, don't keep its holder from logging in.";
    IDENTITY_CANONICAL = "AVP-3-identity-canonical", "§3", Hardening, IdentityProvider, V0_2,
        "A key that isn't 32 bytes or isn't spelled canonically never becomes an identity of its own.";
    NO_ACCOUNT = "AVP-3-no-account", "§3", Must, Server, V0_2,
        "A keypair is all it takes: a key that nobody registered gets a token and can use the vault.";
    TOKEN_ANSWER = "AVP-3-token-answer", "§3", Must, IdentityProvider, V0_2,
        "The token answer carries the token and its expiry in epoch milliseconds, which lies ahead.";
    TOKEN_CLAIMS = "AVP-3-token-claims", "§3", Should, IdentityProvider, V0_2,
        "A JWT names the member as key: plus id, is of kind keypair, and holds no account, email or role.";
    KEY_SET = "AVP-3-key-set", "§3", Should, IdentityProvider, V0_2,
        "A published key set holds the public key that verifies the tokens, and no private one.";
    TOKEN_REQUIRED = "AVP-3-token-required", "§3", Must, Server, V0_2,
        "A vault operation without a valid bearer token is refused and changes nothing.";
    TOKEN_VERIFIED = "AVP-3-token-verified", "§3", Must, Server, V0_2,
        "A token that was altered, forged, unsigned or re-signed is refused.";
    TOKEN_LOCAL = "AVP-3-token-local", "§3", Must, Server, V0_2,
        "A token is valid only at the server that issued it.";
    TOKEN_EXPIRES = "AVP-3-token-expires", "§3", Must, Server, V0_2,
        "A token is refused after the expiry that was announced with it.";
    TOKEN_LASTS = "AVP-3-token-lasts", "§3", Must, Server, V0_2,
        "A token works until the expiry that was announced with it, however many others log in.";
    TOKEN_UNGUESSABLE = "AVP-3-token-unguessable", "§3", Hardening, IdentityProvider, V0_2,
        "A token holds something that nobody but the server knows, not even who has seen the login.";
    TOKEN_FETCHES_NOTHING = "AVP-3-token-fetches-nothing", "§3", Hardening, Server, V0_2,
        "A token makes the server fetch nothing from an address that it names.";
    TOKEN_BEARER_ONLY = "AVP-3-token-bearer-only", "§3", Hardening, Server, V0_2,
        "The token counts only as it is and in Authorization: Bearer, not in another scheme, letter case or the query.";
    UNAUTHENTICATED_SILENCE = "AVP-3-unauthenticated-silence", "§3", Hardening, Server, V0_2,
        "An answer to an unauthenticated caller doesn't tell whether a repository exists.";
    SUBJECT_IS_CALLER = "AVP-3-subject-is-caller", "§3", Must, Server, V0_2,
        "The subject of the token is the caller; membership is decided by it and by nothing in the request.";
    CLIENT_TOKEN_PER_HOST = "AVP-3-client-token-per-host", "§3", Must, Client, V0_2,
        "A client keeps tokens by host and shows none to another host.";
    CLIENT_SIGNS_RAW = "AVP-3-client-signs-raw-nonce", "§3", Must, Client, V0_2,
        "A client signs all the decoded bytes of the nonce, however many there are.";
    CLIENT_FRESH_CHALLENGE = "AVP-3-client-fresh-challenge", "§3", Must, Client, V0_2,
        "A client redeems a nonce once, and asks for a new one for every token.";
    CLIENT_BEARER = "AVP-6-client-bearer", "§6", Must, Client, V0_2,
        "The token travels exactly as it was issued, in Authorization: Bearer and nowhere else.";
    CLIENT_TOKEN_OPAQUE = "AVP-3-client-token-opaque", "§3", Must, Client, V0_2,
        "To a client, a token is an opaque string of any format and length.";
    CLIENT_RELOGIN = "AVP-3-client-new-login", "§3", Hardening, Client, V0_2,
        "A token that isn't accepted any longer leads to one new login, and not to one after the other.";

    // §4 Envelope
    STORED_VERBATIM = "AVP-4-stored-verbatim", "§4", Must, Server, V0_2,
        "Keys, wrapped keys, IVs and ciphertexts come back byte for byte as they were stored.";
    CLIENT_AAD = "AVP-4-client-aad", "§4", Must, Client, V0_2,
        "Payload ciphertexts are bound to repository id, payload version and key epoch in the fixed byte layout.";
    CLIENT_AAD_CHECKED = "AVP-4-client-aad-checked", "§4", Must, Client, V0_2,
        "A payload that is bound to another repository, version or epoch, or to none, or was altered, isn't read.";
    CLIENT_WRAP = "AVP-4-client-wrap", "§4", Must, Client, V0_2,
        "Data keys are wrapped by the scheme that schemeId names.";
    CLIENT_WRAP_CHECKED = "AVP-4-client-wrap-checked", "§4", Must, Client, V0_2,
        "A wrapped key that was altered or made in another way than the scheme's isn't taken.";
    CLIENT_DATA_KEY = "AVP-4-client-data-key", "§4", Must, Client, V0_2,
        "Every repository has a data key of its own, which nobody can make of what others know.";
    CLIENT_FRESH_IV = "AVP-4-client-fresh-iv", "§4", Must, Client, V0_2,
        "An IV is used once under a key.";
    CLIENT_FRESH_EPHEMERAL = "AVP-4-client-fresh-ephemeral", "§4", Must, Client, V0_2,
        "Every wrap has an ephemeral key of its own.";
    CLIENT_NULLS = "AVP-4-client-optional-members", "§4", Must, Client, V0_2,
        "For a client, an optional member that is null and one that is absent are the same.";
    CLIENT_STRICT_ENVELOPE = "AVP-4-client-strict-envelope", "§4", Hardening, Client, V0_2,
        "A client takes no envelope whose header contradicts the manifest, no unknown scheme, no key of another size, and no step back.";

    // §5 Payload
    CLIENT_PROVENANCE_ABSENT = "AVP-5-client-provenance-absent", "§5", Must, Client, V0_2,
        "Clients read payloads whose accounts carry no provenance.";
    CLIENT_PAYLOAD = "AVP-5-client-payload", "§5", Must, Client, V0_2,
        "The plaintext is a JSON object with the accounts, whose members have the specification's names and types.";
    CLIENT_STAMP = "AVP-5-client-stamp", "§5", Must, Client, V0_2,
        "The version inside the payload is a stamp; a client goes by the envelope's.";
    CLIENT_KEEPS_ACCOUNTS = "AVP-5-client-keeps-accounts", "§5", Must, Client, V0_2,
        "What a client doesn't mean to change in a payload is there after its write.";
    CLIENT_KEEPS_UNKNOWN = "AVP-5-client-keeps-unknown", "§5", Hardening, Client, V0_2,
        "Members of a payload that a client doesn't know survive its writes.";
    CLIENT_PROVENANCE_SET = "AVP-5-client-provenance-set", "§5", Should, Client, V0_2,
        "Clients set provenance when they add an account.";

    // §6 Operations
    ANSWERED = "AVP-6-answered", "§6", Must, Server, V0_2,
        "An operation that is rightly asked for is answered, and the answer comes whole.";
    HTTP_PROFILE = "AVP-6-http-profile", "§6", Must, Server, V0_2,
        "Every operation has its path, takes and gives JSON, and percent-encoded ids in a path work.";
    CREATE_RETURNS = "AVP-6-create-returns-manifest", "§6", Must, Server, V0_2,
        "createRepo stores the manifest and the first envelope and returns the manifest.";
    CREATE_SOLE_MEMBER = "AVP-6-create-sole-member", "§6", Must, Server, V0_2,
        "createRepo refuses a manifest whose members aren't exactly the caller, and leaves nothing behind.";
    CREATE_DUPLICATE = "AVP-6-create-duplicate", "§6", Must, Server, V0_2,
        "createRepo refuses an id that exists, whoever asks, and leaves the first repository alone.";
    CREATE_IDS_EXACT = "AVP-8-ids-exact", "§8", Must, Server, V0_2,
        "Repository ids are opaque and exact: two different strings are two repositories.";
    CREATE_ODD_IDS = "AVP-6-create-odd-ids", "§6", Should, Server, V0_2,
        "An id with reserved characters works when percent-encoded, or is refused at creation.";
    CREATE_CONSISTENT = "AVP-6-create-consistent", "§6", Hardening, Server, V0_2,
        "createRepo refuses an envelope that belongs to another repository, version or epoch than its manifest.";
    CLIENT_IDS_ESCAPED = "AVP-6-client-ids-escaped", "§6", Must, Client, V0_2,
        "Ids are percent-encoded in a path so that they arrive as they are, and the body names the same.";
    CLIENT_CREATES_ALONE = "AVP-6-client-creates-alone", "§6", Must, Client, V0_2,
        "A client creates a repository with itself as the only member.";
    CLIENT_COUNTERS = "AVP-6-client-counters", "§6", Must, Client, V0_2,
        "The counters of one write agree with each other, and versions rise.";
    CLIENT_EXPECTS = "AVP-6-client-expects", "§6", Must, Client, V0_2,
        "The expected version of a push is one that this client has read or written.";
    CLIENT_RETRIES = "AVP-6-client-conflict", "§6", Must, Client, V0_2,
        "After a conflict a client pulls, applies its change again, and retries.";
    CLIENT_BOUNDED = "AVP-6-client-bounded", "§6", Hardening, Client, V0_2,
        "A client whose retries never succeed, or whose server never answers, gives up.";
    CLIENT_HTTP = "AVP-6-client-http", "§6", Must, Client, V0_2,
        "Clients take an answer for what it means: JSON in any spelling, framed in any way that HTTP allows.";
    CLIENT_LENIENT = "AVP-6-client-lenient", "§6", Hardening, Client, V0_2,
        "Clients put up with habits of servers that change nothing: another 2xx, an envelope too many, members of later revisions.";
    CLIENT_ERRORS = "AVP-6-client-errors", "§6", Hardening, Client, V0_2,
        "An operation that a server refuses isn't told as a success.";
    CLIENT_JSON_CONTENT_TYPE = "AVP-6-client-content-type", "§6", Should, Client, V0_2,
        "Requests with a JSON body say so in Content-Type.";
    PULL_MEMBERS_ONLY = "AVP-6-pull-members-only", "§6", Must, Server, V0_2,
        "pull is for members; strangers are refused, and an unknown repository is none.";
    PULL_UNCHANGED = "AVP-6-pull-unchanged", "§6", Must, Server, V0_2,
        "pull at the current version says unchanged and gives the manifest.";
    PULL_OMITS_ENVELOPE = "AVP-6-pull-omits-envelope", "§6", Should, Server, V0_2,
        "pull at the current version leaves the envelope out.";
    PULL_CURRENT = "AVP-6-pull-current", "§6", Must, Server, V0_2,
        "pull at any other version gives the current manifest and the current envelope.";
    PUSH_MEMBERS_ONLY = "AVP-6-push-members-only", "§6", Must, Server, V0_2,
        "push is for members; a refused push changes nothing.";
    PUSH_APPLIES = "AVP-6-push-applies", "§6", Must, Server, V0_2,
        "push at the current version stores the envelope and answers accepted with the new counters.";
    PUSH_GATED = "AVP-6-push-gated", "§6", Must, Server, V0_2,
        "push applies only if the expected version is the current one; otherwise nothing changes.";
    PUSH_CONFLICT = "AVP-6-push-conflict-answer", "§6", Must, Server, V0_2,
        "A stale or future expectation is answered with accepted false, conflict true and the current counters.";
    PUSH_GAP = "AVP-6-push-gap", "§6", Should, Server, V0_2,
        "The new version may be more than one above the old one.";
    PUSH_ROTATES = "AVP-6-push-rotated-members", "§6", Must, Server, V0_2,
        "rotatedMembers replaces the roster together with the write; null or absent leaves the roster alone.";
    PUSH_REFUSED_WHOLE = "AVP-6-push-refused-whole", "§6", Must, Server, V0_2,
        "A push that is refused, for whatever reason, leaves manifest and envelope as they were.";
    PUSH_SCOPE = "AVP-6-push-scope", "§6", Must, Server, V0_2,
        "Authority over one repository gives none over another that the body names.";
    PUSH_CONSISTENT = "AVP-6-push-consistent", "§6", Hardening, Server, V0_2,
        "push refuses an epoch that goes down, an envelope of another repository and a roster that can't be one.";
    ADD_MEMBERS_ONLY = "AVP-6-add-members-only", "§6", Must, Server, V0_2,
        "addMember is for members; a refused one changes nothing.";
    ADD_RECORDS = "AVP-6-add-records", "§6", Must, Server, V0_2,
        "addMember records the entry exactly as sent, keeps everybody else's, and returns the manifest.";
    ADD_ANY_MEMBER = "AVP-6-add-any-member", "§6", Should, Server, V0_2,
        "Any member may invite, also one who was just added.";
    ADD_TWICE = "AVP-6-add-twice", "§6", Should, Server, V0_2,
        "Adding the same member again leaves one entry.";
    ADD_NO_REKEY = "AVP-6-add-no-rekey", "§6", Hardening, Server, V0_2,
        "addMember doesn't replace the X25519 key of somebody who is a member already.";
    REMOVE_MEMBERS_ONLY = "AVP-6-remove-members-only", "§6", Must, Server, V0_2,
        "removeMember is for members; a refused one changes nothing.";
    REMOVE_DROPS = "AVP-6-remove-drops", "§6", Must, Server, V0_2,
        "The removed member is out of the roster, even if the rewrapped members name it.";
    REMOVE_REPLACES = "AVP-6-remove-replaces", "§6", Must, Server, V0_2,
        "removeMember makes the rewrapped members the roster, stores the rotated envelope and sets the epoch.";
    REMOVE_ATOMIC = "AVP-6-remove-atomic", "§6", Must, Server, V0_2,
        "A removal happens as a whole or not at all.";
    REMOVE_REVOKES = "AVP-6-remove-revokes", "§6", Must, Server, V0_2,
        "From its removal on, a member's live token opens no operation on the repository.";
    REMOVE_UNKNOWN = "AVP-6-remove-unknown", "§6", Should, Server, V0_2,
        "removeMember refuses to remove somebody who isn't a member.";
    REMOVE_ANY_ROSTER = "AVP-6-remove-any-roster", "§6", Should, Server, V0_2,
        "removeMember takes whatever roster makes sense, also from a member who removes itself.";
    REMOVE_CONSISTENT = "AVP-6-remove-consistent", "§6", Hardening, Server, V0_2,
        "removeMember refuses an empty roster and an envelope that isn't at the new epoch.";
    FETCH_MEMBERS_ONLY = "AVP-6-fetch-members-only", "§6", Must, Server, V0_2,
        "fetchMemberKey is for members.";
    FETCH_ENTRY = "AVP-6-fetch-entry", "§6", Must, Server, V0_2,
        "fetchMemberKey returns the entry of the member asked for, whatever characters its id holds.";
    FETCH_EXACT = "AVP-6-fetch-exact", "§6", Hardening, Server, V0_2,
        "fetchMemberKey knows a member by the exact spelling of its id, decoded once.";
    STATUS_TOKEN = "AVP-6-status-token", "§6", Must, Server, V0_2,
        "A vault operation without a valid token is answered with 401.";
    STATUS_STRANGER = "AVP-6-status-stranger", "§6", Must, Server, V0_2,
        "A caller who isn't a member is answered with 403.";
    STATUS_UNKNOWN = "AVP-6-status-unknown", "§6", Must, Server, V0_2,
        "A repository or member that doesn't exist is answered with 404.";
    STATUS_DUPLICATE = "AVP-6-status-duplicate", "§6", Must, Server, V0_2,
        "A second createRepo of an id is answered with 409.";
    REFUSAL_SILENT = "AVP-6-refusal-silent", "§6", Must, Server, V0_2,
        "A refusal says nothing of a repository to whoever isn't a member: no member, wrapped key, ciphertext or counter.";
    USUAL_STATUS = "AVP-6-usual-status", "§6", Should, Server, V0_2,
        "Success is 200; strangers (403) are told from unknown repositories (404).";

    NO_SIDE_DOOR = "AVP-6-no-side-door", "§6", Must, Server, V0_2,
        "However a request is spelled, addressed, labelled or forwarded, it does and tells nothing that its caller isn't entitled to.";
    NOTHING_GIVEN_AWAY = "AVP-6-nothing-given-away", "§6", Must, Server, V0_2,
        "No answer, list or page tells anybody but members of a repository, its roster or its envelope.";
    CALLERS_KEPT_APART = "AVP-6-callers-kept-apart", "§6", Must, Server, V0_2,
        "A request is judged by its own caller and answered with what is asked for, whoever asks at the same moment.";
    CONNECTION_IN_STEP = "AVP-6-connection-in-step", "§6", Must, Server, V0_2,
        "What is asked on a connection is answered as it is anywhere, whatever was refused there before, or the connection is closed.";
    ANSWERS_TO_ASKERS = "AVP-6-answers-to-askers", "§6", Must, Server, V0_2,
        "An answer goes to the request that it answers, whatever became of other connections.";

    // §8 Federation
    PORTABLE_IDENTITY = "AVP-8-portable-identity", "§8", Must, IdentityProvider, V0_2,
        "A keypair made anywhere authenticates here.";
    CLIENT_ID_HOSTLESS = "AVP-8-client-id-hostless", "§8", Must, Client, V0_2,
        "The id that a client gives a repository doesn't encode its host.";
    CLIENT_ADDRESS = "AVP-8-client-address", "§8", Must, Client, V0_2,
        "A client tells repositories apart by host and id together, and takes the id as it is.";
    CLIENT_TOKENS_V1 = "AVP-8-client-join-tokens", "§8.1", Must, Client, V0_2,
        "Invite requests and repo locators are base64url over compact JSON.";
    CLIENT_LOCATOR_OPTIONAL = "AVP-8-client-locator-optional", "§8.1", Must, Client, V0_2,
        "A locator's optional members may be absent, and its hints yield to the pulled manifest.";
    CLIENT_DISCOVERY_SILENT = "AVP-8-client-discovery-silent", "§8.2", Must, Client, V0_2,
        "Discovery is asked without a token.";
    DISCOVERY_SHAPE = "AVP-8-discovery", "§8.2", Must, Server, V0_2,
        "If /.well-known/avp answers, it needs no token and names the profiles (and the issuer's key set).";
    CLIENT_DISCOVERY_DEFAULT = "AVP-8-client-discovery-default", "§8.2", Should, Client, V0_2,
        "Without discovery, a client assumes HTTP/JSON over HTTPS.",
        unprovable "what a client dials for a bare address depends on how it is told about test servers";

    // §9 Key binding
    BINDING_OPAQUE = "AVP-9-binding-opaque", "§9", Must, Server, V0_2,
        "A binding signature is stored and served as it is, on every path that writes members.";
    BINDING_VALID = "AVP-9-binding-valid", "§9", Must, IdentityProvider, V0_2,
        "A binding that the identity provider publishes verifies under its key over the canonical message.";
    CLIENT_VERIFIES_BINDING = "AVP-9-client-verifies-binding", "§9", Must, Client, V0_2,
        "A client verifies a served binding before it wraps to a member on a host that it doesn't operate.";
    CLIENT_CARRIES_BINDINGS = "AVP-9-client-carries-bindings", "§9", Hardening, Client, V0_2,
        "An entry that a client wraps anew has the binding that was served with its keys.";

    // §10 Invariants
    ZERO_KNOWLEDGE = "AVP-10-zero-knowledge", "§10", Must, Server, V0_2,
        "Nothing that the server keeps or gives is a plaintext account, data key, seed or passphrase.";
    NO_SECRET_ECHO = "AVP-10-no-secret-echo", "§10", Should, Server, V0_2,
        "A secret-looking member in a request is refused or dropped, never kept and served.";
    VERSION_MONOTONIC = "AVP-10-version-monotonic", "§10", Must, Server, V0_2,
        "The payload version of a repository only ever rises.";
    EPOCH_RISES = "AVP-10-epoch-rises", "§10", Must, Server, V0_2,
        "A removal raises the key epoch.";
    OLD_KEYS_USELESS = "AVP-10-old-keys-useless", "§10", Must, Server, V0_2,
        "What a removed member held doesn't open what was written after the removal.";
    READ_YOUR_WRITES = "AVP-10-read-your-writes", "§10", Must, Server, V0_2,
        "What was just written is what is read.";

    WRITES_SERIALIZED = "AVP-10-writes-serialized", "§10", Must, Server, V0_2,
        "Of concurrent writes, each applies as a whole, and no two apply to the same version.";
    EFFECT_AUTHORITY = "AVP-10-authority-at-effect", "§10", Must, Server, V0_2,
        "A request takes effect only if its caller is a member at that moment, not only when it began.";
    SNAPSHOT_READS = "AVP-10-snapshot-reads", "§10", Must, Server, V0_2,
        "Manifest and envelope of one answer belong to one committed state, and no reader sees counters go down.";

    CLIENT_ZERO_KNOWLEDGE = "AVP-10-client-zero-knowledge", "§10", Must, Client, V0_2,
        "No request holds a seed, a private key, a data key or a plaintext account.";
    CLIENT_ROTATES = "AVP-10-client-rotates", "§10", Must, Client, V0_2,
        "A removal comes with the next epoch, a new data key, new wraps for all who stay, and none for who goes.";

    // §12 Security considerations
    CLIENT_TLS = "AVP-12-client-tls", "§12", Must, Client, V0_2,
        "A client sends nothing to a server whose certificate doesn't prove that it is the one.";
    TLS = "AVP-12-tls", "§12", Must, Deployment, V0_2,
        "Tokens travel over TLS only.",
        unprovable "a matter of deployment: a test server on a loopback address is rightly plain HTTP";
    TOKEN_SHORT_LIVED = "AVP-12-token-short-lived", "§12", Should, IdentityProvider, V0_2,
        "Tokens are short lived: a day at the most.";

    // Hardening beyond the letter: robust against input that no client should send
    BAD_INPUT = "AVP-H-bad-input", "§6", Hardening, Server, V0_2,
        "Malformed requests get a 4xx in good time, change nothing, and the server goes on.";
    BODY_CONSUMED = "AVP-H-body-consumed", "§6", Hardening, Server, V0_2,
        "A request that is refused early doesn't leave its body behind to be taken for the next request.";

    HANGUPS_SURVIVED = "AVP-H-hangups-survived", "§6", Hardening, Server, V0_2,
        "Clients that hang up take nothing with them: no lock, no place in a pool, no connection.";
    DISCRETION = "AVP-H-discretion", "§6", Hardening, Server, V0_2,
        "Answers hold nothing that their asker doesn't need (stack traces, tokens, diagnostics, addresses that somebody made up), and nobody else is allowed to keep or read them.";
    FRAMING = "AVP-H-framing", "§6", Hardening, Server, V0_2,
        "Requests and answers begin and end where RFC 9112 says, also in chunks, in step and with odd heads; what can be read in two ways is refused.";
    NEGOTIATION = "AVP-H-negotiation", "§6", Hardening, Server, V0_2,
        "Media types and content codings are agreed on as RFC 9110 says: JSON by any spelling, gzip once and only where asked for.";
    PLAIN_INTEGERS = "AVP-H-plain-integers", "§2", Hardening, Server, V0_2,
        "Integers are written without a fraction or an exponent, which JSON Schema allows and many clients don't read.";
    STALLED_REQUEST = "AVP-H-stalled-request", "§6", Hardening, Server, V0_2,
        "One request that never gets finished doesn't keep everybody else waiting.";
    CREDENTIALS_NOT_KEPT = "AVP-H-credentials-not-kept", "§3", Hardening, Server, V0_2,
        "Bearer tokens and nonces that are used up don't stand in storage or logs, where whoever reads them could use them.";
    REPLACED_IS_DROPPED = "AVP-H-replaced-is-dropped", "§6", Hardening, Server, V0_2,
        "What a removal replaces isn't kept: envelopes of the epochs before it and wrapped keys of who was removed.";

    CRASH_KEEPS = "AVP-H-crash-keeps", "§10", Hardening, Server, V0_2,
        "What was acknowledged is still so after a crash: writes are there, versions haven't gone down, used nonces are used, removed members are out.";
    CRASH_WHOLE = "AVP-H-crash-whole", "§10", Hardening, Server, V0_2,
        "A write that a crash met is there as a whole or not at all.";

    // Revision 0.3
    ERROR_OBJECT = "AVP-0.3-error-object", "§6", Must, Server, V0_3,
        "The body of every answer that isn't 2xx is an error object with a known code.";
    LIMITS = "AVP-0.3-limits", "§6", Must, Server, V0_3,
        "An oversize body is 413 too_large; a limit is never reported as a conflict; a rate limit says Retry-After.";
    RETRY_ADD = "AVP-0.3-retry-add", "§6", Must, Server, V0_3,
        "Adding a member again with the same keys changes nothing and returns the current manifest.";
    RETRY_REMOVE = "AVP-0.3-retry-remove", "§6", Must, Server, V0_3,
        "An identical removeMember sent again before any other write leaves the same state.";
    RETRY_WRITES = "AVP-0.3-retry-writes", "§6", Must, Server, V0_3,
        "A retried createRepo is 409 and a retried push is a conflict.";
    ESCAPED_PATH = "AVP-0.3-escaped-path", "§6", Must, Server, V0_3,
        "A server routes on the path as it is escaped.";

    CLIENT_TERMINAL = "AVP-0.3-client-terminal", "§6", Must, Client, V0_3,
        "A refusal that can't change (forbidden, not found, duplicate, too large) isn't tried again.";
    CLIENT_RETRY_AFTER = "AVP-0.3-client-retry-after", "§6", Must, Client, V0_3,
        "A client that is told Retry-After doesn't come back earlier.";

    // Revision 0.4
    CLIENT_KEEPS_04 = "AVP-0.4-client-keeps-payload", "§5", Must, Client, V0_4,
        "Refresh tokens, their expiry and the map of bans survive a client's writes.";
    SHARE_REFRESH_TOKENS = "AVP-0.4-share-refresh-tokens", "§4", Must, Server, V0_4,
        "shareRefreshTokens is persisted through every write path and served in every manifest.";
}
