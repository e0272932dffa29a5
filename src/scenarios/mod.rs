//! The checks, one file per operation or section of the specification.

mod answer;
mod auth;
mod authority;
mod bad_input;
mod blobs;
mod busy;
mod by_hand;
pub(crate) mod check;
mod contention;
mod context;
mod counters;
pub(crate) mod crash;
mod create_repo;
mod disclosure;
mod discovery;
mod doors;
mod doubled;
mod example;
mod framing;
mod gates;
mod grpc;
mod hangups;
mod histories;
pub(crate) mod hosting;
mod incomplete;
mod json_spellings;
mod key_binding;
mod known;
mod last_look;
mod ledger;
mod limits;
mod logins;
mod malformed;
mod meetings;
mod member_key;
mod members;
mod observer;
mod pull;
mod push;
mod races;
mod readers;
mod recording;
mod refusals;
mod removal;
mod removal_refused;
mod replica;
mod repo_ids;
mod revisions;
mod revocation;
mod rights;
mod rosters;
mod rotation;
mod schema;
mod similar_ids;
mod state;
mod status;
pub(crate) mod storage;
mod stored_numbers;
mod stranger;
mod tally;
mod texts;
mod token;
mod variants;
mod world;
mod zero_knowledge;

pub use answer::{Answer, NO_OPERATION};
pub(crate) use bad_input::{body_taken_for_request, json_request};
pub use blobs::{Blobs, Foreign};
pub use check::{Body, Check, CheckInfo, Finding, Need, Omission, Outcome, Phase, Status, Stop};
pub use context::{Auth, Call, Ctx, Member, Provoked};
pub(crate) use discovery::{candidates, is_signed_by};
pub use hosting::{Hosting, Launch};
pub use known::Register;
pub use ledger::Ledger;
pub use logins::{Login, Logins};
pub(crate) use observer::wrong_code;
pub use observer::{Observer, Seen};
pub use recording::Recording;
pub use refusals::Refusals;
pub(crate) use token::{forgeries, jwt_forgeries, more_jwt_forgeries};
pub use world::{Abort, World};

use crate::wire::{Operation, segment};

/// Every check, in the order of the specification.
pub fn all() -> impl Iterator<Item = &'static Check> {
    let files = [
        create_repo::CHECKS,
        repo_ids::CHECKS,
        similar_ids::CHECKS,
        pull::CHECKS,
        counters::CHECKS,
        push::CHECKS,
        rotation::CHECKS,
        members::CHECKS,
        member_key::CHECKS,
        removal::CHECKS,
        revocation::CHECKS,
        rights::CHECKS,
        rosters::CHECKS,
        texts::CHECKS,
        gates::CHECKS,
        stored_numbers::CHECKS,
        doubled::CHECKS,
        json_spellings::CHECKS,
        last_look::CHECKS,
        removal_refused::CHECKS,
        status::CHECKS,
        refusals::CHECKS,
        discovery::CHECKS,
        key_binding::CHECKS,
        zero_knowledge::CHECKS,
        storage::CHECKS,
        schema::CHECKS,
        example::CHECKS,
        bad_input::CHECKS,
        races::CHECKS,
        busy::CHECKS,
        meetings::CHECKS,
        readers::CHECKS,
        histories::CHECKS,
        authority::CHECKS,
        doors::CHECKS,
        disclosure::CHECKS,
        framing::CHECKS,
        hangups::CHECKS,
        grpc::CHECKS,
        revisions::CHECKS,
        replica::CHECKS,
        stranger::CHECKS,
        crash::CHECKS,
    ];
    auth::CHECKS.into_iter().chain(token::CHECKS).chain(files).flatten()
}
