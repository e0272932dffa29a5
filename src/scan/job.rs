//! What the streams of one source have in common: what was found in them, and how much they may decode.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use zstd::stream::raw::{self, Operation as _};

use super::search::{Found, Searcher};

use crate::ground::lock;

/// Different hits that are kept for one source; more are only counted.
const KEPT: usize = 2000;
/// Binary logarithm of [`LARGEST_WINDOW`].
const LARGEST_WINDOW_LOG: u32 = 23;
/// The largest zstd window that is decoded, in bytes: 8 MiB, which all levels but `--ultra` and `--long` keep to.
pub(super) const LARGEST_WINDOW: u64 = 1 << LARGEST_WINDOW_LOG;
/// A larger window counts as the largest, because the decoder that has it is kept for others.
const SMALL_WINDOW: u64 = 1 << 20;
/// Bytes of zstd windows that may be open at once: four of the largest that are decoded.
const WINDOWS: u64 = 32 << 20;
/// The same before a job that has none open gets one, so that there is room for others within it.
const WINDOWS_OF_FIRST: u64 = 16 << 20;
/// What compressed parts may decode to: this much in any case,
const BUDGET: u64 = 64 << 20;
/// and this many times the length of their source. Deflate can't do more than 1032, and logs rarely more than 50.
const BUDGET_RATIO: u64 = 256;

/// Where in a source something was found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Location {
    /// That many bytes from its beginning; of the outermost encoded part, if it is in one.
    Offset(u64),
    /// In a value that a database can still be asked for.
    Column {
        /// Name of the table.
        table: String,
        /// Name of the column, or its number.
        column: String,
        /// The row's id, where rows have one.
        row: Option<i64>,
    },
}

/// One secret in one guise; where it was met first, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The number of the secret.
    pub tag: u32,
    /// Its form.
    pub form: &'static str,
    /// The encodings around it, outermost first.
    pub layers: Vec<&'static str>,
    /// Where it was met first.
    pub location: Location,
    /// Bytes of the text that show it.
    pub length: usize,
    /// Whether all of it is there.
    pub whole: bool,
    /// How often it was met in this guise.
    pub times: u64,
}

/// The zstd windows that all threads of a scan have open, which are the most memory that they take.
#[derive(Default)]
pub(super) struct Windows {
    open: Mutex<u64>,
    given_back: Condvar,
    /// Decoders that have had a large window and keep it: an allocator that is given such blocks back and asked for them
    /// again, by one thread and another, takes twice as much.
    idle: Mutex<Vec<raw::Decoder<'static>>>,
}

/// What a window counts.
fn cost(window: u64) -> u64 {
    if window > SMALL_WINDOW { LARGEST_WINDOW } else { window }
}

impl Windows {
    fn lock(&self) -> MutexGuard<'_, u64> {
        lock(&self.open)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<raw::Decoder<'static>>> {
        lock(&self.idle)
    }

    /// Opens one; a job that has none waits until there is room. Nobody waits who has one, so the wait comes to an end.
    fn take(&self, bytes: u64, is_first: bool) -> bool {
        let mut open = self.lock();
        if is_first {
            let is_full = |open: &mut u64| *open + bytes > WINDOWS_OF_FIRST;
            open = self.given_back.wait_while(open, is_full).unwrap_or_else(PoisonError::into_inner);
        }
        let is_room = *open + bytes <= WINDOWS;
        *open += if is_room { bytes } else { 0 };
        is_room
    }

    fn give_back(&self, bytes: u64) {
        *self.lock() -= bytes;
        self.given_back.notify_all();
    }
}

/// Secret, form, encodings, and table and column.
pub(super) type Guise = (u32, &'static str, Vec<&'static str>, Option<(String, String)>);

/// The same guise without undoing escapes.
fn without_escapes((tag, form, layers, value): &Guise) -> Option<Guise> {
    let without: Vec<_> = layers.iter().copied().filter(|layer| *layer != "escapes").collect();
    (without.len() < layers.len()).then(|| (*tag, *form, without, value.clone()))
}

/// The guises in which the same digits are found without being decoded.
fn without_decoding((tag, form, layers, value): &Guise) -> Vec<Guise> {
    let forms: &[_] = match layers.last() {
        Some(&"base64") if *form == "raw" => &["base64", "base64url"],
        Some(&"hex") if *form == "raw" => &["hex"],
        _ => &[],
    };
    let around = |form: &&'static str| (*tag, *form, layers[..layers.len() - 1].to_vec(), value.clone());
    forms.iter().map(around).collect()
}

/// What the streams of one source share.
pub(super) struct Job {
    searcher: Arc<Searcher>,
    sightings: RefCell<BTreeMap<Guise, Sighting>>,
    budget: Cell<u64>,
    windows: Arc<Windows>,
    /// Bytes of windows that this job has open.
    open: Cell<u64>,
    /// Whether there was no room for a window.
    lacked_memory: Cell<bool>,
    /// What of the source wasn't searched, and why.
    left_out: Cell<Option<&'static str>>,
    blocks: RefCell<Vec<Vec<u8>>>,
    /// The value that is searched, where the source is a database.
    value: RefCell<Option<Location>>,
}

impl Job {
    /// For one source after the other.
    pub fn new(searcher: Arc<Searcher>, windows: Arc<Windows>) -> Rc<Self> {
        Rc::new(Self {
            searcher,
            sightings: RefCell::default(),
            budget: Cell::new(BUDGET),
            windows,
            open: Cell::new(0),
            lacked_memory: Cell::new(false),
            left_out: Cell::new(None),
            blocks: RefCell::default(),
            value: RefCell::default(),
        })
    }

    /// What is looked for.
    pub fn searcher(&self) -> &Arc<Searcher> {
        &self.searcher
    }

    /// The block of a stream that has ended, if there is one.
    pub fn block(&self) -> Option<Vec<u8>> {
        self.blocks.borrow_mut().pop()
    }

    /// Keeps a block for the next stream.
    pub fn give_back(&self, block: Vec<u8>) {
        self.blocks.borrow_mut().push(block);
    }

    /// A source of that many bytes begins.
    pub fn begin(&self, length: u64) {
        self.budget.set(BUDGET.saturating_add(length.saturating_mul(BUDGET_RATIO)));
        self.left_out.set(None);
        self.lacked_memory.set(false);
    }

    /// Names the value that the next streams belong to.
    pub fn set_value(&self, value: Option<Location>) {
        *self.value.borrow_mut() = value;
    }

    /// What was found so far. What is near an escape is seen twice, with and without undoing it, and so is what stands among
    /// base64 or hex digits that are worth decoding; once is enough.
    pub fn take(&self) -> Vec<Sighting> {
        let all = std::mem::take(&mut *self.sightings.borrow_mut());
        let once = all.iter().filter(|(guise, sighting)| {
            let mut others = without_escapes(guise).into_iter().chain(without_decoding(guise));
            !others.any(|other| all.get(&other).is_some_and(|other| other.whole || !sighting.whole))
        });
        once.map(|(_, sighting)| sighting.clone()).collect()
    }

    /// What of the source wasn't searched.
    pub fn left_out(&self) -> Option<&'static str> {
        self.left_out.get()
    }

    /// Notes that a part of the source isn't searched.
    pub fn leave_out(&self, what: &'static str) {
        self.left_out.set(Some(what));
    }

    /// A decoder of zstd, if there is memory for its window. It is to be given back.
    pub fn take_decoder(&self, window: u64) -> Option<raw::Decoder<'static>> {
        if !self.windows.take(cost(window), self.open.get() == 0) {
            self.lacked_memory.set(true);
            self.leave_out("more zstd data at once in it than there is memory for; it was searched in part");
            return None;
        }
        self.open.set(self.open.get() + cost(window));
        let idle = if window > SMALL_WINDOW { self.windows.idle().pop() } else { None };
        let made = || {
            let mut decoder = raw::Decoder::new().ok()?;
            decoder.set_parameter(raw::DParameter::WindowLogMax(LARGEST_WINDOW_LOG)).ok()?;
            Some(decoder)
        };
        let decoder = idle.or_else(made);
        if decoder.is_none() {
            self.release(window);
        }
        decoder
    }

    /// Whether there was no room for a window, so that the source should be searched again when nothing else is.
    pub fn lacked_memory(&self) -> bool {
        self.lacked_memory.get()
    }

    /// Gives a decoder back.
    pub fn give_back_decoder(&self, window: u64, mut decoder: raw::Decoder<'static>) {
        if window > SMALL_WINDOW && decoder.reinit().is_ok() {
            self.windows.idle().push(decoder);
        } else {
            drop(decoder);
        }
        self.release(window);
    }

    fn release(&self, window: u64) {
        self.open.set(self.open.get() - cost(window));
        self.windows.give_back(cost(window));
    }

    /// Accounts for decoded bytes.
    ///
    /// # Errors
    /// There have been too many.
    pub fn spend(&self, bytes: usize) -> std::io::Result<()> {
        match self.budget.get().checked_sub(bytes as u64) {
            Some(rest) => self.budget.set(rest),
            None => {
                self.leave_out("compressed data in it decodes to too much; it was searched in part");
                return Err(std::io::Error::other("decodes to too much"));
            }
        }
        Ok(())
    }

    /// Notes what was found.
    pub fn note(&self, layers: &[&'static str], found: &Found, offset: u64) {
        let location = self.value.borrow().clone().unwrap_or(Location::Offset(offset));
        let value = match &location {
            Location::Offset(_) => None,
            Location::Column { table, column, .. } => Some((table.clone(), column.clone())),
        };
        let mut sightings = self.sightings.borrow_mut();
        let full = sightings.len() >= KEPT;
        let key = (found.tag, found.form, layers.to_vec(), value);
        if let Some(known) = sightings.get_mut(&key) {
            known.times += 1;
            if found.whole && !known.whole {
                (known.location, known.length, known.whole) = (location, found.length, true);
            }
        } else if !full {
            let Found { tag, form, length, whole, .. } = *found;
            sightings.insert(key, Sighting { tag, form, layers: layers.to_vec(), location, length, whole, times: 1 });
        }
    }
}
