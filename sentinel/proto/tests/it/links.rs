//! One machine fed by hand: what it sends and when.

use codis_core::addr::Addr;
use codis_core::epoch::Epoch;
use codis_core::time::Time;
use codis_sentinel_proto::effect::Command;
use codis_sentinel_proto::hello::Hello;
use codis_sentinel_proto::ids::LinkId;
use codis_sentinel_proto::persist::Snapshot;
use codis_sentinel_proto::settings::{MasterSettings, Settings};
use codis_sentinel_proto::{
    Auth, Channel, DisconnectReason, Effect, Input, Machine, PingReply, Reply,
};

use crate::world::{ms, sentinel_id};

fn machine() -> Machine {
    let settings = Settings {
        myid: sentinel_id(0),
        announce_port: 26379,
        announce_ip: Some("9.9.9.9".into()),
        seed: 1,
    };
    Machine::new(Time::ZERO, settings, Snapshot::fresh(sentinel_id(0)))
}

fn effects(machine: &mut Machine) -> Vec<Effect> {
    std::iter::from_fn(|| machine.poll_effect()).collect()
}

fn hello(name: &str) -> Input {
    Input::Hello(Hello {
        from: Addr::new("p", 26379),
        id: sentinel_id(1),
        current_epoch: Epoch::ZERO,
        master_name: name.into(),
        master: Addr::new(name, 1),
        config_epoch: Epoch::ZERO,
    })
}

#[test]
fn a_sentinel_known_under_two_masters_has_one_link() {
    let mut machine = machine();
    let now = Time::from_millis(1);
    for name in ["a", "b"] {
        machine.monitor(now, name, Addr::new(name, 1), 2).unwrap();
        machine.handle_input(now, hello(name));
    }
    let to_peer = |it: &&Effect| {
        matches!(
            it,
            Effect::Connect {
                auth: Auth::Sentinel,
                ..
            }
        )
    };
    assert_eq!(effects(&mut machine).iter().filter(to_peer).count(), 1);
    let view = &machine.sentinels(now, "a").unwrap()[0];
    assert_eq!(view.instance.link_refcount, 2);
    machine.remove(now, "a").unwrap();
    assert_eq!(
        machine.sentinels(now, "b").unwrap()[0]
            .instance
            .link_refcount,
        1
    );
    let before = effects(&mut machine).len();
    machine.remove(now, "b").unwrap();
    let closed = |it: &&Effect| matches!(it, Effect::Disconnect { .. });
    let closed = effects(&mut machine).iter().filter(closed).count();
    assert_eq!(
        closed, 3,
        "master's two connections and the peer's one; {before}"
    );
    assert_eq!(machine.poll_timeout(), None, "nothing is left to do");
}

/// A machine with one open master link; what it sent on it so far.
fn connected(down_after: u64) -> (Machine, LinkId, Vec<Effect>) {
    let mut machine = machine();
    let now = Time::from_millis(1);
    machine.monitor(now, "a", Addr::new("a", 1), 1).unwrap();
    let settings = MasterSettings {
        down_after: ms(down_after),
        ..MasterSettings::default()
    };
    let changes = [format!("down-after-milliseconds {down_after}")];
    machine.set(now, "a", settings, 1, &changes).unwrap();
    let open = |it: Effect| match it {
        Effect::Connect { link, .. } => Some(link),
        _ => None,
    };
    let link = effects(&mut machine).into_iter().find_map(open).unwrap();
    let input = Input::Connected {
        link,
        channel: Channel::Command,
        local_ip: "1.1.1.1".into(),
    };
    machine.handle_input(now, input);
    let sent = effects(&mut machine);
    (machine, link, sent)
}

fn commands(effects: &[Effect]) -> Vec<&Command> {
    fn command(effect: &Effect) -> Option<&Command> {
        match effect {
            Effect::Send { command, .. } => Some(command),
            _ => None,
        }
    }
    effects.iter().filter_map(command).collect()
}

#[test]
fn a_fresh_connection_gets_ping_hello_and_info_at_once() {
    let (_, _, sent) = connected(1000);
    let sent = commands(&sent);
    assert!(sent.iter().any(|it| matches!(it, Command::Ping)));
    assert!(sent.iter().any(|it| matches!(it, Command::Info)));
    let said = sent.iter().find_map(|it| match it {
        Command::Publish(hello) => Some(hello.to_string()),
        _ => None,
    });
    let expected = format!("9.9.9.9,26379,{},0,a,a,1,0", sentinel_id(0));
    assert_eq!(said, Some(expected));
}

#[test]
fn a_busy_script_is_killed_once_in_each_s_down() {
    let (mut machine, link, mut sent) = connected(1000);
    let mut kills = 0;
    let mut now = Time::from_millis(1);
    while now < Time::from_millis(5000) {
        for effect in std::mem::take(&mut sent) {
            if let Effect::Send { id, command, .. } = effect {
                kills += i32::from(matches!(command, Command::ScriptKill));
                if matches!(command, Command::Ping) {
                    let reply = Reply::Ping(PingReply::Busy);
                    let input = Input::Reply {
                        link,
                        command: id,
                        reply,
                    };
                    machine.handle_input(now, input);
                }
            }
        }
        sent.extend(effects(&mut machine));
        if sent.is_empty() {
            now = machine.poll_timeout().unwrap();
            machine.handle_timeout(now);
            assert!(machine.poll_timeout().unwrap() > now);
            sent = effects(&mut machine);
        }
    }
    assert_eq!(kills, 1);
    let view = machine.master(now, "a").unwrap();
    assert!(
        view.instance
            .flags
            .starts_with(&["s_down", "o_down", "master"])
    );
    assert!(view.instance.flags.contains(&"script_kill_sent"));
}

/// The pub/sub connection is lost first and the command connection a moment later: silence still
/// counts from the last proof of life, and both are opened again at once.
#[test]
fn losing_one_connection_after_the_other_makes_no_early_s_down() {
    let (mut machine, link, sent) = connected(300);
    let mut now = Time::from_millis(2);
    let ping = sent.iter().find_map(|it| match it {
        Effect::Send {
            id,
            command: Command::Ping,
            ..
        } => Some(*id),
        _ => None,
    });
    let reply = Reply::Ping(PingReply::Pong);
    let command = ping.unwrap();
    machine.handle_input(
        now,
        Input::Reply {
            link,
            command,
            reply,
        },
    );
    let up = |channel| Input::Connected {
        link,
        channel,
        local_ip: "1.1.1.1".into(),
    };
    machine.handle_input(now, up(Channel::PubSub));
    effects(&mut machine);
    advance(&mut machine, &mut now, 60);
    for channel in [Channel::PubSub, Channel::Command] {
        now += ms(1);
        machine.handle_timeout(now);
        let reason = DisconnectReason::Closed;
        let lost = Input::Disconnected {
            link,
            channel,
            reason,
        };
        machine.handle_input(now, lost);
    }
    let opened = effects(&mut machine);
    let opens = |it: &&Effect| matches!(it, Effect::Connect { .. });
    assert_eq!(opened.iter().filter(opens).count(), 2, "both at once");
    let down = |machine: &Machine, now| {
        let view = machine.master(now, "a").unwrap();
        view.instance.s_down.is_some()
    };
    // The proof of life came at 2 ms.
    advance(&mut machine, &mut now, 301);
    assert!(!down(&machine, now));
    advance(&mut machine, &mut now, 302);
    assert!(down(&machine, now));
}

/// Lets time pass; nothing arrives.
fn advance(machine: &mut Machine, now: &mut Time, to: u64) {
    let to = Time::from_millis(to);
    while *now < to {
        *now = machine.poll_timeout().map_or(to, |at| at.min(to));
        machine.handle_timeout(*now);
    }
}
