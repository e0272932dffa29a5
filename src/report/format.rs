//! The formats of report files.

use super::run::Run;
use super::{badge, github, har, html, json, junit, markdown, sarif, tap};

/// A report file's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Everything, for programs; `schema/report.schema.json` describes it.
    Json,
    /// JUnit XML, for CI systems.
    Junit,
    /// Markdown, for people; made to be a GitHub job summary.
    Markdown,
    /// One page for a browser, with everything in it.
    Html,
    /// Workflow commands of GitHub Actions: an annotation for each finding.
    Github,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// Test Anything Protocol, version 14.
    Tap,
    /// All exchanges as an HTTP archive (HAR 1.2).
    Har,
    /// The verdict for a badge: the JSON that the `endpoint` badge of shields.io reads.
    Badge,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Json,
        Self::Junit,
        Self::Markdown,
        Self::Html,
        Self::Github,
        Self::Sarif,
        Self::Tap,
        Self::Har,
        Self::Badge,
    ];

    /// The word on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Junit => "junit",
            Self::Markdown => "markdown",
            Self::Html => "html",
            Self::Github => "github",
            Self::Sarif => "sarif",
            Self::Tap => "tap",
            Self::Har => "har",
            Self::Badge => "badge",
        }
    }

    /// The format of a name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// Whether it shows the exchanges of checks that passed, too.
    pub fn wants_every_exchange(self) -> bool {
        matches!(self, Self::Html | Self::Har)
    }

    /// Whether it draws what the contention checks did.
    pub fn wants_histories(self) -> bool {
        self == Self::Html
    }

    /// The whole report, with a line break at its end.
    pub fn render(self, run: &Run) -> String {
        match self {
            Self::Json => json::render(run),
            Self::Junit => junit::render(run),
            Self::Markdown => markdown::render(run),
            Self::Html => html::render(run),
            Self::Github => github::render(run),
            Self::Sarif => sarif::render(run),
            Self::Tap => tap::render(run),
            Self::Har => har::render(run),
            Self::Badge => badge::render(run),
        }
    }
}
