//! Each operation as a list of what may come of it, read beside SPEC §6.

use super::{Action, Entry, Envelope, Invocation, Manifest, RefusalReason, Response, Roster, State, Symbol};
use crate::requirements::{self as rule, Requirement};

/// An answer that is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Exactly this 2xx answer.
    Is(Response),
    /// A 4xx: the one that goes with the reason, or any where the specification only says that the request is refused.
    Refusal(Option<RefusalReason>),
}

/// One thing that may come of an invocation: the specification often allows several.
#[derive(Clone, Debug)]
pub struct Alternative {
    /// The answer.
    pub expected: Expected,
    /// The state afterwards, if it changes.
    pub next: Option<State>,
    /// What a careful server would have done better, though this breaks no MUST.
    pub missed: Option<&'static Requirement>,
    /// Whether the specification fixes what the server holds afterwards.
    pub settled: bool,
}

/// Everything that may come of an invocation.
#[derive(Clone, Debug)]
pub struct Allowed {
    /// The rule that any other answer breaks.
    pub rule: &'static Requirement,
    /// What may come, the usual first. No two of them have one answer and different states afterwards.
    pub alternatives: Vec<Alternative>,
}

impl Allowed {
    fn only(rule: &'static Requirement, alternative: Alternative) -> Self {
        Self { rule, alternatives: vec![alternative] }
    }

    /// Allows one thing more.
    fn or(mut self, alternative: Alternative) -> Self {
        self.alternatives.push(alternative);
        self
    }

    /// Allows one thing more on a condition.
    fn or_if(mut self, condition: bool, alternative: impl FnOnce() -> Alternative) -> Self {
        if condition {
            self.alternatives.push(alternative());
        }
        self
    }
}

impl Alternative {
    fn refuse(reason: Option<RefusalReason>) -> Self {
        Self { expected: Expected::Refusal(reason), next: None, missed: None, settled: true }
    }

    fn answer(answer: Response) -> Self {
        Self { expected: Expected::Is(answer), next: None, missed: None, settled: true }
    }

    /// The new manifest is the answer, and everything is as it says.
    fn becomes(next: State) -> Self {
        Self { next: Some(next.clone()), ..Self::answer(Response::Manifest(next.manifest)) }
    }

    fn missing(self, missed: &'static Requirement) -> Self {
        Self { missed: Some(missed), ..self }
    }

    fn unsettled(self) -> Self {
        Self { settled: false, ..self }
    }
}

/// A counter that no server may shy away from; above, some storages end. What it says of another is that it refuses it, never that
/// it takes it for something else.
pub fn ordinary(counter: i64) -> bool {
    (0..1 << 31).contains(&counter)
}

/// What may come of an invocation in a state; `None` is a repository that doesn't exist.
pub fn allowed(state: Option<&State>, invocation: &Invocation) -> Allowed {
    // Whatever else is wrong with a request may be looked at first.
    let refuse = |reason: RefusalReason| Alternative::refuse(is_plain(state, &invocation.action).then_some(reason));
    let Some(caller) = invocation.caller else {
        return Allowed::only(&rule::TOKEN_REQUIRED, refuse(RefusalReason::NoToken));
    };
    if let Action::CreateRepo { manifest, envelope } = &invocation.action {
        return create(state, caller, manifest, envelope, refuse);
    }
    let members_only = members_only(&invocation.action);
    let Some(repo) = state else { return Allowed::only(members_only, refuse(RefusalReason::UnknownRepository)) };
    if !repo.manifest.members.has(caller) {
        return Allowed::only(members_only, refuse(RefusalReason::Stranger));
    }
    match &invocation.action {
        Action::CreateRepo { manifest, envelope } => create(state, caller, manifest, envelope, refuse),
        Action::Pull { known } => pull(repo, *known),
        Action::Push { envelope, expected, rotated } => push(repo, caller, envelope, *expected, rotated.as_ref()),
        Action::AddMember { entry } => add(repo, entry),
        Action::RemoveMember { removed, envelope, members, epoch } => {
            let next = State {
                manifest: Manifest {
                    version: envelope.version,
                    epoch: *epoch,
                    // Out of the roster, even if the rewrapped members name it.
                    members: members.without(*removed),
                    ..repo.manifest.clone()
                },
                envelope: *envelope,
            };
            remove(repo, caller, *removed, members, next)
        }
        Action::FetchMemberKey { member } => fetch(repo, *member),
    }
}

/// Whether nothing is wrong with a request by itself, so that it can only be refused for who asks and what there is.
fn is_plain(state: Option<&State>, action: &Action) -> bool {
    let fits = |envelope: &Envelope| state.is_some_and(|repo| envelope.repo == repo.manifest.repo);
    match action {
        Action::CreateRepo { manifest, envelope } => {
            is_usual_start(manifest) && belongs(envelope, manifest) && manifest.members.makes_sense(manifest.epoch)
        }
        Action::Pull { known } => ordinary(*known),
        Action::Push { envelope, expected, rotated } => {
            ordinary(*expected)
                && ordinary(envelope.version)
                && ordinary(envelope.epoch)
                && envelope.version - 1 == *expected
                && rotated.as_ref().is_none_or(|members| members.makes_sense(envelope.epoch))
                && fits(envelope)
        }
        Action::AddMember { entry } => ordinary(entry.epoch),
        Action::RemoveMember { removed, envelope, members, epoch } => {
            ordinary(envelope.version)
                && ordinary(*epoch)
                && envelope.epoch == *epoch
                && members.makes_sense(*epoch)
                && !members.has(*removed)
                && fits(envelope)
        }
        Action::FetchMemberKey { .. } => true,
    }
}

/// An addMember that is repeated to the letter, as revision 0.3 has it: nothing changes, and the answer is the current manifest.
pub(super) fn retried(state: Option<&State>, invocation: &Invocation) -> Option<Allowed> {
    let (Some(repo), Action::AddMember { entry }) = (state, &invocation.action) else { return None };
    let members = &repo.manifest.members;
    (members.has(invocation.caller?) && members.get(entry.member) == Some(entry))
        .then(|| Allowed::only(&rule::RETRY_ADD, Alternative::answer(Response::Manifest(repo.manifest.clone()))))
}

fn members_only(action: &Action) -> &'static Requirement {
    match action {
        Action::CreateRepo { .. } => &rule::CREATE_SOLE_MEMBER,
        Action::Pull { .. } => &rule::PULL_MEMBERS_ONLY,
        Action::Push { .. } => &rule::PUSH_MEMBERS_ONLY,
        Action::AddMember { .. } => &rule::ADD_MEMBERS_ONLY,
        Action::RemoveMember { .. } => &rule::REMOVE_MEMBERS_ONLY,
        Action::FetchMemberKey { .. } => &rule::FETCH_MEMBERS_ONLY,
    }
}

/// The caller's own repository, under an id that is free.
fn create(
    existing: Option<&State>,
    caller: Symbol,
    manifest: &Manifest,
    envelope: &Envelope,
    refuse: impl Fn(RefusalReason) -> Alternative,
) -> Allowed {
    let own = matches!(manifest.members.entries(), [only] if only.member == caller);
    match (own, existing) {
        (false, _) => return Allowed::only(&rule::CREATE_SOLE_MEMBER, Alternative::refuse(None)),
        (true, Some(_)) => return Allowed::only(&rule::CREATE_DUPLICATE, refuse(RefusalReason::Duplicate)),
        (true, None) => {}
    }
    let consistent = belongs(envelope, manifest) && manifest.members.makes_sense(manifest.epoch);
    let created = Alternative::becomes(State { manifest: manifest.clone(), envelope: *envelope });
    if !consistent {
        return contradiction(&rule::CREATE_RETURNS, created.missing(&rule::CREATE_CONSISTENT));
    }
    let odd = !is_usual_start(manifest);
    Allowed::only(&rule::CREATE_RETURNS, created).or_if(odd, || Alternative::refuse(None))
}

/// Counters with which any server lets a repository begin: a policy may be that they begin with the first ones.
fn is_usual_start(manifest: &Manifest) -> bool {
    (0..=1).contains(&manifest.version) && (0..=1).contains(&manifest.epoch)
}

/// An envelope that names the repository, version and epoch of a manifest.
fn belongs(envelope: &Envelope, manifest: &Manifest) -> bool {
    (envelope.repo, envelope.version, envelope.epoch) == (manifest.repo, manifest.version, manifest.epoch)
}

/// A request that contradicts itself: best refused; once accepted, nothing says what must be held.
fn contradiction(rule: &'static Requirement, accepted: Alternative) -> Allowed {
    Allowed::only(rule, Alternative::refuse(None)).or(accepted.unsettled())
}

/// The manifest, and the envelope unless the caller has it.
fn pull(repo: &State, known: i64) -> Allowed {
    let unchanged = known == repo.manifest.version;
    let with = |envelope| Alternative::answer(Response::Pull { manifest: repo.manifest.clone(), envelope, unchanged });
    let current = || with(Some(repo.envelope));
    let allowed = if unchanged {
        Allowed::only(&rule::PULL_UNCHANGED, with(None)).or(current().missing(&rule::PULL_OMITS_ENVELOPE))
    } else {
        Allowed::only(&rule::PULL_CURRENT, current())
    };
    allowed.or_if(!ordinary(known), || Alternative::refuse(None))
}

/// The gate, then the new state.
fn push(repo: &State, caller: Symbol, envelope: &Envelope, expected: i64, rotated: Option<&Roster>) -> Allowed {
    let manifest = &repo.manifest;
    let (version, epoch) = (manifest.version, manifest.epoch);
    let not_accepted = |conflict| Alternative::answer(Response::Push { accepted: false, version, epoch, conflict });
    // What is wrong with the request by itself, whatever the state.
    let sound = envelope.repo == manifest.repo && rotated.is_none_or(|members| members.makes_sense(envelope.epoch));
    // Who holds a version that floating point can't count on from holds all of int64.
    let next_one = version >= 1 << 53 && expected == version && Some(envelope.version) == version.checked_add(1);
    let odd = !(next_one || ordinary(expected) && ordinary(envelope.version)) || !ordinary(envelope.epoch);
    if expected != version {
        // A policy that versions rise by one may be looked at before anything else.
        let wrong = odd || !sound || envelope.version.checked_sub(expected) != Some(1);
        return Allowed::only(&rule::PUSH_CONFLICT, not_accepted(true)).or_if(wrong, || Alternative::refuse(None));
    }
    if envelope.version <= version {
        return Allowed::only(&rule::VERSION_MONOTONIC, Alternative::refuse(None))
            .or(not_accepted(true))
            .or(not_accepted(false));
    }
    let members = rotated.unwrap_or(&manifest.members);
    let next = State {
        manifest: Manifest {
            version: envelope.version,
            epoch: envelope.epoch,
            members: members.clone(),
            ..manifest.clone()
        },
        envelope: *envelope,
    };
    let counters = Response::Push { accepted: true, version: envelope.version, epoch: envelope.epoch, conflict: false };
    let applied = Alternative { next: Some(next), ..Alternative::answer(counters) };
    let follows = if rotated.is_some() { envelope.epoch >= epoch } else { envelope.epoch == epoch };
    if !sound || !follows {
        // Nothing says that a push sets the epoch of the repository to that of its envelope.
        let kept = Response::Push { accepted: true, version: envelope.version, epoch, conflict: false };
        let kept = Alternative::answer(kept).missing(&rule::PUSH_CONSISTENT).unsettled();
        return contradiction(&rule::PUSH_APPLIES, applied.missing(&rule::PUSH_CONSISTENT))
            .or_if(envelope.epoch != epoch, || kept);
    }
    let gap = envelope.version - version > 1;
    // Nothing says how far an epoch may go in one step, or whether a rotation may stay in its epoch or leave its author out.
    let unusual = rotated.is_some() && (envelope.epoch - epoch != 1 || !members.has(caller));
    let rule = if rotated.is_some() { &rule::PUSH_ROTATES } else { &rule::PUSH_APPLIES };
    Allowed::only(rule, applied)
        .or_if(odd || unusual, || Alternative::refuse(None))
        .or_if(gap, || Alternative::refuse(None).missing(&rule::PUSH_GAP))
}

/// One entry more; or nothing, or a new wrapped key, for who is there already. The counters stay.
fn add(repo: &State, entry: &Entry) -> Allowed {
    let manifest = &repo.manifest;
    let next = State {
        manifest: Manifest { members: manifest.members.with(*entry), ..manifest.clone() },
        envelope: repo.envelope,
    };
    let added = Alternative::becomes(next);
    match manifest.members.get(entry.member) {
        Some(old) => {
            let replaced = if old.x25519 == entry.x25519 { added } else { added.missing(&rule::ADD_NO_REKEY) };
            let same = old == entry;
            Allowed::only(&rule::ADD_RECORDS, Alternative::answer(Response::Manifest(manifest.clone())))
                .or_if(!same, || replaced)
                .or(Alternative::refuse(None))
        }
        None => {
            Allowed::only(&rule::ADD_RECORDS, added).or_if(entry.epoch != manifest.epoch, || Alternative::refuse(None))
        }
    }
}

/// Drop, new roster, new envelope and new epoch in one step. `next` is the state that the request asks for.
fn remove(repo: &State, caller: Symbol, removed: Symbol, members: &Roster, next: State) -> Allowed {
    let (before, after) = (&repo.manifest, &next.manifest);
    let ignored = || Alternative::answer(Response::Manifest(before.clone())).missing(&rule::REMOVE_CONSISTENT);
    let known = before.members.has(removed);
    if after.version <= before.version || after.epoch <= before.epoch {
        let broken = if after.epoch <= before.epoch { &rule::EPOCH_RISES } else { &rule::VERSION_MONOTONIC };
        return Allowed::only(broken, Alternative::refuse(None)).or(ignored());
    }
    let consistent =
        belongs(&next.envelope, after) && members.makes_sense(after.epoch) && !after.members.entries().is_empty();
    let named = members.has(removed);
    let steps = (after.version - before.version, after.epoch - before.epoch);
    let expected = before.members.without(removed);
    let same_people =
        expected.entries().iter().map(|old| old.member).eq(after.members.entries().iter().map(|new| new.member));
    let odd = !ordinary(after.version) || !ordinary(after.epoch);
    let removal = Alternative::becomes(next);
    if !known {
        let whole = removal.missing(&rule::REMOVE_UNKNOWN);
        return Allowed::only(
            &rule::REMOVE_ATOMIC,
            Alternative::refuse((consistent && !odd).then_some(RefusalReason::UnknownMember)),
        )
        .or(ignored().missing(&rule::REMOVE_UNKNOWN))
        .or(if consistent { whole } else { whole.unsettled() });
    }
    if !consistent {
        return contradiction(&rule::REMOVE_REPLACES, removal.missing(&rule::REMOVE_CONSISTENT));
    }
    let tolerated = named || odd || steps != (1, 1);
    let allowed = Allowed::only(&rule::REMOVE_REPLACES, removal).or_if(tolerated, || Alternative::refuse(None));
    // Refusing a roster of other people, or a member that removes itself, is narrow-minded and breaks nothing.
    let narrow = !tolerated && (!same_people || removed == caller);
    allowed.or_if(narrow, || Alternative::refuse(None).missing(&rule::REMOVE_ANY_ROSTER))
}

/// The entry of exactly this member.
fn fetch(repo: &State, member: Symbol) -> Allowed {
    let alternative = match repo.manifest.members.get(member) {
        Some(entry) => Alternative::answer(Response::Entry(*entry)),
        None => Alternative::refuse(Some(RefusalReason::UnknownMember)),
    };
    Allowed::only(&rule::FETCH_ENTRY, alternative)
}
