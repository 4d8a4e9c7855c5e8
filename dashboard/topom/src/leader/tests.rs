//! Several dashboards, a store with leases, and what may go wrong, by seed.

use codis_core::rng::SplitMix64;

use super::*;

const LEASE: Duration = Duration::from_secs(10);
const RENEW_EVERY: Duration = Duration::from_secs(3);
const STEP: Duration = Duration::from_millis(50);
const FAULTS_UNTIL: Time = Time::from_millis(600_000);
const END: Time = Time::from_millis(660_000);

/// The coordinator: a lock with a lease, and the term.
#[derive(Default)]
struct Store {
    lock: Option<(usize, Time)>,
    term: Option<Term>,
    /// The term of each write that it took.
    writes: Vec<Term>,
}

impl Store {
    fn expire(&mut self, now: Time) {
        self.lock = self.lock.filter(|(_, until)| now < *until);
    }

    fn write(&mut self, term: Term) -> bool {
        let taken = self.term == Some(term);
        if taken {
            let last = self.writes.last().copied().unwrap_or_default();
            assert!(last <= term, "a write under an old term");
            self.writes.push(term);
        }
        taken
    }
}

/// A dashboard, as its shell would drive it.
struct Board {
    leader: Leader,
    holds: bool,
    renewed: Time,
    /// Stopped, as by SIGSTOP, until then.
    stopped: Time,
    /// Effects take a while: the result is told when that is over.
    busy: Option<(Time, Effect)>,
    led: Vec<Term>,
    online: bool,
}

impl Board {
    fn new() -> Self {
        Self {
            leader: Leader::new(Time::ZERO),
            holds: false,
            renewed: Time::ZERO,
            stopped: Time::ZERO,
            busy: None,
            led: Vec::new(),
            online: false,
        }
    }
}

struct World {
    rng: SplitMix64,
    now: Time,
    store: Store,
    boards: Vec<Board>,
    /// The operator removed the lock: two may believe to lead until one notices.
    removed: bool,
    removes: bool,
}

impl World {
    fn new(seed: u64, removes: bool) -> Self {
        Self {
            rng: SplitMix64::new(seed),
            now: Time::ZERO,
            store: Store::default(),
            boards: (0..3).map(|_| Board::new()).collect(),
            removed: false,
            removes,
        }
    }

    fn faulty(&mut self, percent: u64) -> bool {
        self.now < FAULTS_UNTIL && self.rng.percent(percent)
    }

    fn step(&mut self) {
        self.now += STEP;
        self.store.expire(self.now);
        if self.removes && self.now < FAULTS_UNTIL && self.rng.below(400) == 0 {
            self.store.lock = None;
            self.removed = true;
        }
        for board in 0..self.boards.len() {
            if self.now < FAULTS_UNTIL && self.rng.below(300) == 0 {
                let span = self.rng.within(100..=25_000);
                self.boards[board].stopped = self.now + Duration::from_millis(span);
            }
            if self.boards[board].stopped <= self.now || self.now >= FAULTS_UNTIL {
                self.run(board);
            }
        }
        self.check();
    }

    fn run(&mut self, at: usize) {
        self.keep_lock(at);
        let now = self.now;
        let leader = &mut self.boards[at].leader;
        if leader.poll_timeout().is_some_and(|due| due <= now) {
            leader.handle_timeout(now);
            assert!(leader.poll_timeout().is_none_or(|due| due > now));
        }
        if let Some(effect) = self.boards[at].leader.poll_effect() {
            let takes = Duration::from_millis(self.rng.within(0..=300));
            match effect {
                Effect::Lead(term) => {
                    let mut led = self.boards.iter().flat_map(|board| &board.led);
                    assert!(led.all(|led| *led < term), "a term only grows");
                    self.boards[at].led.push(term);
                    self.boards[at].online = true;
                }
                // The shell drops what it is doing when it must leave.
                effect @ (Effect::TryLock
                | Effect::Fence { .. }
                | Effect::Load(_)
                | Effect::StepDown(_)
                | Effect::Release) => self.boards[at].busy = Some((now + takes, effect)),
            }
        }
        if let Some((_, effect)) = self.boards[at].busy.take_if(|(due, _)| *due <= now) {
            self.carry_out(at, effect);
        }
        if self.boards[at].leader.may_act(now) && self.rng.percent(20) {
            let term = self.boards[at].leader.term().unwrap();
            if !self.store.write(term) {
                self.boards[at].leader.handle_refused("guard", None);
            }
        }
    }

    /// Renews the lease as a client of the store would, and hears when it is gone.
    fn keep_lock(&mut self, at: usize) {
        if !self.boards[at].holds {
            return;
        }
        if !matches!(self.store.lock, Some((holder, _)) if holder == at) {
            self.boards[at].holds = false;
            self.boards[at].leader.handle_lost("gone");
        } else if self.now.since(self.boards[at].renewed) >= RENEW_EVERY && !self.faulty(30) {
            let until = self.now + LEASE;
            self.store.lock = Some((at, until));
            self.boards[at].renewed = self.now;
            self.boards[at].leader.handle_renewed(until);
        }
    }

    fn carry_out(&mut self, at: usize, effect: Effect) {
        let now = self.now;
        match effect {
            Effect::TryLock if self.faulty(10) => {
                self.boards[at].leader.handle_lock(now, LockOutcome::Failed);
            }
            Effect::TryLock if self.store.lock.is_some() => {
                self.boards[at].leader.handle_lock(now, LockOutcome::Held);
            }
            Effect::TryLock => {
                let until = now + LEASE;
                self.store.lock = Some((at, until));
                (self.boards[at].holds, self.boards[at].renewed) = (true, now);
                let term = self.store.term;
                let outcome = LockOutcome::Taken { until, term };
                self.boards[at].leader.handle_lock(now, outcome);
            }
            Effect::Fence { from, to } => {
                let changed = self.store.term == from && !self.faulty(10);
                if changed {
                    assert!(self.store.term.is_none_or(|held| held < to));
                    self.store.term = Some(to);
                }
                // The answer of a change that was made may be lost.
                let told = changed && !self.faulty(10);
                self.boards[at].leader.handle_fenced(told);
            }
            Effect::Load(_) => {
                let loaded = !self.faulty(10);
                self.boards[at].leader.handle_loaded(now, loaded);
            }
            Effect::Lead(_) => {}
            Effect::StepDown(_) => {
                self.boards[at].online = false;
                self.boards[at].leader.handle_stepped_down();
            }
            Effect::Release => {
                if matches!(self.store.lock, Some((holder, _)) if holder == at) && !self.faulty(20)
                {
                    self.store.lock = None;
                }
                self.boards[at].holds = false;
                self.boards[at].leader.handle_released(now);
            }
        }
    }

    fn check(&self) {
        let acting = self.boards.iter().filter(|b| b.leader.may_act(self.now));
        assert!(self.removed || acting.count() <= 1, "two leaders may act");
    }
}

fn run(seed: u64, removes: bool) -> World {
    let mut world = World::new(seed, removes);
    while world.now < END {
        world.step();
    }
    let leading: Vec<&Board> = world
        .boards
        .iter()
        .filter(|board| board.leader.term().is_some())
        .collect();
    assert_eq!(leading.len(), 1, "one leads in the end, seed {seed}");
    assert!(leading[0].online, "seed {seed}");
    assert_eq!(leading[0].leader.term(), world.store.term, "seed {seed}");
    world
}

#[test]
fn one_may_act_at_a_time_and_no_write_is_taken_under_an_old_term() {
    let mut terms = 0;
    for seed in 0..50 {
        terms += run(seed, false).store.term.unwrap().0;
    }
    assert!(terms > 500, "the lead moves often: {terms}");
}

#[test]
fn an_operator_who_removes_the_lock_makes_no_write_count_twice() {
    for seed in 1_000..1_050 {
        run(seed, true);
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let (one, other) = (run(7, true), run(7, true));
    assert_eq!(one.store.writes, other.store.writes);
    for (one, other) in one.boards.iter().zip(&other.boards) {
        assert_eq!(one.led, other.led);
    }
}

fn leading(until: Time) -> Leader {
    let mut leader = Leader::new(Time::ZERO);
    leader.handle_timeout(Time::ZERO);
    assert_eq!(leader.poll_effect(), Some(Effect::TryLock));
    let term = Some(Term(4));
    leader.handle_lock(Time::ZERO, LockOutcome::Taken { until, term });
    let fence = Effect::Fence {
        from: term,
        to: Term(5),
    };
    assert_eq!(leader.poll_effect(), Some(fence));
    leader.handle_fenced(true);
    assert_eq!(leader.poll_effect(), Some(Effect::Load(Term(5))));
    leader.handle_loaded(Time::ZERO, true);
    assert_eq!(leader.poll_effect(), Some(Effect::Lead(Term(5))));
    leader
}

#[test]
fn a_lease_that_is_not_renewed_ends_the_lead_at_its_very_end() {
    let until = Time::from_millis(10_000);
    let mut leader = leading(until);
    assert!(leader.may_act(Time::from_millis(9_999)));
    assert!(!leader.may_act(until), "before anybody told it so");
    leader.handle_timeout(until);
    assert!(matches!(leader.poll_effect(), Some(Effect::StepDown(_))));
    leader.handle_stepped_down();
    assert_eq!(leader.poll_effect(), Some(Effect::Release));
    leader.handle_released(until);
    assert_eq!(leader.poll_timeout(), Some(until + TRY_EVERY));
}

#[test]
fn a_stop_leaves_in_order_and_tries_no_more() {
    let mut leader = leading(Time::from_millis(10_000));
    leader.handle_close();
    assert!(matches!(leader.poll_effect(), Some(Effect::StepDown(_))));
    leader.handle_stepped_down();
    assert_eq!(leader.poll_effect(), Some(Effect::Release));
    assert!(!leader.is_closed());
    leader.handle_released(Time::ZERO);
    assert!(leader.is_closed());
    assert_eq!(leader.poll_timeout(), None);
}

/// The records were replaced by a copy that is older than what the proxies were told.
#[test]
fn the_next_term_is_above_any_that_was_told_of() {
    let now = Time::from_millis(1);
    let mut leader = leading(Time::from_millis(10_000));
    leader.handle_refused("a proxy says so", Some(Term(70)));
    assert!(!leader.may_act(now));
    assert!(matches!(leader.poll_effect(), Some(Effect::StepDown(_))));
    leader.handle_stepped_down();
    assert_eq!(leader.poll_effect(), Some(Effect::Release));
    leader.handle_released(now);
    leader.handle_timeout(now + TRY_EVERY);
    assert_eq!(leader.poll_effect(), Some(Effect::TryLock));
    let (until, term) = (Time::from_millis(10_000), Some(Term(5)));
    leader.handle_lock(now, LockOutcome::Taken { until, term });
    let fence = Effect::Fence {
        from: term,
        to: Term(71),
    };
    assert_eq!(leader.poll_effect(), Some(fence));
}
