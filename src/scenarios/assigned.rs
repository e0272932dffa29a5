//! Members of other messages, and of rows in a database, in requests that have none of them (SPEC §6): who assigns whatever a body brings
//! lets its sender set what the operation leaves alone. A request with them is refused, or does what it does without them.

use serde_json::{Map, Value, json};

use super::check::checks;
use super::context::to_set_up;
use super::incomplete::is_acceptance;
use super::variants::Variants;
use super::{Auth, Ctx, Member, Operation, Outcome, Provoked, Stop};
use crate::client::{Identity, Repo};
use crate::wire::TokenResponse;

checks! {
    only = Http;
    "extra-members/push", Must, "§6", [PUSH_APPLIES, PUSH_SCOPE], push,
        "A push sets nothing by members that no push has, here or in another repository";
    "extra-members/add-member", Must, "§6", [ADD_RECORDS, PUSH_SCOPE], add,
        "addMember sets nothing by members that it doesn't have, here or in another repository";
    "extra-members/remove-member", Must, "§6", [REMOVE_REPLACES, PUSH_SCOPE], remove,
        "removeMember sets nothing by members that it doesn't have, here or in another repository";
    "extra-members/create-repo", Must, "§6", [CREATE_RETURNS, PUSH_SCOPE], create,
        "createRepo sets nothing by members that it doesn't have, here or in another repository";
    "extra-members/login", Must, "§3", [SUBJECT_IS_CALLER], login,
        "A token request says by no other member whose token it gets";
}

/// Those that are tried alone where all together are refused.
const ALONE: [&str; 8] =
    ["members", "schemeId", "keyEpoch", "payloadVersion", "repoId", "rotatedMembers", "manifest", "newKeyEpoch"];

/// What requests are tried on: mallory's own repository, in which bob is, and alice's, which isn't hers.
struct Fixture {
    mallory: Member,
    bob: Identity,
    own: Repo,
    alice: Member,
    other: Repo,
    /// Whom nothing but an extra member names.
    stranger: Identity,
}

impl Fixture {
    async fn set_up(cx: &Ctx) -> Result<Self, Stop> {
        let (mallory, alice) = (cx.member().await?, cx.member().await?);
        let (bob, stranger) = (cx.identity(), cx.identity());
        let own = cx.repo_with(&mallory, &[&bob]).await?;
        let other = cx.repo(&alice).await?;
        Ok(Self { mallory, bob, own, alice, other, stranger })
    }

    /// What stands in no message where it is put.
    fn extras(&self) -> Map<String, Value> {
        let mut roster = self.own.manifest.members.clone();
        roster.push(self.own.entry_for(&self.stranger));
        let mut manifest = self.own.manifest.clone();
        manifest.members.clone_from(&roster);
        let (epoch, version) = (self.own.epoch() + 40, self.own.version() + 40);
        let extras = json!({
            "members": &roster,
            "rotatedMembers": &roster,
            "rewrappedMembers": &roster,
            "manifest": manifest,
            "schemeId": "assigned-by-an-extra-member",
            "keyEpoch": epoch,
            "newKeyEpoch": epoch,
            "payloadVersion": version,
            "repoId": self.other.id(),
            "removedMemberId": self.bob.id,
            "memberId": self.alice.id(),
            "caller": self.alice.id(),
            "owner": self.stranger.id,
            "role": "owner",
        });
        match extras {
            Value::Object(extras) => extras,
            _ => Map::new(),
        }
    }

    /// The usual request, the repository that it is sent to, and what follows from it.
    fn write(&self, cx: &Ctx, operation: Operation) -> (Value, Repo) {
        let (own, mut next) = (&self.own, self.own.clone());
        let body = match operation {
            Operation::CreateRepo => {
                next = Repo::new(&self.mallory);
                json!(next.create_request())
            }
            Operation::Push => {
                let request = own.push_request(&self.mallory);
                next.apply_push(&request);
                json!(request)
            }
            Operation::AddMember => {
                let request = own.add_request(&cx.identity());
                next.apply_add(&request.member);
                json!(request)
            }
            _ => {
                let rotation = own.rotation(&self.mallory, &[&self.mallory]);
                next.apply_rotation(&rotation);
                json!(own.remove_request(&self.bob.id, &rotation))
            }
        };
        cx.watch(&next);
        (body, next)
    }

    /// Sends the request with some members more; tells whether it was accepted.
    async fn attempt(
        &mut self,
        cx: &Ctx,
        operation: Operation,
        place: &str,
        extras: Map<String, Value>,
        tally: &mut Variants,
    ) -> Result<bool, Stop> {
        let (mut body, next) = self.write(cx, operation);
        let Some(object) = body.pointer_mut(place).and_then(Value::as_object_mut) else { return Ok(false) };
        // A roster is a part of a push that may be left out, and no extra.
        let optional = |name: &str| operation == Operation::Push && place.is_empty() && name == "rotatedMembers";
        let is_extra = |name: &str| !object.contains_key(name) && !optional(name);
        let fresh: Vec<_> = extras.into_iter().filter(|(name, _)| is_extra(name)).collect();
        let names: Vec<_> = fresh.iter().map(|(name, _)| name.clone()).collect();
        if names.is_empty() {
            return Ok(false);
        }
        object.extend(fresh);
        let within = place.rsplit('/').find(|part| part.parse::<u8>().is_err() && !part.is_empty());
        let within = within.map_or_else(String::new, |part| format!(" within {part}"));
        let what = format!("{} with {}{within}", operation.one(), names.join(", "));
        let path = if operation == Operation::CreateRepo { "" } else { next.id() };
        let answer = cx.provoke(operation, path, &self.mallory.auth(), &body).await?;
        if !matches!(&answer, Provoked::Answer(answer) if is_acceptance(operation, answer)) {
            return Ok(false);
        }
        let outcome = match cx.holds(&self.mallory, &next, &what).await {
            Ok(()) => cx.holds(&self.alice, &self.other, &what).await,
            broken => broken,
        };
        let again = outcome.is_err() || operation == Operation::RemoveMember;
        tally.note(what, outcome)?;
        if again {
            *self = Self::set_up(cx).await?;
        } else if operation != Operation::CreateRepo {
            self.own = next;
        }
        Ok(true)
    }
}

async fn try_all(cx: &Ctx, operation: Operation, places: &[&str]) -> Outcome {
    let mut fixture = Fixture::set_up(cx).await?;
    let mut tally = Variants::default();
    for place in places {
        let all = fixture.extras();
        if fixture.attempt(cx, operation, place, all.clone(), &mut tally).await? {
            continue;
        }
        for (name, value) in all.into_iter().filter(|(name, _)| cx.thorough() || ALONE.contains(&name.as_str())) {
            fixture.attempt(cx, operation, place, Map::from_iter([(name, value)]), &mut tally).await?;
        }
    }
    let after = format!("requests for {} with extra members that were refused", operation.name());
    tally.note(&*after, cx.holds(&fixture.mallory, &fixture.own, &after).await)?;
    tally.note(&*after, cx.holds(&fixture.alice, &fixture.other, &after).await)?;
    tally.settle(cx)
}

async fn push(cx: &Ctx) -> Outcome {
    try_all(cx, Operation::Push, &["", "/envelope"]).await
}

async fn add(cx: &Ctx) -> Outcome {
    try_all(cx, Operation::AddMember, &["", "/member", "/member/wrappedDataKey"]).await
}

async fn remove(cx: &Ctx) -> Outcome {
    try_all(cx, Operation::RemoveMember, &["", "/rotatedEnvelope", "/rewrappedMembers/0"]).await
}

async fn create(cx: &Ctx) -> Outcome {
    try_all(cx, Operation::CreateRepo, &["", "/manifest", "/manifest/members/0", "/initialEnvelope"]).await
}

/// By what else a token request might name somebody.
const SUBJECTS: [&str; 10] =
    ["sub", "subject", "memberId", "member", "userId", "id", "key", "publicKey", "claims", "identity"];

/// mallory signs for herself, and names alice beside.
async fn login(cx: &Ctx) -> Outcome {
    let (alice, mallory) = (cx.member().await?, cx.identity());
    let repo = cx.repo(&alice).await?;
    let value = |name: &str| match name {
        "sub" | "subject" => json!(format!("key:{}", alice.id())),
        "claims" => json!({ "sub": format!("key:{}", alice.id()) }),
        _ => json!(alice.id()),
    };
    let mut tally = Variants::default();
    for names in std::iter::once(&SUBJECTS[..]).chain(SUBJECTS.chunks(1)) {
        let mut body = json!(cx.redeem(&mallory, &cx.nonce(&mallory).await?)?);
        names.iter().for_each(|name| body[*name] = value(name));
        let Provoked::Answer(answer) = cx.provoke(Operation::Token, "", &Auth::None, &body).await? else { continue };
        if !answer.is_success() {
            continue;
        }
        let TokenResponse { token, .. } = answer.message().map_err(to_set_up)?;
        let mallory = Member { identity: mallory.clone(), token };
        let pulled = cx.pull(&mallory, &repo.pull_request(0)).await?;
        let what = format!("a pull with a token that was asked for with {}, naming a member,", names.join(", "));
        let outcome = pulled.refused_somehow(&what).and_then(|()| pulled.keeps_secret(&repo));
        tally.note(names.join(", "), outcome)?;
        if names.len() > 1 && !tally.is_broken() {
            // Taken, and nothing came of any.
            break;
        }
    }
    tally.settle(cx)
}
