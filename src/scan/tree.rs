//! Finds the files of a folder and cuts them into pieces that can be searched at the same time.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use walkdir::WalkDir;

use super::file::Positioned;
use super::source::Role;

/// Length of a piece.
pub(super) const PIECE: u64 = 16 << 20;

/// A part of a file or of a memory.
pub(super) struct Piece {
    pub role: Role,
    /// How reports call it.
    pub source: String,
    pub file: Arc<Positioned>,
    /// What is to be searched; the last piece of a file that grows is as long as a piece may be.
    pub range: Range<u64>,
    /// Whether it is the first piece of a file, which tells what it is.
    pub first: bool,
}

/// Cuts a file into pieces, holes left out.
fn pieces(role: Role, source: &str, file: &Arc<Positioned>, send: &mut dyn FnMut(Piece)) {
    let (mut from, mut first) = (0, true);
    while let Some(data) = file.data(from) {
        let mut start = data.start & !7;
        while start < data.end {
            let is_last = data.end - start <= PIECE;
            let end = if data.end == file.length() && is_last { start + PIECE } else { data.end.min(start + PIECE) };
            let whole = Piece { role, source: source.to_owned(), file: Arc::clone(file), range: start..end, first };
            send(whole);
            first = false;
            start = end;
        }
        from = data.end;
    }
}

/// Sends the pieces of all files under a path, each file once. What isn't a file is told to `remark`, with why.
pub(super) fn walk(
    role: Role,
    path: &Path,
    but: Option<&Path>,
    send: &mut dyn FnMut(Piece),
    remark: &mut dyn FnMut(&str, String),
) {
    let but = but.and_then(|path| path.canonicalize().ok());
    let mut seen = HashSet::new();
    for entry in WalkDir::new(path).follow_links(true) {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let at = error.path().unwrap_or(path).display().to_string();
                let reason = match (error.loop_ancestor(), error.io_error()) {
                    (Some(ancestor), _) => format!("a symbolic link back to {}", ancestor.display()),
                    (None, Some(error)) => unread(Path::new(&at), error),
                    (None, None) => error.to_string(),
                };
                remark(&at, reason);
                continue;
            }
        };
        let source = entry.path().display().to_string();
        if entry.file_type().is_dir() {
            continue;
        }
        if !entry.file_type().is_file() {
            remark(&source, format!("{}, left out", special(entry.file_type())));
            continue;
        }
        if but.is_some() && entry.path().canonicalize().ok() == but {
            remark(&source, "the file of canaries itself, left out".into());
            continue;
        }
        #[cfg(unix)]
        if let Ok(metadata) = entry.metadata()
            && !seen.insert((
                std::os::unix::fs::MetadataExt::dev(&metadata),
                std::os::unix::fs::MetadataExt::ino(&metadata),
            ))
        {
            continue;
        }
        #[cfg(not(unix))]
        if !seen.insert(entry.path().to_owned()) {
            continue;
        }
        match Positioned::open(entry.path()) {
            Ok(file) => pieces(role, &source, &Arc::new(file), send),
            Err(error) => remark(&source, unread(entry.path(), &error)),
        }
    }
}

/// Why something isn't searched.
fn unread(path: &Path, error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound if path.is_symlink() => "a symbolic link to nothing".into(),
        ErrorKind::NotFound => "was removed before it could be searched".into(),
        _ => error.to_string(),
    }
}

#[cfg(unix)]
fn special(kind: std::fs::FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt as _;
    if kind.is_fifo() {
        "a fifo"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_block_device() || kind.is_char_device() {
        "a device"
    } else {
        "a special file"
    }
}

#[cfg(not(unix))]
fn special(_: std::fs::FileType) -> &'static str {
    "a special file"
}
