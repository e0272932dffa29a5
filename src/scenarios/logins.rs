//! The logins of a run: what bought a token, and which right signatures were refused. Looked at again when the run ends.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;

use crate::client::{Exchange, clock};
use crate::ground::lock;
use crate::wire::{TokenRequest, TokenResponse};

/// More logins than this aren't remembered: some ten megabytes.
const MOST: usize = 8192;

/// A nonce that has bought a token.
#[derive(Clone, Debug)]
pub struct Login {
    /// What was sent.
    pub request: TokenRequest,
    /// The token that came back.
    pub token: String,
    /// How long it is good for, by what was announced; zero when nothing sensible was.
    pub lifetime: Duration,
    /// When it was bought.
    pub at: Instant,
}

/// A fresh nonce that was signed rightly and refused, while another one of the same key worked right after it.
#[derive(Clone, Debug)]
pub struct Unlucky {
    /// What was sent.
    pub request: TokenRequest,
    /// The record.
    pub exchange: Arc<Exchange>,
}

/// All of them, in the order in which they came.
#[derive(Debug, Default)]
pub struct Logins {
    done: Mutex<Vec<Login>>,
    unlucky: Mutex<Vec<Unlucky>>,
    /// Keys for which a token was refused.
    refused: Mutex<HashSet<String>>,
}

impl Logins {
    /// Notes that there is no token for a request.
    pub fn refused(&self, request: &TokenRequest) {
        let mut refused = lock(&self.refused);
        if refused.len() < MOST {
            refused.insert(request.ed25519_public_key.clone());
        }
    }

    /// Notes the token that a request has bought; `headers` are those of the answer.
    pub fn granted(&self, request: &TokenRequest, granted: TokenResponse, headers: &HeaderMap) {
        let TokenResponse { token, expires_at } = granted;
        let mut done = lock(&self.done);
        if done.len() < MOST {
            // By the server's own clock where that is ahead. One that is behind, or stands still, would make a token seem to last longer
            // than it does.
            let date = headers.get(http::header::DATE).and_then(|value| value.to_str().ok());
            let now = date.and_then(clock::http_date_ms).unwrap_or(i64::MIN).max(clock::now_ms());
            let lifetime = Duration::from_millis(u64::try_from(expires_at.saturating_sub(now)).unwrap_or(0));
            done.push(Login { request: request.clone(), token, lifetime, at: Instant::now() });
        }
    }

    /// Notes a right signature that was refused, and wasn't to blame.
    pub fn note_unlucky(&self, request: &TokenRequest, exchange: &Arc<Exchange>) {
        let mut unlucky = lock(&self.unlucky);
        if unlucky.len() < MOST {
            unlucky.push(Unlucky { request: request.clone(), exchange: exchange.clone() });
        }
    }

    /// Whether every token request for a key was granted: a server may end what it has granted to a key that looks stolen.
    pub fn is_unsuspicious(&self, key: &str) -> bool {
        !lock(&self.refused).contains(key)
    }

    /// What bought a token, oldest first.
    pub fn done(&self) -> Vec<Login> {
        lock(&self.done).clone()
    }

    /// Whether the announced expiry of a token has passed.
    pub fn has_expired(&self, token: &str) -> bool {
        let done = lock(&self.done);
        let login = done.iter().rev().find(|login| login.token == token);
        login.is_some_and(|login| !login.lifetime.is_zero() && login.at.elapsed() >= login.lifetime)
    }

    /// Right signatures that were refused.
    pub fn unlucky(&self) -> Vec<Unlucky> {
        lock(&self.unlucky).clone()
    }
}
