//! `avp-conform agent`: the built-in client, for people.

use std::io::{BufRead, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::backend::unknown;
use super::{UsageError, output, runtime};
use crate::agent::driver::Adapter;
use crate::agent::{Agent, AgentError, ClientState, Connection, Habit, HabitInfo, Habits, demo};
use crate::report::text::clean;

/// Options of `agent`.
#[derive(Args, Debug)]
pub(super) struct AgentArgs {
    /// Where keys and repositories are kept; only its owner can read the file
    #[arg(long, value_name = "FILE", default_value = "avp-agent.json", env = "AVP_AGENT_STATE", global = true)]
    state: PathBuf,
    /// Trust this certificate authority (PEM) instead of the system's
    #[arg(long, value_name = "FILE", env = "AVP_CA_FILE", global = true)]
    ca_cert: Option<PathBuf>,
    /// Dial repositories of locators and avp:// addresses without TLS
    #[arg(long, global = true)]
    http: bool,
    /// The server is mine: members without a key binding are no reason to refuse
    #[arg(long, global = true)]
    own_host: bool,
    /// Break this rule (list --client-faults); for testing a judge of clients
    #[arg(long, value_name = "NAME", global = true)]
    fault: Option<String>,
    /// Have this odd but allowed habit; repeatable
    #[arg(long, value_name = "NAME", global = true)]
    quirk: Vec<String>,
    #[command(subcommand)]
    command: AgentCommand,
}

#[derive(Subcommand, Debug)]
enum AgentCommand {
    /// Show this client's member id and its invite request
    Identity,
    /// Create a repository at a server (http://, https:// or avp://)
    Create {
        /// The server
        url: String,
    },
    /// Join the repository of a locator
    Join {
        /// What the inviter got
        locator: String,
    },
    /// Invite the member of an invite request; prints the locator to join with
    Invite {
        /// What the joiner's identity shows
        request: String,
        /// avp://host/repoId; the only one by default
        #[arg(long)]
        repo: Option<String>,
    },
    /// Print the accounts of a repository as JSON
    Read {
        /// avp://host/repoId; the only one by default
        #[arg(long)]
        repo: Option<String>,
    },
    /// Add an account, or change the one of the same uuid
    Put {
        /// A JSON object, e.g. '{"uuid":"…","username":"Steve","accessToken":"…"}'
        account: String,
        /// avp://host/repoId; the only one by default
        #[arg(long)]
        repo: Option<String>,
    },
    /// Remove a member: new data key, new epoch
    Remove {
        /// The member id
        member: String,
        /// avp://host/repoId; the only one by default
        #[arg(long)]
        repo: Option<String>,
    },
    /// Play a tour with three members against a server, without keeping anything
    Demo {
        /// The server
        url: String,
    },
    /// Speak the adapter protocol on standard input and output (docs/clients.md)
    Driver,
}

/// Does it; 1 when it didn't come about.
pub(super) fn agent(args: &AgentArgs) -> Result<u8, UsageError> {
    let read = |path: &PathBuf| std::fs::read(path).map_err(|error| format!("--ca-cert {}: {error}", path.display()));
    let connection = Connection { ca: args.ca_cert.as_ref().map(read).transpose()?, timeout: None };
    let habits = habits(args.fault.as_deref(), &args.quirk)?;
    let runtime = runtime()?;
    match &args.command {
        AgentCommand::Driver => return drive(&runtime, Adapter::new(connection, habits)),
        AgentCommand::Demo { url } => {
            let shown = runtime.block_on(demo::demo(url, &connection, &habits));
            shown.lines.iter().try_for_each(|line| output::print(&format!("{}\n", clean(line)), PLAIN))?;
            return Ok(u8::try_from(shown.status).unwrap_or(1));
        }
        _ => {}
    }
    let done = runtime.block_on(async {
        let state = ClientState::open(&args.state)?;
        let mut agent = Agent::new(state, &connection, habits)?;
        (agent.plain_http, agent.own_host) = (args.http, args.own_host);
        act(&mut agent, &args.command).await
    });
    match done {
        Ok(text) => {
            text.lines().try_for_each(|line| output::print(&format!("{}\n", clean(line)), PLAIN))?;
            Ok(0)
        }
        Err(AgentError::Usage(text)) => Err(UsageError(text)),
        Err(error) => {
            output::print_error(&format!("error: {}\n", clean(&error.to_string())), PLAIN)?;
            Ok(1)
        }
    }
}

const PLAIN: anstream::ColorChoice = anstream::ColorChoice::Never;

/// The habits of their names.
pub(super) fn habits(fault: Option<&str>, quirks: &[String]) -> Result<Habits, UsageError> {
    let list = "list --client-faults";
    let fault = fault.map(|name| named("--fault", name, list, Habit::faults)).transpose()?;
    let quirks =
        quirks.iter().map(|name| named("--quirk", name, list, Habit::quirks)).collect::<Result<Vec<_>, _>>()?;
    Ok(Habits(fault.into_iter().chain(quirks).collect()))
}

/// The habit of a name, among faults or quirks.
fn named<I>(option: &str, name: &str, list: &str, known: fn() -> I) -> Result<Habit, UsageError>
where
    I: Iterator<Item = &'static HabitInfo>,
{
    let found = known().find(|info| info.name == name).map(|info| info.habit);
    found.ok_or_else(|| unknown(option, name, list, known().map(|info| info.name)))
}

async fn act(agent: &mut Agent, command: &AgentCommand) -> Result<String, AgentError> {
    match command {
        AgentCommand::Identity => {
            Ok(format!("member id       {}\ninvite request  {}", agent.state.keys.id(), agent.invite_request()))
        }
        AgentCommand::Create { url } => {
            let known = agent.create(url, Vec::new()).await?;
            Ok(format!("avp://{}/{}", known.host, known.repo_id))
        }
        AgentCommand::Join { locator } => {
            let known = agent.join(locator).await?;
            Ok(format!("avp://{}/{}", known.host, known.repo_id))
        }
        AgentCommand::Invite { request, repo } => {
            let known = agent.state.find(repo.as_deref())?;
            agent.invite(&known, request).await
        }
        AgentCommand::Read { repo } => {
            let known = agent.state.find(repo.as_deref())?;
            Ok(format!("{:#}", agent.read(&known).await?["alts"]))
        }
        AgentCommand::Put { account, repo } => {
            let account: Value =
                serde_json::from_str(account).map_err(|error| AgentError::Usage(format!("the account: {error}")))?;
            if !account["uuid"].is_string() {
                return Err(AgentError::Usage("the account needs a uuid".into()));
            }
            let known = agent.state.find(repo.as_deref())?;
            Ok(format!("version {}", agent.put(&known, &account).await?))
        }
        AgentCommand::Remove { member, repo } => {
            let known = agent.state.find(repo.as_deref())?;
            Ok(format!("epoch {}", agent.remove(&known, member).await?))
        }
        AgentCommand::Demo { .. } | AgentCommand::Driver => Err(AgentError::Usage("no state is needed".into())),
    }
}

/// Lines in, lines out, until the input ends.
fn drive(runtime: &tokio::runtime::Runtime, mut adapter: Adapter) -> Result<u8, UsageError> {
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|error| format!("standard input: {error}"))?;
        let answer = runtime.block_on(adapter.line(&line));
        let mut out = std::io::stdout().lock();
        if writeln!(out, "{answer}").and_then(|()| out.flush()).is_err() {
            break;
        }
    }
    Ok(0)
}
