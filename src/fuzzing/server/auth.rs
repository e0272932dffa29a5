//! Challenge and token, right and wrong.

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method};
use serde_json::{Value, json};

use super::case_state::Nonce;
use super::finding::FindingKind;
use super::mutate;
use super::plan::{Mutation, Redemption, Step};
use super::play::{Going, Play};
use super::redemption::{has_pattern, odd_claims, said};
use super::request::{Judged, Prepared};
use crate::client::random;
use crate::client::{RawAnswer, RawRequest, clock};
use crate::codec::base64;
use crate::codec::jwt::Jwt;
use crate::ground::Choices;
use crate::model::RefusalReason;
use crate::requirements::{self as rule, Requirement};
use crate::wire::{MessageKind, Operation, TokenResponse};

/// Tokens that live longer than a day aren't short lived.
const DAY_MS: i64 = 24 * 3600 * 1000;

impl Play {
    pub(super) fn prepared(
        &self,
        by: usize,
        operation: Operation,
        body: Option<Vec<u8>>,
        mutation: String,
    ) -> Prepared {
        let json = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let request = RawRequest {
            method: if body.is_some() { Method::POST } else { Method::GET },
            path: operation.path("", ""),
            headers: body.iter().map(|_| json.clone()).collect(),
            body: body.map(Into::into),
            answer_limit: 1 << 20,
        };
        Prepared {
            by,
            repo: 0,
            operation,
            request,
            wire: None,
            judged: Judged::Answered,
            rule: None,
            odd: false,
            mutation,
            again: false,
        }
    }

    /// Sends a request of the identity provider; whatever is wrong with every answer is wrong here, too.
    pub(super) async fn exchange(&mut self, prepared: &Prepared) -> Result<RawAnswer, Box<super::finding::Found>> {
        match self.send(prepared).await {
            Ok(answer) => {
                let status = answer.status.as_u16();
                let class = (prepared.operation.name(), prepared.mutation.clone(), status.to_string());
                self.behaviours.push(class);
                if status >= 500 {
                    let rule = prepared.rule.unwrap_or(&rule::BAD_INPUT);
                    return Err(self.found(
                        FindingKind::ServerError,
                        rule,
                        prepared,
                        "no 5xx",
                        format!("status {status}"),
                    ));
                }
                for limit in std::mem::take(&mut self.limits) {
                    self.refusal(prepared, &limit)?;
                }
                if status >= 400 {
                    self.refusal(prepared, &answer)?;
                } else if prepared.operation == Operation::Token {
                    // A server may let only the latest token of a key count.
                    self.case.actors[prepared.by].token = None;
                }
                Ok(answer)
            }
            Err(error) => Err(self.no_answer(prepared, &error).await),
        }
    }

    /// A token for an actor that has none.
    pub(super) async fn authenticate(&mut self, by: usize) -> Going {
        if self.case.actors[by].token.is_none() {
            self.redeem_with(by, Redemption::Right, None).await?;
        }
        Ok(())
    }

    pub(super) async fn challenge(&mut self, step: &Step) -> Going {
        match &step.mutation {
            Some(mutation) => self.mutated(step, Operation::Challenge, mutation).await,
            None => self.nonce(step.by).await,
        }
    }

    pub(super) async fn redeem(&mut self, step: &Step, with: Redemption) -> Going {
        match &step.mutation {
            Some(mutation) => self.mutated(step, Operation::Token, mutation).await,
            None => self.redeem_with(step.by, with, Some(step.dice)).await,
        }
    }

    /// A challenge or token request that no client sends.
    async fn mutated(&mut self, step: &Step, operation: Operation, mutation: &Mutation) -> Going {
        let mut dice = Choices::new(step.dice, "body");
        let body = if operation == Operation::Challenge {
            json!({ "ed25519PublicKey": self.case.id(step.by) })
        } else {
            self.nonce(step.by).await?;
            self.request(step.by, Redemption::Right, &mut dice)
        };
        let (bytes, what, harmless) = match mutation {
            Mutation::Member(change) => {
                let changed = mutate::change(&body, *change, &mut dice);
                self.case.canaries.extend(changed.canary);
                let value = serde_json::from_slice::<Value>(&changed.bytes).unwrap_or_default();
                let kind = operation.request_kind();
                let invalid = kind.is_some_and(|kind| !crate::wire::Schema::violations(kind, &value, 1).is_empty());
                use super::plan::Change::{Deep, Twice, Unknown};
                (changed.bytes, changed.what, !invalid || matches!(change, Deep | Twice | Unknown))
            }
            Mutation::Body(whole) => {
                let (bytes, what) = mutate::whole(body.to_string().as_bytes(), *whole);
                let same = serde_json::from_slice::<Value>(&bytes).is_ok_and(|value| value == body);
                (bytes, what.to_owned(), same)
            }
            _ => return Ok(()),
        };
        let prepared = self.prepared(step.by, operation, Some(bytes), what);
        if self.is_unsayable(&prepared) {
            return Ok(());
        }
        if let Some(nonce) = self.case.actors[step.by].nonces.last_mut() {
            nonce.tried = true;
        }
        let answer = match self.exchange(&prepared).await {
            Err(found) if found.kind == FindingKind::Dropped && prepared.is_huge() => return Ok(()),
            answer => answer?,
        };
        let status = answer.status.as_u16();
        if status < 400 && !harmless {
            let observed = format!("status {status} for {}", prepared.mutation);
            self.report(self.found(FindingKind::Accepted, &rule::BAD_INPUT, &prepared, "a 4xx", observed))?;
        }
        if status < 400 && operation == Operation::Token {
            // It may have bought a token.
            self.case.actors[step.by].nonces.clear();
        }
        Ok(())
    }

    /// A nonce for an actor.
    async fn nonce(&mut self, by: usize) -> Going {
        let body = json!({ "ed25519PublicKey": self.case.id(by) });
        let prepared = self.prepared(by, Operation::Challenge, Some(body.to_string().into_bytes()), String::new());
        let answer = self.exchange(&prepared).await?;
        let status = answer.status.as_u16();
        if !(200..300).contains(&status) {
            let observed = format!("status {status}");
            return Err(self.found(
                FindingKind::Authentication,
                &rule::NO_ACCOUNT,
                &prepared,
                "a nonce for any key",
                observed,
            ));
        }
        self.is_in_shape(&prepared, &answer)?;
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let text = body["nonce"].as_str().unwrap_or_default().to_owned();
        if let Some((rule, expected, observed)) = self.wrong_nonce(by, &text) {
            self.report(self.found(FindingKind::Authentication, rule, &prepared, expected, observed))?;
        }
        self.case.nonces.insert(text.clone());
        self.case.actors[by].nonces.push(Nonce { text, tried: false, used: false });
        Ok(())
    }

    /// What is wrong with a nonce: the rule, what should have come, and what came.
    fn wrong_nonce(&self, by: usize, text: &str) -> Option<(&'static Requirement, &'static str, String)> {
        let bytes = match base64::decode(text) {
            Err(error) => return Some((&rule::BASE64, "a nonce in base64", error.to_string())),
            Ok(bytes) if bytes.len() < 32 => {
                return Some((&rule::NONCE_SIZE, "at least 32 bytes", format!("{} bytes", bytes.len())));
            }
            Ok(bytes) => bytes,
        };
        if self.case.nonces.contains(text) {
            return Some((&rule::NONCE_RANDOM, "a fresh nonce", "one that was issued before".into()));
        }
        let distinct = bytes.iter().collect::<std::collections::HashSet<_>>().len();
        let key = self.case.actors[by].identity.public_key();
        let earlier = self.case.nonces.iter().filter_map(|text| base64::decode(text).ok());
        (distinct < 12 || has_pattern(&bytes, &key, earlier))
            .then(|| (&rule::NONCE_LOOKS_RANDOM, "bytes without a pattern", format!("{bytes:02x?}")))
    }

    /// What has to be there for a redemption.
    async fn set_up(&mut self, by: usize, with: Redemption) -> Going {
        use Redemption::{ForeignNonce, Right, SignatureOfEarlierNonce, UsedNonce};
        match with {
            UsedNonce if !self.case.actors[by].nonces.iter().any(|nonce| nonce.used) => {
                Box::pin(self.redeem_with(by, Right, None)).await
            }
            UsedNonce => Ok(()),
            ForeignNonce => self.nonce((by + 1) % self.case.actors.len()).await,
            SignatureOfEarlierNonce => {
                self.nonce(by).await?;
                self.nonce(by).await
            }
            _ if self.case.actors[by].nonces.last().is_some_and(|nonce| !nonce.tried) => Ok(()),
            _ => self.nonce(by).await,
        }
    }

    async fn redeem_with(&mut self, by: usize, with: Redemption, dice: Option<u64>) -> Going {
        match with {
            Redemption::KeySmallOrder => return self.small_order(by).await,
            Redemption::KeyRespelled(which) => return self.respelled(by, which).await,
            _ => {}
        }
        self.set_up(by, with).await?;
        let body = self.request(by, with, &mut Choices::new(dice.unwrap_or_default(), "redeem"));
        let text = body["nonce"].as_str().unwrap_or_default().to_owned();
        let mutation = if with == Redemption::Right { String::new() } else { said(with).1.to_owned() };
        let mut prepared = self.prepared(by, Operation::Token, Some(body.to_string().into_bytes()), mutation);
        prepared.rule = (with != Redemption::Right).then(|| said(with).0);
        let answer = self.exchange(&prepared).await?;
        let status = answer.status.as_u16();
        let success = (200..300).contains(&status);
        for nonce in self.case.actors.iter_mut().flat_map(|actor| &mut actor.nonces) {
            if nonce.text == text {
                nonce.tried = true;
                nonce.used |= success;
            }
        }
        match (with, success) {
            (Redemption::Right, true) => self.token(&prepared, &answer),
            (Redemption::Right, false) => {
                let rule = &rule::PORTABLE_IDENTITY;
                Err(self.found(FindingKind::Authentication, rule, &prepared, "a token", format!("status {status}")))
            }
            (_, true) => {
                let observed = format!("status {status} for {}", prepared.mutation);
                self.report(self.found(FindingKind::Authentication, said(with).0, &prepared, "a 4xx", observed))
            }
            // The signature is right: it is the nonce that is refused.
            (Redemption::UsedNonce | Redemption::InventedNonce, false) => {
                match RefusalReason::BadNonce.missed(status) {
                    Some(rule) => {
                        let (expected, observed) =
                            (format!("status {}", RefusalReason::BadNonce.code()), format!("status {status}"));
                        self.report(self.found(FindingKind::Authentication, rule, &prepared, expected, observed))
                    }
                    None => Ok(()),
                }
            }
            (_, false) => Ok(()),
        }
    }

    /// The token request of a redemption.
    fn request(&self, by: usize, with: Redemption, dice: &mut Choices) -> Value {
        let actor = &self.case.actors[by];
        let other = &self.case.actors[(by + 1) % self.case.actors.len()];
        let latest = |nonces: &[Nonce]| nonces.last().map(|nonce| nonce.text.clone()).unwrap_or_default();
        let nonce = match with {
            Redemption::UsedNonce => {
                let used = actor.nonces.iter().rfind(|nonce| nonce.used);
                used.map(|nonce| nonce.text.clone()).unwrap_or_default()
            }
            Redemption::ForeignNonce => latest(&other.nonces),
            Redemption::InventedNonce => base64::encode(&random::bytes::<32>()),
            _ => latest(&actor.nonces),
        };
        let bytes = base64::decode(&nonce).unwrap_or_default();
        let mut signature = match with {
            Redemption::SignatureOfAnother => other.identity.sign(&bytes),
            Redemption::SignatureOverText => actor.identity.sign(nonce.as_bytes()),
            Redemption::SignatureOfEarlierNonce => {
                let earlier = actor.nonces.iter().rev().nth(1).map(|nonce| nonce.text.clone()).unwrap_or_default();
                actor.identity.sign(&base64::decode(&earlier).unwrap_or_default())
            }
            Redemption::SignatureZeros => [0; 64],
            Redemption::SignatureRandom => random::bytes(),
            _ => actor.identity.sign(&bytes),
        }
        .to_vec();
        match with {
            Redemption::SignatureEmpty => signature.clear(),
            Redemption::SignatureFlipped => signature[dice.below(63)] ^= 1 << dice.below(8),
            Redemption::SignatureTopBits => signature[63] |= 0x20 << dice.below(3),
            Redemption::SignatureLonger => signature.push(0),
            Redemption::SignatureUnreduced => crate::ground::ed25519::add_order(&mut signature[32..]),
            _ => {}
        }
        json!({ "ed25519PublicKey": actor.identity.id, "nonce": nonce, "signature": base64::encode(&signature) })
    }

    /// The token of a right redemption.
    fn token(&mut self, prepared: &Prepared, answer: &RawAnswer) -> Going {
        let mut body = self.is_in_shape(prepared, answer)?.unwrap_or_default();
        // An integer may be written as 1.0; that a run warns of.
        crate::wire::prune(MessageKind::TokenResponse, &mut body);
        let response: TokenResponse = match serde_json::from_value(body) {
            Ok(response) => response,
            Err(error) => {
                return Err(self.found(
                    FindingKind::Schema,
                    &rule::FIELD_NAMES,
                    prepared,
                    "a token",
                    error.to_string(),
                ));
            }
        };
        let left = response.expires_at.saturating_sub(clock::now_ms());
        let odd_claims = Jwt::parse(&response.token).ok().and_then(|jwt| odd_claims(&jwt, self.case.id(prepared.by)));
        let wrong = match odd_claims {
            _ if left <= 0 => {
                let observed = format!("expiresAt {}", response.expires_at);
                Some((&rule::TOKEN_ANSWER, "an expiry ahead, in epoch milliseconds", observed))
            }
            Some(odd) => Some((&rule::TOKEN_CLAIMS, "the claims of a member's token", odd)),
            None if left > DAY_MS + 60_000 => {
                Some((&rule::TOKEN_SHORT_LIVED, "a day at the most", format!("{left} ms")))
            }
            None => None,
        };
        if let Some((rule, expected, observed)) = wrong {
            self.report(self.found(FindingKind::Authentication, rule, prepared, expected, observed))?;
        }
        self.issued.push((prepared.by, response.token.clone()));
        self.case.actors[prepared.by].token = Some(response.token);
        Ok(())
    }

    /// A key for which anybody can sign: the neutral element, with R the same and S zero.
    async fn small_order(&mut self, by: usize) -> Going {
        let mut point = [0; 32];
        point[0] = 1;
        let key = base64::encode(&point);
        let what = || said(Redemption::KeySmallOrder).1.to_owned();
        let asking = json!({ "ed25519PublicKey": key });
        let prepared = self.prepared(by, Operation::Challenge, Some(asking.to_string().into_bytes()), what());
        let answer = self.exchange(&prepared).await?;
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let Some(nonce) = body["nonce"].as_str() else { return Ok(()) };
        let signature = base64::encode(&[&point[..], &[0; 32]].concat());
        let redeeming = json!({ "ed25519PublicKey": key, "nonce": nonce, "signature": signature });
        let prepared = self.prepared(by, Operation::Token, Some(redeeming.to_string().into_bytes()), what());
        let answer = self.exchange(&prepared).await?;
        if answer.status.is_success() {
            let rule = said(Redemption::KeySmallOrder).0;
            self.report(self.found(FindingKind::Authentication, rule, &prepared, "a 4xx", what()))?;
        }
        Ok(())
    }

    /// The actor's key in another spelling: whoever takes it must take it for the same member.
    async fn respelled(&mut self, by: usize, which: u8) -> Going {
        let id = self.case.id(by).to_owned();
        let key = mutate::respelled(&id, which);
        let what = || said(Redemption::KeyRespelled(which)).1.to_owned();
        let asking = json!({ "ed25519PublicKey": key });
        let prepared = self.prepared(by, Operation::Challenge, Some(asking.to_string().into_bytes()), what());
        let answer = self.exchange(&prepared).await?;
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let Some(nonce) = body["nonce"].as_str() else { return Ok(()) };
        let signature = self.case.actors[by].identity.sign(&base64::decode(nonce).unwrap_or_default());
        let redeeming = json!({ "ed25519PublicKey": key, "nonce": nonce, "signature": base64::encode(&signature) });
        let prepared = self.prepared(by, Operation::Token, Some(redeeming.to_string().into_bytes()), what());
        let answer = self.exchange(&prepared).await?;
        // A nonce of the actor's may be void now.
        self.case.actors[by].nonces.iter_mut().for_each(|nonce| nonce.tried = true);
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let subject = body["token"].as_str().and_then(|token| Jwt::parse(token).ok()?.subject().map(str::to_owned));
        if let Some(subject) = subject.filter(|subject| *subject != format!("key:{id}") && key != id) {
            let rule = &rule::IDENTITY_CANONICAL;
            let observed = format!("a token for {subject:?}");
            self.report(self.found(FindingKind::Authentication, rule, &prepared, "a 4xx", observed))?;
        }
        Ok(())
    }
}
