//! Many variants of one rule: what broke is collected, so that one finding names them all.

use super::{Answer, Ctx, Finding, Outcome, Stop};

/// Names of further variants that a finding gives.
const NAMED: usize = 12;

/// The variants that broke the rule, and those that can't be tried here.
#[derive(Default)]
pub struct Variants {
    tried: usize,
    broken: Vec<(String, Finding)>,
    skipped: Vec<(String, String)>,
    stumbled: Vec<(String, Finding)>,
}

impl Variants {
    /// Notes how a variant ended.
    ///
    /// # Errors
    /// [`Stop::SetupFailed`] ends the table: what it needs doesn't work.
    pub fn note(&mut self, variant: impl Into<String>, outcome: Outcome) -> Outcome {
        match outcome {
            Ok(()) => self.tried += 1,
            Err(Stop::Violation(finding)) => self.broken.push((variant.into(), *finding)),
            Err(Stop::Skip(_, reason)) => self.skipped.push((variant.into(), reason)),
            Err(trouble) => return Err(trouble),
        }
        Ok(())
    }

    /// A variant was neither taken nor refused but ended in a server error, which is never an answer to what is rightly asked: a text
    /// of any length. Where the text is odd (it holds a NUL, say), or what is asked is, it is worth a warning.
    pub fn stumbled(&mut self, variant: impl Into<String>, text: Option<&str>, answer: &Answer<'_>) {
        let is_plain = text.is_some_and(|text| !text.contains(char::is_control));
        let list = if is_plain { &mut self.broken } else { &mut self.stumbled };
        list.push((variant.into(), answer.finding("a 2xx or 4xx answer", answer.summary())));
    }

    /// Whether anything is broken so far.
    pub fn is_broken(&self) -> bool {
        !self.broken.is_empty()
    }

    /// The end of the table: broken if one variant is, with the names of all; skipped if none could be tried.
    ///
    /// # Errors
    /// [`Stop::Violation`], [`Stop::Skip`].
    pub fn settle(self, cx: &Ctx) -> Outcome {
        if let Some(finding) = summed(&self.stumbled) {
            cx.warn(finding);
        }
        let Some(finding) = summed(&self.broken) else {
            return match self.skipped.first() {
                Some((_, reason)) if self.tried == 0 => Err(Stop::not_applicable(reason.clone())),
                Some((variant, reason)) => {
                    cx.remark(format!("{} of {} not tried: {variant}: {reason}", self.skipped.len(), self.total()));
                    Ok(())
                }
                None => Ok(()),
            };
        };
        Err(Stop::Violation(Box::new(finding)))
    }

    /// As [`Self::settle`], for what is no more than a warning.
    pub fn warn(self, cx: &Ctx) {
        if let Some(finding) = summed(&self.broken) {
            cx.warn(finding);
        }
    }

    /// As [`Self::warn`], of a habit that other checks may meet as well.
    pub fn warn_once(self, cx: &Ctx, habit: &'static str) {
        let Some(finding) = summed(&self.broken) else { return };
        if let Err(Stop::Violation(finding)) = cx.told_once(habit, Err(Stop::Violation(Box::new(finding)))) {
            cx.warn(*finding);
        }
    }

    fn total(&self) -> usize {
        self.tried + self.broken.len() + self.skipped.len()
    }
}

/// The first finding with the names of the others.
fn summed(list: &[(String, Finding)]) -> Option<Finding> {
    let (variant, finding) = list.first()?;
    let names: Vec<_> = list.iter().skip(1).take(NAMED).map(|(variant, _)| variant.as_str()).collect();
    let more = list.len() - 1 - names.len();
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let others = if names.is_empty() { String::new() } else { format!("; also {}{more}", names.join(", ")) };
    Some(Finding { observed: format!("{variant}: {}{others}", finding.observed), ..finding.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(observed: &str) -> Outcome {
        Err(Stop::Violation(Box::new(Finding {
            expected: "e".into(),
            observed: observed.into(),
            exchange: None,
            evidence: Vec::new(),
        })))
    }

    #[test]
    fn the_first_is_told_and_all_are_named() {
        let mut tally = Variants::default();
        for (variant, outcome) in [("a", Ok(())), ("b", broken("x")), ("c", broken("y")), ("d", broken("z"))] {
            tally.note(variant, outcome).unwrap();
        }
        assert!(tally.is_broken());
        assert_eq!(summed(&tally.broken).unwrap().observed, "b: x; also c, d");
    }

    #[test]
    fn names_are_bounded() {
        let mut tally = Variants::default();
        for variant in 0..30 {
            tally.note(variant.to_string(), broken("x")).unwrap();
        }
        assert!(summed(&tally.broken).unwrap().observed.ends_with("12 and 17 more"));
    }

    #[test]
    fn trouble_ends_the_table() {
        let finding = Finding { expected: "e".into(), observed: "o".into(), exchange: None, evidence: Vec::new() };
        assert!(Variants::default().note("a", Err(Stop::SetupFailed(Box::new(finding)))).is_err());
    }
}
