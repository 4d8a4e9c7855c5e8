//! No second failover caused by the first, with a down-after that is shorter than the reconnect
//! pace of a stock sentinel.

use std::time::Duration;

use codis_core::resp::Value;

use crate::support::{Kind, Quorum, show, wait_for};

const KILLS: usize = 4;

fn count(quorum: &Quorum, text: &str) -> usize {
    let logs = quorum.sentinels.iter().map(|it| it.log());
    logs.map(|log| log.matches(text).count()).sum()
}

fn epochs(quorum: &Quorum) -> Vec<usize> {
    let epoch = |it: &crate::support::Sentinel| it.master_field("config-epoch");
    let all = quorum.sentinels.iter().map(epoch);
    all.map(|text| text.parse().unwrap()).collect()
}

/// Everybody follows the master, and every sentinel has seen it.
fn wait_until_calm(quorum: &Quorum, master: usize) {
    let port = quorum.servers[master].port.to_string();
    for (index, server) in quorum.servers.iter().enumerate() {
        wait_for("a replica is in sync", || {
            let role = show(&server.call("ROLE"));
            index == master || (role.contains(&port) && role.contains("connected"))
        });
    }
    for sentinel in &quorum.sentinels {
        wait_for("a sentinel sees all in their place", || {
            let replicas = sentinel.call("SENTINEL REPLICAS m");
            let calm = |it: &Value| {
                let text = show(it);
                text.contains("flags, slave,") && text.contains("master-link-status, ok")
            };
            let all = replicas.as_array().unwrap_or_default();
            sentinel.master_field("flags") == "master" && all.iter().all(calm)
        });
    }
}

#[test]
fn each_kill_moves_the_master_once() {
    let lines = "sentinel down-after-milliseconds m 800\n";
    let mut quorum = Quorum::start(&[Kind::Ours; 3], 2, lines);
    let mut master = 0;
    for kill in 1..=KILLS {
        let before = epochs(&quorum)[0];
        let tries = count(&quorum, "+try-failover");
        quorum.servers[master].process.kill();
        let old = master;
        (master, _) = quorum.wait_for_switch(old);
        // A second failover would come within down-after and a little.
        std::thread::sleep(Duration::from_millis(2000));
        let after = epochs(&quorum);
        assert_eq!(after, vec![after[0]; 3]);
        assert_eq!(count(&quorum, "+promoted-slave"), kill, "one for each kill");
        assert_eq!(count(&quorum, "+switch-master"), 3 * kill);
        let step = after[0] - before;
        println!("kill {kill}: epoch {before} to {}", after[0]);
        // One step, unless a vote was split under load: then each attempt may cost another.
        let tried = count(&quorum, "+try-failover") - tries;
        assert!(
            step == 1 || (1..=tried).contains(&step),
            "{step} of {tried}"
        );
        quorum.servers[old].restart();
        wait_until_calm(&quorum, master);
    }
}
