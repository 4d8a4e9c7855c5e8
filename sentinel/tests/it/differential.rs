//! The same requests to a stock sentinel and to ours: replies are compared word by word.

use crate::support::{Sentinel, show};

/// Requests whose replies must be equal, in this order on one connection. A second candidate at a
/// higher epoch is not among them: it gets our vote a moment later than that of a stock sentinel.
const REQUESTS: &[&str] = &[
    "PING",
    "PING hello",
    "PING a b",
    "FOO a b",
    "CONFIG GET *",
    "SELECT 0",
    "ROLE",
    "ROLE x",
    "AUTH x",
    "AUTH default x",
    "AUTH a b c",
    "CLIENT SETNAME me",
    "CLIENT GETNAME",
    "CLIENT FOO",
    "CLIENT SETNAME",
    "HELLO 9",
    "HELLO x",
    "SENTINEL",
    "SENTINEL FOO",
    "SENTINEL MASTER",
    "SENTINEL MASTER nobody",
    "SENTINEL REPLICAS nobody",
    "SENTINEL SLAVES nobody",
    "SENTINEL SENTINELS nobody",
    "SENTINEL GET-MASTER-ADDR-BY-NAME m",
    "SENTINEL GET-MASTER-ADDR-BY-NAME nobody",
    "SENTINEL CKQUORUM nobody",
    "SENTINEL CKQUORUM m",
    "SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 x 0 *",
    "SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 31 0 *",
    "SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 30 0 *",
    "SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 30 4 1111111111111111111111111111111111111111",
    "SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 30 4 2222222222222222222222222222222222222222",
    "SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 30 3 2222222222222222222222222222222222222222",
    "SENTINEL MONITOR n 127.0.0.1 30 x",
    "SENTINEL MONITOR n 127.0.0.1 x 2",
    "SENTINEL MONITOR n 127.0.0.1 30 0",
    "SENTINEL MONITOR n localhost 30 1",
    "SENTINEL MONITOR n 127.0.0.1 70000 1",
    "SENTINEL MONITOR m 127.0.0.1 30 1",
    "SENTINEL MONITOR n 127.0.0.1 32 1",
    "SENTINEL SET n foo 1",
    "SENTINEL SET n quorum x",
    "SENTINEL SET n quorum 0",
    "SENTINEL SET n quorum 3 parallel-syncs 0",
    "SENTINEL SET n quorum 3 parallel-syncs",
    "SENTINEL SET n failover-timeout 1000 down-after-milliseconds 500 auth-pass x",
    "SENTINEL SET n notification-script /bin/sh",
    "SENTINEL SET nobody quorum 1",
    "SENTINEL SET n rename-command config",
    "SENTINEL SET n rename-command config cfg",
    "SENTINEL CONFIG GET *",
    "SENTINEL CONFIG GET announce-*",
    "SENTINEL CONFIG SET foo 1",
    "SENTINEL CONFIG SET announce-port x",
    "SENTINEL CONFIG SET announce-hostnames perhaps",
    "SENTINEL CONFIG SET sentinel-user u",
    "SENTINEL CONFIG FOO 1",
    "SENTINEL FAILOVER nobody",
    "SENTINEL RESET nothing*",
    "SENTINEL REMOVE nobody",
    "SENTINEL REMOVE n",
    "SENTINEL PENDING-SCRIPTS",
    "SENTINEL INFO-CACHE nobody",
    "SENTINEL INFO-CACHE m",
    "SENTINEL SIMULATE-FAILURE foo",
    "SENTINEL SIMULATE-FAILURE help",
    "SENTINEL FLUSHCONFIG",
    "PUBLISH foo bar",
    "PUBLISH __sentinel__:hello bar",
    "PUBLISH a",
    "SUBSCRIBE a b",
];

/// Our replies are those of a stock sentinel.
#[test]
fn replies_are_those_of_a_stock_sentinel() {
    let lines = "sentinel monitor m 127.0.0.1 30 2\nsentinel down-after-milliseconds m 1\n";
    let (ours, stock) = (Sentinel::ours(lines), Sentinel::stock(lines));
    for sentinel in [&ours, &stock] {
        crate::support::wait_for("the master is down", || {
            sentinel.master_field("flags").contains("s_down")
        });
    }
    let (mut to_ours, mut to_stock) = (ours.client(), stock.client());
    let mut differences = Vec::new();
    for request in REQUESTS {
        let ours_said = show(&to_ours.call(request)).replace(&ours.host, "HOST");
        let stock_said = show(&to_stock.call(request)).replace(&stock.host, "HOST");
        if ours_said != stock_said {
            differences.push(format!(
                "{request}\n  ours:  {ours_said}\n  stock: {stock_said}"
            ));
        }
    }
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}

/// Instances have the same fields in the same order.
#[test]
fn instances_have_the_fields_of_a_stock_sentinel() {
    let master = crate::support::Server::start();
    let _replica = crate::support::Server::replica_of(&master);
    let lines = format!("sentinel monitor m {} 2\n", master.words());
    let (ours, stock) = (Sentinel::ours(&lines), Sentinel::stock(&lines));
    for sentinel in [&ours, &stock] {
        crate::support::wait_for("everybody is known", || {
            sentinel.master_field("num-other-sentinels") == "1"
                && sentinel.master_field("num-slaves") == "1"
                && show(&sentinel.call("SENTINEL REPLICAS m")).contains("master-link-status, ok")
        });
    }
    let names = |sentinel: &Sentinel, request: &str| -> Vec<String> {
        let reply = sentinel.call(request);
        let first = reply.as_array().unwrap()[0].as_array().unwrap().to_vec();
        first.chunks(2).map(|pair| show(&pair[0])).collect()
    };
    for request in [
        "SENTINEL MASTERS",
        "SENTINEL REPLICAS m",
        "SENTINEL SENTINELS m",
    ] {
        assert_eq!(names(&ours, request), names(&stock, request), "{request}");
    }
}
