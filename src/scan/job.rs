//! What the streams of one source have in common: what was found in them, and how much they may decode.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::search::{Found, Searcher};

/// Different hits that are kept for one source; more are only counted.
const KEPT: usize = 2000;
/// What compressed parts may decode to: this much in any case,
const BUDGET: u64 = 64 << 20;
/// and this many times the length of their source. Deflate can't do more than 1032, and logs rarely more than 50.
const BUDGET_RATIO: u64 = 256;

/// Where in a source something was found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
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
    pub place: Place,
    /// Bytes of the text that show it.
    pub length: usize,
    /// Whether all of it is there.
    pub whole: bool,
    /// How often it was met in this guise.
    pub times: u64,
}

/// Secret, form, encodings, and table and column.
pub(super) type Guise = (u32, &'static str, Vec<&'static str>, Option<(String, String)>);

/// What the streams of one source share.
pub(super) struct Job {
    searcher: Arc<Searcher>,
    sightings: RefCell<BTreeMap<Guise, Sighting>>,
    budget: Cell<u64>,
    /// What of the source wasn't searched, and why.
    left_out: Cell<Option<&'static str>>,
    blocks: RefCell<Vec<Vec<u8>>>,
    /// The value that is searched, where the source is a database.
    value: RefCell<Option<Place>>,
}

impl Job {
    /// For one source after the other.
    pub fn new(searcher: Arc<Searcher>) -> Rc<Self> {
        Rc::new(Self {
            searcher,
            sightings: RefCell::default(),
            budget: Cell::new(BUDGET),
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
    }

    /// Names the value that the next streams belong to.
    pub fn set_value(&self, value: Option<Place>) {
        *self.value.borrow_mut() = value;
    }

    /// What was found so far. What is near an escape is seen twice, with and without undoing it; once is enough.
    pub fn take(&self) -> Vec<Sighting> {
        let all = std::mem::take(&mut *self.sightings.borrow_mut());
        let is_seen_without = |(tag, form, layers, value): &Guise| {
            let mut without = layers.clone();
            without.retain(|layer| *layer != "escapes");
            without.len() < layers.len() && all.contains_key(&(*tag, *form, without, value.clone()))
        };
        let once = all.iter().filter(|(guise, _)| !is_seen_without(guise));
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
        let place = self.value.borrow().clone().unwrap_or(Place::Offset(offset));
        let value = match &place {
            Place::Offset(_) => None,
            Place::Column { table, column, .. } => Some((table.clone(), column.clone())),
        };
        let mut sightings = self.sightings.borrow_mut();
        let full = sightings.len() >= KEPT;
        let key = (found.tag, found.form, layers.to_vec(), value);
        if let Some(known) = sightings.get_mut(&key) {
            known.times += 1;
            if found.whole && !known.whole {
                (known.place, known.length, known.whole) = (place, found.length, true);
            }
        } else if !full {
            let Found { tag, form, length, whole, .. } = *found;
            sightings.insert(key, Sighting { tag, form, layers: layers.to_vec(), place, length, whole, times: 1 });
        }
    }
}
