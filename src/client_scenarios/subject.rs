//! What is judged, how programs are started, and how they end.

use std::path::Path;

use super::vault::Authority;
use crate::agent::Habits;

/// What is judged.
#[derive(Clone, Debug)]
pub enum Subject {
    /// A program, started once for every bend.
    Program(Vec<String>),
    /// The built-in client's tour.
    Embedded(Habits),
    /// A client behind an adapter, started once for every bend.
    Driver(Vec<String>),
    /// The built-in client behind its adapter.
    EmbeddedDriver(Habits),
}

impl Subject {
    /// Whether the suite decides what the client does.
    pub fn is_driven(&self) -> bool {
        matches!(self, Self::Driver(_) | Self::EmbeddedDriver(_))
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// Exit status; 0 says that all went well.
    Code(i32),
    /// Its time was up.
    TimedOut,
    /// It couldn't be started, or the adapter doesn't follow the protocol.
    Unusable(String),
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit status {code}"),
            Self::TimedOut => f.write_str("no end in time"),
            Self::Unusable(reason) => f.write_str(reason),
        }
    }
}

/// The pattern of `--shows`: a text, or a regular expression.
///
/// # Errors
/// In words.
pub fn shows_pattern(text: &str) -> Result<regex::Regex, String> {
    regex::Regex::new(text).map_err(|_| format!("--shows {text:?} isn't a regular expression"))
}

/// A file with the authority that programs are to trust, for as long as it is kept.
pub(super) fn ca_file() -> Result<tempfile::NamedTempFile, String> {
    let pem = &Authority::get()?.pem;
    let file =
        tempfile::Builder::new().prefix("avp-ca-").suffix(".pem").tempfile().map_err(|error| error.to_string())?;
    std::fs::write(file.path(), pem).map_err(|error| error.to_string())?;
    Ok(file)
}

/// The words of a command with their placeholders filled in.
pub(super) fn filled(words: &[String], url: &str, ca: &Path) -> Vec<String> {
    let host = url.split("://").nth(1).unwrap_or(url);
    let port = host.rsplit(':').next().unwrap_or_default();
    let fill = |word: &String| {
        word.replace("{url}", url)
            .replace("{ca}", &ca.to_string_lossy())
            .replace("{host}", host)
            .replace("{port}", port)
    };
    words.iter().map(fill).collect()
}

/// What a program finds in its environment: where the vault is, and whom to trust, under the names that runtimes look for.
pub(super) fn environment(url: &str, ca: &Path) -> Vec<(String, String)> {
    let ca = ca.to_string_lossy();
    let mut all = vec![("AVP_SERVER_URL".to_owned(), url.to_owned())];
    let names = ["AVP_CA_FILE", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"];
    all.extend(names.map(|name| (name.to_owned(), ca.clone().into_owned())));
    all
}
