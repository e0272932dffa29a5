//! `avp-conform serve`: the built-in reference server.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{UsageError, backend, output, runtime, values};
use crate::server::Config;

/// Port without `--listen` and `PORT`.
const PORT: u16 = 8787;

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

/// Serves until Ctrl-C or SIGTERM; requests under way are finished.
pub(super) fn serve(args: ServeArgs) -> Result<u8, UsageError> {
    let config = Config {
        deviation: backend::deviation(args.fault.as_deref(), &args.quirk)?,
        db: args.db,
        nonce_ttl: args.nonce_ttl,
        token_ttl: args.token_ttl,
        max_body: args.max_body,
        ..Config::default()
    };
    let listener = backend::bind(&address(args.listen.as_deref(), std::env::var("PORT").ok().as_deref())?)?;
    let grpc = args.grpc.as_deref().map(|text| backend::bind(&checked("--grpc", text, PORT + 1)?)).transpose()?;
    tracing_subscriber::fmt().json().with_writer(std::io::stderr).init();
    runtime()?.block_on(async {
        let running = backend::start_with(config, listener, grpc).await?;
        let grpc = running.grpc().map(|addr| format!(" and grpc://{addr}")).unwrap_or_default();
        output::print(&format!("listening on http://{}{grpc}\n", running.addr()), anstream::ColorChoice::Never)?;
        asked_to_end().await;
        running.shutdown().await;
        Ok(0)
    })
}

/// Where to listen: `--listen`, or else 127.0.0.1 and the port in `PORT`, or else 8787.
fn address(listen: Option<&str>, port: Option<&str>) -> Result<String, UsageError> {
    let port = match (listen, port.map(str::trim).filter(|port| !port.is_empty())) {
        (Some(listen), _) => return checked("--listen", listen, PORT),
        (None, Some(port)) => {
            port.parse().map_err(|_| format!("the environment variable PORT is {port:?}, which isn't a port"))?
        }
        (None, None) => PORT,
    };
    Ok(format!("127.0.0.1:{port}"))
}

/// An address with a port.
fn checked(option: &str, text: &str, example: u16) -> Result<String, UsageError> {
    let text = text.trim();
    if text.rsplit_once(':').is_none_or(|(host, port)| host.is_empty() || port.parse::<u16>().is_err()) {
        return Err(UsageError(format!("{option} takes ADDR:PORT, e.g. 127.0.0.1:{example}, not {text:?}")));
    }
    Ok(text.to_owned())
}

/// Ctrl-C, or SIGTERM where there is such a thing.
pub(super) async fn asked_to_end() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut term) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = term.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let found = |listen, port| address(listen, port).map_err(|error| error.0);
        assert_eq!(found(None, None).unwrap(), "127.0.0.1:8787");
        assert_eq!(found(None, Some("")).unwrap(), "127.0.0.1:8787");
        assert_eq!(found(None, Some("9000")).unwrap(), "127.0.0.1:9000");
        assert_eq!(found(Some("[::1]:0"), Some("9000")).unwrap(), "[::1]:0");
        assert!(found(None, Some("http")).unwrap_err().contains("PORT"));
        assert!(found(Some("8787"), None).unwrap_err().contains("ADDR:PORT"));
        assert!(found(Some("h:99999"), None).is_err());
    }
}
