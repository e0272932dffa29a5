//! What can be typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};

use super::codec::CodecArgs;
use super::fuzz::FuzzArgs;
use super::host::HostArgs;
use super::reports::ReportArgs;
use super::values;
use super::vectors::VectorsArgs;
use crate::client::Profile;
use crate::requirements::Revision;
use crate::runner::Shard;
use crate::scan::{Role, Source};

const USAGE: &str = "avp-conform --server URL [--idp URL] [OPTIONS]
       avp-conform --server-cmd 'CMD {port}' [--idp-cmd CMD] [OPTIONS]
       avp-conform --embedded [OPTIONS]
       avp-conform list [--requirements] [--format human|json]
       avp-conform serve [--listen 127.0.0.1:8787] [--db PATH]
       avp-conform scan --canaries FILE PATH...
       avp-conform vectors generate|check [DIR]
       avp-conform codec --shim 'CMD ARGS' [--cases N]
       avp-conform fuzz --server URL|--embedded [--duration TIME | --cases N]
       avp-conform client [--driver] -- CMD ARGS...
       avp-conform history check FILE [--html OUT]
       avp-conform explain CHECK|REQUIREMENT
       avp-conform diff OLD.json NEW.json
       avp-conform matrix REPORT.json... [--html PATH]
       avp-conform merge REPORT.json... [--report FORMAT=PATH]";

const AFTER: &str = "\
Exit status:
  0    conformant, or nothing failed though checks were left out
  1    a MUST check failed (or a warning, with --strict)
  2    usage: options that can't be, a report that can't be written
  3    the target could not be judged: unreachable, died, no AVP server
  130  interrupted

Examples:
  avp-conform --embedded
  avp-conform --server http://127.0.0.1:8787
  avp-conform --server-cmd './my-server --port {port}'
  avp-conform --server grpc://127.0.0.1:50051
  avp-conform --server https://vault.example/avp --report junit=avp.xml
  avp-conform --server \"$URL\" --only 'push/*' --only '§9' --trace";

/// Judges an Alt Vault Protocol (AVP) server: conformant or not, and what to repair.
#[derive(Debug, Parser)]
#[command(name = "avp-conform", version, override_usage = USAGE, after_help = AFTER, max_term_width = 80)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub run: RunArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the checks, the requirements, or what the built-in server can do wrong
    List(ListArgs),
    /// Run the built-in reference server
    Serve(ServeArgs),
    /// Judge the suite itself: by the built-in server, its faults and its quirks
    Selftest(super::selftest::SelftestArgs),
    /// Make vector files, or check anybody's
    Vectors(VectorsArgs),
    /// Search what a server has stored for the secrets of an earlier run
    Scan(super::scan::ScanArgs),
    /// Judge a client: start it, drive an adapter, or listen
    Client(super::client::ClientArgs),
    /// Use a vault with the built-in client
    Agent(super::agent::AgentArgs),
    /// Test a codec in any language, over a small protocol on standard input and output
    Codec(CodecArgs),
    /// Fuzz a server: random sequences of requests, every answer held to the model of a repository
    Fuzz(FuzzArgs),
    /// Judge recorded histories of concurrent operations
    History(super::history::HistoryArgs),
    /// Say what a check or a requirement is about: why, how it is tried, usually broken, and mended
    Explain(super::explain::ExplainArgs),
    /// Set reports side by side: implementations or versions, requirement by requirement
    Matrix(super::compare::MatrixArgs),
    /// Compare two reports: what was fixed, what broke
    Diff(super::compare::DiffArgs),
    /// Put the parts of a run together that several jobs have done (--shard), or write a report in other formats
    Merge(super::merge::MergeArgs),
    /// Print a script that completes this command line in a shell
    Completions(super::about::CompletionsArgs),
    /// Print the manual page, of a command if one is named
    Man(super::about::ManArgs),
}

/// Options of the judging command.
#[derive(Args, Debug)]
pub(super) struct RunArgs {
    /// Server to judge: http://, https:// (a path prefix is fine), grpc://host:port, grpcs://host, or avp://host, with or without a port
    #[arg(long, value_name = "URL", help_heading = "Target", conflicts_with = "embedded")]
    pub server: Option<String>,
    /// Judge the built-in reference server instead
    #[arg(long, help_heading = "Target")]
    pub embedded: bool,
    /// Where the same server speaks gRPC: both profiles are judged, and whether they agree
    #[arg(long, value_name = "URL", help_heading = "Target", conflicts_with = "embedded")]
    pub grpc: Option<String>,
    /// Which profile to judge where a target has both (avp://, --embedded, --server-cmd) [default: http where it is offered]
    #[arg(long, value_name = "http|grpc|both", value_enum, help_heading = "Target", hide_possible_values = true)]
    pub profile: Option<ProfilesArg>,
    /// Identity provider, when challenge and token live elsewhere; over HTTP or gRPC, whatever the server speaks
    #[arg(long, value_name = "URL", help_heading = "Target", conflicts_with = "embedded")]
    pub idp: Option<String>,
    /// Key set to verify served key bindings with; discovery's by default
    #[arg(long, value_name = "URL", help_heading = "Target")]
    pub jwks: Option<String>,
    /// Break this rule of the built-in server (list --faults)
    #[arg(long, value_name = "NAME", help_heading = "Target")]
    #[arg(requires = "embedded", conflicts_with = "server")]
    pub fault: Option<String>,
    /// Give the built-in server this odd habit (list --quirks); repeatable
    #[arg(long, value_name = "NAME", help_heading = "Target")]
    #[arg(requires = "embedded", conflicts_with = "server")]
    pub quirk: Vec<String>,

    #[command(flatten)]
    pub host: HostArgs,

    /// Send this header with every request; never shown; repeatable
    #[arg(long, value_name = "K: V", help_heading = "Connection")]
    pub header: Vec<String>,
    /// Send this header with every request to the identity provider; never shown; repeatable
    #[arg(long, value_name = "K: V", help_heading = "Connection")]
    pub idp_header: Vec<String>,
    /// Trust these certificate authorities (PEM) besides the system's; repeatable
    #[arg(long, value_name = "FILE", help_heading = "Connection")]
    pub ca_cert: Vec<PathBuf>,
    /// Accept any TLS certificate
    #[arg(long, help_heading = "Connection")]
    pub insecure: bool,
    /// Bound on one request
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = values::time, help_heading = "Connection")]
    pub timeout: Duration,
    /// Bound on the whole run [default: 5m, and longer where the server is slow]
    #[arg(long, value_name = "TIME", value_parser = values::time, help_heading = "Connection")]
    pub deadline: Option<Duration>,
    /// Checks at once [default: 8, and more where the server is slow]
    #[arg(long, value_name = "N", help_heading = "Connection")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: Option<u16>,

    /// Run only these: globs on ids (push/*) or sections (§6); repeatable
    #[arg(long, value_name = "GLOB", help_heading = "Selection")]
    pub only: Vec<String>,
    /// Leave these checks out; repeatable
    #[arg(long, value_name = "GLOB", help_heading = "Selection")]
    pub skip: Vec<String>,
    /// Run the K-th of N parts, each in a job of its own; avp-conform merge puts their reports together
    #[arg(long, value_name = "K/N", help_heading = "Selection")]
    pub shard: Option<Shard>,
    /// Run the checks that wait for nonces and tokens to expire
    #[arg(long, help_heading = "Selection")]
    pub slow: bool,
    /// Try more: longer tables of requests, larger repositories, more rounds of contention; takes some times as long
    #[arg(long, help_heading = "Selection")]
    pub thorough: bool,
    /// How long the server's nonces live, so that --slow needn't wait for two minutes
    #[arg(long, value_name = "TIME", value_parser = values::time, help_heading = "Selection")]
    pub nonce_ttl: Option<Duration>,
    /// How many rounds each contention check tries at most
    #[arg(long, value_name = "N", default_value_t = 100, help_heading = "Selection")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// How long each contention check goes on with its rounds
    #[arg(long, value_name = "TIME", default_value = "10ms", value_parser = values::time, help_heading = "Selection")]
    pub budget: Duration,
    /// Revision of the specification to judge by: 0.2, 0.3 or 0.4
    #[arg(long, value_name = "REV", default_value = "0.2", value_parser = revision(), help_heading = "Selection")]
    #[arg(hide_possible_values = true)]
    pub spec: Revision,
    /// Repeat the choices of an earlier run, which printed this seed
    #[arg(long, value_name = "N", help_heading = "Selection")]
    pub seed: Option<u64>,
    /// Warnings fail
    #[arg(long, help_heading = "Selection")]
    pub strict: bool,
    /// Failures listed in FILE don't fail the run: one check id or glob a line; what is listed and doesn't fail does
    #[arg(long, value_name = "FILE", help_heading = "Selection")]
    pub known: Option<PathBuf>,
    /// Write what failed to FILE, for --known; reasons and dates of the file given there are kept
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub write_known: Option<PathBuf>,

    /// Read options from this file; avp-conform.toml in the working directory by default, if there is one
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub config: Option<PathBuf>,

    #[command(flatten)]
    pub storage: StorageArgs,
    /// Give the built-in server a database and a log in files, and search those; implied by a fault of its storage
    #[arg(long, help_heading = "Storage", requires = "embedded", conflicts_with = "server")]
    pub embedded_storage: bool,
    /// Write to FILE what was looked for, so that a dump can be scanned later or elsewhere (avp-conform scan)
    #[arg(long, value_name = "FILE", help_heading = "Storage")]
    pub save_canaries: Option<PathBuf>,

    #[command(flatten)]
    pub reports: ReportArgs,
    /// Write what the contention checks did and were answered, for history check
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub save_history: Option<PathBuf>,
    /// Print every request and answer to standard error, credentials masked
    #[arg(long, help_heading = "Output")]
    pub trace: bool,
}

/// What is to be judged of a target that has both profiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ProfilesArg {
    Http,
    Grpc,
    Both,
}

impl ProfilesArg {
    /// As typed.
    pub(super) fn name(self) -> &'static str {
        self.profile().map_or("both", Profile::word)
    }

    /// The one profile.
    pub(super) fn profile(self) -> Option<Profile> {
        match self {
            Self::Http => Some(Profile::Http),
            Self::Grpc => Some(Profile::Grpc),
            Self::Both => None,
        }
    }
}

impl From<ProfileArg> for ProfilesArg {
    fn from(profile: ProfileArg) -> Self {
        match profile {
            ProfileArg::Http => Self::Http,
            ProfileArg::Grpc => Self::Grpc,
        }
    }
}

/// A profile of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ProfileArg {
    Http,
    Grpc,
}

impl ProfileArg {
    pub(super) fn profile(self) -> Profile {
        match self {
            Self::Http => Profile::Http,
            Self::Grpc => Profile::Grpc,
        }
    }
}

/// What the server keeps.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct StorageArgs {
    /// Search this file or folder for secrets after the checks: the server's database; repeatable
    #[arg(long, value_name = "PATH", help_heading = "Storage")]
    pub storage: Vec<PathBuf>,
    /// Search what this command prints, such as 'pg_dump vault'; repeatable
    #[arg(long, value_name = "CMD", help_heading = "Storage")]
    pub storage_cmd: Vec<String>,
    /// Search the server's logs: a file or folder; repeatable
    #[arg(long, value_name = "PATH", help_heading = "Storage")]
    pub logs: Vec<PathBuf>,
    /// Search the memory of the server's process (Linux, where the system allows it); repeatable
    #[arg(long, value_name = "PID", help_heading = "Storage")]
    pub server_pid: Vec<u32>,
}

impl StorageArgs {
    /// Whether nothing is given.
    pub(super) fn is_empty(&self) -> bool {
        self.storage.is_empty() && self.storage_cmd.is_empty() && self.logs.is_empty() && self.server_pid.is_empty()
    }

    /// What there is to search; everything that can't be is told at once.
    pub(super) fn sources(&self) -> Result<Vec<Source>, super::UsageError> {
        let storage = self.storage.iter().map(|path| ("--storage", Source::Path(Role::Storage, path.clone())));
        let logs = self.logs.iter().map(|path| ("--logs", Source::Path(Role::Log, path.clone())));
        let commands = self.storage_cmd.iter().map(|line| ("--storage-cmd", Source::Command(line.clone())));
        let processes = self.server_pid.iter().map(|pid| ("--server-pid", Source::Process(*pid)));
        let all = storage.chain(commands).chain(logs).chain(processes);
        let checked = all.map(|(option, source)| match source.check() {
            Ok(()) => Ok(source),
            Err(error) => Err(super::UsageError(format!("{option} {error}"))),
        });
        checked.collect()
    }
}

/// When output is coloured.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct ColorArgs {
    /// Colours: always, never, or auto: on a terminal, unless NO_COLOR is set
    #[arg(long, value_name = "WHEN", default_value = "auto", value_enum, help_heading = "Output")]
    #[arg(hide_possible_values = true)]
    color: ColorWhen,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ColorWhen {
    Auto,
    Always,
    Never,
}

impl ColorArgs {
    /// For the streams.
    pub(super) fn choice(self) -> anstream::ColorChoice {
        match self.color {
            ColorWhen::Auto => anstream::ColorChoice::Auto,
            ColorWhen::Always => anstream::ColorChoice::Always,
            ColorWhen::Never => anstream::ColorChoice::Never,
        }
    }
}

/// Options of `list`.
#[derive(Args, Debug)]
pub(super) struct ListArgs {
    /// List the requirements, with the checks that prove each of them, or why none can
    #[arg(long)]
    pub requirements: bool,
    /// List what the built-in server can do wrong
    #[arg(long)]
    pub faults: bool,
    /// List the odd but allowed habits of the built-in server
    #[arg(long)]
    pub quirks: bool,
    /// List the checks of clients
    #[arg(long)]
    pub clients: bool,
    /// List what the built-in client can do wrong, and its odd but allowed habits
    #[arg(long)]
    pub client_faults: bool,
    /// How to print the list
    #[arg(long, value_enum, default_value = "human")]
    pub format: ListFormat,
    #[command(flatten)]
    pub color: ColorArgs,
}

/// How `list` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ListFormat {
    Human,
    Json,
}

/// Options of `serve`.
#[derive(Args, Debug)]
pub(super) struct ServeArgs {
    /// Address and port; 127.0.0.1 and the port in PORT, or else 8787, by default; port 0 takes any free one
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<String>,
    /// Speak gRPC as well, at this address and port, from the same store; port 0 takes any free one
    #[arg(long, value_name = "ADDR:PORT")]
    pub grpc: Option<String>,
    /// Keep everything in this SQLite file, so that it survives a restart; in memory by default
    #[arg(long, value_name = "PATH")]
    pub db: Option<PathBuf>,
    /// How long a nonce can be redeemed
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = values::time)]
    pub nonce_ttl: Duration,
    /// How long a token is valid
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = values::time)]
    pub token_ttl: Duration,
    /// Largest request body
    #[arg(long, value_name = "SIZE", default_value = "16MiB", value_parser = values::size)]
    pub max_body: usize,
    /// Break this rule (list --faults)
    #[arg(long, value_name = "NAME")]
    pub fault: Option<String>,
    /// Have this odd but allowed habit (list --quirks); repeatable
    #[arg(long, value_name = "NAME")]
    pub quirk: Vec<String>,
}

pub(super) fn revision() -> impl TypedValueParser<Value = Revision> {
    PossibleValuesParser::new(Revision::ALL.map(Revision::name))
        .map(|name| Revision::ALL.into_iter().find(|revision| revision.name() == name).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
