//! The model and the built-in server judge each other: random requests, right and wrong, over real sockets.

use std::time::Duration;

use avp_conform::client::{Identity, RawRequest, Transport};
use avp_conform::codec::base64;
use avp_conform::faults;
use avp_conform::model::{self, Action, Invocation, Response, State, Symbols};
use avp_conform::server;
use avp_conform::wire::{
    ChallengeResponse, CreateRepoRequest, EncryptedEnvelope, MemberAddRequest, MemberEntry, MemberRemoveRequest,
    Operation, PullRequest, PushRequest, TokenResponse, VaultManifest, WrappedKey,
};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use serde_json::{Value, json};

const IDS: [&str; 2] = ["first", "second"];
const SCHEME: &str = "X25519-HKDF-SHA256-AESGCM-v1";

/// The numbers that one request is made of; what they mean depends on the operation.
type Dice = [u8; 8];

struct World {
    transport: Transport,
    people: Vec<(Identity, String)>,
    symbols: Symbols,
    states: [Option<State>; 2],
    stamp: u8,
}

impl World {
    async fn send(
        &self,
        operation: Operation,
        repo: &str,
        member: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> (u16, Vec<u8>) {
        let mut headers = vec![(CONTENT_TYPE, "application/json".parse().unwrap())];
        headers.extend(token.map(|token| (AUTHORIZATION, format!("Bearer {token}").parse().unwrap())));
        let request = RawRequest {
            method: operation.method(),
            path: operation.path(repo, member),
            headers,
            body: body.map(|body| body.to_string().into()),
            answer_limit: 1 << 20,
        };
        let answer = self.transport.send(&request).await.unwrap();
        (answer.status.as_u16(), answer.body.to_vec())
    }

    async fn join(&mut self) {
        let identity = Identity::generate();
        let (_, body) =
            self.send(Operation::Challenge, "", "", None, Some(json!({ "ed25519PublicKey": identity.id }))).await;
        let nonce = serde_json::from_slice::<ChallengeResponse>(&body).unwrap().nonce;
        let signature = base64::encode(&identity.sign(&base64::decode(&nonce).unwrap()));
        let redeem = json!({ "ed25519PublicKey": identity.id, "nonce": nonce, "signature": signature });
        let (_, body) = self.send(Operation::Token, "", "", None, Some(redeem)).await;
        let token = serde_json::from_slice::<TokenResponse>(&body).unwrap().token;
        self.people.push((identity, token));
    }

    fn entry(&mut self, person: u8, epoch: i64) -> MemberEntry {
        self.stamp = self.stamp.wrapping_add(1);
        let identity = &self.people[usize::from(person) % self.people.len()].0;
        MemberEntry {
            ed25519_public_key: identity.id.clone(),
            x25519_public_key: identity.x25519_public_key.clone(),
            wrapped_data_key: WrappedKey {
                scheme_id: SCHEME.into(),
                ephemeral_public_key: base64::encode(&[self.stamp; 32]),
                iv: base64::encode(&[self.stamp; 12]),
                ciphertext: base64::encode(&[self.stamp; 48]),
            },
            key_epoch: epoch,
            key_binding_sig: None,
        }
    }

    /// The people whose bits are set; now and then somebody twice.
    fn roster(&mut self, bits: u8, epoch: i64) -> Vec<MemberEntry> {
        let mut people: Vec<_> = (0..4).filter(|person| bits & (1 << person) != 0).collect();
        people.extend((bits & 0x30 == 0x30).then_some(0));
        people.into_iter().map(|person| self.entry(person, epoch)).collect()
    }

    fn envelope(&mut self, repo: usize, version: i64, epoch: i64) -> EncryptedEnvelope {
        self.stamp = self.stamp.wrapping_add(1);
        EncryptedEnvelope {
            repo_id: IDS[repo].into(),
            payload_version: version,
            key_epoch: epoch,
            iv: base64::encode(&[self.stamp; 12]),
            ciphertext: base64::encode(&[self.stamp; 40]),
        }
    }

    /// Mostly a request that fits the state, with now and then a number that is off.
    fn request(&mut self, repo: usize, dice: Dice) -> (Operation, Action, String, Option<Value>) {
        let (version, epoch) = self.states[repo].as_ref().map_or((1, 0), |s| (s.manifest.version, s.manifest.epoch));
        let off = |die: u8, usual: i64| if die < 200 { usual } else { i64::from(die % 5) - 2 };
        let next = version + off(dice[2], 1);
        let named = if dice[7] < 250 { repo } else { 1 - repo };
        let repo_id = IDS[repo].to_owned();
        match dice[0] % 9 {
            0 => {
                let members = self.roster(if dice[3] < 200 { 1 << (dice[1] % 4) } else { dice[4] }, off(dice[5], 0));
                let manifest = VaultManifest {
                    repo_id,
                    scheme_id: SCHEME.into(),
                    key_epoch: 0,
                    payload_version: 1,
                    members,
                    share_refresh_tokens: None,
                };
                let request =
                    CreateRepoRequest { manifest, initial_envelope: self.envelope(named, off(dice[2], 1), 0) };
                (Operation::CreateRepo, self.symbols.create(&request), String::new(), Some(json!(request)))
            }
            1 | 2 => {
                let request = PullRequest { repo_id, known_payload_version: version + off(dice[3], 0) };
                (Operation::Pull, Symbols::pull(&request), String::new(), Some(json!(request)))
            }
            3..6 => {
                let to = epoch + if dice[5] < 100 { 1 } else { off(dice[6], 0) };
                let rotated_members = (dice[5] < 100).then(|| self.roster(dice[4] | 1 << (dice[1] % 4), to));
                let request = PushRequest {
                    repo_id,
                    envelope: self.envelope(named, next, to),
                    expected_payload_version: version + off(dice[3], 0),
                    rotated_members,
                };
                (Operation::Push, self.symbols.push(&request), String::new(), Some(json!(request)))
            }
            6 => {
                let request = MemberAddRequest { repo_id, member: self.entry(dice[4], epoch + off(dice[5], 0)) };
                (Operation::AddMember, self.symbols.add(&request), String::new(), Some(json!(request)))
            }
            7 => {
                let (gone, to) = (dice[3] % 4, epoch + off(dice[5], 1));
                let keep = dice[4] | 1 << (dice[1] % 4);
                let request = MemberRemoveRequest {
                    repo_id,
                    removed_member_id: self.people[usize::from(gone)].0.id.clone(),
                    rotated_envelope: self.envelope(named, next, to),
                    rewrapped_members: self.roster(if dice[6] < 220 { keep & !(1 << gone) } else { keep }, to),
                    new_key_epoch: to,
                };
                (Operation::RemoveMember, self.symbols.remove(&request), String::new(), Some(json!(request)))
            }
            _ => {
                let member = self.people[usize::from(dice[3]) % self.people.len()].0.id.clone();
                (Operation::FetchMemberKey, self.symbols.fetch(&member), member, None)
            }
        }
    }

    /// One request.
    ///
    /// # Errors
    /// In symbols, what the model doesn't allow.
    async fn play(&mut self, dice: Dice) -> Result<(), String> {
        let repo = usize::from(dice[7] % 2);
        let (operation, action, member, body) = self.request(repo, dice);
        let person = &self.people[usize::from(dice[1]) % self.people.len()];
        let token = (dice[1] < 250).then(|| person.1.clone());
        let caller = token.is_some().then(|| person.0.id.clone()).map(|id| self.symbols.symbol(&id));
        let (status, answer) = self.send(operation, IDS[repo], &member, token.as_deref(), body.clone()).await;
        let answer = model::read_answer(&mut self.symbols, &action, status, &answer).map_err(|e| e.to_string())?;
        let invocation = Invocation { caller, action };
        let transition = model::judge(self.states[repo].as_ref(), &invocation, &answer).map_err(|mismatch| {
            format!("{} {:?} {}", mismatch.rule.id, mismatch.explain(&self.symbols), json!(body))
        })?;
        if !transition.settled {
            return Err(format!("a contradiction is accepted: {}", json!(body)));
        }
        if transition.next.is_some() {
            self.states[repo] = transition.next;
        }
        Ok(())
    }

    /// Whoever is a member sees exactly the model's state, and the others see nothing.
    async fn pulled_is_modelled(&mut self) -> Result<(), String> {
        for (repo, id) in IDS.into_iter().enumerate() {
            for (identity, token) in self.people.clone() {
                let request = PullRequest { repo_id: id.into(), known_payload_version: -1 };
                let (status, body) = self.send(Operation::Pull, id, "", Some(&token), Some(json!(request))).await;
                let operation = Symbols::pull(&request);
                let answer =
                    model::read_answer(&mut self.symbols, &operation, status, &body).map_err(|e| e.to_string())?;
                let caller = self.symbols.symbol(&identity.id);
                let same = match self.states[repo].as_ref().filter(|state| state.manifest.members.has(caller)) {
                    None => matches!(answer, Response::Refused(403 | 404)),
                    Some(State { manifest, envelope }) => {
                        let (manifest, envelope) = (manifest.clone(), Some(*envelope));
                        answer == Response::Pull { manifest, envelope, unchanged: false }
                    }
                };
                if !same {
                    return Err(format!("pull serves {}, not {:?}", self.symbols.answer(&answer), self.states[repo]));
                }
            }
        }
        Ok(())
    }
}

async fn sequence(fault: Option<faults::Fault>, rolls: &[Dice]) -> Result<(), String> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = server::start(
        server::Config { deviation: faults::deviation(fault, &[]), ..server::Config::default() },
        listener,
    )
    .await
    .unwrap();
    let url = format!("http://{}", server.addr()).parse().unwrap();
    let transport = Transport::new(&url, None, Vec::new(), Duration::from_secs(10)).unwrap();
    let mut world =
        World { transport, people: Vec::new(), symbols: Symbols::default(), states: [None, None], stamp: 0 };
    for _ in 0..4 {
        world.join().await;
    }
    for (turn, dice) in rolls.iter().enumerate() {
        world.play(*dice).await?;
        if turn % 16 == 15 {
            world.pulled_is_modelled().await?;
        }
    }
    world.pulled_is_modelled().await
}

fn run(fault: Option<faults::Fault>, rolls: &[Dice]) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(sequence(fault, rolls))
}

fn rolls() -> impl Strategy<Value = Vec<Dice>> {
    prop::collection::vec(any::<Dice>(), 60..160)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_answer_of_the_built_in_server_is_allowed(rolls in rolls()) {
        prop_assert_eq!(run(None, &rolls), Ok(()));
    }
}

/// The same sequences tell a broken server, and which rule it breaks.
#[test]
fn broken_servers_are_told() {
    for (name, rule) in [
        ("push-ungated", "AVP-6-push-gated"),
        ("conflict-echoes-expectation", "AVP-6-push-conflict-answer"),
        ("push-same-version", "AVP-10-version-monotonic"),
        ("rotation-merges", "-members-only"),
        ("add-raises-version", "AVP-6-add-records"),
        ("add-not-stored", "pull serves"),
        ("remove-any-epoch", "AVP-10-epoch-rises"),
        ("remove-keeps-member", "AVP-6-remove-replaces"),
        ("duplicate-overwrites", "AVP-6-create-duplicate"),
        ("stranger-may-pull", "AVP-6-pull-members-only"),
        ("pull-previous-envelope", "AVP-6-pull-current"),
        ("fetch-removed", "AVP-6-fetch-entry"),
    ] {
        let fault = faults::Fault::by_name(name).unwrap();
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let mut told = Vec::new();
        for _ in 0..100 {
            let rolls = rolls().new_tree(&mut runner).unwrap().current();
            told.extend(run(Some(fault), &rolls).err());
            if told.iter().any(|told| told.contains(rule)) {
                break;
            }
        }
        assert!(told.iter().any(|told| told.contains(rule)), "{name}: {told:#?}");
    }
}
