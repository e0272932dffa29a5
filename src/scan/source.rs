//! What can be searched, and what came of it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use super::error::SourceError;
use super::job::{Guise, Location, Sighting};

/// Things left out that are named; more are only counted.
const NAMED: usize = 100;

/// What something is to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// What it stores.
    Storage,
    /// What it logs.
    Log,
    /// What it has in mind.
    Memory,
}

/// Something to search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file, or a folder and all that is in it.
    Path(Role, PathBuf),
    /// What a shell command prints.
    Command(String),
    /// The memory of a process; Linux only.
    Process(u32),
}

impl Source {
    /// Whether there is something to search.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn check(&self) -> Result<(), SourceError> {
        match self {
            Self::Path(_, path) => {
                let failed = |source| SourceError::Path { path: path.display().to_string(), source };
                let metadata = std::fs::metadata(path).map_err(failed)?;
                if metadata.is_dir() {
                    std::fs::read_dir(path).map(drop).map_err(failed)
                } else if metadata.is_file() {
                    super::file::Positioned::open(path).map(drop).map_err(failed)
                } else {
                    Err(failed(std::io::Error::other("neither a file nor a folder")))
                }
            }
            Self::Command(_) => Ok(()),
            Self::Process(pid) => super::memory::check(*pid),
        }
    }
}

/// Where something was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// What that is to the server.
    pub role: Role,
    /// The file, command or region of memory.
    pub source: String,
    /// Whether the server could still be asked for it, as far as one can tell: a value of a database, or what a command
    /// printed; not the free space of a file.
    pub live: bool,
    /// What was found.
    pub sighting: Sighting,
}

/// What was searched, and what was found.
#[derive(Clone, Debug, Default)]
pub struct ScanOutcome {
    /// By source.
    pub hits: Vec<Hit>,
    /// What was left out or cut short, and why.
    pub remarks: Vec<String>,
    /// Bytes that were read.
    pub bytes: u64,
    /// Files, commands and regions of memory that were read.
    pub sources: u64,
    /// Whether time ran out before everything was read.
    pub cut_short: bool,
}

/// How far a search is; shared with whoever shows it.
#[derive(Debug, Default)]
pub struct ScanProgress {
    /// Bytes known to be there.
    pub total: AtomicU64,
    /// Bytes read.
    pub done: AtomicU64,
    /// Set to end the search early.
    pub stop: AtomicBool,
    /// When it ends in any case.
    pub(super) until: OnceLock<Instant>,
}

impl ScanProgress {
    /// Whether the search is to end.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.is_late()
    }

    /// Whether time has run out.
    pub(super) fn is_late(&self) -> bool {
        self.until.get().is_some_and(|until| *until <= Instant::now())
    }
}

/// Puts together what was found in pieces.
#[derive(Default)]
pub(super) struct Collected {
    hits: BTreeMap<(Role, String), BTreeMap<Guise, (bool, Sighting)>>,
    remarks: BTreeMap<String, String>,
    unnamed: u64,
    pub sources: u64,
    /// Whether time ran out before everything was read.
    pub cut_short: bool,
}

impl Collected {
    /// Takes what was found in a piece of a source.
    pub fn add(&mut self, role: Role, source: &str, live: bool, sightings: Vec<Sighting>) {
        if sightings.is_empty() {
            return;
        }
        let of_source = self.hits.entry((role, source.to_owned())).or_default();
        for sighting in sightings {
            let column = match &sighting.location {
                Location::Offset(_) => None,
                Location::Column { table, column, .. } => Some((table.clone(), column.clone())),
            };
            let live = live || column.is_some();
            match of_source.entry((sighting.tag, sighting.form, sighting.layers.clone(), column)) {
                Entry::Vacant(entry) => drop(entry.insert((live, sighting))),
                Entry::Occupied(mut entry) => {
                    let known = &mut entry.get_mut().1;
                    let times = known.times + sighting.times;
                    if (!sighting.whole, &sighting.location) < (!known.whole, &known.location) {
                        *known = sighting;
                    }
                    known.times = times;
                }
            }
        }
    }

    /// Notes what was left out of a source; the first reason counts.
    pub fn remark(&mut self, source: &str, reason: impl ToString) {
        if self.remarks.len() >= NAMED && !self.remarks.contains_key(source) {
            self.unnamed += 1;
        } else {
            self.remarks.entry(source.to_owned()).or_insert_with(|| reason.to_string());
        }
    }

    /// All of it. What a database has in a row isn't reported from the bytes of its files once more.
    pub fn finish(self, bytes: u64) -> ScanOutcome {
        let mut in_rows: BTreeMap<String, Vec<u32>> = BTreeMap::new();
        for ((_, source), guises) in &self.hits {
            let tags = guises.iter().filter(|((.., column), _)| column.is_some()).map(|((tag, ..), _)| *tag);
            let tags: Vec<u32> = tags.collect();
            let wal = super::sqlite::wal_of(Path::new(source)).display().to_string();
            in_rows.entry(wal).or_default().extend(&tags);
            in_rows.entry(source.clone()).or_default().extend(&tags);
        }
        let mut hits = Vec::new();
        for ((role, source), guises) in self.hits {
            let known = in_rows.get(&source).map_or(&[][..], Vec::as_slice);
            for ((tag, _, _, column), (live, sighting)) in guises {
                if column.is_some() || !known.contains(&tag) {
                    hits.push(Hit { role, source: source.clone(), live, sighting });
                }
            }
        }
        let mut remarks: Vec<_> =
            self.remarks.into_iter().map(|(source, reason)| format!("{source}: {reason}")).collect();
        if self.unnamed > 0 {
            remarks.push(format!("{} more", self.unnamed));
        }
        ScanOutcome { hits, remarks, bytes, sources: self.sources, cut_short: self.cut_short }
    }
}
