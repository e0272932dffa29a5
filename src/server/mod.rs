//! The built-in reference server: conformant, strict about input, SQLite underneath. It is also the oracle of this project's
//! own tests, so it shares nothing with the suite but [`crate::codec`] and [`crate::wire`].
//!
//! ```text
//! listener     TCP, HTTP/1.1, graceful end                (connection)
//! http         routes, order of the checks, answers      (credentials, body, refusal, route)
//! grpc         the same over HTTP/2 and protobuf
//! rules        every decision of the protocol, one method each
//! redemption   challenge and token                       (nonces, issuer, clock)
//! operations   the six operations as functions of a state (validate, repo)
//! store        SQLite
//! deviation    what a server does differently; nothing here (the rows are in `crate::faults`)
//! ```

mod body;
pub(crate) mod clock;
pub(crate) mod connection;
pub(crate) mod credentials;
mod deviation;
pub(crate) mod edge;
mod folder;
mod grpc;
mod http;
pub(crate) mod issuer;
mod listener;
pub(crate) mod nonces;
pub(crate) mod operations;
pub(crate) mod redemption;
pub(crate) mod refusal;
pub(crate) mod repo;
pub(crate) mod route;
pub(crate) mod rules;
pub(crate) mod store;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod validate;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::Dispatch;
use tracing::dispatcher;
use tracing::instrument::WithSubscriber as _;

pub use connection::Profile;
pub use deviation::{Behaviour, Deviation};
pub use folder::Folder;

/// How the server runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// SQLite file, made when missing; `None` keeps everything in memory.
    pub db: Option<PathBuf>,
    /// File that the log is appended to, in JSON, a line for each event; `None` leaves it to the process's subscriber.
    pub log: Option<PathBuf>,
    /// How long a nonce can be redeemed; 120 s by default, as SPEC §3 recommends at most.
    pub nonce_ttl: Duration,
    /// How long a token is valid; 1 h by default.
    pub token_ttl: Duration,
    /// Largest request body in bytes; 16 MiB by default.
    pub max_body: usize,
    /// Where clients reach this server, for discovery; `None` takes it from each request's Host header.
    pub public_url: Option<String>,
    /// What it does differently from the clean server.
    pub deviation: Deviation,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            db: None,
            log: None,
            nonce_ttl: Duration::from_secs(120),
            token_ttl: Duration::from_secs(3600),
            max_body: 16 << 20,
            public_url: None,
            deviation: Deviation::default(),
        }
    }
}

/// Why the server didn't start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The database can't be opened or isn't one of ours.
    #[error("can't open the database {path}: {source}")]
    Database {
        /// The file, or `(in memory)`.
        path: String,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// No signing key could be read or made.
    #[error("can't set up the token signing key: {0}")]
    SigningKey(String),
    /// There is no room for a temporary folder.
    #[error("can't make a temporary folder for database and log: {0}")]
    Folder(std::io::Error),
    /// The log can't be written.
    #[error("can't write the log {path}: {source}")]
    Log {
        /// The file.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The listener can't be used.
    #[error("can't listen: {0}")]
    Listener(#[from] std::io::Error),
}

/// A server at work. Dropping it stops it at once; [`Running::shutdown`] lets requests under way finish.
#[derive(Debug)]
pub struct Running {
    addr: SocketAddr,
    grpc: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where it listens for gRPC, if it does.
    pub fn grpc(&self) -> Option<SocketAddr> {
        self.grpc
    }

    /// Stops listening, gives open requests a few seconds, and returns when everything is closed.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        // It can only have been cancelled, with the runtime, and then it is gone as well.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts a server on a listener that is bound already.
///
/// # Errors
/// The database or the listener can't be used.
pub async fn start(config: Config, listener: std::net::TcpListener) -> Result<Running, ServerError> {
    start_with(config, listener, None).await
}

/// As [`start`]; with a second listener, gRPC is spoken there from the same store.
///
/// # Errors
/// As [`start`].
pub async fn start_with(
    config: Config,
    listener: std::net::TcpListener,
    grpc: Option<std::net::TcpListener>,
) -> Result<Running, ServerError> {
    let listener = listening(listener)?;
    let addr = listener.local_addr()?;
    let deviation::Conduct { identity, vault, edges } = config.deviation.build();
    let grpc_listener = grpc.map(listening).transpose()?;
    let grpc = grpc_listener.as_ref().map(tokio::net::TcpListener::local_addr).transpose()?;
    let store = Arc::new(store::Store::open(config.db.as_deref()).map_err(|source| {
        let path = config.db.as_ref().map_or_else(|| "(in memory)".into(), |path| path.display().to_string());
        ServerError::Database { path, source }
    })?);
    let issuer = issuer::Issuer::open(&store, identity.signing_seed())
        .map_err(|refusal| ServerError::SigningKey(refusal.detail.into_owned()))?;
    // Where there is a file, another process may have it too.
    let shared = (config.db.is_some() && identity.shares_nonces()).then(|| Arc::clone(&store));
    let authority = redemption::Authority {
        issuer,
        nonces: shared.map_or_else(nonces::Nonces::default, nonces::Nonces::stored),
        nonce_ttl: config.nonce_ttl,
        token_ttl: config.token_ttl,
    };
    let (max_body, public_url) = (config.max_body, config.public_url);
    let both = grpc.is_some();
    let app = Arc::new(http::App { identity, vault, edges, store, authority, max_body, public_url, both });
    let (stop, stopped) = watch::channel(false);
    let router = http::router(Arc::clone(&app));
    let log = config.log.as_deref().map(log_to).transpose()?.unwrap_or_else(|| dispatcher::get_default(Clone::clone));
    let http = listener::accept(app.clone(), router.clone(), (connection::Profile::Http, listener), stopped.clone());
    let grpc_listener = grpc_listener.map(|listener| (connection::Profile::Grpc, listener));
    let serving = async move {
        match grpc_listener {
            Some(grpc) => drop(tokio::join!(http, listener::accept(app, router, grpc, stopped))),
            None => http.await,
        }
    };
    let task = tokio::spawn(serving.with_subscriber(log));
    Ok(Running { addr, grpc, stop, task })
}

fn listening(listener: std::net::TcpListener) -> std::io::Result<tokio::net::TcpListener> {
    listener.set_nonblocking(true)?;
    tokio::net::TcpListener::from_std(listener)
}

/// A subscriber that appends to a file.
fn log_to(path: &Path) -> Result<Dispatch, ServerError> {
    let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
    let file = file.map_err(|source| ServerError::Log { path: path.display().to_string(), source })?;
    Ok(Dispatch::new(tracing_subscriber::fmt().json().with_writer(Arc::new(file)).finish()))
}
