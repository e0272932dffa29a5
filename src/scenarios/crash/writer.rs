//! A client that writes one thing after the other into a repository of its own, until the server is gone.

use std::sync::atomic::{AtomicBool, Ordering};

use super::super::state::{compare_envelope, compare_manifest};
use super::super::{Ctx, Finding, Member, Stop};
use super::evidence::Broken;
use crate::client::{Identity, Repo};
use crate::wire::{EncryptedEnvelope, PullResponse, PushResponse, VaultManifest};

/// States that are remembered, to say which of them a crash has brought back.
const REMEMBERED: usize = 64;

/// A writer, and what it knows.
pub(super) struct Writer {
    alice: Member,
    /// Comes and goes, and is somebody else each time: some deployments take nobody in again.
    bob: Identity,
    /// Acknowledged states, oldest first. Empty until a creation is acknowledged.
    states: Vec<Repo>,
    /// What the write under way makes.
    pending: Option<Repo>,
    turn: usize,
    pub acknowledged: usize,
}

/// What became of a write.
enum Told {
    Done,
    Refused(String),
    Unknown,
}

impl Writer {
    pub async fn new(cx: &Ctx, turn: usize) -> Result<Self, Stop> {
        let (alice, bob) = (cx.member().await?, cx.identity());
        Ok(Self { alice, bob, states: Vec::new(), pending: None, turn, acknowledged: 0 })
    }

    /// Writes until something gets no answer, or `over`.
    ///
    /// # Errors
    /// A refusal of what must be accepted is another check's failure, and this one's trouble.
    pub async fn write(&mut self, cx: &Ctx, over: &AtomicBool) -> Result<(), Stop> {
        while !over.load(Ordering::Relaxed) {
            let told = self.step(cx).await;
            match told {
                Told::Done => {
                    self.states.extend(self.pending.take());
                    self.acknowledged += 1;
                    if self.states.len() > REMEMBERED {
                        self.states.remove(0);
                    }
                }
                Told::Refused(summary) => {
                    self.pending = None;
                    return Err(cx.setup_failed("a right write is accepted", summary));
                }
                Told::Unknown => return Ok(()),
            }
            // A repository that has seen some writes gives way to a new one, now and then.
            if self.turn.is_multiple_of(23) {
                self.states.clear();
            }
        }
        Ok(())
    }

    async fn step(&mut self, cx: &Ctx) -> Told {
        self.turn += 1;
        let Some(repo) = self.states.last().cloned() else {
            let repo = Repo::new(&self.alice);
            cx.watch(&repo);
            self.pending = Some(repo.clone());
            return told::<VaultManifest>(cx.create(&self.alice, &repo.create_request()).await, |_| true);
        };
        let mut next = repo.clone();
        let inside = repo.manifest.member(&self.bob.id).is_some();
        match self.turn % 5 {
            0 | 3 if inside => {
                let rotation = repo.rotation(&self.alice, &[&self.alice]);
                next.apply_rotation(&rotation);
                self.pending = Some(next);
                let request = repo.remove_request(&self.bob.id, &rotation);
                told::<VaultManifest>(cx.remove(&self.alice, &request).await, |_| true)
            }
            0 | 1 | 3 if !inside => {
                self.bob = cx.identity();
                let request = repo.add_request(&self.bob);
                next.apply_add(&request.member);
                self.pending = Some(next);
                told::<VaultManifest>(cx.add(&self.alice, &request).await, |_| true)
            }
            2 => {
                let staying: &[&Identity] = if inside { &[&self.alice, &self.bob] } else { &[&self.alice] };
                let rotation = repo.rotation(&self.alice, staying);
                next.apply_rotation(&rotation);
                self.pending = Some(next);
                let request = repo.rotating_push(&rotation);
                told::<PushResponse>(cx.push(&self.alice, &request).await, |response| response.accepted)
            }
            _ => {
                let request = repo.push_request(&self.alice);
                next.apply_push(&request);
                self.pending = Some(next);
                told::<PushResponse>(cx.push(&self.alice, &request).await, |response| response.accepted)
            }
        }
    }

    /// Whether the crash has met a write.
    pub fn was_met(&self) -> bool {
        self.pending.is_some()
    }

    /// Looks at what the crash has left, and takes it for granted from then on.
    ///
    /// # Errors
    /// The server doesn't answer; or what a crash breaks, as the inner error.
    pub async fn look(&mut self, cx: &Ctx) -> Result<Result<(), (Broken, Finding)>, Stop> {
        let pending = self.pending.take();
        let Some(newest) = self.states.last().or(pending.as_ref()).cloned() else { return Ok(Ok(())) };
        let mut answer = cx.pull(&self.alice, &newest.pull_request(newest.version() + 1000)).await?;
        if answer.status == 401 {
            // Tokens needn't outlive a crash.
            self.alice = cx.authenticate(self.alice.identity.clone()).await?;
            answer = cx.pull(&self.alice, &newest.pull_request(newest.version() + 1000)).await?;
        }
        if self.states.is_empty() && !answer.is_success() {
            // The creation that the crash met: not there.
            return Ok(if answer.is_refusal() {
                Ok(())
            } else {
                Err((Broken::Whole, answer.finding(WHOLE, answer.summary())))
            });
        }
        let served = answer.is_success().then(|| answer.message::<PullResponse>()).transpose();
        let (manifest, envelope) = match served {
            Ok(Some(PullResponse { manifest, envelope: Some(envelope), .. })) => (manifest, envelope),
            Ok(None) => return Ok(Err((Broken::Acknowledged, answer.finding(ACKNOWLEDGED, answer.summary())))),
            _ => return Ok(Err((Broken::Whole, answer.finding(WHOLE, "an answer without a manifest or an envelope")))),
        };
        let is = |state: &&Repo| is_at(state, &manifest, &envelope);
        if let Some(state) = self.states.last().into_iter().chain(&pending).find(is) {
            let state = state.clone();
            if self.states.last().is_none_or(|last| !is_at(last, &manifest, &envelope)) {
                self.states.push(state);
            }
            return self.stay_out(cx).await;
        }
        let observed = self.told(&manifest, &envelope, pending.as_ref());
        Ok(Err((observed.0, answer.finding(expected(observed.0), observed.1))))
    }

    /// bob, if he was removed.
    async fn stay_out(&self, cx: &Ctx) -> Result<Result<(), (Broken, Finding)>, Stop> {
        let Some(repo) = self.states.last().filter(|repo| repo.manifest.member(&self.bob.id).is_none()) else {
            return Ok(Ok(()));
        };
        let bob = cx.authenticate(self.bob.clone()).await?;
        let answer = cx.pull(&bob, &repo.pull_request(0)).await?;
        if answer.is_success() {
            let observed = "pull serves who isn't in the roster";
            return Ok(Err((Broken::Members, answer.finding(expected(Broken::Members), observed))));
        }
        Ok(Ok(()))
    }

    /// What kind of wrong it is.
    fn told(&self, manifest: &VaultManifest, envelope: &EncryptedEnvelope, pending: Option<&Repo>) -> (Broken, String) {
        let last = self.states.last();
        let before = last.map_or_else(String::new, |last| {
            format!("version {} at epoch {} was acknowledged", last.version(), last.epoch())
        });
        if let Some(old) = self.states.iter().rev().find(|state| is_at(state, manifest, envelope)) {
            let broken = match last {
                Some(last)
                    if last.manifest.member(&self.bob.id).is_none() && old.manifest.member(&self.bob.id).is_some() =>
                {
                    Broken::Members
                }
                Some(last) if old.version() < last.version() => Broken::Versions,
                _ => Broken::Acknowledged,
            };
            return (
                broken,
                format!(
                    "{before}; the crash has brought back version {} at epoch {}, with {} members",
                    old.version(),
                    old.epoch(),
                    old.manifest.members.len()
                ),
            );
        }
        let known = || self.states.iter().chain(pending);
        let of_manifest = known().rev().find(|state| compare_manifest(&state.manifest, manifest).is_none());
        let of_envelope = known().rev().find(|state| compare_envelope(&state.envelope, envelope).is_none());
        let part = |state: Option<&Repo>| {
            state.map_or_else(
                || "of no state that was written".to_owned(),
                |state| format!("of version {}", state.version()),
            )
        };
        let difference = pending.or(last).and_then(|state| {
            compare_manifest(&state.manifest, manifest).or_else(|| compare_envelope(&state.envelope, envelope))
        });
        (
            Broken::Whole,
            format!(
                "{before}; after the crash the manifest is {} and the envelope {}: {}",
                part(of_manifest),
                part(of_envelope),
                difference.unwrap_or_default()
            ),
        )
    }
}

const ACKNOWLEDGED: &str = "what was acknowledged before the crash is there after it";
const WHOLE: &str = "the write that the crash met is there as a whole or not at all";

fn expected(broken: Broken) -> &'static str {
    match broken {
        Broken::Acknowledged => ACKNOWLEDGED,
        Broken::Whole | Broken::History => WHOLE,
        Broken::Versions => "versions and epochs that were acknowledged before the crash don't go down in it",
        Broken::Nonces => "a nonce that has bought a token before the crash buys none after it",
        Broken::Members => "who was removed before the crash is no member after it",
    }
}

fn is_at(state: &Repo, manifest: &VaultManifest, envelope: &EncryptedEnvelope) -> bool {
    compare_manifest(&state.manifest, manifest).is_none() && compare_envelope(&state.envelope, envelope).is_none()
}

/// A 5xx may be the last word of a server that is being killed.
fn told<T: serde::de::DeserializeOwned>(
    result: Result<super::super::Answer<'_>, Stop>,
    accepts: impl Fn(&T) -> bool,
) -> Told {
    match result {
        Ok(answer) if answer.is_success() => match answer.message::<T>() {
            Ok(message) if accepts(&message) => Told::Done,
            Ok(_) => Told::Refused("accepted: false".into()),
            Err(_) => Told::Unknown,
        },
        Ok(answer) if answer.status >= 500 => Told::Unknown,
        Ok(answer) => Told::Refused(answer.summary()),
        Err(_) => Told::Unknown,
    }
}
