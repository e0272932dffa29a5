//! `avp-conform serve`: the built-in reference server.

use super::args::ServeArgs;
use super::{UsageError, backend, output, runtime};
use crate::server::Config;

/// Port without `--listen` and `PORT`.
const PORT: u16 = 8787;

/// Serves until Ctrl-C or SIGTERM; requests under way are finished.
pub(super) fn serve(args: ServeArgs) -> Result<u8, UsageError> {
    let config = Config {
        fault: args.fault.as_deref().map(backend::fault).transpose()?,
        quirks: backend::quirks(&args.quirk)?,
        db: args.db,
        nonce_ttl: args.nonce_ttl,
        token_ttl: args.token_ttl,
        max_body: args.max_body,
        ..Config::default()
    };
    let listener = backend::bind(&address(args.listen.as_deref(), std::env::var("PORT").ok().as_deref())?)?;
    tracing_subscriber::fmt().json().with_writer(std::io::stderr).init();
    runtime()?.block_on(async {
        let running = backend::start(config, listener).await?;
        output::print(&format!("listening on http://{}\n", running.addr()), anstream::ColorChoice::Never)?;
        asked_to_end().await;
        running.shutdown().await;
        Ok(0)
    })
}

/// Where to listen: `--listen`, or else 127.0.0.1 and the port in `PORT`, or else 8787.
fn address(listen: Option<&str>, port: Option<&str>) -> Result<String, UsageError> {
    let port = match (listen, port.map(str::trim).filter(|port| !port.is_empty())) {
        (Some(listen), _) => {
            let listen = listen.trim();
            if listen.rsplit_once(':').is_none_or(|(host, port)| host.is_empty() || port.parse::<u16>().is_err()) {
                return Err(UsageError(format!("--listen takes ADDR:PORT, e.g. 127.0.0.1:{PORT}, not {listen:?}")));
            }
            return Ok(listen.to_owned());
        }
        (None, Some(port)) => {
            port.parse().map_err(|_| format!("the environment variable PORT is {port:?}, which isn't a port"))?
        }
        (None, None) => PORT,
    };
    Ok(format!("127.0.0.1:{port}"))
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
