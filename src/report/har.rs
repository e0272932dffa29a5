//! All exchanges as an HTTP archive (HAR 1.2), for the tools that read one.
//!
//! Where a run traced its exchanges (it does when this report is asked for) all of them are here, and otherwise those of the
//! checks that found something. A body is kept to its first bytes; its size is told whole.

use std::sync::Arc;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::{Value, json};

use super::json::escape;
use super::run::{Run, Traced};
use super::text::{clean, millis, rfc3339};
use crate::client::{Exchange, RecordedBody};
use crate::ground::shown::count;

/// What may not stand in a URL as it is.
const NOT_IN_URLS: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'\\').add(b'^').add(b'`').add(b'{').add(b'|').add(b'}');

/// The archive, indented.
pub(super) fn render(run: &Run) -> String {
    let base = base(&run.info.target);
    let entries: Vec<Value> = traced(run).iter().map(|traced| entry(run, &base, traced)).collect();
    let mut log = json!({
        "version": "1.2",
        "creator": { "name": env!("CARGO_PKG_NAME"), "version": run.info.version },
        "entries": entries,
    });
    if run.untraced > 0 {
        let number = count(usize::try_from(run.untraced).unwrap_or(usize::MAX), "exchange");
        log["comment"] = format!("{number} more found no room").into();
    }
    // Bodies are what came, and steer no terminal.
    escape(format!("{:#}\n", json!({ "log": log })))
}

/// Every exchange in the order of their starts.
fn traced(run: &Run) -> Vec<Traced> {
    let mut all = run.traced.clone();
    if all.is_empty() {
        for result in &run.results {
            let start = run.starts.get(result.check.id).copied().unwrap_or_default();
            let each = run.exchanges_of(result).into_iter();
            all.extend(each.map(|exchange| Traced { check: result.check.id, start, exchange: Arc::clone(exchange) }));
        }
    }
    all.sort_by_key(|traced| traced.start);
    all
}

/// What paths are put behind; an archive has absolute addresses only.
fn base(target: &str) -> String {
    let web = target.starts_with("http://") || target.starts_with("https://");
    match target.strip_prefix("avp://") {
        Some(authority) => format!("https://{}", encode(authority.trim_end_matches('/'))),
        None if web => encode(target.trim_end_matches('/')),
        None => "http://localhost".to_owned(),
    }
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, NOT_IN_URLS).to_string()
}

/// A path as it was sent, as far as it is one: what no URL has is escaped, an escape that is none too.
fn path(sent: &str) -> String {
    let escaped = encode(sent).replace('[', "%5B").replace(']', "%5D").replace('#', "%23");
    let mut out = String::with_capacity(escaped.len());
    for (at, c) in escaped.char_indices() {
        out.push(c);
        let next = escaped.as_bytes().get(at + 1..at + 3);
        if c == '%' && !next.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
            out.push_str("25");
        }
    }
    out
}

fn entry(run: &Run, base: &str, traced: &Traced) -> Value {
    let exchange = &*traced.exchange;
    let offset = i64::try_from(traced.start.as_millis()).unwrap_or(i64::MAX);
    let time = millis(exchange.duration);
    let mut comment = format!("{}: {}", traced.check, exchange.operation);
    if let Some(error) = &exchange.error {
        comment = format!("{comment}; {}", clean(error));
    }
    json!({
        "startedDateTime": rfc3339(run.info.started_ms.saturating_add(offset)),
        "time": time,
        "request": request(base, exchange),
        "response": response(exchange),
        "cache": {},
        // The recorder knows when the last byte came, not what the time was spent on.
        "timings": { "send": 0, "wait": time, "receive": 0 },
        "comment": comment,
    })
}

fn request(base: &str, exchange: &Exchange) -> Value {
    let path = path(&exchange.path);
    let query: Vec<Value> = exchange.path.split_once('?').map_or_else(Vec::new, |(_, query)| {
        let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.map(|(name, value)| json!({ "name": clean(name), "value": clean(value) })).collect()
    });
    let mut headers = Vec::new();
    if let Some(value) = &exchange.authorization {
        headers.push(json!({ "name": "Authorization", "value": clean(value) }));
    }
    let mut request = json!({
        "method": clean(&exchange.method),
        "url": format!("{base}{path}"),
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": headers,
        "queryString": query,
        "headersSize": -1,
        "bodySize": exchange.request.length,
    });
    if exchange.request.length > 0 {
        request["postData"] = json!({ "mimeType": "application/json", "text": &*exchange.request.text });
        cut(&mut request["postData"], &exchange.request);
    }
    request
}

fn response(exchange: &Exchange) -> Value {
    let kind = exchange.content_type.as_deref().map(clean);
    let headers: Vec<Value> = kind.iter().map(|kind| json!({ "name": "Content-Type", "value": kind })).collect();
    let mut content = json!({
        "size": exchange.response.length,
        "mimeType": kind.as_deref().unwrap_or("x-unknown"),
        "text": &*exchange.response.text,
    });
    cut(&mut content, &exchange.response);
    json!({
        "status": exchange.status.unwrap_or(0),
        "statusText": "",
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": headers,
        "content": content,
        "redirectURL": "",
        "headersSize": -1,
        "bodySize": exchange.response.length,
    })
}

fn cut(part: &mut Value, body: &RecordedBody) {
    if body.is_cut() {
        part["comment"] = format!("the beginning of {}", count(body.length, "byte")).into();
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    /// The published schema of HAR 1.2, with its licence beside it.
    const SCHEMA: &str = include_str!("../../tests/schemas/har-1.2.json");

    #[test]
    fn the_archive_conforms_to_the_published_schema() {
        let schema: Value = serde_json::from_str(SCHEMA).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        for run in [samples::mixed(), samples::conformant(), samples::not_judged(), samples::hostile()] {
            let archive: Value = serde_json::from_str(&render(&run)).unwrap();
            let errors: Vec<_> = validator.iter_errors(&archive).map(|error| error.to_string()).collect();
            assert_eq!(errors, [] as [String; 0]);
        }
        let archive: Value = serde_json::from_str(&render(&samples::mixed())).unwrap();
        let mut without = archive.clone();
        without["log"]["entries"][0].as_object_mut().unwrap().remove("response");
        assert!(!validator.is_valid(&without));
        assert_eq!(archive["log"]["entries"].as_array().unwrap().len(), 4);
    }

    #[test]
    fn hostile_text_is_harmless() {
        let text = render(&samples::hostile());
        assert!(!text.chars().any(|c| c != '\n' && super::super::text::is_unsafe(c)));
        let archive: Value = serde_json::from_str(&text).unwrap();
        let url = archive["log"]["entries"][0]["request"]["url"].as_str().unwrap();
        url::Url::parse(url).unwrap();
    }

    #[test]
    fn addresses_are_absolute() {
        assert_eq!(base("https://h/p/"), "https://h/p");
        assert_eq!(base("avp://vault.example"), "https://vault.example");
        assert_eq!(base("the built-in server"), "http://localhost");
        assert_eq!(base("http://[::1]:80"), "http://[::1]:80");
        assert_eq!(path("/v1/a%2Fb%zz%[x]#"), "/v1/a%2Fb%25zz%25%5Bx%5D%23");
    }

    #[test]
    fn looks_like_this() {
        insta::with_settings!({ snapshot_path => "../../snapshots", prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!("report.har", render(&samples::mixed()));
        });
    }
}
