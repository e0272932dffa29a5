//! The messages against the protocol's own table, and against `schema/avp.proto`.

use serde_json::{Map, Value, json};

use super::*;

/// The protocol's table of messages and numbers: `kind name number`, as its companion page has it.
const TABLE: &[(&str, &str)] = &[
    ("WrappedKey", "s scheme_id 1, s ephemeral_public_key 2, s iv 3, s ciphertext 4"),
    (
        "MemberEntry",
        "s ed25519_public_key 1, s x25519_public_key 2, WrappedKey wrapped_data_key 3, i key_epoch 4, s? key_binding_sig 5",
    ),
    ("EncryptedEnvelope", "s repo_id 1, i payload_version 2, i key_epoch 3, s iv 4, s ciphertext 5"),
    (
        "VaultManifest",
        "s repo_id 1, s scheme_id 2, i key_epoch 3, i payload_version 4, MemberEntry* members 5, b share_refresh_tokens 6",
    ),
    ("CreateRepoRequest", "VaultManifest manifest 1, EncryptedEnvelope initial_envelope 2"),
    ("PullRequest", "s repo_id 1, i known_payload_version 2"),
    ("PullResponse", "VaultManifest manifest 1, EncryptedEnvelope envelope 2, b unchanged 3"),
    (
        "PushRequest",
        "s repo_id 1, EncryptedEnvelope envelope 2, i expected_payload_version 3, MemberEntry* rotated_members 4",
    ),
    ("PushResponse", "b accepted 1, i payload_version 2, i key_epoch 3, b conflict 4"),
    ("MemberAddRequest", "s repo_id 1, MemberEntry member 2"),
    (
        "MemberRemoveRequest",
        "s repo_id 1, s removed_member_id 2, EncryptedEnvelope rotated_envelope 3, MemberEntry* rewrapped_members 4, i new_key_epoch 5",
    ),
    ("FetchMemberKeyRequest", "s repo_id 1, s member_id 2"),
    ("ChallengeRequest", "s ed25519_public_key 1"),
    ("AuthChallenge", "s nonce 1"),
    ("TokenRequest", "s ed25519_public_key 1, s nonce 2, s signature 3"),
    ("AuthToken", "s token 1, i expires_at 2"),
];

fn fields(message: &str) -> Vec<(&'static str, &'static str, u64)> {
    let (_, text) = TABLE.iter().find(|(name, _)| *name == message).unwrap();
    let field = |text: &'static str| {
        let words: Vec<_> = text.split(' ').collect();
        (words[0], words[1], words[2].parse().unwrap())
    };
    text.split(", ").map(field).collect()
}

fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap().to_owned();
    words.fold(first, |name, word| name + &word[..1].to_uppercase() + &word[1..])
}

/// A message with something of its own in every field, as JSON and as the bytes that protobuf's encoding rules make of it.
fn sample(message: &str, seed: &mut i64) -> (Value, Vec<u8>) {
    let (mut object, mut bytes) = (Map::new(), Vec::new());
    for (kind, name, number) in fields(message) {
        *seed += 1;
        let value = match kind {
            "i" => {
                let value = i64::MAX - *seed;
                varint(&mut bytes, number << 3);
                varint(&mut bytes, value.cast_unsigned());
                json!(value)
            }
            "b" => {
                bytes.extend([u8::try_from(number << 3).unwrap(), 1]);
                json!(true)
            }
            "s" | "s?" => {
                let text = format!("text {seed} ü");
                delimited(&mut bytes, number, text.as_bytes());
                json!(text)
            }
            repeated if repeated.ends_with('*') => {
                let items = [(); 2].map(|()| sample(repeated.trim_end_matches('*'), seed));
                items.iter().for_each(|(_, inner)| delimited(&mut bytes, number, inner));
                json!(items.map(|(value, _)| value))
            }
            nested => {
                let (value, inner) = sample(nested, seed);
                delimited(&mut bytes, number, &inner);
                value
            }
        };
        object.insert(camel(name), value);
    }
    (object.into(), bytes)
}

fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value > 127 {
        bytes.push(u8::try_from(value & 127).unwrap() | 128);
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap());
}

fn delimited(bytes: &mut Vec<u8>, number: u64, inner: &[u8]) {
    varint(bytes, number << 3 | 2);
    varint(bytes, inner.len() as u64);
    bytes.extend_from_slice(inner);
}

fn request_and_answer(method: Method) -> (&'static str, &'static str) {
    match method {
        Method::CreateRepo => ("CreateRepoRequest", "VaultManifest"),
        Method::Pull => ("PullRequest", "PullResponse"),
        Method::Push => ("PushRequest", "PushResponse"),
        Method::AddMember => ("MemberAddRequest", "VaultManifest"),
        Method::RemoveMember => ("MemberRemoveRequest", "VaultManifest"),
        Method::FetchMemberKey => ("FetchMemberKeyRequest", "MemberEntry"),
        Method::Challenge => ("ChallengeRequest", "AuthChallenge"),
        Method::Token => ("TokenRequest", "AuthToken"),
    }
}

fn value(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn every_field_has_the_name_and_the_number_of_the_table() {
    for method in Method::ALL {
        let (request, answer) = request_and_answer(method);
        let (json, bytes) = sample(request, &mut 0);
        assert_eq!(method.request_to_proto(json.to_string().as_bytes()).unwrap(), bytes, "{request}");
        assert_eq!(value(&method.request_to_json(&bytes).unwrap()), json, "{request}");
        let (json, bytes) = sample(answer, &mut 0);
        assert_eq!(method.answer_to_proto(json.to_string().as_bytes()).unwrap(), bytes, "{answer}");
        assert_eq!(value(&method.answer_to_json(&bytes).unwrap()), json, "{answer}");
    }
}

#[test]
fn the_file_says_what_the_table_says() {
    let mut expected = String::from("syntax = \"proto3\"; package avp; ");
    for (message, _) in TABLE {
        expected += &format!("message {message} {{ ");
        for (kind, name, number) in fields(message) {
            let kind = match kind {
                "s" => "string".to_owned(),
                "s?" => "optional string".to_owned(),
                "i" => "int64".to_owned(),
                "b" => "bool".to_owned(),
                repeated if repeated.ends_with('*') => format!("repeated {}", repeated.trim_end_matches('*')),
                nested => nested.to_owned(),
            };
            expected += &format!("{kind} {name} = {number}; ");
        }
        expected += "} ";
    }
    for service in ["Vault", "Auth"] {
        expected += &format!("service {service} {{ ");
        for method in Method::ALL {
            if let Some(name) = method.path().strip_prefix(&format!("/avp.{service}/")) {
                let (request, answer) = request_and_answer(method);
                expected += &format!("rpc {name}({request}) returns ({answer}); ");
            }
        }
        expected += "} ";
    }
    let code: Vec<_> = PROTO.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let words: Vec<_> = code.iter().flat_map(|line| line.split_whitespace()).collect();
    assert_eq!(words.join(" "), expected.trim_end());
}

#[test]
fn defaults_arrive_and_what_is_absent_is_absent() {
    assert_eq!(value(&Method::Pull.request_to_json(b"").unwrap()), json!({ "repoId": "", "knownPayloadVersion": 0 }));
    assert_eq!(value(&Method::Pull.answer_to_json(b"").unwrap()), json!({ "unchanged": false }));
    let push = json!({ "repoId": "r", "expectedPayloadVersion": -1 });
    let bytes = Method::Push.request_to_proto(push.to_string().as_bytes()).unwrap();
    assert_eq!(bytes, [10, 1, b'r', 24, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]);
    assert_eq!(value(&Method::Push.request_to_json(&bytes).unwrap()), push);
    // An empty message is there, and so is an optional text that is empty.
    let entry = Method::FetchMemberKey.answer_to_json(&[26, 0, 42, 0]).unwrap();
    let wrapped = json!({ "schemeId": "", "ephemeralPublicKey": "", "iv": "", "ciphertext": "" });
    let expected = json!({
        "ed25519PublicKey": "", "x25519PublicKey": "", "wrappedDataKey": wrapped, "keyEpoch": 0, "keyBindingSig": "",
    });
    assert_eq!(value(&entry), expected);
}

#[test]
fn what_protobuf_cannot_say_is_an_error() {
    let unsayable = [
        (Method::Pull, json!({ "repoId": "r" })),
        (Method::Pull, json!({ "repoId": "r", "knownPayloadVersion": "1" })),
        (Method::Pull, json!({ "repoId": "r", "knownPayloadVersion": 1.5 })),
        (Method::Pull, json!({ "repoId": null, "knownPayloadVersion": 1 })),
        (Method::Pull, json!({ "repoId": "r", "knownPayloadVersion": u64::MAX })),
        (Method::Pull, json!({ "repoId": "r", "knownPayloadVersion": 1, "x": 1 })),
        (Method::Pull, json!(["r", 1])),
        (Method::Push, json!({ "repoId": "r", "expectedPayloadVersion": 1, "envelope": ["r", 1, 1, "", ""] })),
        (Method::Push, json!({ "repoId": "r", "expectedPayloadVersion": 1, "rotatedMembers": [] })),
    ];
    for (method, request) in unsayable {
        assert!(method.request_to_proto(request.to_string().as_bytes()).is_err(), "{request}");
    }
    let sayable = json!({ "repoId": "r", "expectedPayloadVersion": 1, "envelope": null, "rotatedMembers": null });
    assert!(Method::Push.request_to_proto(sayable.to_string().as_bytes()).is_ok());
    for bytes in [&[10, 1, 255][..], &[10, 9, b'r'], &[8, 1], &[24], &[255; 12]] {
        assert!(Method::Push.request_to_json(bytes).is_err(), "{bytes:?}");
    }
}
