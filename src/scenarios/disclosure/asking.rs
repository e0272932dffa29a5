//! What strangers learn by asking: who is a member, by two answers that differ, and what exists, by an answer that helps too much.

use super::super::Member;
use super::super::by_hand::Lane;
use super::super::status::Requests;
use super::super::variants::Variants;
use super::{Auth, Ctx, Fixture, Operation, Outcome, Stop, plain, segment, shown, tells};
use crate::client::Repo;
use crate::wire::MemberEntry;

/// Both are asked for by the same stranger, in the same words.
pub async fn members(cx: &Ctx) -> Outcome {
    let (alice, mallory) = (cx.member().await?, cx.member().await?);
    let (bob, nobody) = (cx.identity(), cx.identity());
    let repo = cx.repo_with(&alice, &[&bob]).await?;
    let mut tally = Variants::default();
    let auth = mallory.auth();
    for operation in [Operation::FetchMemberKey, Operation::RemoveMember] {
        let of_member = Requests::new(cx, &repo, &mallory, &bob).send(cx, operation, &auth).await?;
        let of_nobody = Requests::new(cx, &repo, &mallory, &nobody).send(cx, operation, &auth).await?;
        let outcome = alike(operation.name(), of_member.status, of_nobody.status)
            .map_or(Ok(()), |observed| Err(of_nobody.violation("strangers aren't told who is a member", observed)));
        tally.note(operation.name(), outcome)?;
    }
    let add = async |entry: &MemberEntry| {
        let request = crate::wire::MemberAddRequest { repo_id: repo.id().into(), member: entry.clone() };
        cx.add(&mallory, &request).await
    };
    let (there, new) = (add(&repo.manifest.members[0]).await?, add(&repo.entry_for(&nobody)).await?);
    let outcome = alike("addMember", there.status, new.status)
        .map_or(Ok(()), |observed| Err(new.violation("strangers aren't told who is a member", observed)));
    tally.note("addMember", outcome)?;
    let rekeyed = MemberEntry { ed25519_public_key: alice.id.clone(), ..repo.entry_for(&nobody) };
    let there = add(&rekeyed).await?;
    let outcome = alike("addMember with another key", there.status, new.status)
        .map_or(Ok(()), |observed| Err(there.violation("strangers aren't told who is a member", observed)));
    tally.note("addMember with another key", outcome)?;
    tally.note("push", push_is_no_oracle(cx, &alice, &mallory, &repo).await?)?;
    tally.settle(cx)
}

/// Pushes that only differ in how their counters stand to the repository's: who may not read them isn't told which are higher.
/// Each is right in itself: its version is the one after the expected one.
async fn push_is_no_oracle(cx: &Ctx, alice: &Member, mallory: &Member, repo: &Repo) -> Result<Outcome, Stop> {
    let mut repo = repo.clone();
    for _ in 0..3 {
        cx.advance(alice, &mut repo).await?;
    }
    let mut statuses = Vec::new();
    let mut last = None;
    let (version, epoch) = (repo.version(), repo.epoch());
    for (version, epoch) in [(version + 1, epoch), (version, epoch), (version - 1, epoch), (version + 1, epoch + 1)] {
        let mut request = repo.push_request_at(mallory, version);
        (request.envelope.key_epoch, request.expected_payload_version) = (epoch, version - 1);
        let answer = cx.push(mallory, &request).await?;
        statuses.push(answer.status);
        last = Some(answer);
    }
    let same = statuses.iter().all(|status| *status == statuses[0]);
    let refused = statuses.iter().all(|status| (400..500).contains(status) && *status != 429);
    Ok(match last.filter(|_| refused && !same) {
        Some(answer) => {
            let observed = format!(
                "a stranger's push is answered with {} above the version, with {} at it, with {} below, and with {} at another epoch",
                statuses[0], statuses[1], statuses[2], statuses[3]
            );
            Err(answer.violation("strangers aren't told how counters stand", observed))
        }
        None => Ok(()),
    })
}

/// Two refusals of the same request that differ only in whom they name. What isn't refused is for others to report.
fn alike(operation: &str, of_member: u16, of_nobody: u16) -> Option<String> {
    let refusal = |status: u16| (400..500).contains(&status) && status != 429;
    (refusal(of_member) && refusal(of_nobody) && of_member != of_nobody).then(|| {
        format!("a stranger's {operation} is answered with {of_member} for a member and with {of_nobody} for another")
    })
}

/// An id that is wrong by a letter, or cut.
fn misspelled(id: &str) -> Vec<String> {
    let characters: Vec<char> = id.chars().collect();
    let Some((last, start)) = characters.split_last() else { return Vec::new() };
    let start: String = start.iter().collect();
    let other = if *last == 'a' { 'b' } else { 'a' };
    let half: String = characters[..characters.len() / 2].iter().collect();
    vec![format!("{start}{other}"), start, half]
}

/// By nobody and by a stranger; members' ids are asked for in a repository of the stranger's own, too.
pub async fn near_misses(cx: &Ctx) -> Outcome {
    let fixture = Fixture::set_up(cx).await?;
    let mut lane = Lane::new(cx);
    let mut tally = Variants::default();
    let bob = misspelled(&fixture.bob.id).swap_remove(0);
    for (who, auth) in [("nobody", Auth::None), ("a stranger", fixture.mallory.auth())] {
        let mut requests = Vec::new();
        for wrong in misspelled(fixture.repo.id()) {
            let mut pull = fixture.usual(cx, Operation::Pull, auth.clone());
            pull.target = pull.target.replace(&segment(fixture.repo.id()), &segment(&wrong));
            pull.body =
                serde_json::to_vec(&Repo::with_id(&fixture.mallory, &wrong).pull_request(0)).ok().map(Into::into);
            requests.push(pull);
            requests.push(plain(cx, "GET", &Operation::FetchMemberKey.path(&wrong, fixture.own.id()), auth.clone()));
        }
        for repo in [fixture.repo.id(), fixture.own.id()] {
            requests.push(plain(cx, "GET", &Operation::FetchMemberKey.path(repo, &bob), auth.clone()));
        }
        for request in requests {
            let Ok(mut answer) = lane.send(&request).await else { continue };
            let headers = answer.headers.values().flat_map(|value| [b"\n", value.as_bytes()].concat());
            answer.body = answer.body.iter().copied().chain(headers).collect();
            let outcome = if tells(&fixture, cx, &request, &answer) {
                let observed = format!("an answer to {who} names what exists");
                let expected = "a wrong id is answered with what is wrong, and no right one";
                Err(Stop::Violation(Box::new(shown(cx, &request, &answer, expected, observed))))
            } else {
                Ok(())
            };
            tally.note(format!("{} by {who}", request.operation.name()), outcome)?;
        }
    }
    tally.settle(cx)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_are_near_and_none_is_the_id() {
        let id = "3f0c2a";
        let wrong = misspelled(id);
        assert_eq!(wrong, ["3f0c2b", "3f0c2", "3f0"]);
        assert!(misspelled("").is_empty());
    }

    #[test]
    fn only_two_refusals_are_compared() {
        assert!(alike("pull", 403, 404).is_some());
        for (one, other) in [(403, 403), (200, 404), (403, 429), (403, 500)] {
            assert!(alike("pull", one, other).is_none());
        }
    }
}
