//! The last INFO of each server, for `SENTINEL INFO-CACHE`.

use std::collections::BTreeMap;
use std::sync::Arc;

use codis_core::addr::Addr;
use codis_core::time::Time;
use codis_sentinel_proto::info::Info;

/// Servers that are remembered. Beyond that the one not heard of for longest is forgotten.
const SERVERS_MAX: usize = 4096;

/// Texts by server.
#[derive(Debug, Default)]
pub struct Infos {
    by_addr: BTreeMap<Addr, (Time, Arc<Info>)>,
}

impl Infos {
    /// Keeps a text.
    pub fn keep(&mut self, addr: &Addr, now: Time, info: &Arc<Info>) {
        if self.by_addr.len() >= SERVERS_MAX && !self.by_addr.contains_key(addr) {
            let oldest = self.by_addr.iter().min_by_key(|(_, (at, _))| *at);
            if let Some(oldest) = oldest.map(|(addr, _)| addr.clone()) {
                self.by_addr.remove(&oldest);
            }
        }
        self.by_addr.insert(addr.clone(), (now, Arc::clone(info)));
    }

    /// The text of a server and when it came.
    pub fn get(&self, addr: &Addr) -> Option<(Time, &str)> {
        let (at, info) = self.by_addr.get(addr)?;
        Some((*at, &info.text))
    }
}
