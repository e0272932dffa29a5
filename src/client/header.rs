//! Headers that a deployment asks for.

/// A header of a deployment, e.g. an API key. Its value is a credential: it appears in no report, trace or error.
#[derive(Clone)]
pub struct Header {
    /// Name as given.
    pub name: http::HeaderName,
    /// Value, marked sensitive.
    pub value: http::HeaderValue,
}

impl std::fmt::Debug for Header {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: ***", self.name)
    }
}
