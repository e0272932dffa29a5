//! What is said in a [`Probe`]: every rule is touched at least once.

mod logins;
mod rosters;

use bytes::Bytes;
use serde_json::{Value, json};

use self::logins::{identity, tokens_that_do_not_count};
use self::rosters::{members, removals, strangers};
use super::client::{Member, creation};
use super::probe::{Probe, bearer, bound, push, removal, repo, sign};
use crate::codec::jwt::{self, Jwt};
use crate::codec::{base64, signature};
use crate::ground::ed25519;
use crate::server::Config;

/// The transcript of everything below.
pub async fn transcript(config: Config, headers: &[(&str, &str)]) -> String {
    let mut probe = Probe::start(config).await;
    headers.iter().for_each(|(name, value)| probe.header(name, value));
    let people = People::new();
    identity(&mut probe, &people).await;
    let tokens = Tokens {
        alice: probe.login(&people.alice).await,
        bob: probe.login(&people.bob).await,
        eve: probe.login(&people.eve).await,
    };
    tokens_that_do_not_count(&mut probe, &people, &tokens).await;
    creations(&mut probe, &people, &tokens).await;
    ids(&mut probe, &people, &tokens).await;
    pushes(&mut probe, &people, &tokens).await;
    members(&mut probe, &people, &tokens).await;
    removals(&mut probe, &people, &tokens).await;
    strangers(&mut probe, &people, &tokens).await;
    counters(&mut probe, &people, &tokens).await;
    bad_input(&mut probe, &people, &tokens).await;
    probe.log
}

struct People {
    alice: Member,
    bob: Member,
    carol: Member,
    eve: Member,
}

struct Tokens {
    alice: String,
    bob: String,
    eve: String,
}

impl People {
    /// Alice's id has a plus and a slash, Bob's a slash, Carol's a plus.
    fn new() -> Self {
        let find = |plus: bool, slash: bool| {
            let fits = |member: &Member| member.id.contains('+') == plus && member.id.contains('/') == slash;
            (0..=255).map(Member::new).find(fits).unwrap()
        };
        Self { alice: find(true, true), bob: find(false, true), carol: find(true, false), eve: find(false, false) }
    }
}

fn op_body(id: &str, op: &str, people: &People) -> Value {
    match op {
        "push" => push(id, 2, 0, 1, None),
        "add-member" => json!({ "repoId": id, "member": people.carol.entry(0) }),
        _ => removal(id, 3, 1, &people.carol, json!([bound(&people.alice, 1)])),
    }
}

async fn creations(probe: &mut Probe, people: &People, tokens: &Tokens) {
    let (alice, bob) = (&people.alice, &people.bob);
    let mut number = 0;
    let rosters = [
        json!([]),
        json!([bound(alice, 0), bob.entry(0)]),
        json!([bob.entry(0), bound(alice, 0)]),
        json!([bob.entry(0)]),
    ];
    for roster in rosters {
        number += 1;
        let id = format!("refused-{number}");
        let mut body = repo(&id, alice, 1, 0);
        body["manifest"]["members"] = roster;
        probe.create(&tokens.alice, &body).await;
        probe.pull(&tokens.alice, &id, 0).await;
        probe.create(&tokens.alice, &repo(&id, alice, 1, 0)).await;
    }
    for (pointer, value) in [("repoId", json!("x")), ("payloadVersion", json!(9)), ("keyEpoch", json!(9))] {
        let mut body = repo(&format!("odd-{pointer}"), alice, 1, 0);
        body["initialEnvelope"][pointer] = value;
        probe.create(&tokens.alice, &body).await;
    }
    let mut sharing = repo("sharing", alice, 7, 3);
    sharing["manifest"]["shareRefreshTokens"] = json!(false);
    sharing["manifest"]["plaintext"] = json!("secret");
    probe.create(&tokens.alice, &sharing).await;
    sharing["manifest"].as_object_mut().unwrap().remove("plaintext");
    probe.create(&tokens.alice, &sharing).await;
    probe.pull(&tokens.alice, "sharing", 0).await;
    probe.create(&tokens.alice, &sharing).await;
    probe.create(&tokens.alice, &repo("sharing", alice, 1, 0)).await;
    probe.pull(&tokens.alice, "sharing", 0).await;
    probe.create(&tokens.eve, &repo("sharing", &people.eve, 1, 0)).await;
    probe.pull(&tokens.eve, "sharing", 0).await;
    probe.pull(&tokens.alice, "sharing", 0).await;
}

async fn ids(probe: &mut Probe, people: &People, tokens: &Tokens) {
    let long = "x".repeat(70);
    let pairs = [
        ("Case", "case"),
        (&long, &long[1..]),
        ("name.a", "name.b"),
        ("a-b", "ab"),
        ("a b", "a_b"),
        ("space", "space "),
        ("0f8fad5b-d9cb-469f-a165-70867728950e", "0f8fad5b-d9cb-469f-a165-70867728950e2"),
    ];
    for (first, second) in pairs {
        probe.create(&tokens.alice, &repo(first, &people.alice, 1, 0)).await;
        probe.create(&tokens.bob, &repo(second, &people.bob, 2, 0)).await;
        probe.pull(&tokens.alice, first, 0).await;
        probe.pull(&tokens.bob, second, 0).await;
    }
    for id in ["sl/ash", "per%41cent", "p+lus", "semi;colon", "ünï", " x "] {
        probe.create(&tokens.alice, &repo(id, &people.alice, 1, 0)).await;
        probe.pull(&tokens.alice, id, 0).await;
        probe.fetch(&tokens.alice, id, &people.alice.id).await;
    }
}

async fn pushes(probe: &mut Probe, people: &People, tokens: &Tokens) {
    let (alice, bob) = (&people.alice, &people.bob);
    let token = &tokens.alice;
    probe.create(token, &repo("push", alice, 5, 2)).await;
    for known in [4, 5, 6, 2] {
        probe.pull(token, "push", known).await;
    }
    for expected in [4, 6, 0, -1] {
        let both = json!([bound(alice, 2), bob.entry(2)]);
        for roster in [None, Some(both)] {
            probe.op(token, "push", "push", &push("push", 6, 2, expected, roster)).await;
            probe.pull(token, "push", 0).await;
        }
    }
    let repeated = push("push", 6, 2, 5, Some(json!([bound(alice, 2), bob.entry(2)])));
    for _ in 0..2 {
        probe.op(token, "push", "push", &repeated).await;
    }
    for version in [6, 4, 13] {
        probe.op(token, "push", "push", &push("push", version, 2, 6, None)).await;
        probe.pull(token, "push", 0).await;
    }
    rotations(probe, people, tokens).await;
    for missing in ["envelope", "expectedPayloadVersion", "repoId"] {
        for expected in [5, 19] {
            let mut body = push("push", 20, 3, expected, Some(json!([bound(alice, 3)])));
            body.as_object_mut().unwrap().remove(missing);
            probe.op(token, "push", "push", &body).await;
            probe.pull(token, "push", 0).await;
        }
    }
    probe.op(&tokens.bob, "push", "push", &push("push", 21, 3, 19, Some(json!([bound(bob, 3)])))).await;
    probe.pull(token, "push", 0).await;
    probe.create(&tokens.bob, &repo("bobs", bob, 1, 0)).await;
    for (path, named, inside) in [("bobs", "push", "push"), ("push", "bobs", "bobs"), ("bobs", "bobs", "push")] {
        let mut body =
            push(named, 30, if inside == "bobs" { 0 } else { 3 }, if inside == "bobs" { 1 } else { 21 }, None);
        body["envelope"]["repoId"] = json!(inside);
        probe.op(&tokens.eve, path, "push", &body).await;
        probe.op(&tokens.alice, path, "push", &body).await;
        probe.op(&tokens.bob, path, "push", &body).await;
        probe.pull(&tokens.bob, "push", 0).await;
        probe.pull(&tokens.bob, "bobs", 0).await;
    }
    probe.create(token, &repo("alices", alice, 1, 0)).await;
    for (path, named) in [("alices", "bobs"), ("bobs", "alices")] {
        let mut body = push(named, 40, 0, 1, None);
        probe.op(token, path, "push", &body).await;
        body["repoId"] = json!(path);
        probe.op(token, path, "push", &body).await;
        body["repoId"] = json!(named);
        body["envelope"]["repoId"] = json!(path);
        probe.op(token, path, "push", &body).await;
        probe.pull(&tokens.bob, "bobs", 0).await;
        probe.pull(token, "alices", 0).await;
    }
}

/// Pushes that are judged by their contents: from version 13 at epoch 2 to version 19 at epoch 3.
async fn rotations(probe: &mut Probe, people: &People, tokens: &Tokens) {
    let (alice, bob, carol) = (&people.alice, &people.bob, &people.carol);
    let roster = |epoch| json!([bound(alice, epoch), bob.entry(epoch)]);
    let mut rebound = roster(3);
    rebound[0]["keyBindingSig"] = json!(base64::encode(&[3; 64]));
    rebound[0]["x25519PublicKey"] = json!(base64::encode(&[3; 32]));
    let mut foreign = push("push", 14, 2, 13, None);
    foreign["envelope"]["repoId"] = json!("sharing");
    let mut broken = push("push", 14, 3, 13, Some(roster(3)));
    broken["rotatedMembers"][1]["x25519PublicKey"] = json!("?");
    let mut null = push("push", 14, 2, 13, None);
    null["rotatedMembers"] = Value::Null;
    for body in [
        foreign,
        broken,
        push("push", 14, 1, 13, None),
        push("push", 14, 1, 13, Some(roster(1))),
        push("push", 14, 3, 13, None),
        push("push", 14, 3, 13, Some(json!([]))),
        push("push", 14, 3, 13, Some(json!([bound(alice, 2), bob.entry(3)]))),
        push("push", 14, 3, 13, Some(json!([bound(alice, 3), bound(alice, 3)]))),
        push("push", 14, 3, 13, Some(json!([bob.entry(3)]))),
        push("push", 13, 3, 13, Some(json!([bound(alice, 3)]))),
        null,
        push("push", 15, 2, 14, Some(json!([bound(alice, 2), carol.entry(2)]))),
        push("push", 16, 2, 15, None),
        push("push", 17, 3, 16, Some(json!([bob.entry(3), bound(alice, 3)]))),
        push("push", 18, 3, 17, Some(rebound)),
        push("push", 19, 3, 18, Some(roster(3))),
    ] {
        probe.op(&tokens.alice, "push", "push", &body).await;
        probe.pull(&tokens.alice, "push", 0).await;
        probe.pull(&tokens.bob, "push", 16).await;
    }
    probe.create(&tokens.alice, &repo("lead", alice, 1, 0)).await;
    for (version, roster) in [(2, json!([bound(bob, 0), bound(alice, 0)])), (3, json!([bound(bob, 1)]))] {
        let token = if version == 2 { &tokens.alice } else { &tokens.bob };
        let epoch = i64::from(version == 3);
        probe.op(token, "lead", "push", &push("lead", version, epoch, version - 1, Some(roster))).await;
        probe.pull(&tokens.alice, "lead", 0).await;
        probe.pull(&tokens.bob, "lead", 0).await;
    }
    let mut sharing = repo("share", alice, 1, 0);
    sharing["manifest"]["shareRefreshTokens"] = json!(true);
    probe.create(&tokens.alice, &sharing).await;
    probe.op(&tokens.alice, "share", "push", &push("share", 2, 0, 1, None)).await;
    probe.pull(&tokens.alice, "share", 0).await;
}

async fn counters(probe: &mut Probe, people: &People, tokens: &Tokens) {
    let token = &tokens.alice;
    for (number, version) in [(1 << 53) + 1, i64::MAX - 1, 1 << 32, -5].into_iter().enumerate() {
        let id = format!("counter-{number}");
        probe.create(token, &repo(&id, &people.alice, version, version)).await;
        for known in [version, version - 1, version & 0xffff_ffff] {
            probe.pull(token, &id, known).await;
        }
        for expected in [version - 1, version & 0xffff_ffff, version] {
            probe.op(token, &id, "push", &push(&id, version + 1, version, expected, None)).await;
            probe.pull(token, &id, 0).await;
        }
        for lower in [-1, i64::MIN, 1 << 31, (1 << 31) - 1, 7] {
            probe.op(token, &id, "push", &push(&id, lower, version, version + 1, None)).await;
        }
        probe.pull(token, &id, 0).await;
    }
    let mut large = creation("large", &people.alice, 1, 0);
    large["initialEnvelope"]["ciphertext"] = json!(base64::encode(&vec![9; 900_000]));
    probe.create(token, &large).await;
    probe.pull(token, "large", 0).await;
}

async fn bad_input(probe: &mut Probe, people: &People, tokens: &Tokens) {
    let auth = bearer(&tokens.alice);
    for path in ["/", "/v1/repos/x"] {
        probe.raw("GET", path, "", "").await;
    }
    for (method, path) in [("PUT", "/v1/repos"), ("GET", "/v1/repos/x/pull")] {
        probe.raw(method, path, &auth, "").await;
    }
    probe.raw("GET", "/.well-known/avp", "", "").await;
    probe.key_set(&tokens.alice).await;
    let deep = "[".repeat(10_000);
    let pull = json!({ "repoId": "tokens", "knownPayloadVersion": 0 });
    let trailing = format!("{pull} x");
    let bodies = ["", "{", "null", "[]", "\u{0}", &deep, &trailing];
    for body in bodies
        .into_iter()
        .map(|body| Bytes::copy_from_slice(body.as_bytes()))
        .chain([Bytes::from_static(b"{\"\xff\"}")])
    {
        probe.raw("POST", "/v1/repos/tokens/pull", &auth, body).await;
        probe.pull(&tokens.alice, "tokens", 0).await;
    }
    for body in [
        json!({ "repoId": "tokens" }),
        json!({ "repoId": "tokens", "knownPayloadVersion": "0" }),
        json!({ "repoId": "tokens", "knownPayloadVersion": 0.0 }),
        json!({ "repoId": 1, "knownPayloadVersion": 0 }),
    ] {
        probe.op(&tokens.alice, "tokens", "pull", &body).await;
    }
    for (pointer, value) in [("schemeId", Some(Value::Null)), ("schemeId", None), ("keyEpoch", None)] {
        let mut body = repo(&format!("incomplete-{pointer}-{}", value.is_some()), &people.alice, 1, 0);
        let manifest = body["manifest"].as_object_mut().unwrap();
        match value {
            Some(value) => drop(manifest.insert(pointer.into(), value)),
            None => drop(manifest.remove(pointer)),
        }
        probe.create(&tokens.alice, &body).await;
    }
    let rejected = json!({ "plaintext": "secret" });
    probe.op(&tokens.alice, "tokens", "pull", &rejected).await;
    probe.raw("POST", "/v1/repos/tokens/pull", &auth, vec![b' '; 5 << 20]).await;
    probe.pull(&tokens.alice, "tokens", 0).await;
}
