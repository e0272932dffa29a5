//! The rows of a SQLite database, read from its file and write-ahead log without disturbing whoever has it open.
//!
//! The bytes of the file are searched anyway; what is read here are the values that the database can still be asked for, so
//! that a finding names table and column, and so that values are whole which the file keeps in pieces (overflow pages).
//! SQLite itself would have to be given a copy, or take locks. The format: <https://sqlite.org/fileformat2.html>.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::file::Positioned;

mod declaration;
mod record;
mod schema;

pub(super) use record::Values;
use record::varint;

/// First bytes of a database.
pub(super) const MAGIC: &[u8; 16] = b"SQLite format 3\0";
const WAL_HEADER: u64 = 32;
const FRAME_HEADER: u64 = 24;
/// Deeper trees than this would need more pages than there can be.
const DEEPEST: usize = 40;

/// A database that is being read.
pub(super) struct Database {
    file: Positioned,
    wal: Option<Positioned>,
    /// Offsets in the log of the latest committed version of each page.
    latest: HashMap<u32, u64>,
    page_size: usize,
    /// Bytes of a page that are used.
    usable: usize,
    pages: u32,
}

/// A table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub name: String,
    /// Names of the columns as records have them.
    pub columns: Vec<String>,
    root: u32,
}

/// Where a visitor gets values.
pub(super) trait Visitor {
    /// Whether it has had enough.
    fn is_done(&self) -> bool {
        false
    }
    /// A number.
    fn integer(&mut self, _column: usize, _value: i64) {}
    /// A value of at least some bytes begins.
    fn begin(&mut self, table: &Table, column: usize, row: Option<i64>);
    /// Some of its bytes.
    fn bytes(&mut self, bytes: &[u8]);
    /// It is complete.
    fn end(&mut self);
}

/// The write-ahead log of a database.
pub(super) fn wal_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn be16(bytes: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?)))
}

impl Database {
    /// Opens a database with its log; `None` if it isn't one.
    pub fn open(path: &Path) -> Option<Self> {
        let file = Positioned::open(path).ok()?;
        let wal = Positioned::open(&wal_of(path)).ok();
        let mut header = [0; 100];
        file.read_exact_at(&mut header, 0).ok()?;
        if !header.starts_with(MAGIC) {
            return None;
        }
        let page_size = match be16(&header, 16)? {
            1 => 65536,
            size if size.is_power_of_two() && size >= 512 => size,
            _ => return None,
        };
        let usable = page_size - usize::from(header[20]);
        let latest = wal.as_ref().and_then(|wal| committed(wal, page_size)).unwrap_or_default();
        let in_file = u32::try_from(file.length() / page_size as u64).unwrap_or(u32::MAX - 1);
        let pages = latest.keys().copied().max().unwrap_or(0).max(in_file);
        (usable >= 480).then_some(Self { file, wal, latest, page_size, usable, pages })
    }

    fn page(&self, number: u32) -> Option<Vec<u8>> {
        if number == 0 || number > self.pages {
            return None;
        }
        let mut page = vec![0; self.page_size];
        match (self.latest.get(&number), &self.wal) {
            (Some(offset), Some(wal)) => wal.read_exact_at(&mut page, *offset).ok()?,
            _ => self.file.read_exact_at(&mut page, u64::from(number - 1) * self.page_size as u64).ok()?,
        }
        Some(page)
    }

    /// Shows every text and blob of every table to a visitor. What is damaged, or changes meanwhile, is left out.
    pub fn visit(&self, visitor: &mut dyn Visitor) {
        let mut unread = Unread::default();
        for table in schema::tables(self) {
            self.rows(&table, &mut unread, visitor);
        }
    }

    /// Walks the tree of a table.
    fn rows(&self, table: &Table, unread: &mut Unread, visitor: &mut dyn Visitor) {
        let mut waiting = vec![(table.root, 0)];
        while let Some((number, depth)) = waiting.pop() {
            if visitor.is_done() {
                return;
            }
            if depth < DEEPEST
                && unread.take(number)
                && let Some(page) = self.page(number)
            {
                let mut below = |child| waiting.push((child, depth + 1));
                self.tree_page(table, number, &page, unread, visitor, &mut below);
            }
        }
    }

    /// Shows the cells of a page, and names the pages below it.
    fn tree_page(
        &self,
        table: &Table,
        number: u32,
        page: &[u8],
        unread: &mut Unread,
        visitor: &mut dyn Visitor,
        below: &mut dyn FnMut(u32),
    ) -> Option<()> {
        let start = if number == 1 { 100 } else { 0 };
        let kind = *page.get(start)?;
        let is_inner = matches!(kind, 2 | 5);
        let pointers = start + if is_inner { 12 } else { 8 };
        // Cells don't overlap; where they seem to, a page would hold more than it can.
        let mut left = page.len();
        for cell in 0..be16(page, start + 3)? {
            if visitor.is_done() {
                break;
            }
            let mut at = be16(page, pointers + 2 * cell)?;
            if is_inner {
                below(be32(page, at)?);
                at += 4;
            }
            if kind != 5 {
                self.cell(table, kind, page, (at, &mut left), unread, visitor);
            }
        }
        if is_inner {
            below(be32(page, start + 8)?);
        }
        Some(())
    }

    /// Shows the values of one row, of which no more is in the page than what is left there.
    fn cell(
        &self,
        table: &Table,
        kind: u8,
        page: &[u8],
        (mut at, left): (usize, &mut usize),
        unread: &mut Unread,
        visitor: &mut dyn Visitor,
    ) -> Option<()> {
        let length = usize::try_from(varint(page, &mut at)?).ok()?;
        let row = match kind {
            13 => Some(varint(page, &mut at)?),
            2 | 10 => None,
            _ => return None,
        };
        let most = if kind == 13 { self.usable - 35 } else { (self.usable - 12) * 64 / 255 - 23 };
        let least = (self.usable - 12) * 32 / 255 - 23;
        let here = if length <= most {
            length
        } else {
            let fitting = least + (length - least) % (self.usable - 4);
            if fitting <= most { fitting } else { least }
        };
        *left = left.checked_sub(here)?;
        let local = page.get(at..at + here)?;
        let mut values = Values::new(table, row, visitor);
        values.feed(local);
        let mut next = if here < length { be32(page, at + here)? } else { 0 };
        let mut rest = length - here;
        while rest > 0 && unread.take(next) && !values.is_done() {
            let page = self.page(next)?;
            let piece = page.get(4..self.usable)?;
            let piece = &piece[..piece.len().min(rest)];
            values.feed(piece);
            rest -= piece.len();
            next = be32(&page, 0)?;
        }
        Some(())
    }
}

/// The pages of a database that haven't been read. None is read twice, so that a tree or chain of pages that is none comes to an end.
#[derive(Default)]
struct Unread {
    // As large as what was read: the numbers of pages are anything that a file says.
    read: HashSet<u32>,
}

impl Unread {
    /// Whether it hadn't been read; now it counts as read.
    fn take(&mut self, number: u32) -> bool {
        self.read.insert(number)
    }
}

/// The pages that complete transactions have left in a log.
fn committed(wal: &Positioned, page_size: usize) -> Option<HashMap<u32, u64>> {
    let mut header = [0; WAL_HEADER as usize];
    wal.read_exact_at(&mut header, 0).ok()?;
    if be32(&header, 0)? & !1 != 0x377f_0682 || be32(&header, 8)? as usize != page_size {
        return None;
    }
    let (mut latest, mut pending) = (HashMap::new(), Vec::new());
    let mut at = WAL_HEADER;
    let mut frame = [0; FRAME_HEADER as usize];
    // Frames of an earlier round of the log carry other salts. The checksums aren't verified: a torn frame has no commit after it.
    while wal.read_exact_at(&mut frame, at).is_ok() && frame[8..16] == header[16..24] {
        pending.push((be32(&frame, 0)?, at + FRAME_HEADER));
        if be32(&frame, 4)? != 0 {
            latest.extend(pending.drain(..));
        }
        at += FRAME_HEADER + page_size as u64;
    }
    Some(latest)
}

#[cfg(test)]
mod tests;
