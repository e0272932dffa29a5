//! How well the suite tells a good server from a bad one: it judges the built-in server clean, with every fault, and with
//! every quirk, all in process and over real sockets.

mod assess;
pub mod causes;
mod clients;
mod groups;
mod matrix;
mod recorded;
mod shown_by;
mod stage;
mod trial;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

pub use clients::{ClientTrial, FirstCause, client_subjects, run_clients};
pub use matrix::{coverage, json, markdown};
pub use shown_by::list as shown_by;
pub use stage::{Around, Stage};

pub use trial::judge;

use crate::faults::{Fault, FaultKind, Quirk};
use crate::ground::lock;
use crate::scenarios;
use crate::server::Profile;

/// One judged server.
#[derive(Clone, Copy, Debug)]
pub enum Subject {
    /// The conformant server: no failure, warning or error.
    Clean,
    /// One rule broken: a check that names the rule must see it.
    Fault(Fault),
    /// One odd but allowed habit: no failure or error, and one warning if it is listed as worth one.
    Quirk(Quirk),
    /// Every quirk that goes with the others: no failure or error.
    AllQuirks,
}

impl Subject {
    /// `clean`, the fault's or quirk's name, or `all quirks`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Fault(fault) => fault.info().name,
            Self::Quirk(quirk) => quirk.info().name,
            Self::AllQuirks => "all quirks",
        }
    }

    /// Whether it takes something to expire before it shows.
    fn is_slow(&self) -> bool {
        matches!(self, Self::Fault(fault) if fault.info().kind == FaultKind::Slow)
    }

    fn quirk(&self) -> Option<Quirk> {
        if let Self::Quirk(quirk) = self { Some(*quirk) } else { None }
    }
}

/// How a judged server came off, and whether that is as it should be.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Which server.
    pub subject: Subject,
    /// Checks that saw it, by id. For a fault whose rule is a MUST, warnings don't count.
    pub caught_by: Vec<&'static str>,
    /// Those of them that name the broken rule.
    pub related: Vec<&'static str>,
    /// Whether the suite did what it should.
    pub right: bool,
    /// What is wrong, if something is.
    pub complaint: String,
    /// Wall time of the run.
    pub took: Duration,
}

/// What is to be judged: the built-in server as it is, with every quirk, and with every fault.
pub fn subjects(profile: Profile) -> Vec<Subject> {
    let mut all = vec![Subject::AllQuirks, Subject::Clean];
    all.extend(Quirk::all().iter().filter(|quirk| quirk.exists_in(profile)).copied().map(Subject::Quirk));
    let rule_is_judged = |fault: &Fault| {
        let proves = |check: &&scenarios::Check| {
            check.only != Some(crate::client::Profile::Http)
                && check.info.requirements.iter().any(|rule| rule.id == fault.breaks(profile).0)
        };
        profile == Profile::Http || scenarios::all().any(|check| proves(&check))
    };
    let exists = |fault: &&Fault| {
        fault.info().only.is_none_or(|only| only == profile) && rule_is_judged(fault)
            // Killed are processes of the other profile, and where both are needed, both are judged.
            && (profile == Profile::Http || !matches!(fault.info().kind, FaultKind::Crash | FaultKind::Profiles))
    };
    all.extend(Fault::all().iter().filter(exists).copied().map(Subject::Fault));
    all
}

/// How much of the matrix is to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// All of it: every check of a fault's rule is run, and every quirk is judged by itself.
    Matrix,
    /// Whether all is as it should be: the check that caught a fault before is asked first, and where that sees nothing the others,
    /// until one does. Quirks that go together are judged together; by themselves only where more is said than of one.
    Quick,
}

/// What a worker takes at once: one server, or several quirks that may be on together.
type Batch = Vec<(usize, Subject)>;

/// The subjects with their places: those that mostly wait, and those that work.
fn batches(subjects: &[Subject], effort: Effort) -> (VecDeque<Batch>, VecDeque<Batch>) {
    let alone = subjects.iter().copied().enumerate().map(|placed| vec![placed]);
    let (waiting, mut working): (VecDeque<Batch>, VecDeque<Batch>) =
        alone.partition(|batch| batch.iter().any(|(_, subject)| groups::mostly_waits(*subject)));
    if effort == Effort::Quick {
        let (several, alone): (VecDeque<Batch>, VecDeque<Batch>) =
            working.into_iter().partition(|batch| batch.iter().all(|(_, subject)| groups::goes_with_others(*subject)));
        working = groups::of(Vec::from(several).concat()).into_iter().chain(alone).collect();
    }
    (waiting, working)
}

/// Judges every subject, `jobs` at a time, and beside them those that mostly wait; `progress` hears of each as it ends.
/// Results are in the order of `subjects`.
pub async fn run(
    profile: Profile,
    subjects: &[Subject],
    effort: Effort,
    jobs: usize,
    mut progress: impl FnMut(&Trial),
) -> Vec<Trial> {
    let (finished, mut trials) = mpsc::unbounded_channel();
    let (waiting, working) = batches(subjects, effort);
    let mut workers = JoinSet::new();
    for batch in waiting {
        let finished = finished.clone();
        workers.spawn(async move {
            // Nobody listens any more when the selftest is being ended.
            let _ = finished.send(trial::judge_all(profile, batch, effort).await);
        });
    }
    let queue = Arc::new(std::sync::Mutex::new(working));
    for _ in 0..jobs.max(1) {
        let (queue, finished) = (queue.clone(), finished.clone());
        workers.spawn(async move {
            loop {
                let next = lock(&queue).pop_front();
                let Some(batch) = next else { break };
                if finished.send(trial::judge_all(profile, batch, effort).await).is_err() {
                    break;
                }
            }
        });
    }
    drop(finished);
    let mut results: Vec<Option<Trial>> = vec![None; subjects.len()];
    while let Some(judged) = trials.recv().await {
        for (place, trial) in judged {
            progress(&trial);
            results[place] = Some(trial);
        }
    }
    results.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subject_is_judged_once() {
        for profile in [Profile::Http, Profile::Grpc] {
            let subjects = subjects(profile);
            for effort in [Effort::Matrix, Effort::Quick] {
                let (waiting, working) = batches(&subjects, effort);
                let mut places: Vec<usize> =
                    waiting.iter().chain(&working).flatten().map(|(place, _)| *place).collect();
                places.sort_unstable();
                assert_eq!(places, (0..subjects.len()).collect::<Vec<_>>());
                let several: Vec<&Batch> = working.iter().filter(|batch| batch.len() > 1).collect();
                assert_eq!(several.is_empty(), effort == Effort::Matrix);
            }
        }
    }
}
