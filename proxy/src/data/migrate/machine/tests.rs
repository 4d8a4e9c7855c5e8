use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

fn bytes(text: &str) -> Bytes {
    Bytes::from(text.to_owned())
}

const GONE: &str = "*2\r\n:0\r\n-ERR the specified key doesn't exist\r\n";
const BUSY: &str = "*2\r\n:1\r\n-ERR the specified key is being migrated\r\n";
const FULL: &str = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";

#[test]
fn sync_moves_every_key_and_then_runs() {
    let mut machine = Machine::new(Method::Sync, false, 2);
    let moves = vec![Step::Move(0), Step::Move(1)];
    assert_eq!(machine.begin(), Next::Send(moves));
    assert_eq!(machine.told(Step::Move(0), bytes(":0\r\n")), Next::Wait);
    let run = Next::Send(vec![Step::Run]);
    assert_eq!(machine.told(Step::Move(1), bytes(":5\r\n")), run);
    let reply = bytes("+OK\r\n");
    assert_eq!(machine.told(Step::Run, reply.clone()), Next::Answer(reply));
}

#[test]
fn without_a_key_it_runs_at_once() {
    for method in [Method::Sync, Method::SemiAsync] {
        let mut machine = Machine::new(method, true, 0);
        assert_eq!(machine.begin(), Next::Send(vec![Step::Run]));
    }
}

#[test]
fn sync_fails_with_the_error_of_the_old_owner() {
    let mut machine = Machine::new(Method::Sync, false, 1);
    machine.begin();
    let told = machine.told(Step::Move(0), bytes("-ERR no\r\n"));
    assert_eq!(told, Next::Fail("bad slotsmgrt resp: ERR no".to_owned()));
}

#[test]
fn an_owner_that_does_not_reach_the_other_is_asked_again() {
    let mut machine = Machine::new(Method::Sync, false, 1);
    machine.begin();
    let refused = "-IOERR error or timeout writing to target\r\n";
    let told = machine.told(Step::Move(0), bytes(refused));
    assert_eq!(told, Next::Pause(UNREACHABLE_PAUSE));
    assert!(machine.hindrance().unwrap().contains("IOERR"));
    assert_eq!(machine.resume(), Next::Send(vec![Step::Move(0)]));
}

/// Attempts 0 to 4 at once, 5 to 19 after as many milliseconds, then every 20 ms.
#[test]
fn retries_are_paced_as_by_the_original() {
    let mut machine = Machine::new(Method::SemiAsync, false, 1);
    assert_eq!(machine.begin(), Next::Send(vec![Step::Wrap]));
    for attempt in 0..30 {
        let mut next = machine.told(Step::Wrap, bytes(BUSY));
        if attempt >= 5 {
            let millis = attempt.min(20);
            assert_eq!(next, Next::Pause(Duration::from_millis(millis)));
            next = machine.resume();
        }
        assert_eq!(next, Next::Send(vec![Step::Wrap]), "{attempt}");
    }
    let run = Next::Send(vec![Step::Run]);
    assert_eq!(machine.told(Step::Wrap, bytes(GONE)), run);
}

#[test]
fn a_wrapped_reply_is_passed_on() {
    let mut machine = Machine::new(Method::SemiAsync, false, 1);
    machine.begin();
    let told = machine.told(Step::Wrap, bytes("*2\r\n:2\r\n*1\r\n$1\r\na\r\n"));
    assert_eq!(told, Next::Answer(bytes("*1\r\n$1\r\na\r\n")));
}

#[test]
fn several_keys_are_moved_unless_they_are_being_moved() {
    let mut machine = Machine::new(Method::SemiAsync, false, 3);
    let moves = (0..3).map(Step::MoveWrapped).collect();
    assert_eq!(machine.begin(), Next::Send(moves));
    let moved = bytes("*2\r\n:2\r\n:1\r\n");
    assert_eq!(machine.told(Step::MoveWrapped(0), bytes(BUSY)), Next::Wait);
    assert_eq!(machine.told(Step::MoveWrapped(1), moved), Next::Wait);
    let again = Next::Send(vec![Step::MoveWrapped(0)]);
    assert_eq!(machine.told(Step::MoveWrapped(2), bytes(GONE)), again);
    let run = Next::Send(vec![Step::Run]);
    assert_eq!(machine.told(Step::MoveWrapped(0), bytes(GONE)), run);
}

#[test]
fn an_inner_error_of_a_move_fails_the_request() {
    let mut machine = Machine::new(Method::SemiAsync, true, 2);
    machine.begin();
    let told = machine.told(Step::MoveWrapped(0), bytes("*2\r\n:2\r\n-ERR no\r\n"));
    assert_eq!(told, Next::Fail("bad slotsmgrt resp: ERR no".to_owned()));
    let late = machine.told(Step::MoveWrapped(1), bytes(GONE));
    assert_eq!(late, Next::Wait, "one answer is enough");
}

#[test]
fn a_full_owner_is_read_around_the_wrapper() {
    let around = Next::Send(vec![Step::Plain, Step::Exists]);
    let begin = || {
        let mut machine = Machine::new(Method::SemiAsync, true, 1);
        machine.begin();
        assert_eq!(machine.told(Step::Wrap, bytes(FULL)), around);
        machine.told(Step::Plain, bytes("$1\r\nv\r\n"));
        machine
    };
    let there = begin().told(Step::Exists, bytes(":1\r\n"));
    assert_eq!(there, Next::Answer(bytes("$1\r\nv\r\n")));
    let gone = begin().told(Step::Exists, bytes(":0\r\n"));
    assert_eq!(gone, Next::Send(vec![Step::Run]));
}

#[test]
fn a_full_owner_refuses_writes_of_its_own_keys_only() {
    let begin = || {
        let mut machine = Machine::new(Method::SemiAsync, false, 1);
        machine.begin();
        let asked = machine.told(Step::Wrap, bytes(FULL));
        assert_eq!(asked, Next::Send(vec![Step::Exists]));
        machine
    };
    let there = begin().told(Step::Exists, bytes(":1\r\n"));
    assert!(matches!(there, Next::Fail(text) if text.contains("resp: OOM command")));
    let gone = begin().told(Step::Exists, bytes(":0\r\n"));
    assert_eq!(gone, Next::Send(vec![Step::Run]));
}

#[test]
fn some_keys_at_a_full_owner_are_waited_for() {
    let mut machine = Machine::new(Method::SemiAsync, true, 2);
    machine.begin();
    machine.told(Step::MoveWrapped(0), bytes(FULL));
    machine.told(Step::MoveWrapped(1), bytes(FULL));
    machine.told(Step::Plain, bytes("*0\r\n"));
    let some = machine.told(Step::Exists, bytes(":1\r\n"));
    assert_eq!(some, Next::Pause(UNREACHABLE_PAUSE));
    let moves = (0..2).map(Step::MoveWrapped).collect();
    assert_eq!(machine.resume(), Next::Send(moves));
}

#[test]
fn a_request_with_many_keys_moves_a_few_at_a_time() {
    let keys = 3 * MOVES_MAX as u32;
    let mut machine = Machine::new(Method::SemiAsync, true, keys);
    let Next::Send(first) = machine.begin() else {
        panic!("keys are to be moved");
    };
    assert_eq!(first.len(), MOVES_MAX);
    let mut queue = VecDeque::from(first);
    let mut moved = BTreeSet::new();
    while let Some(step) = queue.pop_front() {
        assert!(queue.len() < MOVES_MAX);
        if let Step::MoveWrapped(key) = step {
            assert!(moved.insert(key));
            if let Next::Send(steps) = machine.told(step, bytes(GONE)) {
                queue.extend(steps);
            }
        }
    }
    assert_eq!(moved.len(), keys as usize);
}

/// Two owners as sets of keys, and a mover that takes keys over in between.
#[derive(Debug)]
struct World {
    here: BTreeSet<u32>,
    busy: BTreeSet<u32>,
    full: bool,
}

impl World {
    fn wrapped(&mut self, key: u32, reads: bool, run: impl FnOnce(&mut Self) -> String) -> String {
        if self.full {
            FULL.to_owned()
        } else if !self.here.contains(&key) {
            GONE.to_owned()
        } else if !reads && self.busy.contains(&key) {
            BUSY.to_owned()
        } else {
            let inner = run(self);
            format!("*2\r\n:2\r\n{inner}")
        }
    }

    fn take(&mut self, key: u32) -> String {
        format!(":{}\r\n", u8::from(self.here.remove(&key)))
    }
}

proptest! {
    /// Whatever the mover does in between, a request runs once, where all its keys are, and it
    /// never moves or writes a key that is being moved.
    #[test]
    fn a_request_runs_once_where_its_keys_are(
        method in prop::sample::select(vec![Method::Sync, Method::SemiAsync]),
        reads: bool,
        keys in 1u32..4,
        here in prop::collection::btree_set(0u32..4, 0..4),
        full: bool,
        moves in prop::collection::vec((0u32..4, any::<bool>()), 0..30),
    ) {
        let mut machine = Machine::new(method, reads, keys);
        let mut world = World { here, busy: BTreeSet::new(), full };
        let mut moves = moves.into_iter();
        let mut ran: BTreeMap<&str, u32> = BTreeMap::new();
        let mut queue: std::collections::VecDeque<Step> = Default::default();
        let mut next = machine.begin();
        for _ in 0..1000 {
            match &next {
                Next::Send(steps) => queue.extend(steps),
                Next::Pause(_) => {
                    queue.clear();
                    world.full = false;
                    world.busy.clear();
                    next = machine.resume();
                    continue;
                }
                Next::Wait => {}
                Next::Answer(_) | Next::Fail(_) => break,
            }
            // A mover under way leaves a key at most once, and only what is not being run.
            if let Some((key, done)) = moves.next() && method == Method::SemiAsync {
                if done && world.busy.remove(&key) {
                    world.here.remove(&key);
                } else if world.here.contains(&key) {
                    world.busy.insert(key);
                }
            }
            let Some(step) = queue.pop_front() else { break };
            let all_here = (0..keys).all(|key| world.here.contains(&key));
            let reply = match step {
                Step::Move(key) => world.take(key),
                Step::MoveWrapped(key) => world.wrapped(key, false, |world| world.take(key)),
                Step::Wrap => world.wrapped(0, reads, |_| {
                    *ran.entry("old").or_default() += 1;
                    format!("+{}\r\n", if all_here { "here" } else { "wrong" })
                }),
                Step::Plain => format!("+{}\r\n", if all_here { "here" } else { "wrong" }),
                Step::Exists => {
                    let there = (0..keys).filter(|key| world.here.contains(key)).count();
                    format!(":{there}\r\n")
                }
                Step::Run => {
                    *ran.entry("new").or_default() += 1;
                    let there = (0..keys).find(|key| world.here.contains(key));
                    prop_assert_eq!(there, None, "ran at the new owner beside a key");
                    "+new\r\n".to_owned()
                }
            };
            next = machine.told(step, Bytes::from(reply));
            if let Next::Answer(reply) = &next {
                prop_assert!(!reply.starts_with(b"+wrong"), "ran beside a key");
            }
        }
        prop_assert!(ran.values().sum::<u32>() <= 1, "{ran:?}");
        prop_assert!(matches!(next, Next::Answer(_) | Next::Fail(_)), "it ends: {next:?}");
    }
}
