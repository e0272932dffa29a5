//! Challenges, logins, and tokens that don't count.

use super::*;

pub(super) async fn identity(probe: &mut Probe, people: &People) {
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

pub(super) async fn tokens_that_do_not_count(probe: &mut Probe, people: &People, tokens: &Tokens) {
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
