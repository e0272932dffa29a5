//! What is searched for secrets.

use std::path::PathBuf;

use clap::Args;

use super::super::UsageError;
use crate::scan::{Role, Source};

/// What the server keeps.
#[derive(Args, Clone, Debug, Default)]
pub(in super::super) struct StorageArgs {
    /// Search this file or folder for secrets after the checks: the server's database; repeatable
    #[arg(long, value_name = "PATH", help_heading = "Storage")]
    pub storage: Vec<PathBuf>,
    /// Search what this command prints, such as 'pg_dump vault'; repeatable
    #[arg(long, value_name = "CMD", help_heading = "Storage")]
    pub storage_cmd: Vec<String>,
    /// Search the server's logs: a file or folder; repeatable
    #[arg(long, value_name = "PATH", help_heading = "Storage")]
    pub logs: Vec<PathBuf>,
    /// Search the memory of the server's process (Linux, where the system allows it); repeatable
    #[arg(long, value_name = "PID", help_heading = "Storage")]
    pub server_pid: Vec<u32>,
}

impl StorageArgs {
    /// Whether nothing is given.
    pub(in super::super) fn is_empty(&self) -> bool {
        self.storage.is_empty() && self.storage_cmd.is_empty() && self.logs.is_empty() && self.server_pid.is_empty()
    }

    /// What there is to search; everything that can't be is told at once.
    pub(in super::super) fn sources(&self) -> Result<Vec<Source>, UsageError> {
        let storage = self.storage.iter().map(|path| ("--storage", Source::Path(Role::Storage, path.clone())));
        let logs = self.logs.iter().map(|path| ("--logs", Source::Path(Role::Log, path.clone())));
        let commands = self.storage_cmd.iter().map(|line| ("--storage-cmd", Source::Command(line.clone())));
        let processes = self.server_pid.iter().map(|pid| ("--server-pid", Source::Process(*pid)));
        let all = storage.chain(commands).chain(logs).chain(processes);
        let checked = all.map(|(option, source)| match source.check() {
            Ok(()) => Ok(source),
            Err(error) => Err(UsageError(format!("{option} {error}"))),
        });
        checked.collect()
    }
}
