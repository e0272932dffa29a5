//! What a discovery document must be, if there is one (SPEC §8.2); it may say more.

use serde_json::Value;

/// The profiles that the specification knows.
pub const PROFILES: [&str; 2] = ["http-json", "grpc"];

/// What should stand in a document, and what does instead.
pub fn wrong_discovery(body: &Value) -> Option<(&'static str, String)> {
    let (profiles, issuer) = (&body["profiles"], &body["issuerJwksUrl"]);
    let names: Option<Vec<&str>> = profiles.as_array().and_then(|list| list.iter().map(Value::as_str).collect());
    let Some(names) = names else {
        return Some(("profiles is an array of strings", format!("profiles is {profiles}")));
    };
    if !names.iter().any(|name| PROFILES.contains(name)) {
        let expected = "profiles names a profile that the specification knows: http-json or grpc";
        return Some((expected, format!("profiles is {profiles}")));
    }
    if !(issuer.is_null() || issuer.is_string()) {
        return Some(("issuerJwksUrl is a string", format!("it is {issuer}")));
    }
    // Beside the right name, another one is only one member more.
    let misnamed = issuer.is_null() && body.get("issuer_jwks_url").is_some();
    misnamed.then(|| ("the key set is named in camelCase: issuerJwksUrl", "issuer_jwks_url".into()))
}

#[cfg(test)]
mod tests {
    use super::wrong_discovery;
    use serde_json::json;

    #[test]
    fn a_document_may_say_more_than_it_must() {
        let right = |body| wrong_discovery(&body).is_none();
        assert!(right(json!({ "profiles": ["http-json"] })));
        assert!(right(json!({ "profiles": ["grpc", "mqtt"], "issuerJwksUrl": null, "name": "vault" })));
        assert!(right(json!({ "profiles": ["grpc"], "issuerJwksUrl": "u", "issuer_jwks_url": "u" })));
        assert!(!right(json!({ "profiles": ["grpc"], "issuer_jwks_url": "u" })));
        assert!(!right(json!({ "profiles": "http-json" })));
        assert!(!right(json!({ "profiles": ["HTTP/JSON"] })));
        assert!(!right(json!([])));
    }
}
