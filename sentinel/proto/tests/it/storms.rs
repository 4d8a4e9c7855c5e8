//! Storms: random faults, then calm. Whatever happened, one master remains, and all agree on it.

use codis_core::epoch::Epoch;

use crate::world::{World, ms, sentinel, server};

/// A small generator of its own, so that a storm depends on its seed alone.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % sides
    }
}

const SENTINELS: usize = 3;
const SERVERS: u8 = 3;
const STRIKES: usize = 25;

fn strike(world: &mut World, dice: &mut Dice) {
    let n = dice.roll(SERVERS.into()) as u8 + 1;
    let s = dice.roll(SENTINELS as u64) as usize;
    let next = (s + 1) % SENTINELS;
    match dice.roll(9) {
        0 | 1 => world.kill(n),
        2 | 3 => world.kill_master(),
        4 => world.crash(s),
        5 => world.stall(s),
        6 => drop(world.cut.insert((sentinel(s), server(n)))),
        7 => drop(world.cut.insert((sentinel(s), sentinel(next)))),
        _ if dice.roll(2) == 0 => world.servers.get_mut(&server(n)).unwrap().frozen = true,
        _ => world.sentinels[s].disk_works = false,
    }
}

fn calm(world: &mut World, dice: &mut Dice) {
    world.cut.clear();
    for s in 0..SENTINELS {
        world.sentinels[s].disk_works = true;
        world.unstall(s);
        if !world.sentinels[s].running {
            world.restart(s, dice.roll(1 << 20));
        }
    }
    for n in 1..=SERVERS {
        if !world.servers[&server(n)].alive {
            world.revive(n);
        }
        world.servers.get_mut(&server(n)).unwrap().frozen = false;
    }
}

fn agreed(world: &World) -> bool {
    let master = world.master_at(0);
    let epoch = world.config_epoch(0);
    let same = (0..SENTINELS).all(|n| world.config_epoch(n) == epoch);
    let roles = world.servers.iter().all(|(addr, it)| match &it.master {
        None => *addr == master,
        Some(followed) => *followed == master && it.link_up,
    });
    same && world.all_say(&master) && roles
}

#[test]
fn after_every_storm_one_master_remains() {
    let mut switches = 0;
    for seed in 0..300 {
        let mut dice = Dice(seed * 7919 + 1);
        let mut world = World::new(SENTINELS, SERVERS, seed);
        world.settle();
        for _ in 0..STRIKES {
            strike(&mut world, &mut dice);
            let pause = dice.roll(1800);
            world.run(ms(pause));
            if dice.roll(3) == 0 {
                calm(&mut world, &mut dice);
            }
        }
        calm(&mut world, &mut dice);
        world.until(ms(60_000), &format!("agreement (seed {seed})"), agreed);
        let mut masters = std::collections::BTreeMap::new();
        for (_, _, topology) in &world.topologies {
            if topology.epoch > Epoch::ZERO {
                let known = masters
                    .entry(topology.epoch)
                    .or_insert(topology.master.clone());
                assert_eq!(
                    *known, topology.master,
                    "seed {seed}: one master in an epoch"
                );
            }
        }
        switches += world.count("+promoted-slave");
    }
    assert!(switches >= 600, "storms that move masters: {switches}");
}
