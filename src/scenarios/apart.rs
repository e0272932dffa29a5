//! Callers who have nothing to do with each other and ask at the same moment (SPEC §3, §6): each is judged by its own token, and
//! gets what is its own. A caller, a repository or an answer that is kept where another request finds it shows here.

use super::check::checks;
use super::contention::{Rounds, answers, body, no_server_error};
use super::context::to_set_up;
use super::readers::entry_of_one;
use super::state::{compare_envelope, compare_manifest};
use super::{Answer, Auth, Call, Ctx, Member, Operation, Outcome, Stop};
use crate::client::{Identity, Repo, random};
use crate::wire::{
    CreateRepoRequest, MemberAddRequest, PullResponse, PushRequest, PushResponse, TokenRequest, TokenResponse,
    VaultManifest,
};

checks! {
    "race/callers-are-kept-apart", Must, "§6", [CALLERS_KEPT_APART, SUBJECT_IS_CALLER, PULL_MEMBERS_ONLY, ANSWERS_TO_ASKERS], kept_apart,
        "Callers who ask at the same moment get what they get when nobody else asks", phase = Contention;
}

/// Rounds at the least: in each, everybody writes otherwise.
const LEAST_ROUNDS: u32 = 4;
/// Callers, and requests of each in a round.
const CALLERS: usize = 3;
const OF_EACH: usize = 5;
/// The last of them.
const LOGS_IN: usize = OF_EACH - 1;
const LOGIN: &str = "a rightly signed nonce";
const EXPECTED: &str = "callers who ask at the same moment are answered as when nobody else asks";

/// Somebody with a repository of his own.
struct Party {
    member: Member,
    auth: Auth,
    repo: Repo,
}

/// Bytes of the first payload, which doesn't fit into one buffer; those of later ones do.
const LARGE: usize = 48 << 10;

/// What somebody writes in a round.
enum Write {
    Push(PushRequest),
    Add(MemberAddRequest),
    Create(Box<Repo>, CreateRepoRequest),
}

impl Party {
    async fn new(cx: &Ctx) -> Result<Self, Stop> {
        let member = cx.member().await?;
        let mut repo = cx.repo(&member).await?;
        let large = repo.push_of(&random::vec(LARGE), repo.version() + 1);
        if cx.push(&member, &large).await.map_err(to_set_up)?.is_success() {
            repo.apply_push(&large);
        } else {
            cx.advance(&member, &mut repo).await?;
        }
        cx.enrol(&member, &mut repo, &cx.identity()).await?;
        Ok(Self { auth: member.auth(), member, repo })
    }

    fn write(&self, cx: &Ctx, number: usize) -> Write {
        match number % 3 {
            0 => Write::Push(self.repo.push_request(&self.member)),
            1 => Write::Add(self.repo.add_request(&cx.identity())),
            _ => {
                let repo = Repo::new(&self.member);
                cx.watch(&repo);
                Write::Create(Box::new(repo.clone()), repo.create_request())
            }
        }
    }

    /// The repository once this is written.
    fn after(&self, write: &Write) -> Repo {
        let mut after = self.repo.clone();
        match write {
            Write::Push(request) => after.apply_push(request),
            Write::Add(request) => after.apply_add(&request.member),
            Write::Create(..) => {}
        }
        after
    }

    /// Its own pull, write, fetch and login, and a pull of what is somebody else's.
    fn calls<'a>(&'a self, write: &Write, login: &TokenRequest, others: &Repo) -> [Call<'a>; OF_EACH] {
        let call =
            |operation, repo: &Repo, body| Call::operation(operation, repo.id(), self.member.id(), &self.auth, body);
        let written = match write {
            Write::Push(request) => call(Operation::Push, &self.repo, body(request)),
            Write::Add(request) => call(Operation::AddMember, &self.repo, body(request)),
            Write::Create(repo, request) => call(Operation::CreateRepo, repo, body(request)),
        };
        [
            call(Operation::Pull, &self.repo, body(&self.repo.pull_request(0))),
            written,
            call(Operation::FetchMemberKey, &self.repo, None),
            call(Operation::Pull, others, body(&others.pull_request(0))),
            Call::operation(Operation::Token, "", "", &Auth::None, body(login)),
        ]
    }

    /// Whether an answer is the one that is due; `which` counts as [`Self::calls`] does.
    fn judge(&self, which: usize, answer: &Answer<'_>, write: &Write, after: &Repo) -> Outcome {
        match (which, write) {
            (0, _) => {
                let pulled: PullResponse = answer.accepted("pull by a member")?;
                // That a pull beside the caller's own write may tear the two apart is another rule's.
                let of_manifest = |state: &Repo| compare_manifest(&state.manifest, &pulled.manifest);
                let of_envelope = |state: &Repo| compare_envelope(&state.envelope, pulled.envelope.as_ref()?);
                let manifest = of_manifest(&self.repo).zip(of_manifest(after));
                let Some((_, difference)) = manifest.or_else(|| of_envelope(&self.repo).zip(of_envelope(after))) else {
                    return Ok(());
                };
                Err(answer.violation("a pull shows the caller's repository before or after his write", difference))
            }
            (1, Write::Push(_)) => {
                let pushed: PushResponse = answer.accepted("a push by a member")?;
                answer.must(pushed.accepted, "a push at the current version is accepted", || pushed.to_string())
            }
            (1, Write::Add(_)) => answer.accepted::<VaultManifest>("addMember by a member").map(drop),
            (1, Write::Create(..)) => answer.accepted::<VaultManifest>("createRepo by the sole member").map(drop),
            (2, _) => entry_of_one(answer, self.member.id(), &[&self.repo]),
            (3, _) => answer.refused_somehow("a pull by somebody who isn't a member"),
            _ => answer.accepted::<TokenResponse>(LOGIN).map(drop),
        }
    }
}

/// Everything is tried one request at a time before, and where something went wrong, again after.
async fn kept_apart(cx: &Ctx) -> Outcome {
    if cx.world.serves_one_connection() {
        return Err(Stop::not_applicable("the server serves one connection at a time"));
    }
    let mut parties = Vec::new();
    for _ in 0..CALLERS {
        parties.push(Party::new(cx).await?);
    }
    one_by_one(cx, &mut parties, 0).await.map_err(alone_as_well)?;
    let mut rounds = Rounds::at_least(cx, LEAST_ROUNDS);
    while rounds.next() {
        let number = rounds.done as usize;
        if let Err(stop) = together(cx, &mut parties, number).await {
            let Stop::Violation(mut finding) = stop else { return Err(stop) };
            for party in &mut parties {
                *party = Party::new(cx).await?;
            }
            for number in 0..LEAST_ROUNDS as usize {
                one_by_one(cx, &mut parties, number).await.map_err(alone_as_well)?;
            }
            // One login in some hundreds may be refused for its own nonce: that is another check's.
            if finding.expected.contains(LOGIN) && !fails_again(cx, &mut parties).await? {
                let observed = finding.observed;
                return Err(Stop::not_judged(format!(
                    "a login was refused once beside others, and never again: {observed}"
                )));
            }
            finding.expected = format!("{EXPECTED}: {}", finding.expected);
            finding.observed.push_str("; the same requests, one at a time, are answered as they must be");
            return Err(Stop::Violation(finding));
        }
    }
    rounds.remark(cx, &format!("{} requests of {} callers", parties.len() * OF_EACH, parties.len()))
}

/// Whether something goes wrong in some more rounds.
async fn fails_again(cx: &Ctx, parties: &mut [Party]) -> Result<bool, Stop> {
    for number in 0..2 * LEAST_ROUNDS as usize {
        match together(cx, parties, number).await {
            Err(Stop::Violation(_)) => return Ok(true),
            outcome => outcome?,
        }
    }
    Ok(false)
}

fn alone_as_well(stop: Stop) -> Stop {
    let Stop::Violation(finding) = stop else { return stop };
    let observed = &finding.observed;
    Stop::not_judged(format!("the same requests don't all get their answers one at a time either: {observed}"))
}

/// A round in which nobody waits for anybody.
async fn together(cx: &Ctx, parties: &mut [Party], number: usize) -> Outcome {
    let (writes, afters) = writes(cx, parties, number);
    let (guests, logins) = logins(cx, parties.len()).await?;
    let calls: Vec<_> = each_with_next(parties)
        .zip(writes.iter().zip(&logins))
        .flat_map(|((it, next), (write, login))| it.calls(write, login, next))
        .collect();
    let mut results = cx.send_together(&calls).await;
    // What looks like a limit of the deployment may be somebody else's refusal: if it is one, it is met one request at a time as well.
    for answer in results.iter_mut().filter_map(|(_, result)| result.as_mut().ok()) {
        answer.limit.take_if(|_| matches!(answer.status, 400 | 401 | 403 | 404 | 409));
    }
    no_server_error(&results)?;
    for (position, answer) in answers(&results) {
        let (who, which) = (position / OF_EACH, position % OF_EACH);
        parties[who].judge(which, answer, &writes[who], &afters[who])?;
        if which == LOGS_IN {
            came_in(cx, &guests[who], answer).await?;
        }
    }
    // What got no answer, or was too much just then, may have been carried out or not.
    for (who, (party, after)) in parties.iter_mut().zip(afters).enumerate() {
        let written = results[who * OF_EACH + 1].1.as_ref();
        if !written.is_ok_and(Answer::is_success) {
            *party = Party::new(cx).await?;
            continue;
        }
        party.repo = after;
        cx.holds(
            &party.member,
            &party.repo,
            "writes of several callers at the same moment, each to his own repository",
        )
        .await?;
    }
    Ok(())
}

/// The same requests, each after the answer to the one before.
async fn one_by_one(cx: &Ctx, parties: &mut [Party], number: usize) -> Outcome {
    let (writes, afters) = writes(cx, parties, number);
    let (guests, logins) = logins(cx, parties.len()).await?;
    for (who, (party, next)) in each_with_next(parties).enumerate() {
        for (which, call) in party.calls(&writes[who], &logins[who], next).into_iter().enumerate() {
            let answer = if which == LOGS_IN { on_its_own(cx, call).await? } else { cx.call(call).await? };
            party.judge(which, &answer, &writes[who], &afters[who])?;
            if which == LOGS_IN {
                came_in(cx, &guests[who], &answer).await?;
            }
        }
    }
    for (party, after) in parties.iter_mut().zip(afters) {
        party.repo = after;
        cx.holds(&party.member, &party.repo, "writes of several callers one after the other").await?;
    }
    Ok(())
}

/// Asks on a connection of its own, as it is where all ask at once.
async fn on_its_own<'c>(cx: &'c Ctx, call: Call<'_>) -> Result<Answer<'c>, Stop> {
    match cx.send_together(&[call]).await.pop() {
        Some((_, Ok(answer))) => Ok(answer),
        Some((_, Err(error))) => Err(cx.setup_failed("a connection for a login", cx.world.mask(error.to_string()))),
        None => Err(cx.setup_failed("an answer to a login", "none".into())),
    }
}

fn writes(cx: &Ctx, parties: &[Party], number: usize) -> (Vec<Write>, Vec<Repo>) {
    // Now and then all of them add the same newcomer, whom the server has never seen.
    let newcomer = cx.identity();
    let write = |(at, party): (usize, &Party)| match number % 2 {
        1 => Write::Add(party.repo.add_request(&newcomer)),
        _ => party.write(cx, at + number / 2),
    };
    let writes: Vec<_> = parties.iter().enumerate().map(write).collect();
    let afters = parties.iter().zip(&writes).map(|(party, write)| party.after(write)).collect();
    (writes, afters)
}

/// Logins of newcomers, one for each caller; a newer login of the same key may end the older one's token.
async fn logins(cx: &Ctx, count: usize) -> Result<(Vec<Identity>, Vec<TokenRequest>), Stop> {
    let guests: Vec<_> = (0..count).map(|_| cx.identity()).collect();
    let mut logins = Vec::with_capacity(count);
    for guest in &guests {
        logins.push(cx.redeem(guest, &cx.nonce(guest).await?)?);
    }
    Ok((guests, logins))
}

/// A token is its own key's: with it, its holder creates a repository as its sole member.
async fn came_in(cx: &Ctx, guest: &Identity, login: &Answer<'_>) -> Outcome {
    let member = Member { identity: guest.clone(), token: login.message::<TokenResponse>()?.token };
    let repo = Repo::new(&member);
    cx.watch(&repo);
    let answer = cx.create(&member, &repo.create_request()).await?;
    answer.must(answer.is_success(), "the token of a login beside others is its own key's", || answer.summary())
}

/// Everybody, and the repository of somebody else.
fn each_with_next(parties: &[Party]) -> impl Iterator<Item = (&Party, &Repo)> {
    parties.iter().zip(parties.iter().cycle().skip(1).map(|party| &party.repo))
}
