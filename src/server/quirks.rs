//! Odd but conformant habits of servers in the field. A suite that fails one of them raises a false alarm.

/// What is to be known about a quirk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuirkInfo {
    /// Kebab-case name, for ever.
    pub name: &'static str,
    /// One sentence: what this server does.
    pub summary: &'static str,
}

/// An odd but conformant habit; several can be on together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quirk {
    info: &'static QuirkInfo,
}

impl Quirk {
    /// All quirks.
    pub fn all() -> &'static [Self] {
        &[]
    }

    /// The quirk of a name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::all().iter().find(|quirk| quirk.info.name == name).copied()
    }

    /// What is to be known about it.
    pub fn info(&self) -> &'static QuirkInfo {
        self.info
    }
}
