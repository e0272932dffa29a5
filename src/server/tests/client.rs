//! A minimal client: one connection per request, JSON in and out, no cryptography beyond the signed nonce.

use std::net::{SocketAddr, TcpListener};

use axum::http::{HeaderMap, Request};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::codec::{base64, signature};
use crate::server::{Config, Running, start};

pub const REPO: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";

pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

pub struct Peer {
    pub addr: SocketAddr,
    pub server: Running,
}

#[derive(Clone, Debug)]
pub struct Member {
    pub seed: [u8; 32],
    pub id: String,
}

impl Member {
    /// The same member for the same number.
    pub fn new(number: u8) -> Self {
        let seed = [number; 32];
        Self { seed, id: base64::encode(&signature::public_key(&seed)) }
    }

    pub fn entry(&self, epoch: i64) -> Value {
        json!({
            "ed25519PublicKey": self.id,
            "x25519PublicKey": base64::encode(&[self.seed[0] ^ 0x55; 32]),
            "wrappedDataKey": {
                "schemeId": "X25519-HKDF-SHA256-AESGCM-v1",
                "ephemeralPublicKey": base64::encode(&[self.seed[0]; 32]),
                "iv": base64::encode(&[7; 12]),
                "ciphertext": base64::encode(&[u8::try_from(epoch.rem_euclid(251)).unwrap(); 48]),
            },
            "keyEpoch": epoch,
        })
    }
}

pub fn envelope(repo: &str, version: i64, epoch: i64) -> Value {
    let (iv, ciphertext) = (base64::encode(&[1; 12]), base64::encode(&[2; 40]));
    json!({ "repoId": repo, "payloadVersion": version, "keyEpoch": epoch, "iv": iv, "ciphertext": ciphertext })
}

pub fn creation(repo: &str, owner: &Member, version: i64, epoch: i64) -> Value {
    json!({
        "manifest": {
            "repoId": repo, "schemeId": "X25519-HKDF-SHA256-AESGCM-v1", "keyEpoch": epoch,
            "payloadVersion": version, "members": [owner.entry(epoch)],
        },
        "initialEnvelope": envelope(repo, version, epoch),
    })
}

pub fn segment(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

impl Peer {
    pub async fn start(config: Config) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = start(config, listener).await.unwrap();
        Self { addr: server.addr(), server }
    }

    pub async fn raw(&self, request: Request<Full<Bytes>>) -> (axum::http::response::Parts, Bytes) {
        let stream = TcpStream::connect(self.addr).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let task = tokio::spawn(connection);
        let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        drop(sender);
        task.abort();
        (parts, body)
    }

    pub async fn send(&self, method: &str, path: &str, token: Option<&str>, body: impl Into<Bytes>) -> Reply {
        let mut request = Request::builder().method(method).uri(path).header("host", self.addr.to_string());
        // It undoes no gzip.
        request = request.header("accept-encoding", "identity");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let (parts, body) = self.raw(request.body(Full::new(body.into())).unwrap()).await;
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Reply { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    pub async fn post(&self, path: &str, token: &str, body: &Value) -> Reply {
        self.send("POST", path, Some(token), body.to_string()).await
    }

    pub async fn op(&self, repo: &str, op: &str, token: &str, body: &Value) -> Reply {
        self.post(&format!("/v1/repos/{}/{op}", segment(repo)), token, body).await
    }

    pub async fn challenge(&self, member: &Member) -> String {
        let body = json!({ "ed25519PublicKey": member.id }).to_string();
        let reply = self.send("POST", "/api/auth/keypair/challenge", None, body).await;
        reply.body["nonce"].as_str().unwrap_or_default().to_owned()
    }

    pub async fn redeem(&self, member: &Member, nonce: &str, signature: &[u8]) -> Reply {
        let body = json!({ "ed25519PublicKey": member.id, "nonce": nonce, "signature": base64::encode(signature) });
        self.send("POST", "/api/auth/keypair/token", None, body.to_string()).await
    }

    pub async fn login(&self, member: &Member) -> String {
        let nonce = self.challenge(member).await;
        let signature = signature::sign(&member.seed, &base64::decode(&nonce).unwrap_or_default());
        let reply = self.redeem(member, &nonce, &signature).await;
        reply.body["token"].as_str().unwrap_or_default().to_owned()
    }

    pub async fn pull(&self, repo: &str, token: &str, known: i64) -> Reply {
        self.op(repo, "pull", token, &json!({ "repoId": repo, "knownPayloadVersion": known })).await
    }
}
