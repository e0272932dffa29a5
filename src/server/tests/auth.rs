//! Challenge, token, and what is done with tokens.

use std::time::Duration;

use axum::http::Request;
use bytes::Bytes;
use http_body_util::Full;
use serde_json::{Value, json};

use super::client::{Member, Peer, REPO};
use crate::codec::jwt::{self, Jwt};
use crate::codec::{base64, signature};
use crate::server::Config;

#[tokio::test]
async fn a_nonce_is_redeemed_once_by_its_owner() {
    let peer = Peer::start(Config::default()).await;
    let (alice, bob) = (Member::new(1), Member::new(2));
    let nonce = peer.challenge(&alice).await;
    let raw = base64::decode(&nonce).unwrap();
    assert_eq!(raw.len(), 32);
    let good = signature::sign(&alice.seed, &raw);
    let text = signature::sign(&alice.seed, nonce.as_bytes());
    let bobs = signature::sign(&bob.seed, &raw);
    let long = [&good[..], &[0]].concat();
    for wrong in [&text[..], &bobs, &good[..63], &long, &[], &[0; 64]] {
        assert_eq!(peer.redeem(&alice, &nonce, wrong).await.status, 401);
    }
    for bit in 0..512 {
        let mut flipped = good;
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(peer.redeem(&alice, &nonce, &flipped).await.status, 401, "{bit}");
    }
    assert_eq!(peer.redeem(&bob, &nonce, &bobs).await.status, 401);
    assert_eq!(peer.redeem(&alice, &base64::encode(&[9; 32]), &good).await.status, 401);
    let granted = peer.redeem(&alice, &nonce, &good).await;
    assert_eq!(granted.status, 200);
    let lifetime = granted.body["expiresAt"].as_i64().unwrap() - super::super::clock::now_ms();
    assert!((3_590_000..=3_601_000).contains(&lifetime), "{lifetime}");
    assert_eq!(peer.redeem(&alice, &nonce, &good).await.status, 401);
}

#[tokio::test]
async fn nonces_and_tokens_expire() {
    let short = Duration::from_millis(50);
    let peer = Peer::start(Config { nonce_ttl: short, token_ttl: short, ..Config::default() }).await;
    let alice = Member::new(1);
    let nonce = peer.challenge(&alice).await;
    let token = peer.login(&alice).await;
    assert_eq!(peer.pull(REPO, &token, 0).await.status, 404);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let signature = signature::sign(&alice.seed, &base64::decode(&nonce).unwrap());
    assert_eq!(peer.redeem(&alice, &nonce, &signature).await.status, 401);
    assert_eq!(peer.pull(REPO, &token, 0).await.status, 401);
}

#[tokio::test]
async fn keys_that_are_nobodys_get_no_nonce() {
    let peer = Peer::start(Config::default()).await;
    let good = Member::new(1).id;
    let mut identity = [0; 32];
    identity[0] = 1;
    let wrong = [
        String::new(),
        "?".into(),
        good.trim_end_matches('=').into(),
        format!("{good}\n"),
        base64::encode(&[1; 31]),
        base64::encode(&[1; 33]),
        base64::encode(&[0; 32]),
        base64::encode(&identity),
        base64::encode(&[0xff; 32]),
    ];
    for key in wrong {
        let body = json!({ "ed25519PublicKey": key }).to_string();
        assert_eq!(peer.send("POST", "/api/auth/keypair/challenge", None, body).await.status, 400, "{key}");
    }
}

#[tokio::test]
async fn only_our_own_tokens_count() {
    let peer = Peer::start(Config::default()).await;
    let token = peer.login(&Member::new(1)).await;
    assert_eq!(peer.pull(REPO, &token, 0).await.status, 404);
    let real = Jwt::parse(&token).unwrap();
    assert_eq!(real.subject(), Some(&*format!("key:{}", Member::new(1).id)));
    assert_eq!(real.claims["kind"], json!("keypair"));

    let edited = |name: &str, value: Value| {
        let mut claims = real.claims.clone();
        claims.insert(name.into(), value);
        jwt::encode(&real.header, &claims, |_| real.signature.clone())
    };
    let mut none = real.header.clone();
    none.insert("alg".into(), json!("none"));
    let (body, end) = token.split_at(token.len() - 1);
    let wrong = [
        edited("sub", json!(format!("key:{}", Member::new(2).id))),
        edited("exp", json!(i64::MAX)),
        jwt::encode(&none, &real.claims, |_| Vec::new()),
        jwt::encode(&real.header, &real.claims, |input| signature::sign(&[3; 32], input).to_vec()),
        token.to_uppercase(),
        format!("{body}{}", if end == "A" { "B" } else { "A" }),
        format!("{token}="),
        body.into(),
        "garbage".into(),
        "a.b.c".into(),
    ];
    for wrong in wrong {
        let reply = peer.pull(REPO, &wrong, 0).await;
        assert_eq!((reply.status, &reply.body["code"]), (401, &json!("unauthorized")), "{wrong}");
    }
    let odd = |path: &str, value: &str| {
        let request = Request::post(path).header("host", "x").header("authorization", value);
        request.body(Full::new(Bytes::from_static(b"{}"))).unwrap()
    };
    let path = format!("/v1/repos/{REPO}/pull");
    for request in [odd(&format!("{path}?access_token={token}"), "x"), odd(&path, &format!("Basic {token}"))] {
        assert_eq!(peer.raw(request).await.0.status, 401);
    }
}

#[tokio::test]
async fn published_keys_verify_tokens() {
    let peer = Peer::start(Config::default()).await;
    let token = Jwt::parse(&peer.login(&Member::new(1)).await).unwrap();
    let discovery = peer.send("GET", "/.well-known/avp", None, "").await.body;
    let jwks = format!("http://{}/.well-known/jwks.json", peer.addr);
    assert_eq!(discovery, json!({ "profiles": ["http-json"], "issuerJwksUrl": jwks }));
    let key = peer.send("GET", "/.well-known/jwks.json", None, "").await.body["keys"][0].clone();
    assert_eq!(token.header["kid"], key["kid"]);
    let public: [u8; 32] = base64::decode_url(key["x"].as_str().unwrap()).unwrap().try_into().unwrap();
    signature::verify(&public, token.signing_input.as_bytes(), &token.signature).unwrap();
}
