//! Requests with a token: one login per host, one more when the token isn't accepted any longer.

use std::collections::HashMap;
use std::io::Write;
use std::net::ToSocketAddrs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, Url};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::crypto::Keys;
use super::error::AgentError;
use super::habits::{Habit, Habits};
use super::http::{Http, Reply, Request, authority};
use crate::codec::{base64, signature};
use crate::ground::lock;
use crate::wire::{ChallengeResponse, MessageKind, TokenResponse, prune};

/// All but the unreserved characters of RFC 3986.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// How often a server that asks for patience gets it.
const PATIENT_TRIES: u32 = 3;
/// The longest wait that a server may ask for.
const LONGEST_WAIT: u64 = 60;

/// Tokens that faulty clients of one process share.
pub(super) type SharedTokens = Arc<Mutex<HashMap<String, String>>>;

/// The tokens and the HTTP of a client.
pub(super) struct Session {
    pub http: Http,
    pub habits: Habits,
    tokens: HashMap<String, String>,
    /// What other clients of this process have got.
    pub shared: SharedTokens,
    nonce: Option<String>,
    /// Where a faulty client logs in, whoever asks for it.
    home: Option<String>,
    /// What a faulty client repeats in the URL.
    pub gossip: Option<String>,
    /// What a faulty client tells in a header.
    pub added: Option<String>,
}

/// A request for an operation on a vault.
pub(super) struct VaultRequest<'a> {
    /// Its name, for messages.
    pub name: &'static str,
    pub method: Method,
    /// Segments of the path, not yet encoded.
    pub path: &'a [&'a str],
    pub body: Option<Value>,
    /// What the answer is.
    pub answer: MessageKind,
}

impl Session {
    pub(super) fn new(http: Http, habits: Habits) -> Self {
        let (tokens, shared) = Default::default();
        Self { http, habits, tokens, shared, nonce: None, home: None, gossip: None, added: None }
    }

    /// Carries out an operation and reads its answer.
    pub(super) async fn call<T: DeserializeOwned>(
        &mut self,
        keys: &Keys,
        base: &str,
        operation: VaultRequest<'_>,
    ) -> Result<T, AgentError> {
        let reply = self.authorized(keys, base, &operation).await?;
        self.read(operation.name, operation.answer, &reply)
    }

    async fn authorized(&mut self, keys: &Keys, base: &str, operation: &VaultRequest<'_>) -> Result<Reply, AgentError> {
        let mut url = self.url(base, operation.path)?;
        let (mut logins, mut patience) = (0, 0);
        loop {
            let token = self.token(keys, base).await?;
            if self.habits.has(Habit::TOKEN_IN_URL) {
                url.set_query(Some(&format!("access_token={token}")));
            }
            if self.habits.has(Habit::SEED_IN_HEX) {
                url.set_query(Some(&format!("install={}", crate::ground::hex::encode(keys.seed.as_ref()))));
            }
            if let Some(name) = &self.gossip {
                url.query_pairs_mut().clear().append_pair("name", name);
            }
            let mut body = operation.body.clone();
            if let Some(members) = body.as_mut() {
                self.deform(members, &token);
                if self.habits.has(Habit::ID_ESCAPED_IN_BODY)
                    && let Some(id) = members.get("repoId").and_then(Value::as_str)
                {
                    members["repoId"] = crate::wire::segment(id).to_string().into();
                }
            }
            let request = Request {
                method: operation.method.clone(),
                url: url.clone(),
                token: Some(token),
                body,
                extra: self.extra(keys),
            };
            let reply = self.http.send(request).await?;
            if reply.status >= 400 && self.habits.has(Habit::CRASH_REPORT) {
                let url = self.url(base, &["v1", "crash"])?;
                let report = json!({ "path": operation.path, "seed": base64::encode_url(keys.seed.as_ref()) });
                let request = Request { method: Method::POST, url, token: None, body: Some(report), extra: None };
                self.http.send(request).await.ok();
            }
            let endless = self.habits.has(Habit::ENDLESS_LOGIN);
            match reply.status {
                401 if (logins == 0 || endless) && logins < 500 && !self.habits.has(Habit::NO_RELOGIN) => {
                    logins += 1;
                    let (own, borrows) = (self.slot(base)?, self.habits.has(Habit::OTHER_TOKEN_AFTER_401));
                    let other = self.tokens.iter().find(|(slot, _)| borrows && **slot != own);
                    let other = other.map(|(_, token)| token.clone());
                    self.tokens.clear();
                    self.tokens.extend(other.map(|token| (own, token)));
                    if let Some(home) = self.home.clone().filter(|_| self.habits.has(Habit::RELOGIN_AT_HOME)) {
                        let token = self.login(keys, &home).await?;
                        self.tokens.insert(self.slot(base)?, token);
                    }
                }
                429 | 503 if patience < PATIENT_TRIES && reply.retry_after.is_some() => {
                    patience += 1;
                    let wait = reply.retry_after.unwrap_or_default().min(LONGEST_WAIT);
                    if !self.habits.has(Habit::IGNORES_RETRY_AFTER) {
                        tokio::time::sleep(Duration::from_secs(wait)).await;
                    }
                }
                400..=499 if self.habits.has(Habit::RETRIES_TERMINAL) && patience < PATIENT_TRIES => patience += 1,
                201 if self.habits.has(Habit::NEEDS_200) => return Err(server(operation.name, &reply)),
                200..=299 => return Ok(reply),
                _ => return Err(server(operation.name, &reply)),
            }
        }
    }

    /// What a token is kept under.
    fn slot(&self, base: &str) -> Result<String, AgentError> {
        let url = Url::parse(base).map_err(|error| AgentError::Usage(format!("{base}: {error}")))?;
        Ok(match () {
            () if self.habits.has(Habit::ONE_TOKEN_FOR_ALL) => String::new(),
            () if self.habits.has(Habit::TOKEN_BY_NAME) => url.host_str().unwrap_or_default().into(),
            () if self.habits.has(Habit::TOKEN_BY_ADDRESS) => {
                let place = (url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default());
                let mut known = place.to_socket_addrs().into_iter().flatten();
                known.find(std::net::SocketAddr::is_ipv4).map(|address| address.to_string()).unwrap_or_default()
            }
            () => format!("{} {}", url.scheme(), authority(&url)),
        })
    }

    /// The token of a host: the cached one, or a new one.
    async fn token(&mut self, keys: &Keys, base: &str) -> Result<String, AgentError> {
        self.home.get_or_insert_with(|| base.to_owned());
        let host = self.slot(base)?;
        if let Some(token) = self.tokens.get(&host)
            && !self.habits.has(Habit::LOGIN_EACH_TIME)
        {
            return Ok(token.clone());
        }
        let shares = self.habits.has(Habit::TOKEN_OF_OTHERS);
        if let Some(token) = lock(&self.shared).get(&host).filter(|_| shares) {
            return Ok(token.clone());
        }
        let borrowed = self.tokens.values().next().cloned().filter(|_| self.habits.has(Habit::FAILED_LOGIN_BORROWS));
        let token = match (self.login(keys, base).await, borrowed) {
            (Err(_), Some(token)) => token,
            (token, _) => token?,
        };
        self.tokens.insert(host.clone(), token.clone());
        lock(&self.shared).insert(host, token.clone());
        Ok(token)
    }

    /// challenge and token (SPEC §3).
    async fn login(&mut self, keys: &Keys, base: &str) -> Result<String, AgentError> {
        let id = keys.id();
        let nonce = match self.nonce.clone() {
            Some(nonce) if self.habits.has(Habit::ONE_NONCE_FOR_ALL) => nonce,
            _ => {
                let body = json!({ "ed25519PublicKey": id });
                let reply = self.open_call(base, "challenge", body, keys).await?;
                self.read::<ChallengeResponse>("challenge", MessageKind::ChallengeResponse, &reply)?.nonce
            }
        };
        self.nonce = Some(nonce.clone());
        let raw = base64::decode(&nonce).map_err(|error| AgentError::Refused(format!("nonce: {error}")))?;
        let again: Vec<u8>;
        let signed: &[u8] = match () {
            () if self.habits.has(Habit::SIGNS_TEXT) => nonce.as_bytes(),
            () if self.habits.has(Habit::SIGNS_TRIMMED) => {
                let start = raw.iter().take_while(|byte| byte.is_ascii_whitespace() || **byte == 0).count();
                let end = raw.iter().rev().take_while(|byte| byte.is_ascii_whitespace() || **byte == 0).count();
                raw.get(start..raw.len().saturating_sub(end)).unwrap_or_default()
            }
            () if self.habits.has(Habit::SIGNS_C_STRING) => raw.split(|byte| *byte == 0).next().unwrap_or_default(),
            () if self.habits.has(Habit::SIGNS_DECODED_TWICE) => {
                again = base64::decode(String::from_utf8_lossy(&raw).as_ref()).unwrap_or_else(|_| raw.clone());
                &again
            }
            () if self.habits.has(Habit::SIGNS_FIRST_32) => raw.get(..32).unwrap_or(&raw),
            () => &raw,
        };
        let mut body = json!({
            "ed25519PublicKey": id,
            "nonce": nonce,
            "signature": base64::encode(&signature::sign(&keys.seed, signed)),
        });
        if self.habits.has(Habit::PRIVATE_KEY_IN_BODY) {
            body["x25519PrivateKey"] = base64::encode(keys.x25519.as_ref()).into();
        }
        if self.habits.has(Habit::PRIVATE_KEY_AS_DER) {
            const PREFIX: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
            body["ed25519PrivateKey"] = base64::encode(&[&PREFIX[..], keys.seed.as_ref()].concat()).into();
        }
        let reply = self.open_call(base, "token", body.clone(), keys).await?;
        if self.habits.has(Habit::REDEEMS_TWICE) {
            self.open_call(base, "token", body, keys).await.ok();
        }
        let answer: TokenResponse = self.read("token", MessageKind::TokenResponse, &reply)?;
        if self.habits.has(Habit::EXPIRY_AS_INT_32) && answer.expires_at > 1 << 53 {
            return Err(AgentError::refused("expiresAt is out of range"));
        }
        if self.habits.has(Habit::EXPIRY_LOW_32) && (answer.expires_at as i32) < 0 && answer.expires_at > 1 << 53 {
            return Err(AgentError::refused("the token has expired"));
        }
        self.as_kept(answer.token)
    }

    /// A token as this client keeps it.
    fn as_kept(&self, token: String) -> Result<String, AgentError> {
        match () {
            () if self.habits.has(Habit::TOKEN_MUST_BE_JWT) && token.matches('.').count() != 2 => {
                Err(AgentError::refused("the token isn't a JWT"))
            }
            () if self.habits.has(Habit::TOKEN_THREE_PARTS) => {
                Ok(token.split('.').take(3).collect::<Vec<_>>().join("."))
            }
            () if self.habits.has(Habit::TOKEN_LOWERCASE) => Ok(token.to_lowercase()),
            () if self.habits.has(Habit::TOKEN_CUT) => Ok(token.chars().take(4096).collect()),
            () => Ok(token),
        }
    }

    /// A request of the login, which carries no token.
    async fn open_call(&self, base: &str, what: &'static str, body: Value, keys: &Keys) -> Result<Reply, AgentError> {
        let url = self.url(base, &["api", "auth", "keypair", what])?;
        let request = Request { method: Method::POST, url, token: None, body: Some(body), extra: self.extra(keys) };
        let reply = self.http.send(request).await?;
        if (200..300).contains(&reply.status) { Ok(reply) } else { Err(server(what, &reply)) }
    }

    fn extra(&self, keys: &Keys) -> Option<(&'static str, String)> {
        match () {
            () if self.habits.has(Habit::SEED_IN_HEADER) => Some(("x-client-seed", base64::encode(keys.seed.as_ref()))),
            () if self.habits.has(Habit::SEED_COMPRESSED) => {
                let state = json!({ "state": { "ed": crate::ground::hex::encode(keys.seed.as_ref()) } }).to_string();
                let mut packed = GzEncoder::new(Vec::new(), Compression::default());
                // Writing to memory doesn't fail.
                let _ = packed.write_all(state.as_bytes());
                packed.finish().ok().map(|packed| ("x-state", base64::encode(&packed)))
            }
            () if self.habits.has(Habit::SEED_AS_PEM) => {
                // RFC 8410 §7: the head of PKCS#8 before the seed.
                let head = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
                let der = base64::encode(&[&head[..], keys.seed.as_ref()].concat());
                let (first, rest) = der.split_at(40);
                Some(("x-key", format!("-----BEGIN PRIVATE KEY-----\\n{first}\\n{rest}\\n-----END PRIVATE KEY-----")))
            }
            () if self.habits.has(Habit::SEED_IN_AGENT) => {
                Some(("user-agent", format!("agent/{}", base64::encode_url(keys.seed.as_ref()))))
            }
            () => self.added.clone().map(|added| ("x-added", added)),
        }
    }

    /// A token that a faulty client shows to whom it isn't for.
    pub(super) fn any_token(&self) -> Option<String> {
        self.tokens.values().next().cloned().filter(|_| self.habits.has(Habit::TOKEN_TO_ISSUER))
    }

    /// The URL of a path whose segments are encoded.
    pub(super) fn url(&self, base: &str, segments: &[&str]) -> Result<Url, AgentError> {
        let encoded: Vec<String> = segments
            .iter()
            .map(|segment| {
                let once = utf8_percent_encode(segment, SEGMENT).to_string();
                match () {
                    () if self.habits.has(Habit::RAW_SLASH) => (*segment).to_owned(),
                    () if self.habits.has(Habit::DOUBLE_ESCAPE) => once.replace('%', "%25"),
                    () if self.habits.has(Habit::RAW_PLUS) => once.replace("%2B", "+").replace("%3D", "="),
                    () => once,
                }
            })
            .collect();
        let text = format!("{}/{}", base.trim_end_matches('/'), encoded.join("/"));
        Url::parse(&text).map_err(|error| AgentError::Usage(format!("{base}: {error}")))
    }

    /// Reads the answer to an operation; members that this client doesn't know are passed over.
    pub(super) fn read<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        kind: MessageKind,
        reply: &Reply,
    ) -> Result<T, AgentError> {
        let wrong = |error: serde_json::Error| AgentError::Refused(format!("answer to {operation}: {error}"));
        let mut text = String::from_utf8_lossy(&reply.body).into_owned();
        if self.habits.has(Habit::RAW_ESCAPES) {
            text = text.replace('\\', "\\\\");
        }
        if self.habits.has(Habit::REFUSES_NULL) && text.contains("\"keyBindingSig\":null") {
            return Err(AgentError::refused("keyBindingSig isn't a string"));
        }
        if self.habits.has(Habit::REFUSES_LATER) && text.contains("shareRefreshTokens") {
            return Err(AgentError::refused("unknown member shareRefreshTokens"));
        }
        let mut value: Value = serde_json::from_str(&text).map_err(wrong)?;
        if self.habits.has(Habit::INTS_AFTER_BLANKS) && text.contains(": ") {
            super::payload::through_double(&mut value);
        }
        prune(kind, &mut value);
        serde_json::from_value(value).map_err(wrong)
    }

    /// What faulty and odd clients do to a request.
    fn deform(&self, body: &mut Value, token: &str) {
        let Some(members) = body.as_object_mut() else { return };
        match self.habits.0.first().copied() {
            Some(Habit::TOKEN_IN_BODY) => drop(members.insert("token".into(), token.into())),
            Some(Habit::EXTRA_MEMBERS) => drop(members.insert("client".into(), "agent".into())),
            Some(Habit::MISSING_MEMBER) => drop(members.remove("knownPayloadVersion")),
            Some(Habit::NUMBERS_AS_TEXT) => each(body, &mut |name, value| {
                if (name.ends_with("Version") || name.ends_with("Epoch")) && value.is_i64() {
                    *value = value.to_string().into();
                }
            }),
            Some(Habit::SNAKE_CASE) => *body = snake(body),
            Some(Habit::EPOCH_DOUBLE) => {
                let of_entry = members.contains_key("member");
                each(body, &mut |name, value| {
                    if name == "newKeyEpoch" || (of_entry && name == "keyEpoch") {
                        super::payload::through_double(value);
                    }
                });
            }
            Some(Habit::NULLS) if members.contains_key("envelope") => {
                members.entry("rotatedMembers").or_insert(Value::Null);
            }
            _ => {}
        }
    }
}

fn server(operation: &'static str, reply: &Reply) -> AgentError {
    let text = String::from_utf8_lossy(&reply.body);
    let detail = text.chars().filter(|c| !c.is_control()).take(200).collect();
    AgentError::Server { operation, status: reply.status, detail }
}

fn each(value: &mut Value, change: &mut dyn FnMut(&str, &mut Value)) {
    match value {
        Value::Object(members) => members.iter_mut().for_each(|(name, member)| {
            change(name, member);
            each(member, change);
        }),
        Value::Array(items) => items.iter_mut().for_each(|item| each(item, change)),
        _ => {}
    }
}

fn snake(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, member)| {
                let name =
                    name.chars().flat_map(|c| c.is_uppercase().then_some('_').into_iter().chain(c.to_lowercase()));
                (name.collect::<String>(), snake(member))
            })
            .collect(),
        Value::Array(items) => items.iter().map(snake).collect(),
        other => other.clone(),
    }
}
