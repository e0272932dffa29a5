//! From results to a judgement and an exit status.

use super::{RunConfig, Status, Summary, Verdict};
use crate::requirements::Level;
use crate::scenarios::{Abort, CheckInfo};

/// Why a run ended before its last check.
#[derive(Clone, Debug)]
pub enum Ending {
    /// It didn't.
    Complete,
    /// Ctrl-C.
    Interrupted,
    /// `--deadline`.
    Deadline,
    /// The target can't be judged (any longer).
    Aborted(Abort),
}

/// Counts results as they come.
#[derive(Debug, Default)]
pub struct Tally {
    /// Number of checks by status.
    pub summary: Summary,
    /// MUST checks that were left out by options.
    pub must_left_out: usize,
    /// Of these, the ones that only wait for `--slow`.
    pub must_waiting: usize,
    must_failed: usize,
}

impl Tally {
    /// Counts a result of a check that ran.
    pub fn count(&mut self, info: &CheckInfo, status: Status) {
        self.summary.count(status);
        if status == Status::Fail && info.level == Level::Must {
            self.must_failed += 1;
        }
    }

    /// Counts a check that was left out.
    pub fn leave_out(&mut self, info: &CheckInfo, waits: bool) {
        self.summary.count(Status::Skip);
        if info.level == Level::Must {
            self.must_left_out += 1;
            self.must_waiting += usize::from(waits);
        }
    }

    /// The judgement, a sentence, advice, and the exit status.
    pub fn judge(&self, ending: &Ending, config: &RunConfig) -> (Verdict, String, String, u8) {
        let Summary { fail, warn, error, .. } = self.summary;
        let failed = self.must_failed > 0;
        match ending {
            Ending::Aborted(abort) => return (Verdict::NotJudged, abort.reason.clone(), abort.advice.clone(), 3),
            Ending::Interrupted => {
                return (
                    Verdict::Incomplete,
                    "interrupted; what follows is the report so far".into(),
                    String::new(),
                    130,
                );
            }
            Ending::Deadline => {
                let verdict = if failed { Verdict::NotConformant } else { Verdict::Incomplete };
                let reason = format!("the run took longer than --deadline {:?}", config.deadline);
                return (
                    verdict,
                    reason,
                    "raise --deadline, or select checks with --only".into(),
                    if failed { 1 } else { 3 },
                );
            }
            Ending::Complete => {}
        }
        if failed {
            let reason = format!("{fail} check{} failed", if fail == 1 { "" } else { "s" });
            return (Verdict::NotConformant, reason, String::new(), 1);
        }
        if error > 0 {
            let reason = format!("{error} check{} could not tell", if error == 1 { "" } else { "s" });
            return (Verdict::Incomplete, reason, "see what went wrong while they were set up".into(), 3);
        }
        let strict = config.strict && warn > 0;
        let exit = u8::from(strict);
        if self.must_left_out > 0 {
            let how = if self.must_waiting == self.must_left_out { " (--slow runs them)" } else { "" };
            let reason = format!("nothing failed, but {} MUST checks were left out{how}", self.must_left_out);
            return (Verdict::Incomplete, reason, String::new(), exit);
        }
        let reason = if strict { format!("{warn} warnings count as failures under --strict") } else { String::new() };
        (Verdict::Conformant, reason, String::new(), exit)
    }
}
