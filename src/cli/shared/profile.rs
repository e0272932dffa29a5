//! HTTP, gRPC, or both.

use clap::ValueEnum;

use crate::client::Profile;

/// What is to be judged of a target that has both profiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in super::super) enum ProfilesArg {
    Http,
    Grpc,
    Both,
}

impl ProfilesArg {
    /// As typed.
    pub(in super::super) fn name(self) -> &'static str {
        self.profile().map_or("both", Profile::word)
    }

    /// The one profile.
    pub(in super::super) fn profile(self) -> Option<Profile> {
        match self {
            Self::Http => Some(Profile::Http),
            Self::Grpc => Some(Profile::Grpc),
            Self::Both => None,
        }
    }
}

impl From<ProfileArg> for ProfilesArg {
    fn from(profile: ProfileArg) -> Self {
        match profile {
            ProfileArg::Http => Self::Http,
            ProfileArg::Grpc => Self::Grpc,
        }
    }
}

/// A profile of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in super::super) enum ProfileArg {
    Http,
    Grpc,
}

impl ProfileArg {
    pub(in super::super) fn profile(self) -> Profile {
        match self {
            Self::Http => Profile::Http,
            Self::Grpc => Profile::Grpc,
        }
    }
}
