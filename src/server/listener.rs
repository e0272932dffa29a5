//! Accepting connections, speaking HTTP/1.1 on them, and letting go of them so that the last answer arrives.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use futures_util::future::{join_all, maybe_done};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::instrument::WithSubscriber as _;

use super::connection::{Profile, Stream, told_to_stop};
use super::edge::Turn;
use super::grpc;
use super::http::{App, HungUp, respond};

/// How long a client may take for a request's head, and how long an idle connection is kept.
const HEAD_PATIENCE: Duration = Duration::from_secs(75);
/// How long, and how much, a closing connection listens to a client that hasn't stopped sending. Closing earlier would
/// reset the connection and destroy the answer on its way (a 413, most often).
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 64 << 20;
/// How long requests under way may take once the server is told to stop.
const GRACE: Duration = Duration::from_secs(3);

/// Accepts connections until told to stop, then gives those that are open a bounded time to finish. Dropping the future
/// drops them all.
pub(super) async fn accept(
    app: Arc<App>,
    router: Router,
    (profile, listener): (Profile, TcpListener),
    stop: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    let mut stopping = pin!(told_to_stop(stop.clone()));
    loop {
        tokio::select! {
            () = &mut stopping => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let (app, router, stop) = (Arc::clone(&app), router.clone(), stop.clone());
                    let turn = line_up(&app).await;
                    let serving: Pin<Box<dyn Future<Output = ()> + Send>> = match profile {
                        Profile::Http => Box::pin(serve(app, router, stream, turn, stop)),
                        Profile::Grpc => Box::pin(grpc::serve(app, router, stream, turn, stop)),
                    };
                    connections.spawn(serving.with_current_subscriber());
                }
                // Out of file descriptors, or the client left already: neither is a reason to stop or to spin.
                Err(error) => {
                    tracing::warn!(%error, "accept failed");
                    sleep(Duration::from_millis(5)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    let finished = timeout(GRACE, async { while connections.join_next().await.is_some() {} }).await;
    if finished.is_err() {
        connections.shutdown().await;
    }
}

/// Lines a connection up: their turns come in the order in which they were accepted.
async fn line_up(app: &App) -> Pin<Box<Turn>> {
    let turns = app.edges.iter().filter_map(|edge| edge.connection_turn());
    let mut turn = Box::pin(maybe_done(join_all(turns)));
    std::future::poll_fn(|context| Poll::Ready(turn.as_mut().poll(context).is_ready())).await;
    turn
}

async fn serve(
    app: Arc<App>,
    router: Router,
    stream: TcpStream,
    mut turn: Pin<Box<Turn>>,
    stop: watch::Receiver<bool>,
) {
    // Without it, an answer's second segment would wait for the client's delayed acknowledgement of the first.
    if stream.set_nodelay(app.edges.iter().all(|edge| edge.nodelay())).is_err() {
        return;
    }
    turn.as_mut().await;
    let stream = app.edges.iter().fold(Box::new(stream) as Box<dyn Stream>, |stream, edge| edge.stream(stream));
    let service = service_fn(|request: Request<Incoming>| {
        let (app, router) = (Arc::clone(&app), router.clone());
        Box::pin(async move { respond(&app, router, request).await }) as Answering
    });
    let mut http = http1::Builder::new();
    // A client may close its sending side once the request is out, and still wants the answer.
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_PATIENCE).half_close(true);
    app.edges.iter().for_each(|edge| edge.http(&mut http));
    let mut connection = http.serve_connection(TokioIo::new(stream), service);
    let done = {
        let mut talking = std::future::poll_fn(|context| connection.poll_without_shutdown(context));
        tokio::select! {
            result = &mut talking => Some(result),
            () = told_to_stop(stop) => None,
        }
    };
    if done.is_none() {
        Pin::new(&mut connection).graceful_shutdown();
        // A broken connection has nobody left to tell.
        let _ = std::future::poll_fn(|context| connection.poll_without_shutdown(context)).await;
        return;
    }
    // Whoever waits for this connection's turn needn't wait for its farewell.
    drop(turn);
    let mut stream = connection.into_parts().io.into_inner();
    // Whoever is gone already needs no farewell, so errors and the deadline both just end it.
    let _ = timeout(LINGER, linger(&mut stream)).await;
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, HungUp>> + Send>>;

/// Says that nothing more will come, and listens until the client has said the same.
async fn linger(stream: &mut Box<dyn Stream>) -> std::io::Result<()> {
    stream.shutdown().await?;
    let mut thrown_away = 0;
    let mut buffer = vec![0; 16 * 1024];
    while thrown_away < LINGER_BYTES {
        match stream.read(&mut buffer).await? {
            0 => break,
            read => thrown_away += read,
        }
    }
    Ok(())
}
