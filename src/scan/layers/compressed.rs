//! gzip, zlib and zstd, wherever they begin. Raw deflate has no beginning that could be told.

use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;

use flate2::write::{MultiGzDecoder, ZlibDecoder};

use super::{Active, Decode, Start};
use crate::scan::stream::Stream;

/// Magic number of gzip with deflate.
pub(super) const GZIP: [u8; 3] = [0x1f, 0x8b, 8];
/// Magic number of zstd.
pub(super) const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// First byte of zlib with the usual window.
pub(super) const ZLIB: u8 = 0x78;
/// Binary logarithm of the largest zstd window that is decoded, in bytes: 8 MiB, which all levels but `--ultra` and `--long` keep to.
const WINDOW_LOG: u32 = 23;
/// Bytes of what may be zlib that must decompress without error before it is taken for it.
const TRIED: usize = 64;
/// Bytes that are decompressed at once.
const PORTION: usize = 16 << 10;

fn find_magic(magic: &[u8], block: &[u8], from: usize, to: usize) -> Option<Start> {
    // The magic number may reach beyond `to`; it begins before.
    let end = (to + magic.len() - 1).min(block.len());
    let begins = from + memchr::memmem::find(block.get(from..end)?, magic)?;
    Some(Start { begins, next: begins + 1 })
}

pub(super) fn find_gzip(block: &[u8], from: usize, to: usize) -> Option<Start> {
    find_magic(&GZIP, block, from, to)
}

pub(super) fn find_zstd(block: &[u8], from: usize, to: usize) -> Option<Start> {
    find_magic(&ZSTD, block, from, to)
}

/// A zlib header is two bytes, which turn up by chance; the first block's header rules most of those out.
pub(super) fn find_zlib(block: &[u8], from: usize, to: usize) -> Option<Start> {
    let is_start = |at: &usize| {
        let rest = &block[*at..];
        matches!(rest.get(1), Some(0x01 | 0x5e | 0x9c | 0xda))
            && rest.get(2).is_some_and(|&first| match first >> 1 & 3 {
                0 => rest.get(3..7).is_none_or(|length| length[0] == !length[2] && length[1] == !length[3]),
                1 => true,
                2 => first >> 3 <= 29,
                _ => false,
            })
    };
    let begins = memchr::memchr_iter(ZLIB, &block[from..to]).map(|position| from + position).find(is_start)?;
    Some(Start { begins, next: begins + 1 })
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

fn open<D: Write + 'static>(
    stream: &Stream,
    start: &Start,
    name: &'static str,
    decoder: impl FnOnce(Output) -> Option<D>,
) -> Vec<Active> {
    let open = || -> Option<Active> {
        let output = Output(Rc::new(RefCell::new(stream.inner(start.begins, name)?)));
        Some(Box::new(Compressed { decoder: decoder(output.clone())?, output }))
    };
    open().into_iter().collect()
}

pub(super) fn open_gzip(stream: &Stream, _: &[u8], start: &Start) -> Vec<Active> {
    open(stream, start, "gzip", |output| Some(MultiGzDecoder::new(output)))
}

pub(super) fn open_zlib(stream: &Stream, block: &[u8], start: &Start) -> Vec<Active> {
    let head = &block[start.begins..];
    if !stream.job.inflates(&head[..head.len().min(TRIED)]) {
        return Vec::new();
    }
    open(stream, start, "zlib", |output| Some(ZlibDecoder::new(output)))
}

pub(super) fn open_zstd(stream: &Stream, _: &[u8], start: &Start) -> Vec<Active> {
    open(stream, start, "zstd", |output| {
        let mut decoder = zstd::stream::write::Decoder::new(output).ok()?;
        decoder.window_log_max(WINDOW_LOG).ok()?;
        Some(decoder)
    })
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
