//! gRPC's status codes, and which HTTP status says the same (the protocol's companion page on both profiles).

/// A status code of gRPC; any number, since servers may send any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(pub u32);

/// Names by number, and the HTTP status that stands for each.
const CODES: [(&str, u16); 17] = [
    ("OK", 200),
    ("CANCELLED", 499),
    ("UNKNOWN", 500),
    ("INVALID_ARGUMENT", 400),
    ("DEADLINE_EXCEEDED", 504),
    ("NOT_FOUND", 404),
    ("ALREADY_EXISTS", 409),
    ("PERMISSION_DENIED", 403),
    ("RESOURCE_EXHAUSTED", 429),
    ("FAILED_PRECONDITION", 412),
    // No word for a conflict in the protocol's table; it is a refusal all the same.
    ("ABORTED", 423),
    ("OUT_OF_RANGE", 416),
    ("UNIMPLEMENTED", 501),
    ("INTERNAL", 500),
    ("UNAVAILABLE", 503),
    ("DATA_LOSS", 500),
    ("UNAUTHENTICATED", 401),
];

#[expect(missing_docs, reason = "the names are gRPC's")]
impl Code {
    pub const OK: Self = Self(0);
    pub const CANCELLED: Self = Self(1);
    pub const UNKNOWN: Self = Self(2);
    pub const INVALID_ARGUMENT: Self = Self(3);
    pub const DEADLINE_EXCEEDED: Self = Self(4);
    pub const NOT_FOUND: Self = Self(5);
    pub const ALREADY_EXISTS: Self = Self(6);
    pub const PERMISSION_DENIED: Self = Self(7);
    pub const RESOURCE_EXHAUSTED: Self = Self(8);
    pub const UNIMPLEMENTED: Self = Self(12);
    pub const INTERNAL: Self = Self(13);
    pub const UNAVAILABLE: Self = Self(14);
    pub const UNAUTHENTICATED: Self = Self(16);
}

impl Code {
    /// The name in gRPC's documentation; nothing for a number that has none.
    pub fn name(self) -> Option<&'static str> {
        CODES.get(self.0 as usize).map(|(name, _)| *name)
    }

    /// The HTTP status that says the same.
    pub fn http(self) -> u16 {
        CODES.get(self.0 as usize).map_or(500, |(_, status)| *status)
    }

    /// The code that says the same as an HTTP status.
    pub fn of_http(status: u16) -> Self {
        match status {
            200..=299 => Self::OK,
            401 => Self::UNAUTHENTICATED,
            402 | 413 | 429 => Self::RESOURCE_EXHAUSTED,
            403 => Self::PERMISSION_DENIED,
            404 => Self::NOT_FOUND,
            405 | 501 => Self::UNIMPLEMENTED,
            408 | 504 => Self::DEADLINE_EXCEEDED,
            409 => Self::ALREADY_EXISTS,
            400..=499 => Self::INVALID_ARGUMENT,
            502 | 503 => Self::UNAVAILABLE,
            500..=599 => Self::INTERNAL,
            _ => Self::UNKNOWN,
        }
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "code {}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_statuses_say_the_same() {
        let pairs = [
            (Code::UNAUTHENTICATED, 16, 401, "UNAUTHENTICATED"),
            (Code::PERMISSION_DENIED, 7, 403, "PERMISSION_DENIED"),
            (Code::NOT_FOUND, 5, 404, "NOT_FOUND"),
            (Code::ALREADY_EXISTS, 6, 409, "ALREADY_EXISTS"),
            (Code::INVALID_ARGUMENT, 3, 400, "INVALID_ARGUMENT"),
            (Code::RESOURCE_EXHAUSTED, 8, 429, "RESOURCE_EXHAUSTED"),
        ];
        for (code, number, status, name) in pairs {
            assert_eq!((code.0, code.http(), code.to_string().as_str()), (number, status, name));
            assert_eq!(Code::of_http(status), code);
        }
        assert_eq!(Code(77).to_string(), "code 77");
        assert_eq!(Code::of_http(413), Code::RESOURCE_EXHAUSTED);
        assert_eq!(Code(4_000_000_000).http(), 500);
    }
}
