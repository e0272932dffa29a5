//! gzip, zlib and zstd, wherever they begin. Raw deflate has no beginning that could be told.

use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, Input, Match, Span, packed};
use flate2::write::{MultiGzDecoder, ZlibDecoder};

use super::{Active, Decode, Start};
use crate::scan::stream::Stream;

/// Magic number of gzip with deflate.
const GZIP: [u8; 3] = [0x1f, 0x8b, 8];
/// Magic number of zstd.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// First byte of zlib with the usual window.
const ZLIB: u8 = 0x78;
/// Binary logarithm of the largest zstd window that is decoded, in bytes: 8 MiB, which all levels but `--ultra` and `--long` keep to.
const WINDOW_LOG: u32 = 23;
/// Bytes of what may be zlib that must decompress without error before it is taken for it.
const TRIED: usize = 64;
/// Bytes that are decompressed at once.
const PORTION: usize = 16 << 10;

/// Finds the first bytes of all of them at once; which it was is told by [`FORMATS`].
static MAGIC: LazyLock<Option<Magic>> = LazyLock::new(|| {
    let zlib = [0x01, 0x5e, 0x9c, 0xda].map(|level| vec![ZLIB, level]);
    let patterns: Vec<_> = [GZIP.to_vec(), ZSTD.to_vec()].into_iter().chain(zlib).collect();
    packed::Searcher::new(&patterns)
        .map(Magic::Packed)
        .or_else(|| AhoCorasick::new(&patterns).ok().map(Magic::Automaton))
});

enum Magic {
    /// With vector instructions.
    Packed(packed::Searcher),
    /// Where there are none.
    Automaton(AhoCorasick),
}

impl Magic {
    fn find(&self, block: &[u8], from: usize, to: usize) -> Option<Match> {
        match self {
            Self::Packed(searcher) => searcher.find_in(block, Span::from(from..to)),
            Self::Automaton(searcher) => searcher.find(Input::new(block).span(from..to)),
        }
    }
}

const FORMATS: [Format; 6] = [Format::Gzip, Format::Zstd, Format::Zlib, Format::Zlib, Format::Zlib, Format::Zlib];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Gzip,
    Zstd,
    Zlib,
}

/// The next place where something compressed seems to begin.
fn next(block: &[u8], mut from: usize, to: usize) -> Option<(usize, Format)> {
    // The magic number may reach beyond `to`; it begins before.
    let end = (to + ZSTD.len() - 1).min(block.len());
    loop {
        let found = MAGIC.as_ref()?.find(block, from.min(end), end)?;
        let format = FORMATS[found.pattern().as_usize()];
        if found.start() >= to {
            return None;
        }
        if format != Format::Zlib || may_be_zlib(&block[found.start()..]) {
            return Some((found.start(), format));
        }
        from = found.start() + 1;
    }
}

pub(super) fn find(block: &[u8], from: usize, to: usize) -> Option<Start> {
    let (begins, _) = next(block, from, to)?;
    Some(Start { begins, next: begins + 1 })
}

/// Whether something compressed seems to begin in some bytes; zlib only near the beginning.
pub(super) fn begins_in(bytes: &[u8], zlib_within: usize) -> bool {
    let mut from = 0;
    while let Some((at, format)) = next(bytes, from, bytes.len()) {
        if format != Format::Zlib || at < zlib_within {
            return true;
        }
        from = at + 1;
    }
    false
}

/// A zlib header is two bytes, which turn up by chance; the first block's header rules most of those out.
fn may_be_zlib(start: &[u8]) -> bool {
    start.get(2).is_some_and(|&first| match first >> 1 & 3 {
        0 => start.get(3..7).is_none_or(|length| length[0] == !length[2] && length[1] == !length[3]),
        1 => true,
        2 => first >> 3 <= 29,
        _ => false,
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
    decoder: D,
    output: Output,
}

fn decoding<D: Write + 'static>(stream: Stream, decoder: impl FnOnce(Output) -> Option<D>) -> Option<Active> {
    let output = Output(Rc::new(RefCell::new(stream)));
    Some(Box::new(Compressed { decoder: decoder(output.clone())?, output }))
}

/// A decoder for what begins there.
pub(super) fn open(stream: &Stream, block: &[u8], start: &Start) -> Vec<Active> {
    let head = &block[start.begins..];
    let opened = || match next(head, 0, 1)?.1 {
        Format::Gzip => decoding(stream.inner(start.begins, "gzip")?, |output| Some(MultiGzDecoder::new(output))),
        Format::Zlib if !stream.job.inflates(&head[..head.len().min(TRIED)]) => None,
        Format::Zlib => decoding(stream.inner(start.begins, "zlib")?, |output| Some(ZlibDecoder::new(output))),
        Format::Zstd => decoding(stream.inner(start.begins, "zstd")?, |output| {
            let mut decoder = zstd::stream::write::Decoder::new(output).ok()?;
            decoder.window_log_max(WINDOW_LOG).ok()?;
            Some(decoder)
        }),
    };
    opened().into_iter().collect()
}

impl<D: Write> Decode for Compressed<D> {
    fn push(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut done = 0;
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
