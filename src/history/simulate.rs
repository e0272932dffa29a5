//! Histories of a store that does everything right, one step at a time: for benchmarks, and to test the checker with.

use super::{Done, History, HistoryOp};
use crate::ground::Choices;
use crate::model::{self, Action, Entry, Envelope, Expected, Invocation, Manifest, Roster, State, Symbol};

/// What a simulated history is like.
#[derive(Clone, Copy, Debug)]
pub struct Simulation {
    /// How many operations.
    pub operations: usize,
    /// How many clients, each with one operation at a time.
    pub clients: u32,
    /// One in this many operations has an unknown outcome; 0: none.
    pub unknown_one_in: usize,
    /// The choices' seed.
    pub seed: u64,
}

/// A client at work.
struct Client {
    busy: Option<usize>,
    /// What it last saw: version, epoch and roster.
    seen: Option<State>,
    done: bool,
}

struct Store {
    symbols: model::Symbols,
    choices: Choices,
    state: Option<State>,
    members: Vec<Symbol>,
    repo: Symbol,
    now: u64,
    stamps: u64,
}

/// Simulates one repository that is created, pushed to, rotated, read and joined and left by members. Every client is a
/// member of its own; what it sends fits what it saw last, so that some of it meets a conflict.
pub fn simulate(simulation: Simulation) -> History {
    let mut symbols = model::Symbols::default();
    let repo = symbols.symbol("r");
    let members = (0..simulation.clients).map(|number| symbols.symbol(&format!("m{number}"))).collect();
    let choices = Choices::new(simulation.seed, "history");
    let mut store = Store { symbols, choices, state: None, members, repo, now: 0, stamps: 0 };
    let mut clients: Vec<Client> =
        (0..simulation.clients).map(|_| Client { busy: None, seen: None, done: false }).collect();
    let mut ops: Vec<HistoryOp> = Vec::with_capacity(simulation.operations);
    while ops.len() < simulation.operations || clients.iter().any(|client| client.busy.is_some()) {
        store.now += 1 + store.choices.draw() % 1000;
        let number = store.choices.below(clients.len());
        let client = &mut clients[number];
        match client.busy {
            None if ops.len() < simulation.operations => {
                let invocation = store.invocation(number, client.seen.as_ref());
                client.busy = Some(ops.len());
                client.done = false;
                let number = u32::try_from(number).unwrap_or(u32::MAX);
                ops.push(HistoryOp { client: number, repo, invocation, start: store.now, result: None });
            }
            None => {}
            Some(at) if !client.done => {
                // Its moment: what it answers is what the model allows first.
                ops[at].result = Some(store.apply(&ops[at].invocation));
                client.seen.clone_from(&store.state);
                client.done = true;
            }
            Some(at) => {
                if let Some(done) = &mut ops[at].result {
                    done.end = store.now;
                }
                if simulation.unknown_one_in > 0 && store.choices.below(simulation.unknown_one_in) == 0 {
                    ops[at].result = None;
                }
                client.busy = None;
            }
        }
    }
    History { symbols: store.symbols, ops }
}

impl Store {
    fn stamp(&mut self) -> Symbol {
        self.stamps += 1;
        self.symbols.symbol(&format!("s{}", self.stamps))
    }

    fn entry(&mut self, member: Symbol, epoch: i64) -> Entry {
        Entry { member, x25519: member, epoch, rest: self.stamp() }
    }

    fn roster(&mut self, members: &[Symbol], epoch: i64) -> Roster {
        Roster::new(members.iter().map(|member| self.entry(*member, epoch)).collect())
    }

    fn envelope(&mut self, version: i64, epoch: i64) -> Envelope {
        Envelope { repo: self.repo, version, epoch, sealed: self.stamp() }
    }

    /// A request that fits what its client saw last.
    fn invocation(&mut self, number: usize, seen: Option<&State>) -> Invocation {
        let caller = self.members[number];
        let action = match seen {
            None => {
                let manifest = Manifest {
                    repo: self.repo,
                    scheme: self.repo,
                    version: 1,
                    epoch: 0,
                    members: self.roster(&[caller], 0),
                    shared: false,
                };
                Action::CreateRepo { manifest, envelope: self.envelope(1, 0) }
            }
            Some(seen) => self.usual(caller, seen),
        };
        Invocation { caller: Some(caller), action }
    }

    fn usual(&mut self, caller: Symbol, seen: &State) -> Action {
        let (version, epoch) = (seen.manifest.version, seen.manifest.epoch);
        let inside: Vec<Symbol> = seen.manifest.members.entries().iter().map(|entry| entry.member).collect();
        let outside: Vec<Symbol> = self.members.iter().copied().filter(|member| !inside.contains(member)).collect();
        let dice = self.choices.below(100);
        // Whoever isn't in, comes in soon: most of a history is about members.
        if dice < 8 && inside.contains(&caller) && !outside.is_empty() || dice < 40 && outside.len() > inside.len() {
            let member = outside[self.choices.below(outside.len())];
            return Action::AddMember { entry: self.entry(member, epoch) };
        }
        match dice {
            0..55 => Action::Pull { known: if dice.is_multiple_of(2) { version } else { 0 } },
            55..80 => Action::Push { envelope: self.envelope(version + 1, epoch), expected: version, rotated: None },
            80..85 => {
                let rotated = Some(self.roster(&inside, epoch + 1));
                Action::Push { envelope: self.envelope(version + 1, epoch + 1), expected: version, rotated }
            }
            85..90 if inside.len() > 2 => {
                let removed = inside[self.choices.below(inside.len())];
                let rest: Vec<Symbol> = inside.into_iter().filter(|member| *member != removed).collect();
                let members = self.roster(&rest, epoch + 1);
                let envelope = self.envelope(version + 1, epoch + 1);
                Action::RemoveMember { removed, envelope, members, epoch: epoch + 1 }
            }
            _ => Action::FetchMemberKey { member: self.members[self.choices.below(self.members.len())] },
        }
    }

    /// Carries out what a client asks for.
    fn apply(&mut self, invocation: &Invocation) -> Done {
        let mut alternatives = model::allowed(self.state.as_ref(), invocation).alternatives;
        let alternative = alternatives.swap_remove(0);
        if alternative.next.is_some() {
            self.state = alternative.next;
        }
        let answer = match alternative.expected {
            Expected::Is(answer) => answer,
            Expected::Refusal(reason) => model::Response::Refused(reason.map_or(400, model::RefusalReason::code)),
        };
        Done { end: self.now, answer }
    }
}
