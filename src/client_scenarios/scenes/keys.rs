//! The data keys of new repositories.

use serde_json::json;
use sha2::{Digest, Sha256};

use super::super::driver::{Talker, account};
use super::super::vault::{Bend, Endpoint, Vault};
use super::{SceneOutcome, SceneStop, invitation_of, set, unwrap, violation};
use crate::client::{Identity, random};
use crate::codec::DataKey;

scenes! {
    /// Every repository has a data key of its own, which its server can't make.
    own_data_key => own;
}

async fn own(talker: &mut Talker<'_>) -> SceneOutcome {
    let vault = Vault::start(Bend::Honest, "127.0.0.1:0", true, "nobody").await?;
    let mut keys: Vec<DataKey> = Vec::new();
    let tag = crate::ground::hex::encode(&random::bytes::<5>());
    for name in ["one", "one", "two"] {
        let client = format!("{name}-{tag}");
        if keys.len() != 1 {
            talker.ask(&client, "identity", json!({ "scheme": "http" })).await.map_err(set("identity"))?;
        }
        let asked = json!({ "url": vault.url(), "accounts": [account("first")] });
        let created = talker.ask(&client, "create", asked).await.map_err(|failure| match keys.len() {
            0 => set("create")(failure),
            _ => SceneStop::NotExercised(format!("a second repository is not created ({failure})")),
        });
        let repo = created?["repo"].clone();
        let guest = Identity::generate();
        let asked = invitation_of(&guest, &repo);
        talker.ask(&client, "invite", asked).await.map_err(set("invite"))?;
        let records = vault.records();
        let add = records.iter().rfind(|record| record.endpoint == Endpoint::Add && record.is_done());
        let key = add.and_then(|add| unwrap(&guest, add.field("/member")?));
        let (Some(add), Some(key)) = (add, key) else {
            return Err(SceneStop::NotExercised("the invited member can't unwrap its data key".into()));
        };
        if keys.contains(&key) {
            let expected = "every repository has a data key of its own";
            return Err(violation(Some(add), expected, "it is that of another repository"));
        }
        let known = [add.repo.as_deref(), add.caller.as_deref(), add.header("host")];
        if known.into_iter().flatten().any(|text| Sha256::digest(text.as_bytes())[..] == key.as_bytes()[..]) {
            let expected = "nobody can make the data key of what the server sees";
            return Err(violation(Some(add), expected, "it is the SHA-256 of an id"));
        }
        keys.push(key);
    }
    Ok("3 keys".into())
}
