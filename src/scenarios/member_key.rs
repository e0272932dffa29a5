//! fetchMemberKey (SPEC §6, §9): the entry of now of exactly the member asked for.

use super::check::checks;
use super::create_repo::swap_case;
use super::members::added;
use super::state::is_entry;
use super::{Answer, Call, Ctx, Member, Operation, Outcome, Stop, push};
use crate::client::{Identity, Repo};
use crate::codec::base64;
use crate::wire::PushResponse;

checks! {
    "fetch-member-key/among-many", Must, "§6", [FETCH_ENTRY, STORED_VERBATIM, BINDING_OPAQUE, HTTP_PROFILE], among_many,
        "fetchMemberKey gives the entry of the member asked for, whoever of the members asks";
    "fetch-member-key/id-with-plus", Must, "§6", [FETCH_ENTRY, HTTP_PROFILE], id_with_plus,
        "fetchMemberKey finds a member whose id holds a plus sign";
    "fetch-member-key/id-with-slash", Must, "§6", [FETCH_ENTRY, HTTP_PROFILE], id_with_slash,
        "fetchMemberKey finds a member whose id holds a slash";
    "fetch-member-key/id-with-plus-and-slash", Must, "§6", [FETCH_ENTRY, HTTP_PROFILE], id_with_plus_and_slash,
        "fetchMemberKey finds a member whose id holds a plus sign and a slash";
    "fetch-member-key/id-beginning-with-slash", Must, "§6", [FETCH_ENTRY, HTTP_PROFILE], id_beginning_with_slash,
        "fetchMemberKey finds a member whose id begins with a slash";
    "fetch-member-key/id-with-two-slashes", Must, "§6", [FETCH_ENTRY, HTTP_PROFILE], id_with_two_slashes,
        "fetchMemberKey finds a member whose id holds two slashes in a row";
    "fetch-member-key/plain-plus", Must, "§6", [FETCH_ENTRY, HTTP_PROFILE], plain_plus,
        "A plus sign that stands in the path as it is, as it may, is no space";
    "fetch-member-key/other-encodings", Should, "§6", [FETCH_ENTRY, HTTP_PROFILE], other_encodings,
        "Equivalent percent-encodings of a member id in the path find the member as well";
    "fetch-member-key/of-this-repository", Must, "§6", [FETCH_ENTRY], of_this_repository,
        "A member of two repositories has an entry in each, and each gives its own";
    "fetch-member-key/after-rotation", Must, "§6", [FETCH_ENTRY, READ_YOUR_WRITES, REMOVE_REPLACES, PUSH_ROTATES], after_rotation,
        "fetchMemberKey gives the entry of now: after a removal and after a rotating push the rewrapped one";
    "fetch-member-key/unknown-member", Must, "§6", [FETCH_ENTRY], unknown_member,
        "An id that is no member's here is refused: unknown, of another repository, or nearly a member's";
    "fetch-member-key/other-spellings", Hardening, "§6", [FETCH_EXACT], other_spellings,
        "Other spellings of a member's key, and a path decoded twice, find nobody";
    "fetch-member-key/removed-member", Must, "§6", [FETCH_ENTRY, REMOVE_DROPS, PUSH_ROTATES], removed_member,
        "The entry of somebody who left, by removal or by rotation, is served no more";
    "fetch-member-key/non-member", Must, "§6", [FETCH_MEMBERS_ONLY, SUBJECT_IS_CALLER], non_member_fetches,
        "A stranger is given nobody's entry";
    "fetch-member-key/unknown-repository", Must, "§6", [FETCH_MEMBERS_ONLY], fetch_from_unknown,
        "fetchMemberKey on an id that doesn't exist is refused";
}

/// Six members, one of them with a key binding; the creator asks for all, others for each other and themselves.
async fn among_many(cx: &Ctx) -> Outcome {
    let (alice, bob, carol) = (cx.member().await?, cx.member().await?, cx.member().await?);
    let mut repo = cx.repo_with(&alice, &[&bob, &cx.identity()]).await?;
    let mut request = repo.add_request(&carol);
    request.member.key_binding_sig = Some(push::binding_like_signature());
    repo.apply_add(&request.member);
    added(&repo, &cx.add(&alice, &request).await?)?;
    for _ in 0..2 {
        cx.enrol(&alice, &mut repo, &cx.identity()).await?;
    }
    for (index, entry) in repo.manifest.members.iter().enumerate() {
        is_entry(&cx.fetch(&alice, repo.id(), &entry.ed25519_public_key).await?, entry)?;
        let other = if index % 2 == 0 { &bob } else { &carol };
        is_entry(&cx.fetch(other, repo.id(), &entry.ed25519_public_key).await?, entry)?;
    }
    Ok(())
}

/// A member with such an id is found by others, and asks for itself and for others.
async fn finds(cx: &Ctx, wanted: impl FnMut(&str) -> bool) -> Outcome {
    let alice = cx.member().await?;
    let special = cx.authenticate(cx.introduce(Identity::generate_with(wanted))).await?;
    let mut repo = cx.repo_with(&alice, &[&special]).await?;
    cx.enrol(&alice, &mut repo, &cx.identity()).await?;
    let [first, entry, last] = &repo.manifest.members[..] else { return Ok(()) };
    is_entry(&cx.fetch(&alice, repo.id(), special.id()).await?, entry)?;
    is_entry(&cx.fetch(&special, repo.id(), special.id()).await?, entry)?;
    is_entry(&cx.fetch(&special, repo.id(), alice.id()).await?, first)?;
    is_entry(&cx.fetch(&special, repo.id(), &last.ed25519_public_key).await?, last)?;
    cx.readable(&special, &repo, "addMember").await
}

async fn id_with_plus(cx: &Ctx) -> Outcome {
    finds(cx, |id| id.contains('+') && !id.contains('/')).await
}

async fn id_with_slash(cx: &Ctx) -> Outcome {
    finds(cx, |id| id.contains('/') && !id.contains('+')).await
}

async fn id_with_plus_and_slash(cx: &Ctx) -> Outcome {
    finds(cx, |id| id.contains('/') && id.contains('+')).await
}

async fn id_beginning_with_slash(cx: &Ctx) -> Outcome {
    finds(cx, |id| id.starts_with('/')).await
}

async fn id_with_two_slashes(cx: &Ctx) -> Outcome {
    finds(cx, |id| id.contains("//")).await
}

/// fetchMemberKey with a member id as it shall stand in the path.
async fn fetch_raw<'c>(cx: &'c Ctx, by: &Member, repo: &Repo, segment: &str) -> Result<Answer<'c>, Stop> {
    let auth = by.auth();
    let mut call = Call::operation(Operation::FetchMemberKey, repo.id(), "", &auth, None);
    call.path.push_str(segment);
    cx.call(call).await
}

/// Clients that encode a path segment by RFC 3986 §3.3, and not as a form, leave the plus sign alone.
async fn plain_plus(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let bob = cx.introduce(Identity::generate_with(|id| id.contains('+')));
    let repo = cx.repo_with(&alice, &[&bob]).await?;
    let spelled = crate::wire::segment(&bob.id).replace("%2B", "+");
    is_entry(&fetch_raw(cx, &alice, &repo, &spelled).await?, &repo.manifest.members[1])
}

/// `=` may stand in a path segment as it is, hexadecimal digits may be small, and any character may be encoded (RFC 3986
/// §2.1, §2.3, §3.3).
async fn other_encodings(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let bob = cx.introduce(Identity::generate_with(|id| id.contains('/') && id.contains('+')));
    let repo = cx.repo_with(&alice, &[&bob]).await?;
    let small = bob.id.replace('/', "%2f").replace('+', "%2b").replace('=', "%3d");
    let bare = bob.id.replace('/', "%2F").replace('+', "%2B");
    let all: String = bob.id.bytes().map(|byte| format!("%{byte:02X}")).collect();
    for spelled in [small, bare, all] {
        is_entry(&fetch_raw(cx, &alice, &repo, &spelled).await?, &repo.manifest.members[1])?;
    }
    Ok(())
}

/// The wrapped keys differ, and one is of no use in the other repository.
async fn of_this_repository(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let bob = cx.identity();
    let (one, two) = (cx.repo_with(&alice, &[&bob]).await?, cx.repo_with(&alice, &[&bob]).await?);
    for repo in [&one, &two] {
        for entry in &repo.manifest.members {
            is_entry(&cx.fetch(&alice, repo.id(), &entry.ed25519_public_key).await?, entry)?;
        }
    }
    Ok(())
}

/// The list of members and the place where single entries are looked up are one.
async fn after_rotation(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let (carol, dave, erin) = (cx.identity(), cx.identity(), cx.identity());
    // Whoever goes stands in the middle: a place that is remembered is another's then.
    let mut repo = cx.repo_with(&alice, &[&carol, &bob, &dave, &erin]).await?;
    for entry in &repo.manifest.members {
        is_entry(&cx.fetch(&alice, repo.id(), &entry.ed25519_public_key).await?, entry)?;
    }
    cx.expel(&alice, &mut repo, &carol.id, &[&alice, &bob, &dave, &erin]).await?;
    for entry in &repo.manifest.members {
        is_entry(&cx.fetch(&bob, repo.id(), &entry.ed25519_public_key).await?, entry)?;
    }
    let mut rotation = repo.rotation(&bob, &[&alice, &bob, &cx.identity()]);
    rotation.members[0].key_binding_sig = Some(push::binding_like_signature());
    let answer = cx.push(&bob, &repo.rotating_push(&rotation)).await?;
    answer.accepted::<PushResponse>("a rotating push")?;
    repo.apply_rotation(&rotation);
    for entry in &repo.manifest.members {
        is_entry(&cx.fetch(&alice, repo.id(), &entry.ed25519_public_key).await?, entry)?;
    }
    Ok(())
}

async fn unknown_member(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let repo = cx.repo_with(&alice, &[&bob]).await?;
    let elsewhere = cx.identity();
    cx.repo_with(&bob, &[&elsewhere]).await?;
    // Other keys, which nobody has: a column may be too short for an id, and a library may look at a part of a point.
    let other_key = |change: fn(&mut [u8; 32])| {
        let mut key = bob.public_key();
        change(&mut key);
        base64::encode(&key)
    };
    for (what, id) in [
        ("a key that ends like no member's", other_key(|key| key[30] ^= 0x55).as_str()),
        ("a key whose first 24 bytes are a member's", &other_key(|key| key[24..].reverse())),
        ("a key that is a member's but for its highest bit", &other_key(|key| key[31] ^= 0x80)),
        ("a key that is a member's but for its first byte", &other_key(|key| key[0] ^= 0x55)),
        ("an id that nobody has", &cx.identity().id),
        ("the id of a member of another repository", &elsewhere.id),
        ("a member's id in other letter case", &swap_case(bob.id())),
        ("the beginning of a member's id", &bob.id()[..16]),
        ("a member's X25519 key", &bob.x25519_public_key),
        // What stands for any text in SQL, file names and regular expressions.
        ("a percent sign", "%"),
        ("the beginning of a member's id and a percent sign", &format!("{}%", &bob.id()[..8])),
        ("as many underlines as an id has characters", &"_".repeat(bob.id().len())),
        ("a star", "*"),
        ("a dot and a star", ".*"),
    ] {
        let answer = cx.fetch(&alice, repo.id(), id).await?;
        answer.refused(&format!("fetchMemberKey for {what}"), &[400, 404])?;
    }
    Ok(())
}

/// The id has one spelling, and the path is decoded once.
async fn other_spellings(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let bob = cx.introduce(Identity::generate_with(|id| id.contains('/') && id.contains('+')));
    let repo = cx.repo_with(&alice, &[&bob]).await?;
    let once = crate::wire::segment(&bob.id);
    for (what, spelled) in [
        ("a member id without its padding", once.trim_end_matches("%3D").to_owned()),
        ("a member id in the URL alphabet", bob.id.replace('/', "_").replace('+', "-").replace('=', "%3D")),
        ("a member id that is percent-encoded twice", once.replace('%', "%25")),
        ("a member id with a space behind it", format!("{once}%20")),
        // What stands for the caller in other interfaces, and for a member in claims.
        ("the word me", "me".into()),
        ("the word self", "self".into()),
        ("@me", "@me".into()),
        ("a tilde", "~".into()),
        ("a member id as the subject of its token", format!("key:{once}")),
    ] {
        let answer = fetch_raw(cx, &alice, &repo, &spelled).await?;
        answer.refused_somehow(&format!("fetchMemberKey for {what}"))?;
    }
    Ok(())
}

/// By removeMember, by being left out of its roster, and by a rotating push.
async fn removed_member(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let (bob, carol, dave) = (cx.identity(), cx.identity(), cx.identity());
    let mut repo = cx.repo_with(&alice, &[&bob, &carol, &dave]).await?;
    for entry in &repo.manifest.members {
        is_entry(&cx.fetch(&alice, repo.id(), &entry.ed25519_public_key).await?, entry)?;
    }
    cx.expel(&alice, &mut repo, &bob.id, &[&alice, &carol, &dave]).await?;
    let answer = cx.fetch(&alice, repo.id(), &bob.id).await?;
    answer.refused("fetchMemberKey for a removed member", &[404])?;
    let rotation = repo.rotation(&alice, &[&alice, &dave]);
    let answer = cx.push(&alice, &repo.rotating_push(&rotation)).await?;
    answer.accepted::<PushResponse>("a rotating push")?;
    repo.apply_rotation(&rotation);
    for gone in [&bob, &carol] {
        let answer = cx.fetch(&alice, repo.id(), &gone.id).await?;
        answer.refused("fetchMemberKey for somebody who left by a rotation", &[404])?;
    }
    is_entry(&cx.fetch(&alice, repo.id(), &dave.id).await?, &repo.manifest.members[1])
}

/// Not even public keys, and not her own entry, which doesn't exist.
async fn non_member_fetches(cx: &Ctx) -> Outcome {
    let (alice, bob, mallory) = (cx.member().await?, cx.member().await?, cx.member().await?);
    let repo = cx.repo_with(&alice, &[&bob]).await?;
    cx.repo_with(&mallory, &[&bob]).await?;
    for asked in [alice.id(), bob.id(), mallory.id(), alice.id()] {
        let usual = if asked == mallory.id() { &[403, 404][..] } else { &[403] };
        let answer = cx.fetch(&mallory, repo.id(), asked).await?;
        answer.refused("fetchMemberKey by a stranger", usual)?;
        answer.keeps_secret(&repo)?;
    }
    cx.holds(&alice, &repo, "fetchMemberKey by a stranger").await
}

async fn fetch_from_unknown(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let nowhere = Repo::new(&alice);
    cx.repo(&alice).await?;
    for asked in [alice.id(), &cx.identity().id] {
        let answer = cx.fetch(&alice, nowhere.id(), asked).await?;
        answer.refused("fetchMemberKey on an unknown repository", &[404])?;
    }
    Ok(())
}
