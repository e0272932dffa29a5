//! The formats of report files.

use super::run::Run;
use super::{json, junit, markdown};

/// A report file's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Everything, for programs; `schema/report.schema.json` describes it.
    Json,
    /// JUnit XML, for CI systems.
    Junit,
    /// Markdown, for people; made to be a GitHub job summary.
    Markdown,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Json, Self::Junit, Self::Markdown];

    /// The word on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Junit => "junit",
            Self::Markdown => "markdown",
        }
    }

    /// The format of a name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// The whole report, with a line break at its end.
    pub fn render(self, run: &Run) -> String {
        match self {
            Self::Json => json::render(run),
            Self::Junit => junit::render(run),
            Self::Markdown => markdown::render(run),
        }
    }
}
