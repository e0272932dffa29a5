//! The control experiments: what looks like a limit is one only if a plain request of the same kind works.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::{Kind, Limit, Limits, PLAIN_ROSTER, says_limit};
use crate::client::{Identity, Repo};
use crate::codec::base64;
use crate::requirements::Level;
use crate::scenarios::{Answer, CheckInfo, Ctx, Stop, World};
use crate::wire::TokenRequest;

/// The experiments speak to the server through the same context as a check.
static CONTROL: CheckInfo = CheckInfo {
    id: "control",
    title: "What is refused as too much works in a small way",
    section: "§6",
    level: Level::Must,
    requirements: &[&crate::requirements::NO_ACCOUNT],
    since: crate::requirements::Revision::V0_2,
};
/// The largest roster that an experiment fills one by one.
const ONE_BY_ONE: u64 = 12;

/// What the experiments told.
#[derive(Default)]
pub(super) struct Confirmed(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// Whether the round of plain requests was made.
    plain: bool,
    /// Whether a fresh key was refused its first plain repository.
    full: bool,
    /// The smallest roster that an owner was refused.
    too_many: Option<u64>,
    /// The largest roster that an owner got.
    enough: u64,
}

impl Limits {
    /// Whether a limit that isn't sure stands up to an experiment.
    pub(in crate::scenarios) async fn confirm(&self, world: &Arc<World>, limit: &Limit) -> bool {
        if limit.sure {
            return true;
        }
        let mut known = self.confirmed.0.lock().await;
        if limit.kind == Kind::Roster {
            if limit.measure > known.enough && known.too_many.is_none_or(|size| limit.measure < size) {
                // Boxed, as requests are what this is part of.
                match Box::pin(fill(world, limit.measure)).await {
                    Some(size) => known.too_many = Some(size),
                    None => known.enough = limit.measure,
                }
            }
            return known.too_many.is_some_and(|size| limit.measure >= size);
        }
        if limit.kind == Kind::Store {
            known.full = known.full || Box::pin(is_full(&Ctx::experiment(world.clone(), &CONTROL))).await;
            return known.full;
        }
        if !known.plain && !self.has_worked(limit.operation) {
            known.plain = true;
            let _ = Box::pin(plain(&Ctx::experiment(world.clone(), &CONTROL))).await;
        }
        self.has_worked(limit.operation)
    }
}

/// A plain request of every kind, as far as they work.
async fn plain(cx: &Ctx) -> Result<(), Stop> {
    let alice = cx.member().await?;
    let bob = cx.identity();
    let mut repo = cx.repo(&alice).await?;
    let _ = cx.advance(&alice, &mut repo).await;
    cx.enrol(&alice, &mut repo, &bob).await?;
    let _ = cx.fetch(&alice, repo.id(), &bob.id).await;
    let _ = cx.pull(&alice, &repo.pull_request(0)).await;
    cx.expel(&alice, &mut repo, &bob.id, &[&alice]).await
}

/// Whether somebody new can't create a plain repository, in the words of a limit.
async fn is_full(cx: &Ctx) -> bool {
    let Ok(alice) = cx.member().await else { return false };
    let repo = Repo::new(&alice);
    cx.watch(&repo);
    let answer = cx.create(&alice, &repo.create_request()).await;
    answer.is_ok_and(|answer| refused(&answer))
}

/// The owner of a repository makes its roster as large; the size at which that ends as a limit does.
async fn fill(world: &Arc<World>, size: u64) -> Option<u64> {
    let cx = Ctx::experiment(world.clone(), &CONTROL);
    let alice = cx.member().await.ok()?;
    let mut repo = cx.repo(&alice).await.ok()?;
    if size > ONE_BY_ONE {
        // All but one at once.
        let others: Vec<Identity> = (2..size).map(|_| Identity::generate()).collect();
        let everybody: Vec<&Identity> = std::iter::once(&*alice).chain(&others).collect();
        let rotation = repo.rotation(&alice, &everybody);
        let answer = cx.push(&alice, &repo.rotating_push(&rotation)).await.ok()?;
        if refused(&answer) {
            return Some(size - 1);
        }
        repo.apply_rotation(&rotation);
    }
    let have = repo.manifest.members.len() as u64;
    for next in have + 1..=size {
        let request = repo.add_request(&Identity::generate());
        let answer = cx.add(&alice, &request).await.ok()?;
        if refused(&answer) {
            return (next > PLAIN_ROSTER as u64).then_some(next);
        }
        if !answer.is_success() {
            return None;
        }
        repo.apply_add(&request.member);
    }
    None
}

fn refused(answer: &Answer<'_>) -> bool {
    answer.status == 403 || says_limit(answer.status, &answer.headers)
}

/// Whether a token request is rightly signed.
pub(super) fn is_signed(request: &TokenRequest) -> bool {
    let (Ok(nonce), Ok(signature)) = (base64::decode(&request.nonce), base64::decode(&request.signature)) else {
        return false;
    };
    let key = base64::decode(&request.ed25519_public_key).ok().and_then(|key| <[u8; 32]>::try_from(key).ok());
    let key = key.and_then(|key| ed25519_dalek::VerifyingKey::from_bytes(&key).ok());
    let signature = ed25519_dalek::Signature::from_slice(&signature).ok();
    key.zip(signature).is_some_and(|(key, signature)| key.verify_strict(&nonce, &signature).is_ok())
}
