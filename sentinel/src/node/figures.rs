//! What the loop tells a scrape.

use std::time::Duration;

use codis_core::failover::Record;
use codis_sentinel_proto::view::{InstanceView, MasterView};

use super::Node;
use crate::metrics::{Figures, LastFailover, MasterFigures};
use crate::port::Stats;
use crate::port::commands::quorum_verdict;

impl Node {
    /// The figures of this moment.
    pub(super) fn figures(&self) -> Figures {
        let now = self.now();
        let names = self.machine.master_names();
        let views = names.iter().filter_map(|it| self.machine.master(now, it));
        let masters = views.map(|view| self.master_figures(&view)).collect();
        let stats = &self.shared.stats;
        let count = Stats::get;
        let (mut subscribers, mut unread_bytes) = (0, 0);
        let clients = self.shared.clients();
        for (_, client) in clients.all() {
            subscribers += usize::from(client.subscriptions.all() > 0);
            unread_bytes += client.outbox.depth().1;
        }
        Figures {
            masters,
            tilt: self.machine.is_tilt(),
            tilts: self.tilts,
            scripts_running: self.scripts.running(),
            scripts_queued: self.scripts.jobs().count(),
            simulated: self.simulated.bits(),
            current_epoch: self.machine.current_epoch().0,
            clients: clients.len(),
            subscribers,
            unread_bytes,
            commands: count(&stats.commands),
            connections: count(&stats.connections),
            rejected: count(&stats.rejected),
            cut_off: count(&stats.output_limited),
            events: self.events.clone(),
            persist_failures: self.persist_failures,
            disk_refuses: self.machine.is_disk_refusing(),
        }
    }

    fn master_figures(&self, view: &MasterView) -> MasterFigures {
        let now = self.now();
        let instance = &view.instance;
        let name = instance.name.as_str();
        let up = |view: &InstanceView| view.s_down.is_none();
        let replicas = self.machine.replicas(now, name).unwrap_or_default();
        let replicas_up = replicas.iter().filter(|it| up(&it.instance)).count();
        let peers = self.machine.sentinels(now, name).unwrap_or_default();
        let peers_up = peers.iter().filter(|it| up(&it.instance)).count();
        let quorum = self.machine.usable_sentinels(name);
        let verdict = quorum.map(|(usable, voters, quorum)| quorum_verdict(usable, voters, quorum));
        let topology = self.machine.topology(now, name);
        MasterFigures {
            name: name.to_owned(),
            addr: instance.addr.to_string(),
            s_down: instance.s_down.is_some(),
            o_down: instance.o_down.is_some(),
            failing_over: view.failover_state.is_some(),
            replicas: [replicas.len(), replicas_up],
            sentinels: [peers.len() + 1, peers_up + 1],
            quorum_ok: match verdict {
                Some(Ok(text)) => (true, text),
                Some(Err(text)) => (false, text),
                None => (false, String::new()),
            },
            quorum: view.quorum,
            parallel_syncs: view.parallel_syncs,
            failover_timeout: view.failover_timeout,
            down_after: instance.down_after,
            last_ok_ping: instance.last_ok_ping_reply,
            config_epoch: view.config_epoch.0,
            fence_epoch: topology.map_or(0, |record| record.fence_epoch.0),
            last_failover: self.history.last_switch(name).map(last_failover),
        }
    }
}

fn last_failover(record: &Record) -> LastFailover {
    let mut stages: Vec<(String, Duration)> = Vec::new();
    for stage in &record.stages {
        // Several replicas may be done; the first is the stage.
        if !stages.iter().any(|(name, _)| *name == stage.name) {
            stages.push((stage.name.clone(), Duration::from_millis(stage.ms)));
        }
    }
    LastFailover {
        start: Duration::from_millis(record.start_unix_ms),
        stages,
    }
}
