//! Challenge, token, and where the token goes (SPEC §3, §8).

use percent_encoding::percent_decode_str;

use super::super::evidence::{ClientJudgement, Evidence, finding};
use super::super::vault::{ArrivedAt, Bend, Channel, Demand, Endpoint, Record};
use super::each;
use crate::codec::{base64, signature};

/// The signature covers all the raw bytes of the nonce.
pub(in super::super) fn signs_raw(evidence: &Evidence, _: &[Bend]) -> ClientJudgement {
    each(evidence, "signature", "nobody logs in", |_, record| {
        if record.endpoint != Endpoint::Token {
            return None;
        }
        let text = |name: &str| record.field(name).and_then(|value| value.as_str()).unwrap_or_default();
        let expected = "the signature verifies over the raw bytes of the nonce".to_owned();
        let (key, nonce, signed) = (text("/ed25519PublicKey"), text("/nonce"), text("/signature"));
        let key = base64::decode_array::<32>(key).ok()?;
        let raw = base64::decode(nonce).ok()?;
        let Ok(signed) = base64::decode(signed) else { return Some(Err((expected, "it isn't base64".into()))) };
        let verifies = |message: &[u8]| signature::verify(&key, message, &signed).is_ok();
        if verifies(&raw) {
            return Some(Ok(()));
        }
        let observed = match () {
            () if verifies(nonce.as_bytes()) => "it verifies over the base64 text of the nonce".to_owned(),
            () if verifies(raw.get(..32).unwrap_or_default()) => {
                format!("it verifies over the first 32 of {} bytes", raw.len())
            }
            () => "it doesn't".to_owned(),
        };
        Some(Err((expected, observed)))
    })
}

/// Nonces of any length.
pub(in super::super) fn signs_any_length(evidence: &Evidence, bends: &[Bend]) -> ClientJudgement {
    match signs_raw(evidence, bends) {
        ClientJudgement::Broken(findings) => ClientJudgement::Broken(findings),
        _ => super::super::bends::bears(evidence, bends),
    }
}

/// A nonce is redeemed once.
pub(in super::super) fn fresh_challenge(evidence: &Evidence, _: &[Bend]) -> ClientJudgement {
    each(evidence, "login", "nobody logs in", |ran, record| {
        let nonce = record.field("/nonce").filter(|_| record.endpoint == Endpoint::Token)?;
        let spent = super::before(ran, record).any(|other| {
            other.endpoint == Endpoint::Token && other.field("/nonce") == Some(nonce) && other.status == Some(200)
        });
        let expected = "every token is asked for with a nonce of its own";
        Some(if spent { Err((expected.into(), "the nonce had bought a token before".into())) } else { Ok(()) })
    })
}

/// The token as issued, in `Authorization: Bearer` and nowhere else.
pub(in super::super) fn bearer(evidence: &Evidence, _: &[Bend]) -> ClientJudgement {
    each(evidence, "request", "no operation on a vault is asked for", |ran, record| {
        let tokens = ran.tokens();
        if let Some(place) = astray(record, &tokens) {
            return Some(Err(("the token travels in Authorization only".into(), format!("it is in {place}, too"))));
        }
        if !record.endpoint.is_vault() {
            return None;
        }
        // A request without any token may be meant to be refused, but not if there is never one.
        let Some(value) = record.header("authorization") else {
            let never = ran.at_vault().all(|other| other.header("authorization").is_none());
            let expected = "operations carry Authorization: Bearer and the token";
            return (never && !tokens.is_empty()).then(|| Err((expected.into(), "there is no Authorization".into())));
        };
        let issued = |text: &str| tokens.contains(&text);
        match value.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && issued(token) => Some(Ok(())),
            Some((scheme, token)) if issued(token) => Some(Err((
                "the scheme is Bearer".into(),
                format!("it is {}", scheme.chars().take(20).collect::<String>()),
            ))),
            None if issued(value) => Some(Err(("the scheme is Bearer".into(), "there is no scheme".into()))),
            Some((_, token)) if altered(token, &tokens) => {
                Some(Err(("the token is sent exactly as it was issued".into(), "it was altered".into())))
            }
            // A token that was never anybody's may be meant to be refused.
            _ => None,
        }
    })
}

/// Whether a text is a token that lost or changed something on its way.
fn altered(text: &str, tokens: &[&str]) -> bool {
    let near = |token: &&str| {
        token.eq_ignore_ascii_case(text)
            || (text.len() >= 16 && token.contains(text))
            || text.trim_matches(['"', '\'', ' ']) == *token
            || percent_decode_str(text).decode_utf8().is_ok_and(|decoded| decoded == **token)
    };
    tokens.iter().any(near)
}

/// Where a token is besides `Authorization`.
fn astray(record: &Record, tokens: &[&str]) -> Option<&'static str> {
    let target = percent_decode_str(&record.target).decode_utf8_lossy();
    let body = String::from_utf8_lossy(&record.body);
    tokens.iter().find_map(|token| {
        // In base64 as well, as far as its own bytes decide.
        let code = base64::encode_url(token.as_bytes());
        let code = &code[..token.len() / 3 * 4];
        let holds = |text: &str| {
            text.contains(token) || code.len() >= 16 && text.replace('+', "-").replace('/', "_").contains(code)
        };
        match () {
            () if holds(&record.target) || holds(&target) => Some("the URL"),
            () if holds(&body) => Some("the body"),
            () if record.headers.iter().any(|(name, value)| name != "authorization" && holds(value)) => {
                Some("another header")
            }
            () => None,
        }
    })
}

/// Whether a request shows one of these tokens, wherever.
pub(in super::super) fn carries(record: &Record, tokens: &[&str]) -> bool {
    let told = |value: &str| tokens.iter().any(|token| value.contains(token));
    record.headers.iter().any(|(_, value)| told(value)) || astray(record, tokens).is_some()
}

/// No token at another host or port.
pub(in super::super) fn stays_home(evidence: &Evidence, bends: &[Bend]) -> ClientJudgement {
    let (mut findings, mut tried) = (Vec::new(), 0);
    for ran in bends.iter().filter_map(|bend| evidence.run(*bend)) {
        let redirected = |record: &&Record| record.status.is_some_and(|status| (300..400).contains(&status));
        tried +=
            usize::from(ran.at_vault().any(|record| redirected(&record) && record.header("authorization").is_some()));
        let tokens = ran.tokens();
        let carries = |record: &&Record| carries(record, &tokens);
        // Without TLS the same port is another origin, and nobody knows whose.
        let strange = |record: &&Record| {
            record.place == ArrivedAt::Elsewhere || ran.bend.is_tls() && record.over == Channel::Plain
        };
        if let Some(record) = ran.records.iter().find(|record| strange(record) && carries(record)) {
            let expected =
                "the token is shown to no other host or port, and to none without TLS that was reached with it";
            let found = finding(ran, Some(record), expected, "it was sent to where the redirect pointed");
            findings.push(found);
        }
    }
    let get = bends.contains(&Bend::RedirectGet302);
    if get && tried == 0 && findings.is_empty() {
        return evidence.never("no GET is sent with a token (fetchMemberKey is the only one there is)");
    }
    ClientJudgement::of(findings, tried, "redirect", "no operation of this kind is asked for with a token")
}

/// A token that isn't valid any longer leads to one new login.
pub(in super::super) fn logs_in_anew(evidence: &Evidence, _: &[Bend]) -> ClientJudgement {
    if !evidence.works() {
        return ClientJudgement::NotExercised("the program fails even with a vault that isn't bent".into());
    }
    let (mut findings, mut tried) = (Vec::new(), 0);
    if let Some(ran) = evidence.run(Bend::TokenRevoked)
        && let Some(refused) = ran.at_vault().find(|record| record.endpoint.is_vault() && record.status == Some(401))
    {
        tried += 1;
        if Some(&ran.exit) != evidence.run(Bend::Honest).map(|honest| &honest.exit) {
            let expected = "a 401 leads to a new login, and the operation is asked for again";
            findings.push(finding(ran, Some(refused), expected, ran.exit.to_string()));
        }
    }
    if let Some(ran) = evidence.run(Bend::NoTokenValid) {
        tried += 1;
        let logins = ran.of(Endpoint::Token).count();
        if logins > 20 {
            let expected = "a client whose token isn't accepted gives up after a login or two";
            findings.push(finding(ran, ran.of(Endpoint::Token).last(), expected, format!("{logins} logins")));
        }
    }
    ClientJudgement::of(findings, tried, "case", "nothing is asked for after the third operation")
}

/// Discovery is asked without a token.
pub(in super::super) fn discovery_silent(evidence: &Evidence, _: &[Bend]) -> ClientJudgement {
    const NEVER: &str = "discovery is never asked";
    let judgement = each(evidence, "request", NEVER, |_, record| {
        (record.endpoint == Endpoint::Discovery).then(|| match record.header("authorization") {
            None => Ok(()),
            Some(_) => Err(("/.well-known/avp is asked without Authorization".into(), "there is one".into())),
        })
    });
    // A client needn't ask: without discovery HTTP/JSON is the default.
    if matches!(judgement, ClientJudgement::NotExercised(_)) { evidence.never(NEVER) } else { judgement }
}

/// Nothing goes to a server whose certificate is wrong.
pub(in super::super) fn certificate(evidence: &Evidence, bends: &[Bend]) -> ClientJudgement {
    let (mut findings, mut tried) = (Vec::new(), 0);
    let works = evidence.run(Bend::TlsRight).is_some_and(|ran| ran.at_vault().next().is_some());
    for ran in bends.iter().filter_map(|bend| evidence.run(*bend)).filter(|ran| ran.bend != Bend::TlsRight) {
        if let Some(record) = ran.at_vault().find(|record| record.over != Channel::Tls) {
            tried += 1;
            findings.push(finding(ran, Some(record), "nothing is sent over such a connection", "a request was"));
        } else {
            tried += usize::from(works);
        }
    }
    let missing = "it doesn't reach a vault over https:// either whose certificate is right: give it {ca} or let it use AVP_CA_FILE";
    ClientJudgement::of(findings, tried, "certificate", missing)
}

/// Who is given `https://` goes on with TLS, also where a locator names no scheme.
pub(in super::super) fn stays_encrypted(evidence: &Evidence, bends: &[Bend]) -> ClientJudgement {
    let (mut findings, mut tried) = (Vec::new(), 0);
    for ran in bends.iter().filter_map(|bend| evidence.run(*bend)) {
        tried += ran.at_vault().filter(|record| record.over == Channel::Tls).count();
        let plain = ran.at_vault().find(|record| record.over == Channel::Plain);
        let expected = "nothing is sent in clear text to a vault whose address is https://";
        findings.extend(plain.map(|record| finding(ran, Some(record), expected, "a request was, to the same port")));
    }
    ClientJudgement::of(
        if tried == 0 { Vec::new() } else { findings },
        tried,
        "request",
        "it doesn't reach a vault over https://",
    )
}

/// A client that gets no answer gives up.
pub(in super::super) fn gives_up(evidence: &Evidence, _: &[Bend]) -> ClientJudgement {
    let Some(ran) = evidence.run(Bend::Hang) else { return ClientJudgement::NotExercised("it wasn't tried".into()) };
    debug_assert_eq!(ran.bend.demand(), Demand::Watch);
    let asked: Vec<_> = ran.at_vault().filter(|record| record.endpoint.is_vault()).collect();
    let tried = asked.len();
    let hangs = ran.exit == super::super::subject::Exit::TimedOut;
    let expected = "a client that gets no answer gives up within --timeout";
    let findings =
        hangs.then(|| finding(ran, asked.last().copied(), expected, "it was still waiting")).into_iter().collect();
    ClientJudgement::of(findings, tried, "request", "no operation is asked for")
}
