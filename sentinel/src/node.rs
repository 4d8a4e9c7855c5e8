//! The event loop: one task that owns the machine and everything that the machine's orders touch.
//!
//! Nothing in here waits for anything but the next event. Connections, disk, scripts and clients
//! are tasks that talk to the loop by bounded queues; when several have something to say, links
//! come first, since down detection depends on them, and clients last.

use std::collections::BTreeMap;
use std::sync::Arc;

use codis_core::time::Time;
use codis_sentinel_proto::hello::Hello;
use codis_sentinel_proto::ids::LinkId;
use codis_sentinel_proto::{Input, Machine, Reply};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::conf::Globals;
use crate::conf::rewrite::Written;
use crate::history::History;
use crate::infos::Infos;
use crate::links::connect::Source;
use crate::links::{self, Links};
use crate::log::{Level, Log};
use crate::port::commands::acl::change;
use crate::port::commands::{self, Context, Outcome};
use crate::port::{Answer, Call, Request, Shared};
use crate::process::Process;
use crate::pubsub::Hub;
use crate::resolver::{self, Resolver};
use crate::scripts::{self, Scripts};
use crate::simulate::Simulated;
use crate::state::{Persisted, Writer};
use crate::supervisor::Supervisor;
use crate::tls::Tls;
use codis_sentinel_proto::epochs;

mod effects;
mod figures;
mod shutdown;
mod waits;

use waits::Waits;

/// Clients' calls that are taken without looking at anything else.
const CALLS_IN_A_ROW: usize = 64;

/// Why the loop ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// Somebody asked for it.
    Orderly,
    /// A simulated failure.
    Simulated,
}

/// What the loop is made of.
#[derive(Debug)]
pub struct Parts {
    /// The origin of the machine's clock.
    pub origin: Instant,
    /// The machine.
    pub machine: Machine,
    /// The settings without a master.
    pub globals: Globals,
    /// What else goes into the file.
    pub written: Written,
    /// Signals to the process.
    pub signals: Signals,
    /// The local address of links.
    pub source: Option<Source>,
    /// The encryption of links.
    pub tls: Arc<Tls>,
    /// Where the state goes.
    pub writer: Writer,
    /// The last failovers.
    pub history: History,
    /// What became of the state.
    pub persisted: mpsc::Receiver<Persisted>,
    /// What looks names up.
    pub resolver: Resolver,
    /// What came of it.
    pub names: mpsc::Receiver<resolver::Answer>,
    /// What sessions share.
    pub shared: Arc<Shared>,
    /// What sessions want.
    pub calls: mpsc::Receiver<Call>,
    /// Facts about the process.
    pub process: Process,
    /// Who is told of the end.
    pub supervisor: Option<Supervisor>,
    /// The log.
    pub log: Log,
}

/// The loop's state.
#[derive(Debug)]
pub struct Node {
    origin: Instant,
    machine: Machine,
    globals: Globals,
    written: Written,
    source: Option<Source>,
    tls: Arc<Tls>,
    writer: Writer,
    history: History,
    resolver: Resolver,
    shared: Arc<Shared>,
    process: Process,
    log: Log,
    links: Links,
    infos: Infos,
    hub: Hub,
    scripts: Scripts,
    waits: Waits,
    simulated: Simulated,
    tilt_since: Option<Time>,
    tilts: u64,
    /// Events told, by name.
    events: BTreeMap<&'static str, u64>,
    /// Writes of the state that failed.
    persist_failures: u64,
    /// Why the last write of the state failed.
    disk_error: Option<String>,
    end: Option<End>,
}

/// The signals that mean something. Whoever says that the process is ready listens first: an early
/// SIGTERM is an orderly end too.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    /// The system refuses.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

/// Where events come from.
#[derive(Debug)]
struct Inlets {
    signals: Signals,
    links: mpsc::Receiver<links::Report>,
    persisted: mpsc::Receiver<Persisted>,
    names: mpsc::Receiver<resolver::Answer>,
    scripts: mpsc::Receiver<scripts::Report>,
    calls: mpsc::Receiver<Call>,
}

/// Runs until the process is to end.
pub async fn run(parts: Parts) -> End {
    let (links, link_reports) = Links::new();
    let (scripts, script_reports) = Scripts::new();
    let mut inlets = Inlets {
        signals: parts.signals,
        links: link_reports,
        persisted: parts.persisted,
        names: parts.names,
        scripts: script_reports,
        calls: parts.calls,
    };
    let mut node = Node {
        origin: parts.origin,
        machine: parts.machine,
        globals: parts.globals,
        written: parts.written,
        source: parts.source,
        tls: parts.tls,
        writer: parts.writer,
        history: parts.history,
        resolver: parts.resolver,
        shared: parts.shared,
        process: parts.process,
        log: parts.log,
        links,
        infos: Infos::default(),
        hub: Hub::default(),
        scripts,
        waits: Waits::default(),
        simulated: Simulated::default(),
        tilt_since: None,
        tilts: 0,
        events: BTreeMap::new(),
        persist_failures: 0,
        disk_error: None,
        end: None,
    };
    let end = node.serve(&mut inlets).await;
    if end == End::Orderly {
        if let Some(Err(error)) = parts.supervisor.map(Supervisor::stopping) {
            let text = format!("Cannot tell the supervisor of the end: {error}");
            node.log.warning(&text);
        }
        node.finish(&mut inlets.persisted).await;
        node.history.close().await;
    }
    end
}

impl Node {
    async fn serve(&mut self, inlets: &mut Inlets) -> End {
        loop {
            self.carry_out_all();
            for event in self.scripts.advance() {
                self.tell(&event);
            }
            if let Some(end) = self.end {
                return end;
            }
            tokio::select! {
                biased;
                _ = inlets.signals.terminate.recv() => self.stop("SIGTERM"),
                _ = inlets.signals.interrupt.recv() => self.stop("SIGINT"),
                _ = inlets.signals.hangup.recv() => self.hang_up(),
                Some(report) = inlets.links.recv() => self.link_reported(report),
                Some(done) = inlets.persisted.recv() => self.persisted(done),
                Some(answer) = inlets.names.recv() => self.resolved(answer),
                Some(report) = inlets.scripts.recv() => {
                    for event in self.scripts.handle(report) {
                        self.tell(&event);
                    }
                }
                () = tokio::time::sleep_until(self.next_wake()) => {}
                Some(call) = inlets.calls.recv() => {
                    self.called(call);
                    for _ in 1..CALLS_IN_A_ROW {
                        let Ok(call) = inlets.calls.try_recv() else { break };
                        self.called(call);
                    }
                }
            }
            self.be_on_time();
        }
    }

    /// The moment for the machine.
    fn now(&self) -> Time {
        Time::from_origin(self.origin.elapsed())
    }

    /// When something is due even if nothing happens.
    fn next_wake(&self) -> Instant {
        const FAR: std::time::Duration = std::time::Duration::from_secs(3600);
        let at = |time: Time| self.origin.checked_add(time.since_origin());
        let machine = self.machine.poll_timeout().and_then(at);
        let wakes = machine.into_iter().chain(self.scripts.next_due());
        wakes.min().unwrap_or_else(|| Instant::now() + FAR)
    }

    fn be_on_time(&mut self) {
        let now = self.now();
        if self.machine.poll_timeout().is_some_and(|due| due <= now) {
            self.machine.handle_timeout(now);
        }
    }

    /// SIGHUP: opens the log again, and reads certificates again.
    fn hang_up(&self) {
        self.log.reopen();
        if !self.tls.is_used() {
            return;
        }
        match self.tls.reload() {
            Ok(()) => self.log.notice("Read the TLS certificates again"),
            Err(error) => {
                let text = format!("Kept the TLS certificates as they were: {error}");
                self.log.warning(&text);
            }
        }
    }

    fn stop(&mut self, cause: &str) {
        self.log
            .warning(&format!("Received {cause}, scheduling shutdown..."));
        self.end = Some(End::Orderly);
    }

    fn link_reported(&mut self, report: links::Report) {
        let Some(input) = self.links.input(report) else {
            return;
        };
        let now = self.now();
        if let Input::Reply {
            link,
            reply: Reply::Info(Some(info)),
            ..
        } = &input
        {
            self.keep_info(*link, now, &Arc::clone(info));
        }
        match input {
            Input::Hello(hello) => self.hear(now, hello),
            input => self.machine.handle_input(now, input),
        }
    }

    /// Tells the machine of a hello that can be true.
    fn hear(&mut self, now: Time, hello: Hello) {
        let seen = self.machine.current_epoch();
        let told = [hello.current_epoch, hello.config_epoch];
        if told.iter().all(|epoch| epochs::is_plausible(*epoch, seen)) {
            self.machine.handle_input(now, Input::Hello(hello));
        } else {
            let text = format!("Ignored a hello with an impossible epoch: {hello}");
            self.log.write(Level::Verbose, &text);
        }
    }

    fn keep_info(&mut self, link: LinkId, now: Time, info: &Arc<codis_sentinel_proto::info::Info>) {
        if let Some(addr) = self.links.addr_of(link) {
            self.infos.keep(&self.machine.shown(addr), now, info);
        }
    }

    fn persisted(&mut self, done: Persisted) {
        let Persisted { id, result } = done;
        if result.is_err() {
            self.persist_failures += 1;
        }
        let ok = result.is_ok();
        let error = result.err().map(|error| error.to_string());
        // Once for each reason, not for each try.
        if let Some(error) = &error
            && self.disk_error.as_ref() != Some(error)
        {
            let text = format!(
                "WARNING: Sentinel was not able to save the new configuration on disk!!!: {error}"
            );
            self.log.warning(&text);
        }
        self.disk_error = error;
        self.waits.persisted(id, ok);
        self.machine
            .handle_input(self.now(), Input::Persisted { id, ok });
    }

    /// A name was looked up.
    fn resolved(&mut self, answer: resolver::Answer) {
        self.resolver.answered(&answer);
        let resolver::Answer { host, answers, .. } = answer;
        let input = Input::Resolved {
            host: host.clone(),
            answers,
        };
        self.machine.handle_input(self.now(), input);
        self.take_requests(&host);
    }

    /// Carries out the requests that waited for a name, or refuses them.
    fn take_requests(&mut self, host: &str) {
        let known = self.machine.knows_host(host);
        for request in self.waits.resolved(host) {
            if known {
                self.requested(request);
            } else {
                let error = codis_core::resp::Value::error(commands::NO_SUCH_HOST);
                waits::give(request.answer, error.into());
            }
        }
    }

    fn called(&mut self, call: Call) {
        match call {
            // A scrape that was given up needs no answer.
            Call::Figures(answer) => drop(answer.send(self.figures())),
            Call::Gone(session) => self.hub.forget(session),
            Call::Request(request) => self.requested(request),
            Call::Users {
                session,
                users,
                answer,
            } => {
                let closing = change::replace(&self.shared, &self.hub, session, users);
                let reply = codis_core::resp::Value::ok().into();
                waits::give(answer, Answer { closing, ..reply });
            }
        }
    }

    fn requested(&mut self, request: Request) {
        let now = self.now();
        let mut context = Context {
            now,
            machine: &mut self.machine,
            globals: &mut self.globals,
            server: &mut self.written.server,
            hub: &mut self.hub,
            scripts: &mut self.scripts,
            infos: &self.infos,
            history: &self.history,
            simulated: &mut self.simulated,
            shared: &self.shared,
            process: &self.process,
            tilt_since: self.tilt_since,
            tilts: self.tilts,
        };
        let outcome = commands::run(&mut context, &request);
        self.conclude(now, outcome, request);
        // What one client asked for is done before the next one's request.
        self.carry_out_all();
    }

    fn conclude(&mut self, now: Time, outcome: Outcome, request: Request) {
        let Request { answer, .. } = request;
        match outcome {
            Outcome::Answer(value) => waits::give(answer, value),
            Outcome::Durable(value) => {
                self.refresh_renames();
                let id = self.machine.last_persist();
                self.waits.until_persisted(id, value, answer);
            }
            Outcome::Asked {
                master,
                epoch,
                candidate,
            } => {
                let request = self.waits.until_answered(answer);
                let input = Input::Asked {
                    request,
                    master,
                    epoch,
                    candidate,
                };
                self.machine.handle_input(now, input);
            }
            Outcome::Hello(hello) => {
                waits::give(answer, codis_core::resp::Value::Integer(1).into());
                if let Some(hello) = hello {
                    self.hear(now, hello);
                }
            }
            Outcome::LookUp { host } => {
                let request = Request { answer, ..request };
                self.waits.until_resolved(&host, request);
                if !self.resolver.resolve(&host) {
                    self.take_requests(&host);
                }
            }
            Outcome::Shutdown => self.stop("SHUTDOWN"),
        }
    }
}
