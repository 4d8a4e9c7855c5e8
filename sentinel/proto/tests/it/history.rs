//! The history: every failover leaves one record at each sentinel, with what it saw of it.

use codis_core::epoch::Epoch;
use codis_core::failover::{Record, Role};
use codis_sentinel_proto::Input;
use codis_sentinel_proto::hello::Hello;

use crate::world::{NAME, World, ms, sentinel, sentinel_id, server};

fn stages(record: &Record) -> Vec<&str> {
    record.stages.iter().map(|it| it.name.as_str()).collect()
}

#[test]
fn the_leader_records_all_stages_and_the_others_what_they_saw() {
    let mut world = World::new(3, 3, 1);
    world.settle();
    world.servers.get_mut(&server(3)).unwrap().offset = 2000;
    let killed = world.now;
    world.kill(1);
    world.until(ms(5000), "the end", |world| world.failovers.len() == 3);
    let led = |(_, _, it): &&(_, usize, Record)| it.role == Role::Leader;
    let (zero, leader, record) = world.failovers.iter().find(led).unwrap();
    assert!(killed.since(*zero) <= ms(101), "the last proof of life");
    let expected = [
        "s_down",
        "o_down",
        "stood",
        "elected",
        "selected",
        "ordered",
        "promoted",
        "told",
        "replica-done",
        "end",
    ];
    assert_eq!(stages(record), expected, "{record:#?}");
    assert!(record.stages.is_sorted_by_key(|it| it.ms));
    assert_eq!(record.stage_ms("s_down"), Some(1000));
    assert_eq!(record.stages[8].addr, Some(server(2)));
    assert_eq!(record.from, server(1));
    assert_eq!(record.to, Some(server(3)));
    let words = (record.cause.as_str(), record.outcome.as_str());
    assert_eq!(words, ("o_down", "end"));
    assert_eq!((record.attempts, record.epoch), (1, Epoch(1)));
    let me = sentinel_id(*leader).to_string();
    assert_eq!(record.leader.as_ref(), Some(&me));
    assert!(record.votes.len() >= 2, "{:?}", record.votes);
    assert!(record.votes.iter().all(|vote| vote.leader == me));
    let offsets: Vec<u64> = record.candidates.iter().map(|it| it.offset).collect();
    assert_eq!(offsets.len(), 2);
    assert!(offsets[0] >= 2000, "the best first: {offsets:?}");

    for (_, n, record) in world.failovers.iter().filter(|(_, n, _)| n != leader) {
        assert_eq!(record.role, Role::Voter, "{record:#?}");
        assert_eq!(record.outcome, "promoted");
        assert_eq!(record.to, Some(server(3)));
        assert_eq!(record.leader.as_ref(), Some(&me));
        assert_eq!(record.sentinel, sentinel_id(*n).to_string());
        assert!(record.stage_ms("voted").is_some());
        assert!(record.stage_ms("heard").is_some());
    }
}

#[test]
fn attempts_that_fail_alike_are_one_record_told_ever_more_rarely() {
    let mut world = World::new(3, 2, 1);
    world.settle();
    world.servers.get_mut(&server(2)).unwrap().priority = 0;
    world.run(ms(11_000));
    world.kill(1);
    world.run(ms(60_000));
    let barren = |(_, _, it): &&(_, usize, Record)| it.outcome == "no-good-slave";
    let records: Vec<&Record> = world
        .failovers
        .iter()
        .filter(barren)
        .map(|it| &it.2)
        .collect();
    assert!(!records.is_empty(), "{}", world.log());
    assert!(records.iter().all(|it| it.attempts.is_power_of_two()));
    let last = records.last().unwrap();
    let first = &last.candidates[0];
    assert_eq!(first.refused, ["its priority is 0"]);
    assert_eq!(last.to, None);
    let most = records.iter().max_by_key(|it| it.attempts).unwrap();
    assert!(most.attempts >= 2, "{records:#?}");
    let same = |it: &&&Record| it.sentinel == most.sentinel && it.attempts < most.attempts;
    let before = records.iter().filter(same).max_by_key(|it| it.attempts);
    assert!(before.unwrap().is_continued_by(most));
}

#[test]
fn a_switch_that_a_hello_brings_is_recorded_and_an_order_has_its_cause() {
    let mut world = World::new(3, 2, 1);
    world.settle();
    let hello = Hello {
        from: sentinel(1),
        id: sentinel_id(1),
        current_epoch: Epoch(7),
        master_name: NAME.into(),
        master: server(2),
        config_epoch: Epoch(7),
    };
    world.inject(0, Input::Hello(hello));
    let (_, n, record) = world.failovers.first().unwrap();
    assert_eq!((*n, record.role), (0, Role::Observer));
    assert_eq!(stages(record), ["heard", "told", "end"]);
    assert_eq!(record.to, Some(server(2)));
    assert_eq!((record.epoch, record.cause.as_str()), (Epoch(7), "unknown"));

    let mut world = World::new(3, 2, 1);
    world.settle();
    let now = world.now;
    let ordered = world.sentinels[0].machine.failover(now, NAME, None);
    ordered.unwrap();
    let open = world.sentinels[0].machine.failovers_in_progress();
    assert_eq!(open[0].1.outcome, "in-progress");
    world.drain(0);
    world.until(ms(5000), "the end", |world| world.failovers.len() == 3);
    let led = |(_, _, it): &&(_, usize, Record)| it.role == Role::Leader;
    let (_, _, record) = world.failovers.iter().find(led).unwrap();
    let words = (record.cause.as_str(), record.outcome.as_str());
    assert_eq!(words, ("operator", "end"));
    assert_eq!(stages(record)[0], "stood");
    assert!(
        world.sentinels[0]
            .machine
            .failovers_in_progress()
            .is_empty()
    );
}
