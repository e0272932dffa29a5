//! A connection: what it runs over, what is spoken on it, and until when.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

/// What HTTP is spoken over.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// What is spoken on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// HTTP/1.1 and JSON.
    Http,
    /// gRPC.
    Grpc,
}

/// Waits until the server is told to stop.
pub(super) async fn told_to_stop(mut stop: watch::Receiver<bool>) {
    // A sender that is gone has told everybody to stop, too.
    let _ = stop.wait_for(|stop| *stop).await;
}
