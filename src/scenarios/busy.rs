//! Contention again, on a server that is busy (SPEC §6, §10): a roster of thousands, bodies of megabytes, and other connections that
//! keep large answers coming. Where an interpreter lock serialises handlers, they meet only then.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use ed25519_dalek::SigningKey;

use super::check::checks;
use super::contention::{Rounds, all_answered, answers, body, no_server_error};
use super::races::contend;
use super::{Call, Ctx, Member, Operation, Outcome, Stop};
use crate::client::{Repo, random};
use crate::codec::base64;
use crate::wire::MemberEntry;

checks! {
    "race/writes-to-a-busy-server", Must, "§10", [WRITES_SERIALIZED, PUSH_GATED, PUSH_CONFLICT, ADD_RECORDS], busy_writes,
        "Of large pushes one is accepted, and of large additions none is lost, while others keep reading", phase = Alone;
}

/// Members of a large roster; an answer that holds it has some 900 kB.
const ROSTER: usize = 2_000;
/// Blanks in the body of a large request, in bytes.
const BLANKS: usize = 2 << 20;
/// Large requests that meet.
const CROWD: usize = 4;
/// Connections that keep pulling.
const READERS: usize = 2;

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
        rotation.members.extend((1..ROSTER).map(|_| stand_in(&model)));
        let answer = cx.push(&alice, &repo.rotating_push(&rotation)).await?;
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
                let mut call = Call::operation(Operation::Pull, self.repo.id(), "", &auth, request.clone());
                call.validated = false;
                if cx.try_call(call).await.1.is_err() {
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

/// A member that nobody is: a key of its own, and a wrapped key that the server can't tell from a usable one.
fn stand_in(model: &MemberEntry) -> MemberEntry {
    MemberEntry {
        ed25519_public_key: base64::encode(SigningKey::from_bytes(&random::bytes()).verifying_key().as_bytes()),
        x25519_public_key: base64::encode(&random::bytes::<32>()),
        ..model.clone()
    }
}

/// The same JSON with blanks after its opening brace.
fn padded(message: &impl serde::Serialize) -> Option<Bytes> {
    let json = body(message)?;
    let mut text = Vec::with_capacity(json.len() + BLANKS);
    text.push(b'{');
    text.resize(1 + BLANKS, b' ');
    text.extend_from_slice(&json[1..]);
    Some(text.into())
}

/// A round of pushes, then one of additions, on the same large repository.
async fn busy_writes(cx: &Ctx) -> Outcome {
    let mut large = Large::new(cx).await?;
    let mut rounds = Rounds::of(cx);
    while rounds.next() {
        if !large.pushes_meet(cx).await? || !large.additions_meet(cx).await? {
            break;
        }
    }
    rounds.remark(cx, &format!("{CROWD} large pushes and {CROWD} additions to a large roster"));
    Ok(())
}

impl Large {
    /// False when not all were answered, so that what the server holds can't be told.
    async fn pushes_meet(&mut self, cx: &Ctx) -> Result<bool, Stop> {
        let auth = self.alice.auth();
        let pushes: Vec<_> = (0..CROWD).map(|_| self.repo.push_request(&self.alice)).collect();
        let call = |push| Call::operation(Operation::Push, self.repo.id(), "", &auth, padded(push));
        let calls: Vec<_> = pushes.iter().map(call).collect();
        let Some(winner) = self.while_read(cx, contend(cx, &self.repo, &calls)).await? else { return Ok(false) };
        self.repo.apply_push(&pushes[winner]);
        cx.holds(&self.alice, &self.repo, "the winner's push").await?;
        Ok(true)
    }

    /// False when not all were answered.
    async fn additions_meet(&mut self, cx: &Ctx) -> Result<bool, Stop> {
        let auth = self.alice.auth();
        let adds: Vec<_> = (0..CROWD).map(|_| self.repo.add_request(&cx.identity())).collect();
        let call = |add| Call::operation(Operation::AddMember, self.repo.id(), "", &auth, padded(add));
        let calls: Vec<_> = adds.iter().map(call).collect();
        let results = self.while_read(cx, cx.volley(&calls)).await;
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
