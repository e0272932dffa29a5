//! A result in full, as a person needs it who has to repair the server: the rule, what was expected, what was observed,
//! the request and the answer that show it, and the command that runs just this check again.

use super::run::Run;
use super::style::{BOLD, CYAN, DIM, GREEN, RED, of_status, paint};
use super::text::{clean, condense, duration, width, wrap, wrap_at_most};
use crate::client::{Exchange, RecordedBody};
use crate::ground::shown::count;
use crate::requirements::{Requirement, reasons};
use crate::runner::{CheckResult, Finding, Rerun, Status};

/// Columns of the labels (`expected`, `request`, …) with the gap after them.
const LABEL: usize = 10;

/// How much of a result is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Depth {
    /// Columns of a line.
    pub columns: usize,
    /// Columns before each line but the first.
    pub indent: usize,
    /// Lines of a body.
    pub body_lines: usize,
    /// Sentences of requirements of a check that proves several.
    pub rules: usize,
    /// Findings of a check that has several.
    pub findings: usize,
    /// Exchanges of a finding besides the one that did it.
    pub evidence: usize,
}

/// Lines under construction.
struct Block {
    depth: Depth,
    lines: Vec<String>,
}

/// The lines of a result, coloured.
pub(super) fn explain(run: &Run, result: &CheckResult, depth: Depth) -> Vec<String> {
    let check = result.check;
    let follows = run.causes.followed_by(check.id);
    // Of a cause, the rule that is broken most likely comes first.
    let rules = match run.causes.of(check.id).filter(|_| follows.is_none()) {
        Some(cause) => &cause.requirements,
        None => check.requirements,
    };
    let mut block = Block { depth, lines: Vec::new() };
    let place = format!("{} · {} · {}", check.section, check.level.name(), duration(result.duration));
    block.lines.push(format!("{}  {}", paint(of_status(result.status), check.id), paint(DIM, place)));
    block.rules(check.title, rules);
    if let Some(cause) = follows {
        block.labelled("cause", DIM, &format!("follows from {}", cause.check), 1);
    }
    let shown = result.findings.len().min(depth.findings.max(1));
    for (index, finding) in result.findings.iter().take(shown).enumerate() {
        let again = index > 0 && same_exchange(finding, &result.findings[index - 1]);
        block.finding(finding, again);
    }
    if result.findings.is_empty() {
        block.labelled("observed", BOLD, &clean(&result.message), 6);
        if let Some(exchange) = result.exchanges.last() {
            block.exchange(exchange);
        }
    }
    let hidden = result.findings.len() - shown;
    if hidden > 0 {
        block.labelled("and", DIM, &format!("{} of the same check", count(hidden, "further finding")), 1);
    }
    if let Some(reason) = reasons::usual(check.id, rules).filter(|_| follows.is_none() && depth.rules > 0) {
        block.labelled("often", DIM, reason, 3);
    }
    block.rerun(&run.info.rerun, check.id);
    block.lines
}

fn same_exchange(one: &Finding, other: &Finding) -> bool {
    match (&one.exchange, &other.exchange) {
        (Some(one), Some(other)) => std::sync::Arc::ptr_eq(one, other),
        _ => false,
    }
}

impl Block {
    /// The rule in our words: the check's own title, then the sentences of the requirements it proves.
    fn rules(&mut self, title: &str, rules: &[&Requirement]) {
        let room = self.depth.columns.saturating_sub(self.depth.indent);
        for line in wrap(title, room) {
            self.push(&paint(BOLD, line));
        }
        for requirement in rules.iter().take(self.depth.rules) {
            self.labelled("rule", DIM, &format!("{} ({})", requirement.text, requirement.id), 3);
        }
    }

    fn finding(&mut self, finding: &Finding, exchange_shown: bool) {
        self.labelled("expected", GREEN, &clean(&finding.expected), 5);
        self.labelled("observed", RED, &clean(&finding.observed), 5);
        if let Some(exchange) = finding.exchange.as_deref().filter(|_| !exchange_shown) {
            self.exchange(exchange);
        }
        for exchange in finding.evidence.iter().take(self.depth.evidence) {
            self.labelled("then", DIM, &request_line(exchange), 2);
            self.labelled("answer", DIM, &answer_line(exchange), 2);
            self.body(&exchange.response);
        }
    }

    fn exchange(&mut self, exchange: &Exchange) {
        self.labelled("request", DIM, &request_line(exchange), 2);
        self.body(&exchange.request);
        self.labelled("answer", DIM, &answer_line(exchange), 2);
        self.body(&exchange.response);
    }

    fn body(&mut self, body: &RecordedBody) {
        if body.length == 0 {
            return;
        }
        for line in wrap_at_most(&body_text(body), self.room(), self.depth.body_lines) {
            self.push(&format!("{:LABEL$}{}", "", paint(DIM, line)));
        }
    }

    /// The command is not broken at blanks, lest it can't be copied: it continues after a backslash.
    fn rerun(&mut self, rerun: &Rerun, id: &str) {
        let (start, end) = rerun.for_check(id);
        let (start, end) = (clean(&start), clean(&end));
        let one_line = format!("{start} {end}").trim_end().to_owned();
        if width(&one_line) <= self.room() {
            self.label_line("rerun", DIM, &paint(CYAN, one_line));
        } else {
            self.label_line("rerun", DIM, &paint(CYAN, format!("{start} \\")));
            self.push(&format!("{:LABEL$}  {}", "", paint(CYAN, end)));
        }
    }

    fn labelled(&mut self, label: &str, style: anstyle::Style, text: &str, lines: usize) {
        for (index, line) in wrap_at_most(text, self.room(), lines).iter().enumerate() {
            self.label_line(if index == 0 { label } else { "" }, style, line);
        }
    }

    fn label_line(&mut self, label: &str, style: anstyle::Style, line: &str) {
        let gap = " ".repeat(LABEL.saturating_sub(label.len()));
        self.push(&format!("{}{gap}{line}", paint(style, label)));
    }

    fn room(&self) -> usize {
        self.depth.columns.saturating_sub(self.depth.indent + LABEL)
    }

    fn push(&mut self, line: &str) {
        self.lines.push(format!("{:1$}{line}", "", self.depth.indent).trim_end().to_owned());
    }
}

/// `POST /v1/repos/r/push`, and whether a token went with it.
pub(super) fn request_line(exchange: &Exchange) -> String {
    let token = match &exchange.authorization {
        Some(value) => format!(" · Authorization: {}", clean(value)),
        None => String::new(),
    };
    match &exchange.grpc {
        Some(call) => format!("{}{}", call.method, token.replacen("Authorization", "authorization", 1)),
        None => format!("{} {}{token}", clean(&exchange.method), clean(&exchange.path)),
    }
}

/// `409 application/json · 23 bytes · 1.2 ms`, or why there was no answer.
pub(super) fn answer_line(exchange: &Exchange) -> String {
    let called = exchange.grpc.as_ref().and_then(|call| Some((call.code?, call.status.as_deref()?)));
    let mut parts = vec![match (exchange.status, &exchange.content_type) {
        _ if called.is_some() => called.map(|(code, name)| format!("{} ({code})", clean(name))).unwrap_or_default(),
        (None, _) => "none".to_owned(),
        (Some(status), None) => status.to_string(),
        (Some(status), Some(kind)) => format!("{status} {}", clean(kind)),
    }];
    if exchange.status.is_some() {
        parts.push(count(exchange.response.length, "byte"));
    }
    parts.push(duration(exchange.duration));
    parts.extend(exchange.error.as_deref().map(|error| clean(error).into_owned()));
    parts.join(" · ")
}

/// A body on one line, shortened, harmless.
pub(super) fn body_text(body: &RecordedBody) -> String {
    let short = condense(&body.text);
    let end = if body.is_cut() { format!("… ({} bytes)", body.length) } else { String::new() };
    format!("{}{end}", clean(&short))
}

/// The one line that stands for a result: its message, or the first finding's observation.
pub(super) fn one_line(result: &CheckResult) -> String {
    let text = match (result.message.is_empty(), result.findings.first()) {
        (true, Some(finding)) => &finding.observed,
        _ => &result.message,
    };
    let text = clean(text.trim()).into_owned();
    if text.is_empty() && result.status != Status::Pass { result.check.title.to_owned() } else { text }
}
