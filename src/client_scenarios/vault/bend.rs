//! The ways in which the vault is bent: one in each run of a client.

/// Declares the bends with a name and what the vault does.
macro_rules! bends {
    ($($bend:ident $name:literal $demand:ident: $what:literal;)*) => {
        /// One way in which the vault departs from its usual self.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Bend { $(#[doc = $what] $bend,)* }

        impl Bend {
            /// All of them.
            pub const ALL: &[Bend] = &[$(Bend::$bend),*];

            /// Kebab-case name.
            pub fn name(self) -> &'static str {
                match self { $(Bend::$bend => $name),* }
            }

            /// What the vault does, in a clause.
            pub fn what(self) -> &'static str {
                match self { $(Bend::$bend => $what),* }
            }

            /// What is asked of the client.
            pub fn demand(self) -> Demand {
                match self { $(Bend::$bend => Demand::$demand),* }
            }
        }
    };
}

/// What a bend asks of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// Nothing: it shows what the client is like.
    Control,
    /// Going on as if nothing were: the vault is as right as ever.
    Bear,
    /// Reading what somebody else has written in an unusual but right way.
    Read,
    /// Not taking what is served.
    Refuse,
    /// Something that a check of its own looks at.
    Watch,
}

bends! {
    Honest "honest" Control: "the vault behaves as most do";
    Again "honest-again" Control: "the vault behaves as most do, a second time";
    GarbagePayload "garbage-payload" Control: "the pulled ciphertext is random";
    GarbageWrap "garbage-wrap" Control: "the pulled wrapped keys are random";
    Rotated "rotated" Control: "another member has rotated the data key and written accounts";
    RotatedGarbage "rotated-garbage" Control: "as rotated, but the ciphertext is random";

    AadVersion "aad-version" Refuse: "the payload is bound to the version before";
    AadNextVersion "aad-next-version" Refuse: "the payload is bound to the version after";
    AadEpoch "aad-epoch" Refuse: "the payload is bound to the epoch before";
    AadRepo "aad-repo" Refuse: "the payload is bound to another repository";
    AadNone "aad-none" Refuse: "the payload is bound to nothing";
    AadLittleEndian "aad-little-endian" Refuse: "the counters are bound in little-endian order";
    AadDecimal "aad-decimal" Refuse: "the counters are bound as decimal text";
    AadNoSeparator "aad-no-separator" Refuse: "the payload is bound without the separator";
    AadNoEpoch "aad-no-epoch" Refuse: "the payload is bound to repository and version only";
    AadSwapped "aad-swapped" Refuse: "epoch and version are bound in the other order";
    AadInt32 "aad-int32" Refuse: "the counters are bound as four bytes each";
    AadDecimals "aad-decimals" Refuse: "the counters are bound as decimal text, a separator between them";
    AadJson "aad-json" Refuse: "the counters are bound as decimal text, with colons";
    AadVersionless "aad-versionless" Refuse: "the payload is bound to repository and epoch only";
    AadIdOnly "aad-id-only" Refuse: "the payload is bound to the repository only";
    WrapSaltRecipient "wrap-salt-recipient" Refuse: "the key of the wrap is derived with the recipient's key for salt";
    WrapSha512 "wrap-sha512" Refuse: "the key of the wrap is derived with SHA-512";
    WrapOtherInfo "wrap-other-info" Refuse: "the key of the wrap is derived for the label of another version";
    WrapNoInfo "wrap-no-info" Refuse: "the key of the wrap is derived without a label";
    WrapExpandOnly "wrap-expand-only" Refuse: "the key of the wrap is expanded from the shared secret without being extracted";
    WrapSaltText "wrap-salt-text" Refuse: "the key of the wrap is derived with the base64 text of the ephemeral key for salt";
    WrapKeyText "wrap-key-text" Refuse: "what is wrapped is the base64 text of the data key";
    TagFlipped "tag-flipped" Refuse: "a bit of the payload's tag is flipped";
    TagCut "tag-cut" Refuse: "the payload's tag is cut to twelve bytes";
    CiphertextFlipped "ciphertext-flipped" Refuse: "a bit in a name is flipped under the old tag";
    WrapTagCut "wrap-tag-cut" Refuse: "the wrapped key's tag is cut to twelve bytes";
    WrapTagStub "wrap-tag-stub" Refuse: "the wrapped key's tag is cut to four bytes";
    WrapTagFlipped "wrap-tag-flipped" Refuse: "a bit of the wrapped key's tag is flipped";
    WrapNoAad "wrap-no-aad" Refuse: "the data key is wrapped without additional data";
    WrapLabel "wrap-label" Refuse: "the data key is wrapped with another label";
    WrapNoSalt "wrap-no-salt" Refuse: "the key of the wrap is derived without salt";
    WrapRawSecret "wrap-raw-secret" Refuse: "the data key is wrapped with the shared secret itself";
    WrapNoSaltAlone "wrap-secret-hashed" Refuse: "the key of the wrap is the SHA-256 of the shared secret";
    NextScheme "next-scheme" Refuse: "the wrapped key names a later version of the scheme";
    SchemeCase "scheme-case" Refuse: "the wrapped key names the scheme in lower case";
    NoScheme "no-scheme" Refuse: "the wrapped key's scheme is empty";
    UnknownScheme "unknown-scheme" Refuse: "the wrapped key names a scheme that doesn't exist";
    ShortKey "short-key" Refuse: "the wrapped data key is 16 bytes long";
    ManifestScheme "manifest-scheme" Refuse: "the manifest names a scheme that doesn't exist";
    HeaderVersion "header-version" Refuse: "the envelope is of another version than the manifest";
    OtherRepo "other-repo" Refuse: "the envelope names another repository, and is bound to that";

    NoProvenance "no-provenance" Read: "accounts carry no provenance";
    SparseAccounts "sparse-accounts" Read: "optional members of accounts are null";
    StampOther "stamp-other" Read: "the stamp inside the payload is of another version";
    BigCounters "big-counters" Read: "version and epoch lie above 2^53";
    BiggerVersion "bigger-version" Read: "the version lies above 2^62";
    Version32 "version-32-bit" Read: "version and epoch lie above 2^32";
    Version31 "version-31-bit" Read: "version and epoch lie above 2^31";
    BigSpaced "big-spaced" Read: "version and epoch lie above 2^53, in JSON with blanks around its colons";
    SecretZero "secret-zero" Read: "the shared secret of the wrap begins with a zero byte";
    SecretZeroEnd "secret-zero-end" Read: "the shared secret of the wrap ends in a zero byte";
    AllTypes "all-types" Read: "there is an account of every type";
    ManyAccounts "many-accounts" Read: "there are 400 accounts in the payload";
    BigTimes "big-times" Read: "an account was last used, and its ban observed, at a time beyond 2^53";
    UnknownMembers "unknown-members" Read: "accounts and payload carry members that 0.2 doesn't know";
    OddAccounts "odd-accounts" Read: "accounts have names with characters of all kinds, no credential, or a last user";
    EmptyPayload "empty-payload" Read: "there is no account in the payload";

    Nonce33 "nonce-33" Bear: "nonces are 33 bytes long, with zeros at both ends";
    Nonce64 "nonce-64" Bear: "nonces are 64 bytes long, with blanks at both ends";
    Nonce512 "nonce-512" Bear: "nonces are 512 bytes long";
    NonceText "nonce-text" Bear: "nonces are the base64 text of something else";
    NonceLine "nonce-line" Bear: "nonces are a line of text with its line break";
    TokenLong "token-8k" Bear: "tokens are 8 KiB long";
    TokenOdd "token-odd" Bear: "tokens hold every character that a bearer token may";
    TokenJwt "token-jwt" Bear: "tokens look like a JWT";
    TokenJwe "token-jwe" Bear: "tokens have five parts with dots between them, one of them empty, as a JWE has";
    ExpiryFar "expiry-far" Bear: "tokens expire beyond 2^53";
    Created201 "created-201" Bear: "createRepo and addMember answer 201";
    Accepted202 "any-2xx" Bear: "every answer is a 202";
    Escaped "json-escaped" Bear: "every character of a JSON string is escaped";
    Reordered "json-reordered" Bear: "members of JSON objects come in the other order, with line breaks";
    Nulls "nulls" Bear: "optional members are null";
    RosterReversed "roster-reversed" Bear: "rosters come in the other order";
    OwnEntryFirst "own-entry-first" Bear: "whoever pulls comes first in the roster";
    OwnEntryLast "own-entry-last" Bear: "whoever pulls comes last in the roster";
    ExtraEnvelope "extra-envelope" Bear: "pull sends the envelope though nothing has changed";
    Chunked "chunked" Bear: "answers come in chunks of seven bytes";
    ChunkExtensions "chunk-extensions" Bear: "answers come in chunks with extensions, and a trailer field after them";
    Dribble "byte-by-byte" Bear: "answers come one byte at a time";
    CloseEach "close-each" Bear: "connections are closed after each answer";
    CloseDelimited "close-delimited" Bear: "the end of the connection ends an answer";
    Headers "odd-headers" Bear: "header names are in lower case, with more headers than usual";
    Charset "charset" Bear: "Content-Type names a charset";
    PlainType "plain-type" Bear: "Content-Type is text/plain";
    LaterMembers "later-members" Bear: "manifests carry shareRefreshTokens";
    DiscoveryBoth "discovery-both" Bear: "discovery names gRPC as well, before HTTP/JSON";
    NoDiscovery "no-discovery" Bear: "there is no discovery";
    Discovery500 "discovery-500" Bear: "discovery answers 500";

    Redirect301Port "redirect-301-port" Watch: "vault operations are redirected (301) to another port";
    Redirect302Host "redirect-302-host" Watch: "vault operations are redirected (302) to another host";
    Redirect302Port "redirect-302-port" Watch: "vault operations are redirected (302) to another port";
    Redirect303Host "redirect-303-host" Watch: "vault operations are redirected (303) to another host";
    Redirect307Port "redirect-307-port" Watch: "vault operations are redirected (307) to another port";
    Redirect307Host "redirect-307-host" Watch: "vault operations are redirected (307) to another host";
    Redirect308Host "redirect-308-host" Watch: "vault operations are redirected (308) to another host";
    RedirectChain302 "redirect-chain-302" Watch: "vault operations are redirected (302) to another port, and on from there";
    RedirectChain307 "redirect-chain-307" Watch: "vault operations are redirected (307) to another port, and on from there";
    RedirectOn302 "redirect-on-302" Watch: "vault operations are redirected (302) to another port, and from there to a host of another name";
    RedirectOn307 "redirect-on-307" Watch: "vault operations are redirected (307) to another port, and from there to a host of another name";
    RedirectWithin302 "redirect-within-302" Watch: "vault operations are redirected (302) to another path of the vault, and from there to another port";
    RedirectWithin307 "redirect-within-307" Watch: "vault operations are redirected (307) to another path of the vault, and from there to another port";
    RedirectRelative302 "redirect-relative-302" Watch: "vault operations are redirected (302) to another port by a Location without a scheme";
    RedirectRelative307 "redirect-relative-307" Watch: "vault operations are redirected (307) to another port by a Location without a scheme";
    RedirectUser302 "redirect-user-302" Watch: "vault operations are redirected (302) to another port by a Location that begins as the vault's URL does, before an @";
    RedirectUser307 "redirect-user-307" Watch: "vault operations are redirected (307) to another port by a Location that begins as the vault's URL does, before an @";
    RedirectPrefix302 "redirect-prefix-302" Watch: "vault operations are redirected (302) to a port whose first digits are the vault's port";
    RedirectPrefix307 "redirect-prefix-307" Watch: "vault operations are redirected (307) to a port whose first digits are the vault's port";
    RedirectPlain302 "redirect-plain-302" Watch: "vault operations are redirected (302) from https to http";
    RedirectPlain307 "redirect-plain-307" Watch: "vault operations are redirected (307) from https to http";
    RedirectMoved "redirect-moved" Watch: "the first pull is redirected (308) to another port, and no later one";
    RedirectPull302 "redirect-pull-302" Watch: "pull is redirected (302) to another host";
    RedirectPull307 "redirect-pull-307" Watch: "pull is redirected (307) to another port";
    RedirectGet302 "redirect-get-302" Watch: "fetchMemberKey is redirected (302) to another host";
    RedirectGet307 "redirect-get-307" Watch: "fetchMemberKey is redirected (307) to another port";
    RedirectDiscovery "redirect-discovery" Watch: "discovery is redirected (307) to another port";
    CreatedElsewhere "created-elsewhere" Watch: "what is created is said (201) to be at another port, and pull is sent there (300)";
    PushFails "push-fails" Watch: "the first push is answered with 503 and not carried out";
    PushForbidden "push-forbidden" Watch: "every push is refused with 403";
    PushLost "push-lost" Watch: "the first push isn't carried out and gets no answer, and another member writes then";
    PushUnanswered "push-unanswered" Watch: "the first push is carried out and gets no answer";
    ConflictRead "conflict-after-read" Watch: "another member changes an account, deletes one and adds others between the pull and the push of a member who has read";
    ConflictFirst "conflict-first-push" Watch: "another member rotates and writes just before the first push";
    ConflictEdits "conflict-edits" Watch: "another member changes an account, deletes one and adds others just before the first push";
    ConflictTwice "conflict-twice" Watch: "another member writes just before the first two pushes";
    ConflictAlways "conflict-always" Watch: "another member writes before every push";
    TokenRevoked "token-revoked" Watch: "after the third operation no token that was given is valid any longer";
    NoTokenValid "no-token-valid" Watch: "no token is ever valid";
    Forbidden "forbidden" Watch: "every vault operation is refused with 403";
    ServerError "server-error" Watch: "every vault operation is answered with 500";
    RetryAfter "retry-after" Watch: "the first vault operation is answered with 429 and Retry-After: 1";
    SwappedKeys "swapped-keys" Watch: "the vault serves X25519 keys of its own for other members";
    Hang "hang" Watch: "the vault takes requests and never answers";
    TlsRight "tls" Watch: "the vault is behind TLS with the right certificate";
    TlsUnknownCa "tls-unknown-ca" Watch: "the certificate is of an authority that nobody knows";
    TlsWrongName "tls-wrong-name" Watch: "the certificate is for another name";
    TlsWrongDns "tls-wrong-dns" Watch: "the certificate is for another name, and the vault is called localhost";
    TlsExpired "tls-expired" Watch: "the certificate has expired";
    TlsSelfSigned "tls-self-signed" Watch: "the certificate is signed by itself";
    TlsNotYet "tls-not-yet" Watch: "the certificate isn't valid yet";
    TlsLater "tls-later" Watch: "the certificate is right for two connections, and of an authority that nobody knows for the others";
    IssuerUnknownCa "issuer-unknown-ca" Watch: "the issuer's certificate is of an authority that nobody knows";
}

impl Bend {
    /// Whether somebody else's payload is served at the reader's first pull.
    pub fn rotates(self) -> bool {
        matches!(self, Self::Rotated | Self::RotatedGarbage | Self::ConflictRead | Self::ConflictAlways)
            || matches!(self.demand(), Demand::Read | Demand::Refuse)
    }

    /// Whether what a client does here is what it always does, so that every rule about requests may look at it.
    pub fn is_sane(self) -> bool {
        matches!(self.demand(), Demand::Bear | Demand::Read)
            || matches!(
                self,
                Self::Honest
                    | Self::Again
                    | Self::Rotated
                    | Self::ConflictRead
                    | Self::ConflictFirst
                    | Self::TokenRevoked
            )
    }

    /// Whether the client is given an `https` URL.
    pub fn is_tls(self) -> bool {
        matches!(self, Self::TlsRight | Self::TlsUnknownCa | Self::TlsWrongName | Self::TlsWrongDns)
            || matches!(self, Self::TlsExpired | Self::TlsLater | Self::TlsSelfSigned | Self::TlsNotYet)
            || matches!(self, Self::RedirectPlain302 | Self::RedirectPlain307)
    }
}
