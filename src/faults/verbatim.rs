//! Strings that don't come back as they were (SPEC §4).

use axum::http::Response;
use axum::http::request::Parts;
use bytes::Bytes;
use serde_json::{Value, json};

use super::table::*;
use super::tools::{edit, edit_body, entries, envelope, respell};
use crate::codec::base64;
use crate::ground::hex;
use crate::server::edge::Edge;
use crate::server::refusal::Refusal;
use crate::server::repo::Repo;
use crate::server::route::Route;
use crate::server::rules::VaultRules;
use crate::server::store::Store;
use crate::wire::MemberEntry;

/// A server that changes what it is about to store, on one route or on all.
pub struct Storing(pub Option<Route>, pub fn(&mut Repo));

impl VaultRules for Storing {
    fn stored(&self, route: Route, _: Option<&Repo>, mut next: Repo) -> Repo {
        if self.0.is_none_or(|only| only == route) {
            (self.1)(&mut next);
        }
        next
    }
}

/// A server that changes the JSON of its 2xx answers, on one route or on all.
pub struct Serving(pub Option<Route>, pub fn(&mut Value));

impl Edge for Serving {
    fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        if self.0.is_none_or(|only| only == route) { edit(response, self.1) } else { response }
    }
}

pub fn each_entry(repo: &mut Repo, change: impl FnMut(&mut MemberEntry)) {
    repo.manifest.members.iter_mut().for_each(change);
}

pub fn url_alphabet(text: &str) -> String {
    text.replace('+', "-").replace('/', "_")
}

fn unpadded(text: &str) -> String {
    text.trim_end_matches('=').to_owned()
}

fn hex(text: &str) -> String {
    hex::encode(&base64::decode(text).unwrap_or_default())
}

fn mail_lines(text: &str) -> String {
    let lines: Vec<_> = text.as_bytes().chunks(76).map(String::from_utf8_lossy).collect();
    lines.join("\r\n")
}

fn twice(text: &str) -> String {
    base64::encode(text.as_bytes())
}

fn in_envelope(name: &'static str, change: fn(&str) -> String) -> impl FnOnce(&mut Value) {
    move |answer| envelope(answer, |object| respell(object, name, change))
}

pub fn in_entries(name: &'static str, change: fn(&str) -> String) -> impl FnOnce(&mut Value) {
    move |answer| entries(answer, |object| respell(object, name, change))
}

fn in_wrapped_keys(name: &'static str, change: fn(&str) -> String) -> impl FnOnce(&mut Value) {
    move |answer| {
        entries(answer, |object| {
            if let Some(Value::Object(key)) = object.get_mut("wrappedDataKey") {
                respell(key, name, change);
            }
        });
    }
}

/// A default where the scheme of a repository belongs.
fn usual_scheme(repo: &mut Repo) {
    crate::codec::key_wrap::SCHEME_ID.clone_into(&mut repo.manifest.scheme_id);
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault("scheme-reset-by-removal", &STORED_VERBATIM, "A removal writes the usual scheme into the manifest.", || {
        vault(Storing(Some(Route::RemoveMember), usual_scheme))
    }),
    fault(
        "scheme-reset-by-addition",
        &STORED_VERBATIM,
        "An addition writes the usual scheme into the manifest.",
        || vault(Storing(Some(Route::AddMember), usual_scheme)),
    ),
    fault("scheme-reset-by-push", &STORED_VERBATIM, "A push writes the usual scheme into the manifest.", || {
        vault(Storing(Some(Route::Push), usual_scheme))
    }),
    fault(
        "scheme-reset-by-rotation",
        &STORED_VERBATIM,
        "A push with a roster writes the usual scheme into the manifest.",
        || vault(SchemeResetByRotation),
    ),
    fault("iv-line-break", &BASE64, "The envelope's IV is served with a line break at its end.", || {
        edge(Serving(None, |answer| in_envelope("iv", |text| text.to_owned() + "\n")(answer)))
    }),
    fault("ciphertext-url-alphabet", &BASE64, "Ciphertexts are served in the URL-safe alphabet.", || {
        edge(Serving(None, |answer| in_envelope("ciphertext", url_alphabet)(answer)))
    }),
    fault("ciphertext-unpadded", &BASE64, "Ciphertexts are served without padding.", || {
        edge(Serving(None, |answer| in_envelope("ciphertext", unpadded)(answer)))
    }),
    fault("ciphertext-in-mail-lines", &BASE64, "Ciphertexts are served in lines of 76 characters.", || {
        edge(Serving(None, |answer| in_envelope("ciphertext", mail_lines)(answer)))
    }),
    fault("ciphertext-hex", &BASE64, "Ciphertexts are served as hexadecimal digits.", || {
        edge(Serving(None, |answer| in_envelope("ciphertext", hex)(answer)))
    }),
    fault("ciphertext-encoded-twice", &STORED_VERBATIM, "Ciphertexts are base64 of base64.", || {
        edge(Serving(None, |answer| in_envelope("ciphertext", twice)(answer)))
    }),
    fault(
        "ciphertext-cut-at-64k",
        &STORED_VERBATIM,
        "Ciphertexts are cut off after 65,535 characters, as a TEXT column does.",
        || vault(Storing(None, |repo| repo.envelope.ciphertext.truncate(65_535))),
    ),
    fault("ciphertext-cut-at-4k", &STORED_VERBATIM, "Ciphertexts are cut off after 4,096 characters.", || {
        vault(Storing(None, |repo| repo.envelope.ciphertext.truncate(4096)))
    }),
    fault(
        "ciphertext-cut-at-255",
        &STORED_VERBATIM,
        "Ciphertexts are cut off after 255 characters, as a VARCHAR column does.",
        || vault(Storing(None, |repo| repo.envelope.ciphertext.truncate(255))),
    ),
    fault("ciphertext-cut-at-1m", &STORED_VERBATIM, "Ciphertexts are cut off after 1,048,576 characters.", || {
        vault(Storing(None, |repo| repo.envelope.ciphertext.truncate(1 << 20)))
    }),
    fault("iv-cut-at-12", &STORED_VERBATIM, "The envelope's IV is cut off after 12 bytes.", || edge(IvCutAt12)),
    fault(
        "scheme-as-replacement",
        &STORED_VERBATIM,
        "A schemeId is put in as the replacement of a pattern, where $$ is a $.",
        || vault(Storing(None, |repo| repo.manifest.scheme_id = repo.manifest.scheme_id.replace("$$", "$"))),
    ),
    fault(
        "scheme-as-format",
        &STORED_VERBATIM,
        "The schemeIds of wrapped keys go through a format, where %% is a %.",
        || {
            vault(Storing(None, |repo| {
                each_entry(repo, |entry| {
                    entry.wrapped_data_key.scheme_id = entry.wrapped_data_key.scheme_id.replace("%%", "%");
                })
            }))
        },
    ),
    fault(
        "scheme-interpolated",
        &STORED_VERBATIM,
        "What stands between ${ and } in a schemeId is taken for a variable.",
        || {
            vault(Storing(None, |repo| {
                if let Some((head, rest)) = repo.manifest.scheme_id.split_once("${")
                    && let Some((_, tail)) = rest.split_once('}')
                {
                    repo.manifest.scheme_id = format!("{head}{tail}");
                }
            }))
        },
    ),
    fault(
        "ciphertext-tag-lost",
        &STORED_VERBATIM,
        "The last 16 bytes of a ciphertext, its tag, are stored elsewhere and not served.",
        || {
            edge(Serving(None, |answer| {
                in_envelope("ciphertext", |text| {
                    let bytes = base64::decode(text).unwrap_or_default();
                    base64::encode(&bytes[..bytes.len().saturating_sub(16)])
                })(answer)
            }))
        },
    ),
    fault("iv-replaced", &STORED_VERBATIM, "The server makes an IV of its own.", || {
        vault(Storing(None, |repo| repo.envelope.iv = base64::encode(&[0; 12])))
    }),
    fault(
        "iv-and-ciphertext-swapped-on-push",
        &STORED_VERBATIM,
        "push stores IV and ciphertext in each other's columns.",
        || {
            vault(Storing(Some(Route::Push), |repo| {
                std::mem::swap(&mut repo.envelope.iv, &mut repo.envelope.ciphertext)
            }))
        },
    ),
    fault("plus-becomes-space", &STORED_VERBATIM, "Plus signs in ciphertexts become spaces, as in a form.", || {
        vault(Storing(None, |repo| repo.envelope.ciphertext = repo.envelope.ciphertext.replace('+', " ")))
    }),
    fault("wrapped-keys-url-alphabet", &BASE64, "Wrapped keys are served in the URL-safe alphabet.", || {
        edge(Serving(None, |answer| in_wrapped_keys("ciphertext", url_alphabet)(answer)))
    }),
    fault("wrapped-keys-unpadded", &BASE64, "Ephemeral keys are served without padding.", || {
        edge(Serving(None, |answer| in_wrapped_keys("ephemeralPublicKey", unpadded)(answer)))
    }),
    fault(
        "wrapped-keys-blanked",
        &STORED_VERBATIM,
        "Wrapped keys are blanked in manifests, as if they were secret.",
        || {
            edge(Serving(None, |answer| {
                if answer.get("wrappedDataKey").is_none() {
                    in_wrapped_keys("ciphertext", |_| String::new())(answer)
                }
            }))
        },
    ),
    fault("wrapped-keys-share-first", &STORED_VERBATIM, "Everybody gets the wrapped key of the first member.", || {
        vault(Storing(None, |repo| {
            if let Some(first) = repo.manifest.members.first().map(|entry| entry.wrapped_data_key.clone()) {
                each_entry(repo, |entry| entry.wrapped_data_key = first.clone());
            }
        }))
    }),
    fault("wrapped-scheme-lost", &STORED_VERBATIM, "The schemeId of wrapped keys is replaced by a short name.", || {
        vault(Storing(None, |repo| each_entry(repo, |entry| entry.wrapped_data_key.scheme_id = "x25519".into())))
    }),
    fault("keys-unpadded", &KEY_ENCODING, "Public keys are served without padding.", || {
        edge(Serving(None, |answer| in_entries("x25519PublicKey", unpadded)(answer)))
    }),
    fault("keys-hex", &KEY_ENCODING, "Public keys are served as hexadecimal digits.", || {
        edge(Serving(None, |answer| in_entries("x25519PublicKey", hex)(answer)))
    }),
    fault(
        "keys-with-der-prefix",
        &KEY_ENCODING,
        "X25519 keys are served as DER (SubjectPublicKeyInfo), not raw.",
        || {
            edge(Serving(None, |answer| {
                in_entries("x25519PublicKey", |text| {
                    let prefix = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x03, 0x21, 0x00];
                    base64::encode(&[&prefix[..], &base64::decode(text).unwrap_or_default()].concat())
                })(answer)
            }))
        },
    ),
    fault("member-ids-unpadded", &KEY_ENCODING, "Member ids are served without padding.", || {
        edge(Serving(None, |answer| in_entries("ed25519PublicKey", unpadded)(answer)))
    }),
];

struct SchemeResetByRotation;

impl VaultRules for SchemeResetByRotation {
    fn pushed(&self, repo: &Repo, request: &crate::wire::PushRequest) -> Repo {
        let mut next = crate::server::operations::pushed(repo, request);
        if request.rotated_members.is_some() {
            usual_scheme(&mut next);
        }
        next
    }
}

struct IvCutAt12;

impl Edge for IvCutAt12 {
    fn body(&self, _: &Store, _: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        Ok(edit_body(body, |request| {
            for name in ["envelope", "initialEnvelope", "rotatedEnvelope"] {
                if let Some(iv) = request.get_mut(name).and_then(|envelope| envelope.get_mut("iv")) {
                    let bytes = iv.as_str().and_then(|text| base64::decode(text).ok()).filter(|bytes| bytes.len() > 12);
                    *iv = bytes.map_or(iv.take(), |bytes| json!(base64::encode(&bytes[..12])));
                }
            }
        }))
    }
}
