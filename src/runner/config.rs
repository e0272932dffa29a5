//! What a run is asked to do.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::client::{Header, Profile};
use crate::requirements::Revision;
use crate::scan::Source;
use crate::scenarios::hosting::THE_SERVER;
use crate::scenarios::{Launch, Need, Recording};

/// Checks at once, unless told otherwise.
pub const DEFAULT_JOBS: usize = 8;
/// Bound on a whole run, unless told otherwise.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(300);
/// How long a server that the suite starts has until it answers, unless told otherwise.
pub const DEFAULT_READY: Duration = Duration::from_secs(30);
/// How often the server is killed, unless told otherwise.
pub const DEFAULT_CRASH_ROUNDS: u32 = 20;

/// Where the target is.
#[derive(Clone, Debug)]
pub enum Target {
    /// `http://` or `https://`, with an optional path prefix; `grpc://` or `grpcs://`.
    Url(Url),
    /// The authority of an `avp://host[:port]` address, resolved by SPEC §8.2 when the run starts.
    Avp(String),
}

/// Everything that a run needs to know.
#[derive(Clone, Debug)]
pub struct RunConfig {
    /// The vault server.
    pub server: Target,
    /// What is spoken with the vault server.
    pub profile: Profile,
    /// What is to be spoken with a target that offers both.
    pub wanted: Option<Profile>,
    /// Whether both are to be judged, wherever they turn out to be.
    pub wants_both: bool,
    /// Where the same server speaks gRPC, if that is to be judged as well.
    pub beside: Option<Url>,
    /// The identity provider, when challenge and token live elsewhere.
    pub idp: Option<Url>,
    /// Sent with every request to the vault server (and to the identity provider if that is the same server).
    pub headers: Vec<Header>,
    /// Sent with every request to the identity provider.
    pub idp_headers: Vec<Header>,
    /// PEM bytes of certificate authorities to trust besides the system's.
    pub ca_certs: Vec<Vec<u8>>,
    /// Accept any certificate.
    pub insecure: bool,
    /// Bound on one request, from connecting to the last byte.
    pub timeout: Duration,
    /// Bound on the whole run.
    pub deadline: Duration,
    /// Checks at once, at least 1.
    pub jobs: usize,
    /// Whether more checks run at once where the target is slow.
    pub fits: bool,
    /// Whether the bound on the whole run grows where the target is slow.
    pub fits_deadline: bool,
    /// Seed of the run's choices; drawn from the operating system when absent.
    pub seed: Option<u64>,
    /// Globs on check ids or sections (`§6`); empty means all.
    pub only: Vec<globset::Glob>,
    /// Globs on check ids or sections to leave out.
    pub skip: Vec<globset::Glob>,
    /// The part of the checks that is run.
    pub shard: Option<super::Shard>,
    /// Failures that are known.
    pub known: Option<super::Known>,
    /// Warnings fail.
    pub strict: bool,
    /// Run the checks that wait.
    pub slow: bool,
    /// Try what takes more requests than a usual run has time for.
    pub thorough: bool,
    /// The server's own nonce lifetime, for the checks that wait.
    pub nonce_ttl: Option<Duration>,
    /// How long each contention check repeats its rounds.
    pub race_budget: Duration,
    /// How many rounds each contention check tries at most.
    pub race_rounds: u32,
    /// Key set of the issuer, to verify served bindings.
    pub jwks: Option<Url>,
    /// Revision to judge by.
    pub spec: Revision,
    /// Where to record what the contention checks do.
    pub recording: Option<Arc<Recording>>,
    /// Emit [`super::Event::Exchange`] for every exchange.
    pub trace: bool,
    /// How reports name the target; `None` takes it from `server`.
    pub target_name: Option<String>,
    /// The options that a rerun needs besides `--only`, credentials masked.
    pub rerun: String,
    /// What the server keeps, to be searched after everything else.
    pub storage: Vec<Source>,
    /// Where to write what was looked for, to search elsewhere or later.
    pub save_canaries: Option<PathBuf>,
    /// Other processes of the same deployment.
    pub replicas: Vec<Url>,
    /// Another deployment, which shares nothing with this one.
    pub stranger: Option<Url>,
    /// How often the server is killed at most, where the suite has started it.
    pub crash_rounds: u32,
    /// What to start before the run, in this order, and to stop after it.
    pub launches: Vec<Launch>,
    /// How long each of these has until it answers.
    pub ready_timeout: Duration,
}

impl RunConfig {
    /// The defaults of the command line for a target.
    pub fn new(server: Target) -> Self {
        let profile = match &server {
            Target::Url(url) => Profile::of_scheme(url.scheme()),
            Target::Avp(_) => Profile::Http,
        };
        Self {
            server,
            profile,
            wanted: None,
            wants_both: false,
            beside: None,
            idp: None,
            headers: Vec::new(),
            idp_headers: Vec::new(),
            ca_certs: Vec::new(),
            insecure: false,
            timeout: Duration::from_secs(10),
            deadline: DEFAULT_DEADLINE,
            jobs: DEFAULT_JOBS,
            fits: true,
            fits_deadline: true,
            seed: None,
            only: Vec::new(),
            skip: Vec::new(),
            shard: None,
            known: None,
            strict: false,
            slow: false,
            thorough: false,
            nonce_ttl: None,
            race_budget: Duration::from_millis(10),
            race_rounds: 100,
            jwks: None,
            spec: Revision::default(),
            recording: None,
            trace: false,
            target_name: None,
            rerun: String::new(),
            storage: Vec::new(),
            save_canaries: None,
            replicas: Vec::new(),
            stranger: None,
            crash_rounds: DEFAULT_CRASH_ROUNDS,
            launches: Vec::new(),
            ready_timeout: DEFAULT_READY,
        }
    }

    /// Whether there is what a check needs.
    pub(super) fn meets(&self, need: Need) -> bool {
        match need {
            Need::Nothing => true,
            Need::Replica => !self.replicas.is_empty(),
            Need::Stranger => self.stranger.is_some(),
            Need::Profiles => self.beside.is_some(),
            Need::Command => self.crash_rounds > 0 && self.launches.iter().any(|launch| launch.role == THE_SERVER),
        }
    }
}
