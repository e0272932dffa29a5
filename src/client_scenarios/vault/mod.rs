//! The vault that clients are judged by: an honest server that records everything, and is bent in one way if it is told to.
//!
//! It shares only the codec and the messages with the judge. What makes it strong without any secret: it sees everybody's X25519
//! key, so that it can wrap a data key of its own to them and serve any payload, as another member would.

mod bend;
pub mod forge;
mod http;
mod login;
pub mod reading;
mod record;
mod redirect;
pub mod repo;
mod served;
mod spell;
pub mod state;
mod tls;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

pub use bend::{Bend, Demand};
pub use record::{ArrivedAt, Channel, Endpoint, Record};
pub use served::Issuer;
pub use state::{Moment, VaultState};
pub use tls::Authority;

use crate::client::random;
use crate::ground::lock;
use http::{Framing, Incoming, Reply};

/// More requests than any client's run needs; what comes after isn't recorded.
const MOST_RECORDS: usize = 20_000;

/// Called for every request as it is answered.
pub type Watcher = Arc<dyn Fn() -> String + Send + Sync>;

struct Shared {
    bend: Bend,
    state: Mutex<VaultState>,
    records: Mutex<Vec<Record>>,
    started: Instant,
    /// TLS connections to the vault so far.
    handshakes: AtomicU32,
    /// Whether a redirect that comes once has come.
    moved: AtomicBool,
    here: SocketAddr,
    elsewhere: SocketAddr,
    page: Mutex<Option<Watcher>>,
}

/// A running vault; it ends when it is dropped.
pub struct Vault {
    /// Where it listens, with and without TLS.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

impl Vault {
    /// Starts a vault on an address (port 0 takes any), and beside it the place that redirects lead to.
    ///
    /// # Errors
    /// As the operating system says; or when no certificates can be made.
    pub async fn start(bend: Bend, listen: &str, reader_joined: bool, name: &str) -> std::io::Result<Self> {
        let (here, elsewhere) = match bend {
            Bend::RedirectPrefix302 | Bend::RedirectPrefix307 => redirect::similar_ports().await?,
            _ => (TcpListener::bind(listen).await?, TcpListener::bind("127.0.0.1:0").await?),
        };
        let address = here.local_addr()?;
        let mut state = VaultState::default();
        state.reader_joined = reader_joined;
        (state.middle, state.issuer, state.second_issuer) = (random::bytes(), random::bytes(), random::bytes());
        name.clone_into(&mut state.name);
        let shared = Arc::new(Shared {
            bend,
            state: Mutex::new(state),
            records: Mutex::default(),
            started: Instant::now(),
            handshakes: AtomicU32::new(0),
            moved: AtomicBool::new(false),
            here: address,
            elsewhere: elsewhere.local_addr()?,
            page: Mutex::default(),
        });
        let tasks = vec![
            tokio::spawn(accept(here, Arc::clone(&shared), ArrivedAt::Vault)),
            tokio::spawn(accept(elsewhere, Arc::clone(&shared), ArrivedAt::Elsewhere)),
        ];
        Ok(Self { address, shared, tasks })
    }

    /// What clients are given.
    pub fn url(&self) -> String {
        let scheme = if self.shared.bend.is_tls() { "https" } else { "http" };
        match self.shared.bend {
            Bend::TlsWrongDns => format!("{scheme}://localhost:{}", self.address.port()),
            _ => format!("{scheme}://{}", self.address),
        }
    }

    /// The issuer's key set, on another server than the vault.
    pub fn issuer_url(&self) -> String {
        let scheme = if self.shared.bend == Bend::IssuerUnknownCa { "https" } else { "http" };
        format!("{scheme}://{}/.well-known/jwks.json", self.shared.elsewhere)
    }

    /// The key set of another issuer on the same server as the first.
    pub fn second_issuer_url(&self) -> String {
        self.issuer_url().replace("/.well-known/", served::SECOND)
    }

    /// Every request so far.
    pub fn records(&self) -> Vec<Record> {
        lock(&self.shared.records).clone()
    }

    /// What the vault holds.
    pub fn state(&self) -> MutexGuard<'_, VaultState> {
        lock(&self.shared.state)
    }

    /// The page at `/`.
    pub fn set_page(&self, page: Watcher) {
        *lock(&self.shared.page) = Some(page);
    }
}

impl Drop for Vault {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, place: ArrivedAt) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(connection(stream, Arc::clone(&shared), place))),
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One connection, with TLS if it begins with a TLS handshake.
async fn connection(stream: TcpStream, shared: Arc<Shared>, place: ArrivedAt) {
    let _ = stream.set_nodelay(true);
    let mut first = [0];
    if stream.peek(&mut first).await.is_err() {
        return;
    }
    let answer = |over: Channel| {
        let shared = Arc::clone(&shared);
        move |request| {
            let shared = Arc::clone(&shared);
            async move { shared.answer(request, place, over) }
        }
    };
    // How a connection ends is the client's business.
    if first[0] == 0x16 {
        let Ok(authority) = Authority::get() else { return };
        let earlier = match place {
            ArrivedAt::Vault => shared.handshakes.fetch_add(1, Ordering::Relaxed),
            ArrivedAt::Elsewhere => 0,
        };
        let (acceptor, over) = authority.acceptor(shared.bend, place, earlier);
        if let Ok(stream) = acceptor.accept(stream).await {
            let _ = http::serve(stream, answer(over)).await;
        }
    } else {
        let _ = http::serve(stream, answer(Channel::Plain)).await;
    }
}

/// What a path means.
struct Route {
    endpoint: Endpoint,
    repo: Option<String>,
    member: Option<String>,
}

fn route(method: &str, target: &str) -> Route {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    let decode = |segment: &str| percent_decode_str(segment).decode_utf8().ok().map(|text| text.into_owned());
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let (mut repo, mut member) = (None, None);
    let endpoint = match (method, segments.as_slice()) {
        ("POST", ["api", "auth", "keypair", "challenge"]) => Endpoint::Challenge,
        ("POST", ["api", "auth", "keypair", "token"]) => Endpoint::Token,
        ("GET", [".well-known", "avp"]) => Endpoint::Discovery,
        ("GET", [".well-known" | "second", "jwks.json"]) => Endpoint::Jwks,
        ("POST", ["v1", "repos"]) => Endpoint::Create,
        (_, ["v1", "repos", id, rest @ ..]) => {
            repo = decode(id);
            match (method, rest) {
                ("POST", ["pull"]) => Endpoint::Pull,
                ("POST", ["push"]) => Endpoint::Push,
                ("POST", ["add-member"]) => Endpoint::Add,
                ("POST", ["remove-member"]) => Endpoint::Remove,
                // A raw slash splits an id. It is found all the same, so that one mistake isn't many.
                ("GET", ["member", id @ ..]) if !id.is_empty() => {
                    member = decode(&id.join("/"));
                    Endpoint::Fetch
                }
                _ => Endpoint::Other,
            }
        }
        _ => Endpoint::Other,
    };
    Route { endpoint, repo, member }
}

impl Shared {
    fn answer(&self, request: Incoming, place: ArrivedAt, over: Channel) -> Reply {
        let at = self.started.elapsed();
        let Route { endpoint, repo, member } = route(&request.method, &request.target);
        if place == ArrivedAt::Vault && request.method == "GET" && request.target == "/" {
            let page = lock(&self.page).as_ref().map(|page| page());
            return page.map_or_else(
                || Reply { status: 404, content_type: "text/plain", ..Reply::default() },
                |page| Reply {
                    status: 200,
                    content_type: "text/html; charset=utf-8",
                    body: page.into(),
                    ..Reply::default()
                },
            );
        }
        let json: Option<Value> = serde_json::from_slice(&request.body).ok();
        let mut record = Record {
            place,
            over,
            at,
            took: Default::default(),
            endpoint,
            method: request.method,
            target: request.target,
            headers: request.headers,
            body: request.body,
            json,
            caller: None,
            repo,
            member,
            status: None,
            answer: Value::Null,
        };
        let reply = match place {
            // The issuer may be another server than the vault.
            ArrivedAt::Elsewhere if endpoint == Endpoint::Jwks => self.issuer(&mut record),
            ArrivedAt::Elsewhere => self.elsewhere(&mut record),
            ArrivedAt::Vault => self.at_vault(&mut record),
        };
        record.status = (!matches!(reply.framing, Framing::Hang | Framing::Drop)).then_some(reply.status);
        record.took = self.started.elapsed().saturating_sub(at);
        let mut records = lock(&self.records);
        if records.len() < MOST_RECORDS {
            records.push(record);
        }
        reply
    }

    fn at_vault(&self, record: &mut Record) -> Reply {
        let bend = self.bend;
        if bend == Bend::Hang && record.endpoint.is_vault() {
            return Reply { framing: Framing::Hang, ..Reply::default() };
        }
        let mut state = lock(&self.state);
        let valid = record.bearer().and_then(|token| state.caller(token));
        record.caller = valid.as_ref().map(|(id, _)| id.clone());
        if let Some(location) = self.redirected(record) {
            let status = bend.redirect().map_or(307, |(status, _)| status);
            return Reply { status, headers: vec![("Location", location)], ..Reply::default() };
        }
        let body = record.json.clone().unwrap_or_default();
        let result = match record.endpoint {
            Endpoint::Challenge => state.challenge(bend, &body),
            Endpoint::Token => state.token(bend, &body),
            Endpoint::Discovery => self.discovery(),
            Endpoint::Jwks => Ok(served::key_set(&state.issuer)),
            Endpoint::Other => Err((404, "no such route")),
            endpoint => state.before(bend).and_then(|()| match valid {
                Some((caller, true)) => {
                    let path = (record.repo.as_deref(), record.member.as_deref());
                    state.act((Moment::Before, endpoint));
                    let result = state.operate(bend, endpoint, &caller, path, &body);
                    state.act((Moment::After, endpoint));
                    result
                }
                _ => Err((401, "no valid token")),
            }),
        };
        if std::mem::take(&mut state.unanswered) {
            return Reply { framing: Framing::Drop, ..Reply::default() };
        }
        drop(state);
        self.reply(record, result)
    }

    fn discovery(&self) -> Result<Value, (u16, &'static str)> {
        match self.bend {
            Bend::NoDiscovery => Err((404, "no discovery")),
            Bend::Discovery500 => Err((500, "out of order")),
            Bend::DiscoveryBoth => Ok(json!({ "profiles": ["grpc", "http-json"] })),
            _ => Ok(json!({ "profiles": ["http-json"] })),
        }
    }

    fn reply(&self, record: &mut Record, result: Result<Value, (u16, &'static str)>) -> Reply {
        let (mut status, answer) = match result {
            Ok(answer) => (200, answer),
            Err((status, words)) => (status, json!({ "error": words })),
        };
        let fine = status == 200;
        match self.bend {
            Bend::Created201 | Bend::CreatedElsewhere
                if fine && matches!(record.endpoint, Endpoint::Create | Endpoint::Add) =>
            {
                status = 201
            }
            Bend::Accepted202 if fine => status = 202,
            _ => {}
        }
        let body = match self.bend {
            Bend::Escaped => spell::escaped(&answer),
            Bend::Reordered | Bend::BigSpaced => spell::reordered(&answer),
            _ => answer.to_string(),
        };
        record.answer = answer;
        let framing = match self.bend {
            Bend::Chunked => Framing::Chunked,
            Bend::ChunkExtensions => Framing::Extended,
            Bend::Dribble => Framing::Dribble,
            Bend::CloseEach => Framing::CloseAfter,
            Bend::CloseDelimited => Framing::CloseDelimited,
            Bend::Headers => Framing::LowerCase,
            _ => Framing::Length,
        };
        let content_type = match self.bend {
            Bend::Charset => "application/json; charset=utf-8",
            Bend::PlainType => "text/plain",
            _ => "application/json",
        };
        let mut headers = if status == 429 { vec![("Retry-After", "1".to_owned())] } else { Vec::new() };
        if status == 201 && self.bend == Bend::CreatedElsewhere {
            headers.push(("Location", format!("http://{}/v1/repos/new", self.elsewhere)));
        }
        Reply { status, content_type, headers, body: body.into(), framing }
    }
}
