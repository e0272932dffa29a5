//! Reads that see two states: what they are made of is read at two moments, and a write comes in between.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::Response;
use axum::http::header::CONTENT_LENGTH;
use axum::http::request::Parts;
use bytes::Bytes;

use super::races::{Done, WINDOW, conformant, load};
use super::table::*;
use super::tools::gap;
use crate::server::edge::Edge;
use crate::server::operations;
use crate::server::refusal::Refusal;
use crate::server::repo::{Repo, Visit};
use crate::server::route::Route;
use crate::server::rules::VaultRules;
use crate::server::store::Store;

/// Reads the state of an operation twice, and mixes the two.
struct TornRead(Route, fn(Repo, Repo) -> Repo);

impl VaultRules for TornRead {
    fn execute<'a>(&'a self, store: &'a Store, visit: &'a Visit) -> Done<'a> {
        if visit.route != self.0 {
            return conformant(self, store, visit);
        }
        Box::pin(async move {
            let first = load(store, &visit.repo_id)?;
            gap(WINDOW).await;
            let second = load(store, &visit.repo_id)?;
            let mixed = first.zip(second).map(|(first, second)| (self.1)(first, second));
            operations::transition(self, visit, mixed.as_ref()).answer
        })
    }
}

/// A body that keeps an interpreter busy, in bytes.
const LARGE: usize = 2 << 20;

/// While a large body is handled, which keeps the interpreter busy, a pull is put aside between its two reads.
#[derive(Default)]
struct TornWhenBusy(AtomicUsize);

impl Edge for TornWhenBusy {
    fn body(&self, _: &Store, _: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        self.0.fetch_add(usize::from(body.len() > LARGE), Ordering::Relaxed);
        Ok(body)
    }

    fn response(&self, _: Route, parts: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        let length = parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        let large = length.is_some_and(|length: usize| length > LARGE);
        let less = |handled: usize| handled.checked_sub(usize::from(large));
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        response
    }
}
impl VaultRules for TornWhenBusy {
    fn execute<'a>(&'a self, store: &'a Store, visit: &'a Visit) -> Done<'a> {
        let busy = || self.0.load(Ordering::Relaxed) > 0;
        if visit.route != Route::Pull || !busy() {
            return conformant(self, store, visit);
        }
        Box::pin(async move {
            let first = load(store, &visit.repo_id)?;
            for _ in 0..200 {
                gap(WINDOW).await;
                if !busy() {
                    break;
                }
            }
            let second = load(store, &visit.repo_id)?;
            let mixed = first.zip(second).map(|(first, second)| Repo { manifest: first.manifest, ..second });
            operations::transition(self, visit, mixed.as_ref()).answer
        })
    }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault("race-pull-old-manifest", &SNAPSHOT_READS, "A pull reads the manifest a little before the envelope.", || {
        vault(TornRead(Route::Pull, |first, second| Repo { manifest: first.manifest, ..second }))
    })
    .kind(Race),
    fault(
        "race-pull-old-manifest-when-busy",
        &SNAPSHOT_READS,
        "A pull reads the manifest before the envelope, which shows only while large bodies keep the server busy.",
        || edge_and_vault(TornWhenBusy::default()),
    )
    .kind(Race),
    fault("race-pull-old-envelope", &SNAPSHOT_READS, "A pull reads the envelope a little before the manifest.", || {
        vault(TornRead(Route::Pull, |first, second| Repo { envelope: first.envelope, ..second }))
    })
    .kind(Race),
    fault("race-pull-old-roster", &SNAPSHOT_READS, "A pull reads the roster a little before the rest.", || {
        vault(TornRead(Route::Pull, |first, mut second| {
            second.manifest.members = first.manifest.members;
            second
        }))
    })
    .kind(Race),
    fault(
        "race-fetch-old-wrapped-key",
        &SNAPSHOT_READS,
        "fetchMemberKey reads the wrapped key a little before the rest of the entry.",
        || {
            vault(TornRead(Route::FetchMemberKey, |first, mut second| {
                for entry in &mut second.manifest.members {
                    if let Some(old) = first.manifest.member(&entry.ed25519_public_key) {
                        entry.wrapped_data_key = old.wrapped_data_key.clone();
                    }
                }
                second
            }))
        },
    )
    .kind(Race),
];
