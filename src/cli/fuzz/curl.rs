//! A request of a finding as a command that can be run: nothing in it is cut off, and nothing that a server said is run.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use crate::fuzzing::server::Recorded;
use crate::report::grpcurl::fetched;
use crate::report::shell::{quote, quote_with};
use crate::report::text::is_unsafe;
use crate::runner::{Header, RunConfig, Target};

/// Longest body that stands in the command itself, in bytes.
const INLINE: usize = 1500;

/// Where bodies go that are too long for a line, or no text.
pub(super) struct Bodies {
    /// What their names begin with.
    stem: PathBuf,
    written: usize,
}

impl Bodies {
    /// Beside the file that findings are saved to (or were read from).
    pub(super) fn beside(saved: &Path) -> Self {
        Self { stem: saved.with_extension(""), written: 0 }
    }

    fn write(&mut self, body: &[u8]) -> io::Result<PathBuf> {
        self.written += 1;
        let mut name = self.stem.as_os_str().to_owned();
        name.push(format!("-{}.body", self.written));
        let path = PathBuf::from(name);
        std::fs::write(&path, body)?;
        Ok(path)
    }
}

/// The command. Tokens and the deployment's credentials are variables that the reader sets.
///
/// # Errors
/// A body can't be written to its file.
pub(super) fn command(recorded: &Recorded, config: &RunConfig, bodies: &mut Bodies) -> io::Result<String> {
    let (exchange, sent) = (&recorded.exchange, &recorded.sent);
    if let Some(call) = &exchange.grpc {
        return grpcurl(recorded, &call.method, config, bodies);
    }
    let idp = ["challenge", "token"].contains(&exchange.operation);
    let base = match (&config.server, &config.idp) {
        (_, Some(idp_url)) if idp => idp_url.to_string(),
        (Target::Url(url), _) => url.to_string(),
        (Target::Avp(authority), _) => format!("https://{authority}"),
    };
    let url = format!("{}{}", base.trim_end_matches('/'), sent.path);
    // What looks like a pattern or a way upwards is sent as it stands.
    let mut line = String::from("curl -sS -g --path-as-is");
    if config.insecure {
        line.push_str(" -k");
    }
    match exchange.method.as_str() {
        "HEAD" => line.push_str(" -I"),
        method => {
            let _ = write!(line, " -X {}", quote(method));
        }
    }
    let _ = write!(line, " {}", quote_with(&url, &sent.tokens));
    let typed = sent.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    for (name, value) in &sent.headers {
        let _ = write!(line, " -H {}", quote_with(&header(name, value), &sent.tokens));
    }
    let given = if idp && config.idp.is_some() { &config.idp_headers } else { &config.headers };
    given.iter().for_each(|header| line.push_str(&of_the_deployment(header)));
    if !sent.body.is_empty() {
        if !typed {
            line.push_str(" -H Content-Type:");
        }
        let text = std::str::from_utf8(&sent.body).ok();
        match text.filter(|text| text.len() <= INLINE && !text.contains('\0') && !text.chars().any(is_unsafe)) {
            Some(text) => {
                let _ = write!(line, " --data-raw {}", quote_with(text, &sent.tokens));
            }
            None => {
                let path = bodies.write(&sent.body)?;
                let _ = write!(line, " --data-binary {}", quote(&format!("@{}", path.display())));
            }
        }
    }
    Ok(line)
}

/// A header that the deployment asks for, with a variable for its value.
fn of_the_deployment(Header { name, .. }: &Header) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    let variable: String = name.as_str().chars().map(letter).collect();
    format!(" -H {}\"${{{variable}}}\"", quote(&format!("{name}: ")))
}

/// The same for a gRPC call, by `grpcurl` and the protocol's file in `schema`.
fn grpcurl(recorded: &Recorded, method: &str, config: &RunConfig, bodies: &mut Bodies) -> io::Result<String> {
    let sent = &recorded.sent;
    let idp = ["challenge", "token"].contains(&recorded.exchange.operation);
    let url = match (&config.server, &config.idp) {
        (_, Some(idp_url)) if idp => idp_url.clone(),
        (Target::Url(url), _) => url.clone(),
        (Target::Avp(_), _) => return Ok(String::new()),
    };
    let address = format!("{}:{}", url.host_str().unwrap_or_default(), url.port().unwrap_or(443));
    let security = match (url.scheme(), config.insecure) {
        ("grpcs", true) => " -insecure",
        ("grpcs", false) => "",
        _ => " -plaintext",
    };
    let mut line = format!("grpcurl{security} -import-path schema -proto avp.proto");
    for (name, value) in sent.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("content-type")) {
        let _ = write!(line, " -H {}", quote_with(&format!("{name}: {value}"), &sent.tokens));
    }
    let given = if idp && config.idp.is_some() { &config.idp_headers } else { &config.headers };
    given.iter().for_each(|header| line.push_str(&of_the_deployment(header)));
    let message = match std::str::from_utf8(&sent.body) {
        Ok("") => fetched(&sent.path).unwrap_or_default(),
        Ok(text) => text.to_owned(),
        Err(_) => String::new(),
    };
    if message.len() <= INLINE && !message.contains('\0') && !message.chars().any(is_unsafe) {
        let _ = write!(line, " -d {} {} {method}", quote_with(&message, &sent.tokens), quote(&address));
    } else {
        let path = bodies.write(message.as_bytes())?;
        let _ = write!(line, " -d @ {} {method} < {}", quote(&address), quote(&path.display().to_string()));
    }
    Ok(line)
}

/// A header as curl wants it: one without a value ends in a semicolon.
fn header(name: &str, value: &str) -> String {
    if value.is_empty() { format!("{name};") } else { format!("{name}: {value}") }
}

#[cfg(all(test, unix))]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::client::Exchange;
    use crate::fuzzing::server::AsSent;

    fn recorded(path: &str, headers: &[(&str, &str)], body: &[u8]) -> Recorded {
        let exchange = Exchange {
            operation: "push",
            method: "POST".into(),
            path: path.into(),
            authorization: None,
            request: Default::default(),
            status: Some(200),
            grpc: None,
            content_type: None,
            response: Default::default(),
            error: None,
            duration: Default::default(),
        };
        let sent = AsSent {
            path: path.into(),
            headers: headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            body: body.to_vec().into(),
            tokens: vec![("t0ken".into(), "ALICE".into())],
        };
        Recorded { by: "alice", mutation: String::new(), exchange, sent }
    }

    /// The arguments that a shell gives to curl, one a line (and the bodies of files in their place).
    fn run(recorded: &Recorded, config: &RunConfig) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let script = command(recorded, config, &mut Bodies::beside(&folder.path().join("it's here.json"))).unwrap();
        let curl = r#"curl() { file=; for word in "$@"; do if [ "$file" ]; then printf '@'; cat "${word#@}"; else printf %s "$word"; fi; printf '\000'; file=; case $word in --data-binary) file=1;; esac; done; }"#;
        let output = Command::new("sh")
            .args(["-c", &format!("{curl}\n{script}")])
            .env("ALICE", "alice's token")
            .env("X_API_KEY", "a key")
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{script}\n{output:?}");
        assert_eq!(
            std::fs::read_dir(folder.path())
                .unwrap()
                .filter(|file| { !file.as_ref().unwrap().path().to_string_lossy().ends_with(".body") })
                .count(),
            0,
            "{script}"
        );
        output.stdout.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
    }

    fn config() -> RunConfig {
        RunConfig::new(Target::Url("http://127.0.0.1:1/vault/".parse().unwrap()))
    }

    #[test]
    fn nothing_that_a_server_said_is_run() {
        for hostile in
            ["$(touch owned)", "`touch owned`", "\"; touch owned; \"", "'; touch owned; '", "\u{1b}[2J", "$IFS"]
        {
            let authorization = format!("bearer {hostile}t0ken");
            let words =
                run(&recorded("/v1/repos", &[("authorization", &authorization)], hostile.as_bytes()), &config());
            assert!(words.contains(&format!("authorization: bearer {hostile}alice's token")), "{words:?}");
            assert!(words.iter().any(|word| word.trim_start_matches('@') == hostile), "{words:?}");
        }
    }

    #[test]
    fn bodies_are_whole() {
        let long = format!("{{\"x\":\"{}\"}}", "y".repeat(100_000));
        for body in [&b"@file"[..], b"{\"a\":1}", b"line\nbreak\n", b"\xff\xfe", b"a\0b", long.as_bytes()] {
            let words = run(&recorded("/p", &[("content-type", "text/x")], body), &config());
            let joined = words.join("\0");
            assert!(joined.contains(&*String::from_utf8_lossy(body)), "{:?}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn everything_that_was_sent_is_there() {
        let mut config = config();
        let name = http::HeaderName::from_static("x-api-key");
        config.headers = vec![Header { name, value: "never shown".parse().unwrap() }];
        config.insecure = true;
        let words = run(&recorded("/v1/a/../b?access_token=t0ken&x=[1]", &[("x-empty", "")], b"{}"), &config);
        let wanted = [
            "-sS",
            "-g",
            "--path-as-is",
            "-k",
            "-X",
            "POST",
            "http://127.0.0.1:1/vault/v1/a/../b?access_token=alice's token&x=[1]",
            "-H",
            "x-empty;",
            "-H",
            "x-api-key: a key",
            "-H",
            "Content-Type:",
            "--data-raw",
            "{}",
            "",
        ];
        assert_eq!(words, wanted);
    }
}
