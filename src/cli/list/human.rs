//! The lists as text.

use super::{CheckRow, FaultRow, Lists, QuirkRow, RequirementRow};
use crate::ground::shown::count;
use crate::report::style::{BOLD, DIM, RED, paint};
use crate::report::text::wrap;
use crate::requirements::{Party, Revision};

pub(super) fn render(lists: &Lists, columns: usize) -> String {
    let mut out = Page { columns, lines: Vec::new() };
    lists.checks.iter().for_each(|rows| out.checks(rows));
    lists.requirements.iter().for_each(|rows| out.requirements(rows));
    lists.faults.iter().for_each(|rows| out.faults(rows));
    lists.quirks.iter().for_each(|rows| out.quirks(rows));
    out.lines.push(String::new());
    out.lines.join("\n")
}

struct Page {
    columns: usize,
    lines: Vec<String>,
}

impl Page {
    fn checks(&mut self, rows: &[CheckRow]) {
        for row in rows {
            let mut remarks = vec![row.section.to_owned(), row.level.name().to_owned()];
            remarks.extend(since(row.since));
            remarks.extend(row.slow.then(|| "--slow".to_owned()));
            self.head(row.id, &remarks.join(" · "));
            self.text(row.title);
        }
        self.total(rows.len(), "check");
    }

    fn requirements(&mut self, rows: &[RequirementRow]) {
        for row in rows {
            let mut remarks = vec![row.section.to_owned(), row.level.name().to_owned(), binds(row.binds).to_owned()];
            remarks.extend(since(row.since));
            self.head(row.id, &remarks.join(" · "));
            self.text(row.text);
            match (row.checks.as_slice(), row.unprovable) {
                ([], Some(why)) => self.labelled("no check: ", why),
                ([], None) => self.lines.push(format!("  {}", paint(RED, "no check"))),
                (checks, _) => self.labelled("proved by ", &checks.join(", ")),
            }
        }
        self.total(rows.len(), "requirement");
    }

    fn faults(&mut self, rows: &[FaultRow]) {
        for row in rows {
            self.head(row.name, row.requirement);
            self.text(row.summary);
        }
        self.total(rows.len(), "fault");
    }

    fn quirks(&mut self, rows: &[QuirkRow]) {
        for row in rows {
            self.head(row.name, "");
            self.text(row.summary);
        }
        self.total(rows.len(), "quirk");
    }

    fn head(&mut self, name: &str, remarks: &str) {
        self.lines.push(format!("{}  {}", paint(BOLD, name), paint(DIM, remarks)).trim_end().to_owned());
    }

    fn text(&mut self, text: &str) {
        self.lines.extend(wrap(text, self.columns.saturating_sub(2)).into_iter().map(|line| format!("  {line}")));
    }

    fn labelled(&mut self, label: &str, text: &str) {
        for (index, line) in wrap(text, self.columns.saturating_sub(2 + label.len())).into_iter().enumerate() {
            let label = if index == 0 { label.to_owned() } else { " ".repeat(label.len()) };
            self.lines.push(format!("  {}{line}", paint(DIM, label)));
        }
    }

    fn total(&mut self, number: usize, noun: &str) {
        self.lines.push(paint(DIM, count(number, noun)));
    }
}

fn since(revision: Revision) -> Option<String> {
    (revision > Revision::default()).then(|| format!("since {revision}"))
}

fn binds(party: Party) -> &'static str {
    match party {
        Party::Server => "server",
        Party::IdentityProvider => "identity provider",
        Party::Client => "client",
        Party::Deployment => "deployment",
    }
}
