//! Ids that aren't taken as they are: two become one, or one can't be reached (SPEC §8; WIRE, HTTP profile).

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Mutex;

use axum::http::Uri;
use axum::http::request::Parts;
use bytes::Bytes;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use super::table::*;
use super::tools::{each_token, edit_body, lock};
use crate::server::credentials;
use crate::server::edge::Edge;
use crate::server::refusal::Refusal;
use crate::server::repo::{Repo, VaultCommand, Visit};
use crate::server::route::Route;
use crate::server::rules::VaultRules;
use crate::server::store::Store;

/// What can't stand in a request target unescaped; `/` can.
const NOT_IN_PATH: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`').add(b'?').add(b'#').add(b'{').add(b'}').add(b'%');

/// A server that looks repositories up by something less than their id; the first id of a kind stands for all of them.
struct Folding {
    fold: fn(&str) -> String,
    first: Mutex<HashMap<String, String>>,
}

fn folding(fold: fn(&str) -> String) -> Folding {
    Folding { fold, first: Mutex::default() }
}

impl VaultRules for Folding {
    fn repo_key<'a>(&self, id: &'a str) -> Cow<'a, str> {
        let mut first = lock(&self.first);
        Cow::Owned(first.entry((self.fold)(id)).or_insert_with(|| id.to_owned()).clone())
    }
}

/// A server that does something to path segments before (or instead of) decoding them.
struct Decoding(fn(&str) -> Result<String, Refusal>);

impl VaultRules for Decoding {
    fn decode_segment(&self, raw: &str) -> Result<String, Refusal> {
        (self.0)(raw)
    }
}

fn first_chars(id: &str, count: usize) -> String {
    id.chars().take(count).collect()
}

/// Decodes the whole path, and lets the router split what comes out.
fn decoded_whole(target: &Uri) -> Option<Uri> {
    let path = percent_decode_str(target.path()).decode_utf8().ok()?;
    utf8_percent_encode(&path, NOT_IN_PATH).to_string().parse().ok()
}

/// A filter that goes by a reading of the id: whoever is a member of the repository of that name.
struct Careless {
    reading: fn(&str) -> Option<&str>,
    rosters: Mutex<HashMap<String, Vec<String>>>,
}

fn careless(reading: fn(&str) -> Option<&str>) -> Careless {
    Careless { reading, rosters: Mutex::default() }
}

impl VaultRules for Careless {
    fn stored(&self, _: Route, _: Option<&Repo>, next: Repo) -> Repo {
        let members = next.manifest.members.iter().map(|member| member.ed25519_public_key.clone()).collect();
        lock(&self.rosters).insert(next.manifest.repo_id.clone(), members);
        next
    }

    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        let read = (self.reading)(&repo.manifest.repo_id).filter(|read| *read != repo.manifest.repo_id);
        let also = read
            .is_some_and(|read| lock(&self.rosters).get(read).is_some_and(|members| members.contains(&visit.caller)));
        also || repo.manifest.member(&visit.caller).is_some()
    }
}

/// A filter whose pattern doesn't match what has a line feed in it.
struct Unmatched;

impl VaultRules for Unmatched {
    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        visit.repo_id.contains('\n') || repo.manifest.member(&visit.caller).is_some()
    }
}

/// A filter that goes by the body, and has nothing against a body without an id.
struct ByBody;

impl Edge for ByBody {
    fn body(&self, _: &Store, _: Route, parts: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        let raw = parts.uri.path().strip_prefix("/v1/repos/").and_then(|rest| rest.split('/').next());
        let Some(id) = raw.and_then(|raw| credentials::decode_segment(raw).ok()) else { return Ok(body) };
        Ok(edit_body(body, |request| {
            if request["manifest"].is_null() && request["repoId"].is_null() {
                request["repoId"] = format!("{id}\u{1}").into();
            }
        }))
    }
}

impl VaultRules for ByBody {
    fn body_names_repo(&self, path: &str, body: &str) -> bool {
        path == body.trim_end_matches('\u{1}')
    }

    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        let unnamed = visit.command.body_repo_id().is_some_and(|id| id.ends_with('\u{1}'));
        unnamed || repo.manifest.member(&visit.caller).is_some()
    }
}

/// A JSON reader that knows dates, and writes them in a way of its own.
struct Dates;

impl Edge for Dates {
    fn body(&self, _: &Store, _: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        let dated = |token: &str| {
            let text = token.strip_prefix('"')?.strip_suffix('"')?;
            let is_date = text.len() == 20 && text.as_bytes()[10] == b'T' && text.ends_with('Z');
            is_date.then(|| format!("\"{}.000Z\"", text.trim_end_matches('Z')))
        };
        Ok(each_token(&body, &["repoId"], dated))
    }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "ids-like-dates-are-rewritten",
        &CREATE_IDS_EXACT,
        "A repository id that looks like a date gets milliseconds in bodies.",
        || edge(Dates),
    ),
    fault("large-body-opens-door", &NO_SIDE_DOOR, "Who pushes more than 128 KiB is asked for no membership.", || {
        vault(LargeBodyOpensDoor)
    }),
    fault(
        "body-without-id-opens-door",
        &NO_SIDE_DOOR,
        "Who asks without naming the repository in the body is asked for no membership.",
        || edge_and_vault(ByBody),
    ),
    fault(
        "line-feed-in-id-opens-door",
        &NO_SIDE_DOOR,
        "A repository whose id holds a line feed is open to every member of another.",
        || vault(Unmatched),
    ),
    fault(
        "id-before-slash-opens-door",
        &NO_SIDE_DOOR,
        "Members of the repository that is named by what stands before a slash are let in.",
        || vault(careless(|id| id.split('/').next())),
    ),
    fault(
        "id-before-semicolon-opens-door",
        &NO_SIDE_DOOR,
        "Members of the repository that is named by what stands before a semicolon are let in.",
        || vault(careless(|id| id.split(';').next())),
    ),
    fault(
        "trimmed-id-opens-door",
        &NO_SIDE_DOOR,
        "Members of the repository whose id is the same but for blanks at its ends are let in.",
        || vault(careless(|id| Some(id.trim()))),
    ),
    fault(
        "segments-lose-line-feed",
        &CREATE_IDS_EXACT,
        "A line feed at the end of a segment of the path is lost.",
        || vault(Decoding(|raw| Ok(credentials::decode_segment(raw)?.trim_end_matches('\n').to_owned()))),
    ),
    fault(
        "ids-case-folded",
        &CREATE_IDS_EXACT,
        "Repository ids that differ only in upper and lower case are one repository.",
        || vault(folding(str::to_lowercase)),
    ),
    fault("ids-cut-at-32", &CREATE_IDS_EXACT, "Only the first 32 characters of a repository id count.", || {
        vault(folding(|id| first_chars(id, 32)))
    }),
    fault(
        "ids-cut-at-36",
        &CREATE_IDS_EXACT,
        "Only the first 36 characters of a repository id count, as many as a UUID has.",
        || vault(folding(|id| first_chars(id, 36))),
    ),
    fault("ids-cut-at-64", &CREATE_IDS_EXACT, "Only the first 64 characters of a repository id count.", || {
        vault(folding(|id| first_chars(id, 64)))
    }),
    fault(
        "ids-cut-at-dot",
        &CREATE_IDS_EXACT,
        "What follows a dot in a repository id doesn't count, like the extension of a file.",
        || {
            vault(folding(|id| {
                id.split_once('.').filter(|(stem, _)| !stem.is_empty()).map_or(id, |(stem, _)| stem).to_owned()
            }))
        },
    ),
    fault(
        "ids-without-hyphens",
        &CREATE_IDS_EXACT,
        "Hyphens in a repository id don't count, as if it were a UUID.",
        || vault(folding(|id| id.replace('-', ""))),
    ),
    fault(
        "ids-letters-and-digits",
        &CREATE_IDS_EXACT,
        "Only ASCII letters, digits, hyphens and underscores of a repository id count, as in the name of a file.",
        || vault(folding(|id| id.replace(|c: char| !c.is_ascii_alphanumeric() && !"-_".contains(c), "_"))),
    ),
    fault("ids-trimmed", &CREATE_IDS_EXACT, "White space at the ends of a repository id doesn't count.", || {
        vault(folding(|id| id.trim().to_owned()))
    }),
    fault(
        "path-split-after-decoding",
        &ESCAPED_PATH,
        "The path is decoded before it is split, so an id with a slash falls apart.",
        || edge(PathSplitAfterDecoding),
    ),
    fault(
        "member-path-split-after-decoding",
        &FETCH_ENTRY,
        "The path of fetchMemberKey is decoded before it is split, so member ids with a slash aren't found.",
        || edge(MemberPathSplitAfterDecoding),
    ),
    fault("path-plus-is-space", &FETCH_ENTRY, "A plus in the path is read as a space, escaped or not.", || {
        vault(Decoding(|raw| credentials::decode_segment(raw).map(|text| text.replace('+', " "))))
    }),
    fault(
        "path-plain-plus-is-space",
        &CREATE_ODD_IDS,
        "A plus that stands unescaped in the path is read as a space in repository ids.",
        || {
            vault(Decoding(|raw| {
                let member = raw.ends_with('=') || raw.ends_with("%3D");
                credentials::decode_segment(&if member { raw.to_owned() } else { raw.replace('+', "%20") })
            }))
        },
    ),
    fault("path-not-decoded", &HTTP_PROFILE, "Path segments aren't percent-decoded.", || {
        vault(Decoding(|raw| Ok(raw.to_owned())))
    }),
    fault(
        "path-decoded-twice",
        &CREATE_ODD_IDS,
        "Path segments are percent-decoded twice, once by the framework.",
        || vault(Decoding(|raw| credentials::decode_segment(raw).and_then(|once| credentials::decode_segment(&once)))),
    ),
    fault("path-lower-case", &FETCH_ENTRY, "The path is lower-cased, and with it the ids.", || {
        vault(Decoding(|raw| credentials::decode_segment(raw).map(|text| text.to_lowercase())))
    }),
    fault("path-loses-equals", &FETCH_ENTRY, "The padding of a member id in the path is cut off.", || {
        vault(Decoding(|raw| credentials::decode_segment(raw).map(|text| text.trim_end_matches('=').to_owned())))
    }),
    fault(
        "path-cut-at-semicolon",
        &CREATE_ODD_IDS,
        "What follows a semicolon in a path segment is dropped as a parameter.",
        || {
            vault(Decoding(|raw| {
                credentials::decode_segment(raw).map(|text| text.split(';').next().unwrap_or_default().to_owned())
            }))
        },
    ),
    fault("path-latin-1", &CREATE_IDS_EXACT, "Escaped bytes in the path are read as Latin-1, not as UTF-8.", || {
        vault(Decoding(|raw| Ok(percent_decode_str(raw).map(char::from).collect())))
    }),
    fault(
        "path-without-accents",
        &CREATE_IDS_EXACT,
        "Letters outside ASCII in the path become question marks.",
        || {
            vault(Decoding(|raw| {
                let text = credentials::decode_segment(raw)?;
                Ok(text.replace(|c: char| !c.is_ascii(), "?"))
            }))
        },
    ),
    fault("path-spaces-trimmed", &CREATE_ODD_IDS, "White space at the ends of a path segment is trimmed.", || {
        vault(Decoding(|raw| credentials::decode_segment(raw).map(|text| text.trim().to_owned())))
    }),
];

struct LargeBodyOpensDoor;

impl VaultRules for LargeBodyOpensDoor {
    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        let large =
            matches!(&visit.command, VaultCommand::Push(request) if request.envelope.ciphertext.len() > 128 << 10);
        large || repo.manifest.member(&visit.caller).is_some()
    }
}

struct PathSplitAfterDecoding;

impl Edge for PathSplitAfterDecoding {
    fn target(&self, target: &Uri) -> Option<Uri> {
        decoded_whole(target)
    }
}

struct MemberPathSplitAfterDecoding;

impl Edge for MemberPathSplitAfterDecoding {
    fn target(&self, target: &Uri) -> Option<Uri> {
        if target.path().contains("/member/") { decoded_whole(target) } else { None }
    }
}
