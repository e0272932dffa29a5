//! Who somebody is, told elsewhere than in a bearer token: headers that only a proxy may set, cookies, queries, bodies, other schemes.

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderName, HeaderValue};

use super::forge::from_the_id;
use super::misplaced::{Headers, in_headers, more_members, two_headers, value};
use super::{Stage, works};
use crate::codec::base64;
use crate::scenarios::attempts::Attempts;
use crate::scenarios::check::checks;
use crate::scenarios::context::to_set_up;
use crate::scenarios::{Auth, Call, Ctx, Member, Operation, Outcome, Stop};
use crate::wire::segment;

checks! {
    "token/identity-elsewhere", Must, "§3", [SUBJECT_IS_CALLER, TOKEN_REQUIRED], identity_elsewhere,
        "Who names a member in a header, a cookie, the query, the body or as a Basic user doesn't become that member";
}

/// What proxies, gateways and single sign-on set for the server behind them.
const HEADERS: [&str; 52] = [
    "x-forwarded-user",
    "x-forwarded-preferred-username",
    "x-forwarded-email",
    "x-forwarded-login",
    "x-remote-user",
    "remote-user",
    "x-user",
    "x-user-id",
    "x-userid",
    "x-username",
    "x-user-name",
    "x-member",
    "x-member-id",
    "x-auth-user",
    "x-auth-request-user",
    "x-auth-request-preferred-username",
    "x-auth-request-email",
    "x-authenticated-user",
    "x-authenticated-userid",
    "x-webauth-user",
    "x-consumer-username",
    "x-consumer-custom-id",
    "x-credential-identifier",
    "x-subject",
    "x-sub",
    "x-auth-subject",
    "x-jwt-sub",
    "x-token-subject",
    "x-client-id",
    "x-caller",
    "x-caller-id",
    "x-identity",
    "x-principal",
    "x-actor",
    "x-account-id",
    "x-on-behalf-of",
    "x-impersonate-user",
    "impersonate-user",
    "x-act-as",
    "x-sudo",
    "sudo",
    "x-original-user",
    "x-real-user",
    "x-ed25519-public-key",
    "x-public-key",
    "x-key-id",
    "x-auth-key",
    "x-avp-member",
    "x-avp-member-id",
    "x-avp-key",
    "x-amzn-oidc-identity",
    "x-goog-authenticated-user-id",
];

const NAMES: [&str; 24] = [
    "user",
    "userId",
    "user_id",
    "username",
    "member",
    "memberId",
    "member_id",
    "caller",
    "callerId",
    "sub",
    "subject",
    "identity",
    "actor",
    "as",
    "key",
    "publicKey",
    "ed25519PublicKey",
    "ed25519_public_key",
    "id",
    "uid",
    "account",
    "client_id",
    "login",
    "impersonate",
];

/// A part of a request in which somebody can be named. One request carries all names of a part at once; only if it gets in are they
/// tried one by one.
enum RequestPart {
    Header,
    Cookie,
    Query,
    Body,
}

const REQUEST_PARTS: [(&str, RequestPart); 4] = [
    ("headers", RequestPart::Header),
    ("cookies", RequestPart::Cookie),
    ("the query", RequestPart::Query),
    ("the body", RequestPart::Body),
];

impl RequestPart {
    fn names(&self) -> &'static [&'static str] {
        match self {
            Self::Header => &HEADERS,
            _ => &NAMES,
        }
    }

    /// A call that gives the same value under each of the names.
    fn fill<'a>(&self, call: Call<'a>, names: &[&'static str], value: &str) -> Call<'a> {
        let list = |between: &str, encode: fn(&str) -> String| {
            names.iter().map(|name| format!("{name}={}", encode(value))).collect::<Vec<_>>().join(between)
        };
        match self {
            Self::Header => {
                let value = HeaderValue::from_str(value).unwrap_or(HeaderValue::from_static("x"));
                let named = names.iter().map(|name| (HeaderName::from_static(name), value.clone()));
                Call { headers: named.collect(), ..call }
            }
            Self::Cookie => {
                let value = HeaderValue::from_str(&list("; ", str::to_owned)).unwrap_or(HeaderValue::from_static("x"));
                Call { headers: vec![(COOKIE, value)], ..call }
            }
            Self::Query => Call { path: format!("{}?{}", call.path, list("&", segment)), ..call },
            Self::Body => Call { body: more_members(call.body.as_ref(), names, value), validated: false, ..call },
        }
    }
}

/// One request with all names of a part, and one by one only if that gets in.
async fn try_part(
    cx: &Ctx,
    tally: &mut Attempts<'_>,
    stage: &Stage,
    (who, auth): (&str, &Auth),
    (name, part): (&str, &RequestPart),
    value: &str,
) -> Result<(), Stop> {
    for names in part.names().chunks(26) {
        let all = part.fill(stage.call(auth), names, value);
        if !cx.try_call(all).await.1.is_ok_and(|answer| answer.is_success()) {
            continue;
        }
        let mut found = false;
        for one in names {
            let call = part.fill(stage.call(auth), std::slice::from_ref(one), value);
            if cx.try_call(call).await.1.is_ok_and(|answer| answer.is_success()) {
                let call = part.fill(stage.call(auth), std::slice::from_ref(one), value);
                found |= tally.attempt(format!("{one} in {name}, {who}"), call).await?;
            }
        }
        if !found {
            tally.attempt(format!("something in {name}, {who}"), part.fill(stage.call(auth), names, value)).await?;
        }
    }
    Ok(())
}

/// mallory is no member, and says that she is alice.
async fn identity_elsewhere(cx: &Ctx) -> Outcome {
    let stage = Stage::set(cx, Operation::Pull).await?;
    let mallory = cx.member().await?;
    let id = stage.alice.id().to_owned();
    // Whoever gets in without naming anybody shows nothing here: that is another check's failure.
    for auth in [Auth::None, mallory.auth()] {
        let answer = stage.attempt(cx, &auth).await?;
        let expected = "a pull by somebody who names nobody is refused";
        answer.must(!answer.is_success(), expected, || answer.summary()).map_err(to_set_up)?;
    }
    let mut tally = Attempts::new(cx);
    for (who, auth) in [("without a token", &Auth::None), ("with a stranger's token", &mallory.auth())] {
        for (name, part) in &REQUEST_PARTS {
            try_part(cx, &mut tally, &stage, (who, auth), (name, part), &id).await?;
        }
        try_part(cx, &mut tally, &stage, (who, auth), ("headers", &RequestPart::Header), &format!("key:{id}")).await?;
        tally.attempt(format!("a client certificate in headers, {who}"), certified(&stage, auth, &id)).await?;
    }
    forged_beside(&mut tally, &stage, &mallory).await?;
    for (what, value) in other_schemes(&id) {
        tally.attempt(what, stage.call(&Auth::Header(value))).await?;
    }
    for (what, token) in from_the_id(&mallory.token, &mallory, &stage.alice) {
        tally.attempt(what, stage.call(&Auth::Bearer(token))).await?;
    }
    tally.verdict("pull by somebody who only names a member is refused")?;
    works(cx, &stage).await
}

/// Forged tokens that are tried beside a right one: those made of the attacker's own, which a server reads before it verifies them.
const FORGED: usize = 3;

/// A right token of mallory's, and beside it one for alice that nobody has signed: what is verified isn't what is read.
async fn forged_beside(tally: &mut Attempts<'_>, stage: &Stage, mallory: &Member) -> Outcome {
    let own = format!("Bearer {}", mallory.token);
    for (what, token) in from_the_id(&mallory.token, mallory, &stage.alice).into_iter().take(FORGED) {
        let forged = format!("Bearer {token}");
        let beside: [(&str, Headers); 4] = [
            ("behind a stranger's own", two_headers(&own, &forged)),
            ("in front of a stranger's own", two_headers(&forged, &own)),
            ("in a list behind a stranger's own", vec![(AUTHORIZATION, value(&format!("{own}, {forged}")))]),
            (
                "in other headers beside a stranger's own",
                [vec![(AUTHORIZATION, value(&own))], in_headers(&token)].concat(),
            ),
        ];
        for (place, headers) in beside {
            tally.attempt(format!("{what}, {place}"), Call { headers, ..stage.call(&Auth::None) }).await?;
        }
    }
    Ok(())
}

/// Headers by which a proxy says whose certificate it has verified.
const CERTIFICATES: [&str; 9] = [
    "x-client-cert-dn",
    "x-client-dn",
    "x-ssl-client-dn",
    "x-ssl-client-s-dn",
    "ssl-client-s-dn",
    "ssl-client-subject-dn",
    "x-ssl-client-cn",
    "x-client-cn",
    "x-tls-client-cn",
];

fn certified<'a>(stage: &'a Stage, auth: &'a Auth, id: &str) -> Call<'a> {
    let header =
        |name: &'static str, value: &str| Some((HeaderName::from_static(name), HeaderValue::from_str(value).ok()?));
    let common = |name: &&'static str| header(name, &if name.ends_with("cn") { id.into() } else { format!("CN={id}") });
    let mut headers: Headers = CERTIFICATES.iter().filter_map(common).collect();
    headers.extend(header("x-forwarded-client-cert", &format!("By=spiffe://avp;Hash=00;Subject=\"CN={id}\"")));
    headers.extend(
        ["x-ssl-client-verify", "x-client-verify", "ssl-client-verify"]
            .iter()
            .filter_map(|name| header(name, "SUCCESS")),
    );
    Call { headers, ..stage.call(auth) }
}

/// The id is public; that it stands where a user name does makes it no proof.
fn other_schemes(id: &str) -> Vec<(&'static str, String)> {
    let basic = |text: String| format!("Basic {}", base64::encode(text.as_bytes()));
    vec![
        ("the id as a Basic user", basic(format!("{id}:"))),
        ("the id as Basic user and password", basic(format!("{id}:{id}"))),
        ("key: and the id as a Basic user", basic(format!("key%3A{id}:"))),
        ("the id as a Basic user without colon", basic(id.to_owned())),
        ("the id in the scheme Key", format!("Key {id}")),
        ("the id in the scheme Token", format!("Token {id}")),
        ("the id in the scheme Ed25519", format!("Ed25519 {id}")),
        ("the id in the scheme AVP", format!("AVP {id}")),
        ("the id without a scheme", id.to_owned()),
        (
            "the id in a Signature that isn't one",
            format!("Signature keyId=\"{id}\",algorithm=\"ed25519\",signature=\"\""),
        ),
        ("the id as a Digest user", format!("Digest username=\"{id}\", realm=\"\", response=\"\"")),
        ("the id in the scheme Negotiate", format!("Negotiate {}", base64::encode(id.as_bytes()))),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::misplaced::TOKEN_HEADERS;
    use super::*;

    #[test]
    fn names_are_header_names() {
        for name in HEADERS.into_iter().chain(TOKEN_HEADERS) {
            assert_eq!(HeaderName::from_static(name).as_str(), name);
        }
    }
}
