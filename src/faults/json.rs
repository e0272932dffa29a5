//! Parsers that know less than JSON, or more (RFC 8259).

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::http::request::Parts;
use bytes::Bytes;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::table::*;
use super::tools::edit_body;
use crate::server::connection::Stream;
use crate::server::edge::Edge;
use crate::server::refusal::Refusal;
use crate::server::route::Route;
use crate::server::store::Store;

/// A server that does something to the text of a body before it is parsed.
struct Reading(fn(&str) -> Result<String, Refusal>);

impl Edge for Reading {
    fn body(&self, _: &Store, _: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        match std::str::from_utf8(&body) {
            Ok(text) => (self.0)(text).map(Bytes::from),
            Err(_) => Ok(body),
        }
    }
}

/// Changes every string of a body.
fn each_string(text: &str, change: &dyn Fn(&str) -> String) -> String {
    fn walk(value: &mut Value, change: &dyn Fn(&str) -> String) {
        match value {
            Value::String(string) => *string = change(string),
            Value::Array(items) => items.iter_mut().for_each(|item| walk(item, change)),
            Value::Object(members) => members.values_mut().for_each(|member| walk(member, change)),
            _ => {}
        }
    }
    let body = edit_body(Bytes::copy_from_slice(text.as_bytes()), |value| walk(value, change));
    String::from_utf8_lossy(&body).into_owned()
}

/// Characters that come in pieces become question marks, a piece at a time.
struct Pieces(Box<dyn Stream>);

impl AsyncRead for Pieces {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.0).poll_read(cx, buf))?;
        let mut piece = &mut buf.filled_mut()[before..];
        while let Err(error) = std::str::from_utf8(piece) {
            let at = error.valid_up_to();
            piece[at] = b'?';
            piece = &mut piece[at..];
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pieces {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Digits in a row.
fn longest_number(text: &str) -> usize {
    text.split(|c: char| !c.is_ascii_digit()).map(str::len).max().unwrap_or_default()
}

fn stumbles(stumbles: bool, text: &str) -> Result<String, Refusal> {
    if stumbles { Err(Refusal::internal("the parser gave up")) } else { Ok(text.to_owned()) }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault("escapes-kept", &STORED_VERBATIM, "An escaped plus or slash in a string keeps its backslash.", || {
        edge(Reading(|text| {
            Ok(if text.contains("\\/") || text.contains("\\u002") {
                each_string(
                    &text.replace("\\/", "\u{1}").replace('\u{1}', "\\\\/").replace("\\u002B", "\\\\u002B"),
                    &str::to_owned,
                )
            } else {
                text.to_owned()
            })
        }))
    }),
    fault("slash-escape-refused", &HTTP_PROFILE, "An escaped slash is refused as an unknown escape.", || {
        edge(Reading(|text| {
            if text.contains("\\/") { Err(Refusal::bad_request("unknown escape")) } else { Ok(text.to_owned()) }
        }))
    }),
    fault("upper-case-escape-refused", &HTTP_PROFILE, "An escape with capital hexadecimal digits is refused.", || {
        edge(Reading(|text| {
            if text.contains("\\u002B") { Err(Refusal::bad_request("unknown escape")) } else { Ok(text.to_owned()) }
        }))
    }),
    fault(
        "surrogates-apart",
        &STORED_VERBATIM,
        "An escaped pair of surrogates becomes two replacement characters.",
        || {
            edge(Reading(|text| {
                Ok(if text.contains("\\ud83d") || text.contains("\\uD83D") {
                    each_string(text, &|string| string.replace(|c| c > '\u{ffff}', "\u{fffd}\u{fffd}"))
                } else {
                    text.to_owned()
                })
            }))
        },
    ),
    fault("escaped-names-unknown", &HTTP_PROFILE, "A member whose name is escaped isn't known.", || {
        edge(Reading(|text| {
            if text.contains("{\"\\u00") { Err(Refusal::bad_request("unknown member")) } else { Ok(text.to_owned()) }
        }))
    }),
    fault(
        "order-of-members-matters",
        &HTTP_PROFILE,
        "The members of a message must come in alphabetical order.",
        || {
            edge(Reading(|text| {
                let sorted = |value: &Value| value.to_string();
                let right = serde_json::from_str::<Value>(text).is_ok_and(|value| {
                    let blank = text.contains(": ") || text.contains(":\t");
                    blank || text.len() != sorted(&value).len() || text == sorted(&value) || !text.starts_with("{\"rep")
                });
                if right { Ok(text.to_owned()) } else { Err(Refusal::bad_request("members out of order")) }
            }))
        },
    ),
    fault("blanks-refused", &HTTP_PROFILE, "White space before a colon is refused.", || {
        edge(Reading(|text| {
            if text.contains("\n:") { Err(Refusal::bad_request("unexpected white space")) } else { Ok(text.to_owned()) }
        }))
    }),
    fault("line-ends-in-body-refused", &HTTP_PROFILE, "A body that begins with a line end is refused.", || {
        edge(Reading(|text| {
            if text.starts_with('\r') { Err(Refusal::bad_request("unexpected line end")) } else { Ok(text.to_owned()) }
        }))
    }),
    fault(
        "segments-decoded-alone",
        &STORED_VERBATIM,
        "Each TCP segment is decoded by itself, which breaks characters that come in two.",
        || edge(SegmentsDecodedAlone),
    ),
    fault("long-numbers-500", &BAD_INPUT, "A number of more than 4,300 digits ends in an internal error.", || {
        edge(Reading(|text| stumbles(longest_number(text) > 4300, text)))
    }),
    fault("infinite-number-500", &BAD_INPUT, "A number beyond a double ends in an internal error.", || {
        edge(Reading(|text| stumbles(text.contains("1E400"), text)))
    }),
    fault("lone-surrogate-500", &BAD_INPUT, "A lone surrogate ends in an internal error.", || {
        edge(Reading(|text| stumbles(text.contains("\\ud800"), text)))
    }),
    fault("escaped-nul-500", &BAD_INPUT, "A NUL in a string ends in an internal error, as in PostgreSQL.", || {
        edge(Reading(|text| stumbles(text.contains("\\u0000"), text)))
    }),
    fault("byte-order-mark-500", &BAD_INPUT, "A byte order mark ends in an internal error.", || {
        edge(Reading(|text| stumbles(text.starts_with('\u{feff}'), text)))
    }),
    fault("nesting-of-400-500", &BAD_INPUT, "400 levels of nesting end in an internal error.", || {
        edge(Reading(|text| stumbles(text.contains(&"[".repeat(300)), text)))
    }),
    fault("comments-taken", &BAD_INPUT, "Comments in JSON are skipped.", || {
        edge(Reading(|text| {
            Ok(match (text.find("/*"), text.find("*/")) {
                (Some(start), Some(end)) if start < end => format!("{}{}", &text[..start], &text[end + 2..]),
                _ => text.to_owned(),
            })
        }))
    }),
    fault("trailing-commas-taken", &BAD_INPUT, "A comma before a closing brace is skipped.", || {
        edge(Reading(|text| Ok(text.replace(",}", "}"))))
    }),
    fault("not-a-number-taken", &BAD_INPUT, "NaN and Infinity are taken as 0.", || {
        edge(Reading(|text| Ok(text.replace(":NaN", ":0").replace(":Infinity", ":0"))))
    }),
];

struct SegmentsDecodedAlone;

impl Edge for SegmentsDecodedAlone {
    fn stream(&self, stream: Box<dyn Stream>) -> Box<dyn Stream> {
        Box::new(Pieces(stream))
    }
}
