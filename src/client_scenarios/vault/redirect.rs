//! Where the vault sends clients that are to show whether they keep their token to themselves.

use std::io;
use std::sync::atomic::Ordering;

use serde_json::json;
use tokio::net::TcpListener;

use super::http::Reply;
use super::record::{Endpoint, Record};
use super::{Bend, Shared};

/// To what a redirect leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leads {
    /// Another port under another name.
    Host,
    /// Another port.
    Port,
    /// Another port, from which it goes on to a path of the same server.
    Chain,
    /// Another port, from which it goes on to a third origin.
    On,
    /// Another path of the vault, from which it goes on to another port.
    Within,
    /// Another port, by a reference without a scheme.
    Relative,
    /// Another port, by a URL whose user information looks like the vault's authority.
    User,
    /// The vault itself, without TLS.
    Plain,
}

impl Bend {
    /// Redirect: status, and where it leads.
    pub(super) fn redirect(self) -> Option<(u16, Leads)> {
        Some(match self {
            Self::Redirect301Port => (301, Leads::Port),
            Self::Redirect302Host | Self::RedirectPull302 | Self::RedirectGet302 => (302, Leads::Host),
            Self::Redirect302Port | Self::RedirectPrefix302 => (302, Leads::Port),
            Self::Redirect303Host => (303, Leads::Host),
            Self::Redirect307Port | Self::RedirectPull307 | Self::RedirectGet307 | Self::RedirectPrefix307 => {
                (307, Leads::Port)
            }
            Self::Redirect307Host => (307, Leads::Host),
            Self::Redirect308Host => (308, Leads::Host),
            Self::RedirectChain302 => (302, Leads::Chain),
            Self::RedirectChain307 => (307, Leads::Chain),
            Self::RedirectOn302 => (302, Leads::On),
            Self::RedirectOn307 => (307, Leads::On),
            Self::RedirectWithin302 => (302, Leads::Within),
            Self::RedirectWithin307 => (307, Leads::Within),
            Self::RedirectRelative302 => (302, Leads::Relative),
            Self::RedirectRelative307 => (307, Leads::Relative),
            Self::RedirectUser302 => (302, Leads::User),
            Self::RedirectUser307 => (307, Leads::User),
            Self::RedirectPlain302 => (302, Leads::Plain),
            Self::RedirectPlain307 => (307, Leads::Plain),
            Self::RedirectMoved => (308, Leads::Port),
            Self::RedirectDiscovery => (307, Leads::Port),
            Self::CreatedElsewhere => (300, Leads::Port),
            _ => return None,
        })
    }
}

/// The path that the second redirect of a chain leads to.
const SECOND: &str = "/two";

impl Shared {
    /// Where a request is sent to instead.
    pub(super) fn redirected(&self, record: &Record) -> Option<String> {
        let (_, leads) = self.bend.redirect()?;
        let hit = match self.bend {
            Bend::RedirectDiscovery => record.endpoint == Endpoint::Discovery,
            Bend::RedirectPull302 | Bend::RedirectPull307 | Bend::CreatedElsewhere => record.endpoint == Endpoint::Pull,
            Bend::RedirectGet302 | Bend::RedirectGet307 => record.endpoint == Endpoint::Fetch,
            Bend::RedirectMoved => record.endpoint == Endpoint::Pull && !self.moved.swap(true, Ordering::Relaxed),
            _ => record.endpoint.is_vault() || leads == Leads::Within && record.target.starts_with(SECOND),
        };
        let (ip, port, target) = (self.here.ip(), self.elsewhere.port(), &record.target);
        hit.then(|| match leads {
            Leads::Host => format!("http://localhost:{port}{target}"),
            Leads::Within if !record.target.starts_with(SECOND) => format!("{SECOND}{target}"),
            Leads::Port | Leads::Chain | Leads::On | Leads::Within => format!("http://{ip}:{port}{target}"),
            Leads::Relative => format!("//{ip}:{port}{target}"),
            Leads::User => format!("http://{}@{ip}:{port}{target}", self.here),
            Leads::Plain => format!("http://{}{target}", self.here),
        })
    }

    /// What the server at the end of a redirect says: it goes on once, or it knows nobody.
    pub(super) fn elsewhere(&self, record: &mut Record) -> Reply {
        if let Some((status, leads @ (Leads::Chain | Leads::On))) = self.bend.redirect()
            && !record.target.starts_with(SECOND)
        {
            let origin = match leads {
                Leads::On => format!("http://localhost:{}", self.elsewhere.port()),
                _ => String::new(),
            };
            let location = format!("{origin}{SECOND}{}", record.target);
            return Reply { status, headers: vec![("Location", location)], ..Reply::default() };
        }
        if record.endpoint == Endpoint::Discovery {
            return self.reply(record, self.discovery());
        }
        record.answer = json!({ "error": "no valid token" });
        let body = record.answer.to_string().into();
        // A server that a vault has moved to knows no token of the old one's.
        let status = if record.target.contains("/v1/repos") { 401 } else { 404 };
        Reply { status, content_type: "application/json", body, ..Reply::default() }
    }
}

/// Two listeners, the second at a port whose digits begin with the first's.
pub(super) async fn similar_ports() -> io::Result<(TcpListener, TcpListener)> {
    for _ in 0..200 {
        let [high, low] = crate::client::random::bytes::<2>();
        // Below the ports that systems give out by themselves, so that these are free as a rule.
        let port = 2000 + u16::from_be_bytes([high, low]) % 1200;
        let Ok(here) = TcpListener::bind(("127.0.0.1", port)).await else { continue };
        for digit in 0..10 {
            if let Ok(elsewhere) = TcpListener::bind(("127.0.0.1", port * 10 + digit)).await {
                return Ok((here, elsewhere));
            }
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}
