//! `avp-conform vectors`: makes the bank, and checks anybody's vectors.

mod human;

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::list::ListFormat;
use super::shared::ColorArgs;
use super::{UsageError, output};
use crate::fuzzing::seeds;
use crate::report::style::{GREEN, RED, paint};
use crate::vectors::{bank, check};

/// The folder when none is given.
const FOLDER: &str = "vectors";
/// Where cargo-fuzz looks for inputs.
const CORPUS: &str = "fuzz/corpus";

const AFTER_CHECK: &str = "\
Exit status:
  0  every vector that could be recomputed is right
  1  a vector is wrong
  2  a vector can't be read (bad JSON, a missing member, a wrong type), or there is none";

/// Options of `vectors`.
#[derive(Args, Debug)]
pub(super) struct VectorsArgs {
    #[command(subcommand)]
    command: VectorsCommand,
}

#[derive(Debug, Subcommand)]
enum VectorsCommand {
    /// Write the vector files, the same every time
    Generate(GenerateArgs),
    /// Recompute vector files of this format, whoever published them
    #[command(after_help = AFTER_CHECK)]
    Check(CheckArgs),
    /// Write the inputs that fuzz targets start from, made of the vectors
    Seeds(SeedsArgs),
}

#[derive(Args, Debug)]
struct GenerateArgs {
    /// Folder to write to
    #[arg(value_name = "DIR", default_value = FOLDER)]
    folder: PathBuf,
    /// Write nothing; fail if a file isn't there or differs by a byte
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    color: ColorArgs,
}

#[derive(Args, Debug)]
struct SeedsArgs {
    /// Folder to write to, with a folder for each target
    #[arg(value_name = "DIR", default_value = CORPUS)]
    folder: PathBuf,
    #[command(flatten)]
    color: ColorArgs,
}

#[derive(Args, Debug)]
struct CheckArgs {
    /// Folder with the files
    #[arg(value_name = "DIR", default_value = FOLDER)]
    folder: PathBuf,
    /// Name every case, and everything that wasn't checked
    #[arg(short, long)]
    verbose: bool,
    /// How to print what was found
    #[arg(long, value_enum, default_value = "human")]
    format: ListFormat,
    #[command(flatten)]
    color: ColorArgs,
}

/// Carries `vectors` out and tells the exit status.
pub(super) fn run(args: &VectorsArgs) -> Result<u8, UsageError> {
    match &args.command {
        VectorsCommand::Generate(args) => generate(args),
        VectorsCommand::Check(args) => check_folder(args),
        VectorsCommand::Seeds(args) => write_seeds(args),
    }
}

fn generate(args: &GenerateArgs) -> Result<u8, UsageError> {
    let files = bank().map_err(|error| format!("the vectors can't be made, which is a bug of avp-conform: {error}"))?;
    let mut text = String::new();
    let mut differs = 0_u8;
    if !args.check {
        fs::create_dir_all(&args.folder).map_err(|error| failed(&args.folder, &error))?;
    }
    for file in &files {
        let path = args.folder.join(file.name);
        let found = fs::read_to_string(&path);
        if found.as_ref().is_ok_and(|found| *found == file.text) {
            continue;
        }
        let shown = path.display();
        if args.check {
            differs = 1;
            let why = match found {
                Ok(found) => first_difference(&found, &file.text),
                Err(error) => error.to_string(),
            };
            text += &format!("{} {shown}: {why}\n", paint(RED, "differs"));
        } else {
            fs::write(&path, &file.text).map_err(|error| failed(&path, &error))?;
            text += &format!("{} {shown}\n", paint(GREEN, "wrote"));
        }
    }
    if differs > 0 {
        text += &format!("run `avp-conform vectors generate {}` to write what is generated\n", args.folder.display());
    } else if text.is_empty() {
        text = format!("{} files in {} are as generated\n", files.len(), args.folder.display());
    }
    output::print(&text, args.color.choice())?;
    Ok(differs)
}

fn write_seeds(args: &SeedsArgs) -> Result<u8, UsageError> {
    let seeds = seeds().map_err(|error| format!("the seeds can't be made, which is a bug of avp-conform: {error}"))?;
    for seed in &seeds {
        let folder = args.folder.join(seed.target);
        fs::create_dir_all(&folder).map_err(|error| failed(&folder, &error))?;
        let path = folder.join(&seed.name);
        fs::write(&path, &seed.bytes).map_err(|error| failed(&path, &error))?;
    }
    let text = format!("{} {} seeds to {}\n", paint(GREEN, "wrote"), seeds.len(), args.folder.display());
    output::print(&text, args.color.choice())?;
    Ok(0)
}

fn failed(path: &Path, error: &std::io::Error) -> UsageError {
    UsageError(format!("{}: {error}", path.display()))
}

fn first_difference(found: &str, made: &str) -> String {
    let line = found.lines().zip(made.lines()).take_while(|(one, other)| one == other).count() + 1;
    format!("from line {line} on")
}

fn check_folder(args: &CheckArgs) -> Result<u8, UsageError> {
    let checked = check(&args.folder).map_err(|error| error.to_string())?;
    let text = match args.format {
        ListFormat::Json => {
            let text = serde_json::to_string_pretty(&checked).map_err(|error| error.to_string())?;
            format!("{text}\n")
        }
        ListFormat::Human => human::render(&args.folder, &checked, args.verbose),
    };
    output::print(&text, args.color.choice())?;
    Ok(checked.exit_code())
}
