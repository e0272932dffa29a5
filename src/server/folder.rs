//! A temporary folder for a server that is there to be looked into.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{Config, ServerError};

/// Database and log of a server, gone when this is dropped.
#[derive(Debug)]
pub struct Folder(TempDir);

impl Folder {
    /// Makes the folder.
    ///
    /// # Errors
    /// [`ServerError::Folder`].
    pub fn new() -> Result<Self, ServerError> {
        let made = tempfile::Builder::new().prefix("avp-conform-").tempdir().map(Self);
        made.and_then(|folder| std::fs::create_dir(folder.storage()).map(|()| folder)).map_err(ServerError::Folder)
    }

    /// Has a server keep everything here.
    pub fn furnish(&self, config: &mut Config) {
        (config.db, config.log) = (Some(self.storage().join("server.db")), Some(self.log()));
    }

    /// The folder of the database.
    pub fn storage(&self) -> PathBuf {
        self.path().join("storage")
    }

    /// The log.
    pub fn log(&self) -> PathBuf {
        self.path().join("server.log")
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}
