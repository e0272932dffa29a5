//! Columns that are too short for what is stored in them, or that make something else of it (SPEC §4).

use super::table::*;
use crate::codec::base64;
use crate::server::refusal::Refusal;
use crate::server::repo::{Repo, VaultCommand};
use crate::server::route::Route;
use crate::server::rules::VaultRules;
use crate::wire::WrappedKey;

/// A server that changes one kind of text when it is stored.
struct Column(fn(&mut Repo));

impl VaultRules for Column {
    fn stored(&self, _: Route, _: Option<&Repo>, mut next: Repo) -> Repo {
        (self.0)(&mut next);
        next
    }
}

pub fn html_escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Shortens a text to so many characters.
pub fn cut(text: &mut String, most: usize) {
    if let Some((end, _)) = text.char_indices().nth(most) {
        text.truncate(end);
    }
}

pub fn keys(repo: &mut Repo, change: impl Fn(&mut WrappedKey)) {
    repo.manifest.members.iter_mut().for_each(|entry| change(&mut entry.wrapped_data_key));
}

fn schemes(repo: &mut Repo, change: impl Fn(&str) -> String) {
    repo.manifest.scheme_id = change(&repo.manifest.scheme_id);
    keys(repo, |key| key.scheme_id = change(&key.scheme_id));
}

/// Changes the bytes behind a base64 text.
pub fn bytes(text: &mut String, change: impl FnOnce(Vec<u8>) -> Vec<u8>) {
    if let Ok(bytes) = base64::decode(text) {
        *text = base64::encode(&change(bytes));
    }
}

pub fn without_end(byte: u8) -> impl Fn(Vec<u8>) -> Vec<u8> + Copy {
    move |mut bytes| {
        while bytes.last() == Some(&byte) {
            bytes.pop();
        }
        bytes
    }
}

fn without_beginning(mut bytes: Vec<u8>) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.drain(..zeros);
    bytes
}

/// What is longer than a column is an error of the database, and nobody catches that.
struct TooLong(fn(&VaultCommand) -> Option<&str>);

impl VaultRules for TooLong {
    fn shape(&self, command: &VaultCommand) -> Result<(), Refusal> {
        if (self.0)(command).is_some_and(|text| text.len() > 255) {
            return Err(Refusal::internal("value too long for type character varying(255)"));
        }
        crate::server::validate::command(command)
    }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "repo-id-over-255-is-500",
        &STORED_VERBATIM,
        "An id of more than 255 characters is an error of the database: 500.",
        || {
            vault(TooLong(|command| match command {
                VaultCommand::Create(request) => Some(&request.manifest.repo_id),
                _ => None,
            }))
        },
    ),
    fault(
        "wrapped-scheme-over-255-is-500",
        &STORED_VERBATIM,
        "A wrapped key's schemeId of more than 255 characters is an error of the database: 500.",
        || {
            vault(TooLong(|command| match command {
                VaultCommand::Push(request) => {
                    let members = request.rotated_members.as_deref().unwrap_or_default().iter();
                    members.map(|entry| entry.wrapped_data_key.scheme_id.as_str()).max_by_key(|text| text.len())
                }
                _ => None,
            }))
        },
    ),
    fault("repo-id-cut-at-255", &STORED_VERBATIM, "Repository ids are served up to their 255th character.", || {
        vault(Column(|repo| cut(&mut repo.manifest.repo_id, 255)))
    }),
    fault(
        "envelope-repo-id-cut-at-64",
        &STORED_VERBATIM,
        "The repository id of an envelope is served up to its 64th character.",
        || vault(Column(|repo| cut(&mut repo.envelope.repo_id, 64))),
    ),
    fault(
        "manifest-scheme-cut-at-32",
        &STORED_VERBATIM,
        "The schemeId of a manifest is cut off after 32 characters.",
        || vault(Column(|repo| cut(&mut repo.manifest.scheme_id, 32))),
    ),
    fault(
        "manifest-scheme-cut-at-255",
        &STORED_VERBATIM,
        "The schemeId of a manifest is cut off after 255 characters.",
        || vault(Column(|repo| cut(&mut repo.manifest.scheme_id, 255))),
    ),
    fault(
        "wrapped-scheme-cut-at-32",
        &STORED_VERBATIM,
        "The schemeId of a wrapped key is cut off after 32 characters.",
        || vault(Column(|repo| keys(repo, |key| cut(&mut key.scheme_id, 32)))),
    ),
    fault(
        "wrapped-scheme-cut-at-100",
        &STORED_VERBATIM,
        "The schemeId of a wrapped key is cut off after 100 characters.",
        || vault(Column(|repo| keys(repo, |key| cut(&mut key.scheme_id, 100)))),
    ),
    fault(
        "wrapped-ciphertext-cut-at-128",
        &STORED_VERBATIM,
        "The ciphertext of a wrapped key is cut off after 128 characters.",
        || vault(Column(|repo| keys(repo, |key| cut(&mut key.ciphertext, 128)))),
    ),
    fault(
        "wrapped-ciphertext-cut-at-512",
        &STORED_VERBATIM,
        "The ciphertext of a wrapped key is cut off after 512 characters.",
        || vault(Column(|repo| keys(repo, |key| cut(&mut key.ciphertext, 512)))),
    ),
    fault(
        "wrapped-ciphertext-cut-at-64k",
        &STORED_VERBATIM,
        "The ciphertext of a wrapped key is cut off after 65,535 characters.",
        || vault(Column(|repo| keys(repo, |key| cut(&mut key.ciphertext, 65_535)))),
    ),
    fault(
        "ciphertext-of-4096-loses-last",
        &STORED_VERBATIM,
        "A ciphertext that fills a buffer of 4,096 characters to the end loses its last four.",
        || {
            vault(Column(|repo| {
                if repo.envelope.ciphertext.len() == 4096 {
                    repo.envelope.ciphertext.truncate(4092);
                }
            }))
        },
    ),
    fault(
        "ciphertext-of-65536-loses-last",
        &STORED_VERBATIM,
        "A ciphertext that fills a buffer of 65,536 characters to the end loses its last four.",
        || {
            vault(Column(|repo| {
                if repo.envelope.ciphertext.len() == 65_536 {
                    repo.envelope.ciphertext.truncate(65_532);
                }
            }))
        },
    ),
    fault(
        "ciphertext-loses-last-zeros",
        &STORED_VERBATIM,
        "Zero bytes at the end of a ciphertext are lost, as in a BINARY column.",
        || vault(Column(|repo| bytes(&mut repo.envelope.ciphertext, without_end(0)))),
    ),
    fault(
        "ciphertext-loses-first-zeros",
        &STORED_VERBATIM,
        "Zero bytes at the beginning of a ciphertext are lost, as of a number.",
        || vault(Column(|repo| bytes(&mut repo.envelope.ciphertext, without_beginning))),
    ),
    fault(
        "ciphertext-loses-last-blanks",
        &STORED_VERBATIM,
        "Blanks at the end of a ciphertext are lost, as in a CHAR column.",
        || vault(Column(|repo| bytes(&mut repo.envelope.ciphertext, without_end(b' ')))),
    ),
    fault("ciphertext-loses-line-end", &STORED_VERBATIM, "A line end at the end of a ciphertext is lost.", || {
        vault(Column(|repo| bytes(&mut repo.envelope.ciphertext, without_end(b'\n'))))
    }),
    fault("iv-loses-last-zeros", &STORED_VERBATIM, "Zero bytes at the end of an IV are lost.", || {
        vault(Column(|repo| bytes(&mut repo.envelope.iv, without_end(0))))
    }),
    fault(
        "wrapped-iv-loses-first-zeros",
        &STORED_VERBATIM,
        "Zero bytes at the beginning of a wrapped key's IV are lost.",
        || vault(Column(|repo| keys(repo, |key| bytes(&mut key.iv, without_beginning)))),
    ),
    fault(
        "wrapped-ciphertext-ends-at-zero",
        &STORED_VERBATIM,
        "The ciphertext of a wrapped key ends at its first zero byte.",
        || {
            vault(Column(|repo| {
                keys(repo, |key| {
                    bytes(&mut key.ciphertext, |bytes| {
                        bytes.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
                    })
                })
            }))
        },
    ),
    fault(
        "ephemeral-key-loses-last-zeros",
        &STORED_VERBATIM,
        "Zero bytes at the end of an ephemeral key are lost.",
        || vault(Column(|repo| keys(repo, |key| bytes(&mut key.ephemeral_public_key, without_end(0))))),
    ),
    fault("x25519-key-loses-last-blanks", &STORED_VERBATIM, "Blanks at the end of an X25519 key are lost.", || {
        vault(Column(|repo| {
            repo.manifest.members.iter_mut().for_each(|entry| bytes(&mut entry.x25519_public_key, without_end(b' ')))
        }))
    }),
    fault("scheme-trimmed", &STORED_VERBATIM, "White space at the ends of a schemeId is lost.", || {
        vault(Column(|repo| schemes(repo, |text| text.trim().to_owned())))
    }),
    fault("scheme-lower-cased", &STORED_VERBATIM, "A schemeId that isn't known is stored in lower case.", || {
        vault(Column(|repo| {
            schemes(repo, |text| if text.starts_with("X25519-HKDF") { text.to_owned() } else { text.to_lowercase() })
        }))
    }),
    fault("scheme-ends-at-nul", &STORED_VERBATIM, "A schemeId ends at its first NUL.", || {
        vault(Column(|repo| schemes(repo, |text| text.split('\0').next().unwrap_or_default().to_owned())))
    }),
    fault(
        "scheme-without-emoji",
        &STORED_VERBATIM,
        "A character of four bytes in a schemeId becomes a question mark, as in MySQL's old utf8.",
        || vault(Column(|repo| schemes(repo, |text| text.replace(|c| c > '\u{ffff}', "?")))),
    ),
    fault(
        "scheme-in-latin-1",
        &STORED_VERBATIM,
        "A character outside Latin-1 in a schemeId becomes a question mark.",
        || vault(Column(|repo| schemes(repo, |text| text.replace(|c| c > '\u{ff}', "?")))),
    ),
    fault("scheme-composed", &STORED_VERBATIM, "A schemeId is stored in Unicode's composed form (NFC).", || {
        vault(Column(|repo| schemes(repo, |text| text.replace("e\u{301}", "é"))))
    }),
    fault("scheme-html-escaped", &STORED_VERBATIM, "A schemeId is stored with the escapes of HTML.", || {
        vault(Column(|repo| schemes(repo, html_escaped)))
    }),
    fault(
        "scheme-quotes-doubled",
        &STORED_VERBATIM,
        "Quotes in a schemeId come back doubled, as SQL escapes them.",
        || vault(Column(|repo| schemes(repo, |text| text.replace('\'', "''")))),
    ),
    fault("scheme-backslash-lost", &STORED_VERBATIM, "A backslash in a schemeId is lost.", || {
        vault(Column(|repo| schemes(repo, |text| text.replace('\\', ""))))
    }),
    fault("scheme-line-ends-unified", &STORED_VERBATIM, "Line ends in a schemeId become single line feeds.", || {
        vault(Column(|repo| schemes(repo, |text| text.replace("\r\n", "\n"))))
    }),
    fault("scheme-without-bom", &STORED_VERBATIM, "A byte order mark at the beginning of a schemeId is lost.", || {
        vault(Column(|repo| schemes(repo, |text| text.trim_start_matches('\u{feff}').to_owned())))
    }),
    fault(
        "scheme-as-number",
        &STORED_VERBATIM,
        "A schemeId that reads as a number comes back as one, so 1e3 is 1000.",
        || {
            vault(Column(|repo| {
                schemes(repo, |text| text.parse::<f64>().map_or_else(|_| text.to_owned(), |number| number.to_string()))
            }))
        },
    ),
    fault("scheme-null-is-empty", &STORED_VERBATIM, "The schemeId null comes back empty.", || {
        vault(Column(|repo| schemes(repo, |text| if text == "null" { String::new() } else { text.to_owned() })))
    }),
    fault("scheme-empty-is-default", &STORED_VERBATIM, "An empty schemeId comes back as the usual one.", || {
        vault(Column(|repo| {
            schemes(
                repo,
                |text| if text.is_empty() { crate::codec::key_wrap::SCHEME_ID.to_owned() } else { text.to_owned() },
            )
        }))
    }),
    fault("scheme-percent-decoded", &STORED_VERBATIM, "Percent escapes in a schemeId are decoded.", || {
        vault(Column(|repo| schemes(repo, |text| text.replace("%41", "A").replace("%25", "%"))))
    }),
    fault("scheme-plus-is-space", &STORED_VERBATIM, "A plus in a schemeId becomes a space.", || {
        vault(Column(|repo| schemes(repo, |text| text.replace('+', " "))))
    }),
];
