//! The adapter protocol, spoken by the built-in client: a JSON object a line in, one out (docs/clients.md).

use std::collections::HashMap;

use serde_json::{Value, json};

use super::memory::SharedKeys;
use super::session::SharedTokens;
use super::{Agent, AgentError, ClientState, Connection, Habits, JoinedRepo, Keys};

/// A client behind the protocol.
pub struct Adapter {
    connection: Connection,
    habits: Habits,
    /// By the name that requests give them.
    clients: HashMap<String, Agent>,
    /// What faulty clients of one process share.
    issuer: SharedKeys,
    tokens: SharedTokens,
}

impl Adapter {
    /// An adapter without any client yet.
    pub fn new(connection: Connection, habits: Habits) -> Self {
        Self {
            connection,
            habits,
            clients: HashMap::new(),
            issuer: SharedKeys::default(),
            tokens: SharedTokens::default(),
        }
    }

    /// The answer to a line.
    pub async fn line(&mut self, line: &str) -> String {
        let answer = match serde_json::from_str::<Value>(line) {
            Ok(request) => match self.answer(&request).await {
                Ok(result) => json!({ "ok": result }),
                Err(error) => json!({ "error": error.class(), "message": error.to_string() }),
            },
            Err(error) => json!({ "error": "usage", "message": error.to_string() }),
        };
        answer.to_string()
    }

    async fn answer(&mut self, request: &Value) -> Result<Value, AgentError> {
        let text = |name: &str| {
            request[name].as_str().ok_or_else(|| AgentError::Usage(format!("the member {name} is missing")))
        };
        let name = text("client")?;
        if request["verb"] == "identity" {
            let keys = match (request["ed25519Seed"].as_str(), request["x25519PrivateKey"].as_str()) {
                (Some(seed), Some(x25519)) => {
                    let secret = |text| crate::codec::base64::decode_array(text).map_err(AgentError::refused);
                    Keys::of(secret(seed)?, secret(x25519)?)
                }
                _ => Keys::generate(),
            };
            let mut agent = Agent::new(ClientState::in_memory(keys), &self.connection, self.habits.clone())?;
            agent.plain_http = request["scheme"] == "http";
            agent.memory.issuer = SharedKeys::clone(&self.issuer);
            agent.session.shared = SharedTokens::clone(&self.tokens);
            let keys = &agent.state.keys;
            let answer = json!({
                "ed25519PublicKey": keys.id(),
                "x25519PublicKey": keys.x25519_public_key(),
                "inviteRequest": agent.invite_request(),
            });
            self.clients.insert(name.to_owned(), agent);
            return Ok(answer);
        }
        let agent = self.clients.get_mut(name).ok_or_else(|| AgentError::Usage("identity comes first".into()))?;
        match text("verb")? {
            "create" => {
                let accounts = request["accounts"].as_array().cloned().unwrap_or_default();
                let known = agent.create(text("url")?, accounts).await?;
                Ok(json!({ "repo": address(&known) }))
            }
            "join" => Ok(json!({ "repo": address(&agent.join(text("locator")?).await?) })),
            "read" => {
                let known = agent.state.find(Some(text("repo")?))?;
                Ok(agent.read(&known).await?)
            }
            "put" => {
                let known = agent.state.find(Some(text("repo")?))?;
                Ok(json!({ "payloadVersion": agent.put(&known, &request["account"]).await? }))
            }
            "invite" => {
                let known = agent.state.find(Some(text("repo")?))?;
                Ok(json!({ "locator": agent.invite(&known, text("inviteRequest")?).await? }))
            }
            "remove" => {
                let known = agent.state.find(Some(text("repo")?))?;
                Ok(json!({ "keyEpoch": agent.remove(&known, text("memberId")?).await? }))
            }
            other => Err(AgentError::Usage(format!("unknown verb {other}"))),
        }
    }
}

fn address(known: &JoinedRepo) -> String {
    format!("avp://{}/{}", known.host, known.repo_id)
}
