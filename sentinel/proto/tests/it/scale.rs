//! Five hundred masters: a wake-up costs in proportion to what is due.

use std::collections::BTreeMap;

use codis_core::addr::Addr;
use codis_core::time::Time;
use codis_sentinel_proto::effect::Command;
use codis_sentinel_proto::ids::LinkId;
use codis_sentinel_proto::info::Info;
use codis_sentinel_proto::persist::{PersistedMaster, Snapshot};
use codis_sentinel_proto::settings::{MasterSettings, Settings};
use codis_sentinel_proto::{Effect, Input, Machine, PingReply, Reply};

use crate::world::{ms, sentinel, sentinel_id};

const MASTERS: usize = 500;

fn machine() -> Machine {
    let settings = Settings {
        myid: sentinel_id(0),
        announce_port: 26379,
        announce_ip: None,
        seed: 1,
    };
    let mut snapshot = Snapshot::fresh(sentinel_id(0));
    for n in 0..MASTERS {
        let addr = |kind| Addr::new(format!("{kind}{n}"), 6379);
        let master = PersistedMaster {
            addr: addr("m"),
            quorum: 2,
            settings: MasterSettings {
                down_after: ms(1000),
                ..MasterSettings::default()
            },
            config_epoch: Default::default(),
            leader_epoch: Default::default(),
            replicas: vec![addr("r")],
            forgotten: Vec::new(),
            sentinels: (1..3).map(|n| (sentinel_id(n), sentinel(n))).collect(),
        };
        snapshot.masters.insert(format!("demo-{n}"), master);
    }
    Machine::new(Time::from_millis(1), settings, snapshot)
}

fn answer(command: &Command, addr: &Addr) -> Reply {
    let info = match addr.host().strip_prefix('r') {
        Some(n) => {
            format!("role:slave\nmaster_host:m{n}\nmaster_port:6379\nmaster_link_status:up\n")
        }
        None => {
            let n = &addr.host()[1..];
            format!("role:master\nslave0:ip=r{n},port=6379\n")
        }
    };
    match command {
        Command::Info => Reply::Info(Some(Info::parse(&info).into())),
        Command::Publish(_) => Reply::Published(true),
        Command::Ping
        | Command::IsMasterDown { .. }
        | Command::Reconfigure { .. }
        | Command::HandOver { .. }
        | Command::AbortHandOver
        | Command::Follow { .. }
        | Command::ScriptKill
        | Command::WriteProbe => Reply::Ping(PingReply::Pong),
    }
}

/// Answers everything at once, for `span` of the machine's time; how many inputs that took.
fn serve(machine: &mut Machine, from: Time, span: u64) -> usize {
    let mut addrs: BTreeMap<LinkId, Addr> = BTreeMap::new();
    let (mut now, mut inputs) = (from, 0);
    while now < from + ms(span) {
        while let Some(effect) = machine.poll_effect() {
            let input = match effect {
                Effect::Connect {
                    link,
                    channel,
                    addr,
                    ..
                } => {
                    addrs.insert(link, addr);
                    Input::Connected {
                        link,
                        channel,
                        local_ip: "h".into(),
                    }
                }
                Effect::Send { link, id, command } => Input::Reply {
                    link,
                    command: id,
                    reply: answer(&command, &addrs[&link]),
                },
                Effect::Persist { id, .. } => Input::Persisted { id, ok: true },
                _ => continue,
            };
            machine.handle_input(now, input);
            inputs += 1;
        }
        now = machine.poll_timeout().unwrap();
        machine.handle_timeout(now);
        assert!(machine.poll_timeout().unwrap() > now);
    }
    inputs
}

#[test]
fn five_hundred_masters_are_watched_without_anybody_down() {
    let mut machine = machine();
    let inputs = serve(&mut machine, Time::from_millis(1), 10_000);
    // PING ten times a second on 1002 links, hello every 2 s and INFO every 10 s.
    assert!((90_000..150_000).contains(&inputs), "{inputs}");
    for name in machine.master_names() {
        let view = machine.master(Time::from_millis(10_001), &name).unwrap();
        assert_eq!(view.instance.flags[0], "master", "{name}");
        assert_eq!((view.replicas, view.other_sentinels), (1, 2));
    }
}
