//! `avp-conform completions` and `avp-conform man`: what clap knows of the command line, for shells and for man.

use clap::{Args, Command};

use super::near::near_misses;
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

/// Prints the script for a command line.
pub(super) fn completions(args: &CompletionsArgs, mut whole: Command) -> Result<u8, UsageError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut whole, env!("CARGO_PKG_NAME"), &mut script);
    output::print_data(&String::from_utf8_lossy(&script))?;
    Ok(0)
}

/// Prints the page of a command line, as roff.
pub(super) fn man(args: &ManArgs, mut whole: Command) -> Result<u8, UsageError> {
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
