//! Why an operation of the client didn't come about.

/// Errors by what a caller can do about them.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Bytes from a server or a person that the protocol forbids to take.
    #[error("refused: {0}")]
    Refused(String),
    /// The server said no.
    #[error("the server answered {status} to {operation}{}", if .detail.is_empty() { String::new() } else { format!(": {}", .detail) })]
    Server {
        /// What was asked.
        operation: &'static str,
        /// Status code.
        status: u16,
        /// The beginning of its body, without control characters.
        detail: String,
    },
    /// Others wrote again and again.
    #[error("somebody else was faster {0} times in a row")]
    Conflict(u32),
    /// No (whole) answer.
    #[error("{0}")]
    Transport(String),
    /// What was asked for can't be.
    #[error("{0}")]
    Usage(String),
    /// The state can't be read or written.
    #[error("state: {0}")]
    State(String),
}

impl AgentError {
    /// The class of an error, as adapters tell it.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Server { .. } => "server",
            Self::Conflict(_) => "conflict",
            Self::Transport(_) => "transport",
            Self::Usage(_) | Self::State(_) => "usage",
        }
    }

    /// Bytes that can't be taken.
    pub(super) fn refused(what: impl std::fmt::Display) -> Self {
        Self::Refused(what.to_string())
    }
}
