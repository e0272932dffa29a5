//! Parsers that know less than JSON, or more (RFC 8259).

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::http::request::Parts;
use bytes::Bytes;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::tools::edit_body;
use crate::server::connection::Stream;
use crate::server::edge::Edge;
use crate::server::refusal::Refusal;
use crate::server::route::Route;
use crate::server::store::Store;

/// A server that does something to the text of a body before it is parsed.
struct Reading(fn(&str) -> Result<String, Refusal>);

shared!(Reading: edge);

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

faults! {
    "escapes-kept" breaks STORED_VERBATIM: "An escaped plus or slash in a string keeps its backslash." => {
        is Reading(|text| Ok(if text.contains("\\/") || text.contains("\\u002") {
            each_string(&text.replace("\\/", "\u{1}").replace('\u{1}', "\\\\/").replace("\\u002B", "\\\\u002B"), &str::to_owned)
        } else { text.to_owned() }))
    }
    "slash-escape-refused" breaks HTTP_PROFILE: "An escaped slash is refused as an unknown escape." => {
        is Reading(|text| if text.contains("\\/") { Err(Refusal::bad_request("unknown escape")) } else { Ok(text.to_owned()) })
    }
    "upper-case-escape-refused" breaks HTTP_PROFILE: "An escape with capital hexadecimal digits is refused." => {
        is Reading(|text| if text.contains("\\u002B") { Err(Refusal::bad_request("unknown escape")) } else { Ok(text.to_owned()) })
    }
    "surrogates-apart" breaks STORED_VERBATIM: "An escaped pair of surrogates becomes two replacement characters." => {
        is Reading(|text| Ok(if text.contains("\\ud83d") || text.contains("\\uD83D") {
            each_string(text, &|string| string.replace(|c| c > '\u{ffff}', "\u{fffd}\u{fffd}"))
        } else { text.to_owned() }))
    }
    "escaped-names-unknown" breaks HTTP_PROFILE: "A member whose name is escaped isn't known." => {
        is Reading(|text| if text.contains("{\"\\u00") { Err(Refusal::bad_request("unknown member")) } else { Ok(text.to_owned()) })
    }
    "order-of-members-matters" breaks HTTP_PROFILE: "The members of a message must come in alphabetical order." => {
        is Reading(|text| {
            let sorted = |value: &Value| value.to_string();
            let right = serde_json::from_str::<Value>(text).is_ok_and(|value| {
                let blank = text.contains(": ") || text.contains(":\t");
                blank || text.len() != sorted(&value).len() || text == sorted(&value) || !text.starts_with("{\"rep")
            });
            if right { Ok(text.to_owned()) } else { Err(Refusal::bad_request("members out of order")) }
        })
    }
    "blanks-refused" breaks HTTP_PROFILE: "White space before a colon is refused." => {
        is Reading(|text| if text.contains("\n:") { Err(Refusal::bad_request("unexpected white space")) } else { Ok(text.to_owned()) })
    }
    "line-ends-in-body-refused" breaks HTTP_PROFILE: "A body that begins with a line end is refused." => {
        is Reading(|text| if text.starts_with('\r') { Err(Refusal::bad_request("unexpected line end")) } else { Ok(text.to_owned()) })
    }
    "segments-decoded-alone" breaks STORED_VERBATIM: "Each TCP segment is decoded by itself, which breaks characters that come in two." => {
        edge {
            fn stream(&self, stream: Box<dyn Stream>) -> Box<dyn Stream> { Box::new(Pieces(stream)) }
        }
    }
    "long-numbers-500" breaks BAD_INPUT: "A number of more than 4,300 digits ends in an internal error." => { is Reading(|text| stumbles(longest_number(text) > 4300, text)) }
    "infinite-number-500" breaks BAD_INPUT: "A number beyond a double ends in an internal error." => { is Reading(|text| stumbles(text.contains("1E400"), text)) }
    "lone-surrogate-500" breaks BAD_INPUT: "A lone surrogate ends in an internal error." => { is Reading(|text| stumbles(text.contains("\\ud800"), text)) }
    "escaped-nul-500" breaks BAD_INPUT: "A NUL in a string ends in an internal error, as in PostgreSQL." => { is Reading(|text| stumbles(text.contains("\\u0000"), text)) }
    "byte-order-mark-500" breaks BAD_INPUT: "A byte order mark ends in an internal error." => { is Reading(|text| stumbles(text.starts_with('\u{feff}'), text)) }
    "nesting-of-400-500" breaks BAD_INPUT: "400 levels of nesting end in an internal error." => { is Reading(|text| stumbles(text.contains(&"[".repeat(300)), text)) }
    "comments-taken" breaks BAD_INPUT: "Comments in JSON are skipped." => {
        is Reading(|text| Ok(match (text.find("/*"), text.find("*/")) {
            (Some(start), Some(end)) if start < end => format!("{}{}", &text[..start], &text[end + 2..]),
            _ => text.to_owned(),
        }))
    }
    "trailing-commas-taken" breaks BAD_INPUT: "A comma before a closing brace is skipped." => { is Reading(|text| Ok(text.replace(",}", "}"))) }
    "not-a-number-taken" breaks BAD_INPUT: "NaN and Infinity are taken as 0." => { is Reading(|text| Ok(text.replace(":NaN", ":0").replace(":Infinity", ":0"))) }
}
