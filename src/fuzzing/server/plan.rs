//! What a case does, without keys, ids or tokens: so that it can be cut down, saved, and run again with fresh identities.

use serde::{Deserialize, Serialize};

/// The identities of a case.
pub const CAST: [&str; 4] = ["alice", "bob", "carol", "dave"];
/// How many members a case can let in besides the cast; the place right behind the cast is nobody's.
pub const CROWD_SIZE: usize = 15;
/// How many repositories a case is about.
pub const REPOS: usize = 2;

/// One request of a case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Who asks: a place in the cast.
    pub by: usize,
    /// About which repository.
    pub repo: usize,
    /// For what.
    pub act: Act,
    /// With which token.
    #[serde(default, skip_serializing_if = "Credential::is_own")]
    pub credential: Credential,
    /// What is done to the request on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mutation: Option<Mutation>,
    /// Seed of everything that may be anything: ciphertexts, places in a body.
    pub dice: u64,
}

impl Step {
    /// Whether identity and repository are there; a file may say anything.
    pub fn is_possible(&self) -> bool {
        self.by < CAST.len() && self.repo < REPOS
    }
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "camelCase")]
pub enum Act {
    Challenge,
    Redeem {
        with: Redemption,
    },
    CreateRepo {
        id: Naming,
        roster: Vec<usize>,
        version: i64,
        epoch: i64,
        envelope: Slip,
        /// Revision 0.4: whether refresh tokens are shared.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shared: Option<bool>,
    },
    Pull {
        known: Count,
    },
    Push {
        expected: Count,
        version: Count,
        epoch: Count,
        roster: Option<People>,
        envelope: Slip,
    },
    AddMember {
        who: usize,
        epoch: Count,
        rekeyed: bool,
        bound: bool,
    },
    RemoveMember {
        who: usize,
        version: Count,
        epoch: Count,
        roster: People,
        envelope: Slip,
    },
    FetchMemberKey {
        who: usize,
    },
    /// The request before this one, once more.
    Again,
    /// A pull by somebody who may, if anybody may.
    Look,
    /// Everything that everybody may read, compared in full.
    Audit,
    /// Discovery, and the key set that it names.
    Discovery,
}

/// The id of a new repository.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Naming {
    /// A UUID.
    #[default]
    Fresh,
    /// Longer than usual.
    Long,
    /// Nearly the other repository's; in which way is drawn.
    Like(u8),
    /// With characters that have to be escaped in a path; which ones is drawn.
    Odd(u8),
}

/// How an envelope deviates from the request that carries it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Slip {
    /// Not at all.
    #[default]
    None,
    /// It names the other repository.
    Repo,
    /// Its version is one more.
    Version,
    /// Its epoch is one more.
    Epoch,
}

/// A counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Count {
    /// The current one and so many more.
    Plus(i64),
    /// This one.
    Is(i64),
}

impl Count {
    /// The counter, where `current` is the one that the server should have.
    pub fn from(self, current: i64) -> i64 {
        match self {
            Self::Plus(more) => current.saturating_add(more),
            Self::Is(exactly) => exactly,
        }
    }
}

/// A roster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum People {
    /// Who is a member (and isn't being removed).
    Staying,
    /// These, in this order.
    These(Vec<usize>),
    /// Every member, also who is being removed.
    Everybody,
}

/// What a token request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Redemption {
    Right,
    UsedNonce,
    ForeignNonce,
    InventedNonce,
    SignatureOfAnother,
    SignatureOfEarlierNonce,
    SignatureOverText,
    SignatureEmpty,
    SignatureZeros,
    SignatureRandom,
    SignatureFlipped,
    SignatureTopBits,
    SignatureLonger,
    SignatureUnreduced,
    KeySmallOrder,
    KeyRespelled(u8),
}

/// What stands in `Authorization`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Credential {
    /// The token of who asks.
    #[default]
    Own,
    /// Nothing.
    Missing,
    /// The token in a way that isn't `Bearer`, or not a token at all; which one is drawn.
    Odd(u8),
    /// A forgery that takes after the token; which one is drawn.
    Forged(u8),
}

impl Credential {
    fn is_own(&self) -> bool {
        *self == Self::Own
    }
}

/// What is done to a request that was right.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Mutation {
    /// The path names the other repository.
    OtherPath,
    /// One member of the body is changed; which one is drawn.
    Member(Change),
    /// The body isn't what it should be as a whole.
    Body(Body),
    /// The request is written otherwise than usual.
    Wire(Wire),
    /// Another method, or a route that doesn't exist.
    Route(u8),
    /// The member id in the path is spelled otherwise; how is drawn.
    Spelled(u8),
}

/// What is done to a member of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Change {
    Drop,
    Null,
    Retype(u8),
    Integer(u8),
    Text(u8),
    Respell(u8),
    Twice,
    Unknown,
    Deep,
}

/// What is done to a body as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Body {
    Empty,
    NoJson,
    Cut,
    Array,
    Text,
    Number,
    Null,
    EmptyObject,
    NotUtf8,
    Nested,
    Trailing,
    Large,
}

/// How a request is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Wire {
    /// In chunks.
    Chunked,
    /// Header names in capitals.
    Capitals,
    /// In small pieces.
    Pieces,
    /// Not to its end.
    Truncated,
    /// With a second request right behind it.
    Pipelined,
    /// With another `Content-Type`, or none; which one is drawn.
    ContentType(u8),
    /// As the second request on a connection whose first one was refused with its body.
    AfterRefusal,
    /// Its end only after somebody else has asked for something.
    Stalled,
}
