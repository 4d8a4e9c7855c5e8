use codis_sentinel_proto::ids::SentinelId;

use super::*;
use crate::acl::Declared;
use crate::conf::load::Loader;
use crate::conf::merge::merge;
use crate::conf::rewrite::{Form, Written};

const FILE: &str = "\
sentinel monitor m 127.0.0.1 1 2
sentinel down-after-milliseconds m 5000
sentinel auth-pass m old
sentinel rename-command m CONFIG cfg
sentinel announce-ip 127.0.0.9
";

fn load(text: &str) -> Config {
    let mut loader = Loader::default();
    loader.lines("test.conf", text);
    loader.finish().unwrap()
}

/// The state after a run that began with `operator` and in which `change` happened.
fn state_after(operator: &str, change: impl FnOnce(&mut Config)) -> String {
    let config = load(operator);
    let written = Written {
        form: Form::State,
        server: config.server.clone(),
        said: said(&config),
        told_users: users::made_by(&config.server),
    };
    let mut held = config;
    change(&mut held);
    let snapshot = held.snapshot(SentinelId::new("0".repeat(40)));
    let who = users::made_by(&held.server).unwrap();
    let lines = written.lines(&snapshot, &held.globals, &who);
    merge("", &lines, Form::State)
}

fn start(operator: &str, state: &str) -> Config {
    resolve(load(operator), load(state)).unwrap()
}

fn failed_over(config: &mut Config) {
    let master = config.masters.get_mut("m").unwrap();
    master.addr = Addr::new("127.0.0.1", 2);
    master.replicas = vec![Addr::new("127.0.0.1", 1)];
    (master.config_epoch, master.leader_epoch) = (Epoch(4), Epoch(4));
    config.current_epoch = Epoch(4);
    config.epoch_floors.insert("m".into(), Epoch(4));
}

#[test]
fn what_was_ordered_holds_while_the_file_is_unchanged() {
    let state = state_after(FILE, |config| {
        failed_over(config);
        let master = config.masters.get_mut("m").unwrap();
        master.quorum = 3;
        master.settings.down_after = std::time::Duration::from_secs(30);
        master.settings.auth_pass = None;
        config.globals.announce_ip = None;
        let other = config.masters["m"].clone();
        config.masters.insert("ordered".into(), other);
    });
    let config = start(FILE, &state);
    let master = &config.masters["m"];
    assert_eq!(master.addr, Addr::new("127.0.0.1", 2));
    assert_eq!((master.quorum, master.config_epoch), (3, Epoch(4)));
    // The default is a value like any other.
    assert_eq!(master.settings.down_after.as_secs(), 30);
    assert_eq!(master.settings.auth_pass, None);
    assert_eq!(master.settings.renamed_commands["CONFIG"], "cfg");
    assert_eq!(config.globals.announce_ip, None);
    assert!(config.masters.contains_key("ordered"));
}

#[test]
fn an_edit_of_the_file_wins_for_what_it_is_about() {
    let state = state_after(FILE, |config| {
        failed_over(config);
        let settings = &mut config.masters.get_mut("m").unwrap().settings;
        settings.parallel_syncs = 7;
        settings.down_after = std::time::Duration::from_secs(1);
    });
    let edited = FILE
        .replace("5000", "6000")
        .replace("1 2\n", "1 5\n")
        .replace("sentinel auth-pass m old\n", "")
        .replace("CONFIG cfg", "SLAVEOF so")
        .replace("127.0.0.9", "127.0.0.8");
    let config = start(&edited, &state);
    let master = &config.masters["m"];
    let settings = &master.settings;
    assert_eq!(settings.down_after.as_millis(), 6000);
    assert_eq!(settings.parallel_syncs, 7);
    assert_eq!(settings.auth_pass, None);
    assert!(!settings.renamed_commands.contains_key("CONFIG"));
    assert_eq!(settings.renamed_commands["SLAVEOF"], "so");
    assert_eq!(config.globals.announce_ip.as_deref(), Some("127.0.0.8"));
    assert_eq!(master.quorum, 5);
    assert_eq!(master.addr, Addr::new("127.0.0.1", 2), "nobody changed it");
    assert_eq!(master.config_epoch, Epoch(4));
}

#[test]
fn another_address_in_the_file_is_taken_without_an_epoch() {
    let state = state_after(FILE, failed_over);
    let config = start(&FILE.replace("127.0.0.1 1 2", "127.0.0.3 1 2"), &state);
    let master = &config.masters["m"];
    assert_eq!(master.addr, Addr::new("127.0.0.3", 1));
    assert_eq!(master.config_epoch, Epoch::ZERO);
    assert_eq!(master.leader_epoch, Epoch(4));
    assert_eq!(config.epoch_floors["m"], Epoch(4));
    assert!(master.replicas.is_empty(), "they are not its replicas");
    let config = start(&FILE.replace("127.0.0.1 1 2", "127.0.0.1 2 2"), &state);
    assert_eq!(config.masters["m"].config_epoch, Epoch(4), "it is there");
}

#[test]
fn masters_come_and_go_with_their_lines() {
    let state = state_after(FILE, failed_over);
    let gone = start("port 1\n", &state);
    assert!(gone.masters.is_empty());
    assert_eq!(gone.epoch_floors["m"], Epoch(4));
    let removed = state_after(FILE, |config| {
        failed_over(config);
        config.masters.clear();
    });
    assert!(start(FILE, &removed).masters.is_empty());
    let wanted = start(&FILE.replace("1 2\n", "1 3\n"), &removed);
    assert_eq!(wanted.masters["m"].leader_epoch, Epoch(4), "no second vote");
    let added = format!("{FILE}sentinel monitor n 127.0.0.1 9 1\n");
    assert_eq!(start(&added, &state).masters.len(), 2);
}

#[test]
fn a_line_for_a_master_that_was_ordered_does_not_undo_its_failover() {
    let state = state_after("port 1\n", |config| {
        *config = load(FILE);
        failed_over(config);
    });
    let config = start(FILE, &state);
    assert_eq!(config.masters["m"].addr, Addr::new("127.0.0.1", 2));
    assert_eq!(config.masters["m"].settings.down_after.as_millis(), 5000);
}

#[test]
fn a_file_that_another_sentinel_kept_its_state_in_is_the_later_one() {
    let state = state_after(FILE, failed_over);
    let later = "\
sentinel myid 1111111111111111111111111111111111111111
sentinel monitor m 127.0.0.1 7 2
sentinel config-epoch m 9
sentinel leader-epoch m 9
sentinel known-replica m 127.0.0.1 2
sentinel current-epoch 9
";
    let config = start(later, &state);
    let master = &config.masters["m"];
    assert_eq!(master.addr, Addr::new("127.0.0.1", 7));
    assert_eq!(
        (master.config_epoch, config.current_epoch),
        (Epoch(9), Epoch(9))
    );
    assert_eq!(config.myid.unwrap().as_str(), "1".repeat(40));
}

#[test]
fn users_that_were_ordered_hold_while_those_of_the_file_are_the_same() {
    let file = format!("{FILE}user alice on >x\n");
    let unchanged = state_after(&file, |_| ());
    assert!(!unchanged.contains("user default"), "{unchanged}");
    let state = state_after(&file, |config| {
        config.server.acl.declared = Declared::default();
        let carl = config.server.acl.declared.add(&["carl", "on", ">y"]);
        carl.unwrap();
    });
    let names = |operator: &str, state: &str| -> Vec<String> {
        let users = users::made_by(&start(operator, state).server).unwrap();
        users.iter().map(|user| user.name().to_owned()).collect()
    };
    assert_eq!(names(&file, &unchanged), ["alice", "default"]);
    assert_eq!(names(&file, &state), ["carl", "default"]);
    let same = file.replace("port", "# port");
    assert_eq!(names(&same, &state), ["carl", "default"]);
    let edited = file.replace(">x", ">z");
    assert_eq!(names(&edited, &state), ["alice", "default"]);
    let with_password = format!("{file}requirepass p\n");
    assert_eq!(names(&with_password, &state), ["alice", "default"]);
    let of_their_own = format!("{FILE}aclfile users.acl\n");
    assert_eq!(names(&of_their_own, &state), ["default"]);
}
