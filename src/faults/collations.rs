//! Ids that a database's collation, a file system or a lookup takes for each other (SPEC §8).

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Mutex;

use super::table::*;
use super::tools::lock;
use crate::server::repo::Repo;
use crate::server::route::Route;
use crate::server::rules::VaultRules;
use crate::server::store::Tx;

/// A server that looks repositories up by something less than their id; the first id of a kind stands for all of them.
pub(super) struct Collating {
    key: fn(&str) -> String,
    first: Mutex<HashMap<String, String>>,
}

pub(super) fn collating(key: fn(&str) -> String) -> Collating {
    Collating { key, first: Mutex::default() }
}

impl VaultRules for Collating {
    fn repo_key<'a>(&self, id: &'a str) -> Cow<'a, str> {
        let mut first = lock(&self.first);
        Cow::Owned(first.entry((self.key)(id)).or_insert_with(|| id.to_owned()).clone())
    }
}

/// A server that finds a repository by a pattern where there is none of the very id.
struct Matching {
    matches: fn(&str, &str) -> bool,
    ids: Mutex<Vec<String>>,
}

fn matching(matches: fn(&str, &str) -> bool) -> Matching {
    Matching { matches, ids: Mutex::default() }
}

impl VaultRules for Matching {
    fn repo_key<'a>(&self, id: &'a str) -> Cow<'a, str> {
        let ids = lock(&self.ids);
        let found =
            ids.iter().find(|known| *known == id).or_else(|| ids.iter().find(|known| (self.matches)(id, known)));
        found.map_or(Cow::Borrowed(id), |known| Cow::Owned(known.clone()))
    }

    fn committed(
        &self,
        _: &Tx<'_>,
        visit: &crate::server::repo::Visit,
        _: Option<&Repo>,
        next: &Repo,
    ) -> rusqlite::Result<()> {
        if visit.route == Route::CreateRepo {
            lock(&self.ids).push(next.manifest.repo_id.clone());
        }
        Ok(())
    }
}

/// A server whose rosters know members by something less than their id.
struct Members(fn(&str) -> String);

impl VaultRules for Members {
    fn stored(&self, _: Route, _: Option<&Repo>, mut next: Repo) -> Repo {
        let mut kept: Vec<crate::wire::MemberEntry> = Vec::new();
        for entry in next.manifest.members.drain(..) {
            let key = (self.0)(&entry.ed25519_public_key);
            match kept.iter_mut().find(|old| (self.0)(&old.ed25519_public_key) == key) {
                Some(old) => *old = entry,
                None => kept.push(entry),
            }
        }
        next.manifest.members = kept;
        next
    }
}

/// Replaces characters one by one.
fn each(id: &str, change: impl Fn(char) -> Option<&'static str>) -> String {
    id.chars().fold(String::new(), |mut text, c| {
        match change(c) {
            Some(other) => text.push_str(other),
            None => text.push(c),
        }
        text
    })
}

fn without_accents(id: &str) -> String {
    each(id, |c| match c {
        'é' | 'è' | 'ê' => Some("e"),
        'ü' => Some("u"),
        'å' | '\u{212b}' => Some("a"),
        'ñ' => Some("n"),
        '\u{300}'..='\u{36f}' => Some(""),
        _ => None,
    })
}

fn composed(id: &str) -> String {
    id.replace("e\u{301}", "é").replace("a\u{30a}", "å").replace('\u{212b}', "å").replace("n\u{303}", "ñ")
}

fn expanded(id: &str) -> String {
    each(id, |c| match c {
        'ß' | 'ẞ' => Some("ss"),
        'æ' => Some("ae"),
        'ﬁ' => Some("fi"),
        _ => None,
    })
}

fn narrow(id: &str) -> String {
    id.chars()
        .map(|c| match c {
            '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xfee0).unwrap_or(c),
            _ => c,
        })
        .collect()
}

fn visible(id: &str) -> String {
    id.replace(|c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{feff}' | '\u{ad}' | '\u{2060}'), "")
}

fn digits(id: &str) -> String {
    id.chars()
        .map(|c| match c {
            '\u{660}'..='\u{669}' => char::from_u32(c as u32 - 0x660 + 0x30).unwrap_or(c),
            '²' => '2',
            '①' => '1',
            _ => c,
        })
        .collect()
}

fn kana(id: &str) -> String {
    id.chars()
        .map(|c| match c {
            '\u{30a1}'..='\u{30f6}' => char::from_u32(c as u32 - 0x60).unwrap_or(c),
            _ => c,
        })
        .collect()
}

/// `String.hashCode` of Java.
fn java_hash(id: &str) -> String {
    id.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit))).to_string()
}

/// SQL's LIKE, case kept: `_` is any character, `%` any text.
fn like(pattern: &str, text: &str) -> bool {
    let mut pattern = pattern.chars();
    match pattern.next() {
        None => text.is_empty(),
        Some('%') => (0..=text.len()).any(|at| text.is_char_boundary(at) && like(pattern.as_str(), &text[at..])),
        Some(wanted) => {
            let mut rest = text.chars();
            rest.next().is_some_and(|c| wanted == '_' || wanted == c) && like(pattern.as_str(), rest.as_str())
        }
    }
}

/// A shell's pattern: `?` is any character, `*` any text.
fn glob(pattern: &str, text: &str) -> bool {
    like(&pattern.replace('_', "\u{1}").replace('?', "_").replace('*', "%"), &text.replace('_', "\u{1}"))
}

fn is_beyond(c: char) -> bool {
    c > '\u{ffff}'
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "ids-of-digits-are-numbers",
        &CREATE_IDS_EXACT,
        "Zeros at the beginning of a repository id of digits don't count.",
        || {
            vault(collating(|id| match id.parse::<u64>() {
                Ok(number) if id.bytes().all(|byte| byte.is_ascii_digit()) => number.to_string(),
                _ => id.to_owned(),
            }))
        },
    ),
    fault(
        "ids-without-accents",
        &CREATE_IDS_EXACT,
        "Accents in a repository id don't count, as in a collation called _ai.",
        || vault(collating(without_accents)),
    ),
    fault("ids-composed", &CREATE_IDS_EXACT, "Repository ids are looked up in Unicode's composed form (NFC).", || {
        vault(collating(composed))
    }),
    fault(
        "ids-expanded",
        &CREATE_IDS_EXACT,
        "ß is ss, æ is ae and a ligature its letters in a repository id.",
        || vault(collating(expanded)),
    ),
    fault(
        "ids-of-one-width",
        &CREATE_IDS_EXACT,
        "Full-width characters in a repository id are their usual ones.",
        || vault(collating(narrow)),
    ),
    fault(
        "ids-without-invisible",
        &CREATE_IDS_EXACT,
        "Characters without width in a repository id don't count.",
        || vault(collating(visible)),
    ),
    fault("ids-digits-by-value", &CREATE_IDS_EXACT, "All digits of one value are one in a repository id.", || {
        vault(collating(digits))
    }),
    fault("ids-kana-by-sound", &CREATE_IDS_EXACT, "Hiragana and katakana are one in a repository id.", || {
        vault(collating(kana))
    }),
    fault(
        "ids-lower-cased-in-turkish",
        &CREATE_IDS_EXACT,
        "Dotted and dotless i are one letter in a repository id.",
        || vault(collating(|id| id.replace(['ı', 'İ', 'I'], "i"))),
    ),
    fault(
        "ids-folded-in-greek",
        &CREATE_IDS_EXACT,
        "The two small sigmas, and the Kelvin sign and k, are one in a repository id.",
        || vault(collating(|id| id.replace(['ς', 'Σ'], "σ").replace('\u{212a}', "k").replace('ſ', "s"))),
    ),
    fault("ids-folded-in-cyrillic", &CREATE_IDS_EXACT, "Case doesn't count in a repository id outside ASCII.", || {
        vault(collating(|id| {
            id.chars().flat_map(|c| if c.is_ascii() { vec![c] } else { c.to_lowercase().collect() }).collect()
        }))
    }),
    fault(
        "ids-beyond-bmp-are-one",
        &CREATE_IDS_EXACT,
        "All characters beyond the basic plane weigh the same in a repository id.",
        || vault(collating(|id| id.replace(is_beyond, "\u{fffd}"))),
    ),
    fault("ids-end-at-nul", &CREATE_IDS_EXACT, "A repository id ends at its first NUL.", || {
        vault(collating(|id| id.split('\0').next().unwrap_or_default().to_owned()))
    }),
    fault(
        "ids-without-trailing-blanks",
        &CREATE_IDS_EXACT,
        "Blanks at the end of a repository id don't count, as in a CHAR column.",
        || vault(collating(|id| id.trim_end_matches(' ').to_owned())),
    ),
    fault(
        "ids-without-trailing-dot",
        &CREATE_IDS_EXACT,
        "A dot at the end of a repository id doesn't count, as in a file name on Windows.",
        || vault(collating(|id| id.trim_end_matches('.').to_owned())),
    ),
    fault(
        "ids-without-trailing-line-end",
        &CREATE_IDS_EXACT,
        "A line end at the end of a repository id doesn't count.",
        || vault(collating(|id| id.trim_end_matches(['\r', '\n', '\t']).to_owned())),
    ),
    fault(
        "ids-without-braces",
        &CREATE_IDS_EXACT,
        "Braces around a repository id and urn:uuid: before it don't count, as when a UUID is parsed.",
        || {
            vault(collating(|id| {
                id.trim_start_matches("urn:uuid:").trim_start_matches('{').trim_end_matches('}').to_owned()
            }))
        },
    ),
    fault("ids-with-one-kind-of-slash", &CREATE_IDS_EXACT, "Slash and backslash are one in a repository id.", || {
        vault(collating(|id| id.replace('\\', "/")))
    }),
    fault("ids-with-single-slashes", &CREATE_IDS_EXACT, "Slashes in a row are one in a repository id.", || {
        vault(collating(|id| id.replace("//", "/")))
    }),
    fault("ids-of-one-base64", &CREATE_IDS_EXACT, "The two alphabets of base64 are one in a repository id.", || {
        vault(collating(|id| id.replace('+', "-").replace('/', "_")))
    }),
    fault(
        "ids-without-trailing-slash",
        &CREATE_IDS_EXACT,
        "A slash at the end of a repository id doesn't count.",
        || vault(collating(|id| id.trim_end_matches('/').to_owned())),
    ),
    fault(
        "ids-with-plus-as-blank",
        &CREATE_IDS_EXACT,
        "Plus and blank are one in a repository id, as in a form.",
        || vault(collating(|id| id.replace('+', " "))),
    ),
    fault(
        "ids-without-entities",
        &CREATE_IDS_EXACT,
        "HTML entities in a repository id are what they stand for.",
        || vault(collating(|id| id.replace("&lt;", "<").replace("&amp;", "&"))),
    ),
    fault("ids-without-padding", &CREATE_IDS_EXACT, "Equals signs at the end of a repository id don't count.", || {
        vault(collating(|id| id.trim_end_matches('=').to_owned()))
    }),
    fault(
        "ids-by-java-hash",
        &CREATE_IDS_EXACT,
        "Repositories are found by the hash of their id, and hashes that collide aren't told apart.",
        || vault(collating(java_hash)),
    ),
    fault("ids-cut-at-48", &CREATE_IDS_EXACT, "Only the first 48 characters of a repository id count.", || {
        vault(collating(|id| id.chars().take(48).collect()))
    }),
    fault(
        "ids-cut-at-191",
        &CREATE_IDS_EXACT,
        "Only the first 191 characters of a repository id count, as in an index of MySQL.",
        || vault(collating(|id| id.chars().take(191).collect())),
    ),
    fault("ids-cut-at-255", &CREATE_IDS_EXACT, "Only the first 255 characters of a repository id count.", || {
        vault(collating(|id| id.chars().take(255).collect()))
    }),
    fault(
        "ids-match-like",
        &CREATE_IDS_EXACT,
        "An underscore or percent sign in an id that is asked for matches others, as in LIKE.",
        || vault(matching(like)),
    ),
    fault(
        "ids-match-glob",
        &CREATE_IDS_EXACT,
        "A question mark or asterisk in an id that is asked for matches others, as in a file name pattern.",
        || vault(matching(glob)),
    ),
    fault("member-ids-case-folded", &ADD_RECORDS, "Member ids that differ only in case are one member.", || {
        vault(Members(str::to_lowercase))
    }),
    fault(
        "member-ids-cut-at-42",
        &ADD_RECORDS,
        "Member ids that differ only in their last digits are one member.",
        || vault(Members(|id| id.chars().take(42).collect())),
    ),
    fault("member-ids-without-punctuation", &ADD_RECORDS, "Plus and slash in a member id are one.", || {
        vault(Members(|id| id.replace('+', "/")))
    }),
];
