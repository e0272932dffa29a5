//! Every three writes in a row, by different members (SPEC §6, §10): what is kept beside the manifest, for the gate or for
//! conflicts, may follow some writes and not others.

use super::check::checks;
use super::context::to_set_up;
use super::push::{applied, binding_like_signature, conflicts};
use super::removal::remove_rightly;
use super::{Ctx, Member, Operation, Outcome, Stop};
use crate::client::{Identity, Repo};
use crate::wire::VaultManifest;

checks! {
    "push/after-any-sequence", Must, "§6",
        [PUSH_CONFLICT, PUSH_GATED, PUSH_APPLIES, VERSION_MONOTONIC, EPOCH_RISES, ADD_RECORDS, REMOVE_REPLACES, PUSH_ROTATES],
        any_sequence, "Whatever three writes follow each other, a stale push is a conflict at the counters of now, and pulls see all three";
}

#[derive(Clone, Copy)]
enum Write {
    Push,
    Rotation,
    Addition,
    Removal,
}

/// In this order the guests grow fewer by three at the most.
const WRITES: [Write; 4] = [Write::Removal, Write::Addition, Write::Rotation, Write::Push];
/// Any so many writes in a row are among those that are sent.
const IN_A_ROW: usize = 3;
/// Guests at the beginning, so that there is always one to remove.
const GUESTS: usize = 5;

async fn any_sequence(cx: &Ctx) -> Outcome {
    let (alice, bob, carol) = (cx.member().await?, cx.member().await?, cx.member().await?);
    let writers = [&alice, &bob, &carol];
    let mut guests: Vec<_> = std::iter::repeat_with(|| cx.identity()).take(GUESTS).collect();
    let mut repo = cx.repo_with(&alice, &[&bob, &carol]).await?;
    let mut bound = repo.add_request(&guests[0]);
    bound.member.key_binding_sig = Some(binding_like_signature());
    if cx.add(&alice, &bound).await.map_err(to_set_up)?.is_success() {
        repo.apply_add(&bound.member);
    } else {
        guests.remove(0);
    }
    for guest in guests.iter().filter(|guest| bound.member.ed25519_public_key != guest.id) {
        cx.enrol(&alice, &mut repo, guest).await?;
    }
    let mut recent = Vec::new();
    for (at, write) in sequence().into_iter().enumerate() {
        let (author, other) = (writers[at % 3], writers[(at + 1) % 3]);
        recent.push(write.name());
        let after = recent[recent.len().saturating_sub(IN_A_ROW)..].join(", then ");
        carried_out(cx, write, author, &writers, &mut guests, &mut repo).await?;
        let mut stale = repo.push_request(other);
        stale.expected_payload_version -= 1;
        conflicts(&repo, &cx.push(other, &stale).await?)?;
        cx.holds(other, &repo, &after).await?;
    }
    Ok(())
}

async fn carried_out(
    cx: &Ctx,
    write: Write,
    author: &Member,
    writers: &[&Member; 3],
    guests: &mut Vec<Identity>,
    repo: &mut Repo,
) -> Outcome {
    // Who invites and who removes may be a matter of policy.
    let alice = writers[0];
    match write {
        Write::Push => {
            let push = repo.push_request(author);
            applied(repo, &cx.push(author, &push).await?, push.envelope.payload_version, repo.epoch())?;
            repo.apply_push(&push);
        }
        Write::Rotation => {
            let rotation = repo.rotation(author, &all(writers, guests));
            let answer = cx.push(author, &repo.rotating_push(&rotation)).await?;
            if answer.is_refusal() {
                return Err(Stop::not_applicable(format!("a rotating push is refused with {}", answer.status)));
            }
            applied(repo, &answer, rotation.envelope.payload_version, rotation.envelope.key_epoch)?;
            repo.apply_rotation(&rotation);
            cx.watch(repo);
        }
        Write::Addition => {
            let guest = cx.identity();
            let request = repo.add_request(&guest);
            let answer = cx.add(alice, &request).await?;
            answer.accepted::<VaultManifest>("addMember by a member")?;
            repo.apply_add(&request.member);
            guests.push(guest);
        }
        Write::Removal => {
            let Some(gone) = guests.pop() else { return Ok(()) };
            remove_rightly(cx, alice, repo, &gone.id, &all(writers, guests)).await?;
        }
    }
    Ok(())
}

fn all<'a>(writers: &[&'a Member; 3], guests: &'a [Identity]) -> Vec<&'a Identity> {
    writers.iter().map(|member| &member.identity).chain(guests).collect()
}

impl Write {
    fn name(self) -> &'static str {
        match self {
            Self::Push => Operation::Push.name(),
            Self::Rotation => "a rotating push",
            Self::Addition => Operation::AddMember.name(),
            Self::Removal => Operation::RemoveMember.name(),
        }
    }
}

/// A de Bruijn sequence, by the greedy rule: of all writes that make a row which wasn't there yet, the last.
fn sequence() -> Vec<Write> {
    let mut sequence = vec![0; IN_A_ROW];
    let mut seen = std::collections::HashSet::from([sequence.clone()]);
    while let Some(next) = (0..WRITES.len()).rev().find(|next| {
        let row = [&sequence[sequence.len() + 1 - IN_A_ROW..], &[*next]].concat();
        seen.insert(row)
    }) {
        sequence.push(next);
    }
    sequence.into_iter().map(|index| WRITES[index]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_rows_are_there_and_somebody_can_always_be_removed() {
        let sequence: Vec<usize> = sequence().into_iter().map(|write| write as usize).collect();
        let rows: std::collections::HashSet<_> = sequence.windows(IN_A_ROW).collect();
        assert_eq!(rows.len(), WRITES.len().pow(IN_A_ROW as u32));
        assert_eq!(sequence.len(), rows.len() + IN_A_ROW - 1);
        let mut guests = GUESTS - 1;
        for write in sequence {
            guests = match write {
                2 => guests + 1,
                3 => guests.checked_sub(1).unwrap(),
                _ => guests,
            };
        }
    }
}
