//! Repository ids (SPEC §6, §8): opaque and exact, whatever characters they hold.

use super::check::checks;
use super::create_repo::created;
use super::state::compare_manifest;
use super::{Call, Ctx, Member, Operation, Outcome, Stop};
use crate::client::{Repo, random};
use crate::wire::{MemberEntry, PullResponse, VaultManifest};

checks! {
    "create-repo/ids-differ-in-case", Must, "§8", [CREATE_IDS_EXACT], ids_differ_in_case,
        "Ids that differ only in letter case are two repositories";
    "create-repo/ids-differ-past-32", Must, "§8", [CREATE_IDS_EXACT], ids_differ_past_32,
        "Ids that differ only past 32 characters are two repositories";
    "create-repo/ids-differ-past-64", Must, "§8", [CREATE_IDS_EXACT], ids_differ_past_64,
        "Ids that differ only past 64 characters are two repositories";
    "create-repo/ids-differ-past-128", Must, "§8", [CREATE_IDS_EXACT], ids_differ_past_128,
        "Ids that differ only past 128 characters are two repositories";
    "create-repo/ids-with-a-common-beginning", Must, "§8", [CREATE_IDS_EXACT], ids_with_a_common_beginning,
        "An id and its beginning are two repositories";
    "create-repo/ids-with-a-common-end", Must, "§8", [CREATE_IDS_EXACT], ids_with_a_common_end,
        "An id and its end are two repositories";
    "create-repo/ids-like-numbers", Must, "§8", [CREATE_IDS_EXACT], ids_like_numbers,
        "Ids that look like one number are two repositories";
    "create-repo/ids-differ-in-punctuation", Must, "§8", [CREATE_IDS_EXACT], ids_differ_in_punctuation,
        "Ids that differ only in an unreserved punctuation mark are two repositories";
    "create-repo/ids-differ-after-a-dot", Must, "§8", [CREATE_IDS_EXACT], ids_differ_after_a_dot,
        "Ids that differ only after a dot are two repositories";
    "create-repo/ids-differ-in-white-space", Must, "§8", [CREATE_IDS_EXACT], ids_differ_in_white_space,
        "White space at the ends of an id is part of it, or such an id is refused";
    "create-repo/id-with-slash", Should, "§6", [CREATE_ODD_IDS, HTTP_PROFILE], id_with_slash,
        "An id with slashes works percent-encoded, or is refused at creation";
    "create-repo/id-with-percent", Should, "§6", [CREATE_ODD_IDS, HTTP_PROFILE], id_with_percent,
        "An id with a percent sign works percent-encoded, or is refused at creation";
    "create-repo/id-like-an-escape", Should, "§6", [CREATE_ODD_IDS, HTTP_PROFILE], id_like_an_escape,
        "An id that holds the characters %2F is decoded once, or refused at creation";
    "create-repo/id-with-space", Should, "§6", [CREATE_ODD_IDS, HTTP_PROFILE], id_with_space,
        "An id with a space inside or at the end works percent-encoded, or is refused at creation";
    "create-repo/id-with-plus", Should, "§6", [CREATE_ODD_IDS, HTTP_PROFILE], id_with_plus,
        "A plus sign in an id is no space, or is refused at creation";
    "create-repo/id-with-dots", Should, "§6", [CREATE_ODD_IDS, HTTP_PROFILE], id_with_dots,
        "Dots in an id are neither an extension nor a way up, or are refused at creation";
    "create-repo/id-with-question-mark", Should, "§6", [CREATE_ODD_IDS, HTTP_PROFILE], id_with_question_mark,
        "An encoded question mark in an id begins no query, or is refused at creation";
    "create-repo/id-with-hash", Should, "§6", [CREATE_ODD_IDS, HTTP_PROFILE], id_with_hash,
        "An encoded hash sign in an id begins no fragment, or is refused at creation";
    "create-repo/id-with-semicolon", Should, "§6", [CREATE_ODD_IDS, HTTP_PROFILE], id_with_semicolon,
        "A semicolon in an id begins no path parameter, or is refused at creation";
    "create-repo/id-with-quotes", Should, "§6", [CREATE_ODD_IDS, HTTP_PROFILE], id_with_quotes,
        "Quotes and backslashes in an id are characters like others, or are refused at creation";
    "create-repo/id-with-accents", Must, "§8", [CREATE_IDS_EXACT], id_with_accents,
        "Composed and decomposed letters are different ids, or are refused at creation";
    "create-repo/id-beyond-the-bmp", Must, "§8", [CREATE_IDS_EXACT], id_beyond_the_bmp,
        "An id with characters beyond the basic plane works percent-encoded, or is refused at creation";
}

/// Two ids that a careless server takes for one. `make` gives a new pair each time it is asked.
async fn are_two(cx: &Ctx, make: &(dyn Fn() -> (String, String) + Send + Sync)) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let (first, second) = make();
    let (mut one, two) = (Repo::with_id(&alice, &first), Repo::with_id(&bob, &second));
    taken(cx, &alice, &one).await?;
    let answer = cx.pull(&alice, &two.pull_request(0)).await?;
    // 400 where such an id can't be at all.
    answer.refused(&format!("a pull of {second:?} while only {first:?} exists"), &[404, 400])?;
    cx.watch(&two);
    let answer = cx.create(&bob, &two.create_request()).await?;
    if answer.is_refusal() {
        // Is it the first one that stands in the way, or does the server not take such ids at all?
        let alone = Repo::with_id(&bob, &make().1);
        cx.watch(&alone);
        let taken = cx.create(&bob, &alone.create_request()).await?.is_success();
        return answer.must(!taken, &format!("{second:?} is free while {first:?} exists"), || answer.summary());
    }
    created(&two, &answer)?;
    cx.readable(&alice, &one, "the creation of a repository with a similar id").await?;
    cx.readable(&bob, &two, "its creation beside one with a similar id").await?;
    cx.pull(&alice, &two.pull_request(0)).await?.refused("a pull by the owner of a similar id", &[403])?;
    cx.pull(&bob, &one.pull_request(0)).await?.refused("a pull by the owner of a similar id", &[403])?;
    cx.advance(&alice, &mut one).await?;
    cx.readable(&alice, &one, "a push").await?;
    cx.readable(&bob, &two, "a push to a repository with a similar id").await
}

/// Creates a repository. A deployment may have its own mind about ids (UUIDs, so many characters): that is no rule broken.
async fn taken(cx: &Ctx, owner: &Member, repo: &Repo) -> Outcome {
    cx.watch(repo);
    let answer = cx.create(owner, &repo.create_request()).await?;
    if let Some(stop) = answer.limited() {
        return Err(stop);
    }
    if answer.is_refusal() {
        return Err(Stop::not_applicable(format!("ids such as {:?} are refused with {}", repo.id(), answer.status)));
    }
    created(repo, &answer)
}

/// `count` random hexadecimal digits, at most 32.
fn hex(count: usize) -> String {
    let mut digits = crate::ground::hex::encode(&random::bytes::<16>());
    digits.truncate(count);
    digits
}

async fn ids_differ_in_case(cx: &Ctx) -> Outcome {
    are_two(cx, &|| {
        // Digits alone have no case.
        let id = std::iter::repeat_with(random::uuid).find(|id| id.contains(char::is_alphabetic)).unwrap_or_default();
        (id.clone(), id.to_uppercase())
    })
    .await
}

/// Two ids with the first `common` characters alike.
fn alike_up_to(common: usize) -> (String, String) {
    let mut shared = hex(32).repeat(common.div_ceil(32));
    shared.truncate(common);
    (format!("{shared}{}", hex(8)), format!("{shared}{}", hex(8)))
}

async fn ids_differ_past_32(cx: &Ctx) -> Outcome {
    are_two(cx, &|| alike_up_to(32)).await
}

async fn ids_differ_past_64(cx: &Ctx) -> Outcome {
    are_two(cx, &|| alike_up_to(64)).await
}

async fn ids_differ_past_128(cx: &Ctx) -> Outcome {
    are_two(cx, &|| alike_up_to(128)).await
}

/// The longer one exists first, so that its beginning must not find it; shorter beginnings don't either.
async fn ids_with_a_common_beginning(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let repo = cx.repo(&alice).await?;
    for length in [8, 35] {
        let beginning = Repo::with_id(&alice, &repo.id()[..length]);
        let answer = cx.pull(&alice, &beginning.pull_request(0)).await?;
        answer.refused("a pull with the beginning of an id", &[404])?;
        answer.keeps_secret(&repo)?;
    }
    are_two(cx, &|| {
        let id = random::uuid();
        (format!("{id}0"), id)
    })
    .await
}

async fn ids_with_a_common_end(cx: &Ctx) -> Outcome {
    are_two(cx, &|| {
        let id = random::uuid();
        (format!("0{id}"), id)
    })
    .await
}

/// A leading zero, and a digit that a double can't hold.
async fn ids_like_numbers(cx: &Ctx) -> Outcome {
    let number = || format!("9{:017}", u64::from_le_bytes(random::bytes()) % 100_000_000_000_000_000);
    are_two(cx, &|| {
        let number = number();
        (format!("0{number}"), number)
    })
    .await?;
    are_two(cx, &|| {
        let number = number();
        (format!("{number}1"), format!("{number}2"))
    })
    .await
}

/// The marks that URIs leave alone: none stands for another, and none is a wildcard.
async fn ids_differ_in_punctuation(cx: &Ctx) -> Outcome {
    are_two(cx, &|| {
        let id = hex(24);
        (format!("r-{id}"), format!("r_{id}"))
    })
    .await?;
    are_two(cx, &|| {
        let id = hex(24);
        (format!("r-{id}"), format!("r~{id}"))
    })
    .await?;
    are_two(cx, &|| {
        let id = random::uuid();
        (id.clone(), id.replace('-', ""))
    })
    .await
}

/// A dot is unreserved; it begins no file extension, and stands for no other mark.
async fn ids_differ_after_a_dot(cx: &Ctx) -> Outcome {
    are_two(cx, &|| {
        let id = hex(24);
        (format!("{id}.one"), format!("{id}.two"))
    })
    .await?;
    are_two(cx, &|| {
        let id = hex(24);
        (format!("r.{id}"), format!("r_{id}"))
    })
    .await
}

/// Percent-encoded in the path, so that no HTTP library has a reason to trim it.
async fn ids_differ_in_white_space(cx: &Ctx) -> Outcome {
    for with_space in [|id: &str| format!("{id} "), |id: &str| format!(" {id}")] {
        are_two(cx, &|| {
            let id = random::uuid();
            let odd = with_space(&id);
            (id, odd)
        })
        .await?;
    }
    Ok(())
}

/// One habit, of routers and of filters in front of them: some ids are taken in a body and don't get through in a path.
pub(super) const LOST_ON_THE_WAY: &str = "ids that get lost on the way";

/// Whether nothing on the way has a reason to touch an id: letters and digits of any script, and the unreserved marks.
pub(super) fn is_plain(id: &str) -> bool {
    let reserved = |c: char| c.is_ascii() && !c.is_ascii_alphanumeric() && !"-._~".contains(c);
    !id.contains(|c: char| reserved(c) || c.is_whitespace() || c.is_control())
}

/// An odd id works in every operation, beside a `twin` that a careless server takes for the same; or it is refused cleanly.
async fn works_or_is_refused(cx: &Ctx, odd: &str, twin: &str) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let other = Repo::with_id(&bob, twin);
    cx.watch(&other);
    let twin_exists = cx.create(&bob, &other.create_request()).await?.is_success();
    let mut repo = Repo::with_id(&alice, odd);
    cx.watch(&repo);
    let answer = cx.create(&alice, &repo.create_request()).await?;
    if answer.is_refusal() && answer.status != 409 {
        cx.remark(format!("ids such as {odd:?} are refused with {}", answer.status));
        return Ok(());
    }
    created(&repo, &answer)?;
    let answer = cx.pull(&alice, &repo.pull_request(0)).await?;
    if answer.is_refusal() {
        let expected = format!("an id that is taken works percent-encoded, such as {odd:?}");
        let lost = Err(answer.violation(expected, answer.summary()));
        return if is_plain(odd) && !odd.is_ascii() { lost } else { cx.told_once(LOST_ON_THE_WAY, lost) };
    }
    cx.readable(&alice, &repo, "its creation").await?;
    cx.advance(&alice, &mut repo).await?;
    let added = repo.add_request(&bob);
    let answer = cx.add(&alice, &added).await?;
    answer.accepted::<VaultManifest>("addMember by a member")?;
    repo.apply_add(&added.member);
    cx.readable(&bob, &repo, "a push and an addMember").await?;
    let answer = cx.fetch(&alice, odd, bob.id()).await?;
    let fetched: MemberEntry = answer.accepted("fetchMemberKey by a member")?;
    answer.must(fetched.ed25519_public_key == bob.id(), "the entry of the member asked for", || fetched.to_string())?;
    if twin_exists {
        cx.readable(&bob, &other, "all that happened to a repository with a similar id").await?;
        let answer = cx.pull(&alice, &other.pull_request(0)).await?;
        answer.refused("a pull by the owner of a similar id", &[403])?;
    }
    Ok(())
}

async fn id_with_slash(cx: &Ctx) -> Outcome {
    let id = hex(24);
    works_or_is_refused(cx, &format!("{id}/a/b"), &id).await?;
    works_or_is_refused(cx, &format!("/{id}//pull"), &format!("/{id}/pull")).await
}

async fn id_with_percent(cx: &Ctx) -> Outcome {
    let id = hex(24);
    works_or_is_refused(cx, &format!("100%{id}%"), &format!("100{id}")).await
}

/// Decoded once it is `%41`, twice `A`.
async fn id_like_an_escape(cx: &Ctx) -> Outcome {
    let id = hex(24);
    works_or_is_refused(cx, &format!("{id}%41b"), &format!("{id}Ab")).await?;
    works_or_is_refused(cx, &format!("{id}%2Fb"), &format!("{id}/b")).await
}

async fn id_with_space(cx: &Ctx) -> Outcome {
    let id = hex(24);
    works_or_is_refused(cx, &format!("a {id}"), &format!("a+{id}")).await?;
    works_or_is_refused(cx, &format!("{id} "), &id).await
}

async fn id_with_plus(cx: &Ctx) -> Outcome {
    let id = hex(24);
    works_or_is_refused(cx, &format!("b+{id}"), &format!("b {id}")).await?;
    plain_plus(cx, &format!("c+{id}")).await
}

/// Clients that encode a path segment by RFC 3986 §3.3, and not as a form, leave the plus sign alone.
async fn plain_plus(cx: &Ctx, id: &str) -> Outcome {
    let alice = cx.member().await?;
    let repo = Repo::with_id(&alice, id);
    cx.watch(&repo);
    if !cx.create(&alice, &repo.create_request()).await?.is_success() {
        return Ok(());
    }
    let (auth, body) = (alice.auth(), serde_json::to_vec(&repo.pull_request(0)).unwrap_or_default());
    let mut call = Call::operation(Operation::Pull, id, "", &auth, Some(body.into()));
    call.path = call.path.replace("%2B", "+");
    let pulled: PullResponse = cx.call(call).await?.accepted("a pull whose path holds the plus sign as it is")?;
    match compare_manifest(&repo.manifest, &pulled.manifest) {
        None => Ok(()),
        Some(difference) => Err(cx.violation("the manifest as it was created", difference)),
    }
}

/// `.` and `..` alone aren't tried: they can't be random, and HTTP clients remove them from a path, encoded or not.
async fn id_with_dots(cx: &Ctx) -> Outcome {
    let id = hex(24);
    works_or_is_refused(cx, &format!("{id}.one"), &format!("{id}.two")).await?;
    works_or_is_refused(cx, &format!("..{id}."), &id).await?;
    works_or_is_refused(cx, &format!("{id}/../{id}b"), &format!("{id}b")).await
}

async fn id_with_question_mark(cx: &Ctx) -> Outcome {
    let id = hex(24);
    works_or_is_refused(cx, &format!("{id}?v=1"), &id).await
}

async fn id_with_hash(cx: &Ctx) -> Outcome {
    let id = hex(24);
    works_or_is_refused(cx, &format!("{id}#v"), &id).await
}

async fn id_with_semicolon(cx: &Ctx) -> Outcome {
    let id = hex(24);
    works_or_is_refused(cx, &format!("{id};v=1"), &id).await
}

async fn id_with_quotes(cx: &Ctx) -> Outcome {
    let id = hex(24);
    works_or_is_refused(cx, &format!("{id}' OR ''='"), &format!("{id}''")).await?;
    works_or_is_refused(cx, &format!("{id}\"\\u0041\\"), &format!("{id}\"A\\")).await
}

/// The same letter to the eye, and different strings.
async fn id_with_accents(cx: &Ctx) -> Outcome {
    let id = hex(24);
    works_or_is_refused(cx, &format!("caf\u{e9}-{id}"), &format!("cafe\u{301}-{id}")).await?;
    works_or_is_refused(cx, &format!("\u{dc}ber-{id}"), &format!("\u{fc}ber-{id}")).await
}

/// Two UTF-16 units, four bytes of UTF-8.
async fn id_beyond_the_bmp(cx: &Ctx) -> Outcome {
    let id = hex(24);
    works_or_is_refused(cx, &format!("\u{1f511}{id}"), &format!("\u{1f512}{id}")).await
}
