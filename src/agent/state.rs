//! What a client keeps between two runs: keys, and the repositories that it knows. In a file that only its owner reads.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::crypto::Keys;
use super::error::AgentError;
use crate::codec::base64;

/// A repository that the client is a member of.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JoinedRepo {
    /// Where its server is dialled, without a final slash.
    pub base: String,
    /// Authority, as locators name it.
    pub host: String,
    /// Opaque id.
    pub repo_id: String,
    /// Where the issuer's keys are, if bindings are published.
    #[serde(default)]
    pub issuer_jwks_url: Option<String>,
    /// Whether the user operates the host, so that a missing binding is no reason to refuse.
    #[serde(default)]
    pub own_host: bool,
    /// The highest version that was read or written.
    #[serde(default)]
    pub version: Option<i64>,
    /// The highest epoch that was read or written.
    #[serde(default)]
    pub epoch: Option<i64>,
    /// X25519 keys of members that were learned from themselves, by member id.
    #[serde(default)]
    pub keys: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    ed25519_seed: String,
    x25519_private_key: String,
    #[serde(default)]
    repos: Vec<JoinedRepo>,
}

/// The state of one client.
pub struct ClientState {
    /// Its keys.
    pub keys: Keys,
    /// Its repositories.
    pub repos: Vec<JoinedRepo>,
    file: Option<PathBuf>,
}

impl ClientState {
    /// A state that is kept nowhere.
    pub fn in_memory(keys: Keys) -> Self {
        Self { keys, repos: Vec::new(), file: None }
    }

    /// The state in a file, with new keys if there is none yet.
    ///
    /// # Errors
    /// [`AgentError::State`].
    pub fn open(path: &Path) -> Result<Self, AgentError> {
        let wrong = |error: &dyn std::fmt::Display| AgentError::State(format!("{}: {error}", path.display()));
        match std::fs::read(path) {
            Ok(bytes) => {
                let stored: Stored = serde_json::from_slice(&bytes).map_err(|error| wrong(&error))?;
                let seed = base64::decode_array(&stored.ed25519_seed).map_err(|error| wrong(&error))?;
                let x25519 = base64::decode_array(&stored.x25519_private_key).map_err(|error| wrong(&error))?;
                Ok(Self { keys: Keys::of(seed, x25519), repos: stored.repos, file: Some(path.into()) })
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let state = Self { keys: Keys::generate(), repos: Vec::new(), file: Some(path.into()) };
                state.save()?;
                Ok(state)
            }
            Err(error) => Err(wrong(&error)),
        }
    }

    /// Writes the file as a whole or not at all.
    ///
    /// # Errors
    /// [`AgentError::State`].
    pub fn save(&self) -> Result<(), AgentError> {
        let Some(path) = &self.file else { return Ok(()) };
        let wrong = |error: std::io::Error| AgentError::State(format!("{}: {error}", path.display()));
        let stored = Stored {
            ed25519_seed: base64::encode(self.keys.seed.as_ref()),
            x25519_private_key: base64::encode(self.keys.x25519.as_ref()),
            repos: self.repos.clone(),
        };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // A temporary file is for its owner only (0600), and keeps that when it takes the other's place.
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(wrong)?;
        serde_json::to_writer_pretty(&mut file, &stored).map_err(|error| wrong(error.into()))?;
        file.write_all(b"\n").and_then(|()| file.as_file().sync_all()).map_err(wrong)?;
        file.persist(path).map_err(|error| wrong(error.error))?;
        Ok(())
    }

    /// The repository of an address `avp://host/repoId`, of a bare id, or the only one.
    ///
    /// # Errors
    /// [`AgentError::Usage`] when none or several are meant.
    pub fn find(&self, wanted: Option<&str>) -> Result<JoinedRepo, AgentError> {
        let is_meant = |known: &&JoinedRepo| {
            wanted.is_none_or(|text| text == known.repo_id || text == format!("avp://{}/{}", known.host, known.repo_id))
        };
        let mut found = self.repos.iter().filter(is_meant);
        match (found.next(), found.next()) {
            (Some(known), None) => Ok(known.clone()),
            (None, _) => Err(AgentError::Usage("no such repository here: create one, or join with its locator".into())),
            (Some(_), Some(_)) => Err(AgentError::Usage("several repositories: say which (avp://host/repoId)".into())),
        }
    }

    /// What is known by now of a repository.
    pub(super) fn current(&self, repo: &JoinedRepo) -> JoinedRepo {
        let same = |other: &&JoinedRepo| other.host == repo.host && other.repo_id == repo.repo_id;
        self.repos.iter().find(same).unwrap_or(repo).clone()
    }

    /// Keeps what is known of a repository.
    ///
    /// # Errors
    /// As [`Self::save`].
    pub fn keep(&mut self, known: JoinedRepo) -> Result<(), AgentError> {
        let same = |other: &JoinedRepo| other.host == known.host && other.repo_id == known.repo_id;
        match self.repos.iter_mut().find(|other| same(other)) {
            Some(old) => *old = known,
            None => self.repos.push(known),
        }
        self.save()
    }
}
