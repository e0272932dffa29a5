//! The plaintext as the client treats it: JSON, whose unknown members it carries along (SPEC §5).

use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::error::AgentError;
use super::habits::{Habit, Habits};

/// Members of an account that 0.2 knows.
const KNOWN: [&str; 9] =
    ["uuid", "username", "accessToken", "type", "lastUsed", "lastUsedBy", "ban", "sourceClient", "sourceUser"];

/// Members of a ban that 0.2 knows.
const BAN: [&str; 5] = ["banned", "observedAt", "source", "detail", "observedBy"];

/// Leaves what 0.2 knows.
pub(super) fn forgets(payload: &mut Value) {
    if let Some(members) = payload.as_object_mut() {
        members.retain(|name, _| name == "alts");
    }
    for account in payload["alts"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        account.retain(|name, _| KNOWN.contains(&name.as_str()));
    }
}

/// Reads a plaintext; the version inside is a stamp that decides nothing.
pub(super) fn read(text: &[u8], version: i64, habits: &Habits) -> Result<Value, AgentError> {
    let mut payload: Value = serde_json::from_slice(text)
        .map_err(|error| AgentError::Refused(format!("the payload isn't JSON: {error}")))?;
    if habits.has(Habit::PAYLOAD_DOUBLE) {
        through_double(&mut payload);
    }
    let accounts = payload["alts"].as_array().ok_or_else(|| AgentError::refused("the payload has no alts"))?;
    if habits.has(Habit::NEEDS_PROVENANCE) && accounts.iter().any(|account| !account["sourceClient"].is_string()) {
        return Err(AgentError::refused("an account has no sourceClient"));
    }
    if habits.has(Habit::THREE_TYPES) && accounts.iter().any(|account| account["type"] == "SESSION") {
        return Err(AgentError::refused("an account is of an unknown type"));
    }
    if habits.has(Habit::TRUSTS_STAMP) && payload["payloadVersion"] != json!(version) {
        return Err(AgentError::refused("the payload is of another version"));
    }
    Ok(payload)
}

/// What becomes of integers that pass through a double.
pub(super) fn through_double(value: &mut Value) {
    match value {
        Value::Object(members) => members.values_mut().for_each(through_double),
        Value::Array(items) => items.iter_mut().for_each(through_double),
        Value::Number(number) =>
        {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_precision_loss,
                reason = "that is what the fault is"
            )]
            if let Some(integer) = number.as_i64() {
                *value = (integer as f64 as i64).into();
            }
        }
        _ => {}
    }
}

/// Adds an account without looking whether it is there.
pub(super) fn append(payload: &mut Value, account: &Value, member: &str, habits: &Habits) {
    if let Some(accounts) = payload["alts"].as_array_mut() {
        accounts.push(complete(account, member, habits));
    }
}

/// Puts an account where one of its uuid was before, or where one is now, or at the end; returns the place.
pub(super) fn put_at(payload: &mut Value, account: &Value, before: Option<usize>) -> usize {
    let Some(accounts) = payload["alts"].as_array_mut() else { return 0 };
    let now = || accounts.iter().position(|old| old["uuid"] == account["uuid"]);
    let place = before.or_else(now).unwrap_or(accounts.len());
    match accounts.get_mut(place) {
        Some(old) => old.clone_from(account),
        None => accounts.push(account.clone()),
    }
    place.min(accounts.len() - 1)
}

/// Adds an account, or replaces what is known of the one with its uuid.
pub(super) fn put(payload: &mut Value, account: &Value, member: &str, habits: &Habits) {
    if habits.has(Habit::DROPS_OTHERS) {
        payload["alts"] = json!([]);
    }
    let Some(accounts) = payload["alts"].as_array_mut() else { return };
    let mut new = complete(account, member, habits);
    let key = if habits.has(Habit::PUTS_BY_NAME) { "username" } else { "uuid" };
    match accounts.iter_mut().find(|old| old[key] == account[key]) {
        Some(Value::Object(old)) => {
            if let Some(new) = new.as_object_mut() {
                old.append(new);
            }
        }
        _ => accounts.push(new),
    }
    for account in accounts.iter_mut().filter_map(Value::as_object_mut) {
        match habits.0.first().copied() {
            Some(Habit::DROPS_UNKNOWN) => account.retain(|name, _| KNOWN.contains(&name.as_str())),
            Some(Habit::BAN_FORGETS) => {
                if let Some(ban) = account.get_mut("ban").and_then(Value::as_object_mut) {
                    ban.retain(|name, _| BAN.contains(&name.as_str()));
                }
            }
            Some(Habit::LOSES_BANS) => drop(account.insert("ban".into(), Value::Null)),
            Some(Habit::LOSES_REFRESH_TOKENS) => ["refreshToken", "expiresAt", "bans"].iter().for_each(|name| {
                account.remove(*name);
            }),
            _ => {}
        }
    }
    match habits.0.first().copied() {
        Some(Habit::ACCOUNTS_PAGE) => accounts.drain(..accounts.len().saturating_sub(30)).for_each(drop),
        Some(Habit::DROPS_UNPROVENANCED) => accounts.retain(|account| account["sourceClient"].is_string()),
        Some(Habit::DROPS_TOKENLESS) => accounts.retain(|account| account["accessToken"] != ""),
        Some(Habit::TIMES_IN_SECONDS) => accounts.iter_mut().for_each(|account| {
            if let Some(time) = account["lastUsed"].as_i64() {
                account["lastUsed"] = (time / 1000 * 1000).into();
            }
        }),
        Some(Habit::USED_BY_ALL) => accounts.iter_mut().for_each(|account| account["lastUsedBy"] = member.into()),
        _ => {}
    }
    if habits.has(Habit::DROPS_UNKNOWN)
        && let Some(members) = payload.as_object_mut()
    {
        members.retain(|name, _| name == "alts");
    }
}

/// An account with every member of SPEC §5; what isn't given has its neutral value.
fn complete(account: &Value, member: &str, habits: &Habits) -> Value {
    let mut whole: Map<String, Value> = match json!({
        "uuid": "", "username": "", "accessToken": "", "type": "OFFLINE", "lastUsed": 0, "lastUsedBy": member,
        "ban": null, "sourceClient": "avp-conform agent", "sourceUser": null,
    }) {
        Value::Object(whole) => whole,
        _ => Map::new(),
    };
    if let Some(given) = account.as_object() {
        whole.extend(given.clone());
    }
    if habits.has(Habit::NO_PROVENANCE) {
        whole.remove("sourceClient");
        whole.remove("sourceUser");
    }
    if habits.has(Habit::USED_BY_NAME) {
        whole.insert("lastUsedBy".into(), "alice".into());
    }
    if habits.has(Habit::OLD_ACCOUNTS_ONLY) {
        whole.insert("sourceUser".into(), "".into());
    }
    if habits.has(Habit::ACCOUNTS_UNDER_OTHER_NAME) {
        whole.insert("lastUsed".into(), "today".into());
    }
    Value::Object(whole)
}

/// The plaintext at a version.
pub(super) fn write(mut payload: Value, version: i64, habits: &Habits) -> Zeroizing<String> {
    payload["payloadVersion"] = version.into();
    if habits.has(Habit::NO_STAMP)
        && let Some(members) = payload.as_object_mut()
    {
        members.remove("payloadVersion");
    }
    let text = payload.to_string();
    if habits.has(Habit::BASIC_PLANE) {
        return Zeroizing::new(text.replace(|c: char| c > '\u{ffff}', "??"));
    }
    Zeroizing::new(text)
}
