//! Linearizability (SPEC §10): many clients do everything at once, and there must be an order of all they did that explains
//! every answer.

use futures_util::future::join_all;
use tokio::time::Instant;

use super::check::checks;
use super::contention::{failed, patience};
use super::{Answer, Ctx, Member, Outcome, Stop};
use crate::client::{Identity, Repo};
use crate::history::{self, Linearizability};
use crate::wire::{PullRequest, PullResponse, PushResponse, VaultManifest};

checks! {
    "race/history-is-linearizable", Must, "§10",
        [WRITES_SERIALIZED, SNAPSHOT_READS, EFFECT_AUTHORITY, READ_YOUR_WRITES], linearizable,
        "Everything that many clients did at once has an order that explains every answer", phase = Contention;
}

/// Clients at once: few where the server serves one connection at a time.
const CLIENTS: usize = 6;
const FEW_CLIENTS: usize = 3;
/// How much of a counterexample a report carries; the picture that `--save-history` draws has all of it.
const SHOWN: usize = 1600;

/// A client at work: what it does fits what it last saw.
pub(super) struct Player<'c> {
    cx: &'c Ctx,
    member: &'c Member,
    everybody: &'c [Member],
    repo_id: &'c str,
    /// The repository as it last saw it; `None` when it must look again.
    view: Option<Repo>,
}

/// The clients' work within the budget, and the verdict on it.
pub(super) async fn linearizable(cx: &Ctx) -> Outcome {
    let recording = cx.recording();
    let mut everybody = Vec::new();
    for _ in 0..if cx.world.serves_few_connections() { FEW_CLIENTS } else { CLIENTS } {
        everybody.push(cx.member().await?);
    }
    let at_first: Vec<&Identity> = everybody[1..everybody.len() - 1].iter().map(|member| &member.identity).collect();
    let repo = cx.repo_with(&everybody[0], &at_first).await?;
    let (until, turns) = patience(cx);
    let players = everybody.iter().map(|member| async {
        let mut player = Player::new(cx, member, &everybody, repo.id());
        let mut turn = 0;
        while turn < 2 || (turn < turns && Instant::now() < until && !recording.is_long()) {
            player.play().await?;
            turn += 1;
        }
        Ok::<_, Stop>(())
    });
    for outcome in join_all(players).await {
        outcome?;
    }
    let history = recording.history();
    let count = history.ops.len();
    match history::check(&history) {
        Linearizability::Linearizable { .. } => {
            cx.remark(format!("{count} operations by {} clients, all explained by one order", everybody.len()));
            Ok(())
        }
        Linearizability::Undecided { .. } => Err(Stop::not_judged(format!(
            "too few of {count} operations were answered to tell whether they have an order"
        ))),
        Linearizability::NotLinearizable(_) if stays_out(cx).await? => {
            Err(Stop::not_applicable("whoever was removed can't be added again here, of which a history knows nothing"))
        }
        Linearizability::NotLinearizable(counterexample) => {
            let lines: Vec<String> = counterexample.text(&history).lines().map(str::to_owned).collect();
            let shown: String = lines.join("; ").chars().take(SHOWN).collect();
            let expected =
                "an order of all operations, each between its request and its answer, that explains every answer";
            Err(cx.violation(expected, format!("of {count} operations, these have none: {shown}")))
        }
    }
}

/// Whether it is the policy here that whoever was removed stays out.
pub(super) async fn stays_out(cx: &Ctx) -> Result<bool, Stop> {
    let (alice, bob) = (cx.member().await?, cx.identity());
    let mut repo = cx.repo_with(&alice, &[&bob]).await?;
    cx.expel(&alice, &mut repo, &bob.id, &[&alice]).await?;
    Ok(cx.add(&alice, &repo.add_request(&bob)).await?.is_refusal())
}

impl<'c> Player<'c> {
    /// A client that has seen nothing yet.
    pub(super) fn new(cx: &'c Ctx, member: &'c Member, everybody: &'c [Member], repo_id: &'c str) -> Self {
        Self { cx, member, everybody, repo_id, view: None }
    }
}

impl Player<'_> {
    /// One operation. No answer is an unknown outcome, of which the history takes care.
    pub(super) async fn play(&mut self) -> Outcome {
        let Some(view) = self.view.clone().filter(|view| view.manifest.member(self.member.id()).is_some()) else {
            return self.look(0).await;
        };
        match self.cx.choose(100) {
            0..25 => self.look(if self.cx.choose(2) == 0 { view.version() } else { 0 }).await,
            25..45 => self.push(view, false).await,
            45..60 => self.push(view, true).await,
            60..78 => self.add(view).await,
            78..90 => self.remove(view).await,
            _ => self.fetch().await,
        }
    }

    /// What a 2xx answer says; `None` for a refusal, or no answer.
    fn told<T: serde::de::DeserializeOwned>(answer: Result<Answer<'_>, Stop>) -> Result<Option<T>, Stop> {
        match answer {
            Ok(answer) => {
                answer.must(!failed(&answer), "no 5xx under contention", || answer.summary())?;
                answer.is_success().then(|| answer.message()).transpose()
            }
            Err(Stop::Violation(_)) => Ok(None),
            Err(stop) => Err(stop),
        }
    }

    async fn look(&mut self, known: i64) -> Outcome {
        let request = PullRequest { repo_id: self.repo_id.into(), known_payload_version: known };
        let pulled: Option<PullResponse> = Self::told(self.cx.pull(self.member, &request).await)?;
        let Some(pulled) = pulled else {
            self.view = None;
            return Ok(());
        };
        match (pulled.envelope, &mut self.view) {
            // What can't be read isn't from one state; the history will tell.
            (Some(envelope), view) => *view = Repo::pulled(self.member, pulled.manifest, envelope).ok(),
            (None, Some(view)) if view.version() == pulled.manifest.payload_version => view.manifest = pulled.manifest,
            (None, view) => *view = None,
        }
        Ok(())
    }

    async fn push(&mut self, view: Repo, rotating: bool) -> Outcome {
        let mut next = view.clone();
        let request = if rotating {
            let rotation = view.rotation(self.member, &self.inside(&view));
            next.apply_rotation(&rotation);
            view.rotating_push(&rotation)
        } else {
            let request = view.push_request(self.member);
            next.apply_push(&request);
            request
        };
        let told: Option<PushResponse> = Self::told(self.cx.push(self.member, &request).await)?;
        self.view = told.filter(|response| response.accepted).map(|_| next);
        Ok(())
    }

    async fn add(&mut self, mut view: Repo) -> Outcome {
        let outside: Vec<&Member> =
            self.everybody.iter().filter(|member| view.manifest.member(member.id()).is_none()).collect();
        if outside.is_empty() {
            return self.look(view.version()).await;
        }
        let request = view.add_request(outside[self.cx.choose(outside.len())]);
        let told: Option<VaultManifest> = Self::told(self.cx.add(self.member, &request).await)?;
        view.apply_add(&request.member);
        self.view = told.map(|_| view);
        Ok(())
    }

    async fn remove(&mut self, mut view: Repo) -> Outcome {
        let inside = self.inside(&view);
        let others: Vec<_> = inside.iter().filter(|identity| identity.id != self.member.id()).collect();
        if others.len() < 2 {
            return self.add(view).await;
        }
        let removed = others[self.cx.choose(others.len())].id.clone();
        let staying: Vec<&Identity> = inside.iter().copied().filter(|identity| identity.id != removed).collect();
        let rotation = view.rotation(self.member, &staying);
        let told: Option<VaultManifest> =
            Self::told(self.cx.remove(self.member, &view.remove_request(&removed, &rotation)).await)?;
        view.apply_rotation(&rotation);
        self.view = told.map(|_| view);
        Ok(())
    }

    async fn fetch(&mut self) -> Outcome {
        let member = &self.everybody[self.cx.choose(self.everybody.len())];
        Self::told::<crate::wire::MemberEntry>(self.cx.fetch(self.member, self.repo_id, member.id()).await).map(drop)
    }

    /// Those of the players who are members, as this one sees it.
    fn inside(&self, view: &Repo) -> Vec<&Identity> {
        let members = self.everybody.iter().filter(|member| view.manifest.member(member.id()).is_some());
        members.map(|member| &member.identity).collect()
    }
}
