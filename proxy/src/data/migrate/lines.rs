//! The lines of a worker: whose turn it is, and what the machines say is done.
//!
//! A reply may lead to a request that fails at once, and that to the next one. So nothing here
//! calls itself: what happens becomes an event, and events are handled one after the other.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use bytes::Bytes;

use super::job::{Job, LineId, step_error};
use super::machine::{Next, Step};
use crate::data::parking::weight;
use crate::data::reply::{self, Reply};
use crate::data::request::{Outcome, Request};
use crate::data::worker::Worker;

/// Something that concerns a line.
#[derive(Debug)]
pub enum Event {
    /// The next request of a line may have its turn.
    Turn(LineId),
    /// A step was answered.
    Told {
        /// Whose step.
        job: Rc<Job>,
        /// Which one.
        step: Step,
        /// The answer of a server, or the error of this proxy.
        reply: Bytes,
        /// Which of the two.
        outcome: Outcome,
    },
    /// A pause is over.
    Resume(Rc<Job>),
    /// A step was not answered and may be sent again; it was sent so often.
    Again(Rc<Job>, u8),
}

/// What a request of a line takes in memory, with the step that repeats its words.
fn cost(request: &Request) -> usize {
    weight(2 * request.raw.len())
}

#[derive(Debug, Default)]
struct Line {
    active: Option<Rc<Job>>,
    /// In the order of their tickets.
    waiting: VecDeque<Request>,
}

/// All lines of a worker.
#[derive(Debug, Default)]
pub struct Lines {
    lines: HashMap<LineId, Line>,
    events: VecDeque<Event>,
    handling: bool,
    len: usize,
    bytes: usize,
}

impl Lines {
    /// Requests in all lines.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no request is in any line.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What they weigh in memory.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn enter(&mut self, id: LineId, request: Request) {
        self.len += 1;
        self.bytes += cost(&request);
        let waiting = &mut self.lines.entry(id).or_default().waiting;
        let place = waiting.partition_point(|other| other.ticket <= request.ticket);
        waiting.insert(place, request);
    }

    fn leave(&mut self, request: &Request) {
        self.len -= 1;
        self.bytes -= cost(request);
    }
}

impl Worker {
    /// Takes a request of a migrating slot into its line.
    pub fn migrate(self: &Rc<Self>, request: Request) {
        let mut slot = None;
        request.any_slot(|first| {
            slot = Some(first);
            true
        });
        let (Some(slot), Some(session)) = (slot, request.session()) else {
            return;
        };
        let id = (session.id, slot);
        self.lines.borrow_mut().enter(id, request);
        self.line_event(Event::Turn(id));
    }

    /// Handles an event, behind those that came before it.
    pub fn line_event(self: &Rc<Self>, event: Event) {
        {
            let mut lines = self.lines.borrow_mut();
            lines.events.push_back(event);
            if std::mem::replace(&mut lines.handling, true) {
                return;
            }
        }
        loop {
            let event = self.lines.borrow_mut().events.pop_front();
            match event {
                Some(Event::Turn(id)) => self.take_turn(id),
                Some(Event::Told {
                    job,
                    step,
                    reply,
                    outcome,
                }) => self.step_told(&job, step, reply, outcome),
                Some(Event::Resume(job)) => self.resume(&job),
                Some(Event::Again(job, attempts)) => self.restart(&job, attempts),
                None => break,
            }
        }
        self.lines.borrow_mut().handling = false;
    }

    fn take_turn(self: &Rc<Self>, id: LineId) {
        let request = {
            let mut lines = self.lines.borrow_mut();
            let Some(line) = lines.lines.get_mut(&id) else {
                return;
            };
            if line.active.is_some() {
                return;
            }
            let Some(request) = line.waiting.pop_front() else {
                lines.lines.remove(&id);
                return;
            };
            request
        };
        self.begin(id, request);
    }

    /// Starts a request that has its turn, as its slot's route says now.
    fn begin(self: &Rc<Self>, id: LineId, request: Request) {
        let route = {
            let table = self.table.borrow();
            let route = table.route(id.1);
            let migration = route.migration.filter(|_| !route.hold.is_held());
            route
                .master
                .zip(migration)
                .map(|(target, migration)| (migration.source, target, migration.method))
        };
        let late = self.is_late(request.since);
        match (request.session().cloned(), route) {
            (Some(session), Some(route)) if !late && !session.is_closed() => {
                let job = Job::new(self.clone(), id, session, request, route);
                let mut lines = self.lines.borrow_mut();
                lines.lines.entry(id).or_default().active = Some(job.clone());
                drop(lines);
                let next = job.machine.borrow_mut().begin();
                return self.go_on(&job, next);
            }
            (session, _) => {
                self.lines.borrow_mut().leave(&request);
                if late {
                    self.fail_late(request, None);
                } else if session.is_some_and(|session| !session.is_closed()) {
                    self.dispatch(request);
                }
            }
        }
        self.line_event(Event::Turn(id));
    }

    /// Whether the route is still the one that a job goes by.
    fn is_current(&self, job: &Job) -> bool {
        let table = self.table.borrow();
        let route = table.route(job.line.1);
        let source = route.migration.map(|migration| migration.source);
        !route.hold.is_held() && route.master == Some(job.target) && source == Some(job.source)
    }

    fn go_on(self: &Rc<Self>, job: &Rc<Job>, next: Next) {
        match next {
            Next::Wait => {}
            Next::Answer(reply) => self.end(job, reply, Outcome::Answered),
            Next::Fail(_) if !job.running.get() && !self.is_current(job) => self.restart(job, 0),
            Next::Fail(text) => {
                let reply = reply::error(&format!("ERR handle request, {text}"));
                self.end(job, reply, Outcome::Failed);
            }
            Next::Send(_) | Next::Pause(_) if !self.is_current(job) => self.restart(job, 0),
            Next::Send(steps) => {
                let runs = |step: &Step| matches!(step, Step::Wrap | Step::Run);
                job.running.set(steps.iter().any(runs));
                for step in steps {
                    self.push_step(job, step);
                }
            }
            Next::Pause(pause) => {
                self.local.counters().migrate_waits.add(1);
                job.paused.set(true);
                job.running.set(false);
                let (worker, job) = (self.clone(), job.clone());
                tokio::task::spawn_local(async move {
                    tokio::time::sleep(pause).await;
                    worker.local.tick();
                    worker.line_event(Event::Resume(job));
                });
            }
        }
    }

    fn push_step(self: &Rc<Self>, job: &Rc<Job>, step: Step) {
        let target = self.table.borrow().address(job.target).clone();
        let Some(request) = job.request_of(step, &target) else {
            return;
        };
        let counters = self.local.counters();
        let to = match step {
            Step::Run => job.target,
            Step::Move(_) | Step::MoveWrapped(_) => {
                counters.migrate_moves.add(1);
                job.source
            }
            Step::Wrap | Step::Plain | Step::Exists => job.source,
        };
        let conn = self.conn(to, request.db, request.lane);
        conn.push(self, request);
    }

    fn step_told(self: &Rc<Self>, job: &Rc<Job>, step: Step, reply: Bytes, outcome: Outcome) {
        if job.is_retired() {
            return;
        }
        match (step, outcome) {
            (Step::Run, _) => self.end(job, reply, outcome),
            (_, Outcome::Answered) => {
                let next = job.machine.borrow_mut().told(step, reply);
                self.go_on(job, next);
            }
            (_, Outcome::Refused | Outcome::Failed) => self.end(job, step_error(&reply), outcome),
        }
    }

    fn resume(self: &Rc<Self>, job: &Rc<Job>) {
        if job.is_retired() {
            return;
        }
        job.paused.set(false);
        if job.session.is_closed() {
            return self.drop_line(job.line);
        }
        let next = job.machine.borrow_mut().resume();
        self.go_on(job, next);
    }

    /// Takes a job off its line.
    fn detach(&self, job: &Job) -> Option<Request> {
        let request = job.retire()?;
        let mut lines = self.lines.borrow_mut();
        if let Some(line) = lines.lines.get_mut(&job.line) {
            line.active = None;
        }
        Some(request)
    }

    /// Begins again from the start, by the route of now, before all that wait behind.
    fn restart(self: &Rc<Self>, job: &Rc<Job>, attempts: u8) {
        if let Some(mut request) = self.detach(job) {
            request.attempts = request.attempts.max(attempts);
            self.begin(job.line, request);
        }
    }

    fn end(self: &Rc<Self>, job: &Rc<Job>, reply: Bytes, outcome: Outcome) {
        if let Some(request) = self.detach(job) {
            self.lines.borrow_mut().leave(&request);
            request.finish(Reply::Shared(reply), outcome);
            self.line_event(Event::Turn(job.line));
        }
    }

    /// Forgets a line whose client is gone.
    fn drop_line(&self, id: LineId) {
        let mut lines = self.lines.borrow_mut();
        let Some(line) = lines.lines.remove(&id) else {
            return;
        };
        let active = line.active.and_then(|job| job.retire());
        for request in active.iter().chain(&line.waiting) {
            lines.leave(request);
        }
    }

    /// Takes out what has nothing under way, to be routed by another table.
    pub(in crate::data) fn take_lines(&self) -> Vec<Request> {
        let mut lines = self.lines.borrow_mut();
        let lines = &mut *lines;
        let mut out = Vec::new();
        for line in lines.lines.values_mut() {
            if line.active.as_ref().is_some_and(|job| job.paused.get()) {
                out.extend(line.active.take().and_then(|job| job.retire()));
            }
            out.extend(std::mem::take(&mut line.waiting));
        }
        lines.lines.retain(|_, line| line.active.is_some());
        for request in &out {
            lines.leave(request);
        }
        out
    }

    /// Ends what has waited for too long, and the lines of clients that are gone.
    pub(in crate::data) fn sweep_lines(self: &Rc<Self>) {
        if self.lines.borrow().is_empty() {
            return;
        }
        let mut gone = Vec::new();
        let mut late = Vec::new();
        let mut late_jobs = Vec::new();
        for (id, line) in &mut self.lines.borrow_mut().lines {
            let closed = |request: &Request| request.session().is_none_or(|s| s.is_closed());
            let job = line.active.as_ref();
            if job.map_or_else(
                || line.waiting.front().is_none_or(closed),
                |job| job.session.is_closed(),
            ) {
                gone.push(*id);
                continue;
            }
            let is_late = |job: &&Rc<Job>| {
                !job.running.get() && job.since().is_some_and(|since| self.is_late(since))
            };
            late_jobs.extend(job.filter(is_late).cloned());
            let (over, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut line.waiting)
                .into_iter()
                .partition(|request| self.is_late(request.since));
            line.waiting = kept.into();
            late.extend(over);
        }
        for id in gone {
            self.drop_line(id);
        }
        for request in late {
            self.lines.borrow_mut().leave(&request);
            self.fail_late(request, None);
        }
        for job in late_jobs {
            let hindrance = job.machine.borrow().hindrance().map(str::to_owned);
            if let Some(request) = self.detach(&job) {
                self.lines.borrow_mut().leave(&request);
                self.fail_late(request, hindrance);
                self.line_event(Event::Turn(job.line));
            }
        }
    }

    fn fail_late(&self, request: Request, hindrance: Option<String>) {
        self.local.counters().slot_timeouts.add(1);
        let reply = hindrance.map_or(reply::KEY_MOVING, |why| {
            reply::error(&format!("ERR handle request, {why}"))
        });
        request.finish(Reply::Shared(reply), Outcome::Failed);
    }
}
