//! What doors beside the door have in common: the filter that authorises and the router that serves see different
//! requests.

use axum::http::Request;
use axum::http::request::Parts;
use axum::http::uri::{PathAndQuery, Uri};
use hyper::body::Incoming;

use super::tools::{NOBODY, entitled};
use crate::server::edge::Edge;
use crate::server::operations;
use crate::server::redemption::Authority;
use crate::server::refusal::Refusal;
use crate::server::repo::{Decision, Repo, Success, Visit};
use crate::server::route::Route;
use crate::server::rules::{IdentityRules, VaultRules};

/// What the router makes of a request that the filter took for something else.
pub enum Fold {
    /// A path that it serves as another one.
    Path(fn(&str) -> Option<String>),
    /// A request that it changes; false when it is none of those.
    Request(fn(&mut Request<Incoming>) -> bool),
}

/// A way past the filter.
pub struct Door {
    fold: Fold,
    /// The one operation that it leads to; all when there is none.
    only: Option<Route>,
    /// Whether the filter's first half (is there a valid token?) still stands.
    token: bool,
}

impl Door {
    /// Anybody gets in by another path.
    pub const fn path(fold: fn(&str) -> Option<String>) -> Self {
        Self { fold: Fold::Path(fold), only: None, token: false }
    }

    /// Anybody gets in by another request.
    pub const fn request(fold: fn(&mut Request<Incoming>) -> bool) -> Self {
        Self { fold: Fold::Request(fold), only: None, token: false }
    }

    /// It leads to one operation only.
    pub const fn to(mut self, route: Route) -> Self {
        self.only = Some(route);
        self
    }

    /// It takes somebody's token, whoever's.
    pub const fn for_strangers(mut self) -> Self {
        self.token = true;
        self
    }
}

/// In a request's extensions: it came by the door.
#[derive(Clone, Copy)]
struct Through;

impl Edge for Door {
    fn arrival(&self, request: &mut Request<Incoming>) {
        let through = match self.fold {
            Fold::Path(fold) => fold(request.uri().path()).is_some_and(|path| set_path(request, &path)),
            Fold::Request(fold) => fold(request),
        };
        if through {
            request.extensions_mut().insert(Through);
        }
    }
}

impl IdentityRules for Door {
    fn authenticate(&self, authority: &Authority, route: Route, parts: &Parts) -> Result<String, Refusal> {
        let through = parts.extensions.get::<Through>().is_some() && self.only.is_none_or(|only| only == route);
        if through && !self.token {
            return Ok(NOBODY.to_owned());
        }
        let token = self.bearer(parts).ok_or(Refusal::unauthorized("no bearer token"))?;
        let member = self.member_of_token(authority, &token)?;
        Ok(if through { NOBODY.to_owned() } else { member })
    }
}

impl VaultRules for Door {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Decision<Success> {
        if visit.caller == NOBODY {
            return operations::transition(self, &entitled(visit, state), state);
        }
        operations::transition(self, visit, state)
    }
}

/// Another path, the same query; false when it can't be one.
pub fn set_path(request: &mut Request<Incoming>, path: &str) -> bool {
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let Ok(target) = format!("{path}{query}").parse::<PathAndQuery>() else { return false };
    let Ok(uri) = Uri::builder().path_and_query(target).build() else { return false };
    *request.uri_mut() = uri;
    true
}

/// Resolves `.` and `..`; `None` when there is neither.
pub fn without_dots(path: &str) -> Option<String> {
    if !path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return None;
    }
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "." => {}
            ".." => drop((kept.len() > 1).then(|| kept.pop())),
            other => kept.push(other),
        }
    }
    Some(kept.join("/"))
}

/// The same path if it differs from what it was.
pub fn changed(path: &str, folded: String) -> Option<String> {
    (folded != path).then_some(folded)
}
