//! A history that has an order, as a picture: the repositories where most operations met, one lane per client, in real time.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::describe::{call, micros, outcome};
use super::timeline::escape;
use super::{History, HistoryOp};
use crate::model::Symbol;

/// Repositories that are drawn.
const REPOSITORIES: usize = 3;
/// Operations of each.
const OPERATIONS: usize = 60;
/// Height of a lane, and width of the drawing, in pixels.
const LANE: usize = 26;
const WIDTH: f64 = 1100.0;
/// Room for the names of the lanes.
const MARGIN: f64 = 90.0;

/// The picture, as a part of a page; it takes the style of a counterexample's.
pub fn overview(history: &History) -> String {
    let mut of_repo: HashMap<Symbol, Vec<&HistoryOp>> = HashMap::new();
    for op in &history.ops {
        of_repo.entry(op.repo).or_default().push(op);
    }
    let mut busiest: Vec<(usize, Symbol, Vec<&HistoryOp>)> = of_repo
        .into_iter()
        .map(|(repo, mut ops)| {
            ops.sort_by_key(|op| op.start);
            (met(&ops), repo, ops)
        })
        .filter(|(met, ..)| *met > 0)
        .collect();
    busiest.sort_by_key(|(met, repo, _)| (std::cmp::Reverse(*met), history.symbols.text(*repo).to_owned()));
    busiest.iter().take(REPOSITORIES).map(|(met, repo, ops)| drawing(history, *met, *repo, ops)).collect()
}

/// Operations that began before another one had ended.
fn met(ops: &[&HistoryOp]) -> usize {
    let mut latest = 0;
    let mut met = 0;
    for op in ops {
        met += usize::from(op.start < latest);
        latest = latest.max(op.result.as_ref().map_or(u64::MAX, |done| done.end));
    }
    met
}

fn drawing(history: &History, met: usize, repo: Symbol, ops: &[&HistoryOp]) -> String {
    // Most of them meet in the middle of what a check does; what came before only made the repository.
    let first = ops.windows(2).position(|pair| pair[0].result.as_ref().is_none_or(|done| pair[1].start < done.end));
    let shown: Vec<&HistoryOp> = ops.iter().copied().skip(first.unwrap_or(0)).take(OPERATIONS).collect();
    let mut clients: Vec<u32> = shown.iter().map(|op| op.client).collect();
    clients.sort_unstable();
    clients.dedup();
    let since = shown.first().map_or(0, |op| op.start);
    let until = shown.iter().filter_map(|op| Some(op.result.as_ref()?.end)).max().unwrap_or(since).max(since + 1);
    #[expect(clippy::cast_precision_loss, reason = "a picture")]
    let x =
        |time: u64| MARGIN + (WIDTH - MARGIN) * (time.saturating_sub(since) as f64 / (until - since) as f64).min(1.0);
    let height = clients.len() * LANE + 24;
    let name = escape(history.symbols.text(repo));
    let mut out = format!(
        "<h3>Repository <code>{name}</code></h3>\n<p class=\"dim\">{met} of {} operations began while another one was under way; \
         the first {} from there, in {}.</p>\n\
         <div class=\"scroll\" role=\"group\" aria-label=\"Timeline\" tabindex=\"0\"><svg width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\" aria-label=\"Operations by client, in the order of their starts and ends\">",
        ops.len(),
        shown.len(),
        micros(until, since)
    );
    for (lane, client) in clients.iter().enumerate() {
        // Writing to a string can't fail.
        let _ = write!(out, "<text x=\"4\" y=\"{}\">client {client}</text>", lane * LANE + 18);
    }
    for op in shown {
        let lane = clients.iter().position(|client| *client == op.client).unwrap_or_default();
        let (from, to) = (x(op.start), op.result.as_ref().map_or(WIDTH, |done| x(done.end)));
        let open = if op.result.is_none() { "open" } else { "part" };
        let title = escape(&format!("{}: {}", call(&history.symbols, op), outcome(&history.symbols, op)));
        let _ = write!(
            out,
            "<g class=\"{open}\"><title>{title}</title><rect x=\"{from:.1}\" y=\"{}\" width=\"{:.1}\" height=\"12\" rx=\"3\"/></g>",
            lane * LANE + 8,
            (to - from).max(2.0)
        );
    }
    out + "</svg></div>\n"
}

#[cfg(test)]
mod tests {
    use super::super::{read, simulate};
    use super::*;

    #[test]
    fn what_met_is_drawn_and_text_stays_text() {
        let lines = "{\"format\":\"avp-history\",\"version\":1}
{\"client\":0,\"repo\":\"<r>\",\"caller\":\"a\",\"operation\":\"createRepo\",\"start\":0,\"end\":9,\"manifest\":{\"version\":1,\"epoch\":0,\"members\":[[\"a\",0,\"k\"]]},\"envelope\":{\"version\":1,\"epoch\":0,\"stamp\":\"c1\"},\"answer\":{\"manifest\":{\"version\":1,\"epoch\":0,\"members\":[[\"a\",0,\"k\"]]}}}
{\"client\":1,\"repo\":\"<r>\",\"caller\":\"a\",\"operation\":\"pull\",\"start\":5,\"end\":20,\"known\":0,\"answer\":{\"manifest\":{\"version\":1,\"epoch\":0,\"members\":[[\"a\",0,\"k\"]]},\"envelope\":{\"version\":1,\"epoch\":0,\"stamp\":\"c1\"},\"unchanged\":false}}
";
        let page = overview(&read("test", lines.as_bytes()).unwrap());
        assert!(page.contains("&lt;r&gt;") && !page.contains("<r>"), "{page}");
        assert!(page.contains("1 of 2 operations") && page.matches("<rect").count() == 2, "{page}");
        assert_eq!(overview(&History::default()), "");
    }

    #[test]
    fn long_histories_stay_small() {
        let history =
            simulate::simulate(simulate::Simulation { operations: 3000, clients: 8, unknown_one_in: 50, seed: 1 });
        assert!(overview(&history).len() < 200_000);
    }
}
