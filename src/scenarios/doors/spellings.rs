//! One path in every spelling that some framework, proxy or static-file handler folds into it.

use super::{Caller, Ctx, Fixture, Operation, Trick};
use crate::scenarios::Auth;

/// What may stand behind a path: trailing slashes, dot segments, path parameters, endings, blanks, ends of strings, queries.
const ENDS: [&str; 46] = [
    "/",
    "//",
    "/.",
    "/./",
    "/x/..",
    "/x/%2e%2e",
    "/%2e",
    ".",
    "%2e",
    "%2f",
    "%2F/",
    "\\",
    "%5c",
    ";",
    ";x=y",
    ";.css",
    ";jsessionid=1",
    "/;x",
    "/;.css",
    "%3b.css",
    ".json",
    ".css",
    ".js",
    ".ico",
    ".html",
    ".png",
    "/x.css",
    "/favicon.ico",
    "%20",
    "%09",
    "%0a",
    "%0d%0a",
    "%00",
    "%00.css",
    "%23",
    "%23.css",
    "%3f",
    "%3fx=.css",
    "?",
    "?x=.css",
    "?x=/.well-known/avp",
    "?/api/auth/keypair/token",
    "?debug=true&admin=true&internal=true&test=true&public=true&trusted=true&preview=true&auth=false&skipAuth=true",
    "#",
    "#/.well-known/avp",
    "&x=1",
];

/// The same for a run that has time.
const MORE_ENDS: [&str; 26] = [
    "..",
    "/..;/",
    "~",
    "*",
    ":",
    "!",
    "'",
    "+",
    "$",
    "|",
    ",x",
    "%a0",
    "%c2%a0",
    "%c0%af",
    "%e2%80%8b",
    "%ef%bc%8f",
    "%252f",
    "%2520",
    "%2500",
    ".xml",
    ".jpg",
    ".map",
    ".woff2",
    ".txt",
    "/index.html",
    "?wsdl",
];

/// What may stand before a path: slashes, dots that lead back, public places that they lead out of, and prefixes.
const STARTS: [&str; 34] = [
    "/",
    "//",
    "/.",
    "/./.",
    "/x/..",
    "/%2e",
    "/x/%2e%2e",
    "/x/%2E%2E",
    "/x/.%2e",
    "/..",
    "/.;",
    "/;",
    "/;x=y",
    "/x/..;",
    "/.well-known/avp/../..",
    "/.well-known/avp/%2e%2e/%2e%2e",
    "/.well-known/..",
    "/.well-known/..;",
    "/.well-known/avp;/../..",
    "/api/auth/keypair/challenge/../../../..",
    "/api/auth/..;/..",
    "/health/..",
    "/static/..",
    "/static..",
    "/public/..",
    "/assets/%2e%2e",
    "/api",
    "/internal",
    "/admin",
    "/public",
    "/debug",
    "/vault",
    "/avp",
    "/v1/..",
];

/// As [`STARTS`], with the slash that follows encoded.
const ENCODED_STARTS: [&str; 4] = ["/x/..%2f", "/x%2f..%2f", "/.well-known/..%2f", "/%2f"];

/// What the version may be replaced by.
const VERSIONS: [&str; 9] = ["/v2", "/V1", "/v0", "/v1.0", "/v1beta", "", "/api/v1", "/api/v2", "/internal/v1"];

/// What may stand for a slash between two segments.
const BETWEEN: [&str; 4] = ["//", "/./", ";x=y/", "%2f"];
const SOMEWHERE_BETWEEN: [&str; 10] =
    ["/x/../", "/x/%2e%2e/", "/%2e/", "\\", "%5c", "%252f", "/x/..;/", "/;/", "%2F", "%c0%af"];

/// The spellings of a path, itself first.
pub fn table(cx: &Ctx, fixture: &Fixture, operation: Operation, caller: Caller) -> Vec<Trick> {
    let usual = fixture.usual(cx, operation, fixture.auth(caller));
    let path = fixture.path(operation);
    let brief = caller == Caller::Stranger && !cx.thorough();
    if brief && operation == Operation::CreateRepo {
        return vec![usual.into()];
    }
    // Filters are made for all operations at once, mostly: the long list is for one that reads and one that writes.
    let long = caller == Caller::Nobody && matches!(operation, Operation::Pull | Operation::Push);
    let all = long || cx.thorough();
    let mut targets = if all { spellings(&path) } else { few(&path) };
    if brief && matches!(operation, Operation::AddMember | Operation::RemoveMember) {
        targets = fewest(&path);
    }
    if cx.thorough() {
        targets.extend(MORE_ENDS.iter().map(|end| format!("{path}{end}")));
        targets.extend(everywhere(&path, &SOMEWHERE_BETWEEN));
    }
    let prefix = cx.world.target.vault.prefix();
    let authority = cx.world.target.vault.authority();
    let below = targets.into_iter().map(|target| format!("{prefix}{target}"));
    let absolute = ["http://", "https://", "http://x@"].map(|scheme| format!("{scheme}{authority}{prefix}{path}"));
    let whole = absolute.into_iter().chain([format!("http://localhost{prefix}{path}")]).take(if all { 4 } else { 1 });
    let mut tricks: Vec<Trick> = vec![usual.clone().into()];
    tricks.extend(below.chain(whole).map(|target| {
        let mut request = usual.clone();
        request.target = target;
        request.into()
    }));
    if let Some(rpc) = by_procedure(operation, &usual.target, fixture, cx, fixture.auth(caller)) {
        tricks.push(rpc);
    }
    tricks
}

/// Those that are known to have been folded most often.
fn fewest(path: &str) -> Vec<String> {
    let mut all: Vec<_> = ["/", "//", ";x=y", ".json", "/.", "%20"].iter().map(|end| format!("{path}{end}")).collect();
    all.extend(["/", "/x/.."].iter().map(|start| format!("{start}{path}")));
    all.extend(letters(path).into_iter().take(2));
    all
}

/// Those that most frameworks fold.
fn few(path: &str) -> Vec<String> {
    const FEW_ENDS: [&str; 20] = [
        "/",
        "//",
        "/.",
        "/x/..",
        ";",
        ";x=y",
        ";.css",
        ".json",
        ".css",
        ".js",
        "/x.css",
        "/favicon.ico",
        ".",
        "%20",
        "%00",
        "%2f",
        "%3f",
        "?x=.css",
        "?x=/.well-known/avp",
        "?debug=true&admin=true&internal=true&public=true",
    ];
    const FEW_STARTS: [&str; 10] = [
        "/",
        "/.",
        "/x/..",
        "/x/%2e%2e",
        "/x/..;",
        "/;",
        "/.well-known/avp/../..",
        "/.well-known/..;",
        "/api",
        "/internal",
    ];
    let mut all: Vec<_> = FEW_ENDS.iter().map(|end| format!("{path}{end}")).collect();
    all.extend(FEW_STARTS.iter().map(|start| format!("{start}{path}")));
    let rest = path.strip_prefix("/v1").unwrap_or(path);
    all.extend(["/v2", ""].iter().map(|version| format!("{version}{rest}")));
    all.extend(everywhere(path, &["//"]));
    if let Some((before, last)) = path.rsplit_once('/') {
        all.extend(["%2f", "\\", ";x=y/"].iter().map(|between| format!("{before}{between}{last}")));
    }
    all.extend(letters(path));
    all
}

fn spellings(path: &str) -> Vec<String> {
    let mut all: Vec<_> = ENDS.iter().map(|end| format!("{path}{end}")).collect();
    all.extend(STARTS.iter().map(|start| format!("{start}{path}")));
    all.extend(ENCODED_STARTS.iter().map(|start| format!("{start}{}", &path[1..])));
    let rest = path.strip_prefix("/v1").unwrap_or(path);
    all.extend(VERSIONS.iter().map(|version| format!("{version}{rest}")));
    all.extend(everywhere(path, &BETWEEN));
    // Before the last segment: where the router knows the operation.
    if let Some((before, last)) = path.rsplit_once('/') {
        all.extend(SOMEWHERE_BETWEEN.iter().map(|between| format!("{before}{between}{last}")));
    }
    all.push(path.replace('/', "\\"));
    all.extend(letters(path));
    all
}

/// Each slash but the first, replaced.
fn everywhere(path: &str, replacements: &[&str]) -> Vec<String> {
    let slashes: Vec<_> = path.match_indices('/').map(|(at, _)| at).skip(1).collect();
    let replaced = |at: usize, with: &str| format!("{}{with}{}", &path[..at], &path[at + 1..]);
    slashes.iter().flat_map(|at| replacements.iter().map(move |with| replaced(*at, with))).collect()
}

/// The route's own words in other letters: upper case, escaped once and twice, full width, and one that folds to s or k.
fn letters(path: &str) -> Vec<String> {
    const WORDS: [&str; 6] = ["repos", "pull", "push", "add-member", "remove-member", "member"];
    let segments: Vec<&str> = path.split('/').collect();
    let Some(word) = segments.iter().rposition(|segment| WORDS.contains(segment)) else { return Vec::new() };
    let with = |at: usize, spelled: String| {
        let mut segments: Vec<_> = segments.iter().map(|segment| (*segment).to_owned()).collect();
        segments[at] = spelled;
        segments.join("/")
    };
    let (last, first) = (segments[word], segments[word].as_bytes().first().copied().unwrap_or(b'p'));
    let upper = |segment: &&str| {
        if WORDS.contains(segment) || *segment == "v1" { segment.to_uppercase() } else { (*segment).to_owned() }
    };
    let wide = char::from_u32(u32::from(first) + 0xfee0).unwrap_or('p').to_string();
    let mut all = vec![
        segments.iter().map(upper).collect::<Vec<_>>().join("/"),
        with(word, last.to_uppercase()),
        with(word, format!("{}{}", last[..1].to_uppercase(), &last[1..])),
        with(2, "Repos".into()),
        with(word, format!("%{first:02x}{}", &last[1..])),
        with(word, format!("%25{first:02x}{}", &last[1..])),
        with(1, "%76%31".into()),
        with(word, format!("{}{}", crate::scenarios::segment(&wide), &last[1..])),
    ];
    if last.contains('s') {
        all.push(with(word, last.replacen('s', "%c5%bf", 1)));
    }
    all
}

/// The operation by the name that gRPC has for it, as servers of both profiles may serve it with JSON.
fn by_procedure(operation: Operation, target: &str, fixture: &Fixture, cx: &Ctx, auth: Auth) -> Option<Trick> {
    let mut name = operation.name().to_owned();
    name.get_mut(..1)?.make_ascii_uppercase();
    let mut request = fixture.usual(cx, operation, auth);
    let path = fixture.path(operation);
    request.target = target.replace(&path, &format!("/avp.Vault/{name}"));
    request.method = "POST".into();
    if request.body.is_none() {
        let asked = serde_json::json!({ "repoId": fixture.repo.id(), "memberId": fixture.bob.id });
        request.body = Some(asked.to_string().into());
    }
    Some(request.into())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn spellings_differ_from_the_path_and_from_each_other() {
        for operation in Operation::VAULT {
            let path = operation.path("5e6f", "a+b/c=");
            let all = spellings(&path);
            let distinct: BTreeSet<_> = all.iter().collect();
            assert!(!distinct.contains(&path), "{path}");
            assert!(distinct.len() + 6 >= all.len(), "{} of {}", distinct.len(), all.len());
            assert!(all.iter().all(|target| !target.contains(char::is_whitespace) && target.is_ascii()), "{path}");
        }
    }

    #[test]
    fn each_slash_gets_its_turn() {
        let found = everywhere("/v1/repos/a/pull", &["//"]);
        assert_eq!(found, ["/v1//repos/a/pull", "/v1/repos//a/pull", "/v1/repos/a//pull"]);
    }
}
