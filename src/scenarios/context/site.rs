//! One place of several: the operations, sent to one process of the deployment or to another deployment.

use bytes::Bytes;
use serde::Serialize;

use super::super::call::Place;
use super::super::{Answer, Auth, Call, Member, Operation, Stop};
use super::Ctx;
use crate::client::Identity;
use crate::wire::{
    ChallengeRequest, ChallengeResponse, CreateRepoRequest, MemberAddRequest, MemberRemoveRequest, PullRequest,
    PushRequest, TokenRequest, TokenResponse,
};

/// A check's context at one place.
#[derive(Clone, Copy)]
pub struct Site<'c> {
    /// The check's context.
    pub cx: &'c Ctx,
    /// Where requests go.
    pub place: Place,
}

impl Ctx {
    /// The operations at one place.
    pub fn at(&self, place: Place) -> Site<'_> {
        Site { cx: self, place }
    }
}

impl<'c> Site<'c> {
    /// Any operation with any body.
    pub async fn send(
        &self,
        operation: Operation,
        (repo_id, member_id): (&str, &str),
        auth: &Auth,
        body: Option<Bytes>,
    ) -> Result<Answer<'c>, Stop> {
        let call = Call::operation(operation, repo_id, member_id, auth, body);
        self.cx.call(Call { place: self.place, ..call }).await
    }

    async fn perform(
        &self,
        operation: Operation,
        repo_id: &str,
        auth: &Auth,
        body: &impl Serialize,
    ) -> Result<Answer<'c>, Stop> {
        let body = serde_json::to_vec(body).map_err(|error| self.cx.setup_failed("a request", error.to_string()))?;
        self.send(operation, (repo_id, ""), auth, Some(body.into())).await
    }

    /// A nonce, as part of setting up.
    pub async fn nonce(&self, identity: &Identity) -> Result<String, Stop> {
        let body = ChallengeRequest { ed25519_public_key: identity.id.clone() };
        let answer = self.perform(Operation::Challenge, "", &Auth::None, &body).await.map_err(super::to_set_up)?;
        let told: ChallengeResponse = answer.accepted("challenge").map_err(super::to_set_up)?;
        Ok(told.nonce)
    }

    /// token
    pub async fn token(&self, request: &TokenRequest) -> Result<Answer<'c>, Stop> {
        self.perform(Operation::Token, "", &Auth::None, request).await
    }

    /// A token for an identity, as part of setting up.
    pub async fn member(&self, identity: &Identity) -> Result<Member, Stop> {
        let request = self.cx.redeem(identity, &self.nonce(identity).await?)?;
        let answer = self.token(&request).await.map_err(super::to_set_up)?;
        let told: TokenResponse = answer.accepted("token").map_err(super::to_set_up)?;
        self.cx.world.remember_subject(&told.token, &identity.id);
        Ok(Member { identity: identity.clone(), token: told.token })
    }

    /// createRepo
    pub async fn create(&self, by: &Member, request: &CreateRepoRequest) -> Result<Answer<'c>, Stop> {
        self.perform(Operation::CreateRepo, "", &by.auth(), request).await
    }

    /// pull
    pub async fn pull(&self, by: &Member, request: &PullRequest) -> Result<Answer<'c>, Stop> {
        self.perform(Operation::Pull, &request.repo_id, &by.auth(), request).await
    }

    /// push
    pub async fn push(&self, by: &Member, request: &PushRequest) -> Result<Answer<'c>, Stop> {
        self.perform(Operation::Push, &request.repo_id, &by.auth(), request).await
    }

    /// addMember
    pub async fn add(&self, by: &Member, request: &MemberAddRequest) -> Result<Answer<'c>, Stop> {
        self.perform(Operation::AddMember, &request.repo_id, &by.auth(), request).await
    }

    /// removeMember
    pub async fn remove(&self, by: &Member, request: &MemberRemoveRequest) -> Result<Answer<'c>, Stop> {
        self.perform(Operation::RemoveMember, &request.repo_id, &by.auth(), request).await
    }

    /// fetchMemberKey
    pub async fn fetch(&self, by: &Member, repo_id: &str, member_id: &str) -> Result<Answer<'c>, Stop> {
        self.send(Operation::FetchMemberKey, (repo_id, member_id), &by.auth(), None).await
    }
}
