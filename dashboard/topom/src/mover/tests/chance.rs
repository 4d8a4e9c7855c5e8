//! Anything may happen in any order; in the end every action ends and no key was out of sight.

use super::super::*;
use super::world::{World, slot_of};
use crate::edit;

/// The slots and groups that take part.
const SLOTS: [u16; 4] = [20, 21, 22, 23];

/// What happens next. Numbers choose among what there is.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// An effect is carried out and its result comes in.
    Done(usize),
    /// One is not carried out.
    Failed(usize),
    /// One is carried out, but its result is lost and counts as failed.
    Lost(usize),
    /// A command that was given up is carried out after all.
    Late(usize),
    /// A proxy takes the newest forms by itself.
    Fill(usize),
    /// A client writes.
    Write(usize, usize, bool),
    Queue(usize, u32),
    Cancel(usize),
    Disable(bool),
    Crash,
    Wait,
}

fn event() -> impl proptest::strategy::Strategy<Value = Event> {
    use proptest::prelude::*;
    prop_oneof![
        12 => (0usize..8).prop_map(Event::Done),
        2 => (0usize..8).prop_map(Event::Failed),
        2 => (0usize..8).prop_map(Event::Lost),
        2 => (0usize..8).prop_map(Event::Late),
        4 => (0usize..2).prop_map(Event::Fill),
        4 => (0usize..2, 0usize..4, any::<bool>()).prop_map(|(p, s, f)| Event::Write(p, s, f)),
        3 => (0usize..4, 1u32..4).prop_map(|(s, g)| Event::Queue(s, g)),
        2 => (0usize..4).prop_map(Event::Cancel),
        1 => any::<bool>().prop_map(Event::Disable),
        1 => Just(Event::Crash),
        3 => Just(Event::Wait),
    ]
}

/// A dashboard, the world around it, and what is under way between them.
struct Play {
    world: World,
    mover: Mover,
    out: Vec<Effect>,
    clock: Time,
}

impl Play {
    fn new() -> Self {
        let world = World::new();
        Self {
            mover: world.mover(),
            world,
            out: Vec::new(),
            clock: Time::ZERO,
        }
    }

    fn take(&mut self, nth: usize) -> Option<Effect> {
        let at = nth.checked_rem(self.out.len())?;
        Some(self.out.remove(at))
    }

    fn finish(&mut self, effect: &Effect, outcome: Outcome) {
        let slot = slot_of(effect);
        self.mover
            .handle_done(self.clock, &self.world.cluster, slot, outcome);
    }

    fn play(&mut self, event: Event) {
        match event {
            Event::Done(nth) => {
                if let Some(effect) = self.take(nth) {
                    let outcome = self.world.carry_out(&effect);
                    self.finish(&effect, outcome);
                }
            }
            Event::Failed(nth) => {
                if let Some(effect) = self.take(nth) {
                    if let Effect::Migrate(command) = &effect {
                        self.world.given_up(command.slot);
                    }
                    self.finish(&effect, Outcome::Failed("a fault".to_owned()));
                }
            }
            Event::Lost(nth) => {
                if let Some(effect) = self.take(nth) {
                    self.world.carry_out(&effect);
                    self.finish(&effect, Outcome::Failed("an answer lost".to_owned()));
                }
            }
            Event::Late(nth) => self.world.carry_out_late(nth),
            Event::Fill(proxy) => self.world.fill(proxy),
            Event::Write(proxy, slot, fresh) => {
                self.world.write(proxy, SLOTS[slot], fresh, slot as u32);
            }
            Event::Queue(slot, group) => self.try_edit(|cluster| {
                edit::create_action(cluster, i64::from(SLOTS[slot]), i64::from(group))
            }),
            Event::Cancel(slot) => {
                self.try_edit(|cluster| edit::cancel_action(cluster, i64::from(SLOTS[slot])));
            }
            Event::Disable(value) => self.try_edit(|cluster| edit::set_disabled(cluster, value)),
            Event::Crash => {
                for effect in std::mem::take(&mut self.out) {
                    if let Effect::Migrate(command) = &effect {
                        self.world.given_up(command.slot);
                    }
                }
                self.world.crash(true);
                self.mover = self.world.mover();
            }
            Event::Wait => self.clock += RETRY_MAX,
        }
        self.look();
    }

    /// An edit that may be refused.
    fn try_edit(&mut self, decide: impl FnOnce(&Cluster) -> edit::Edit) {
        if let Ok(changes) = decide(&self.world.cluster) {
            self.world.apply(Ok(changes));
            self.world.check();
        }
    }

    fn look(&mut self) {
        self.mover.handle_cluster(self.clock, &self.world.cluster);
        assert!(
            self.mover.poll_timeout().is_none_or(|at| at > self.clock),
            "a timeout that is over is not asked for again"
        );
        while let Some(effect) = self.mover.poll_effect() {
            let slot = slot_of(&effect);
            assert!(
                self.out.iter().all(|other| slot_of(other) != slot),
                "a slot has one effect out"
            );
            self.out.push(effect);
        }
    }

    /// The faults are over.
    fn settle(&mut self) {
        self.try_edit(|cluster| edit::set_disabled(cluster, false));
        for _ in 0..5_000 {
            self.play(Event::Wait);
            if self.out.is_empty() && self.mover.progress().is_empty() {
                return self.world.settle();
            }
            self.play(Event::Done(0));
        }
        panic!("it never ends: {:?}", self.mover);
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(400))]

    #[test]
    fn no_key_is_ever_out_of_sight(events in proptest::collection::vec(event(), 1..250)) {
        let mut play = Play::new();
        for event in events {
            play.play(event);
        }
        play.settle();
    }
}
