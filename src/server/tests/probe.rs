//! A fixed conversation with a server, written down with everything random masked: two servers that behave alike give the
//! same transcript.

use std::collections::HashSet;
use std::fmt::Write as _;

use axum::http::{Method, Request};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::client::{Member, creation, envelope, segment};
use crate::codec::jwt::Jwt;
use crate::codec::{base64, signature};
use crate::server::{Config, Running, start};

pub struct Probe {
    server: Running,
    sender: Option<SendRequest<Full<Bytes>>>,
    headers: Vec<(String, String)>,
    pub log: String,
    nonces: HashSet<String>,
}

impl Probe {
    pub async fn start(config: Config) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let server = start(config, listener).await.unwrap();
        // It undoes no gzip.
        let headers = vec![("host".into(), "vault.example".into()), ("accept-encoding".into(), "identity".into())];
        Self { server, sender: None, headers, log: String::new(), nonces: HashSet::new() }
    }

    pub fn header(&mut self, name: &str, value: &str) {
        self.headers.push((name.into(), value.into()));
    }

    async fn sender(&mut self) -> Option<&mut SendRequest<Full<Bytes>>> {
        let ready = match &mut self.sender {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        };
        if !ready {
            let stream = TcpStream::connect(self.server.addr()).await.ok()?;
            let (sender, connection) = handshake(TokioIo::new(stream)).await.ok()?;
            tokio::spawn(connection);
            self.sender = Some(sender);
        }
        self.sender.as_mut()
    }

    /// Status and body; status 0 when there is no answer. Nothing is written down.
    async fn exchange(&mut self, method: &str, path: &str, auth: &str, body: Bytes) -> (u16, String, Bytes) {
        let mut request = Request::builder().method(method.parse::<Method>().unwrap()).uri(path);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if !auth.is_empty() {
            request = request.header("authorization", auth);
        }
        let request = request.body(Full::new(body)).unwrap();
        let Some(sender) = self.sender().await else { return (0, String::new(), Bytes::new()) };
        let Ok(response) = sender.send_request(request).await else {
            self.sender = None;
            return (0, String::new(), Bytes::new());
        };
        let (parts, body) = response.into_parts();
        let header = |name: &str| parts.headers.get(name).map(|value| format!("{value:?}")).unwrap_or_default();
        let labels = format!("{} {} {}", header("content-type"), header("retry-after"), header("allow"));
        match body.collect().await {
            Ok(body) => (parts.status.as_u16(), labels, body.to_bytes()),
            Err(_) => (0, labels, Bytes::new()),
        }
    }

    /// Sends with a whole Authorization header and any body, and writes the answer down.
    pub async fn raw(&mut self, method: &str, path: &str, auth: &str, body: impl Into<Bytes>) -> Value {
        let (status, labels, body) = self.exchange(method, path, auth, body.into()).await;
        let line = self.log.lines().count();
        let shown =
            if body.len() > 3000 { format!("{} bytes", body.len()) } else { String::from_utf8_lossy(&body).into() };
        writeln!(self.log, "{line} {method} {path} -> {status} {labels} {shown}").unwrap();
        serde_json::from_slice(&body).unwrap_or_default()
    }

    pub async fn op(&mut self, token: &str, repo: &str, op: &str, body: &Value) -> Value {
        self.raw("POST", &format!("/v1/repos/{}/{op}", segment(repo)), &bearer(token), body.to_string()).await
    }

    pub async fn create(&mut self, token: &str, body: &Value) -> Value {
        self.raw("POST", "/v1/repos", &bearer(token), body.to_string()).await
    }

    pub async fn pull(&mut self, token: &str, repo: &str, known: i64) -> Value {
        self.op(token, repo, "pull", &json!({ "repoId": repo, "knownPayloadVersion": known })).await
    }

    pub async fn fetch(&mut self, token: &str, repo: &str, id: &str) -> Value {
        let path = format!("/v1/repos/{}/member/{}", segment(repo), segment(id));
        self.raw("GET", &path, &bearer(token), "").await
    }

    /// The nonce; its looks are written down, not its bytes.
    pub async fn challenge(&mut self, key: &str) -> String {
        let body = json!({ "ed25519PublicKey": key }).to_string();
        let (status, _, body) = self.exchange("POST", "/api/auth/keypair/challenge", "", body.into()).await;
        let mut answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        let nonce = answer["nonce"].as_str().unwrap_or_default().to_owned();
        let bytes = base64::decode(&nonce).unwrap_or_default();
        let fresh = self.nonces.insert(nonce.clone());
        let halves = bytes.len() == 32 && bytes[..16] == bytes[16..];
        let zeros = bytes.iter().filter(|&&byte| byte == 0).count() > 4;
        let hex = bytes.iter().all(u8::is_ascii_hexdigit);
        let ascii = bytes.iter().filter(|byte| byte.is_ascii_graphic()).count() > 31;
        answer["nonce"] = json!(format!("{} {fresh} {halves} {zeros} {hex} {ascii}", bytes.len()));
        writeln!(self.log, "challenge -> {status} {answer}").unwrap();
        nonce
    }

    /// The token; whether there is one is written down, and what it claims.
    pub async fn redeem(&mut self, what: &str, key: &str, nonce: &str, signature: &[u8]) -> String {
        let body = json!({ "ed25519PublicKey": key, "nonce": nonce, "signature": base64::encode(signature) });
        let (status, _, body) = self.exchange("POST", "/api/auth/keypair/token", "", body.to_string().into()).await;
        let mut answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        let token = answer["token"].as_str().unwrap_or_default().to_owned();
        if let Some(mut claims) = Jwt::parse(&token).ok().map(|token| token.claims) {
            ["iat", "exp", "jti", "iss"].into_iter().for_each(|name| drop(claims.remove(name)));
            answer["token"] = Value::Object(claims);
        }
        if let Some(expires) = answer["expiresAt"].as_i64() {
            // To the nearest minute: how long the answer took says nothing.
            let minutes = (expires - super::super::clock::now_ms() + 30_000).div_euclid(60_000);
            answer["expiresAt"] = json!(format!("in {minutes} min"));
        } else if answer.get("expiresAt").is_some() {
            answer["expiresAt"] = json!("no integer");
        }
        writeln!(self.log, "redeem {what} -> {status} {answer}").unwrap();
        token
    }

    /// Whether the published key verifies a token, and what is published beside it.
    pub async fn key_set(&mut self, token: &str) {
        let (status, _, body) = self.exchange("GET", "/.well-known/jwks.json", "", Bytes::new()).await;
        let keys: Value = serde_json::from_slice(&body).unwrap_or_default();
        let key = &keys["keys"][0];
        let public = key["x"].as_str().and_then(|x| base64::decode_url(x).ok()?.try_into().ok());
        let verifies = Jwt::parse(token).ok().zip(public).is_some_and(|(token, public)| {
            signature::verify(&public, token.signing_input.as_bytes(), &token.signature).is_ok()
        });
        writeln!(self.log, "key set -> {status} {verifies} {}", key.get("d").is_some()).unwrap();
    }

    pub async fn login(&mut self, member: &Member) -> String {
        let nonce = self.challenge(&member.id).await;
        let signature = sign(member, &nonce);
        self.redeem("", &member.id, &nonce, &signature).await
    }
}

pub fn bearer(token: &str) -> String {
    if token.is_empty() { String::new() } else { format!("Bearer {token}") }
}

pub fn sign(member: &Member, nonce: &str) -> [u8; 64] {
    signature::sign(&member.seed, &base64::decode(nonce.trim_end()).unwrap_or_default())
}

pub fn push(repo: &str, version: i64, epoch: i64, expected: i64, roster: Option<Value>) -> Value {
    let mut push =
        json!({ "repoId": repo, "envelope": envelope(repo, version, epoch), "expectedPayloadVersion": expected });
    push["envelope"]["ciphertext"] = json!(base64::encode(format!("payload {version} of {repo}??>>~~").as_bytes()));
    push["envelope"]["iv"] =
        json!(base64::encode(&[0xfb, 0xff, 0xbf, 1, 2, 3, 4, 5, 6, 7, 8, version.to_le_bytes()[0]]));
    if let Some(roster) = roster {
        push["rotatedMembers"] = roster;
    }
    push
}

pub fn removal(repo: &str, version: i64, epoch: i64, removed: &Member, rest: Value) -> Value {
    let mut body = json!({
        "repoId": repo, "removedMemberId": removed.id, "rotatedEnvelope": push(repo, version, epoch, 0, None)["envelope"],
        "newKeyEpoch": epoch,
    });
    body["rewrappedMembers"] = rest;
    body
}

/// An entry with a binding signature, whose base64 has every awkward character.
pub fn bound(member: &Member, epoch: i64) -> Value {
    let mut entry = member.entry(epoch);
    entry["keyBindingSig"] = json!(base64::encode(&[0xfb; 64]));
    entry["wrappedDataKey"]["ciphertext"] = json!(base64::encode(&[&[0xfb; 40][..], &epoch.to_le_bytes()].concat()));
    entry["x25519PublicKey"] = json!(base64::encode(&[0xff, 0xfb].repeat(16)));
    entry
}

pub fn repo(id: &str, owner: &Member, version: i64, epoch: i64) -> Value {
    let mut body = creation(id, owner, version, epoch);
    body["manifest"]["members"] = json!([bound(owner, epoch)]);
    body["initialEnvelope"] = push(id, version, epoch, 0, None)["envelope"].take();
    body
}
