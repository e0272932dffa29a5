//! What client and server agree on: media types and content codings (RFC 9110 §8, §12).

use std::io::{Read as _, Write as _};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::super::by_hand::{HandMade, Lane};
use super::{ANSWER_LIMIT, Ctx, Fixture, Outcome, RawAnswer, TransportError, told};

pub async fn media_types(cx: &Ctx) -> Outcome {
    let fixture = Fixture::set_up(cx).await?;
    let mut lane = Lane::new(cx);
    let (mut wrong, mut shown) = (Vec::new(), None);
    let labels = ["application/json; charset=utf-8", "application/json;charset=UTF-8", "Application/JSON"];
    let accepts = [
        "*/*",
        "application/*",
        "text/html, application/xhtml+xml, application/json;q=0.9, */*;q=0.8",
        "application/json, text/plain, */*",
    ];
    let labelled = labels
        .map(|label| (format!("Content-Type: {label}"), HandMade { content_type: Some(label), ..fixture.pull() }));
    let accepted = accepts.map(|types| {
        let headers = vec![("Accept", types.to_owned())];
        (format!("Accept: {types}"), HandMade { headers, ..fixture.pull() })
    });
    for (what, request) in labelled.into_iter().chain(accepted) {
        let result = lane.send(&request).await;
        if !result.as_ref().is_ok_and(|answer| fixture.is_pulled(answer)) {
            wrong.push(format!("{what}: {}", told(&result)));
            shown = shown.or_else(|| result.ok());
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(fixture.finding(
        &fixture.pull(),
        shown.as_ref(),
        "a pull works with every spelling of JSON and for who accepts it",
        wrong.join("; "),
    ))
}

/// How large a body a small one is inflated to, to see whether there is a bound.
const BOMB: usize = 48 << 20;

pub async fn encodings(cx: &Ctx) -> Outcome {
    let fixture = Fixture::set_up(cx).await?;
    let mut lane = Lane::new(cx);
    let (mut wrong, mut shown) = (Vec::new(), None);
    for (asked, allowed) in [("gzip", true), ("gzip, deflate, br", true), ("gzip;q=0", false), ("identity", false)] {
        let request = HandMade { headers: vec![("Accept-Encoding", asked.into())], ..fixture.pull() };
        let result = lane.send(&request).await;
        let fault = match &result {
            Ok(answer) => encoding_fault(&fixture, answer, allowed),
            Err(error) => Some(error.to_string()),
        };
        if let Some(fault) = fault {
            wrong.push(format!("Accept-Encoding: {asked}: {fault}"));
            shown = shown.or_else(|| result.ok());
        }
    }
    let plain = fixture.pull().body.unwrap_or_default();
    let zipped = |body: Bytes| HandMade {
        headers: vec![("Content-Encoding", "gzip".into())],
        body: Some(body),
        ..fixture.pull()
    };
    let request = zipped(gzip(&plain, 0));
    let result = lane.send(&request).await;
    match &result {
        Ok(answer) if fixture.is_pulled(answer) => {
            let bomb = lane.send(&zipped(gzip(&plain, BOMB))).await;
            let bounded = match &bomb {
                Ok(answer) => !fixture.is_pulled(answer) && !answer.status.is_server_error(),
                Err(error) => !matches!(error, TransportError::Timeout(_)),
            };
            if !bounded {
                wrong.push(format!("a small body that is {} MiB without gzip: {}", BOMB >> 20, told(&bomb)));
                shown = shown.or_else(|| bomb.ok());
            }
        }
        Ok(answer) if answer.status.is_client_error() => {}
        // Hung up on: the checks of bad input look at that.
        Err(TransportError::Closed { .. }) => {}
        _ => wrong.push(format!("a body with Content-Encoding: gzip: {}", told(&result))),
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let expected = "answers are compressed once, if asked for and declared, and compressed bodies are refused (415) or read with a bound";
    Err(fixture.finding(&fixture.pull(), shown.as_ref(), expected, wrong.join("; ")))
}

/// What is wrong with how an answer is encoded.
fn encoding_fault(fixture: &Fixture<'_>, answer: &RawAnswer, allowed: bool) -> Option<String> {
    let declared =
        answer.headers.get(http::header::CONTENT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or("identity");
    match declared.to_ascii_lowercase().as_str() {
        "identity" if fixture.is_pulled(answer) => None,
        "identity" if answer.body.starts_with(&[0x1f, 0x8b]) => Some("compressed, and nothing says so".into()),
        "identity" => Some(format!("status {}, not the usual answer", answer.status.as_u16())),
        "gzip" | "x-gzip" if !allowed => Some("compressed all the same".into()),
        "gzip" | "x-gzip" => {
            let mut body = Vec::new();
            let read = GzDecoder::new(&answer.body[..]).take(ANSWER_LIMIT as u64).read_to_end(&mut body);
            let inside = RawAnswer { body: body.into(), ..answer.clone() };
            match read {
                Ok(_) if fixture.is_pulled(&inside) => None,
                Ok(_) if inside.body.starts_with(&[0x1f, 0x8b]) => Some("compressed twice".into()),
                Ok(_) => Some("not the usual answer when it is uncompressed".into()),
                Err(error) => Some(format!("not gzip: {error}")),
            }
        }
        // What was offered beside gzip isn't undone here.
        _ => None,
    }
}

/// A body, with blanks behind it, compressed.
fn gzip(body: &[u8], blanks: usize) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let chunk = [b' '; 64 << 10];
    // Into memory: it can't fail.
    let _ = encoder.write_all(body);
    for _ in 0..blanks / chunk.len() {
        let _ = encoder.write_all(&chunk);
    }
    encoder.finish().unwrap_or_default().into()
}
