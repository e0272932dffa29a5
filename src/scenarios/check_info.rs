//! What a reader knows a check by.

use globset::GlobMatcher;

use crate::client::Profile;
use crate::requirements::{Level, Requirement, Revision};

/// What identifies a check to a reader.
#[derive(Debug)]
pub struct CheckInfo {
    /// `area/what-holds`, stable for ever.
    pub id: &'static str,
    /// The rule in one line.
    pub title: &'static str,
    /// Section of the specification, `§6`.
    pub section: &'static str,
    /// Whether a miss is a failure or a warning.
    pub level: Level,
    /// The rules it proves; never empty.
    pub requirements: &'static [&'static Requirement],
    /// First revision that it applies to.
    pub since: Revision,
}

/// What stands between the id of a check and the profile that it was judged in, where a run judges both.
const OVER: char = '@';

impl CheckInfo {
    /// The id without the profile, as it stands in the catalogue.
    pub fn base(&self) -> &'static str {
        self.id.split_once(OVER).map_or(self.id, |(id, _)| id)
    }

    /// The profile that it was judged in, where a run judges both.
    pub fn profile(&self) -> Option<Profile> {
        match self.id.split_once(OVER)?.1 {
            "http" => Some(Profile::Http),
            "grpc" => Some(Profile::Grpc),
            _ => None,
        }
    }

    /// The id that it has where a run judges both profiles.
    pub fn id_over(&self, profile: Profile) -> String {
        format!("{}{OVER}{}", self.base(), profile.word())
    }

    /// Whether a glob means it: by its id with or without the profile, or by its section.
    pub fn is_meant_by(&self, glob: &GlobMatcher) -> bool {
        glob.is_match(self.id) || glob.is_match(self.base()) || glob.is_match(self.section)
    }
}
