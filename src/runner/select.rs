//! Which checks run, and why the others don't.

use globset::{GlobMatcher, GlobSet, GlobSetBuilder};

use super::{RunConfig, shard};
use crate::scenarios::{self, Check};

/// Why a check that waits isn't run.
pub(super) const WAITS: &str = "it waits for something to expire: --slow runs it";

/// The checks of a run, in phase order, and those left out with the reason.
pub struct Selection {
    /// To be run.
    pub chosen: Vec<&'static Check>,
    /// Left out by options.
    pub left_out: Vec<(&'static Check, String)>,
}

/// Whether a glob of `--only` or `--skip` means a check: by its id, with the profile or without, or by its section.
pub fn matches(glob: &GlobMatcher, check: &Check) -> bool {
    check.info.is_meant_by(glob)
}

/// Sorts the checks of the revision into chosen and left out.
///
/// # Errors
/// In words, when the globs don't compile together.
pub fn select(config: &RunConfig) -> Result<Selection, String> {
    let (only, skip) = (set(&config.only)?, set(&config.skip)?);
    let named =
        |set: &GlobSet, check: &Check| set.is_match(check.info.id) || set.is_match(check.info.id_over(config.profile));
    let hit = |set: &GlobSet, check: &Check| named(set, check) || set.is_match(check.info.section);
    let (mut chosen, mut left_out) = (Vec::new(), Vec::new());
    let speaks = |check: &&'static Check| check.only.is_none_or(|only| only == config.profile);
    // What there is no second server for is no part of the run, unless somebody asks for it by name; then it says what it needs.
    let part = |check: &&Check| config.meets(check.needs) || (!config.only.is_empty() && named(&only, check));
    for check in scenarios::all().filter(|check| check.info.since <= config.spec).filter(part).filter(speaks) {
        let reason = if !config.only.is_empty() && !hit(&only, check) {
            Some("not selected by --only")
        } else if hit(&skip, check) {
            Some("left out by --skip")
        } else if check.waits && !config.slow {
            Some(WAITS)
        } else {
            None
        };
        match reason {
            Some(reason) => left_out.push((check, reason.to_owned())),
            None => chosen.push(check),
        }
    }
    chosen.sort_by_key(|check| check.phase);
    if let Some(part) = config.shard {
        let places = chosen.into_iter().enumerate();
        let (own, others): (Vec<_>, Vec<_>) =
            places.partition(|(place, check)| part.has(*place) || shard::in_every_part(check.phase));
        left_out.extend(others.into_iter().map(|(_, check)| (check, shard::OTHER.to_owned())));
        chosen = own.into_iter().map(|(_, check)| check).collect();
    }
    Ok(Selection { chosen, left_out })
}

fn set(globs: &[globset::Glob]) -> Result<GlobSet, String> {
    let mut builder = GlobSetBuilder::new();
    for glob in globs {
        builder.add(glob.clone());
    }
    builder.build().map_err(|error| error.to_string())
}
