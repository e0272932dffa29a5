//! An exchange: what was sent, what came, and the command that sends it again.

use super::super::explain::{answer_line, request_line};
use super::super::run::Run;
use super::super::shell::quote;
use super::differ::{Wrong, with_marks};
use super::escape::{esc, indented, is_plain, lines};
use crate::client::{Exchange, RecordedBody};
use crate::ground::shown::count;

/// Characters of a body that are shown; the JSON report has all that was kept.
const SHOWN: usize = 4000;

/// Request and answer, side by side where there is room; the answer's members that are wrong are marked.
pub(super) fn shown(run: &Run, exchange: &Exchange, wrong: &[Wrong<'_>]) -> String {
    format!(
        "<div class=\"exchange\"><div class=\"sent\"><p class=\"line\"><b>request</b> <code>{}</code></p>{}</div>\
         <div class=\"came\"><p class=\"line\"><b>answer</b> <code>{}</code></p>{}</div>{}</div>\n",
        esc(&request_line(exchange)),
        body(&exchange.request, "Request body", &[]),
        esc(&answer_line(exchange)),
        body(&exchange.response, "Answer body", wrong),
        curl(run, exchange)
    )
}

fn body(body: &RecordedBody, label: &str, wrong: &[Wrong<'_>]) -> String {
    if body.length == 0 {
        return String::new();
    }
    let text = indented(&body.text);
    let shown: String = text.chars().take(SHOWN).collect();
    let cut = if body.is_cut() || shown.len() < text.len() {
        format!("\n… ({} in all)", count(body.length, "byte"))
    } else {
        String::new()
    };
    format!("<pre tabindex=\"0\" role=\"group\" aria-label=\"{label}\">{}{cut}</pre>", with_marks(&shown, wrong))
}

/// The request as a command. `SERVER` and `TOKEN` are variables that the reader sets: the address may be another one
/// tomorrow, and the token is no longer known.
fn curl(run: &Run, exchange: &Exchange) -> String {
    // A part of a body would be another request.
    if exchange.request.is_cut() || !is_plain(&exchange.request.text) || !is_plain(&exchange.path) {
        return String::new();
    }
    let target = &run.info.target;
    let web = (target.starts_with("http://") || target.starts_with("https://")) && is_plain(target);
    let server = if web { format!("SERVER={}; ", quote(target.trim_end_matches('/'))) } else { String::new() };
    let mut line =
        format!("{server}curl -sS -g --path-as-is -X {} \"$SERVER\"{}", quote(&exchange.method), quote(&exchange.path));
    if exchange.authorization.is_some() {
        line.push_str(" -H \"Authorization: Bearer $TOKEN\"");
    }
    line.push_str(&headers_of_deployment(&run.info.rerun.headers));
    if exchange.request.length > 0 {
        line.push_str(" -H 'Content-Type: application/json' --data-raw ");
        line.push_str(&quote(&exchange.request.text));
    }
    format!(
        "<details class=\"curl\"><summary>as curl</summary><pre tabindex=\"0\" role=\"group\" aria-label=\"curl command\">{}</pre>\
         <button type=\"button\" class=\"copy\" hidden>copy</button></details>",
        lines(&line)
    )
}

/// What a deployment asks for, with variables for the values, which are in no report: `-H "x-key: $X_KEY"`.
fn headers_of_deployment(names: &[String]) -> String {
    // Other characters of a name would mean something to a shell.
    let is_plain = |name: &&String| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let header = |name: &String| format!(" -H \"{name}: ${}\"", name.to_ascii_uppercase().replace('-', "_"));
    names.iter().filter(is_plain).map(header).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::samples;
    use super::*;

    #[test]
    fn what_a_deployment_asks_for_is_a_variable() {
        let names = ["x-key", "a", "$(id)"].map(str::to_owned);
        assert_eq!(headers_of_deployment(&names), " -H \"x-key: $X_KEY\" -H \"a: $A\"");
    }

    #[test]
    fn a_request_can_be_sent_again() {
        let run = samples::mixed();
        let shown = shown(&run, &samples::exchange(Some(409), r#"{"error":"it's <b>"}"#), &[]);
        assert!(shown.contains(
            "SERVER=http://127.0.0.1:8787; curl -sS -g --path-as-is -X POST &quot;$SERVER&quot;/v1/repos/9f3c2a70/push"
        ));
        assert!(shown.contains("Authorization: Bearer $TOKEN") && !shown.contains("<b>&quot;"));
        let mut cut = Exchange::clone(&samples::exchange(Some(200), ""));
        cut.request.length = 1 << 20;
        assert!(!curl(&run, &cut).contains("curl"));
    }
}
