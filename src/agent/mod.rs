//! The built-in reference client: a small real client of the protocol, as library and as `avp-conform agent`.
//!
//! It keeps a token per host, retries after conflicts, rotates the data key when it removes a member, verifies key bindings
//! before it wraps (SPEC §9), asks for discovery, and speaks invites and locators (SPEC §8.1). It shares the codec and the
//! messages with the suite and nothing of what judges: it and `client_scenarios` are each other's oracle. Its [`Habit`]s
//! measure that judge.

mod binding;
mod crypto;
pub mod demo;
pub mod driver;
mod error;
mod habits;
mod http;
mod members;
mod memory;
mod payload;
mod put;
mod session;
mod state;
mod tls;

use reqwest::{Method, Url};
use serde_json::{Value, json};
use zeroize::Zeroizing;

pub use crypto::Keys;
pub use error::AgentError;
pub use habits::{Habit, HabitInfo, Habits};
pub use http::Connection;
pub use state::{ClientState, JoinedRepo};

use crate::codec::DataKey;
use crate::codec::aad::Binding;
use crate::codec::key_wrap::SCHEME_ID;
use crate::codec::locator::RepoLocator;
use crate::ground::hex;
use crate::wire::{
    CreateRepoRequest, Discovery, EncryptedEnvelope, MemberEntry, MessageKind, PullResponse, VaultManifest,
};
use http::{Http, Request, authority};
use memory::Memory;
use session::{Session, VaultRequest};

/// How often a write is made again after somebody else was faster.
const TRIES: u32 = 5;

/// A client with its keys, its tokens and what it knows.
pub struct Agent {
    /// Keys and repositories.
    pub state: ClientState,
    session: Session,
    habits: Habits,
    /// What only a faulty client remembers.
    memory: Memory,
    /// Whether a repository that a locator names is dialled without TLS.
    pub plain_http: bool,
    /// Whether the user operates the hosts.
    pub own_host: bool,
}

/// A repository as it was pulled and opened.
#[derive(Clone)]
struct Opened {
    manifest: VaultManifest,
    key: DataKey,
    payload: Value,
}

impl Agent {
    /// A client; `habits` is empty for a good one.
    ///
    /// # Errors
    /// [`AgentError::Usage`] when the certificate authority can't be read.
    pub fn new(state: ClientState, connection: &Connection, habits: Habits) -> Result<Self, AgentError> {
        let session = Session::new(Http::new(connection, &habits)?, habits.clone());
        Ok(Self { state, session, habits, memory: Memory::default(), plain_http: false, own_host: false })
    }

    /// Creates a repository at a server with these accounts; returns its address.
    ///
    /// # Errors
    /// [`AgentError`].
    pub async fn create(&mut self, server: &str, accounts: Vec<Value>) -> Result<JoinedRepo, AgentError> {
        let created = self.create_one(server, accounts).await?;
        if self.habits.has(Habit::CREATES_ANOTHER) {
            self.create_one(server, Vec::new()).await?;
        }
        Ok(created)
    }

    async fn create_one(&mut self, server: &str, accounts: Vec<Value>) -> Result<JoinedRepo, AgentError> {
        let (base, issuer) = self.resolve(server).await?;
        let url = Url::parse(&base).map_err(|error| AgentError::Usage(format!("{base}: {error}")))?;
        let version = i64::from(!self.habits.has(Habit::FROM_ZERO) && !self.habits.has(Habit::KNOWS_ZERO));
        let first = i64::from(self.habits.has(Habit::EPOCH_ZERO_IS_ONE));
        let mut known = JoinedRepo {
            host: authority(&url),
            base,
            repo_id: self.new_id(&authority(&url), &accounts),
            issuer_jwks_url: issuer,
            own_host: self.own_host,
            version: Some(version),
            epoch: Some(first),
            keys: Default::default(),
        };
        let key = self.new_data_key(&known.repo_id);
        let payload = payload::write(json!({ "alts": accounts }), version, &self.habits);
        let envelope = self.seal(&key, &known.repo_id, (version, first), &payload);
        let mut manifest = VaultManifest {
            repo_id: known.repo_id.clone(),
            scheme_id: SCHEME_ID.into(),
            key_epoch: first,
            payload_version: version,
            members: vec![self.own_entry(&key, first)?],
            share_refresh_tokens: self.habits.has(Habit::SHARES).then_some(true),
        };
        if self.habits.has(Habit::CREATE_DISAGREES) {
            manifest.payload_version += 1;
        }
        if self.habits.has(Habit::CREATES_WITH_TWO) {
            let other = Keys::generate();
            manifest.members.push(self.entry(&key, &other.id(), &other.x25519_public_key(), first)?);
        }
        let body = to_value(&CreateRepoRequest { manifest, initial_envelope: envelope })?;
        let operation = VaultRequest {
            name: "createRepo",
            method: Method::POST,
            path: &["v1", "repos"],
            body: Some(body),
            answer: MessageKind::VaultManifest,
        };
        let created: VaultManifest = self.session.call(&self.state.keys, &known.base, operation).await?;
        known.epoch = Some(created.key_epoch);
        self.state.keep(known.clone())?;
        Ok(known)
    }

    /// The data key of a new repository: a random one of its own.
    fn new_data_key(&mut self, repo_id: &str) -> DataKey {
        match () {
            () if self.habits.has(Habit::ONE_DATA_KEY) => {
                self.memory.data_key.get_or_insert_with(|| DataKey::new(crypto::random())).clone()
            }
            () if self.habits.has(Habit::DATA_KEY_OF_ID) => {
                DataKey::new(<sha2::Sha256 as sha2::Digest>::digest(repo_id.as_bytes()).into())
            }
            () => DataKey::new(crypto::random()),
        }
    }

    /// The payload of a repository.
    ///
    /// # Errors
    /// [`AgentError`]; [`AgentError::Refused`] when what was served can't be the repository's.
    pub async fn read(&mut self, repo: &JoinedRepo) -> Result<Value, AgentError> {
        let mut known = self.state.current(repo);
        let Opened { manifest, payload, .. } = self.open(&mut known).await?;
        Ok(self.memory.by_version(manifest.payload_version, &known, payload, &self.habits))
    }

    /// Joins the repository of a locator: remembers it and reads it once.
    ///
    /// # Errors
    /// [`AgentError`].
    pub async fn join(&mut self, locator: &str) -> Result<JoinedRepo, AgentError> {
        let mut locator = RepoLocator::decode(locator).map_err(AgentError::refused)?;
        locator.repo_id = match locator.repo_id.parse::<u64>() {
            _ if self.habits.has(Habit::LOWERS_IDS) => locator.repo_id.to_lowercase(),
            _ if self.habits.has(Habit::ID_TRIMMED) => locator.repo_id.trim().to_owned(),
            Ok(number) if self.habits.has(Habit::ID_NUMBER) => number.to_string(),
            _ => locator.repo_id,
        };
        if self.habits.has(Habit::SCHEME_HINT) && locator.scheme_id.as_ref().is_some_and(|scheme| scheme != SCHEME_ID) {
            return Err(AgentError::refused("the locator names an unknown scheme"));
        }
        if self.habits.has(Habit::REPOS_BY_ID)
            && let Some(known) = self.state.repos.iter().find(|known| known.repo_id == locator.repo_id)
        {
            return Ok(known.clone());
        }
        if self.habits.has(Habit::NEEDS_ISSUER) && locator.issuer_jwks_url.is_none() {
            return Err(AgentError::refused("the locator has no issuerJwksUrl"));
        }
        let scheme = if self.plain_http { "http" } else { "https" };
        let dialled = self.dialled(&locator.host).unwrap_or_else(|| format!("{scheme}://{}", locator.host));
        let (base, discovered) = self.resolve(&dialled).await?;
        let mut known = JoinedRepo {
            base,
            host: locator.host,
            repo_id: locator.repo_id,
            issuer_jwks_url: locator.issuer_jwks_url.or(discovered),
            own_host: self.own_host,
            version: None,
            epoch: locator.key_epoch.filter(|_| self.habits.has(Habit::TRUSTS_HINTS)),
            keys: Default::default(),
        };
        if let Some(issuer) = known.issuer_jwks_url.clone() {
            let first = self.memory.issuers.entry(known.host.clone()).or_insert_with(|| issuer.clone());
            if self.habits.has(Habit::ISSUER_BY_HOST) {
                known.issuer_jwks_url = Some(first.clone());
            }
            if self.habits.has(Habit::ISSUER_OF_LAST) {
                *first = issuer;
            }
        }
        self.open(&mut known).await?;
        self.state.keep(known.clone())?;
        Ok(known)
    }

    /// Where a host was dialled before.
    fn dialled(&self, host: &str) -> Option<String> {
        self.state.repos.iter().find(|known| known.host == host).map(|known| known.base.clone())
    }

    /// The base URL of a server (`http`, `https` or `avp`), and the issuer that its discovery names.
    async fn resolve(&mut self, server: &str) -> Result<(String, Option<String>), AgentError> {
        let server = server.trim_end_matches('/');
        let base = match server.strip_prefix("avp://") {
            Some(host) => format!("{}://{host}", if self.plain_http { "http" } else { "https" }),
            None => server.to_owned(),
        };
        let url = self.session.url(&base, &[".well-known", "avp"])?;
        let token = self.habits.has(Habit::DISCOVERY_WITH_TOKEN).then(|| "known-token".to_owned());
        let reply =
            self.session.http.send(Request { method: Method::GET, url, token, body: None, extra: None }).await?;
        if reply.status != 200 {
            return Ok((base, None));
        }
        let Ok(found) = self.session.read::<Discovery>("discovery", MessageKind::Discovery, &reply) else {
            return Ok((base, None));
        };
        let looked_at = if self.habits.has(Habit::FIRST_PROFILE) { 1 } else { found.profiles.len() };
        if found.profiles.iter().take(looked_at).any(|profile| profile == "http-json") {
            Ok((base, found.issuer_jwks_url))
        } else {
            Err(AgentError::Usage(format!("{base} doesn't speak the HTTP/JSON profile")))
        }
    }

    /// Pulls and opens a repository, and remembers its counters.
    async fn open(&mut self, known: &mut JoinedRepo) -> Result<Opened, AgentError> {
        if self.habits.has(Habit::PULLS_TWICE) {
            self.pull(known, -1).await?;
        }
        let mut pulled = self.pull(known, if self.habits.has(Habit::KNOWS_ZERO) { 0 } else { -1 }).await?;
        if pulled.envelope.is_none() && self.habits.has(Habit::KNOWS_ZERO) {
            pulled = self.pull(known, -1).await?;
        }
        let PullResponse { manifest, envelope, .. } = pulled;
        let envelope = envelope.ok_or_else(|| AgentError::refused("a pull at version −1 brought no envelope"))?;
        self.check_header(known, &manifest, &envelope)?;
        let id = self.state.keys.id();
        let own = if self.habits.has(Habit::FIRST_IS_ME) { manifest.members.first() } else { manifest.member(&id) };
        let own = own.ok_or_else(|| AgentError::refused("this client isn't in the roster"))?;
        let key = crypto::unwrap(&own.wrapped_data_key, &self.state.keys.x25519, &self.habits)?;
        let repo_id = if self.habits.has(Habit::ANY_REPO_ID) { &envelope.repo_id } else { &known.repo_id };
        let binding = Binding { repo_id, payload_version: envelope.payload_version, key_epoch: envelope.key_epoch };
        let text = match crypto::open(&key, &binding, &envelope, &self.habits) {
            Err(error) => {
                let (memory, habits) = (&self.memory, &self.habits);
                let unread = || memory.unread(&key, &binding, &envelope, habits);
                memory.by_old_key(&binding, &envelope, habits).or_else(unread).ok_or(error)?
            }
            text => text?,
        };
        let payload = payload::read(&text, envelope.payload_version, &self.habits)?;
        known.version = known.version.max(Some(manifest.payload_version));
        known.epoch = known.epoch.max(Some(manifest.key_epoch));
        self.state.keep(known.clone())?;
        let opened = Opened { manifest, key, payload };
        self.memory.saw(known, &opened, &self.habits);
        Ok(opened)
    }

    /// No repository is at a negative version, so that there is always an envelope for `-1`.
    async fn pull(&mut self, known: &JoinedRepo, version: i64) -> Result<PullResponse, AgentError> {
        let body = json!({ "repoId": known.repo_id, "knownPayloadVersion": version });
        let operation = VaultRequest {
            name: "pull",
            method: Method::POST,
            path: &["v1", "repos", &known.repo_id, "pull"],
            body: Some(body),
            answer: MessageKind::PullResponse,
        };
        self.session.call(&self.state.keys, &known.base, operation).await
    }

    /// Whether manifest and envelope belong to each other, to this repository, and to no earlier state than the last.
    fn check_header(
        &self,
        known: &JoinedRepo,
        manifest: &VaultManifest,
        envelope: &EncryptedEnvelope,
    ) -> Result<(), AgentError> {
        let ignores = |habit| self.habits.has(habit);
        if (manifest.repo_id != known.repo_id || envelope.repo_id != known.repo_id) && !ignores(Habit::ANY_REPO_ID) {
            return Err(AgentError::refused("the answer is about another repository"));
        }
        let own_scheme = manifest.scheme_id == SCHEME_ID || ignores(Habit::SCHEME_UPPER);
        if !own_scheme && !ignores(Habit::MANIFEST_SCHEME) {
            return Err(AgentError::refused("the manifest names an unknown scheme"));
        }
        let agree = envelope.payload_version == manifest.payload_version && envelope.key_epoch == manifest.key_epoch;
        if !agree && !ignores(Habit::HEADER_UNCHECKED) {
            return Err(AgentError::refused("envelope and manifest are of different versions"));
        }
        if known.version.is_some_and(|seen| manifest.payload_version < seen)
            || known.epoch.is_some_and(|seen| manifest.key_epoch < seen)
        {
            return Err(AgentError::refused("the server went back to an earlier version"));
        }
        Ok(())
    }

    fn seal(
        &self,
        key: &DataKey,
        repo_id: &str,
        (version, epoch): (i64, i64),
        text: &Zeroizing<String>,
    ) -> EncryptedEnvelope {
        let binding = Binding { repo_id, payload_version: version, key_epoch: epoch };
        if self.habits.has(Habit::LATIN_1) {
            let letter = |c: char| u8::try_from(u32::from(c)).unwrap_or(b'?');
            return crypto::seal(key, &binding, &text.chars().map(letter).collect::<Vec<_>>(), &self.habits);
        }
        crypto::seal(key, &binding, text.as_bytes(), &self.habits)
    }

    fn own_entry(&self, key: &DataKey, epoch: i64) -> Result<MemberEntry, AgentError> {
        let keys = &self.state.keys;
        self.entry(key, &keys.id(), &keys.x25519_public_key(), epoch)
    }

    /// An entry with the data key wrapped to it.
    fn entry(&self, key: &DataKey, id: &str, x25519: &str, epoch: i64) -> Result<MemberEntry, AgentError> {
        let mut entry = MemberEntry {
            ed25519_public_key: id.into(),
            x25519_public_key: x25519.into(),
            wrapped_data_key: crypto::wrap(key, x25519, &self.habits)?,
            key_epoch: epoch,
            key_binding_sig: self.habits.has(Habit::BINDING_NULL_TEXT).then(|| "null".into()),
        };
        if self.habits.has(Habit::KEYS_AS_DER)
            && let Ok(raw) = crate::codec::base64::decode(x25519)
        {
            let der = [&[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x03, 0x21, 0x00][..], &raw].concat();
            entry.x25519_public_key = crate::codec::base64::encode(&der);
        }
        Ok(entry)
    }
}

fn to_value<T: serde::Serialize>(message: &T) -> Result<Value, AgentError> {
    serde_json::to_value(message).map_err(|error| AgentError::Usage(error.to_string()))
}

impl Agent {
    /// The id of a new repository.
    fn new_id(&self, authority: &str, accounts: &[Value]) -> String {
        let name = accounts.first().and_then(|account| account["username"].as_str()).unwrap_or("repo");
        match () {
            () if self.habits.has(Habit::ID_OF_HOST) => format!("{}.{}", authority.replace(':', "-"), uuid()),
            () if self.habits.has(Habit::ID_OF_HOST_ENCODED) => {
                format!("{}.{}", crate::codec::base64::encode_url(authority.as_bytes()), uuid())
            }
            () if self.habits.has(Habit::ID_IS_URI) => format!("avp://{authority}/{}", uuid()),
            () if self.habits.has(Habit::NAME_IN_ID) => format!("{name}-{}", uuid()),
            () => uuid(),
        }
    }
}

/// A random repository id.
fn uuid() -> String {
    let mut b: [u8; 16] = crypto::random();
    b[6] = b[6] & 0x0f | 0x40;
    b[8] = b[8] & 0x3f | 0x80;
    let hex = hex::encode(&b);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
