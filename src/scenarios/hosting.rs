//! Servers that the suite has started itself: waiting until they answer, ending them, and starting them again.

use std::process::ExitStatus;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;
use url::Url;

use super::{Abort, Operation, json_request};
use crate::client::{Identity, Transport, random};
use crate::process::{Service, Usage};
use crate::scan::{Role, Source};

/// Bound on one attempt to get an answer.
const ATTEMPT: Duration = Duration::from_secs(2);
/// Pause between attempts: at first, and at the most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(250));
/// Times that a server may die by itself before the run is given up.
const MOST_DEATHS: u32 = 20;

/// A command that starts a part of the deployment.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The option that has it: `--server-cmd`.
    pub option: &'static str,
    /// What it starts: `the server`.
    pub role: String,
    /// Program and arguments, with everything filled in.
    pub words: Vec<String>,
    /// Added to the environment.
    pub env: Vec<(String, String)>,
    /// Where it will answer.
    pub url: Url,
    /// Whether the command was told the port. Otherwise `--server` says where it answers.
    pub knows_port: bool,
}

/// How a server that was started is reached.
pub struct Host {
    launch: Launch,
    service: Service,
    /// Connections of its own, so that no check's are disturbed.
    probe: Transport,
    patience: Duration,
}

/// All servers that the suite has started, in the order of their start.
pub struct Hosting {
    hosts: Vec<Host>,
    /// Ends that nobody asked for.
    deaths: AtomicU32,
    /// Starts after such ends, which tell a check that it may have seen one.
    generation: AtomicU32,
    reviving: tokio::sync::Mutex<()>,
    /// Their outputs. Last, so that it goes when they are gone.
    _folder: TempDir,
}

impl Hosting {
    /// Prepares what is to be started; `probe` makes a way to each.
    ///
    /// # Errors
    /// [`Abort`] when there is no room for their output, or a URL can't be dialled.
    pub fn new(
        launches: &[Launch],
        patience: Duration,
        probe: impl Fn(&Launch) -> Result<Transport, Abort>,
    ) -> Result<Self, Abort> {
        let failed = |error: std::io::Error| Abort {
            reason: format!("nothing can be started: {error}"),
            advice: "make room for temporary files".into(),
        };
        let folder = tempfile::Builder::new().prefix("avp-conform-output-").tempdir().map_err(failed)?;
        let mut hosts = Vec::new();
        for launch in launches {
            let place = folder.path().join(launch.role.replace(' ', "-"));
            std::fs::create_dir(&place).map_err(failed)?;
            let mark = crate::ground::hex::encode(&random::bytes::<12>());
            let service = Service::new(launch.words.clone(), launch.env.clone(), place, mark).map_err(failed)?;
            hosts.push(Host { launch: launch.clone(), service, probe: probe(launch)?, patience });
        }
        let (deaths, generation) = (AtomicU32::new(0), AtomicU32::new(0));
        Ok(Self { hosts, deaths, generation, reviving: tokio::sync::Mutex::default(), _folder: folder })
    }

    /// The servers, in the order in which they are to be started.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The vault server, if it is among them.
    pub fn server(&self) -> Option<&Host> {
        self.hosts.iter().find(|host| host.launch.option == SERVER && host.launch.role == THE_SERVER)
    }

    /// What they print, to be searched like any log.
    pub fn outputs(&self) -> Vec<Source> {
        let outputs = self.hosts.iter().flat_map(|host| host.service.outputs());
        outputs.map(|path| Source::Path(Role::Log, path)).collect()
    }

    /// Their processes, as far as the system lets their memory be read.
    pub fn memory(&self) -> Vec<Source> {
        let processes = self.hosts.iter().flat_map(|host| host.service.processes());
        processes.map(Source::Process).filter(|source| source.check().is_ok()).collect()
    }

    /// Looks at what they use.
    pub fn measure(&self) {
        self.hosts.iter().for_each(|host| host.service.measure());
    }

    /// What the servers have used together, and how often one was started again because it had died.
    pub fn usage(&self) -> Option<(Usage, u32)> {
        let all = self.hosts.iter().filter_map(|host| host.service.usage());
        let sum = all.reduce(|one, other| Usage {
            peak_memory: one.peak_memory + other.peak_memory,
            cpu: one.cpu + other.cpu,
        })?;
        Some((sum, self.deaths.load(Ordering::Relaxed)))
    }

    /// Stops all of them, the last one first; what was odd about it.
    pub async fn stop(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for host in self.hosts.iter().rev() {
            notes.extend(host.stop().await);
        }
        notes
    }

    /// Counts starts after a death. A check that sees another number at its end has met one.
    pub fn generation(&self) -> u32 {
        self.generation.load(Ordering::Relaxed)
    }

    /// How one of them has ended, if one has: `the server ended with exit status 1`.
    pub async fn death(&self) -> Option<String> {
        for host in &self.hosts {
            if let Some(status) = host.service.ended() {
                return Some(host.told_end(status).await);
            }
        }
        None
    }

    /// Ends those that don't answer any more: they count as dead; what to say of the first.
    pub async fn condemn(&self) -> Option<String> {
        // Not while somebody starts one again: that one doesn't answer yet, and would be ended under the feet of who waits for it.
        let _one_at_a_time = self.reviving.lock().await;
        let mut told = None;
        for host in &self.hosts {
            if host.service.ended().is_none() && !host.answers().await {
                host.service.kill().await;
                told.get_or_insert_with(|| {
                    format!("{} ran, but didn't answer any more{}", host.role(), host.last_words())
                });
            }
        }
        told
    }

    /// Starts again whoever has died; whether anybody had.
    ///
    /// # Errors
    /// [`Abort`] when it doesn't come back, or dies again and again.
    pub async fn revive(&self) -> Result<bool, Abort> {
        let _one_at_a_time = self.reviving.lock().await;
        let mut any = false;
        for host in &self.hosts {
            if host.service.ended().is_none() && host.service.is_started() {
                continue;
            }
            any = true;
            let deaths = self.deaths.fetch_add(1, Ordering::Relaxed) + 1;
            if deaths > MOST_DEATHS {
                return Err(Abort {
                    reason: format!("{} died {deaths} times", host.launch.role),
                    advice: "repair what kills it first; the checks that did are named".into(),
                });
            }
            host.service.kill().await;
            host.up_again().await?;
        }
        if any {
            self.generation.fetch_add(1, Ordering::Relaxed);
        }
        Ok(any)
    }
}

/// The option that starts the identity provider.
pub const IDP: &str = "--idp-cmd";
/// The option that starts the vault server, and what that is called.
pub const SERVER: &str = "--server-cmd";
/// See [`SERVER`].
pub const THE_SERVER: &str = "the server";

impl Host {
    /// What it is: `the server`.
    pub fn role(&self) -> &str {
        &self.launch.role
    }

    /// Starts it, and waits until it answers.
    ///
    /// # Errors
    /// [`Abort`] when it can't be started, ends, or never answers.
    pub async fn up(&self) -> Result<(), Abort> {
        if self.probe.is_reachable().await {
            return Err(Abort {
                reason: format!(
                    "something else answers at {} already, before {} is started",
                    self.launch.url,
                    self.role()
                ),
                advice: "stop it, or leave out --server and give {port} in the command: a free port is found".into(),
            });
        }
        self.begin()?;
        self.wait(Instant::now() + self.patience).await
    }

    fn begin(&self) -> Result<(), Abort> {
        self.service.start().map_err(|error| Abort {
            reason: format!("{} can't be started: {}: {error}", self.role(), self.service.program()),
            advice: format!("check the command given with {}", self.launch.option),
        })
    }

    /// As [`Self::up`] after an end. Its port may still be taken for a moment, so that one that ends at once is tried again.
    ///
    /// # Errors
    /// As [`Self::up`].
    pub async fn up_again(&self) -> Result<(), Abort> {
        self.probe.close_idle();
        let until = Instant::now() + self.patience;
        loop {
            self.begin()?;
            match self.wait(until).await {
                Err(_) if self.service.ended().is_some() && Instant::now() + PAUSES.1 < until => {
                    self.service.kill().await;
                    tokio::time::sleep(PAUSES.1).await;
                }
                Err(abort) => {
                    return Err(Abort {
                        reason: format!("{} didn't come back: {}", self.role(), abort.reason),
                        ..abort
                    });
                }
                Ok(()) => return Ok(()),
            }
        }
    }

    async fn wait(&self, until: Instant) -> Result<(), Abort> {
        let (mut pause, started) = (PAUSES.0, Instant::now());
        loop {
            if self.answers().await {
                // An answer of somebody else, who has the port that this one didn't get?
                tokio::time::sleep(PAUSES.0).await;
                return match self.service.ended() {
                    Some(status) => Err(self.ended(status).await),
                    None => Ok(()),
                };
            }
            if let Some(status) = self.service.ended() {
                return Err(self.ended(status).await);
            }
            if Instant::now() >= until {
                return Err(self.never_answered(started.elapsed()));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Whether it answers a challenge, with whatever status.
    async fn answers(&self) -> bool {
        let body = serde_json::json!({ "ed25519PublicKey": Identity::generate().id });
        let request = json_request(Operation::Challenge.path("", ""), &body);
        self.probe.send_within(&request, ATTEMPT).await.is_ok()
    }

    /// Kills it, as a crash would.
    pub async fn kill(&self) {
        self.probe.close_idle();
        self.service.kill().await;
    }

    /// Stops it as it is to be stopped; what was odd about it.
    pub async fn stop(&self) -> Vec<String> {
        self.probe.close_idle();
        let stopped = self.service.stop().await;
        let mut notes = Vec::new();
        if stopped.killed {
            notes.push(format!("{} ignored SIGTERM for 3 s, and was killed", self.role()));
        }
        if stopped.left > 0 {
            let (processes, were) = if stopped.left == 1 { ("process", "was") } else { ("processes", "were") };
            notes.push(format!(
                "{} left {} {processes} behind when it ended, which {were} ended too",
                self.role(),
                stopped.left
            ));
        }
        notes
    }

    async fn told_end(&self, status: ExitStatus) -> String {
        self.service.hear_out().await;
        format!("{} ended with {}{}", self.role(), told(status), self.last_words())
    }

    async fn ended(&self, status: ExitStatus) -> Abort {
        let advice = match status.code() {
            Some(0) => "have the command stay in the foreground, as long as the server runs",
            Some(126 | 127) => "a shell found no such program: check names and folders in the command",
            _ => "run the command by hand to see why, with {port} replaced by a number",
        };
        Abort { reason: format!("{} before it answered", self.told_end(status).await), advice: advice.into() }
    }

    fn never_answered(&self, waited: Duration) -> Abort {
        let elsewhere = self.service.listens();
        let listens = match elsewhere.as_slice() {
            [] => String::new(),
            ports => {
                format!(", and listens on port {}", ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", "))
            }
        };
        let advice = if self.launch.knows_port {
            "see that it listens there, and give it longer with --ready-timeout if need be"
        } else {
            "write {port} in the command where its port belongs, or say with --server URL where it listens"
        };
        Abort {
            reason: format!(
                "{} runs{listens}, but nobody answered at {} for {} s{}",
                self.role(),
                self.launch.url,
                waited.as_secs(),
                self.last_words()
            ),
            advice: advice.into(),
        }
    }

    /// `; its last words: …`, or nothing where it said nothing.
    fn last_words(&self) -> String {
        let lines = self.service.last_lines();
        let shown: Vec<String> = lines.iter().map(|line| line.trim().chars().take(200).collect()).collect();
        if shown.is_empty() { String::new() } else { format!(" (its last words: {})", shown.join(" / ")) }
    }
}

fn told(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return format!("signal {signal}");
    }
    format!("exit status {}", status.code().unwrap_or_default())
}
