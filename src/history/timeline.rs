//! A counterexample as a picture: one HTML file without anything from outside, one lane per client.

use std::fmt::Write as _;

use super::describe::{call, micros, outcome, short_outcome, state};
use super::{Counterexample, History, HistoryOp};

/// Width of the step between two moments, in pixels.
const STEP: usize = 150;
/// Height of a lane.
const LANE: usize = 72;
/// Room for the names of the lanes.
const MARGIN: usize = 150;
/// Room for the times.
const TOP: usize = 34;

const STYLE: &str = "
:root{color-scheme:light dark;--bg:#fff;--fg:#1c1e21;--dim:#6a7076;--line:#dcdfe3;--part:#2f6fb7;--stuck:#c22f2f;--ctx:#9aa2ab}
@media(prefers-color-scheme:dark){:root{--bg:#16181b;--fg:#e4e6e9;--dim:#979ea6;--line:#33373c;--part:#5b9be0;--stuck:#ee6a63;--ctx:#6b737c}}
body{background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:76rem;padding:0 1rem}
h1{font-size:1.35rem;margin:0 0 .3rem}h2{font-size:1.05rem;margin:1.8rem 0 .4rem}p,li{max-width:60rem}
.scroll{overflow-x:auto;border:1px solid var(--line);border-radius:6px;padding:.5rem}
svg text{fill:var(--fg);font:12px system-ui,sans-serif}svg .dim{fill:var(--dim)}svg line{stroke:var(--line)}
rect{fill:var(--part)}.stuck rect{fill:var(--stuck)}.context rect{fill:var(--ctx)}g:hover rect{opacity:.75}
.open rect{stroke:var(--fg);stroke-dasharray:4 3;fill-opacity:.35}
table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid var(--line);padding:.25rem .6rem;text-align:left;vertical-align:top}
td{font-variant-numeric:tabular-nums}td:nth-child(-n+3){white-space:nowrap}tr.stuck td:first-child{color:var(--stuck);font-weight:600}
tr.context td{color:var(--dim)}code{overflow-wrap:anywhere}.key span{margin-right:1.4rem}.key i{display:inline-block;width:.9em;height:.9em;border-radius:2px;margin-right:.4em;vertical-align:-.1em}
";

/// The rules that [`figure`] and [`overview`](super::overview()) need in a page of somebody else's, which has the colours.
pub const FIGURE_STYLE: &str = "
.history .scroll{border:1px solid var(--line);border-radius:6px;padding:.5rem}
.history svg text{fill:var(--fg);font:12px system-ui,sans-serif}.history svg .dim{fill:var(--dim)}.history svg line{stroke:var(--line)}
.history rect{fill:var(--part)}.history .stuck rect{fill:var(--stuck)}.history .context rect{fill:var(--ctx)}
.history .open rect{stroke:var(--fg);stroke-dasharray:4 3;fill-opacity:.35}
.history tr.stuck td:first-child{color:var(--stuck);font-weight:600}.history tr.context td{color:var(--dim)}
.history .key span{margin-right:1.4rem}.history .key i{display:inline-block;width:.9em;height:.9em;border-radius:2px;margin-right:.4em;vertical-align:-.1em}
";

/// How an operation takes part.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Stuck,
    Contradicting,
    Context,
}

impl Part {
    fn class(self) -> &'static str {
        match self {
            Self::Stuck => "stuck",
            Self::Contradicting => "part",
            Self::Context => "context",
        }
    }
}

struct Picture<'h> {
    history: &'h History,
    counterexample: &'h Counterexample,
    shown: Vec<u32>,
    /// Every start and end, in order: the axis shows their order, not their distance.
    moments: Vec<u64>,
    clients: Vec<u32>,
}

/// The page that shows a counterexample. `source` names where the history comes from.
pub fn html(history: &History, counterexample: &Counterexample, source: &str) -> String {
    picture(history, counterexample).page(source)
}

/// What shows a counterexample, as a part of a page: picture, reasons and table.
pub fn figure(history: &History, counterexample: &Counterexample) -> String {
    let picture = picture(history, counterexample);
    let repo = escape(history.symbols.text(counterexample.repo));
    format!(
        "<p>Repository <code>{repo}</code></p>\n{}\n<p class=\"key\">{}</p>\n{}\n\
         <div class=\"scroll\" role=\"group\" aria-label=\"Operations\" tabindex=\"0\">{}</div>\n",
        picture.drawing(),
        picture.key(),
        picture.reasons(),
        picture.table()
    )
}

fn picture<'h>(history: &'h History, counterexample: &'h Counterexample) -> Picture<'h> {
    let shown = counterexample.shown(history);
    let ops = || shown.iter().map(|index| &history.ops[*index as usize]);
    let mut moments: Vec<u64> =
        ops().map(|op| op.start).chain(ops().filter_map(|op| Some(op.result.as_ref()?.end))).collect();
    moments.sort_unstable();
    moments.dedup();
    let mut clients: Vec<u32> = ops().map(|op| op.client).collect();
    clients.sort_unstable();
    clients.dedup();
    Picture { history, counterexample, shown, moments, clients }
}

impl Picture<'_> {
    fn op(&self, index: u32) -> &HistoryOp {
        &self.history.ops[index as usize]
    }

    fn part(&self, index: u32) -> Part {
        if index == self.counterexample.stuck {
            Part::Stuck
        } else if self.counterexample.operations.contains(&index) {
            Part::Contradicting
        } else {
            Part::Context
        }
    }

    fn since(&self) -> u64 {
        self.moments.first().copied().unwrap_or_default()
    }

    fn page(&self, source: &str) -> String {
        let repo = escape(self.history.symbols.text(self.counterexample.repo));
        let (count, all) = (self.counterexample.operations.len(), self.history.ops.len());
        let answers = if count == 1 { "This answer fits".to_owned() } else { format!("These {count} answers fit") };
        format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\"><title>Not linearizable</title>\
             <style>{STYLE}</style></head><body>\n<h1>{answers} no order</h1>\n\
             <p>Repository <code>{repo}</code>, from {}: the shortest part of {all} operations that shows it.</p>\n{}\n\
             <p class=\"key\">{}</p>\n<h2>Why</h2>\n{}\n<h2>Operations</h2>\n{}\n</body></html>\n",
            escape(source),
            self.drawing(),
            self.key(),
            self.reasons(),
            self.table()
        )
    }

    fn key(&self) -> String {
        [
            ("stuck", "the answer that no order explains"),
            ("part", "contradicts it"),
            ("ctx", "makes the state, or left traces in it"),
        ]
        .map(|(color, text)| format!("<span><i style=\"background:var(--{color})\"></i>{text}</span>"))
        .concat()
    }

    fn x(&self, time: u64) -> usize {
        MARGIN + self.moments.partition_point(|moment| *moment < time) * STEP
    }

    fn drawing(&self) -> String {
        let width = MARGIN + self.moments.len() * STEP + STEP;
        let height = TOP + self.clients.len() * LANE + 8;
        let mut svg = format!(
            "<div class=\"scroll\" role=\"group\" aria-label=\"Timeline\" tabindex=\"0\"><svg width=\"{width}\" height=\"{height}\" role=\"img\" \
             aria-label=\"Operations by client, in the order of their starts and ends\">"
        );
        // Writing to a string can't fail.
        for moment in &self.moments {
            let (x, time) = (self.x(*moment), micros(*moment, self.since()));
            let _ = write!(
                svg,
                "<line x1=\"{x}\" y1=\"22\" x2=\"{x}\" y2=\"{height}\"/><text class=\"dim\" x=\"{x}\" y=\"15\" text-anchor=\"middle\">{time}</text>"
            );
        }
        for (lane, client) in self.clients.iter().enumerate() {
            let y = TOP + lane * LANE;
            let callers = self.shown.iter().map(|index| self.op(*index)).filter(|op| op.client == *client);
            let caller = callers.filter_map(|op| op.invocation.caller).next();
            let name = caller.map_or_else(|| "nobody".into(), |caller| self.history.symbols.short(caller));
            let _ = write!(
                svg,
                "<text x=\"4\" y=\"{}\">client {client}</text><text class=\"dim\" x=\"4\" y=\"{}\">{}</text>",
                y + 40,
                y + 56,
                escape(&name)
            );
        }
        for index in &self.shown {
            svg.push_str(&self.bar(*index));
        }
        svg + "</svg></div>"
    }

    fn bar(&self, index: u32) -> String {
        let op = self.op(index);
        let lane = self.clients.iter().position(|client| *client == op.client).unwrap_or_default();
        let (x, y) = (self.x(op.start), TOP + lane * LANE);
        let end = op.result.as_ref().map_or(MARGIN + self.moments.len() * STEP, |done| self.x(done.end));
        let open = if op.result.is_none() { " open" } else { "" };
        format!(
            "<g class=\"{}{open}\"><title>{}</title><rect x=\"{x}\" y=\"{}\" width=\"{}\" height=\"12\" rx=\"3\"/>\
             <text x=\"{}\" y=\"{}\">{}</text><text class=\"dim\" x=\"{}\" y=\"{}\">{}</text></g>",
            self.part(index).class(),
            escape(&format!("{}: {}", call(&self.history.symbols, op), outcome(&self.history.symbols, op))),
            y + 28,
            end.saturating_sub(x).max(6),
            x + 2,
            y + 22,
            escape(&call(&self.history.symbols, op)),
            x + 2,
            y + 54,
            escape(&short_outcome(op))
        )
    }

    fn reasons(&self) -> String {
        let stuck = self.op(self.counterexample.stuck);
        let before = format!(
            "<p>Before, the repository holds {}; everything earlier leaves nothing else.</p>",
            escape(&state(self.counterexample.before.as_ref()))
        );
        let reasons = self.counterexample.explanations.iter().map(|explanation| {
            let rule = explanation.rule.map(|rule| format!(" <code>{}</code> {}", escape(rule.id), escape(rule.text)));
            format!("<li>{}{}</li>", escape(&explanation.text(self.history, stuck)), rule.unwrap_or_default())
        });
        format!("{before}<ul>{}</ul>", reasons.collect::<String>())
    }

    fn table(&self) -> String {
        let rows = self.shown.iter().map(|index| {
            let op = self.op(*index);
            let caller =
                op.invocation.caller.map_or_else(|| "nobody".into(), |caller| self.history.symbols.short(caller));
            let end = op.result.as_ref().map_or_else(|| "?".into(), |done| micros(done.end, self.since()));
            let cells = [
                format!("{} {}", op.client, caller),
                micros(op.start, self.since()),
                end,
                call(&self.history.symbols, op),
                outcome(&self.history.symbols, op),
            ];
            let cells: String = cells.iter().map(|cell| format!("<td>{}</td>", escape(cell))).collect();
            format!("<tr class=\"{}\">{cells}</tr>\n", self.part(*index).class())
        });
        format!(
            "<table><thead><tr><th scope=\"col\">client</th><th scope=\"col\">start</th><th scope=\"col\">end</th>\
             <th scope=\"col\">asked</th><th scope=\"col\">answered</th></tr></thead><tbody>\n{}</tbody></table>",
            rows.collect::<String>()
        )
    }
}

/// Text for HTML, in content and in attributes. Control characters, which browsers may act on, are shown as dots.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() => escaped.push('·'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::{Linearizability, check, read};
    use super::*;

    #[test]
    fn everything_is_escaped_and_nothing_comes_from_outside() {
        let lines = "{\"format\":\"avp-history\",\"version\":1}
{\"client\":0,\"repo\":\"<r>\",\"caller\":\"\\\"<b>\",\"operation\":\"createRepo\",\"start\":0,\"end\":5,\"manifest\":{\"version\":1,\"epoch\":0,\"members\":[[\"\\\"<b>\",0,\"k\"]]},\"envelope\":{\"version\":1,\"epoch\":0,\"stamp\":\"c1\"},\"answer\":{\"manifest\":{\"version\":1,\"epoch\":0,\"members\":[[\"\\\"<b>\",0,\"k\"]]}}}
{\"client\":0,\"repo\":\"<r>\",\"caller\":\"\\\"<b>\",\"operation\":\"push\",\"start\":10,\"end\":20,\"expected\":1,\"envelope\":{\"version\":2,\"epoch\":0,\"stamp\":\"<script>alert(1)</script>\"},\"answer\":{\"accepted\":true,\"version\":2,\"epoch\":0,\"conflict\":false}}
{\"client\":1,\"repo\":\"<r>\",\"caller\":\"\\\"<b>\",\"operation\":\"pull\",\"start\":30,\"end\":40,\"known\":0,\"answer\":{\"manifest\":{\"version\":1,\"epoch\":0,\"members\":[[\"\\\"<b>\",0,\"k\"]]},\"envelope\":{\"version\":1,\"epoch\":0,\"stamp\":\"c1\"},\"unchanged\":false}}
";
        let history = read("test", lines.as_bytes()).unwrap();
        let Linearizability::NotLinearizable(counterexample) = check(&history) else { panic!("a stale read") };
        assert_eq!(
            (counterexample.maker, counterexample.operations.as_slice(), counterexample.stuck),
            (Some(1), [2].as_slice(), 2)
        );
        let page = html(&history, &counterexample, "<file>");
        for raw in ["<script", "<b>", "<r>", "<file>", "http", "url(", "src="] {
            assert!(!page.contains(raw), "{raw}");
        }
        assert!(page.contains("push 1 → 2") && page.contains("version 1 and epoch 0, not 2 and 0"), "{page}");
        let text = counterexample.text(&history);
        assert!(text.contains("client 1 0.0 µs–0.0 µs: pull, knowing version 0: version 1"), "{text}");
    }
}
