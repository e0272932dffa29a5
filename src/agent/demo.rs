//! A scripted tour of the protocol against one server, as demo clients make it: three members, everything once.

use serde_json::{Value, json};

use super::{Agent, AgentError, ClientState, Connection, Habit, Habits, Keys};

/// What a demo prints, and its exit status.
pub struct Shown {
    /// Lines for people.
    pub lines: Vec<String>,
    /// 0 when all went well.
    pub status: i32,
}

/// Plays the tour. Errors end it, and become its last line and a status other than 0.
pub async fn demo(server: &str, connection: &Connection, habits: &Habits) -> Shown {
    let mut lines = Vec::new();
    let outcome = tour(server, connection, habits, &mut lines).await;
    let status = match outcome {
        Err(error) if !habits.has(Habit::IGNORES_ERRORS) => {
            lines.push(format!("error: {error}"));
            1
        }
        _ => 0,
    };
    Shown { lines, status }
}

async fn tour(
    server: &str,
    connection: &Connection,
    habits: &Habits,
    lines: &mut Vec<String>,
) -> Result<(), AgentError> {
    let agent = || {
        let mut agent = Agent::new(ClientState::in_memory(Keys::generate()), connection, habits.clone())?;
        agent.plain_http = server.starts_with("http://");
        Ok::<_, AgentError>(agent)
    };
    let (mut alice, mut bob, carol) = (agent()?, agent()?, agent()?);
    let repo = alice.create(server, vec![account("first")]).await?;
    lines.push(format!("alice created avp://{}/{}", repo.host, repo.repo_id));
    alice.put(&repo, &account("second")).await?;
    let locator = alice.invite(&repo, &bob.invite_request()).await?;
    lines.push("alice invited bob".into());
    alice.invite(&repo, &carol.invite_request()).await?;
    lines.push("alice invited carol".into());
    let joined = bob.join(&locator).await?;
    lines.push(format!("bob reads {}", names(&bob.read(&joined).await?)));
    bob.put(&joined, &account("third")).await?;
    lines.push(format!("alice reads {}", names(&alice.read(&repo).await?)));
    let epoch = alice.remove(&repo, &bob.state.keys.id()).await?;
    lines.push(format!("alice removed bob; the epoch is {epoch}"));
    if bob.read(&joined).await.is_ok() {
        return Err(AgentError::refused("bob still reads the repository"));
    }
    lines.push(format!("alice reads {}", names(&alice.read(&repo).await?)));
    Ok(())
}

fn account(name: &str) -> Value {
    json!({
        "uuid": super::uuid(), "username": name, "accessToken": "demo", "type": "OFFLINE", "lastUsed": 1,
        "sourceUser": "demo",
    })
}

/// The names in a payload, for people.
pub fn names(payload: &Value) -> String {
    let accounts = payload["alts"].as_array().into_iter().flatten();
    accounts.filter_map(|account| account["username"].as_str()).collect::<Vec<_>>().join(", ")
}
