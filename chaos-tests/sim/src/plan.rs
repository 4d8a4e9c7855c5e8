//! What one run consists of, drawn from its seed before anything moves.

use std::ops::Range;
use std::time::Duration;

use codis_sentinel_proto::settings::WriteCheck;

use crate::fault::{self, Comeback, Fault};
use crate::moment::Moment;
use crate::profile::Profile;
use crate::rng::Rng;

/// The cluster and its fate.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// The family.
    pub profile: Profile,
    /// How many sentinels.
    pub sentinels: usize,
    /// Which of them behave like stock.
    pub stock: Vec<bool>,
    /// The monitored masters.
    pub groups: Vec<Group>,
    /// `down-after-milliseconds` of all groups.
    pub down_after: Duration,
    /// `failover-timeout` of all groups.
    pub failover_timeout: Duration,
    /// `parallel-syncs` of all groups.
    pub parallel_syncs: u32,
    /// `refused-after-milliseconds` of all groups; zero is off.
    pub refused_after: Duration,
    /// `forget-after` of all groups; zero is off.
    pub forget_after: Duration,
    /// `master-write-check` of all groups.
    pub write_check: WriteCheck,
    /// `master-lost-data-failover` of all groups.
    pub lost_data_failover: bool,
    /// How long a replica needs for a full sync, in milliseconds.
    pub sync: (u64, u64),
    /// Instead of the last blow the masters restart at once, with less data than they had.
    pub bounce: Option<Comeback>,
    /// All sentinels draw the same random delays: votes split again and again.
    pub same_seed: bool,
    /// Instead of the last blow the masters go on and refuse writes.
    pub last_refusal: Option<Refusal>,
    /// Sentinels know each other from the start instead of by hello.
    pub acquainted: bool,
    /// One-way delay of a message in microseconds.
    pub delay: Range<u64>,
    /// How long a write to disk takes, in microseconds.
    pub disk: Range<u64>,
    /// How long the shell waits for a connection.
    pub connect_timeout: Duration,
    /// Clocks run fast or slow by up to this many millionths.
    pub drift_ppm: u64,
    /// What goes wrong when.
    pub faults: Vec<(Moment, Fault)>,
    /// When everything is made whole.
    pub heal_at: Moment,
    /// How the master of each group is lost after that.
    pub last_blow: Blow,
}

/// A monitored master and its replicas.
#[derive(Clone, Debug)]
pub struct Group {
    /// The monitored name.
    pub name: String,
    /// Its servers, the first one master.
    pub nodes: usize,
    /// Votes that make O_DOWN.
    pub quorum: u32,
}

/// Why a server takes no writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Its disk refuses: a master says so to PING as well.
    Disk,
    /// It is out of memory.
    Memory,
}

/// How a process is lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Blow {
    /// `kill -9`: its kernel closes the connections and refuses new ones.
    Kill,
    /// The power goes: silence.
    PowerOff,
    /// `SIGSTOP`: connections stay, nobody answers.
    Freeze,
}

/// Time for discovery before the first fault.
const WARM_UP: Duration = Duration::from_secs(4);

impl Plan {
    /// The plan of a seed.
    pub fn draw(seed: u64, profile: Profile) -> Self {
        let mut rng = Rng::new(seed ^ (profile as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let calm = profile == Profile::Calm;
        let mut sentinels = if rng.chance(350) { 5 } else { 3 };
        if profile == Profile::Votes {
            sentinels = [2, 3, 4, 4, 5, 6, 6, 7][rng.index(8)];
        }
        let groups = Self::draw_groups(&mut rng, profile, sentinels);
        let acquainted = groups
            .iter()
            .any(|group| !is_majority(group.quorum, sentinels))
            || rng.chance(300);
        let down_after = Duration::from_millis([300, 500, 1000, 1000, 2000][rng.index(5)]);
        let failover_timeout = Duration::from_millis(rng.within(3_000..12_000));
        let slow_net = !calm && rng.chance(200);
        let delay = if slow_net { 500..15_000 } else { 50..600 };
        let disk = if !calm && rng.chance(300) {
            1_000..60_000
        } else {
            300..4_000
        };
        let drift_ppm = drift_ppm(profile, &mut rng);
        let span = if calm {
            Duration::ZERO
        } else {
            rng.millis(8_000..25_000)
        };
        let mut plan = Self {
            seed,
            profile,
            sentinels,
            stock: vec![false; sentinels],
            groups,
            down_after,
            failover_timeout,
            parallel_syncs: rng.within(1..3) as u32,
            refused_after: Duration::ZERO,
            forget_after: Duration::ZERO,
            write_check: WriteCheck::No,
            lost_data_failover: true,
            sync: (20, 1_200),
            bounce: None,
            last_refusal: None,
            same_seed: false,
            acquainted,
            delay,
            disk,
            connect_timeout: rng.millis(300..2_000),
            drift_ppm,
            faults: Vec::new(),
            heal_at: Moment::default() + WARM_UP + span,
            last_blow: [Blow::Kill, Blow::PowerOff, Blow::Freeze][rng.index(3)],
        };
        plan.draw_extensions();
        plan.faults = fault::draw(&mut rng, &plan, Moment::default() + WARM_UP);
        plan
    }

    /// What only the newer profiles use, from a generator of its own: the plans of the others do
    /// not change.
    fn draw_extensions(&mut self) {
        let mut rng = Rng::new(self.seed ^ 0x0e47_e510);
        if self.profile == Profile::Mixed {
            self.stock = draw_stock(self.seed, self.sentinels);
        }
        let uses_refusals = matches!(
            self.profile,
            Profile::Votes | Profile::Stall | Profile::Restart | Profile::Sick
        );
        if uses_refusals && rng.chance(300) {
            self.refused_after = self.down_after / [3, 5, 10][rng.index(3)];
        }
        if self.profile == Profile::Sick {
            let checks = [WriteCheck::No, WriteCheck::Report, WriteCheck::Yes];
            self.write_check = checks[rng.index(3)];
            if self.write_check == WriteCheck::Yes && rng.chance(700) {
                self.last_refusal = Some([Refusal::Disk, Refusal::Memory][rng.index(2)]);
            }
        }
        if self.profile == Profile::Restart {
            self.draw_bounce(&mut rng);
        }
        if self.profile == Profile::Forget {
            self.acquainted = true;
            self.forget_after = rng.millis(2_000..6_000);
            for group in &mut self.groups {
                group.quorum = 2;
            }
        }
        if self.profile == Profile::Amnesia {
            self.same_seed = rng.chance(300);
            self.delay = [50..600, 5_000..15_000, 20_000..60_000][rng.index(3)].clone();
        }
        if self.profile == Profile::Votes {
            self.acquainted = true;
            self.same_seed = rng.chance(500);
            self.delay = [50..600, 5_000..15_000, 20_000..60_000][rng.index(3)].clone();
        }
    }

    fn draw_bounce(&mut self, rng: &mut Rng) {
        // So long that every sentinel has looked before the first replica has lost its data.
        self.sync = (2_000, 4_000);
        self.lost_data_failover = rng.chance(800);
        if rng.chance(700) {
            self.bounce = Some(Comeback {
                as_master: true,
                empty: rng.chance(500),
                lost: 20_000,
                loading: [Duration::ZERO, rng.millis(0..1_000)][rng.index(2)],
            });
        }
    }

    fn draw_groups(rng: &mut Rng, profile: Profile, sentinels: usize) -> Vec<Group> {
        let count = if rng.chance(250) { 2 } else { 1 };
        let majority = sentinels as u64 / 2 + 1;
        (1..=count)
            .map(|gid| Group {
                name: format!("demo-{gid}"),
                nodes: rng.within(2..5) as usize,
                quorum: match profile {
                    // Whoever forgets its peers under a quorum below the majority may elect itself.
                    Profile::Operator | Profile::Everything | Profile::Votes | Profile::Amnesia => {
                        majority as u32
                    }
                    _ if rng.chance(700) => majority as u32,
                    Profile::Calm
                    | Profile::Crash
                    | Profile::Partition
                    | Profile::Disk
                    | Profile::Freeze
                    | Profile::Lossy
                    | Profile::Mixed
                    | Profile::Stall
                    | Profile::Restart
                    | Profile::Sick
                    | Profile::Forget => rng.within(1..sentinels as u64 + 1) as u32,
                },
            })
            .collect()
    }

    /// All hosts: the sentinels, then the servers group by group.
    pub fn hosts(&self) -> usize {
        self.sentinels + self.groups.iter().map(|group| group.nodes).sum::<usize>()
    }

    /// How long after the faults stop everybody must agree: a failed failover may have to wait
    /// twice the failover timeout, the next one may fail again for a reason that lasted until the
    /// faults stopped, and a replica that follows the wrong master is moved after one more.
    pub fn settle_within(&self) -> Duration {
        let ours = Duration::from_secs(30) + self.down_after * 4 + self.failover_timeout * 5;
        if self.stock.contains(&true) {
            // TILT lasts 30 s, a vote that was split costs twice the failover timeout.
            return ours * 2 + self.failover_timeout * 6;
        }
        ours
    }

    /// How long a master may refuse writes before another one has its place: votes may split, and
    /// one that had the place of another such master has it for the failover timeout. It began to
    /// refuse at `since`.
    pub fn refusal_within(&self, since: Moment) -> Duration {
        let healthy = since.since(self.heal_at + Duration::from_secs(2));
        let pause = self.failover_timeout.saturating_sub(healthy);
        self.down_after + pause + Duration::from_secs(2)
    }

    /// How long after the last blow a replica must be master, when nothing else is wrong.
    pub fn failover_within(&self) -> Duration {
        let ping = (self.down_after / 10).min(Duration::from_secs(1));
        let silent = match self.last_blow {
            Blow::Kill => Duration::ZERO,
            Blow::PowerOff | Blow::Freeze => ping,
        };
        self.down_after + silent + Duration::from_millis(150)
    }
}

/// How far clocks run fast or slow.
fn drift_ppm(profile: Profile, rng: &mut Rng) -> u64 {
    match profile {
        Profile::Everything => 50_000,
        Profile::Calm | Profile::Votes => 0,
        Profile::Stall => [200, 50_000][rng.index(2)],
        Profile::Crash
        | Profile::Partition
        | Profile::Disk
        | Profile::Freeze
        | Profile::Lossy
        | Profile::Operator
        | Profile::Mixed
        | Profile::Restart
        | Profile::Sick
        | Profile::Forget
        | Profile::Amnesia => 200,
    }
}

/// Which sentinels behave like stock: at least one, at most all but one.
fn draw_stock(seed: u64, sentinels: usize) -> Vec<bool> {
    let mut rng = Rng::new(seed ^ 0x5107_c000);
    let share = rng.within(1..sentinels as u64) as usize;
    let mut stock: Vec<bool> = (0..sentinels).map(|who| who < share).collect();
    for who in (1..sentinels).rev() {
        stock.swap(who, rng.index(who + 1));
    }
    stock
}

const fn is_majority(quorum: u32, sentinels: usize) -> bool {
    quorum as usize > sentinels / 2
}
