//! Bearer tokens on the six operations (SPEC §3): only a whole, living token of this server opens anything.

mod almost;
mod bearer;
mod elsewhere;
mod forge;
mod hidden;
mod lasting;
mod lifetime;
mod login_parts;
mod misplaced;
mod published;
mod required;
mod tricks;

pub(crate) use forge::{forgeries, jwt_forgeries, more_jwt_forgeries};
pub(super) use lifetime::expired_member;

use bytes::Bytes;
use serde::Serialize;
use serde_json::to_vec;

use super::context::to_set_up;
use super::{Answer, Auth, Call, Check, Ctx, Member, Operation, Outcome, Stop};
use crate::client::{Identity, Repo};
use crate::codec::jwt::Jwt;

/// The checks of bearer tokens.
pub static CHECKS: [&[Check]; 8] = [
    required::CHECKS,
    almost::CHECKS,
    elsewhere::CHECKS,
    misplaced::CHECKS,
    login_parts::CHECKS,
    bearer::CHECKS,
    lifetime::CHECKS,
    lasting::CHECKS,
];

/// A request that is right in every respect, so that nothing but its token can be wrong.
struct Stage {
    operation: Operation,
    /// The only one who may; bob is a member too.
    alice: Member,
    repo: Repo,
    path: (String, String),
    body: Option<Bytes>,
}

impl Stage {
    /// For createRepo the repository is made ready, but not created.
    async fn set(cx: &Ctx, operation: Operation) -> Result<Self, Stop> {
        let (alice, bob) = (cx.member().await?, cx.identity());
        let repo = if operation == Operation::CreateRepo {
            let repo = Repo::new(&alice);
            cx.watch(&repo);
            repo
        } else {
            cx.repo_with(&alice, &[&bob]).await?
        };
        let body = body_of(cx, operation, &repo, &alice, &bob);
        Ok(Self { operation, path: (repo.id().to_owned(), bob.id.clone()), alice, repo, body })
    }

    async fn attempt<'c>(&self, cx: &'c Ctx, auth: &Auth) -> Result<Answer<'c>, Stop> {
        cx.call(self.call(auth)).await
    }

    fn call<'a>(&self, auth: &'a Auth) -> Call<'a> {
        Call::operation(self.operation, &self.path.0, &self.path.1, auth, self.body.clone())
    }

    /// The request is refused with each of these values of `Authorization`, and has changed nothing; with the real one it works.
    async fn refuses(&self, cx: &Ctx, attempts: Vec<(&'static str, Auth)>) -> Outcome {
        let (mut tried, first) = (0, attempts.first().cloned());
        for (what, auth) in attempts {
            let answer = self.attempt(cx, &auth).await?;
            // RFC 6750 §3.1 has 400 for a header that is malformed as such.
            let usual: &[u16] = if matches!(auth, Auth::Header(_)) { &[401, 400] } else { &[401] };
            answer.refused(&format!("{} with {what}", self.operation.name()), usual)?;
            tried += 1;
        }
        self.untouched(cx).await?;
        works(cx, self).await?;
        cx.remark(format!("{tried} ways"));
        // What a member has just been told isn't kept for others.
        let reads = matches!(self.operation, Operation::Pull | Operation::FetchMemberKey);
        let Some((what, auth)) = first.filter(|_| reads) else { return Ok(()) };
        let name = self.operation.name();
        self.attempt(cx, &auth).await?.refused_somehow(&format!("{name} with {what}, right after a member's,"))
    }

    /// Requests of the same operation that a server might answer before it looks at the token.
    fn shortcuts(&self) -> Vec<(&'static str, Bytes)> {
        let repo = &self.repo;
        let messages = match self.operation {
            Operation::Pull => vec![("a pull at the current version", to_vec(&repo.pull_request(repo.version())))],
            Operation::Push => {
                let mut stale = repo.push_request(&self.alice);
                stale.expected_payload_version -= 1;
                let rotating = repo.rotating_push(&repo.rotation(&self.alice, &[&self.alice]));
                vec![("a stale push", to_vec(&stale)), ("a rotating push", to_vec(&rotating))]
            }
            _ => Vec::new(),
        };
        // Our own messages always serialize.
        messages.into_iter().filter_map(|(what, body)| Some((what, Bytes::from(body.ok()?)))).collect()
    }

    async fn untouched(&self, cx: &Ctx) -> Outcome {
        if self.operation != Operation::CreateRepo {
            return cx.holds(&self.alice, &self.repo, "requests without a valid token").await;
        }
        let answer = cx.pull(&self.alice, &self.repo.pull_request(0)).await?;
        answer.refused("a pull of a repository that was only created without a valid token", &[404, 403])
    }
}

fn body_of(cx: &Ctx, operation: Operation, repo: &Repo, alice: &Identity, bob: &Identity) -> Option<Bytes> {
    fn json(message: &impl Serialize) -> Option<Bytes> {
        // Our own messages always serialize.
        to_vec(message).ok().map(Bytes::from)
    }
    match operation {
        Operation::CreateRepo => json(&repo.create_request()),
        Operation::Pull => json(&repo.pull_request(0)),
        Operation::Push => json(&repo.push_request(alice)),
        Operation::AddMember => json(&repo.add_request(&cx.identity())),
        Operation::RemoveMember => json(&repo.remove_request(&bob.id, &repo.rotation(alice, &[alice]))),
        _ => None,
    }
}

/// The refusals mean something: the real token opens.
async fn works(cx: &Ctx, stage: &Stage) -> Outcome {
    let answer = stage.attempt(cx, &stage.alice.auth()).await.map_err(to_set_up)?;
    let works = answer.must(answer.is_success(), "the same request works with the real token", || answer.summary());
    // A refusal may be kept by what was asked for, whoever asks next.
    if answer.status == 401 && cx.pull(&stage.alice, &stage.repo.pull_request(0)).await?.is_success() {
        return works;
    }
    works.map_err(to_set_up)
}

/// A token as a JWT, or the reason why checks of JWTs are left out.
fn as_jwt(token: &str) -> Result<Jwt, Stop> {
    Jwt::parse(token).map_err(|_| Stop::not_applicable("the server's tokens are opaque, not JWTs; that is fine"))
}
