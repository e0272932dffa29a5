//! The profile's edges: unknown routes, wrong methods, bodies that are too large, too deep or not JSON.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::{Member, Peer, REPO, creation};
use crate::server::Config;

#[tokio::test]
async fn routes_and_methods() {
    let peer = Peer::start(Config::default()).await;
    for path in ["/", "/v1", "/v1/repos/", "/v1/repos/x", "/v1/repos/x/y/pull", "/v1/repos/x/PULL"] {
        let reply = peer.send("POST", path, None, "").await;
        assert_eq!((reply.status, &reply.body["code"]), (404, &json!("not_found")), "{path}");
    }
    for (method, path, allow) in [
        ("GET", "/v1/repos", "POST"),
        ("DELETE", "/v1/repos/x/pull", "POST"),
        ("POST", "/v1/repos/x/member/y", "GET,HEAD"),
        ("PUT", "/api/auth/keypair/token", "POST"),
    ] {
        let reply = peer.send(method, path, None, "").await;
        assert_eq!((reply.status, &reply.body["code"]), (405, &json!("bad_request")), "{method} {path}");
        assert_eq!(reply.headers["allow"], allow);
    }
}

#[tokio::test]
async fn bad_bodies_are_refused_and_the_server_lives() {
    let peer = Peer::start(Config::default()).await;
    let alice = Member::new(1);
    let a = peer.login(&alice).await;
    let deep = "[".repeat(100_000);
    let twice = format!(r#"{{"repoId":"{REPO}","repoId":"{REPO}","knownPayloadVersion":0}}"#);
    let bodies: [&[u8]; 9] = [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff\xfe{}",
        deep.as_bytes(),
        twice.as_bytes(),
        b"{\"repoId\":\"\xff\"}",
        b"1e999",
    ];
    for body in bodies {
        for path in ["/v1/repos", "/v1/repos/x/pull", "/v1/repos/x/push", "/api/auth/keypair/challenge"] {
            let reply = peer.send("POST", path, Some(&a), body.to_vec()).await;
            assert_eq!((reply.status, &reply.body["code"]), (400, &json!("bad_request")), "{path}");
        }
    }
    for path in ["/v1/repos/%zz/pull", "/v1/repos/%ff/pull"] {
        assert_eq!(peer.send("POST", path, Some(&a), "{}").await.status, 400, "{path}");
    }
    assert_eq!(peer.send("POST", "/v1/repos/%zz/pull", None, "{").await.status, 401);
    assert_eq!(peer.post("/v1/repos", &a, &creation(REPO, &alice, 1, 0)).await.status, 200);
}

#[tokio::test]
async fn an_oversize_body_gets_its_413_even_while_it_is_sent() {
    let peer = Peer::start(Config { max_body: 100_000, ..Config::default() }).await;
    let a = peer.login(&Member::new(1)).await;
    let body = vec![b' '; 8 << 20];
    for head in [format!("Content-Length: {}", body.len()), "Transfer-Encoding: chunked".into()] {
        let mut stream = TcpStream::connect(peer.addr).await.unwrap();
        let start = format!("POST /v1/repos/x/pull HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {a}\r\n{head}\r\n\r\n");
        stream.write_all(start.as_bytes()).await.unwrap();
        if head.starts_with('T') {
            stream.write_all(format!("{:x}\r\n", body.len()).as_bytes()).await.unwrap();
        }
        stream.write_all(&body).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        assert!(answer.contains("connection: close") && answer.contains("too_large"), "{answer}");
    }
}

#[tokio::test]
async fn an_early_401_leaves_the_connection_clean() {
    let peer = Peer::start(Config::default()).await;
    let mut stream = TcpStream::connect(peer.addr).await.unwrap();
    for _ in 0..3 {
        stream.write_all(b"POST /v1/repos/x/pull HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n").await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        stream.write_all(b"GET / HTT").await.unwrap();
        let mut answer = vec![0; 4096];
        let length = stream.read(&mut answer).await.unwrap();
        assert!(answer[..length].starts_with(b"HTTP/1.1 401 "));
    }
}

#[tokio::test]
async fn stopping_waits_for_requests_but_not_for_idle_connections() {
    let peer = Peer::start(Config::default()).await;
    let idle = TcpStream::connect(peer.addr).await.unwrap();
    let mut busy = TcpStream::connect(peer.addr).await.unwrap();
    let head = "POST /api/auth/keypair/challenge HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{";
    busy.write_all(head.as_bytes()).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    let addr = peer.addr;
    let stopped = tokio::spawn(peer.server.shutdown());
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert!(TcpStream::connect(addr).await.is_err());
    busy.write_all(b"}").await.unwrap();
    let mut answer = String::new();
    busy.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    stopped.await.unwrap();
    drop(idle);
}
