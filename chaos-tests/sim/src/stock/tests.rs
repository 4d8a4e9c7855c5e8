use std::collections::BTreeMap;

use codis_sentinel_proto::Opinion;
use codis_sentinel_proto::ids::RequestId;
use codis_sentinel_proto::persist::PersistedMaster;
use codis_sentinel_proto::settings::MasterSettings;

use super::*;

const NAME: &str = "demo";

fn id(name: &str) -> SentinelId {
    SentinelId::new(name.to_owned())
}

fn master_addr() -> Addr {
    Addr::new("10.1.0.1", 6379)
}

/// A stock sentinel with two peers.
fn stock() -> Stock {
    let persisted = PersistedMaster {
        forgotten: Vec::new(),
        addr: master_addr(),
        quorum: 2,
        settings: MasterSettings {
            down_after: Duration::from_secs(1),
            failover_timeout: Duration::from_secs(10),
            ..MasterSettings::default()
        },
        config_epoch: Epoch(3),
        leader_epoch: Epoch(3),
        replicas: Vec::new(),
        sentinels: vec![
            (id("b"), Addr::new("10.0.0.2", 26379)),
            (id("c"), Addr::new("10.0.0.3", 26379)),
        ],
    };
    let snapshot = Snapshot {
        masters: BTreeMap::from([(NAME.to_owned(), persisted)]),
        ..Snapshot::fresh(id("a"))
    };
    Stock::new(Time::ZERO, Addr::new("10.0.0.1", 26379), 1, snapshot)
}

/// What it answers to a question, after everything else that it says.
fn ask(stock: &mut Stock, epoch: u64, candidate: &str) -> Opinion {
    let question = Input::Asked {
        request: RequestId(1),
        master: master_addr(),
        epoch: Epoch(epoch),
        candidate: Some(id(candidate)),
    };
    stock.handle_input(Time::from_millis(10), question);
    let effects = std::iter::from_fn(|| stock.poll_effect());
    let opinion = effects.filter_map(|effect| match effect {
        Effect::Answer { opinion, .. } => opinion,
        _ => None,
    });
    opinion.last().unwrap()
}

#[test]
fn a_start_takes_the_config_epoch_for_the_current_one() {
    assert_eq!(stock().current_epoch(), Epoch(3));
}

#[test]
fn a_vote_is_written_before_it_is_answered_and_given_once() {
    let mut stock = stock();
    let question = Input::Asked {
        request: RequestId(1),
        master: master_addr(),
        epoch: Epoch(4),
        candidate: Some(id("b")),
    };
    stock.handle_input(Time::from_millis(10), question);
    assert!(matches!(stock.poll_effect(), Some(Effect::Persist { .. })));
    let vote = ask(&mut stock, 4, "c");
    assert_eq!((vote.leader, vote.leader_epoch), (Some(id("b")), Epoch(4)));
    let vote = ask(&mut stock, 3, "c");
    assert_eq!(
        vote.leader,
        Some(id("b")),
        "an older epoch gets the newer vote"
    );
    let vote = ask(&mut stock, 5, "c");
    assert_eq!((vote.leader, vote.leader_epoch), (Some(id("c")), Epoch(5)));
}

#[test]
fn a_vote_for_another_keeps_it_passive_for_twice_the_timeout() {
    let mut stock = stock();
    ask(&mut stock, 4, "b");
    stock.masters.get_mut(NAME).unwrap().o_down = true;
    stock.core.now = stock.wall(Time::from_millis(19_000));
    assert!(!master_starts(&mut stock));
    stock.core.now = stock.wall(Time::from_millis(22_000));
    assert!(master_starts(&mut stock));
}

fn master_starts(stock: &mut Stock) -> bool {
    let master = stock.masters.get_mut(NAME).unwrap();
    master.start_if_needed(&mut stock.core)
}

/// The hole in its rule: votes for the current epoch make a leader of an older one.
#[test]
fn votes_of_another_epoch_count_for_its_own() {
    let mut stock = stock();
    let master = stock.masters.get_mut(NAME).unwrap();
    master.o_down = true;
    assert!(master.start_if_needed(&mut stock.core));
    assert_eq!(master.leader(&mut stock.core), None, "only its own vote");
    stock.core.adopt_epoch(Epoch(5));
    let peer = master.peers.get_mut(&id("b")).unwrap();
    (peer.leader, peer.leader_epoch) = (Some(id("a")), Epoch(5));
    assert_eq!(master.failover.epoch, Epoch(4));
    assert_eq!(master.leader(&mut stock.core), Some(id("a")));
}

#[test]
fn a_wall_clock_that_jumps_is_tilt_for_30_s() {
    let mut stock = stock();
    stock.handle_timeout(Time::ZERO);
    stock.jump(-5_000_000);
    stock.handle_timeout(stock.poll_timeout());
    assert!(stock.is_tilt());
    let mut now = stock.poll_timeout();
    let over = now + Duration::from_secs(31);
    while now < over {
        stock.handle_timeout(now);
        now = stock.poll_timeout();
    }
    assert!(!stock.is_tilt());
}
