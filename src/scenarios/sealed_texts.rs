//! Sealed texts of the whole run: every envelope and wrapped key that a server serves must be one that was sent for that repository.
//!
//! What was sent is noted before it is sent, so that whatever is served can be judged at once. Only fingerprints are kept.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hash};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::Value;

use super::Finding;
use crate::client::Exchange;
use crate::ground::lock;

/// Findings that are kept; more of them say nothing new.
const KEPT: usize = 20;

/// How many texts are told apart; enough for any run but one of a great many rounds, whose memory this bounds.
const FOLLOWED: usize = 400_000;

/// 64 random-keyed bits of something.
type Fingerprint = u64;

/// What was sent, and what was served that wasn't.
#[derive(Default)]
pub struct SealedTexts {
    hasher: RandomState,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// SealedTexts by the repositories that they were sent for.
    sent: HashSet<(Fingerprint, Fingerprint)>,
    /// The first repository that a blob was sent for.
    home: HashMap<Fingerprint, Arc<str>>,
    /// Length in characters of the ciphertext that was sent with a key and an IV.
    pairs: HashMap<Fingerprint, usize>,
    /// Repositories of which every request could be read.
    known: HashSet<Fingerprint>,
    /// Repositories that were sent something that no client may send: servers may make of it what they like.
    unclear: HashSet<Fingerprint>,
    served: u64,
    foreign: Vec<Foreign>,
}

/// A blob that wasn't sent for the repository that it was served for.
#[derive(Clone, Debug)]
pub struct Foreign {
    /// The check that met it.
    pub check: &'static str,
    /// What is wrong.
    pub finding: Finding,
}

/// An envelope or a wrapped key somewhere in a message.
struct Blob<'v> {
    /// `None` for an envelope.
    ephemeral: Option<&'v str>,
    epoch: i64,
    iv: &'v str,
    ciphertext: &'v str,
}

impl Blob<'_> {
    fn kind(&self) -> &'static str {
        if self.ephemeral.is_some() { "wrapped key" } else { "envelope" }
    }
}

/// Shows every blob in a message.
fn each<'v>(value: &'v Value, visit: &mut dyn FnMut(Blob<'v>)) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| each(item, visit)),
        Value::Object(members) => {
            let text = |name| members.get(name).and_then(Value::as_str);
            if let (Some(iv), Some(ciphertext)) = (text("iv"), text("ciphertext")) {
                let epoch = members.get("keyEpoch").and_then(Value::as_i64).unwrap_or_default();
                visit(Blob { ephemeral: text("ephemeralPublicKey"), epoch, iv, ciphertext });
            }
            members.values().for_each(|member| each(member, visit));
        }
        _ => {}
    }
}

impl SealedTexts {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn fingerprint(&self, value: impl Hash) -> Fingerprint {
        self.hasher.hash_one(value)
    }

    fn blob(&self, blob: &Blob<'_>) -> Fingerprint {
        self.fingerprint((blob.ephemeral, blob.iv, blob.ciphertext))
    }

    /// The key and the IV: a data key is told by repository and epoch, a key encryption key by the ephemeral key.
    fn pair(&self, repo: Fingerprint, blob: &Blob<'_>) -> Fingerprint {
        match blob.ephemeral {
            Some(ephemeral) => self.fingerprint((ephemeral, blob.iv)),
            None => self.fingerprint((repo, blob.epoch, blob.iv)),
        }
    }

    /// Notes a request that changes a repository, before it is sent. `body` is `None` for what no client may send.
    pub fn sent(&self, repo: &str, body: Option<&Value>) {
        let number = self.fingerprint(repo);
        let mut state = self.lock();
        let Some(body) = body else {
            state.unclear.insert(number);
            return;
        };
        if state.sent.len() >= FOLLOWED {
            // What a repository is sent from now on isn't noted, so that nothing can be said about it.
            state.known.remove(&number);
            return;
        }
        state.known.insert(number);
        let name: Arc<str> = repo.into();
        each(body, &mut |blob| {
            let fingerprint = self.blob(&blob);
            state.sent.insert((fingerprint, number));
            state.home.entry(fingerprint).or_insert_with(|| Arc::clone(&name));
            state.pairs.insert(self.pair(number, &blob), blob.ciphertext.len());
        });
    }

    /// Judges the body of an answer about a repository.
    pub fn served(&self, repo: &str, body: &Value, check: &'static str, exchange: &Arc<Exchange>) {
        let number = self.fingerprint(repo);
        let mut state = self.lock();
        if !state.known.contains(&number) || state.unclear.contains(&number) {
            return;
        }
        each(body, &mut |blob| {
            state.served += 1;
            let fingerprint = self.blob(&blob);
            if state.sent.contains(&(fingerprint, number)) || state.foreign.len() >= KEPT {
                return;
            }
            let (kind, length) = (blob.kind(), blob.ciphertext.len());
            let what = match (state.home.get(&fingerprint), state.pairs.get(&self.pair(number, &blob))) {
                (Some(home), _) => format!("was sent for repository {home} alone"),
                (None, Some(of_sent)) => format!(
                    "has the IV of one that was sent under the same key, and another ciphertext ({length} characters \
                     instead of {of_sent})"
                ),
                (None, None) => "was never sent".into(),
            };
            state.foreign.push(Foreign {
                check,
                finding: Finding {
                    expected: "a server serves the envelopes and wrapped keys that it was sent for the repository"
                        .into(),
                    observed: format!("the {kind} that {} gives for repository {repo} {what}", exchange.operation),
                    exchange: Some(Arc::clone(exchange)),
                    evidence: Vec::new(),
                },
            });
        });
    }

    /// How many texts were served, and the first of those that weren't sent for their repository.
    pub fn findings(&self) -> (u64, Vec<Foreign>) {
        let state = self.lock();
        (state.served, state.foreign.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn exchange() -> Arc<Exchange> {
        Arc::new(Exchange {
            operation: "pull",
            method: "POST".into(),
            path: "/".into(),
            authorization: None,
            request: Default::default(),
            status: Some(200),
            grpc: None,
            content_type: None,
            response: Default::default(),
            error: None,
            duration: std::time::Duration::ZERO,
        })
    }

    /// What is observed when this is served for repository `a`.
    fn observed(served: &Value) -> Option<String> {
        let texts = SealedTexts::default();
        let envelope = |sealed| json!({ "envelope": { "keyEpoch": 0, "iv": "i", "ciphertext": sealed } });
        let entry =
            json!({ "members": [{ "wrappedDataKey": { "ephemeralPublicKey": "e", "iv": "w", "ciphertext": "k" } }] });
        texts.sent("a", Some(&envelope("mine")));
        texts.sent("a", Some(&entry));
        texts.sent("b", Some(&envelope("other's")));
        texts.served("a", &envelope("mine"), "check", &exchange());
        texts.served("a", &entry, "check", &exchange());
        assert!(texts.findings().1.is_empty());
        texts.served("a", served, "check", &exchange());
        let (count, found) = texts.findings();
        assert_eq!(count, 3);
        found.into_iter().next().map(|foreign| foreign.finding.observed)
    }

    #[test]
    fn what_was_not_sent_is_told_apart() {
        let said = |served| observed(&served).unwrap();
        let envelope = |iv, sealed| json!({ "keyEpoch": 0, "iv": iv, "ciphertext": sealed });
        assert!(said(envelope("i", "other's")).ends_with("was sent for repository b alone"));
        assert!(said(envelope("i", "longer")).ends_with("another ciphertext (6 characters instead of 4)"));
        assert!(said(envelope("new", "mine")).ends_with("was never sent"));
        let wrapped = json!({ "ephemeralPublicKey": "e", "iv": "w", "ciphertext": "K" });
        assert!(said(wrapped).starts_with("the wrapped key that pull gives for repository a has the IV"));
    }

    #[test]
    fn what_no_client_may_send_leaves_the_repository_unjudged() {
        let texts = SealedTexts::default();
        let body = json!({ "iv": "i", "ciphertext": "c" });
        texts.sent("a", Some(&body));
        texts.sent("a", None);
        for repo in ["a", "unknown"] {
            texts.served(repo, &json!({ "iv": "x", "ciphertext": "y" }), "check", &exchange());
        }
        assert_eq!(texts.findings().0, 0);
    }
}
