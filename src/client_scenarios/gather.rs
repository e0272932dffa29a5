//! The runs and scenes that checks need: the client once for every bend, several at a time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::ClientConfig;
use super::bends::RARE_WAYS;
use super::checks::{ClientCheck, Way};
use super::driver::Adapter;
use super::evidence::{ClientJudgement, Evidence, SceneResult};
use super::run::{Ran, Runs};
use super::scenes::Scene;
use super::subject::{Exit, Subject, ca_file};
use super::vault::{Bend, Endpoint};

/// So many runs that look unusual are made again; more of them are no accident.
const MOST_SUSPECTS: usize = 24;
/// How often.
const SECOND_LOOKS: usize = 3;
/// And so many usual ones are made to compare them with.
const USUAL_RUNS: usize = 6;

/// Why a run has no verdict on the client.
pub(super) struct Abort {
    pub reason: String,
    pub advice: String,
    pub exit: u8,
}

/// Makes all runs and scenes that the checks need.
pub(super) async fn gather(config: &ClientConfig, chosen: &[&'static ClientCheck]) -> Result<Evidence, Abort> {
    let trouble = |reason: String| Abort { reason, advice: String::new(), exit: 3 };
    let ca = ca_file().map_err(trouble)?;
    let ca = Arc::new(ca);
    let run = |bend: Bend, reader_joined: bool| {
        let (subject, shows, ca, timeout) =
            (config.subject.clone(), config.shows.clone(), Arc::clone(&ca), config.timeout);
        async move {
            Runs { subject: &subject, shows: shows.as_ref(), ca: ca.path(), timeout, reader_joined }.one(bend).await
        }
    };
    let honest = run(Bend::Honest, true).await;
    usable(&honest)?;
    let joined = reader_joined(&honest);
    let mut wanted: BTreeSet<Bend> = chosen.iter().flat_map(|check| check.bends).copied().collect();
    wanted.insert(Bend::Again);
    wanted.remove(&Bend::Honest);
    let mut waiting: Vec<Bend> = wanted.into_iter().collect();
    // A hanging run takes longest.
    waiting.sort_by_key(|bend| *bend != Bend::Hang);
    waiting.reverse();
    config.progress.total.store(1, Ordering::Relaxed);
    let mut runs = BTreeMap::from([(Bend::Honest, honest)]);
    runs.extend(side_by_side(config, waiting, |bend| run(bend, joined)).await?);
    // Many at once may have been too many for this machine: what took too long gets a second run, alone.
    let honest_ended = runs.get(&Bend::Honest).is_some_and(|ran| ran.exit != Exit::TimedOut);
    let late = |ran: &&Ran| honest_ended && ran.exit == Exit::TimedOut && ran.bend != Bend::Hang;
    for bend in runs.values().filter(late).map(|ran| ran.bend).collect::<Vec<_>>() {
        runs.insert(bend, run(bend, joined).await);
    }
    // Why a client can't read what others write shows in what it does read.
    let (scenes, usual) = Default::default();
    let mut evidence = Evidence { runs, usual, scenes, shows: config.shows.clone(), driven: false };
    // A program whose runs differ now and then isn't blamed for it: what only a comparison shows has to show again.
    let suspects = |evidence: &Evidence| -> Vec<Bend> {
        evidence.runs.keys().copied().filter(|bend| evidence.is_suspect(*bend)).collect()
    };
    if !suspects(&evidence).is_empty() && !config.subject.is_driven() {
        let usual = side_by_side(config, vec![Bend::Honest; USUAL_RUNS], |bend| run(bend, true)).await?;
        evidence.usual.extend(usual.into_iter().map(|(_, ran)| ran));
        for _ in 0..SECOND_LOOKS {
            let suspects = suspects(&evidence);
            if suspects.len() > MOST_SUSPECTS {
                break;
            }
            for (bend, ran) in side_by_side(config, suspects, |bend| run(bend, joined)).await? {
                let before = evidence.runs.insert(bend, ran);
                if let Some(before) = before.filter(|_| evidence.is_suspect(bend)) {
                    evidence.runs.insert(bend, before);
                }
            }
        }
    }
    let blind = evidence.works() && evidence.reads() == Some(false);
    let Evidence { mut runs, usual, .. } = evidence;
    if blind {
        runs.extend(side_by_side(config, RARE_WAYS.to_vec(), |bend| run(bend, joined)).await?);
    }
    let scenes = play_scenes(config, chosen, &ca).await;
    let mut evidence =
        Evidence { runs, usual, scenes, shows: config.shows.clone(), driven: config.subject.is_driven() };
    evidence.settle();
    Ok(evidence)
}

/// Runs the client with these bends, the last first, as many at a time as the options say.
async fn side_by_side<F: Future<Output = Ran> + Send + 'static>(
    config: &ClientConfig,
    mut waiting: Vec<Bend>,
    run: impl Fn(Bend) -> F,
) -> Result<Vec<(Bend, Ran)>, Abort> {
    config.progress.total.fetch_add(waiting.len() as u64, Ordering::Relaxed);
    let (mut working, mut runs) = (JoinSet::new(), Vec::new());
    loop {
        while working.len() < config.jobs.max(1)
            && let Some(bend) = waiting.pop()
        {
            working.spawn(run(bend));
        }
        match working.join_next().await {
            Some(Ok(ran)) => {
                config.progress.done.fetch_add(1, Ordering::Relaxed);
                runs.push((ran.bend, ran));
            }
            Some(Err(error)) => {
                let reason = format!("a run ended early: {error}");
                return Err(Abort { reason, advice: String::new(), exit: 3 });
            }
            None => return Ok(runs),
        }
    }
}

/// Plays the scenes that the checks need, several adapters at a time.
async fn play_scenes(
    config: &ClientConfig,
    chosen: &[&'static ClientCheck],
    ca: &Arc<tempfile::NamedTempFile>,
) -> HashMap<&'static str, SceneResult> {
    let mut waiting: Vec<(&'static str, Scene)> = chosen
        .iter()
        .filter_map(|check| match check.way {
            Way::Scene(scene) => Some((check.info.id, scene)),
            Way::Runs(_) => None,
        })
        .collect();
    let mut working = JoinSet::new();
    let mut judged = HashMap::new();
    loop {
        while working.len() < config.jobs.max(1)
            && let Some((id, scene)) = waiting.pop()
        {
            let (subject, ca, timeout) = (config.subject.clone(), Arc::clone(ca), config.timeout);
            working.spawn(async move {
                let started = Instant::now();
                (id, (play(&subject, ca.path(), timeout, scene).await, started.elapsed()))
            });
        }
        match working.join_next().await {
            Some(Ok((id, played))) => drop(judged.insert(id, played)),
            Some(Err(_)) => {}
            None => return judged,
        }
    }
}

async fn play(subject: &Subject, ca: &std::path::Path, timeout: Duration, scene: Scene) -> ClientJudgement {
    match Adapter::start(subject, ca, timeout) {
        Ok(mut adapter) => {
            let judgement = scene(&mut adapter).await;
            adapter.end().await;
            judgement
        }
        Err(exit) => ClientJudgement::Unclear(exit.to_string()),
    }
}

/// Whether the first run says that there is something to judge.
fn usable(honest: &Ran) -> Result<(), Abort> {
    if let Exit::Unusable(reason) = &honest.exit {
        let advice = "run the command by hand; a relative path is relative to here".to_owned();
        return Err(Abort { reason: reason.clone(), advice, exit: 3 });
    }
    // A library that only joins has nothing to do on the tour, and scenes to be judged by.
    if honest.at_vault().next().is_none() && honest.unsupported.is_empty() {
        let reason = format!(
            "the client sent nothing to the vault ({}{})",
            honest.exit,
            super::bends::last_line(&honest.output)
        );
        let advice = "give it the address: {url} in its arguments is replaced, and AVP_SERVER_URL is set".to_owned();
        return Err(Abort { reason, advice, exit: 3 });
    }
    Ok(())
}

/// Whether somebody who was invited pulls.
fn reader_joined(honest: &Ran) -> bool {
    let creators: BTreeSet<_> = honest.of(Endpoint::Create).filter_map(|record| record.caller.clone()).collect();
    honest.of(Endpoint::Pull).any(|record| {
        let with = record.is_done() && !record.answer["envelope"].is_null();
        with && record.caller.as_ref().is_some_and(|caller| !creators.contains(caller))
    })
}
