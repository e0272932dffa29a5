//! gzip, zlib and zstd, wherever they begin, and raw deflate.
//!
//! Raw deflate has no beginning that could be told from other bytes with certainty. It is looked for where something says that
//! it may be there: at the beginning of whatever is looked at as a whole (a file, a value of a database, what base64 or hex
//! decodes to) unless that is text, in members of ZIP archives, and after the empty line that ends the header of an HTTP message.
//! The same goes for zlib with a smaller window than the usual 32 KiB: its headers are two bytes, of which there are so many
//! that one turns up by chance every two thousand bytes.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::Write;
use std::rc::Rc;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, Input, Match, Span, packed};
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use flate2::{Decompress, FlushDecompress};
use zstd::stream::{raw, zio};

use super::deflate::may_begin;
use super::lanes::without_signs;
use crate::scan::forms::in_base64;
use crate::scan::job::{Job, LARGEST_WINDOW};
use crate::scan::stream::{Active, Decode, Start, Stream};

/// Magic number of gzip with deflate.
const GZIP: &[u8] = &[0x1f, 0x8b, 8];
/// Magic number of zstd.
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// First byte of zlib with the usual window.
const ZLIB: u8 = 0x78;
/// Its second byte, by how well it is compressed.
const ZLIB_LEVELS: [u8; 4] = [0x01, 0x5e, 0x9c, 0xda];
/// Magic number of a member of a ZIP archive.
const ZIP: &[u8] = b"PK\x03\x04";
/// Length of its header without name and extra field.
const ZIP_HEADER: usize = 30;
/// What stands between the header and the body of an HTTP message.
const EMPTY_LINE: &[u8] = b"\r\n\r\n";
/// What tells that something compressed may begin. [`format()`] knows them by their position.
const SIGNS: [&[u8]; 4] = [GZIP, ZSTD, ZIP, EMPTY_LINE];
/// Bytes of what may be zlib or deflate that must decompress without error before it is taken for it.
const TRIED: usize = 256;
/// Fewer bytes can't be twelve bytes of a secret, deflated or not.
const SHORTEST: usize = 12;
/// Bytes that are decompressed at once.
const PORTION: usize = 16 << 10;

/// Finds the first bytes of all of them at once.
static MAGIC: LazyLock<Option<Magic>> = LazyLock::new(|| {
    let zlib = ZLIB_LEVELS.map(|level| vec![ZLIB, level]);
    Magic::new(SIGNS.map(<[u8]>::to_vec).into_iter().chain(zlib))
});

/// Finds the characters of base64 that the first bytes of all but zlib determine, wherever they begin in a group of three.
static MAGIC_IN_BASE64: LazyLock<Option<Magic>> = LazyLock::new(|| {
    let distinct: BTreeSet<_> =
        SIGNS.iter().flat_map(|sign| in_base64(sign)).map(|(_, characters)| characters).collect();
    Magic::new(distinct.into_iter())
});

/// Whether these are a header of zlib, with any window and no dictionary: a multiple of 31 (RFC 1950 §2.2).
fn is_zlib_header([first, second]: [u8; 2]) -> bool {
    first & 0x8f == 8 && second & 0x20 == 0 && u16::from_be_bytes([first, second]).is_multiple_of(31)
}

enum Magic {
    /// With vector instructions.
    Packed(packed::Searcher),
    /// Where there are none.
    Automaton(AhoCorasick),
}

impl Magic {
    fn new(patterns: impl Iterator<Item = Vec<u8>>) -> Option<Self> {
        let patterns: Vec<_> = patterns.collect();
        packed::Searcher::new(&patterns)
            .map(Self::Packed)
            .or_else(|| AhoCorasick::new(&patterns).ok().map(Self::Automaton))
    }

    fn find(&self, block: &[u8], from: usize, to: usize) -> Option<Match> {
        match self {
            Self::Packed(searcher) => searcher.find_in(block, Span::from(from..to)),
            Self::Automaton(searcher) => searcher.find(Input::new(block).span(from..to)),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Gzip,
    Zstd,
    Zlib,
    /// Raw.
    Deflate,
}

/// What begins with or after a magic number, and how many bytes after its first, if anything does.
fn format(pattern: usize, head: &[u8]) -> Option<(Format, usize)> {
    match pattern {
        0 => Some((Format::Gzip, 0)),
        1 => Some((Format::Zstd, 0)),
        2 => zip_member(head).map(|data| (Format::Deflate, data)),
        3 => Some((unsigned(&head[EMPTY_LINE.len()..])?, EMPTY_LINE.len())),
        // A zlib header is two bytes, which turn up by chance; the first block rules most of those out.
        _ => may_begin(&head[2..]).then_some((Format::Zlib, 0)),
    }
}

/// Where in a member of a ZIP archive its deflated data begin; `None` if they are something else, or beyond the context.
fn zip_member(head: &[u8]) -> Option<usize> {
    let number = |at: usize| Some(u16::from_le_bytes(*head.get(at..)?.first_chunk()?));
    let data = ZIP_HEADER + usize::from(number(26)?) + usize::from(number(28)?);
    (number(8)? == 8 && may_begin(head.get(data..)?)).then_some(data)
}

/// The window that a zstd frame asks for, in bytes (RFC 8878 §3.1.1.1): its content, where it is one segment.
fn zstd_window(frame: &[u8]) -> Option<u64> {
    let descriptor = *frame.get(4)?;
    if descriptor & 0x20 == 0 {
        let window = *frame.get(5)?;
        let base = 1_u64 << (10 + (window >> 3));
        return Some(base + base / 8 * u64::from(window & 7));
    }
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let mut content = [0; 8];
    let length = 1 << (descriptor >> 6);
    content[..length].copy_from_slice(frame.get(5 + dictionary..)?.get(..length)?);
    Some(u64::from_le_bytes(content) + if length == 2 { 256 } else { 0 })
}

/// What bytes that stand at a beginning may be though there is no certain sign of it.
fn unsigned(head: &[u8]) -> Option<Format> {
    let is_text = |bytes: &[u8]| bytes.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t' | b'\n' | b'\r'));
    if head.first_chunk().is_some_and(|first| is_zlib_header(*first)) && may_begin(&head[2..]) {
        Some(Format::Zlib)
    } else {
        (head.len() >= SHORTEST && !is_text(&head[..SHORTEST]) && may_begin(head)).then_some(Format::Deflate)
    }
}

/// The next place where something compressed seems to begin.
fn next(block: &[u8], mut from: usize, to: usize) -> Option<(usize, (Format, usize))> {
    // The magic number may reach beyond `to`; it begins before.
    let end = (to + ZSTD.len() - 1).min(block.len());
    // All signs have a byte that is rare in text, which one or two others may stand before.
    from = from.max((from + without_signs(block.get(from..end)?)).saturating_sub(2));
    loop {
        let found = MAGIC.as_ref()?.find(block, from.min(end), end)?;
        if found.start() >= to {
            return None;
        }
        if let Some(format) = format(found.pattern().as_usize(), &block[found.start()..]) {
            return Some((found.start(), format));
        }
        from = found.start() + 1;
    }
}

pub(super) fn find(block: &[u8], from: usize, to: usize) -> Option<Start> {
    let (begins, _) = next(block, from, to)?;
    Some(Start { begins, next: begins + 1 })
}

/// What may begin with a stream, for which there is no certain sign.
pub(super) fn find_unsigned(block: &[u8], from: usize, to: usize) -> Option<Start> {
    (from == 0 && to > 0 && unsigned(block).is_some()).then_some(Start { begins: 0, next: to })
}

/// Whether something compressed seems to begin in some bytes; zlib only near the beginning.
pub(super) fn begins_in(bytes: &[u8], zlib_within: usize) -> bool {
    let mut from = 0;
    while let Some((at, (format, _))) = next(bytes, from, bytes.len()) {
        if format != Format::Zlib || at < zlib_within {
            return true;
        }
        from = at + 1;
    }
    unsigned(bytes).is_some_and(|format| inflates(format, bytes))
}

/// Whether what has no long sign may begin with some bytes, or zlib near their beginning. Where the answer is no, [`begins_in`] says no
/// as well, of long signs apart and however the bytes go on.
pub(super) fn may_begin_near(bytes: &[u8], zlib_within: usize) -> bool {
    let is_zlib = |at: usize| bytes[at] == ZLIB && bytes.get(at + 1).is_none_or(|level| ZLIB_LEVELS.contains(level));
    unsigned(bytes).is_some() || (0..zlib_within.min(bytes.len())).any(is_zlib)
}

/// Whether some characters of base64 may stand for bytes in which something compressed begins whose sign is longer than zlib's.
pub(super) fn may_begin_in_base64(characters: &[u8]) -> bool {
    MAGIC_IN_BASE64.as_ref().is_none_or(|magic| magic.find(characters, 0, characters.len()).is_some())
}

thread_local! {
    /// Try what may be deflate, or zlib; kept, because they are large.
    static TRIALS: RefCell<[Decompress; 2]> = RefCell::new([false, true].map(Decompress::new));
}

/// Whether some bytes, all there are or many, begin like deflate or zlib do: whether they inflate without an error, to something
/// that can hold a part of a secret if they are all.
fn inflates(format: Format, head: &[u8]) -> bool {
    let is_zlib = format == Format::Zlib;
    TRIALS.with_borrow_mut(|trials| {
        let trial = &mut trials[usize::from(is_zlib)];
        trial.reset(is_zlib);
        let tried = &head[..head.len().min(TRIED)];
        let is_ok = trial.decompress(tried, &mut [0; 16 * TRIED], FlushDecompress::None).is_ok();
        is_ok && (tried.len() < head.len() || trial.total_out() >= SHORTEST as u64)
    })
}

/// The stream that output goes to. The decoders own it, and some lose it when they fail.
#[derive(Clone)]
struct Output(Rc<RefCell<Stream>>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut stream = self.0.borrow_mut();
        stream.job.spend(bytes.len())?;
        stream.feed(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct Compressed<D> {
    /// Bytes to leave out before.
    skip: usize,
    decoder: D,
    output: Output,
}

/// A decoder of the job's, which has it back in the end.
struct Zstd {
    job: Rc<Job>,
    window: u64,
    /// There until the end.
    writer: Option<zio::Writer<Output, raw::Decoder<'static>>>,
}

impl Write for Zstd {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.writer.as_mut().map_or(Ok(0), |writer| writer.write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.writer.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for Zstd {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            self.job.give_back_decoder(self.window, writer.into_inner().1);
        }
    }
}

fn decoding<D: Write>(
    stream: Stream,
    skip: usize,
    decoder: impl FnOnce(Output) -> Option<D>,
) -> Option<Box<Compressed<D>>> {
    let output = Output(Rc::new(RefCell::new(stream)));
    Some(Box::new(Compressed { skip, decoder: decoder(output.clone())?, output }))
}

/// A decoder for what begins there.
pub(super) fn open(stream: &Stream, block: &[u8], start: &Start) -> Vec<Active> {
    let head = &block[start.begins..];
    next(head, 0, 1)
        .and_then(|(_, (format, skip))| open_format(stream, head, start.begins, format, skip))
        .into_iter()
        .collect()
}

/// The same for what has no certain sign.
pub(super) fn open_unsigned(stream: &Stream, block: &[u8], _: &Start) -> Vec<Active> {
    unsigned(block).and_then(|format| open_format(stream, block, 0, format, 0)).into_iter().collect()
}

fn open_format(stream: &Stream, head: &[u8], begins: usize, format: Format, skip: usize) -> Option<Active> {
    let is_one = !matches!(format, Format::Zlib | Format::Deflate) || inflates(format, &head[skip..]);
    if !is_one {
        return None;
    }
    Some(match format {
        Format::Zstd => zstd(stream, &head[skip..], begins)?,
        Format::Gzip => decoding(stream.inner(begins, "gzip")?, skip, |output| Some(MultiGzDecoder::new(output)))?,
        Format::Zlib => decoding(stream.inner(begins, "zlib")?, skip, |output| Some(ZlibDecoder::new(output)))?,
        Format::Deflate => {
            decoding(stream.inner(begins, "deflate")?, skip, |output| Some(DeflateDecoder::new(output)))?
        }
    })
}

/// A decoder for a zstd frame and those that follow, if there is memory for its window.
fn zstd(stream: &Stream, frame: &[u8], begins: usize) -> Option<Active> {
    let window = zstd_window(frame).unwrap_or(0);
    if window > LARGEST_WINDOW {
        stream
            .job
            .leave_out("zstd data in it take a window of more than 8 MiB (--ultra, --long); they weren't decoded");
        return None;
    }
    let (inner, job) = (stream.inner(begins, "zstd")?, Rc::clone(&stream.job));
    let decoder = job.take_decoder(window)?;
    decoding(inner, 0, |output| Some(Zstd { job, window, writer: Some(zio::Writer::new(output, decoder)) }))
        .map(|decoder| -> Active { decoder })
}

impl<D: Write> Decode for Compressed<D> {
    fn push(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut done = self.skip.min(bytes.len());
        self.skip -= done;
        while done < bytes.len() {
            let portion = &bytes[done..bytes.len().min(done + PORTION)];
            match self.decoder.write(portion) {
                Ok(0) | Err(_) => return Some(done),
                Ok(taken) => done += taken,
            }
        }
        None
    }

    fn finish(mut self: Box<Self>) {
        // What is broken or cut off was decoded as far as it goes.
        let _ = self.decoder.flush();
        drop(self.decoder);
        if let Some(stream) = Rc::into_inner(self.output.0) {
            stream.into_inner().finish();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What quickly passes over text passes over no sign in it, wherever it begins.
    #[test]
    fn signs_are_seen_wherever_they_begin() {
        let zlib = ZLIB_LEVELS.map(|level| vec![ZLIB, level]);
        let text = b"text\tand\nlines ".repeat(30);
        assert!(without_signs(&text) > 300);
        for sign in SIGNS.map(<[u8]>::to_vec).into_iter().chain(zlib) {
            for begins in 0..400 {
                let text = [&text[..begins], &sign, &text].concat();
                assert!(without_signs(&text) <= begins + 2, "{sign:?} at {begins}");
            }
        }
    }
}
