//! `SENTINEL DEBUG` beside a stock sentinel, and its effect on a real one.

use std::time::{Duration, Instant};

use crate::support::{Sentinel, Server, show, wait_for};

/// The same words get the same answers, and leave the same values behind.
#[test]
fn every_answer_is_that_of_a_stock_sentinel() {
    let server = Server::start();
    let lines = format!("sentinel monitor m {} 1\n", server.words());
    let (ours, stock) = (Sentinel::ours(&lines), Sentinel::stock(&lines));
    for words in [
        "",
        " foo",
        " Foo 1",
        " ping-period",
        " ping-period 0",
        " ping-period x",
        " PING-PERIOD 500 info-period -1",
        " ping-period 300 nope 2",
        " ping-period 9223372036854775808",
        " tilt-period 5000 SLAVE-reconf-timeout 77 script-max-runtime 5 script-retry-delay 6",
        " ping-period 200 ask-period",
        " default-down-after 1111 default-failover-timeout 2222",
        "",
    ] {
        let line = format!("SENTINEL DEBUG{words}");
        assert_eq!(show(&ours.call(&line)), show(&stock.call(&line)), "{line}");
    }
    for sentinel in [&ours, &stock] {
        let order = format!("SENTINEL MONITOR new {} 1", server.words());
        assert_eq!(show(&sentinel.call(&order)), "+OK");
        let new = show(&sentinel.call("SENTINEL MASTER new"));
        assert!(new.contains("down-after-milliseconds, 1111"), "{new}");
        assert!(new.contains("failover-timeout, 2222"), "{new}");
        assert!(
            !sentinel.config().contains("ping-period"),
            "nothing is kept"
        );
    }
}

/// INFO is asked for as often as it says, from that moment on.
#[test]
fn a_new_info_period_counts_at_once() {
    let master = Server::start();
    let replica = Server::replica_of(&master);
    let lines = format!("sentinel monitor m {} 1\n", master.words());
    let sentinel = Sentinel::ours(&lines);
    wait_for("the replica is known", || {
        sentinel.master_field("num-slaves") == "1"
    });
    assert_eq!(show(&sentinel.call("SENTINEL DEBUG info-period 50")), "+OK");
    let calls = || {
        let stats = show(&replica.call("INFO commandstats"));
        let line = stats.lines().find(|it| it.starts_with("cmdstat_info:"));
        let count = line.and_then(|it| it.split(['=', ',']).nth(1)?.parse::<u64>().ok());
        count.unwrap_or(0)
    };
    let (begin, before) = (Instant::now(), calls());
    wait_for("INFO is asked for 20 times", || calls() >= before + 20);
    // Every 10 s if nobody says otherwise.
    assert!(begin.elapsed() < Duration::from_secs(90));
}
