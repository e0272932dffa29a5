//! From what was typed to what a run needs, with every mistake that can be seen beforehand.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::super::shared::ProfilesArg;
use super::super::{UsageError, backend, select, values};
use super::args::RunArgs;
use super::rerun;
use crate::client::Profile;
use crate::faults::FaultKind;
use crate::runner::{DEFAULT_CRASH_ROUNDS, DEFAULT_DEADLINE, DEFAULT_JOBS, Header, Known, RunConfig, Target};
use crate::server::Config;

/// Lifetime of the built-in server's nonces when the checks wait for them and nobody says otherwise.
const EMBEDDED_NONCE_TTL: Duration = Duration::from_secs(2);

/// The run that was asked for. The target of `--embedded` is filled in when its server listens.
pub(in super::super) fn of(args: &RunArgs) -> Result<RunConfig, UsageError> {
    let host = args.host.plan(args.server.as_deref(), args.idp.as_deref(), args.profile)?;
    let target = match &host.server {
        Some(url) => Target::Url(url.clone()),
        None => target(args.server.as_deref(), args.embedded, args.profile)?,
    };
    let beside = match (host.grpc, &args.grpc) {
        (Some(url), None) => Some(url),
        (_, given) => beside(args, &target, given.as_deref())?,
    };
    let only = select::globs("--only", &args.only, args.spec)?;
    let skip = select::globs("--skip", &args.skip, args.spec)?;
    select::leaves_something(&only, &skip, args.spec)?;
    storage_is_judged(args, &only, &skip)?;
    Ok(RunConfig {
        wanted: args.profile.and_then(ProfilesArg::profile),
        wants_both: args.profile == Some(ProfilesArg::Both),
        beside,
        idp: match host.idp {
            Some(url) => Some(url),
            None => args.idp.as_deref().map(|url| values::url("--idp", url)).transpose()?,
        },
        headers: headers("--header", &args.header)?,
        idp_headers: headers("--idp-header", &args.idp_header)?,
        ca_certs: certificates(&args.ca_cert)?,
        insecure: args.insecure,
        timeout: args.timeout,
        deadline: args.deadline.unwrap_or(DEFAULT_DEADLINE),
        fits_deadline: args.deadline.is_none(),
        jobs: args.jobs.map_or(DEFAULT_JOBS, usize::from),
        fits: args.jobs.is_none(),
        seed: args.seed,
        only,
        skip,
        shard: args.shard,
        known: known(args)?,
        strict: args.strict,
        slow: args.slow,
        thorough: args.thorough,
        nonce_ttl: nonce_ttl(args),
        race_rounds: args.rounds,
        race_budget: args.budget,
        jwks: args.jwks.as_deref().map(|url| values::url("--jwks", url)).transpose()?,
        spec: args.spec,
        recording: args.save_history.as_ref().map(|_| Arc::default()),
        trace: args.trace,
        target_name: Some(target_name(args)),
        rerun: rerun::options(args),
        storage: args.storage.sources()?,
        save_canaries: args.save_canaries.clone(),
        launches: host.launches,
        replicas: host.replicas,
        stranger: host.stranger,
        crash_rounds: args.host.crash_rounds.unwrap_or(DEFAULT_CRASH_ROUNDS),
        ready_timeout: args.host.ready_timeout,
        ..RunConfig::new(target)
    })
}

/// The built-in server that was asked for, if it was.
pub(in super::super) fn embedded(args: &RunArgs) -> Result<Option<Config>, UsageError> {
    if !args.embedded {
        return Ok(None);
    }
    let deviation = backend::deviation(args.fault.as_deref(), &args.quirk)?;
    let mut config = Config { deviation, ..Config::default() };
    let fault = args.fault.as_deref().map(backend::fault).transpose()?;
    let dies = fault.is_some_and(|fault| fault.info().kind == FaultKind::Crash);
    if dies && args.profile == Some(ProfilesArg::Grpc) {
        return Err("--profile grpc can't show this --fault: a server that is killed speaks HTTP/JSON".into());
    }
    config.nonce_ttl = nonce_ttl(args).unwrap_or(config.nonce_ttl);
    Ok(Some(config))
}

/// Storage that no check looks at would be searched by nobody.
fn storage_is_judged(args: &RunArgs, only: &[globset::Glob], skip: &[globset::Glob]) -> Result<(), UsageError> {
    let given = !args.storage.is_empty() || args.save_canaries.is_some();
    if given && !select::leaves(only, skip, args.spec, "storage/") {
        return Err("--only and --skip leave out the checks storage/*, which search what the server has stored".into());
    }
    if let Some(path) = &args.save_canaries {
        crate::scan::save(path, &[]).map_err(|error| UsageError(format!("--save-canaries {error}")))?;
    }
    Ok(())
}

/// The file of known failures, with its mistakes told before anything is sent.
fn known(args: &RunArgs) -> Result<Option<Known>, UsageError> {
    args.known.as_deref().map(super::super::known::known_file).transpose()
}

fn nonce_ttl(args: &RunArgs) -> Option<Duration> {
    args.nonce_ttl.or((args.embedded && args.slow).then_some(EMBEDDED_NONCE_TTL))
}

/// What `--server`, `--embedded` and `--profile` name.
pub(in super::super) fn target(
    server: Option<&str>,
    embedded: bool,
    profile: Option<ProfilesArg>,
) -> Result<Target, UsageError> {
    match (server, embedded) {
        (Some(server), _) => {
            let target = values::target(server)?;
            match (&target, profile) {
                (Target::Url(url), Some(wanted))
                    if wanted.profile().is_some_and(|wanted| wanted != Profile::of_scheme(url.scheme())) =>
                {
                    let scheme = if wanted == ProfilesArg::Grpc { "grpc://" } else { "http://" };
                    Err(UsageError(format!(
                        "--profile {} and --server {}://… contradict each other: give the address where that profile is spoken, {scheme}HOST:PORT",
                        wanted.name(),
                        url.scheme()
                    )))
                }
                _ => Ok(target),
            }
        }
        // Its port isn't known yet.
        (None, true) if profile == Some(ProfilesArg::Grpc) => {
            values::target("grpc://127.0.0.1:1").map_err(UsageError)
        }
        (None, true) => values::target("http://127.0.0.1").map_err(UsageError),
        (None, false) => {
            Err("no server to judge: give --server URL, --server-cmd CMD, or --embedded for the built-in one; --help says more".into())
        }
    }
}

/// Where gRPC is spoken beside the target, if both are to be judged.
fn beside(args: &RunArgs, target: &Target, given: Option<&str>) -> Result<Option<url::Url>, UsageError> {
    let wants_both = args.profile == Some(ProfilesArg::Both);
    let Some(given) = given else {
        return match target {
            Target::Url(url) if wants_both && Profile::of_scheme(url.scheme()) == Profile::Grpc => {
                Err("--profile both needs the HTTP/JSON address as --server, and this one as --grpc".into())
            }
            Target::Url(_) if wants_both && !args.embedded => {
                Err("--profile both needs the address of the other profile as well: --grpc grpc://HOST:PORT".into())
            }
            // The port of the built-in server isn't known yet; discovery says where the other one is.
            _ => Ok(None),
        };
    };
    let url = values::url("--grpc", given)?;
    if Profile::of_scheme(url.scheme()) != Profile::Grpc {
        return Err(UsageError(format!("--grpc takes a URL with grpc:// or grpcs://, not {}://", url.scheme())));
    }
    if let Some(wanted) = args.profile.filter(|wanted| *wanted != ProfilesArg::Both) {
        return Err(UsageError(format!(
            "--grpc has both profiles judged, and --profile {} only one: leave one of the two out",
            wanted.name()
        )));
    }
    if matches!(target, Target::Url(url) if Profile::of_scheme(url.scheme()) == Profile::Grpc) {
        return Err(
            "--grpc is for the gRPC address beside an HTTP/JSON --server, and --server is a gRPC address already"
                .into(),
        );
    }
    Ok(Some(url))
}

fn target_name(args: &RunArgs) -> String {
    let beside = args.grpc.as_ref().map(|grpc| format!(" and {}", grpc.trim())).unwrap_or_default();
    match (&args.server, &args.host.server_cmd) {
        (Some(server), _) => format!("{}{beside}", server.trim()),
        (None, Some(command)) => command.trim().to_owned(),
        (None, None) => {
            let both = if args.profile == Some(ProfilesArg::Both) { " by both profiles" } else { "" };
            embedded_name(args.fault.as_deref()) + both
        }
    }
}

/// What a report calls the built-in server.
pub(in super::super) fn embedded_name(fault: Option<&str>) -> String {
    let fault = fault.map(|fault| format!(" with fault {fault}"));
    format!("the built-in server{}", fault.unwrap_or_default())
}

/// Headers as typed.
pub(in super::super) fn headers(option: &str, texts: &[String]) -> Result<Vec<Header>, UsageError> {
    texts.iter().map(|text| values::header(option, text).map_err(UsageError)).collect()
}

/// The files of `--ca-cert`.
pub(in super::super) fn certificates(paths: &[PathBuf]) -> Result<Vec<Vec<u8>>, UsageError> {
    paths.iter().map(|path| certificate(path)).collect()
}

fn certificate(path: &Path) -> Result<Vec<u8>, UsageError> {
    let shown = path.display();
    let bytes = std::fs::read(path).map_err(|error| format!("--ca-cert {shown}: {error}"))?;
    let pem = b"-----BEGIN CERTIFICATE-----";
    if bytes.windows(pem.len()).any(|window| window == pem) {
        Ok(bytes)
    } else {
        Err(UsageError(format!("--ca-cert {shown}: no certificate in PEM form (-----BEGIN CERTIFICATE-----) in it")))
    }
}
