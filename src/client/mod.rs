//! The suite's own AVP client: identities, repositories as their members see them, and the transports of both profiles.

mod bait;
mod canary;
pub mod clock;
mod connection;
mod dial;
mod error;
mod exchange;
mod gate;
mod grpc;
mod header;
mod identity;
mod io;
pub mod jwks;
mod mask;
mod profile;
pub mod random;
mod raw;
mod repo;
mod rewrite;
mod tls;
mod transport;

pub use bait::Bait;
pub use canary::{Canaries, canaries, text as canary_text};
pub use error::TransportError;
pub use exchange::{Exchange, KEPT_BODY, RecordedBody, RecordedCall};
pub use gate::{HeldRequest, Volley};
pub use grpc::{GrpcAnswer, GrpcCall};
pub use header::Header;
pub use identity::Identity;
pub use mask::{MASK, Mask};
pub use profile::Profile;
pub use raw::{RawConnection, RawReply};
pub use repo::{Repo, Rotation, VERSION_AT_CREATION, open, read_as};
pub use rewrite::Rewrite;
pub use tls::{TlsError, client_config};
pub use transport::{GrpcStatus, Held, RawAnswer, RawRequest, Transport};
