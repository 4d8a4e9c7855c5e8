//! Carrying out what the machine orders.

use std::collections::BTreeMap;
use std::time::SystemTime;

use codis_core::addr::Addr;
use codis_core::topology::{self, Topology};
use codis_sentinel_proto::event::{Event, Level, Notification};
use codis_sentinel_proto::ids::LinkId;
use codis_sentinel_proto::{Auth, Effect, Input, ReconfigScript};
use jiff::Timestamp;

use super::{End, Node};
use crate::links::connect::Target;
use crate::log;
use crate::port::Stats;
use crate::scripts::{Order, record};
use crate::wall;

/// Bytes of an event's text.
const PAYLOAD_BYTES_MAX: usize = 1024;

/// Characters of the id in the names of connections.
const NAME_ID_LEN: usize = 8;

impl Node {
    /// Carries out all orders, and those that follow from them.
    pub(super) fn carry_out_all(&mut self) {
        while self.end != Some(End::Simulated) {
            let Some(effect) = self.machine.poll_effect() else {
                return;
            };
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Connect {
                link,
                channel,
                addr,
                auth,
            } => {
                let target = self.target(link, addr, auth, channel);
                self.links.connect(link, channel, target);
            }
            Effect::Resolve { host } => self.resolve(host),
            Effect::Disconnect { link, channel } => self.links.disconnect(link, channel),
            Effect::Send { link, id, command } => {
                if let Some(lost) = self.links.send(link, id, &command) {
                    self.machine.handle_input(self.now(), lost);
                }
            }
            Effect::Persist { id, snapshot } => {
                let state = self.shared.access.state();
                let lines = self.written.lines(&snapshot, &self.globals, &state.users);
                drop(state);
                self.writer.write(id, lines);
            }
            Effect::Answer { request, opinion } => self.waits.answered(request, opinion),
            Effect::Event(event) => self.tell(&event),
            Effect::Topology(topology) => self.publish_topology(&topology),
            Effect::ReconfigScript(script) => self.reconfigure_clients(script),
            Effect::Failover { zero, mut record } => {
                let age = self.now().since(zero);
                record.start_unix_ms = wall::millis_before(SystemTime::now(), age);
                self.history.keep(*record);
            }
        }
    }

    /// Logs an event, publishes it, and runs its notification script.
    pub(super) fn tell(&mut self, event: &Event) {
        let Event {
            name,
            payload,
            level,
            script,
        } = event;
        let payload = &payload[..payload.floor_char_boundary(PAYLOAD_BYTES_MAX)];
        self.log
            .write(log_level(*level), &format!("{name} {payload}"));
        if *level > Level::Debug {
            self.publish(name, payload);
        }
        if let Some(Notification { path, stdin }) = script {
            let argv = vec![path.clone(), (*name).to_owned(), payload.to_owned()];
            let (myid, now) = (&self.process.myid, Timestamp::now());
            let record = stdin.as_ref();
            let stdin = record.map(|facts| record::of_event(event, facts, myid, now));
            self.scripts.push(Order { argv, stdin });
        }
        *self.events.entry(*name).or_default() += 1;
        match *name {
            "+tilt" => {
                self.tilt_since = Some(self.now());
                self.tilts += 1;
            }
            "-tilt" => self.tilt_since = None,
            _ => {}
        }
        if self.simulated.strikes_at(name) {
            self.log.warning(&format!("Simulated failure after {name}"));
            self.end = Some(End::Simulated);
        }
    }

    fn reconfigure_clients(&mut self, script: ReconfigScript) {
        let (myid, now) = (&self.process.myid, Timestamp::now());
        let facts = script.stdin.as_ref();
        let stdin = facts.map(|facts| record::of_reconfig(&script, facts, myid, now));
        let argv = reconfig_argv(script);
        self.scripts.push(Order { argv, stdin });
    }

    fn publish_topology(&mut self, record: &Topology) {
        match serde_json::to_string(record) {
            Ok(json) => self.publish(topology::CHANNEL, &json),
            Err(error) => self
                .log
                .warning(&format!("No JSON form of a topology: {error}")),
        }
    }

    fn publish(&mut self, channel: &str, payload: &str) {
        let cut = self.hub.publish(channel, payload);
        if cut > 0 {
            Stats::add(&self.shared.stats.output_limited, cut);
            let text = format!("Closed {cut} subscribers of {channel} that did not keep up");
            self.log.warning(&text);
        }
    }

    /// Has a name looked up. Where a lookup hangs there is no answer to wait for.
    pub(super) fn resolve(&mut self, host: String) {
        if !self.resolver.resolve(&host) {
            let answers = Vec::new();
            self.machine
                .handle_input(self.now(), Input::Resolved { host, answers });
        }
    }

    fn target(
        &self,
        link: LinkId,
        addr: Addr,
        auth: Auth,
        channel: codis_sentinel_proto::Channel,
    ) -> Target {
        let suffix = match channel {
            codis_sentinel_proto::Channel::Command => "cmd",
            codis_sentinel_proto::Channel::PubSub => "pubsub",
            codis_sentinel_proto::Channel::Probe => "probe",
        };
        let (credentials, renames) = match auth {
            Auth::Data { user, pass } => (pass.map(|p| (user, p)), self.renames_behind(link)),
            Auth::Sentinel => (self.peer_credentials(), BTreeMap::new()),
        };
        let myid = self.process.myid.clone();
        let short: String = myid.chars().take(NAME_ID_LEN).collect();
        let ip = self.machine.reachable(&addr);
        Target {
            ip: ip.and_then(|addr| addr.host().parse().ok()),
            addr,
            source: self.source,
            credentials,
            client_name: format!("sentinel-{short}-{suffix}"),
            renames,
            myid,
            names: self.globals.resolve_hostnames,
            tls: self.tls.connector(),
        }
    }

    /// How to authenticate with other sentinels.
    fn peer_credentials(&self) -> Option<(Option<String>, String)> {
        let own = || self.shared.requirepass.clone().map(|pass| (None, pass));
        let configured = self.globals.sentinel_pass.clone();
        configured
            .map(|pass| (self.globals.sentinel_user.clone(), pass))
            .or_else(own)
    }

    /// The renamed commands of the master to which the server behind a link belongs.
    fn renames_behind(&self, link: LinkId) -> BTreeMap<String, String> {
        let settings = self.machine.settings_behind(link);
        settings.map_or_else(BTreeMap::new, |it| it.renamed_commands.clone())
    }

    /// Gives open links the present renames, after an operator changed something.
    pub(super) fn refresh_renames(&mut self) {
        for link in self.links.ids() {
            let renames = self.renames_behind(link);
            self.links.rename(link, renames);
        }
    }
}

fn log_level(level: Level) -> log::Level {
    match level {
        Level::Debug => log::Level::Debug,
        Level::Verbose => log::Level::Verbose,
        Level::Notice => log::Level::Notice,
        Level::Warning => log::Level::Warning,
    }
}

fn reconfig_argv(script: ReconfigScript) -> Vec<String> {
    let role = script.role();
    let ReconfigScript {
        path,
        master,
        from,
        to,
        ..
    } = script;
    vec![
        path,
        master,
        role.to_owned(),
        "start".to_owned(),
        from.host().to_owned(),
        from.port().to_string(),
        to.host().to_owned(),
        to.port().to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reconfig_script_gets_the_arguments_of_redis() {
        let argv = reconfig_argv(ReconfigScript {
            path: "/s".into(),
            master: "m".into(),
            leader: true,
            from: Addr::new("127.0.0.1", 1),
            to: Addr::new("127.0.0.2", 2),
            stdin: None,
        });
        assert_eq!(argv.join(" "), "/s m leader start 127.0.0.1 1 127.0.0.2 2");
    }
}
