//! The profiles of the protocol (SPEC §6).

/// How messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Profile {
    /// HTTP/1.1 and JSON.
    Http,
    /// gRPC.
    Grpc,
}

impl Profile {
    /// The name in discovery (SPEC §8.2).
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http-json",
            Self::Grpc => "grpc",
        }
    }

    /// The word for it on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Grpc => "grpc",
        }
    }

    /// Its name in a sentence.
    pub fn title(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Grpc => "gRPC",
        }
    }

    /// The profile that the scheme of a URL stands for.
    pub fn of_scheme(scheme: &str) -> Self {
        if matches!(scheme, "grpc" | "grpcs") { Self::Grpc } else { Self::Http }
    }
}
