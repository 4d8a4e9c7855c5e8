//! Promotions against a world that is played by hand, and crashes between any two effects.

use codis_core::epoch::Epoch;
use codis_core::ha::GroupTopology;
use codis_core::model::{GroupServer, Promoting, Sentinel, SlotMapping};

use super::*;
use crate::{Change, Records, form};

/// Records that survive a crash, and servers that know their role.
#[derive(Clone, Debug, PartialEq)]
struct World {
    cluster: Cluster,
    masters: Vec<&'static str>,
}

const SERVERS: [&str; 3] = ["a:1", "b:1", "c:1"];

impl World {
    fn new() -> Self {
        let server = |addr: &str| GroupServer {
            addr: addr.to_owned(),
            ..Default::default()
        };
        let groups = vec![Group {
            id: 1,
            servers: SERVERS.map(server).to_vec(),
            ..Group::default()
        }];
        let slots = vec![SlotMapping {
            id: 7,
            group_id: 1,
            ..SlotMapping::default()
        }];
        let cluster = Cluster::load(Records {
            groups,
            slots,
            ..Records::default()
        });
        Self {
            cluster,
            masters: vec!["a:1"],
        }
    }

    fn role(&mut self, server: &str, master: bool) {
        let server = SERVERS.into_iter().find(|known| *known == server).unwrap();
        self.masters.retain(|known| *known != server);
        if master {
            self.masters.push(server);
        }
    }

    /// Does what the effect says; nothing fails.
    fn carry_out(&mut self, effect: &Effect) -> Input {
        match effect {
            Effect::Store(step) => {
                for change in step.edit(&self.cluster, "now").unwrap() {
                    self.cluster.apply(&change);
                }
            }
            Effect::Promote { server } => {
                let locked = form::one(&self.cluster, &self.cluster.slots()[7], 1, None).locked;
                let switched = self.cluster.master(1) == server;
                assert!(
                    locked || switched,
                    "promoted while the old master takes requests"
                );
                self.role(server, true);
            }
            Effect::Follow { servers, .. } => servers.iter().for_each(|s| self.role(s, false)),
            Effect::Inspect { .. }
            | Effect::Push
            | Effect::Ask { .. }
            | Effect::CatchUp { .. }
            | Effect::Done(_) => {}
        }
        Input::Ok
    }

    /// What a dashboard that starts anew finds: no locks but those on record.
    fn crash(&mut self) {
        let cluster = &self.cluster;
        self.cluster = Cluster::load(Records {
            slots: cluster.slots().to_vec(),
            groups: cluster.groups().cloned().collect(),
            topologies: cluster.topology(1).cloned().into_iter().collect(),
            ..Records::default()
        });
    }

    fn run(&mut self, mut promotion: Promotion) -> Result<(), Failure> {
        while let Some(effect) = promotion.poll_effect() {
            if let Effect::Done(outcome) = effect {
                return outcome;
            }
            let input = self.carry_out(&effect);
            promotion.handle(input);
        }
        panic!("ended without an outcome");
    }
}

fn promoted() -> World {
    let mut world = World::new();
    let promotion = Promotion::start(&world.cluster, 1, "b:1").unwrap();
    assert_eq!(world.run(promotion), Ok(()));
    world
}

#[test]
fn the_group_is_reordered_at_the_next_epoch_and_the_slots_are_free() {
    let world = promoted();
    let group = world.cluster.group(1).unwrap();
    let order: Vec<&str> = group
        .servers
        .iter()
        .map(|server| server.addr.as_str())
        .collect();
    assert_eq!(order, ["b:1", "c:1", "a:1"]);
    assert_eq!(group.promoting.state, ActionState::Nothing);
    assert!(!group.out_of_sync);
    assert_eq!(world.cluster.epoch(1), Epoch(1));
    assert_eq!(world.masters, ["b:1"]);
    let slot = form::one(&world.cluster, &world.cluster.slots()[7], 1, None);
    assert!(!slot.locked);
    assert_eq!(
        (slot.backend_addr.as_str(), slot.backend_addr_epoch),
        ("b:1", Epoch(1))
    );
}

/// A crash before or after any effect, then a resume, ends where no crash would have. Where
/// nothing was stored yet, nothing has happened.
#[test]
fn a_crash_anywhere_ends_in_the_same_state_or_as_before() {
    let (before, after) = (World::new(), promoted());
    for crash_at in 0..32 {
        for acted in [false, true] {
            let mut world = World::new();
            let mut promotion = Promotion::start(&world.cluster, 1, "b:1").unwrap();
            for step in 0..=crash_at {
                let Some(effect) = promotion.poll_effect() else {
                    break;
                };
                if step == crash_at && !acted {
                    break;
                }
                let input = world.carry_out(&effect);
                promotion.handle(input);
            }
            world.crash();
            match Promotion::resume(&world.cluster, 1) {
                Some(promotion) => {
                    assert_eq!(world.run(promotion), Ok(()));
                    assert_same(&world, &after, crash_at);
                }
                None if world.cluster.epoch(1) > Epoch::ZERO => {
                    assert_same(&world, &after, crash_at)
                }
                None => assert_eq!(world, before, "crash at {crash_at}"),
            }
        }
    }
}

fn assert_same(world: &World, after: &World, crash_at: usize) {
    assert_eq!(
        world.cluster.group(1),
        after.cluster.group(1),
        "crash at {crash_at}"
    );
    assert_eq!(
        world.cluster.epoch(1),
        after.cluster.epoch(1),
        "crash at {crash_at}"
    );
    assert_eq!(world.masters, after.masters, "crash at {crash_at}");
}

/// Whatever fails before the switch is recorded leaves everything as it was, and unlocked.
#[test]
fn a_failure_before_the_switch_is_undone() {
    for fail_at in 0..6 {
        let mut world = World::new();
        let mut promotion = Promotion::start(&world.cluster, 1, "b:1").unwrap();
        let (mut step, mut last) = (0, None);
        while let Some(effect) = promotion.poll_effect() {
            if let Effect::Done(outcome) = effect {
                last = Some(outcome);
                break;
            }
            let failing = step == fail_at && !matches!(effect, Effect::Push);
            step += 1;
            if failing {
                if let Effect::Promote { server } = &effect {
                    world.role(server, true); // It took the order, and its answer was lost.
                }
                promotion.handle(Input::Failed("no".into()));
            } else {
                let input = world.carry_out(&effect);
                promotion.handle(input);
            }
        }
        match last {
            Some(Ok(())) => assert_eq!(fail_at, 2, "only a push may fail in part"),
            Some(Err(failure)) => {
                assert_eq!(failure, Failure::Undone("no".into()), "fail at {fail_at}");
                assert_eq!(world, World::new(), "fail at {fail_at}");
            }
            None => panic!("ended without an outcome"),
        }
    }
}

/// One proxy takes no push.
fn with_a_proxy_behind(world: &mut World, master_lives: bool) -> Result<(), Failure> {
    let mut promotion = Promotion::start(&world.cluster, 1, "b:1").unwrap();
    loop {
        let effect = promotion.poll_effect().unwrap();
        if let Effect::Done(outcome) = effect {
            return outcome;
        }
        let input = if effect == Effect::Push {
            Input::Partly(vec!["t1".into()])
        } else if matches!(effect, Effect::Ask { .. }) && !master_lives {
            Input::Failed("nobody listens".into())
        } else {
            world.carry_out(&effect)
        };
        promotion.handle(input);
    }
}

/// Its clients would go on writing to a master whose replica is promoted.
#[test]
fn a_proxy_that_is_not_locked_keeps_a_master_that_may_live_in_its_place() {
    let mut world = World::new();
    let failure = with_a_proxy_behind(&mut world, true).unwrap_err();
    assert!(matches!(failure, Failure::Undone(_)));
    let text = failure.to_string();
    assert!(
        text.starts_with("proxy-[t1] resync slots failed: "),
        "{text}"
    );
    assert!(text.contains("server-[a:1]"), "{text}");
    assert_eq!(world, World::new());
}

#[test]
fn proxies_that_are_behind_do_not_delay_the_replacement_of_a_dead_master() {
    let mut world = World::new();
    let outcome = with_a_proxy_behind(&mut world, false);
    let behind = Failure::ProxiesBehind(vec!["t1".into()]);
    assert_eq!(outcome, Err(behind));
    assert_eq!(world.cluster.master(1), "b:1");
    assert!(world.cluster.group(1).unwrap().out_of_sync);
}

#[test]
fn a_second_candidate_and_the_master_are_refused() {
    let mut world = World::new();
    let start = |world: &World, addr| {
        Promotion::start(&world.cluster, 1, addr)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(start(&world, "a:1"), "group-[1] can't promote master");
    assert_eq!(start(&world, "x:1"), "group-[1] doesn't have server-[x:1]");
    let step = Step::Prepare {
        group: 1,
        candidate: "b:1".into(),
    };
    world.carry_out(&Effect::Store(step));
    assert_eq!(start(&world, "c:1"), "group-[1] is promoting index = 1");
}

/// What an original dashboard left behind in a product with sentinels.
#[test]
fn with_sentinels_a_promotion_that_was_begun_is_undone_and_a_recorded_one_gets_an_epoch() {
    let stored = |promoting, servers: [&str; 3]| {
        let mut world = World::new();
        let server = |addr: &str| GroupServer {
            addr: addr.to_owned(),
            ..Default::default()
        };
        let servers = servers.map(server).to_vec();
        let group = Group {
            id: 1,
            servers,
            promoting,
            ..Group::default()
        };
        let (group_id, epoch, master) = (1, Epoch(4), "a:1".to_owned());
        let topology = GroupTopology {
            group_id,
            epoch,
            master,
            ..Default::default()
        };
        let sentinel = Sentinel {
            servers: vec!["s:1".to_owned()],
            out_of_sync: false,
        };
        world.cluster.apply(&Change::PutGroup(group));
        world.cluster.apply(&Change::PutTopology(topology));
        world.cluster.apply(&Change::PutSentinel(sentinel));
        world
    };
    let promoting = |index, state| Promoting { index, state };
    let mut begun = stored(promoting(1, ActionState::Prepared), SERVERS);
    let promotion = Promotion::resume(&begun.cluster, 1).unwrap();
    assert!(matches!(begun.run(promotion), Err(Failure::Undone(_))));
    assert_eq!(
        (begun.cluster.master(1), begun.cluster.epoch(1)),
        ("a:1", Epoch(4))
    );
    assert!(!begun.cluster.is_locked(1));
    let mut recorded = stored(promoting(0, ActionState::Finished), ["b:1", "c:1", "a:1"]);
    let promotion = Promotion::resume(&recorded.cluster, 1).unwrap();
    assert_eq!(recorded.run(promotion), Ok(()));
    assert_eq!(
        (recorded.cluster.master(1), recorded.cluster.epoch(1)),
        ("b:1", Epoch(5))
    );
    assert!(!recorded.cluster.drifted(1));
}

/// The pair of the switch was stored and the group's record was not.
#[test]
fn a_crash_within_the_switch_costs_an_epoch_and_nothing_else() {
    let mut world = World::new();
    let mut promotion = Promotion::start(&world.cluster, 1, "b:1").unwrap();
    loop {
        let effect = promotion.poll_effect().unwrap();
        if let Effect::Store(step @ Step::Switch { .. }) = &effect {
            let changes = step.edit(&world.cluster, "now").unwrap();
            world.cluster.apply(&changes[0]);
            break;
        }
        let input = world.carry_out(&effect);
        promotion.handle(input);
    }
    world.crash();
    assert!(world.cluster.drifted(1));
    let promotion = Promotion::resume(&world.cluster, 1).unwrap();
    assert_eq!(world.run(promotion), Ok(()));
    assert_eq!(
        (world.cluster.master(1), world.cluster.epoch(1)),
        ("b:1", Epoch(2))
    );
    assert!(!world.cluster.drifted(1));
}
