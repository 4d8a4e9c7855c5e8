//! Sending requests by the routes of now: those that waited, were refused, or lost their server.

use std::rc::Rc;

use codis_core::slot::SlotId;

use super::migrate::lines::Event;
use super::raw::Raw;
use super::reply::{self, Reply};
use super::request::{Origin, Outcome, Request, SplitCommand};
use super::worker::{Target, Worker};
use crate::route::Method;

/// With the semi-async method a server runs a command where one key is, not where several are. So
/// the keys of a split command travel one by one, unless there are more of them than this.
const KEYS_APART_MAX: usize = 64;

impl Worker {
    /// Sends a request to where its slots say now, whether there is room or not. A part whose
    /// slots went different ways is grouped again.
    pub fn dispatch(self: &Rc<Self>, request: Request) {
        match &request.origin {
            Origin::Part(command, part) => {
                let (command, part) = (command.clone(), *part);
                return self.dispatch_part(&command, part, &request);
            }
            Origin::Step(job, _) => {
                return self.line_event(Event::Again(job.clone(), request.attempts));
            }
            Origin::Session(..) | Origin::Probe => {}
        }
        let Some(slot) = request.slot else {
            let reply = Reply::Shared(reply::backend_failure("backend is gone"));
            return request.finish(reply, Outcome::Failed);
        };
        let target = self.target(slot, request.access, request.db, request.lane);
        self.send(request, target);
    }

    fn dispatch_part(self: &Rc<Self>, command: &Rc<SplitCommand>, part: usize, like: &Request) {
        let (access, db, lane) = (like.access, like.db, like.lane);
        let mut split = command.split.borrow_mut();
        let mut groups = Vec::new();
        for (part, target) in split.regroup(part, |slot| self.target(slot, access, db, lane)) {
            let is_single = |slot| self.is_semi_async(slot) && split.is_few(part, KEYS_APART_MAX);
            if matches!(target, Target::Migrate(slot) if is_single(slot)) {
                let mut number = 0;
                let apart = split.regroup(part, |_| {
                    number += 1;
                    number
                });
                groups.extend(apart.into_iter().map(|(part, _)| (part, target)));
            } else {
                groups.push((part, target));
            }
        }
        drop(split);
        for (part, target) in groups {
            let raw = Raw::from(command.split.borrow().encode(part));
            let origin = Origin::Part(command.clone(), part);
            self.send(
                Request {
                    raw,
                    origin,
                    ..like.clone()
                },
                target,
            );
        }
    }

    fn send(self: &Rc<Self>, request: Request, target: Target) {
        match target {
            Target::To(backend) => {
                let conn = self.conn(backend, request.db, request.lane);
                conn.push(self, request);
            }
            Target::Park => self.park(request),
            Target::Migrate(_) => self.migrate(request),
            Target::Offline => {
                request.finish(Reply::Shared(reply::SLOT_NOT_READY), Outcome::Failed)
            }
        }
    }

    fn is_semi_async(&self, slot: SlotId) -> bool {
        let table = self.table.borrow();
        let migration = table.route(slot).migration;
        migration.is_some_and(|migration| migration.method == Method::SemiAsync)
    }
}
