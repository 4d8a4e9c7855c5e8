//! What one run consists of, drawn from its seed before anything moves.

use std::time::Duration;

use super::profile::{Kind, Profile};
use super::wire::Node;
use crate::moment::Moment;
use crate::rng::Rng;

/// The slots that are used; all others are offline and stay so.
pub const SLOTS: u16 = 8;

/// Faults and operators act until then.
const HEAL_AT: Moment = Moment(40_000_000);

/// Longer than any run.
const FOR_GOOD: Duration = Duration::from_secs(100_000);

/// A fault.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// What.
    pub kind: Kind,
    /// Whom it strikes, modulo how many there are.
    pub whom: usize,
    /// For how long.
    pub span: Duration,
    /// A number that each kind uses as it likes.
    pub number: u64,
}

/// What an operator wants.
#[derive(Clone, Copy, Debug)]
pub enum Wish {
    /// A slot goes to a group.
    Move { slot: u16, group: u32 },
    /// Slots go to a group.
    Range { first: u16, last: u16, group: u32 },
    /// An action is taken back.
    Cancel { slot: u16 },
    /// An action that waits is taken out.
    Remove { slot: u16 },
    /// A server becomes the master of its group.
    Promote { server: Node },
    /// A server is told whom to follow.
    Sync { server: Node },
    /// A pause between migrate commands.
    Interval { micros: i64 },
    /// Nothing is moved, or is again.
    Disable(bool),
}

/// The cluster and its fate.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// The family.
    pub profile: Profile,
    /// Dashboards.
    pub boards: usize,
    /// Proxies; which are of Codis.
    pub proxies: Vec<bool>,
    /// Groups, counted from 1.
    pub groups: u32,
    /// Servers of each.
    pub servers: u32,
    /// Clients.
    pub clients: usize,
    /// `leader_lease`.
    pub lease: Duration,
    /// Slots under way, in all and of a pair.
    pub limits: (usize, usize),
    /// Clocks run fast or slow by up to this many millionths.
    pub drift_ppm: u64,
    /// What strikes when.
    pub faults: Vec<(Moment, Fault)>,
    /// What operators do when.
    pub wishes: Vec<(Moment, Wish)>,
    /// When everything is made whole.
    pub heal_at: Moment,
}

impl Plan {
    /// Draws a plan.
    pub fn draw(seed: u64, profile: Profile) -> Self {
        let mut rng = Rng::new(seed ^ 0x70b0_4000);
        let proxies = 2 + rng.index(2);
        let original = matches!(profile, Profile::Original | Profile::Stuck);
        let groups = 2 + rng.index(2) as u32;
        let mut plan = Self {
            seed,
            profile,
            boards: 2 + rng.index(2),
            proxies: (0..proxies).map(|at| original && at == 0).collect(),
            groups,
            servers: 2 + rng.index(2) as u32,
            clients: 3,
            lease: Duration::from_secs([3, 5, 10][rng.index(3)]),
            limits: (1 + rng.index(4), 1 + rng.index(2)),
            drift_ppm: match profile {
                Profile::Pause | Profile::Everything => 50_000,
                _ => 200,
            },
            faults: Vec::new(),
            wishes: Vec::new(),
            heal_at: HEAL_AT,
        };
        plan.draw_faults(&mut rng.fork("faults"));
        plan.draw_wishes(&mut rng.fork("wishes"));
        plan
    }

    fn draw_faults(&mut self, rng: &mut Rng) {
        if self.profile == Profile::Stuck {
            let fault = Fault {
                kind: Kind::StopProxy,
                whom: 0,
                span: FOR_GOOD,
                number: 0,
            };
            let at = Moment(0) + rng.millis(8_000..30_000);
            self.faults.push((at, fault));
        }
        let kinds = self.profile.kinds();
        if kinds.is_empty() {
            return;
        }
        let mut at = Moment(0) + rng.millis(1_000..4_000);
        while at < self.heal_at {
            let kind = kinds[rng.index(kinds.len())];
            let span = match kind {
                Kind::CrashBoard => rng.millis(50..3_000),
                Kind::StopBoard => rng.millis(500..25_000),
                Kind::LossyStore => rng.millis(1_000..8_000),
                Kind::SlowStore => rng.millis(500..4_000),
                Kind::CutStore => rng.millis(500..20_000),
                Kind::StopProxy => rng.millis(300..12_000),
                Kind::CrashProxy => rng.millis(10..6_000),
                Kind::CutProxy => rng.millis(500..9_000),
                Kind::LateProxy => rng.millis(500..5_000),
                Kind::LateOrder => rng.millis(500..5_000),
                Kind::LieProxy => rng.millis(500..4_000),
                Kind::StopServer => rng.millis(300..8_000),
                Kind::CutServer => rng.millis(500..9_000),
            };
            let fault = Fault {
                kind,
                whom: rng.index(64),
                span,
                number: rng.next(),
            };
            self.faults.push((at, fault));
            at = at + rng.millis(500..8_000);
        }
    }

    fn draw_wishes(&mut self, rng: &mut Rng) {
        let mut at = Moment(0) + rng.millis(500..2_000);
        while at < self.heal_at {
            let slot = rng.index(usize::from(SLOTS)) as u16;
            let group = 1 + rng.index(self.groups as usize) as u32;
            let last = slot + rng.index(usize::from(SLOTS - slot)) as u16;
            let server = Node {
                group,
                number: 1 + rng.index(self.servers as usize) as u32,
            };
            let wish = match rng.index(if self.profile.promotes() { 25 } else { 20 }) {
                20..24 => Wish::Promote { server },
                24 => Wish::Sync { server },
                0..9 => Wish::Move { slot, group },
                9..12 => Wish::Range {
                    first: slot,
                    last,
                    group,
                },
                12..17 => Wish::Cancel { slot },
                17 => Wish::Remove { slot },
                18 => Wish::Interval {
                    micros: [0, 1_000, 100_000][rng.index(3)],
                },
                _ => Wish::Disable(rng.chance(500)),
            };
            self.wishes.push((at, wish));
            at = at + rng.millis(20..2_500);
        }
        // What is left when all is whole must end by itself.
        let last = [Wish::Disable(false), Wish::Interval { micros: 0 }];
        for wish in last {
            self.wishes
                .push((self.heal_at + Duration::from_secs(20), wish));
        }
    }
}
