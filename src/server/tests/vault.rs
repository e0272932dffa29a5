//! The six operations.

use serde_json::{Value, json};

use super::client::{Member, Peer, REPO, creation, envelope, segment};
use crate::server::Config;
use crate::wire::{MessageKind, Schema};

fn conforms(kind: MessageKind, body: &Value) {
    assert_eq!(Schema::violations(kind, body, 3), [], "{body}");
}

fn removal(version: i64, epoch: i64, removed: &Member, rest: &[&Member]) -> Value {
    let rest: Vec<_> = rest.iter().map(|member| member.entry(epoch)).collect();
    json!({
        "repoId": REPO, "removedMemberId": removed.id, "rotatedEnvelope": envelope(REPO, version, epoch),
        "rewrappedMembers": rest, "newKeyEpoch": epoch,
    })
}

fn push(version: i64, epoch: i64, expected: i64) -> Value {
    json!({ "repoId": REPO, "envelope": envelope(REPO, version, epoch), "expectedPayloadVersion": expected })
}

#[tokio::test]
async fn lifecycle() {
    let peer = Peer::start(Config::default()).await;
    let (alice, bob) = (Member::new(1), Member::new(2));
    let (a, b) = (peer.login(&alice).await, peer.login(&bob).await);

    let mut create = creation(REPO, &alice, 1, 0);
    create["manifest"]["shareRefreshTokens"] = json!(true);
    let made = peer.post("/v1/repos", &a, &create).await;
    assert_eq!((made.status, &made.body), (200, &create["manifest"]));
    conforms(MessageKind::VaultManifest, &made.body);
    assert_eq!(peer.post("/v1/repos", &a, &create).await.status, 409);
    assert_eq!(peer.pull(REPO, &b, 0).await.status, 403);
    assert_eq!(peer.pull("nowhere", &a, 0).await.status, 404);

    let added = peer.op(REPO, "add-member", &a, &json!({ "repoId": REPO, "member": bob.entry(0) })).await;
    assert_eq!(added.status, 200, "{}", added.body);
    assert_eq!(added.body["members"], json!([alice.entry(0), bob.entry(0)]));
    let again = peer.op(REPO, "add-member", &a, &json!({ "repoId": REPO, "member": bob.entry(0) })).await;
    assert_eq!((again.status, again.body), (200, added.body));

    let pushed = peer.op(REPO, "push", &b, &push(5, 0, 1)).await;
    assert_eq!(pushed.body, json!({ "accepted": true, "payloadVersion": 5, "keyEpoch": 0, "conflict": false }));
    let stale = peer.op(REPO, "push", &a, &push(6, 0, 1)).await;
    let conflict = json!({ "accepted": false, "payloadVersion": 5, "keyEpoch": 0, "conflict": true });
    assert_eq!((stale.status, stale.body), (200, conflict));

    let same = peer.pull(REPO, &a, 5).await.body;
    assert_eq!((&same["unchanged"], same.get("envelope")), (&json!(true), None));
    let other = peer.pull(REPO, &a, 6).await.body;
    assert_eq!((&other["unchanged"], &other["envelope"]), (&json!(false), &envelope(REPO, 5, 0)));
    assert_eq!(other["manifest"]["shareRefreshTokens"], json!(true));
    conforms(MessageKind::PullResponse, &other);

    let path = format!("/v1/repos/{REPO}/member/{}", segment(&bob.id));
    assert_eq!(peer.send("GET", &path, Some(&a), "").await.body, bob.entry(0));
    let path = format!("/v1/repos/{REPO}/member/{}", segment(&Member::new(9).id));
    assert_eq!(peer.send("GET", &path, Some(&a), "").await.status, 404);

    let remove = removal(6, 1, &bob, &[&alice]);
    let removed = peer.op(REPO, "remove-member", &a, &remove).await;
    assert_eq!((removed.status, &removed.body["members"]), (200, &json!([alice.entry(1)])), "{}", removed.body);
    assert_eq!((&removed.body["keyEpoch"], &removed.body["payloadVersion"]), (&json!(1), &json!(6)));
    assert_eq!(peer.op(REPO, "remove-member", &a, &remove).await.body, removed.body);
    assert_eq!(peer.pull(REPO, &b, 0).await.status, 403);
    peer.server.shutdown().await;
}

#[tokio::test]
async fn creations_that_are_refused_leave_nothing() {
    let peer = Peer::start(Config::default()).await;
    let (alice, bob) = (Member::new(1), Member::new(2));
    let a = peer.login(&alice).await;
    let mut cases = vec![(403, creation(REPO, &bob, 1, 0))];
    let mut case = |status, pointer: &str, value: Value| {
        let mut body = creation(REPO, &alice, 1, 0);
        *body.pointer_mut(pointer).unwrap() = value;
        cases.push((status, body));
    };
    case(403, "/manifest/members", json!([]));
    case(403, "/manifest/members", json!([alice.entry(0), bob.entry(0)]));
    case(400, "/initialEnvelope/repoId", json!("other"));
    case(400, "/initialEnvelope/payloadVersion", json!(2));
    case(400, "/initialEnvelope/keyEpoch", json!(2));
    case(400, "/manifest/members/0/keyEpoch", json!(1));
    case(400, "/manifest/payloadVersion", json!(-1));
    case(400, "/manifest/payloadVersion", json!("1"));
    case(400, "/manifest/payloadVersion", json!(1.0));
    case(400, "/initialEnvelope/iv", json!("AAAA"));
    case(400, "/manifest/members/0/x25519PublicKey", json!("AAAA"));
    case(400, "/manifest/members/0/wrappedDataKey/iv", json!("not base64"));
    case(400, "/manifest/repoId", json!("x".repeat(513)));
    for (status, body) in cases {
        let reply = peer.post("/v1/repos", &a, &body).await;
        assert_eq!(reply.status, status, "{body} {}", reply.body);
        conforms(MessageKind::ErrorObject, &reply.body);
        assert_eq!(peer.pull(REPO, &a, 0).await.status, 404);
    }
    let top = i64::MAX;
    assert_eq!(peer.post("/v1/repos", &a, &creation(REPO, &alice, top, 3)).await.status, 200);
    assert_eq!(peer.pull(REPO, &a, top - 1).await.body["envelope"]["payloadVersion"], json!(top));
}

#[tokio::test]
async fn writes_that_are_refused_change_nothing() {
    let peer = Peer::start(Config::default()).await;
    let (alice, bob, carol) = (Member::new(1), Member::new(2), Member::new(3));
    let a = peer.login(&alice).await;
    peer.post("/v1/repos", &a, &creation(REPO, &alice, 5, 5)).await;
    peer.op(REPO, "add-member", &a, &json!({ "repoId": REPO, "member": bob.entry(5) })).await;
    let before = peer.pull(REPO, &a, 0).await.body;

    let rotating = |epoch, roster: Value| {
        let mut body = push(6, epoch, 5);
        body["rotatedMembers"] = roster;
        body
    };
    let mut foreign = push(6, 5, 5);
    foreign["envelope"]["repoId"] = json!("other");
    let mut unknown = push(6, 5, 5);
    unknown["plaintext"] = json!("x");
    let mut other_keys = bob.entry(5);
    other_keys["x25519PublicKey"] = carol.entry(5)["x25519PublicKey"].clone();
    let add = |entry: Value| json!({ "repoId": REPO, "member": entry });
    let mut mismatch = removal(6, 6, &bob, &[&alice]);
    mismatch["rotatedEnvelope"]["keyEpoch"] = json!(7);
    let mut elsewhere = push(6, 5, 5);
    elsewhere["repoId"] = json!("other");
    let cases = [
        (400, "push", push(5, 5, 5)),
        (400, "push", push(6, 4, 5)),
        (400, "push", push(6, 6, 5)),
        (400, "push", foreign),
        (400, "push", unknown),
        (400, "push", elsewhere),
        (400, "push", rotating(6, json!([]))),
        (400, "push", rotating(6, json!([bob.entry(6)]))),
        (400, "push", rotating(6, json!([alice.entry(5)]))),
        (400, "push", rotating(6, json!([alice.entry(6), alice.entry(6)]))),
        (400, "push", rotating(4, json!([alice.entry(4)]))),
        (400, "add-member", add(carol.entry(4))),
        (400, "add-member", add(other_keys)),
        (400, "remove-member", removal(6, 5, &bob, &[&alice])),
        (400, "remove-member", removal(5, 6, &bob, &[&alice])),
        (400, "remove-member", removal(6, 6, &bob, &[&alice, &bob])),
        (400, "remove-member", removal(6, 6, &bob, &[])),
        (400, "remove-member", removal(6, 6, &bob, &[&alice, &alice])),
        (400, "remove-member", mismatch),
        (404, "remove-member", removal(6, 6, &carol, &[&alice])),
    ];
    for (status, op, body) in cases {
        let reply = peer.op(REPO, op, &a, &body).await;
        assert_eq!(reply.status, status, "{op} {body} {}", reply.body);
        assert_eq!(peer.pull(REPO, &a, 0).await.body, before, "{op} {body}");
    }
    let rotated = peer.op(REPO, "push", &a, &rotating(6, json!([carol.entry(6), alice.entry(6)]))).await;
    assert_eq!(rotated.body["accepted"], json!(true));
    assert_eq!(peer.pull(REPO, &a, 0).await.body["manifest"]["members"], json!([carol.entry(6), alice.entry(6)]));
}

#[tokio::test]
async fn odd_ids_work_percent_encoded() {
    let peer = Peer::start(Config::default()).await;
    // Ids whose base64 has every awkward character.
    let alice = (0..=255).map(Member::new).find(|member| member.id.contains('+') && member.id.contains('/')).unwrap();
    let a = peer.login(&alice).await;
    let long = "x".repeat(64);
    for repo in ["a/b", "100%", "a b", "a+b", "a.b", "ünïcode", "Case", "case", "..a", "a%2Fb", &long, &long[1..]] {
        let made = peer.post("/v1/repos", &a, &creation(repo, &alice, 1, 0)).await;
        assert_eq!(made.status, 200, "{repo} {}", made.body);
        assert_eq!(peer.pull(repo, &a, 0).await.body["manifest"]["repoId"], json!(repo));
        let path = format!("/v1/repos/{}/member/{}", segment(repo), segment(&alice.id));
        assert_eq!(peer.send("GET", &path, Some(&a), "").await.body, alice.entry(0), "{repo}");
    }
    for repo in ["", ".", ".."] {
        assert_eq!(peer.post("/v1/repos", &a, &creation(repo, &alice, 1, 0)).await.status, 400, "{repo}");
    }
    let id = segment(&alice.id).replace("%2B", "+");
    assert_eq!(peer.send("GET", &format!("/v1/repos/case/member/{id}"), Some(&a), "").await.status, 200);
}

#[tokio::test]
async fn state_and_tokens_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let config = || Config { db: Some(folder.path().join("vault.db")), ..Config::default() };
    let alice = Member::new(1);
    let peer = Peer::start(config()).await;
    let a = peer.login(&alice).await;
    peer.post("/v1/repos", &a, &creation(REPO, &alice, 1, 0)).await;
    let before = peer.pull(REPO, &a, 0).await.body;
    peer.server.shutdown().await;

    let peer = Peer::start(config()).await;
    let after = peer.pull(REPO, &a, 0).await;
    assert_eq!((after.status, after.body), (200, before));
    let stranger = Peer::start(Config::default()).await;
    assert_eq!(stranger.pull(REPO, &a, 0).await.status, 401);
}
