//! Discovery (SPEC §8.2) and the key set that it names.

use serde_json::Value;

use super::finding::FindingKind;
use super::plan::Step;
use super::play::{Going, Play};
use crate::client::Profile;
use crate::codec::jwt::Jwt;
use crate::model::wrong_discovery;
use crate::requirements as rule;
use crate::scenarios::{candidates, is_signed_by};
use crate::wire::Operation;

impl Play {
    /// Discovery is optional; what it gives has to be right, and the key set holds nothing private.
    pub(super) async fn discovery(&mut self, step: &Step) -> Going {
        // It is HTTP; a server that speaks gRPC alone has none.
        if self.world.target.vault.profile() == Profile::Grpc {
            return Ok(());
        }
        let prepared = self.prepared(step.by, Operation::Discovery, None, String::new());
        let answer = self.exchange(&prepared).await?;
        if !answer.status.is_success() {
            return Ok(());
        }
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if let Some((expected, observed)) = wrong_discovery(&body) {
            return Err(self.found(FindingKind::Schema, &rule::DISCOVERY_SHAPE, &prepared, expected, observed));
        }
        let path = body["issuerJwksUrl"].as_str().and_then(|url| self.world.target.vault.path_of(&url.parse().ok()?));
        let Some(path) = path else { return Ok(()) };
        let mut keys = self.prepared(step.by, Operation::Discovery, None, "the key set".into());
        keys.request.path = path;
        let answer = self.exchange(&keys).await?;
        let set: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let set = set["keys"].as_array().cloned().unwrap_or_default();
        let private = ["d", "p", "q", "k"];
        if set.iter().any(|key| private.iter().any(|name| key.get(name).is_some())) {
            self.report(self.found(
                FindingKind::Secret,
                &rule::KEY_SET,
                &keys,
                "public keys alone",
                "a private member",
            ))?;
        }
        let tokens = self.case.actors.iter().filter_map(|actor| Jwt::parse(actor.token.as_deref()?).ok());
        let ours = |jwt: &Jwt| jwt.header.get("alg").is_some_and(|alg| alg == "EdDSA" || alg == "Ed25519");
        let unsigned = tokens.filter(ours).any(|jwt| !is_signed_by(&jwt, &candidates(&set, &jwt)));
        if answer.status.is_success() && unsigned {
            let expected = "the key that tokens are signed with";
            self.report(self.found(
                FindingKind::Schema,
                &rule::KEY_SET,
                &keys,
                expected,
                "no key that verifies a token",
            ))?;
        }
        Ok(())
    }
}
