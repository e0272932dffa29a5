//! What a login is made of is no token: a challenge proves nothing (SPEC §3), and anybody may ask for one in anybody's name.

use super::Stage;
use crate::codec::base64;
use crate::ground::hex;
use crate::scenarios::check::checks;
use crate::scenarios::context::to_set_up;
use crate::scenarios::{Auth, Ctx, Operation, Outcome};
use crate::wire::TokenResponse;

checks! {
    "token/parts-of-a-login", Must, "§3", [TOKEN_REQUIRED, SIGNATURE_VERIFIED], parts,
        "A nonce, as it is or decoded, and a signature of one open nothing: only what a login has bought does";
}

/// Nonces of a member, one that has bought nothing and one that has; whoever asked for the first needn't have her key.
async fn parts(cx: &Ctx) -> Outcome {
    let mut stage = Stage::set(cx, Operation::Pull).await?;
    let nonce = cx.nonce(&stage.alice.identity).await?;
    let (login, answer) = cx.log_in(&stage.alice.identity).await?;
    // A server may let only the latest token of a key count.
    stage.alice.token = answer.accepted::<TokenResponse>("a token request").map_err(to_set_up)?.token;
    cx.world.remember_subject(&stage.alice.token, stage.alice.id());
    let mut attempts = vec![
        ("a nonce for a token", bearer(&nonce)),
        ("a nonce that was redeemed for a token", bearer(&login.nonce)),
        ("the signature of a login for a token", bearer(&login.signature)),
        ("nonce and signature for a token", bearer(&format!("{}.{}", login.nonce, login.signature))),
        ("a nonce in the other base64 alphabet for a token", bearer(&nonce.replace('+', "-").replace('/', "_"))),
        ("a nonce without its padding for a token", bearer(nonce.trim_end_matches('='))),
    ];
    if let Ok(bytes) = base64::decode(&nonce) {
        attempts.push(("a nonce in hex for a token", bearer(&hex::encode(&bytes))));
        // Some nonces are texts: a UUID, or a signed word of their issuer.
        if let Ok(text) = String::from_utf8(bytes)
            && text.bytes().all(|byte| byte.is_ascii_graphic())
        {
            attempts.push(("a decoded nonce for a token", bearer(&text)));
        }
    }
    stage.refuses(cx, attempts).await
}

fn bearer(text: &str) -> Auth {
    Auth::Bearer(text.to_owned())
}
