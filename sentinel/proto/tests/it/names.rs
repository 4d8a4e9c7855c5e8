//! Masters, replicas and sentinels that are known by name.

use std::net::IpAddr;
use std::sync::Arc;

use codis_core::addr::Addr;
use codis_core::epoch::Epoch;
use codis_core::time::Time;
use codis_sentinel_proto::effect::Command;
use codis_sentinel_proto::hello::Hello;
use codis_sentinel_proto::hosts::Names;
use codis_sentinel_proto::ids::{LinkId, RequestId};
use codis_sentinel_proto::info::Info;
use codis_sentinel_proto::persist::Snapshot;
use codis_sentinel_proto::settings::Settings;
use codis_sentinel_proto::{Channel, Effect, Input, Machine, Opinion, Reply};

use crate::world::{ms, sentinel_id};

/// A sentinel that monitors `m` at `db-1:6379`, fed by hand.
struct Fed {
    machine: Machine,
    now: Time,
    /// Everything that it ordered so far.
    seen: Vec<Effect>,
}

impl Fed {
    fn new(announce: bool, known: &[(&str, &str)]) -> Self {
        let settings = Settings {
            myid: sentinel_id(0),
            announce_port: 26379,
            announce_ip: None,
            seed: 1,
        };
        let names = Names {
            resolve: true,
            announce,
        };
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let known: Vec<_> = known
            .iter()
            .map(|(host, text)| ((*host).to_owned(), ip(text)))
            .collect();
        let snapshot = Snapshot::fresh(sentinel_id(0));
        let machine = Machine::with_names(Time::ZERO, settings, snapshot, names, &known);
        let now = Time::from_millis(1);
        let mut fed = Self {
            machine,
            now,
            seen: Vec::new(),
        };
        let addr = Addr::new("db-1", 6379);
        fed.machine.monitor(now, "m", addr, 1).unwrap();
        fed.drain();
        fed
    }

    fn drain(&mut self) {
        while let Some(effect) = self.machine.poll_effect() {
            self.seen.push(effect);
        }
    }

    fn feed(&mut self, input: Input) {
        self.machine.handle_input(self.now, input);
        self.drain();
    }

    fn resolved(&mut self, host: &str, answers: &[&str]) {
        let answers = answers.iter().map(|text| text.parse().unwrap()).collect();
        let host = host.to_owned();
        self.feed(Input::Resolved { host, answers });
    }

    /// Lets time pass without an answer from anybody.
    fn pass(&mut self, span: u64) {
        let until = self.now + ms(span);
        while let Some(at) = self.machine.poll_timeout().filter(|at| *at <= until) {
            self.now = at;
            self.machine.handle_timeout(at);
            self.drain();
        }
        self.now = until;
    }

    /// The link to an address, opened by hand.
    fn open(&mut self, host: &str) -> LinkId {
        let to = |it: &Effect| match it {
            Effect::Connect { link, addr, .. } if addr.host() == host => Some(*link),
            _ => None,
        };
        let link = self.seen.iter().rev().find_map(to).unwrap();
        for channel in [Channel::Command, Channel::PubSub] {
            let local_ip = "10.0.0.99".to_owned();
            self.feed(Input::Connected {
                link,
                channel,
                local_ip,
            });
        }
        link
    }

    /// Answers the last INFO on a link.
    fn inform(&mut self, link: LinkId, text: &str) {
        let asked = |it: &Effect| match it {
            Effect::Send {
                link: on,
                id,
                command: Command::Info,
            } if *on == link => Some(*id),
            _ => None,
        };
        let command = self.seen.iter().rev().find_map(asked).unwrap();
        let reply = Reply::Info(Some(Arc::new(Info::parse(text))));
        self.feed(Input::Reply {
            link,
            command,
            reply,
        });
    }

    fn hello(&mut self, from: &str, master: Addr, config_epoch: u64) {
        self.feed(Input::Hello(Hello {
            from: Addr::new(from, 26379),
            id: sentinel_id(1),
            current_epoch: Epoch(config_epoch),
            master_name: "m".into(),
            master,
            config_epoch: Epoch(config_epoch),
        }));
    }

    /// Whether it says that the master at a host is down.
    fn ask(&mut self, number: u64, host: &str) -> Option<bool> {
        self.feed(Input::Asked {
            request: RequestId(number),
            master: Addr::new(host, 6379),
            epoch: Epoch::ZERO,
            candidate: None,
        });
        let answer = |it: &Effect| match it {
            Effect::Answer {
                request,
                opinion: Some(Opinion { down, .. }),
            } if request.0 == number => Some(*down),
            _ => None,
        };
        self.seen.iter().find_map(answer)
    }

    fn asks_for(&self, host: &str) -> usize {
        let asks = |it: &&Effect| matches!(it, Effect::Resolve { host: it } if it == host);
        self.seen.iter().filter(asks).count()
    }

    fn connects_to(&self, host: &str) -> usize {
        let to = |it: &&Effect| matches!(it, Effect::Connect { addr, .. } if addr.host() == host);
        self.seen.iter().filter(to).count()
    }

    fn events(&self, name: &str) -> Vec<String> {
        let text = |it: &Effect| match it {
            Effect::Event(event) if event.name == name => Some(event.payload.clone()),
            _ => None,
        };
        self.seen.iter().filter_map(text).collect()
    }

    fn current(&self) -> String {
        let view = self.machine.master(self.now, "m").unwrap();
        view.current.to_string()
    }

    fn replicas(&self) -> Vec<String> {
        let views = self.machine.replicas(self.now, "m").unwrap();
        views.into_iter().map(|view| view.instance.name).collect()
    }

    /// The address of the master in the last snapshot.
    fn stored(&self) -> Addr {
        self.machine.snapshot().masters["m"].addr.clone()
    }
}

#[test]
fn an_unknown_name_is_looked_up_before_it_is_connected_to() {
    let mut fed = Fed::new(false, &[]);
    assert_eq!((fed.asks_for("db-1"), fed.connects_to("db-1")), (1, 0));
    assert_eq!(fed.current(), ":6379", "an empty ip, as with the original");
    assert_eq!(fed.stored(), Addr::new("db-1", 6379), "never in the file");
    fed.resolved("db-1", &[]);
    fed.pass(31_000);
    assert_eq!(fed.events("+sdown"), ["master m  6379"]);
    assert!(fed.asks_for("db-1") > 20, "about once a second");
    assert_eq!(fed.connects_to("db-1"), 0);
    fed.resolved("DB-1", &["10.0.0.1"]);
    assert_eq!(fed.connects_to("db-1"), 2, "both connections");
    let to = fed.machine.reachable(&Addr::new("db-1", 6379));
    assert_eq!(to, Some(Addr::new("10.0.0.1", 6379)));
    assert_eq!(fed.current(), "10.0.0.1:6379");
    assert_eq!(fed.stored(), Addr::new("10.0.0.1", 6379));
}

#[test]
fn a_name_that_moves_is_connected_to_anew_and_a_failure_changes_nothing() {
    let mut fed = Fed::new(false, &[("db-1", "10.0.0.1")]);
    let link = fed.open("db-1");
    let before = fed.connects_to("db-1");
    fed.resolved("db-1", &[]);
    fed.resolved("db-1", &["10.0.0.7", "10.0.0.1"]);
    assert_eq!(fed.connects_to("db-1"), before);
    fed.resolved("db-1", &["10.0.0.2"]);
    assert_eq!(fed.connects_to("db-1"), before + 2, "without a wait");
    assert_eq!(fed.current(), "10.0.0.2:6379");
    assert_eq!(fed.stored(), Addr::new("10.0.0.2", 6379));
    // A connection that is lost may have been lost because the server moved.
    fed.open("db-1");
    let asked = fed.asks_for("db-1");
    fed.feed(Input::Disconnected {
        link,
        channel: Channel::Command,
        reason: codis_sentinel_proto::DisconnectReason::Closed,
    });
    fed.pass(2000);
    assert!(fed.asks_for("db-1") > asked);
}

#[test]
fn names_or_addresses_are_announced_as_configured() {
    for (announce, host) in [(false, "10.0.0.1"), (true, "db-1")] {
        let mut fed = Fed::new(announce, &[("db-1", "10.0.0.1"), ("db-2", "10.0.0.2")]);
        fed.open("db-1");
        let said = fed.seen.iter().find_map(|it| match it {
            Effect::Send {
                command: Command::Publish(hello),
                ..
            } => Some(hello.clone()),
            _ => None,
        });
        assert_eq!(said.unwrap().master, Addr::new(host, 6379));
        assert_eq!(fed.stored(), Addr::new(host, 6379));
        assert_eq!(
            fed.events("+monitor"),
            [format!("master m {host} 6379 quorum 1")]
        );
        let names = Names {
            resolve: true,
            announce: !announce,
        };
        fed.machine.set_names(fed.now, names);
        assert_ne!(fed.stored(), Addr::new(host, 6379));
    }
}

#[test]
fn replicas_with_names_are_added_once_the_name_is_known_and_only_once() {
    let mut fed = Fed::new(false, &[("db-1", "10.0.0.1")]);
    let link = fed.open("db-1");
    let info = "run_id:a\r\nrole:master\r\nslave0:ip=db-2,port=6379,state=online\r\n\
                slave1:ip=10.0.0.3,port=6379,state=online\r\n";
    fed.inform(link, info);
    assert_eq!(fed.replicas(), ["10.0.0.3:6379"]);
    assert_eq!(fed.asks_for("db-2"), 1);
    fed.resolved("db-2", &["10.0.0.2"]);
    let mut names = fed.replicas();
    names.sort();
    assert_eq!(names, ["10.0.0.2:6379", "10.0.0.3:6379"]);
    let told = fed.events("+slave");
    assert!(
        told[1].starts_with("slave 10.0.0.2:6379 10.0.0.2 6379 @ m 10.0.0.1 6379"),
        "{told:?}"
    );
    // The same servers by other texts, and the master itself.
    fed.pass(31_000);
    fed.open("db-1");
    let again = "run_id:a\r\nrole:master\r\nslave0:ip=10.0.0.2,port=6379\r\n\
                 slave1:ip=DB-2,port=6379\r\nslave2:ip=10.0.0.1,port=6379\r\n";
    fed.inform(link, again);
    assert_eq!(fed.replicas().len(), 2);
    // A literal address turns out to be a known name.
    let third = "run_id:a\r\nrole:master\r\nslave0:ip=db-3,port=6379\r\n";
    fed.pass(31_000);
    fed.open("db-1");
    fed.inform(link, third);
    fed.resolved("db-3", &["10.0.0.9"]);
    assert_eq!(fed.replicas().len(), 3);
    fed.resolved("db-3", &["10.0.0.3"]);
    assert_eq!(fed.replicas().len(), 2, "one server, one replica");
}

#[test]
fn a_switch_to_an_address_goes_to_the_replica_that_is_known_by_name() {
    let known = [("db-1", "10.0.0.1"), ("db-2", "10.0.0.2")];
    let mut fed = Fed::new(false, &known);
    let link = fed.open("db-1");
    fed.inform(
        link,
        "run_id:a\r\nrole:master\r\nslave0:ip=db-2,port=6379\r\n",
    );
    fed.open("db-2");
    let before = fed.connects_to("db-2");
    fed.hello("10.0.0.50", Addr::new("10.0.0.2", 6379), 7);
    assert_eq!(
        fed.events("+switch-master"),
        ["m 10.0.0.1 6379 10.0.0.2 6379"]
    );
    assert_eq!(fed.connects_to("db-2"), before, "its connections are kept");
    assert_eq!(fed.replicas(), ["10.0.0.1:6379"]);
    fed.hello("10.0.0.50", Addr::new("DB-2", 6379), 8);
    assert_eq!(fed.events("+switch-master").len(), 1, "the same server");
}

#[test]
fn a_hello_waits_for_the_names_in_it() {
    let mut fed = Fed::new(false, &[("db-1", "10.0.0.1")]);
    fed.hello("guard-2", Addr::new("db-2", 6379), 7);
    assert_eq!(fed.machine.sentinels(fed.now, "m").unwrap().len(), 0);
    fed.resolved("guard-2", &["10.0.0.51"]);
    assert_eq!(
        fed.machine.sentinels(fed.now, "m").unwrap()[0]
            .instance
            .addr,
        Addr::new("10.0.0.51", 26379)
    );
    assert!(
        fed.events("+switch-master").is_empty(),
        "its place is not known"
    );
    fed.resolved("db-2", &["10.0.0.2"]);
    fed.hello("10.0.0.51", Addr::new("db-2", 6379), 7);
    assert_eq!(fed.events("+switch-master").len(), 1);
    // The sentinel said its address instead of its name: nobody moved.
    assert!(fed.events("+sentinel-address-switch").is_empty());
    assert_eq!(fed.events("+sentinel").len(), 1);
}

#[test]
fn a_name_that_cannot_be_looked_up_moves_no_master() {
    let mut fed = Fed::new(false, &[("db-1", "10.0.0.1")]);
    fed.hello("10.0.0.51", Addr::new("lost", 6379), 7);
    fed.resolved("lost", &[]);
    assert_eq!(fed.current(), "10.0.0.1:6379");
    assert_eq!(fed.events("+sentinel").len(), 1, "but the sentinel is met");
}

#[test]
fn a_question_about_an_address_is_about_the_master_known_by_name() {
    let mut fed = Fed::new(false, &[("db-1", "10.0.0.1")]);
    fed.pass(31_000);
    assert_eq!(fed.ask(1, "10.0.0.1"), Some(true));
    assert_eq!(fed.ask(2, "DB-1"), Some(true));
    assert_eq!(fed.ask(3, "other"), Some(false));
    assert_eq!(fed.asks_for("other"), 1, "the next question may know it");
    fed.resolved("other", &["10.0.0.1"]);
    assert_eq!(fed.ask(4, "other"), Some(true));
}
