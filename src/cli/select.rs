//! Globs of `--only` and `--skip`: what they mean, and what to say when they mean nothing.

use globset::{Glob, GlobBuilder, GlobMatcher};

use super::near::near_misses;
use super::{UsageError, backend};
use crate::client::Profile;
use crate::requirements::Revision;
use crate::scenarios::CheckInfo;

/// Compiles the globs of an option and makes sure that each of them means something.
///
/// A section can be written `§6`, `s6` or `6`, and means its subsections too.
pub(super) fn globs(option: &str, patterns: &[String], spec: Revision) -> Result<Vec<Glob>, UsageError> {
    patterns.iter().map(|pattern| glob(option, pattern.trim(), spec)).collect()
}

fn glob(option: &str, pattern: &str, spec: Revision) -> Result<Glob, UsageError> {
    if pattern.is_empty() {
        return Err(UsageError(format!("{option} is empty. If it comes from a variable, the variable isn't set")));
    }
    let glob = section_glob(pattern).unwrap_or_else(|| pattern.to_owned());
    let glob = GlobBuilder::new(&glob)
        .build()
        .map_err(|error| UsageError(format!("{option} {pattern:?} isn't a glob: {}", error.kind())))?;
    let matcher = glob.compile_matcher();
    let Some(since) = backend::checks().filter(|check| means(&matcher, check)).map(|check| check.since).min() else {
        let near = near_misses(pattern, candidates());
        return Err(UsageError(format!(
            "{option} {pattern:?} matches no check{near} (avp-conform list names them all)"
        )));
    };
    if since > spec {
        return Err(UsageError(format!("{option} {pattern:?} matches checks of --spec {since} only")));
    }
    Ok(glob)
}

/// Makes sure that something is left to run.
pub(super) fn leaves_something(only: &[Glob], skip: &[Glob], spec: Revision) -> Result<(), UsageError> {
    if leaves(only, skip, spec, "") { Ok(()) } else { Err("--only and --skip leave no check to run".into()) }
}

/// Whether some check is left to run whose id begins so.
pub(super) fn leaves(only: &[Glob], skip: &[Glob], spec: Revision, prefix: &str) -> bool {
    let matchers = |globs: &[Glob]| globs.iter().map(Glob::compile_matcher).collect::<Vec<_>>();
    let (only, skip) = (matchers(only), matchers(skip));
    let any = |globs: &[GlobMatcher], check: &CheckInfo| globs.iter().any(|glob| means(glob, check));
    let left = |check: &CheckInfo| (only.is_empty() || any(&only, check)) && !any(&skip, check) && check.since <= spec;
    backend::checks().filter(|check| check.id.starts_with(prefix)).any(left)
}

fn means(glob: &GlobMatcher, check: &CheckInfo) -> bool {
    // A run of both profiles calls them by the profile, too, and so does what it says of how to run one again.
    check.is_meant_by(glob) || [Profile::Http, Profile::Grpc].iter().any(|of| glob.is_match(check.id_over(*of)))
}

/// `§6`, `s6`, `6` and `§8.1` as globs on sections; `None` for anything else.
pub(super) fn section_glob(pattern: &str) -> Option<String> {
    let number = pattern.trim_start_matches(['§', 's', 'S']);
    let digits = number.starts_with(|c: char| c.is_ascii_digit());
    let shape = number.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | '*'));
    let whole = !number.contains('*') && !number.ends_with('.');
    (digits && shape).then(|| if whole { format!("{{§{number},§{number}.*}}") } else { format!("§{number}") })
}

/// What can be typed: ids, areas and sections.
fn candidates() -> impl Iterator<Item = String> {
    backend::checks().flat_map(|check| {
        let area = check.id.split('/').next().unwrap_or_default();
        [check.id.to_owned(), format!("{area}/*"), check.section.to_owned()]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(pattern: &str) -> String {
        globs("--only", &[pattern.to_owned()], Revision::V0_2).unwrap_err().0
    }

    #[test]
    fn sections_can_be_typed_on_any_keyboard() {
        assert_eq!(section_glob("§6").unwrap(), "{§6,§6.*}");
        assert_eq!(section_glob("s8.1").unwrap(), "{§8.1,§8.1.*}");
        assert_eq!(section_glob("8*").unwrap(), "§8*");
        assert_eq!(section_glob("push/*"), None);
        assert_eq!(section_glob("s*"), None);
        for section in ["§6", "s6", "6", "§6*"] {
            assert!(globs("--only", &[section.into()], Revision::V0_2).is_ok(), "{section}");
        }
    }

    #[test]
    fn a_glob_that_means_nothing_is_named_with_its_neighbours() {
        assert!(error("push").contains("did you mean push/*"), "{}", error("push"));
        assert!(error("puhs/*").contains("push/*"), "{}", error("puhs/*"));
        assert!(error("zzz").contains("matches no check (avp-conform list"), "{}", error("zzz"));
        assert!(error("push/[").contains("isn't a glob"));
        assert!(error(" ").contains("is empty"));
    }

    #[test]
    fn something_must_be_left() {
        let all = globs("--skip", &["*".into()], Revision::V0_2).unwrap();
        assert!(leaves_something(&[], &all, Revision::V0_2).is_err());
        assert!(leaves_something(&all, &[], Revision::V0_2).is_ok());
    }
}
