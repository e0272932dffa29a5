//! pull that misjudges what the caller has (SPEC §6).

use std::collections::HashMap;
use std::sync::Mutex;

use axum::http::request::Parts;
use axum::http::{Response, StatusCode};
use bytes::Bytes;
use serde_json::{Value, json};

use super::table::*;
use super::tools::{edit, lock};
use crate::server::edge::Edge;
use crate::server::operations;
use crate::server::repo::{Decision, Repo, Visit};
use crate::server::route::Route;
use crate::server::rules::VaultRules;
use crate::wire::{EncryptedEnvelope, PullRequest, PullResponse};

/// What a conformant pull answers, changed.
pub fn changed(
    rules: &dyn crate::server::rules::VaultRules,
    visit: &Visit,
    repo: &Repo,
    request: &PullRequest,
    change: impl FnOnce(&mut PullResponse),
) -> Decision<PullResponse> {
    let mut outcome = operations::pull(rules, visit, repo, request);
    if let Ok(answer) = &mut outcome.answer {
        change(answer);
    }
    outcome
}

/// Edits the JSON of a pull's answer.
fn edit_pull(route: Route, response: Response<Bytes>, change: impl FnOnce(&mut Value)) -> Response<Bytes> {
    if route == Route::Pull { edit(response, change) } else { response }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "history-of-50",
        &READ_YOUR_WRITES,
        "After 50 versions the history of a repository is cut, and the current envelope with it.",
        || vault(HistoryOf50::default()),
    ),
    fault(
        "latest-version-as-text",
        &READ_YOUR_WRITES,
        "The latest envelope is the one whose version is the greatest as text: 10 comes before 9.",
        || vault(LatestVersionAsText::default()),
    ),
    fault("pull-never-unchanged", &PULL_UNCHANGED, "A pull is never told that nothing changed.", || {
        vault(PullNeverUnchanged)
    }),
    fault(
        "pull-minus-two-is-unchanged",
        &PULL_CURRENT,
        "A known version of -2 stands for any version: unchanged.",
        || vault(PullMinusTwoIsUnchanged),
    ),
    fault("pull-unchanged-inverted", &PULL_UNCHANGED, "The flag unchanged says the opposite.", || {
        vault(PullUnchangedInverted)
    }),
    fault("pull-unchanged-without-manifest", &PULL_UNCHANGED, "When nothing changed, the manifest is null.", || {
        edge(PullUnchangedWithoutManifest)
    }),
    fault(
        "pull-unchanged-without-roster",
        &PULL_UNCHANGED,
        "When nothing changed, the manifest has no members.",
        || vault(PullUnchangedWithoutRoster),
    ),
    fault("pull-unchanged-is-304", &PULL_UNCHANGED, "When nothing changed, the answer is 304 without a body.", || {
        edge(PullUnchangedIs304)
    }),
    fault(
        "pull-unchanged-sends-envelope",
        &PULL_OMITS_ENVELOPE,
        "The envelope is sent even if nothing changed.",
        || vault(PullUnchangedSendsEnvelope),
    ),
    fault(
        "pull-unchanged-if-newer",
        &PULL_CURRENT,
        "A caller who claims a newer version is told that nothing changed.",
        || vault(PullUnchangedIfNewer),
    ),
    fault(
        "pull-unchanged-if-older",
        &PULL_CURRENT,
        "A caller with an older version is told that nothing changed.",
        || vault(PullUnchangedIfOlder),
    ),
    fault(
        "pull-unchanged-one-behind",
        &PULL_CURRENT,
        "A caller who is one version behind is told that nothing changed.",
        || vault(PullUnchangedOneBehind),
    ),
    fault("pull-unchanged-by-epoch", &PULL_CURRENT, "The known version is compared with the key epoch.", || {
        vault(PullUnchangedByEpoch)
    }),
    fault(
        "pull-newer-without-envelope",
        &PULL_CURRENT,
        "A caller who claims a newer version gets no envelope.",
        || vault(PullNewerWithoutEnvelope),
    ),
];

#[derive(Default)]
struct HistoryOf50 {
    pushes: Mutex<HashMap<String, usize>>,
}

impl VaultRules for HistoryOf50 {
    fn stored(&self, route: Route, _: Option<&Repo>, next: Repo) -> Repo {
        if route == Route::Push {
            *lock(&self.pushes).entry(next.manifest.repo_id.clone()).or_default() += 1;
        }
        next
    }

    fn pull(&self, visit: &Visit, repo: &Repo, request: &PullRequest) -> Decision<PullResponse> {
        if lock(&self.pushes).get(&repo.manifest.repo_id).is_some_and(|count| *count > 50) {
            return Decision::refuse(crate::server::refusal::Refusal::internal("NoneType has no attribute ciphertext"));
        }
        operations::pull(self, visit, repo, request)
    }
}

#[derive(Default)]
struct LatestVersionAsText {
    pushed: Mutex<HashMap<String, Vec<EncryptedEnvelope>>>,
}

impl VaultRules for LatestVersionAsText {
    fn stored(&self, route: Route, _: Option<&Repo>, next: Repo) -> Repo {
        let mut pushed = lock(&self.pushed);
        let all = pushed.entry(next.manifest.repo_id.clone()).or_default();
        if route == Route::Push {
            all.push(next.envelope.clone())
        } else if route != Route::AddMember {
            all.clear()
        }
        next
    }

    fn pull(&self, visit: &Visit, repo: &Repo, request: &PullRequest) -> Decision<PullResponse> {
        changed(self, visit, repo, request, |answer| {
            let all = lock(&self.pushed).get(&repo.manifest.repo_id).cloned().unwrap_or_default();
            let latest = all.into_iter().max_by_key(|envelope| envelope.payload_version.to_string());
            if answer.envelope.is_some() && latest.is_some() {
                answer.envelope = latest;
            }
        })
    }
}

struct PullNeverUnchanged;

impl VaultRules for PullNeverUnchanged {
    fn is_current(&self, _: i64, _: i64) -> bool {
        false
    }
}

struct PullMinusTwoIsUnchanged;

impl VaultRules for PullMinusTwoIsUnchanged {
    fn is_current(&self, known: i64, current: i64) -> bool {
        known == -2 || known == current
    }
}

struct PullUnchangedInverted;

impl VaultRules for PullUnchangedInverted {
    fn pull(&self, visit: &Visit, repo: &Repo, request: &PullRequest) -> Decision<PullResponse> {
        changed(self, visit, repo, request, |answer| answer.unchanged = !answer.unchanged)
    }
}

struct PullUnchangedWithoutManifest;

impl Edge for PullUnchangedWithoutManifest {
    fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        edit_pull(route, response, |answer| {
            if answer["unchanged"] == json!(true) {
                answer["manifest"] = Value::Null;
            }
        })
    }
}

struct PullUnchangedWithoutRoster;

impl VaultRules for PullUnchangedWithoutRoster {
    fn pull(&self, visit: &Visit, repo: &Repo, request: &PullRequest) -> Decision<PullResponse> {
        changed(self, visit, repo, request, |answer| {
            if answer.unchanged {
                answer.manifest.members.clear();
            }
        })
    }
}

struct PullUnchangedIs304;

impl Edge for PullUnchangedIs304 {
    fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        let mut unchanged = false;
        let mut response = edit_pull(route, response, |answer| unchanged = answer["unchanged"] == json!(true));
        if unchanged {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            *response.body_mut() = Bytes::new();
        }
        response
    }
}

struct PullUnchangedSendsEnvelope;

impl VaultRules for PullUnchangedSendsEnvelope {
    fn pull(&self, visit: &Visit, repo: &Repo, request: &PullRequest) -> Decision<PullResponse> {
        changed(self, visit, repo, request, |answer| answer.envelope = Some(repo.envelope.clone()))
    }
}

struct PullUnchangedIfNewer;

impl VaultRules for PullUnchangedIfNewer {
    fn is_current(&self, known: i64, current: i64) -> bool {
        known >= current
    }
}

struct PullUnchangedIfOlder;

impl VaultRules for PullUnchangedIfOlder {
    fn is_current(&self, known: i64, current: i64) -> bool {
        known <= current
    }
}

struct PullUnchangedOneBehind;

impl VaultRules for PullUnchangedOneBehind {
    fn is_current(&self, known: i64, current: i64) -> bool {
        known == current || Some(known) == current.checked_sub(1)
    }
}

struct PullUnchangedByEpoch;

impl VaultRules for PullUnchangedByEpoch {
    fn pull(&self, visit: &Visit, repo: &Repo, request: &PullRequest) -> Decision<PullResponse> {
        changed(self, visit, repo, request, |answer| {
            answer.unchanged = request.known_payload_version == repo.manifest.key_epoch;
            answer.envelope = (!answer.unchanged).then(|| repo.envelope.clone());
        })
    }
}

struct PullNewerWithoutEnvelope;

impl VaultRules for PullNewerWithoutEnvelope {
    fn pull(&self, visit: &Visit, repo: &Repo, request: &PullRequest) -> Decision<PullResponse> {
        changed(self, visit, repo, request, |answer| {
            answer.envelope.take_if(|_| request.known_payload_version > repo.manifest.payload_version);
        })
    }
}
