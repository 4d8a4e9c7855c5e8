//! What becomes of effects: sockets, commands, answers.

use codis_sentinel_proto::{WriteProbe, WriteRefusal};

use super::*;

impl World {
    pub(super) fn reply(
        &mut self,
        socket: Socket,
        generation: u64,
        command: CommandId,
        reply: Reply,
    ) {
        let input = Input::Reply {
            link: socket.1,
            command,
            reply,
        };
        self.arrive(LATENCY, Arrival::OnSocket(socket, generation, input));
    }

    pub(super) fn execute(
        &mut self,
        socket: Socket,
        generation: u64,
        to: &Addr,
        id: CommandId,
        command: Command,
    ) {
        if let Command::IsMasterDown {
            master,
            epoch,
            candidate,
        } = command
        {
            self.counter += 1;
            let request = RequestId(self.counter);
            let n = self.sentinel_at(to);
            self.asked.insert((n, request), (socket, generation, id));
            let input = Input::Asked {
                request,
                master,
                epoch,
                candidate,
            };
            return self.feed(n, input);
        }
        if let Command::Publish(hello) = &command {
            if self.servers.contains_key(to) {
                let subscribed = |(s, (_, at)): (&Socket, &(u64, Addr))| {
                    (s.2 == Channel::PubSub && at == to).then_some(*s)
                };
                let to: Vec<Socket> = self.sockets.iter().filter_map(subscribed).collect();
                for subscriber in to {
                    let generation = self.sockets[&subscriber].0;
                    let input = Input::Hello(hello.clone());
                    self.arrive(LATENCY, Arrival::OnSocket(subscriber, generation, input));
                    let link = subscriber.1;
                    let input = Input::PubSubActivity { link };
                    self.arrive(LATENCY, Arrival::OnSocket(subscriber, generation, input));
                }
            } else {
                let n = self.sentinel_at(to);
                self.feed(n, Input::Hello(hello.clone()));
            }
        }
        let Some(server) = self.servers.get_mut(to) else {
            let reply = Server::pong(&command);
            return self.reply(socket, generation, id, reply);
        };
        let hangs = server.writes == WriteProbe::Refused(WriteRefusal::Hang);
        if server.frozen || (hangs && matches!(command, Command::WriteProbe)) {
            return;
        }
        let reconfigures = matches!(command, Command::Reconfigure { .. });
        let reply = server.execute(&command);
        if let (Some(_), Command::HandOver { timeout, .. }) = (&server.hands_over, &command) {
            self.arrive(ms(5), Arrival::HandOver(to.clone()));
            self.arrive(*timeout, Arrival::GiveUp(to.clone()));
        }
        if reconfigures {
            self.arrive(ms(20), Arrival::Sync(to.clone()));
            self.close_where(|other, at| at == to && *other != socket);
        }
        self.refresh_replicas();
        self.reply(socket, generation, id, reply);
    }

    /// A master that hands over changes places with a replica that has everything.
    pub(super) fn change_places(&mut self, addr: &Addr) {
        let Some(to) = self.servers[addr].hands_over.clone() else {
            return;
        };
        let replica = self.servers.get_mut(&to).unwrap();
        let alive = replica.alive && !replica.frozen;
        if !alive || replica.lags || !self.servers[addr].alive {
            return;
        }
        let offset = self.servers[addr].offset;
        let replica = self.servers.get_mut(&to).unwrap();
        (replica.master, replica.offset) = (None, offset);
        let master = self.servers.get_mut(addr).unwrap();
        (master.master, master.link_up, master.hands_over) = (Some(to), true, None);
        self.refresh_replicas();
    }

    /// Masters list the replicas that follow them and live.
    fn refresh_replicas(&mut self) {
        let follows: Vec<(Addr, Addr)> = self
            .servers
            .iter()
            .filter(|(_, it)| it.alive)
            .filter_map(|(addr, it)| Some((it.master.clone()?, addr.clone())))
            .collect();
        for (addr, server) in &mut self.servers {
            let mine = follows.iter().filter(|(master, _)| master == addr);
            server.replicas = mine.map(|(_, replica)| replica.clone()).collect();
        }
    }

    fn sentinel_at(&self, addr: &Addr) -> usize {
        let found = (0..self.sentinels.len()).find(|n| sentinel(*n) == *addr);
        found.expect("only sentinels and servers are addressed")
    }

    pub fn drain(&mut self, n: usize) {
        while let Some(effect) = self.sentinels[n].machine.poll_effect() {
            self.obey(n, effect);
        }
        let seen = self.config_epoch(n);
        assert!(seen >= self.sentinels[n].epoch_seen, "a config epoch fell");
        self.sentinels[n].epoch_seen = seen;
    }

    fn obey(&mut self, n: usize, effect: Effect) {
        match effect {
            Effect::Connect {
                link,
                channel,
                addr,
                ..
            } => self.connect((n, link, channel), addr),
            // The hosts of this world are no names that are looked up.
            Effect::Resolve { .. } => {}
            Effect::Disconnect { link, channel } => {
                self.sockets.remove(&(n, link, channel));
            }
            Effect::Send { link, id, command } => {
                let socket = (n, link, command.channel());
                if let Some((generation, to)) = self.sockets.get(&socket).cloned() {
                    *self.sent.entry((n, to, kind(&command))).or_default() += 1;
                    self.arrive(LATENCY, Arrival::Command(socket, generation, id, command));
                }
            }
            Effect::Persist { id, snapshot } => {
                let life = self.sentinels[n].life;
                self.arrive(FSYNC, Arrival::Persisted(n, life, id, snapshot));
            }
            Effect::Answer { request, opinion } => self.answer(n, request, opinion),
            Effect::Event(event) => {
                let text = format!("{} {}", event.name, event.payload);
                self.events.push((self.now, n, text));
            }
            Effect::Topology(topology) => self.topologies.push((self.now, n, *topology)),
            Effect::Failover { zero, record } => self.failovers.push((zero, n, *record)),
            Effect::ReconfigScript(it) => self.scripts.push((n, it.leader, it.from, it.to)),
        }
    }

    fn connect(&mut self, socket: Socket, addr: Addr) {
        self.counter += 1;
        let generation = self.counter;
        let (n, link, channel) = socket;
        let up = match self.servers.get(&addr) {
            Some(server) => server.alive && !self.refused.contains(&(n, addr.clone())),
            None => self
                .sentinels
                .get(self.sentinel_at(&addr))
                .is_some_and(|it| it.running),
        };
        let reachable = self.reachable(n, &addr);
        self.sockets.insert(socket, (generation, addr));
        let input = if up {
            Input::Connected {
                link,
                channel,
                local_ip: sentinel(n).host().to_owned(),
            }
        } else {
            Input::Disconnected {
                link,
                channel,
                reason: DisconnectReason::Refused,
            }
        };
        if reachable {
            self.arrive(2 * LATENCY, Arrival::OnSocket(socket, generation, input));
        }
    }

    fn answer(&mut self, n: usize, request: RequestId, opinion: Option<Opinion>) {
        if let Some(opinion) = &opinion
            && let Some(leader) = &opinion.leader
        {
            let epoch = opinion.leader_epoch;
            let durable = &self.sentinels[n].durable.masters[NAME];
            assert!(
                durable.leader_epoch >= epoch,
                "told a vote that is not durable"
            );
            let first = self.votes.entry((n, epoch)).or_insert(leader.clone());
            assert_eq!(first, leader, "two votes in one epoch");
        }
        if let Some((socket, generation, id)) = self.asked.remove(&(n, request)) {
            self.reply(socket, generation, id, Reply::MasterDown(opinion));
        }
    }

    /// Feeds an input that comes from nowhere in this world.
    pub fn inject(&mut self, n: usize, input: Input) {
        let life = self.sentinels[n].life;
        self.arrive(Duration::ZERO, Arrival::Input(n, life, input));
        self.run(Duration::ZERO.max(Duration::from_nanos(1)));
    }
}

fn kind(command: &Command) -> &'static str {
    match command {
        Command::Ping => "PING",
        Command::Info => "INFO",
        Command::Publish(_) => "PUBLISH",
        Command::IsMasterDown { .. } => "IS-MASTER-DOWN",
        Command::Reconfigure { .. } => "SLAVEOF",
        Command::HandOver { .. } => "FAILOVER",
        Command::AbortHandOver => "FAILOVER ABORT",
        Command::Follow { .. } => "plain SLAVEOF",
        Command::ScriptKill => "SCRIPT KILL",
        Command::WriteProbe => "SETRANGE",
    }
}
