//! Random cases: mostly what members do all day, partly what nobody should.

use super::plan::{
    Act, Body, CAST, CROWD_SIZE, Change, Count, Credential, Mutation, Naming, People, REPOS, Redemption, Slip, Step,
    Wire,
};
use super::redemption::WRONG;
use crate::ground::Choices;

/// Requests of a case, at most.
const LONGEST: usize = 40;
/// Every so many requests somebody looks what is there, on average.
const LOOK: usize = 6;

/// A random case.
pub(super) fn case(choices: &mut Choices) -> Vec<Step> {
    let length = 4 + choices.below(LONGEST - 4);
    // The second repository may stay unknown.
    let repos = if choices.below(3) == 0 { 1 } else { REPOS };
    let mut steps = Vec::new();
    for repo in 0..repos {
        if choices.below(3) == 0 {
            steps.push(wrong_create(choices, repo));
        }
        steps.push(create(choices, repo));
    }
    if choices.below(6) == 0 {
        steps.push(plain(choices, 0, 0, Act::Again));
    }
    // Everybody is a member somewhere before long.
    for who in 1..2 + choices.below(2) {
        let act = Act::AddMember { who, epoch: Count::Plus(0), rekeyed: false, bound: choices.below(3) == 0 };
        steps.push(plain(choices, 0, 0, act));
    }
    if choices.below(12) == 0 {
        for member in 0..6 + choices.below(CROWD_SIZE - 5) {
            let who = CAST.len() + 1 + member;
            let act = Act::AddMember { who, epoch: Count::Plus(0), rekeyed: false, bound: choices.below(3) == 0 };
            steps.push(plain(choices, 0, 0, act));
        }
    }
    for _ in 0..length {
        let step = step(choices);
        // What is refused may have been done all the same.
        let look = step.mutation.is_some() && choices.below(2) == 0;
        let looking = look.then(|| plain(choices, step.by, step.repo, Act::Look));
        steps.extend([step].into_iter().chain(looking));
    }
    steps.push(plain(choices, 0, 0, Act::Audit));
    steps
}

fn plain(choices: &mut Choices, by: usize, repo: usize, act: Act) -> Step {
    Step { by, repo, act, credential: Credential::Own, mutation: None, dice: choices.draw() }
}

fn create(choices: &mut Choices, repo: usize) -> Step {
    let (version, epoch) = match choices.below(12) {
        0..=1 => (large(choices), 0),
        2 => (1, large(choices)),
        3 => (0, 0),
        _ => (1, 0),
    };
    let id = match (choices.below(6), repo) {
        (0, 0) => Naming::Long,
        (0..=2, 1) => Naming::Like(die(choices)),
        (3, _) => Naming::Odd(die(choices)),
        _ => Naming::Fresh,
    };
    let envelope = if choices.below(6) == 0 { slip(choices) } else { Slip::None };
    let shared = [None, Some(true), Some(false)][choices.below(3)];
    plain(choices, repo, repo, Act::CreateRepo { id, roster: vec![repo], version, epoch, envelope, shared })
}

/// A creation that has to fail, or may, of an id that is free.
fn wrong_create(choices: &mut Choices, repo: usize) -> Step {
    let by = choices.below(CAST.len());
    let (odd, right) = (odd_create(choices, by), right_create(by));
    match choices.below(5) {
        0 => Step { credential: credential(choices), ..plain(choices, by, repo, right) },
        1..=2 => Step { mutation: Some(Mutation::Member(change(choices))), ..plain(choices, by, repo, right) },
        _ => plain(choices, by, repo, odd),
    }
}

fn right_create(by: usize) -> Act {
    let (id, envelope) = (Naming::Fresh, Slip::None);
    Act::CreateRepo { id, roster: vec![by], version: 1, epoch: 0, envelope, shared: None }
}

fn credential(choices: &mut Choices) -> Credential {
    match choices.below(3) {
        0 => Credential::Missing,
        1 => Credential::Odd(die(choices)),
        _ => Credential::Forged(die(choices)),
    }
}

fn step(choices: &mut Choices) -> Step {
    let (by, repo) = (skewed(choices, CAST.len()), skewed(choices, REPOS));
    if choices.below(LOOK) == 0 {
        return plain(choices, by, repo, Act::Look);
    }
    // One thing at a time: what is refused for its token shows nothing else, nor does what is wrong anyway.
    match choices.below(9) {
        0..=1 => Step { credential: credential(choices), ..right(choices, by, repo) },
        2..=4 => {
            let step = right(choices, by, repo);
            let in_path = matches!(step.act, Act::FetchMemberKey { .. }) && choices.below(2) == 0;
            Step { mutation: Some(if in_path { Mutation::Spelled(die(choices)) } else { mutation(choices) }), ..step }
        }
        _ => {
            let act = act(choices, by);
            plain(choices, by, repo, act)
        }
    }
}

/// A step with which nothing is wrong, most of the time.
fn right(choices: &mut Choices, by: usize, repo: usize) -> Step {
    // Who made the repository is mostly still in it.
    let by = if choices.below(4) == 0 { by } else { repo };
    let act = match choices.below(22) {
        0..=3 => Act::Pull { known: if choices.below(2) == 0 { Count::Is(0) } else { Count::Plus(0) } },
        4..=9 => {
            let rotates = choices.below(3) == 0;
            let (expected, version, epoch) = (Count::Plus(0), Count::Plus(1), Count::Plus(i64::from(rotates)));
            Act::Push { expected, version, epoch, roster: rotates.then_some(People::Staying), envelope: Slip::None }
        }
        10..=12 => {
            let (who, bound) = (choices.below(CAST.len()), choices.below(3) == 0);
            Act::AddMember { who, epoch: Count::Plus(0), rekeyed: false, bound }
        }
        13..=15 => {
            let (version, epoch) = (Count::Plus(1), Count::Plus(1));
            // Mostly one of those who were let in at the beginning.
            let who = if choices.below(4) == 0 { choices.below(CAST.len()) } else { 1 + choices.below(2) };
            Act::RemoveMember { who, version, epoch, roster: People::Staying, envelope: Slip::None }
        }
        16..=18 => Act::FetchMemberKey { who: choices.below(CAST.len()) },
        19 => Act::Challenge,
        20 => right_create(by),
        _ => Act::Redeem { with: Redemption::Right },
    };
    plain(choices, by, repo, act)
}

/// The first ones more often, so that things happen in one place.
fn skewed(choices: &mut Choices, bound: usize) -> usize {
    let (one, other) = (choices.below(bound), choices.below(bound));
    one.min(other)
}

fn die(choices: &mut Choices) -> u8 {
    choices.draw().to_le_bytes()[0]
}

fn act(choices: &mut Choices, by: usize) -> Act {
    match choices.below(32) {
        0 => Act::Challenge,
        1..=3 => Act::Redeem { with: redemption(choices) },
        4..=5 => odd_create(choices, by),
        6..=9 => Act::Pull { known: known(choices) },
        10..=16 => push(choices),
        17..=20 => Act::AddMember {
            who: choices.below(CAST.len()),
            epoch: if choices.below(6) == 0 { near(choices) } else { Count::Plus(0) },
            rekeyed: choices.below(8) == 0,
            bound: choices.below(3) == 0,
        },
        21..=25 => remove(choices),
        26..=28 => Act::FetchMemberKey { who: choices.below(CAST.len() + 1) },
        29..=30 => Act::Again,
        _ => Act::Discovery,
    }
}

fn odd_create(choices: &mut Choices, by: usize) -> Act {
    let other = choices.below(CAST.len());
    let roster = match choices.below(7) {
        0 => Vec::new(),
        1 => vec![other],
        2 => vec![by, other],
        3 => vec![other, by],
        4 => vec![by, by],
        _ => vec![by],
    };
    let version = 1 + small(choices, 3);
    Act::CreateRepo { id: Naming::Fresh, roster, version, epoch: 0, envelope: slip(choices), shared: None }
}

fn slip(choices: &mut Choices) -> Slip {
    match choices.below(12) {
        0 => Slip::Repo,
        1 => Slip::Version,
        2 => Slip::Epoch,
        _ => Slip::None,
    }
}

fn known(choices: &mut Choices) -> Count {
    match choices.below(8) {
        0..=1 => Count::Plus(0),
        2 => Count::Is(0),
        3 => Count::Is(-1),
        4 => Count::Is(large(choices)),
        _ => near(choices),
    }
}

fn push(choices: &mut Choices) -> Act {
    let expected = match choices.below(10) {
        0..=5 => Count::Plus(0),
        6 => Count::Is(small(choices, 3)),
        _ => near(choices),
    };
    let version = match choices.below(12) {
        0..=6 => Count::Plus(1),
        7 => Count::Plus(2 + small(choices, 5)),
        8..=9 => Count::Is(large(choices)),
        10 => Count::Plus(0),
        _ => near(choices),
    };
    let rotates = choices.below(4) == 0;
    let (epoch, roster) = match (rotates, choices.below(8)) {
        (true, 0) => (near(choices), Some(people(choices))),
        (true, 1) => (Count::Plus(0), Some(people(choices))),
        (true, _) => (Count::Plus(1), Some(people(choices))),
        (false, 0) => (near(choices), None),
        (false, _) => (Count::Plus(0), None),
    };
    Act::Push { expected, version, epoch, roster, envelope: slip(choices) }
}

fn remove(choices: &mut Choices) -> Act {
    let usual = |choices: &mut Choices| match choices.below(8) {
        0 => near(choices),
        1 => Count::Plus(3),
        2 => Count::Is(large(choices)),
        _ => Count::Plus(1),
    };
    let (version, epoch) = (usual(choices), usual(choices));
    let roster = if choices.below(4) == 0 { people(choices) } else { People::Staying };
    Act::RemoveMember { who: choices.below(CAST.len()), version, epoch, roster, envelope: slip(choices) }
}

fn people(choices: &mut Choices) -> People {
    match choices.below(8) {
        0 => People::Everybody,
        1 => People::These(Vec::new()),
        2 => People::These(vec![0, 1, 0]),
        3..=4 => People::These((0..CAST.len()).filter(|_| choices.below(2) == 0).collect()),
        _ => People::Staying,
    }
}

fn small(choices: &mut Choices, bound: usize) -> i64 {
    i64::try_from(choices.below(bound)).unwrap_or(0)
}

/// Off by a little, or by what a narrower type loses.
fn near(choices: &mut Choices) -> Count {
    let little = small(choices, 5) - 2;
    Count::Plus(match choices.below(12) {
        0 => 1 << 32,
        1 => -(1 << 32),
        2 => (1 << 32) + little,
        3 => little - (1 << 32),
        _ => little,
    })
}

/// A counter where implementations go wrong.
fn large(choices: &mut Choices) -> i64 {
    const BORDERS: [i64; 11] = [
        -1,
        -7,
        1 << 31,
        (1 << 31) - 1,
        1 << 32,
        1 << 53,
        (1 << 53) + 1,
        1 << 62,
        i64::MAX - 1,
        i64::MIN,
        i64::MIN + 2,
    ];
    BORDERS[choices.below(BORDERS.len())]
}

fn redemption(choices: &mut Choices) -> Redemption {
    match choices.below(10) {
        0..=1 => Redemption::Right,
        2..=3 => Redemption::KeyRespelled(die(choices)),
        _ => WRONG[choices.below(WRONG.len())].0,
    }
}

fn mutation(choices: &mut Choices) -> Mutation {
    match choices.below(16) {
        0..=2 => Mutation::OtherPath,
        3..=9 => Mutation::Member(change(choices)),
        10..=11 => Mutation::Body(body(choices)),
        12..=14 => Mutation::Wire(wire(choices)),
        _ => Mutation::Route(die(choices)),
    }
}

fn change(choices: &mut Choices) -> Change {
    match choices.below(14) {
        0..=2 => Change::Drop,
        3..=4 => Change::Null,
        5 => Change::Retype(die(choices)),
        6..=7 => Change::Integer(die(choices)),
        8..=9 => Change::Text(die(choices)),
        10 => Change::Respell(die(choices)),
        11 => Change::Twice,
        12 => Change::Unknown,
        _ => Change::Deep,
    }
}

fn body(choices: &mut Choices) -> Body {
    use Body::*;
    const ALL: [Body; 12] =
        [Empty, NoJson, Cut, Array, Text, Number, Null, EmptyObject, NotUtf8, Nested, Trailing, Large];
    ALL[choices.below(ALL.len())]
}

fn wire(choices: &mut Choices) -> Wire {
    match choices.below(9) {
        0 => Wire::Chunked,
        1 => Wire::Capitals,
        2 => Wire::Pieces,
        3 => Wire::Truncated,
        4 => Wire::Pipelined,
        5 => Wire::AfterRefusal,
        6 => Wire::Stalled,
        _ => Wire::ContentType(die(choices)),
    }
}
