//! What can be typed: the commands. The options of each stand with it, those of several in `shared`.

use clap::{Parser, Subcommand};

use super::codec::CodecArgs;
use super::fuzz::FuzzArgs;
use super::list::ListArgs;
use super::run::args::RunArgs;
use super::serve::ServeArgs;
use super::vectors::VectorsArgs;

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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
