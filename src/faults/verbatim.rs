//! Strings that don't come back as they were, and values that get lost on one write path (SPEC §4, §9; revision 0.4).

use std::collections::HashMap;
use std::sync::Mutex;

use axum::http::Response;
use axum::http::request::Parts;
use bytes::Bytes;
use serde_json::{Value, json};

use super::table::*;
use super::tools::{Object, edit, edit_body, entries, envelope, is_in, lock, manifest, respell};
use crate::codec::base64;
use crate::ground::hex;
use crate::server::edge::Edge;
use crate::server::refusal::Refusal;
use crate::server::repo::{Outcome, Repo, Visit};
use crate::server::route::Route;
use crate::server::rules::VaultRules;
use crate::server::store::Store;
use crate::wire::{MemberEntry, VaultManifest};

/// A server that changes what it is about to store, on one route or on all.
struct Storing(Option<Route>, fn(&mut Repo));

impl VaultRules for Storing {
    fn stored(&self, route: Route, _: Option<&Repo>, mut next: Repo) -> Repo {
        if self.0.is_none_or(|only| only == route) {
            (self.1)(&mut next);
        }
        next
    }
}

/// A server that changes the JSON of its 2xx answers, on one route or on all.
struct Serving(Option<Route>, fn(&mut Value));

impl Edge for Serving {
    fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        if self.0.is_none_or(|only| only == route) { edit(response, self.1) } else { response }
    }
}

fn each_entry(repo: &mut Repo, change: impl FnMut(&mut MemberEntry)) {
    repo.manifest.members.iter_mut().for_each(change);
}

fn without_bindings(repo: &mut Repo) {
    each_entry(repo, |entry| entry.key_binding_sig = None);
}

fn without_sharing(repo: &mut Repo) {
    repo.manifest.share_refresh_tokens = None;
}

fn url_alphabet(text: &str) -> String {
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

fn in_entries(name: &'static str, change: fn(&str) -> String) -> impl FnOnce(&mut Value) {
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

fn drop_from_manifest(name: &'static str) -> impl FnOnce(&mut Value) {
    move |answer| manifest(answer, |object: &mut Object| drop(object.remove(name)))
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
    fault("binding-lost-on-create", &BINDING_OPAQUE, "createRepo doesn't store the binding signature.", || {
        vault(Storing(Some(Route::CreateRepo), without_bindings))
    }),
    fault(
        "binding-lost-on-add",
        &BINDING_OPAQUE,
        "addMember doesn't store the new member's binding signature.",
        || {
            vault(Storing(Some(Route::AddMember), |repo| {
                if let Some(last) = repo.manifest.members.last_mut() {
                    last.key_binding_sig = None;
                }
            }))
        },
    ),
    fault(
        "binding-back-when-added-again",
        &BINDING_OPAQUE,
        "Who was removed and is added again without a binding signature has his former one.",
        || vault(BindingBackWhenAddedAgain::default()),
    ),
    fault(
        "others-bindings-lost-on-add",
        &BINDING_OPAQUE,
        "addMember loses the binding signatures of those who were there.",
        || {
            vault(Storing(Some(Route::AddMember), |repo| {
                if let Some((_, others)) = repo.manifest.members.split_last_mut() {
                    others.iter_mut().for_each(|entry| entry.key_binding_sig = None);
                }
            }))
        },
    ),
    fault("binding-lost-on-push", &BINDING_OPAQUE, "push loses binding signatures.", || {
        vault(Storing(Some(Route::Push), without_bindings))
    }),
    fault("binding-lost-on-remove", &BINDING_OPAQUE, "removeMember loses binding signatures.", || {
        vault(Storing(Some(Route::RemoveMember), without_bindings))
    }),
    fault("binding-not-fetched", &BINDING_OPAQUE, "fetchMemberKey leaves the binding signature out.", || {
        edge(Serving(Some(Route::FetchMemberKey), |answer| {
            if let Some(entry) = answer.as_object_mut() {
                entry.remove("keyBindingSig");
            }
        }))
    }),
    fault("binding-not-pulled", &BINDING_OPAQUE, "pull leaves binding signatures out.", || {
        edge(Serving(Some(Route::Pull), |answer| entries(answer, |entry| drop(entry.remove("keyBindingSig")))))
    }),
    fault("binding-made-up", &BINDING_OPAQUE, "Who has no binding signature is served with an empty one.", || {
        edge(Serving(None, |answer| {
            entries(answer, |entry| {
                entry.entry("keyBindingSig").or_insert(json!(""));
            })
        }))
    }),
    fault(
        "binding-null-is-text",
        &BINDING_OPAQUE,
        "Who has no binding signature is served with the text null.",
        || {
            edge(Serving(None, |answer| {
                entries(answer, |entry| {
                    entry.entry("keyBindingSig").or_insert(json!("null"));
                })
            }))
        },
    ),
    fault("binding-cut-at-64", &BINDING_OPAQUE, "Binding signatures are cut off after 64 characters.", || {
        vault(Storing(None, |repo| {
            each_entry(repo, |entry| {
                if let Some(sig) = &mut entry.key_binding_sig {
                    sig.truncate(64)
                }
            })
        }))
    }),
    fault("binding-url-alphabet", &BINDING_OPAQUE, "Binding signatures are served in the URL-safe alphabet.", || {
        edge(Serving(None, |answer| in_entries("keyBindingSig", url_alphabet)(answer)))
    }),
    fault(
        "binding-kept-on-rotation",
        &BINDING_OPAQUE,
        "A rotation keeps a member's old binding signature instead of the new one.",
        || vault(BindingKeptOnRotation),
    ),
    fault(
        "x25519-kept-on-rotation",
        &STORED_VERBATIM,
        "A rotation keeps a member's old X25519 key next to the new wrapped key.",
        || vault(X25519KeptOnRotation),
    ),
    fault("sharing-lost-on-create", &SHARE_REFRESH_TOKENS, "createRepo doesn't store shareRefreshTokens.", || {
        vault(Storing(Some(Route::CreateRepo), without_sharing))
    }),
    fault("sharing-lost-on-push", &SHARE_REFRESH_TOKENS, "push loses shareRefreshTokens.", || {
        vault(Storing(Some(Route::Push), without_sharing))
    }),
    fault("sharing-lost-on-add", &SHARE_REFRESH_TOKENS, "addMember loses shareRefreshTokens.", || {
        vault(Storing(Some(Route::AddMember), without_sharing))
    }),
    fault("sharing-lost-on-remove", &SHARE_REFRESH_TOKENS, "removeMember loses shareRefreshTokens.", || {
        vault(Storing(Some(Route::RemoveMember), without_sharing))
    }),
    fault("sharing-not-pulled", &SHARE_REFRESH_TOKENS, "pull leaves shareRefreshTokens out.", || {
        edge(Serving(Some(Route::Pull), |answer| drop_from_manifest("shareRefreshTokens")(answer)))
    }),
    fault(
        "sharing-not-in-add-answer",
        &SHARE_REFRESH_TOKENS,
        "The answer of addMember leaves shareRefreshTokens out.",
        || edge(Serving(Some(Route::AddMember), |answer| drop_from_manifest("shareRefreshTokens")(answer))),
    ),
    fault(
        "sharing-always-true",
        &SHARE_REFRESH_TOKENS,
        "shareRefreshTokens is true even if it was sent as false.",
        || {
            vault(Storing(None, |repo| {
                if repo.manifest.share_refresh_tokens.is_some() {
                    repo.manifest.share_refresh_tokens = Some(true)
                }
            }))
        },
    ),
    fault("fetch-other-x25519", &FETCH_ENTRY, "fetchMemberKey answers with another member's X25519 key.", || {
        vault(FetchOtherX25519)
    }),
    fault("pull-binding-of-others-only", &BINDING_OPAQUE, "A pull hides the caller's own binding signature.", || {
        vault(PullBindingOfOthersOnly)
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

#[derive(Default)]
struct BindingBackWhenAddedAgain {
    former: Mutex<HashMap<(String, String), String>>,
}

impl VaultRules for BindingBackWhenAddedAgain {
    fn stored(&self, route: Route, before: Option<&Repo>, mut next: Repo) -> Repo {
        let mut former = lock(&self.former);
        for entry in before.map_or(&[][..], |repo| &repo.manifest.members) {
            let key = (next.manifest.repo_id.clone(), entry.ed25519_public_key.clone());
            if let Some(sig) = entry.key_binding_sig.clone().filter(|_| !is_in(&next, &key.1)) {
                former.insert(key, sig);
            }
        }
        let id = next.manifest.repo_id.clone();
        if let Some(last) = next.manifest.members.last_mut().filter(|_| route == Route::AddMember)
            && last.key_binding_sig.is_none()
        {
            last.key_binding_sig = former.remove(&(id, last.ed25519_public_key.clone()));
        }
        next
    }
}

struct BindingKeptOnRotation;

impl VaultRules for BindingKeptOnRotation {
    fn stored(&self, route: Route, before: Option<&Repo>, mut next: Repo) -> Repo {
        if let Some(before) = before.filter(|_| matches!(route, Route::Push | Route::RemoveMember)) {
            each_entry(&mut next, |entry| {
                if let Some(old) = before.manifest.member(&entry.ed25519_public_key) {
                    entry.key_binding_sig.clone_from(&old.key_binding_sig);
                }
            });
        }
        next
    }
}

struct X25519KeptOnRotation;

impl VaultRules for X25519KeptOnRotation {
    fn stored(&self, route: Route, before: Option<&Repo>, mut next: Repo) -> Repo {
        if let Some(before) = before.filter(|_| matches!(route, Route::Push | Route::RemoveMember)) {
            each_entry(&mut next, |entry| {
                if let Some(old) = before.manifest.member(&entry.ed25519_public_key) {
                    entry.x25519_public_key.clone_from(&old.x25519_public_key);
                }
            });
        }
        next
    }
}

struct FetchOtherX25519;

impl VaultRules for FetchOtherX25519 {
    fn fetch(&self, _: &Visit, repo: &Repo, member_id: &str) -> Outcome<MemberEntry> {
        let Some(entry) = repo.manifest.member(member_id) else {
            return Outcome::refuse(crate::server::refusal::Refusal::not_found("no such member"));
        };
        let other = repo.manifest.members.iter().find(|other| other.ed25519_public_key != member_id);
        let mut entry = entry.clone();
        entry.x25519_public_key.clone_from(&other.unwrap_or(&entry.clone()).x25519_public_key);
        Outcome::read(entry)
    }
}

struct PullBindingOfOthersOnly;

impl VaultRules for PullBindingOfOthersOnly {
    fn manifest_served(&self, visit: &Visit, repo: &Repo) -> VaultManifest {
        let mut manifest = repo.manifest.clone();
        if visit.route == Route::Pull && is_in(repo, &visit.caller) {
            let own = manifest.members.iter_mut().filter(|entry| entry.ed25519_public_key == visit.caller);
            own.for_each(|entry| entry.key_binding_sig = None);
        }
        manifest
    }
}
