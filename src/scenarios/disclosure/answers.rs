//! What answers hold beside their message: the inside of the program, credentials, leave to keep and read them, made-up addresses.

use super::super::by_hand::Lane;
use crate::client::{Profile, Repo};

use super::{Auth, Call, Ctx, Finding, Fixture, Operation, Outcome, RawAnswer, Stop, plain, shown, tail};

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
            "unrecognized token:",
            "error in your SQL syntax",
            "unterminated quoted string",
            "Unclosed quotation mark",
            "SELECT * FROM",
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
pub async fn errors(cx: &Ctx) -> Outcome {
    let echoed = match cx.world.target.vault.profile() {
        Profile::Http => echo(cx).await?,
        Profile::Grpc => refusals_of_calls(cx).await.map(|()| None)?,
    };
    let (answers, _) = cx.world.seen.answers.answers();
    let refusals = answers.iter().filter(|kept| kept.exchange.status.is_some_and(|status| status >= 400));
    let mut found = refusals.filter_map(|kept| Some((kept, inside(&kept.body, &kept.exchange.request.text)?)));
    if let Some((kept, (what, sign))) = found.next() {
        return Err(Stop::Violation(Box::new(Finding {
            expected: REFUSAL.into(),
            observed: format!("a refusal in {} holds {what} ({:?})", kept.check, sign.trim()),
            exchange: Some(kept.exchange.clone()),
            evidence: Vec::new(),
        })));
    }
    echoed.map_or(Ok(()), |finding| Err(Stop::Violation(Box::new(finding))))
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

/// Calls that are refused, so that there are some; what they say is looked at with all others.
async fn refusals_of_calls(cx: &Ctx) -> Outcome {
    let (alice, mallory) = (cx.member().await?, cx.member().await?);
    let repo = cx.repo(&alice).await?;
    cx.pull(&mallory, &repo.pull_request(0)).await?;
    cx.fetch(&mallory, repo.id(), alice.id()).await?;
    cx.fetch(&alice, repo.id(), mallory.id()).await?;
    cx.create(&mallory, &Repo::with_id(&mallory, repo.id()).create_request()).await?;
    let mut push = repo.push_request(&alice);
    push.envelope.ciphertext = "no base64".into();
    cx.provoke(Operation::Push, repo.id(), &alice.auth(), &push).await?;
    cx.call(Call::operation(Operation::Pull, repo.id(), "", &Auth::None, json_body(&repo.pull_request(0)))).await?;
    Ok(())
}

fn json_body(message: &impl serde::Serialize) -> Option<bytes::Bytes> {
    serde_json::to_vec(message).ok().map(Into::into)
}

/// A refusal that quotes the token or the nonce that came with the request.
async fn echo(cx: &Ctx) -> Result<Option<Finding>, Stop> {
    let fixture = Fixture::set_up(cx).await?;
    let (auth, mut lane) = (fixture.mallory.auth(), Lane::new(cx));
    let secret = tail(&fixture.mallory.token);
    let usual = |operation| fixture.usual(cx, operation, auth.clone());
    let mut malformed = usual(Operation::Pull);
    malformed.body = Some("{".into());
    // A member's gets as far as being read.
    let mut members = fixture.usual(cx, Operation::Push, fixture.alice.auth());
    members.body = Some("{".into());
    let mut typed = usual(Operation::Push);
    typed.body = Some(r#"{"repoId":[],"envelope":7,"expectedPayloadVersion":{}}"#.into());
    let (unknown, method) =
        (plain(cx, "GET", "/v1/nothing-here", auth.clone()), plain(cx, "PUT", "/v1/repos", auth.clone()));
    // A member's, so that the id gets as far as a database.
    let quote =
        plain(cx, "GET", &Operation::FetchMemberKey.path(fixture.repo.id(), "it's \"so\""), fixture.alice.auth());
    let mut taken = usual(Operation::CreateRepo);
    taken.body =
        serde_json::to_vec(&Repo::with_id(&fixture.mallory, fixture.repo.id()).create_request()).ok().map(Into::into);
    let refused = [
        taken,
        usual(Operation::Pull),
        usual(Operation::FetchMemberKey),
        usual(Operation::CreateRepo),
        malformed,
        members,
        typed,
        unknown,
        method,
        quote,
    ];
    let expected = "a refusal doesn't repeat the caller's token";
    for request in refused {
        let Ok(answer) = lane.send(&request).await else { continue };
        let mut told = answer.body.to_vec();
        answer.headers.values().for_each(|value| told.extend([b"\n", value.as_bytes()].concat()));
        if answer.status.as_u16() >= 400
            && let Some((what, sign)) = inside(&told, &String::from_utf8_lossy(&request.bytes(cx, false)))
        {
            let observed = format!("it holds {what} ({:?})", sign.trim());
            return Ok(Some(shown(cx, &request, &answer, REFUSAL, observed)));
        }
        let in_headers = answer.headers.values().any(|value| contains(value.as_bytes(), secret));
        if secret.len() >= 8 && (in_headers || contains(&answer.body, secret)) {
            return Ok(Some(shown(cx, &request, &answer, expected, "it holds the token".into())));
        }
    }
    reflected(cx, &mut lane, &auth, secret).await
}

/// Markup that a path brings along, and that no page may show as it is.
const MARKUP: &str = "<avp-conform>";

/// What shows the request as it came: TRACE its token (RFC 9110 §9.3.8), a page for an unknown path its markup.
async fn reflected(cx: &Ctx, lane: &mut Lane<'_>, auth: &Auth, secret: &str) -> Result<Option<Finding>, Stop> {
    let trace = plain(cx, "TRACE", "/v1/repos", auth.clone());
    if let Ok(answer) = lane.send(&trace).await
        && secret.len() >= 8
        && contains(&answer.body, secret)
    {
        let expected = "an answer to TRACE leaves out Authorization";
        return Ok(Some(shown(cx, &trace, &answer, expected, "it holds the token".into())));
    }
    let page = plain(cx, "GET", "/v1/nothing-here/%3Cavp-conform%3E", auth.clone());
    let Ok(answer) = lane.send(&page).await else { return Ok(None) };
    let label = answer.headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_html = label.is_some_and(|label| label.to_ascii_lowercase().contains("html"));
    if is_html && contains(&answer.body, MARKUP) {
        let expected = "a page shows no markup of the path that was asked for";
        let observed = format!("HTML with {MARKUP} of the path in it, not escaped");
        return Ok(Some(shown(cx, &page, &answer, expected, observed)));
    }
    Ok(None)
}

fn contains(bytes: &[u8], text: &str) -> bool {
    String::from_utf8_lossy(bytes).contains(text)
}

/// A web site that has nothing to do with the server.
const FOREIGN: &str = "https://avp-conform.example";

pub async fn kept_and_read(cx: &Ctx) -> Outcome {
    let fixture = Fixture::set_up(cx).await?;
    let mut lane = Lane::new(cx);
    let mut first: Option<Finding> = None;
    let mut seen = Vec::new();
    for operation in [Operation::FetchMemberKey, Operation::Pull] {
        for origin in [FOREIGN, "null"] {
            let mut request = fixture.usual(cx, operation, fixture.alice.auth());
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
    Err(Stop::Violation(Box::new(Finding { expected, observed: seen.join("; "), ..finding })))
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

pub async fn made_up(cx: &Ctx) -> Outcome {
    let fixture = Fixture::set_up(cx).await?;
    let mut lane = Lane::new(cx);
    let discovery = plain(cx, "GET", &Operation::Discovery.path("", ""), Auth::None);
    let mut slash = fixture.usual(cx, Operation::Pull, fixture.alice.auth());
    slash.target.push('/');
    for mut request in [discovery, slash, fixture.usual(cx, Operation::Pull, fixture.alice.auth())] {
        request.headers = HOSTS.iter().map(|name| (*name, MADE_UP.to_owned())).collect();
        request.headers.push(("Forwarded", format!("host={MADE_UP};proto=https")));
        let Ok(answer) = lane.send(&request).await else { continue };
        let in_headers = answer.headers.values().any(|value| contains(value.as_bytes(), MADE_UP));
        if answer.status.as_u16() < 400 && (in_headers || contains(&answer.body, MADE_UP)) {
            let expected = "addresses in answers don't depend on headers that anybody can send";
            let observed = format!("an address at {MADE_UP}, which came in a header such as X-Forwarded-Host");
            return Err(Stop::Violation(Box::new(shown(cx, &request, &answer, expected, observed))));
        }
    }
    Ok(())
}
