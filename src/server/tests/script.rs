//! What is said in a [`Probe`]: every rule is touched at least once.

use bytes::Bytes;
use serde_json::{Value, json};

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

async fn identity(probe: &mut Probe, people: &People) {
    let (alice, eve) = (&people.alice, &people.eve);
    let nonces = [probe.challenge(&alice.id).await, probe.challenge(&alice.id).await, probe.challenge(&eve.id).await];
    let good = sign(alice, &nonces[0]);
    let mut top = good;
    top[63] ^= 0x20;
    let unreduced = ed25519::unreduced(&good);
    let long = [&good[..], &[0]].concat();
    let (text, eves) = (signature::sign(&alice.seed, nonces[0].as_bytes()), sign(eve, &nonces[0]));
    let (id, nonce) = (&alice.id, &nonces[0]);
    for (what, signature) in [
        ("text", &text[..]),
        ("other key", &eves),
        ("other nonce", &sign(alice, &nonces[1])),
        ("top bit", &top),
        ("malleable", &unreduced),
        ("long", &long),
        ("empty", &[]),
        ("zero", &[0; 64]),
        ("noise", &[7; 64]),
    ] {
        probe.redeem(what, id, nonce, signature).await;
    }
    probe.redeem("eve's nonce", id, &nonces[2], &sign(alice, &nonces[2])).await;
    let own = base64::encode(&[9; 32]);
    probe.redeem("unknown nonce", id, &own, &sign(alice, &own)).await;
    let fresh = probe.challenge(id).await;
    for what in ["first", "second", "third"] {
        probe.redeem(what, id, &fresh, &sign(alice, &fresh)).await;
    }
    let mut stray = id.clone();
    let last = stray.as_bytes()[42];
    stray.replace_range(42..43, &char::from(last + 1).to_string());
    let raw = base64::decode(id).unwrap();
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut forged = [0; 64];
    forged[..32].copy_from_slice(&identity);
    for key in [
        id.trim_end_matches('=').to_owned(),
        id.replace('+', "-").replace('/', "_"),
        format!(" {id}"),
        base64::encode(&[&raw[..], &[1]].concat()),
        stray,
    ] {
        let nonce = probe.challenge(&key).await;
        probe.redeem("odd key", &key, &nonce, &sign(alice, &nonce)).await;
    }
    let weak = base64::encode(&identity);
    let nonce = probe.challenge(&weak).await;
    probe.redeem("weak key", &weak, &nonce, &forged).await;
}

async fn tokens_that_do_not_count(probe: &mut Probe, people: &People, tokens: &Tokens) {
    let alice = &tokens.alice;
    let body = repo("tokens", &people.alice, 1, 0);
    probe.raw("POST", "/v1/repos", &format!("Basic {alice}"), body.to_string()).await;
    probe.raw("POST", "/v1/repos", alice, body.to_string()).await;
    probe.raw("POST", "/v1/repos", &bearer(&alice.to_uppercase()), body.to_string()).await;
    let query = format!("/v1/repos?access_token={alice}");
    probe.raw("POST", "/v1/repos", "", body.to_string()).await;
    let before = probe.log.len();
    probe.raw("POST", &query, "", body.to_string()).await;
    let line = probe.log.split_off(before).replace(alice, "(token)");
    probe.log.push_str(&line);
    probe.create(alice, &body).await;
    let Ok(real) = Jwt::parse(alice) else { return };
    let edited = |name: &str, value: Value, header: &serde_json::Map<String, Value>, seed: Option<[u8; 32]>| {
        let mut claims = real.claims.clone();
        claims.insert(name.into(), value);
        jwt::encode(header, &claims, |input| {
            seed.map(|seed| signature::sign(&seed, input).to_vec()).unwrap_or_default()
        })
    };
    let header = |alg: &str| {
        let mut header = real.header.clone();
        header.insert("alg".into(), json!(alg));
        header
    };
    let mut embedded = real.header.clone();
    let x = base64::encode_url(&signature::public_key(&[5; 32]));
    embedded.insert("jwk".into(), json!({ "kty": "OKP", "crv": "Ed25519", "x": x }));
    let mut half = real.signature.clone();
    half.reverse();
    half[..32].copy_from_slice(&real.signature[..32]);
    let eve = json!(format!("key:{}", people.alice.id));
    for token in [
        "garbage".to_owned(),
        edited("sub", eve.clone(), &real.header, None),
        edited("sub", eve.clone(), &header("none"), None),
        edited("sub", eve.clone(), &header("None"), None),
        edited("sub", eve.clone(), &real.header, Some([5; 32])),
        edited("sub", eve.clone(), &embedded, Some([5; 32])),
        edited("iss", json!("https://other.example"), &real.header, Some([5; 32])),
        edited("jti", json!("other"), &real.header, Some([5; 32])),
        jwt::encode(&real.header, &real.claims, |_| half.clone()),
    ] {
        probe.pull(&token, "tokens", 0).await;
    }
    for op in ["push", "add-member", "remove-member"] {
        probe.op("garbage", "tokens", op, &op_body("tokens", op, people)).await;
        probe.op("", "tokens", op, &op_body("tokens", op, people)).await;
        probe.op("", "nowhere", op, &op_body("nowhere", op, people)).await;
        probe.pull(alice, "tokens", 0).await;
    }
    probe.fetch("", "tokens", &people.alice.id).await;
    probe.fetch("garbage", "tokens", &people.alice.id).await;
    probe.pull("", "tokens", 0).await;
    probe.create("", &body).await;
    probe.create("garbage", &repo("garbage", &people.alice, 1, 0)).await;
    probe.create("", &repo("nobody's", &people.alice, 1, 0)).await;
    probe.pull(alice, "nobody's", 0).await;
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

async fn members(probe: &mut Probe, people: &People, tokens: &Tokens) {
    let (alice, bob, carol) = (&people.alice, &people.bob, &people.carol);
    let mut body = repo("members", alice, 5, 2);
    body["manifest"]["shareRefreshTokens"] = json!(true);
    probe.create(&tokens.alice, &body).await;
    probe.fetch(&tokens.alice, "members", &alice.id).await;
    let add = |entry: Value| json!({ "repoId": "members", "member": entry });
    let mut rewrapped = bound(bob, 2);
    rewrapped["wrappedDataKey"]["iv"] = json!(base64::encode(&[4; 12]));
    let mut misspelled = carol.entry(2);
    misspelled["ed25519PublicKey"] = json!(carol.id.trim_end_matches('='));
    let mut rekeyed = bound(bob, 2);
    rekeyed["x25519PublicKey"] = json!(base64::encode(&[8; 32]));
    for entry in [bound(bob, 2), bound(bob, 2), rewrapped, rekeyed, carol.entry(1), misspelled] {
        probe.op(&tokens.alice, "members", "add-member", &add(entry)).await;
        probe.pull(&tokens.alice, "members", 0).await;
    }
    probe.pull(&tokens.bob, "members", 0).await;
    probe.pull(&tokens.alice, "members", 5).await;
    probe.op(&tokens.bob, "members", "add-member", &add(carol.entry(2))).await;
    for number in 200..208 {
        probe.op(&tokens.alice, "members", "add-member", &add(Member::new(number).entry(2))).await;
    }
    probe.pull(&tokens.alice, "members", 0).await;
    for id in [&alice.id, &bob.id, &carol.id, &people.eve.id] {
        probe.fetch(&tokens.alice, "members", id).await;
        probe.fetch(&tokens.bob, "members", id).await;
    }
    let id = &alice.id;
    for odd in [
        id.trim_end_matches('=').into(),
        id.replace('+', "-").replace('/', "_"),
        format!("{id} "),
        super::client::segment(id),
    ] {
        probe.fetch(&tokens.alice, "members", &odd).await;
    }
    probe.op(&tokens.bob, "members", "push", &push("members", 6, 2, 5, None)).await;
    newcomer(probe, people, tokens).await;
    probe.create(&tokens.alice, &repo("second", alice, 1, 1)).await;
    probe.fetch(&tokens.alice, "second", &alice.id).await;
}

/// Somebody who has never made a repository and is invited to one.
async fn newcomer(probe: &mut Probe, people: &People, tokens: &Tokens) {
    let token = probe.login(&people.carol).await;
    probe.create(&tokens.alice, &repo("newcomer", &people.alice, 1, 0)).await;
    let add = json!({ "repoId": "newcomer", "member": people.carol.entry(0) });
    probe.op(&tokens.alice, "newcomer", "add-member", &add).await;
    probe.pull(&token, "newcomer", 0).await;
}

async fn removals(probe: &mut Probe, people: &People, tokens: &Tokens) {
    let (alice, bob, carol, eve) = (&people.alice, &people.bob, &people.carol, &people.eve);
    let token = &tokens.alice;
    let mut body = repo("removal", alice, 5, 2);
    body["manifest"]["shareRefreshTokens"] = json!(true);
    probe.create(token, &body).await;
    for entry in [bound(bob, 2), carol.entry(2), eve.entry(2)] {
        probe.op(token, "removal", "add-member", &json!({ "repoId": "removal", "member": entry })).await;
    }
    let rest = |epoch| json!([bound(alice, epoch), carol.entry(epoch)]);
    let mut mismatch = removal("removal", 6, 4, bob, rest(4));
    mismatch["rotatedEnvelope"]["keyEpoch"] = json!(5);
    let mut foreign = removal("removal", 6, 4, bob, rest(4));
    foreign["rotatedEnvelope"]["repoId"] = json!("push");
    let stranger = Member::new(250);
    let mut cases = vec![mismatch, foreign, removal("removal", 6, 4, &stranger, rest(4))];
    for (version, epoch) in [(6, 2), (6, 1), (5, 4), (4, 4)] {
        cases.push(removal("removal", version, epoch, bob, rest(epoch)));
    }
    cases.push(removal("removal", 6, 4, bob, json!([])));
    cases.push(removal("removal", 6, 4, bob, json!([bound(alice, 4), bound(bob, 4)])));
    for missing in ["rotatedEnvelope", "rewrappedMembers", "newKeyEpoch", "removedMemberId"] {
        let mut body = removal("removal", 6, 4, bob, rest(4));
        body.as_object_mut().unwrap().remove(missing);
        cases.push(body);
    }
    for body in cases {
        probe.op(token, "removal", "remove-member", &body).await;
        probe.pull(token, "removal", 0).await;
    }
    probe.pull(&tokens.bob, "removal", 0).await;
    probe.fetch(token, "removal", &carol.id).await;
    let mut new = rest(4);
    new[0]["keyBindingSig"] = json!(base64::encode(&[6; 64]));
    let real = removal("removal", 7, 4, bob, new);
    for _ in 0..2 {
        probe.op(token, "removal", "remove-member", &real).await;
        probe.pull(token, "removal", 0).await;
        probe.fetch(token, "removal", &bob.id).await;
        probe.fetch(token, "removal", &carol.id).await;
    }
    probe.pull(&tokens.bob, "removal", 0).await;
    probe.pull(&tokens.bob, "removal", 7).await;
    probe.fetch(&tokens.bob, "removal", &alice.id).await;
    probe.op(&tokens.bob, "removal", "push", &push("removal", 8, 4, 7, None)).await;
    let rejoin = json!({ "repoId": "removal", "member": bob.entry(4) });
    probe.op(&tokens.bob, "removal", "add-member", &rejoin).await;
    let revenge = removal("removal", 9, 5, carol, json!([bound(alice, 5)]));
    probe.op(&tokens.bob, "removal", "remove-member", &revenge).await;
    probe.pull(token, "removal", 0).await;
    self_removal(probe, people, tokens).await;
}

async fn self_removal(probe: &mut Probe, people: &People, tokens: &Tokens) {
    let (alice, bob) = (&people.alice, &people.bob);
    probe.create(&tokens.alice, &repo("handover", alice, 1, 0)).await;
    let add = json!({ "repoId": "handover", "member": bob.entry(0) });
    probe.op(&tokens.alice, "handover", "add-member", &add).await;
    let body = removal("handover", 2, 1, alice, json!([bob.entry(1)]));
    probe.op(&tokens.bob, "handover", "remove-member", &body).await;
    probe.pull(&tokens.alice, "handover", 0).await;
    probe.pull(&tokens.bob, "handover", 0).await;
}

async fn strangers(probe: &mut Probe, people: &People, tokens: &Tokens) {
    let (alice, eve) = (&people.alice, &people.eve);
    probe.create(&tokens.alice, &repo("strangers", alice, 1, 0)).await;
    let with_eve = json!([bound(alice, 0), eve.entry(0)]);
    for token in [&tokens.eve, &tokens.bob] {
        probe.pull(token, "strangers", 0).await;
        probe.pull(token, "strangers", 1).await;
        probe.fetch(token, "strangers", &alice.id).await;
        let add = json!({ "repoId": "strangers", "member": eve.entry(0) });
        for (op, body) in [
            ("push", push("strangers", 2, 0, 1, None)),
            ("push", push("strangers", 2, 0, 1, Some(with_eve.clone()))),
            ("add-member", add),
            ("remove-member", removal("strangers", 3, 1, alice, json!([eve.entry(1)]))),
        ] {
            probe.op(token, "strangers", op, &body).await;
            probe.pull(&tokens.alice, "strangers", 0).await;
        }
    }
    for op in ["push", "add-member", "remove-member"] {
        probe.op(&tokens.alice, "nowhere", op, &op_body("nowhere", op, people)).await;
    }
    probe.fetch(&tokens.alice, "nowhere", &alice.id).await;
    probe.pull(&tokens.alice, "nowhere", 0).await;
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
