//! HTTP/1.1 by hand: a vault that dribbles, cuts and redirects needs a say in every byte.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::time::timeout;

/// The longest head and body that are taken.
const LONGEST_HEAD: usize = 256 * 1024;
const LONGEST_BODY: usize = 16 << 20;
/// How long a connection may be idle, or a request unfinished.
const IDLE: Duration = Duration::from_secs(60);

/// A request off the wire.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    close: bool,
}

/// How an answer is framed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Framing {
    #[default]
    Length,
    Chunked,
    /// Chunks with extensions, and a trailer after them.
    Extended,
    Dribble,
    CloseAfter,
    CloseDelimited,
    LowerCase,
    /// No answer at all.
    Hang,
    /// The connection is closed instead of an answer.
    Drop,
}

/// An answer.
#[derive(Debug, Default)]
pub(super) struct Reply {
    pub status: u16,
    pub content_type: &'static str,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    pub framing: Framing,
}

/// Serves one connection until either side ends it.
pub(super) async fn serve<S, F, R>(stream: S, mut answer: F) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: FnMut(Incoming) -> R,
    R: Future<Output = Reply>,
{
    let mut stream = BufReader::new(stream);
    loop {
        let Ok(read) = timeout(IDLE, read(&mut stream)).await else { return Ok(()) };
        let Some(request) = read? else { return Ok(()) };
        let (close, head_only) = (request.close, request.method == "HEAD");
        let reply = answer(request).await;
        if reply.framing == Framing::Hang {
            std::future::pending::<()>().await;
        }
        if reply.framing == Framing::Drop {
            return stream.shutdown().await;
        }
        let ends = write(&mut stream, &reply, head_only).await?;
        if close || ends {
            return stream.shutdown().await;
        }
    }
}

async fn line<S: AsyncRead + Unpin>(stream: &mut BufReader<S>, left: &mut usize) -> io::Result<String> {
    let mut line = Vec::new();
    (&mut *stream).take(*left as u64).read_until(b'\n', &mut line).await?;
    *left = left.saturating_sub(line.len());
    if line.is_empty() || *left == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    while line.last().is_some_and(|byte| matches!(byte, b'\r' | b'\n')) {
        line.pop();
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

/// The path and query of a target: a client may send the whole URL (RFC 9112 §3.2.2).
fn origin_form(target: &str) -> &str {
    let Some((scheme, rest)) = target.split_once("://") else { return target };
    if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return target;
    }
    rest.find('/').map_or("/", |path| &rest[path..])
}

/// The next request; `None` at the end of the connection.
async fn read<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut BufReader<S>) -> io::Result<Option<Incoming>> {
    if stream.fill_buf().await?.is_empty() {
        return Ok(None);
    }
    let mut left = LONGEST_HEAD;
    let first = line(stream, &mut left).await?;
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default());
    let target = origin_form(target).to_owned();
    let old = words.next() == Some("HTTP/1.0");
    let mut request = Incoming { method, target, ..Incoming::default() };
    loop {
        let line = line(stream, &mut left).await?;
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            request.headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    let header = |name: &str| request.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    request.close = header("connection").map_or(old, |value| value.eq_ignore_ascii_case("close"));
    if header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    if header("transfer-encoding").is_some_and(|value| value.to_ascii_lowercase().contains("chunked")) {
        request.body = chunks(stream).await?;
    } else if let Some(length) = header("content-length").and_then(|value| value.parse::<usize>().ok()) {
        let mut body = vec![0; length.min(LONGEST_BODY)];
        stream.read_exact(&mut body).await?;
        request.body = body;
    }
    Ok(Some(request))
}

async fn chunks<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> io::Result<Vec<u8>> {
    let (mut body, mut left) = (Vec::new(), LONGEST_HEAD);
    loop {
        let size = line(stream, &mut left).await?;
        let size = size.split(';').next().unwrap_or_default().trim().to_owned();
        let size = usize::from_str_radix(&size, 16).map_err(|_| io::ErrorKind::InvalidData)?;
        if size + body.len() > LONGEST_BODY {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if size == 0 {
            while !line(stream, &mut left).await?.is_empty() {}
            return Ok(body);
        }
        let start = body.len();
        body.resize(start + size, 0);
        stream.read_exact(&mut body[start..]).await?;
        line(stream, &mut left).await?;
        left = LONGEST_HEAD;
    }
}

/// Writes an answer; true when the connection ends with it.
async fn write<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
    reply: &Reply,
    head_only: bool,
) -> io::Result<bool> {
    let reason = if reply.status < 300 { "OK" } else { "No" };
    let mut headers = vec![("Content-Type", reply.content_type.to_owned())];
    headers.extend(reply.headers.iter().cloned());
    match reply.framing {
        Framing::Chunked | Framing::Extended => headers.push(("Transfer-Encoding", "chunked".into())),
        Framing::CloseDelimited => headers.push(("Connection", "close".into())),
        _ => headers.push(("Content-Length", reply.body.len().to_string())),
    }
    if reply.framing == Framing::CloseAfter {
        headers.push(("Connection", "close".into()));
    }
    if reply.framing == Framing::LowerCase {
        headers.extend((0..20).map(|_| ("X-Trace", "0123456789abcdef".to_owned())));
    }
    let mut head = format!("HTTP/1.1 {} {reason}\r\n", reply.status);
    for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
        let name = if reply.framing == Framing::LowerCase { name.to_ascii_lowercase() } else { (*name).to_owned() };
        head += &format!("{name}: {value}\r\n");
    }
    head += "\r\n";
    let body: &[u8] = if head_only { &[] } else { &reply.body };
    let mut bytes = head.into_bytes();
    match reply.framing {
        Framing::Chunked => {
            for chunk in body.chunks(7) {
                bytes.extend(format!("{:x}\r\n", chunk.len()).bytes().chain(chunk.iter().copied()).chain(*b"\r\n"));
            }
            bytes.extend(b"0\r\n\r\n");
            stream.write_all(&bytes).await?;
        }
        Framing::Extended => {
            for chunk in body.chunks(40) {
                bytes.extend(format!("{:X};part=\"x\"\r\n", chunk.len()).bytes());
                bytes.extend(chunk.iter().copied().chain(*b"\r\n"));
            }
            bytes.extend(b"0;last\r\nX-Checked: yes\r\n\r\n");
            stream.write_all(&bytes).await?;
        }
        Framing::Dribble => {
            bytes.extend(body);
            // The first hundred and the last hundred bytes alone: a client that can't do that shows it there.
            let middle = bytes.len().saturating_sub(200);
            for (position, byte) in bytes.iter().enumerate() {
                if position < 100 || position >= 100 + middle {
                    stream.write_all(&[*byte]).await?;
                    stream.flush().await?;
                    tokio::task::yield_now().await;
                } else if position == 100 {
                    stream.write_all(&bytes[100..100 + middle]).await?;
                    stream.flush().await?;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        }
        _ => {
            bytes.extend(body);
            stream.write_all(&bytes).await?;
        }
    }
    stream.flush().await?;
    Ok(matches!(reply.framing, Framing::CloseAfter | Framing::CloseDelimited))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_url_is_a_target_too() {
        assert_eq!(origin_form("/v1/repos/a?b"), "/v1/repos/a?b");
        assert_eq!(origin_form("http://127.0.0.1:80/v1/repos/a?b"), "/v1/repos/a?b");
        assert_eq!(origin_form("HTTPS://host"), "/");
        assert_eq!(origin_form("/v1/repos/avp://host/x"), "/v1/repos/avp://host/x");
    }
}
