//! Each rule of the grouping by what it is for: a few findings as checks tell them, and what a reader has to be told first.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::client::{Exchange, RecordedBody};
use crate::runner::Finding;
use crate::scenarios;
use crate::wire::Operation;

/// A check's result, as far as its cause is told from it.
struct Told {
    result: CheckResult,
}

fn check(id: &str) -> &'static scenarios::CheckInfo {
    &scenarios::all().find(|check| check.info.id == id).unwrap_or_else(|| panic!("there is no check {id}")).info
}

fn exchange(operation: Operation, status: u16, path: &str) -> Arc<Exchange> {
    Arc::new(Exchange {
        operation: operation.name(),
        method: operation.method().to_string(),
        path: path.into(),
        authorization: None,
        request: RecordedBody::default(),
        status: Some(status),
        grpc: None,
        content_type: None,
        response: RecordedBody::default(),
        error: None,
        duration: Duration::ZERO,
    })
}

impl Told {
    fn new(id: &str, status: Status, expected: &str, observed: &str) -> Self {
        let finding =
            Finding { expected: expected.into(), observed: observed.into(), exchange: None, evidence: Vec::new() };
        let findings = if status == Status::Pass { Vec::new() } else { vec![finding] };
        Self {
            result: CheckResult {
                check: check(id),
                status,
                omission: None,
                message: observed.into(),
                findings,
                exchanges: Vec::new(),
                duration: Duration::ZERO,
            },
        }
    }

    /// The exchange that did it.
    fn at(self, operation: Operation, status: u16) -> Self {
        self.by(exchange(operation, status, "/v1/repos/r"))
    }

    fn by(mut self, exchange: Arc<Exchange>) -> Self {
        self.result.findings[0].exchange = Some(exchange);
        self
    }

    /// The pull that shows it.
    fn shown(mut self) -> Self {
        self.result.findings[0].evidence.push(exchange(Operation::Pull, 200, "/v1/repos/r/pull"));
        self
    }
}

fn fails(id: &str, expected: &str, observed: &str) -> Told {
    Told::new(id, Status::Fail, expected, observed)
}

fn refused(id: &str, operation: Operation, status: u16) -> Told {
    fails(id, "it is accepted with a 2xx answer", &format!("status {status}")).at(operation, status)
}

fn let_through(id: &str, operation: Operation) -> Told {
    fails(id, "it is refused with a 4xx", "status 200").at(operation, 200)
}

fn stuck(id: &str, operation: Operation, status: u16) -> Told {
    Told::new(id, Status::Error, "it works, to set the check up", &format!("status {status}")).at(operation, status)
}

fn passes(id: &str) -> Told {
    Told::new(id, Status::Pass, "", "")
}

/// The causes, each with what follows from it.
fn grouped(told: &[Told]) -> Vec<(&'static str, Vec<&'static str>)> {
    let causes = find(told.iter().map(|told| &told.result));
    causes.list().iter().map(|cause| (cause.check, cause.explains.clone())).collect()
}

#[track_caller]
fn assert_one(told: &[Told], cause: &str) {
    let groups = grouped(told);
    assert_eq!(groups.len(), 1, "{groups:?}");
    assert_eq!(groups[0].0, cause, "{groups:?}");
    assert_eq!(groups[0].1.len(), told.iter().filter(|told| told.result.status != Status::Pass).count() - 1);
}

#[test]
fn a_run_without_findings_has_no_cause() {
    assert_eq!(grouped(&[passes("pull/unchanged"), passes("push/applies")]), []);
}

#[test]
fn the_rule_that_the_others_build_on_comes_first() {
    let told = [
        refused("remove-member/rotates", Operation::Token, 401),
        refused("pull/unchanged", Operation::Token, 401),
        refused("auth/signature-over-raw-bytes", Operation::Token, 401),
    ];
    assert_one(&told, "auth/signature-over-raw-bytes");
}

#[test]
fn the_plain_check_of_an_operation_speaks_for_it() {
    let gone = "member AbC= is in the roster and shouldn't be";
    let told = [
        fails("remove-member/others-read-on", "the new roster", gone).at(Operation::RemoveMember, 200),
        fails("remove-member/rotates", "the new roster", gone).at(Operation::RemoveMember, 200),
        let_through("remove-member/revokes-pull", Operation::Pull),
    ];
    assert_one(&told, "remove-member/rotates");
    let causes = find(told.iter().map(|told| &told.result));
    assert_eq!(
        causes.list()[0].requirements[0].id,
        req::REMOVE_DROPS.id,
        "the roster says which of its rules is broken"
    );
}

#[test]
fn the_same_difference_is_one_wherever_it_shows() {
    let lost = |id| fails(id, "as it was sent", "after it, pull shows: wrappedDataKey.iv is \"x\", not \"y\"").shown();
    let told = [
        lost("create-repo/returns-manifest").at(Operation::CreateRepo, 200),
        lost("pull/verbatim").at(Operation::CreateRepo, 200),
        lost("push/rotated-members-replace").at(Operation::Push, 200),
    ];
    let groups = grouped(&told);
    assert_eq!(groups.len(), 1, "{groups:?}");
    let causes = find(told.iter().map(|told| &told.result));
    assert_eq!(causes.list()[0].requirements[0].id, req::STORED_VERBATIM.id);
}

#[test]
fn what_shows_after_requests_of_several_kinds_is_the_pulls_own_doing() {
    let stale = |id| fails(id, "as it must be", "after it, pull shows: envelope.payloadVersion is 1, not 2").shown();
    let told = [
        stale("remove-member/rotates").at(Operation::RemoveMember, 200),
        stale("push/applies").at(Operation::Push, 200),
        stale("pull/after-push").at(Operation::Push, 200),
    ];
    assert_one(&told, "pull/after-push");
}

#[test]
fn what_one_operation_leaves_undone_shows_after_the_others() {
    let stale = |id| fails(id, "as it must be", "after it, pull shows: manifest.payloadVersion is 1, not 2").shown();
    let told = [
        stale("remove-member/rotates").at(Operation::RemoveMember, 200),
        stale("pull/after-push").at(Operation::Push, 200),
        stale("add-member/leaves-counters-alone").at(Operation::AddMember, 200),
    ];
    assert_one(&told, "remove-member/rotates");
}

#[test]
fn what_shows_after_one_kind_of_request_is_its_doing() {
    let stale = |id| fails(id, "as it must be", "after it, pull shows: envelope.payloadVersion is 1, not 2").shown();
    let told = [
        stale("push/applies").at(Operation::Push, 200),
        stale("pull/older-version-gives-envelope").at(Operation::Push, 200),
    ];
    assert_one(&told, "push/applies");
}

#[test]
fn a_repository_that_is_nowhere_was_not_created() {
    let told = [
        refused("create-repo/returns-manifest", Operation::Pull, 404),
        refused("push/applies", Operation::Push, 404),
        refused("add-member/records-entry", Operation::AddMember, 404),
        refused("pull/after-push", Operation::Pull, 404),
        stuck("remove-member/rotates", Operation::AddMember, 404),
    ];
    assert_one(&told, "create-repo/returns-manifest");
}

#[test]
fn ids_that_do_not_arrive_are_one_cause() {
    let path = "/v1/repos/r/member/a%2Fb%3D";
    let lost = |id| {
        fails(id, "it is accepted with a 2xx answer", "status 404").by(exchange(Operation::FetchMemberKey, 404, path))
    };
    let repo = exchange(Operation::Pull, 404, "/v1/repos/a%2Fb/pull");
    let told = [
        lost("fetch-member-key/id-with-plus-and-slash"),
        lost("fetch-member-key/id-with-slash"),
        Told::new("create-repo/id-with-slash", Status::Warn, "it is accepted with a 2xx answer", "status 404")
            .by(repo.clone()),
        fails("ids/similar-to-parsers", "an id that is taken works", "status 404").by(repo),
    ];
    assert_one(&told, "fetch-member-key/id-with-slash");
}

#[test]
fn what_cannot_be_set_up_follows_from_what_does_not_work() {
    let told = [
        refused("add-member/records-entry", Operation::AddMember, 500),
        stuck("remove-member/any-member", Operation::AddMember, 500),
        stuck("rosters/ids-alike", Operation::AddMember, 500),
    ];
    assert_one(&told, "add-member/records-entry");
}

#[test]
fn an_error_is_no_cause_while_anything_is_broken() {
    let odd = Told::new("doors/methods", Status::Error, "a repository that stays as it was", "it changed once");
    let told = [let_through("create-repo/no-member", Operation::CreateRepo), odd];
    assert_one(&told, "create-repo/no-member");
}

#[test]
fn errors_alone_are_grouped_all_the_same() {
    let told = [stuck("pull/unchanged", Operation::Token, 503), stuck("push/applies", Operation::Token, 503)];
    assert_eq!(grouped(&told).iter().map(|(_, explains)| 1 + explains.len()).sum::<usize>(), 2);
}

#[test]
fn a_warning_explains_no_failure() {
    let warning = Told::new("fetch-member-key/other-encodings", Status::Warn, "it is accepted", "status 404")
        .by(exchange(Operation::FetchMemberKey, 404, "/v1/repos/r/member/a%2Bb"));
    let groups = grouped(&[warning, let_through("push/non-member", Operation::Push)]);
    assert_eq!(groups[0].0, "push/non-member", "{groups:?}");
    assert_eq!(groups.len(), 2, "{groups:?}");
}

#[test]
fn a_look_at_the_whole_run_follows_from_where_it_met_something() {
    let met = "the envelope that pull gives was never sent (met in doors/spellings)";
    let told = [
        fails("zero-knowledge/blobs-as-sent", "what it was sent", met).at(Operation::Pull, 200),
        fails("doors/spellings", "no request without a token does anything", "createRepo takes effect")
            .at(Operation::Pull, 200),
    ];
    assert_one(&told, "doors/spellings");
}

#[test]
fn a_body_that_is_not_the_message_is_told_by_the_schema() {
    let shape = "missing field `keyEpoch` (12 times, first in pull/unchanged)";
    let told = [
        fails("pull/unchanged", "the body is a PullResponse", "missing field `keyEpoch`").at(Operation::Pull, 200),
        fails("create-repo/returns-manifest", "the body is a VaultManifest", "missing field `keyEpoch`")
            .at(Operation::CreateRepo, 200),
        fails("schema/manifest", "every body is a VaultManifest", shape).at(Operation::CreateRepo, 200),
    ];
    assert_one(&told, "schema/manifest");
}

#[test]
fn a_race_is_a_cause_only_where_plain_requests_come_off_well() {
    let race = || fails("race/push-has-one-winner", "one winner", "2 winners").at(Operation::Push, 200);
    assert_one(&[race(), passes("push/stale-is-conflict")], "race/push-has-one-winner");
    let stale = fails("push/stale-is-conflict", "a conflict", "accepted").at(Operation::Push, 200);
    assert_one(&[race(), stale], "push/stale-is-conflict");
}

#[test]
fn two_faults_that_have_nothing_to_do_with_each_other_are_two_causes() {
    let told = [
        let_through("auth/nonce-reused", Operation::Token),
        let_through("auth/nonce-reused-later", Operation::Token),
        let_through("push/non-member", Operation::Push),
        let_through("push/unknown-repository", Operation::Push),
    ];
    let groups = grouped(&told);
    assert_eq!(
        groups.iter().map(|(cause, _)| *cause).collect::<Vec<_>>(),
        ["auth/nonce-reused", "push/non-member"],
        "{groups:?}"
    );
}

#[test]
fn every_finding_is_a_cause_or_follows_from_one() {
    // Every check fails, in every way that there is a class of.
    for observed in [
        "status 404",
        "status 200",
        "missing field `x`",
        "keyEpoch is 1, not 2",
        "member A is missing from the roster of 1",
    ] {
        for status in [Status::Fail, Status::Warn, Status::Error] {
            let told: Vec<_> = scenarios::all()
                .zip(Operation::VAULT.into_iter().cycle())
                .map(|(check, operation)| {
                    Told::new(check.info.id, status, "it is refused", observed).at(operation, 200)
                })
                .collect();
            let causes = find(told.iter().map(|told| &told.result));
            assert!(told.iter().all(|told| causes.of(told.result.check.id).is_some()));
            let grouped: usize = causes.list().iter().map(|cause| 1 + cause.explains.len()).sum();
            assert_eq!(grouped, told.len(), "each of them once");
            assert!(causes.list().iter().all(|cause| cause.explains.len() == cause.reasons.len()));
        }
    }
}

#[test]
fn the_order_of_results_does_not_matter() {
    let told = || {
        [
            refused("add-member/records-entry", Operation::AddMember, 500),
            let_through("push/non-member", Operation::Push),
            stuck("remove-member/any-member", Operation::AddMember, 500),
            let_through("auth/nonce-reused", Operation::Token),
        ]
    };
    let forwards = grouped(&told());
    let mut backwards = told();
    backwards.reverse();
    assert_eq!(forwards, grouped(&backwards));
}

#[test]
fn transports_say_what_is_looked_for() {
    let closed = crate::client::TransportError::Closed { reason: String::new(), idle: false };
    assert!(closed.to_string().contains(symptom::UNANSWERED), "{closed}");
}

#[test]
fn the_schema_says_what_is_looked_for() {
    let body = serde_json::json!({
        "manifest": { "repoId": "r", "schemeId": "s", "keyEpoch": 0, "payloadVersion": 1, "members": [] },
        "unchanged": false,
        "envelope": {
            "repoId": "r", "keyEpoch": 0, "payloadVersion": 1, "iv": "AAAAAAAAAAAAAAAA", "ciphertext": "not base64!",
        },
    });
    let violations = crate::wire::Schema::violations(crate::wire::MessageKind::PullResponse, &body, 9);
    let told: Vec<_> = violations.iter().map(ToString::to_string).collect();
    let named: Vec<_> = told.iter().flat_map(|text| symptom::malformed(text)).collect();
    assert_eq!(named, ["envelope/ciphertext"], "{told:?}");
}
