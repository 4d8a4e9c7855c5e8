//! Who is chosen, and why others are not.

use std::sync::Arc;

use super::*;
use crate::ids::SentinelId;
use crate::info::Info;
use crate::input::{Channel, DisconnectReason};
use crate::schedule::MasterId;
use crate::settings::{MasterSettings, Settings};

const NOW: Time = Time::from_millis(100_000);

/// A master that is S_DOWN for a second, with replicas h1.. that tell these INFO.
fn case(infos: &[&str]) -> (Core, Master) {
    let settings = Settings {
        myid: SentinelId::new("me"),
        announce_port: 1,
        announce_ip: None,
        seed: 1,
    };
    let mut core = Core::new(NOW, settings, codis_core::epoch::Epoch::ZERO);
    let down_after = Duration::from_secs(1);
    let settings = MasterSettings {
        down_after,
        ..MasterSettings::default()
    };
    let addr = Addr::new("m", 1);
    let mut master = Master::new(&mut core, MasterId(1), "demo", addr, 2, settings);
    master.server.node.s_down = Some(NOW.before(down_after));
    for (n, info) in infos.iter().enumerate() {
        let addr = Addr::new(format!("h{}", n + 1), 1);
        master.add_replica(&mut core, &addr);
        let server = &mut master.replicas.get_mut(&addr).unwrap().server;
        let info = Info::parse(info);
        server.run_id.clone_from(&info.run_id);
        server.info = Some((NOW, Arc::new(info)));
        let link = core.links.get_mut(&server.node.link).unwrap();
        link.sweep(NOW, Duration::ZERO, &mut core.out);
        link.connected(NOW, Channel::Command, "ip".into());
    }
    (core, master)
}

#[test]
fn the_best_replica_wins_in_the_order_of_the_rules() {
    let table: [(&[&str], &str); 6] = [
        (
            &[
                "role:slave\nslave_repl_offset:5",
                "role:slave\nslave_repl_offset:9",
            ],
            "h2",
        ),
        (
            &[
                "role:slave\nslave_priority:10\nslave_repl_offset:5",
                "role:slave\nslave_repl_offset:9",
            ],
            "h1",
        ),
        (&["role:slave\nrun_id:B", "role:slave\nrun_id:a"], "h2"),
        (&["role:slave", "role:slave\nrun_id:a"], "h2"),
        (
            &[
                "role:slave\nslave_priority:0",
                "role:slave\nslave_priority:200",
            ],
            "h2",
        ),
        (
            &[
                "role:master\nmaster_repl_offset:99",
                "role:slave\nslave_repl_offset:1",
            ],
            "h2",
        ),
    ];
    for (infos, expected) in table {
        let (core, mut master) = case(infos);
        let chosen = master.choose(&core, None).unwrap();
        assert_eq!(chosen.host(), expected, "{infos:?}");
    }
}

#[test]
fn every_refusal_has_its_reason() {
    type Spoil = fn(&mut Core, &mut Master);
    fn replica(master: &mut Master) -> &mut Replica {
        master.replicas.get_mut(&Addr::new("h1", 1)).unwrap()
    }
    let table: [(Spoil, &str); 8] = [
        (
            |_, m| replica(m).server.node.s_down = Some(NOW),
            "it is subjectively down",
        ),
        (
            |core, m| {
                let link = replica(m).server.node.link;
                core.links.get_mut(&link).unwrap().lost(
                    NOW,
                    Channel::Command,
                    DisconnectReason::Closed,
                );
            },
            "it is disconnected",
        ),
        (
            |core, _| core.now = NOW + Duration::from_millis(5001),
            "it has not answered PING for 5001 ms",
        ),
        (
            |_, m| replica(m).server.info = None,
            "it has not answered INFO yet",
        ),
        (
            |_, m| {
                let info = replica(m).server.info.take().unwrap().1;
                replica(m).server.info = Some((NOW.before(Duration::from_secs(6)), info));
            },
            "its INFO is 6000 ms old",
        ),
        (
            |_, m| {
                let info = "role:slave\nmaster_link_down_since_seconds:12\n";
                replica(m).server.info = Some((NOW, Arc::new(Info::parse(info))));
            },
            "its link to the master has been down for 12000 ms",
        ),
        (
            |_, m| {
                m.former.insert(Addr::new("h1", 1));
                let info = "role:master\n";
                replica(m).server.info = Some((NOW, Arc::new(Info::parse(info))));
            },
            "it was master in an earlier epoch and still says so",
        ),
        (
            |_, m| replica(m).failed_until = Some(NOW + Duration::from_secs(1)),
            "it did not become master when it was told to",
        ),
    ];
    for (spoil, reason) in table {
        let (mut core, mut master) = case(&["role:slave\n"]);
        assert!(master.choose(&core, None).is_some());
        spoil(&mut core, &mut master);
        assert_eq!(master.choose(&core, None), None, "{reason}");
        assert_eq!(master.refused[0].reason, reason);
    }
}

/// Makes the master say that it is a replica of `of`, since `span` ago.
fn demote(master: &mut Master, of: &str, span: Duration) {
    let info = Info::parse(&format!("role:slave\nmaster_host:{of}\nmaster_port:1"));
    master.server.role = Role::Replica;
    master.server.role_since = NOW.before(span);
    master.server.info = Some((NOW, Arc::new(info)));
}

#[test]
fn nothing_is_missed_while_the_master_is_a_replica_itself() {
    let (core, mut master) = case(&["role:slave\nmaster_link_down_since_seconds:60"]);
    assert_eq!(master.choose(&core, None), None);
    demote(&mut master, "h9", Duration::from_secs(60));
    assert_eq!(master.choose(&core, None), Some(Addr::new("h1", 1)));
}

#[test]
fn a_deposed_master_may_be_chosen_when_the_present_one_follows_it() {
    let (core, mut master) = case(&["role:master"]);
    let deposed = Addr::new("h1", 1);
    master.former.insert(deposed.clone());
    assert_eq!(master.choose(&core, None), None);
    demote(&mut master, "h1", Duration::ZERO);
    assert_eq!(master.choose(&core, None), Some(deposed));
}

#[test]
fn the_table_of_candidates_is_in_order_with_all_reasons() {
    let (mut core, mut master) = case(&[
        "role:slave\nslave_repl_offset:5\nrun_id:a",
        "role:slave\nslave_repl_offset:9\nslave_priority:0",
        "role:slave\nslave_repl_offset:7\nrun_id:b",
    ]);
    let sick = Addr::new("h2", 1);
    master.replicas.get_mut(&sick).unwrap().failed_until = Some(NOW + Duration::from_secs(1));
    assert_eq!(master.choose(&core, None), Some(Addr::new("h3", 1)));
    core.now = NOW + Duration::from_millis(300);
    let views = master.candidates(&core);
    let short: Vec<_> = views
        .iter()
        .map(|view| (view.addr.host(), view.rank, view.behind))
        .collect();
    let expected = [("h3", Some(1), 2), ("h1", Some(2), 4), ("h2", None, 0)];
    assert_eq!(short, expected);
    let reasons = [
        "it did not become master when it was told to",
        "its priority is 0",
    ];
    assert_eq!(views[2].refused, reasons);
    let past = views[2].last_refused.as_ref().unwrap();
    assert_eq!(past.reason, reasons[0]);
    assert_eq!(past.age, Duration::from_millis(300));
    assert!(views[0].refused.is_empty() && views[0].last_refused.is_none());
    assert_eq!(views[0].info_age, Some(Duration::from_millis(300)));
}
