//! Keys of somebody in the middle, passed off as a member's.

use super::House;
use crate::client::{Identity, random};
use crate::codec::{base64, key_binding, signature};

/// How a key of somebody in the middle is passed off as a member's.
#[derive(Clone, Copy)]
pub(super) enum Middle {
    /// Without any binding.
    Unsigned,
    /// With a signature by somebody who isn't the issuer.
    OwnSignature,
    /// With the binding of the member's real key.
    OldSignature,
    /// With a signature by the member itself.
    SelfSigned,
    /// With the issuer's signature over the two keys in the other order.
    Reversed,
    /// With what is no signature: too short, or no base64.
    Malformed(&'static str),
    /// With the issuer's signature over the id alone.
    IdOnly,
    /// With a signature by the issuer of a repository on another host.
    OtherIssuer([u8; 32]),
}

impl Middle {
    /// Puts the key of somebody in the middle in place of a member's.
    pub(super) fn swap(self, house: &House, member: &Identity, middle: &Identity) {
        let message = key_binding::message(&member.id, &middle.x25519_public_key);
        let mut state = house.vault.state();
        let issuer = state.issuer;
        let signed = match self {
            Self::Unsigned | Self::OldSignature | Self::Malformed(_) => None,
            Self::Reversed => {
                let message = key_binding::message(&middle.x25519_public_key, &member.id);
                Some(signature::sign(&issuer, &message))
            }
            Self::OwnSignature => Some(signature::sign(&random::bytes(), &message)),
            Self::SelfSigned => Some(member.sign(&message)),
            Self::IdOnly => Some(signature::sign(&issuer, member.id.as_bytes())),
            Self::OtherIssuer(other) => Some(signature::sign(&other, &message)),
        };
        let Some(repo) = state.repos.get_mut(&house.id) else { return };
        let Some(entry) = repo.manifest.members.iter_mut().find(|entry| entry.ed25519_public_key == member.id) else {
            return;
        };
        entry.x25519_public_key.clone_from(&middle.x25519_public_key);
        match (self, signed) {
            (Self::Unsigned, _) => entry.key_binding_sig = None,
            (Self::Malformed(text), _) => entry.key_binding_sig = Some(text.into()),
            (_, Some(signed)) => entry.key_binding_sig = Some(base64::encode(&signed)),
            (_, None) => {}
        }
    }

    /// Puts the key of somebody in the middle into a member's entry, and leaves the rest as it is.
    pub(super) fn swap_key(house: &House, id: &str, middle: &Identity) {
        Self::swap_key_in(house, &house.id, id, middle);
    }

    /// The same in another repository of the vault.
    pub(super) fn swap_key_in(house: &House, repo: &str, id: &str, middle: &Identity) {
        house.vault.state().swap_key(repo, id, &middle.x25519_public_key);
    }

    /// The same in words.
    pub(super) fn what(self) -> &'static str {
        match self {
            Self::Unsigned => "there was no binding",
            Self::OwnSignature => "the binding was signed by somebody else",
            Self::OldSignature => "the binding was of another key",
            Self::Reversed => "the binding was over the two keys in the other order",
            Self::Malformed(_) => "the binding was no signature",
            Self::SelfSigned => "the binding was signed by the member itself",
            Self::IdOnly => "the issuer had signed nothing but the member's id",
            Self::OtherIssuer(_) => "the binding was signed by another repository's issuer",
        }
    }
}
