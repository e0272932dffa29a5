//! Targets that are hostile, broken or no AVP servers at all: the run ends soon, in one piece, and says what is wrong.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use avp_conform::runner::{self, Event, RunConfig, RunEnd, Status, Summary, Target, Verdict};
use avp_conform::server;

/// A server whose every connection is handled by one function, until it is dropped.
struct Hostile {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
}

impl Hostile {
    fn start(handle: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, handle) = (stop.clone(), Arc::new(handle));
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let Ok(stream) = stream else { continue };
                let handle = handle.clone();
                thread::spawn(move || handle(stream, number));
            }
        });
        Self { address, stop }
    }

    /// Every request gets the same bytes.
    fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::start(move |mut stream, _| while read_request(&mut stream) && stream.write_all(&answer).is_ok() {})
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

/// Reads a head and as much body as it announces; false at the end of the connection.
fn read_request(stream: &mut TcpStream) -> bool {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(20)));
    let (mut seen, mut byte) = (Vec::new(), [0; 1]);
    while !seen.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => seen.push(byte[0]),
            _ => return false,
        }
    }
    let head = String::from_utf8_lossy(&seen).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok()).unwrap_or(0);
    stream.read_exact(&mut vec![0; length]).is_ok()
}

fn config(address: SocketAddr) -> RunConfig {
    let mut config = RunConfig::new(Target::Url(format!("http://{address}").parse().unwrap()));
    config.timeout = Duration::from_millis(700);
    config.deadline = Duration::from_secs(60);
    config
}

fn judge(config: RunConfig) -> (Arc<RunEnd>, Vec<Event>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut events = Vec::new();
    let (_keep, stop) = tokio::sync::watch::channel(false);
    let end = runtime.block_on(runner::run(config, stop, &mut |event| events.push(event)));
    (end, events)
}

/// The run gives up quickly, with exit status 3 and a sentence that holds `expected`.
fn cannot_be_judged(target: &Hostile, expected: &str) {
    let started = Instant::now();
    let (end, _) = judge(config(target.address));
    assert_eq!((end.verdict, end.exit_code), (Verdict::NotJudged, 3), "{}", end.reason);
    assert!(end.reason.contains(expected), "{:?} should say {expected:?}", end.reason);
    assert!(!end.advice.is_empty());
    assert!(started.elapsed() < Duration::from_secs(15), "took {:?}", started.elapsed());
}

fn http(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn nobody_there() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (end, _) = judge(config(address));
    assert_eq!(end.exit_code, 3);
    assert!(end.reason.contains("connection refused"), "{}", end.reason);
}

#[test]
fn silence() {
    cannot_be_judged(
        &Hostile::start(|stream, _| {
            thread::sleep(Duration::from_secs(10));
            drop(stream);
        }),
        "no complete answer within",
    );
}

#[test]
fn one_byte_a_second() {
    let target = Hostile::start(|mut stream, _| {
        read_request(&mut stream);
        for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 9".iter() {
            if stream.write_all(&[*byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(300));
        }
    });
    cannot_be_judged(&target, "no complete answer within");
}

#[test]
fn endless_body() {
    let target = Hostile::start(|mut stream, _| {
        read_request(&mut stream);
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
        let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
        while stream.write_all(chunk.as_bytes()).is_ok() {}
    });
    cannot_be_judged(&target, "");
}

#[test]
fn endless_headers() {
    let target = Hostile::start(|mut stream, _| {
        read_request(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        while stream.write_all(b"X-More: and more and more and more\r\n").is_ok() {}
    });
    cannot_be_judged(&target, "isn't HTTP");
}

#[test]
fn absurd_content_length() {
    let target = Hostile::answering("HTTP/1.1 200 OK\r\nContent-Length: 1000000000000000\r\n\r\n{");
    cannot_be_judged(&target, "no complete answer within");
}

#[test]
fn redirects_are_not_followed() {
    cannot_be_judged(&Hostile::answering(http("302 Found", "Location: http://127.0.0.1:9/\r\n", "")), "redirected");
}

#[test]
fn not_http() {
    cannot_be_judged(&Hostile::answering("SSH-2.0-OpenSSH_9.2\r\n"), "isn't HTTP");
}

#[test]
fn a_web_page() {
    let page = http("200 OK", "Content-Type: text/html\r\n", "<!doctype html><title>Welcome</title>");
    cannot_be_judged(&Hostile::answering(page), "isn't JSON");
}

#[test]
fn null() {
    cannot_be_judged(&Hostile::answering(http("200 OK", "Content-Type: application/json\r\n", "null")), "no object");
}

#[test]
fn nothing_but_404() {
    cannot_be_judged(&Hostile::answering(http("404 Not Found", "", "")), "status 404");
}

#[test]
fn nothing_but_500() {
    cannot_be_judged(&Hostile::answering(http("500 Oops", "", "")), "status 500");
}

#[test]
fn rate_limited_for_a_day() {
    let answer = http("429 Too Many Requests", "Retry-After: 86400\r\n", "");
    cannot_be_judged(&Hostile::answering(answer), "86400 s");
}

#[test]
fn rate_limited_for_ever() {
    cannot_be_judged(&Hostile::answering(http("429 Too Many Requests", "Retry-After: 0\r\n", "")), "429");
}

#[test]
fn a_million_levels_of_nesting() {
    let body = format!("{{\"nonce\":{}", "[".repeat(1_000_000));
    cannot_be_judged(&Hostile::answering(http("200 OK", "Content-Type: application/json\r\n", &body)), "isn't read");
}

#[test]
fn compression_is_not_undone() {
    let answer = http("200 OK", "Content-Type: application/json\r\nContent-Encoding: gzip\r\n", "\u{1f}\u{8b}");
    cannot_be_judged(&Hostile::answering(answer), "isn't JSON");
}

/// A nonce that is no string: an AVP server, but a broken one, and the checks of challenge say so.
#[test]
fn wrong_types_are_a_failure() {
    let target = Hostile::answering(http("200 OK", "Content-Type: application/json\r\n", r#"{"nonce":7}"#));
    let (end, _) = judge(config(target.address));
    assert_eq!((end.verdict, end.exit_code), (Verdict::NotConformant, 1), "{}", end.reason);
}

/// A good server behind a door that closes after a number of connections.
#[test]
fn death_half_way() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let running = runtime.block_on(server::start(server::Config::default(), listener)).unwrap();
    let behind = running.addr();
    let served = Arc::new(AtomicUsize::new(0));
    let count = served.clone();
    let target = Hostile::start(move |mut stream, _| {
        while count.fetch_add(1, Ordering::Relaxed) < 60 {
            let Some(request) = raw_request(&mut stream) else { return };
            let mut onward = TcpStream::connect(behind).unwrap();
            onward.write_all(&request).unwrap();
            let mut answer = vec![0; 1 << 16];
            let length = onward.read(&mut answer).unwrap_or(0);
            if stream.write_all(&answer[..length]).is_err() {
                return;
            }
        }
    });
    let (end, events) = judge(config(target.address));
    assert_eq!((end.verdict, end.exit_code), (Verdict::NotJudged, 3), "{}", end.reason);
    assert!(end.reason.contains("stopped answering"), "{}", end.reason);
    let skipped =
        events.iter().filter(|event| matches!(event, Event::CheckFinished(r) if r.status == Status::Skip)).count();
    assert!(skipped > 10, "the checks that never ran are reported as skipped");
    assert!(matches!(events.first(), Some(Event::RunStarted(_))));
    assert!(matches!(events.last(), Some(Event::RunFinished(_))));
}

/// Head and body as they came.
fn raw_request(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(20)));
    let (mut seen, mut byte) = (Vec::new(), [0; 1]);
    while !seen.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        seen.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&seen).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    seen.extend(body);
    Some(seen)
}

/// A run that is interrupted ends at once and reports every check.
#[test]
fn interruption_leaves_a_whole_report() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let running = runtime.block_on(server::start(server::Config::default(), listener)).unwrap();
    let (sender, stop) = tokio::sync::watch::channel(false);
    let (mut planned, mut told) = (0, std::collections::BTreeSet::new());
    let end = runtime.block_on(runner::run(config(running.addr()), stop, &mut |event| match event {
        Event::RunStarted(info) => planned = info.planned,
        Event::CheckFinished(result) => {
            told.insert(result.check.id);
            let _ = sender.send(true);
        }
        _ => {}
    }));
    assert!(end.interrupted);
    assert_eq!(end.exit_code, 130);
    let Summary { pass, fail, warn, skip, error } = end.summary;
    assert_eq!(pass + fail + warn + skip + error, told.len());
    assert!(planned > 300 && told.len() >= planned, "{} of {planned}", told.len());
}
