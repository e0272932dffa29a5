//! The door beside the door (SPEC §3, §6): the filter that authorises and the router that serves may see different requests.
//! Whatever the spelling, method or headers, nobody but a member is served, and nothing happens.
//!
//! Each table of tricks is played by nobody and by a stranger, for all six operations. What gives a repository away is seen
//! in its answer; what changes one is seen by one look at the end, and looked for one by one only if there is something.

mod fixture;
mod hidden;
mod keys;
mod requests;
mod spellings;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::by_hand::{HandMade, Lane, exchange};
use super::check::checks;
use super::context::to_set_up;
use super::{Auth, Ctx, Finding, Operation, Outcome, Stop};
use crate::client::{Exchange, TransportError};
pub(super) use fixture::Fixture;

checks! {
    only = Http;
    "doors/spellings", Must, "§6", [NO_SIDE_DOOR], by_spelling,
        "However its path is spelled, no request without a member's token does or tells anything";
    "doors/methods", Must, "§6", [NO_SIDE_DOOR], by_method,
        "Whatever its method or override, no request without a member's token does or tells anything";
    "doors/headers", Must, "§6", [NO_SIDE_DOOR], by_headers,
        "Whatever its headers claim, no request without a member's token does or tells anything";
    "doors/carried-authority", Must, "§6", [NO_SIDE_DOOR, PUSH_SCOPE], carried,
        "Membership of one repository isn't carried to another by path, query, header, id or connection";
    "doors/idempotency-keys", Must, "§6", [NO_SIDE_DOOR], keys::check,
        "An Idempotency-Key gives nobody the answer to another's request, or to another request";
    "doors/hidden-requests", Must, "§6", [NO_SIDE_DOOR], hidden::check,
        "No request hidden in another's body is carried out without a token of its own";
}

/// How long a table may take in a usual run, and with `--thorough`.
const USUAL: Duration = Duration::from_secs(4);
const THOROUGH: Duration = Duration::from_secs(40);
/// Requests without an answer after which a table isn't played on.
const SILENT: usize = 3;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    Nobody,
    Stranger,
}

impl Caller {
    fn named(self) -> &'static str {
        match self {
            Self::Nobody => "without a token",
            Self::Stranger => "by a stranger",
        }
    }
}

/// A request that might get in; the first of a list is the usual one, which must not.
pub struct Trick {
    request: HandMade,
    /// A member's request comes first on the same connection.
    after_member: bool,
    /// What the request doesn't show by its head.
    what: Option<String>,
}

impl From<HandMade> for Trick {
    fn from(request: HandMade) -> Self {
        Self { request, after_member: false, what: None }
    }
}

/// All tricks of a table for an operation, starting with the usual request.
type Table = fn(&Ctx, &Fixture, Operation, Caller) -> Vec<Trick>;

async fn by_spelling(cx: &Ctx) -> Outcome {
    play(cx, spellings::table).await
}

async fn by_method(cx: &Ctx) -> Outcome {
    play(cx, requests::methods).await?;
    head_tells_nothing(cx).await
}

/// An answer to HEAD has no body, but a status: nobody learns from it who is a member.
async fn head_tells_nothing(cx: &Ctx) -> Outcome {
    let fixture = Fixture::set_up(cx).await?;
    let mut lane = Lane::new(cx);
    for caller in [Caller::Nobody, Caller::Stranger] {
        let mut member = fixture.usual(cx, Operation::FetchMemberKey, fixture.auth(caller));
        member.method = "HEAD".into();
        let mut other = member.clone();
        let (bob, nobody) = (super::segment(&fixture.bob.id), super::segment(&cx.identity().id));
        other.target = other.target.replace(&*bob, &nobody);
        let (Ok(of_member), Ok(of_other)) = (lane.send(&member).await, lane.send(&other).await) else { continue };
        if of_member.status.is_success() && !of_other.status.is_success() {
            let told = (of_member.status.as_u16(), of_other.status.as_u16());
            return Err(Stop::Violation(Box::new(Finding {
                expected: "HEAD tells nobody but members who is a member".into(),
                observed: format!(
                    "{} {}: status {} for a member's key, {} for another",
                    member.method,
                    caller.named(),
                    told.0,
                    told.1
                ),
                exchange: Some(exchange(cx, &member, Ok(&of_member), Duration::ZERO)),
                evidence: Vec::new(),
            })));
        }
    }
    Ok(())
}

async fn by_headers(cx: &Ctx) -> Outcome {
    play(cx, requests::headers).await
}

async fn carried(cx: &Ctx) -> Outcome {
    play(cx, requests::carried).await
}

/// What got in: which trick (0 is the usual request), and what shows it.
struct Open {
    operation: Operation,
    caller: Caller,
    trick: usize,
    description: String,
    finding: Finding,
}

impl Open {
    fn by(
        fixture: &Fixture,
        (operation, caller): (Operation, Caller),
        (number, trick): (usize, &Trick),
        exchange: Option<Arc<Exchange>>,
    ) -> Self {
        let finding = Finding { expected: String::new(), observed: String::new(), exchange, evidence: Vec::new() };
        let mut description = fixture.described(&trick.request, operation);
        if let Some(what) = &trick.what {
            description.push(' ');
            description.push_str(what);
        }
        Self { operation, caller, trick: number, description, finding }
    }
}

/// What became of a list of tricks.
#[derive(Default)]
struct Walk {
    open: Vec<Open>,
    tried: usize,
    left_out: usize,
}

async fn play(cx: &Ctx, table: Table) -> Outcome {
    let fixture = Fixture::set_up(cx).await?;
    let until = Instant::now() + if cx.thorough() { THOROUGH } else { USUAL };
    let (mut open, mut tried, mut left_out) = (Vec::new(), 0, 0);
    for caller in [Caller::Nobody, Caller::Stranger] {
        // Six of them are too much for a stack.
        let walks = Operation::VAULT.map(|operation| Box::pin(walk(cx, &fixture, table, operation, caller, until)));
        let walks = if cx.world.is_serial() {
            let mut done = Vec::new();
            for walk in walks {
                done.push(walk.await);
            }
            done
        } else {
            join_all(walks).await
        };
        for walk in walks {
            open.extend(walk.open);
            tried += walk.tried;
            left_out += walk.left_out;
        }
    }
    if fixture.has_changed(cx).await? {
        open.extend(search(cx, &fixture, table, until).await?);
    }
    if left_out > 0 {
        cx.remark(format!("{left_out} more were left out for lack of time or answers"));
    }
    cx.remark(format!("{tried} requests"));
    judge(open)
}

/// Sends the tricks of one operation; an answer that tells of the repository shows an open door.
async fn walk(cx: &Ctx, fixture: &Fixture, table: Table, operation: Operation, caller: Caller, until: Instant) -> Walk {
    let (mut lane, mut walk, mut silent) = (Lane::new(cx), Walk::default(), 0);
    let tricks = table(cx, fixture, operation, caller);
    for (number, trick) in tricks.iter().enumerate() {
        if Instant::now() > until || silent >= SILENT {
            walk.left_out = tricks.len() - number;
            break;
        }
        walk.tried += 1;
        match send(cx, fixture, &mut lane, trick).await {
            Ok(answer) if fixture.is_told(&answer.body, trick.request.bytes(cx, false)) => {
                let shown = exchange(cx, &trick.request, Ok(&answer), Duration::ZERO);
                walk.open.push(Open::by(fixture, (operation, caller), (number, trick), Some(shown)));
            }
            Ok(_) => {}
            Err(TransportError::Timeout(_)) => silent += 1,
            // Closed without an answer: nothing is told. Whether something is done shows at the end.
            Err(_) => {}
        }
    }
    walk
}

async fn send(
    cx: &Ctx,
    fixture: &Fixture,
    lane: &mut Lane<'_>,
    trick: &Trick,
) -> Result<crate::client::RawAnswer, TransportError> {
    if trick.after_member {
        lane.renew();
        lane.send(&fixture.usual(cx, Operation::Pull, fixture.alice.auth())).await?;
    }
    lane.send(&trick.request).await
}

/// Something was changed: finds out by what, first which operation, then which tricks, each with a repository of its own.
async fn search(cx: &Ctx, fixture: &Fixture, table: Table, until: Instant) -> Result<Vec<Open>, Stop> {
    let until = until + THOROUGH;
    let trouble = |observed: &str| to_set_up(cx.violation("a repository that stays as it was written", observed));
    if fixture.again(cx).await?.has_changed(cx).await? {
        return Err(trouble("it is another one at once; other checks say how"));
    }
    let mut open = Vec::new();
    for caller in [Caller::Nobody, Caller::Stranger] {
        for operation in Operation::VAULT {
            let together = fixture.again(cx).await?;
            let mut lane = Lane::new(cx);
            for trick in table(cx, &together, operation, caller) {
                // What isn't answered may have acted all the same.
                let _ = send(cx, &together, &mut lane, &trick).await;
            }
            drop(lane);
            if together.has_changed(cx).await? {
                open.extend(one_by_one(cx, fixture, table, (operation, caller), until).await?);
            }
        }
    }
    if !open.is_empty() {
        return Ok(open);
    }
    // A door that is open now and then is open. What is gone by now was a read of an earlier state.
    if fixture.has_changed(cx).await? {
        let observed = "it was changed by one of them, though by none when everything was tried again";
        return Err(cx.violation("requests of nobody and of a stranger change nothing", observed));
    }
    Err(trouble("it changed once, and not when everything was tried again"))
}

/// The tricks of an operation that change something: the usual request alone, then ever smaller parts of the list.
async fn one_by_one(
    cx: &Ctx,
    fixture: &Fixture,
    table: Table,
    (operation, caller): (Operation, Caller),
    until: Instant,
) -> Result<Vec<Open>, Stop> {
    let (mut open, count) = (Vec::new(), table(cx, fixture, operation, caller).len());
    let mut parts = vec![count.div_ceil(2)..count, 1..count.div_ceil(2), 0..1];
    while let Some(part) = parts.pop() {
        if part.is_empty() || open.len() == NAMED || Instant::now() > until {
            continue;
        }
        let alone = fixture.again(cx).await?;
        let (mut lane, mut last) = (Lane::new(cx), None);
        for trick in table(cx, &alone, operation, caller).drain(part.clone()) {
            let result = send(cx, &alone, &mut lane, &trick).await;
            last = Some((exchange(cx, &trick.request, result.as_ref(), Duration::ZERO), trick));
        }
        drop(lane);
        if !alone.has_changed(cx).await? {
            continue;
        }
        if part.len() > 1 {
            let middle = part.start + part.len() / 2;
            parts.extend([middle..part.end, part.start..middle]);
        } else if let Some((shown, trick)) = last {
            open.push(Open::by(&alone, (operation, caller), (part.start, &trick), Some(shown)));
            if part.start == 0 {
                return Ok(open);
            }
        }
    }
    if open.is_empty() {
        let finding =
            Finding { expected: String::new(), observed: String::new(), exchange: None, evidence: Vec::new() };
        let description = format!("one of {count} requests, or several together");
        open.push(Open { operation, caller, trick: usize::MAX, description, finding });
    }
    Ok(open)
}

/// How many open doors of an operation are named.
const NAMED: usize = 6;

/// One verdict on all open doors. Operations whose usual request is open are left to the checks of tokens and membership.
fn judge(mut open: Vec<Open>) -> Outcome {
    let plainly: Vec<_> =
        open.iter().filter(|door| door.trick == 0).map(|door| (door.operation, door.caller)).collect();
    open.retain(|door| !plainly.contains(&(door.operation, door.caller)));
    let mut told = Vec::new();
    for caller in [Caller::Nobody, Caller::Stranger] {
        for operation in Operation::VAULT {
            let doors: Vec<_> =
                open.iter().filter(|door| (door.operation, door.caller) == (operation, caller)).collect();
            if doors.is_empty() {
                continue;
            }
            let named: Vec<_> = doors.iter().take(NAMED).map(|door| door.description.as_str()).collect();
            let more = match doors.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let does = if operation.changes_nothing() { "gives the repository away" } else { "takes effect" };
            told.push(format!("{} {} {does} by {}{more}", operation.name(), caller.named(), named.join(", ")));
        }
    }
    match open.into_iter().next() {
        Some(first) => Err(Stop::Violation(Box::new(Finding {
            expected: "no request without a member's token does or tells anything, whatever it looks like".into(),
            observed: told.join("; "),
            ..first.finding
        }))),
        None if plainly.is_empty() => Ok(()),
        None => Err(Stop::not_judged(format!(
            "{} needs no member's token as it is, which the checks of tokens and membership report",
            plainly[0].0.name()
        ))),
    }
}
