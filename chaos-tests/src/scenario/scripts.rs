//! Whether the sentinels ran the operator's scripts.

use codis_core::addr::Addr;

use crate::cluster::Cluster;

/// How often each sentinel's log shows the calls that a failover must make.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Sentinels that notified of the switch.
    pub notified: usize,
    /// Sentinels that reconfigured clients to the new master.
    pub reconfigured: usize,
}

/// Reads the logs of all sentinels for the switch of `monitor` from `old` to `new`.
pub fn calls(cluster: &Cluster, monitor: &str, old: &Addr, new: &Addr) -> Calls {
    let mut calls = Calls::default();
    for sentinel in cluster.layout().sentinels() {
        let log = cluster.planner().script_log(sentinel);
        let text = std::fs::read_to_string(log).unwrap_or_default();
        calls.notified += usize::from(shows_notification(&text, monitor, old, new));
        calls.reconfigured += usize::from(shows_reconfiguration(&text, monitor, old, new));
    }
    calls
}

fn shows_notification(log: &str, monitor: &str, old: &Addr, new: &Addr) -> bool {
    let message = format!(
        "event=+switch-master message=\"{monitor} {} {} {} {}\"",
        old.host(),
        old.port(),
        new.host(),
        new.port()
    );
    log.contains(&message)
}

fn shows_reconfiguration(log: &str, monitor: &str, old: &Addr, new: &Addr) -> bool {
    let name = format!("client-reconfig name={monitor} ");
    let change = format!("from={old} to={new}");
    log.lines()
        .any(|line| line.contains(&name) && line.contains(&change))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_told_from_those_of_other_groups() {
        let log = "T notify event=+switch-master message=\"p-1 h 1 h 2\"\n\
                   T client-reconfig name=p-1 role=observer state=start from=h:1 to=h:2\n";
        let (old, new) = (Addr::new("h", 1), Addr::new("h", 2));
        assert!(shows_notification(log, "p-1", &old, &new));
        assert!(shows_reconfiguration(log, "p-1", &old, &new));
        assert!(!shows_notification(log, "p-2", &old, &new));
        assert!(!shows_reconfiguration(log, "p-1", &new, &old));
    }
}
