//! How a sentinel of either kind sees a master: what the end of a run is judged by.

use codis_core::addr::Addr;
use codis_core::epoch::Epoch;
use codis_core::time::Time;
use codis_sentinel_proto::Machine;

/// See the module.
#[derive(Clone, Debug)]
pub struct View {
    /// The config epoch.
    pub epoch: Epoch,
    /// The address that it tells clients.
    pub master: Addr,
    /// The master is S_DOWN or O_DOWN here.
    pub down: bool,
    /// The state of a failover.
    pub failover: Option<&'static str>,
    /// The known replicas, and which of them are S_DOWN.
    pub replicas: Vec<(Addr, bool)>,
    /// The known other sentinels, and which of them are S_DOWN.
    pub peers: Vec<(Addr, bool)>,
}

impl View {
    /// That of our machine.
    pub fn of(machine: &Machine, now: Time, name: &str) -> Option<Self> {
        let topology = machine.topology(now, name)?;
        let master = machine.master(now, name)?;
        let replicas = machine.replicas(now, name)?;
        let peers = machine.sentinels(now, name)?;
        let seen =
            |it: &codis_sentinel_proto::view::InstanceView| (it.addr.clone(), it.s_down.is_some());
        Some(Self {
            epoch: topology.epoch,
            master: topology.master,
            down: master.instance.s_down.is_some() || master.instance.o_down.is_some(),
            failover: master.failover_state,
            replicas: replicas.iter().map(|it| seen(&it.instance)).collect(),
            peers: peers.iter().map(|it| seen(&it.instance)).collect(),
        })
    }
}
