//! The control experiments: what looks like a limit is one only if a plain request of the same kind works.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::{Limit, LimitKind, Limits, PLAIN_ROSTER, says_limit};
use crate::client::{Identity, Repo, random};
use crate::codec::base64;
use crate::ground::lock;
use crate::requirements::Level;
use crate::scenarios::{Answer, CheckInfo, Ctx, Member, Operation, Stop, World};
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
/// Keys that are all refused before a store is full: a server may dislike some keys, which is no limit.
const KEYS: usize = 6;
/// Repositories that an experiment creates by one key at the least.
const CREATED: u64 = 12;
/// The largest push of an experiment, in bytes.
const MOST_PUSHED: usize = 8 << 20;
/// Repositories that an experiment creates by one key at the most.
const MOST_CREATED: u64 = 24;

/// What the experiments told.
#[derive(Default)]
pub(super) struct Confirmed(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// Whether the round of plain requests was made.
    plain: bool,
    /// How many repositories there were when fresh keys were refused their first one.
    full: Option<usize>,
    rosters: Range,
    /// Whether somebody may neither come in nor go by a push, if that was tried.
    membership: Option<u64>,
    /// In bytes.
    bodies: Range,
    /// Of one key.
    created: Range,
}

/// What experiments of one kind have shown.
#[derive(Default)]
struct Range {
    /// The smallest that was refused.
    refused: Option<u64>,
    /// The largest that wasn't.
    taken: u64,
}

impl Range {
    /// Whether an experiment has to tell.
    fn is_open(&self, measure: u64) -> bool {
        measure > self.taken && self.refused.is_none_or(|least| measure < least)
    }

    /// Takes note of an experiment: the measure at which it was refused, if it was.
    fn learn(&mut self, measure: u64, refused: Option<u64>) {
        match refused {
            Some(at) => self.refused = Some(at),
            None => self.taken = measure,
        }
    }

    fn refuses(&self, measure: u64) -> bool {
        self.refused.is_some_and(|least| measure >= least)
    }
}

impl Limits {
    /// Whether a limit that isn't sure stands up to an experiment.
    pub(in crate::scenarios) async fn confirm(&self, world: &Arc<World>, limit: &Limit) -> bool {
        let told_by_experiment = limit.forbidden && matches!(limit.kind, LimitKind::Body | LimitKind::Number);
        if limit.sure && !told_by_experiment {
            return true;
        }
        let mut known = self.confirmed.0.lock().await;
        let cx = Ctx::experiment(world.clone(), &CONTROL);
        let measure = limit.measure;
        // All experiments are boxed, as requests are what this is part of.
        match limit.kind {
            LimitKind::Roster => {
                if known.rosters.is_open(measure) {
                    let refused = Box::pin(fill(&cx, measure)).await;
                    known.rosters.learn(measure, refused);
                }
                return known.rosters.refuses(measure);
            }
            LimitKind::Membership => {
                if known.membership.is_none() {
                    known.membership = Some(Box::pin(kept(&cx)).await.unwrap_or(0));
                }
                return known.membership.is_some_and(|kept| kept & measure != 0);
            }
            LimitKind::Body if told_by_experiment => {
                if known.bodies.is_open(measure) {
                    let refused = Box::pin(is_too_large(&cx, measure)).await.then_some(measure);
                    known.bodies.learn(measure, refused);
                }
                return known.bodies.refuses(measure);
            }
            LimitKind::Number if told_by_experiment && limit.operation == Operation::CreateRepo => {
                // Refused attempts may count as well, so that the number at which a key is refused differs.
                if known.created.refused.is_none() && measure > known.created.taken {
                    let number = measure.max(CREATED);
                    let refused = Box::pin(create(&cx, number)).await;
                    known.created.learn(number, refused);
                }
                return known.created.refused.is_some();
            }
            LimitKind::Store => {
                // Where somebody has got one since, it wasn't full.
                let there_are = || lock(&self.created).len();
                if known.full != Some(there_are()) {
                    known.full = Box::pin(is_full(&cx)).await.then(there_are);
                }
                return known.full.is_some();
            }
            _ => {}
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

/// Whether nobody new can create a plain repository.
async fn is_full(cx: &Ctx) -> bool {
    for _ in 0..KEYS {
        let Ok(alice) = cx.member().await else { return false };
        if !is_refused_one(cx, &alice).await {
            return false;
        }
    }
    true
}

/// Whether somebody can't create a plain repository, in the words of a limit.
async fn is_refused_one(cx: &Ctx, alice: &Member) -> bool {
    let repo = Repo::new(alice);
    cx.watch(&repo);
    let answer = cx.create(alice, &repo.create_request()).await;
    answer.is_ok_and(|answer| refused(&answer))
}

/// Somebody new creates so many plain repositories; the number at which that ends as a limit does.
async fn create(cx: &Ctx, number: u64) -> Option<u64> {
    let alice = cx.member().await.ok()?;
    for next in 1..=number.min(MOST_CREATED) {
        if is_refused_one(cx, &alice).await {
            return (next > 1).then_some(next);
        }
    }
    // More than are tried here: the answer is taken at its word.
    (number > MOST_CREATED).then_some(number)
}

/// Whether two owners of repositories are refused a push of so many bytes.
async fn is_too_large(cx: &Ctx, bytes: u64) -> bool {
    for _ in 0..2 {
        let Ok(alice) = cx.member().await else { return false };
        let Ok(repo) = cx.repo(&alice).await else { return false };
        let mut request = repo.push_request(&alice);
        let length = usize::try_from(bytes).unwrap_or(usize::MAX).min(MOST_PUSHED);
        let mut sealed = vec![0; length / 4 * 3];
        random::fill(&mut sealed);
        request.envelope.ciphertext = base64::encode(&sealed);
        match cx.push(&alice, &request).await {
            Ok(answer) if refused(&answer) => {}
            _ => return false,
        }
    }
    true
}

/// The owner of a repository makes its roster as large; the size at which that ends as a limit does.
async fn fill(cx: &Ctx, size: u64) -> Option<u64> {
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

/// Which changes of the roster a push is refused, as [`Limit::measure`] has them, where rotations, addMember and removeMember work.
async fn kept(cx: &Ctx) -> Option<u64> {
    let alice = cx.member().await.ok()?;
    let (bob, carol, dave) = (cx.identity(), cx.identity(), cx.identity());
    let mut repo = cx.repo_with(&alice, &[&bob, &dave]).await.ok()?;
    let mut refused = 0;
    let same: Vec<&Identity> = vec![&alice, &bob, &dave];
    let mut staying = same.clone();
    for (change, roster) in [(0, same.clone()), (1, vec![&*alice, &bob, &dave, &carol]), (2, vec![&*alice, &bob])] {
        let rotation = repo.rotation(&alice, &roster);
        let answer = cx.push(&alice, &repo.rotating_push(&rotation)).await.ok()?;
        if answer.is_success() {
            repo.apply_rotation(&rotation);
            staying = roster;
        } else if change == 0 || answer.status != 403 {
            return None;
        } else {
            refused |= change;
        }
    }
    staying.retain(|member| member.id != bob.id);
    cx.expel(&alice, &mut repo, &bob.id, &staying).await.ok()?;
    Some(refused)
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
