//! The status codes of the HTTP profile (SPEC §3, §6). Each class of refusal has its code and one check here; everywhere else
//! any 4xx is a refusal. Which code goes with which reason is `model::RefusalReason`'s to say.

use std::collections::BTreeMap;

use serde::Serialize;

use super::auth::redeem_late;
use super::check::checks;
use super::context::to_set_up;
use super::token::{expired_member, forgeries};
use super::{Answer, Auth, Ctx, Member, Operation, Outcome, Stop};
use crate::client::{Identity, Repo, random};
use crate::codec::base64;
use crate::model::{Code, RefusalReason};
use crate::wire::{PullRequest, TokenRequest, VaultManifest};

checks! {
    "status/usual-codes", Should, "§6", [USUAL_STATUS], success,
        "Success is 200";
    "status/without-token", Must, "§6", [STATUS_TOKEN], without_token,
        "Every vault operation is 401 with no token, an unknown one, garbage and a forged one";
    "status/bad-nonce", Must, "§3", [STATUS_NONCE], bad_nonce,
        "A token request with a nonce that was never issued or is used up is 401";
    "status/not-a-member", Must, "§6", [STATUS_STRANGER], not_a_member,
        "Every operation on a repository is 403 for strangers and for who was removed";
    "status/unknown", Must, "§6", [STATUS_UNKNOWN], unknown,
        "A repository that doesn't exist is 404 for every operation, and so is a member that doesn't";
    "status/duplicate", Must, "§6", [STATUS_DUPLICATE], duplicate,
        "createRepo with an id that exists is 409, whoever asks";
    "status/expired-token", Must, "§6", [STATUS_TOKEN], expired_token,
        "Every vault operation is 401 with an expired token", waits = true;
    "status/expired-nonce", Must, "§3", [STATUS_NONCE], expired_nonce,
        "A token request with an expired nonce is 401", waits = true;
}

/// Refusals that were got for one reason, and what their codes are.
struct Codes<'c> {
    reason: RefusalReason,
    /// What was asked, and what came.
    refusals: Vec<(String, Answer<'c>)>,
}

impl<'c> Codes<'c> {
    fn new(reason: RefusalReason) -> Self {
        Self { reason, refusals: Vec::new() }
    }

    /// Takes an answer down. Only refusals count: that it isn't one is the business of the operation's own checks. Neither does
    /// a limit of the deployment, which says nothing about the reason.
    fn look_at(&mut self, what: impl Into<String>, answer: Answer<'c>) {
        if answer.is_refusal() && self.reason.judge(answer.status) != Code::Limit && !is_policy(&answer) {
            self.refusals.push((what.into(), answer));
        }
    }

    /// The one code of all of them, if it is one.
    fn only(&self) -> Option<u16> {
        let (_, first) = self.refusals.first()?;
        self.refusals.iter().all(|(_, answer)| answer.status == first.status).then_some(first.status)
    }

    /// One finding that names whatever deviates.
    ///
    /// # Errors
    /// [`Stop::Violation`]; [`Stop::Skip`] when nothing was refused.
    fn verdict(&self) -> Outcome {
        if self.refusals.is_empty() {
            return Err(Stop::not_judged("nothing was refused here, so there is no code to look at"));
        }
        let code = self.reason.code();
        let wrong = || self.refusals.iter().filter(|(_, answer)| answer.status != code);
        let Some((_, example)) = wrong().next() else { return Ok(()) };
        let mut by_status: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
        for (what, answer) in wrong() {
            let list = by_status.entry(answer.status).or_default();
            if !list.contains(&what.as_str()) {
                list.push(what);
            }
        }
        let observed: Vec<_> =
            by_status.iter().map(|(status, what)| format!("status {status} to {}", what.join(", "))).collect();
        Err(example.violation(format!("status {code}"), observed.join("; ")))
    }
}

/// A refusal by the policy of a deployment says so in the words of revision 0.3.
fn is_policy(answer: &Answer<'_>) -> bool {
    let code = answer.json().ok().and_then(|body| body["code"].as_str().map(str::to_owned));
    matches!(code.as_deref(), Some("policy_denied" | "quota_exceeded" | "too_large"))
}

/// Requests of every operation that are right in every respect, so that they can only be refused for who asks and what there is.
pub(super) struct Requests {
    repo: Repo,
    member: Identity,
    by: Identity,
    newcomer: Identity,
}

impl Requests {
    /// For a repository in which `member` is somebody beside the caller `by`.
    pub(super) fn new(cx: &Ctx, repo: &Repo, by: &Identity, member: &Identity) -> Self {
        Self { repo: repo.clone(), member: member.clone(), by: by.clone(), newcomer: cx.identity() }
    }

    pub(super) async fn send<'c>(&self, cx: &'c Ctx, operation: Operation, auth: &Auth) -> Result<Answer<'c>, Stop> {
        let (repo, by) = (&self.repo, &self.by);
        let id = repo.id();
        match operation {
            Operation::CreateRepo => perform(cx, operation, "", auth, &Repo::new(by).create_request()).await,
            Operation::Push => perform(cx, operation, id, auth, &repo.push_request(by)).await,
            Operation::AddMember => perform(cx, operation, id, auth, &repo.add_request(&self.newcomer)).await,
            Operation::RemoveMember => {
                let request = repo.remove_request(&self.member.id, &repo.rotation(by, &[by]));
                perform(cx, operation, id, auth, &request).await
            }
            Operation::FetchMemberKey => {
                cx.call(super::Call::operation(operation, id, &self.member.id, auth, None)).await
            }
            _ => perform(cx, operation, id, auth, &repo.pull_request(0)).await,
        }
    }
}

async fn perform<'c>(
    cx: &'c Ctx,
    operation: Operation,
    repo: &str,
    auth: &Auth,
    body: &impl Serialize,
) -> Result<Answer<'c>, Stop> {
    cx.perform(operation, repo, auth, body).await
}

/// Those that a caller needs membership for.
const MEMBERS_ONLY: [Operation; 5] =
    [Operation::Pull, Operation::Push, Operation::AddMember, Operation::RemoveMember, Operation::FetchMemberKey];

/// 401, on each operation and for each kind of token that isn't valid here.
async fn without_token(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let bob = cx.identity();
    let repo = cx.repo_with(&alice, &[&bob]).await?;
    let requests = Requests::new(cx, &repo, &alice, &bob);
    let mut codes = Codes::new(RefusalReason::NoToken);
    let unknown = base64::encode_url(&random::bytes::<32>());
    let mut tokens = vec![
        ("no token", Auth::None),
        ("an unknown token", Auth::Bearer(unknown)),
        ("garbage for a token", Auth::Bearer("garbage".into())),
        ("three dotted words for a token", Auth::Bearer("a.b.c".into())),
        // That is no token at all.
        ("Basic credentials", Auth::Header("Basic dXNlcjpwYXNzd29yZA==".into())),
    ];
    tokens.extend(forgeries(&alice.token, &alice).into_iter().filter(|(_, auth)| matches!(auth, Auth::Bearer(_))));
    for operation in Operation::VAULT {
        for (with, auth) in &tokens {
            let answer = requests.send(cx, operation, auth).await?;
            codes.look_at(format!("{} with {with}", operation.name()), answer);
        }
    }
    codes.verdict()
}

/// 401 for nonces. A signature that doesn't verify is only said to be rejected.
async fn bad_nonce(cx: &Ctx) -> Outcome {
    bad_nonces(cx).await?.verdict()
}

/// Nonces that are worth nothing, each with a right signature.
async fn bad_nonces(cx: &Ctx) -> Result<Codes<'_>, Stop> {
    let mut codes = Codes::new(RefusalReason::BadNonce);
    let alice = cx.identity();
    let issued = cx.nonce(&alice).await?;
    let used = cx.redeem(&alice, &issued)?;
    let answer = cx.token(&used).await.map_err(to_set_up)?;
    answer.must(answer.is_success(), "a signed nonce buys a token", || answer.summary()).map_err(to_set_up)?;
    codes.look_at("a used nonce", cx.token(&used).await?);
    let length = base64::decode(&issued).map_or(32, |bytes| bytes.len());
    let mut made_up = vec![0; length];
    random::fill(&mut made_up);
    let request = TokenRequest {
        ed25519_public_key: alice.id.clone(),
        nonce: base64::encode(&made_up),
        signature: base64::encode(&alice.sign(&made_up)),
    };
    codes.look_at("a nonce that was never issued", cx.token(&request).await?);
    Ok(codes)
}

/// 401, unless what never was a token has the same other code: then that is the finding, and of another check.
async fn expired_token(cx: &Ctx) -> Outcome {
    let alice = expired_member(cx).await?;
    let mut codes = Codes::new(RefusalReason::NoToken);
    let bob = cx.identity();
    let requests = Requests::new(cx, &Repo::new(&alice), &alice, &bob);
    for operation in Operation::VAULT {
        let answer = requests.send(cx, operation, &alice.auth()).await?;
        codes.look_at(format!("{} with an expired token", operation.name()), answer);
    }
    let garbage = requests.send(cx, Operation::Pull, &Auth::Bearer("garbage".into())).await?;
    if garbage.is_refusal() && codes.only() == Some(garbage.status) { Ok(()) } else { codes.verdict() }
}

/// 401, unless all other bad nonces have the same other code.
async fn expired_nonce(cx: &Ctx) -> Outcome {
    let mut codes = Codes::new(RefusalReason::BadNonce);
    codes.look_at("an expired nonce", redeem_late(cx).await?.0);
    let others = bad_nonces(cx).await?;
    if codes.only().is_some() && codes.only() == others.only() { Ok(()) } else { codes.verdict() }
}

/// What strangers are told of a repository, and what anybody is told of one that doesn't exist.
struct Outsiders<'c> {
    alice: Member,
    repo: Repo,
    strangers: Codes<'c>,
    unknown: Codes<'c>,
}

impl<'c> Outsiders<'c> {
    async fn ask(cx: &'c Ctx) -> Result<Self, Stop> {
        let (alice, mallory) = (cx.member().await?, cx.member().await?);
        let bob = cx.identity();
        let repo = cx.repo_with(&alice, &[&bob]).await?;
        let (mut strangers, mut unknown) =
            (Codes::new(RefusalReason::Stranger), Codes::new(RefusalReason::UnknownRepository));
        let nowhere = Repo::new(&alice);
        for operation in MEMBERS_ONLY {
            let there = Requests::new(cx, &repo, &mallory, &bob);
            let answer = there.send(cx, operation, &mallory.auth()).await?;
            strangers.look_at(format!("a stranger's {}", operation.name()), answer);
            let answer = Requests::new(cx, &nowhere, &alice, &bob).send(cx, operation, &alice.auth()).await?;
            unknown.look_at(format!("{} on an unknown repository", operation.name()), answer);
        }
        Ok(Self { alice, repo, strangers, unknown })
    }

    /// The code of both, if strangers and unknown repositories are answered alike throughout: that hides what exists.
    fn alike(&self) -> Option<u16> {
        let code = self.strangers.only()?;
        (self.unknown.only() == Some(code) && matches!(code, 403 | 404)).then_some(code)
    }

    fn warn_of(&self, cx: &Ctx, hidden: &Codes<'_>) {
        if let Some((_, answer)) = hidden.refusals.first() {
            let expected = "strangers are told from unknown repositories, by 403 and 404";
            let observed = format!("status {} to both, on every operation, which hides what exists", answer.status);
            cx.warn(answer.finding(expected, observed));
        }
    }
}

/// 403 for a valid token of somebody who isn't in the roster, or isn't any more.
async fn not_a_member(cx: &Ctx) -> Outcome {
    let outsiders = Outsiders::ask(cx).await?;
    let hides = outsiders.alike() == Some(404);
    if hides {
        outsiders.warn_of(cx, &outsiders.strangers);
    }
    let mut codes = if hides { Codes::new(RefusalReason::Stranger) } else { outsiders.strangers };
    let (alice, carol) = (&outsiders.alice, cx.member().await?);
    let mut repo = cx.repo_with(alice, &[&carol]).await?;
    cx.expel(alice, &mut repo, carol.id(), &[alice]).await?;
    for operation in MEMBERS_ONLY {
        let answer = Requests::new(cx, &repo, &carol, alice).send(cx, operation, &carol.auth()).await?;
        // Where repositories are hidden from strangers, who was removed is one.
        if !(hides && answer.status == 404) {
            codes.look_at(format!("the {} of a removed member", operation.name()), answer);
        }
    }
    if hides && codes.refusals.is_empty() { Ok(()) } else { codes.verdict() }
}

/// Names that mean something to objects, paths, tables and parsers.
const NAMES: [&str; 12] = [
    "constructor",
    "__proto__",
    "toString",
    "hasOwnProperty",
    "null",
    "undefined",
    "NaN",
    "0",
    "-1",
    "default",
    "new",
    "*",
];

/// 404 for what doesn't exist, told to somebody who may know. That a removal of nobody is accepted breaks no more than a SHOULD.
async fn unknown(cx: &Ctx) -> Outcome {
    let outsiders = Outsiders::ask(cx).await?;
    let hides = outsiders.alike() == Some(403);
    if hides {
        outsiders.warn_of(cx, &outsiders.unknown);
    }
    let mut codes = if hides { Codes::new(RefusalReason::UnknownMember) } else { outsiders.unknown };
    let (alice, repo) = (&outsiders.alice, &outsiders.repo);
    let (nobody, nobody_here) = (cx.identity(), cx.member().await?);
    for operation in [Operation::FetchMemberKey, Operation::RemoveMember] {
        let answer = Requests::new(cx, repo, alice, &nobody).send(cx, operation, &alice.auth()).await?;
        let what = format!("{} of an unknown member", operation.name());
        // Nobody has ever been removed by this id, so that it isn't a removal that is sent again.
        if operation == Operation::RemoveMember && answer.is_success() {
            codes.refusals.push((what, answer));
        } else {
            codes.look_at(what, answer);
        }
    }
    // Who is a member elsewhere isn't one here.
    let elsewhere = cx.repo(&nobody_here).await?;
    let rotation = repo.rotation(alice, &[alice]);
    let answer = cx.remove(alice, &repo.remove_request(nobody_here.id(), &rotation)).await?;
    let what = format!("removeMember of a member of {} only", elsewhere.id());
    if answer.is_success() {
        codes.refusals.push((what, answer));
    } else {
        codes.look_at(what, answer);
    }
    let nowhere = Repo::new(alice);
    for expected in [0, -1, nowhere.version()] {
        let rotation = nowhere.rotation_to(alice, &[alice], expected + 1, nowhere.epoch() + 1);
        let mut request = nowhere.rotating_push(&rotation);
        request.expected_payload_version = expected;
        let answer = cx.push(alice, &request).await?;
        let what = format!("a rotating push at {expected} to an unknown repository");
        let created = answer.is_success() && cx.pull(alice, &nowhere.pull_request(0)).await?.is_success();
        answer.must(!created, "no push creates a repository", || {
            format!("{what} is answered with {}", answer.summary())
        })?;
        // A negative expectation may be refused for what it is.
        if !hides && expected >= 0 {
            codes.look_at(what, answer);
        }
    }
    for id in if hides { [].as_slice() } else { &NAMES } {
        let request = PullRequest { repo_id: (*id).to_owned(), known_payload_version: 0 };
        let answer = cx.pull(alice, &request).await?;
        // A deployment may refuse what can't be one of its ids.
        let refused = answer.is_refusal() && answer.status < 500;
        if (!refused && answer.limit.is_none()) || matches!(answer.status, 401 | 409) {
            codes.refusals.push((format!("a pull of the unknown repository {id}"), answer));
        }
    }
    if hides && codes.refusals.is_empty() { Ok(()) } else { codes.verdict() }
}

/// 409 for the same request again, for another one of the same caller, and for somebody else's.
async fn duplicate(cx: &Ctx) -> Outcome {
    let (alice, mallory) = (cx.member().await?, cx.member().await?);
    let repo = cx.repo(&alice).await?;
    let mut codes = Codes::new(RefusalReason::Duplicate);
    for (what, by, request) in [
        ("the same request again", &alice, repo.create_request()),
        ("another request of the owner", &alice, Repo::with_id(&alice, repo.id()).create_request()),
        ("somebody else's request", &mallory, Repo::with_id(&mallory, repo.id()).create_request()),
    ] {
        let answer = cx.create(by, &request).await?;
        // Where a key may have so many repositories, another request may be refused for that.
        if answer.status == 403 && !cx.create(by, &Repo::new(by).create_request()).await?.is_success() {
            continue;
        }
        codes.look_at(what, answer);
    }
    codes.verdict()
}

/// One accepted request of every operation.
async fn success(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let mut repo = Repo::new(&alice);
    let ok = |answer: &Answer<'_>, name: &str| {
        answer.should(answer.status == 200, &format!("{name} succeeds with status 200"), || answer.summary());
        answer.must(answer.is_success(), &format!("{name} is accepted"), || answer.summary())
    };
    let answer = cx.create(&alice, &repo.create_request()).await?;
    answer.accepted::<VaultManifest>("createRepo")?;
    ok(&answer, "createRepo")?;
    ok(&cx.pull(&alice, &repo.pull_request(0)).await?, "pull")?;
    let push = repo.push_request(&alice);
    ok(&cx.push(&alice, &push).await?, "push")?;
    let conflict = cx.push(&alice, &push).await?;
    ok(&conflict, "push, with a stale expectation,")?;
    repo.apply_push(&push);
    let request = repo.add_request(&bob);
    ok(&cx.add(&alice, &request).await?, "addMember")?;
    repo.apply_add(&request.member);
    ok(&cx.fetch(&alice, repo.id(), bob.id()).await?, "fetchMemberKey")?;
    ok(&cx.remove(&alice, &repo.remove_request(bob.id(), &repo.rotation(&alice, &[&alice]))).await?, "removeMember")
}
