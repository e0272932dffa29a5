//! From results to a judgement and an exit status.

use super::known::Judged;
use super::{CheckInfo, CheckResult, Omission, RunConfig, Status, Summary, Verdict, select};
use crate::requirements::Level;
use crate::scenarios::Abort;

/// Why a run ended before its last check.
#[derive(Clone, Debug)]
pub enum Ending {
    /// It didn't.
    Complete,
    /// Ctrl-C.
    Interrupted,
    /// `--deadline`.
    Deadline,
    /// It never began: `--only` and `--skip` can't be understood.
    Unusable(String),
    /// The target can't be judged (any longer).
    Aborted(Abort),
}

/// Counts results as they come.
#[derive(Debug, Default)]
pub struct Tally {
    /// Number of checks by status.
    pub summary: Summary,
    /// MUST checks that were left out by options.
    must_left_out: usize,
    /// Of these, the ones that only wait for `--slow`.
    must_waiting: usize,
    /// MUST checks that were tried and came to no verdict.
    must_not_judged: usize,
    must_failed: usize,
    /// Of what failed, what is known to.
    known: Summary,
    /// What the file of known failures says of the run.
    judged: Judged,
}

impl Tally {
    /// Counts the result of a check, run or not.
    pub fn count(&mut self, result: &CheckResult) {
        self.summary.count(result.status);
        if result.check.level != Level::Must {
            return;
        }
        match (result.status, result.omission) {
            (Status::Fail, _) => self.must_failed += 1,
            (Status::Skip, Some(Omission::NotApplicable)) => {}
            (Status::Skip, Some(Omission::NotJudged)) => self.must_not_judged += 1,
            (Status::Skip, _) => {
                self.must_left_out += 1;
                self.must_waiting += usize::from(result.message == select::WAITS);
            }
            _ => {}
        }
    }

    /// Takes out what is known to fail, and notes what is wrong with the file that says so.
    pub fn forgive(&mut self, outcomes: &[(&'static CheckInfo, Status)], known: &Judged) {
        self.known = known.counted(outcomes);
        for (check, status) in outcomes.iter().filter(|(check, _)| known.covered.contains_key(check.id)) {
            self.must_failed -= usize::from(*status == Status::Fail && check.level == Level::Must);
        }
        self.judged = known.clone();
    }

    /// The judgement, a sentence, advice, and the exit status.
    pub fn judge(&self, ending: &Ending, config: &RunConfig) -> (Verdict, String, String, u8) {
        if let Ending::Complete = ending {
            let (verdict, reason, advice, exit) = self.judge_complete(config);
            let (reason, exit) = self.judged.added_to(reason, exit);
            return (verdict, reason, advice, exit);
        }
        self.judge_cut_short(ending, config)
    }

    fn judge_cut_short(&self, ending: &Ending, config: &RunConfig) -> (Verdict, String, String, u8) {
        let none = String::new;
        match ending {
            Ending::Complete => self.judge_complete(config),
            Ending::Unusable(reason) => {
                let reason = format!("the selection can't be used: {reason}");
                (Verdict::NotJudged, reason, "see --only and --skip".into(), 2)
            }
            Ending::Aborted(abort) => (Verdict::NotJudged, abort.reason.clone(), abort.advice.clone(), 3),
            Ending::Interrupted => {
                (Verdict::Incomplete, "interrupted; what follows is the report so far".into(), none(), 130)
            }
            Ending::Deadline => {
                let failed = self.must_failed > 0;
                let (verdict, exit) = if failed { (Verdict::NotConformant, 1) } else { (Verdict::Incomplete, 3) };
                let reason = format!("the run took longer than --deadline {:?}", config.deadline);
                (verdict, reason, "raise --deadline, or select checks with --only".into(), exit)
            }
        }
    }

    fn judge_complete(&self, config: &RunConfig) -> (Verdict, String, String, u8) {
        of_results(self.summary, self.known, self.must_failed, config.strict, self.missing())
    }

    /// The MUST checks that a conformant server would have passed as well.
    fn missing(&self) -> Option<String> {
        let Self { must_left_out: left_out, must_not_judged: not_judged, .. } = *self;
        let were = |number: usize| if number == 1 { "was" } else { "were" };
        let how = if self.must_waiting == left_out { " (--slow runs them)" } else { "" };
        let left = format!("{left_out} MUST check{} {} left out{how}", plural(left_out), were(left_out));
        match (left_out, not_judged) {
            (0, 0) => None,
            (_, 0) => Some(left),
            (0, _) => Some(format!("{not_judged} MUST check{} could not be judged", plural(not_judged))),
            _ => Some(format!("{left}, and {not_judged} could not be judged")),
        }
    }
}

/// The judgement of a run that came to its end, a sentence, advice, and the exit status. `known` is what is known to fail of what
/// `summary` counts, `must_failed` are the MUST checks that failed beside that, `missing` says which were not judged.
pub(crate) fn of_results(
    summary: Summary,
    known: Summary,
    must_failed: usize,
    strict: bool,
    missing: Option<String>,
) -> (Verdict, String, String, u8) {
    let (warn, error) = (summary.warn - known.warn, summary.error - known.error);
    let (fail, as_known) = (summary.fail - known.fail, known.fail + known.error);
    let strict = strict && warn > 0;
    let none = String::new;
    if must_failed > 0 {
        let others = if as_known > 0 { format!(", and {as_known} more as known") } else { none() };
        return (Verdict::NotConformant, format!("{fail} check{} failed{others}", plural(fail)), none(), 1);
    }
    if error > 0 {
        let reason = format!("{error} check{} could not tell", plural(error));
        return (Verdict::Incomplete, reason, "see what went wrong while they were set up".into(), 3);
    }
    if as_known > 0 {
        let others = if strict { format!(", but {warn} warnings count under --strict") } else { none() };
        let reason = format!("{as_known} check{} failed, as known{others}", plural(as_known));
        return (Verdict::NotConformantAsKnown, reason, none(), u8::from(strict));
    }
    if summary.pass + summary.fail + summary.warn == 0 {
        let advice = "the reasons are below; choose other checks, or none, with --only";
        return (Verdict::NotJudged, "no check came to a verdict".into(), advice.into(), 3);
    }
    if let Some(reason) = missing {
        return (Verdict::Incomplete, format!("nothing failed, but {reason}"), none(), u8::from(strict));
    }
    let reason = if strict { format!("{warn} warnings count as failures under --strict") } else { none() };
    (Verdict::Conformant, reason, none(), u8::from(strict))
}

fn plural(number: usize) -> &'static str {
    if number == 1 { "" } else { "s" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::Target;
    use crate::runner::preflight::PREFLIGHT;

    fn judge(results: &[(Status, Option<Omission>)]) -> (Verdict, u8) {
        let mut tally = Tally::default();
        for (status, omission) in results {
            let result = CheckResult::left_out(&PREFLIGHT, Omission::LeftOut, "");
            tally.count(&CheckResult { status: *status, omission: *omission, ..result });
        }
        let config = RunConfig::new(Target::Avp(String::new()));
        let (verdict, _, _, exit) = tally.judge(&Ending::Complete, &config);
        (verdict, exit)
    }

    #[test]
    fn only_what_does_not_apply_leaves_a_run_conformant() {
        let pass = (Status::Pass, None);
        let skip = |omission| (Status::Skip, Some(omission));
        assert_eq!(judge(&[pass]), (Verdict::Conformant, 0));
        assert_eq!(judge(&[pass, skip(Omission::NotApplicable)]), (Verdict::Conformant, 0));
        assert_eq!(judge(&[pass, skip(Omission::NotJudged)]), (Verdict::Incomplete, 0));
        assert_eq!(judge(&[pass, skip(Omission::LeftOut)]), (Verdict::Incomplete, 0));
        assert_eq!(judge(&[(Status::Fail, None), skip(Omission::NotJudged)]), (Verdict::NotConformant, 1));
    }

    #[test]
    fn a_run_that_looked_at_nothing_is_no_judgement() {
        assert_eq!(judge(&[]), (Verdict::NotJudged, 3));
        assert_eq!(judge(&[(Status::Skip, Some(Omission::NotApplicable))]), (Verdict::NotJudged, 3));
    }

    #[test]
    fn known_failures_fail_nothing_and_are_not_conformant() {
        let judge = |ids: &[(&'static CheckInfo, Status)], stale: &[&str]| {
            let mut tally = Tally::default();
            for (check, status) in ids {
                let result = CheckResult::left_out(check, Omission::LeftOut, "");
                tally.count(&CheckResult { status: *status, omission: None, ..result });
            }
            let covered = [(PREFLIGHT.id, String::from("known.txt line 1"))].into();
            tally.forgive(ids, &Judged { covered, stale: stale.iter().map(|&text| text.into()).collect() });
            let (verdict, reason, _, exit) =
                tally.judge(&Ending::Complete, &RunConfig::new(Target::Avp(String::new())));
            (verdict, reason, exit)
        };
        let other = &crate::scenarios::all().find(|check| check.info.level == Level::Must).unwrap().info;
        let known = (&PREFLIGHT, Status::Fail);
        let as_known = (Verdict::NotConformantAsKnown, "1 check failed, as known".into(), 0);
        assert_eq!(judge(&[known, (other, Status::Pass)], &[]), as_known);
        assert_eq!(judge(&[(&PREFLIGHT, Status::Error)], &[]), as_known);
        let (verdict, reason, exit) = judge(&[known, (other, Status::Fail)], &[]);
        assert_eq!((verdict, exit), (Verdict::NotConformant, 1));
        assert_eq!(reason, "1 check failed, and 1 more as known");
        let (verdict, reason, exit) = judge(&[known], &["known.txt:2: x matches no check"]);
        assert_eq!((verdict, exit), (Verdict::NotConformantAsKnown, 1));
        assert!(reason.contains("known.txt:2"), "{reason}");
    }

    #[test]
    fn a_selection_that_cannot_be_used_is_an_error() {
        let config = RunConfig::new(Target::Avp(String::new()));
        let (verdict, reason, _, exit) = Tally::default().judge(&Ending::Unusable("too large".into()), &config);
        assert_eq!((verdict, exit), (Verdict::NotJudged, 2));
        assert!(reason.contains("too large"));
    }
}
