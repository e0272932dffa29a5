//! Where the command line meets the suite and the built-in server.

use std::net::TcpListener;

use super::UsageError;
use super::near::near_misses;
use crate::faults::{self, Fault, Quirk};
use crate::scenarios::{self, CheckInfo};
use crate::server::{Config, Deviation, Running};

/// Every check, in the order of the specification.
pub(super) fn checks() -> impl Iterator<Item = &'static CheckInfo> {
    scenarios::all().map(|check| &check.info)
}

/// The fault of a name.
pub(super) fn fault(name: &str) -> Result<Fault, UsageError> {
    let names = || Fault::all().iter().map(|fault| fault.info().name);
    Fault::by_name(name).ok_or_else(|| unknown("--fault", name, "list --faults", names()))
}

/// The quirks of their names.
fn quirks(names: &[String]) -> Result<Vec<Quirk>, UsageError> {
    let known = || Quirk::all().iter().map(|quirk| quirk.info().name);
    let quirk = |name: &String| Quirk::by_name(name).ok_or_else(|| unknown("--quirk", name, "list --quirks", known()));
    names.iter().map(quirk).collect()
}

/// What a fault and quirks, by their names, make of the built-in server.
pub(super) fn deviation(fault: Option<&str>, quirks: &[String]) -> Result<Deviation, UsageError> {
    let fault = fault.map(self::fault).transpose()?;
    Ok(faults::deviation(fault, &self::quirks(quirks)?))
}

/// The error for a name that isn't among those known, with the nearest of them and the command that lists all.
pub(super) fn unknown<'a>(option: &str, name: &str, list: &str, known: impl Iterator<Item = &'a str>) -> UsageError {
    let near = near_misses(name, known.map(str::to_owned));
    UsageError(format!("{option} knows no {name:?}{near} (avp-conform {list} names them all)"))
}

/// Binds an address for the built-in server.
pub(super) fn bind(address: &str) -> Result<TcpListener, UsageError> {
    TcpListener::bind(address).map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::AddrInUse => "; another program has it: stop that one, or give another --listen",
            std::io::ErrorKind::PermissionDenied => "; ports below 1024 are for root: give another --listen",
            _ => "",
        };
        UsageError(format!("can't listen on {address}: {error}{hint}"))
    })
}

/// Starts the built-in server; with a second listener, it speaks gRPC there.
pub(super) async fn start_with(
    config: Config,
    listener: TcpListener,
    grpc: Option<TcpListener>,
) -> Result<Running, UsageError> {
    crate::server::start_with(config, listener, grpc).await.map_err(|error| UsageError(error.to_string()))
}
