//! Writes in which a required member is missing, null or mistyped, each in turn at every depth, and each followed by a look at
//! what the server holds (SPEC §6). Refused, a write has changed nothing. Accepted, it is kept as it was sent, which is no more than
//! a matter of input checking (`bad-input/*-members` warns of it), or not at all; half of it is never right.

use serde_json::{Value, json};

use super::malformed::Malformed;
use super::{Answer, Ctx, Member, Operation, Outcome, Provoked, Stop, malformed};
use crate::client::{Identity, Repo};
use crate::model::{Incomplete, Taken, taken};

/// push, whole: the request, its envelope, the last entry of its roster, and that entry's wrapped key.
pub(super) async fn push(cx: &Ctx) -> Outcome {
    in_turn(cx, Operation::Push, &[("PushRequest", ""), ("EncryptedEnvelope", "/envelope")]).await
}

/// The last entry of two, so that a server which writes one after the other has written the first.
pub(super) async fn push_roster(cx: &Ctx) -> Outcome {
    let entry = [("MemberEntry", "/rotatedMembers/1"), ("WrappedKey", "/rotatedMembers/1/wrappedDataKey")];
    in_turn(cx, Operation::Push, &entry).await
}

/// addMember: the request and its entry.
pub(super) async fn add(cx: &Ctx) -> Outcome {
    in_turn(cx, Operation::AddMember, &[("MemberAddRequest", ""), ("MemberEntry", "/member")]).await
}

/// addMember: the wrapped key.
pub(super) async fn add_wrapped_key(cx: &Ctx) -> Outcome {
    in_turn(cx, Operation::AddMember, &[("WrappedKey", "/member/wrappedDataKey")]).await
}

/// removeMember: the request as such.
pub(super) async fn remove(cx: &Ctx) -> Outcome {
    in_turn(cx, Operation::RemoveMember, &[("MemberRemoveRequest", "")]).await
}

/// removeMember: the envelope.
pub(super) async fn remove_envelope(cx: &Ctx) -> Outcome {
    in_turn(cx, Operation::RemoveMember, &[("EncryptedEnvelope", "/rotatedEnvelope")]).await
}

/// removeMember: the last entry of two.
pub(super) async fn remove_entry(cx: &Ctx) -> Outcome {
    in_turn(cx, Operation::RemoveMember, &[("MemberEntry", "/rewrappedMembers/1")]).await
}

/// removeMember: the last entry's wrapped key.
pub(super) async fn remove_wrapped_key(cx: &Ctx) -> Outcome {
    in_turn(cx, Operation::RemoveMember, &[("WrappedKey", "/rewrappedMembers/1/wrappedDataKey")]).await
}

/// createRepo, whole.
pub(super) async fn create(cx: &Ctx) -> Outcome {
    let places = [
        ("CreateRepoRequest", ""),
        ("VaultManifest", "/manifest"),
        ("MemberEntry", "/manifest/members/0"),
        ("WrappedKey", "/manifest/members/0/wrappedDataKey"),
        ("EncryptedEnvelope", "/initialEnvelope"),
    ];
    in_turn(cx, Operation::CreateRepo, &places).await
}

/// A request that is right, and what it would make of what there is.
struct Write {
    operation: Operation,
    repo: Repo,
    whole: Value,
    before: Value,
    asked: Value,
}

fn state(repo: &Repo) -> Value {
    json!({ "manifest": repo.manifest, "envelope": repo.envelope })
}

impl Write {
    async fn new(cx: &Ctx, operation: Operation, alice: &Member) -> Result<Self, Stop> {
        if operation == Operation::CreateRepo {
            let repo = Repo::new(alice);
            cx.watch(&repo);
            let (whole, asked) = (json!(repo.create_request()), state(&repo));
            return Ok(Self { operation, repo, whole, before: Value::Null, asked });
        }
        let (bob, carol): (Identity, Identity) = (cx.identity(), cx.identity());
        let repo = cx.repo_with(alice, &[&bob, &carol]).await?;
        let mut next = repo.clone();
        let whole = if operation == Operation::AddMember {
            let request = repo.add_request(&cx.identity());
            next.apply_add(&request.member);
            json!(request)
        } else {
            // Whose entry is spoilt is carol's, so that alice can look.
            let rotation = repo.rotation(alice, &[alice, &carol]);
            next.apply_rotation(&rotation);
            match operation {
                Operation::Push => json!(repo.rotating_push(&rotation)),
                _ => json!(repo.remove_request(&bob.id, &rotation)),
            }
        };
        cx.watch(&next);
        let before = state(&repo);
        Ok(Self { operation, repo, whole, before, asked: state(&next) })
    }

    /// Where the state depends on what stands at a place of the request.
    fn open(&self, place: &str) -> Vec<String> {
        let last = self.asked["manifest"]["members"].as_array().map_or(0, |members| members.len().saturating_sub(1));
        let entry = format!("/manifest/members/{last}");
        let routes = [
            ("/envelope/", "/envelope/"),
            ("/rotatedEnvelope/", "/envelope/"),
            ("/initialEnvelope/", "/envelope/"),
            ("/rotatedMembers/", "/manifest/members/"),
            ("/rewrappedMembers/", "/manifest/members/"),
            ("/member", entry.as_str()),
            ("/manifest/", "/manifest/"),
            ("/newKeyEpoch", "/manifest/keyEpoch"),
        ];
        let moved = |(from, to): &(&str, &str)| place.strip_prefix(from).map(|rest| format!("{to}{rest}"));
        let mut open: Vec<String> = routes.iter().find_map(moved).into_iter().collect();
        // A server may take the counters of its manifest from the envelope.
        for counter in ["payloadVersion", "keyEpoch"] {
            if open.iter().any(|place| *place == format!("/envelope/{counter}")) {
                open.push(format!("/manifest/{counter}"));
            }
        }
        open
    }

    /// Why this may not be accepted at all, whatever is kept of it.
    fn forbidden(&self, place: &str) -> Option<&'static str> {
        match (self.operation, place) {
            (Operation::Push, "/expectedPayloadVersion") => Some("a push without a usable expectation isn't accepted"),
            (Operation::CreateRepo, "/manifest" | "/manifest/members" | "/manifest/members/0/ed25519PublicKey") => {
                Some("a manifest whose sole member isn't the caller is refused")
            }
            _ => None,
        }
    }
}

/// One after the other; after each that was accepted, everything anew.
async fn in_turn(cx: &Ctx, operation: Operation, places: &[(&str, &str)]) -> Outcome {
    let alice = cx.member().await?;
    let mut write = Write::new(cx, operation, &alice).await?;
    let (mut refused, mut as_sent) = (0, 0);
    for (definition, pointer) in places {
        let count = malformed::in_turn(definition, &write.whole, pointer).len();
        for number in 0..count {
            let malformed = malformed::in_turn(definition, &write.whole, pointer).swap_remove(number);
            let path = if operation == Operation::CreateRepo { "" } else { write.repo.id() };
            let what = format!("{} {}", operation.name(), malformed.what);
            let answer = match cx.provoke(operation, path, &alice.auth(), &malformed.body).await? {
                Provoked::Answer(answer) if is_acceptance(operation, &answer) => answer,
                Provoked::Unsayable => continue,
                Provoked::Answer(_) | Provoked::Closed => {
                    unchanged(cx, &alice, &write, &format!("{what} that was refused")).await?;
                    refused += 1;
                    continue;
                }
                Provoked::Silence => {
                    return unchanged(cx, &alice, &write, &format!("{what} that wasn't answered")).await;
                }
            };
            if let Some(rule) = write.forbidden(&malformed.place) {
                return Err(answer.violation(rule, format!("{what}: {}", answer.summary())));
            }
            accepted(cx, &alice, &write, &malformed, &what).await?;
            as_sent += 1;
            write = Write::new(cx, operation, &alice).await?;
        }
    }
    cx.remark(format!("{refused} refused, {as_sent} accepted and kept as they were sent"));
    if refused == 0 || operation == Operation::CreateRepo {
        return Ok(());
    }
    // What a refused request has left in memory comes with the next write.
    cx.advance(&alice, &mut write.repo).await?;
    cx.holds(&alice, &write.repo, &format!("a push that followed refused {}s", operation.name())).await
}

/// A push that is answered with `accepted: false` is refused.
pub(super) fn is_acceptance(operation: Operation, answer: &Answer<'_>) -> bool {
    let says = || answer.json().ok().and_then(|body| body["accepted"].as_bool());
    answer.is_success() && (operation != Operation::Push || says() != Some(false))
}

/// As before, and nothing at all where nothing was.
async fn unchanged(cx: &Ctx, alice: &Member, write: &Write, after: &str) -> Outcome {
    if write.operation != Operation::CreateRepo {
        return cx.holds(alice, &write.repo, after).await;
    }
    let answer = cx.pull(alice, &write.repo.pull_request(0)).await?;
    answer.must(!answer.is_success(), &format!("there is no repository after {after}"), || answer.summary())
}

/// What is held after a write that was accepted, though it lacks something.
async fn accepted(cx: &Ctx, alice: &Member, write: &Write, malformed: &Malformed, what: &str) -> Outcome {
    let place = malformed.place.as_str();
    let answer = cx.pull(alice, &write.repo.pull_request(0)).await?;
    let expected = format!("{what} is refused, or kept as it was sent");
    if !answer.is_success() {
        // A repository without an id isn't the one that was asked for.
        let nameless = place == "/manifest/repoId";
        // In Protocol Buffers, and to parsers that fill in what is missing, no roster is an empty one: nobody is left, as after
        // an empty roster that is sent as such, of which `remove-member/empty-roster` warns.
        let nobody = place == "/rewrappedMembers"
            && malformed.body.get("rewrappedMembers").is_none_or(Value::is_null)
            && matches!(answer.status, 403 | 404);
        return answer.must(nameless || nobody, &expected, || {
            format!("accepted, and now pull is answered with {}", answer.summary())
        });
    }
    let served = answer.json().map_err(|reason| answer.violation(&*expected, reason))?;
    let judged = taken(
        &Incomplete {
            before: &write.before,
            asked: &write.asked,
            open: &write.open(place),
            sent: malformed.body.pointer(place),
            raises_epoch: write.operation == Operation::RemoveMember,
            raises_version: matches!(write.operation, Operation::Push | Operation::RemoveMember),
        },
        &served,
    );
    match judged {
        Taken::AsSent => Ok(()),
        // What the other operations answer with is the manifest, which shows that nothing has happened.
        Taken::Ignored if write.operation != Operation::Push => Ok(()),
        Taken::Ignored => Err(answer.violation(expected, "answered with accepted, and nothing has changed")),
        Taken::Otherwise(difference) => Err(answer.violation(expected, format!("accepted, and now {difference}"))),
    }
}
