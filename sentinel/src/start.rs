//! From the command line to the running event loop.

use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use codis_core::time::Time;
use codis_runtime::pidfile::PidFile;
use codis_sentinel_proto::Machine;
use codis_sentinel_proto::ids::SentinelId;
use codis_sentinel_proto::settings::Settings;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::acl::{self, DeclarationError, Users};
use crate::args::{self, Arguments, HELP, Invocation};
use crate::conf::load::Problems;
use crate::conf::rewrite::{Line, Written};
use crate::conf::{Config, Globals, Server};
use crate::history::{self, History};
use crate::links::connect::Source;
use crate::log::syslog::Syslog;
use crate::log::{self, Log};
use crate::metrics;
use crate::node::{self, End, Parts, Signals};
use crate::port::access::Access;
use crate::port::clients::Clients;
use crate::port::commands::acl::file;
use crate::port::listen::{self, Listener, SocketFile};
use crate::port::server::Hall;
use crate::port::{REQUESTS_LEN, Shared, Stats, server};
use crate::process::Process;
use crate::random;
use crate::resolver::{self, Resolver};
use crate::scripts;
use crate::simulate;
use crate::state::lock::Refused;
use crate::state::seal::Damaged;
use crate::state::{Store, Writer};
use crate::supervisor::Supervisor;
use crate::tls::{self, Tls};

mod files;
mod system;

use files::Loaded;

/// How long threads that still block may hold up the end of the process.
const THREADS_TIMEOUT: Duration = Duration::from_secs(1);

const NO_RANDOMNESS: &str = "cannot read random numbers";

/// Why the sentinel did not start. Each text is complete.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Configuration(#[from] Problems),
    #[error("cannot enter the directory {path} of `dir`: {error}")]
    Dir { path: PathBuf, error: io::Error },
    #[error("cannot use {path}: {error}")]
    InUse { path: PathBuf, error: Refused },
    #[error(transparent)]
    Damaged(#[from] Damaged),
    #[error(
        "cannot write the state to {path}, which must be writable, as must its directory: {error}"
    )]
    State { path: PathBuf, error: io::Error },
    #[error("cannot open the log {path}: {error}")]
    Log { path: String, error: io::Error },
    #[error(
        "`user` lines and `aclfile` are both there: define users in the config file or in a file \
         of their own, but not both"
    )]
    UsersTwice,
    #[error("Aborting startup because of ACL errors: {0}")]
    UserFile(#[from] file::LoadError),
    #[error(transparent)]
    User(#[from] DeclarationError),
    #[error(transparent)]
    Bind(#[from] listen::BindError),
    #[error(transparent)]
    Tls(#[from] tls::Error),
    #[error("cannot open the metrics port: {0}")]
    Metrics(io::Error),
    #[error("{what}: {error}")]
    System {
        what: &'static str,
        error: io::Error,
    },
}

/// Where clients come in.
struct Doors {
    listeners: Vec<Listener>,
    tls: Tls,
    /// Who may come in.
    users: Users,
}

/// Makes an error of the system one of ours.
fn system(what: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |error| Error::System { what, error }
}

/// Runs the program with the words after its name.
pub fn main(words: &[String]) -> ExitCode {
    scripts::keep_descriptors();
    let arguments = match args::parse(words) {
        Ok(Invocation::Run(arguments)) => arguments,
        Ok(Invocation::Version) => return print(&(codis_runtime::build::text() + "\n")),
        Ok(Invocation::Help) => return print(HELP),
        Err(text) => return fail(&Error::Usage(text)),
    };
    match run(&arguments, words) {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

fn print(text: &str) -> ExitCode {
    // Nobody reads: nothing to do about it.
    let _ = io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn fail(error: &Error) -> ExitCode {
    let _ = writeln!(io::stderr(), "codis-sentinel: {error}");
    ExitCode::FAILURE
}

fn run(arguments: &Arguments, words: &[String]) -> Result<ExitCode, Error> {
    let Loaded {
        mut config,
        said,
        store,
    } = files::load(arguments)?;
    let place = std::env::current_dir().map_err(system("cannot tell the working directory"))?;
    if let Some(path) = &config.server.dir {
        std::env::set_current_dir(path).map_err(|error| Error::Dir {
            path: path.clone(),
            error,
        })?;
    }
    config.server.dir = std::env::current_dir().ok();
    let unwritable = |error| Error::State {
        path: store.path.clone(),
        error,
    };
    store.check().map_err(unwritable)?;
    let users = users(&config.server)?;
    if let Some(warning) = overruled_password(&config.server, &users) {
        config.warnings.push(warning);
    }
    let tls = Tls::load(config.server.tls.clone(), config.server.tls_port != 0)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system("cannot start the event loop"))?;
    // Before anybody can see that the process is there.
    let signals = {
        let _context = runtime.enter();
        Signals::listen().map_err(system("cannot listen to signals"))?
    };
    let listeners = listen::bind(&config.server)?;
    let socket_files: Vec<SocketFile> = listeners.iter().filter_map(Listener::file).collect();
    let supervisor = Supervisor::of(config.server.supervised);
    if config.server.daemonize && supervisor.is_none() && !system::is_detached() {
        drop((listeners, socket_files, store));
        system::detach(words, &place).map_err(system("cannot start in the background"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let (log, guard) = open_log(&config.server).map_err(|error| Error::Log {
        path: config.server.logfile.clone(),
        error,
    })?;
    log_panics(&log);
    let _pidfile = write_pidfile(&config, &log);
    let serve = serve(Start {
        config,
        said,
        store,
        config_file: arguments.file.clone(),
        doors: Doors {
            listeners,
            tls,
            users,
        },
        signals,
        supervisor,
        log,
    });
    let end = runtime.block_on(serve)?;
    drop(socket_files);
    runtime.shutdown_timeout(THREADS_TIMEOUT);
    drop(guard);
    Ok(match end {
        End::Orderly => ExitCode::SUCCESS,
        End::Simulated => ExitCode::from(u8::try_from(simulate::EXIT_STATUS).unwrap_or(1)),
    })
}

fn open_log(server: &Server) -> io::Result<(Log, log::Guard)> {
    let logfile = &server.logfile;
    let path = (!logfile.is_empty()).then_some(Path::new(logfile));
    let (ident, facility) = (&server.syslog_ident, &server.syslog_facility);
    let syslog = server.syslog_enabled.then(|| Syslog::new(ident, facility));
    log::start(path, server.loglevel, syslog)
}

/// Puts the place and the text of a panic into the log, too: nobody reads the standard error of a
/// process in the background.
fn log_panics(log: &Log) {
    let log = log.clone();
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        log.warning(&format!("PANIC: {panic}"));
        default(panic);
    }));
}

fn write_pidfile(config: &Config, log: &Log) -> Option<PidFile> {
    let path = config.server.pidfile.as_ref()?;
    PidFile::write(path)
        .inspect_err(|error| log.warning(&format!("Failed to write PID file: {error}")))
        .ok()
}

/// What the event loop starts with.
struct Start {
    config: Config,
    said: Vec<Line>,
    store: Store,
    config_file: Option<PathBuf>,
    doors: Doors,
    signals: Signals,
    supervisor: Option<Supervisor>,
    log: Log,
}

async fn serve(start: Start) -> Result<End, Error> {
    let (config, log) = (start.config, start.log);
    let myid = match &config.myid {
        Some(myid) => myid.clone(),
        None => SentinelId::new(random::hex(20).map_err(system(NO_RANDOMNESS))?),
    };
    let process = Process {
        run_id: random::hex(20).map_err(system(NO_RANDOMNESS))?,
        myid: myid.as_str().to_owned(),
        port: match config.server.port {
            0 => config.server.tls_port,
            port => port,
        },
        port_of_links: config.server.port_of_links(),
        config_file: start.config_file,
        executable: std::env::current_exe().unwrap_or_default(),
    };
    greet(&config, &process, &log);
    let (mut resolver, mut names) = Resolver::new(Arc::new(resolver::System));
    let known = resolver.resolve_all(&config.hosts(), &mut names).await;
    let origin = Instant::now();
    let machine = machine(&config, myid, &known)?;
    let (calls, call_receiver) = mpsc::channel(REQUESTS_LEN);
    let shared = Arc::new(shared(&config, start.doors.users, calls, &log));
    let hall = Hall {
        shared: Arc::clone(&shared),
        tls: Arc::new(start.doors.tls),
        log: log.clone(),
    };
    for listener in start.doors.listeners {
        server::start(listener, hall.clone()).map_err(system("cannot use the port"))?;
    }
    serve_metrics(&config, &shared, &log).await?;
    let history = History::start(history::path_beside(&start.store), &log);
    let written = Written {
        form: start.store.form,
        server: config.server.clone(),
        said: start.said,
        told_users: config.told_users.clone(),
    };
    let (writer, persisted) = Writer::start(start.store);
    if let Some(supervisor) = start.supervisor
        && let Err(error) = supervisor.ready()
    {
        log.warning(&format!("Cannot tell the supervisor of the start: {error}"));
    }
    let parts = Parts {
        origin,
        machine,
        signals: start.signals,
        source: source(&config),
        tls: hall.tls,
        globals: config.globals,
        written,
        writer,
        history,
        persisted,
        resolver,
        names,
        shared,
        calls: call_receiver,
        process,
        supervisor: start.supervisor,
        log,
    };
    Ok(node::run(parts).await)
}

/// Opens the metrics port, if there is to be one.
async fn serve_metrics(config: &Config, shared: &Arc<Shared>, log: &Log) -> Result<(), Error> {
    let Globals {
        metrics_port,
        metrics_bind,
        ..
    } = &config.globals;
    if *metrics_port == 0 {
        return Ok(());
    }
    let host = metrics_bind.as_deref().unwrap_or("127.0.0.1");
    let bound = metrics::serve::bind(host, *metrics_port).await;
    let listener = bound.map_err(Error::Metrics)?;
    tokio::spawn(metrics::serve::serve(
        listener,
        Arc::clone(shared),
        log.clone(),
    ));
    Ok(())
}

/// The machine, with the names that are looked up.
fn machine(
    config: &Config,
    myid: SentinelId,
    known: &[(String, IpAddr)],
) -> Result<Machine, Error> {
    let settings = Settings {
        myid: myid.clone(),
        announce_port: match config.globals.announce_port {
            0 => config.server.port_of_links(),
            port => port,
        },
        announce_ip: config.globals.announce_ip.clone(),
        seed: random::seed().map_err(system(NO_RANDOMNESS))?,
    };
    let (snapshot, names) = (config.snapshot(myid), config.globals.names());
    Ok(Machine::with_names(
        Time::ZERO,
        settings,
        snapshot,
        names,
        known,
    ))
}

fn greet(config: &Config, process: &Process, log: &Log) {
    let version = codis_runtime::build::version();
    let pid = std::process::id();
    log.warning(&format!("codis-sentinel {version} starting, pid={pid}"));
    for note in &config.notes {
        log.debug(note);
    }
    for warning in &config.warnings {
        log.warning(warning);
    }
    log.notice(&format!("Running mode=sentinel, port={}.", process.port));
    log.notice(&format!("Sentinel ID is {}", process.myid));
}

/// The users of the file of users, or of the config file.
fn users(server: &Server) -> Result<Users, Error> {
    let acl = &server.acl;
    match &acl.file {
        Some(_) if !acl.declared.is_empty() => Err(Error::UsersTwice),
        Some(path) => Ok(file::read(path, acl.pubsub)?),
        None => Ok(acl.users(server.requirepass.as_deref())?),
    }
}

/// What to say when the password of `requirepass` opens nothing. As in Redis, a line or a file that
/// defines the default user wins.
fn overruled_password(server: &Server, users: &Users) -> Option<String> {
    let password = server.requirepass.as_ref()?;
    let opens = users.accepts(acl::DEFAULT, password.as_bytes());
    (!opens || users.is_open()).then(|| {
        "requirepass has no effect: the default user is defined by a `user` line or by the aclfile"
            .to_owned()
    })
}

fn shared(
    config: &Config,
    users: Users,
    calls: mpsc::Sender<crate::port::Call>,
    log: &Log,
) -> Shared {
    let server = &config.server;
    let clients_max = system::room_for(server.maxclients);
    if clients_max < server.maxclients {
        let text = format!(
            "maxclients is lowered from {} to {clients_max}: the limit of open files is too low",
            server.maxclients
        );
        log.warning(&text);
    }
    let is_open = server.bind == crate::conf::Server::default().bind;
    Shared {
        access: Access::new(users, server.acl.file.clone(), server.acl.log_len_max),
        requirepass: server.requirepass.clone(),
        timeout_secs: server.timeout_secs,
        tcp_keepalive_secs: server.tcp_keepalive_secs,
        clients_max,
        protected: server.protected_mode && is_open,
        supervised: Supervisor::of(server.supervised).is_some(),
        clients: Mutex::new(Clients::new(server.unread_max)),
        stats: Stats::default(),
        pause: watch::Sender::new(None),
        log: log.clone(),
        calls,
    }
}

/// The local address of links: as configured, or the first address of the port, so that a hello
/// announces an address under which this sentinel can be reached.
fn source(config: &Config) -> Option<Source> {
    let server = &config.server;
    let explicit = server
        .bind_source
        .as_ref()
        .and_then(|host| host.parse().ok());
    if let Some(ip) = explicit {
        return Some(Source { ip, explicit: true });
    }
    let first = server.bind.first().filter(|bind| bind.is_specific())?;
    let ip = first.host.parse().ok()?;
    Some(Source {
        ip,
        explicit: false,
    })
}
