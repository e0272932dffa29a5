//! The built-in server, and what has to be around it for a fault to show: a second process on the same file, another
//! deployment, or a process of its own that can be killed.

use std::net::TcpListener;
use std::path::PathBuf;

use url::Url;

use crate::faults::{FaultInfo, FaultKind};
use crate::runner::{RunConfig, Target};
use crate::scan::{Role, Source};
use crate::scenarios::Launch;
use crate::scenarios::hosting::{SERVER, THE_SERVER};
use crate::server::{self, Config, Folder, Running};

/// What is to be around a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Around {
    /// Database and log in files, which are searched.
    pub searched: bool,
    /// A second process on the same file.
    pub replica: bool,
    /// Another deployment with the same habits.
    pub stranger: bool,
    /// A process that can be killed, with the fault of this name, instead of a part of this one.
    pub process: Option<&'static str>,
    /// What is judged is the gRPC profile.
    pub grpc: bool,
    /// What is judged are both.
    pub both: bool,
}

impl Around {
    /// What a fault takes to be seen.
    pub fn of(fault: &FaultInfo) -> Self {
        let kind = fault.kind;
        Self {
            searched: kind == FaultKind::Storage,
            replica: kind == FaultKind::Replica,
            stranger: kind == FaultKind::Stranger,
            process: (kind == FaultKind::Crash).then_some(fault.name),
            grpc: false,
            both: kind == FaultKind::Profiles,
        }
    }
}

/// Servers at work, and where they are. Dropping it stops them, before their files go.
pub struct Stage {
    target: Url,
    beside: Option<Url>,
    replicas: Vec<Url>,
    stranger: Option<Url>,
    launches: Vec<Launch>,
    sources: Vec<Source>,
    running: Vec<Running>,
    _folder: Option<Folder>,
}

impl Stage {
    /// Starts the server and what is to be around it.
    ///
    /// # Errors
    /// In words, when it can't be started.
    pub async fn set(mut config: Config, around: Around) -> Result<Self, String> {
        let alone =
            Around { stranger: around.stranger, grpc: around.grpc, both: around.both, ..Around::default() } == around;
        let folder = if alone { None } else { Some(Folder::new().map_err(|error| error.to_string())?) };
        if let Some(folder) = &folder {
            folder.furnish(&mut config);
        }
        let (mut running, mut launches) = (Vec::new(), Vec::new());
        let (target, beside) = if let Some(fault) = around.process {
            let (url, launch) = process(&config, fault)?;
            launches.push(launch);
            (url, None)
        } else {
            let grpc = start(config.clone(), around.grpc || around.both, &mut running).await?;
            let http = running.last().map(|server| format!("http://{}", server.addr()));
            let http = http.as_deref().map(Url::parse).transpose().map_err(|error| error.to_string())?;
            match http.filter(|_| around.both) {
                Some(http) => (http, Some(grpc)),
                None => (grpc, None),
            }
        };
        let replicas =
            if around.replica { vec![start(config.clone(), around.grpc, &mut running).await?] } else { Vec::new() };
        let stranger = if around.stranger {
            Some(start(Config { db: None, log: None, ..config }, around.grpc, &mut running).await?)
        } else {
            None
        };
        let sources = match &folder {
            Some(folder) if around.searched => {
                vec![Source::Path(Role::Log, folder.log()), Source::Path(Role::Storage, folder.storage())]
            }
            _ => Vec::new(),
        };
        Ok(Self { target, beside, replicas, stranger, launches, sources, running, _folder: folder })
    }

    /// Has a run judge it.
    pub fn apply(&self, run: &mut RunConfig) {
        run.server = Target::Url(self.target.clone());
        run.beside.clone_from(&self.beside);
        run.replicas.clone_from(&self.replicas);
        run.stranger.clone_from(&self.stranger);
        run.launches.clone_from(&self.launches);
        run.storage.extend(self.sources.iter().cloned());
    }

    /// Lets requests under way finish, and stops everything.
    pub async fn strike(mut self) {
        for running in self.running.drain(..) {
            running.shutdown().await;
        }
    }
}

async fn start(config: Config, grpc: bool, running: &mut Vec<Running>) -> Result<Url, String> {
    let listen = || TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string());
    let second = grpc.then(listen).transpose()?;
    let server = server::start_with(config, listen()?, second).await.map_err(|error| error.to_string())?;
    let url = server.grpc().map_or_else(|| format!("http://{}", server.addr()), |addr| format!("grpc://{addr}"));
    let url = Url::parse(&url).map_err(|error| error.to_string())?;
    running.push(server);
    Ok(url)
}

/// `avp-conform serve` with a fault.
fn process(config: &Config, fault: &str) -> Result<(Url, Launch), String> {
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let address = address.map_err(|error| format!("no free port: {error}"))?.to_string();
    let url = Url::parse(&format!("http://{address}")).map_err(|error| error.to_string())?;
    let mut words = vec![program()?.display().to_string(), "serve".into(), "--listen".into(), address];
    words.extend(config.db.iter().flat_map(|path| ["--db".to_owned(), path.display().to_string()]));
    words.extend(["--fault".to_owned(), fault.to_owned()]);
    let launch =
        Launch { option: SERVER, role: THE_SERVER.into(), words, env: Vec::new(), url: url.clone(), knows_port: true };
    Ok((url, launch))
}

/// This program; or, where a test of it runs, the program beside the test.
fn program() -> Result<PathBuf, String> {
    let mut path = std::env::current_exe().map_err(|error| format!("this program can't be found: {error}"))?;
    let name = format!("avp-conform{}", std::env::consts::EXE_SUFFIX);
    if path.file_name().is_some_and(|its| its == name.as_str()) {
        return Ok(path);
    }
    while path.pop() {
        let beside = path.join(&name);
        if beside.is_file() {
            return Ok(beside);
        }
    }
    Err("the program avp-conform isn't beside this one".into())
}
