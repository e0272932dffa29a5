//! Messages, payloads, vector files and the protocol of shims.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::structured::Structured;
use crate::codec::envelope;
use crate::codec::payload::{AltAccount, AltPayload, AltType, Ban};
use crate::codec::{DataKey, base64};
use crate::vectors::{self, CaseResult, CodecAnswer, Request};
use crate::wire::{self, MessageKind, Schema};

/// What reads as a payload is written so that it reads as the same; what doesn't is drawn from to make one.
pub fn payload(data: &[u8]) {
    if let Ok(payload) = AltPayload::parse(data) {
        assert_eq!(AltPayload::parse(payload.to_json().as_bytes()).ok(), Some(payload));
        return;
    }
    let mut input = Structured::new(data);
    let count = input.below(3);
    let payload =
        AltPayload { alts: (0..count).map(|_| account(&mut input)).collect(), payload_version: input.integer() };
    assert_eq!(AltPayload::parse(payload.to_json().as_bytes()).ok(), Some(payload));
}

fn account(input: &mut Structured<'_>) -> AltAccount {
    let kinds = [AltType::Microsoft, AltType::Cookie, AltType::Session, AltType::Offline];
    let ban = |input: &mut Structured<'_>| Ban {
        banned: input.flag(),
        observed_at: input.integer(),
        source: input.text(),
        detail: input.text(),
        observed_by: input.flag().then(|| input.text()),
    };
    AltAccount {
        uuid: input.text(),
        username: input.text(),
        access_token: input.text(),
        kind: kinds[input.below(4)],
        last_used: input.integer(),
        last_used_by: input.flag().then(|| input.text()),
        ban: input.flag().then(|| ban(input)),
        source_client: input.flag().then(|| input.text()),
        source_user: input.flag().then(|| input.text()),
    }
}

/// An envelope as it stands on the wire: what reads as one never opens by luck, and what can't be read is an error.
pub fn envelope_decode(data: &[u8]) {
    let Ok(sealed) = serde_json::from_slice::<wire::EncryptedEnvelope>(data) else { return };
    let (Ok(iv), Ok(ciphertext)) = (base64::decode_array(&sealed.iv), base64::decode(&sealed.ciphertext)) else {
        return;
    };
    assert!(envelope::open(&DataKey::new([7; 32]), &iv, &sealed.binding(), &ciphertext).is_err());
    assert_eq!(sealed.binding().to_aad().len(), sealed.repo_id.len() + 17);
}

/// The letter that says which message an input is: `A` the first of [`MessageKind::ALL`].
#[cfg(feature = "program")]
pub(super) fn letter_of(kind: MessageKind) -> u8 {
    b'A' + kind as u8
}

/// A message of the kind that the first byte says: what the schema allows reads, what reads is written as it was read, and
/// what is pruned has only known members.
pub fn wire(data: &[u8]) {
    let Some((letter, text)) = data.split_first() else { return };
    let kind = MessageKind::ALL[usize::from(letter.wrapping_sub(b'A')) % MessageKind::ALL.len()];
    let Ok(value) = serde_json::from_slice::<Value>(text) else { return };
    let mut pruned = value.clone();
    wire::prune(kind, &mut pruned);
    if pruned != value {
        let mut again = pruned.clone();
        wire::prune(kind, &mut again);
        assert_eq!(pruned, again, "{kind:?}");
    }
    match kind {
        MessageKind::ChallengeRequest => drop(reads::<wire::ChallengeRequest>(kind, &value, &pruned)),
        MessageKind::ChallengeResponse => drop(reads::<wire::ChallengeResponse>(kind, &value, &pruned)),
        MessageKind::TokenRequest => drop(reads::<wire::TokenRequest>(kind, &value, &pruned)),
        MessageKind::TokenResponse => drop(reads::<wire::TokenResponse>(kind, &value, &pruned)),
        MessageKind::CreateRepoRequest => drop(reads::<wire::CreateRepoRequest>(kind, &value, &pruned)),
        MessageKind::PullRequest => drop(reads::<wire::PullRequest>(kind, &value, &pruned)),
        MessageKind::PullResponse => drop(reads::<wire::PullResponse>(kind, &value, &pruned)),
        MessageKind::PushRequest => drop(reads::<wire::PushRequest>(kind, &value, &pruned)),
        MessageKind::PushResponse => drop(reads::<wire::PushResponse>(kind, &value, &pruned)),
        MessageKind::MemberAddRequest => drop(reads::<wire::MemberAddRequest>(kind, &value, &pruned)),
        MessageKind::MemberRemoveRequest => drop(reads::<wire::MemberRemoveRequest>(kind, &value, &pruned)),
        MessageKind::EncryptedEnvelope => drop(reads::<wire::EncryptedEnvelope>(kind, &value, &pruned)),
        MessageKind::VaultManifest => {
            if let Some(manifest) = reads::<wire::VaultManifest>(kind, &value, &pruned)
                && let Some(first) = manifest.members.first()
            {
                assert_eq!(manifest.member(&first.ed25519_public_key), Some(first));
            }
        }
        MessageKind::MemberEntry => {
            if let Some(entry) = reads::<wire::MemberEntry>(kind, &value, &pruned)
                && let Ok(wrapped) = crate::codec::key_wrap::Wrapped::try_from(&entry.wrapped_data_key)
            {
                assert_eq!(wire::WrappedKey::from(&wrapped), entry.wrapped_data_key);
            }
        }
        // These have no type: servers may say more in them than anybody reads.
        MessageKind::Discovery | MessageKind::ErrorObject => {
            let wrong = Schema::violations(kind, &value, 3);
            assert!(wrong.len() <= 3 && wrong.iter().all(|violation| !violation.to_string().is_empty()));
        }
    }
}

/// Reads a message, if it is one of the kind.
fn reads<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(
    kind: MessageKind,
    value: &Value,
    pruned: &Value,
) -> Option<T> {
    let wrong = Schema::violations(kind, value, usize::MAX);
    let read = serde_json::from_value::<T>(value.clone());
    // To JSON Schema 1.0 is an integer; no type of an int64 reads it.
    let is_allowed = wrong.is_empty() && !has_fraction(value);
    assert!(read.is_ok() || !is_allowed, "{kind:?}, which the schema allows, doesn't read: {read:?} {value}");
    let read = read.ok()?;
    let written = json!(read);
    if written != *value {
        // A type doesn't look into texts and numbers, but it adds nothing wrong.
        for violation in Schema::violations(kind, &written, usize::MAX) {
            let known = wrong.iter().any(|known| known.pointer == violation.pointer);
            assert!(known, "{kind:?} {written}: {violation}");
        }
        assert_eq!(serde_json::from_value::<T>(written).ok().as_ref(), Some(&read));
    }
    assert_eq!(pruned, value, "{kind:?} read a member that it doesn't know");
    Some(read)
}

/// Whether a number is spelled with a fraction or an exponent.
fn has_fraction(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(has_fraction),
        Value::Object(members) => members.values().any(has_fraction),
        _ => false,
    }
}

/// The vector files: an input says by its first byte which one it is.
pub(super) const NAMES: [&str; 16] = [
    "aad.json",
    "key-binding-message.json",
    "hkdf.json",
    "x25519.json",
    "ed25519.json",
    "payload-aead.json",
    "key-wrap.json",
    "negative.json",
    "federation.json",
    "negative-open.json",
    "malformed.json",
    "base64.json",
    "payload.json",
    "key-binding-signature.json",
    "auth-exchange.json",
    "rotation.json",
];

/// A vector file of any name: every case gets a verdict, the same every time.
pub fn vectors(data: &[u8]) {
    let Some((which, text)) = data.split_first() else { return };
    let name = NAMES[usize::from(*which) % NAMES.len()];
    let Some(checked) = vectors::check_text(name, text) else { panic!("{name} is a file of the format") };
    assert_eq!(Some(&checked), vectors::check_text(name, text).as_ref());
    assert!(checked.unreadable.is_some() || !checked.cases.is_empty());
    for case in &checked.cases {
        let problems = matches!(case.verdict, CaseResult::Wrong | CaseResult::Unreadable);
        assert_eq!(problems, !case.problems.is_empty(), "{case:?}");
    }
}

/// Questions and answers survive the wire, garbage doesn't, and any question gets an answer or an error.
pub fn shim(data: &[u8]) {
    if let Ok(answer) = CodecAnswer::of_line(data) {
        let (id, answer) = answer;
        assert_eq!(CodecAnswer::of_line(answer.to_line(id).as_bytes()), Ok((id, answer)));
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(words) = vectors::shim::split(text) {
        assert!(!words.is_empty());
    }
    let Ok((id, request)) = Request::of_line(text) else { return };
    assert_eq!(Request::of_line(&request.to_line(id)), Ok((id, request.clone())));
    if let Ok(answer) = vectors::evaluate(&request) {
        assert_eq!(vectors::evaluate(&request).as_ref(), Ok(&answer));
        assert_eq!(CodecAnswer::of_line(answer.to_line(id).as_bytes()), Ok((id, answer)));
    }
}
