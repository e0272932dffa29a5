//! What a refusal says (SPEC §6): to somebody who isn't a member, nothing of what a repository holds.
//!
//! One check asks as every kind of outsider; another searches all refusals of the run. What the caller has sent itself, in path,
//! body or token, is an echo and no leak.

mod held;
mod kept;

use serde_json::Value;

use self::held::{held, parts};
pub use self::kept::Refusals;
use self::kept::{said, secrets, tags, told, unasked};
use super::check::checks;
use super::status::Requests;
use super::token::forgeries;
use super::{Answer, Auth, Ctx, NO_OPERATION, Operation, Outcome, Stop};
use crate::client::{Repo, random};
use crate::codec::base64;
use crate::scan::{Look, Secret, searcher_of_answers};
use crate::wire::VaultManifest;

checks! {
    "refusal/says-nothing", Must, "§6", [REFUSAL_SILENT], says_nothing,
        "A refusal tells outsiders no member, wrapped key, ciphertext or counter of the repository";
    "refusal/nowhere-says-more", Must, "§6", [REFUSAL_SILENT], nowhere_says_more,
        "No refusal of the run tells an outsider a member, wrapped key or ciphertext", phase = Finale;
}

/// What is in an answer and wasn't in its request.
fn leaked(look: &Look, told: &[u8], said: &[u8]) -> Vec<usize> {
    unasked(look, &tags(look, told), said)
}

/// Whether a number stands in a text, not as a part of a longer one.
fn has_number(text: &[u8], number: i64) -> bool {
    let digits = number.to_string();
    memchr::memmem::find_iter(text, digits.as_bytes()).any(|at| {
        let beside = [at.checked_sub(1), Some(at + digits.len())];
        beside.into_iter().flatten().all(|at| text.get(at).is_none_or(|byte| !byte.is_ascii_digit()))
    })
}

/// Whatever was refused in the run.
async fn nowhere_says_more(cx: &Ctx) -> Outcome {
    let (searched, found) = cx.world.seen.refusals.findings();
    if let Some(finding) = found {
        return Err(Stop::Violation(finding.into()));
    }
    cx.remark(format!("{searched} refusals searched"));
    Ok(())
}

/// Somebody who was in the roster before the last rotation.
const FORMER: &str = "a former member";

/// Counters that stand in no answer by chance.
fn counter(cx: &Ctx) -> i64 {
    100_000_000 + i64::try_from(cx.choose(800_000_000)).unwrap_or_default()
}

/// Nobody, forged tokens, a stranger and a former member ask for everything, with requests made of nothing but their own.
async fn says_nothing(cx: &Ctx) -> Outcome {
    let (alice, mallory, carol) = (cx.member().await?, cx.member().await?, cx.member().await?);
    let bob = cx.identity();
    let id = base64::encode_url(&random::bytes::<16>());
    let mut repo = cx.create_repo(&alice, Repo::with_counters(&alice, &id, counter(cx), counter(cx))).await?;
    cx.enrol(&alice, &mut repo, &bob).await?;
    cx.enrol(&alice, &mut repo, &carol).await?;
    cx.expel(&alice, &mut repo, carol.id(), &[&alice, &bob]).await?;
    // A server that explains itself with what it has shown last has shown it now.
    cx.readable(&alice, &repo, "a removal").await?;
    let secrets = holdings(&repo.manifest, &serde_json::json!(repo.envelope));
    let forged = forgeries(&alice.token, &alice).into_iter().next().map(|(_, auth)| auth);
    let mut callers = vec![
        ("nobody", Auth::None),
        ("somebody with garbage for a token", Auth::Bearer("garbage".into())),
        ("a stranger", mallory.auth()),
        (FORMER, carol.auth()),
    ];
    callers.extend(forged.map(|auth| ("somebody with a forged token", auth)));
    let mut told = Vec::new();
    for caller in &callers {
        let (who, auth) = caller;
        let by = if *who == FORMER { &carol } else { &mallory };
        // Of their own making, but for the ids that everybody may know.
        let own = Requests::new(cx, &Repo::with_id(by, repo.id()), by, &bob);
        for operation in Operation::VAULT {
            look_at(&mut told, &repo, &secrets, caller, own.send(cx, operation, auth).await?);
        }
        let mut stale = Repo::with_id(by, repo.id()).push_request(by);
        stale.expected_payload_version = 0;
        look_at(&mut told, &repo, &secrets, caller, cx.perform(Operation::Push, repo.id(), auth, &stale).await?);
        let taking = Repo::with_id(by, repo.id()).create_request();
        look_at(&mut told, &repo, &secrets, caller, cx.perform(Operation::CreateRepo, "", auth, &taking).await?);
    }
    verdict(told)
}

/// What a repository holds that only members may know.
fn holdings(manifest: &VaultManifest, envelope: &Value) -> Vec<Secret> {
    let mut items = Vec::new();
    held(&serde_json::json!(manifest), &mut items);
    held(envelope, &mut items);
    parts(&serde_json::json!(manifest), &mut items);
    parts(envelope, &mut items);
    secrets(items)
}

/// Looks for what a refusal gives away. A former member knows the members anyway.
fn look_at<'c>(
    told_too_much: &mut Vec<(String, Answer<'c>)>,
    repo: &Repo,
    secrets: &[Secret],
    (who, auth): &(&str, Auth),
    answer: Answer<'c>,
) {
    // What is accepted is judged by the operation's own checks.
    if answer.is_success() {
        return;
    }
    let text = told(&answer.body, &answer.headers);
    let authorization = match auth {
        Auth::None => None,
        Auth::Bearer(value) | Auth::Header(value) => Some(value.as_str()),
    };
    let body = answer.exchange.request.text.as_bytes().clone();
    let said = said(&answer.exchange.path, authorization.map(str::as_bytes), Some(&body));
    let found = leaked(&Look::new(&searcher_of_answers(secrets)), &text, &said);
    let secret = found
        .into_iter()
        .map(|tag| secrets[tag].what.as_ref())
        .find(|what| *who != FORMER || !what.starts_with("member"));
    let counters = [("payload version", repo.version()), ("key epoch", repo.epoch())];
    let counter = counters.into_iter().find(|(_, counter)| has_number(&text, *counter)).map(|(what, _)| what);
    if let Some(what) = secret.or(counter) {
        let name = answer.operation.map_or(NO_OPERATION, Operation::name);
        told_too_much.push((format!("status {} to {name} by {who} tells a {what}", answer.status), answer));
    }
}

fn verdict(told: Vec<(String, Answer<'_>)>) -> Outcome {
    let Some((_, first)) = told.first() else { return Ok(()) };
    let more = if told.len() > 6 { format!("; and {} more", told.len() - 6) } else { String::new() };
    let observed: Vec<_> = told.iter().take(6).map(|(what, _)| what.as_str()).collect();
    let expected = "a refusal says nothing of the repository to whoever isn't a member";
    Err(first.violation(expected, format!("{}{more}", observed.join("; "))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_echo_is_no_leak() {
        let id = base64::encode(&[0xfb; 32]);
        let mut items = Vec::new();
        held(&json!({ "members": [{ "ed25519PublicKey": id }] }), &mut items);
        let secrets = secrets(items);
        let look = Look::new(&searcher_of_answers(&secrets));
        let url = base64::encode_url(&[0xfb; 32]);
        let escaped = id.replace('+', "\\u002b").replace('/', "\\/");
        for spelled in [&id, &url, &escaped] {
            let told = format!("{{\"error\":\"not among {spelled}\"}}");
            assert_eq!(leaked(&look, told.as_bytes(), b"/v1/repos"), [0], "{spelled}");
            let path = format!("/v1/repos/r/member/{}", crate::wire::segment(&id));
            assert!(leaked(&look, told.as_bytes(), path.as_bytes()).is_empty(), "{spelled}");
        }
    }

    #[test]
    fn a_number_is_not_a_part_of_another() {
        assert!(has_number(b"{\"payloadVersion\":123456789}", 123_456_789));
        assert!(!has_number(b"{\"time\":1234567890}", 123_456_789));
    }
}
