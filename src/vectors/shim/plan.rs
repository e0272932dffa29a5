//! What is to be done: a check for every case of the bank, and one for every operation that random cases are made for.

use std::collections::HashSet;

use globset::GlobSet;

use super::super::case::Case;
use super::super::op::CodecOp;
use super::bank::AreaCase;
use crate::requirements::{Level, Requirement, Revision};
use crate::runner::CheckInfo;

/// Which checks are wanted, by id or section.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Nothing else than these; `None` means all.
    pub only: Option<GlobSet>,
    /// Not these.
    pub skip: Option<GlobSet>,
}

/// The checks of a run.
pub struct Plan {
    /// Cases to be asked, with their checks.
    pub(super) cases: Vec<(&'static CheckInfo, Case)>,
    /// Operations that random cases are made for, with their checks.
    pub(super) ops: Vec<(&'static CheckInfo, CodecOp)>,
    /// Checks left out, with the reason.
    pub(super) left_out: Vec<(&'static CheckInfo, String)>,
}

impl Plan {
    /// Plans a run over cases and, if `random`, over random ones of every operation.
    pub fn new(cases: Vec<AreaCase>, random: bool, selection: &Selection) -> Self {
        let mut plan = Self { cases: Vec::new(), ops: Vec::new(), left_out: Vec::new() };
        let mut ids = HashSet::new();
        for (area, case) in cases {
            let info = case_info(area, &case, &mut ids);
            match selection.reason_against(info) {
                None => plan.cases.push((info, case)),
                Some(reason) => plan.left_out.push((info, reason)),
            }
        }
        for op in CodecOp::ALL {
            let info = op_info(*op);
            match selection.reason_against(info) {
                None if random => plan.ops.push((info, *op)),
                None => plan.left_out.push((info, "no random cases: --cases 0".into())),
                Some(reason) => plan.left_out.push((info, reason)),
            }
        }
        plan
    }

    /// Number of checks that will run.
    pub fn len(&self) -> usize {
        self.cases.len() + self.ops.len()
    }

    /// Whether nothing will run.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every id, those left out included.
    pub fn ids(&self) -> Vec<&'static str> {
        let chosen = self.cases.iter().map(|(info, _)| *info).chain(self.ops.iter().map(|(info, _)| *info));
        chosen.chain(self.left_out.iter().map(|(info, _)| *info)).map(|info| info.id).collect()
    }
}

impl Selection {
    fn reason_against(&self, info: &CheckInfo) -> Option<String> {
        let hit = |set: &GlobSet| set.is_match(info.id) || set.is_match(info.section);
        if self.only.as_ref().is_some_and(|only| !hit(only)) {
            Some("not selected by --only".into())
        } else if self.skip.as_ref().is_some_and(hit) {
            Some("left out by --skip".into())
        } else {
            None
        }
    }
}

/// Checks of a run live as long as the program: there are a few hundred, made once.
fn forever<T: ?Sized>(value: Box<T>) -> &'static T {
    Box::leak(value)
}

fn case_info(area: &str, case: &Case, ids: &mut HashSet<String>) -> &'static CheckInfo {
    let plain = format!("{area}/{}", slug(&case.name));
    let id = std::iter::once(plain.clone())
        .chain((2..).map(|number| format!("{plain}-{number}")))
        .find(|id| ids.insert(id.clone()))
        .unwrap_or(plain);
    let mut requirements: Vec<&'static Requirement> = Vec::new();
    for requirement in case.steps.iter().flat_map(|step| step.request.op.requirements()) {
        if !requirements.iter().any(|known| known.id == requirement.id) {
            requirements.push(requirement);
        }
    }
    let section = case.section.or(case.steps.first().map(|step| step.request.op.section())).unwrap_or("§11");
    let title = if case.reason.is_empty() { case.name.clone() } else { format!("{}: {}", case.name, case.reason) };
    forever(Box::new(CheckInfo {
        id: forever(id.into_boxed_str()),
        title: forever(title.into_boxed_str()),
        section,
        level: Level::Must,
        requirements: forever(requirements.into_boxed_slice()),
        since: Revision::V0_2,
    }))
}

fn op_info(op: CodecOp) -> &'static CheckInfo {
    let title = format!("on random input, {} as our codec does: {}", op.name(), op.title());
    forever(Box::new(CheckInfo {
        id: forever(format!("differential/{}", op.name()).into_boxed_str()),
        title: forever(title.into_boxed_str()),
        section: op.section(),
        level: Level::Must,
        requirements: op.requirements(),
        since: Revision::V0_2,
    }))
}

/// Letters and digits in small, everything else as single hyphens.
fn slug(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_alphanumeric() {
            out.extend(c.to_lowercase());
        } else if !out.is_empty() && !out.ends_with('-') {
            out.push('-');
        }
    }
    out.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::bank::bank_cases;
    use super::*;

    #[test]
    fn ids_are_unique_and_plain() {
        let plan = Plan::new(bank_cases().unwrap(), true, &Selection::default());
        let ids = plan.ids();
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
        let plain = |id: &str| id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-/".contains(c));
        let odd: Vec<_> = ids.iter().filter(|id| !plain(id)).collect();
        assert_eq!(odd, [] as [&&str; 0]);
        assert_eq!(slug("RFC 7748 6.1, Alice"), "rfc-7748-6-1-alice");
    }
}
