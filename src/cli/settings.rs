//! Options from elsewhere than the command line: the environment (`AVP_CONFORM_SERVER`) and a file (`avp-conform.toml`), under the
//! names that they have there. What is typed counts more than the environment, and that more than the file.
//!
//! They are for the judging command. What they say is put in front of what was typed and read by clap like everything else, so
//! that there is one place that knows what an option may be.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{ArgMatches, Command, CommandFactory as _, FromArgMatches as _};
use toml::{Table, Value};

use super::args::Cli;
use super::near::near_misses;

/// What the environment's names begin with.
const PREFIX: &str = "AVP_CONFORM_";
/// The file that is read where none is named.
const DEFAULT: &str = "avp-conform.toml";
/// Options that say where options come from, or end the program.
const NOT_HERE: [&str; 3] = ["config", "help", "version"];
/// Options that run commands: a file that merely lies around must not.
const COMMANDS: [&str; 3] = ["server-cmd", "idp-cmd", "storage-cmd"];
/// The largest file that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// Why the command line can't be carried out.
pub(super) enum Mistake {
    /// Something that was typed, or what clap says of it (help, too).
    CommandLine(clap::Error),
    /// Something in the environment or the file.
    Setting(String),
}

/// An option with its values, and who says so.
struct Setting {
    name: String,
    words: Vec<OsString>,
    origin: String,
}

/// Reads the command line, and what the environment and the file add to it.
pub(super) fn parse() -> Result<Cli, Mistake> {
    let typed: Vec<OsString> = std::env::args_os().collect();
    let environment = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect();
    read(typed, environment, Path::new(DEFAULT))
}

fn read(typed: Vec<OsString>, environment: Vec<(String, OsString)>, default: &Path) -> Result<Cli, Mistake> {
    let command = Cli::command();
    // What was typed, whatever is still missing from it.
    let lenient = command.clone().ignore_errors(true).try_get_matches_from(&typed);
    let judges = lenient.as_ref().is_ok_and(|matches| matches.subcommand_name().is_none()) && !asks_for_help(&typed);
    let (Ok(matches), true) = (lenient, judges) else { return strict(&command, typed) };
    let mut settings = of_environment(&command, &environment).map_err(Mistake::Setting)?;
    let named = matches.try_get_one::<PathBuf>("config").ok().flatten().cloned();
    let from_environment = settings.iter().position(|setting| setting.name == "config");
    let from_environment =
        from_environment.map(|place| settings.remove(place)).and_then(|setting| setting.words.into_iter().next());
    let named = named.or_else(|| from_environment.map(PathBuf::from));
    settings.extend(of_file(&command, named.as_deref(), default).map_err(Mistake::Setting)?);
    let added = what_counts(&command, &matches, settings);
    if added.is_empty() {
        return strict(&command, typed);
    }
    let mut words = typed;
    let place = words.len().min(1);
    words.splice(place..place, added.iter().flat_map(|setting| setting.words.clone()));
    strict(&command, words).map_err(|mistake| match mistake {
        Mistake::CommandLine(error) if error.use_stderr() => blame(error, &added),
        other => other,
    })
}

fn asks_for_help(typed: &[OsString]) -> bool {
    typed.iter().any(|word| ["-h", "--help", "-V", "--version"].iter().any(|help| word == help))
}

fn strict(command: &Command, words: Vec<OsString>) -> Result<Cli, Mistake> {
    let matches = command.clone().try_get_matches_from(words).map_err(Mistake::CommandLine)?;
    Cli::from_arg_matches(&matches).map_err(Mistake::CommandLine)
}

/// Where a mistake may come from, when it is about an option that wasn't typed.
fn blame(error: clap::Error, added: &[Setting]) -> Mistake {
    let text = error.to_string();
    let about = added.iter().filter(|setting| text.contains(&format!("--{}", setting.name)));
    let origins: Vec<String> =
        about.map(|setting| format!("--{} comes from {}", setting.name, setting.origin)).collect();
    if origins.is_empty() {
        return Mistake::CommandLine(error);
    }
    let first =
        text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().trim_start_matches("error: ");
    Mistake::Setting(format!("{first} ({})", origins.join("; ")))
}

/// The settings that nothing of more weight speaks against: the option itself, or one that excludes it.
fn what_counts(command: &Command, typed: &ArgMatches, settings: Vec<Setting>) -> Vec<Setting> {
    let was_typed = |id: &str| typed.value_source(id) == Some(ValueSource::CommandLine);
    let mut taken: HashSet<String> =
        options(command).filter(|arg| was_typed(arg.get_id().as_str())).filter_map(long).collect();
    let mut kept: Vec<Setting> = Vec::new();
    // The settings of more weight come first.
    for setting in settings {
        let Some(arg) = options(command).find(|arg| long(arg).as_deref() == Some(setting.name.as_str())) else {
            continue;
        };
        let excluded =
            command.get_arg_conflicts_with(arg).into_iter().filter_map(long).any(|other| taken.contains(&other));
        let excludes = options(command).filter(|other| taken.contains(&long(other).unwrap_or_default())).any(|other| {
            command.get_arg_conflicts_with(other).into_iter().filter_map(long).any(|name| name == setting.name)
        });
        if excluded || excludes || !taken.insert(setting.name.clone()) {
            continue;
        }
        kept.push(setting);
    }
    kept
}

fn options(command: &Command) -> impl Iterator<Item = &clap::Arg> {
    command.get_arguments().filter(|arg| arg.get_long().is_some())
}

fn long(arg: &clap::Arg) -> Option<String> {
    arg.get_long().map(str::to_owned)
}

/// The names that can be set.
fn names(command: &Command) -> Vec<String> {
    options(command).filter_map(long).filter(|name| !NOT_HERE.contains(&name.as_str())).collect()
}

fn is_flag(command: &Command, name: &str) -> bool {
    options(command).any(|arg| long(arg).as_deref() == Some(name) && !arg.get_action().takes_values())
}

fn of_environment(command: &Command, environment: &[(String, OsString)]) -> Result<Vec<Setting>, String> {
    let mut settings = Vec::new();
    for (variable, value) in environment {
        let Some(rest) = variable.strip_prefix(PREFIX) else { continue };
        let name = rest.to_ascii_lowercase().replace('_', "-");
        let mut known = names(command);
        known.push("config".into());
        if !known.contains(&name) {
            let variables = known.iter().map(|name| format!("{PREFIX}{}", name.to_ascii_uppercase().replace('-', "_")));
            return Err(format!(
                "the environment has {variable}, and there is no such option{}",
                near_misses(variable, variables)
            ));
        }
        // As usual, what is empty isn't set.
        if value.is_empty() {
            continue;
        }
        let origin = format!("the environment ({variable})");
        let words = if name == "config" {
            vec![value.clone()]
        } else if is_flag(command, &name) {
            match value.to_str().map(str::to_ascii_lowercase).as_deref() {
                Some("1" | "true" | "yes" | "on") => vec![flag(&name)],
                Some("0" | "false" | "no" | "off") => continue,
                _ => return Err(format!("{variable} is neither true nor false")),
            }
        } else {
            vec![valued(&name, value)]
        };
        settings.push(Setting { name, words, origin });
    }
    Ok(settings)
}

fn flag(name: &str) -> OsString {
    format!("--{name}").into()
}

fn valued(name: &str, value: impl AsRef<std::ffi::OsStr>) -> OsString {
    let mut word = OsString::from(format!("--{name}="));
    word.push(value.as_ref());
    word
}

fn of_file(command: &Command, named: Option<&Path>, default: &Path) -> Result<Vec<Setting>, String> {
    let path = named.unwrap_or(default);
    let shown = path.display().to_string();
    let failed = |what: String| format!("{shown}: {what}");
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error.to_string())),
    };
    let mut text = String::new();
    file.take(LARGEST + 1).read_to_string(&mut text).map_err(|error| failed(error.to_string()))?;
    if text.len() as u64 > LARGEST {
        return Err(failed(format!("longer than {LARGEST} bytes; is it another file?")));
    }
    // The whole error would show the line, and with it what may be a credential.
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        failed(format!("{}{}", line.map(|line| format!("line {line}: ")).unwrap_or_default(), error.message()))
    })?;
    let known = names(command);
    let mut settings = Vec::new();
    for (name, value) in table {
        if !known.contains(&name) {
            return Err(failed(format!("there is no option {name:?}{}", near_misses(&name, known.into_iter()))));
        }
        if named.is_none() && COMMANDS.contains(&name.as_str()) {
            return Err(failed(format!(
                "{name} runs a command, so it is only taken from a file that is named: --config {DEFAULT}"
            )));
        }
        let words = words(&name, &value, is_flag(command, &name)).map_err(|what| failed(format!("{name}: {what}")))?;
        if !words.is_empty() {
            settings.push(Setting { name, words, origin: shown.clone() });
        }
    }
    Ok(settings)
}

fn words(name: &str, value: &Value, is_flag: bool) -> Result<Vec<OsString>, String> {
    match (value, is_flag) {
        (Value::Boolean(true), true) => Ok(vec![flag(name)]),
        (Value::Boolean(false), true) => Ok(Vec::new()),
        (_, true) => Err("it is true or false".into()),
        (Value::String(text), false) => Ok(vec![valued(name, text)]),
        (Value::Integer(number), false) => Ok(vec![valued(name, number.to_string())]),
        // A revision without quotes.
        (Value::Float(number), false) if name == "spec" => Ok(vec![valued(name, number.to_string())]),
        (Value::Array(values), false) => {
            let each = values.iter().map(|value| match value {
                Value::Array(_) => Err("a list in a list".to_owned()),
                value => words(name, value, false),
            });
            Ok(each.collect::<Result<Vec<_>, _>>()?.concat())
        }
        (other, false) => {
            Err(format!("it is a text, an integer or a list of these, and here it is: {}", other.type_str()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(typed: &[&str], environment: &[(&str, &str)], file: &str) -> Result<Cli, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(DEFAULT);
        if !file.is_empty() {
            std::fs::write(&path, file).unwrap();
        }
        let typed = std::iter::once("avp-conform").chain(typed.iter().copied()).map(OsString::from).collect();
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value))).collect();
        read(typed, environment, &path).map_err(|mistake| match mistake {
            Mistake::CommandLine(error) => error.to_string(),
            Mistake::Setting(text) => text,
        })
    }

    #[test]
    fn flag_over_environment_over_file() {
        let file = "server = \"http://file\"\njobs = 3\nonly = [\"push/*\", \"§9\"]\nstrict = true\nslow = false\n";
        let args = parse(&[], &[], file).unwrap().run;
        assert_eq!(
            (args.server.as_deref(), args.jobs, args.strict, args.slow),
            (Some("http://file"), Some(3), true, false)
        );
        assert_eq!(args.only, ["push/*", "§9"]);
        let environment =
            [("AVP_CONFORM_SERVER", "http://env"), ("AVP_CONFORM_SLOW", "1"), ("AVP_CONFORM_JOBS", ""), ("OTHER", "x")];
        let args = parse(&[], &environment, file).unwrap().run;
        assert_eq!((args.server.as_deref(), args.jobs, args.slow), (Some("http://env"), Some(3), true));
        let args = parse(&["--server", "http://typed", "--only", "pull/*"], &environment, file).unwrap().run;
        assert_eq!((args.server.as_deref(), args.only), (Some("http://typed"), vec!["pull/*".to_owned()]));
        // Another target that was typed counts more than one that wasn't.
        let args = parse(&["--embedded"], &environment, file).unwrap().run;
        assert!(args.embedded && args.server.is_none());
        // What needs another option finds it elsewhere.
        assert!(parse(&["--fault", "x"], &[], "embedded = true").unwrap().run.embedded);
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        let said = |environment: &[(&str, &str)], file: &str| parse(&[], environment, file).unwrap_err();
        assert!(said(&[("AVP_CONFORM_SEVER", "x")], "").contains("AVP_CONFORM_SERVER"));
        let text = said(&[], "serer = \"x\"");
        assert!(text.contains("no option \"serer\"; did you mean server"), "{text}");
        assert!(said(&[], "slow = 3").contains("slow: it is true or false"));
        assert!(said(&[], "jobs = 1.5").contains("jobs: it is a text"));
        let text = said(&[], "jobs = 0");
        assert!(text.contains("1..=256") && text.contains("comes from"), "{text}");
        let text = said(&[], "a = 1\nheader = 's3cret\n");
        assert!(text.contains("line 2") && !text.contains("s3cret"), "{text}");
        assert!(said(&[("AVP_CONFORM_SLOW", "perhaps")], "").contains("neither true nor false"));
        assert!(said(&[], "storage-cmd = \"rm x\"").contains("--config"));
        assert!(parse(&["--config", "/no/such/file"], &[], "").unwrap_err().contains("/no/such/file"));
        assert!(said(&[], "config = \"x\"").contains("no option"));
    }

    #[test]
    fn other_commands_do_not_ask() {
        assert!(parse(&["list"], &[("AVP_CONFORM_SERVER", "x"), ("AVP_CONFORM_TYPO", "")], "nonsense").is_ok());
        assert!(parse(&["--help"], &[], "nonsense").unwrap_err().contains("Usage"));
    }
}
