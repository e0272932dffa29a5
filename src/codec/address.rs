//! `avp://host/repoId` addresses (SPEC §8).

use std::fmt;

/// Why a string isn't an AVP address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Another scheme, or none.
    #[error("an AVP address starts with avp://")]
    Scheme,
    /// The authority is empty or isn't `host` or `host:port`.
    #[error("{0:?} isn't a host or host:port")]
    Host(String),
    /// Nothing follows the host.
    #[error("the repository id is missing")]
    MissingRepoId,
    /// Something follows where a bare `avp://host` is expected.
    #[error("unexpected {0:?} after the host")]
    UnexpectedPath(String),
    /// Blanks and control characters never stand in a URI.
    #[error("a URI can't hold blanks or control characters")]
    Blank,
}

/// A repository's global address: authority and opaque id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// `host` or `host:port`; an IPv6 host stands in brackets.
    pub host: String,
    /// The exact opaque id, as it stands in the address.
    pub repo_id: String,
}

impl Address {
    /// Parses `avp://host[:port]/repoId`.
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (host, rest) = split(text)?;
        match rest.and_then(|path| path.strip_prefix('/')) {
            Some(repo_id) if !repo_id.is_empty() => Ok(Self { host: host.into(), repo_id: repo_id.into() }),
            _ => Err(AddressError::MissingRepoId),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "avp://{}/{}", self.host, self.repo_id)
    }
}

/// Parses `avp://host[:port]`, with or without a final slash, and returns the authority.
///
/// # Errors
/// [`AddressError`].
pub fn parse_server(text: &str) -> Result<String, AddressError> {
    match split(text)? {
        (host, None | Some("/")) => Ok(host.into()),
        (_, Some(rest)) => Err(AddressError::UnexpectedPath(rest.into())),
    }
}

/// Authority, and what follows it beginning with `/`, `?` or `#`.
fn split(text: &str) -> Result<(&str, Option<&str>), AddressError> {
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(AddressError::Blank);
    }
    let scheme = text.get(..6).filter(|scheme| scheme.eq_ignore_ascii_case("avp://"));
    let after = scheme.and_then(|_| text.get(6..)).ok_or(AddressError::Scheme)?;
    let end = after.find(['/', '?', '#']).unwrap_or(after.len());
    let (host, rest) = after.split_at(end);
    if !is_authority(host) {
        return Err(AddressError::Host(host.into()));
    }
    Ok((host, Some(rest).filter(|rest| !rest.is_empty())))
}

fn is_authority(text: &str) -> bool {
    let (host, port) = if let Some(bracketed) = text.strip_prefix('[') {
        let Some((host, after)) = bracketed.split_once(']') else { return false };
        if host.parse::<std::net::Ipv6Addr>().is_err() {
            return false;
        }
        (host, after.strip_prefix(':').or((!after.is_empty()).then_some("")))
    } else {
        match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    let host_is_fine =
        !host.is_empty() && !host.contains(['@', '/', '\\', '[', ']', '<', '>', '"', '^', '`', '{', '|', '}', '%']);
    let port_is_fine = port.is_none_or(|port| {
        port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|number| number > 0)
    });
    host_is_fine && port_is_fine
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, host, repo_id) in [
            ("avp://vault.example/r-1", "vault.example", "r-1"),
            ("AVP://h:8787/a%2Fb", "h:8787", "a%2Fb"),
            ("avp://[::1]:80/x", "[::1]:80", "x"),
            ("avp://[::1]/x", "[::1]", "x"),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.host.as_str(), address.repo_id.as_str()), (host, repo_id));
        }
        assert_eq!(Address { host: "h".into(), repo_id: "r".into() }.to_string(), "avp://h/r");
    }

    #[test]
    fn malformed() {
        assert_eq!(Address::parse("https://h/r"), Err(AddressError::Scheme));
        assert_eq!(Address::parse("avp:/h/r"), Err(AddressError::Scheme));
        assert_eq!(Address::parse("avp://h"), Err(AddressError::MissingRepoId));
        assert_eq!(Address::parse("avp://h/"), Err(AddressError::MissingRepoId));
        assert_eq!(Address::parse("avp://h/a b"), Err(AddressError::Blank));
        for host in ["", ":1", "h:", "h:0", "h:65536", "h:+1", "u@h", "[::1", "[x]", "[::1]8", "a:b:c"] {
            assert!(matches!(Address::parse(&format!("avp://{host}/r")), Err(AddressError::Host(_))), "{host}");
        }
        assert_eq!(parse_server("avp://h:1/").unwrap(), "h:1");
        assert!(matches!(parse_server("avp://h/r"), Err(AddressError::UnexpectedPath(_))));
    }
}
