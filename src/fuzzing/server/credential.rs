//! What stands in `Authorization`.

use super::case_state::CaseState;
use super::plan::Credential;
use crate::codec::jwt::Jwt;
use crate::requirements::{self as rule, Requirement};
use crate::scenarios::{Auth, forgeries, jwt_forgeries, more_jwt_forgeries};

/// How a request says who asks.
#[derive(Clone, Debug, Default)]
pub(super) struct Credentials {
    /// `Authorization`.
    pub header: Option<String>,
    /// What follows the path instead.
    pub query: Option<String>,
    /// Who the caller is by that; nobody is `None`.
    pub caller: Option<usize>,
    /// Whether a server may take it or leave it.
    pub either: bool,
    /// The rule that acceptance breaks.
    pub rule: Option<&'static Requirement>,
    /// What is odd about it, in words.
    pub what: String,
}

impl CaseState {
    pub(super) fn credentials(&self, by: usize, credential: &Credential) -> Credentials {
        let token = self.actors.get(by).and_then(|actor| actor.token.clone());
        let Some(token) = token else {
            return Credentials { what: "without a token".into(), ..Credentials::default() };
        };
        match credential {
            Credential::Own => {
                Credentials { header: Some(format!("Bearer {token}")), caller: Some(by), ..Credentials::default() }
            }
            Credential::Missing => Credentials { what: "without a token".into(), ..Credentials::default() },
            Credential::Odd(which) => odd(&token, *which),
            Credential::Forged(which) => self.forged(by, &token, usize::from(*which)),
        }
    }

    fn forged(&self, by: usize, token: &str, which: usize) -> Credentials {
        let victim = &self.actors[by].identity;
        let attacker = self.actors.iter().enumerate().find(|(who, actor)| *who != by && actor.token.is_some());
        // Of the kind that is drawn only: making them takes longer than most servers need to refuse one.
        let all = match (which % 3, Jwt::parse(token)) {
            (1, Ok(real)) => {
                let (own, attacker) = match attacker {
                    Some((_, actor)) => {
                        (actor.token.as_deref().and_then(|text| Jwt::parse(text).ok()), &actor.identity)
                    }
                    None => (None, victim),
                };
                jwt_forgeries(&real, own.as_ref().unwrap_or(&real), victim, attacker)
            }
            (2, Ok(real)) => more_jwt_forgeries(&real, &[]),
            _ => forgeries(token, victim),
        };
        let Some((what, auth)) = all.get(which / 3 % all.len().max(1)) else { return Credentials::default() };
        let header = match auth {
            Auth::None => None,
            Auth::Bearer(token) => Some(format!("Bearer {token}")),
            Auth::Header(value) => Some(value.clone()),
        };
        Credentials { header, rule: Some(&rule::TOKEN_VERIFIED), what: (*what).into(), ..Credentials::default() }
    }
}

fn odd(token: &str, which: u8) -> Credentials {
    let header = |header: String, rule, what: &str| Credentials {
        header: Some(header),
        rule: Some(rule),
        what: what.into(),
        ..Credentials::default()
    };
    match which % 8 {
        0 => header(format!("Basic {token}"), &rule::TOKEN_BEARER_ONLY, "the token as Basic"),
        1 => header(token.to_owned(), &rule::TOKEN_BEARER_ONLY, "the token without a scheme"),
        2 => header(format!("Token {token}"), &rule::TOKEN_BEARER_ONLY, "the token as Token"),
        3 => Credentials {
            query: Some(format!("access_token={token}&token={token}")),
            rule: Some(&rule::TOKEN_BEARER_ONLY),
            what: "the token in the query".into(),
            ..Credentials::default()
        },
        4 => header("Bearer garbage".into(), &rule::TOKEN_REQUIRED, "any text for a token"),
        5 => header("Bearer ".into(), &rule::TOKEN_REQUIRED, "an empty token"),
        6 => header(
            format!("Bearer {}", swapped_case(token)),
            &rule::TOKEN_BEARER_ONLY,
            "the token in other letter case",
        ),
        // RFC 9110 has schemes in any letter case; not every server knows.
        _ => {
            Credentials { either: true, ..header(format!("bearer {token}"), &rule::TOKEN_REQUIRED, "bearer in small") }
        }
    }
}

fn swapped_case(token: &str) -> String {
    let swap = |c: char| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
    token.chars().map(swap).collect()
}
