//! A small web server at an address that a token names: who believes what a token says about its own key comes here to fetch it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinHandle;

/// Longest head that is read, in bytes.
const HEAD: usize = 8192;
/// How long a visitor may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// More visits than this aren't written down.
const MOST: usize = 64;

/// The server; dropping it closes it.
#[derive(Debug)]
pub struct Bait {
    address: SocketAddr,
    visits: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Bait {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Bait {
    /// Listens at the address of this machine that `target` (host and port) is reached from. Every path is answered with the document that
    /// `document` makes of the server's own URL.
    ///
    /// # Errors
    /// No port can be had.
    pub async fn set(target: &str, document: impl FnOnce(&str) -> String) -> std::io::Result<Self> {
        let listener = TcpListener::bind((own_address(target).await, 0)).await?;
        let address = listener.local_addr()?;
        let visits = Arc::new(Mutex::default());
        let answer = Arc::new(document(&format!("http://{address}")));
        let noted = visits.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (noted, answer) = (Arc::clone(&noted), Arc::clone(&answer));
                tokio::spawn(async move { tokio::time::timeout(PATIENCE, serve(stream, &noted, &answer)).await });
            }
        });
        Ok(Self { address, visits, task })
    }

    /// Where it is, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The request lines so far; an empty one is a connection on which nothing has come yet.
    pub fn visits(&self) -> Vec<String> {
        crate::ground::lock(&self.visits).clone()
    }
}

/// The address of this machine towards a target; the loopback when there is none. Nothing is sent.
async fn own_address(target: &str) -> IpAddr {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    for any in ["0.0.0.0:0", "[::]:0"] {
        let Ok(socket) = UdpSocket::bind(any).await else { continue };
        if socket.connect(target).await.is_ok()
            && let Ok(address) = socket.local_addr()
        {
            return address.ip();
        }
    }
    loopback
}

async fn serve(mut stream: TcpStream, visits: &Mutex<Vec<String>>, answer: &str) {
    let lock = || crate::ground::lock(visits);
    let place = {
        let mut visits = lock();
        if visits.len() >= MOST {
            return;
        }
        visits.push(String::new());
        visits.len() - 1
    };
    let (mut head, mut chunk) = (Vec::new(), [0; 1024]);
    while head.len() < HEAD && !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut chunk).await {
            Ok(length) if length > 0 => head.extend_from_slice(&chunk[..length]),
            _ => break,
        }
    }
    let line = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().chars().take(200).collect();
    lock()[place] = line;
    let length = answer.len();
    let response = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{answer}"
    );
    // Whoever has gone already has been noted.
    let _ = stream.write_all(response.as_bytes()).await;
    let _ = stream.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn visitors_are_answered_and_noted() {
        let bait = Bait::set("127.0.0.1:9", |url| format!("{{\"self\":\"{url}\"}}")).await.unwrap();
        assert_eq!(bait.visits(), Vec::<String>::new());
        let mut stream = TcpStream::connect(bait.address).await.unwrap();
        stream.write_all(b"GET /keys HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with(&format!("{{\"self\":\"{}\"}}", bait.url())), "{answer}");
        assert_eq!(bait.visits(), ["GET /keys HTTP/1.1"]);
    }
}
