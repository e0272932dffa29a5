//! Who is in a repository: added, removed, a stranger.

use super::*;

pub(super) async fn members(probe: &mut Probe, people: &People, tokens: &Tokens) {
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
        super::super::client::segment(id),
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

pub(super) async fn removals(probe: &mut Probe, people: &People, tokens: &Tokens) {
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

pub(super) async fn strangers(probe: &mut Probe, people: &People, tokens: &Tokens) {
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
