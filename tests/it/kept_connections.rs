//! Connections after a refusal or a bad request: kept where the server is known to read the bodies of such requests, and nowhere else.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use avp_conform::client::RawRequest;
use avp_conform::runner::Status;
use http::Method;

use super::transport::{Listener, Proxied, block_on, judge, message, post};

/// What a server may have left unread is never before the next request.
#[test]
fn nothing_follows_a_body_that_may_be_unread() {
    let refusing = |status: &'static str| {
        Listener::start(move |mut stream, number| {
            // Reads heads only. A body would be taken for the next request.
            let mut seen = Vec::new();
            let mut byte = [0; 1];
            let mut answered = 0;
            while stream.read(&mut byte).is_ok_and(|read| read == 1) {
                seen.push(byte[0]);
                if seen.ends_with(b"\r\n\r\n") {
                    answered += 1;
                    assert_eq!(answered, 1, "connection {number} was used again");
                    let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\n{{}}");
                    seen.clear();
                }
            }
        })
    };
    let chunked = RawRequest { headers: vec![(http::header::TRANSFER_ENCODING, "chunked".parse().unwrap())], ..post() };
    let with_body = RawRequest { method: Method::GET, ..post() };
    let large = RawRequest { body: Some(vec![b' '; 100_000].into()), ..post() };
    for (request, status) in
        [(&chunked, "401 No"), (&chunked, "200 OK"), (&with_body, "200 OK"), (&post(), "400 No"), (&large, "403 No")]
    {
        let target = refusing(status);
        let transport = target.transport();
        transport.trust_refusals();
        block_on(async {
            for _ in 0..3 {
                let got = transport.send(request).await.unwrap();
                assert!(status.starts_with(got.status.as_str()));
            }
        });
    }
}

/// How many connections three requests take whose bodies are read and found wrong.
fn connections_of_three(request: &RawRequest, trusted: bool) -> usize {
    let opened = Arc::new(AtomicUsize::new(0));
    let counted = opened.clone();
    let target = Listener::start(move |mut stream, _| {
        counted.fetch_add(1, Ordering::Relaxed);
        while message(&mut stream).is_some() {
            let _ = stream.write_all(b"HTTP/1.1 400 No\r\nContent-Length: 2\r\n\r\n{}");
        }
    });
    let transport = target.transport();
    if trusted {
        transport.trust_bad_requests();
    }
    block_on(async {
        for _ in 0..3 {
            assert_eq!(transport.send(request).await.unwrap().status, 400);
        }
    });
    opened.load(Ordering::Relaxed)
}

#[test]
fn a_connection_is_kept_after_a_bad_request_where_its_body_is_known_to_be_read() {
    use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
    let labelled = |label: &str| RawRequest { headers: vec![(CONTENT_TYPE, label.parse().unwrap())], ..post() };
    let plain = labelled("application/json");
    let mut encoded = plain.clone();
    encoded.headers.push((CONTENT_ENCODING, "gzip".parse().unwrap()));
    let large = RawRequest { body: Some(vec![b' '; 100_000].into()), ..plain.clone() };
    assert_eq!(connections_of_three(&plain, true), 1);
    let text = labelled("text/plain");
    for (request, trusted) in [(&plain, false), (&encoded, true), (&large, true), (&text, true), (&post(), true)] {
        assert_eq!(connections_of_three(request, trusted), 3, "{:?}", request.headers);
    }
}

/// Whoever closes after a bad request without saying so is met with connections of their own, and blamed for nothing.
#[test]
fn a_close_after_a_bad_request_is_nobodys_fault() {
    let target = Proxied::start(|stream, _, _, answer| {
        let _ = stream.write_all(answer);
        if !answer.starts_with(b"HTTP/1.1 400") {
            return true;
        }
        // Late enough to cross the next request, had it the same connection.
        thread::sleep(Duration::from_millis(1));
        false
    });
    let (results, notes) = judge(target.proxy.address, &["bad-input/incomplete-objects", "gates/*"], 4);
    assert_eq!(notes, Vec::<String>::new());
    for result in results {
        assert_eq!(result.status, Status::Pass, "{}: {}", result.check.id, result.message);
    }
}
