//! The requests of a transport as gRPC calls, and calls that are made by hand.

use std::sync::atomic::Ordering;
use std::time::Duration;

use http::HeaderMap;

use super::Transport;
use crate::client::barrier::{Barrier, share_of};
use crate::client::dial::Deadline;
use crate::client::error::TransportError;
use crate::client::grpc::{self, GrpcAnswer, GrpcCall, GrpcConnection};
use crate::client::io::Stream;
use crate::client::message::{RawAnswer, RawRequest};
use crate::client::profile::Profile;

impl Transport {
    /// Why a request can't be sent, if only the other profile can say it.
    ///
    /// # Errors
    /// [`TransportError::Unsayable`].
    pub fn can_say(&self, request: &RawRequest) -> Result<(), TransportError> {
        if self.profile == Profile::Grpc { self.call_of(request).map(drop) } else { Ok(()) }
    }

    /// A request as a call, to be made by hand.
    ///
    /// # Errors
    /// [`TransportError::Unsayable`].
    pub fn call_of(&self, request: &RawRequest) -> Result<GrpcCall, TransportError> {
        grpc::call_of(request).map(|(_, call)| call)
    }

    /// A request as a call.
    pub(super) async fn call(
        &self,
        connection: &mut GrpcConnection,
        request: &RawRequest,
        hold: Option<(Barrier, Option<f64>)>,
    ) -> Result<RawAnswer, TransportError> {
        let (method, call) = grpc::call_of(request)?;
        let length = call.data.len();
        let hold = hold.map(|(barrier, share)| {
            let after = share.map_or(length.saturating_sub(1), |share| share_of(length, share));
            grpc::HoldPoint { barrier, after }
        });
        let answer = self.raw_call(connection, &call, request.answer_limit, hold).await?;
        grpc::answer_of(method, answer, length)
    }

    async fn raw_call(
        &self,
        connection: &mut GrpcConnection,
        call: &GrpcCall,
        limit: usize,
        hold: Option<grpc::HoldPoint>,
    ) -> Result<GrpcAnswer, TransportError> {
        let (uri, metadata) = self.addressed(call)?;
        connection.exchange(uri, &metadata, call, limit, hold).await
    }

    /// Where a call goes, and what the deployment asks for in it.
    fn addressed(&self, call: &GrpcCall) -> Result<(http::Uri, HeaderMap), TransportError> {
        let scheme = if self.dial.tls.is_some() { "https" } else { "http" };
        let uri = format!("{scheme}://{}{}", self.authority(), call.path);
        let uri = uri.parse().map_err(|_| TransportError::Unsayable("its path is none".into()))?;
        let mut metadata = HeaderMap::new();
        for header in &self.headers {
            metadata.append(header.name.clone(), header.value.clone());
        }
        Ok((uri, metadata))
    }

    /// Makes a call over a byte stream of its own, which stops at a barrier: after a share of its data, or else before the last byte.
    pub(in crate::client) async fn call_over(
        &self,
        stream: Stream,
        request: &RawRequest,
        barrier: Barrier,
        share: Option<f64>,
    ) -> Result<RawAnswer, TransportError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let traffic = stream.traffic();
        let mut connection = GrpcConnection::over(stream, traffic).await?;
        self.call(&mut connection, request, Some((barrier, share))).await
    }

    /// Makes a call as it is, on a connection of its own: what no client would send, too.
    ///
    /// # Errors
    /// [`TransportError`].
    pub async fn call_by_hand(&self, call: &GrpcCall, bound: Duration) -> Result<GrpcAnswer, TransportError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let deadline = Deadline::after(bound);
        let stream = self.dial.open(deadline).await?;
        let traffic = stream.traffic();
        let calling = async {
            let mut connection = GrpcConnection::over(stream, traffic).await?;
            self.raw_call(&mut connection, call, 4 << 20, None).await
        };
        deadline.limit(calling).await
    }

    /// Begins calls one after the other on one connection, and cancels each a while after a share of its data, or when it is whole.
    ///
    /// # Errors
    /// [`TransportError`] when the connection ends before.
    pub async fn cancel_by_hand(
        &self,
        calls: &[GrpcCall],
        share: f64,
        pause: Duration,
        bound: Duration,
    ) -> Result<(), TransportError> {
        self.requests.fetch_add(calls.len() as u64, Ordering::Relaxed);
        let deadline = Deadline::after(bound);
        let stream = self.dial.open(deadline).await?;
        let traffic = stream.traffic();
        let cancelling = async {
            let mut connection = GrpcConnection::over(stream, traffic).await?;
            for call in calls {
                let (uri, metadata) = self.addressed(call)?;
                connection.cancel(uri, &metadata, call, share_of(call.data.len(), share), pause).await?;
            }
            Ok(())
        };
        deadline.limit(cancelling).await
    }
}
