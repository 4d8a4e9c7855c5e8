//! Hellos of the others.

use codis_sentinel_proto::hello::Hello;

use super::master::Who;
use super::{Stock, same};

impl Stock {
    /// A hello came. Sentinels do not move in this world, so a known id is a known address.
    pub(super) fn hello(&mut self, hello: &Hello) {
        let core = &mut self.core;
        let Some(master) = self.masters.get_mut(&hello.master_name) else {
            return;
        };
        if same(&hello.id, &core.id) {
            return;
        }
        if !master.peers.contains_key(&hello.id) {
            master.add_peer(core, &hello.id, &hello.from);
            master.tell(core, "+sentinel", &Who::Peer(hello.id.clone()));
            core.save = true;
        }
        core.adopt_epoch(hello.current_epoch);
        if hello.config_epoch <= master.config_epoch {
            return;
        }
        master.config_epoch = hello.config_epoch;
        if hello.master != master.own.addr {
            master.tell(core, "+config-update-from", &Who::Peer(hello.id.clone()));
            master.switch(core, &hello.master);
        }
    }
}
