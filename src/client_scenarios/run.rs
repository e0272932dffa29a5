//! One run of the client against one vault.

use std::path::Path;
use std::time::Duration;

use super::driver::{Adapter, script};
use super::subject::{Exit, Subject, environment, filled};
use super::vault::forge::Forged;
use super::vault::{Authority, Bend, Record, Vault};
use crate::agent::{Connection, demo};
use crate::client::random;
use crate::process::{Ended, Program, Start};

/// A run, and all that it has shown.
#[derive(Clone)]
pub(super) struct Ran {
    pub bend: Bend,
    pub exit: Exit,
    /// Standard output and error, or what an adapter answered.
    pub output: String,
    pub records: Vec<Record>,
    /// Keys of the vault's own.
    pub keys: Vec<Forged>,
    /// The X25519 public key of who waits in the middle.
    pub middle: String,
    /// What stands in every name that the vault's member has written, and nowhere else.
    pub canary: String,
    /// Verbs that an adapter doesn't support.
    pub unsupported: Vec<String>,
    pub took: Duration,
}

/// How runs are made.
pub(super) struct Runs<'a> {
    pub subject: &'a Subject,
    pub shows: Option<&'a regex::Regex>,
    pub ca: &'a Path,
    pub timeout: Duration,
    /// Whether the reader is somebody who joined.
    pub reader_joined: bool,
}

impl Runs<'_> {
    /// Runs the client once against a vault of its own.
    pub(super) async fn one(&self, bend: Bend) -> Ran {
        let started = tokio::time::Instant::now();
        let canary = crate::ground::hex::encode(&random::bytes::<5>());
        // A text that is to be shown is shown by what the vault's member has written, too.
        let text = self.shows.map(regex::Regex::as_str).filter(|text| regex::escape(text) == *text);
        let name = format!("{}v{canary}n", text.unwrap_or_default());
        let vault = match Vault::start(bend, "127.0.0.1:0", self.reader_joined, &name).await {
            Ok(vault) => vault,
            Err(error) => return self.unusable(bend, format!("can't listen: {error}")),
        };
        let (exit, output, unsupported) = self.play(&vault).await;
        let state = vault.state();
        let middle = crate::codec::base64::encode(&crate::codec::key_wrap::public_key(&state.middle));
        let keys = state.keys.clone();
        drop(state);
        Ran { bend, exit, output, records: vault.records(), keys, middle, canary, unsupported, took: started.elapsed() }
    }

    fn unusable(&self, bend: Bend, reason: String) -> Ran {
        let (output, middle, canary) = Default::default();
        let (records, keys, unsupported) = Default::default();
        let took = Duration::ZERO;
        Ran { bend, exit: Exit::Unusable(reason), output, records, keys, middle, canary, unsupported, took }
    }

    async fn play(&self, vault: &Vault) -> (Exit, String, Vec<String>) {
        let url = vault.url();
        let connection =
            || Connection { ca: Authority::get().ok().map(|a| a.pem.clone().into()), timeout: Some(self.timeout) };
        match self.subject {
            Subject::Program(words) => {
                let (exit, output) = self.program(words, &url).await;
                (exit, output, Vec::new())
            }
            Subject::Embedded(habits) => {
                let (timeout, connection) = (self.timeout * 2, connection());
                match tokio::time::timeout(timeout, demo::demo(&url, &connection, habits)).await {
                    Ok(shown) => (Exit::Code(shown.status), shown.lines.join("\n"), Vec::new()),
                    Err(_) => (Exit::TimedOut, String::new(), Vec::new()),
                }
            }
            Subject::Driver(_) | Subject::EmbeddedDriver(_) => {
                let adapter = || Adapter::start(self.subject, self.ca, self.timeout);
                script(adapter, vault, self.timeout).await
            }
        }
    }

    async fn program(&self, words: &[String], url: &str) -> (Exit, String) {
        let start =
            Start { words: filled(words, url, self.ca), env: environment(url, self.ca), talks: false, folder: None };
        let mut program = match Program::start(&start) {
            Ok(program) => program,
            Err(error) => return (Exit::Unusable(format!("{} doesn't start: {error}", start.words[0])), String::new()),
        };
        let ended = program.finish(self.timeout).await;
        let output = format!("{}\n{}", program.stdout.text(), program.stderr.text());
        let exit = match ended {
            Ended::Killed => Exit::TimedOut,
            // A signal counts as shells count it: anything but 0.
            Ended::Exited(status) => Exit::Code(status.code().unwrap_or(128)),
        };
        (exit, output)
    }
}
