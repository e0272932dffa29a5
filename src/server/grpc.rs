//! The gRPC profile (SPEC §6): unary calls over HTTP/2.
//!
//! A call is answered by the routes of the HTTP/JSON profile: the message becomes the JSON that says the same, the answer's JSON
//! becomes a message, and its status a code. So rules, faults and quirks are written once, and both profiles have one store.
//! It is h2 rather than a gRPC framework because a unary call is one message each way, and what goes wrong below it (a frame that is
//! cut short, an encoding that nobody knows) is to be answered exactly.

mod translation;

use std::future::poll_fn;
use std::io::Read as _;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method as HttpMethod, Request, Response, StatusCode, header};
use bytes::{Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http_body_util::BodyExt as _;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::instrument::WithSubscriber as _;

use self::translation::{translate, words};
use super::connection::{Stream, told_to_stop};
use super::edge::{HangUp, Turn};
use super::http::App;
use crate::wire::proto::{Code, Method, PREFIX, framed, prefix};

/// Longest message, as gRPC servers usually have it.
const MAX_MESSAGE: usize = 4 << 20;
/// How long a message may take to arrive, and a connection to say what it speaks.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a call may take altogether.
const LONGEST_CALL: Duration = Duration::from_secs(120);
/// Headers that speak of HTTP itself, or of a body.
const OF_HTTP: [HeaderName; 8] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::DATE,
    header::VARY,
    header::ETAG,
];
/// Calls at once on one connection, and how much of their heads is read.
const MAX_CALLS: u32 = 256;
const MAX_HEAD: u32 = 64 * 1024;
/// How much a client may send ahead.
const WINDOW: u32 = 1 << 20;
/// What stays as it is in `grpc-message`: gRPC encodes all but printable ASCII, and the percent sign.
const MESSAGE: &AsciiSet = &CONTROLS.add(b'%');

/// How a call ends that isn't OK.
struct Failure {
    code: Code,
    message: String,
}

impl Failure {
    fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// Serves one connection until it ends or the server is told to stop.
pub(super) async fn serve(
    app: Arc<App>,
    router: Router,
    stream: TcpStream,
    mut turn: Pin<Box<Turn>>,
    stop: watch::Receiver<bool>,
) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let Ok(local) = stream.local_addr() else { return };
    turn.as_mut().await;
    let stream = app.edges.iter().fold(Box::new(stream) as Box<dyn Stream>, |stream, edge| edge.stream(stream));
    let mut http = h2::server::Builder::new();
    http.max_concurrent_streams(MAX_CALLS).max_header_list_size(MAX_HEAD);
    http.initial_window_size(WINDOW).initial_connection_window_size(WINDOW);
    let Ok(Ok(mut connection)) = timeout(PATIENCE, http.handshake::<_, Bytes>(stream)).await else { return };
    let mut calls = JoinSet::new();
    let mut stopping = std::pin::pin!(told_to_stop(stop));
    let mut told = false;
    loop {
        tokio::select! {
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    let call = answer(Arc::clone(&app), router.clone(), local, request, respond);
                    calls.spawn(call.with_current_subscriber());
                }
                Some(Err(_)) | None => break,
            },
            Some(_) = calls.join_next() => {}
            () = &mut stopping, if !told => {
                told = true;
                connection.graceful_shutdown();
            }
        }
    }
}

/// What comes of a call: a message or a failure, with metadata; nothing (the stream is reset); or an HTTP status for what is no gRPC at
/// all.
enum Ended {
    Answered(HeaderMap, Result<Vec<u8>, Failure>),
    HungUp,
    NoGrpc(StatusCode),
}

impl Ended {
    fn failed(failure: Failure) -> Self {
        Self::Answered(HeaderMap::new(), Err(failure))
    }
}

/// Answers one call and logs it, without anything that a client sent. Whoever resets the stream wants no answer any more: the handler is
/// dropped where it stands, as frameworks do.
async fn answer(
    app: Arc<App>,
    router: Router,
    local: SocketAddr,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) {
    let started = Instant::now();
    let method = Method::of_path(request.uri().path());
    let ended = {
        let mut call = pin!(call(&app, router, local, method, request));
        poll_fn(|cx| match respond.poll_reset(cx) {
            Poll::Ready(_) => Poll::Ready(None),
            Poll::Pending => call.as_mut().poll(cx).map(Some),
        })
        .await
    };
    let mut code = Code::UNKNOWN;
    // Whoever is gone needs no answer.
    let _ = match ended {
        Some(Ended::Answered(metadata, result)) => {
            let result = bent(&app, method, result);
            code = result.as_ref().map_or_else(|failure| failure.code, |_| Code::OK);
            match result {
                Ok(message) => {
                    let compress = app.edges.iter().any(|edge| edge.compresses_calls());
                    send(&mut respond, metadata, &message, compress)
                }
                Err(failure) => refuse(&mut respond, metadata, &failure),
            }
        }
        Some(Ended::HungUp) => {
            respond.send_reset(Reason::CANCEL);
            Ok(())
        }
        Some(Ended::NoGrpc(status)) => {
            let mut response = Response::new(());
            *response.status_mut() = status;
            respond.send_response(response, true).map(drop)
        }
        None => {
            code = Code::CANCELLED;
            app.edges.iter().for_each(|edge| edge.call_reset());
            Ok(())
        }
    };
    let (method, micros) = (method.map_or("(none)", Method::path), started.elapsed().as_micros());
    tracing::info!(method, code = code.0, micros, "call");
}

/// What everybody at the edge makes of how a call ended.
fn bent(app: &App, method: Option<Method>, result: Result<Vec<u8>, Failure>) -> Result<Vec<u8>, Failure> {
    let (mut words, mut ended) = (String::new(), result.map_err(|failure| (failure.code, failure.message)));
    if let Err((code, message)) = &mut ended {
        *code = app.edges.iter().fold(*code, |code, edge| edge.call_code(code));
        words = std::mem::take(message);
    }
    let mut ended = ended.map_err(|(code, _)| code);
    if let Some(method) = method {
        ended = app.edges.iter().fold(ended, |ended, edge| edge.call_ended(method, ended));
    }
    ended.map_err(|code| Failure::new(code, words))
}

fn send(
    respond: &mut SendResponse<Bytes>,
    metadata: HeaderMap,
    message: &[u8],
    compress: bool,
) -> Result<(), h2::Error> {
    let mut response = Response::new(());
    *response.headers_mut() = metadata;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    let mut data = framed(message);
    if compress {
        data = framed(&gzipped(message));
        data[0] = 1;
        response.headers_mut().insert("grpc-encoding", HeaderValue::from_static("gzip"));
    }
    let mut stream = respond.send_response(response, false)?;
    stream.send_data(data.into(), false)?;
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    stream.send_trailers(trailers)
}

fn gzipped(message: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::bufread::GzEncoder::new(message, flate2::Compression::fast());
    let mut out = Vec::new();
    // Reading from memory doesn't fail.
    let _ = encoder.read_to_end(&mut out);
    out
}

fn refuse(respond: &mut SendResponse<Bytes>, metadata: HeaderMap, failure: &Failure) -> Result<(), h2::Error> {
    let mut response = Response::new(());
    let headers = response.headers_mut();
    *headers = metadata;
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", HeaderValue::from(failure.code.0));
    if let Ok(message) = HeaderValue::from_str(&utf8_percent_encode(&failure.message, MESSAGE).to_string()) {
        headers.insert("grpc-message", message);
    }
    respond.send_response(response, true).map(drop)
}

async fn call(
    app: &App,
    router: Router,
    local: SocketAddr,
    method: Option<Method>,
    request: Request<RecvStream>,
) -> Ended {
    let (parts, body) = request.into_parts();
    let label = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if parts.method != HttpMethod::POST {
        return Ended::NoGrpc(StatusCode::METHOD_NOT_ALLOWED);
    }
    if !label.starts_with("application/grpc") {
        return Ended::NoGrpc(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    let Some(method) = method else {
        return Ended::failed(Failure::new(Code::UNIMPLEMENTED, "no such method"));
    };
    let asked = patience(&parts.headers);
    let work = carry_out(app, router, local, method, &parts.headers, body);
    match timeout(asked.unwrap_or(LONGEST_CALL).min(LONGEST_CALL), work).await {
        Ok(ended) => ended,
        Err(_) => Ended::failed(Failure::new(Code::DEADLINE_EXCEEDED, "the call took too long")),
    }
}

/// Reads the message and has it carried out.
async fn carry_out(
    app: &App,
    router: Router,
    local: SocketAddr,
    method: Method,
    headers: &HeaderMap,
    body: RecvStream,
) -> Ended {
    let mut turns = Vec::new();
    for turn in app.edges.iter().filter_map(|edge| edge.turn()) {
        turns.push(turn.await);
    }
    let limit = app.edges.iter().fold(app.max_body.min(MAX_MESSAGE), |limit, edge| edge.max_body(limit));
    let cut = app.edges.iter().any(|edge| edge.takes_cut_messages());
    let message = match timeout(PATIENCE, read(body, limit, cut)).await {
        Ok(Ok(message)) => message,
        Ok(Err(failure)) => return Ended::failed(failure),
        Err(_) => return Ended::failed(Failure::new(Code::DEADLINE_EXCEEDED, "the message took too long")),
    };
    let message = app.edges.iter().fold(message, |message, edge| edge.call_message(method, message));
    let json = match method.request_to_json(&message) {
        Ok(json) => json,
        Err(error) => return Ended::failed(Failure::new(Code::INVALID_ARGUMENT, error.to_string())),
    };
    let ended = match app.edges.iter().find_map(|edge| edge.call_lasts(method)) {
        Some(wait) => {
            let headers = headers.clone();
            let work = async move {
                tokio::time::sleep(wait).await;
                perform(router, local, method, &headers, json).await
            };
            tokio::spawn(work).await.unwrap_or(Ended::HungUp)
        }
        None => perform(router, local, method, headers, json).await,
    };
    drop(turns);
    for delay in app.edges.iter().filter_map(|edge| edge.delay()) {
        delay.await;
    }
    ended
}

/// The one message of a call.
async fn read(mut body: RecvStream, limit: usize, cut: bool) -> Result<Vec<u8>, Failure> {
    let mut bytes = BytesMut::new();
    while let Some(data) = body.data().await {
        let data = data.map_err(|_| Failure::new(Code::INVALID_ARGUMENT, "the message broke off"))?;
        // The window only closes on whoever sends more than a message.
        let _ = body.flow_control().release_capacity(data.len());
        bytes.extend_from_slice(&data);
        if let Some((flag, length)) = prefix(&bytes) {
            if length > limit {
                return Err(Failure::new(Code::RESOURCE_EXHAUSTED, format!("a message has at most {limit} bytes")));
            }
            if flag != 0 {
                return Err(Failure::new(Code::UNIMPLEMENTED, "messages aren't compressed here"));
            }
            if bytes.len() > PREFIX + length {
                return Err(Failure::new(Code::INVALID_ARGUMENT, "a call has one message"));
            }
        }
    }
    match prefix(&bytes) {
        Some((_, length)) if bytes.len() == PREFIX + length || cut => Ok(bytes[PREFIX..].to_vec()),
        _ => Err(Failure::new(Code::INVALID_ARGUMENT, "the message isn't whole")),
    }
}

/// Has the HTTP/JSON profile answer, with everybody at the edge who has a say there. What its answer says in headers, beside what is
/// about HTTP itself, is metadata.
async fn perform(router: Router, local: SocketAddr, method: Method, headers: &HeaderMap, json: Vec<u8>) -> Ended {
    let request = translate(local, method, headers, json);
    let response = match TowerToHyperService::new(router).call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let (mut parts, body) = response.into_parts();
    if parts.extensions.get::<HangUp>().is_some() {
        return Ended::HungUp;
    }
    for name in OF_HTTP {
        parts.headers.remove(name);
    }
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let result = if parts.status.is_success() {
        method.answer_to_proto(&body).map_err(|error| Failure::new(Code::INTERNAL, error.to_string()))
    } else {
        Err(Failure::new(Code::of_http(parts.status.as_u16()), words(&body)))
    };
    Ended::Answered(parts.headers, result)
}

/// What `grpc-timeout` allows.
fn patience(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", text.parse().unwrap());
            patience(&headers)
        };
        assert_eq!(read("1m"), Some(Duration::from_millis(1)));
        assert_eq!(read("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        for wrong in ["", "1", "m", "-1S", "123456789S", "1s", "1ü"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
