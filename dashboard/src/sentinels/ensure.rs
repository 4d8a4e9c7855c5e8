//! Bringing one sentinel in step with the records: asks what it watches, has
//! [`codis_topom::watchlist`] compare it with what it should watch, and gives the orders.

use std::collections::BTreeMap;

use codis_core::addr::Addr;
use codis_core::paths;
use codis_core::time::Time;
use codis_topom::Cluster;
use codis_topom::watchlist::{self, Options, Order, Plan, Wanted, Watchlist};
use redis::{Cmd, Value};

use super::{login, resolve_ip};
use crate::config::Settings;
use crate::core::Core;
use crate::orders;
use crate::state::Audit;
use codis_runtime::peer::{Error, Fields, Peer};

/// One sentinel and what is remembered of it.
#[derive(Debug)]
pub struct Charge {
    addr: String,
    list: Watchlist,
}

impl Charge {
    /// A sentinel of which nothing is known yet.
    pub fn new(addr: &str) -> Self {
        Self {
            addr: addr.to_owned(),
            list: Watchlist::default(),
        }
    }

    /// Whether it was this process that was told last.
    pub fn is_process(&self, run_id: &str) -> bool {
        self.list.is_process(run_id)
    }

    /// What differs, by what somebody saw of the sentinel.
    pub fn compare(
        &mut self,
        now: Time,
        wanted: &[Wanted],
        settings: &Settings,
        seen: &BTreeMap<String, Fields>,
    ) -> Plan {
        let plan = self
            .list
            .compare(now, wanted, &options(settings), seen, false);
        self.list.handle_plan(now, &plan);
        plan
    }

    /// Asks the sentinel and tells it what differs from `cluster`, another master with it only when
    /// it may be told so at once.
    pub async fn ensure(
        &mut self,
        core: &Core,
        audit: &Audit,
        now: Time,
        (cluster, at_once): (&Cluster, bool),
    ) -> Result<(), Error> {
        let settings = &core.settings;
        let wanted = wanted(settings, cluster).await?;
        let mut peer = connect(&self.addr, settings).await?;
        let info = peer.info().await?;
        let run_id = info.get("run_id").map_or("", String::as_str);
        self.list.handle_connected(run_id);
        let seen = watchlist::of_product(&settings.product_name, peer.masters().await?);
        let plan = self
            .list
            .compare(now, &wanted, &options(settings), &seen, at_once);
        for order in &plan.orders {
            let taken = give(core, audit, &mut peer, order).await?;
            self.list.handle_told(order, taken);
        }
        self.list.handle_plan(now, &plan);
        Ok(())
    }
}

/// A connection to a sentinel.
async fn connect(addr: &str, settings: &Settings) -> Result<Peer, Error> {
    let limit = settings.sentinel_client_timeout.duration();
    Peer::connect_as(addr, &login(settings), limit).await
}

/// Makes one sentinel forget the product.
pub async fn forget(core: &Core, audit: &Audit, addr: &str) -> Result<(), Error> {
    let settings = &core.settings;
    let mut peer = connect(addr, settings).await?;
    let seen = watchlist::of_product(&settings.product_name, peer.masters().await?);
    for name in seen.into_keys() {
        give(core, audit, &mut peer, &Order::Remove { name }).await?;
    }
    Ok(())
}

/// The groups as each sentinel should watch them.
pub async fn wanted(settings: &Settings, cluster: &Cluster) -> Result<Vec<Wanted>, Error> {
    let refused = |error: &dyn std::fmt::Display| Error::Refused(error.to_string());
    let mut wanted = Vec::new();
    for group in cluster.groups().filter(|group| !group.servers.is_empty()) {
        let master: Addr = cluster
            .master(group.id)
            .parse()
            .map_err(|error| refused(&error))?;
        wanted.push(Wanted {
            name: paths::monitor_name(&settings.product_name, group.id),
            ip: resolve_ip(&master).await.map_err(|error| refused(&error))?,
            port: master.port(),
            epoch: cluster.epoch(group.id),
        });
    }
    Ok(wanted)
}

fn options(settings: &Settings) -> Options {
    Options {
        quorum: settings.sentinel_quorum,
        parallel_syncs: settings.sentinel_parallel_syncs,
        down_after: settings.sentinel_down_after.duration(),
        failover_timeout: settings.sentinel_failover_timeout.duration(),
        auth_pass: settings.product_auth.clone(),
        notification_script: settings.sentinel_notification_script.clone(),
        client_reconfig_script: settings.sentinel_client_reconfig_script.clone(),
    }
}

/// Gives one order; false when the sentinel is one that cannot do it.
async fn give(core: &Core, audit: &Audit, peer: &mut Peer, order: &Order) -> Result<bool, Error> {
    let told = orders::give::<Value>(core, audit, peer, &command(order)).await;
    match order {
        // Two rounds may meet here; whoever comes second finds the work done.
        Order::Monitor { .. } => tolerate(told, "Duplicate"),
        Order::Remove { .. } => tolerate(told, "No such master"),
        Order::Set { .. } | Order::Password { .. } => told.map(|_| true),
        // Redis 5 and later refuse scripts over the wire unless their own file allows it; failover
        // works without them. A stock sentinel refuses the floor, which is an extension.
        Order::Script { .. } | Order::Floor { .. } => optional(told),
    }
}

fn command(order: &Order) -> Cmd {
    let mut command = redis::cmd("SENTINEL");
    match order {
        Order::Monitor {
            name,
            ip,
            port,
            quorum,
        } => {
            command.arg("MONITOR").arg(name);
            command.arg(ip).arg(port).arg(quorum);
        }
        Order::Remove { name } => {
            command.arg("REMOVE").arg(name);
        }
        Order::Set { name, options } => {
            command.arg("SET").arg(name);
            for (option, value) in options {
                command.arg(option).arg(value);
            }
        }
        Order::Password { name, password } => {
            command.arg("SET").arg(name);
            command.arg("auth-pass").arg(password);
        }
        Order::Script { name, option, path } => {
            command.arg("SET").arg(name).arg(option).arg(path);
        }
        Order::Floor { name, epoch } => {
            command.arg("SET").arg(name);
            command.arg("epoch-floor").arg(epoch.0);
        }
    }
    command
}

/// Takes a refusal that says `text` for success.
fn tolerate(outcome: Result<Value, Error>, text: &str) -> Result<bool, Error> {
    match outcome {
        Err(error) if !(error.is_refusal() && error.to_string().contains(text)) => Err(error),
        Ok(_) | Err(_) => Ok(true),
    }
}

/// Takes a refusal for a no.
fn optional(outcome: Result<Value, Error>) -> Result<bool, Error> {
    match outcome {
        Ok(_) => Ok(true),
        Err(error) if error.is_refusal() => Ok(false),
        Err(error) => Err(error),
    }
}
