//! One quorum of our sentinels and stock ones.

use crate::support::{Kind, Quorum, show, wait_for};

fn fails_over(kinds: [Kind; 3]) {
    let mut quorum = Quorum::start(&kinds, 2, "");
    for sentinel in &quorum.sentinels {
        let check = show(&sentinel.call("SENTINEL CKQUORUM m"));
        assert!(check.starts_with("+OK 3 usable Sentinels"), "{check}");
    }
    quorum.servers[0].process.kill();
    let (new, took) = quorum.wait_for_switch(0);
    println!("{kinds:?}: all sentinels switched {took:?} after the kill (down-after 1 s)");
    let master = quorum.servers[new].words();
    let other = 3 - new;
    wait_for("the other replica follows", || {
        let role = show(&quorum.servers[other].call("ROLE"));
        role.contains(&master.replace(' ', ", :")) && role.contains("connected")
    });
    wait_for("all config epochs are equal", || {
        let epochs: Vec<_> = quorum
            .sentinels
            .iter()
            .map(|s| s.master_field("config-epoch"))
            .collect();
        epochs
            .iter()
            .all(|epoch| *epoch == epochs[0] && epoch != "0")
    });
    quorum.servers[0].restart();
    wait_for("the old master follows", || {
        quorum.servers[0].role() == "slave"
    });
}

/// Two of ours and one stock.
#[test]
fn two_of_ours_and_one_stock_fail_over() {
    fails_over([Kind::Ours, Kind::Ours, Kind::Stock]);
}

/// One of ours and two stock.
#[test]
fn one_of_ours_and_two_stock_fail_over() {
    fails_over([Kind::Ours, Kind::Stock, Kind::Stock]);
}
