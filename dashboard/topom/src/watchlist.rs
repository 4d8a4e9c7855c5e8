//! What one sentinel should watch, against what it does watch.
//!
//! The answer is a list of orders that change only what differs. The original removes all monitors
//! and adds them again, and the sentinel forgets the replicas: a master that dies in the next
//! seconds is not failed over. Here a monitor is removed only when the group is gone, or when the
//! sentinel insists on another master at an epoch that is not above the stored one.
//!
//! Some things a sentinel does not show (the password, an epoch floor) or cannot do (scripts over
//! the wire in newer ones, the floor in a stock one). They are told once to each process, and a
//! refusal is remembered for as long: see [`Watchlist::handle_connected`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use codis_core::epoch::Epoch;
use codis_core::paths;
use codis_core::time::Time;

/// How long a sentinel may name another master, at an epoch that is not above the stored one,
/// before its monitor is replaced. Its peers put a sentinel that was away right within two seconds,
/// and then it keeps what it knows of the replicas.
pub const MOVED_MAX: Duration = Duration::from_secs(6);

/// The fields of a monitored master, as the sentinel shows them.
pub type Fields = BTreeMap<String, String>;

/// A group as each sentinel should watch it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The name of the monitor.
    pub name: String,
    /// The master's address, in numbers.
    pub ip: String,
    /// The master's port.
    pub port: u16,
    /// The stored epoch of the group.
    pub epoch: Epoch,
}

/// The settings of every monitor.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Sentinels that must agree that a master is down.
    pub quorum: u32,
    /// Replicas pointed at a new master at the same time.
    pub parallel_syncs: u32,
    /// Silence that makes a server count as down.
    pub down_after: Duration,
    /// How long a failover may take.
    pub failover_timeout: Duration,
    /// The password of the servers; empty for none.
    pub auth_pass: String,
    /// Run on events; empty for none.
    pub notification_script: String,
    /// Run on a change of master; empty for none.
    pub client_reconfig_script: String,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("quorum", &self.quorum)
            .field("parallel_syncs", &self.parallel_syncs)
            .field("down_after", &self.down_after)
            .field("failover_timeout", &self.failover_timeout)
            .finish_non_exhaustive()
    }
}

/// One thing to tell a sentinel. Orders about one monitor follow each other and are carried out in
/// that order.
#[derive(Clone, PartialEq, Eq)]
pub enum Order {
    /// Watch a master.
    Monitor {
        /// The name of the monitor.
        name: String,
        /// The master's address, in numbers.
        ip: String,
        /// The master's port.
        port: u16,
        /// Sentinels that must agree that it is down.
        quorum: u32,
    },
    /// Watch it no longer.
    Remove {
        /// The name of the monitor.
        name: String,
    },
    /// Change settings in place.
    Set {
        /// The name of the monitor.
        name: String,
        /// Names and values.
        options: Vec<(&'static str, String)>,
    },
    /// Use this password, or none.
    Password {
        /// The name of the monitor.
        name: String,
        /// The password; empty for none.
        password: String,
    },
    /// Run this script, or none.
    Script {
        /// The name of the monitor.
        name: String,
        /// Which one.
        option: &'static str,
        /// The file; empty for none.
        path: String,
    },
    /// Elect at no epoch below this one.
    Floor {
        /// The name of the monitor.
        name: String,
        /// The stored epoch.
        epoch: Epoch,
    },
}

impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Monitor { name, ip, port, .. } => write!(f, "monitor {name} {ip}:{port}"),
            Self::Remove { name } => write!(f, "remove {name}"),
            Self::Set { name, options } => {
                write!(f, "set {name}")?;
                options
                    .iter()
                    .try_for_each(|(option, value)| write!(f, " {option} {value}"))
            }
            Self::Password { name, .. } => write!(f, "set {name} auth-pass"),
            Self::Script { name, option, path } => write!(f, "set {name} {option} {path:?}"),
            Self::Floor { name, epoch } => write!(f, "set {name} epoch-floor {}", epoch.0),
        }
    }
}

/// What should be told to a sentinel, and what is only waited for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// To be carried out in order.
    pub orders: Vec<Order>,
    /// Monitors that name another master, which the sentinel's peers may still put right.
    pub moved: BTreeSet<String>,
}

/// What is remembered of one sentinel beside what it shows.
#[derive(Clone, Default)]
pub struct Watchlist {
    run_id: String,
    passwords: BTreeMap<String, String>,
    floors: BTreeMap<String, Epoch>,
    no_floors: bool,
    no_scripts: BTreeSet<(String, &'static str)>,
    moved: BTreeMap<String, Time>,
}

impl fmt::Debug for Watchlist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watchlist")
            .field("run_id", &self.run_id)
            .field("floors", &self.floors)
            .field("moved", &self.moved)
            .finish_non_exhaustive()
    }
}

impl Watchlist {
    /// A new connection, to the process that `run_id` names. All that it does not show is told to
    /// a new one; telling it for nothing would make the sentinel drop its connections.
    pub fn handle_connected(&mut self, run_id: &str) {
        if !self.is_process(run_id) {
            *self = Self {
                run_id: run_id.to_owned(),
                moved: std::mem::take(&mut self.moved),
                ..Self::default()
            };
        }
    }

    /// Whether it is this process that was told.
    pub fn is_process(&self, run_id: &str) -> bool {
        !run_id.is_empty() && self.run_id == run_id
    }

    /// An order was taken, or refused by a sentinel that cannot do it.
    pub fn handle_told(&mut self, order: &Order, taken: bool) {
        match order {
            Order::Monitor { name, .. } | Order::Remove { name } => {
                // A new monitor knows no password and no floor.
                self.passwords.insert(name.clone(), String::new());
                self.floors.remove(name);
                self.moved.remove(name);
            }
            Order::Set { .. } => {}
            Order::Password { name, password } => {
                self.passwords.insert(name.clone(), password.clone());
            }
            Order::Script { name, option, .. } if !taken => {
                self.no_scripts.insert((name.clone(), option));
            }
            Order::Script { .. } => {}
            Order::Floor { name, epoch } => {
                self.no_floors |= !taken;
                self.floors.insert(name.clone(), *epoch);
            }
        }
    }

    /// Notes since when monitors name another master.
    pub fn handle_plan(&mut self, now: Time, plan: &Plan) {
        self.moved.retain(|name, _| plan.moved.contains(name));
        for name in &plan.moved {
            self.moved.entry(name.clone()).or_insert(now);
        }
    }

    /// Compares what a sentinel shows of a product with what it should watch. `at_once` waits for
    /// nobody: an operator asked for it.
    pub fn compare(
        &self,
        now: Time,
        wanted: &[Wanted],
        options: &Options,
        seen: &BTreeMap<String, Fields>,
        at_once: bool,
    ) -> Plan {
        let mut plan = Plan::default();
        for one in wanted {
            let name = &one.name;
            let Some(fields) = seen.get(name) else {
                self.renew(&mut plan, one, options, None);
                continue;
            };
            match self.judge(now, one, fields, at_once) {
                Master::Same => self.adjust(&mut plan, one, options, fields, false),
                Master::Newer => {}
                Master::Moved => {
                    plan.moved.insert(name.clone());
                }
                Master::Wrong => {
                    let name = name.clone();
                    self.renew(&mut plan, one, options, Some(Order::Remove { name }));
                }
            }
        }
        for name in seen.keys() {
            if !wanted.iter().any(|one| one.name == *name) {
                plan.orders.push(Order::Remove { name: name.clone() });
            }
        }
        plan
    }

    fn judge(&self, now: Time, wanted: &Wanted, fields: &Fields, at_once: bool) -> Master {
        let field = |name: &str| fields.get(name).map_or("", String::as_str);
        if field("ip") == wanted.ip && field("port") == wanted.port.to_string() {
            return Master::Same;
        }
        let failing_over = field("flags")
            .split(',')
            .any(|flag| flag == "failover_in_progress");
        if shown_epoch(fields) > wanted.epoch || failing_over {
            return Master::Newer;
        }
        let since = self.moved.get(&wanted.name);
        if at_once || since.is_some_and(|since| *since + MOVED_MAX <= now) {
            Master::Wrong
        } else {
            Master::Moved
        }
    }

    /// A monitor that is not there, or that `first` takes away.
    fn renew(&self, plan: &mut Plan, wanted: &Wanted, options: &Options, first: Option<Order>) {
        plan.orders.extend(first);
        plan.orders.push(Order::Monitor {
            name: wanted.name.clone(),
            ip: wanted.ip.clone(),
            port: wanted.port,
            quorum: options.quorum,
        });
        let fields = Fields::from([("quorum".to_owned(), options.quorum.to_string())]);
        self.adjust(plan, wanted, options, &fields, true);
    }

    /// The settings of a monitor; one that is `new` has no password yet.
    fn adjust(
        &self,
        plan: &mut Plan,
        wanted: &Wanted,
        options: &Options,
        fields: &Fields,
        new: bool,
    ) {
        let field = |name: &str| fields.get(name).map_or("", String::as_str);
        let name = &wanted.name;
        // The password first: without it the monitor sees a server that is down.
        let untold = !new && self.passwords.get(name) != Some(&options.auth_pass);
        if untold || (new && !options.auth_pass.is_empty()) {
            plan.orders.push(Order::Password {
                name: name.clone(),
                password: options.auth_pass.clone(),
            });
        }
        let settings = [
            ("quorum", options.quorum.to_string()),
            ("parallel-syncs", options.parallel_syncs.to_string()),
            (
                "down-after-milliseconds",
                options.down_after.as_millis().to_string(),
            ),
            (
                "failover-timeout",
                options.failover_timeout.as_millis().to_string(),
            ),
        ];
        let differs: Vec<_> = settings
            .into_iter()
            .filter(|(option, value)| field(option) != value)
            .collect();
        if !differs.is_empty() {
            plan.orders.push(Order::Set {
                name: name.clone(),
                options: differs,
            });
        }
        let scripts = [
            ("notification-script", &options.notification_script),
            ("client-reconfig-script", &options.client_reconfig_script),
        ];
        for (option, path) in scripts {
            let refused = self.no_scripts.contains(&(name.clone(), option));
            if field(option) != path && !refused {
                plan.orders.push(Order::Script {
                    name: name.clone(),
                    option,
                    path: path.clone(),
                });
            }
        }
        let held = self.floors.get(name).filter(|_| !new).copied();
        let known = held.unwrap_or(Epoch::ZERO).max(shown_epoch(fields));
        if known < wanted.epoch && !self.no_floors {
            plan.orders.push(Order::Floor {
                name: name.clone(),
                epoch: wanted.epoch,
            });
        }
    }
}

/// What a sentinel takes for the master of a group.
enum Master {
    /// The stored one.
    Same,
    /// Another, of a newer epoch or of a failover under way: the records will follow.
    Newer,
    /// Another, for a short time so far.
    Moved,
    /// Another, and nobody puts it right.
    Wrong,
}

fn shown_epoch(fields: &Fields) -> Epoch {
    let shown = fields.get("config-epoch");
    Epoch(shown.and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// The monitors of a product among all that a sentinel shows, by name.
pub fn of_product(
    product: &str,
    shown: impl IntoIterator<Item = Fields>,
) -> BTreeMap<String, Fields> {
    let named = shown
        .into_iter()
        .filter_map(|fields| Some((fields.get("name")?.clone(), fields)));
    named
        .filter(|(name, _)| paths::monitored_group(product, name).is_some())
        .collect()
}

#[cfg(test)]
mod tests;
