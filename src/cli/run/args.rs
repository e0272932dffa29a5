//! The options of the judging command.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::super::host::HostArgs;
use super::super::reports::ReportArgs;
use super::super::shared::{ProfilesArg, StorageArgs};
use super::super::values;
use crate::requirements::Revision;
use crate::runner::Shard;

/// Options of the judging command.
#[derive(Args, Debug)]
pub(in super::super) struct RunArgs {
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
    #[arg(long, value_name = "REV", default_value = "0.2", value_parser = values::revision(), help_heading = "Selection")]
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
