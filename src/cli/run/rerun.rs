//! The options with which a single check runs again as it ran: credentials masked, quoted for a shell.

use super::super::shared::StorageArgs;
use super::super::values::time_text;
use super::args::RunArgs;
use crate::report::shell::quote;
use crate::requirements::Revision;
use crate::runner::DEFAULT_READY;

/// What a rerun needs besides `--only`.
pub(in super::super) fn options(args: &RunArgs) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut valued = |option: &str, value: &str| words.extend([option.to_owned(), quote(value)]);
    if let Some(server) = &args.server {
        valued("--server", server.trim());
    }
    let plain = [
        ("--server-cmd", &args.host.server_cmd),
        ("--idp-cmd", &args.host.idp_cmd),
        ("--stranger", &args.host.stranger),
        ("--grpc", &args.grpc),
        ("--idp", &args.idp),
        ("--jwks", &args.jwks),
        ("--fault", &args.fault),
    ];
    for (option, value) in plain.into_iter().filter_map(|(option, value)| Some((option, value.as_ref()?))) {
        valued(option, value.trim());
    }
    if let Some(profile) = args.profile {
        valued("--profile", profile.name());
    }
    args.quirk.iter().for_each(|quirk| valued("--quirk", quirk));
    for (option, headers) in [("--header", &args.header), ("--idp-header", &args.idp_header)] {
        headers.iter().for_each(|header| valued(option, &masked(header)));
    }
    let StorageArgs { storage, storage_cmd, logs, server_pid } = &args.storage;
    storage.iter().for_each(|path| valued("--storage", &path.to_string_lossy()));
    storage_cmd.iter().for_each(|line| valued("--storage-cmd", line));
    logs.iter().for_each(|path| valued("--logs", &path.to_string_lossy()));
    server_pid.iter().for_each(|pid| valued("--server-pid", &pid.to_string()));
    args.ca_cert.iter().for_each(|path| valued("--ca-cert", &path.to_string_lossy()));
    args.host.replica.iter().for_each(|url| valued("--replica", url.trim()));
    if args.host.replicas > 1 {
        valued("--replicas", &args.host.replicas.to_string());
    }
    if let Some(rounds) = args.host.crash_rounds {
        valued("--crash-rounds", &rounds.to_string());
    }
    if args.host.ready_timeout != DEFAULT_READY {
        valued("--ready-timeout", &time_text(args.host.ready_timeout));
    }
    if let Some(ttl) = args.nonce_ttl {
        valued("--nonce-ttl", &time_text(ttl));
    }
    if args.timeout.as_secs() != 10 || args.timeout.subsec_nanos() != 0 {
        valued("--timeout", &time_text(args.timeout));
    }
    if args.spec != Revision::default() {
        valued("--spec", args.spec.name());
    }
    if args.embedded {
        words.insert(0, "--embedded".into());
    }
    if args.embedded_storage {
        words.push("--embedded-storage".into());
    }
    let flags = [
        (args.insecure, "--insecure"),
        (args.slow, "--slow"),
        (args.thorough, "--thorough"),
        (args.strict, "--strict"),
    ];
    for (given, option) in flags {
        if given {
            words.push(option.into());
        }
    }
    words.join(" ")
}

/// The name of a header with its value masked.
pub(in super::super) fn masked(header: &str) -> String {
    format!("{}: ***", header.split(':').next().unwrap_or_default().trim())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::super::args::Cli;
    use super::*;

    fn rerun(arguments: &[&str]) -> String {
        options(&Cli::try_parse_from([&["avp-conform"], arguments].concat()).unwrap().run)
    }

    #[test]
    fn keeps_what_matters_and_masks_what_is_secret() {
        assert_eq!(rerun(&["--server", "http://h:1/p", "--only", "x", "--seed", "1"]), "--server http://h:1/p");
        assert_eq!(
            rerun(&["--server", "http://[::1]:80", "--header", "X-Key: s3cret", "--slow", "--nonce-ttl", "1500ms"]),
            "--server 'http://[::1]:80' --header 'X-Key: ***' --nonce-ttl 1500ms --slow"
        );
        assert_eq!(rerun(&["--embedded", "--fault", "x", "--spec", "0.4"]), "--embedded --fault x --spec 0.4");
    }
}
