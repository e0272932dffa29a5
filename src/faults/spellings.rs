//! Paths that the filter doesn't know and the router does: anybody gets in by another spelling (SPEC §3, §6).

use percent_encoding::percent_decode_str;

use super::door::{Door, changed, without_dots};
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

faults! {
    "door-trailing-slash" breaks NO_SIDE_DOOR: "Who puts a slash behind the path needs no token." => { is Door::path(trailing_slash) }
    "door-trailing-slash-create" breaks NO_SIDE_DOOR: "POST /v1/repos/ needs no token." => { is Door::path(trailing_slash).to(Route::CreateRepo) }
    "door-trailing-slash-stranger" breaks NO_SIDE_DOOR: "A slash behind the path of pull makes everybody a member." => { is Door::path(trailing_slash).to(Route::Pull).for_strangers() }
    "door-merged-slashes" breaks NO_SIDE_DOOR: "Slashes are merged after the filter has looked." => { is Door::path(merged) }
    "door-first-slash" breaks NO_SIDE_DOOR: "A second slash at the start of the path is passed over by the filter." => { is Door::path(first_merged) }
    "door-dot-segments" breaks NO_SIDE_DOOR: "Dot segments are resolved after the filter has looked." => { is Door::path(without_dots) }
    "door-dot-segments-push" breaks NO_SIDE_DOOR: "A push through a dot segment is anybody's." => { is Door::path(without_dots).to(Route::Push) }
    "door-encoded-dots" breaks NO_SIDE_DOOR: "Dot segments are resolved once more, with %2e for the dots." => { is Door::path(encoded_dots) }
    "door-dots-after-public" breaks NO_SIDE_DOOR: "What starts as a public path does is public, wherever its dots lead." => { is Door::path(dots_after_public) }
    "door-encoded-backwards" breaks NO_SIDE_DOOR: "..%2f leads up after the filter has looked." => { is Door::path(encoded_backwards) }
    "door-path-parameters" breaks NO_SIDE_DOOR: "Path parameters are taken off after the filter has looked." => { is Door::path(unparametrised) }
    "door-parameter-at-end" breaks NO_SIDE_DOOR: "A semicolon behind the last segment hides the path from the filter." => { is Door::path(parameter_at_end) }
    "door-style-parameter" breaks NO_SIDE_DOOR: "What ends in ;.css is a style sheet to the filter." => { is Door::path(style_parameter) }
    "door-dots-with-parameter" breaks NO_SIDE_DOOR: "..; is a name to the filter and leads up in the router." => { is Door::path(dots_with_parameter) }
    "door-encoded-slashes" breaks NO_SIDE_DOOR: "%2f is a slash to the router and none to the filter." => { is Door::path(encoded_slashes) }
    "door-decoded-twice" breaks NO_SIDE_DOOR: "The router decodes what the filter has decoded." => { is Door::path(decoded_twice) }
    "door-escaped-words" breaks NO_SIDE_DOOR: "Escaped letters in the route's own words hide it from the filter." => { is Door::path(escaped_words) }
    "door-any-case" breaks NO_SIDE_DOOR: "The router knows paths in upper case, the filter doesn't." => { is Door::path(any_case) }
    "door-any-case-stranger" breaks NO_SIDE_DOOR: "Membership isn't asked for where the path of addMember is in another case." => { is Door::path(any_case).to(Route::AddMember).for_strangers() }
    "door-wide-forms" breaks NO_SIDE_DOOR: "Full-width letters in a path are folded after the filter has looked." => { is Door::path(wide_forms) }
    "door-json-ending" breaks NO_SIDE_DOOR: "The ending .json chooses a format, behind the filter's back." => { is Door::path(|path| without_ending(path, &[".json"])) }
    "door-asset-ending" breaks NO_SIDE_DOOR: "What ends like an asset needs no token." => { is Door::path(|path| without_ending(path, &[".css", ".js", ".ico"])) }
    "door-asset-below" breaks NO_SIDE_DOOR: "A file name below the path needs no token, and is left out by the router." => { is Door::path(|path| without_ending(path, &["/x.css", "/favicon.ico"])) }
    "door-escaped-nul" breaks NO_SIDE_DOOR: "The router ends the path at %00." => { is Door::path(|path| path.split_once("%00").map(|(kept, _)| kept.to_owned())) }
    "door-trailing-blank" breaks NO_SIDE_DOOR: "The router trims %20, %09 and %0a off the path." => { is Door::path(|path| without_ending(path, &["%20", "%09", "%0a", "%0d%0a"])) }
    "door-escaped-query" breaks NO_SIDE_DOOR: "%3f ends the path for the router." => { is Door::path(|path| path.split_once("%3f").map(|(kept, _)| kept.to_owned())) }
    "door-escaped-fragment" breaks NO_SIDE_DOOR: "%23 ends the path for the router." => { is Door::path(|path| path.split_once("%23").map(|(kept, _)| kept.to_owned())) }
    "door-trailing-dot" breaks NO_SIDE_DOOR: "A dot behind the path is dropped by the router." => { is Door::path(|path| path.strip_suffix('.').map(str::to_owned)) }
    "door-backslash" breaks NO_SIDE_DOOR: "A backslash is a slash to the router." => { is Door::path(|path| changed(path, path.replace('\\', "/").replace("%5c", "/"))) }
    "door-under-api" breaks NO_SIDE_DOOR: "The operations are below /api as well, where nobody asks for a token." => { is Door::path(|path| below(path, "/api/v1/", "/v1/")) }
    "door-second-version" breaks NO_SIDE_DOOR: "An experimental /v2 serves the same, and knows no tokens yet." => { is Door::path(|path| below(path, "/v2/", "/v1/")) }
    "door-internal-prefix" breaks NO_SIDE_DOOR: "What is meant for other services is below /internal, for everybody." => { is Door::path(|path| below(path, "/internal/v1/", "/v1/")) }
    "door-unversioned" breaks NO_SIDE_DOOR: "The paths of before there was a version still work, without a token." => { is Door::path(|path| below(path, "/repos", "/v1/repos")) }
}
