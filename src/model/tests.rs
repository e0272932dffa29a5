use proptest::prelude::*;

use super::*;
use crate::requirements::{self as rule, Level, Revision};

const REPO: Symbol = Symbol(100);
const ALICE: Symbol = Symbol(0);
const BOB: Symbol = Symbol(1);

fn entry(member: Symbol, epoch: i64, rest: u32) -> Entry {
    Entry { member, x25519: Symbol(member.0 + 50), epoch, rest: Symbol(rest) }
}

fn envelope(version: i64, epoch: i64, sealed: u32) -> Envelope {
    Envelope { repo: REPO, version, epoch, sealed: Symbol(sealed) }
}

fn state(version: i64, epoch: i64, members: &[Symbol]) -> State {
    let members = Roster::new(members.iter().map(|member| entry(*member, epoch, 7)).collect());
    let manifest = Manifest { repo: REPO, scheme: Symbol(99), version, epoch, members, shared: false };
    State { manifest, envelope: envelope(version, epoch, 8) }
}

fn by(caller: Symbol, action: Action) -> Invocation {
    Invocation { caller: Some(caller), action }
}

fn push(expected: i64, to: Envelope, rotated: Option<Roster>) -> Action {
    Action::Push { envelope: to, expected, rotated }
}

fn pushed(version: i64, epoch: i64) -> Response {
    Response::Push { accepted: true, version, epoch, conflict: false }
}

fn conflict(version: i64, epoch: i64) -> Response {
    Response::Push { accepted: false, version, epoch, conflict: true }
}

#[test]
fn a_push_applies_once() {
    let before = state(3, 1, &[ALICE, BOB]);
    let invocation = by(BOB, push(3, envelope(4, 1, 9), None));
    let after = judge(Some(&before), &invocation, &pushed(4, 1)).unwrap().next.unwrap();
    assert_eq!(after.envelope, envelope(4, 1, 9));
    assert_eq!((after.manifest.version, &after.manifest.members), (4, &before.manifest.members));
    assert!(judge(Some(&after), &invocation, &conflict(4, 1)).unwrap().next.is_none());
    assert_eq!(judge(Some(&after), &invocation, &pushed(4, 1)).unwrap_err().rule.id, rule::PUSH_GATED.id);
    // The counters of an earlier state, and a 409, are no conflict.
    assert_eq!(judge(Some(&after), &invocation, &conflict(3, 1)).unwrap_err().rule.id, rule::PUSH_CONFLICT.id);
    assert!(judge(Some(&after), &invocation, &Response::Refused(409)).is_err());
    assert!(judge(Some(&before), &invocation, &Response::Broken(500)).is_err());
}

#[test]
fn versions_may_skip_and_never_stay() {
    let before = state(3, 1, &[ALICE]);
    let gap = by(ALICE, push(3, envelope(9, 1, 9), None));
    assert!(judge(Some(&before), &gap, &pushed(9, 1)).unwrap().missed.is_none());
    assert_eq!(judge(Some(&before), &gap, &Response::Refused(400)).unwrap().missed.unwrap().id, rule::PUSH_GAP.id);
    let same = by(ALICE, push(3, envelope(3, 1, 9), None));
    assert_eq!(judge(Some(&before), &same, &pushed(3, 1)).unwrap_err().rule.id, rule::VERSION_MONOTONIC.id);
    assert!(judge(Some(&before), &same, &Response::Refused(400)).is_ok());
    // A plain push must be taken; a negative expectation may be refused.
    let invocation = by(ALICE, push(3, envelope(4, 1, 9), None));
    assert!(judge(Some(&before), &invocation, &Response::Refused(400)).is_err());
    let negative = by(ALICE, push(-1, envelope(4, 1, 9), None));
    assert!(judge(Some(&before), &negative, &Response::Refused(400)).is_ok());
    assert!(judge(Some(&before), &negative, &conflict(3, 1)).is_ok());
}

#[test]
fn a_removal_happens_as_a_whole() {
    let before = state(3, 1, &[ALICE, BOB]);
    let after = state(4, 2, &[ALICE]);
    let remove = |envelope, members: &Roster, epoch| {
        by(ALICE, Action::RemoveMember { removed: BOB, envelope, members: members.clone(), epoch })
    };
    let members = &after.manifest.members;
    let invocation = remove(envelope(4, 2, 8), members, 2);
    let transition = judge(Some(&before), &invocation, &Response::Manifest(after.manifest.clone())).unwrap();
    assert_eq!(transition.next.as_ref(), Some(&after));
    assert!(judge(Some(&before), &invocation, &Response::Manifest(before.manifest.clone())).is_err());
    // Again: 404, or nothing.
    assert!(judge(Some(&after), &invocation, &Response::Refused(404)).unwrap().missed.is_none());
    assert!(judge(Some(&after), &invocation, &Response::Manifest(after.manifest.clone())).unwrap().next.is_none());
    // Neither the version nor the epoch may stay.
    for invocation in [remove(envelope(3, 2, 8), members, 2), remove(envelope(4, 1, 8), members, 1)] {
        let manifest = Manifest { members: members.clone(), ..before.manifest.clone() };
        assert!(judge(Some(&before), &invocation, &Response::Manifest(manifest)).is_err());
        assert!(judge(Some(&before), &invocation, &Response::Refused(400)).is_ok());
    }
    // Named in the new roster, and out of it all the same.
    let both = remove(envelope(4, 2, 8), &state(4, 2, &[ALICE, BOB]).manifest.members, 2);
    assert_eq!(judge(Some(&before), &both, &Response::Manifest(after.manifest.clone())).unwrap().next, Some(after));
}

#[test]
fn additions_keep_the_counters_and_may_come_twice() {
    let before = state(3, 1, &[ALICE]);
    let add = |rest| by(ALICE, Action::AddMember { entry: entry(BOB, 1, rest) });
    let manifest =
        |rest| Manifest { members: before.manifest.members.with(entry(BOB, 1, rest)), ..before.manifest.clone() };
    let after = judge(Some(&before), &add(7), &Response::Manifest(manifest(7))).unwrap().next.unwrap();
    assert_eq!(after, state(3, 1, &[ALICE, BOB]));
    let stays = judge(Some(&after), &add(8), &Response::Manifest(manifest(7))).unwrap();
    assert!(stays.next.is_none());
    let replaced = judge(Some(&after), &add(8), &Response::Manifest(manifest(8))).unwrap().next.unwrap();
    assert_eq!(replaced.manifest.members.get(BOB).unwrap().rest, Symbol(8));
    assert!(judge(Some(&after), &add(8), &Response::Refused(409)).is_ok());
    assert!(judge(Some(&before), &add(7), &Response::Refused(409)).is_err());
}

#[test]
fn revision_0_3_has_one_answer_to_an_addition_that_is_repeated() {
    let here = state(3, 1, &[ALICE, BOB]);
    let again = by(ALICE, Action::AddMember { entry: entry(BOB, 1, 7) });
    let by_0_3 = |invocation: &Invocation, answer: &Response| judge_by(Revision::V0_3, Some(&here), invocation, answer);
    assert!(by_0_3(&again, &Response::Manifest(here.manifest.clone())).unwrap().next.is_none());
    assert!(judge(Some(&here), &again, &Response::Refused(409)).is_ok());
    assert_eq!(by_0_3(&again, &Response::Refused(409)).unwrap_err().rule.id, rule::RETRY_ADD.id);
    // Another wrapped key is another addition, and who isn't a member may repeat nothing.
    let other = by(ALICE, Action::AddMember { entry: entry(BOB, 1, 8) });
    assert!(by_0_3(&other, &Response::Refused(409)).is_ok());
    let stranger = by(Symbol(2), Action::AddMember { entry: entry(BOB, 1, 7) });
    assert!(by_0_3(&stranger, &Response::Refused(403)).is_ok());
}

#[test]
fn sharing_refresh_tokens_is_kept_and_told_apart() {
    let shares = |mut state: State| {
        state.manifest.shared = true;
        state
    };
    let here = shares(state(3, 1, &[ALICE]));
    let invocation = by(ALICE, Action::Pull { known: 3 });
    let pulled = |state: &State| Response::Pull { manifest: state.manifest.clone(), envelope: None, unchanged: true };
    assert!(judge(Some(&here), &invocation, &pulled(&here)).is_ok());
    let lost = judge(Some(&here), &invocation, &pulled(&state(3, 1, &[ALICE]))).unwrap_err();
    assert_eq!(lost.rule.id, rule::SHARE_REFRESH_TOKENS.id);
    let write = by(ALICE, push(3, envelope(4, 1, 9), None));
    assert!(judge(Some(&here), &write, &pushed(4, 1)).unwrap().next.unwrap().manifest.shared);
}

#[test]
fn codes_are_fixed_only_where_nothing_else_is_wrong() {
    let here = state(3, 1, &[ALICE]);
    let missed = |action| judge(Some(&here), &by(BOB, action), &Response::Refused(400)).unwrap().missed;
    assert_eq!(missed(push(3, envelope(4, 1, 9), None)).unwrap().id, rule::STATUS_STRANGER.id);
    assert!(missed(push(3, envelope(9, 1, 9), None)).is_none());
    assert!(missed(Action::Pull { known: -1 }).is_none());
}

#[test]
fn who_holds_large_versions_counts_on() {
    let large = (1 << 53) + 1;
    let here = state(large, 1, &[ALICE]);
    let invocation = by(ALICE, push(large, envelope(large + 1, 1, 9), None));
    assert!(judge(Some(&here), &invocation, &Response::Refused(400)).is_err());
    assert!(judge(Some(&here), &invocation, &pushed(large + 1, 1)).is_ok());
    let far = by(ALICE, push(large, envelope(large + 9, 1, 9), None));
    assert!(judge(Some(&here), &far, &Response::Refused(400)).is_ok());
    let end = state(i64::MAX, 1, &[ALICE]);
    let over = by(ALICE, push(i64::MAX, envelope(i64::MIN, 1, 9), None));
    assert!(judge(Some(&end), &over, &Response::Refused(400)).is_ok());
}

#[test]
fn strangers_and_nobody_learn_nothing() {
    let here = state(3, 1, &[ALICE]);
    let pull = Action::Pull { known: 0 };
    let all = Response::Pull { manifest: here.manifest.clone(), envelope: Some(here.envelope), unchanged: false };
    assert!(judge(Some(&here), &by(ALICE, pull.clone()), &all).is_ok());
    assert_eq!(judge(Some(&here), &by(BOB, pull.clone()), &all).unwrap_err().rule.id, rule::PULL_MEMBERS_ONLY.id);
    let missed = judge(Some(&here), &by(BOB, pull.clone()), &Response::Refused(404)).unwrap().missed;
    assert_eq!(missed.unwrap().id, rule::USUAL_STATUS.id);
    assert!(judge(None, &by(ALICE, pull.clone()), &Response::Refused(404)).unwrap().missed.is_none());
    let nobody = Invocation { caller: None, action: pull };
    assert_eq!(judge(Some(&here), &nobody, &all).unwrap_err().rule.id, rule::TOKEN_REQUIRED.id);
}

#[test]
fn a_contradiction_is_refused_or_unsettled() {
    let here = state(3, 1, &[ALICE]);
    let foreign = Envelope { repo: Symbol(101), ..envelope(4, 1, 9) };
    let invocation = by(ALICE, push(3, foreign, None));
    assert!(judge(Some(&here), &invocation, &Response::Refused(400)).unwrap().settled);
    let accepted = judge(Some(&here), &invocation, &pushed(4, 1)).unwrap();
    assert!(!accepted.settled);
    assert_eq!(accepted.missed.unwrap().id, rule::PUSH_CONSISTENT.id);
}

#[test]
fn differences_are_told_in_words() {
    let mut symbols = Symbols::default();
    let members: Vec<_> = ["alice", "bob"].iter().map(|name| symbols.symbol(name)).collect();
    let due = state(3, 1, &members).manifest;
    let came = Manifest { members: due.members.without(members[1]), ..due.clone() };
    let said = symbols.difference(&Response::Manifest(due.clone()), &Response::Manifest(came.clone())).unwrap();
    assert_eq!(said, "member bob is missing");
    let invocation = by(members[0], Action::Pull { known: 3 });
    let pulled = |manifest| Response::Pull { manifest, envelope: None, unchanged: true };
    let here = State { manifest: due, envelope: envelope(3, 1, 8) };
    let (expected, observed) = judge(Some(&here), &invocation, &pulled(came)).unwrap_err().explain(&symbols);
    assert!(
        expected.starts_with("version 3, epoch 1, members alice bob and no envelope, unchanged, or "),
        "{expected}"
    );
    assert_eq!(observed, "member bob is missing");
}

// Laws, over small worlds in which everything happens to everything.

fn a_word() -> impl Strategy<Value = Symbol> {
    (0_u32..4).prop_map(Symbol)
}

fn an_entry() -> impl Strategy<Value = Entry> {
    (a_word(), 0_i64..4, 0_u32..3, 0_u32..2).prop_map(|(member, epoch, rest, key)| Entry {
        x25519: Symbol(member.0 + 50 + key),
        ..entry(member, epoch, rest)
    })
}

fn a_roster() -> impl Strategy<Value = Roster> {
    prop::collection::vec(an_entry(), 0..4).prop_map(Roster::new)
}

fn an_envelope() -> impl Strategy<Value = Envelope> {
    (0_i64..6, 0_i64..4, 0_u32..3, 0_u32..5).prop_map(|(version, epoch, sealed, repo)| Envelope {
        repo: Symbol(if repo == 0 { 101 } else { 100 }),
        ..envelope(version, epoch, sealed)
    })
}

fn a_manifest() -> impl Strategy<Value = Manifest> {
    (0_i64..5, 0_i64..3, a_roster()).prop_map(|(version, epoch, members)| Manifest {
        repo: REPO,
        scheme: Symbol(99),
        version,
        epoch,
        members,
        shared: false,
    })
}

fn a_state() -> impl Strategy<Value = Option<State>> {
    prop::option::weighted(
        0.9,
        (a_manifest(), 0_u32..3).prop_map(|(manifest, sealed)| State {
            envelope: envelope(manifest.version, manifest.epoch, sealed),
            manifest,
        }),
    )
}

fn an_invocation() -> impl Strategy<Value = Invocation> {
    let action = prop_oneof![
        (a_manifest(), an_envelope()).prop_map(|(manifest, envelope)| Action::CreateRepo { manifest, envelope }),
        (-1_i64..6).prop_map(|known| Action::Pull { known }),
        (an_envelope(), -1_i64..6, prop::option::of(a_roster()))
            .prop_map(|(to, expected, rotated)| push(expected, to, rotated)),
        an_entry().prop_map(|entry| Action::AddMember { entry }),
        (a_word(), an_envelope(), a_roster(), 0_i64..5).prop_map(|(removed, envelope, members, epoch)| {
            Action::RemoveMember { removed, envelope, members, epoch }
        }),
        a_word().prop_map(|member| Action::FetchMemberKey { member }),
    ];
    (prop::option::weighted(0.95, a_word()), action).prop_map(|(caller, action)| Invocation { caller, action })
}

fn answer_of(expected: &Expected) -> Response {
    match expected {
        Expected::Is(answer) => answer.clone(),
        Expected::Refusal(reason) => Response::Refused(reason.map_or(400, RefusalReason::code)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn laws(state in a_state(), invocation in an_invocation()) {
        let allowed = allowed(state.as_ref(), &invocation);
        prop_assert!(!allowed.alternatives.is_empty());
        for alternative in &allowed.alternatives {
            let answer = answer_of(&alternative.expected);
            let Some(after) = transition(state.as_ref(), &invocation, &answer) else { panic!("{answer:?} is listed and not allowed") };
            // What breaks a MUST isn't listed.
            prop_assert!(alternative.missed.is_none_or(|rule| rule.level != Level::Must), "{:?}", alternative.missed);
            // The answer tells which state is left.
            prop_assert_eq!(&after.next, &alternative.next);
            let read = matches!(invocation.action, Action::Pull { .. } | Action::FetchMemberKey { .. });
            let rejected = matches!(answer, Response::Refused(_) | Response::Push { accepted: false, .. });
            if read || rejected {
                prop_assert!(after.next.is_none(), "a read or a rejected write changes the state");
            }
            let Some(next) = &after.next else { continue };
            let Some(before) = &state else {
                let creates = matches!(invocation.action, Action::CreateRepo { .. });
                prop_assert!(creates, "only createRepo makes a repository");
                continue;
            };
            let add = matches!(invocation.action, Action::AddMember { .. });
            let removal = matches!(invocation.action, Action::RemoveMember { .. });
            prop_assert_eq!(next.manifest.version == before.manifest.version, add);
            prop_assert!(next.manifest.version >= before.manifest.version, "versions never fall");
            prop_assert!(!removal || next.manifest.epoch > before.manifest.epoch, "a removal raises the epoch");
            if after.settled {
                prop_assert!(next.manifest.epoch >= before.manifest.epoch, "epochs never fall");
                prop_assert_eq!(next.envelope.version, next.manifest.version);
                prop_assert_eq!(next.envelope.epoch, next.manifest.epoch);
            }
            prop_assert!(before.manifest.members.has(invocation.caller.unwrap()), "strangers change nothing");
            if let Action::RemoveMember { removed, .. } = invocation.action {
                prop_assert!(!next.manifest.members.has(removed));
            }
        }
    }

    #[test]
    fn nothing_else_is_allowed(state in a_state(), invocation in an_invocation(), other in a_state(), status in 200_u16..600) {
        let allowed = allowed(state.as_ref(), &invocation);
        let refusable = allowed.alternatives.iter().any(|alternative| matches!(alternative.expected, Expected::Refusal(_)));
        prop_assert_eq!(judge(state.as_ref(), &invocation, &Response::Refused(400)).is_ok(), refusable);
        prop_assert!(judge(state.as_ref(), &invocation, &Response::Broken(status)).is_err());
        let Some(other) = other else { return Ok(()) };
        let answer = Response::Manifest(other.manifest);
        let listed = allowed.alternatives.iter().any(|alternative| alternative.expected == Expected::Is(answer.clone()));
        prop_assert_eq!(judge(state.as_ref(), &invocation, &answer).is_ok(), listed);
    }
}
