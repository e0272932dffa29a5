//! Clients behind an adapter: a JSON object a line in, one out (docs/clients.md), and the tour that they are taken on.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Take};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::time::timeout;

use super::subject::{Exit, Subject, environment, filled};
use super::vault::{Authority, Vault};
use crate::agent::{Connection, driver};
use crate::client::random;
use crate::process::{Program, Start};

/// A longer line isn't an answer.
const LONGEST: u64 = 16 << 20;

/// Why a verb brought no result.
#[derive(Debug)]
pub(super) enum Failure {
    /// The adapter doesn't know it.
    Unsupported,
    /// The client said no: class and message.
    Refused(String, String),
    /// No answer in time, or nothing that is one.
    Broken(Exit),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unsupported => f.write_str("unsupported"),
            Self::Refused(class, message) => write!(f, "{class}: {message}"),
            Self::Broken(exit) => write!(f, "{exit}"),
        }
    }
}

/// A running adapter.
pub(super) enum Adapter {
    /// A program.
    Process { program: Box<Program>, input: ChildStdin, output: BufReader<Take<ChildStdout>>, patience: Duration },
    /// The built-in one.
    Embedded(Box<driver::Adapter>, Duration),
}

impl Adapter {
    /// Starts the adapter of a subject.
    pub(super) fn start(subject: &Subject, ca: &Path, patience: Duration) -> Result<Self, Exit> {
        let words = match subject {
            Subject::Driver(words) => words,
            Subject::EmbeddedDriver(habits) => {
                let ca = Authority::get().ok().map(|authority| authority.pem.clone().into());
                let adapter = driver::Adapter::new(Connection { ca, timeout: Some(patience) }, habits.clone());
                return Ok(Self::Embedded(Box::new(adapter), patience * 2));
            }
            _ => return Err(Exit::Unusable("no adapter".into())),
        };
        let start = Start { words: filled(words, "", ca), env: environment("", ca), talks: true, folder: None };
        let unusable = |error: std::io::Error| Exit::Unusable(format!("{} doesn't start: {error}", words[0]));
        let mut program = Box::new(Program::start(&start).map_err(unusable)?);
        let (input, output) = program.talk.take().ok_or_else(|| Exit::Unusable("no pipes".into()))?;
        Ok(Self::Process { program, input, output: BufReader::new(output.take(LONGEST)), patience })
    }

    /// Asks for a verb.
    pub(super) async fn ask(&mut self, request: Value) -> Result<Value, Failure> {
        let line = request.to_string();
        let answer = match self {
            Self::Embedded(adapter, patience) => {
                timeout(*patience, adapter.line(&line)).await.map_err(|_| Failure::Broken(Exit::TimedOut))?
            }
            Self::Process { program, input, output, patience } => {
                let mut answer = String::new();
                output.get_mut().set_limit(LONGEST);
                let talk = async {
                    input.write_all(format!("{line}\n").as_bytes()).await?;
                    input.flush().await?;
                    output.read_line(&mut answer).await
                };
                match timeout(*patience, talk).await {
                    Err(_) => return Err(Failure::Broken(Exit::TimedOut)),
                    Ok(Ok(count)) if count > 0 => {}
                    Ok(_) => {
                        let words = program.stderr.text();
                        let last = words.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
                        let last: String = last.chars().take(200).collect();
                        return Err(Failure::Broken(Exit::Unusable(format!("the adapter ended: {last}"))));
                    }
                }
                answer
            }
        };
        let no_answer = || {
            let start: String = answer.chars().take(120).collect();
            Failure::Broken(Exit::Unusable(format!("the adapter's line isn't an answer: {start}")))
        };
        let value: Value = serde_json::from_str(&answer).map_err(|_| no_answer())?;
        if let Some(result) = value.get("ok") {
            return Ok(result.clone());
        }
        match value["error"].as_str().ok_or_else(no_answer)? {
            "unsupported" => Err(Failure::Unsupported),
            class => Err(Failure::Refused(class.into(), value["message"].as_str().unwrap_or_default().into())),
        }
    }

    /// Ends it with everything that it has started.
    pub(super) async fn end(self) {
        if let Self::Process { mut program, input, .. } = self {
            // The end of its input is the polite way.
            drop(input);
            program.finish(Duration::from_millis(500)).await;
        }
    }
}

/// One client of an adapter.
pub(super) struct Talker<'a> {
    pub adapter: &'a mut Adapter,
    /// What was said, for a reader and for `--shows`.
    pub said: Vec<String>,
    pub unsupported: Vec<String>,
}

impl<'a> Talker<'a> {
    pub(super) fn new(adapter: &'a mut Adapter) -> Self {
        Self { adapter, said: Vec::new(), unsupported: Vec::new() }
    }

    /// Asks `client` for a verb with these members.
    pub(super) async fn ask(&mut self, client: &str, verb: &str, members: Value) -> Result<Value, Failure> {
        let mut request = members;
        request["client"] = client.into();
        request["verb"] = verb.into();
        let answer = self.adapter.ask(request).await;
        let name = client.split('-').next().unwrap_or_default();
        match &answer {
            Ok(result) => self.said.push(format!("{name} {verb}: {result}")),
            Err(failure) => self.said.push(format!("{name} {verb}: {failure}")),
        }
        if matches!(answer, Err(Failure::Unsupported)) && !self.unsupported.iter().any(|known| known == verb) {
            self.unsupported.push(verb.to_owned());
        }
        answer
    }

    /// As [`Self::ask`]; an unsupported verb is passed over.
    async fn try_to(&mut self, client: &str, verb: &str, members: Value) -> Result<Value, Failure> {
        match self.ask(client, verb, members).await {
            Err(Failure::Unsupported) => Ok(Value::Null),
            other => other,
        }
    }
}

/// Takes a client on the tour at a vault: three members, everything once.
pub(super) async fn script(
    adapter: impl Fn() -> Result<Adapter, Exit>,
    vault: &Vault,
    _timeout: Duration,
) -> (Exit, String, Vec<String>) {
    let mut adapter = match adapter() {
        Ok(adapter) => adapter,
        Err(exit) => return (exit, String::new(), Vec::new()),
    };
    let mut talker = Talker::new(&mut adapter);
    let exit = match tour(&mut talker, &vault.url()).await {
        Ok(()) => Exit::Code(0),
        Err(Failure::Broken(exit)) => exit,
        Err(_) => Exit::Code(1),
    };
    let (said, unsupported) = (talker.said.join("\n"), std::mem::take(&mut talker.unsupported));
    adapter.end().await;
    (exit, said, unsupported)
}

async fn tour(talker: &mut Talker<'_>, url: &str) -> Result<(), Failure> {
    let scheme = url.split(':').next().unwrap_or_default();
    let mut ids = Vec::new();
    for name in ["alice", "bob", "carol"] {
        ids.push(talker.ask(name, "identity", json!({ "scheme": scheme })).await?);
    }
    let asked = json!({ "url": url, "accounts": [account("first")] });
    let repo = talker.try_to("alice", "create", asked).await?["repo"].clone();
    if repo.is_null() {
        return Ok(());
    }
    let mut second = account("second");
    second["sourceUser"] = MARKED_USER.into();
    talker.try_to("alice", "put", json!({ "repo": repo, "account": second })).await?;
    let invite = |id: &Value| json!({ "repo": repo, "inviteRequest": id["inviteRequest"] });
    let locator = talker.try_to("alice", "invite", invite(&ids[1])).await?["locator"].clone();
    if locator.is_null() {
        talker.try_to("alice", "read", json!({ "repo": repo })).await?;
        return Ok(());
    }
    talker.try_to("alice", "invite", invite(&ids[2])).await?;
    let joined = talker.try_to("bob", "join", json!({ "locator": locator })).await?["repo"].clone();
    if !joined.is_null() {
        talker.try_to("bob", "read", json!({ "repo": joined })).await?;
        talker.try_to("bob", "put", json!({ "repo": joined, "account": account("third") })).await?;
    }
    talker.try_to("alice", "read", json!({ "repo": repo })).await?;
    let removed =
        talker.try_to("alice", "remove", json!({ "repo": repo, "memberId": ids[1]["ed25519PublicKey"] })).await?;
    if !removed.is_null() {
        talker.try_to("alice", "read", json!({ "repo": repo })).await?;
    }
    Ok(())
}

/// What stands in every credential that a client is told to keep, and belongs nowhere but in a ciphertext.
pub(super) const CREDENTIAL: &str = "secret-of_7Kq2.avp";

/// What every name begins with that a client is told to keep; likewise.
pub(super) const MARKED_NAME: &str = "Zq7Kav_";

/// What every id ends in of an account that a client is told to keep; likewise.
pub(super) const MARKED_UUID: &str = "7a9e3c51d2f0";

/// A user whom a client is told to keep with an account; likewise.
pub(super) const MARKED_USER: &str = "user-Wb4Xe.local";

/// An account that a client is to write.
pub(super) fn account(name: &str) -> Value {
    let uuid = random::uuid();
    let uuid = format!("{}{MARKED_UUID}", &uuid[..uuid.len() - MARKED_UUID.len()]);
    json!({
        "uuid": uuid, "username": format!("{MARKED_NAME}{name}"), "accessToken": CREDENTIAL, "type": "OFFLINE", "lastUsed": 1_700_000_000_000_i64,
        "lastUsedBy": null, "ban": null,
    })
}
