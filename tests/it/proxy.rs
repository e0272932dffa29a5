//! The built-in server behind a reverse proxy as installed: bodies of at most 1 MiB, one connection per request. What the
//! proxy refuses is a limit of the deployment, and no failure.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use avp_conform::runner::{self, Event, RunConfig, Status, Target, Verdict};
use avp_conform::server;

/// `client_max_body_size` of an nginx that nobody has configured.
const LARGEST: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(20);
const TOO_LARGE: &str = "<html>\r\n<head><title>413 Request Entity Too Large</title></head>\r\n</html>\r\n";

/// Accepts until the test's process ends; every connection is good for one request.
fn start(upstream: SocketAddr, resets: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || drop(serve(stream, upstream, resets)));
        }
    });
    address
}

fn serve(mut client: TcpStream, upstream: SocketAddr, resets: bool) -> std::io::Result<()> {
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
        return if resets { Ok(()) } else { refuse(client) };
    }
    let mut server = TcpStream::connect(upstream)?;
    // The request line, another header, and the rest as it came; whatever follows is passed on both ways.
    let line = head.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    server
        .write_all(&[&head[..line], b"Connection: close\r\nX-Forwarded-For: 127.0.0.1\r\n", &head[line..]].concat())?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    std::io::copy(&mut server, &mut client)?;
    client.shutdown(Shutdown::Both)
}

/// 413 at once, and the rest of the body is read for a while and dropped (`lingering_close`).
fn refuse(mut client: TcpStream) -> std::io::Result<()> {
    let length = TOO_LARGE.len();
    write!(client, "HTTP/1.1 413 Request Entity Too Large\r\nServer: nginx\r\nContent-Type: text/html\r\n")?;
    write!(client, "Content-Length: {length}\r\nConnection: close\r\n\r\n{TOO_LARGE}")?;
    client.shutdown(Shutdown::Write)?;
    std::io::copy(&mut client, &mut std::io::sink())?;
    Ok(())
}

fn comes_off_well(resets: bool) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let running = server::start(server::Config::default(), listener).await.unwrap();
        let proxy = start(running.addr(), resets);
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
