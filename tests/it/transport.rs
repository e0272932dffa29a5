//! Connections that end at awkward moments: what was carried out is never sent again, what never left always is, and nobody
//! is blamed for closing a connection that was idle.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use avp_conform::client::{RawAnswer, RawRequest, Transport, TransportError};
use avp_conform::fuzzing::server as fuzz;
use avp_conform::runner::{self, CheckResult, Event, RunConfig, Status, Target};
use avp_conform::server;
use http::Method;

/// Whatever takes connections, until it is dropped.
pub(super) struct Listener {
    pub(super) address: SocketAddr,
    stop: Arc<AtomicBool>,
}

impl Listener {
    pub(super) fn start(handle: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Self {
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
                let _ = stream.set_nodelay(true);
                let handle = handle.clone();
                thread::spawn(move || handle(stream, number));
            }
        });
        Self { address, stop }
    }

    pub(super) fn transport(&self) -> Transport {
        transport(self.address)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

/// The built-in server, and a proxy before it.
pub(super) struct Proxied {
    pub(super) proxy: Listener,
    _runtime: tokio::runtime::Runtime,
}

impl Proxied {
    /// `after` gets the client's stream, the number of the request and its answer, and says whether the connection goes on.
    pub(super) fn start(after: impl Fn(&mut TcpStream, &[u8], usize, &[u8]) -> bool + Send + Sync + 'static) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let behind = runtime.block_on(server::start(server::Config::default(), listener)).unwrap();
        let requests = AtomicUsize::new(0);
        let proxy = Listener::start(move |mut stream, _| {
            while let Some(request) = message(&mut stream) {
                let mut onward = TcpStream::connect(behind.addr()).unwrap();
                onward.write_all(&request).unwrap();
                let Some(answer) = message(&mut onward) else { return };
                if !after(&mut stream, &request, requests.fetch_add(1, Ordering::Relaxed), &answer) {
                    return;
                }
            }
        });
        Self { proxy, _runtime: runtime }
    }
}

/// Head and body as they came; `None` at the end of the connection.
pub(super) fn message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(20)));
    let (mut seen, mut byte) = (Vec::new(), [0; 1]);
    while !seen.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        seen.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&seen).to_ascii_lowercase();
    if head.contains("transfer-encoding: chunked") {
        while !seen.ends_with(b"\r\n0\r\n\r\n") {
            stream.read_exact(&mut byte).ok()?;
            seen.push(byte[0]);
        }
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    seen.extend(body);
    Some(seen)
}

fn transport(address: SocketAddr) -> Transport {
    Transport::new(&format!("http://{address}").parse().unwrap(), None, Vec::new(), Duration::from_secs(2)).unwrap()
}

pub(super) fn post() -> RawRequest {
    RawRequest {
        method: Method::POST,
        path: "/v1/repos".into(),
        headers: Vec::new(),
        body: Some("{}".into()),
        answer_limit: 1 << 16,
    }
}

pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

pub(super) fn judge(address: SocketAddr, only: &[&str], jobs: usize) -> (Vec<Arc<CheckResult>>, Vec<String>) {
    let mut config = RunConfig::new(Target::Url(format!("http://{address}").parse().unwrap()));
    config.only = only.iter().map(|glob| globset::Glob::new(glob).unwrap()).collect();
    config.jobs = jobs;
    config.timeout = Duration::from_secs(5);
    config.deadline = Duration::from_secs(120);
    let (mut results, mut notes) = (Vec::new(), Vec::new());
    let (_keep, stop) = tokio::sync::watch::channel(false);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(runner::run(config, stop, &mut |event| match event {
        Event::CheckFinished(result) if result.status != Status::Skip => results.push(result),
        Event::Note(note) => notes.push(note),
        _ => {}
    }));
    (results, notes)
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

fn is_ok(result: Result<RawAnswer, TransportError>) {
    assert_eq!(result.unwrap().status.as_u16(), 200);
}

/// Every fifth POST is carried out, and the connection closed without a word.
#[test]
fn what_was_carried_out_is_not_sent_again() {
    let target = Proxied::start(|stream, request, number, answer| {
        (number % 5 != 4 || !request.starts_with(b"POST")) && stream.write_all(answer).is_ok()
    });
    let (results, _) = judge(target.proxy.address, &["create-repo/*", "push/*"], 1);
    let told: Vec<_> = results.iter().filter(|result| result.status != Status::Pass).collect();
    assert!(told.iter().any(|result| result.status == Status::Fail), "an unanswered request is a failure");
    for result in told {
        assert!(result.message.contains("closed"), "{}: {}", result.check.id, result.message);
        let finding = result.findings.first().unwrap();
        assert!(!finding.observed.contains("409"), "{}: {}", result.check.id, finding.observed);
        assert!(!finding.observed.contains("conflict"), "{}: {}", result.check.id, finding.observed);
    }
}

/// The same in the fuzzer: what it says is that connections were dropped.
#[test]
fn the_fuzzer_says_closed_too() {
    let target = Proxied::start(|stream, request, number, answer| {
        (!(100..110).contains(&number) || !request.starts_with(b"POST")) && stream.write_all(answer).is_ok()
    });
    let mut config = RunConfig::new(Target::Url(format!("http://{}", target.proxy.address).parse().unwrap()));
    (config.jobs, config.timeout) = (1, Duration::from_secs(5));
    let limits = fuzz::Limits { cases: Some(6), duration: None, first: false, strict: false };
    let (_keep, stop) = tokio::sync::watch::channel(false);
    let campaign = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(fuzz::run(&config, 7, limits, stop, &mut |_| {}));
    let failures: Vec<_> = campaign.reports.iter().filter(|report| report.found.fails()).collect();
    assert!(!failures.is_empty());
    for report in failures {
        assert!(report.found.observed.contains("closed"), "{:?}", report.found);
    }
}

/// Connections that end after an answer, without an announcement and a moment later or not: nothing is broken by that.
#[test]
fn idle_connections_may_end_at_any_moment() {
    for pause in [Duration::ZERO, Duration::from_micros(200), Duration::from_millis(5)] {
        let target = Proxied::start(move |stream, _, number, answer| {
            let _ = stream.write_all(answer);
            if number % 3 == 0 {
                thread::sleep(pause);
            }
            number % 3 != 0
        });
        let (results, _) = judge(target.proxy.address, &["create-repo/*", "push/*", "members/*"], 8);
        assert!(results.len() > 20);
        for result in results {
            assert_eq!(result.status, Status::Pass, "{}: {}", result.check.id, result.message);
        }
    }
}

/// The server takes a request on a kept connection in just before it closes: whether it was carried out can't be known. The
/// check is made again, on connections of its own.
#[test]
fn a_request_that_crossed_the_end_of_its_connection_is_nobodys_fault() {
    let seen = AtomicUsize::new(0);
    let target = Proxied::start(move |stream, request, _, answer| {
        if request.windows(5).any(|bytes| bytes == b"/push") && seen.fetch_add(1, Ordering::Relaxed) == 0 {
            return false;
        }
        stream.write_all(answer).is_ok()
    });
    let (results, notes) = judge(target.proxy.address, &["push/*"], 1);
    assert!(results.iter().all(|result| result.status == Status::Pass));
    assert!(notes.iter().any(|note| note.contains("kept connection")), "{notes:?}");
}

/// The end of the stream, or an answer to nothing, comes while a connection is idle: the next request goes elsewhere.
#[test]
fn what_never_left_is_sent_again() {
    let farewells: [fn(&mut TcpStream); 4] = [
        |stream| stream.shutdown(Shutdown::Both).unwrap(),
        |stream| stream.shutdown(Shutdown::Write).unwrap(),
        |stream| {
            stream.write_all(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap()
        },
        |stream| stream.write_all(OK).unwrap(),
    ];
    for farewell in farewells {
        let target = Listener::start(move |mut stream, _| {
            message(&mut stream);
            stream.write_all(OK).unwrap();
            farewell(&mut stream);
            // Whoever sends here all the same gets no answer.
            thread::sleep(Duration::from_secs(3));
        });
        let transport = target.transport();
        block_on(async {
            for _ in 0..3 {
                is_ok(transport.send(&post()).await);
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
        });
    }
}

/// What the server makes of a second request on a kept connection.
fn second_on_a_kept_connection(answer: &'static [u8]) -> (TransportError, usize) {
    let taken = Arc::new(AtomicUsize::new(0));
    let count = taken.clone();
    let target = Listener::start(move |mut stream, _| {
        message(&mut stream);
        stream.write_all(OK).unwrap();
        if message(&mut stream).is_some() {
            count.fetch_add(1, Ordering::Relaxed);
            let _ = stream.write_all(answer);
        }
    });
    let transport = target.transport();
    let error = block_on(async {
        is_ok(transport.send(&post()).await);
        transport.send(&post()).await.unwrap_err()
    });
    (error, taken.load(Ordering::Relaxed))
}

#[test]
fn a_close_says_whether_it_may_have_been_for_being_idle() {
    for farewell in [&b""[..], b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"] {
        let (error, taken) = second_on_a_kept_connection(farewell);
        assert!(error.is_idle_close(), "{error}");
        assert_eq!(taken, 1, "it was sent once");
    }
    // Half an answer is one to this very request.
    let (error, _) = second_on_a_kept_connection(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{");
    assert!(matches!(error, TransportError::Closed { idle: false, .. }), "{error}");
    let unanswered = Listener::start(|mut stream, _| drop(message(&mut stream)));
    let error = block_on(unanswered.transport().send(&post())).unwrap_err();
    assert!(matches!(error, TransportError::Closed { idle: false, .. }), "{error}");
}

/// As Go's net/http answers what it can't read: with a whole answer, and a reset, since the body is still on its way.
#[test]
fn an_answer_before_a_reset_is_an_answer() {
    for answer in [
        &b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n400 Bad Request"[..],
        b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\n{}",
    ] {
        for size in [10, 100_000, 8 << 20] {
            let target = Listener::start(move |mut stream, _| {
                let _ = stream.read(&mut [0; 16]);
                stream.write_all(answer).unwrap();
                // The rest is unread, so that closing resets.
            });
            let request = RawRequest { body: Some(vec![b' '; size].into()), ..post() };
            let got = block_on(target.transport().send(&request));
            let status = got.unwrap_or_else(|error| panic!("{size}: {error}")).status.as_u16();
            assert!(matches!(status, 400 | 413));
        }
    }
}

/// One request in many that is told to wait keeps nobody else waiting.
#[test]
fn a_single_429_is_for_one_request() {
    const JOBS: usize = 4;
    let limited = Arc::new(std::sync::OnceLock::new());
    let others = Arc::new(AtomicUsize::new(0));
    let (told, meanwhile) = (limited.clone(), others.clone());
    let target = Proxied::start(move |stream, request, _, answer| {
        let is_pull = request.windows(5).any(|window| window == b"/pull") && answer.starts_with(b"HTTP/1.1 200");
        if is_pull && told.set(Instant::now()).is_ok() {
            let _ = stream.write_all(b"HTTP/1.1 429 Wait\r\nRetry-After: 2\r\nContent-Length: 2\r\n\r\n{}");
            return true;
        }
        let waits = told.get().is_some_and(|since| since.elapsed() < Duration::from_secs(2));
        meanwhile.fetch_add(usize::from(waits), Ordering::Relaxed);
        let _ = stream.write_all(answer);
        true
    });
    let (results, _) = judge(target.proxy.address, &["push/*", "pull/*"], JOBS);
    assert!(limited.get().is_some());
    // Were all of them to wait, those that were under way would have been answered, and no more.
    assert!(others.load(Ordering::Relaxed) > 4 * JOBS, "{}", others.load(Ordering::Relaxed));
    for result in results {
        let is_fine = matches!(result.status, Status::Pass | Status::Warn | Status::Skip);
        assert!(is_fine, "{}: {}", result.check.id, result.message);
    }
}

/// A connection that nobody shakes hands on is given up within the bound, and says so.
#[test]
fn opening_is_bounded() {
    let target = Listener::start(|stream, _| {
        thread::sleep(Duration::from_secs(5));
        drop(stream);
    });
    let tls = avp_conform::client::client_config(&[], true).unwrap();
    let base = format!("https://{}", target.address).parse().unwrap();
    let transport = Arc::new(Transport::new(&base, Some(tls), Vec::new(), Duration::from_millis(300)).unwrap());
    let bound = Duration::from_millis(300);
    let started = Instant::now();
    block_on(async {
        let sent = transport.send(&post()).await.unwrap_err();
        assert!(sent.to_string().contains("no TLS handshake"), "{sent}");
        assert!(sent.is_unreachable());
        assert!(!transport.is_reachable().await);
        let volley = transport.send_together(vec![post(); 9], bound).await;
        assert!(volley.results.iter().all(|(result, _)| result.as_ref().is_err_and(TransportError::is_unreachable)));
        assert!(
            transport.send_partly(post(), 0.5, bound).await.finish().await.is_err_and(|error| error.is_unreachable())
        );
        assert!(transport.send_both(&post(), &post(), bound).await.is_err_and(|error| error.is_unreachable()));
    });
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
}
