//! `SENTINEL HISTORY` of a real quorum, over a restart and with a torn file.

use std::io::Write;

use codis_core::failover::{Record, Role};
use codis_core::resp::Value;

use crate::support::{Kind, Quorum, Sentinel, field, show, wait_for};

fn records(sentinel: &Sentinel, name: &str) -> Vec<Value> {
    let reply = sentinel.call(&format!("SENTINEL HISTORY{name}"));
    reply.as_array().unwrap().to_vec()
}

/// Every sentinel remembers the failover: the leader with all stages, the others what they saw.
/// After a restart they still do, also when the last line of the file is torn.
#[test]
fn a_failover_is_remembered_over_a_restart() {
    let mut quorum = Quorum::start(&[Kind::Ours; 3], 2, "");
    let old = quorum.servers[0].words().replace(' ', ":");
    assert_eq!(show(&quorum.sentinels[0].call("SENTINEL HISTORY m")), "[]");
    assert_eq!(
        show(&quorum.sentinels[0].call("SENTINEL HISTORY nobody")),
        "-ERR No such master with that name"
    );
    quorum.servers[0].process.kill();
    let (new, _) = quorum.wait_for_switch(0);
    let new = quorum.servers[new].words().replace(' ', ":");
    for sentinel in &quorum.sentinels {
        wait_for("the failover is over", || {
            let records = records(sentinel, " m");
            let outcome = records.first().and_then(|it| field(it, "outcome"));
            outcome.is_some_and(|outcome| outcome != "in-progress")
        });
        let record = &records(sentinel, "")[0];
        println!("{}", show(record));
        let word = |name| field(record, name).unwrap();
        assert_eq!(
            (word("name"), word("from"), word("to")),
            ("m".into(), old.clone(), new.clone())
        );
        let text = show(record);
        if word("role") == "leader" {
            assert_eq!(
                (word("cause"), word("outcome")),
                ("o_down".into(), "end".into())
            );
            for stage in [
                "s_down",
                "elected",
                "promoted",
                "told",
                "replica-done",
                "end",
            ] {
                assert!(text.contains(&format!("[stage, {stage}, ms, ")), "{text}");
            }
            assert!(text.contains("candidates, [[name, "), "{text}");
        } else {
            assert_eq!(word("outcome"), "promoted");
        }
        let since_1970: u64 = word("start").parse().unwrap();
        assert!(since_1970 > 1_700_000_000_000, "{since_1970}");
    }
    let sentinel = &mut quorum.sentinels[0];
    let before = show(&sentinel.call("SENTINEL HISTORY"));
    assert!(sentinel.process.stop().success());
    let path = sentinel.dir.path().join("sentinel.conf.history");
    let text = std::fs::read_to_string(&path).unwrap();
    let record: Record = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(record.from.to_string(), old);
    assert_ne!(record.role, Role::Observer);
    let mut file = std::fs::File::options().append(true).open(&path).unwrap();
    file.write_all(b"{\"name\":\"m\",\"ep").unwrap();
    sentinel.restart();
    assert_eq!(show(&sentinel.call("SENTINEL HISTORY")), before);
    assert!(sentinel.log().contains("broken lines of the history"));
}

/// With a state directory the history lives there, and one that cannot be written delays nothing.
#[test]
fn the_history_is_in_the_state_directory_and_harms_nobody() {
    let server = crate::support::Server::start();
    let replica = crate::support::Server::replica_of(&server);
    let lines = format!("sentinel monitor m {} 1\n", server.words());
    let sentinel = Sentinel::ours_with_state_dir(&lines);
    let path = sentinel.dir.path().join("state/sentinel-history.jsonl");
    // Nobody can append to a directory.
    std::fs::create_dir(&path).unwrap();
    wait_for("the replica is known", || {
        sentinel.master_field("num-slaves") == "1"
    });
    let mut order = String::new();
    wait_for("the failover starts", || {
        order = show(&sentinel.call("SENTINEL FAILOVER m"));
        order == "+OK"
    });
    wait_for("the switch", || sentinel.master() == replica.words());
    wait_for("the end", || {
        let newest = records(&sentinel, " m")
            .first()
            .and_then(|it| field(it, "outcome"));
        newest.as_deref() == Some("end")
    });
    let newest = &records(&sentinel, " m")[0];
    assert_eq!(field(newest, "cause").unwrap(), "operator");
    wait_for("the failure is logged", || {
        sentinel
            .log()
            .contains("Cannot write the history of failovers")
    });
    // The directory is gone: the next failover is written.
    std::fs::remove_dir(&path).unwrap();
    wait_for("the failover back starts", || {
        show(&sentinel.call("SENTINEL FAILOVER m")) == "+OK"
    });
    wait_for("the switch back", || sentinel.master() == server.words());
    wait_for("the record is written", || {
        std::fs::read_to_string(&path).is_ok_and(|text| text.ends_with("}\n"))
    });
}
