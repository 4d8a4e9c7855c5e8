//! The shell of a sentinel: feeds its machine, obeys its effects, and dies where a fault says.

use std::time::Duration;

use codis_core::addr::Addr;
use codis_sentinel_proto::event::Event;
use codis_sentinel_proto::ids::{CommandId, LinkId, RequestId};
use codis_sentinel_proto::info::Trouble;
use codis_sentinel_proto::{
    CannotTell, Channel, Command, Effect, Input, Opinion, PingReply, Reply, WriteProbe,
};

use super::{Happening, Message, Request, Sabotage, World, log};
use crate::check::Rule;
use crate::fault::CrashPoint;
use crate::net::{ConnId, Dir, Packet};
use crate::plan::Blow;

/// A machine that answers one input with more effects than this does not end.
const EFFECTS_MAX: usize = 10_000;

impl World {
    /// Something reaches a sentinel's process.
    pub(super) fn tell(&mut self, who: usize, message: Message) {
        let process = &mut self.sentinels[who];
        if process.brain.is_none() {
            return;
        }
        if process.stalled {
            process.inbox.push_back(message);
            return;
        }
        self.process(who, message);
    }

    /// The process handles a message.
    pub(super) fn process(&mut self, who: usize, message: Message) {
        match message {
            Message::Opened(id) => {
                let local_ip = self.sentinels[who].addr.host().to_owned();
                if let Some((link, channel)) = self.socket(who, id)
                    && let Some(socket) = self.sentinels[who].links.get_mut(&(link, channel))
                {
                    socket.open = true;
                    self.feed(
                        who,
                        Input::Connected {
                            link,
                            channel,
                            local_ip,
                        },
                    );
                }
            }
            Message::Lost(id, reason) => {
                if let Some((link, channel)) = self.socket(who, id) {
                    self.sentinels[who].links.remove(&(link, channel));
                    self.feed(
                        who,
                        Input::Disconnected {
                            link,
                            channel,
                            reason,
                        },
                    );
                }
            }
            Message::Reply(id, command, mut reply) => {
                if let Some((link, _)) = self.socket(who, id) {
                    self.falsify(&mut reply);
                    self.safety.on_reply(who, command, &reply, self.now);
                    self.judge_reply(who, id, command, &reply);
                    if self.sabotage == Sabotage::Deaf && matches!(reply, Reply::Ping(_)) {
                        return;
                    }
                    self.exaggerate(&mut reply);
                    self.feed(
                        who,
                        Input::Reply {
                            link,
                            command,
                            reply,
                        },
                    );
                }
            }
            Message::PubSub(id, hello) => {
                if let Some((link, _)) = self.socket(who, id) {
                    self.feed(who, Input::PubSubActivity { link });
                    if let Some(hello) = hello
                        && self.sentinels[who].brain.is_some()
                    {
                        self.feed(who, Input::Hello(hello));
                    }
                }
            }
            Message::Command(id, command, body) => self.serve_peer(who, id, command, body),
            Message::Persisted(id, ok) => self.feed(who, Input::Persisted { id, ok }),
            Message::Wake => self.wake(who),
        }
    }

    /// A broken shell hides from everybody that a server refuses writes.
    fn falsify(&self, reply: &mut Reply) {
        if self.sabotage != Sabotage::HideRefusals {
            return;
        }
        match reply {
            Reply::Ping(ping @ PingReply::Misconf) => *ping = PingReply::Pong,
            Reply::WriteProbed(probe) => *probe = WriteProbe::NotNow,
            Reply::Info(Some(info)) => std::sync::Arc::make_mut(info).trouble = Trouble::default(),
            _ => {}
        }
    }

    /// A broken shell makes every opinion of a peer one against the master.
    const fn exaggerate(&self, reply: &mut Reply) {
        if let (Sabotage::Hearsay, Reply::MasterDown(Some(opinion))) = (self.sabotage, reply) {
            opinion.down = true;
        }
    }

    fn judge_reply(&mut self, who: usize, id: ConnId, command: CommandId, reply: &Reply) {
        let local = self.sentinels[who].clock.local(self.now);
        let server = self.conns.get(&id).map(|conn| self.addr_of(conn.server));
        let from = server.cloned();
        self.judgement
            .on_reply(who, local, command, from.as_ref(), reply);
    }

    /// A sentinel tells of what it saw or did.
    pub(super) fn heard_event(&mut self, who: usize, event: &Event) {
        let confirmed = &self.sentinels[who].disk.confirmed;
        self.safety.on_event(self.now, who, event, confirmed);
        self.election_event(event);
        self.accused(who, event);
        if self.plan.stock[who] {
            self.switched(who, event);
            if matches!(event.name, "+sdown" | "+odown") {
                // Its clock starts at the first PING that goes unanswered, or at its creation.
                return;
            }
        }
        let local = self.sentinels[who].clock.local(self.now);
        let is_ordered = self.safety.is_forced(who);
        let judged = self.judgement.on_event(who, local, event, is_ordered);
        if let Err((rule, text)) = judged {
            self.fail(rule, text);
        }
    }

    /// The name that the process still has for a connection.
    fn socket(&self, who: usize, id: ConnId) -> Option<(LinkId, Channel)> {
        let conn = self.conns.get(&id);
        let links = &self.sentinels[who].links;
        let key = match conn {
            Some(conn) => (conn.link, conn.channel),
            None => *links.iter().find(|(_, socket)| socket.conn == id)?.0,
        };
        (links.get(&key)?.conn == id).then_some(key)
    }

    /// A peer's command, as a sentinel answers it.
    fn serve_peer(&mut self, who: usize, id: ConnId, command: CommandId, body: Command) {
        let reply = match body {
            Command::Ping => Reply::Ping(PingReply::Pong),
            Command::Info => Reply::Info(None),
            Command::Follow { .. } => Reply::Reconfigured(Err("ERR unknown command".into())),
            Command::ScriptKill => Reply::ScriptKilled,
            Command::WriteProbe => Reply::WriteProbed(WriteProbe::CannotTell(CannotTell::Other)),
            Command::Reconfigure { .. } | Command::HandOver { .. } | Command::AbortHandOver => {
                Reply::Reconfigured(Err("ERR unknown command".into()))
            }
            Command::Publish(hello) => {
                self.transmit(
                    id,
                    Dir::Down,
                    Packet::Reply(command, Reply::Published(true)),
                );
                return self.feed(who, Input::Hello(hello));
            }
            Command::IsMasterDown {
                master,
                epoch,
                candidate,
            } => {
                if self.sabotage == Sabotage::DropQuestions {
                    let process = &mut self.sentinels[who];
                    process.next_request += 1;
                    let at = self.now;
                    let request = Request {
                        conn: id,
                        command,
                        master,
                        candidate,
                        at,
                    };
                    process
                        .requests
                        .insert(RequestId(process.next_request), request);
                    return;
                }
                return self.ask(who, id, command, master, epoch, candidate);
            }
        };
        self.transmit(id, Dir::Down, Packet::Reply(command, reply));
    }

    fn ask(
        &mut self,
        who: usize,
        conn: ConnId,
        command: CommandId,
        master: Addr,
        epoch: codis_core::epoch::Epoch,
        candidate: Option<codis_sentinel_proto::ids::SentinelId>,
    ) {
        let process = &mut self.sentinels[who];
        process.next_request += 1;
        let request = RequestId(process.next_request);
        let waiting = Request {
            conn,
            command,
            master: master.clone(),
            candidate: candidate.clone(),
            at: self.now,
        };
        process.requests.insert(request, waiting);
        self.feed(
            who,
            Input::Asked {
                request,
                master,
                epoch,
                candidate,
            },
        );
    }

    /// One input for the machine, and all that follows from it.
    pub(super) fn feed(&mut self, who: usize, input: Input) {
        log!(self, "s{} <- {}", who + 1, crate::show::input(&input));
        let process = &mut self.sentinels[who];
        let local = process.clock.local(self.now);
        let Some(brain) = &mut process.brain else {
            return;
        };
        brain.handle_input(local, input);
        self.after_step(who);
    }

    fn wake(&mut self, who: usize) {
        let process = &mut self.sentinels[who];
        let local = process.clock.local(self.now);
        let Some(brain) = &mut process.brain else {
            return;
        };
        if brain.poll_timeout().is_none_or(|due| due > local) {
            return self.after_step(who);
        }
        log!(self, "s{} wakes", who + 1);
        brain.handle_timeout(local);
        if let Some(due) = brain.poll_timeout().filter(|due| *due <= local) {
            let text = format!(
                "s{}: poll_timeout {due:?} after handle_timeout {local:?}",
                who + 1
            );
            self.fail(Rule::Contract, text);
        }
        self.after_step(who);
    }

    /// Obeys the effects, checks the machine, and asks to be woken in time.
    pub(super) fn after_step(&mut self, who: usize) {
        for count in 0.. {
            let process = &mut self.sentinels[who];
            let Some(brain) = &mut process.brain else {
                return;
            };
            let held = process.held.take();
            let Some(effect) = held.or_else(|| brain.poll_effect()) else {
                break;
            };
            if count > EFFECTS_MAX {
                return self.fail(Rule::Contract, format!("s{} never stops", who + 1));
            }
            if self.stops_before(who, &effect) {
                self.sentinels[who].held = Some(effect);
                return;
            }
            let dies = self.crash_due(who, &effect);
            if dies != Some(false) {
                self.obey(who, effect);
            }
            if dies.is_some() {
                return self.crash_as_planned(who);
            }
            if self.sentinels[who].stalled {
                // The rest waits until the process goes on.
                return;
            }
        }
        let process = &self.sentinels[who];
        let Some(brain) = &process.brain else {
            return;
        };
        self.safety.after_step(self.now, who, brain);
        let wanted = brain
            .poll_timeout()
            .map(|due| process.clock.global(due).max(self.now));
        let Some(wanted) = wanted else { return };
        if process.wake.is_none_or(|at| wanted < at) {
            let late = self.shell_rng.micros(0..300);
            self.sentinels[who].wake = Some(wanted);
            self.queue
                .push(wanted + late, Happening::Wake { who, wanted });
        }
    }

    /// Whether the process dies around this effect: before it (`false`) or after it (`true`).
    fn crash_due(&mut self, who: usize, effect: &Effect) -> Option<bool> {
        let (point, _, _) = self.sentinels[who].crash.as_mut()?;
        match point {
            CrashPoint::Now => Some(false),
            CrashPoint::Count(left) => {
                *left = left.saturating_sub(1);
                (*left == 0).then_some(true)
            }
            CrashPoint::At { mark, after } => mark.matches(effect).then_some(*after),
        }
    }

    fn crash_as_planned(&mut self, who: usize) {
        if let Some((_, blow, down)) = self.sentinels[who].crash.take() {
            self.crash_sentinel(who, blow, down);
        }
    }

    fn obey(&mut self, who: usize, effect: Effect) {
        log!(self, "s{} -> {}", who + 1, crate::show::effect(&effect));
        self.safety.on_effect(self.now, who, &effect);
        match effect {
            Effect::Connect {
                link,
                channel,
                addr,
                auth: _,
            } => {
                if self.sentinels[who].links.contains_key(&(link, channel)) {
                    let text = format!("s{} opens {link:?} {channel:?} twice", who + 1);
                    return self.fail(Rule::Contract, text);
                }
                self.open(who, link, channel, &addr);
            }
            Effect::Disconnect { link, channel } => {
                if let Some(socket) = self.sentinels[who].links.remove(&(link, channel)) {
                    self.client_closes(socket.conn);
                }
            }
            Effect::Send { link, id, command } => self.send(who, link, id, command),
            Effect::Persist { id, snapshot } => {
                if id <= self.sentinels[who].last_persist {
                    let text = format!("s{}: {id:?} does not ascend", who + 1);
                    return self.fail(Rule::Contract, text);
                }
                self.sentinels[who].last_persist = id;
                if self.plan.stock[who] {
                    return self.write_on_the_loop(who, id, *snapshot);
                }
                if self.sabotage == Sabotage::LyingDisk {
                    let lie = Happening::Lie {
                        who,
                        life: self.sentinels[who].life,
                        id,
                    };
                    self.queue.push(self.now, lie);
                }
                if self.sentinels[who].disk.order(id, *snapshot) {
                    self.start_write(who);
                }
            }
            Effect::Answer { request, opinion } => self.answer(who, request, opinion),
            Effect::Event(event) => self.heard_event(who, &event),
            Effect::Topology(topology) => self.published(who, &topology),
            // No host of the simulation is a name that is looked up.
            Effect::Failover { .. } | Effect::ReconfigScript(_) | Effect::Resolve { .. } => {}
        }
    }

    fn send(&mut self, who: usize, link: LinkId, id: CommandId, command: Command) {
        let process = &mut self.sentinels[who];
        let socket = process
            .links
            .get(&(link, command.channel()))
            .filter(|socket| socket.open);
        let Some(socket) = socket.copied() else {
            let text = format!(
                "s{} sends {command:?} on {link:?}, which is not open",
                who + 1
            );
            return self.fail(Rule::Contract, text);
        };
        if !process.sent.insert(id) {
            return self.fail(Rule::Contract, format!("s{} uses {id:?} twice", who + 1));
        }
        let target = self.conns.get(&socket.conn).map(|conn| conn.server);
        if let (Command::Reconfigure { follow }, Some(host)) = (&command, target) {
            let addr = self.addr_of(host).clone();
            self.safety.on_order(self.now, who, &addr, follow.as_ref());
            if self.sabotage == Sabotage::DropOrders {
                return;
            }
        }
        if let (Command::IsMasterDown { master, .. }, Some(host)) = (&command, target) {
            self.safety.on_question(who, host, id, master);
        }
        if let (Command::Ping, Some(host)) = (&command, target) {
            let addr = self.addr_of(host).clone();
            self.judgement.on_ping(who, id, &addr);
            if self.sabotage == Sabotage::DropPings && self.is_promoted(host) {
                return;
            }
        }
        self.transmit(socket.conn, Dir::Up, Packet::Command(id, command));
    }

    fn answer(&mut self, who: usize, request: RequestId, opinion: Option<Opinion>) {
        let Some(asked) = self.sentinels[who].requests.remove(&request) else {
            let text = format!("s{} answers {request:?}, which waits for nothing", who + 1);
            return self.fail(Rule::Contract, text);
        };
        let mut opinion = opinion;
        if let (Sabotage::YesMan, Some(said), Some(asker)) =
            (self.sabotage, &mut opinion, &asked.candidate)
        {
            said.leader = Some(asker.clone());
        }
        if let (Sabotage::Mute, Some(said)) = (self.sabotage, &mut opinion) {
            said.leader = None;
        }
        if let Some(said) = &opinion {
            let confirmed = &self.sentinels[who].disk.confirmed;
            self.safety
                .on_answer(self.now, who, &asked.master, said, confirmed);
        }
        let reply = Reply::MasterDown(opinion);
        self.transmit(asked.conn, Dir::Down, Packet::Reply(asked.command, reply));
    }

    /// The process of a sentinel is gone.
    pub(super) fn crash_sentinel(&mut self, who: usize, blow: Blow, down: Duration) {
        let lands = self.shell_rng.chance(500);
        let process = &mut self.sentinels[who];
        if process.brain.take().is_none() {
            return;
        }
        process.turn += 1;
        process.life += 1;
        process.links.clear();
        process.sent.clear();
        process.requests.clear();
        process.inbox.clear();
        process.stalled = false;
        process.crash = None;
        process.stall_at = None;
        process.held = None;
        process.wake = None;
        process.disk.crash(lands);
        let turn = process.turn;
        self.lose_state(who);
        log!(self, "s{} dies by {blow:?} for {down:?}", who + 1);
        self.stats.crashes += 1;
        self.net.off[who] = blow == Blow::PowerOff;
        self.drop_process(who, blow == Blow::Kill);
        let undo = super::Undo::StartSentinel { who, turn };
        self.queue.push(self.now + down, Happening::Undo(undo));
    }
}
