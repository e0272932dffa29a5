//! Pages and lists that give away what their asker shouldn't know (SPEC §6).

use std::collections::VecDeque;
use std::sync::Mutex;

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use axum::http::request::Parts;
use axum::http::{Method, Response};
use bytes::Bytes;
use serde_json::json;

use super::table::*;
use super::tools::lock;
use crate::server::edge::Edge;
use crate::server::operations;
use crate::server::refusal::Refusal;
use crate::server::repo::{Decision, Repo, Visit};
use crate::server::route::Route;
use crate::server::rules::VaultRules;
use crate::wire::{CreateRepoRequest, VaultManifest};

/// What a page could tell.
#[derive(Default)]
struct Known {
    manifests: Vec<VaultManifest>,
    tokens: Vec<String>,
    /// Request lines, the last ones.
    lines: VecDeque<String>,
}

/// A page that nobody should see, at a path of its own.
struct Page {
    at: fn(&str) -> bool,
    /// Whether some token is asked for.
    token: bool,
    text: fn(&Known, &Parts) -> String,
    known: Mutex<Known>,
}

/// How much a page remembers.
pub const REMEMBERED: usize = 4096;

/// How many of the last requests a page shows.
const SHOWN: usize = 12;

fn page(at: fn(&str) -> bool, text: fn(&Known, &Parts) -> String) -> Page {
    Page { at, token: false, text, known: Mutex::default() }
}

impl VaultRules for Page {
    fn stored(&self, _: Route, _: Option<&Repo>, next: Repo) -> Repo {
        let mut known = lock(&self.known);
        known.manifests.retain(|old| old.repo_id != next.manifest.repo_id);
        if known.manifests.len() < REMEMBERED {
            known.manifests.push(next.manifest.clone());
        }
        next
    }
}

impl Edge for Page {
    fn head(&self, route: Route, parts: &mut Parts) -> Result<(), Refusal> {
        let token = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut known = lock(&self.known);
        if known.tokens.len() < REMEMBERED {
            known.tokens.extend(token);
        }
        if !matches!(route, Route::Unknown | Route::WrongMethod) {
            known.lines.push_back(format!("{} {}", parts.method, parts.uri.path()));
            let old = known.lines.len().saturating_sub(SHOWN);
            known.lines.drain(..old);
        }
        Ok(())
    }

    fn response(&self, route: Route, parts: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        let shown = matches!(route, Route::Unknown | Route::WrongMethod)
            && matches!(parts.method, Method::GET | Method::HEAD)
            && (self.at)(parts.uri.path())
            && (!self.token || parts.headers.contains_key(AUTHORIZATION));
        if !shown {
            return response;
        }
        let mut response = Response::new(Bytes::from((self.text)(&lock(&self.known), parts)));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        response
    }
}

fn ids(known: &Known, _: &Parts) -> String {
    json!(known.manifests.iter().map(|manifest| &manifest.repo_id).collect::<Vec<_>>()).to_string()
}

fn manifests(known: &Known, _: &Parts) -> String {
    json!(known.manifests).to_string()
}

/// The repositories of the member that the query names.
fn of_member(known: &Known, parts: &Parts) -> String {
    let asked = parts.uri.query().and_then(|query| query.strip_prefix("member=")).unwrap_or_default();
    let asked = percent_encoding::percent_decode_str(asked).decode_utf8_lossy();
    let theirs = known.manifests.iter().filter(|manifest| manifest.member(&asked).is_some());
    json!(theirs.map(|manifest| &manifest.repo_id).collect::<Vec<_>>()).to_string()
}

fn everybody(known: &Known, _: &Parts) -> String {
    let members = known.manifests.iter().flat_map(|manifest| &manifest.members);
    json!(members.map(|entry| &entry.ed25519_public_key).collect::<Vec<_>>()).to_string()
}

/// The manifest that the path names.
fn named(known: &Known, parts: &Parts) -> String {
    let found = known.manifests.iter().find(|manifest| parts.uri.path().contains(&manifest.repo_id));
    json!(found).to_string()
}

fn counted(known: &Known, _: &Parts) -> String {
    format!("# HELP vault_repos Repositories.\n# TYPE vault_repos gauge\nvault_repos {}\n", known.manifests.len())
}

fn labelled(known: &Known, parts: &Parts) -> String {
    let lines = known
        .manifests
        .iter()
        .map(|manifest| format!("vault_members{{repo=\"{}\"}} {}\n", manifest.repo_id, manifest.members.len()));
    counted(known, parts) + &lines.collect::<String>()
}

fn last_requests(known: &Known, _: &Parts) -> String {
    let lines: Vec<_> = known.lines.iter().map(String::as_str).collect();
    format!("Server status\n{}\n", lines.join("\n"))
}

fn repo_path(path: &str) -> bool {
    path.strip_prefix("/v1/repos/").is_some_and(|rest| !rest.is_empty() && !rest.contains('/'))
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "duplicate-tells-manifest",
        &NOTHING_GIVEN_AWAY,
        "Who asks for an id that is taken is told the manifest of its repository.",
        || vault(DuplicateTellsManifest),
    ),
    fault("list-for-anybody", &NOTHING_GIVEN_AWAY, "GET /v1/repos lists all repositories to anybody.", || {
        edge_and_vault(page(|path| path == "/v1/repos", ids))
    }),
    fault(
        "list-for-strangers",
        &NOTHING_GIVEN_AWAY,
        "GET /v1/repos lists all repositories to everybody with a token.",
        || edge_and_vault(Page { token: true, ..page(|path| path == "/v1/repos", ids) }),
    ),
    fault("list-behind-a-slash", &NOTHING_GIVEN_AWAY, "GET /v1/repos/ gives all manifests to anybody.", || {
        edge_and_vault(page(|path| path == "/v1/repos/", manifests))
    }),
    fault(
        "list-by-member",
        &NOTHING_GIVEN_AWAY,
        "GET /v1/repos?member= tells everybody with a token where somebody is a member.",
        || edge_and_vault(Page { token: true, ..page(|path| path == "/v1/repos", of_member) }),
    ),
    fault("list-of-members", &NOTHING_GIVEN_AWAY, "GET /v1/members names everybody.", || {
        edge_and_vault(page(|path| path == "/v1/members", everybody))
    }),
    fault(
        "manifest-for-strangers",
        &NOTHING_GIVEN_AWAY,
        "GET /v1/repos/{repoId} gives the manifest to everybody with a token.",
        || edge_and_vault(Page { token: true, ..page(repo_path, named) }),
    ),
    fault(
        "roster-for-anybody",
        &NOTHING_GIVEN_AWAY,
        "GET /v1/repos/{repoId}/members gives the roster to anybody.",
        || edge_and_vault(page(|path| path.ends_with("/members"), named)),
    ),
    fault("metrics-name-repositories", &NOTHING_GIVEN_AWAY, "/metrics has a label for each repository.", || {
        edge_and_vault(page(|path| path == "/metrics", labelled))
    }),
    fault("heapdump-holds-tokens", &NOTHING_GIVEN_AWAY, "/actuator/heapdump gives everybody's tokens away.", || {
        edge_and_vault(page(
            |path| path == "/actuator/heapdump",
            |known, _| format!("JAVA PROFILE 1.0.2 {}", known.tokens.join("\n")),
        ))
    }),
    fault("debug-state", &NOTHING_GIVEN_AWAY, "/debug/vars shows all that is in memory.", || {
        edge_and_vault(page(|path| path == "/debug/vars", manifests))
    }),
    fault("metrics-for-anybody", &DISCRETION, "/metrics is for anybody.", || {
        edge_and_vault(page(|path| path == "/metrics", counted))
    }),
    fault("pprof-for-anybody", &DISCRETION, "/debug/pprof/ is for anybody.", || {
        edge_and_vault(page(
            |path| path == "/debug/pprof/",
            |_, _| "<html>/debug/pprof/ profiles: 12 goroutine 3 heap</html>".into(),
        ))
    }),
    fault("environment-for-anybody", &DISCRETION, "/actuator/env is for anybody.", || {
        edge_and_vault(page(
            |path| path == "/actuator/env",
            |_, _| r#"{"propertySources":[{"name":"systemEnvironment"}]}"#.into(),
        ))
    }),
    fault("dotenv-served", &DISCRETION, "/.env is served as a file.", || {
        edge_and_vault(page(|path| path == "/.env", |_, _| "DATABASE_URL=postgres://vault:secret@db/vault\n".into()))
    }),
    fault("git-served", &DISCRETION, "/.git/config is served as a file.", || {
        edge_and_vault(page(|path| path == "/.git/config", |_, _| "[core]\n\trepositoryformatversion = 0\n".into()))
    }),
    fault(
        "server-status-shows-requests",
        &NOTHING_GIVEN_AWAY,
        "/server-status shows the last dozen requests to anybody.",
        || edge_and_vault(page(|path| path == "/server-status", last_requests)),
    ),
    fault(
        "exchanges-for-anybody",
        &NOTHING_GIVEN_AWAY,
        "/actuator/httptrace shows the last dozen requests to anybody.",
        || edge_and_vault(page(|path| path == "/actuator/httptrace", last_requests)),
    ),
];

struct DuplicateTellsManifest;

impl VaultRules for DuplicateTellsManifest {
    fn create(&self, visit: &Visit, existing: Option<&Repo>, request: &CreateRepoRequest) -> Decision<VaultManifest> {
        match existing {
            Some(repo) => {
                let mut refusal = Refusal::duplicate_repo();
                refusal.detail = json!(repo.manifest).to_string().into();
                Decision::refuse(refusal)
            }
            None => operations::create(self, visit, existing, request),
        }
    }
}
