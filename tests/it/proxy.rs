//! The built-in server behind a reverse proxy as installed: bodies of at most 1 MiB, one connection per request. What the
//! proxy refuses is a limit of the deployment, and no failure. A proxy that rewrites paths breaks ids with an escaped slash, and
//! that is what a run says, once.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use avp_conform::report::{Recorder, human};
use avp_conform::runner::{self, Event, RunConfig, Status, Target, Verdict};
use avp_conform::server;

/// `client_max_body_size` of an nginx that nobody has configured.
const LARGEST: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(20);

/// What a proxy does to requests.
#[derive(Clone, Copy)]
struct Habits {
    /// A body that is too large ends the connection, instead of being refused.
    resets: bool,
    /// The target that is passed on; `None` for one that isn't found.
    target: fn(&str) -> Option<String>,
}

/// Passes the target on as it came.
const PASSES: fn(&str) -> Option<String> = |target| Some(target.to_owned());

/// `location /vault/ { proxy_pass http://…/; }`: the path is decoded and put in order before the prefix is replaced, and what comes
/// of it is escaped again where it must be.
fn rewritten(target: &str) -> Option<String> {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let decoded = percent_encoding::percent_decode_str(path).collect::<Vec<u8>>();
    let mut segments: Vec<&[u8]> = Vec::new();
    for segment in decoded[1..].split(|byte| *byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => drop(segments.pop()?),
            other => segments.push(other),
        }
    }
    let path = segments.strip_prefix(&[b"vault".as_slice()])?.join(&b'/');
    const ESCAPED: percent_encoding::AsciiSet =
        percent_encoding::CONTROLS.add(b' ').add(b'#').add(b'%').add(b'?').add(b'"');
    let path = percent_encoding::percent_encode(&path, &ESCAPED);
    Some(query.map_or(format!("/{path}"), |query| format!("/{path}?{query}")))
}

/// Accepts until the test's process ends; every connection is good for one request.
fn start(upstream: SocketAddr, habits: Habits) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || drop(serve(stream, upstream, habits)));
        }
    });
    address
}

fn serve(mut client: TcpStream, upstream: SocketAddr, habits: Habits) -> std::io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    let mut head = Vec::new();
    let mut byte = [0; 1];
    while !head.ends_with(b"\r\n\r\n") {
        if client.read(&mut byte)? == 0 {
            return Ok(());
        }
        head.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    if length.is_some_and(|length: usize| length > LARGEST) {
        return if habits.resets { Ok(()) } else { refuse(client, "413 Request Entity Too Large") };
    }
    // The request line, another header, and the rest as it came; whatever follows is passed on both ways.
    let line = head.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    let words = String::from_utf8_lossy(&head[..line]).into_owned();
    let words: Vec<_> = words.split_whitespace().collect();
    let Some(target) = words.get(1).and_then(|target| (habits.target)(target)) else {
        return refuse(client, "404 Not Found");
    };
    let mut server = TcpStream::connect(upstream)?;
    write!(server, "{} {target} HTTP/1.1\r\nConnection: close\r\nX-Forwarded-For: 127.0.0.1\r\n", words[0])?;
    server.write_all(&head[line..])?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    std::io::copy(&mut server, &mut client)?;
    client.shutdown(Shutdown::Both)
}

/// An error at once, and the rest of the body is read for a while and dropped (`lingering_close`).
fn refuse(mut client: TcpStream, status: &str) -> std::io::Result<()> {
    let page = format!("<html>\r\n<head><title>{status}</title></head>\r\n</html>\r\n");
    write!(client, "HTTP/1.1 {status}\r\nServer: nginx\r\nContent-Type: text/html\r\n")?;
    write!(client, "Content-Length: {}\r\nConnection: close\r\n\r\n{page}", page.len())?;
    client.shutdown(Shutdown::Write)?;
    std::io::copy(&mut client, &mut std::io::sink())?;
    Ok(())
}

fn comes_off_well(resets: bool) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let running = server::start(server::Config::default(), listener).await.unwrap();
        let proxy = start(running.addr(), Habits { resets, target: PASSES });
        let mut config = RunConfig::new(Target::Url(format!("http://{proxy}").parse().unwrap()));
        // What sends bodies of megabytes, and some that don't.
        for pattern in ["race/writes-to-a-busy-server", "pull/*", "bad-input/*", "push/*", "example/*"] {
            config.only.push(globset::Glob::new(pattern).unwrap());
        }
        let (_keep, stop) = tokio::sync::watch::channel(false);
        let mut bad = Vec::new();
        let end = runner::run(config, stop, &mut |event| {
            if let Event::CheckFinished(result) = event
                && matches!(result.status, Status::Fail | Status::Error)
            {
                bad.push(format!("{}: {}", result.check.id, result.message));
            }
        })
        .await;
        assert_eq!(bad, [] as [String; 0]);
        assert_eq!((end.verdict, end.exit_code), (Verdict::Incomplete, 0), "{}", end.reason);
        running.shutdown().await;
    });
}

#[test]
fn a_proxy_that_refuses_large_bodies() {
    comes_off_well(false);
}

#[test]
fn a_proxy_that_drops_large_bodies() {
    comes_off_well(true);
}

#[test]
fn a_proxy_that_rewrites_paths_is_one_cause() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let run = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let running = server::start(server::Config::default(), listener).await.unwrap();
        let proxy = start(running.addr(), Habits { resets: false, target: rewritten });
        let mut config = RunConfig::new(Target::Url(format!("http://{proxy}/vault").parse().unwrap()));
        // What has ids in paths, and some that works all the same.
        for pattern in ["fetch-member-key/*", "create-repo/id*", "ids/*", "rosters/*", "add-member/*", "status/*"] {
            config.only.push(globset::Glob::new(pattern).unwrap());
        }
        let (_keep, stop) = tokio::sync::watch::channel(false);
        let mut recorder = Recorder::default();
        runner::run(config, stop, &mut |event| recorder.event(&event)).await;
        running.shutdown().await;
        recorder.finish().unwrap()
    });
    let told = human::summary(&run, human::Screen { columns: 80, lines: None, verbose: true });
    let failing = run.causes_with(|status| status == Status::Fail);
    let [(cause, _)] = &failing[..] else { panic!("{told}") };
    assert_eq!(cause.check.id, "fetch-member-key/id-with-slash");
    assert_eq!(run.causes.list().len(), 1, "{told}");
    assert!(told.contains("nginx decodes %2F"), "{told}");
}
