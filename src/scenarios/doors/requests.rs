//! The usual path with other methods, headers and labels; and requests that carry one repository's membership to another.

use super::super::by_hand::HandMade;
use super::{Caller, Ctx, Fixture, Operation, Trick};

type Change<'a> = Box<dyn FnOnce(&mut HandMade) + 'a>;
type Changes<'a> = Vec<Change<'a>>;

/// Whether only the usual request is looked at: a stranger's token passes the same filter as none, mostly.
fn briefly(cx: &Ctx, operation: Operation, caller: Caller) -> bool {
    caller == Caller::Stranger && !cx.thorough() && !matches!(operation, Operation::Pull | Operation::Push)
}

/// Usual request first, then what `change` makes of it.
fn variants(usual: &HandMade, changes: Changes<'_>) -> Vec<Trick> {
    let changed = changes.into_iter().map(|change| {
        let mut request = usual.clone();
        change(&mut request);
        request.into()
    });
    std::iter::once(usual.clone().into()).chain(changed).collect()
}

const METHODS: [&str; 16] = [
    "CONNECT",
    "GET",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "HEAD",
    "OPTIONS",
    "TRACE",
    "post",
    "get",
    "Post",
    "PROPFIND",
    "AVPCONFORM",
    "POSTX",
    "QUERY",
];
const OVERRIDES: [&str; 3] = ["X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"];

fn overriding(method: &str) -> Vec<(&'static str, String)> {
    OVERRIDES.iter().map(|name| (*name, method.to_owned())).collect()
}

/// Other methods, and headers and queries that say so.
pub fn methods(cx: &Ctx, fixture: &Fixture, operation: Operation, caller: Caller) -> Vec<Trick> {
    let usual = fixture.usual(cx, operation, fixture.auth(caller));
    if briefly(cx, operation, caller) {
        return vec![usual.into()];
    }
    let mut changes: Changes<'_> = Vec::new();
    for method in METHODS.iter().filter(|method| **method != usual.method) {
        changes.push(Box::new(move |request| request.method = (*method).into()));
    }
    let own = usual.method.clone();
    for outer in ["GET", "POST", "PUT", "OPTIONS", "HEAD"] {
        let own = own.clone();
        if outer != own {
            changes.push(Box::new(move |request| {
                request.method = outer.into();
                request.headers = overriding(&own);
            }));
        }
    }
    for claimed in ["GET", "OPTIONS", "HEAD"] {
        changes.push(Box::new(move |request| request.headers = overriding(claimed)));
        changes.push(Box::new(move |request| request.target.push_str(&format!("?_method={claimed}"))));
    }
    for outer in ["GET", "POST"] {
        let own = own.clone();
        changes.push(Box::new(move |request| {
            request.method = outer.into();
            request.target.push_str(&format!("?_method={own}"));
        }));
    }
    changes.push(Box::new(|request| {
        request.method = "OPTIONS".into();
        request.headers = vec![
            ("Origin", "https://vault.example".into()),
            ("Access-Control-Request-Method", "POST".into()),
            ("Access-Control-Request-Headers", "authorization, content-type".into()),
        ];
    }));
    let query = format!("?repoId={}&knownPayloadVersion=0", crate::scenarios::segment(fixture.repo.id()));
    changes.push(Box::new(move |request| {
        request.method = "GET".into();
        request.body = None;
        request.target.push_str(&query);
    }));
    for (method, path) in as_resources(fixture, operation) {
        let target = format!("{}{path}", cx.world.target.vault.prefix());
        changes.push(Box::new(move |request| (request.method, request.target) = (method.into(), target)));
    }
    variants(&usual, changes)
}

/// Where a server would have the operation that thinks of repositories as of resources.
fn as_resources(fixture: &Fixture, operation: Operation) -> Vec<(&'static str, String)> {
    let repo = Operation::CreateRepo.path("", "") + "/";
    let of = |repo_id: &str, rest: &str| format!("{repo}{}{rest}", crate::scenarios::segment(repo_id));
    let (old, new) = (fixture.repo.id(), fixture.fresh.id());
    let member = fixture.path(Operation::FetchMemberKey);
    match operation {
        Operation::CreateRepo => vec![("PUT", of(new, "")), ("POST", of(new, "")), ("POST", of(new, "/create"))],
        Operation::Pull => {
            ["", "/manifest", "/envelope", "/export", "/payload"].map(|rest| ("GET", of(old, rest))).into()
        }
        Operation::Push => vec![("PUT", of(old, "")), ("PATCH", of(old, "")), ("PUT", of(old, "/envelope"))],
        Operation::AddMember => vec![("POST", of(old, "/members")), ("PUT", member), ("POST", of(old, "/member"))],
        Operation::RemoveMember => vec![("DELETE", member), ("DELETE", of(old, "")), ("POST", of(old, "/delete"))],
        _ => vec![("GET", of(old, "/members")), ("GET", of(old, "/member")), ("GET", of(old, "/member/"))],
    }
}

/// Headers by which proxies say where a request comes from.
const ADDRESSES: [&str; 11] = [
    "X-Forwarded-For",
    "X-Real-IP",
    "X-Client-IP",
    "True-Client-IP",
    "CF-Connecting-IP",
    "X-Originating-IP",
    "X-Remote-IP",
    "X-Remote-Addr",
    "X-Cluster-Client-IP",
    "X-Forwarded",
    "Client-IP",
];
/// Headers by which proxies say what was asked for.
const TARGETS: [&str; 9] = [
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-Original-URI",
    "X-Forwarded-Uri",
    "X-Forwarded-Path",
    "X-Forwarded-Prefix",
    "X-Request-URI",
    "X-Envoy-Original-Path",
    "X-Original-Path",
];
/// Headers by which services tell each other that all is well.
const CLAIMS: [&str; 22] = [
    "X-Internal",
    "X-Internal-Request",
    "X-Internal-Call",
    "X-Internal-Service",
    "X-Service",
    "X-Debug",
    "X-Admin",
    "X-Test",
    "X-Trusted",
    "X-Trusted-Proxy",
    "X-Skip-Auth",
    "X-Bypass-Auth",
    "X-No-Auth",
    "X-Authenticated",
    "X-Auth-Verified",
    "X-Authorized",
    "X-Gateway",
    "X-From-Gateway",
    "X-Health-Check",
    "X-Preview",
    "X-Replication",
    "X-Sync",
];
const SUBREQUESTS: [&str; 6] = [
    "middleware",
    "src/middleware",
    "middleware:middleware:middleware:middleware:middleware",
    "src/middleware:src/middleware:src/middleware:src/middleware:src/middleware",
    "pages/_middleware",
    "1",
];
/// Labels of bodies that a filter for JSON may not look at.
const LABELS: [Option<&str>; 9] = [
    Some("application/x-www-form-urlencoded"),
    Some("text/plain"),
    Some("multipart/form-data; boundary=x"),
    Some("application/octet-stream"),
    Some("application/xml"),
    Some("application/grpc-web+json"),
    Some("APPLICATION/JSON; charset=utf-7"),
    Some("*/*"),
    None,
];

/// The usual request with headers that some server believes.
pub fn headers(cx: &Ctx, fixture: &Fixture, operation: Operation, caller: Caller) -> Vec<Trick> {
    let usual = fixture.usual(cx, operation, fixture.auth(caller));
    if briefly(cx, operation, caller) {
        return vec![usual.into()];
    }
    let mut changes: Changes<'_> = Vec::new();
    let all = |names: &[&'static str], value: &str| -> Vec<_> {
        names.iter().map(|name| (*name, value.to_owned())).collect()
    };
    let mut with =
        |headers: Vec<(&'static str, String)>| changes.push(Box::new(move |request| request.headers = headers));
    for address in ["127.0.0.1", "::1", "10.0.0.1", "localhost"] {
        let mut claimed = all(&ADDRESSES, address);
        // RFC 7239 §6: only what has colons needs quotes.
        let quoted = if address.contains(':') { format!("\"[{address}]\"") } else { address.to_owned() };
        claimed.push(("Forwarded", format!("for={quoted};proto=https")));
        claimed.push(("X-Forwarded-Proto", "https".into()));
        with(claimed);
    }
    with(all(&CLAIMS, "true"));
    with(all(&CLAIMS, "1"));
    for value in SUBREQUESTS {
        with(vec![("x-middleware-subrequest", value.into()), ("X-Subrequest", value.into())]);
    }
    for public in ["/.well-known/avp", "/", "/health", "/api/auth/keypair/challenge"] {
        with(all(&TARGETS, public));
    }
    for host in ["localhost", "127.0.0.1", "internal"] {
        with(all(&["X-Forwarded-Host", "X-Host", "X-Forwarded-Server", "X-Original-Host"], host));
    }
    browsers_and_probes(cx).into_iter().for_each(&mut with);
    for host in ["localhost", "127.0.0.1", "internal", ""] {
        changes.push(Box::new(move |request| request.host = Some(host.into())));
    }
    changes.push(Box::new(|request| request.old = true));
    // As old health checks ask: HTTP/1.0, and no Host.
    changes.push(Box::new(|request| (request.old, request.host) = (true, Some(String::new()))));
    elsewhere(cx, &usual, &mut changes);
    if usual.body.is_some() {
        for label in LABELS {
            changes.push(Box::new(move |request| request.content_type = label));
        }
        changes.push(Box::new(|request| request.chunked = true));
    }
    variants(&usual, changes)
}

/// Headers of upgrades, probes, browsers and caches.
fn browsers_and_probes(cx: &Ctx) -> Vec<Vec<(&'static str, String)>> {
    let mut all: Vec<Vec<(&'static str, String)>> = Vec::new();
    all.push(vec![("Connection", "Upgrade".into()), ("Upgrade", "websocket".into())]);
    all.push(vec![
        ("Connection", "Upgrade, HTTP2-Settings".into()),
        ("Upgrade", "h2c".into()),
        ("HTTP2-Settings", "AAMAAABkAAQAAP__".into()),
    ]);
    for agent in ["kube-probe/1.31", "ELB-HealthChecker/2.0", "Prometheus/2.53.0"] {
        all.push(vec![("User-Agent", agent.into())]);
    }
    all.push(vec![
        ("Origin", format!("http://{}", cx.world.target.vault.authority())),
        ("Referer", format!("http://{}/", cx.world.target.vault.authority())),
        ("Sec-Fetch-Site", "same-origin".into()),
        ("X-Requested-With", "XMLHttpRequest".into()),
    ]);
    all.push(vec![
        ("Origin", "https://vault.example".into()),
        ("Access-Control-Request-Method", "POST".into()),
        ("Access-Control-Request-Headers", "authorization, content-type".into()),
    ]);
    all.push(vec![("Purpose", "prefetch".into()), ("Sec-Purpose", "prefetch".into()), ("X-Moz", "prefetch".into())]);
    all.push(vec![("If-None-Match", "\"x\"".into()), ("Range", "bytes=0-".into())]);
    all.push(vec![("Connection", "close, Authorization, X-Forwarded-For".into())]);
    all.push(vec![("Expect", "100-continue".into())]);
    all
}

/// A public target, and headers that name the real one.
fn elsewhere(cx: &Ctx, usual: &HandMade, changes: &mut Changes<'_>) {
    let real = usual.target.clone();
    for public in ["/.well-known/avp", "/"] {
        let (real, target) = (real.clone(), format!("{}{public}", cx.world.target.vault.prefix()));
        changes.push(Box::new(move |request| {
            request.target = target;
            request.headers = TARGETS.iter().map(|name| (*name, real.clone())).collect();
        }));
    }
}

/// mallory creates repositories of her own whose ids lead to the other one where ids are taken for paths.
fn namesakes(cx: &Ctx, fixture: &Fixture, usual: &HandMade) -> Vec<Trick> {
    let id = fixture.repo.id();
    let ids = [
        format!("./{id}"),
        format!("x/../{id}"),
        format!("../repos/{id}"),
        format!("{id}/."),
        format!("{id}/"),
        format!("/{id}"),
        format!("{id};x"),
        format!("{id}%2f."),
        format!("{id}?x"),
        format!("{id}\\..\\{id}"),
    ];
    let named = ids.into_iter().map(|namesake| {
        let wanted = crate::client::Repo::with_id(&fixture.mallory, &namesake);
        cx.watch(&wanted);
        let mut request = usual.clone();
        // Our own messages always serialize.
        request.body = serde_json::to_vec(&wanted.create_request()).ok().map(Into::into);
        Trick { request, after_member: false, what: Some(format!("for the id {}", namesake.replace(id, "{repoId}"))) }
    });
    named.collect()
}

/// Two ids in the place of one.
fn named_twice(own: &str, other: &str) -> Vec<String> {
    vec![
        format!("{own}/../{other}"),
        format!("{own}/%2e%2e/{other}"),
        format!("{own}/%2E%2E/{other}"),
        format!("{own}%2f..%2f{other}"),
        format!("{own}%2F..%2F{other}"),
        format!("{own}%2f%2e%2e%2f{other}"),
        format!("{own}/..%2f{other}"),
        format!("{own}%2f../{other}"),
        format!("{own}/..;/{other}"),
        format!("{own};/../{other}"),
        format!("{own}/.//../{other}"),
        format!("{own}\\..\\{other}"),
        format!("{own}%5c..%5c{other}"),
        format!("{own}%252f..%252f{other}"),
        format!("{other};repoId={own}"),
        format!("{own};repoId={other}"),
        format!("{other};{own}"),
        format!("{own}/{other}"),
        format!("{own},{other}"),
        format!("{other},{own}"),
        format!("{own}%00{other}"),
        format!("{other}%00{own}"),
        format!("{other}%20"),
        format!("{other}/"),
        format!("{own}%0a{other}"),
        format!("{own}/pull/../../{other}"),
    ]
}

/// mallory is in one repository and asks for another, in every way of naming both.
pub fn carried(cx: &Ctx, fixture: &Fixture, operation: Operation, caller: Caller) -> Vec<Trick> {
    let usual = fixture.usual(cx, operation, fixture.auth(caller));
    let mut tricks = vec![Trick::from(usual.clone())];
    let after = Some("on a connection on which a member asked before".to_owned());
    let member_first = Trick { request: usual.clone(), after_member: true, what: after };
    if caller == Caller::Nobody || operation == Operation::CreateRepo {
        if caller == Caller::Stranger {
            tricks.extend(namesakes(cx, fixture, &usual));
        }
        tricks.push(member_first);
        return tricks;
    }
    let (own, other) = (crate::scenarios::segment(fixture.own.id()), crate::scenarios::segment(fixture.repo.id()));
    let (before, behind) = usual.target.split_once(&*other).unwrap_or((&usual.target, ""));
    let ways = named_twice(&own, &other);
    let paths = ways.iter().map(|way| format!("{before}{way}{behind}"));
    let queries = ["repoId", "repo_id", "repo", "id"].into_iter().flat_map(|name| {
        [format!("{before}{other}{behind}?{name}={own}"), format!("{before}{own}{behind}?{name}={other}")]
    });
    let twice = format!("{before}{other}{behind}?repoId={own}&repoId={other}");
    tricks.extend(paths.chain(queries).chain([twice]).map(|target| {
        let mut request = usual.clone();
        request.target = target;
        request.into()
    }));
    for (target, named) in [(&other, fixture.own.id()), (&own, fixture.repo.id())] {
        let mut request = usual.clone();
        request.target = format!("{before}{target}{behind}");
        request.headers =
            ["X-Repo-Id", "X-Repository-Id", "X-RepoId", "X-Tenant-Id"].map(|name| (name, named.to_owned())).into();
        tricks.push(request.into());
    }
    tricks.push(member_first);
    tricks
}
