//! Options that have the suite start the server itself.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use url::Url;

use super::shared::ProfilesArg;
use super::{UsageError, values};
use crate::process::command::{PORT, shell_feature};
use crate::runner::Target;
use crate::scenarios::Launch;
use crate::scenarios::hosting::{IDP, SERVER, THE_SERVER};
use crate::vectors::shim;

/// Stands for the server's own port, in any word of its command.
const PORT_HERE: &str = "{port}";
/// Stands for the port of the identity provider.
const IDP_PORT_HERE: &str = "{idp-port}";

/// Stands for the port at which the server speaks gRPC, where it speaks both profiles.
const GRPC_PORT_HERE: &str = "{grpc-port}";

/// What to start.
#[derive(Args, Debug)]
pub(super) struct HostArgs {
    /// Start the server: {port} in CMD (or $PORT) is a free port, with --profile both {grpc-port} is another; stopped when the run ends, whatever it has started with it
    #[arg(long, value_name = "CMD", help_heading = "Target", conflicts_with = "embedded")]
    pub server_cmd: Option<String>,
    /// Start the identity provider, with a {port} of its own, which is {idp-port} for --server-cmd
    #[arg(long, value_name = "CMD", help_heading = "Target", conflicts_with = "embedded")]
    pub idp_cmd: Option<String>,
    /// How long each of them has until it answers
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = values::time, help_heading = "Target")]
    pub ready_timeout: Duration,
    /// Start so many processes of --server-cmd, each with a {port} of its own, for the checks replica/*
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Target")]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=8))]
    pub replicas: u8,
    /// Another process of the same deployment, for the checks replica/*; repeatable
    #[arg(long, value_name = "URL", help_heading = "Target", conflicts_with = "embedded")]
    pub replica: Vec<String>,
    /// Another deployment, which shares nothing with this one, for the checks stranger/*; gets none of --header
    #[arg(long, value_name = "URL", help_heading = "Target")]
    pub stranger: Option<String>,
    /// Kill the server of --server-cmd so many times at most, for the checks crash/*; 0 for never [default: 20]
    #[arg(long, value_name = "N", help_heading = "Target")]
    pub crash_rounds: Option<u32>,
}

/// What comes of these options.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Where the server will answer, if it is started.
    pub server: Option<Url>,
    /// Where it will speak gRPC beside that.
    pub grpc: Option<Url>,
    /// Where the identity provider will, if it is started.
    pub idp: Option<Url>,
    /// Other processes of the deployment.
    pub replicas: Vec<Url>,
    /// Another deployment.
    pub stranger: Option<Url>,
    /// What to start, in order.
    pub launches: Vec<Launch>,
}

/// A command as it was typed, and where what it starts answers.
struct Typed<'a> {
    option: &'static str,
    line: &'a str,
    url: Url,
    /// Whether the port was ours to choose.
    chosen: bool,
}

impl HostArgs {
    /// Reads the commands, finds ports for them, and tells every mistake that can be seen now.
    pub fn plan(
        &self,
        server: Option<&str>,
        idp: Option<&str>,
        profile: Option<ProfilesArg>,
    ) -> Result<Plan, UsageError> {
        let (mut ports, given_server) = (Ports::default(), server);
        if self.server_cmd.is_none() && (self.replicas > 1 || self.crash_rounds.is_some()) {
            let option = if self.replicas > 1 { "--replicas" } else { "--crash-rounds" };
            return Err(UsageError(format!("{option} is for a server that the suite starts: give --server-cmd CMD")));
        }
        if self.replicas > 1 && server.is_some() {
            return Err(
                "--replicas needs a port for each process: leave out --server, and write {port} in the command".into(),
            );
        }
        let idp = self.idp_cmd.as_deref().map(|line| Typed::new(IDP, line, "--idp", idp, &mut ports)).transpose()?;
        let server = self
            .server_cmd
            .as_deref()
            .map(|line| Typed::new(SERVER, line, "--server", server, &mut ports))
            .transpose()?
            .map(|typed| typed.speaking(profile));
        let both = self.server_cmd.is_some() && given_server.is_none() && profile == Some(ProfilesArg::Both);
        let grpc = if both { Some(grpc_at(&ports.url()?)) } else { None };
        let told = self.server_cmd.as_deref().is_some_and(|line| line.contains(GRPC_PORT_HERE));
        if told != both && self.server_cmd.is_some() {
            return Err(UsageError(if told {
                format!("{SERVER} has {GRPC_PORT_HERE}, which is for --profile both")
            } else {
                format!(
                    "--profile both with {SERVER}: write {GRPC_PORT_HERE} where the command takes the port for gRPC"
                )
            }));
        }
        let idp_url = idp.as_ref().map(|idp| idp.url.clone());
        let mut launches = Vec::new();
        if let Some(idp) = &idp {
            launches.push(idp.launch("the identity provider", &idp.url, None, idp_url.as_ref())?);
        }
        if let Some(server) = &server {
            launches.push(server.launch(THE_SERVER, &server.url, grpc.as_ref(), idp_url.as_ref())?);
        }
        let mut replicas =
            self.replica.iter().map(|url| values::url("--replica", url)).collect::<Result<Vec<_>, _>>()?;
        for number in 1..self.replicas {
            let (Some(server), url) = (&server, ports.url()?) else { break };
            let url = if server.url.scheme() == "grpc" { grpc_at(&url) } else { url };
            // Judged by HTTP, if by either.
            let other = if both { Some(grpc_at(&ports.url()?)) } else { None };
            launches.push(server.launch(&format!("replica {number}"), &url, other.as_ref(), idp_url.as_ref())?);
            replicas.push(url);
        }
        let stranger = self.stranger.as_deref().map(|url| values::url("--stranger", url)).transpose()?;
        let server = server.map(|server| server.url);
        let target = server.clone().or_else(|| values::url("--server", given_server?).ok());
        for (option, url) in
            replicas.iter().map(|url| ("--replica", url)).chain(stranger.iter().map(|url| ("--stranger", url)))
        {
            let twice = target.as_ref() == Some(url)
                || replicas.iter().filter(|other| *other == url).count() > usize::from(option == "--replica");
            if twice {
                return Err(UsageError(format!("{option} {url} is named twice: it takes another address")));
            }
        }
        Ok(Plan { server, grpc, idp: idp_url, replicas, stranger, launches })
    }
}

impl<'a> Typed<'a> {
    fn new(
        option: &'static str,
        line: &'a str,
        place: &str,
        given: Option<&str>,
        ports: &mut Ports,
    ) -> Result<Self, UsageError> {
        let url = match given {
            None => ports.url()?,
            Some(text) => match (place, values::target(text)) {
                ("--server", Ok(Target::Url(url))) => url,
                ("--server", Ok(Target::Avp(_))) => {
                    return Err(UsageError(format!("{option} takes a --server that begins with http:// or https://")));
                }
                ("--server", Err(error)) => return Err(UsageError(error)),
                _ => values::url(place, text)?,
            },
        };
        Ok(Self { option, line, url, chosen: given.is_none() })
    }

    /// What a server speaks whose port was ours to choose.
    fn speaking(self, profile: Option<ProfilesArg>) -> Self {
        let grpc = self.chosen && profile == Some(ProfilesArg::Grpc);
        Self { url: if grpc { grpc_at(&self.url) } else { self.url.clone() }, ..self }
    }

    /// The command for one place.
    fn launch(&self, role: &str, url: &Url, grpc: Option<&Url>, idp: Option<&Url>) -> Result<Launch, UsageError> {
        let option = self.option;
        if self.line.trim().is_empty() {
            return Err(UsageError(format!("{option} is empty. If it comes from a variable, the variable isn't set")));
        }
        if let Some((seen, what)) = shell_feature(self.line) {
            let quoted = self.line.replace('\'', r"'\''");
            return Err(UsageError(format!(
                "{option} has {seen:?}, {what}, and no shell reads the command: put it in quotes, or have it read by one: \
                 sh -c '{quoted}'"
            )));
        }
        let words = shim::split(self.line).map_err(|error| UsageError(format!("{option} {:?}: {error}", self.line)))?;
        let port = url.port_or_known_default().unwrap_or_default().to_string();
        let idp_port = idp.and_then(Url::port_or_known_default).map(|port| port.to_string());
        if idp_port.is_none() && self.line.contains(IDP_PORT_HERE) {
            return Err(UsageError(format!("{option} has {IDP_PORT_HERE}, and there is no --idp-cmd")));
        }
        let grpc_port = grpc.and_then(Url::port).map(|port| port.to_string());
        let fill = |word: &String| {
            let word = grpc_port.as_ref().map_or_else(|| word.clone(), |port| word.replace(GRPC_PORT_HERE, port));
            let word = PORT.iter().fold(word.replace(PORT_HERE, &port), |word, name| word.replace(name, &port));
            idp_port.as_ref().map_or_else(|| word.clone(), |port| word.replace(IDP_PORT_HERE, port))
        };
        let words: Vec<String> = words.iter().map(fill).collect();
        find(option, &words[0])?;
        let mut env = vec![("PORT".to_owned(), port)];
        env.extend(grpc_port.map(|port| ("GRPC_PORT".to_owned(), port)));
        env.extend(idp.map(|idp| ("AVP_IDP_URL".to_owned(), idp.as_str().trim_end_matches('/').to_owned())));
        let told = PORT.iter().chain(&[PORT_HERE]).any(|name| self.line.contains(name));
        let (role, url) = (role.to_owned(), url.clone());
        Ok(Launch { option, role, words, env, url, knows_port: told || !self.chosen })
    }
}

/// Free ports, held until all of them are known, so that no two are one.
#[derive(Default)]
struct Ports(Vec<TcpListener>);

impl Ports {
    fn url(&mut self) -> Result<Url, UsageError> {
        let failed = |error: &dyn std::fmt::Display| UsageError(format!("there is no free port: {error}"));
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| failed(&error))?;
        let address = listener.local_addr().map_err(|error| failed(&error))?;
        self.0.push(listener);
        Url::parse(&format!("http://{address}")).map_err(|error| failed(&error))
    }
}

/// The same place, where gRPC is spoken.
fn grpc_at(url: &Url) -> Url {
    // A URL of an address that was listened at, with another scheme, is one.
    format!("grpc://{}", url.authority()).parse().unwrap_or_else(|_| url.clone())
}

/// Whether there is such a program: before the run, not in it.
fn find(option: &str, program: &str) -> Result<(), UsageError> {
    let is_there = |path: &Path| path.is_file();
    if program.contains('/') {
        if is_there(Path::new(program)) {
            return Ok(());
        }
        let here = std::env::current_dir().map(|folder| format!(" (from {})", folder.display())).unwrap_or_default();
        return Err(UsageError(format!("{option}: there is no file {program}{here}")));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(|folder| is_there(&folder.join(program))) {
        return Ok(());
    }
    let here =
        if is_there(Path::new(program)) { format!("; the one in this folder is ./{program}") } else { String::new() };
    Err(UsageError(format!("{option}: there is no program {program} in the folders of PATH{here}")))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::args::Cli;
    use super::*;

    fn plan(arguments: &[&str]) -> Result<Plan, String> {
        let run = Cli::try_parse_from([&["avp-conform"], arguments].concat()).unwrap().run;
        run.host.plan(run.server.as_deref(), run.idp.as_deref(), run.profile).map_err(|error| error.0)
    }

    #[test]
    fn ports_are_filled_in() {
        let plan =
            plan(&["--server-cmd", "sh -c 'x --listen 127.0.0.1:{port} $PORT {idp-port}'", "--idp-cmd", "sh {port}"]);
        let plan = plan.unwrap();
        let (idp, server) = (&plan.launches[0], &plan.launches[1]);
        let ports = [&plan.idp, &plan.server].map(|url| url.as_ref().unwrap().port().unwrap());
        assert_ne!(ports[0], ports[1]);
        assert_eq!(idp.words, ["sh".to_owned(), ports[0].to_string()]);
        assert_eq!(server.words[2], format!("x --listen 127.0.0.1:{0} {0} {1}", ports[1], ports[0]));
        assert!(server.env.contains(&("PORT".to_owned(), ports[1].to_string())));
        assert!(server.knows_port);
    }

    #[test]
    fn a_server_of_either_profile_or_both() {
        let grpc = plan(&["--server-cmd", "sh {port}", "--profile", "grpc", "--replicas", "2"]).unwrap();
        assert_eq!((grpc.server.unwrap().scheme(), grpc.replicas[0].scheme()), ("grpc", "grpc"));
        let both = plan(&["--server-cmd", "sh {port} {grpc-port}", "--profile", "both"]).unwrap();
        let ports = [both.server.unwrap(), both.grpc.unwrap()].map(|url| url.port().unwrap().to_string());
        assert_eq!(both.launches[0].words, ["sh".to_owned(), ports[0].clone(), ports[1].clone()]);
        let error = plan(&["--server-cmd", "sh {port}", "--profile", "both"]).unwrap_err();
        assert!(error.contains("{grpc-port}"), "{error}");
        let error = plan(&["--server-cmd", "sh {port} {grpc-port}"]).unwrap_err();
        assert!(error.contains("--profile both"), "{error}");
    }

    #[test]
    fn a_server_that_cannot_take_a_port_is_where_it_is_said_to_be() {
        let plan = plan(&["--server-cmd", "sh x", "--server", "http://localhost:9/p"]).unwrap();
        assert_eq!(plan.server.unwrap().as_str(), "http://localhost:9/p");
        assert_eq!(plan.launches[0].env, [("PORT".to_owned(), "9".to_owned())]);
    }

    #[test]
    fn mistakes_are_told_with_what_to_do() {
        let said = |line: &str| plan(&["--server-cmd", line]).unwrap_err();
        assert!(said("cd x && ./server").contains("sh -c 'cd x && ./server'"), "{}", said("cd x && ./server"));
        assert!(said("./no-such-server").contains("there is no file ./no-such-server (from /"));
        assert!(said("no-such-server {port}").contains("no program no-such-server in the folders of PATH"));
        assert!(said(" ").contains("is empty"));
        assert!(said("sh 'x").contains("isn't closed"));
        assert!(said("sh {idp-port}").contains("no --idp-cmd"));
        let error = plan(&["--server-cmd", "sh x", "--server", "avp://h"]).unwrap_err();
        assert!(error.contains("http://"), "{error}");
    }
}
