//! Encodings that are undone while a stream is searched: where a part in one of them begins, and how it is decoded.

mod base64;
mod code;
mod compressed;
mod deflate;
mod escapes;
mod gate;
mod lanes;
mod sink;
mod utf16;

use super::stream::Encoding;

/// Every encoding.
pub(super) const ENCODINGS: [Encoding; 5] = [
    Encoding { find: base64::find, open: base64::open, at_once: 1, at_beginning: false },
    Encoding { find: utf16::find, open: utf16::open, at_once: 1, at_beginning: false },
    Encoding { find: escapes::find, open: escapes::open, at_once: 1, at_beginning: false },
    Encoding { find: compressed::find, open: compressed::open, at_once: 8, at_beginning: false },
    Encoding { find: compressed::find_unsigned, open: compressed::open_unsigned, at_once: 1, at_beginning: true },
];
