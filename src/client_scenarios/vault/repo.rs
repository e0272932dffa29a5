//! A repository of the vault's.

use super::Bend;
use super::forge::{self, Forged};
use super::reading::open;
use crate::wire::{EncryptedEnvelope, VaultManifest};

/// A repository.
pub struct Repo {
    /// Manifest, members included.
    pub manifest: VaultManifest,
    /// Current envelope.
    pub envelope: EncryptedEnvelope,
    /// Who created it.
    pub creator: String,
    /// The key, where it is one of the vault's own.
    pub forged: Option<Forged>,
    /// Whether the bend has had its effect.
    pub(super) bent: bool,
    pub(super) conflicts: u32,
    pub(super) failures: u32,
}

impl Repo {
    /// A repository as it stands.
    pub fn new(manifest: VaultManifest, envelope: EncryptedEnvelope, creator: &str, forged: Option<Forged>) -> Self {
        Self { manifest, envelope, creator: creator.into(), forged, bent: false, conflicts: 0, failures: 0 }
    }

    /// Takes what another member writes at a version.
    pub fn take(&mut self, forged: Forged, version: i64) {
        self.envelope = forge::seal(Bend::Honest, &forged, version, &forged.payload.to_string());
        self.manifest.payload_version = version;
        self.forged = Some(forged);
    }

    /// Takes a client's envelope. The key is known as long as the epoch stays.
    pub(super) fn follow(&mut self, envelope: &EncryptedEnvelope) {
        let opened = self.forged.take().filter(|forged| forged.epoch == envelope.key_epoch);
        self.forged = opened.map(|mut forged| {
            forged.payload = open(&forged.key, envelope).unwrap_or(forged.payload);
            forged
        });
        (self.manifest.payload_version, self.manifest.key_epoch) = (envelope.payload_version, envelope.key_epoch);
        self.envelope = envelope.clone();
    }
}
