//! Odd but conformant habits of servers in the field. A suite that fails one of them raises a false alarm.

mod bodies;
mod calls;
mod connections;
mod habits;
mod incomplete;
mod limits;
mod paths;
mod request;
mod rosters;
mod texts;
mod wire;

use std::sync::{Arc, LazyLock};

use crate::server::Profile;
use crate::server::edge::Edge;

/// What is to be known about a quirk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuirkInfo {
    /// Kebab-case name, for ever.
    pub name: &'static str,
    /// One sentence: what this server does.
    pub summary: &'static str,
}

/// An odd but conformant habit; several can be on together.
#[derive(Clone, Copy)]
pub struct Quirk {
    info: QuirkInfo,
    pub(super) build: fn() -> Arc<dyn Edge>,
    limit: bool,
}

/// The header that the quirk `needs-header` asks for, and its value.
pub const API_KEY: (&str, &str) = ("x-api-key", "avp-conform");

/// Habits, then limits.
static ALL: LazyLock<Vec<Quirk>> = LazyLock::new(|| [HABITS, wire::ALL, calls::ALL, limits::ALL].concat());

const HABITS: &[Quirk] = &[
    quirk("envelope-null", "When nothing changed, the envelope is null instead of absent.", || {
        Arc::new(bodies::ENVELOPE_NULL)
    }),
    quirk("bindings-of-its-own", "Who has no binding signature is served with one by the issuer's key set.", || {
        Arc::new(bodies::BINDINGS_OF_ITS_OWN)
    }),
    quirk("bindings-null", "Who has no binding signature is served with null.", || Arc::new(bodies::BINDINGS_NULL)),
    quirk("manifest-of-0.4", "Manifests say shareRefreshTokens: false when nobody set it.", || {
        Arc::new(bodies::SHARING_FALSE)
    }),
    quirk("discovery-extra", "Discovery has more members than it must, and a second profile.", || {
        Arc::new(bodies::DISCOVERY_EXTRA)
    }),
    quirk("sorted-keys", "The members of every JSON object are sorted by name.", || Arc::new(bodies::SORTED)),
    quirk("pretty-json", "JSON is spread over lines and indented.", || Arc::new(bodies::PRETTY)),
    quirk("escaped-json", "Plus, slash and everything outside ASCII is escaped in JSON strings.", || {
        Arc::new(bodies::ESCAPED)
    }),
    quirk("shuffled-members", "The roster comes in another order each time.", || Arc::new(bodies::Shuffled::default())),
    quirk("errors-empty", "Errors have no body.", || Arc::new(bodies::ERRORS_EMPTY)),
    quirk("errors-html", "Errors are HTML pages.", || Arc::new(bodies::ERRORS_HTML)),
    quirk("errors-text", "Errors are plain text.", || Arc::new(bodies::ERRORS_TEXT)),
    quirk("errors-problem", "Errors are problem details (RFC 9457).", || Arc::new(bodies::ERRORS_PROBLEM)),
    quirk("created-201", "createRepo answers with 201.", || Arc::new(habits::CREATED)),
    quirk("reject-400", "Where rejection is all that is asked for, it is 400.", || Arc::new(habits::REJECT_400)),
    quirk("reject-422", "Bad requests, and where rejection is all that is asked for, are 422.", || {
        Arc::new(habits::REJECT_422)
    }),
    quirk("stranger-404", "A repository doesn't exist for strangers.", || Arc::new(habits::STRANGER_404)),
    quirk("unknown-repo-403", "A repository that doesn't exist is forbidden to everybody.", || {
        Arc::new(habits::UNKNOWN_403)
    }),
    quirk("bad-signature-400", "A signature that doesn't verify is a bad request.", || Arc::new(habits::SIGNATURE_400)),
    quirk("unknown-route-401", "Without a token, routes that don't exist are 401 like all others.", || {
        Arc::new(habits::UnknownRoute401)
    }),
    quirk("discovery-absent", "There is no discovery, and no published key set.", || Arc::new(habits::NO_DISCOVERY)),
    quirk("membership-before-body", "404 and 403 come before the 400 for a bad body.", || {
        Arc::new(habits::MembershipFirst)
    }),
    quirk("opaque-tokens", "Tokens are random strings.", || Arc::new(habits::OpaqueTokens::default())),
    quirk("newest-token-only", "A newer login of a key ends its earlier tokens.", || {
        Arc::new(habits::NewestToken::default())
    }),
    quirk("nonce-burnt", "A nonce can be tried once, whether the signature is right or not.", || {
        Arc::new(habits::NonceBurnt::default())
    }),
    quirk("one-nonce-per-key", "A new challenge makes a key's earlier nonce void.", || {
        Arc::new(habits::OneNonce::default())
    }),
    quirk("needs-header", "Every request needs an API key in a header.", || Arc::new(habits::NeedsHeader)),
    quirk("occasional-429", "Now and then a request is answered with 429 and Retry-After.", || {
        Arc::new(habits::Occasional429::default())
    }),
    quirk("unknown-members-dropped", "Members of requests that nobody knows are dropped in silence.", || {
        Arc::new(habits::DropsUnknown)
    }),
    quirk("unknown-members-kept", "Members of requests that nobody knows are stored, and served again.", || {
        Arc::new(incomplete::KeepsUnknown::default())
    }),
    quirk(
        "numbers-from-text",
        "Counters in requests may be strings of digits, as the JSON of Protocol Buffers has them.",
        || Arc::new(habits::NumbersFromText),
    ),
    quirk("goes-by-path", "The repository is the one in the path, whatever the body says.", || {
        Arc::new(habits::GoesByPath)
    }),
    quirk("authorization-quoted", "A 401 quotes an Authorization that is no bearer token.", || {
        Arc::new(habits::QuotesAuthorization)
    }),
    quirk("errors-quote-requests", "What is wrong with a request is explained by quoting it.", || {
        Arc::new(habits::ErrorsQuote::default())
    }),
    quirk("plain-ids-only", "Repository ids other than unreserved characters are refused at creation.", || {
        Arc::new(habits::PlainIds)
    }),
    quirk("uuid-ids-only", "Repository ids that aren't UUIDs in lower case are refused at creation.", || {
        Arc::new(texts::Ids(texts::is_uuid))
    }),
    quirk("short-ids-only", "Repository ids of more than 64 characters are refused at creation.", || {
        Arc::new(texts::Ids(|id| id.chars().count() <= 64))
    }),
    quirk("trimmed-ids-only", "Repository ids with white space at their ends are refused at creation.", || {
        Arc::new(texts::Ids(texts::is_trimmed))
    }),
    quirk("usual-scheme-only", "A schemeId other than the specification's is refused.", || {
        Arc::new(texts::UsualScheme)
    }),
    quirk("canonical-keys-only", "An X25519 key with its highest bit set, as none has, is refused.", || {
        Arc::new(texts::CanonicalKeys)
    }),
    quirk("safe-counters-only", "Counters of 2^53 and more are refused.", || Arc::new(habits::SafeCounters)),
    quirk("small-bodies-only", "Bodies of more than 512 KiB are refused with 413.", || Arc::new(habits::SmallBodies)),
    quirk(
        "incomplete-kept",
        "What is missing or mistyped inside entries, envelopes and wrapped keys is stored and served as it came.",
        || Arc::new(incomplete::KeepsIncomplete::default()),
    ),
    quirk("slash-redirects", "A path with a slash behind it is redirected to the one without.", || {
        Arc::new(paths::SlashRedirects)
    }),
    quirk("folds-paths", "Slashes too many and upper case in the route's words make no difference to members.", || {
        Arc::new(paths::FoldsPaths)
    }),
    quirk("fallback-page", "A GET that nothing answers gets a web application's page.", || {
        Arc::new(paths::FallbackPage)
    }),
    quirk("preflights", "OPTIONS is answered with 204, and any origin may read answers without credentials.", || {
        Arc::new(paths::Preflights)
    }),
    quirk("compresses", "Answers are compressed with gzip for who accepts it.", || {
        Arc::new(paths::Compresses { everybody: false })
    }),
    quirk("compresses-unasked", "Answers are compressed with gzip for who doesn't say what is accepted.", || {
        Arc::new(paths::Compresses { everybody: true })
    }),
    quirk("length-required", "A request body without Content-Length is refused with 411.", || {
        Arc::new(paths::LengthRequired)
    }),
    quirk("revalidated", "Answers are private, have an ETag, and must be asked for again.", || {
        Arc::new(paths::Revalidated)
    }),
    quirk("extra-headers", "Answers carry headers that nobody asked for.", || Arc::new(connections::ExtraHeaders)),
    quirk("content-type-charset", "The Content-Type names a charset.", || Arc::new(connections::Charset)),
    quirk("chunked", "Answers come in chunks.", || Arc::new(connections::Chunked)),
    quirk("connection-close", "Every answer closes the connection.", || Arc::new(connections::ConnectionClose)),
    quirk("close-delimited", "Answers are HTTP/1.0 and end with the connection.", || {
        Arc::new(connections::CloseDelimited)
    }),
    quirk("large-body-closes", "A body of more than 4 MiB gets the connection closed.", || {
        Arc::new(limits::Closes(4 << 20))
    }),
    quirk("title-case-headers", "Header names are in title case.", || Arc::new(connections::TitleCase)),
    quirk("two-segments", "Head and body leave in two segments, without TCP_NODELAY.", || {
        Arc::new(connections::TwoSegments)
    }),
    quirk("latency-50ms", "Every answer takes 50 ms.", || Arc::new(connections::Latency(50))),
    quirk("latency-400ms", "Every answer takes 400 ms.", || Arc::new(connections::Latency(400))),
    quirk("single-threaded", "One request is served at a time.", || Arc::new(connections::SingleThreaded::default())),
    quirk("one-connection", "One connection is served at a time, for one request.", || {
        Arc::new(connections::OneConnection::default())
    }),
    quirk("one-kept-connection", "One connection is served at a time, and kept until the client closes it.", || {
        Arc::new(connections::KeptConnections::new(1))
    }),
    quirk(
        "three-kept-connections",
        "Three connections are served at a time, and kept until the client closes them.",
        || Arc::new(connections::KeptConnections::new(3)),
    ),
];

const fn quirk(name: &'static str, summary: &'static str, build: fn() -> Arc<dyn Edge>) -> Quirk {
    Quirk { info: QuirkInfo { name, summary }, build, limit: false }
}

/// Habits of paths, HTTP frames and JSON texts, which nobody meets over gRPC.
const OF_HTTP: [&str; 30] = [
    // The key set is found by discovery, which gRPC hasn't.
    "bindings-of-its-own",
    "chunked",
    "close-delimited",
    "closes-at-times",
    "compresses",
    "compresses-unasked",
    "connection-close",
    "content-type-charset",
    "created-201",
    "escaped-json",
    "fallback-page",
    "folds-paths",
    "goes-by-path",
    "integers-with-fraction",
    "length-required",
    "needs-accept",
    "numbers-from-text",
    "path-parts-of-100",
    "preflights",
    "pretty-json",
    "slash-redirects",
    "sorted-keys",
    "strict-content-type",
    "title-case-headers",
    "trailing-newline",
    "truth-counts",
    "two-segments",
    "unknown-members-dropped",
    "unknown-members-kept",
    "writes-201",
];

impl Quirk {
    /// Whether a profile can have it.
    pub fn exists_in(&self, profile: Profile) -> bool {
        match profile {
            Profile::Http => !self.info.name.starts_with("grpc-"),
            Profile::Grpc => !OF_HTTP.contains(&self.info.name),
        }
    }

    /// Whether it refuses what is too large, too long or too often.
    pub fn is_limit(&self) -> bool {
        self.limit
    }

    const fn of_limits(self) -> Self {
        Self { limit: true, ..self }
    }

    /// All quirks.
    pub fn all() -> &'static [Self] {
        &ALL
    }

    /// The quirk of a name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::all().iter().find(|quirk| quirk.info.name == name).copied()
    }

    /// What is to be known about it.
    pub fn info(&self) -> &QuirkInfo {
        &self.info
    }
}

impl std::fmt::Debug for Quirk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Quirk").field(&self.info.name).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn habits_of_http_are_habits() {
        for name in OF_HTTP {
            assert!(Quirk::by_name(name).is_some(), "there is no quirk {name}");
        }
    }
}
