//! Key bindings (SPEC §9): the server keeps them and understands nothing of them.

use serde_json::{Value, json};

use super::check::checks;
use super::context::to_set_up;
use super::discovery::issuer_keys;
use super::state::compare_roster;
use super::{Answer, Ctx, Member, Operation, Outcome, Stop};
use crate::client::{Identity, Repo, random};
use crate::codec::{base64, key_binding, signature};
use crate::wire::{MemberEntry, PullResponse, PushResponse, VaultManifest};

checks! {
    "binding/create", Must, "§9", [BINDING_OPAQUE, STORED_VERBATIM], create,
        "createRepo keeps keyBindingSig as it is: a signature, null, or absent";
    "binding/add-member", Must, "§9", [BINDING_OPAQUE, STORED_VERBATIM], add_member,
        "addMember keeps keyBindingSig as it is: a signature, null, or absent";
    "binding/rotated-members", Must, "§9", [BINDING_OPAQUE, STORED_VERBATIM], rotated_members,
        "A rotating push replaces keyBindingSig with everything else of an entry: another one, none, or a first one";
    "binding/rewrapped-members", Must, "§9", [BINDING_OPAQUE, STORED_VERBATIM], rewrapped_members,
        "removeMember replaces keyBindingSig with everything else of an entry: another one, none, or a first one";
    "binding/published-verify", Must, "§9", [BINDING_VALID], published_verify,
        "A binding that the server adds by itself verifies under the issuer's key";
}

/// A binding of `who` by an issuer that the server knows nothing of, spelled with every special character of base64.
pub(super) fn binding(who: &Identity) -> String {
    loop {
        let message = key_binding::message(&who.id, &who.x25519_public_key);
        let signature = base64::encode(&signature::sign(&random::bytes(), &message));
        // Two signatures in three have both.
        if signature.contains('+') && signature.contains('/') {
            return signature;
        }
    }
}

/// What is sent for a member: a binding, or one of the two ways to say that there is none.
#[derive(Clone)]
enum Sent {
    Binding(String),
    Null,
    Absent,
}

impl Sent {
    /// Puts it into the JSON of an entry, and into the entry that the server must serve.
    fn put(&self, json: &mut Value, entry: &mut MemberEntry) {
        match self {
            Self::Binding(signature) => {
                json["keyBindingSig"] = signature.as_str().into();
                entry.key_binding_sig = Some(signature.clone());
            }
            Self::Null => {
                json["keyBindingSig"] = Value::Null;
                entry.key_binding_sig = None;
            }
            Self::Absent => {
                json.as_object_mut().and_then(|members| members.remove("keyBindingSig"));
                entry.key_binding_sig = None;
            }
        }
    }
}

/// The manifest in the answer, the one of a pull, and every entry by itself say what `repo` says.
async fn served(
    cx: &Ctx,
    by: &Member,
    repo: &Repo,
    answer: Option<(&Answer<'_>, VaultManifest)>,
    after: &str,
) -> Outcome {
    if let Some((answer, manifest)) = answer
        && let Some(difference) = compare_roster(&repo.manifest.members, &manifest.members)
    {
        return Err(answer.violation(format!("{after} is answered with the entries as they were sent"), difference));
    }
    cx.holds(by, repo, after).await?;
    for entry in &repo.manifest.members {
        let answer = cx.fetch(by, repo.id(), &entry.ed25519_public_key).await?;
        let fetched: MemberEntry = answer.accepted("fetchMemberKey of a member")?;
        let (sent, got) = (&entry.key_binding_sig, &fetched.key_binding_sig);
        answer.must(
            sent == got,
            &format!("after {after}, fetchMemberKey has keyBindingSig as it was sent: {}", said(sent)),
            || said(got),
        )?;
    }
    Ok(())
}

/// A binding, or that there is none.
fn said(binding: &Option<String>) -> String {
    binding.as_ref().map_or_else(|| "none".into(), |text| format!("\"{text}\""))
}

/// One repository for each of the three, and one with the same binding again: signatures of the same message are the same.
async fn create(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let own = binding(&alice);
    for sent in [Sent::Binding(own.clone()), Sent::Binding(own), Sent::Null, Sent::Absent] {
        let mut repo = Repo::new(&alice);
        cx.watch(&repo);
        let mut body = json!(repo.create_request());
        sent.put(&mut body["manifest"]["members"][0], &mut repo.manifest.members[0]);
        let answer = cx.perform(Operation::CreateRepo, repo.id(), &alice.auth(), &body).await?;
        let manifest = answer.accepted("createRepo, with or without keyBindingSig,")?;
        served(cx, &alice, &repo, Some((&answer, manifest)), "createRepo").await?;
    }
    Ok(())
}

/// Three newcomers into one repository.
async fn add_member(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut repo = cx.repo(&alice).await?;
    for index in 0..3 {
        let newcomer = cx.identity();
        let sent = [Sent::Binding(binding(&newcomer)), Sent::Null, Sent::Absent][index].clone();
        let mut request = repo.add_request(&newcomer);
        let mut body = json!(request);
        sent.put(&mut body["member"], &mut request.member);
        let answer = cx.perform(Operation::AddMember, repo.id(), &alice.auth(), &body).await?;
        let manifest = answer.accepted("addMember, with or without keyBindingSig,")?;
        repo.apply_add(&request.member);
        served(cx, &alice, &repo, Some((&answer, manifest)), "addMember").await?;
    }
    added_again(cx, &alice).await
}

/// Who was removed and comes back without a binding has none, whatever a row of the first time says.
async fn added_again(cx: &Ctx, alice: &Member) -> Outcome {
    let bob = cx.identity();
    let mut repo = cx.repo(alice).await?;
    let mut request = repo.add_request(&bob);
    request.member.key_binding_sig = Some(binding(&bob));
    let answer = cx.add(alice, &request).await.map_err(to_set_up)?;
    answer.accepted::<VaultManifest>("addMember, to set the check up,").map_err(to_set_up)?;
    repo.apply_add(&request.member);
    // The same signature in another repository, as the same keys have it.
    let mut other = cx.repo(alice).await?;
    let mut known = other.add_request(&bob);
    known.member.key_binding_sig.clone_from(&request.member.key_binding_sig);
    let answer = cx.add(alice, &known).await?;
    let manifest = answer.accepted("addMember of somebody whose binding another repository has")?;
    other.apply_add(&known.member);
    served(cx, alice, &other, Some((&answer, manifest)), "addMember with a binding that another repository has")
        .await?;
    cx.expel(alice, &mut repo, &bob.id, &[alice]).await?;
    let request = repo.add_request(&bob);
    let answer = cx.add(alice, &request).await?;
    if answer.is_refusal() {
        // Who was removed may have to stay out.
        return Ok(());
    }
    let manifest = answer.accepted("addMember of a former member")?;
    repo.apply_add(&request.member);
    served(cx, alice, &repo, Some((&answer, manifest)), "addMember of a former member without keyBindingSig").await
}

/// A repository whose members have bindings, and one who hasn't.
#[derive(Clone)]
struct Bound {
    alice: Member,
    /// Four more; the second and third have a binding, as alice has.
    others: [Identity; 4],
    repo: Repo,
}

impl Bound {
    async fn set(cx: &Ctx) -> Result<Self, Stop> {
        let alice = cx.member().await?;
        let others = [cx.identity(), cx.identity(), cx.identity(), cx.identity()];
        let mut repo = Repo::new(&alice);
        repo.manifest.members[0].key_binding_sig = Some(binding(&alice));
        let mut repo = cx.create_repo(&alice, repo).await?;
        for (index, other) in others.iter().enumerate() {
            let mut request = repo.add_request(other);
            request.member.key_binding_sig = [1, 2].contains(&index).then(|| binding(other));
            let answer = cx.add(&alice, &request).await.map_err(to_set_up)?;
            answer.accepted::<VaultManifest>("addMember, to set the check up,").map_err(to_set_up)?;
            repo.apply_add(&request.member);
        }
        Ok(Self { alice, others, repo })
    }

    /// What a rotation sends for alice and the last three: another binding, null and nothing where there was one, and a first one.
    fn rotated(&self) -> Vec<Sent> {
        vec![Sent::Binding(binding(&self.alice)), Sent::Null, Sent::Absent, Sent::Binding(binding(&self.others[3]))]
    }
}

/// Whoever rewraps decides about the bindings, too.
async fn rotated_members(cx: &Ctx) -> Outcome {
    let bound = Bound::set(cx).await?;
    let Bound { alice, others, mut repo } = bound.clone();
    let mut rotation = repo.rotation(&alice, &[&alice, &others[1], &others[2], &others[3]]);
    let mut body = json!(repo.rotating_push(&rotation));
    for (index, sent) in bound.rotated().into_iter().enumerate() {
        sent.put(&mut body["rotatedMembers"][index], &mut rotation.members[index]);
    }
    let answer = cx.perform(Operation::Push, repo.id(), &alice.auth(), &body).await?;
    let response: PushResponse = answer.accepted("a rotating push")?;
    answer.must(response.accepted, "a rotating push at the current version is accepted", || response.to_string())?;
    repo.apply_rotation(&rotation);
    cx.watch(&repo);
    served(cx, &alice, &repo, None, "a rotating push").await
}

/// The same by way of a removal.
async fn rewrapped_members(cx: &Ctx) -> Outcome {
    let bound = Bound::set(cx).await?;
    let Bound { alice, others, mut repo } = bound.clone();
    let mut rotation = repo.rotation(&alice, &[&alice, &others[1], &others[2], &others[3]]);
    let mut body = json!(repo.remove_request(&others[0].id, &rotation));
    for (index, sent) in bound.rotated().into_iter().enumerate() {
        sent.put(&mut body["rewrappedMembers"][index], &mut rotation.members[index]);
    }
    let answer = cx.perform(Operation::RemoveMember, repo.id(), &alice.auth(), &body).await?;
    let manifest = answer.accepted("removeMember")?;
    repo.apply_rotation(&rotation);
    cx.watch(&repo);
    served(cx, &alice, &repo, Some((&answer, manifest)), "removeMember").await
}

/// Learns whether the server, being an identity provider as well, adds bindings of its own to entries that come without one. They say
/// nothing of what was stored, so that they are left out where entries are compared.
pub async fn learn_bindings(cx: &Ctx, owner: &Member) {
    let repo = Repo::new(owner);
    cx.watch(&repo);
    let Ok(answer) = cx.create(owner, &repo.create_request()).await else { return };
    let Ok(manifest) = answer.message::<VaultManifest>() else { return };
    if answer.is_success() && manifest.members.iter().any(|entry| entry.key_binding_sig.is_some()) {
        let keys = issuer_keys(cx).await;
        let _ = cx.world.manners.binds_by.set(keys);
    }
}

/// An identity provider may publish bindings, and a server that is one may add them to entries that came without.
async fn published_verify(cx: &Ctx) -> Outcome {
    let Some(keys) = cx.world.manners.binds_by.get() else {
        return Err(Stop::not_applicable("the server publishes no key bindings of its own; it needn't"));
    };
    if keys.is_empty() {
        let reason = "the server publishes key bindings, but no key set to verify them by: give it with --jwks";
        return Err(Stop::not_judged(reason));
    }
    let (alice, bob) = (cx.member().await?, cx.identity());
    let repo = cx.repo_with(&alice, &[&bob]).await?;
    let answer = cx.pull(&alice, &repo.pull_request(0)).await?;
    let pulled: PullResponse = answer.accepted("pull by a member").map_err(to_set_up)?;
    let mut entries: Vec<_> = pulled.manifest.members.into_iter().map(|entry| (answer.clone(), entry)).collect();
    for id in [alice.id(), &bob.id] {
        let answer = cx.fetch(&alice, repo.id(), id).await?;
        let entry = answer.accepted("fetchMemberKey of a member").map_err(to_set_up)?;
        entries.push((answer, entry));
    }
    // Nobody sent one, and those that verify are left out.
    for (answer, entry) in entries {
        let MemberEntry { ed25519_public_key: id, x25519_public_key: x25519, key_binding_sig, .. } = &entry;
        let expected = "a binding verifies under one of the issuer's keys over `id|x25519PublicKey`";
        answer.must(key_binding_sig.is_none(), expected, || {
            let text = key_binding_sig.as_deref().unwrap_or_default();
            format!("keyBindingSig {text:?} of {id} with {x25519} doesn't")
        })?;
    }
    Ok(())
}
