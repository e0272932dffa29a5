//! Ids that aren't taken as they are: two become one, or one can't be reached (SPEC §8; WIRE, HTTP profile).

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Mutex;

use axum::http::Uri;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use super::tools::lock;
use crate::server::credentials;
use crate::server::refusal::Refusal;
use crate::server::rules::VaultRules;

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

shared!(Folding: vault);

impl VaultRules for Folding {
    fn repo_key<'a>(&self, id: &'a str) -> Cow<'a, str> {
        let mut first = lock(&self.first);
        Cow::Owned(first.entry((self.fold)(id)).or_insert_with(|| id.to_owned()).clone())
    }
}

/// A server that does something to path segments before (or instead of) decoding them.
struct Decoding(fn(&str) -> Result<String, Refusal>);

shared!(Decoding: vault);

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

faults! {
    "ids-case-folded" breaks CREATE_IDS_EXACT: "Repository ids that differ only in upper and lower case are one repository." => {
        is folding(str::to_lowercase)
    }
    "ids-cut-at-32" breaks CREATE_IDS_EXACT: "Only the first 32 characters of a repository id count." => {
        is folding(|id| first_chars(id, 32))
    }
    "ids-cut-at-36" breaks CREATE_IDS_EXACT: "Only the first 36 characters of a repository id count, as many as a UUID has." => {
        is folding(|id| first_chars(id, 36))
    }
    "ids-cut-at-64" breaks CREATE_IDS_EXACT: "Only the first 64 characters of a repository id count." => {
        is folding(|id| first_chars(id, 64))
    }
    "ids-cut-at-dot" breaks CREATE_IDS_EXACT: "What follows a dot in a repository id doesn't count, like the extension of a file." => {
        is folding(|id| id.split_once('.').filter(|(stem, _)| !stem.is_empty()).map_or(id, |(stem, _)| stem).to_owned())
    }
    "ids-without-hyphens" breaks CREATE_IDS_EXACT: "Hyphens in a repository id don't count, as if it were a UUID." => {
        is folding(|id| id.replace('-', ""))
    }
    "ids-letters-and-digits" breaks CREATE_IDS_EXACT: "Only ASCII letters, digits, hyphens and underscores of a repository id count, as in the name of a file." => {
        is folding(|id| id.replace(|c: char| !c.is_ascii_alphanumeric() && !"-_".contains(c), "_"))
    }
    "ids-trimmed" breaks CREATE_IDS_EXACT: "White space at the ends of a repository id doesn't count." => {
        is folding(|id| id.trim().to_owned())
    }
    "path-split-after-decoding" breaks ESCAPED_PATH: "The path is decoded before it is split, so an id with a slash falls apart." => {
        edge {
            fn target(&self, target: &Uri) -> Option<Uri> { decoded_whole(target) }
        }
    }
    "member-path-split-after-decoding" breaks FETCH_ENTRY: "The path of fetchMemberKey is decoded before it is split, so member ids with a slash aren't found." => {
        edge {
            fn target(&self, target: &Uri) -> Option<Uri> {
                if target.path().contains("/member/") { decoded_whole(target) } else { None }
            }
        }
    }
    "path-plus-is-space" breaks FETCH_ENTRY: "A plus in the path is read as a space, escaped or not." => {
        is Decoding(|raw| credentials::decode_segment(raw).map(|text| text.replace('+', " ")))
    }
    "path-plain-plus-is-space" breaks CREATE_ODD_IDS: "A plus that stands unescaped in the path is read as a space in repository ids." => {
        is Decoding(|raw| {
            let member = raw.ends_with('=') || raw.ends_with("%3D");
            credentials::decode_segment(&if member { raw.to_owned() } else { raw.replace('+', "%20") })
        })
    }
    "path-not-decoded" breaks HTTP_PROFILE: "Path segments aren't percent-decoded." => {
        is Decoding(|raw| Ok(raw.to_owned()))
    }
    "path-decoded-twice" breaks CREATE_ODD_IDS: "Path segments are percent-decoded twice, once by the framework." => {
        is Decoding(|raw| credentials::decode_segment(raw).and_then(|once| credentials::decode_segment(&once)))
    }
    "path-lower-case" breaks FETCH_ENTRY: "The path is lower-cased, and with it the ids." => {
        is Decoding(|raw| credentials::decode_segment(raw).map(|text| text.to_lowercase()))
    }
    "path-loses-equals" breaks FETCH_ENTRY: "The padding of a member id in the path is cut off." => {
        is Decoding(|raw| credentials::decode_segment(raw).map(|text| text.trim_end_matches('=').to_owned()))
    }
    "path-cut-at-semicolon" breaks CREATE_ODD_IDS: "What follows a semicolon in a path segment is dropped as a parameter." => {
        is Decoding(|raw| credentials::decode_segment(raw).map(|text| text.split(';').next().unwrap_or_default().to_owned()))
    }
    "path-latin-1" breaks CREATE_ODD_IDS: "Escaped bytes in the path are read as Latin-1, not as UTF-8." => {
        is Decoding(|raw| Ok(percent_decode_str(raw).map(char::from).collect()))
    }
    "path-without-accents" breaks CREATE_ODD_IDS: "Letters outside ASCII in the path become question marks." => {
        is Decoding(|raw| {
            let text = credentials::decode_segment(raw)?;
            Ok(text.replace(|c: char| !c.is_ascii(), "?"))
        })
    }
    "path-spaces-trimmed" breaks CREATE_ODD_IDS: "White space at the ends of a path segment is trimmed." => {
        is Decoding(|raw| credentials::decode_segment(raw).map(|text| text.trim().to_owned()))
    }
}
