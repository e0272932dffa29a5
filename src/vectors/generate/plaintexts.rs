//! Payloads as clients write them, and `payload.json`, what has to be made of them.

use serde_json::Value;

use super::super::fields::{Fields, fields};
use super::super::op::CodecOp;
use super::{Made, case, ours, seed};
use crate::codec::base64;
use crate::codec::payload::{AltAccount, AltPayload, AltType, Ban};

/// A payload with a name and a reason.
pub(super) struct Plaintext {
    pub name: &'static str,
    pub reason: &'static str,
    pub version: i64,
    pub json: String,
}

fn id(label: &str) -> String {
    base64::encode(&seed::bytes::<32>(&format!("payload/{label}")))
}

/// An account with nothing but what is required.
fn bare(name: &str, kind: AltType) -> AltAccount {
    AltAccount {
        uuid: "069a79f4-44e9-4726-a5be-fca90e38aaf5".into(),
        username: name.into(),
        access_token: format!("token-of-{name}"),
        kind,
        last_used: 1_735_689_600_000,
        last_used_by: None,
        ban: None,
        source_client: None,
        source_user: None,
    }
}

fn ban(banned: bool, by: Option<String>) -> Ban {
    Ban {
        banned,
        observed_at: 1_735_689_600_123,
        source: "play.example".into(),
        detail: "Banned: \"griefing\"".into(),
        observed_by: by,
    }
}

fn full() -> AltAccount {
    AltAccount {
        last_used_by: Some(id("alice")),
        ban: Some(ban(true, Some(id("bob")))),
        source_client: Some("client.example".into()),
        source_user: Some("alice#1".into()),
        ..bare("Full", AltType::Microsoft)
    }
}

/// The payloads that are real.
pub(super) fn real() -> Vec<Plaintext> {
    let types = [AltType::Microsoft, AltType::Cookie, AltType::Session, AltType::Offline];
    let named = ["Microsoft", "Cookie", "Session", "Offline"];
    let every = types.into_iter().zip(named).map(|(kind, name)| bare(name, kind)).collect();
    let bans = vec![
        AltAccount { ban: Some(ban(true, Some(id("bob")))), ..bare("Banned", AltType::Session) },
        AltAccount { ban: Some(ban(false, None)), ..bare("Unbanned", AltType::Session) },
        bare("NeverBanned", AltType::Session),
    ];
    let names = vec![AltAccount {
        source_user: Some("użytkownik \u{1f600}".into()),
        ..bare("Ünïcode_\u{6f22}", AltType::Offline)
    }];
    let many = (0..50).map(|number| bare(&format!("Alt{number:02}"), AltType::Offline)).collect();
    let row = |name, reason, version, alts| Plaintext {
        name,
        reason,
        version,
        json: AltPayload { alts, payload_version: version }.to_json(),
    };
    let mut plaintexts = vec![
        row("no-alts", "a fresh repository", 1, Vec::new()),
        row("every-type", "each of the four ways to log in", 2, every),
        row("all-members", "an account with every member: ban, provenance, last user", 3, vec![full()]),
        row("bans", "banned, found not banned, and never looked at", 4, bans),
        row("non-ascii", "names and users beyond ASCII", 5, names),
        row("many", "fifty accounts", 6, many),
        row(
            "large-version",
            "a version beyond 2^53 in the stamp, too",
            (1 << 53) + 1,
            vec![bare("Large", AltType::Offline)],
        ),
    ];
    plaintexts.extend(spelled_by_hand());
    plaintexts
}

/// What older clients, or other JSON libraries, write.
fn spelled_by_hand() -> [Plaintext; 3] {
    let text = |name, reason, version, json: &str| Plaintext { name, reason, version, json: json.into() };
    [
        text(
            "absent-optional-members",
            "older clients leave out what they don't know: last user, ban, provenance",
            7,
            r#"{"alts":[{"uuid":"u","username":"Old","accessToken":"t","type":"OFFLINE","lastUsed":0}],"payloadVersion":7}"#,
        ),
        text(
            "loose-layout",
            "blanks and another order of members are still the same JSON",
            8,
            "{ \"payloadVersion\": 8,\n  \"alts\": [ ] }",
        ),
        text(
            "escapes",
            "escaped characters, a pair of surrogates among them",
            9,
            r#"{"alts":[{"uuid":"u","username":"\u0041\ud83d\ude00\/","accessToken":"\"","type":"COOKIE","lastUsed":-1,"ban":null}],"payloadVersion":9}"#,
        ),
    ]
}

pub(super) fn file() -> Made<Value> {
    let cases = real().into_iter().map(|plaintext| {
        let mut members: Fields = fields! { "plaintextUtf8": plaintext.json };
        let read = ours(CodecOp::ParsePayload, &members)?;
        members.extend(read);
        Ok(case(plaintext.name, plaintext.reason, &["payload"], members))
    });
    let cases = cases.collect::<Made<Vec<_>>>()?;
    Ok(super::file(
        "What a client reads in a decrypted payload (SPEC section 5); absent members stand there as null.",
        cases,
    ))
}
