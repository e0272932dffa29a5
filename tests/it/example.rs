//! The worked example as it goes over the wire: its transcript is a snapshot, its bodies are `schema/examples/`.
//!
//! Keys, ids and ciphertexts are fresh in every run; here each is replaced by a placeholder of the same length.
//! `AVP_CONFORM_WRITE_EXAMPLES=1 cargo test --test example` writes the files anew.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use avp_conform::client::Exchange;
use avp_conform::codec::base64;
use avp_conform::runner::{self, Event, RunConfig, Target, Verdict};
use avp_conform::server;
use avp_conform::wire::{MessageKind, Schema};
use serde_json::Value;

/// The exchanges of the worked example against the built-in server, in their order.
fn exchanges() -> Vec<Arc<Exchange>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let running = runtime.block_on(server::start(server::Config::default(), listener)).unwrap();
    let mut config = RunConfig::new(Target::Url(format!("http://{}", running.addr()).parse().unwrap()));
    config.only.push(globset::Glob::new("example/worked-example").unwrap());
    config.trace = true;
    let (_keep, stop) = tokio::sync::watch::channel(false);
    let mut seen = Vec::new();
    let end = runtime.block_on(runner::run(config, stop, &mut |event| {
        if let Event::Exchange("example/worked-example", exchange) = event {
            seen.push(exchange);
        }
    }));
    assert_eq!(end.verdict, Verdict::Incomplete);
    assert_eq!((end.summary.pass, end.summary.fail, end.exit_code), (1, 0, 0));
    seen
}

/// Replaces what is fresh by what is stable.
#[derive(Default)]
struct Placeholders(HashMap<String, String>);

impl Placeholders {
    fn string(&mut self, member: &str, text: &str) -> String {
        match member {
            "repoId" => return "3b1f9c64-0b2a-4f1e-9c3d-1a2b3c4d5e6f".into(),
            "schemeId" => return text.into(),
            "token" => return self.numbered(text, |number| format!("token-{number}")),
            _ => {}
        }
        match base64::decode(text) {
            Ok(bytes) if bytes.len() >= 12 => {
                self.numbered(text, |number| base64::encode(&vec![u8::try_from(number).unwrap(); bytes.len()]))
            }
            _ => text.into(),
        }
    }

    fn numbered(&mut self, text: &str, make: impl FnOnce(usize) -> String) -> String {
        let next = self.0.len() + 1;
        self.0.entry(text.into()).or_insert_with(|| make(next)).clone()
    }

    fn value(&mut self, member: &str, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.string(member, text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(member, item)),
            Value::Object(members) => members.iter_mut().for_each(|(name, value)| self.value(name, value)),
            Value::Number(_) if member == "expiresAt" => *value = 1_760_000_000_000_i64.into(),
            _ => {}
        }
    }

    fn body(&mut self, text: &str) -> Value {
        let mut value = if text.is_empty() { Value::Null } else { serde_json::from_str(text).unwrap() };
        self.value("", &mut value);
        value
    }

    /// Repository and member ids in a path.
    fn path(&mut self, path: &str) -> String {
        let segments: Vec<_> = path.split('/').collect();
        match segments.as_slice() {
            ["", "v1", "repos", _, rest @ ..] => format!("/v1/repos/{{repoId}}/{}", rest.join("/")),
            _ => path.into(),
        }
    }
}

fn message_kinds(operation: &str) -> (MessageKind, MessageKind) {
    use MessageKind::*;
    match operation {
        "challenge" => (ChallengeRequest, ChallengeResponse),
        "token" => (TokenRequest, TokenResponse),
        "createRepo" => (CreateRepoRequest, VaultManifest),
        "pull" => (PullRequest, PullResponse),
        "push" => (PushRequest, PushResponse),
        "addMember" => (MemberAddRequest, VaultManifest),
        "removeMember" => (MemberRemoveRequest, VaultManifest),
        other => panic!("the worked example has no {other}"),
    }
}

fn kebab(name: &str) -> String {
    name.chars().flat_map(|c| if c.is_uppercase() { vec!['-', c.to_ascii_lowercase()] } else { vec![c] }).collect()
}

#[test]
fn transcript_and_message_bodies() {
    let mut placeholders = Placeholders::default();
    let (mut transcript, mut files) = (String::new(), Vec::<(String, MessageKind, Value)>::new());
    for exchange in exchanges() {
        assert!(!exchange.request.is_cut() && !exchange.response.is_cut(), "a body is too long to be shown whole");
        let (request, answer) = (placeholders.body(&exchange.request.text), placeholders.body(&exchange.response.text));
        let status = exchange.status.unwrap();
        writeln!(transcript, "{} {}", exchange.method, placeholders.path(&exchange.path)).unwrap();
        writeln!(transcript, "{}\n→ {status}\n{}\n", pretty(&request), pretty(&answer)).unwrap();
        let (request_kind, answer_kind) = message_kinds(exchange.operation);
        let name = kebab(exchange.operation);
        keep(&mut files, format!("{name}-request"), request_kind, request);
        let conflict = answer["conflict"] == true;
        if (200..300).contains(&status) {
            keep(&mut files, format!("{name}-{}", if conflict { "conflict" } else { "response" }), answer_kind, answer);
        }
    }
    insta::with_settings!({ snapshot_path => "../../snapshots", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("worked-example", transcript);
    });
    hold_to_files(&files);
}

/// The first of each name is the example.
fn keep(files: &mut Vec<(String, MessageKind, Value)>, name: String, kind: MessageKind, body: Value) {
    if files.iter().all(|(other, _, _)| *other != name) {
        files.push((name, kind, body));
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

/// The committed files are these bodies, and these bodies are what the schema allows.
fn hold_to_files(files: &[(String, MessageKind, Value)]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/examples");
    let write = std::env::var_os("AVP_CONFORM_WRITE_EXAMPLES").is_some();
    for (name, kind, body) in files {
        assert_eq!(Schema::violations(*kind, body, 5), [], "{name}");
        let (path, text) = (folder.join(format!("{name}.json")), pretty(body) + "\n");
        if write {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), text, "{} is stale", path.display());
    }
    let mut committed: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let mut generated: Vec<_> = files.iter().map(|(name, _, _)| format!("{name}.json")).collect();
    committed.sort();
    generated.sort();
    assert_eq!(committed, generated);
}
