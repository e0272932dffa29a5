//! What answers and pages give away (SPEC §6, §10): rosters and repositories to strangers, and, as hardening, stack traces,
//! credentials and diagnostics to anybody, or what is private to caches and other web sites.

mod answers;
mod asking;

use std::time::Duration;

use super::by_hand::{HandMade, Lane, exchange};
use super::check::checks;
use super::doors::Fixture;
use super::state::longest_word;
use super::{Auth, Call, Ctx, Finding, Operation, Outcome, Stop, segment};
use crate::client::{RawAnswer, Repo};

checks! {
    "disclosure/duplicate-create", Must, "§6", [NOTHING_GIVEN_AWAY, CREATE_DUPLICATE], duplicate,
        "Who asks for a repository id that is taken learns nothing of its repository";
    "disclosure/listings", Must, "§6", [NOTHING_GIVEN_AWAY], listings,
        "No list or resource tells repositories or members to nobody or to strangers", only = Http;
    "disclosure/diagnostics", Must, "§6", [NOTHING_GIVEN_AWAY, DISCRETION], diagnostics,
        "No page for operators (metrics, debugging, configuration) tells repositories, members or credentials, and best there is none", only = Http;
    "disclosure/strangers-ask-for-members", Must, "§6", [STATUS_STRANGER, NOTHING_GIVEN_AWAY], asking::members,
        "Strangers are answered alike whether or not whom they name is a member";
    "disclosure/near-misses", Must, "§6", [NOTHING_GIVEN_AWAY], asking::near_misses,
        "Who is wrong by a letter in the id of a repository or member isn't told the right one", only = Http;
    "disclosure/errors", Hardening, "§6", [DISCRETION], answers::errors,
        "Refusals hold no stack traces, no words of databases and no credentials", phase = Finale;
    "disclosure/kept-and-read-by-others", Hardening, "§6", [DISCRETION], answers::kept_and_read,
        "What needs a token may be kept by no shared cache and read by no other web site", only = Http;
    "disclosure/made-up-addresses", Hardening, "§8.2", [DISCRETION], answers::made_up,
        "Answers hold no address that is made of a header of whoever asks", only = Http;
}

fn shown(cx: &Ctx, request: &HandMade, answer: &RawAnswer, expected: &str, observed: String) -> Finding {
    let exchange = Some(exchange(cx, request, Ok(answer), Duration::ZERO));
    Finding { expected: expected.into(), observed, exchange, evidence: Vec::new() }
}

/// Without a body, with any method, at any path.
fn plain(cx: &Ctx, method: &str, path: &str, auth: Auth) -> HandMade {
    let mut request = HandMade::usual(cx, Operation::FetchMemberKey, path, auth, None);
    request.method = method.into();
    request
}

/// The repository exists, somebody else wants its id.
async fn duplicate(cx: &Ctx) -> Outcome {
    let fixture = Fixture::set_up(cx).await?;
    let mallory = &fixture.mallory;
    let wanted = Repo::with_id(mallory, fixture.repo.id());
    cx.watch(&wanted);
    let answer = cx.create(mallory, &wanted.create_request()).await?;
    let request = serde_json::to_vec(&wanted.create_request()).unwrap_or_default();
    answer.must(
        !fixture.is_told(&answer.body, request),
        "a refusal tells nothing of the repository that has the id",
        || format!("{}, with its members or keys in the body", answer.summary()),
    )
}

/// Where lists and resources would be that the protocol doesn't have.
const LISTS: [&str; 34] = [
    "/v1/repos",
    "/v1/repos/",
    "/v1/repos?limit=1000",
    "/v1/repos?all=true",
    "/v1/repos.json",
    "/v1/repos/list",
    "/v1/repos/all",
    "/v1/repos/search?q=",
    "/v1/repositories",
    "/v1/vaults",
    "/v1/members",
    "/v1/members/",
    "/v1/users",
    "/v1/keys",
    "/v1/identities",
    "/v1",
    "/v1/",
    "/v1/stats",
    "/v1/status",
    "/v1/admin/repos",
    "/v1/admin",
    "/v1/debug",
    "/v1/dump",
    "/v1/export",
    "/v1/backup",
    "/v1/events",
    "/v1/changes",
    "/v1/audit",
    "/repos",
    "/api/repos",
    "/api/v1/repos",
    "/admin/repos",
    "/internal/repos",
    "/v2/repos",
];
/// Below a repository.
const RESOURCES: [&str; 12] = [
    "",
    "/",
    "/members",
    "/member",
    "/member/",
    "/manifest",
    "/envelope",
    "/history",
    "/versions",
    "/export",
    "/info",
    "/audit",
];

async fn listings(cx: &Ctx) -> Outcome {
    let fixture = Fixture::set_up(cx).await?;
    let (mut told, mut first) = (Vec::new(), None);
    let mut paths: Vec<_> = LISTS.iter().map(|path| (*path).to_owned()).collect();
    paths.extend(RESOURCES.iter().map(|rest| format!("/v1/repos/{}{rest}", segment(fixture.repo.id()))));
    let alice = segment(fixture.alice.id());
    paths.extend(["", "/repos"].map(|rest| format!("/v1/members/{alice}{rest}")));
    paths.extend(["member", "memberId", "q"].map(|name| format!("/v1/repos?{name}={alice}")));
    let mut lane = Lane::new(cx);
    for auth in [Auth::None, fixture.mallory.auth()] {
        let gets = paths.iter().map(|path| plain(cx, "GET", path, auth.clone()));
        let posts = SEARCHES.iter().map(|path| {
            let body = Some("{}".into());
            HandMade { body, ..plain(cx, "POST", path, auth.clone()) }
        });
        for request in gets.chain(posts) {
            let Ok(answer) = lane.send(&request).await else { continue };
            if !tells(&fixture, cx, &request, &answer) {
                continue;
            }
            let who = if matches!(auth, Auth::None) { "anybody" } else { "strangers" };
            let readable =
                request.target.replace(&segment(fixture.repo.id()), "{repoId}").replace(&alice, "{memberId}");
            told.push(format!("{} {readable} to {who}", request.method));
            first.get_or_insert((request, answer));
        }
    }
    let Some((request, answer)) = first else { return Ok(()) };
    let expected = "nobody but members is told of a repository or its members";
    Err(Stop::Violation(Box::new(shown(cx, &request, &answer, expected, format!("told by {}", told.join(", "))))))
}

/// Lists that are asked for with a body.
const SEARCHES: [&str; 4] = ["/v1/repos/list", "/v1/repos/search", "/v1/members/search", "/v1/search"];

/// Whether an answer holds something of the repository, or its id, that wasn't in the request.
fn tells(fixture: &Fixture, cx: &Ctx, request: &HandMade, answer: &RawAnswer) -> bool {
    let asked = request.bytes(cx, false);
    let named = !request.target.contains(&segment(fixture.repo.id()))
        && String::from_utf8_lossy(&answer.body).contains(fixture.repo.id());
    named || fixture.is_told(&answer.body, asked)
}

/// Pages for operators as frameworks and servers have them at these places: metrics, the debugging of Go and Spring, consoles,
/// files of the deployment.
const PAGES: [&str; 71] = [
    "/nginx_status",
    "/actuator/httptrace",
    "/debug/events",
    "/debug/log",
    "/requests",
    "/actuator/threaddump",
    "/actuator/beans",
    "/actuator/loggers",
    "/actuator/sessions",
    "/jolokia",
    "/debug/pprof/cmdline",
    "/debug/repos",
    "/debug/tokens",
    "/debug/sessions",
    "/debug/config",
    "/debug/store",
    "/internal/state",
    "/internal/metrics",
    "/__admin",
    "/healthz",
    "/health",
    "/info",
    "/v1/health",
    "/v1/metrics",
    "/v1/debug/vars",
    "/metrics",
    "/prometheus",
    "/actuator",
    "/actuator/env",
    "/actuator/heapdump",
    "/actuator/configprops",
    "/actuator/mappings",
    "/actuator/httpexchanges",
    "/actuator/prometheus",
    "/manage/env",
    "/env",
    "/debug",
    "/debug/",
    "/debug/pprof/",
    "/debug/pprof/goroutine?debug=2",
    "/debug/pprof/heap?debug=1",
    "/debug/vars",
    "/debug/requests",
    "/debug/state",
    "/debug/dump",
    "/_debug",
    "/__debug__/",
    "/_profiler/",
    "/console",
    "/h2-console",
    "/phpinfo.php",
    "/server-status",
    "/server-info",
    "/.env",
    "/.git/config",
    "/.git/HEAD",
    "/config.json",
    "/config.yml",
    "/appsettings.json",
    "/backup.sql",
    "/dump.sql",
    "/vault.db",
    "/data.db",
    "/db.sqlite3",
    "/access.log",
    "/logs",
    "/admin",
    "/status",
    "/stats",
    "/trace",
    "/state",
];
/// Words that only such pages hold.
const SIGNS: [&str; 19] = [
    "<title>Apache Status</title>",
    "Active connections: ",
    "# HELP ",
    "# TYPE ",
    "goroutine ",
    "memstats",
    "\"cmdline\"",
    "heap profile:",
    "propertySources",
    "JAVA PROFILE",
    "[core]",
    "ref: refs/",
    "Apache Server Status",
    "SQLite format 3",
    "PATH=",
    "DATABASE_URL",
    "CREATE TABLE",
    "phpinfo()",
    "ConnectionStrings",
];

async fn diagnostics(cx: &Ctx) -> Outcome {
    let fixture = Fixture::set_up(cx).await?;
    let nonce = cx.nonce(&fixture.alice).await?;
    let credentials = [longest_word(tail(&fixture.alice.token)).to_owned(), longest_word(&nonce).to_owned()];
    let mut lane = Lane::new(cx);
    let (mut open, mut telling, mut first) = (Vec::new(), Vec::new(), [None, None]);
    for path in PAGES {
        let request = plain(cx, "GET", path, Auth::None);
        let Ok(mut answer) = lane.send(&request).await else { continue };
        if answer.status.is_success() {
            // It may show the last requests, of which the fixture's are none any more.
            let _ = lane.send(&fixture.usual(cx, Operation::Pull, fixture.alice.auth())).await;
            answer = lane.send(&request).await.unwrap_or(answer);
        }
        let text = String::from_utf8_lossy(&answer.body);
        let secret = credentials.iter().any(|secret| secret.len() >= 8 && text.contains(secret.as_str()));
        if secret || tells(&fixture, cx, &request, &answer) {
            telling.push(path);
            first[0].get_or_insert((request, answer.clone()));
        } else if answer.status.is_success() && SIGNS.iter().any(|sign| text.contains(sign)) {
            open.push(path);
            first[1].get_or_insert((request, answer.clone()));
        }
    }
    let [first_telling, first_open] = first;
    if let Some((request, answer)) = first_open {
        let expected = "pages for operators aren't served to everybody";
        cx.warn(shown(cx, &request, &answer, expected, format!("without a token one gets {}", open.join(", "))));
    }
    let Some((request, answer)) = first_telling else { return Ok(()) };
    let expected = "no page tells repositories, members, tokens or nonces to anybody";
    let observed = format!("without a token one gets them by {}", telling.join(", "));
    Err(Stop::Violation(Box::new(shown(cx, &request, &answer, expected, observed))))
}

/// The part of a token that no other token shares.
fn tail(token: &str) -> &str {
    token.rsplit('.').next().unwrap_or(token)
}
