//! What answers and pages give away (SPEC §6, §10): rosters and repositories to strangers, and, as hardening, stack traces,
//! credentials and diagnostics to anybody, or what is private to caches and other web sites.

use std::time::Duration;

use super::by_hand::{HandMade, Lane, exchange};
use super::check::checks;
use super::doors::Scene;
use super::state::longest_word;
use super::{Auth, Ctx, Finding, Operation, Outcome, Stop, segment};
use crate::client::{RawAnswer, Repo};

checks! {
    "disclosure/duplicate-create", Must, "§6", [NOTHING_GIVEN_AWAY, CREATE_DUPLICATE], duplicate,
        "Who asks for a repository id that is taken learns nothing of its repository";
    "disclosure/listings", Must, "§6", [NOTHING_GIVEN_AWAY], listings,
        "No list or resource tells repositories or members to nobody or to strangers";
    "disclosure/diagnostics", Must, "§6", [NOTHING_GIVEN_AWAY, DISCRETION], diagnostics,
        "No page for operators (metrics, debugging, configuration) tells repositories, members or credentials, and best there is none";
    "disclosure/errors", Hardening, "§6", [DISCRETION], errors,
        "Refusals hold no stack traces, no words of databases and no credentials", phase = Finale;
    "disclosure/kept-and-read-by-others", Hardening, "§6", [DISCRETION], kept_and_read,
        "What needs a token may be kept by no shared cache and read by no other web site";
    "disclosure/made-up-addresses", Hardening, "§8.2", [DISCRETION], made_up,
        "Answers hold no address that is made of a header of whoever asks";
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
    let scene = Scene::set(cx).await?;
    let mallory = &scene.mallory;
    let wanted = Repo::with_id(mallory, scene.repo.id());
    cx.watch(&wanted);
    let answer = cx.create(mallory, &wanted.create_request()).await?;
    let request = serde_json::to_vec(&wanted.create_request()).unwrap_or_default();
    answer.must(
        !scene.is_told(&answer.body, request),
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
    let scene = Scene::set(cx).await?;
    let (mut told, mut first) = (Vec::new(), None);
    let mut paths: Vec<_> = LISTS.iter().map(|path| (*path).to_owned()).collect();
    paths.extend(RESOURCES.iter().map(|rest| format!("/v1/repos/{}{rest}", segment(scene.repo.id()))));
    let alice = segment(scene.alice.id());
    paths.extend(["", "/repos"].map(|rest| format!("/v1/members/{alice}{rest}")));
    paths.extend(["member", "memberId", "q"].map(|name| format!("/v1/repos?{name}={alice}")));
    let mut lane = Lane::new(cx);
    for auth in [Auth::None, scene.mallory.auth()] {
        let gets = paths.iter().map(|path| plain(cx, "GET", path, auth.clone()));
        let posts = SEARCHES.iter().map(|path| {
            let body = Some("{}".into());
            HandMade { body, ..plain(cx, "POST", path, auth.clone()) }
        });
        for request in gets.chain(posts) {
            let Ok(answer) = lane.send(&request).await else { continue };
            if !tells(&scene, cx, &request, &answer) {
                continue;
            }
            let who = if matches!(auth, Auth::None) { "anybody" } else { "strangers" };
            let readable = request.target.replace(&segment(scene.repo.id()), "{repoId}").replace(&alice, "{memberId}");
            told.push(format!("{} {readable} to {who}", request.method));
            first.get_or_insert((request, answer));
        }
    }
    let Some((request, answer)) = first else { return Ok(()) };
    let expected = "nobody but members is told of a repository or its members";
    Err(Stop::Broken(Box::new(shown(cx, &request, &answer, expected, format!("told by {}", told.join(", "))))))
}

/// Lists that are asked for with a body.
const SEARCHES: [&str; 4] = ["/v1/repos/list", "/v1/repos/search", "/v1/members/search", "/v1/search"];

/// Whether an answer holds something of the repository, or its id, that wasn't in the request.
fn tells(scene: &Scene, cx: &Ctx, request: &HandMade, answer: &RawAnswer) -> bool {
    let asked = request.bytes(cx, false);
    let named = !request.target.contains(&segment(scene.repo.id()))
        && String::from_utf8_lossy(&answer.body).contains(scene.repo.id());
    named || scene.is_told(&answer.body, asked)
}

/// Pages for operators as frameworks and servers have them at these places: metrics, the debugging of Go and Spring, consoles,
/// files of the deployment.
const PAGES: [&str; 66] = [
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
const SIGNS: [&str; 17] = [
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
    let scene = Scene::set(cx).await?;
    let nonce = cx.nonce(&scene.alice).await?;
    let credentials = [longest_word(tail(&scene.alice.token)).to_owned(), longest_word(&nonce).to_owned()];
    let mut lane = Lane::new(cx);
    let (mut open, mut telling, mut first) = (Vec::new(), Vec::new(), [None, None]);
    for path in PAGES {
        let request = plain(cx, "GET", path, Auth::None);
        let Ok(answer) = lane.send(&request).await else { continue };
        let text = String::from_utf8_lossy(&answer.body);
        let secret = credentials.iter().any(|secret| secret.len() >= 8 && text.contains(secret.as_str()));
        if secret || tells(&scene, cx, &request, &answer) {
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
    Err(Stop::Broken(Box::new(shown(cx, &request, &answer, expected, observed))))
}

/// The part of a token that no other token shares.
fn tail(token: &str) -> &str {
    token.rsplit('.').next().unwrap_or(token)
}

/// What shows the inside of a program, by what it comes from.
const INSIDES: [(&str, &[&str]); 5] = [
    (
        "a stack trace",
        &[
            "Traceback (most recent call last)",
            "\n    at ",
            "\\n    at ",
            "\n\tat ",
            "\\n\\tat ",
            "goroutine 1 [",
            "[running]:",
            "panicked at ",
            "stack backtrace",
            "Exception in thread",
            "\n   at ",
            "\\n   at ",
            "#0 /",
        ],
    ),
    (
        "the words of a database",
        &[
            "SQLITE_",
            "sqlite3.",
            "SQLSTATE",
            "psycopg",
            "syntax error at or near",
            "UNIQUE constraint failed",
            "duplicate key value violates",
            "ORA-0",
            "MongoServerError",
            "SequelizeUniqueConstraintError",
            "PrismaClient",
        ],
    ),
    (
        "the name of an exception",
        &["java.lang.", "java.util.", "org.springframework.", "System.NullReference", "NullPointerException"],
    ),
    (
        "a path in its file system",
        &[
            "node_modules/",
            "site-packages/",
            "/usr/src/",
            "/usr/lib/",
            "/usr/local/",
            "/home/",
            "/var/www/",
            "/var/lib/",
            "/root/",
            "/srv/",
            "/opt/",
        ],
    ),
    ("a place in its source", &[".java:", ".py\", line", ".go:", ".rb:", ".php on line"]),
];

/// Every refusal of the run, and some made for it.
async fn errors(cx: &Ctx) -> Outcome {
    let echoed = echo(cx).await?;
    let (answers, _) = cx.world.observer.answers();
    let refusals = answers.iter().filter(|kept| kept.exchange.status.is_some_and(|status| status >= 400));
    let mut found = refusals.filter_map(|kept| Some((kept, inside(&kept.body, &kept.exchange.request.text)?)));
    if let Some((kept, (what, sign))) = found.next() {
        return Err(Stop::Broken(Box::new(Finding {
            expected: REFUSAL.into(),
            observed: format!("a refusal in {} holds {what} ({:?})", kept.check, sign.trim()),
            exchange: Some(kept.exchange.clone()),
            evidence: Vec::new(),
        })));
    }
    echoed.map_or(Ok(()), |finding| Err(Stop::Broken(Box::new(finding))))
}

const REFUSAL: &str = "a refusal says what is wrong with the request, and nothing of the program";

/// What a refusal shows of the program, unless the request said it.
fn inside(body: &[u8], request: &str) -> Option<(&'static str, &'static str)> {
    let text = String::from_utf8_lossy(&body[..body.len().min(64 << 10)]);
    INSIDES.iter().find_map(|(what, signs)| {
        let sign = signs.iter().find(|sign| text.contains(**sign) && !request.contains(**sign))?;
        Some((*what, *sign))
    })
}

/// A refusal that quotes the token or the nonce that came with the request.
async fn echo(cx: &Ctx) -> Result<Option<Finding>, Stop> {
    let scene = Scene::set(cx).await?;
    let (auth, mut lane) = (scene.mallory.auth(), Lane::new(cx));
    let secret = tail(&scene.mallory.token);
    let usual = |operation| scene.usual(cx, operation, auth.clone());
    let mut malformed = usual(Operation::Pull);
    malformed.body = Some("{".into());
    let mut typed = usual(Operation::Push);
    typed.body = Some(r#"{"repoId":[],"envelope":7,"expectedPayloadVersion":{}}"#.into());
    let (unknown, method) =
        (plain(cx, "GET", "/v1/nothing-here", auth.clone()), plain(cx, "PUT", "/v1/repos", auth.clone()));
    let refused = [
        usual(Operation::Pull),
        usual(Operation::FetchMemberKey),
        usual(Operation::CreateRepo),
        malformed,
        typed,
        unknown,
        method,
    ];
    let expected = "a refusal doesn't repeat the caller's token";
    for request in refused {
        let Ok(answer) = lane.send(&request).await else { continue };
        if answer.status.as_u16() >= 400
            && let Some((what, sign)) = inside(&answer.body, &String::from_utf8_lossy(&request.bytes(cx, false)))
        {
            let observed = format!("it holds {what} ({:?})", sign.trim());
            return Ok(Some(shown(cx, &request, &answer, REFUSAL, observed)));
        }
        let in_headers = answer.headers.values().any(|value| contains(value.as_bytes(), secret));
        if secret.len() >= 8 && (in_headers || contains(&answer.body, secret)) {
            return Ok(Some(shown(cx, &request, &answer, expected, "it holds the token".into())));
        }
    }
    Ok(None)
}

fn contains(bytes: &[u8], text: &str) -> bool {
    String::from_utf8_lossy(bytes).contains(text)
}

/// A web site that has nothing to do with the server.
const FOREIGN: &str = "https://avp-conform.example";

async fn kept_and_read(cx: &Ctx) -> Outcome {
    let scene = Scene::set(cx).await?;
    let mut lane = Lane::new(cx);
    let mut first: Option<Finding> = None;
    let mut seen = Vec::new();
    for operation in [Operation::FetchMemberKey, Operation::Pull] {
        for origin in [FOREIGN, "null"] {
            let mut request = scene.usual(cx, operation, scene.alice.auth());
            request.headers = vec![("Origin", origin.into())];
            let Ok(answer) = lane.send(&request).await else { continue };
            for wrong in [cached(&answer), readable(&answer, origin)].into_iter().flatten() {
                if !seen.contains(&wrong) {
                    seen.push(wrong);
                    first.get_or_insert_with(|| shown(cx, &request, &answer, "", String::new()));
                }
            }
        }
    }
    let Some(finding) = first else { return Ok(()) };
    let expected =
        "answers to members may be kept by no shared cache (RFC 9111) and read by no foreign web site (CORS)".into();
    Err(Stop::Broken(Box::new(Finding { expected, observed: seen.join("; "), ..finding })))
}

/// What lets a cache keep an answer for others, or for later.
fn cached(answer: &RawAnswer) -> Option<String> {
    let values = answer.headers.get_all(http::header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let all = values.collect::<Vec<_>>().join(", ").to_ascii_lowercase();
    let says = |name: &str| all.split(',').any(|word| word.trim().split('=').next() == Some(name));
    let lives =
        all.split(',').filter_map(|word| word.trim().strip_prefix("max-age=")).any(|age| age.trim_matches('"') != "0");
    let guarded = says("no-store") || says("private") || says("no-cache");
    let wrong = says("public") || says("s-maxage") || (lives && !guarded);
    (wrong && !says("no-store")).then(|| format!("Cache-Control: {all}"))
}

/// What lets a foreign page read an answer with the visitor's credentials.
fn readable(answer: &RawAnswer, origin: &str) -> Option<String> {
    let header = |name| answer.headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    let allowed = header(http::header::ACCESS_CONTROL_ALLOW_ORIGIN)? == origin;
    let credentials = header(http::header::ACCESS_CONTROL_ALLOW_CREDENTIALS)?.eq_ignore_ascii_case("true");
    (allowed && credentials)
        .then(|| format!("Access-Control-Allow-Origin: {origin} with Access-Control-Allow-Credentials: true"))
}

/// Headers from which programs make addresses of themselves. `Host` isn't among them: a server without configuration has
/// nothing else to go by.
const HOSTS: [&str; 6] = [
    "X-Forwarded-Host",
    "X-Host",
    "X-Original-Host",
    "X-Forwarded-Server",
    "X-HTTP-Host-Override",
    "X-Forwarded-Prefix",
];
const MADE_UP: &str = "made-up.avp-conform.example";

async fn made_up(cx: &Ctx) -> Outcome {
    let scene = Scene::set(cx).await?;
    let mut lane = Lane::new(cx);
    let discovery = plain(cx, "GET", &Operation::Discovery.path("", ""), Auth::None);
    let mut slash = scene.usual(cx, Operation::Pull, scene.alice.auth());
    slash.target.push('/');
    for mut request in [discovery, slash, scene.usual(cx, Operation::Pull, scene.alice.auth())] {
        request.headers = HOSTS.iter().map(|name| (*name, MADE_UP.to_owned())).collect();
        request.headers.push(("Forwarded", format!("host={MADE_UP};proto=https")));
        let Ok(answer) = lane.send(&request).await else { continue };
        let in_headers = answer.headers.values().any(|value| contains(value.as_bytes(), MADE_UP));
        if answer.status.as_u16() < 400 && (in_headers || contains(&answer.body, MADE_UP)) {
            let expected = "addresses in answers don't depend on headers that anybody can send";
            let observed = format!("an address at {MADE_UP}, which came in a header such as X-Forwarded-Host");
            return Err(Stop::Broken(Box::new(shown(cx, &request, &answer, expected, observed))));
        }
    }
    Ok(())
}
