//! What is looked for: the secrets of a run, and the file in which they are kept for later.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::search::SearcherBuilder;
use super::{Searcher, Sighting};
use crate::codec::base64;
use crate::ground::hex;

/// What a secret is to the server, and so what it means to find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// A value of an account, sent encrypted only.
    Account,
    /// A data key, Ed25519 seed or X25519 private key.
    Key,
    /// A shared secret, or the key made of it that a data key is wrapped with.
    WrappingKey,
    /// What was sent along where no protocol asks for it.
    Unasked,
    /// A bearer token.
    Token,
    /// A nonce that has bought a token.
    Nonce,
    /// An envelope or wrapped key that a removal has replaced.
    Replaced,
    /// No secret: what a server must store. Where none of it is found, nothing can be said of what isn't.
    Stored,
}

impl Class {
    /// Whether a part of it is as good as the whole. Not where the server made it (its values may begin alike), nor for
    /// what would only make the index larger.
    fn counts_in_part(self) -> bool {
        matches!(self, Self::Account | Self::Key | Self::Unasked)
    }
}

/// A value to look for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Secret {
    /// What it is to the server.
    pub class: Class,
    /// What it is, e.g. `data key`.
    pub what: Cow<'static, str>,
    /// The check that made it.
    pub check: Cow<'static, str>,
    /// Its raw bytes.
    #[serde(with = "in_base64")]
    pub bytes: Vec<u8>,
}

impl Secret {
    /// What it is, and in which guise it was seen, e.g. `a part of the data key …`.
    pub fn seen_as(&self, sighting: &Sighting) -> String {
        let part = if sighting.whole { "" } else { "a part of " };
        let around: String = sighting.layers.iter().rev().map(|layer| format!(" in {layer}")).collect();
        format!("{part}the {} {} of {}, as {}{around}", self.what, self.shortened(), self.check, sighting.form)
    }

    /// Enough to recognise it by: the first bytes, in hex, or the first characters.
    pub fn shortened(&self) -> String {
        let head = &self.bytes[..self.bytes.len().min(8)];
        let is_text = head.iter().all(u8::is_ascii_graphic);
        match std::str::from_utf8(head) {
            Ok(text) if is_text => format!("{text}… ({} bytes)", self.bytes.len()),
            _ => format!("{}… ({} bytes)", hex::encode(&head[..head.len().min(4)]), self.bytes.len()),
        }
    }
}

/// The searcher for some secrets in files; their positions are the tags. Keys and values of accounts count in part.
pub fn searcher(secrets: &[Secret]) -> Arc<Searcher> {
    with_forms(Searcher::builder(), secrets, Class::counts_in_part)
}

/// The searcher for some secrets in the answers of a run, which are little text; their positions are the tags. Only values of
/// accounts count in part, which makes a smaller index.
pub fn searcher_of_answers(secrets: &[Secret]) -> Arc<Searcher> {
    with_forms(Searcher::builder_for_little_text(), secrets, |class| class == Class::Account)
}

fn with_forms(mut builder: SearcherBuilder, secrets: &[Secret], in_part: impl Fn(Class) -> bool) -> Arc<Searcher> {
    for (tag, secret) in (0..).zip(secrets) {
        builder.add_forms(tag, &secret.bytes, !in_part(secret.class));
    }
    Arc::new(builder.build())
}

/// Each value once.
pub fn distinct(secrets: impl IntoIterator<Item = Secret>) -> Vec<Secret> {
    let mut known = BTreeSet::new();
    secrets.into_iter().filter(|secret| known.insert(secret.bytes.clone())).collect()
}

mod in_base64 {
    use super::base64;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&base64::encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        base64::decode(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// Why a file of canaries can't be used.
#[derive(Debug, thiserror::Error)]
pub enum CanaryFileError {
    /// It can't be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is something else.
    #[error("{path}: this isn't a file that --save-canaries wrote ({reason})")]
    Format {
        /// The file.
        path: String,
        /// Where it goes wrong.
        reason: String,
    },
}

/// The file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CanaryFile<S> {
    format: Cow<'static, str>,
    secrets: S,
}

const FORMAT: &str = "avp-conform canaries 1";

/// Writes secrets to a file that only its owner can read.
///
/// # Errors
/// [`CanaryFileError::Io`].
pub fn save(path: &Path, secrets: &[Secret]) -> Result<(), CanaryFileError> {
    let failed = |source| CanaryFileError::Io { path: path.display().to_string(), source };
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path).map_err(failed)?;
    let mut file = std::io::BufWriter::new(file);
    serde_json::to_writer(&mut file, &CanaryFile { format: FORMAT.into(), secrets })
        .map_err(std::io::Error::from)
        .and_then(|()| file.flush())
        .map_err(failed)
}

/// Reads them back.
///
/// # Errors
/// [`CanaryFileError`].
pub fn load(path: &Path) -> Result<Vec<Secret>, CanaryFileError> {
    let shown = || path.display().to_string();
    let text = std::fs::read(path).map_err(|source| CanaryFileError::Io { path: shown(), source })?;
    let wrong = |reason: String| CanaryFileError::Format { path: shown(), reason };
    let file: CanaryFile<Vec<Secret>> = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
    if file.format != FORMAT {
        return Err(wrong(format!("its format is {:?}", file.format)));
    }
    Ok(file.secrets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_round_trip() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.json");
        let secret = |bytes: &[u8]| Secret {
            class: Class::Key,
            what: "data key".into(),
            check: "push/applies".into(),
            bytes: bytes.into(),
        };
        let secrets = [secret(&[7; 32]), secret(b"text that is secret")];
        save(&path, &secrets).unwrap();
        assert_eq!(load(&path).unwrap(), secrets);
        assert_eq!(secrets[0].shortened(), "07070707… (32 bytes)");
        assert_eq!(secrets[1].shortened(), "07070707… (32 bytes)".replace("07070707… (32", "74657874… (19"));
        std::fs::write(&path, "{}").unwrap();
        assert!(load(&path).unwrap_err().to_string().contains("isn't a file that --save-canaries wrote"));
        assert!(matches!(load(&folder.path().join("none")), Err(CanaryFileError::Io { .. })));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            save(&folder.path().join("new"), &[]).unwrap();
            let mode = folder.path().join("new").metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0);
        }
    }
}
