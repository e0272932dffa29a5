//! What the built-in client can do wrong (faults, to measure the judge of clients) or oddly (quirks, which it must let pass).

use crate::requirements::{self as rules, Level, Requirement};

/// Declares the habits: variant, name, the rule that a fault breaks, and what the client does in a sentence.
macro_rules! habits {
    (faults { $($fault:ident $name:literal breaks $rule:ident: $summary:literal;)* }
     quirks { $($quirk:ident $quirk_name:literal: $quirk_summary:literal;)* }) => {
        /// One habit.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Habit {
            $(#[doc = $summary] $fault,)*
            $(#[doc = $quirk_summary] $quirk,)*
        }

        /// All of them: faults, then quirks.
        static ALL: &[HabitInfo] = &[
            $(HabitInfo { habit: Habit::$fault, name: $name, breaks: Some(&rules::$rule), summary: $summary },)*
            $(HabitInfo { habit: Habit::$quirk, name: $quirk_name, breaks: None, summary: $quirk_summary },)*
        ];
    };
}

habits! {
    faults {
        SignsText "client-signs-nonce-text" breaks CLIENT_SIGNS_RAW: "Signs the base64 text of the nonce.";
        SignsFirst32 "client-signs-first-32-bytes" breaks CLIENT_SIGNS_RAW: "Signs only the first 32 bytes of a nonce.";
        SignsTrimmed "client-signs-nonce-trimmed" breaks CLIENT_SIGNS_RAW: "Strips blanks and zero bytes from the ends of a nonce before it signs.";
        RedeemsTwice "client-redeems-nonce-twice" breaks CLIENT_FRESH_CHALLENGE: "Redeems a nonce a second time instead of asking for a new one.";
        OneNonceForAll "client-keeps-nonce" breaks CLIENT_FRESH_CHALLENGE: "Keeps the nonce of the first login for the next ones.";
        TokenInUrl "client-token-in-url" breaks CLIENT_BEARER: "Repeats the token in the query of the URL.";
        TokenInBody "client-token-in-body" breaks CLIENT_BEARER: "Repeats the token as a member of the request.";
        TokenInHeader "client-token-in-other-header" breaks CLIENT_BEARER: "Repeats the token in a header of its own.";
        TokenScheme "client-token-scheme" breaks CLIENT_BEARER: "Sends the token as Authorization: Token.";
        TokenLowercase "client-token-lowercase" breaks CLIENT_BEARER: "Sends the token in lower case.";
        TokenMustBeJwt "client-token-must-be-jwt" breaks CLIENT_TOKEN_OPAQUE: "Refuses a token that isn't a JWT.";
        TokenCut "client-token-cut" breaks CLIENT_TOKEN_OPAQUE: "Keeps only the first 4096 characters of a token.";
        TokenFollows307 "client-token-follows-307" breaks CLIENT_TOKEN_PER_HOST: "Follows a 307 or 308 to another server, with the token.";
        TokenFollows302 "client-token-follows-302" breaks CLIENT_TOKEN_PER_HOST: "Follows a 301, 302 or 303 to another server, with the token.";
        TokenFollowsPort "client-token-follows-port" breaks CLIENT_TOKEN_PER_HOST: "Takes another port of the same machine for the same server.";
        OneTokenForAll "client-one-token-for-all" breaks CLIENT_TOKEN_PER_HOST: "Uses its first token with every server.";
        TokenByName "client-token-by-host-name" breaks CLIENT_TOKEN_PER_HOST: "Keeps tokens by host name, without the port.";
        TokenToIssuer "client-token-to-issuer" breaks CLIENT_TOKEN_PER_HOST: "Asks the issuer for its keys with the vault's token.";
        NoRelogin "client-no-new-login" breaks CLIENT_RELOGIN: "Ends with an error when its token isn't accepted any longer.";
        EndlessLogin "client-endless-logins" breaks CLIENT_RELOGIN: "Logs in again and again as long as it is answered with 401.";
        ExpiryAsInt32 "client-expiry-32-bit" breaks CLIENT_INT64: "Can't read an expiry beyond 2^53.";
        AadLittleEndian "client-aad-little-endian" breaks CLIENT_AAD: "Binds counters in little-endian order.";
        AadNoSeparator "client-aad-no-separator" breaks CLIENT_AAD: "Leaves out the separator after the repository id.";
        AadDecimal "client-aad-decimal" breaks CLIENT_AAD: "Binds the counters as decimal text.";
        AadNone "client-aad-none" breaks CLIENT_AAD: "Binds its payloads to nothing.";
        AadNoEpoch "client-aad-without-epoch" breaks CLIENT_AAD: "Leaves the epoch out of the additional data.";
        AadDouble "client-aad-through-double" breaks CLIENT_INT64: "Passes the counters of the additional data through a double.";
        AadNegative "client-aad-32-bit" breaks CLIENT_INT64: "Binds only the lower 32 bits of the counters.";
        TagUnchecked "client-tag-unchecked" breaks CLIENT_AAD_CHECKED: "Decrypts payloads without looking at the tag.";
        AadFallback "client-aad-fallback" breaks CLIENT_AAD_CHECKED: "Reads a payload that is bound to nothing if it can't be read otherwise.";
        OlderVersions "client-reads-other-versions" breaks CLIENT_AAD_CHECKED: "Tries the neighbouring versions if a payload can't be read.";
        OlderEpochs "client-reads-other-epochs" breaks CLIENT_AAD_CHECKED: "Tries the neighbouring epochs if a payload can't be read.";
        AnyRepoId "client-reads-other-repositories" breaks CLIENT_STRICT_ENVELOPE: "Goes by the repository id that an envelope names.";
        HeaderUnchecked "client-ignores-manifest-version" breaks CLIENT_STRICT_ENVELOPE: "Takes an envelope of another version than the manifest's.";
        WrapNoAad "client-wrap-no-aad" breaks CLIENT_WRAP: "Wraps and unwraps without additional data.";
        WrapInfo "client-wrap-info" breaks CLIENT_WRAP: "Wraps and unwraps with a label of its own.";
        WrapNoSalt "client-wrap-no-salt" breaks CLIENT_WRAP: "Derives the key of the wrap with an empty salt.";
        WrapRawSecret "client-wrap-raw-secret" breaks CLIENT_WRAP: "Uses the shared secret itself as the key of the wrap.";
        WrapUnchecked "client-wrap-tag-unchecked" breaks CLIENT_WRAP_CHECKED: "Unwraps without looking at the tag.";
        WrapAnyScheme "client-any-scheme" breaks CLIENT_STRICT_ENVELOPE: "Takes a wrapped key of a scheme that it doesn't know.";
        SameIv "client-same-iv" breaks CLIENT_FRESH_IV: "Seals every payload with the same IV.";
        IvFromVersion "client-iv-from-version" breaks CLIENT_FRESH_IV: "Takes the payload version for the IV.";
        SameEphemeral "client-same-ephemeral" breaks CLIENT_FRESH_EPHEMERAL: "Wraps with one ephemeral key for all.";
        LongIv "client-iv-16-bytes" breaks CLIENT_SIZES: "Sends IVs of 16 bytes.";
        KeysAsDer "client-keys-as-der" breaks CLIENT_SIZES: "Sends X25519 keys in their DER form.";
        UrlAlphabet "client-base64url" breaks CLIENT_BASE64: "Spells ciphertexts in the URL alphabet.";
        NoPadding "client-no-padding" breaks CLIENT_BASE64: "Leaves out the padding.";
        NumbersAsText "client-numbers-as-text" breaks CLIENT_SHAPES: "Sends counters as strings.";
        SnakeCase "client-snake-case" breaks CLIENT_SHAPES: "Names members in snake_case.";
        ExtraMembers "client-extra-members" breaks CLIENT_SHAPES: "Adds a member of its own to requests.";
        MissingMember "client-missing-member" breaks CLIENT_SHAPES: "Leaves out knownPayloadVersion.";
        NoContentType "client-no-content-type" breaks CLIENT_JSON_CONTENT_TYPE: "Labels its JSON as plain text.";
        PlainPayload "client-plain-payload" breaks CLIENT_ZERO_KNOWLEDGE: "Sends the payload as base64 without encrypting it.";
        PlainDataKey "client-plain-data-key" breaks CLIENT_ZERO_KNOWLEDGE: "Sends the data key where the wrapped one belongs.";
        SeedInHeader "client-seed-in-header" breaks CLIENT_ZERO_KNOWLEDGE: "Sends its seed in a header.";
        SeedInAgent "client-seed-in-user-agent" breaks CLIENT_ZERO_KNOWLEDGE: "Identifies itself by its seed in User-Agent.";
        SeedInHex "client-seed-in-query" breaks CLIENT_ZERO_KNOWLEDGE: "Puts its seed into the query of the URL, in hex.";
        PrivateKeyAsDer "client-private-key-der" breaks CLIENT_ZERO_KNOWLEDGE: "Sends its private Ed25519 key in PKCS#8 when it logs in.";
        AccountToOthers "client-tells-accounts" breaks CLIENT_ZERO_KNOWLEDGE: "Tells the credential of an account that it adds in a header.";
        PrivateKeyInBody "client-private-key-in-body" breaks CLIENT_ZERO_KNOWLEDGE: "Sends its private X25519 key when it logs in.";
        NameInUrl "client-name-in-url" breaks CLIENT_ZERO_KNOWLEDGE: "Names the account in the query of the URL.";
        DropsUnknown "client-drops-unknown-members" breaks CLIENT_KEEPS_UNKNOWN: "Writes back only the members that it knows.";
        DropsOthers "client-drops-other-accounts" breaks CLIENT_KEEPS_ACCOUNTS: "Writes only the account that it adds.";
        LosesBans "client-loses-bans" breaks CLIENT_KEEPS_ACCOUNTS: "Loses the bans of accounts when it writes.";
        NeedsProvenance "client-needs-provenance" breaks CLIENT_PROVENANCE_ABSENT: "Can't read accounts without provenance.";
        NoProvenance "client-no-provenance" breaks CLIENT_PROVENANCE_SET: "Adds accounts without provenance.";
        TrustsStamp "client-trusts-stamp" breaks CLIENT_STAMP: "Refuses a payload whose stamp isn't the envelope's version.";
        NoStamp "client-no-stamp" breaks CLIENT_PAYLOAD: "Writes payloads without payloadVersion.";
        AccountsUnderOtherName "client-accounts-member" breaks CLIENT_PAYLOAD: "Writes lastUsed as text.";
        CreatesWithTwo "client-creates-with-two" breaks CLIENT_CREATES_ALONE: "Creates a repository with a second member.";
        CreateDisagrees "client-create-counters" breaks CLIENT_COUNTERS: "Creates a repository whose envelope is of another version than the manifest.";
        SameVersion "client-same-version" breaks CLIENT_COUNTERS: "Pushes an envelope of the version that it replaces.";
        InvitesAtZero "client-invites-at-epoch-zero" breaks CLIENT_COUNTERS: "Adds members at the epoch that a repository begins with.";
        PushesAtZero "client-pushes-at-epoch-zero" breaks CLIENT_COUNTERS: "Pushes at the epoch that a repository begins with.";
        OldEntryEpoch "client-old-entry-epoch" breaks CLIENT_COUNTERS: "Leaves the old epoch in the entries of a removal.";
        ExpectsFromAnswer "client-expects-from-answer" breaks CLIENT_RETRIES: "Takes the version of a conflict answer for the next try, without pulling.";
        GivesUpOnConflict "client-gives-up-on-conflict" breaks CLIENT_RETRIES: "Ends with an error after a conflict.";
        IgnoresConflict "client-ignores-conflict" breaks CLIENT_RETRIES: "Takes a conflict for a success.";
        OverwritesOnConflict "client-overwrites-on-conflict" breaks CLIENT_RETRIES: "Retries with what it had made before, and loses the other's change.";
        EndlessConflict "client-endless-conflict" breaks CLIENT_BOUNDED: "Retries after conflicts for ever.";
        BlindPush "client-blind-push" breaks CLIENT_EXPECTS: "Guesses the version that it replaces.";
        RawSlash "client-raw-slash" breaks CLIENT_IDS_ESCAPED: "Puts ids into paths as they are.";
        DoubleEscape "client-double-escape" breaks CLIENT_IDS_ESCAPED: "Percent-encodes ids twice.";
        KeepsDataKey "client-keeps-data-key" breaks CLIENT_ROTATES: "Keeps the data key when it removes a member.";
        HashesDataKey "client-hashes-data-key" breaks CLIENT_ROTATES: "Makes the new data key of the old one when it removes a member.";
        ConflictKeepsKey "client-keeps-key-after-conflict" breaks CLIENT_AAD: "Retries after a conflict under the data key that it had, whatever it has pulled.";
        KeepsEpoch "client-keeps-epoch" breaks CLIENT_ROTATES: "Keeps the epoch when it removes a member.";
        KeepsRemoved "client-keeps-removed" breaks CLIENT_ROTATES: "Wraps the new data key to the removed member, too.";
        KeepsWraps "client-keeps-wraps" breaks CLIENT_ROTATES: "Leaves the old wrapped keys of others in the roster.";
        ForgetsMembers "client-forgets-members" breaks CLIENT_ROTATES: "Leaves everybody but itself out of the roster when it removes one member.";
        IgnoresErrors "client-ignores-errors" breaks CLIENT_ERRORS: "Tells every answer as a success.";
        Needs200 "client-needs-200" breaks CLIENT_LENIENT: "Takes a 201 for an error.";
        NeedsContentType "client-needs-content-type" breaks CLIENT_LENIENT: "Refuses JSON that isn't labelled exactly application/json.";
        RefusesLater "client-refuses-later-members" breaks CLIENT_LENIENT: "Refuses a manifest with shareRefreshTokens.";
        RefusesNull "client-refuses-null" breaks CLIENT_NULLS: "Can't read a manifest whose keyBindingSig is null.";
        FirstIsMe "client-first-member-is-me" breaks CLIENT_HTTP: "Takes the first entry of a roster for its own.";
        FirstChunk "client-first-chunk" breaks CLIENT_HTTP: "Takes the first part of an answer for all of it.";
        NeedsLength "client-needs-length" breaks CLIENT_HTTP: "Can't read answers without Content-Length.";
        RawEscapes "client-ignores-escapes" breaks CLIENT_HTTP: "Takes the escapes of JSON strings for the characters themselves.";
        NeedsIssuer "client-needs-issuer" breaks CLIENT_LOCATOR_OPTIONAL: "Can't read a locator without issuerJwksUrl.";
        TrustsHints "client-trusts-hints" breaks CLIENT_LOCATOR_OPTIONAL: "Takes the locator's epoch for the repository's.";
        PaddedTokens "client-padded-invites" breaks CLIENT_TOKENS_V1: "Pads its invite requests and locators.";
        SpacedTokens "client-spaced-invites" breaks CLIENT_TOKENS_V1: "Writes the JSON of invite requests and locators with blanks.";
        DiscoveryWithToken "client-discovery-with-token" breaks CLIENT_DISCOVERY_SILENT: "Asks for discovery with a token.";
        NoBinding "client-no-binding-check" breaks CLIENT_VERIFIES_BINDING: "Wraps to whatever key a server names.";
        BindingReversed "client-binding-reversed" breaks CLIENT_VERIFIES_BINDING: "Verifies bindings over the two keys in the other order.";
        AnyCertificate "client-any-certificate" breaks CLIENT_TLS: "Accepts any certificate.";
        AnyHostName "client-any-host-name" breaks CLIENT_TLS: "Accepts a certificate for another name.";
        NeverGivesUp "client-never-gives-up" breaks CLIENT_BOUNDED: "Waits for an answer for ever.";
        RetriesTerminal "client-retries-refusals" breaks CLIENT_TERMINAL: "Tries again what was refused for good.";
        IgnoresRetryAfter "client-ignores-retry-after" breaks CLIENT_RETRY_AFTER: "Tries again at once when it is told to wait.";
        LosesRefreshTokens "client-loses-refresh-tokens" breaks CLIENT_KEEPS_04: "Loses refresh tokens and the map of bans when it writes.";
        IdOfHost "client-id-of-host" breaks CLIENT_ID_HOSTLESS: "Begins the ids of its repositories with the host.";
        IdIsUri "client-id-is-uri" breaks CLIENT_ID_HOSTLESS: "Takes the address of a repository for its id.";
        NameInId "client-name-in-id" breaks CLIENT_ZERO_KNOWLEDGE: "Names a repository after the first account in it.";
        UuidInHeader "client-uuid-in-header" breaks CLIENT_ZERO_KNOWLEDGE: "Numbers its requests by the id of the account that it adds.";
        ForcesAtLast "client-forces-after-second-conflict" breaks CLIENT_RETRIES: "After the second conflict pushes what it has over the version that it was told.";
        MineWins "client-conflict-mine-wins" breaks CLIENT_KEEPS_ACCOUNTS: "After a conflict keeps its own state of accounts that somebody else has changed.";
        Resurrects "client-conflict-resurrects" breaks CLIENT_KEEPS_ACCOUNTS: "After a conflict brings back accounts that somebody else has deleted.";
        RotationResets "client-rotation-resets-version" breaks CLIENT_COUNTERS: "Begins to count versions anew with every removal.";
        UsedByName "client-used-by-name" breaks CLIENT_PAYLOAD: "Writes a user's name where the member id of the last user belongs.";
        SchemeUpper "client-scheme-upper" breaks CLIENT_WRAP: "Spells the scheme in capitals.";
        EpochZeroIsOne "client-epoch-zero-is-one" breaks CLIENT_AAD: "Takes epoch 0 for a missing one, and binds 1.";
        AadUtf16 "client-aad-surrogates" breaks CLIENT_AAD: "Binds ids in a UTF-8 that encodes each half of a surrogate pair.";
        AadLowSigned "client-aad-signed-words" breaks CLIENT_INT64: "Puts counters together from two words, the lower one signed.";
        IntsAfterBlanks "client-numbers-by-pattern" breaks CLIENT_INT64: "Keeps large numbers exact only where no blank comes before them.";
        PayloadDouble "client-payload-through-double" breaks CLIENT_KEEPS_ACCOUNTS: "Passes the numbers of a payload through a double.";
        TokenSecondHop "client-token-second-hop" breaks CLIENT_TOKEN_PER_HOST: "Drops the token at a redirect to another server, and sends it again after the next one.";
        TokenRelative "client-token-follows-relative" breaks CLIENT_TOKEN_PER_HOST: "Takes a Location without a scheme for one at the same server.";
        TokenPrefix "client-token-follows-prefix" breaks CLIENT_TOKEN_PER_HOST: "Takes every URL that begins as the server's does for one of the server's.";
        TokenToHttp "client-token-follows-to-http" breaks CLIENT_TOKEN_PER_HOST: "Follows from https to http on the same machine, with the token.";
        RemembersMoved "client-remembers-moved" breaks CLIENT_TOKEN_PER_HOST: "Remembers a 308 and goes to the new server with the old one's token from then on.";
        ReloginAtHome "client-new-login-at-first-host" breaks CLIENT_TOKEN_PER_HOST: "After a 401 logs in at its first server, whoever has asked.";
        TokenThreeParts "client-token-three-parts" breaks CLIENT_TOKEN_OPAQUE: "Keeps three parts of a token with dots.";
        SignsCString "client-signs-c-string" breaks CLIENT_SIGNS_RAW: "Signs a nonce up to its first zero byte.";
        WrapTagShort "client-wrap-tag-short" breaks CLIENT_WRAP_CHECKED: "Takes a wrapped key with whatever is left of its tag.";
        TrimsSecret "client-trims-shared-secret" breaks CLIENT_WRAP: "Loses the zero bytes that a shared secret begins with.";
        EphemeralOfKey "client-ephemeral-from-key" breaks CLIENT_FRESH_EPHEMERAL: "Makes the ephemeral key of the data key and the recipient.";
        InvitesOldKey "client-invites-with-first-key" breaks CLIENT_WRAP: "Invites with the data key that it has seen first.";
        TriesOldKeys "client-tries-old-keys" breaks CLIENT_AAD_CHECKED: "Tries the data keys that it has known if a payload can't be read.";
        MemoKey "client-one-new-key" breaks CLIENT_ROTATES: "Makes one new data key, and uses it for all its removals.";
        OldRoster "client-removes-with-old-roster" breaks CLIENT_ROTATES: "Removes from the roster that it has seen first.";
        RosterOfVersion "client-roster-of-version" breaks CLIENT_ROTATES: "Removes from the roster that it has seen first, as long as the version is the same.";
        PayloadOfEpoch "client-payload-of-epoch" breaks CLIENT_KEEPS_ACCOUNTS: "Writes the payload that it has read first when it removes a member, as long as the epoch is the same.";
        EmptyKeepsKey "client-empty-keeps-key" breaks CLIENT_ROTATES: "Seals a payload without accounts with the old key when it removes a member.";
        RestoresEmptied "client-restores-emptied" breaks CLIENT_KEEPS_ACCOUNTS: "Takes a payload without accounts for one that wasn't loaded, and writes those that it has read first.";
        IdEscapedInBody "client-id-escaped-in-body" breaks CLIENT_IDS_ESCAPED: "Escapes the repository's id in bodies as in paths.";
        StandardLocator "client-standard-locator" breaks CLIENT_TOKENS_V1: "Writes invite requests and locators in the standard alphabet of base64.";
        OtherTokenAfter401 "client-other-token-after-401" breaks CLIENT_TOKEN_PER_HOST: "Tries another host's token when its own isn't accepted.";
        FailedLoginBorrows "client-failed-login-borrows" breaks CLIENT_TOKEN_PER_HOST: "Uses another host's token where it can't log in.";
        RemovalDouble "client-removal-through-double" breaks CLIENT_INT64: "Passes the version of a removal's envelope through a double.";
        OldPayload "client-removes-with-old-payload" breaks CLIENT_KEEPS_ACCOUNTS: "Writes the payload that it has read first when it removes a member.";
        RosterPage "client-roster-of-sixteen" breaks CLIENT_ROTATES: "Looks at the first sixteen members only.";
        EmptyRoster "client-empty-roster" breaks CLIENT_ROTATES: "Pushes with an empty list of rotated members.";
        BindingFailsOpen "client-binding-fails-open" breaks CLIENT_VERIFIES_BINDING: "Trusts every key when the issuer's can't be had.";
        BindingById "client-binding-by-id" breaks CLIENT_VERIFIES_BINDING: "Verifies a member once, and never again.";
        BindingOfFetched "client-binding-of-fetched" breaks CLIENT_VERIFIES_BINDING: "Verifies the entry of fetchMemberKey, and wraps to the roster's.";
        BindingSelfSigned "client-binding-self-signed" breaks CLIENT_VERIFIES_BINDING: "Accepts a binding that the member has signed itself.";
        BindingOfId "client-binding-of-id" breaks CLIENT_VERIFIES_BINDING: "Accepts the issuer's signature over the member's id alone.";
        IssuerShared "client-issuer-keys-shared" breaks CLIENT_VERIFIES_BINDING: "Keeps the keys of the first issuer for all others.";
        InvitesRosterKey "client-invites-roster-key" breaks CLIENT_VERIFIES_BINDING: "Invites with the key that the roster has for the joiner.";
        ReposById "client-repositories-by-id" breaks CLIENT_ADDRESS: "Knows repositories by their ids, whatever the host.";
        CacheByVersion "client-cache-by-version" breaks CLIENT_ADDRESS: "Keeps what it has read by version, whatever the repository.";
        LowersIds "client-lowers-ids" breaks CLIENT_IDS_ESCAPED: "Puts ids into lower case.";
        ThreeTypes "client-three-types" breaks CLIENT_PAYLOAD: "Can't read accounts of the type SESSION.";
        ChunksAsText "client-chunks-as-text" breaks CLIENT_HTTP: "Takes every piece of an answer for text of its own.";
        FirstKilobytes "client-first-64-kilobytes" breaks CLIENT_HTTP: "Reads the first 64 KiB of an answer.";
        PutsByName "client-puts-by-name" breaks CLIENT_KEEPS_ACCOUNTS: "Replaces the account of the same name, whatever its id.";
        IssuerIsNull "client-issuer-is-null-text" breaks CLIENT_TOKENS_V1: "Writes the text null where a locator needs no issuer.";
        FirstProfile "client-first-profile" breaks CLIENT_LENIENT: "Looks at the first profile of a discovery only.";
        IssuerAnyCertificate "client-issuer-any-certificate" breaks CLIENT_TLS: "Accepts any certificate of an issuer.";
        CertificateOnce "client-certificate-once" breaks CLIENT_TLS: "Looks at a server's certificate once.";
        TokenOfOthers "client-token-of-another-member" breaks CLIENT_CREATES_ALONE: "Keeps tokens by host for all members of a process, whoever has logged in.";
        FollowsCreated "client-follows-created" breaks CLIENT_TOKEN_PER_HOST: "Looks at what a 201 names as created, wherever that is, with the token.";
        FollowsChoices "client-follows-300" breaks CLIENT_TOKEN_PER_HOST: "Follows a 300 to another server, with the token.";
        DiscoveryMoves "client-discovery-moves" breaks CLIENT_TOKEN_PER_HOST: "Takes the token of the server that it has asked for discovery to the one that discovery was redirected to.";
        TokenByAddress "client-token-by-address" breaks CLIENT_TOKEN_PER_HOST: "Keeps tokens by the address that the host's name stands for.";
        IvOfFour "client-iv-of-four" breaks CLIENT_FRESH_IV: "Takes the last two bits of the payload version for the IV.";
        BindingOwn "client-binding-own-entry" breaks CLIENT_VERIFIES_BINDING: "Wraps to whatever key the server names as its own.";
        BindingInvited "client-binding-invited" breaks CLIENT_VERIFIES_BINDING: "Trusts whatever key is served for a member that it has invited itself.";
        BindingFew "client-binding-first-three" breaks CLIENT_VERIFIES_BINDING: "Verifies the first three members of a roster.";
        RosterUnion "client-roster-union" breaks CLIENT_ROTATES: "Puts members back into the roster that somebody else has removed.";
        AloneKeepsKey "client-keeps-key-when-alone" breaks CLIENT_ROTATES: "Keeps the data key when it removes the last member beside itself.";
        SecondConflict "client-ignores-second-conflict" breaks CLIENT_RETRIES: "Takes a second conflict for a success.";
        UnreadIsEmpty "client-unreadable-is-empty" breaks CLIENT_AAD_CHECKED: "Takes a payload that it can't open for an empty one when it writes.";
        RemovesUnread "client-removes-unread" breaks CLIENT_AAD_CHECKED: "Doesn't look at the tag of the payload that it writes anew in a removal.";
        AccountsPage "client-last-thirty-accounts" breaks CLIENT_KEEPS_ACCOUNTS: "Keeps the last thirty accounts when it writes.";
        BasicPlane "client-names-in-basic-plane" breaks CLIENT_KEEPS_ACCOUNTS: "Writes question marks for characters beyond the basic plane.";
        DropsTokenless "client-drops-tokenless" breaks CLIENT_KEEPS_ACCOUNTS: "Drops accounts without a credential when it writes.";
        UsedByAll "client-used-by-all" breaks CLIENT_KEEPS_ACCOUNTS: "Writes itself as the last user of every account.";
        EpochDouble "client-epoch-through-double" breaks CLIENT_INT64: "Passes the epoch that a removal or an invitation names through a double.";
        IdNumber "client-id-as-number" breaks CLIENT_IDS_ESCAPED: "Takes an id of digits for a number.";
        IdTrimmed "client-id-trimmed" breaks CLIENT_IDS_ESCAPED: "Strips blanks from the ends of ids.";
        SchemeHint "client-trusts-scheme-hint" breaks CLIENT_LOCATOR_OPTIONAL: "Refuses a locator that names another scheme than the manifest does.";
        SourceInHeader "client-source-in-header" breaks CLIENT_ZERO_KNOWLEDGE: "Tells sourceUser of the account that it adds in a header.";
        CredentialInHex "client-credential-in-hex" breaks CLIENT_ZERO_KNOWLEDGE: "Tells the credential of an account that it adds in a header, in hex.";
        AnyNameForNames "client-any-name-for-names" breaks CLIENT_TLS: "Accepts a certificate for another name where the host is named and not numbered.";
        ManifestScheme "client-any-manifest-scheme" breaks CLIENT_STRICT_ENVELOPE: "Takes a manifest of a scheme that it doesn't know.";
        SignsDecodedTwice "client-signs-decoded-twice" breaks CLIENT_SIGNS_RAW: "Decodes a nonce again whose bytes look like base64.";
        IdCut "client-id-cut" breaks CLIENT_AAD: "Binds the first 64 bytes of an id.";
        OneDataKey "client-one-data-key" breaks CLIENT_DATA_KEY: "Uses one data key for all its repositories.";
        DataKeyOfId "client-data-key-from-id" breaks CLIENT_DATA_KEY: "Makes the data key of the repository's id.";
        DerivesDataKey "client-derives-data-key" breaks CLIENT_ROTATES: "Derives the new data key from the old one and the epoch when it removes a member.";
        HalfDataKey "client-half-data-key" breaks CLIENT_ROTATES: "Makes half of the data key anew when it removes a member.";
        BindingMalformed "client-binding-malformed" breaks CLIENT_VERIFIES_BINDING: "Passes over a binding that isn't a signature at all.";
        BindingEither "client-binding-either-order" breaks CLIENT_VERIFIES_BINDING: "Accepts a binding over the two keys in either order.";
        TimesInSeconds "client-times-in-seconds" breaks CLIENT_KEEPS_ACCOUNTS: "Writes the times of all accounts in whole seconds.";
        DropsUsedByRemoved "client-drops-accounts-of-removed" breaks CLIENT_KEEPS_ACCOUNTS: "Drops the accounts that a member used last when it removes that member.";
        OwnLastPayload "client-removes-with-own-last-payload" breaks CLIENT_KEEPS_ACCOUNTS: "Writes what it wrote at the last removal when it removes the next member.";
        SkipsPresent "client-conflict-skips-present" breaks CLIENT_RETRIES: "After a conflict leaves an account alone that somebody else has written meanwhile.";
        AppendsAgain "client-conflict-appends" breaks CLIENT_RETRIES: "After a conflict appends its account, whether or not there is one of its uuid.";
        LostIsDone "client-lost-push-is-done" breaks CLIENT_RETRIES: "Sends a push again that wasn't answered, and takes a conflict for its own success.";
        WrapSameIv "client-wrap-same-iv" breaks CLIENT_WRAP: "Wraps every data key with the same IV.";
        SchemeByPrefix "client-scheme-by-prefix" breaks CLIENT_STRICT_ENVELOPE: "Takes any version of the wrap scheme for the one that it knows.";
        WrapInfoFallback "client-wrap-label-fallback" breaks CLIENT_WRAP_CHECKED: "Unwraps without the label if a wrapped key can't be unwrapped otherwise.";
        BindingNotFirst "client-binding-not-first" breaks CLIENT_VERIFIES_BINDING: "Trusts whatever key is served for whoever stands first in a roster.";
        BindingOfRoster "client-binding-of-roster" breaks CLIENT_VERIFIES_BINDING: "Verifies the roster's entry, and wraps to that of fetchMemberKey.";
        TwiceInRoster "client-twice-in-roster" breaks CLIENT_ROTATES: "Puts itself into the new roster twice when it removes a member.";
        InvitesFirstEpoch "client-invites-at-first-epoch" breaks CLIENT_WRAP: "Invites at the epoch that it has seen first, with the key of now.";
        PushesOldRoster "client-pushes-old-roster" breaks CLIENT_ROTATES: "Pushes with the roster that it has seen first.";
        RestoresBans "client-conflict-restores-bans" breaks CLIENT_RETRIES: "After a conflict puts the bans back that it has read before.";
        ConflictForgets "client-conflict-drops-unknown" breaks CLIENT_KEEPS_UNKNOWN: "After a conflict writes back only the members that it knows.";
        RotationForgets "client-rotation-drops-unknown" breaks CLIENT_KEEPS_UNKNOWN: "Writes back only the members that it knows when it removes a member.";
        BanForgets "client-drops-unknown-of-bans" breaks CLIENT_KEEPS_UNKNOWN: "Writes back only the members of a ban that it knows.";
        IdOfHostEncoded "client-id-of-host-encoded" breaks CLIENT_ID_HOSTLESS: "Begins the ids of its repositories with the host in base64.";
        TokenThirdOrigin "client-token-third-origin" breaks CLIENT_TOKEN_PER_HOST: "Drops the token at a redirect to another server, and sends it again where that one sends it to a third.";
        TokenAfterOwn "client-token-after-own-redirect" breaks CLIENT_TOKEN_PER_HOST: "Looks at the first redirect only: one within the server, and whatever comes after it gets the token.";
        SelfSigned "client-self-signed-certificate" breaks CLIENT_TLS: "Accepts a certificate that is signed by itself.";
        NotYetValid "client-certificate-not-yet" breaks CLIENT_TLS: "Accepts a certificate that isn't valid yet.";
        IssuerMissing "client-issuer-missing" breaks CLIENT_VERIFIES_BINDING: "Takes a 404 of the issuer for a deployment without one.";
        IssuerForeign "client-issuer-without-ed25519" breaks CLIENT_VERIFIES_BINDING: "Takes an issuer without an Ed25519 key for none at all.";
        VersionZeroIsOne "client-version-zero-is-one" breaks CLIENT_AAD: "Takes version 0 for a missing one, and binds 1.";
        ThirdConflict "client-ignores-third-conflict" breaks CLIENT_RETRIES: "Takes a third conflict for a success.";
        RemovalKeepsVersion "client-removal-keeps-version" breaks CLIENT_COUNTERS: "Writes the rotated payload of a removal at the version that is there.";
        HashesLater "client-hashes-data-key-later" breaks CLIENT_ROTATES: "Makes the data key of its second removal, and of all later ones, of the one before.";
        CrashReport "client-crash-report" breaks CLIENT_ZERO_KNOWLEDGE: "Sends a report with its keys to the server when an operation is refused.";
        SeedCompressed "client-seed-compressed" breaks CLIENT_ZERO_KNOWLEDGE: "Sends its state in a header, compressed and in base64.";
        SeedAsPem "client-seed-as-pem" breaks CLIENT_ZERO_KNOWLEDGE: "Sends its private key in a header, in PEM with escaped line breaks.";
        TokenEncoded "client-token-encoded" breaks CLIENT_BEARER: "Repeats the token in base64 in a header of its own.";
        KeepsLaterEpochs "client-keeps-later-epochs" breaks CLIENT_ROTATES: "Raises the epoch with its first removal, and with no later one.";
        InviteCached "client-invite-cached" breaks CLIENT_WRAP: "Keeps the wrapped key of an invitation for the next one of the same member.";
        ShortIsEmpty "client-short-payload-is-empty" breaks CLIENT_AAD_CHECKED: "Takes a ciphertext that is too short for a tag for an empty payload when it writes.";
        IssuerByHost "client-issuer-by-host" breaks CLIENT_VERIFIES_BINDING: "Goes by the issuer of the first locator for all repositories of a host.";
        IssuerOfLast "client-issuer-of-last-locator" breaks CLIENT_VERIFIES_BINDING: "Goes by the issuer of the last locator for all repositories of a host.";
        KeysByOrigin "client-issuer-keys-by-origin" breaks CLIENT_VERIFIES_BINDING: "Keeps the keys of an issuer for all issuers of the same server.";
        BindingNullText "client-binding-null-text" breaks CLIENT_SIZES: "Writes the text null where an entry has no binding.";
        DropsUnprovenanced "client-drops-unprovenanced" breaks CLIENT_KEEPS_ACCOUNTS: "Drops accounts without provenance when it writes.";
        Latin1 "client-payload-latin-1" breaks CLIENT_PAYLOAD: "Writes payloads in Latin-1.";
        ExpiryLow32 "client-expiry-low-32-bits" breaks CLIENT_INT64: "Keeps the lower 32 bits of an expiry, with their sign, and refuses a token that expires before 1970.";
        WrapsLater "client-wraps-to-later-answer" breaks CLIENT_VERIFIES_BINDING: "Verifies the roster of one pull, and wraps to that of another one.";
        IssuerStale "client-issuer-keys-of-earlier" breaks CLIENT_VERIFIES_BINDING: "Goes by the keys that it was given last where an issuer doesn't answer, whosever they are.";
        ConflictUnread "client-conflict-over-unread" breaks CLIENT_AAD_CHECKED: "After a conflict pushes what it has if it can't open what there is.";
        ConflictByPlace "client-conflict-by-place" breaks CLIENT_RETRIES: "After a conflict replaces the account at the place where its own stood before.";
        LostAssumed "client-lost-push-assumed" breaks CLIENT_RETRIES: "Takes a push without an answer for one that was carried out, and pushes again over the version that it had.";
        DropsBindings "client-drops-bindings" breaks CLIENT_CARRIES_BINDINGS: "Leaves out the bindings of members when it removes one.";
        ShiftsBindings "client-shifts-bindings" breaks CLIENT_CARRIES_BINDINGS: "Gives members each other's bindings when it removes one.";
        RestoresRemoved "client-restores-removed" breaks CLIENT_ROTATES: "Puts members back into the roster that it has invited and removed.";
    }
    quirks {
        SendsTwice "client-sends-twice": "Sends a push again, byte for byte, after it was accepted.";
        RawPlus "client-raw-plus": "Leaves + and = as they are in paths.";
        StalePush "client-stale-push": "Pushes once with an old version on purpose, to see the conflict.";
        VersionSkips "client-version-skips": "Counts versions in steps of five.";
        Nulls "client-nulls": "Sends null for optional members that are absent.";
        FollowsAsGet "client-follows-as-get": "Follows redirects as GET without the token.";
        FollowsBare "client-follows-without-token": "Follows 307 and 308 with the body but without the token.";
        Shares "client-shares-refresh-tokens": "Creates repositories with shareRefreshTokens.";
        LoginEachTime "client-login-each-time": "Logs in anew for every request.";
        PullsTwice "client-pulls-twice": "Pulls twice before it does anything.";
        ChunkedRequests "client-chunked-requests": "Sends bodies in chunks.";
        RemovesByPush "client-removes-by-push": "Removes a member by a push with another roster.";
        FromZero "client-version-zero": "Creates repositories at version 0.";
        KnowsZero "client-knows-zero": "Creates repositories at version 0, pulls as if it knew that one, and pulls again where nothing is new.";
        CreatesAnother "client-creates-another": "Creates another repository of its own beside each that it is asked for.";
        OldAccountsOnly "client-odd-provenance": "Writes provenance that is an empty string.";
    }
}

/// What is to be known about a habit.
#[derive(Clone, Copy, Debug)]
pub struct HabitInfo {
    /// Which one.
    pub habit: Habit,
    /// Kebab-case name, for ever.
    pub name: &'static str,
    /// The rule that a fault breaks; `None` for a quirk.
    pub breaks: Option<&'static Requirement>,
    /// What the client does.
    pub summary: &'static str,
}

impl HabitInfo {
    /// Level of the broken rule.
    pub fn level(&self) -> Option<Level> {
        self.breaks.map(|rule| rule.level)
    }
}

impl Habit {
    /// All faults.
    pub fn faults() -> impl Iterator<Item = &'static HabitInfo> {
        ALL.iter().filter(|info| info.breaks.is_some())
    }

    /// All quirks.
    pub fn quirks() -> impl Iterator<Item = &'static HabitInfo> {
        ALL.iter().filter(|info| info.breaks.is_none())
    }
}

/// The habits of one client; none for the clean one.
#[derive(Clone, Debug, Default)]
pub struct Habits(pub Vec<Habit>);

impl Habits {
    /// Whether the client has this one.
    pub fn has(&self, habit: Habit) -> bool {
        self.0.contains(&habit)
    }
}
