//! `avp-conform completions` and `avp-conform man`: what clap knows of the command line, for shells and for man.

use clap::{Args, CommandFactory as _};

use super::args::Cli;
use super::select::near_misses;
use super::{UsageError, output};

/// Options of `completions`.
#[derive(Args, Debug)]
pub(super) struct CompletionsArgs {
    /// The shell: bash, elvish, fish, powershell or zsh
    #[arg(value_name = "SHELL", value_enum)]
    shell: clap_complete::Shell,
}

/// Options of `man`.
#[derive(Args, Debug)]
pub(super) struct ManArgs {
    /// The command whose page it is; the program's own by default
    #[arg(value_name = "COMMAND")]
    command: Option<String>,
}

/// Prints the script.
pub(super) fn completions(args: &CompletionsArgs) -> Result<u8, UsageError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), env!("CARGO_PKG_NAME"), &mut script);
    output::print_data(&String::from_utf8_lossy(&script))?;
    Ok(0)
}

/// Prints the page, as roff.
pub(super) fn man(args: &ManArgs) -> Result<u8, UsageError> {
    let mut whole = Cli::command();
    whole.build();
    let command = match args.command.as_deref() {
        None => whole,
        Some(name) => {
            let names = whole.get_subcommands().map(|command| command.get_name().to_owned());
            let near = near_misses(name, names);
            let found = whole.find_subcommand(name).cloned();
            found.ok_or_else(|| UsageError(format!("there is no command {name:?}{near}")))?
        }
    };
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page).map_err(|error| error.to_string())?;
    output::print_data(&String::from_utf8_lossy(&page))?;
    Ok(0)
}
