//! A repository that somebody wants to get at, and the six requests that would do it with the right token.

use bytes::Bytes;
use serde::Serialize;

use super::super::by_hand::HandMade;
use super::super::state::longest_word;
use super::{Auth, Caller, Ctx, Operation, Stop, to_set_up};
use crate::client::{Identity, Repo};
use crate::scenarios::Member;
use crate::wire::segment;

/// What requests are tried on: alice's repository with bob in it, and mallory, who is in another one.
pub struct Fixture {
    pub alice: Member,
    pub mallory: Member,
    pub bob: Identity,
    newcomer: Identity,
    pub repo: Repo,
    /// mallory's.
    pub own: Repo,
    /// The repository as it is served before anything is tried: a server that alters what it is sent has done so already.
    served: Repo,
    /// Not created: createRepo is asked for it.
    pub fresh: Repo,
    bodies: Vec<(Operation, Bytes)>,
    /// Texts that only who has read the repository knows.
    marks: Vec<String>,
}

impl Fixture {
    pub async fn set_up(cx: &Ctx) -> Result<Self, Stop> {
        let (alice, mallory) = (cx.member().await?, cx.member().await?);
        let own = cx.repo(&mallory).await?;
        Self::furnish(cx, alice, mallory, own, (cx.identity(), cx.identity())).await
    }

    /// The same people with a new repository.
    pub async fn again(&self, cx: &Ctx) -> Result<Self, Stop> {
        let people = (self.bob.clone(), self.newcomer.clone());
        Self::furnish(cx, self.alice.clone(), self.mallory.clone(), self.own.clone(), people).await
    }

    async fn furnish(
        cx: &Ctx,
        alice: Member,
        mallory: Member,
        own: Repo,
        (bob, newcomer): (Identity, Identity),
    ) -> Result<Self, Stop> {
        let repo = cx.repo_with(&alice, &[&bob]).await?;
        let fresh = Repo::new(&alice);
        cx.watch(&fresh);
        let bodies = [
            (Operation::CreateRepo, json(&fresh.create_request())),
            (Operation::Pull, json(&repo.pull_request(0))),
            (Operation::Push, json(&repo.push_request(&alice))),
            (Operation::AddMember, json(&repo.add_request(&newcomer))),
            (Operation::RemoveMember, json(&repo.remove_request(&bob.id, &repo.rotation(&alice, &[&alice])))),
        ];
        let secret = |text: &str| longest_word(text).to_owned();
        let entries = repo.manifest.members.iter().flat_map(|entry| {
            [&entry.wrapped_data_key.ciphertext, &entry.x25519_public_key, &entry.ed25519_public_key]
        });
        let marks = entries.chain([&repo.envelope.ciphertext]).map(|text| secret(text)).collect();
        let mut served = repo.clone();
        (_, served.manifest, served.envelope) = cx.pull_all(&alice, &repo).await.map_err(to_set_up)?;
        Ok(Self { alice, mallory, bob, newcomer, repo, own, served, fresh, bodies: bodies.into(), marks })
    }

    /// The request as it would be right with alice's token.
    pub fn usual(&self, cx: &Ctx, operation: Operation, auth: Auth) -> HandMade {
        HandMade::usual(cx, operation, &self.path(operation), auth, self.body(operation))
    }

    pub fn path(&self, operation: Operation) -> String {
        operation.path(self.repo.id(), &self.bob.id)
    }

    fn body(&self, operation: Operation) -> Option<Bytes> {
        self.bodies.iter().find(|(found, _)| *found == operation).map(|(_, body)| body.clone())
    }

    pub fn auth(&self, caller: Caller) -> Auth {
        match caller {
            Caller::Nobody => Auth::None,
            Caller::Stranger => self.mallory.auth(),
        }
    }

    /// Whether an answer tells something of the repository that wasn't in its request.
    pub fn is_told(&self, body: &[u8], request: Vec<u8>) -> bool {
        let text = String::from_utf8_lossy(body);
        let told = self.marks.iter().filter(|mark| text.contains(mark.as_str()));
        let mut unasked = told.filter(|mark| !String::from_utf8_lossy(&request).contains(mark.as_str()));
        unasked.next().is_some()
    }

    /// Whether the repository is another one, or one was created.
    pub async fn has_changed(&self, cx: &Ctx) -> Result<bool, Stop> {
        let holds = match cx.holds(&self.alice, &self.served, "requests without a member's token").await {
            Ok(()) => true,
            Err(Stop::Violation(_)) => false,
            Err(other) => return Err(other),
        };
        let created = cx.pull(&self.alice, &self.fresh.pull_request(0)).await.map_err(to_set_up)?;
        Ok(!holds || created.is_success())
    }

    /// How a request differs from the usual one, in a few words.
    pub fn described(&self, request: &HandMade, operation: Operation) -> String {
        let readable = |text: &str| {
            [(self.repo.id(), "{repoId}"), (self.own.id(), "{ownRepoId}"), (self.fresh.id(), "{newRepoId}")]
                .iter()
                .fold(text.replace(&segment(&self.bob.id), "{memberId}"), |text, (id, name)| text.replace(id, name))
        };
        let mut words = vec![format!("{} {}", request.method, readable(&request.target))];
        words.extend(request.host.as_ref().map(|host| format!("Host: {host}")));
        match request.headers.as_slice() {
            [] => {}
            few if few.len() <= 2 => {
                words.extend(few.iter().map(|(name, value)| format!("{name}: {}", readable(value))))
            }
            many => {
                words.push(format!("{}: {} (or one of {} like it)", many[0].0, readable(&many[0].1), many.len() - 1))
            }
        }
        if request.content_type != Some("application/json") && operation != Operation::FetchMemberKey {
            words.push(format!("Content-Type: {}", request.content_type.unwrap_or("(none)")));
        }
        if request.old {
            words.push("HTTP/1.0".into());
        }
        if request.chunked {
            words.push("Transfer-Encoding: chunked".into());
        }
        words.join(" with ")
    }
}

fn json(message: &impl Serialize) -> Bytes {
    // Our own messages always serialize.
    serde_json::to_vec(message).unwrap_or_default().into()
}
