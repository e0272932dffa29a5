//! A run in its parts: one for each profile that is judged, and one in which they have to agree.

use super::{RunConfig, Selection, Target, select};
use crate::client::Profile;
use crate::scenarios::{self, Check, Need};

/// One server by one profile, and what is asked of it.
pub(super) struct Part {
    /// The run, as if there were nothing else.
    pub config: RunConfig,
    /// Which checks.
    pub selection: Selection,
    /// What notes on it begin with, where there are others.
    pub title: Option<&'static str>,
}

/// All checks of some parts.
pub(super) fn chosen(parts: &[Part]) -> Vec<&'static Check> {
    parts.iter().flat_map(|part| part.selection.chosen.iter().copied()).collect()
}

/// Whether a glob means any check at all, in a run of one profile or of both.
pub(super) fn is_meant(glob: &globset::GlobMatcher) -> bool {
    let all = scenarios::all().chain(scenarios::over(Profile::Http)).chain(scenarios::over(Profile::Grpc));
    all.into_iter().any(|check| glob.is_match(check.info.id))
}

/// The parts of a run.
///
/// # Errors
/// In words, when the globs don't compile together.
pub(super) fn of(config: &RunConfig) -> Result<Vec<Part>, String> {
    let Some(beside) = &config.beside else {
        return Ok(vec![Part { config: config.clone(), selection: select(config)?, title: None }]);
    };
    let mut parts = vec![
        half(config, Profile::Http, config.server.clone())?,
        half(config, Profile::Grpc, Target::Url(beside.clone()))?,
    ];
    let mut selection = select(config)?;
    selection.chosen.retain(|check| check.needs == Need::Profiles);
    selection.left_out.retain(|(check, _)| check.needs == Need::Profiles);
    let agreement = RunConfig { replicas: vec![beside.clone()], stranger: None, ..config.clone() };
    parts.push(Part { config: agreement, selection, title: Some("both profiles") });
    Ok(parts)
}

/// One of two profiles: its checks go by its name.
fn half(config: &RunConfig, profile: Profile, server: Target) -> Result<Part, String> {
    let own = |url: &&url::Url| Profile::of_scheme(url.scheme()) == profile;
    let config = RunConfig {
        server,
        profile,
        beside: None,
        replicas: config.replicas.iter().filter(own).cloned().collect(),
        stranger: config.stranger.as_ref().filter(own).cloned(),
        // Once is enough.
        crash_rounds: if profile == Profile::Http { config.crash_rounds } else { 0 },
        ..config.clone()
    };
    let Selection { chosen, left_out } = select(&config)?;
    let named =
        |check: &'static Check| scenarios::over(profile).iter().find(|named| named.info.base() == check.info.id);
    let may = |check: &&'static Check| config.meets(check.needs) || check.needs != Need::Command;
    let selection = Selection {
        chosen: chosen.into_iter().filter(may).filter_map(named).collect(),
        left_out: left_out.into_iter().filter_map(|(check, reason)| Some((named(check)?, reason))).collect(),
    };
    Ok(Part { config, selection, title: Some(profile.title()) })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn both() -> RunConfig {
        let mut config = RunConfig::new(Target::Url("http://127.0.0.1:1".parse().unwrap()));
        config.beside = Some("grpc://127.0.0.1:2".parse().unwrap());
        config
    }

    #[test]
    fn each_profile_has_its_checks_and_they_have_some_together() {
        let parts = of(&both()).unwrap();
        let ids: Vec<Vec<_>> =
            parts.iter().map(|part| part.selection.chosen.iter().map(|check| check.info.id).collect()).collect();
        assert!(ids[0].contains(&"push/applies@http") && ids[1].contains(&"push/applies@grpc"));
        assert!(ids[0].iter().any(|id| id.starts_with("framing/")) && ids[1].contains(&"grpc/broken-frames@grpc"));
        assert!(!ids[1].iter().any(|id| id.starts_with("framing/")));
        assert!(
            ids[2].contains(&"profiles/reads-follow-writes") && ids[2].iter().all(|id| id.starts_with("profiles/"))
        );
        let all: Vec<_> = ids.concat();
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
    }

    #[test]
    fn a_glob_means_both_profiles_or_one() {
        let chosen_by = |glob: &str| {
            let mut config = both();
            config.only = vec![globset::Glob::new(glob).unwrap()];
            chosen(&of(&config).unwrap()).iter().map(|check| check.info.id).collect::<Vec<_>>()
        };
        assert_eq!(chosen_by("push/applies"), ["push/applies@http", "push/applies@grpc"]);
        assert_eq!(chosen_by("push/applies@grpc"), ["push/applies@grpc"]);
        assert_eq!(chosen_by("profiles/created-once"), ["profiles/created-once"]);
    }
}
