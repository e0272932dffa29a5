//! Where report files go, and how they get there: whole or not at all.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::format::Format;
use super::run::Run;

/// Why a report can't be written, or isn't asked for properly.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// Not `FORMAT=PATH`.
    #[error("{0:?} isn't FORMAT=PATH, e.g. json=report.json or markdown=- for standard output")]
    Shape(String),
    /// A format that doesn't exist.
    #[error("{0:?} is no report format: there are {names}", names = names())]
    Format(String),
    /// The folder of the file doesn't exist.
    #[error("{}: the folder {} doesn't exist", path.display(), folder.display())]
    Folder {
        /// The report.
        path: PathBuf,
        /// Its folder.
        folder: PathBuf,
    },
    /// The path is a folder.
    #[error("{}: is a folder", .0.display())]
    IsFolder(PathBuf),
    /// The file system said no.
    #[error("{}: {source}", path.display())]
    Io {
        /// The report.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
    /// Standard output said no.
    #[error("standard output: {0}")]
    Stdout(std::io::Error),
}

/// The formats as a sentence has them.
fn names() -> String {
    let names = Format::ALL.map(Format::name);
    let (last, others) = names.split_last().expect("there are formats");
    format!("{} and {last}", others.join(", "))
}

/// Where a report goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Standard output.
    Stdout,
    /// A file; its folder must exist.
    File(PathBuf),
}

/// A report that is asked for: `FORMAT=PATH`, where `-` is standard output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportSpec {
    /// In which format.
    pub format: Format,
    /// Where to.
    pub destination: Destination,
}

impl std::str::FromStr for ReportSpec {
    type Err = ReportError;

    fn from_str(text: &str) -> Result<Self, ReportError> {
        let (format, path) = match text.split_once('=') {
            Some((format, path)) if !path.trim().is_empty() => (format.trim(), path),
            _ => return Err(ReportError::Shape(text.into())),
        };
        let format = Format::by_name(format).ok_or_else(|| ReportError::Format(format.into()))?;
        let destination = if path == "-" { Destination::Stdout } else { Destination::File(path.into()) };
        Ok(Self { format, destination })
    }
}

impl ReportSpec {
    /// Finds out before a run whether the report can be written after it. Leaves nothing behind.
    ///
    /// # Errors
    /// [`ReportError::Folder`], [`ReportError::IsFolder`] or [`ReportError::Io`].
    pub fn check_writable(&self) -> Result<(), ReportError> {
        let Destination::File(path) = &self.destination else { return Ok(()) };
        let io = |source| ReportError::Io { path: path.clone(), source };
        match kind_of(path)? {
            PathKind::Special => OpenOptions::new().write(true).open(path).map(drop).map_err(io),
            PathKind::Regular { file } if file.exists() => {
                OpenOptions::new().append(true).open(&file).map(drop).map_err(io)
            }
            PathKind::Regular { file } => {
                let temporary = temporary(&file);
                OpenOptions::new().write(true).create(true).truncate(true).open(&temporary).map_err(io)?;
                fs::remove_file(&temporary).map_err(io)
            }
        }
    }

    /// Writes the report. A file appears whole, under its name, or not at all; only where a file can't be replaced (a mount
    /// of its own, as in some CI systems) it is written in place.
    ///
    /// # Errors
    /// As [`Self::check_writable`], and [`ReportError::Stdout`].
    pub fn write(&self, run: &Run) -> Result<(), ReportError> {
        let text = self.format.render(run);
        match &self.destination {
            Destination::Stdout => {
                let mut out = std::io::stdout().lock();
                out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(ReportError::Stdout)
            }
            Destination::File(path) => {
                write_whole(path, text.as_bytes()).map_err(|source| ReportError::Io { path: path.clone(), source })
            }
        }
    }
}

/// What is at a path.
enum PathKind {
    /// A device or a pipe, to be written to as it is: renaming a file over `/dev/null` would be a catastrophe.
    Special,
    /// A file, or nothing yet; links are followed.
    Regular { file: PathBuf },
}

fn kind_of(path: &Path) -> Result<PathKind, ReportError> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(ReportError::IsFolder(path.into())),
        Ok(found) if !found.is_file() => Ok(PathKind::Special),
        Ok(_) => Ok(PathKind::Regular { file: fs::canonicalize(path).unwrap_or_else(|_| path.into()) }),
        Err(_) => {
            let folder = match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent,
                _ => Path::new("."),
            };
            if !folder.is_dir() {
                return Err(ReportError::Folder { path: path.into(), folder: folder.into() });
            }
            Ok(PathKind::Regular { file: path.into() })
        }
    }
}

/// A hidden neighbour of the file: a rename within a folder is atomic.
fn temporary(file: &Path) -> PathBuf {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    file.with_file_name(format!(".{name}.{}.tmp", std::process::id()))
}

fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let file = match kind_of(path) {
        Ok(PathKind::Regular { file }) => file,
        Ok(PathKind::Special) => return OpenOptions::new().write(true).open(path)?.write_all(bytes),
        Err(error) => return Err(std::io::Error::other(error.to_string())),
    };
    let temporary = temporary(&file);
    let written = fs::write(&temporary, bytes).and_then(|()| fs::rename(&temporary, &file));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    if written.is_err() && file.exists() { fs::write(&file, bytes) } else { written }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    fn spec(text: &str) -> Result<ReportSpec, String> {
        text.parse::<ReportSpec>().map_err(|error| error.to_string())
    }

    #[test]
    fn parses() {
        assert_eq!(spec("json=-").unwrap(), ReportSpec { format: Format::Json, destination: Destination::Stdout });
        let file = spec("markdown=a=b.md").unwrap();
        assert_eq!(file.destination, Destination::File("a=b.md".into()));
        assert!(spec("json").unwrap_err().contains("FORMAT=PATH"));
        assert!(spec("json=").unwrap_err().contains("FORMAT=PATH"));
        assert!(spec("pdf=x").unwrap_err().contains("json, junit, markdown, html, github, sarif, tap, har and badge"));
    }

    #[test]
    fn writes_whole_files_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        let spec = spec(&format!("json={}", path.display())).unwrap();
        spec.check_writable().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        for _ in 0..2 {
            spec.write(&samples::mixed()).unwrap();
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(fs::read_to_string(path).unwrap().starts_with("{\n"));
    }

    #[test]
    fn says_beforehand_what_will_not_work() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let error = |text: String| spec(&text).unwrap().check_writable().unwrap_err().to_string();
        assert!(error(format!("json={}/no/report.json", path.display())).contains("doesn't exist"));
        assert!(error(format!("json={}", path.display())).contains("is a folder"));
        spec("json=/dev/null").unwrap().check_writable().unwrap();
        spec("json=/dev/null").unwrap().write(&samples::mixed()).unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }

    #[cfg(unix)]
    #[test]
    fn writes_through_links() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::write(&real, "old").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        spec(&format!("json={}", link.display())).unwrap().write(&samples::mixed()).unwrap();
        assert!(fs::read_to_string(&real).unwrap().starts_with('{'));
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }
}
