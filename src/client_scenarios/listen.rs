//! By hand: whatever talks to the vault is judged by the requests that it sends; a page tells what has been seen.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

use super::ClientConfig;
use super::checks::{ClientCheck, Way, all};
use super::evidence::{ClientJudgement, Evidence};
use super::judge::{ClientTally, LeftOut, info, recent, select};
use super::run::Ran;
use super::subject::Exit;
use super::vault::{Bend, Vault};
use crate::runner::{Emit, Event, RunEnd};

/// Serves a vault until `stop`, then judges what it has seen. `told` gets the address.
///
/// # Errors
/// As the operating system says when the address can't be had.
pub async fn listen(
    config: ClientConfig,
    address: &str,
    mut stop: watch::Receiver<bool>,
    emit: Emit<'_>,
    told: impl FnOnce(&str),
) -> std::io::Result<Arc<RunEnd>> {
    let started = Instant::now();
    let vault = Arc::new(Vault::start(Bend::Honest, address, true, "nobody-writes-this").await?);
    let chosen = by_requests(&config);
    let weak = Arc::downgrade(&vault);
    let checks = chosen.clone();
    vault.set_page(Arc::new(move || weak.upgrade().map(|vault| page(&evidence(&vault), &checks)).unwrap_or_default()));
    told(&vault.url());
    let _ = stop.wait_for(|stop| *stop).await;
    let evidence = evidence(&vault);
    emit(Event::RunStarted(Arc::new(info(&config, chosen.len()))));
    emit(Event::Note(format!(
        "by hand {} of {} checks can be made, those about requests; the rest takes a program that can be started, or an adapter",
        chosen.len(),
        all().count()
    )));
    let mut tally = ClientTally::default();
    for check in &chosen {
        emit(Event::CheckStarted(&check.info));
        tally.judge(emit, &evidence, check);
    }
    tally.forgive(emit, &config);
    let (verdict, reason, advice, exit_code) = tally.end(config.strict);
    let end = Arc::new(RunEnd {
        verdict,
        reason,
        advice,
        summary: tally.summary,
        requests: evidence.runs.values().map(|ran| ran.records.len() as u64).sum(),
        duration: started.elapsed(),
        interrupted: false,
        exit_code,
        known: tally.known.covered,
        stale: tally.known.stale,
        hosted: None,
    });
    emit(Event::RunFinished(Arc::clone(&end)));
    Ok(end)
}

/// The checks that look at requests alone: nobody starts the program again for a bend.
fn by_requests(config: &ClientConfig) -> Vec<&'static ClientCheck> {
    let (chosen, _): (_, Vec<LeftOut>) = select(config);
    let alone = |check: &&'static ClientCheck| {
        matches!(check.way, Way::Runs(_))
            && check.bends.iter().all(|bend| {
                matches!(
                    bend,
                    Bend::Rotated
                        | Bend::Nulls
                        | Bend::ConflictRead
                        | Bend::TokenRevoked
                        | Bend::TokenOdd
                        | Bend::NoDiscovery
                )
            })
            && !TAKE_BENDS.contains(&check.info.id)
    };
    debug_assert!(TAKE_BENDS.iter().all(|id| all().any(|check| check.info.id == *id)));
    chosen.into_iter().filter(alone).collect()
}

/// Checks that need few bends, but can't do without.
const TAKE_BENDS: [&str; 6] = [
    "client-http/nulls",
    "client-write/provenance",
    "client-write/payload",
    "client-write/keeps-accounts",
    "client-join/no-discovery",
    "client-token/new-login",
];

fn evidence(vault: &Vault) -> Evidence {
    let ran = Ran {
        bend: Bend::Honest,
        exit: Exit::Code(0),
        output: String::new(),
        records: vault.records(),
        keys: Vec::new(),
        middle: String::new(),
        canary: "nobody-writes-this".into(),
        unsupported: Vec::new(),
        took: Default::default(),
    };
    let (scenes, usual) = Default::default();
    Evidence { runs: BTreeMap::from([(Bend::Honest, ran)]), usual, scenes, shows: None, driven: false }
}

/// What has been seen so far, and what to do next. It reloads itself, and runs no script.
fn page(evidence: &Evidence, checks: &[&'static ClientCheck]) -> String {
    let mut text = String::from(
        "<!doctype html><meta charset=utf-8><meta http-equiv=refresh content=2><title>avp-conform</title>\
         <style>body{font:16px/1.5 system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem}td{padding:.1rem .6rem;vertical-align:top}\
         .no{color:#b00020;font-weight:600}.ok{color:#0a6b2d}.open{color:#666}@media(prefers-color-scheme:dark){body{background:#111;\
         color:#ddd}.no{color:#ff8a80}.ok{color:#7fd69a}.open{color:#999}}</style><h1>What your client has shown</h1>\
         <p>Use it: log in, create a repository, add an account, invite a member, pull, push, remove the member. \
         Ctrl-C in the terminal gives the verdict.</p><table>",
    );
    for check in checks {
        let Way::Runs(judge) = check.way else { continue };
        let (class, word, note) = match judge(evidence, check.bends) {
            ClientJudgement::Holds(remark) => ("ok", "right", remark),
            ClientJudgement::Broken(findings) => {
                let first = findings.first();
                (
                    "no",
                    "broken",
                    first
                        .map(|found| format!("expected: {}; observed: {}", found.expected, found.observed))
                        .unwrap_or_default(),
                )
            }
            ClientJudgement::NotExercised(why)
            | ClientJudgement::NotApplicable(why)
            | ClientJudgement::Unclear(why) => ("open", "not seen", why),
            ClientJudgement::Shut(finding) => ("open", "not seen", finding.observed),
        };
        // Writing to a string can't fail.
        let _ = write!(
            text,
            "<tr><td class={class}>{word}<td>{}<br><small>{}</small>",
            escape(check.info.title),
            escape(&note)
        );
    }
    text.push_str("</table><h2>Last requests</h2><table>");
    for exchange in evidence.runs.get(&Bend::Honest).map(|ran| recent(ran, 20)).unwrap_or_default().iter().rev() {
        let status = exchange.status.map_or_else(|| "none".into(), |status| status.to_string());
        let _ = write!(text, "<tr><td>{status}<td>{} {}", escape(&exchange.method), escape(&exchange.path));
    }
    text.push_str("</table>");
    text
}

fn escape(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            '"' => "&quot;".to_owned(),
            '\'' => "&#39;".to_owned(),
            c if c.is_control() => " ".to_owned(),
            c => c.to_string(),
        })
        .collect()
}
