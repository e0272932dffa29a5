//! The checks, one file per operation or section of the specification.

mod abort;
mod alike;
mod answer;
mod answers;
mod any_sequence;
mod apart;
mod assigned;
mod attempts;
mod auth;
mod authority;
mod bad_input;
mod busy;
mod by_hand;
mod call;
pub(crate) mod check;
mod check_info;
mod contention;
mod context;
mod counter_values;
mod counters;
mod counters_after;
pub(crate) mod crash;
mod create_repo;
mod disclosure;
mod discovery;
mod doors;
mod doubled;
mod elsewhere;
mod example;
mod framing;
mod gates;
mod grpc;
mod hangups;
mod histories;
pub(crate) mod hosting;
mod in_turn;
mod incomplete;
mod json_spellings;
mod json_styles;
mod key_binding;
mod known;
mod last_look;
mod leftovers;
mod limits;
mod logins;
mod malformed;
mod meetings;
mod member_key;
mod members;
mod odd_doors;
mod outcome;
mod own_bindings;
mod profiles;
mod pull;
mod push;
mod races;
mod readers;
mod recording;
mod refusals;
mod refused_requests;
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
mod sealed_texts;
mod secrets;
mod similar_ids;
mod state;
mod status;
pub(crate) mod storage;
mod stored_numbers;
mod stranger;
mod texts;
mod token;
mod unadmitted;
mod variants;
mod world;
mod zero_knowledge;

use std::sync::LazyLock;

pub use abort::Abort;
pub use answer::{Answer, NO_OPERATION, Provoked};
pub(crate) use answers::wrong_code;
pub use answers::{Answers, Seen};
pub(crate) use bad_input::consumed::{Left, left_by};
pub(crate) use call::json_request;
pub use call::{Auth, Call, Member};
pub use check::{Body, Check, Need, Phase};
pub use check_info::CheckInfo;
pub use context::Ctx;
pub(crate) use discovery::{candidates, is_signed_by};
pub use hosting::{Hosting, Launch};
pub use key_binding::learn_bindings;
pub use known::Register;
pub use logins::{Login, Logins};
pub use outcome::{Finding, Omission, Outcome, Status, Stop};
pub use recording::Recording;
pub use refusals::Refusals;
pub use sealed_texts::{Foreign, SealedTexts};
pub use secrets::Secrets;
pub(crate) use state::{RESPELLED, UNREADABLE};
pub(crate) use token::{forgeries, jwt_forgeries, more_jwt_forgeries};
pub use world::World;

use crate::client::Profile;
use crate::wire::{Operation, segment};

/// The checks as they are called in one half of a run that judges both profiles: `push/applies@grpc`.
pub fn over(profile: Profile) -> &'static [Check] {
    static HTTP: LazyLock<Vec<Check>> = LazyLock::new(|| named_over(Profile::Http));
    static GRPC: LazyLock<Vec<Check>> = LazyLock::new(|| named_over(Profile::Grpc));
    match profile {
        Profile::Http => &HTTP,
        Profile::Grpc => &GRPC,
    }
}

/// Made once for the whole program, which is why the names may stay for ever.
fn named_over(profile: Profile) -> Vec<Check> {
    let speaks = |check: &&Check| check.only.is_none_or(|only| only == profile) && check.needs != Need::Profiles;
    let named = |check: &'static Check| Check {
        info: CheckInfo { id: check.info.id_over(profile).leak(), ..check.info },
        ..*check
    };
    all().filter(speaks).map(named).collect()
}

/// Every check, in the order of the specification.
pub fn all() -> impl Iterator<Item = &'static Check> {
    let files = [
        create_repo::CHECKS,
        repo_ids::CHECKS,
        similar_ids::CHECKS,
        odd_doors::CHECKS,
        pull::CHECKS,
        counters::CHECKS,
        push::CHECKS,
        rotation::CHECKS,
        members::CHECKS,
        member_key::CHECKS,
        removal::CHECKS,
        revocation::CHECKS,
        rights::CHECKS,
        any_sequence::CHECKS,
        in_turn::CHECKS,
        leftovers::CHECKS,
        rosters::CHECKS,
        texts::CHECKS,
        alike::CHECKS,
        gates::CHECKS,
        stored_numbers::CHECKS,
        doubled::CHECKS,
        json_spellings::CHECKS,
        assigned::CHECKS,
        last_look::CHECKS,
        removal_refused::CHECKS,
        counters_after::CHECKS,
        status::CHECKS,
        unadmitted::CHECKS,
        refusals::CHECKS,
        discovery::CHECKS,
        key_binding::CHECKS,
        zero_knowledge::CHECKS,
        storage::CHECKS,
        schema::CHECKS,
        example::CHECKS,
        bad_input::CHECKS,
        races::CHECKS,
        apart::CHECKS,
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
        profiles::CHECKS,
        stranger::CHECKS,
        crash::CHECKS,
    ];
    auth::CHECKS.into_iter().chain(token::CHECKS).chain(files).flatten()
}
