//! The shape of what clients send (SPEC §2, §4): what no state of a repository can make right.

use super::refusal::Refusal;
use super::repo::VaultCommand;
use crate::codec::base64::{self, Base64Error};
use crate::codec::envelope::{IV_LEN, TAG_LEN};
use crate::wire::{EncryptedEnvelope, MemberEntry};

/// Longest repository id, in bytes. Revision 0.3 asks for 255 characters; other alphabets get some room.
const LONGEST_ID: usize = 512;

/// Checks every binary member and every id of a request.
///
/// # Errors
/// 400 that names the first member that is wrong.
pub fn command(command: &VaultCommand) -> Result<(), Refusal> {
    match command {
        VaultCommand::Create(request) => {
            repo_id(&request.manifest.repo_id)?;
            counters(request.manifest.key_epoch, request.manifest.payload_version)?;
            request.manifest.members.iter().try_for_each(entry)?;
            envelope("initialEnvelope", &request.initial_envelope)
        }
        VaultCommand::Pull(_) | VaultCommand::Fetch(_) => Ok(()),
        VaultCommand::Push(request) => {
            envelope("envelope", &request.envelope)?;
            request.rotated_members.iter().flatten().try_for_each(entry)
        }
        VaultCommand::Add(request) => entry(&request.member),
        VaultCommand::Remove(request) => {
            sized::<32>("removedMemberId", &request.removed_member_id)?;
            envelope("rotatedEnvelope", &request.rotated_envelope)?;
            request.rewrapped_members.iter().try_for_each(entry)
        }
    }
}

fn repo_id(id: &str) -> Result<(), Refusal> {
    // A URL path can't carry "." and "..": clients resolve them before they send, even percent-encoded.
    match id {
        "" | "." | ".." => Err(Refusal::bad_request("repoId can't be empty, \".\" or \"..\"")),
        _ if id.len() > LONGEST_ID => Err(Refusal::bad_request(format!("repoId is longer than {LONGEST_ID} bytes"))),
        _ => Ok(()),
    }
}

fn counters(key_epoch: i64, payload_version: i64) -> Result<(), Refusal> {
    if key_epoch < 0 || payload_version < 0 {
        return Err(Refusal::bad_request("a repository starts with counters of at least 0"));
    }
    Ok(())
}

fn entry(entry: &MemberEntry) -> Result<(), Refusal> {
    sized::<32>("ed25519PublicKey", &entry.ed25519_public_key)?;
    sized::<32>("x25519PublicKey", &entry.x25519_public_key)?;
    let key = &entry.wrapped_data_key;
    sized::<32>("ephemeralPublicKey", &key.ephemeral_public_key)?;
    sized::<IV_LEN>("wrappedDataKey.iv", &key.iv)?;
    at_least("wrappedDataKey.ciphertext", &key.ciphertext, TAG_LEN)?;
    entry.key_binding_sig.as_deref().map_or(Ok(()), |sig| sized::<64>("keyBindingSig", sig))
}

fn envelope(name: &str, envelope: &EncryptedEnvelope) -> Result<(), Refusal> {
    sized::<IV_LEN>("iv", &envelope.iv)?;
    at_least(&format!("{name}.ciphertext"), &envelope.ciphertext, TAG_LEN)
}

fn sized<const N: usize>(name: &str, text: &str) -> Result<(), Refusal> {
    base64::decode_array::<N>(text).map(drop).map_err(|error| wrong(name, &error))
}

fn at_least(name: &str, text: &str, least: usize) -> Result<(), Refusal> {
    let bytes = base64::decode(text).map_err(|error| wrong(name, &error))?;
    if bytes.len() < least {
        return Err(wrong(name, &Base64Error::Size { expected: least, actual: bytes.len() }));
    }
    Ok(())
}

fn wrong(name: &str, error: &Base64Error) -> Refusal {
    Refusal::bad_request(format!("{name}: {error}"))
}
