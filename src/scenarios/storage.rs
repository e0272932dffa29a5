//! What the server has stored and logged (SPEC §10), searched for everything that it can't know.
//!
//! The search takes place once, after all other checks, and every check here judges a part of what it found. Where nothing
//! is found of what the server must store either, it was the wrong place to look, and nothing is said.

mod evidence;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use self::evidence::Missing;
pub use self::evidence::{Evidence, Storage};
use super::check::checks;
use super::zero_knowledge::lifecycle;
use super::{CheckInfo, Ctx, Finding, Outcome, Stop};
use crate::scan::{self, Class, Hit, Location, Role, ScanProgress, Source};

checks! {
    "storage/no-accounts", Must, "§10", [ZERO_KNOWLEDGE], no_accounts,
        "No value of an account is in storage, logs or memory of the server", phase = Storage;
    "storage/no-keys", Must, "§10", [ZERO_KNOWLEDGE], no_keys,
        "No data key, seed, private key, shared secret or key encryption key is in storage, logs or memory of the server",
        phase = Storage;
    "storage/drops-secrets", Should, "§10", [NO_SECRET_ECHO], drops_secrets,
        "A dataKey, passphrase or plaintext that was sent along is neither stored nor logged", phase = Storage;
    "storage/no-tokens", Hardening, "§3", [CREDENTIALS_NOT_KEPT], no_tokens,
        "No bearer token is in storage or logs", phase = Storage;
    "storage/no-nonces", Hardening, "§3", [CREDENTIALS_NOT_KEPT], no_nonces,
        "No nonce that has bought a token is in storage or logs", phase = Storage;
    "storage/drops-replaced", Hardening, "§6", [REPLACED_IS_DROPPED], drops_replaced,
        "What a removal has replaced is stored no more", phase = Storage;
}

/// What a check here looks at.
struct Rule {
    classes: &'static [Class],
    /// Whether memory counts: what a server may know for a while is rightly there.
    in_memory: bool,
    /// Whether only that counts which the server can still be asked for.
    live: bool,
    expected: &'static str,
}

const ACCOUNTS: Rule = Rule {
    classes: &[Class::Account],
    in_memory: true,
    live: false,
    expected: "the server has no value of an account, which it was sent in ciphertext only",
};
const KEYS: Rule = Rule {
    classes: &[Class::Key, Class::WrappingKey],
    in_memory: true,
    live: false,
    expected: "the server has no key that could open what it stores",
};
const UNASKED: Rule = Rule {
    classes: &[Class::Unasked],
    in_memory: false,
    live: false,
    expected: "secrets that no message has a place for are dropped, not stored or logged",
};
const TOKENS: Rule = Rule {
    classes: &[Class::Token],
    in_memory: false,
    live: false,
    expected: "bearer tokens are verified and forgotten (or kept as a hash)",
};
const NONCES: Rule = Rule {
    classes: &[Class::Nonce],
    in_memory: false,
    live: false,
    expected: "nonces are forgotten once they have bought a token (or kept as a hash)",
};
const REPLACED: Rule = Rule {
    classes: &[Class::Replaced],
    in_memory: false,
    live: true,
    expected: "envelopes of earlier epochs and wrapped keys of removed members are gone after the removal",
};

/// What the evidence says about a rule.
pub enum StorageJudgement {
    /// Nothing was found; in one line, how much was searched.
    Clean(String),
    /// Nothing can be said, and why.
    Unknown(String),
    /// What was found, one for each kind of secret and place.
    Found(Vec<Finding>),
}

/// Judges evidence by every rule.
pub fn judge_all(evidence: &Evidence) -> Vec<(&'static CheckInfo, StorageJudgement)> {
    let rules = [&ACCOUNTS, &KEYS, &UNASKED, &TOKENS, &NONCES, &REPLACED];
    CHECKS.iter().zip(rules).map(|(check, rule)| (&check.info, judge(evidence, rule))).collect()
}

fn judge(evidence: &Evidence, rule: &Rule) -> StorageJudgement {
    let secret_of = |hit: &Hit| &evidence.secrets[hit.sighting.tag as usize];
    let counts = |hit: &&Hit| {
        rule.classes.contains(&secret_of(hit).class)
            && (rule.in_memory || hit.role != Role::Memory)
            && (hit.live || !rule.live)
    };
    // One finding for each kind of secret in each place; a table that holds thousands is one mistake.
    let mut groups: BTreeMap<(&str, &str), Vec<&Hit>> = BTreeMap::new();
    for hit in evidence.outcome.hits.iter().filter(counts) {
        groups.entry((&secret_of(hit).what, &hit.source)).or_default().push(hit);
    }
    if groups.is_empty() {
        return unseen(evidence);
    }
    let finding = |hits: Vec<&Hit>| {
        let tags: std::collections::BTreeSet<_> = hits.iter().map(|hit| hit.sighting.tag).collect();
        // The whole of it, and in the simplest guise, tells most.
        let clearest = hits.iter().min_by_key(|hit| (!hit.sighting.whole, hit.sighting.layers.len(), !hit.live))?;
        let more = match tags.len() {
            1 => String::new(),
            count => format!("; {} more of them are there", count - 1),
        };
        Some(Finding {
            expected: rule.expected.into(),
            observed: format!("{} {}{more}", place(clearest), secret_of(clearest).seen_as(&clearest.sighting)),
            exchange: None,
            evidence: Vec::new(),
        })
    };
    StorageJudgement::Found(groups.into_values().filter_map(finding).collect())
}

/// `storage /path/x.db, table kept, column value, row 3, holds`.
fn place(hit: &Hit) -> String {
    let role = match hit.role {
        Role::Storage => "storage: ",
        Role::Log => "log: ",
        Role::Memory => "",
    };
    let within = match &hit.sighting.location {
        Location::Offset(offset) => format!("at byte {offset}"),
        Location::Column { table, column, row } => {
            let row = row.map(|row| format!(", row {row}")).unwrap_or_default();
            format!("table {table}, column {column}{row}")
        }
    };
    format!("{role}{}, {within}, holds", hit.source)
}

/// Nothing was found: whether that means something.
fn unseen(evidence: &Evidence) -> StorageJudgement {
    let Evidence { secrets, sources, outcome } = evidence;
    let has_storage =
        sources.iter().any(|source| matches!(source, Source::Path(Role::Storage, _) | Source::Command(_)));
    let is_stored = |hit: &Hit| secrets[hit.sighting.tag as usize].class == Class::Stored;
    if has_storage && !outcome.hits.iter().any(is_stored) {
        return StorageJudgement::Unknown(
            "nothing that the server must have stored was found in its storage: is it another place, not written yet, or encrypted?"
                .into(),
        );
    }
    if outcome.cut_short {
        return StorageJudgement::Unknown("time ran out before everything was searched; raise --deadline".into());
    }
    if outcome.bytes == 0 {
        return StorageJudgement::Unknown("there was nothing to search".into());
    }
    let left_out = match outcome.remarks.as_slice() {
        [] => String::new(),
        [first] => format!("; left out: {first}"),
        [first, rest @ ..] => format!("; left out: {first}, and {} more", rest.len()),
    };
    StorageJudgement::Clean(format!(
        "{} bytes in {} places searched for {} values{left_out}",
        outcome.bytes,
        outcome.sources,
        secrets.len()
    ))
}

/// Does the search, once.
async fn evidence(cx: &Ctx) -> Result<Arc<Evidence>, Stop> {
    let storage = &cx.world.seen.storage;
    let found = storage.evidence.get_or_init(|| gather(cx)).await;
    found.clone().map_err(|missing| match missing {
        Missing::Unasked(reason) => Stop::not_applicable(reason),
        Missing::Failed(reason) => cx.setup_failed("the storage to be searched", reason),
    })
}

async fn gather(cx: &Ctx) -> Result<Arc<Evidence>, Missing> {
    let storage = &cx.world.seen.storage;
    if storage.sources.is_empty() && storage.save.is_none() {
        return Err(Missing::Unasked("no --storage given".into()));
    }
    // What fails in it is another check's failure; what was sent until then is looked for.
    let _ = lifecycle(cx).await;
    let secrets = cx.world.seen.secrets.everything();
    if let Some(path) = &storage.save {
        scan::save(path, &secrets).map_err(|error| Missing::Failed(error.to_string()))?;
        if storage.sources.is_empty() {
            let path = path.display();
            return Err(Missing::Unasked(format!(
                "no --storage given; `avp-conform scan --canaries {path} PATH` searches for what this run has sent"
            )));
        }
    }
    let (mut sources, save, limit) = (storage.sources.clone(), storage.save.clone(), storage.limit);
    sources.extend(cx.world.target.hosting.as_ref().map(|hosting| hosting.memory()).unwrap_or_default());
    let progress = Stopping(Arc::default());
    let shared = Arc::clone(&progress.0);
    let search = tokio::task::spawn_blocking(move || {
        let outcome = scan::scan(&scan::searcher(&secrets), &sources, save.as_deref(), &shared, limit);
        Arc::new(Evidence { secrets, sources, outcome })
    });
    search.await.map_err(|error| Missing::Failed(error.to_string()))
}

/// Ends a search that nobody waits for any more.
struct Stopping(Arc<ScanProgress>);

impl Drop for Stopping {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

async fn hold_to(cx: &Ctx, rule: &Rule) -> Outcome {
    match judge(&*evidence(cx).await?, rule) {
        StorageJudgement::Clean(remark) => cx.remark(remark),
        StorageJudgement::Unknown(reason) => return Err(Stop::not_judged(reason)),
        StorageJudgement::Found(findings) => {
            let mut findings = findings.into_iter();
            let first = findings.next();
            findings.for_each(|finding| cx.warn(finding));
            if let Some(first) = first {
                return Err(Stop::Violation(Box::new(first)));
            }
        }
    }
    Ok(())
}

/// Neither uuid nor name nor credential, ban or provenance.
async fn no_accounts(cx: &Ctx) -> Outcome {
    hold_to(cx, &ACCOUNTS).await
}

/// Of every epoch and every member.
async fn no_keys(cx: &Ctx) -> Outcome {
    hold_to(cx, &KEYS).await
}

/// What `zero-knowledge/…-drops-secrets` have sent along.
async fn drops_secrets(cx: &Ctx) -> Outcome {
    hold_to(cx, &UNASKED).await
}

/// Of a JWT, the signature, without which it is worth nothing.
async fn no_tokens(cx: &Ctx) -> Outcome {
    hold_to(cx, &TOKENS).await
}

/// Of every token that the run has asked for.
async fn no_nonces(cx: &Ctx) -> Outcome {
    hold_to(cx, &NONCES).await
}

/// Only what can still be asked for: free space of a file is overwritten when it is needed.
async fn drops_replaced(cx: &Ctx) -> Outcome {
    hold_to(cx, &REPLACED).await
}
