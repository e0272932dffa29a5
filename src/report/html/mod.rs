//! The report for a browser: one file that needs nothing from outside.
//!
//! Everything is there without the script, in the order in which one reads: verdict, causes, requirements, checks, times. The
//! script adds filters, copying and links that open what they lead to. Whatever a server said goes through
//! [`escape::esc`], and should markup get through all the same, the page's own policy keeps it from running or loading anything.

mod checks;
mod coverage;
mod differ;
mod escape;
mod exchange;
mod times;

use base64::Engine as _;
use sha2::{Digest as _, Sha256};

use super::explain::one_line;
use super::run::Run;
use super::text::{clean, duration, rfc3339, sentence};
use crate::ground::shown::count;
use crate::runner::{CheckResult, Status, Verdict};
pub(super) use escape::esc;
use escape::link;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// The page of a run.
pub(super) fn render(run: &Run) -> String {
    let title = format!("{}: {}", verdict(run.end.verdict), clean(&run.info.target));
    let parts = [
        head(run),
        "<main>".to_owned(),
        causes(run),
        if run.info.rerun.campaign { String::new() } else { coverage::picture(run) },
        checks::all(run),
        races(run),
        times::waterfall(run),
        "</main>".to_owned(),
        foot(run),
    ];
    page(&title, &parts.concat(), Some(SCRIPT))
}

/// A page around a body of ours.
pub(super) fn page(title: &str, body: &str, script: Option<&str>) -> String {
    let hash = |script: &str| base64::engine::general_purpose::STANDARD.encode(Sha256::digest(script));
    let allowed = script.map(|script| format!("; script-src 'sha256-{}'", hash(script))).unwrap_or_default();
    let policy = format!("default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'{allowed}");
    let skip = if script.is_some() { "<a class=\"skip\" href=\"#checks\">Skip to the checks</a>\n" } else { "" };
    let script = script.map(|script| format!("<script>{script}</script>\n")).unwrap_or_default();
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{}</title>\n\
         <style>{STYLE}{}</style></head>\n<body>\n{skip}{body}\n{script}</body></html>\n",
        esc(title),
        crate::history::FIGURE_STYLE,
    )
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Conformant => "Conformant",
        Verdict::NotConformant => "Not conformant",
        Verdict::NotConformantAsKnown => "Not conformant, as known",
        Verdict::Incomplete => "Incomplete",
        Verdict::NotJudged => "Not judged",
    }
}

/// Verdict, reason, counts.
fn head(run: &Run) -> String {
    let (info, end) = (&run.info, &run.end);
    let class = match end.verdict {
        Verdict::Conformant => "pass",
        Verdict::NotConformant => "fail",
        Verdict::NotConformantAsKnown | Verdict::Incomplete => "warn",
        Verdict::NotJudged => "error",
    };
    let said: String = [&end.reason, &end.advice]
        .into_iter()
        .filter(|text| !text.is_empty())
        .map(|text| format!("<p class=\"reason\">{}</p>\n", esc(&sentence(text))))
        .collect();
    let sum = end.summary;
    let number = |number: usize, word: &str, class: &str| {
        let zero = if number == 0 { " zero" } else { "" };
        format!("<li class=\"{class}{zero}\"><b>{number}</b> {word}</li>")
    };
    let mut counts = vec![
        number(sum.fail, "failed", "fail"),
        number(sum.warn, if sum.warn == 1 { "warning" } else { "warnings" }, "warn"),
        number(sum.error, if sum.error == 1 { "error" } else { "errors" }, "error"),
        number(sum.pass, "passed", "pass"),
        number(sum.skip, "skipped", "skipped"),
    ];
    if !end.known.is_empty() {
        counts.insert(1, number(end.known.len(), "of them known", "known"));
    }
    let notes: String = run.notes.iter().map(|note| format!("<li>{}</li>", esc(note))).collect();
    let notes =
        if notes.is_empty() { notes } else { format!("<ul class=\"notes\" aria-label=\"Notes\">{notes}</ul>\n") };
    format!(
        "<header><h1><span class=\"verdict {class}\">{}</span> <span class=\"target\">{}</span></h1>\n{said}\
         <ul class=\"counts\" aria-label=\"Checks by status\">{}</ul>\n\
         <p class=\"dim\">By AVP {} on {} · {} in {} · seed <code>{}</code></p>\n{notes}</header>\n",
        verdict(end.verdict),
        esc(&info.target),
        counts.concat(),
        info.spec,
        rfc3339(info.started_ms).replace('T', " ").replace('Z', " UTC"),
        count(usize::try_from(end.requests).unwrap_or(usize::MAX), "request"),
        duration(end.duration),
        info.seed
    )
}

/// What to repair, the most fundamental first.
fn causes(run: &Run) -> String {
    let row = |(cause, explains): (&CheckResult, Vec<&CheckResult>)| {
        let follows: Vec<String> = explains.iter().map(|result| link(result.check.id)).collect();
        let follows = match follows.len() {
            0 => String::new(),
            number => format!(
                "<details><summary>{} {} from it</summary><p class=\"ids\">{}</p></details>",
                count(number, "more finding"),
                if number == 1 { "follows" } else { "follow" },
                follows.join(", ")
            ),
        };
        format!(
            "<li class=\"{}\"><p><strong>{}</strong> {}</p><p class=\"observed\">{}</p>{follows}</li>\n",
            cause.status.name(),
            link(cause.check.id),
            esc(cause.check.requirements[0].text),
            esc(&one_line(cause)),
        )
    };
    let rows = |wanted: &dyn Fn(Status) -> bool| -> String { run.causes_with(wanted).into_iter().map(row).collect() };
    let problems = rows(&|status| run.is_problem(status));
    let others = rows(&|status| !run.is_problem(status));
    let mut out = String::new();
    if !problems.is_empty() {
        out = format!(
            "<section aria-labelledby=\"causes\"><h2 id=\"causes\">What to repair</h2>\n\
             <p class=\"dim\">The most fundamental first: what follows from it may be gone once it is mended.</p>\n\
             <ol class=\"causes\">{problems}</ol></section>\n"
        );
    }
    if !others.is_empty() {
        out += &format!(
            "<section aria-labelledby=\"remarks\"><h2 id=\"remarks\">What to look at</h2>\n\
             <p class=\"dim\">Warnings, and what the suite could not tell; none of it fails the run.</p>\n\
             <ol class=\"causes\">{others}</ol></section>\n"
        );
    }
    out
}

/// What was tried at the same time, and the operations as a picture.
fn races(run: &Run) -> String {
    let tried = |result: &&CheckResult| {
        result.status != Status::Skip
            && (result.check.id.starts_with("race/") || result.check.id.starts_with("history/"))
    };
    let rows: String = run
        .results
        .iter()
        .map(AsRef::as_ref)
        .filter(tried)
        .map(|result| {
            let status = result.status.name();
            let said = if result.message.is_empty() { result.check.title } else { &result.message };
            let (id, said) = (link(result.check.id), esc(said));
            format!("<tr><td>{id}</td><td class=\"{status}\">{status}</td><td>{said}</td></tr>\n")
        })
        .collect();
    let mut out = String::new();
    if !rows.is_empty() {
        out += &format!(
            "<section aria-labelledby=\"races\"><h2 id=\"races\">Races tried</h2>\n\
             <div class=\"scroll\" role=\"group\" aria-labelledby=\"races\" tabindex=\"0\">\
             <table><thead><tr><th scope=\"col\">check</th><th scope=\"col\">came of it</th><th scope=\"col\">what was tried</th>\
             </tr></thead><tbody>\n{rows}</tbody></table></div></section>\n"
        );
    }
    if let Some(drawn) = &run.history {
        out += &format!(
            "<section class=\"history\" aria-labelledby=\"history\"><h2 id=\"history\">Operations at the same time</h2>\n\
             <p>{} {}</p>\n{}</section>\n",
            count(drawn.operations, "operation"),
            esc(&drawn.said),
            drawn.figure
        );
    }
    out
}

fn foot(run: &Run) -> String {
    format!(
        "<footer><p class=\"dim\">avp-conform {}. Again: <code>{}</code></p></footer>",
        esc(run.info.version),
        esc(&run.info.rerun.line())
    )
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn the_policy_lets_the_pages_own_script_run_and_nothing_else() {
        let page = render(&samples::mixed());
        let start = page.find("<script>").unwrap() + "<script>".len();
        let script = &page[start..page.find("</script>").unwrap()];
        let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(script));
        assert!(page.contains(&format!("script-src 'sha256-{hash}'")));
        assert_eq!(page.matches("<script").count(), 1);
        // Nothing that a browser would fetch.
        for outside in ["src=", "url(", "@import", "<link", "<img", "<iframe"] {
            assert!(!page.contains(outside), "{outside}");
        }
    }

    #[test]
    fn hostile_text_never_becomes_markup() {
        let page = render(&samples::hostile());
        assert_eq!(page.matches("<script").count(), 1);
        assert!(!page.contains("<!--") && !page.contains("]]>"));
        assert!(!page.chars().any(|c| c != '\n' && super::super::text::is_unsafe(c)));
        // Every attribute is closed where it was opened: outside of tags no quote is left as it is.
        assert!(!escape::esc("\" onload=\"x' &<>").contains(['"', '\'', '<', '>']));
    }

    #[test]
    fn every_check_can_be_linked_to() {
        let run = samples::many();
        let page = render(&run);
        for result in &run.results {
            assert_eq!(page.matches(&format!(" id=\"{}\"", result.check.id)).count(), 1, "{}", result.check.id);
        }
        // Links lead somewhere.
        for part in page.split("href=\"#").skip(1) {
            let target = part.split('"').next().unwrap();
            assert!(page.contains(&format!("id=\"{target}\"")), "{target}");
        }
    }

    #[test]
    fn looks_like_this() {
        let page = render(&samples::mixed());
        let body = &page[page.find("<body>").unwrap()..page.find("<script>").unwrap()];
        insta::with_settings!({ snapshot_path => "../../../snapshots", prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!("report.html", body);
        });
    }
}
