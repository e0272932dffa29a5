//! Hostile gRPC targets: the run ends soon, in one piece, and says what is wrong.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use avp_conform::runner::{self, RunConfig, RunEnd, Target, Verdict};

/// Preface and an empty SETTINGS frame of a server.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// A frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A header that isn't indexed, by name and value.
fn header(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0, u8::try_from(name.len()).unwrap()];
    bytes.extend_from_slice(name.as_bytes());
    bytes.push(u8::try_from(value.len()).unwrap());
    bytes.extend_from_slice(value.as_bytes());
    bytes
}

/// HEADERS of an answer: status 200 and gRPC's content type.
fn head() -> Vec<u8> {
    [&[0x88][..], &header("content-type", "application/grpc")].concat()
}

/// Every connection gets the same treatment once a call is there. They end with the test's process.
fn target(handle: fn(&mut TcpStream)) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().take(200) {
            let Ok(mut stream) = stream else { continue };
            thread::spawn(move || {
                let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
                let _ = stream.set_write_timeout(Some(Duration::from_secs(5)));
                if a_call_comes(&mut stream) {
                    handle(&mut stream);
                }
            });
        }
    });
    address
}

/// Reads until the head of a call is there: what is answered to a stream that isn't open yet is another mistake.
fn a_call_comes(stream: &mut TcpStream) -> bool {
    let (mut got, mut buffer) = (Vec::new(), [0; 4096]);
    while got.len() < 1 << 16 {
        match stream.read(&mut buffer) {
            Ok(read) if read > 0 => got.extend_from_slice(&buffer[..read]),
            _ => return false,
        }
        if has_headers(&got) {
            return true;
        }
    }
    false
}

/// Whether a HEADERS frame begins in what a client has sent: the preface of 24 bytes, and frames.
fn has_headers(sent: &[u8]) -> bool {
    let mut rest = sent.get(24..).unwrap_or_default();
    while let [a, b, c, kind, _, _, _, _, _, payload @ ..] = rest {
        if *kind == 1 {
            return true;
        }
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        rest = payload.get(length..).unwrap_or_default();
    }
    false
}

/// The run gives up within seconds, and says something of the kind.
fn cannot_be_judged(handle: fn(&mut TcpStream), expected: &str) {
    let end = ended(handle, Duration::from_secs(20));
    assert_eq!((end.verdict, end.exit_code), (Verdict::NotJudged, 3), "{}", end.reason);
    assert!(end.reason.contains(expected), "{:?} should say {expected:?}", end.reason);
    assert!(!end.advice.is_empty());
}

/// How a run against such a target ends.
fn ended(handle: fn(&mut TcpStream), bound: Duration) -> Arc<RunEnd> {
    let address = target(handle);
    let mut config = RunConfig::new(Target::Url(format!("grpc://{address}").parse().unwrap()));
    (config.timeout, config.deadline) = (Duration::from_millis(700), Duration::from_secs(40));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (_keep, stop) = tokio::sync::watch::channel(false);
    let started = Instant::now();
    let end = runtime.block_on(runner::run(config, stop, &mut |_| {}));
    assert!(started.elapsed() < bound, "took {:?}", started.elapsed());
    end
}

fn send(stream: &mut TcpStream, frames: &[Vec<u8>]) {
    let _ = stream.write_all(SETTINGS);
    for frame in frames {
        if stream.write_all(frame).is_err() {
            return;
        }
    }
    let mut rest = [0; 4096];
    while stream.read(&mut rest).is_ok_and(|read| read > 0) {}
}

#[test]
fn no_http_2_at_all() {
    cannot_be_judged(|stream| drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")), "gRPC");
}

#[test]
fn silence() {
    cannot_be_judged(|stream| drop(stream.read(&mut [0; 16])), "");
    cannot_be_judged(|_| thread::sleep(Duration::from_secs(5)), "no complete answer within");
}

#[test]
fn a_flood_of_settings() {
    cannot_be_judged(|stream| while stream.write_all(&SETTINGS.repeat(500)).is_ok() {}, "");
}

#[test]
fn endless_headers() {
    cannot_be_judged(
        |stream| {
            send(stream, &[frame(1, 0, 1, &head())]);
            let more = frame(9, 0, 1, &header("x-more", &"y".repeat(120)).repeat(100));
            while stream.write_all(&more).is_ok() {}
        },
        "",
    );
}

#[test]
fn an_answer_without_trailers() {
    cannot_be_judged(|stream| send(stream, &[frame(1, 5, 1, &head())]), "without grpc-status");
    cannot_be_judged(|stream| send(stream, &[frame(1, 4, 1, &head()), frame(0, 1, 1, &[0; 5])]), "without grpc-status");
}

#[test]
fn going_away() {
    cannot_be_judged(|stream| send(stream, &[frame(7, 0, 0, &[0; 8])]), "");
    cannot_be_judged(|stream| send(stream, &[frame(7, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 11])]), "");
}

#[test]
fn a_stream_that_is_reset() {
    cannot_be_judged(|stream| send(stream, &[frame(3, 0, 1, &[0, 0, 0, 2])]), "");
    cannot_be_judged(|stream| send(stream, &[frame(3, 0, 1, &[0, 0, 0, 7])]), "");
}

#[test]
fn a_message_of_any_length() {
    cannot_be_judged(
        |stream| {
            let trailers = frame(1, 5, 1, &header("grpc-status", "0"));
            send(stream, &[frame(1, 4, 1, &head()), frame(0, 0, 1, &[0, 0xff, 0xff, 0xff, 0xff, 1]), trailers]);
        },
        "ends after",
    );
}

#[test]
fn an_endless_message() {
    cannot_be_judged(
        |stream| {
            send_head(stream);
            let data = frame(0, 0, 1, &[0; 16384]);
            while stream.write_all(&data).is_ok() {}
        },
        "",
    );
}

fn send_head(stream: &mut TcpStream) {
    let _ = stream.write_all(&[SETTINGS, &frame(1, 4, 1, &head())].concat());
}

#[test]
fn garbage() {
    cannot_be_judged(|stream| drop(stream.write_all(&[0xff; 4096])), "gRPC");
    cannot_be_judged(|stream| send(stream, &[frame(1, 4, 1, &[0xff; 40])]), "");
}

/// An answer to the first call that is right, so that what comes after it meets a run under way.
fn nonce(stream: u32) -> Vec<Vec<u8>> {
    let nonce = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let mut message = vec![0, 0, 0, 0, 46, 0x0a, 44];
    message.extend_from_slice(nonce.as_bytes());
    let trailers = frame(1, 5, stream, &header("grpc-status", "0"));
    vec![frame(1, 4, stream, &head()), frame(0, 0, stream, &message), trailers]
}

#[test]
fn going_away_after_a_right_answer() {
    cannot_be_judged(
        |stream| {
            let goodbye = frame(7, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]);
            send(stream, &[nonce(1), vec![goodbye]].concat());
        },
        "",
    );
}

#[test]
fn floods_after_a_right_answer() {
    let flood = |stream: &mut TcpStream| {
        let _ = stream.write_all(&[SETTINGS.to_vec(), nonce(1).concat()].concat());
        // PING, WINDOW_UPDATE of nothing, and a priority that nobody asked for.
        let junk = [frame(6, 0, 0, &[0; 8]), frame(8, 0, 0, &[0, 0, 0, 1]), frame(2, 0, 9, &[0; 5])].concat();
        while stream.write_all(&junk.repeat(100)).is_ok() {}
    };
    // Some checks see the one nonce that it gives to everybody, others see nothing at all; what counts is that all of them end.
    let end = ended(flood, Duration::from_secs(60));
    assert!(matches!(end.verdict, Verdict::NotConformant | Verdict::NotJudged), "{:?}: {}", end.verdict, end.reason);
    assert!(matches!(end.exit_code, 1 | 3));
}

#[test]
fn trailers_that_never_end() {
    cannot_be_judged(
        |stream| {
            let mut frames = nonce(1);
            frames.pop();
            frames.push(frame(1, 1, 1, &header("grpc-status", "0")));
            send(stream, &frames);
        },
        "",
    );
}
