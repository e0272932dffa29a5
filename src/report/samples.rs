//! Hand-made runs for the tests of the reports.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::run::{Recorder, Run};
use crate::client::{Exchange, Mask, RecordedBody};
use crate::requirements::{self as req, Level, Revision};
use crate::runner::{CheckInfo, CheckResult, Event, Finding, Omission, RunEnd, RunInfo, Status, Summary, Verdict};

macro_rules! check {
    ($id:literal, $section:literal, $level:ident, $title:literal, $($requirement:ident),+) => {{
        static CHECK: CheckInfo = CheckInfo {
            id: $id, title: $title, section: $section, level: Level::$level,
            requirements: &[$(&req::$requirement),+], since: Revision::V0_2,
        };
        &CHECK
    }};
}

pub(super) const HOSTILE: &str = "\u{1b}[2J\u{1b}]0;pwned\u{7}<script>alert(1)</script> ]]> ``` | ![x](http://evil.example/x.png) @octocat\r\n\u{9b}31m \u{202e}txt.exe\u{0}";

pub(super) fn info() -> RunInfo {
    RunInfo {
        version: "0.1.0",
        spec: Revision::V0_2,
        target: "http://127.0.0.1:8787".into(),
        rerun: "--server http://127.0.0.1:8787".to_owned().into(),
        seed: 18_446_744_073_709_551_557,
        started_ms: 1_790_000_000_123,
        planned: 8,
        jobs: 8,
        strict: false,
        shard: None,
    }
}

pub(super) fn end(verdict: Verdict, reason: &str, summary: Summary) -> RunEnd {
    RunEnd {
        verdict,
        reason: reason.into(),
        advice: String::new(),
        summary,
        requests: 412,
        duration: Duration::from_micros(842_119),
        interrupted: false,
        exit_code: match verdict {
            Verdict::Conformant | Verdict::NotConformantAsKnown | Verdict::Incomplete => 0,
            Verdict::NotConformant => 1,
            Verdict::NotJudged => 3,
        },
        known: Default::default(),
        stale: Vec::new(),
        hosted: None,
    }
}

pub(super) fn exchange(status: Option<u16>, answer: &str) -> Arc<Exchange> {
    let body = format!(
        r#"{{"repoId":"9f3c2a70","envelope":{{"repoId":"9f3c2a70","payloadVersion":2,"keyEpoch":1,"iv":"q83vEjRWeJCrze8S","ciphertext":"{}"}},"expectedPayloadVersion":0}}"#,
        "Vm9sbE5pY2h0cw".repeat(6)
    );
    Arc::new(Exchange {
        operation: "push",
        method: "POST".into(),
        path: "/v1/repos/9f3c2a70/push".into(),
        authorization: Some("Bearer eyJhbGci…".into()),
        request: RecordedBody::of(&Bytes::from(body.to_owned()), &Mask::default()),
        status,
        grpc: None,
        content_type: status.map(|_| "application/json".into()),
        response: RecordedBody::of(&Bytes::from(answer.to_owned()), &Mask::default()),
        error: if status.is_none() { Some("the connection was closed before an answer".into()) } else { None },
        duration: Duration::from_micros(1_234),
    })
}

pub(super) fn result(check: &'static CheckInfo, status: Status, message: &str) -> CheckResult {
    let duration = Duration::from_micros(3_210);
    let omission = (status == Status::Skip).then_some(Omission::LeftOut);
    CheckResult {
        check,
        status,
        omission,
        message: message.into(),
        findings: Vec::new(),
        exchanges: Vec::new(),
        duration,
    }
}

fn omitted(check: &'static CheckInfo, omission: Omission, reason: &str) -> CheckResult {
    CheckResult { omission: Some(omission), ..result(check, Status::Skip, reason) }
}

pub(super) fn finding(expected: &str, observed: &str, exchange: &Arc<Exchange>) -> Finding {
    Finding {
        expected: expected.into(),
        observed: observed.into(),
        exchange: Some(Arc::clone(exchange)),
        evidence: Vec::new(),
    }
}

fn with(mut result: CheckResult, findings: Vec<Finding>) -> CheckResult {
    for finding in &findings {
        if let Some(exchange) = &finding.exchange
            && !result.exchanges.iter().any(|known| Arc::ptr_eq(known, exchange))
        {
            result.exchanges.push(Arc::clone(exchange));
        }
    }
    result.findings = findings;
    result
}

fn stale() -> CheckResult {
    let check = check!(
        "push/stale-is-conflict",
        "§6",
        Must,
        "A push that expects an old version is a conflict and changes nothing",
        PUSH_CONFLICT,
        PUSH_GATED
    );
    let answer = exchange(Some(409), r#"{"error":"version conflict"}"#);
    let message = "a push that expects version 0 where 1 is current was answered with 409";
    let expected = "200 with accepted false, conflict true and the current counters (version 1, epoch 1)";
    with(result(check, Status::Fail, message), vec![finding(expected, "409, a conflict as an error", &answer)])
}

fn revoked() -> CheckResult {
    let check = check!("remove/token-revoked", "§6", Must, "A removed member's token opens nothing", REMOVE_REVOKES);
    let gone = exchange(None, "");
    let served = exchange(Some(200), r#"{"manifest":{"repoId":"9f3c2a70"},"unchanged":true}"#);
    with(
        result(check, Status::Fail, "the removed member's pull was answered with 200"),
        vec![
            finding("403 for the removed member's pull", "200 with the manifest", &served),
            finding("403 for the removed member's push", "no answer", &gone),
        ],
    )
}

/// Every status.
pub(super) fn results() -> Vec<CheckResult> {
    let created = exchange(Some(201), r#"{"repoId":"9f3c2a70"}"#);
    let claims = check!("token/claims", "§3", Should, "A JWT holds no account data", TOKEN_CLAIMS);
    let status = check!("create/status", "§6", Should, "Success is 200", USUAL_STATUS);
    let slow = "needs --slow: it waits for a nonce to expire";
    vec![
        result(check!("pull/current", "§6", Must, "pull gives what was written", PULL_CURRENT), Status::Pass, ""),
        stale(),
        revoked(),
        result(
            check!("challenge/expired", "§3", Must, "An expired nonce is refused", NONCE_EXPIRES),
            Status::Skip,
            slow,
        ),
        result(check!("token/expired", "§3", Must, "An expired token is refused", TOKEN_EXPIRES), Status::Skip, slow),
        omitted(
            check!("binding/verifies", "§9", May, "Served bindings verify", BINDING_VALID),
            Omission::NotApplicable,
            "the server publishes no key bindings of its own; it needn't",
        ),
        omitted(
            check!("races/one-winner", "§6", Must, "Of two pushes one is applied", PUSH_GATED),
            Omission::NotJudged,
            "the server serves one request at a time",
        ),
        with(
            result(claims, Status::Warn, "the token carries an email claim"),
            vec![Finding {
                expected: "no account, email or role claim".into(),
                observed: "claims: email, kind, sub".into(),
                exchange: None,
                evidence: Vec::new(),
            }],
        ),
        with(
            result(status, Status::Warn, "createRepo was answered with 201"),
            vec![finding("200", "201, which 0.2 doesn't forbid", &created)],
        ),
        result(
            check!("input/nesting", "§6", Hardening, "A body of 100 000 levels is refused", BAD_INPUT),
            Status::Error,
            "the time for the whole run was up before this check could end",
        ),
        result(check!("challenge/size", "§3", Must, "A nonce has 32 bytes", NONCE_SIZE), Status::Pass, ""),
    ]
}

pub(super) fn run(info: RunInfo, notes: &[&str], results: Vec<CheckResult>, mut end: RunEnd) -> Run {
    let mut recorder = Recorder::default();
    let mut at = Duration::ZERO;
    let mut tell = |event: Event, at: Duration| recorder.event_at(&event, at);
    tell(Event::RunStarted(Arc::new(info)), at);
    notes.iter().for_each(|note| tell(Event::Note((*note).into()), at));
    end.summary = Summary::default();
    for result in results {
        end.summary.count(result.status);
        tell(Event::CheckStarted(result.check), at);
        at += result.duration;
        result.exchanges.iter().for_each(|exchange| tell(Event::Exchange(result.check.id, Arc::clone(exchange)), at));
        tell(Event::CheckFinished(Arc::new(result)), at);
    }
    tell(Event::RunFinished(Arc::new(end)), at);
    recorder.finish().unwrap()
}

const CLOSES: &str = "the server closes every connection after an answer, so the run uses one per request";

/// Every status, not conformant.
pub(super) fn mixed() -> Run {
    let end = end(Verdict::NotConformant, "2 MUST checks failed", Summary::default());
    run(info(), &[CLOSES], results(), end)
}

/// The same where warnings count.
pub(super) fn strict() -> Run {
    let end = end(Verdict::NotConformant, "2 MUST checks failed, and 2 warnings count", Summary::default());
    run(RunInfo { strict: true, ..info() }, &[], results(), end)
}

/// Nothing to complain about.
pub(super) fn conformant() -> Run {
    let results = results().into_iter().filter(|result| result.status == Status::Pass).collect();
    run(info(), &[], results, end(Verdict::Conformant, "", Summary::default()))
}

/// Nothing answers.
pub(super) fn not_judged() -> Run {
    let mut end = end(Verdict::NotJudged, "nothing listens at 127.0.0.1:8787: connection refused", Summary::default());
    end.advice = "start the server, or check host and port".into();
    end.requests = 3;
    let results = results().into_iter().map(|each| result(each.check, Status::Skip, "the target can't be judged"));
    run(info(), &[], results.collect(), end)
}

/// A server that attacks the reader.
pub(super) fn hostile() -> Run {
    let check = check!("pull/hostile", "§6", Must, "pull gives what was written", PULL_CURRENT);
    let bad = Exchange {
        path: format!("/v1/{HOSTILE}"),
        grpc: None,
        content_type: Some(HOSTILE.into()),
        error: Some(HOSTILE.into()),
        response: RecordedBody { text: HOSTILE.into(), length: 9_999_999 },
        ..Exchange::clone(&exchange(Some(200), ""))
    };
    let failed = with(result(check, Status::Fail, HOSTILE), vec![finding("an envelope", HOSTILE, &Arc::new(bad))]);
    let warned = result(check!("a/warn", "§6", Should, "w", USUAL_STATUS), Status::Warn, HOSTILE);
    let skipped = result(check!("a/skip", "§6", Should, "s", USUAL_STATUS), Status::Skip, HOSTILE);
    let error = result(check!("a/error", "§6", Should, "e", USUAL_STATUS), Status::Error, HOSTILE);
    let mut end = end(Verdict::NotConformant, HOSTILE, Summary::default());
    end.advice = HOSTILE.into();
    run(RunInfo { target: HOSTILE.into(), ..info() }, &[HOSTILE], vec![failed, warned, skipped, error], end)
}

/// Nothing failed, but much was left out.
pub(super) fn incomplete() -> Run {
    let mut results: Vec<_> = results().into_iter().filter(|result| result.status == Status::Pass).collect();
    results.extend(many_checks(70).into_iter().map(|check| result(check, Status::Skip, "not selected by --only")));
    run(info(), &[], results, end(Verdict::Incomplete, "70 MUST checks were left out", Summary::default()))
}

/// Forty failures, some of them alike, twelve warnings.
pub(super) fn many() -> Run {
    let answer = exchange(Some(500), "Internal Server Error");
    let mut results = results();
    for (index, check) in many_checks(52).into_iter().enumerate() {
        let observed = if index % 3 == 0 { "500".to_owned() } else { format!("500 at attempt {index}") };
        let finding = finding("401 for a request without a token", &observed, &answer);
        let status = if index < 40 { Status::Fail } else { Status::Warn };
        let text = format!("a request without a token was answered with {observed} instead of a refusal");
        results.push(with(result(check, status, &text), vec![finding]));
    }
    run(info(), &[CLOSES], results, end(Verdict::NotConformant, "42 MUST checks failed", Summary::default()))
}

/// Checks with made-up ids.
fn many_checks(number: usize) -> Vec<&'static CheckInfo> {
    let areas = ["challenge", "token", "create", "pull", "push", "members"];
    const RULES: &[&req::Requirement] = &[&req::TOKEN_REQUIRED];
    let check = |index: usize| {
        let id = format!("{}/made-up-rule-number-{index}", areas[index % areas.len()]);
        &*Box::leak(Box::new(CheckInfo {
            id: id.leak(),
            title: "Without a token nothing works",
            section: ["§3", "§6", "§10"][index % 3],
            level: Level::Must,
            requirements: RULES,
            since: Revision::V0_2,
        }))
    };
    (0..number).map(check).collect()
}
