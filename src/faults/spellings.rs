//! Paths that the filter doesn't know and the router does: anybody gets in by another spelling (SPEC §3, §6).

use percent_encoding::percent_decode_str;

use super::door::{Door, changed, without_dots};
use super::table::*;
use crate::server::route::Route;

fn trailing_slash(path: &str) -> Option<String> {
    path.strip_suffix('/').map(str::to_owned)
}

fn merged(path: &str) -> Option<String> {
    changed(path, path.replace("//", "/"))
}

fn first_merged(path: &str) -> Option<String> {
    path.strip_prefix('/').filter(|rest| rest.starts_with('/')).map(str::to_owned)
}

/// `%2e` in either case, as a dot.
fn dots(path: &str) -> String {
    path.replace("%2e", ".").replace("%2E", ".")
}

fn encoded_dots(path: &str) -> Option<String> {
    changed(path, dots(path)).and_then(|path| without_dots(&path))
}

fn dots_after_public(path: &str) -> Option<String> {
    without_dots(path).filter(|_| path.starts_with("/.well-known/") || path.starts_with("/api/auth/"))
}

fn encoded_backwards(path: &str) -> Option<String> {
    let decoded = dots(path).replace("%2f", "/").replace("%2F", "/");
    without_dots(&decoded).filter(|_| path.contains('%'))
}

/// Everything from a semicolon to the end of its segment.
fn unparametrised(path: &str) -> Option<String> {
    let segments: Vec<_> = path.split('/').map(|segment| segment.split(';').next().unwrap_or_default()).collect();
    changed(path, segments.join("/"))
}

fn parameter_at_end(path: &str) -> Option<String> {
    let (before, last) = path.rsplit_once('/')?;
    last.split_once(';').map(|(kept, _)| format!("{before}/{kept}"))
}

fn style_parameter(path: &str) -> Option<String> {
    path.strip_suffix(";.css").map(str::to_owned)
}

fn dots_with_parameter(path: &str) -> Option<String> {
    path.contains("..;").then(|| unparametrised(path)).flatten().and_then(|path| without_dots(&path))
}

fn encoded_slashes(path: &str) -> Option<String> {
    changed(path, path.replace("%2f", "/").replace("%2F", "/"))
}

fn decoded_twice(path: &str) -> Option<String> {
    path.contains("%25").then(|| percent_decode_str(&path.replace("%25", "%")).decode_utf8().ok().map(Into::into))?
}

/// Escapes of what needs none, in the words of the route.
fn escaped_words(path: &str) -> Option<String> {
    let plain = |segment: &str| {
        let decoded = percent_decode_str(segment).decode_utf8_lossy().into_owned();
        if WORDS.contains(&decoded.as_str()) { decoded } else { segment.to_owned() }
    };
    changed(path, path.split('/').map(plain).collect::<Vec<_>>().join("/"))
}

const WORDS: [&str; 7] = ["v1", "repos", "pull", "push", "add-member", "remove-member", "member"];

fn any_case(path: &str) -> Option<String> {
    let lower = |segment: &str| {
        let folded = segment.to_lowercase();
        if WORDS.contains(&folded.as_str()) { folded } else { segment.to_owned() }
    };
    changed(path, path.split('/').map(lower).collect::<Vec<_>>().join("/"))
}

/// Wide forms as databases and Java's normalizers fold them.
fn wide_forms(path: &str) -> Option<String> {
    let text = percent_decode_str(path).decode_utf8().ok()?;
    let wide = |c: char| matches!(c, '\u{ff01}'..='\u{ff5e}');
    if !text.contains(wide) {
        return None;
    }
    let narrow = |c: char| if wide(c) { char::from_u32(c as u32 - 0xfee0).unwrap_or(c) } else { c };
    let folded = text.chars().map(narrow).collect::<String>();
    folded.is_ascii().then_some(folded)
}

fn without_ending(path: &str, endings: &[&str]) -> Option<String> {
    endings.iter().find_map(|ending| path.strip_suffix(ending)).map(str::to_owned)
}

fn below(path: &str, prefix: &str, served: &str) -> Option<String> {
    path.strip_prefix(prefix).map(|rest| format!("{served}{rest}"))
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault("door-trailing-slash", &NO_SIDE_DOOR, "Who puts a slash behind the path needs no token.", || {
        all_three(Door::path(trailing_slash))
    }),
    fault("door-trailing-slash-create", &NO_SIDE_DOOR, "POST /v1/repos/ needs no token.", || {
        all_three(Door::path(trailing_slash).to(Route::CreateRepo))
    }),
    fault(
        "door-trailing-slash-stranger",
        &NO_SIDE_DOOR,
        "A slash behind the path of pull makes everybody a member.",
        || all_three(Door::path(trailing_slash).to(Route::Pull).for_strangers()),
    ),
    fault("door-merged-slashes", &NO_SIDE_DOOR, "Slashes are merged after the filter has looked.", || {
        all_three(Door::path(merged))
    }),
    fault(
        "door-first-slash",
        &NO_SIDE_DOOR,
        "A second slash at the start of the path is passed over by the filter.",
        || all_three(Door::path(first_merged)),
    ),
    fault("door-dot-segments", &NO_SIDE_DOOR, "Dot segments are resolved after the filter has looked.", || {
        all_three(Door::path(without_dots))
    }),
    fault("door-dot-segments-push", &NO_SIDE_DOOR, "A push through a dot segment is anybody's.", || {
        all_three(Door::path(without_dots).to(Route::Push))
    }),
    fault("door-encoded-dots", &NO_SIDE_DOOR, "Dot segments are resolved once more, with %2e for the dots.", || {
        all_three(Door::path(encoded_dots))
    }),
    fault(
        "door-dots-after-public",
        &NO_SIDE_DOOR,
        "What starts as a public path does is public, wherever its dots lead.",
        || all_three(Door::path(dots_after_public)),
    ),
    fault("door-encoded-backwards", &NO_SIDE_DOOR, "..%2f leads up after the filter has looked.", || {
        all_three(Door::path(encoded_backwards))
    }),
    fault("door-path-parameters", &NO_SIDE_DOOR, "Path parameters are taken off after the filter has looked.", || {
        all_three(Door::path(unparametrised))
    }),
    fault(
        "door-parameter-at-end",
        &NO_SIDE_DOOR,
        "A semicolon behind the last segment hides the path from the filter.",
        || all_three(Door::path(parameter_at_end)),
    ),
    fault("door-style-parameter", &NO_SIDE_DOOR, "What ends in ;.css is a style sheet to the filter.", || {
        all_three(Door::path(style_parameter))
    }),
    fault("door-dots-with-parameter", &NO_SIDE_DOOR, "..; is a name to the filter and leads up in the router.", || {
        all_three(Door::path(dots_with_parameter))
    }),
    fault("door-encoded-slashes", &NO_SIDE_DOOR, "%2f is a slash to the router and none to the filter.", || {
        all_three(Door::path(encoded_slashes))
    }),
    fault("door-decoded-twice", &NO_SIDE_DOOR, "The router decodes what the filter has decoded.", || {
        all_three(Door::path(decoded_twice))
    }),
    fault(
        "door-escaped-words",
        &NO_SIDE_DOOR,
        "Escaped letters in the route's own words hide it from the filter.",
        || all_three(Door::path(escaped_words)),
    ),
    fault("door-any-case", &NO_SIDE_DOOR, "The router knows paths in upper case, the filter doesn't.", || {
        all_three(Door::path(any_case))
    }),
    fault(
        "door-any-case-stranger",
        &NO_SIDE_DOOR,
        "Membership isn't asked for where the path of addMember is in another case.",
        || all_three(Door::path(any_case).to(Route::AddMember).for_strangers()),
    ),
    fault(
        "door-wide-forms",
        &NO_SIDE_DOOR,
        "Full-width letters in a path are folded after the filter has looked.",
        || all_three(Door::path(wide_forms)),
    ),
    fault("door-json-ending", &NO_SIDE_DOOR, "The ending .json chooses a format, behind the filter's back.", || {
        all_three(Door::path(|path| without_ending(path, &[".json"])))
    }),
    fault("door-asset-ending", &NO_SIDE_DOOR, "What ends like an asset needs no token.", || {
        all_three(Door::path(|path| without_ending(path, &[".css", ".js", ".ico"])))
    }),
    fault(
        "door-asset-below",
        &NO_SIDE_DOOR,
        "A file name below the path needs no token, and is left out by the router.",
        || all_three(Door::path(|path| without_ending(path, &["/x.css", "/favicon.ico"]))),
    ),
    fault("door-escaped-nul", &NO_SIDE_DOOR, "The router ends the path at %00.", || {
        all_three(Door::path(|path| path.split_once("%00").map(|(kept, _)| kept.to_owned())))
    }),
    fault("door-trailing-blank", &NO_SIDE_DOOR, "The router trims %20, %09 and %0a off the path.", || {
        all_three(Door::path(|path| without_ending(path, &["%20", "%09", "%0a", "%0d%0a"])))
    }),
    fault("door-escaped-query", &NO_SIDE_DOOR, "%3f ends the path for the router.", || {
        all_three(Door::path(|path| path.split_once("%3f").map(|(kept, _)| kept.to_owned())))
    }),
    fault("door-escaped-fragment", &NO_SIDE_DOOR, "%23 ends the path for the router.", || {
        all_three(Door::path(|path| path.split_once("%23").map(|(kept, _)| kept.to_owned())))
    }),
    fault("door-trailing-dot", &NO_SIDE_DOOR, "A dot behind the path is dropped by the router.", || {
        all_three(Door::path(|path| path.strip_suffix('.').map(str::to_owned)))
    }),
    fault("door-backslash", &NO_SIDE_DOOR, "A backslash is a slash to the router.", || {
        all_three(Door::path(|path| changed(path, path.replace('\\', "/").replace("%5c", "/"))))
    }),
    fault(
        "door-under-api",
        &NO_SIDE_DOOR,
        "The operations are below /api as well, where nobody asks for a token.",
        || all_three(Door::path(|path| below(path, "/api/v1/", "/v1/"))),
    ),
    fault(
        "door-second-version",
        &NO_SIDE_DOOR,
        "An experimental /v2 serves the same, and knows no tokens yet.",
        || all_three(Door::path(|path| below(path, "/v2/", "/v1/"))),
    ),
    fault(
        "door-internal-prefix",
        &NO_SIDE_DOOR,
        "What is meant for other services is below /internal, for everybody.",
        || all_three(Door::path(|path| below(path, "/internal/v1/", "/v1/"))),
    ),
    fault(
        "door-unversioned",
        &NO_SIDE_DOOR,
        "The paths of before there was a version still work, without a token.",
        || all_three(Door::path(|path| below(path, "/repos", "/v1/repos"))),
    ),
];
