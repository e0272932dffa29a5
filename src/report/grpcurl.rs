//! A gRPC call as a `grpcurl` command, for whoever has to repair the server.

use serde_json::json;

use super::run::Run;
use super::shell::quote;
use crate::client::Exchange;

/// The command that makes a call again. `None` for other exchanges, for requests that weren't recorded whole, and where the address isn't
/// known: the built-in server's, or that of an identity provider elsewhere.
pub(super) fn command(run: &Run, exchange: &Exchange) -> Option<String> {
    let call = exchange.grpc.as_ref()?;
    let elsewhere = call.method.starts_with("avp.Auth/") && run.info.rerun.options.contains("--idp ");
    if exchange.request.is_cut() || elsewhere || exchange.operation == "call" {
        return None;
    }
    // Of a server with both profiles, the address of this one.
    let (_, target) = run.info.target.trim().rsplit_once(' ').unwrap_or(("", run.info.target.trim()));
    let (plain, address) = match target.split_once("://")? {
        ("grpc", address) => (" -plaintext", address.to_owned()),
        ("grpcs", address) if address.trim_end_matches('/').contains(':') => ("", address.to_owned()),
        ("grpcs" | "avp", address) => ("", format!("{}:443", address.trim_end_matches('/'))),
        _ => return None,
    };
    let insecure = if run.info.rerun.options.split(' ').any(|word| word == "--insecure") && plain.is_empty() {
        " -insecure"
    } else {
        ""
    };
    let token = exchange.authorization.as_ref().map(|_| " -H \"authorization: Bearer $TOKEN\"").unwrap_or_default();
    let message =
        if exchange.request.length == 0 { fetched(&exchange.path)? } else { exchange.request.text.to_string() };
    Some(format!(
        "grpcurl{plain}{insecure} -import-path schema -proto avp.proto{token} -d {} {} {}",
        quote(&message),
        quote(address.trim_end_matches('/')),
        call.method
    ))
}

/// What fetchMemberKey asks for, which HTTP has in its path.
pub fn fetched(path: &str) -> Option<String> {
    let decoded =
        |text: &str| percent_encoding::percent_decode_str(text).decode_utf8().ok().map(|text| text.into_owned());
    let (repo, member) = path.strip_prefix("/v1/repos/")?.split_once("/member/")?;
    Some(json!({ "repoId": decoded(repo)?, "memberId": decoded(member)? }).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_words() {
        let asked = fetched("/v1/repos/a%2Fb/member/c%2B").unwrap();
        assert_eq!(asked, r#"{"memberId":"c+","repoId":"a/b"}"#);
        assert_eq!(fetched("/v1/repos"), None);
    }
}
