//! The shape of requests (SPEC §2, §6).

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::super::evidence::{ClientJudgement, Evidence};
use super::super::run::Ran;
use super::super::vault::reading::bytes_of;
use super::super::vault::{Bend, Endpoint, Record};
use super::{Ruling, each, entries};
use crate::codec::base64;
use crate::codec::key_wrap::SCHEME_ID;
use crate::ground::hex;
use crate::wire::Schema;

/// Requests are by the schema.
pub(in super::super) fn shapes(evidence: &Evidence, _: &[Bend]) -> ClientJudgement {
    each(evidence, "request", "nothing is asked for", |_, record| {
        let kind = record.endpoint.message()?;
        let Some(body) = &record.json else {
            return Some(Err((format!("a {} is a JSON object", kind.name()), "it isn't JSON".into())));
        };
        // What isn't base64 is judged by rules of its own.
        let violations = Schema::violations(kind, body, 64);
        let is_spelling =
            |pointer: &str| BINARY.contains(&&*what(pointer)) && body.pointer(pointer).is_some_and(Value::is_string);
        let wrong = violations.iter().find(|found| {
            !found.unexpected.iter().any(|name| name == "shareRefreshTokens") && !is_spelling(&found.pointer)
        });
        Some(match wrong {
            None => Ok(()),
            Some(violation) => Err((format!("a {} is as the schema says", kind.name()), violation.to_string())),
        })
    })
}

/// Members that hold bytes.
pub(super) const BINARY: [&str; 9] = [
    "ed25519PublicKey",
    "x25519PublicKey",
    "ephemeralPublicKey",
    "iv",
    "ciphertext",
    "signature",
    "keyBindingSig",
    "nonce",
    "removedMemberId",
];

/// What an entry's or envelope's base64 members are, with their sizes; `None` for any size.
fn binaries(record: &Record) -> Vec<(String, &Value, Option<usize>)> {
    let mut all = Vec::new();
    let mut add = |pointer: String, size| {
        if let Some(value) = record.field(&pointer) {
            all.push((pointer, value, size));
        }
    };
    match record.endpoint {
        Endpoint::Challenge => add("/ed25519PublicKey".into(), Some(32)),
        Endpoint::Token => {
            add("/ed25519PublicKey".into(), Some(32));
            add("/signature".into(), Some(64));
        }
        _ => {}
    }
    for envelope in ["/initialEnvelope", "/envelope", "/rotatedEnvelope"] {
        add(format!("{envelope}/iv"), Some(12));
        add(format!("{envelope}/ciphertext"), None);
    }
    for (place, _) in entries(record) {
        for (member, size) in [
            ("ed25519PublicKey", Some(32)),
            ("x25519PublicKey", Some(32)),
            ("wrappedDataKey/ephemeralPublicKey", Some(32)),
            ("wrappedDataKey/iv", Some(12)),
            ("wrappedDataKey/ciphertext", Some(48)),
            ("keyBindingSig", Some(64)),
        ] {
            add(format!("{place}/{member}"), size);
        }
    }
    if record.endpoint == Endpoint::Remove {
        add("/removedMemberId".into(), Some(32));
    }
    all
}

/// The last part of a pointer, without indices.
fn what(pointer: &str) -> String {
    pointer.rsplit('/').next().unwrap_or_default().to_owned()
}

/// Binary values are spelled as §2 says.
pub(in super::super) fn base64_spelling(evidence: &Evidence, _: &[Bend]) -> ClientJudgement {
    each(evidence, "request", "nothing is asked for", |_, record| {
        let all = binaries(record);
        let wrong = all.iter().find_map(|(pointer, value, _)| {
            let text = value.as_str()?;
            let error = base64::decode(text).err()?;
            Some((format!("{} is padded standard base64", what(pointer)), format!("{pointer}: {error}")))
        });
        (!all.is_empty()).then(|| wrong.map_or(Ok(()), Err))
    })
}

/// Binary values are of their sizes.
pub(in super::super) fn sizes(evidence: &Evidence, _: &[Bend]) -> ClientJudgement {
    each(evidence, "request", "nothing is asked for", |_, record| {
        let all = binaries(record);
        let wrong = all.iter().find_map(|(pointer, value, size)| {
            // Whatever alphabet: the size is another matter.
            let text = value.as_str()?.replace('-', "+").replace('_', "/");
            let bytes = base64::decode_url(&text.trim_end_matches('=').replace('+', "-").replace('/', "_")).ok()?;
            let right = size.map_or(bytes.len() >= 16, |size| bytes.len() == size);
            let wanted = size.map_or_else(|| "16 bytes (the tag) or more".to_owned(), |size| format!("{size} bytes"));
            (!right).then(|| (format!("{} is {wanted}", what(pointer)), format!("{pointer} is {} bytes", bytes.len())))
        });
        (!all.is_empty()).then(|| wrong.map_or(Ok(()), Err))
    })
}

/// Ids arrive as they are.
pub(in super::super) fn ids(evidence: &Evidence, _: &[Bend]) -> ClientJudgement {
    each(evidence, "request", "no operation on a repository is asked for", ids_of)
}

/// Whether a request was refused because its path names no repository or member that there is: that it fails there says nothing of
/// what else was unusual in the run.
pub(in super::super) fn names_nobody(ran: &Ran) -> bool {
    ran.at_vault().any(|record| !record.is_done() && matches!(ids_of(ran, record), Some(Err(_))))
}

fn ids_of(ran: &Ran, record: &Record) -> Ruling {
    let path = record.target.split('?').next().unwrap_or_default();
    if record.endpoint == Endpoint::Other {
        // A known member id (raw, with its slashes) where one segment is expected.
        let inside = path.strip_prefix("/v1/repos/")?;
        let decoded = percent_decode_str(inside).decode_utf8_lossy();
        let known = ran.at_vault().flat_map(entries).filter_map(|(_, entry)| entry["ed25519PublicKey"].as_str());
        // Whatever the method (a browser's OPTIONS, say): an id that is encoded stays in one segment.
        let torn_apart = inside.split('/').count() > 3;
        let slashed = |id: &str| inside.contains(id) || torn_apart && decoded.ends_with(id);
        let slashed = known.filter(|id| id.contains('/')).any(slashed);
        let body = record.field("/repoId").and_then(Value::as_str).unwrap_or_default();
        let torn = body.contains('/') && inside.contains(body);
        return (slashed || torn)
            .then(|| Err(("ids are percent-encoded in a path".into(), "a slash of the id splits the path".into())));
    }
    if record.endpoint == Endpoint::Fetch && path.trim_start_matches('/').split('/').count() > 5 {
        return Some(Err((
            "ids are percent-encoded in a path".into(),
            "a slash of the member id splits the path".into(),
        )));
    }
    let path_id = record.repo.as_deref()?;
    let expected = "the id in the path, decoded once, is the repository's";
    if let Some(body) = record.field("/repoId").and_then(Value::as_str)
        && body != path_id
    {
        return Some(Err((expected.into(), format!("the path says {path_id:?}, the body {body:?}"))));
    }
    if let Some(member) = record.member.as_deref()
        && let Some(id) = respelled(ran, member)
    {
        let expected = "the member id in the path, decoded once, is the member's".to_owned();
        return Some(Err((expected, format!("it is {member}, and the member's is {id}"))));
    }
    if let Some(member) = record.member.as_deref().filter(|member| member.contains('%')) {
        return Some(Err((
            "the member id in the path is encoded once".into(),
            format!("decoded once it is {member:?}"),
        )));
    }
    Some(Ok(()))
}

/// The id of a member whose bytes a text spells in another way.
fn respelled(ran: &Ran, text: &str) -> Option<String> {
    let plain = |text: &str| text.trim_end_matches('=').replace('-', "+").replace('_', "/");
    let known = ran.at_vault().flat_map(entries).filter_map(|(_, entry)| entry["ed25519PublicKey"].as_str());
    let mut same = known.filter(|id| *id != text && plain(id) == plain(text));
    same.next().map(ToOwned::to_owned)
}

/// The id of a new repository says nothing of where it is.
pub(in super::super) fn hostless(evidence: &Evidence, _: &[Bend]) -> ClientJudgement {
    each(evidence, "repository", "no repository is created", |_, record| {
        let id = record.field("/manifest/repoId").filter(|_| record.endpoint == Endpoint::Create)?.as_str()?;
        let authority = record.header("host")?;
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        // As it is, or in what carries any text, whole or between separators.
        let pieces =
            id.split(['.', ':', '/', '~', '|', '@', ' ']).chain(id.split('-')).chain(id.split('_')).chain([id]);
        let decoded = pieces.flat_map(|piece| [bytes_of(piece), hex::decode(piece)]).flatten();
        let mut texts = decoded.chain([id.as_bytes().to_vec()]);
        let shown = texts.any(|text| {
            let text = String::from_utf8_lossy(&text);
            names(&percent_decode_str(&text).decode_utf8_lossy(), host)
        });
        let expected = "a repository's id doesn't encode the host".to_owned();
        Some(if shown { Err((expected, format!("it is {id:?}, at {authority}"))) } else { Ok(()) })
    })
}

/// Whether a text has a host's name in it, whatever stands for its dots.
fn names(text: &str, host: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        words.map(str::to_ascii_lowercase).collect()
    };
    let (text, host) = (words(text), words(host));
    !host.is_empty() && text.windows(host.len()).any(|window| window == host)
}

/// A scheme goes by its name.
pub(in super::super) fn scheme(evidence: &Evidence, _: &[Bend]) -> ClientJudgement {
    let plain = |text: &str| -> String {
        text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
    };
    each(evidence, "scheme", "no key is wrapped", |_, record| {
        let wraps = entries(record).into_iter().map(|(_, entry)| &entry["wrappedDataKey"]["schemeId"]);
        let named: Vec<&str> =
            wraps.chain(record.field("/manifest/schemeId")).filter_map(serde_json::Value::as_str).collect();
        let other = named.iter().find(|name| **name != SCHEME_ID && plain(name) == plain(SCHEME_ID));
        let expected = format!("the default scheme is named {SCHEME_ID}");
        (!named.is_empty()).then(|| other.map_or(Ok(()), |name| Err((expected, format!("it is {name:?}")))))
    })
}

/// JSON says that it is JSON.
pub(in super::super) fn content_type(evidence: &Evidence, _: &[Bend]) -> ClientJudgement {
    each(evidence, "request", "no request has a body", |_, record| {
        record.endpoint.message().filter(|_| !record.body.is_empty())?;
        let label = record.header("content-type").unwrap_or_default().to_ascii_lowercase();
        let json = label.split(';').next().is_some_and(|kind| kind.trim().ends_with("json"));
        let observed = if label.is_empty() { "there is none".to_owned() } else { format!("it is {label}") };
        Some(if json { Ok(()) } else { Err(("Content-Type is application/json".into(), observed)) })
    })
}

/// createRepo names the caller as the only member.
pub(in super::super) fn creates_alone(evidence: &Evidence, _: &[Bend]) -> ClientJudgement {
    each(evidence, "repository", "no repository is created", |_, record| {
        let members = record.field("/manifest/members").filter(|_| record.endpoint == Endpoint::Create)?.as_array()?;
        let expected = "the manifest's only member is the caller".to_owned();
        Some(match (members.as_slice(), &record.caller) {
            ([only], Some(caller)) if only["ed25519PublicKey"] == caller.as_str() => Ok(()),
            ([_], None) => return None,
            ([_], _) => Err((expected, "it is somebody else".into())),
            (members, _) => Err((expected, format!("there are {} members", members.len()))),
        })
    })
}

/// Counters of a write agree, and versions rise.
pub(in super::super) fn counters(evidence: &Evidence, _: &[Bend]) -> ClientJudgement {
    each(evidence, "write", "nothing is written", |ran, record| {
        match old_epoch(ran, record).or_else(|| steps_back(ran, record)) {
            Some(found) => Some(Err(found)),
            None => counters_of(record),
        }
    })
}

/// What a push or an invitation says of the epoch, if it isn't the one that this member has seen last.
fn old_epoch(ran: &Ran, record: &Record) -> Option<(String, String)> {
    let pointer = match record.endpoint {
        Endpoint::Push if entries(record).is_empty() => "/envelope/keyEpoch",
        Endpoint::Add => "/member/keyEpoch",
        _ => return None,
    };
    let epoch = record.field(pointer).filter(|epoch| epoch.is_i64())?;
    let seen = |other: &Record| {
        let manifest = other.answer.get("manifest").unwrap_or(&other.answer);
        let same = manifest.get("repoId")?.as_str() == record.repo.as_deref();
        manifest.get("keyEpoch").filter(|_| same && other.is_done() && other.caller == record.caller).cloned()
    };
    let last = super::before(ran, record).rev().find_map(seen)?;
    // What becomes of very large numbers is another rule's.
    let last = last.as_i64().filter(|last| *last < 1 << 31)?;
    let what = format!("{} is the epoch that its member has seen last", pointer.trim_start_matches('/'));
    (*epoch != last).then(|| (what, format!("it is {epoch}, after {last}")))
}

/// A removal's payload that is of no later version than one that its member has seen: it has no expected version to say so, and versions
/// are strictly monotonic (§10).
fn steps_back(ran: &Ran, record: &Record) -> Option<(String, String)> {
    let version =
        record.field("/rotatedEnvelope/payloadVersion").filter(|_| record.endpoint == Endpoint::Remove)?.as_i64()?;
    let seen = |other: &&Record| other.repo == record.repo && other.caller == record.caller && other.is_done();
    let seen = super::before(ran, record).filter(seen).filter_map(Record::served_version).max()?;
    let what = "the version of a removal's payload is above every one that was there before".to_owned();
    (version <= seen && seen < 1 << 31).then(|| (what, format!("version {version} after {seen}")))
}

fn counters_of(record: &Record) -> Ruling {
    let number = |pointer: &str| record.field(pointer).and_then(Value::as_i64);
    let text = |pointer: &str| record.field(pointer).and_then(Value::as_str);
    let differ = |one: &str, other: &str| {
        let (first, second) = (record.field(one)?, record.field(other)?);
        (first != second).then(|| (format!("{one} and {other} are the same"), format!("{first} and {second}")))
    };
    let epoch = match record.endpoint {
        Endpoint::Create => "/manifest/keyEpoch",
        Endpoint::Remove => "/newKeyEpoch",
        Endpoint::Push => "/envelope/keyEpoch",
        _ => return None,
    };
    let in_entries = || {
        let all = entries(record);
        all.iter().find_map(|(place, _)| differ(&format!("{place}/keyEpoch"), epoch))
    };
    let wrong = match record.endpoint {
        Endpoint::Create => differ("/initialEnvelope/keyEpoch", epoch)
            .or_else(|| differ("/initialEnvelope/payloadVersion", "/manifest/payloadVersion"))
            .or_else(|| differ("/initialEnvelope/repoId", "/manifest/repoId")),
        Endpoint::Remove => {
            differ("/rotatedEnvelope/keyEpoch", epoch).or_else(|| differ("/rotatedEnvelope/repoId", "/repoId"))
        }
        _ => {
            let (version, expected) = (number("/envelope/payloadVersion")?, number("/expectedPayloadVersion")?);
            (version <= expected)
                .then(|| {
                    let what = "the version of a push is above the one that it replaces".to_owned();
                    (what, format!("version {version} over {expected}"))
                })
                .or_else(|| differ("/envelope/repoId", "/repoId"))
        }
    };
    text("/repoId").or_else(|| text("/manifest/repoId"))?;
    Some(wrong.or_else(in_entries).map_or(Ok(()), Err))
}
