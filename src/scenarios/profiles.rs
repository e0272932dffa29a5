//! One server by its two profiles (SPEC §6): the semantics of the messages are the same, so what is done by one of them holds by the
//! other, wherever the two have one store.

use std::time::Duration;

use serde_json::{Value, json};

use super::call::Place;
use super::check::checks;
use super::context::to_set_up;
use super::{Ctx, Member, Outcome, Stop, replica};
use crate::client::{Identity, Profile, Repo, random};
use crate::wire::{MemberEntry, PullResponse, VaultManifest};

checks! {
    "profiles/token-of-the-other", Must, "§3", [TOKEN_LASTS, SUBJECT_IS_CALLER], token,
        "A token that was had by one profile is good by the other", phase = Contention, needs = Profiles;
    "profiles/nonce-used-by-the-other", Must, "§3", [NONCE_SINGLE_USE], nonce,
        "A nonce that has bought a token by one profile buys none by the other", phase = Contention, needs = Profiles;
    "profiles/reads-follow-writes", Must, "§10", [READ_YOUR_WRITES, PULL_CURRENT], reads_follow_writes,
        "What one profile has acknowledged, the other serves from then on", phase = Contention, needs = Profiles;
    "profiles/say-the-same", Must, "§4", [STORED_VERBATIM, INT64], say_the_same,
        "Numbers, ids and bindings that were written by one profile are the same by the other, to the last bit", phase = Contention, needs = Profiles;
    "profiles/removal-shuts-out", Must, "§6", [REMOVE_REVOKES, PUSH_ROTATES], removal_shuts_out,
        "Whom one profile has removed, the other refuses from then on", phase = Contention, needs = Profiles;
    "profiles/push-meets-the-current-version", Must, "§6", [PUSH_GATED, PUSH_CONFLICT], stale_push,
        "A push at a version that was replaced by the other profile is a conflict", phase = Contention, needs = Profiles;
    "profiles/created-once", Must, "§6", [CREATE_DUPLICATE], created_once,
        "An id that was created by one profile is taken by the other", phase = Contention, needs = Profiles;
    "profiles/push-has-one-winner", Must, "§10", [WRITES_SERIALIZED, PUSH_GATED], push_has_one_winner,
        "Of pushes at the same version by both profiles, one is accepted", phase = Contention, needs = Profiles;
    "profiles/push-against-removal", Must, "§10", [WRITES_SERIALIZED, REMOVE_ATOMIC], push_against_removal,
        "Of a push and a removal by the two profiles one applies, as a whole", phase = Contention, needs = Profiles;
    "profiles/history-is-linearizable", Must, "§10",
        [WRITES_SERIALIZED, SNAPSHOT_READS, EFFECT_AUTHORITY, READ_YOUR_WRITES], linearizable,
        "Everything that many clients did by both profiles at once has an order that explains every answer", phase = Contention, needs = Profiles;
}

/// How long what was written by one profile may take to be there by the other for the two to count as having one store. That it has
/// to be there at once is what the checks are about.
const SEEN_WITHIN: Duration = Duration::from_secs(1);

/// Both profiles are there, and have one store.
async fn one_store(cx: &Ctx) -> Outcome {
    if !cx.world.target.profiles {
        return Err(Stop::not_applicable(
            "it takes both profiles of the server: --grpc grpc://HOST:PORT beside --server, or --profile both",
        ));
    }
    match cx.world.manners.apart.get_or_try_init(|| apart(cx)).await? {
        None => Ok(()),
        Some(reason) => Err(Stop::not_applicable(reason.clone())),
    }
}

/// Why the two have a store each; nothing where at least one of them sees what was written by the other.
async fn apart(cx: &Ctx) -> Result<Option<String>, Stop> {
    let alice = cx.identity();
    let mut seen = Vec::new();
    for (one, other) in [(Profile::Http, Profile::Grpc), (Profile::Grpc, Profile::Http)] {
        let (writer, reader) = (login(cx, one, &alice).await?, login(cx, other, &alice).await?);
        let repo = Repo::new(&writer);
        cx.watch(&repo);
        let created = cx.at(Place::Profile(one)).create(&writer, &repo.create_request()).await.map_err(to_set_up)?;
        created.accepted::<VaultManifest>("createRepo").map_err(to_set_up)?;
        for pause in [Duration::ZERO, SEEN_WITHIN] {
            tokio::time::sleep(pause).await;
            let pulled = cx.at(Place::Profile(other)).pull(&reader, &repo.pull_request(0)).await?;
            if !matches!(pulled.status, 403 | 404) {
                return Ok(None);
            }
            seen.push(pulled.summary());
        }
    }
    let told = seen.first().map(String::as_str).unwrap_or_default();
    Ok(Some(format!(
        "the two profiles have a store each: what was created by HTTP isn't there by gRPC ({told}), nor the other way round"
    )))
}

/// The identity with a token of that profile; where challenge and token live elsewhere, of that place.
async fn login(cx: &Ctx, profile: Profile, identity: &Identity) -> Result<Member, Stop> {
    cx.at(Place::Profile(profile)).member(identity).await
}

macro_rules! as_of_processes {
    ($($name:ident = $body:ident),* $(,)?) => {
        $(async fn $name(cx: &Ctx) -> Outcome {
            one_store(cx).await?;
            replica::$body(cx).await
        })*
    };
}

// What holds for two processes of a deployment holds for two profiles of a server.
as_of_processes! {
    token = token_of_another,
    nonce = nonce_used,
    reads_follow_writes = reads_follow_writes,
    removal_shuts_out = removal_shuts_out,
    stale_push = stale_push,
    created_once = created_once,
    push_has_one_winner = push_has_one_winner,
    push_against_removal = push_against_removal,
    linearizable = linearizable,
}

/// Beyond what an IEEE double holds.
const LARGE: i64 = (1 << 53) + 1;

/// A repository whose every number is large and odd, with a member that has a binding and one that hasn't, written by one profile and
/// read by both: as JSON, so that nothing is lost in reading.
async fn say_the_same(cx: &Ctx) -> Outcome {
    one_store(cx).await?;
    for (one, other) in [(Profile::Http, Profile::Grpc), (Profile::Grpc, Profile::Http)] {
        let (writing, reading) = (cx.at(Place::Profile(one)), cx.at(Place::Profile(other)));
        let alice = cx.member().await?;
        let (bob, carol) = (cx.identity(), cx.identity());
        let mut repo = Repo::with_counters(&alice, &random::uuid(), LARGE, LARGE + 2);
        cx.watch(&repo);
        let created = writing.create(&alice, &repo.create_request()).await?;
        if created.is_refusal() {
            // A limit of its own on numbers; `int64/*` says what is to be said of it.
            return Err(Stop::not_judged(format!("counters from 2^53 on are refused: {}", created.summary())));
        }
        created.accepted::<VaultManifest>("createRepo").map_err(to_set_up)?;
        for (newcomer, bound) in [(&bob, true), (&carol, false)] {
            let mut add = repo.add_request(newcomer);
            add.member.key_binding_sig = bound.then(|| crate::codec::base64::encode(&[0xfb; 64]));
            let added = writing.add(&alice, &add).await.map_err(to_set_up)?;
            added.accepted::<VaultManifest>("addMember").map_err(to_set_up)?;
            repo.apply_add(&add.member);
        }
        let by_writer = writing.pull(&alice, &repo.pull_request(0)).await?;
        by_writer.accepted::<PullResponse>("a pull by the profile that wrote").map_err(to_set_up)?;
        let pulled = reading.pull(&alice, &repo.pull_request(0)).await?;
        pulled.accepted::<PullResponse>(&format!(
            "by {}, a pull of what was written by {}",
            other.title(),
            one.title()
        ))?;
        let expected = format!("by {}, the repository that was written by {}", other.title(), one.title());
        same(
            &pulled,
            &settled(json!({ "manifest": repo.manifest, "envelope": repo.envelope, "unchanged": false })),
            &expected,
        )?;
        for id in [&bob.id, &carol.id] {
            let fetched = reading.fetch(&alice, repo.id(), id).await?;
            fetched.accepted::<MemberEntry>(&format!("by {}, the key of a member", other.title()))?;
            let entry = repo.manifest.member(id).map(|entry| json!(entry)).unwrap_or_default();
            same(&fetched, &settled(entry), &expected)?;
        }
    }
    Ok(())
}

fn same(answer: &super::Answer<'_>, expected: &Value, what: &str) -> Outcome {
    let came = settled(answer.json().unwrap_or_default());
    answer.must(came == *expected, what, || difference("", expected, &came).unwrap_or_default())
}

/// What may be absent or not, and in any order, is set alike.
fn settled(mut value: Value) -> Value {
    match &mut value {
        Value::Object(members) => {
            members.retain(|name, value| {
                let absent = value.is_null() || (name == "shareRefreshTokens" && *value == json!(false));
                !absent
            });
            members.values_mut().for_each(|value| *value = settled(value.take()));
        }
        Value::Array(items) => {
            items.iter_mut().for_each(|item| *item = settled(item.take()));
            items.sort_by_key(|item| item["ed25519PublicKey"].as_str().unwrap_or_default().to_owned());
        }
        _ => {}
    }
    value
}

/// The first place at which two values differ.
fn difference(at: &str, expected: &Value, came: &Value) -> Option<String> {
    match (expected, came) {
        (Value::Object(one), Value::Object(other)) => {
            let names = one.keys().chain(other.keys().filter(|name| !one.contains_key(*name)));
            names.into_iter().find_map(|name| difference(&format!("{at}/{name}"), &expected[name], &came[name]))
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            (0..one.len()).find_map(|place| difference(&format!("{at}/{place}"), &one[place], &other[place]))
        }
        _ if expected == came => None,
        _ => {
            let told = |value: &Value| match value {
                Value::Null => "nothing".to_owned(),
                value => value.to_string().chars().take(80).collect(),
            };
            Some(format!("{at} is {} instead of {}", told(came), told(expected)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_told() {
        let one = json!({ "manifest": { "keyEpoch": LARGE, "members": [{ "a": 1 }, { "a": 2 }] } });
        let other = json!({ "manifest": { "keyEpoch": LARGE - 1, "members": [{ "a": 1 }, { "a": 2 }] } });
        assert_eq!(
            difference("", &one, &other).unwrap(),
            "/manifest/keyEpoch is 9007199254740992 instead of 9007199254740993"
        );
        assert_eq!(difference("", &one, &one), None);
        assert_eq!(
            difference("", &json!({ "a": 1 }), &json!({ "a": 1, "b": "" })).unwrap(),
            "/b is \"\" instead of nothing"
        );
    }

    #[test]
    fn absent_is_null_and_rosters_have_no_order() {
        let one = json!([{ "ed25519PublicKey": "b" }, { "ed25519PublicKey": "a", "keyBindingSig": null }]);
        let other = json!([{ "ed25519PublicKey": "a" }, { "ed25519PublicKey": "b" }]);
        assert_eq!(settled(one), settled(other));
        assert_ne!(settled(json!({ "keyBindingSig": "" })), settled(json!({})));
    }
}
