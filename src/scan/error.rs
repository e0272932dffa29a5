//! Why something can't be searched.

/// Why something can't be searched at all.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// There is no such file or folder, or it can't be looked at.
    #[error("{path}: {source}")]
    Path {
        /// As given.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The operating system doesn't let anybody, or this user, read the memory of a process.
    #[error("the memory of process {pid} can't be read: {reason}")]
    Process {
        /// Its number.
        pid: u32,
        /// Why, and what to do.
        reason: String,
    },
}
