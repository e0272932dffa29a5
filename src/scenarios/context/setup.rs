//! Setting a check up: identities, tokens and repositories in one line each. What fails here is trouble, not a verdict.

use std::time::Duration;

use tokio::time::Instant;

use super::super::{Answer, Finding, Member, Stop};
use super::{Ctx, lock};
use crate::client::{Identity, Repo};
use crate::codec::base64;
use crate::scan::Class;
use crate::wire::{ChallengeResponse, PushResponse, TokenRequest, TokenResponse};

/// Within this time no nonce may have expired.
const PROMPT: Duration = Duration::from_millis(500);

impl Ctx {
    /// A fresh identity, unknown to everybody. Its id needs no escape in a path: how ids that do are treated is the business of
    /// the checks that choose one, lest a server that loses those fails half of all checks by chance.
    pub fn identity(&self) -> Identity {
        self.introduce(Identity::with_plain_id())
    }

    /// Registers the secrets of an identity with the search, and hands it back.
    pub fn introduce(&self, identity: Identity) -> Identity {
        self.world.seen.secrets.introduce(self.check.id, &identity);
        identity
    }

    /// A fresh identity with a token.
    ///
    /// # Errors
    /// [`Stop::SetupFailed`]: challenge or token didn't work; their own checks say why.
    pub async fn member(&self) -> Result<Member, Stop> {
        self.authenticate(self.identity()).await
    }

    /// Gets a token for an identity.
    ///
    /// # Errors
    /// As [`Self::member`].
    pub async fn authenticate(&self, identity: Identity) -> Result<Member, Stop> {
        if let Some(reason) = self.world.manners.no_tokens.get() {
            return Err(Stop::SetupFailed(Box::new(Finding {
                expected: "a token for a fresh keypair, to set the check up".into(),
                observed: reason.clone(),
                exchange: None,
                evidence: Vec::new(),
            })));
        }
        let answer = self.log_in(&identity).await?.1;
        let token: TokenResponse = setup("token", &answer)?;
        // Limits of one key, and what a refusal may say to whom, are told by who asks; histories, too.
        self.world.remember_subject(&token.token, &identity.id);
        Ok(Member { identity, token: token.token })
    }

    /// Buys a token, and tells with what. A server may have trouble with one nonce in some hundreds (one that begins with a zero, say): that
    /// is remembered for the check of just this, and another nonce has its turn.
    ///
    /// # Errors
    /// [`Stop::SetupFailed`]: challenge or token didn't work, or three nonces in a row were refused.
    pub async fn log_in(&self, identity: &Identity) -> Result<(TokenRequest, Answer<'_>), Stop> {
        let mut refused = Vec::new();
        loop {
            let (nonce, issued) = (self.nonce(identity).await?, Instant::now());
            let request = self.redeem(identity, &nonce)?;
            let answer = self.token(&request).await.map_err(to_set_up)?;
            if answer.is_success() {
                let unlucky = refused.iter();
                unlucky.for_each(|(request, exchange)| self.world.seen.logins.note_unlucky(request, exchange));
                return Ok((request, answer));
            }
            let refuses = matches!(answer.status, 400 | 401 | 403 | 422 | 500);
            if !refuses || issued.elapsed() > PROMPT || refused.len() == 2 {
                setup_success("token", &answer)?;
            }
            refused.push((request, answer.exchange.clone()));
        }
    }

    /// A nonce for an identity.
    ///
    /// # Errors
    /// [`Stop::SetupFailed`] when challenge doesn't work.
    pub async fn nonce(&self, identity: &Identity) -> Result<String, Stop> {
        let answer = self.challenge(&identity.id).await.map_err(to_set_up)?;
        Ok(setup::<ChallengeResponse>("challenge", &answer)?.nonce)
    }

    /// The request that redeems a nonce rightly.
    ///
    /// # Errors
    /// [`Stop::SetupFailed`] when the nonce isn't base64.
    pub fn redeem(&self, identity: &Identity, nonce: &str) -> Result<TokenRequest, Stop> {
        // Whether it is spelled strictly is another check's business.
        let bytes = base64::decode(nonce).map_err(|error| self.setup_failed("a nonce in base64", error.to_string()))?;
        Ok(TokenRequest {
            ed25519_public_key: identity.id.clone(),
            nonce: nonce.into(),
            signature: base64::encode(&identity.sign(&bytes)),
        })
    }

    /// What the check needs of this suite itself didn't work.
    pub(in crate::scenarios) fn setup_failed(&self, expected: &str, observed: String) -> Stop {
        let exchange = lock(&self.exchanges).back().cloned();
        Stop::SetupFailed(Box::new(Finding { expected: expected.into(), observed, exchange, evidence: Vec::new() }))
    }

    /// A fresh repository of `owner`, created on the server.
    ///
    /// # Errors
    /// [`Stop::SetupFailed`] when createRepo doesn't work.
    pub async fn repo(&self, owner: &Member) -> Result<Repo, Stop> {
        self.create_repo(owner, Repo::new(owner)).await
    }

    /// Creates a prepared repository on the server.
    ///
    /// # Errors
    /// [`Stop::SetupFailed`] when createRepo doesn't work.
    pub async fn create_repo(&self, owner: &Member, repo: Repo) -> Result<Repo, Stop> {
        self.watch(&repo);
        let answer = self.create(owner, &repo.create_request()).await.map_err(to_set_up)?;
        setup_success("createRepo", &answer)?;
        Ok(repo)
    }

    /// Registers the data key of a repository with the search.
    pub fn watch(&self, repo: &Repo) {
        self.world.seen.secrets.remember(Class::Key, "data key", self.check.id, repo.data_key.as_bytes());
    }

    /// A fresh repository whose roster is `owner` and `others`.
    ///
    /// # Errors
    /// [`Stop::SetupFailed`] when createRepo or addMember doesn't work.
    pub async fn repo_with(&self, owner: &Member, others: &[&Identity]) -> Result<Repo, Stop> {
        let mut repo = self.repo(owner).await?;
        for other in others {
            self.enrol(owner, &mut repo, other).await?;
        }
        Ok(repo)
    }

    /// Adds somebody to a repository, as part of setting up.
    ///
    /// # Errors
    /// [`Stop::SetupFailed`] when addMember doesn't work.
    pub async fn enrol(&self, by: &Member, repo: &mut Repo, newcomer: &Identity) -> Result<(), Stop> {
        let request = repo.add_request(newcomer);
        setup_success("addMember", &self.add(by, &request).await.map_err(to_set_up)?)?;
        repo.apply_add(&request.member);
        Ok(())
    }

    /// Pushes a new payload, as part of setting up.
    ///
    /// # Errors
    /// [`Stop::SetupFailed`] when push doesn't work.
    pub async fn advance(&self, by: &Member, repo: &mut Repo) -> Result<(), Stop> {
        let request = repo.push_request(by);
        let answer = self.push(by, &request).await.map_err(to_set_up)?;
        let applied: PushResponse = setup("push", &answer)?;
        if !applied.accepted {
            let observed = format!("accepted: false, conflict: {}", applied.conflict);
            return Err(Stop::SetupFailed(Box::new(answer.finding("push works, to set the check up", observed))));
        }
        repo.apply_push(&request);
        Ok(())
    }

    /// Removes somebody, as part of setting up; returns the rotation that was sent.
    ///
    /// # Errors
    /// [`Stop::SetupFailed`] when removeMember doesn't work.
    pub async fn expel(&self, by: &Member, repo: &mut Repo, removed: &str, staying: &[&Identity]) -> Result<(), Stop> {
        let rotation = repo.rotation(by, staying);
        let answer = self.remove(by, &repo.remove_request(removed, &rotation)).await.map_err(to_set_up)?;
        setup_success("removeMember", &answer)?;
        repo.apply_rotation(&rotation);
        self.watch(repo);
        Ok(())
    }
}

/// The message of a setup step that must have worked.
fn setup<T: serde::de::DeserializeOwned>(step: &str, answer: &Answer<'_>) -> Result<T, Stop> {
    setup_success(step, answer)?;
    answer.message().map_err(to_set_up)
}

fn setup_success(step: &str, answer: &Answer<'_>) -> Result<(), Stop> {
    if answer.is_success() {
        return Ok(());
    }
    if let Some(stop) = answer.limited() {
        return Err(stop);
    }
    Err(Stop::SetupFailed(Box::new(answer.finding(format!("{step} works, to set the check up"), answer.summary()))))
}

/// What breaks while setting up is another check's failure and this one can't be told.
pub fn to_set_up(stop: Stop) -> Stop {
    match stop {
        Stop::Violation(finding) => Stop::SetupFailed(finding),
        other => other,
    }
}
