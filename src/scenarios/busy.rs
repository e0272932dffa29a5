//! Contention again, on a server that is busy (SPEC §6, §10): a roster of thousands, bodies of megabytes, and other connections that
//! keep large answers coming. Where an interpreter lock serialises handlers, they meet only then.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::check::checks;
use super::contention::{Rounds, all_answered, answers, body, no_server_error};
use super::races::contend;
use super::readers::one_of;
use super::{Call, Ctx, Member, Operation, Outcome, Stop, json_styles};
use crate::client::{Repo, random};
use crate::codec::base64;
use crate::ground::lock;
use crate::wire::{MemberEntry, PushResponse};

checks! {
    "race/writes-to-a-busy-server", Must, "§10", [WRITES_SERIALIZED, PUSH_GATED, PUSH_CONFLICT, ADD_RECORDS], busy_writes,
        "Of large pushes one is accepted, and of large additions none is lost, while others keep reading", phase = Contention;
    "race/reads-from-a-busy-server", Must, "§10", [SNAPSHOT_READS, PUSH_ROTATES], busy_reads,
        "Pulls of a large roster see all of a rotation or nothing, while bodies of megabytes are under way", phase = Contention;
}

/// Members of a large roster; an answer that holds it has some 900 kB.
const ROSTER: usize = 2_000;
/// Blanks in the body of a large request, in bytes, and where that is more than the server takes.
const BLANKS: [usize; 2] = [2 << 20, 512 << 10];
/// Blanks in the bodies that are under way while a large roster is read, in bytes: from round to round more, as far as the server takes them.
const BULKS: [usize; 2] = [3 << 20, 6 << 20];
/// Below that a body is nothing that holds a server up.
const LEAST_BULK: usize = 64 << 10;
/// Large requests that meet.
const CROWD: usize = 4;
/// Connections that keep pulling.
const READERS: usize = 2;
/// Connections that keep sending large bodies.
const WRITERS: usize = 2;

/// A repository with a large roster.
struct Large {
    alice: Member,
    repo: Repo,
}

impl Large {
    /// By a rotating push; a server that has a limit below that is left in peace.
    async fn new(cx: &Ctx) -> Result<Self, Stop> {
        let alice = cx.member().await?;
        let mut repo = cx.repo(&alice).await?;
        let mut rotation = repo.rotation(&alice, &[&alice]);
        let model = rotation.members[0].clone();
        rotation.members.extend(STAND_INS.iter().map(|keys| stand_in(&model, keys)));
        let answer = match cx.push(&alice, &repo.rotating_push(&rotation)).await {
            Err(Stop::Violation(finding)) => {
                let reason = format!("a push of a roster of {ROSTER} members: {}", finding.observed);
                return Err(Stop::not_judged(reason));
            }
            answer => answer?,
        };
        if answer.is_refusal() {
            return Err(Stop::not_applicable(format!(
                "a roster of {ROSTER} members is refused with status {}",
                answer.status
            )));
        }
        answer.must(answer.is_success(), "a rotation to a large roster is accepted or refused", || answer.summary())?;
        repo.apply_rotation(&rotation);
        Ok(Self { alice, repo })
    }

    /// Runs `work` while others pull; their answers are read and left alone.
    async fn while_read<T>(&self, cx: &Ctx, work: impl Future<Output = T>) -> T {
        let (auth, over) = (self.alice.auth(), AtomicBool::new(false));
        let request = body(&self.repo.pull_request(0));
        let read = async || {
            while !over.load(Ordering::Relaxed) {
                let call = Call::operation(Operation::Pull, self.repo.id(), "", &auth, request.clone());
                if cx.try_call(call.as_load()).await.1.is_err() {
                    break;
                }
            }
        };
        let readers = futures_util::future::join_all((0..READERS).map(|_| read()));
        let work = async {
            let done = work.await;
            over.store(true, Ordering::Relaxed);
            done
        };
        tokio::join!(work, readers).0
    }
}

/// Keys of members that nobody is, in base64: Ed25519, then X25519. Made once a process, which takes a while.
static STAND_INS: LazyLock<Vec<[String; 2]>> = LazyLock::new(|| {
    let signing = || SigningKey::from_bytes(&random::bytes()).verifying_key().to_bytes();
    (1..ROSTER).map(|_| [base64::encode(&signing()), base64::encode(&random::bytes::<32>())]).collect()
});

/// An entry with such keys, and a wrapped key that the server can't tell from a usable one.
fn stand_in(model: &MemberEntry, [id, key]: &[String; 2]) -> MemberEntry {
    wrapped_anew(MemberEntry { ed25519_public_key: id.clone(), x25519_public_key: key.clone(), ..model.clone() })
}

fn wrapped_anew(mut entry: MemberEntry) -> MemberEntry {
    entry.wrapped_data_key.ciphertext = base64::encode(&random::plain::<48>());
    entry
}

fn padded(message: &impl serde::Serialize, blanks: usize) -> Option<Bytes> {
    Some(json_styles::padded(&body(message)?, blanks))
}

/// A round of pushes, then one of additions, on the same large repository.
async fn busy_writes(cx: &Ctx) -> Outcome {
    let mut large = Large::new(cx).await?;
    let mut rounds = Rounds::of(cx);
    let mut sizes = BLANKS.into_iter();
    let mut blanks = sizes.next().unwrap_or(0);
    while rounds.next() {
        let met = match large.pushes_meet(cx, blanks).await {
            Ok(true) => large.additions_meet(cx, blanks).await,
            other => other,
        };
        match (met, sizes.next()) {
            (Ok(true), _) => {}
            (Ok(false), None) => break,
            (Ok(false) | Err(Stop::Skip(..)), Some(less)) => {
                // What was not answered may have been carried out or not: nothing more can be told about that repository.
                large = Large::new(cx).await?;
                blanks = less;
                rounds.done = 0;
            }
            (Err(stop), _) => return Err(stop),
        }
    }
    rounds.remark(cx, &format!("{CROWD} large pushes and {CROWD} additions to a large roster"))
}

/// A large roster is pulled again and again around its rotation, while large stale pushes keep coming.
async fn busy_reads(cx: &Ctx) -> Outcome {
    let mut large = Large::new(cx).await?;
    let mut bulk = BULKS[0];
    let mut takes = Duration::ZERO;
    let mut rounds = Rounds::at_least(cx, 2);
    while rounds.next() {
        // From round to round at another moment of such a request: nobody knows which one this server minds.
        let offset = takes.mul_f64(f64::from(rounds.done) * GOLDEN % 1.0);
        let (met, bulks) = large.reads_meet_a_rotation(cx, bulk, offset).await?;
        takes = bulks.took;
        match (met, bulks.refused) {
            (false, _) => break,
            (true, false) => bulk = BULKS[1].min(bulk * 2),
            // What a server doesn't take isn't under way for long.
            (true, true) if bulk > LEAST_BULK => bulk /= 4,
            (true, true) => {}
        }
    }
    rounds.remark(cx, "pulls of a large roster around its rotation")
}

/// Multiples of it, without their whole parts, spread over an interval however many there are.
const GOLDEN: f64 = 0.618_033_988_75;

/// Connections that keep pulling while a rotation is on its way.
const READS: usize = 4;
/// So many different answers are remembered as judged: the states before and after, in the order of members that each time may have.
const ALIKE: usize = 4;

/// What became of the large requests that were under way meanwhile.
#[derive(Default)]
struct Bulks {
    /// How long the last one took.
    took: Duration,
    /// The server doesn't take that much.
    refused: bool,
}

impl Large {
    /// Every pull serves the state before or the state after. False when not all were answered.
    async fn reads_meet_a_rotation(&mut self, cx: &Ctx, bulk: usize, offset: Duration) -> Result<(bool, Bulks), Stop> {
        let auth = self.alice.auth();
        let before = self.repo.clone();
        let mut rotation = before.rotation(&self.alice, &[&self.alice]);
        let (own, epoch) = (rotation.members[0].clone(), rotation.envelope.key_epoch);
        let others = before.manifest.members.iter().filter(|entry| entry.ed25519_public_key != own.ed25519_public_key);
        // Each round with wraps of its own: a careful server refuses a rotation that keeps them.
        rotation.members.extend(others.map(|entry| wrapped_anew(MemberEntry { key_epoch: epoch, ..entry.clone() })));
        let mut after = before.clone();
        after.apply_rotation(&rotation);
        let call = |operation, body| Call::operation(operation, before.id(), "", &auth, body);
        let (pull, over) = (body(&before.pull_request(0)), AtomicBool::new(false));
        // Its body takes a while to arrive and to be read, and nobody knows when it takes effect: pulls come all the time.
        let rotate = async {
            let rotated = cx.try_call(call(Operation::Push, body(&before.rotating_push(&rotation)))).await;
            over.store(true, Ordering::Relaxed);
            rotated
        };
        // Each is looked at as it comes: nobody knows how many there will be, and each has some 900 kB. Most are alike.
        let judged = Mutex::new(Vec::<Bytes>::new());
        let read = async || -> Result<bool, Stop> {
            let mut answered = true;
            while answered && !over.load(Ordering::Relaxed) {
                let pulled = [cx.try_call(call(Operation::Pull, pull.clone()).as_load()).await];
                no_server_error(&pulled)?;
                for (_, answer) in answers(&pulled).filter(|(_, answer)| !lock(&judged).contains(&answer.body)) {
                    one_of(answer, &[&before, &after])?;
                    let mut judged = lock(&judged);
                    if judged.len() < ALIKE {
                        judged.push(answer.body.clone());
                    }
                }
                answered = all_answered(&pulled);
            }
            Ok(answered)
        };
        let readers = futures_util::future::join_all((0..READS).map(|_| read()));
        let meet = async { tokio::join!(rotate, readers) };
        let ((rotated, read), bulks) = self.while_written(cx, bulk, offset, meet).await;
        let rotated = [rotated];
        no_server_error(&rotated)?;
        if let Some((_, answer)) = answers(&rotated).next() {
            let response: PushResponse = answer.accepted("a rotating push")?;
            answer.must(response.accepted, "a rotating push at the current version is accepted", || {
                response.to_string()
            })?;
            self.repo = after.clone();
        }
        let mut told = all_answered(&rotated);
        for answered in read {
            told &= answered?;
        }
        Ok((told, bulks))
    }

    /// Runs `work` while large stale pushes keep coming on other connections; it begins `offset` after the first of them has ended.
    async fn while_written<T>(
        &self,
        cx: &Ctx,
        bulk: usize,
        offset: Duration,
        work: impl Future<Output = T>,
    ) -> (T, Bulks) {
        let (auth, over, ended) = (self.alice.auth(), AtomicBool::new(false), Notify::new());
        let mut stale = self.repo.push_request(&self.alice);
        stale.expected_payload_version -= 1;
        let large = padded(&stale, bulk);
        let write = async || {
            let mut bulks = Bulks::default();
            while !over.load(Ordering::Relaxed) && !bulks.refused {
                let call = Call::operation(Operation::Push, self.repo.id(), "", &auth, large.clone());
                let started = Instant::now();
                // Whoever closes the connection on a large body has refused it.
                let result = cx.try_call(call.as_load()).await.1;
                bulks.refused = result.map_or(true, |answer| answer.limit.is_some() || answer.is_refusal());
                bulks.took = started.elapsed();
                ended.notify_one();
            }
            bulks
        };
        let writers = futures_util::future::join_all((0..WRITERS).map(|_| write()));
        let work = async {
            ended.notified().await;
            tokio::time::sleep(offset).await;
            let done = work.await;
            over.store(true, Ordering::Relaxed);
            done
        };
        let (done, all) = tokio::join!(work, writers);
        let took = all.iter().map(|bulks| bulks.took).max().unwrap_or_default();
        (done, Bulks { took, refused: all.iter().any(|bulks| bulks.refused) })
    }

    /// False when not all were answered, so that what the server holds can't be told.
    async fn pushes_meet(&mut self, cx: &Ctx, blanks: usize) -> Result<bool, Stop> {
        let auth = self.alice.auth();
        let version = self.repo.version() + 1;
        let push = |at: usize| match at % 2 {
            // Half of them are large by what is stored, half by blanks that are not.
            0 => self.repo.push_of(&vec![b' '; blanks / 2], version),
            _ => self.repo.push_request(&self.alice),
        };
        let pushes: Vec<_> = (0..CROWD).map(push).collect();
        let call = |(at, push)| {
            let blanks = if at % 2 == 0 { 0 } else { blanks };
            Call::operation(Operation::Push, self.repo.id(), "", &auth, padded(push, blanks))
        };
        let calls: Vec<_> = pushes.iter().enumerate().map(call).collect();
        let Some(winner) = self.while_read(cx, contend(cx, &self.repo, &calls)).await? else { return Ok(false) };
        self.repo.apply_push(&pushes[winner]);
        cx.holds(&self.alice, &self.repo, "the winner's push").await?;
        Ok(true)
    }

    /// False when not all were answered.
    async fn additions_meet(&mut self, cx: &Ctx, blanks: usize) -> Result<bool, Stop> {
        let auth = self.alice.auth();
        let adds: Vec<_> = (0..CROWD).map(|_| self.repo.add_request(&cx.identity())).collect();
        let call = |add| Call::operation(Operation::AddMember, self.repo.id(), "", &auth, padded(add, blanks));
        let calls: Vec<_> = adds.iter().map(call).collect();
        let results = self.while_read(cx, cx.send_together(&calls)).await;
        no_server_error(&results)?;
        if !all_answered(&results) {
            return Ok(false);
        }
        let added: Vec<_> = answers(&results).filter(|(_, answer)| answer.is_success()).map(|(at, _)| at).collect();
        added.iter().for_each(|&at| self.repo.apply_add(&adds[at].member));
        cx.holds(&self.alice, &self.repo, &format!("{} members were added at once", added.len())).await?;
        Ok(true)
    }
}
