//! Whom a client invites: the tokens that it makes, and what the invited member can read.

use serde_json::{Value, json};

use super::super::driver::{Talker, account};
use super::super::evidence::envelope;
use super::super::rules::payloads;
use super::super::vault::{Bend, Endpoint, Record, Vault};
use super::{House, SceneOutcome, SceneStop, invitation_of, must, opened, set, unwrap, violation};
use crate::client::{Identity, random};
use crate::codec::base64;
use crate::codec::invite::InviteRequest;
use crate::codec::locator::RepoLocator;

scenes! {
    /// Invite requests and locators that the client makes.
    invites => forms;
    /// What an invited member makes of the wrap and of the payload, as §4 says and nothing else.
    guest_reads => reads;
}

/// A client's new repository, to which it has invited somebody.
struct Party {
    vault: Vault,
    guest: Identity,
    keys: Value,
    locator: String,
    create: Record,
    add: Record,
}

impl Party {
    async fn give(talker: &mut Talker<'_>, accounts: &[Value]) -> Result<Self, SceneStop> {
        let vault = Vault::start(Bend::Honest, "127.0.0.1:0", true, "nobody").await?;
        let client = format!("client-{}", crate::ground::hex::encode(&random::bytes::<5>()));
        let keys = talker.ask(&client, "identity", json!({ "scheme": "http" })).await.map_err(set("identity"))?;
        let asked = json!({ "url": vault.url(), "accounts": accounts });
        let repo = talker.ask(&client, "create", asked).await.map_err(set("create"))?["repo"].clone();
        let guest = Identity::generate();
        let asked = invitation_of(&guest, &repo);
        let answer = talker.ask(&client, "invite", asked).await.map_err(must("invite", "a member is invited"))?;
        let locator = answer["locator"].as_str().unwrap_or_default().to_owned();
        let records = vault.records();
        let add = records.iter().rfind(|record| record.endpoint == Endpoint::Add && record.is_done()).cloned();
        // A client may create more than it is asked for.
        let create = records.iter().rfind(|record| {
            let id = record.field("/manifest/repoId").and_then(Value::as_str);
            record.endpoint == Endpoint::Create
                && record.is_done()
                && id == add.as_ref().and_then(|add| add.repo.as_deref())
        });
        let (Some(add), Some(create)) = (add.clone(), create.cloned()) else {
            return Err(violation(None, "invite: addMember is asked for", "it isn't"));
        };
        Ok(Self { vault, guest, keys, locator, create, add })
    }
}

async fn forms(talker: &mut Talker<'_>) -> SceneOutcome {
    let Party { vault, keys, locator: token, add, .. } = Party::give(talker, &[account("first")]).await?;
    let form = "an invite request is unpadded base64url over compact JSON with v 1 and the two keys";
    if let Some(token) = keys["inviteRequest"].as_str() {
        let read = InviteRequest::decode(token).map_err(|error| violation(None, form, error.to_string()))?;
        compact(token, form)?;
        if read.ed25519_public_key != keys["ed25519PublicKey"] || read.x25519_public_key != keys["x25519PublicKey"] {
            return Err(violation(None, form, "its keys aren't those of identity"));
        }
    }
    let form = "a locator is unpadded base64url over compact JSON with v 1, host and repoId";
    let locator = RepoLocator::decode(&token).map_err(|error| violation(None, form, error.to_string()))?;
    compact(&token, form)?;
    if let Some(issuer) = locator.issuer_jwks_url.as_deref().filter(|issuer| !issuer.contains("://")) {
        let expected = "a locator's issuerJwksUrl is a URL, or absent where no issuer is known";
        return Err(violation(None, expected, format!("it is {issuer:?}")));
    }
    if locator.host != vault.address.to_string() || Some(locator.repo_id.as_str()) != add.repo.as_deref() {
        return Err(violation(None, "the locator names host and repository", locator.to_json()));
    }
    // Base64 of these has characters that only one alphabet has, or padding in all three lengths.
    for id in ["q??????x=1#~~~~~~y", "é-ключ", "é-ключ1", "é-ключ12"] {
        let house = House::build(talker, Bend::Honest, id, &[]).await?;
        // Whether such a repository can be joined is another check's.
        let Ok(repo) = house.enter_plainly(talker).await else { continue };
        of_odd_id(talker, &house, &repo).await?;
    }
    Ok(String::new())
}

/// The locator that comes with an invitation; who invites nobody makes none.
async fn of_odd_id(talker: &mut Talker<'_>, house: &House, repo: &Value) -> Result<(), SceneStop> {
    let asked = invitation_of(&Identity::generate(), repo);
    let Ok(answer) = talker.ask(&house.client, "invite", asked).await else { return Ok(()) };
    let Some(token) = answer["locator"].as_str() else { return Ok(()) };
    let form = "a locator is unpadded base64url over compact JSON with v 1, host and repoId";
    let read = RepoLocator::decode(token).map_err(|error| violation(None, form, format!("{error}, in {token}")))?;
    if read.repo_id == house.id { Ok(()) } else { Err(violation(None, form, read.to_json())) }
}

/// What is expected of a payload whose key has reached the invited member: the wrap is right then.
pub(in super::super) const WRAPS_RIGHT: &str = "the first payload opens under the data key, bound to its header";

async fn reads(talker: &mut Talker<'_>) -> SceneOutcome {
    read(talker, &[account("first")]).await?;
    // A new repository may hold no account yet.
    read(talker, &[]).await.or_else(|stop| match stop {
        SceneStop::Violation(finding) => Err(SceneStop::Violation(finding)),
        _ => Ok(String::new()),
    })
}

async fn read(talker: &mut Talker<'_>, accounts: &[Value]) -> SceneOutcome {
    let Party { guest, create, add, .. } = Party::give(talker, accounts).await?;
    let key = add.field("/member").and_then(|entry| unwrap(&guest, entry));
    let key =
        key.ok_or_else(|| violation(Some(&add), "the invited member unwraps the data key with its own", "it can't"))?;
    let opens = WRAPS_RIGHT;
    let sealed = envelope(&create).ok_or_else(|| violation(Some(&create), opens, "there is none"))?;
    let payload = opened(&key, &[], &sealed, &create, opens)?;
    payloads::shape_of(&payload).map_err(|(expected, observed)| violation(Some(&create), &expected, observed))?;
    Ok(String::new())
}

/// Whether a token's JSON has no blanks outside of strings.
fn compact(token: &str, form: &str) -> Result<(), SceneStop> {
    let bytes = base64::decode_url(token).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let mut inside = false;
    let blank = text.chars().any(|c| {
        inside ^= c == '"';
        !inside && c.is_whitespace()
    });
    if blank { Err(violation(None, form, format!("its JSON has blanks: {text}"))) } else { Ok(()) }
}
