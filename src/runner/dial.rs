//! The ways to what is judged: made from the configuration, before anybody is spoken to.

use std::sync::Arc;

use serde_json::Value;
use url::Url;

use super::{RunConfig, Target};
use crate::client::{self, Identity, Profile, Transport, TransportError};
use crate::scenarios::{self, Abort, Launch};
use crate::wire::Operation;

pub(super) fn abort(reason: impl Into<String>, advice: impl Into<String>) -> Abort {
    Abort { reason: reason.into(), advice: advice.into() }
}

fn wants_tls(url: &Url) -> bool {
    matches!(url.scheme(), "https" | "grpcs")
}

/// Makes the transports for a configuration.
///
/// # Errors
/// [`Abort`] when the target can't be resolved or TLS can't be set up.
pub async fn connect(config: &RunConfig) -> Result<(Transport, Option<Transport>), Abort> {
    let base = match &config.server {
        Target::Url(url) => url.clone(),
        Target::Avp(authority) => Url::parse(&format!("https://{authority}/"))
            .map_err(|error| abort(format!("avp://{authority} can't be dialled: {error}"), "check the address"))?,
    };
    let needs_tls = wants_tls(&base) || config.idp.as_ref().is_some_and(wants_tls);
    let tls = if needs_tls { Some(tls(config)?) } else { None };
    let unusable = |error: TransportError| abort(error.to_string(), "check the URL");
    let make = |url: &Url, headers: &[client::Header]| {
        Transport::new(url, tls.clone(), headers.to_vec(), config.timeout).map_err(unusable)
    };
    let vault = make(&base, &config.headers)?;
    let idp = match (&config.idp, config.idp_headers.is_empty()) {
        (Some(url), _) => Some(make(url, &config.idp_headers)?),
        // Same server, but other headers for challenge and token.
        (None, false) => {
            let both: Vec<_> = config.headers.iter().chain(&config.idp_headers).cloned().collect();
            Some(make(&base, &both)?)
        }
        (None, true) => None,
    };
    Ok((vault, idp))
}

/// A way to a server that is going to be started.
///
/// # Errors
/// [`Abort`] when its URL can't be dialled.
pub fn probe(config: &RunConfig, launch: &Launch) -> Result<Transport, Abort> {
    let tls = if wants_tls(&launch.url) { Some(tls(config)?) } else { None };
    let headers = if launch.option == crate::scenarios::hosting::IDP { &config.idp_headers } else { &config.headers };
    let unusable = |error: TransportError| abort(error.to_string(), "check the URL");
    Transport::new(&launch.url, tls, headers.clone(), config.timeout).map_err(unusable)
}

/// Ways to the other processes of the deployment and to another deployment, each of which must be there.
///
/// # Errors
/// [`Abort`] when one can't be dialled or doesn't answer.
pub async fn others(config: &RunConfig) -> Result<(Vec<Arc<Transport>>, Option<Arc<Transport>>), Abort> {
    let way = async |option: &str, url: &Url, headers: &[client::Header]| {
        let tls = if wants_tls(url) { Some(tls(config)?) } else { None };
        let named = |error: TransportError| {
            let unreachable = unreachable(&error);
            Abort { reason: format!("{option} {url}: {}", unreachable.reason), ..unreachable }
        };
        let transport = Transport::new(url, tls, headers.to_vec(), config.timeout).map_err(named)?;
        let body = serde_json::json!({ "ed25519PublicKey": Identity::generate().id });
        let request = scenarios::json_request(Operation::Challenge.path("", ""), &body);
        transport.send(&request).await.map_err(named)?;
        Ok(Arc::new(transport))
    };
    let mut replicas = Vec::new();
    let option = if config.beside.is_some() { "--grpc" } else { "--replica" };
    for url in &config.replicas {
        replicas.push(way(option, url, &config.headers).await?);
    }
    // What this deployment asks for is nobody else's business.
    let stranger = match &config.stranger {
        Some(url) => Some(way("--stranger", url, &[]).await?),
        None => None,
    };
    Ok((replicas, stranger))
}

/// The keys of the key set given with `--jwks`, if one was given.
///
/// # Errors
/// [`Abort`] when it can't be read.
pub async fn issuer_keys(config: &RunConfig) -> Result<Option<Vec<[u8; 32]>>, Abort> {
    let Some(url) = &config.jwks else { return Ok(None) };
    let keys = client::jwks::fetch(url, tls(config)?, config.timeout).await;
    keys.map(Some).map_err(|error| abort(error.to_string(), "check the URL given with --jwks"))
}

fn tls(config: &RunConfig) -> Result<Arc<rustls::ClientConfig>, Abort> {
    client::client_config(&config.ca_certs, config.insecure)
        .map_err(|error| abort(error.to_string(), "check the file given with --ca-cert"))
}

/// An `avp://` address names a host; discovery says which profiles it speaks (SPEC §8.2). Without discovery it is HTTP/JSON.
/// Returns the URL to dial, that of the other profile if both are wanted, and a note on what was taken and why.
///
/// # Errors
/// [`Abort`] when nobody is there, or none of the profiles is one that is wanted.
pub async fn settle(config: &RunConfig, authority: &str) -> Result<(Url, Option<Url>, String), Abort> {
    let url = |scheme: &str| {
        Url::parse(&format!("{scheme}://{authority}/"))
            .map_err(|error| abort(format!("avp://{authority} can't be dialled: {error}"), "check the address"))
    };
    let base = url("https")?;
    let unusable = |error: TransportError| abort(error.to_string(), "check the URL");
    let vault = Transport::new(&base, Some(tls(config)?), config.headers.clone(), config.timeout).map_err(unusable)?;
    let request = client::RawRequest {
        method: http::Method::GET,
        path: Operation::Discovery.path("", ""),
        headers: Vec::new(),
        body: None,
        answer_limit: 64 * 1024,
    };
    let offered: Vec<String> = match vault.send(&request).await {
        Ok(answer) => serde_json::from_slice::<Value>(&answer.body)
            .ok()
            .filter(|_| answer.status.is_success())
            .and_then(|body| serde_json::from_value(body.get("profiles")?.clone()).ok())
            .unwrap_or_default(),
        // Whoever speaks gRPC alone has no discovery, and HTTP/1.1 means nothing there.
        Err(error) if config.wanted != Some(Profile::Grpc) || error.is_unreachable() => {
            return Err(unreachable(&error));
        }
        Err(_) => Vec::new(),
    };
    let offers = |profile: Profile| offered.iter().any(|offered| offered == profile.name());
    let none = offered.is_empty();
    let taken = match config.wanted {
        Some(wanted) if none || offers(wanted) => Some(wanted),
        Some(_) => None,
        None if none || offers(Profile::Http) => Some(Profile::Http),
        None => Some(Profile::Grpc).filter(|_| offers(Profile::Grpc)),
    };
    let listed =
        offered.iter().map(|name| name.chars().take(40).collect::<String>()).take(8).collect::<Vec<_>>().join(", ");
    let why = if none { "there is no discovery".to_owned() } else { format!("discovery offers {listed}") };
    if config.wants_both && config.beside.is_none() {
        if !(offers(Profile::Http) && offers(Profile::Grpc)) {
            return Err(abort(
                format!("avp://{authority}: {why}, and this run wants both profiles"),
                "name the two addresses: --server https://HOST --grpc grpcs://HOST:PORT",
            ));
        }
        let note = format!("avp://{authority}: {why}; this run judges both (https:// and grpcs://)");
        return Ok((url("https")?, Some(url("grpcs")?), note));
    }
    let Some(taken) = taken else {
        return Err(abort(
            format!(
                "avp://{authority} offers only {listed}, and this run wants {}",
                config.wanted.map_or("http-json or grpc", Profile::name)
            ),
            "choose another --profile, or name the address with --server https://… or grpcs://…",
        ));
    };
    let scheme = if taken == Profile::Grpc { "grpcs" } else { "https" };
    Ok((url(scheme)?, None, format!("avp://{authority}: {why}; this run speaks {} ({scheme}://)", taken.name())))
}

/// Who can't be reached, and what to do about it.
pub(super) fn unreachable(error: &TransportError) -> Abort {
    let advice = match error {
        TransportError::Resolve { .. } => "check the host name",
        TransportError::Connect { .. } => "start the server, or check host and port",
        TransportError::Tls(_) => {
            "check the certificate (--ca-cert FILE, or --insecure for a self-signed one), or use http:// (grpc://) if it speaks no TLS"
        }
        TransportError::Timeout(_) | TransportError::Opening { .. } => {
            "see whether the server hangs, or raise --timeout"
        }
        TransportError::NotHttp(_) => {
            "check the port: something else than an HTTP server (or an HTTPS server) listens there"
        }
        TransportError::Closed { .. } | TransportError::NotSent(_) => {
            "look at the server's log, whether it expects TLS (https://, grpcs://), and whether the URL says the profile that is spoken there"
        }
        TransportError::NotGrpc(_) => {
            "check the port: gRPC is spoken elsewhere, or this server speaks HTTP/JSON (http://) or TLS (grpcs://)"
        }
        TransportError::TooLarge(_) | TransportError::Unsayable(_) => "check the URL",
    };
    abort(error.to_string(), advice)
}
