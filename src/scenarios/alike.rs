//! Rows that have a value in common (SPEC §4, §6): what a server keeps once for both, or takes for one row, comes back wrong.

use super::check::checks;
use super::context::to_set_up;
use super::members::added;
use super::variants::Variants;
use super::{Ctx, Member, Outcome, Stop};
use crate::client::{Identity, Repo};
use crate::codec::base64;
use crate::wire::{EncryptedEnvelope, MemberEntry, PushResponse, WrappedKey};

checks! {
    "add-member/known-member", Must, "§6", [ADD_RECORDS, STORED_VERBATIM], known_member,
        "Who is a member of one repository is added to others as anybody is, also where their rosters begin alike";
    "pull/guest-of-the-owner", Must, "§6", [PULL_MEMBERS_ONLY, FETCH_MEMBERS_ONLY], guest,
        "Who was added to one repository is a stranger to the inviter's others, whichever came first";
    "add-member/known-x25519-key", Must, "§6", [ADD_RECORDS, STORED_VERBATIM], known_key,
        "Members with the same X25519 key stay two members, unless the second is refused";
    "rosters/x25519-keys-alike", Must, "§6", [PUSH_ROTATES, REMOVE_REPLACES, STORED_VERBATIM], known_key_in_rosters,
        "A new roster in which two members have one X25519 key is stored as sent, or refused";
    "fetch-member-key/joined-with-an-id", Must, "§6", [FETCH_MEMBERS_ONLY, FETCH_ENTRY], joined,
        "No member id that begins with the rest of another repository's id finds that repository's member";
    "texts/scheme-of-wraps", Must, "§4", [STORED_VERBATIM], scheme_of_wraps,
        "A roster whose wrapped keys name another schemeId than the manifest is refused, or changes nothing in the manifest's";
    "texts/envelopes-alike", Must, "§4", [STORED_VERBATIM, PUSH_APPLIES], envelopes,
        "An envelope that shares IV or ciphertext with an earlier one is served with its own of everything, or refused";
    "texts/wrapped-keys-alike", Must, "§4", [STORED_VERBATIM], wrapped_keys,
        "A wrapped key that shares a part with another is served with its own of everything, or refused";
}

/// Repositories know nothing of each other: of the same owner, of another one, and the owner of one as a member of the other.
async fn known_member(cx: &Ctx) -> Outcome {
    let (alice, dave, bob) = (cx.member().await?, cx.member().await?, cx.member().await?);
    let mut repos = [cx.repo(&alice).await?, cx.repo(&dave).await?, cx.repo(&alice).await?];
    rosters_alike(cx, &alice, &bob).await?;
    let owners = [&alice, &dave, &alice];
    for (at, newcomer) in [(0, &bob), (1, &bob), (2, &bob), (1, &alice), (0, &dave)] {
        let request = repos[at].add_request(newcomer);
        repos[at].apply_add(&request.member);
        added(&repos[at], &cx.add(owners[at], &request).await?)?;
        for (owner, repo) in owners.iter().zip(&repos) {
            cx.holds(owner, repo, "addMember of a member of another repository").await?;
        }
    }
    for repo in &repos {
        cx.readable(&bob, repo, "addMember of a member of another repository").await?;
    }
    Ok(())
}

/// An invitation is to one repository: not to those that the inviter has, nor to those that he makes afterwards.
async fn guest(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let before = cx.repo(&alice).await?;
    cx.repo_with(&alice, &[&bob]).await?;
    for repo in [before, cx.repo(&alice).await?] {
        let answer = cx.pull(&bob, &repo.pull_request(0)).await?;
        answer.refused_somehow("a pull by a member of another repository of the owner's")?;
        answer.keeps_secret(&repo)?;
        let answer = cx.fetch(&bob, repo.id(), alice.id()).await?;
        answer.refused_somehow("fetchMemberKey by a member of another repository of the owner's")?;
        answer.keeps_secret(&repo)?;
    }
    Ok(())
}

/// Two repositories whose first rosters are the same to the last byte are two all the same.
async fn rosters_alike(cx: &Ctx, alice: &Member, bob: &Member) -> Outcome {
    let mut first = cx.repo(alice).await?;
    let mut second = Repo::new(alice);
    second.manifest.members.clone_from(&first.manifest.members);
    cx.watch(&second);
    let answer = cx.create(alice, &second.create_request()).await.map_err(to_set_up)?;
    if !answer.is_success() {
        return Ok(());
    }
    let request = first.add_request(bob);
    first.apply_add(&request.member);
    added(&first, &cx.add(alice, &request).await?)?;
    cx.holds(alice, &second, "addMember to another repository whose roster was the same").await
}

/// Whose key it is doesn't say who it is: one machine may hold several identities. Refused is refused, and nobody goes.
async fn known_key(cx: &Ctx) -> Outcome {
    let (alice, dave) = (cx.member().await?, cx.member().await?);
    let (bob, carol) = (cx.identity(), cx.identity());
    let mut repo = cx.repo_with(&alice, &[&bob]).await?;
    for (of, newcomer) in [(&bob, &carol), (&*alice, &*dave)] {
        let mut request = repo.add_request(newcomer);
        request.member.x25519_public_key = repo.entry_for(of).x25519_public_key;
        let answer = cx.add(&alice, &request).await?;
        if !answer.is_success() {
            answer.refused_somehow("addMember of somebody with another member's X25519 key, unless it works,")?;
            cx.holds(&alice, &repo, "a refused addMember with another member's X25519 key").await?;
            continue;
        }
        repo.apply_add(&request.member);
        added(&repo, &answer)?;
        cx.holds(&alice, &repo, "addMember with another member's X25519 key").await?;
    }
    Ok(())
}

/// The same for rosters that come whole.
async fn known_key_in_rosters(cx: &Ctx) -> Outcome {
    let what = "a roster in which two members have one X25519 key";
    in_rosters(cx, what, |members| {
        if let [first, second, ..] = members {
            second.x25519_public_key.clone_from(&first.x25519_public_key);
        }
    })
    .await
}

/// A roster that isn't quite as usual, by a rotating push and by a removal: stored as sent, or refused.
async fn in_rosters(cx: &Ctx, what: &str, change: fn(&mut [MemberEntry])) -> Outcome {
    let (alice, bob, carol) = (cx.member().await?, cx.identity(), cx.identity());
    let mut repo = cx.repo_with(&alice, &[&bob, &carol]).await?;
    for is_removal in [false, true] {
        let staying: &[&Identity] = if is_removal { &[&alice, &bob] } else { &[&alice, &bob, &carol] };
        let mut rotation = repo.rotation(&alice, staying);
        change(&mut rotation.members);
        let answer = match is_removal {
            true => cx.remove(&alice, &repo.remove_request(&carol.id, &rotation)).await?,
            false => cx.push(&alice, &repo.rotating_push(&rotation)).await?,
        };
        if answer.is_success() {
            repo.apply_rotation(&rotation);
            cx.watch(&repo);
        } else {
            answer.refused_somehow(&format!("{what}, unless it is taken,"))?;
        }
        cx.holds(&alice, &repo, what).await?;
    }
    Ok(())
}

/// What stands between the parts of a key of a store.
const BETWEEN: [&str; 9] = ["/", ":", "#", ".", "-", "_", "|", ",", "\0"];

/// Stores whose key is the id of the repository, something, and the id of the member: `x` and `y/bob` are `x/y` and `bob`.
async fn joined(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let mut tally = Variants::default();
    for between in BETWEEN {
        let short = cx.repo(&alice).await?;
        let long = Repo::with_id(&bob, &format!("{}{between}y", short.id()));
        cx.watch(&long);
        let answer = cx.create(&bob, &long.create_request()).await?;
        if !answer.is_success() {
            continue;
        }
        let answer = cx.fetch(&alice, short.id(), &format!("y{between}{}", bob.id())).await?;
        // How it is refused is the business of others: some of these ids are odd.
        let nothing = answer.must(!answer.is_success(), "no member is found by that id", || answer.summary());
        tally.note(format!("an id joined with {between:?}"), nothing.and_then(|()| answer.keeps_secret(&long)))?;
    }
    tally.settle(cx)
}

/// The scheme of the manifest was set when the repository was made, and neither push nor removal has one to set.
async fn scheme_of_wraps(cx: &Ctx) -> Outcome {
    let what = "a roster whose wrapped keys name another scheme than the manifest";
    in_rosters(cx, what, |members| {
        for entry in members {
            entry.wrapped_data_key.scheme_id = "X25519-HKDF-SHA256-AESGCM-v2".into();
        }
    })
    .await
}

/// A sealed text that nobody can open; the server can't tell.
fn sealed(seed: u8) -> (String, String) {
    (base64::encode(&[seed; 12]), base64::encode(&[seed; 80]))
}

/// First both new, then with one part of an earlier one. A server that watches over IVs may refuse the second use of one.
async fn envelopes(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut repo = cx.repo(&alice).await?;
    let mut other = cx.repo(&alice).await?;
    let (iv_1, text_1) = sealed(1);
    let (iv_2, text_2) = sealed(2);
    let table = [
        ("of its own", &iv_1, &text_1),
        ("with the ciphertext of the one before", &iv_2, &text_1),
        ("with the IV of the one before", &iv_2, &text_2),
        ("with IV and ciphertext of two earlier ones", &iv_1, &text_2),
        ("that is the first one again", &iv_1, &text_1),
        ("that is the current one again", &iv_1, &text_1),
    ];
    let mut tally = Variants::default();
    for (what, iv, ciphertext) in table {
        let (iv, ciphertext) = (iv.clone(), ciphertext.clone());
        tally.note(format!("an envelope {what}"), pushed(cx, &alice, &mut repo, iv, ciphertext).await)?;
    }
    // What finds a blob by its beginning or by its end finds one of these for another.
    let long = |at: usize, byte: u8| {
        let mut bytes = vec![7; 12 << 10];
        bytes[at..at + 3].fill(byte);
        base64::encode(&bytes)
    };
    for (what, at) in
        [("its last bytes", (12 << 10) - 3), ("its first bytes", 0), ("some bytes in its middle", 6 << 10)]
    {
        for (byte, seed) in [(1, 11), (2, 12)] {
            let outcome = pushed(cx, &alice, &mut repo, sealed(seed).0, long(at, byte)).await;
            tally.note(format!("a long envelope that differs from another only in {what}"), outcome)?;
        }
        let outcome = pushed(cx, &alice, &mut other, sealed(13).0, long(at, 3)).await;
        tally.note(format!("a long envelope that differs from another repository's only in {what}"), outcome)?;
    }
    for (what, iv) in [("of another repository", &iv_1), ("of another repository, with an IV of its own", &sealed(3).0)]
    {
        let outcome = pushed(cx, &alice, &mut other, iv.clone(), text_1.clone()).await;
        tally.note(format!("an envelope with the ciphertext of one {what}"), outcome)?;
    }
    tally.settle(cx)
}

async fn pushed(cx: &Ctx, alice: &Member, repo: &mut Repo, iv: String, ciphertext: String) -> Outcome {
    let mut push = repo.push_request(alice);
    push.envelope = EncryptedEnvelope { iv, ciphertext, ..push.envelope };
    let answer = cx.push(alice, &push).await?;
    if !answer.is_success() {
        answer.refused_somehow("an envelope that shares a part with another, unless it is taken,")?;
        return Err(Stop::not_applicable(format!("answered with {}", answer.status)));
    }
    let response: PushResponse = answer.accepted("a push")?;
    answer.must(response.accepted, "a push at the current version is accepted", || response.to_string())?;
    repo.apply_push(&push);
    cx.holds(alice, repo, "a push whose envelope shares a part with another").await
}

/// A wrapped key, and keys that have one part in common with it each, in one roster.
async fn wrapped_keys(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut repo = cx.repo(&alice).await?;
    let mut rotation = repo.rotation(&alice, &[&alice]);
    let entry = |change: fn(&mut WrappedKey, &WrappedKey), model: Option<&MemberEntry>| {
        let mut entry = super::rosters::bystander(repo.epoch() + 1);
        if let Some(model) = model {
            change(&mut entry.wrapped_data_key, &model.wrapped_data_key);
        }
        entry
    };
    let first = entry(|_, _| {}, None);
    let changes: [fn(&mut WrappedKey, &WrappedKey); 4] = [
        |own, first| own.ciphertext.clone_from(&first.ciphertext),
        |own, first| own.iv.clone_from(&first.iv),
        |own, first| own.ephemeral_public_key.clone_from(&first.ephemeral_public_key),
        |own, first| {
            own.ciphertext.clone_from(&first.ciphertext);
            own.ephemeral_public_key.clone_from(&first.ephemeral_public_key);
        },
    ];
    let others: Vec<_> = changes.into_iter().map(|change| entry(change, Some(&first))).collect();
    rotation.members.push(first);
    rotation.members.extend(others);
    let answer = cx.push(&alice, &repo.rotating_push(&rotation)).await?;
    if !answer.is_success() {
        answer.refused_somehow("wrapped keys that share a part, unless they are taken,")?;
        return cx.holds(&alice, &repo, "a refused push of wrapped keys that share a part").await;
    }
    let response: PushResponse = answer.accepted("a push that brings a roster")?;
    answer.must(response.accepted, "a push at the current version is accepted", || response.to_string())?;
    repo.apply_rotation(&rotation);
    cx.watch(&repo);
    cx.holds(&alice, &repo, "a push of wrapped keys that share a part").await
}
