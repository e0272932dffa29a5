//! The search itself: pieces of files on all processors.
//!
//! Memory: the searcher, the zstd windows that are open, 32 MiB at the most, and for each thread some blocks and what other
//! decompressors need. It doesn't depend on what is searched: pieces are made as they are worked off.

use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::command;
use super::job::{Job, Location, Windows};
use super::layers::ENCODINGS;
use super::search::Searcher;
use super::source::{Collected, Role, ScanOutcome, ScanProgress, Source};
use super::sqlite::{self, Database, Table, Visitor};
use super::stream::{CONTEXT, Stream};
use super::tree::{self, Piece};

use crate::ground::lock;

/// Pieces that wait, and so files that are open.
const WAITING: usize = 32;

/// What a thread is given to do.
enum Task {
    Piece(Piece),
    Command(String),
}

/// Searches sources on all processors.
///
/// `but` is left out wherever it is met. What isn't read after `limit` is left out, and the outcome says so.
pub fn scan(
    searcher: &Arc<Searcher>,
    sources: &[Source],
    but: Option<&Path>,
    progress: &ScanProgress,
    limit: Duration,
) -> ScanOutcome {
    // A progress that has been used keeps its first limit; nobody does that.
    let _ = progress.until.set(Instant::now() + limit);
    let collected = Mutex::new(Collected::default());
    let (send, receive) = sync_channel(WAITING);
    let receive = Mutex::new(receive);
    let windows = Arc::new(Windows::default());
    let again = Mutex::new(Vec::new());
    let worker = |again| {
        let job = Job::new(Arc::clone(searcher), Arc::clone(&windows));
        Worker { job, collected: &collected, progress, again }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| worker(Some(&again)).work(&receive));
        }
        for source in sources {
            // The threads live until the channel is closed.
            hand_out(source, but, progress, &collected, &mut |task| drop(send.send(task)));
        }
        drop(send);
    });
    let pieces = std::mem::take(&mut *lock(&again));
    for piece in pieces {
        worker(None).piece(piece);
    }
    let collected = collected.into_inner().unwrap_or_else(PoisonError::into_inner);
    collected.finish(progress.done.load(Ordering::Relaxed))
}

/// Makes tasks of a source.
fn hand_out(
    source: &Source,
    but: Option<&Path>,
    progress: &ScanProgress,
    collected: &Mutex<Collected>,
    send: &mut dyn FnMut(Task),
) {
    match source {
        Source::Path(role, path) => {
            let mut piece = |piece: Piece| {
                let known = piece.file.length().saturating_sub(piece.range.start).min(tree::PIECE);
                progress.total.fetch_add(known, Ordering::Relaxed);
                if progress.is_stopped() {
                    lock(collected).cut_short = true;
                } else {
                    send(Task::Piece(piece));
                }
            };
            tree::walk(*role, path, but, &mut piece, &mut |at, why| lock(collected).remark(at, why));
        }
        Source::Command(command) => send(Task::Command(command.clone())),
        Source::Process(pid) => regions(*pid, progress, collected, send),
    }
}

#[cfg(target_os = "linux")]
fn regions(pid: u32, progress: &ScanProgress, collected: &Mutex<Collected>, send: &mut dyn FnMut(Task)) {
    let (memory, regions) = match super::memory::open(pid) {
        Ok(opened) => opened,
        Err(error) => return lock(collected).remark(&format!("process {pid}"), error),
    };
    let file = Arc::new(memory);
    for region in regions {
        let source = format!("memory of process {pid}, {} at {:#x}", region.name, region.addresses.start);
        let mut first = true;
        let left_out = super::memory::parts(pid, &region, &mut |part| {
            progress.total.fetch_add(part.end - part.start, Ordering::Relaxed);
            let mut start = part.start;
            while start < part.end && !progress.is_stopped() {
                let range = start..part.end.min(start + tree::PIECE);
                start = range.end;
                let (source, file) = (source.clone(), Arc::clone(&file));
                send(Task::Piece(Piece { role: Role::Memory, source, file, range, first }));
                first = false;
            }
            !progress.is_stopped()
        });
        if let Some(why) = left_out {
            lock(collected).remark(&source, why);
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn regions(pid: u32, _: &ScanProgress, collected: &Mutex<Collected>, _: &mut dyn FnMut(Task)) {
    if let Err(error) = super::memory::check(pid) {
        lock(collected).remark(&format!("process {pid}"), error);
    }
}

/// One thread.
struct Worker<'a> {
    job: Rc<Job>,
    collected: &'a Mutex<Collected>,
    progress: &'a ScanProgress,
    /// Where pieces go that took more memory than the others left; nowhere when they are searched alone.
    again: Option<&'a Mutex<Vec<Piece>>>,
}

impl Worker<'_> {
    fn work(self, receive: &Mutex<Receiver<Task>>) {
        loop {
            let task = lock(receive).recv();
            match task {
                Ok(_) if self.progress.is_stopped() => lock(self.collected).cut_short = true,
                Ok(Task::Piece(piece)) => self.piece(piece),
                Ok(Task::Command(command)) => self.command(&command),
                Err(_) => return,
            }
        }
    }

    fn piece(&self, piece: Piece) {
        self.job.begin(piece.file.length().min(1 << 40));
        let mut stream =
            Stream::source(Rc::clone(&self.job), &ENCODINGS, piece.range.start, piece.range.end, !piece.first);
        let problem = self.read(&piece, &mut stream);
        stream.finish();
        if let Some(again) = self.again
            && self.job.lacked_memory()
        {
            // What was found in it is found once more.
            self.job.take();
            lock(again).push(piece);
            return;
        }
        let mut collected = lock(self.collected);
        collected.sources += u64::from(piece.first);
        if let Some(problem) = problem {
            collected.remark(&piece.source, problem);
        }
        drop(collected);
        self.deliver(piece.role, &piece.source, false);
        if piece.first && piece.role != Role::Memory {
            self.rows(&piece);
        }
    }

    /// Reads a piece, and what began in it to its end; says what went wrong.
    fn read(&self, piece: &Piece, stream: &mut Stream) -> Option<String> {
        let known = piece.range.end.min(piece.file.length());
        loop {
            let at = stream.next();
            let end = if stream.is_within_a_part() { u64::MAX } else { piece.range.end + CONTEXT as u64 };
            let is_stopped = self.progress.is_stopped();
            if is_stopped && at < known {
                lock(self.collected).cut_short = true;
            }
            if at >= end || is_stopped {
                // The last piece of a file reaches beyond where its end was.
                let is_full = at >= end && piece.range.end > piece.file.length();
                return is_full.then(|| "grew while it was searched; not all of what came is".into());
            }
            let space = stream.space();
            let most = usize::try_from(end - at).unwrap_or(usize::MAX).min(space.len());
            match piece.file.read_at(&mut space[..most], at) {
                Ok(0) if at < known && piece.role != Role::Memory => {
                    return Some("became shorter while it was searched".into());
                }
                Ok(0) => return None,
                Ok(count) => {
                    stream.commit(count);
                    let new = (at + count as u64).min(known).saturating_sub(at.max(piece.range.start));
                    self.progress.done.fetch_add(new, Ordering::Relaxed);
                }
                // Memory is unmapped, and has pages that nobody may read.
                Err(_) if piece.role == Role::Memory => return None,
                Err(error) => return Some(format!("reading fails at {at}: {error}")),
            }
        }
    }

    /// Hands over what was found.
    fn deliver(&self, role: Role, source: &str, live: bool) {
        let mut collected = lock(self.collected);
        if let Some(what) = self.job.left_out() {
            collected.remark(source, what);
        }
        collected.add(role, source, live, self.job.take());
    }

    /// Searches the values of a database.
    fn rows(&self, piece: &Piece) {
        let mut magic = [0; 16];
        if piece.file.read_exact_at(&mut magic, 0).is_err() || magic != *sqlite::MAGIC {
            return;
        }
        if let Some(database) = Database::open(Path::new(&piece.source)) {
            database.visit(&mut Rows { job: &self.job, stream: None, progress: self.progress });
            if self.progress.is_stopped() {
                lock(self.collected).cut_short = true;
            }
            self.job.set_value(None);
            self.deliver(piece.role, &piece.source, true);
        }
    }

    fn command(&self, line: &str) {
        let source = format!("output of {line:?}");
        self.job.begin(1 << 30);
        let mut stream = Stream::source(Rc::clone(&self.job), &ENCODINGS, 0, u64::MAX, false);
        let left = self.progress.until.get().map(|until| until.saturating_duration_since(Instant::now()));
        let ended = command::read(line, left.unwrap_or_default(), |bytes| {
            stream.feed(bytes);
            self.progress.total.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            self.progress.done.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            !self.progress.is_stopped()
        });
        stream.finish();
        let mut collected = lock(self.collected);
        collected.sources += 1;
        if let Err(error) = ended {
            collected.cut_short |= self.progress.is_late();
            collected.remark(&source, error);
        }
        drop(collected);
        self.deliver(Role::Storage, &source, true);
    }
}

/// A stream for each value of a database.
struct Rows<'a> {
    job: &'a Rc<Job>,
    stream: Option<Stream>,
    progress: &'a ScanProgress,
}

impl Visitor for Rows<'_> {
    fn is_done(&self) -> bool {
        self.progress.is_stopped()
    }

    fn begin(&mut self, table: &Table, column: usize, row: Option<i64>) {
        let column = table.columns.get(column).cloned().unwrap_or_default();
        self.job.set_value(Some(Location::Column { table: table.name.clone(), column, row }));
        self.stream = Some(Stream::source(Rc::clone(self.job), &ENCODINGS, 0, u64::MAX, false));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        if let Some(stream) = &mut self.stream {
            stream.feed(bytes);
        }
    }

    fn end(&mut self) {
        if let Some(stream) = self.stream.take() {
            stream.finish();
        }
    }
}
