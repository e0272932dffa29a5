//! A last look, towards the end of the run, at what it has left behind (SPEC §6, §10): what was right at once is right a while later.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use tokio::time::Instant;

use super::check::checks;
use super::known::KnownRepo;
use super::pull::says_unchanged;
use super::push::{applied, conflicts};
use super::removal::remove_rightly;
use super::rights::entries::fetched;
use super::variants::Variants;
use super::{Auth, Ctx, Finding, Operation, Outcome, Stop};
use crate::client::Repo;
use crate::wire::VaultManifest;

checks! {
    "later/repositories-are-as-they-were", Must, "§10",
        [READ_YOUR_WRITES, STORED_VERBATIM, VERSION_MONOTONIC, EPOCH_RISES, REMOVE_DROPS, PUSH_ROTATES, CREATE_RETURNS, ADD_RECORDS],
        repositories, "At the end of the run, repositories are as the checks have left them", phase = Finale;
    "later/strangers-are-still-refused", Must, "§6",
        [REMOVE_REVOKES, PUSH_ROTATES, PULL_MEMBERS_ONLY, PUSH_MEMBERS_ONLY, ADD_MEMBERS_ONLY, FETCH_MEMBERS_ONLY],
        strangers, "At the end of the run, whoever was refused and isn't a member is refused still", phase = Finale;
    "later/gates-still-stand", Must, "§6", [PUSH_GATED, PUSH_CONFLICT], gates,
        "At the end of the run, a stale push to a repository that nobody has touched for a while is a conflict", phase = Finale;
    "later/operations-still-work", Must, "§6",
        [PUSH_APPLIES, ADD_RECORDS, REMOVE_DROPS, PUSH_ROTATES, PULL_UNCHANGED, FETCH_ENTRY], operations,
        "At the end of the run, every operation works on repositories that nobody has touched for a while", phase = Finale;
    "later/ids-are-still-taken", Must, "§6", [CREATE_DUPLICATE], ids,
        "At the end of the run, ids that it has taken are taken, whoever asks and by whatever scheme", phase = Finale;
    "later/answers-came-whole", Must, "§6", [ANSWERED],
        answers, "What the run has rightly asked for was answered, whatever it was", phase = Finale;
}

/// Repositories that are looked at for each check, and in all; with `--thorough` all that are known.
const FOR_EACH: usize = 1;
const MOST: usize = 160;
/// Repositories that are looked at together.
const AT_ONCE: usize = 8;
/// So many repositories come after the first one that is looked at: what keeps no more shows.
const CROWD: usize = 80;

/// A sample of what is known, in which every check has its part.
fn sample(cx: &Ctx, wanted: impl Fn(&KnownRepo) -> bool) -> Vec<KnownRepo> {
    let all: Vec<_> = cx.world.seen.known.all().into_iter().filter(wanted).collect();
    if cx.thorough() {
        return all;
    }
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let few = all.into_iter().filter(|known| {
        let count = counts.entry(known.check).or_default();
        *count += 1;
        *count <= FOR_EACH
    });
    few.take(MOST).collect()
}

/// One answer that is missing is a finding of the check that has asked. Many, to requests of all kinds, are one of their own, of which no
/// operation is the cause.
async fn answers(cx: &Ctx) -> Outcome {
    // A whole run has asked for much; one of a few checks has to.
    let alone = cx.world.requests() < FEW_REQUESTS;
    if alone {
        for _ in 0..ROUNDS_ALONE {
            let Ok(alice) = cx.member().await else { continue };
            let Ok(mut repo) = cx.repo(&alice).await else { continue };
            cx.advance(&alice, &mut repo).await.ok();
            cx.pull_all(&alice, &repo).await.ok();
        }
    }
    let Some((observed, exchange)) = cx.world.lost_everywhere(alone) else { return Ok(()) };
    let expected = "a request that is right gets a whole answer";
    Err(Stop::Violation(Box::new(Finding::shown(expected, observed, exchange))))
}

/// So few requests tell nothing of all others.
const FEW_REQUESTS: u64 = 200;
/// How often three operations are asked for then.
const ROUNDS_ALONE: usize = 30;

fn nothing_known() -> Stop {
    Stop::not_applicable("no check has left a repository in a state that is known")
}

async fn repositories(cx: &Ctx) -> Outcome {
    let sample = sample(cx, |_| true);
    if sample.is_empty() {
        return Err(nothing_known());
    }
    let count = sample.len();
    // A whole run has left many; one of a few checks has to make them.
    if cx.thorough() {
        let alice = cx.member().await?;
        for _ in cx.world.seen.known.all().len()..CROWD {
            cx.repo(&alice).await?;
        }
    }
    let looks = sample.into_iter().map(async |known| (known.check, as_it_was(cx, known).await));
    let mut tally = Variants::default();
    let mut outcomes = stream::iter(looks).buffered(AT_ONCE);
    while let Some((check, outcome)) = outcomes.next().await {
        tally.note(format!("a repository of {check}"), outcome)?;
    }
    cx.remark(format!("{count} repositories looked at again"));
    tally.settle(cx)
}

/// The reader's token may have been ended meanwhile; then a new one does, which another look may end in turn.
async fn as_it_was(cx: &Ctx, known: KnownRepo) -> Outcome {
    const AFTER: &str = "all that was right when a check looked at it";
    let KnownRepo { repo, mut reader, .. } = known;
    for _ in 0..LOGINS {
        match cx.holds(&reader, &repo, AFTER).await {
            Err(Stop::Violation(finding)) if has_ended(&finding) => {
                reader = cx.authenticate(reader.identity.clone()).await?;
            }
            other => return other,
        }
    }
    Err(Stop::not_judged("the member's tokens end as soon as others are given"))
}

/// How often a look begins again with a new token.
const LOGINS: usize = 4;

fn has_ended(finding: &Finding) -> bool {
    finding.exchange.as_ref().is_some_and(|exchange| exchange.status == Some(401))
}

/// Repositories that are written to, of those at which the look at what is there doesn't look.
const WRITTEN_TO: usize = 16;

/// Those that no other check looks at, for the checks that try to write: each of three has its share, by the id. Their counters leave
/// room, and those that have rested the longest come first. A whole run has left many; where there aren't enough, some are made, and rest.
async fn others(cx: &Ctx, share: u32) -> Result<Vec<KnownRepo>, Stop> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let roomy = |known: &KnownRepo| (1..1 << 50).contains(&known.repo.version()) && known.repo.epoch() < 1 << 50;
    let is_other = |known: &KnownRepo| {
        let count = counts.entry(known.check).or_default();
        *count += 1;
        // With --thorough all are looked at.
        *count > FOR_EACH && !cx.thorough()
    };
    let all = cx.world.seen.known.all().into_iter().filter(is_other).filter(roomy);
    let mut own: Vec<_> =
        all.filter(|known| known.repo.id().bytes().map(u32::from).sum::<u32>() % 3 == share).collect();
    own.sort_by_key(|known| known.since);
    own.truncate(WRITTEN_TO);
    if own.len() < WRITTEN_TO {
        let (reader, bob) = (cx.member().await?, cx.identity());
        for _ in own.len()..WRITTEN_TO {
            let repo = cx.repo_with(&reader, &[&bob]).await?;
            let (check, since, reader) = (cx.check_id(), Instant::now(), reader.clone());
            own.push(KnownRepo { check, repo, reader, since, strangers: Vec::new() });
        }
        tokio::time::sleep(REST).await;
    }
    Ok(own)
}

/// How long repositories that are made for it rest.
const REST: Duration = Duration::from_millis(2200);

/// What knows the current version for some seconds only may let any expectation pass after that.
async fn gates(cx: &Ctx) -> Outcome {
    let sample = others(cx, 0).await?;
    let mut tally = Variants::default();
    for KnownRepo { check, repo, reader, .. } in sample {
        let answer = cx.push(&reader, &repo.stale_push(&reader)).await?;
        // Its token may have ended meanwhile.
        if answer.status != 401 {
            tally.note(format!("in a repository of {check}"), conflicts(&repo, &answer))?;
        }
    }
    tally.settle(cx)
}

/// Everything that a member may do, each on a repository of its own that has rested: what is kept in memory for a time may be
/// all that an operation looks at.
async fn operations(cx: &Ctx) -> Outcome {
    let mut rested = others(cx, 1).await?;
    let mut tally = Variants::default();
    for operation in RESTED {
        let fits = |known: &KnownRepo| operation.fits(known);
        for _ in 0..EACH {
            let Some(place) = rested.iter().position(fits) else { break };
            let known = rested.remove(place);
            let check = known.check;
            // Another look may log the same member in, which may end the token.
            let outcome = match operation.works(cx, known).await {
                Err(Stop::Violation(finding)) if has_ended(&finding) => {
                    Err(Stop::not_judged("the member's token has ended meanwhile"))
                }
                outcome => outcome,
            };
            tally.note(format!("{} in a repository of {check}", operation.name()), outcome)?;
        }
    }
    tally.settle(cx)
}

/// How often each is tried.
const EACH: usize = 2;

/// What is tried on a repository that has rested.
#[derive(Clone, Copy)]
enum Rested {
    Removal,
    Fetch,
    Addition,
    Rotation,
    Unchanged,
    Push,
}

const RESTED: [Rested; 6] =
    [Rested::Removal, Rested::Fetch, Rested::Addition, Rested::Rotation, Rested::Unchanged, Rested::Push];

impl Rested {
    fn name(self) -> &'static str {
        match self {
            Self::Removal => "a removeMember",
            Self::Fetch => "a fetchMemberKey",
            Self::Addition => "an addMember",
            Self::Rotation => "a rotating push",
            Self::Unchanged => "a pull at the current version",
            Self::Push => "a push",
        }
    }

    /// Whether it can be tried there. Who invites, removes and leaves others out may be a matter of policy: the creator may.
    fn fits(self, KnownRepo { repo, reader, .. }: &KnownRepo) -> bool {
        let members = &repo.manifest.members;
        let by_creator = members.first().is_some_and(|first| first.ed25519_public_key == reader.id());
        match self {
            // The remover and who goes: of others the keys to wrap to aren't known.
            Self::Removal => by_creator && members.len() == 2,
            Self::Addition => by_creator && members.len() >= 2,
            Self::Fetch => members.len() >= 2,
            Self::Rotation => by_creator,
            Self::Unchanged | Self::Push => true,
        }
    }

    async fn works(self, cx: &Ctx, known: KnownRepo) -> Outcome {
        let KnownRepo { mut repo, reader, .. } = known;
        let alice = &reader;
        match self {
            Self::Removal => {
                let Some(gone) = repo.manifest.members.last().map(|entry| entry.ed25519_public_key.clone()) else {
                    return Ok(());
                };
                remove_rightly(cx, alice, &mut repo, &gone, &[alice]).await?;
            }
            Self::Fetch => {
                // Who came last may be the one who isn't kept.
                for entry in repo.manifest.members.iter().rev().take(5) {
                    fetched(cx, alice, &repo, &entry.ed25519_public_key, "some rest").await?;
                }
                return Ok(());
            }
            Self::Addition => {
                let request = repo.add_request(&cx.identity());
                cx.add(alice, &request).await?.accepted::<VaultManifest>("addMember by a member")?;
                repo.apply_add(&request.member);
            }
            Self::Rotation => {
                let rotation = repo.rotation(alice, &[alice]);
                let answer = cx.push(alice, &repo.rotating_push(&rotation)).await?;
                applied(&repo, &answer, rotation.envelope.payload_version, rotation.envelope.key_epoch)?;
                repo.apply_rotation(&rotation);
                cx.watch(&repo);
            }
            Self::Unchanged => return says_unchanged(cx, alice, &repo, "some rest").await,
            Self::Push => {
                let push = repo.push_request(alice);
                applied(&repo, &cx.push(alice, &push).await?, push.envelope.payload_version, repo.epoch())?;
                repo.apply_push(&push);
            }
        }
        cx.holds(alice, &repo, &format!("{} after some rest", self.name())).await
    }
}

/// Ids may be looked up together with something else, or in what is cut after so much time or so many.
async fn ids(cx: &Ctx) -> Outcome {
    let sample = others(cx, 2).await?;
    let mallory = cx.member().await?;
    let mut tally = Variants::default();
    for known in sample {
        let check = known.check;
        let again = Repo::with_id(&mallory, known.repo.id()).of_scheme("another-scheme");
        let answer = cx.create(&mallory, &again.create_request()).await?;
        let outcome = match answer.refused("createRepo with an id that exists", &[409]) {
            Ok(()) => as_it_was(cx, known).await,
            broken => broken,
        };
        tally.note(format!("the id of a repository of {check}"), outcome)?;
    }
    tally.settle(cx)
}

async fn strangers(cx: &Ctx) -> Outcome {
    let sample = sample(cx, |known| !known.strangers.is_empty());
    if sample.is_empty() {
        return Err(nothing_known());
    }
    let pulls: Vec<_> = sample
        .iter()
        .flat_map(|known| known.strangers.iter().map(move |(_, token)| stays_out(cx, known, token)))
        .collect();
    let mut tally = Variants::default();
    let mut outcomes = stream::iter(pulls).buffered(AT_ONCE);
    while let Some((check, outcome)) = outcomes.next().await {
        tally.note(format!("in a repository of {check}"), outcome?)?;
    }
    tally.settle(cx)
}

/// The check that has left the repository, and what came of a pull of it with a stranger's token.
async fn stays_out(cx: &Ctx, known: &KnownRepo, token: &str) -> (&'static str, Result<Outcome, Stop>) {
    let auth = Auth::Bearer(token.to_owned());
    let answer = cx.perform(Operation::Pull, known.repo.id(), &auth, &known.repo.pull_request(0)).await;
    let judged = answer.map(|answer| {
        let what = "a pull by somebody who was refused before and isn't a member";
        answer.refused_somehow(what).and_then(|()| answer.keeps_secret(&known.repo))
    });
    (known.check, judged)
}
