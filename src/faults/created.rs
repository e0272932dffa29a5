//! createRepo that stores or answers something else than it was sent, or takes what disagrees with itself (SPEC §6).

use axum::http::request::Parts;
use axum::http::{Response, StatusCode};
use bytes::Bytes;
use serde_json::{Value, json};

use super::table::*;
use super::tools::edit;
use crate::codec::base64;
use crate::server::edge::Edge;
use crate::server::operations;
use crate::server::refusal::Refusal;
use crate::server::repo::{Decision, Repo, Success, VaultCommand, Visit};
use crate::server::route::Route;
use crate::server::rules::VaultRules;
use crate::server::store::Tx;
use crate::wire::{CreateRepoRequest, VaultManifest};

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault("create-not-stored", &CREATE_RETURNS, "createRepo answers, and stores nothing.", || vault(CreateNotStored)),
    fault("create-loses-payload", &CREATE_RETURNS, "The first payload is stored as an empty one.", || {
        vault(CreateLosesPayload)
    }),
    fault(
        "create-version-starts-at-one",
        &CREATE_RETURNS,
        "The payload version starts at 1, whatever the manifest says.",
        || vault(CreateVersionStartsAtOne),
    ),
    fault(
        "create-epoch-starts-at-zero",
        &CREATE_RETURNS,
        "The key epoch starts at 0, whatever the manifest says.",
        || vault(CreateEpochStartsAtZero),
    ),
    fault("create-member-epoch-lost", &CREATE_RETURNS, "The first member's key epoch is stored as 0.", || {
        vault(CreateMemberEpochLost)
    }),
    fault(
        "create-scheme-of-its-own",
        &CREATE_RETURNS,
        "The scheme of a new repository is the server's default, not the client's.",
        || vault(CreateSchemeOfItsOwn),
    ),
    fault("create-answers-empty-object", &CREATE_RETURNS, "createRepo answers with an empty object.", || {
        edge(CreateAnswersEmptyObject)
    }),
    fault("create-answers-nothing", &CREATE_RETURNS, "createRepo answers with 204 and no manifest.", || {
        edge(CreateAnswersNothing)
    }),
    fault("create-answers-id-only", &CREATE_RETURNS, "createRepo answers with the repository id alone.", || {
        edge(CreateAnswersIdOnly)
    }),
    fault(
        "create-foreign-envelope",
        &CREATE_CONSISTENT,
        "The envelope of a new repository may name another one.",
        || vault(CreateForeignEnvelope),
    ),
    fault(
        "create-scope-envelope",
        &PUSH_SCOPE,
        "The first envelope is stored with the repository that it names, whoever creates another.",
        || vault(CreateScopeEnvelope),
    ),
    fault(
        "create-versions-disagree",
        &CREATE_CONSISTENT,
        "Manifest and envelope of a new repository may be of different versions.",
        || vault(CreateVersionsDisagree),
    ),
    fault(
        "create-epochs-disagree",
        &CREATE_CONSISTENT,
        "Manifest and envelope of a new repository may be of different epochs.",
        || vault(CreateEpochsDisagree),
    ),
    fault("retried-create-is-ok", &RETRY_WRITES, "The very same createRepo again is answered with 200.", || {
        vault(RetriedCreateIsOk)
    }),
];

struct CreateNotStored;

impl VaultRules for CreateNotStored {
    fn create(&self, visit: &Visit, existing: Option<&Repo>, request: &CreateRepoRequest) -> Decision<VaultManifest> {
        Decision { next: None, ..operations::create(self, visit, existing, request) }
    }
}

struct CreateLosesPayload;

impl VaultRules for CreateLosesPayload {
    fn stored(&self, route: Route, _: Option<&Repo>, mut next: Repo) -> Repo {
        if route == Route::CreateRepo {
            next.envelope.ciphertext = base64::encode(&[0; 16]);
        }
        next
    }
}

struct CreateVersionStartsAtOne;

impl VaultRules for CreateVersionStartsAtOne {
    fn stored(&self, route: Route, _: Option<&Repo>, mut next: Repo) -> Repo {
        if route == Route::CreateRepo {
            next.manifest.payload_version = 1;
        }
        next
    }
}

struct CreateEpochStartsAtZero;

impl VaultRules for CreateEpochStartsAtZero {
    fn stored(&self, route: Route, _: Option<&Repo>, mut next: Repo) -> Repo {
        if route == Route::CreateRepo {
            next.manifest.key_epoch = 0;
        }
        next
    }
}

struct CreateMemberEpochLost;

impl VaultRules for CreateMemberEpochLost {
    fn stored(&self, route: Route, _: Option<&Repo>, mut next: Repo) -> Repo {
        if route == Route::CreateRepo {
            next.manifest.members.iter_mut().for_each(|entry| entry.key_epoch = 0);
        }
        next
    }
}

struct CreateSchemeOfItsOwn;

impl VaultRules for CreateSchemeOfItsOwn {
    fn stored(&self, _: Route, _: Option<&Repo>, mut next: Repo) -> Repo {
        next.manifest.scheme_id = "default".into();
        next
    }
}

struct CreateAnswersEmptyObject;

impl Edge for CreateAnswersEmptyObject {
    fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        if route == Route::CreateRepo { edit(response, |answer| *answer = json!({})) } else { response }
    }
}

struct CreateAnswersNothing;

impl Edge for CreateAnswersNothing {
    fn response(&self, route: Route, _: &Parts, mut response: Response<Bytes>) -> Response<Bytes> {
        if route == Route::CreateRepo && response.status().is_success() {
            *response.status_mut() = StatusCode::NO_CONTENT;
            *response.body_mut() = Bytes::new();
        }
        response
    }
}

struct CreateAnswersIdOnly;

impl Edge for CreateAnswersIdOnly {
    fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        let id_only = |answer: &mut Value| *answer = json!({ "repoId": answer["repoId"] });
        if route == Route::CreateRepo { edit(response, id_only) } else { response }
    }
}

struct CreateForeignEnvelope;

impl VaultRules for CreateForeignEnvelope {
    fn creation_agrees(&self, request: &CreateRepoRequest) -> Result<(), Refusal> {
        let mut request = request.clone();
        request.initial_envelope.repo_id.clone_from(&request.manifest.repo_id);
        operations::creation_agrees(&request)
    }
}

struct CreateScopeEnvelope;

impl VaultRules for CreateScopeEnvelope {
    fn creation_agrees(&self, request: &CreateRepoRequest) -> Result<(), Refusal> {
        let mut request = request.clone();
        request.initial_envelope.repo_id.clone_from(&request.manifest.repo_id);
        operations::creation_agrees(&request)
    }

    fn committed(&self, tx: &Tx<'_>, visit: &Visit, _: Option<&Repo>, next: &Repo) -> rusqlite::Result<()> {
        let named = &next.envelope.repo_id;
        let creates = matches!(visit.command, VaultCommand::Create(_)) && *named != next.manifest.repo_id;
        if creates && let Some(other) = tx.load(named)? {
            tx.put(&Repo { envelope: next.envelope.clone(), ..other })?;
        }
        Ok(())
    }
}

struct CreateVersionsDisagree;

impl VaultRules for CreateVersionsDisagree {
    fn creation_agrees(&self, request: &CreateRepoRequest) -> Result<(), Refusal> {
        let mut request = request.clone();
        request.initial_envelope.payload_version = request.manifest.payload_version;
        operations::creation_agrees(&request)
    }
}

struct CreateEpochsDisagree;

impl VaultRules for CreateEpochsDisagree {
    fn creation_agrees(&self, request: &CreateRepoRequest) -> Result<(), Refusal> {
        let mut request = request.clone();
        request.initial_envelope.key_epoch = request.manifest.key_epoch;
        operations::creation_agrees(&request)
    }
}

struct RetriedCreateIsOk;

impl VaultRules for RetriedCreateIsOk {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Decision<Success> {
        match (&visit.command, state) {
            (VaultCommand::Create(request), Some(repo)) if repo.manifest == request.manifest => {
                Decision::read(Success::Manifest(repo.manifest.clone()))
            }
            _ => operations::transition(self, visit, state),
        }
    }
}
