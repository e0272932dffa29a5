//! When each check ran, and its requests: a line each, in the order of their starts.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::super::run::{Run, Traced};
use super::super::text::duration;
use super::escape::{esc, link};
use crate::ground::shown::count;
use crate::runner::{CheckResult, Status};

/// Requests of a check that are drawn; more would lie on each other.
const DRAWN: usize = 150;

/// The waterfall; nothing where nobody knows when checks began.
pub(super) fn waterfall(run: &Run) -> String {
    let mut ran: Vec<(&CheckResult, Duration)> = run
        .results
        .iter()
        .map(AsRef::as_ref)
        .filter(|result| result.status != Status::Skip)
        .filter_map(|result| Some((result, *run.starts.get(result.check.id)?)))
        .collect();
    let Some(end) = ran.iter().map(|(result, start)| *start + result.duration).max().filter(|end| !end.is_zero())
    else {
        return String::new();
    };
    ran.sort_by_key(|(result, start)| (*start, result.check.id));
    let mut sent: HashMap<&str, Vec<&Traced>> = HashMap::new();
    for traced in &run.traced {
        sent.entry(traced.check).or_default().push(traced);
    }
    let rows: String = ran
        .iter()
        .map(|(result, start)| {
            let sent = sent.get(result.check.id).map_or(&[][..], Vec::as_slice);
            let requests = if sent.is_empty() { String::new() } else { format!(", {}", count(sent.len(), "request")) };
            let mut drawing = bar(&format!("c {}", result.status.name()), *start, result.duration, end, 2, 10);
            for traced in sent.iter().take(DRAWN) {
                drawing += &bar(class(traced), traced.start, traced.exchange.duration, end, 4, 6);
            }
            format!(
                "<li>{} <svg aria-hidden=\"true\" height=\"14\" width=\"100%\">{drawing}</svg> <span class=\"dim\">{}{requests}</span></li>\n",
                link(result.check.id),
                duration(result.duration)
            )
        })
        .collect();
    let slowest = ran.iter().max_by_key(|(result, _)| result.duration);
    let slowest =
        slowest.map(|(result, _)| format!(" The longest: {}, {}.", link(result.check.id), duration(result.duration)));
    format!(
        "<section aria-labelledby=\"times\"><h2 id=\"times\">Times</h2>\n\
         <p>{} in {}.{} <span class=\"dim\">Light: the check; dark: its requests, by what was answered.</span></p>\n\
         <ul class=\"legend\"><li><span class=\"box q2\" aria-hidden=\"true\"></span> 2xx</li>\
         <li><span class=\"box q4\" aria-hidden=\"true\"></span> 4xx</li>\
         <li><span class=\"box q5\" aria-hidden=\"true\"></span> 5xx, or no answer</li></ul>\n\
         <div class=\"scroll tall\" role=\"group\" aria-labelledby=\"times\" tabindex=\"0\"><ol class=\"times\">\n{rows}</ol></div></section>\n",
        count(ran.len(), "check"),
        esc(&duration(end)),
        slowest.unwrap_or_default()
    )
}

fn class(traced: &Traced) -> &'static str {
    match traced.exchange.status {
        Some(status) if status < 400 => "q2",
        Some(status) if status < 500 => "q4",
        _ => "q5",
    }
}

/// A bar whose place and width are parts of the whole time.
fn bar(class: &str, start: Duration, took: Duration, whole: Duration, y: u32, height: u32) -> String {
    let percent = |time: Duration| 100.0 * time.as_secs_f64() / whole.as_secs_f64();
    let mut out = String::new();
    // Writing to a string can't fail.
    let _ = write!(
        out,
        "<rect class=\"{class}\" x=\"{:.2}%\" y=\"{y}\" width=\"{:.2}%\" height=\"{height}\"/>",
        percent(start).min(100.0),
        percent(took).clamp(0.12, 100.0)
    );
    out
}
