//! Faults: what can go wrong, and how a plan draws them.

use std::time::Duration;

use codis_sentinel_proto::{Command, Effect, PingReply};

use crate::moment::Moment;
use crate::plan::{Blow, Plan, Refusal};
use crate::profile::Kind;
use crate::rng::Rng;

/// Something that goes wrong. Whoever is hit is told by index; `group` and `pick` are reduced to
/// what exists when the fault strikes.
#[derive(Clone, Debug)]
pub enum Fault {
    /// A sentinel dies and comes back with what its disk holds.
    CrashSentinel {
        who: usize,
        point: CrashPoint,
        blow: Blow,
        down: Duration,
    },
    /// A sentinel dies and comes back without what its disk held.
    LoseState {
        who: usize,
        point: CrashPoint,
        loss: Loss,
        down: Duration,
    },
    /// A sentinel's process gets no time; its inputs wait.
    StallSentinel { who: usize, span: Duration },
    /// ... from its next effect of a kind on.
    StallAt {
        who: usize,
        mark: Mark,
        after: bool,
        span: Duration,
    },
    /// The clock that a sentinel reads jumps: a process cannot tell that from a stall. The wall
    /// clock of a stock one may also go back.
    ClockJump { who: usize, span: Duration },
    /// The clock that a sentinel reads stands still.
    ClockStop { who: usize, span: Duration },
    /// A server refuses writes.
    RefuseWrites {
        target: Target,
        refusal: Refusal,
        span: Duration,
    },
    /// A sentinel's disk fails every write.
    RefuseDisk { who: usize, span: Duration },
    /// A sentinel's disk takes this much longer for every write.
    SlowDisk {
        who: usize,
        extra: Duration,
        span: Duration,
    },
    /// A server dies and comes back.
    CrashNode {
        target: Target,
        blow: Blow,
        down: Duration,
        comeback: Comeback,
    },
    /// A server stops and continues.
    FreezeNode { target: Target, span: Duration },
    /// A server answers PING with something else.
    SickNode {
        target: Target,
        reply: PingReply,
        span: Duration,
    },
    /// A host loses all others.
    Isolate {
        host: usize,
        way: Way,
        span: Duration,
    },
    /// Hosts whose bit is set and hosts whose bit is not set lose each other.
    Split { mask: u64, way: Way, span: Duration },
    /// Two hosts lose each other.
    Pair {
        a: usize,
        b: usize,
        way: Way,
        span: Duration,
    },
    /// All that a host sends and receives takes this much longer.
    SlowHost {
        host: usize,
        extra: Duration,
        span: Duration,
    },
    /// Packets are lost and sent again by TCP.
    Loss { permille: u32, span: Duration },
    /// Messages are lost, doubled and reordered on connections that stay.
    Raw { permille: u32, span: Duration },
    /// This share of all connections breaks now.
    Resets { permille: u32 },
    /// `SENTINEL FAILOVER`.
    ForceFailover { who: usize, group: usize },
    /// `SENTINEL REMOVE`, later `SENTINEL MONITOR` with the address that it had.
    Readd {
        who: usize,
        group: usize,
        gap: Duration,
    },
    /// `SENTINEL RESET`.
    Reset { who: usize, group: usize },
}

/// Which server.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// The one that most sentinels call master.
    Master { group: usize },
    /// Any.
    Node { pick: usize },
}

/// What is lost of a sentinel's state. It keeps its id, and it knows that something is lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    /// All but what its operator wrote.
    All,
    /// The last write: the version before it is used.
    Last,
}

/// As what a server comes back.
#[derive(Clone, Copy, Debug)]
pub struct Comeback {
    /// A replica comes back with the configuration of a master.
    pub as_master: bool,
    /// Without its data.
    pub empty: bool,
    /// Without so many of the last bytes of its stream, or a few more.
    pub lost: u64,
    /// How long it loads.
    pub loading: Duration,
}

/// Which direction a partition blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// Both.
    Both,
    /// From the first to the second.
    Out,
    /// From the second to the first.
    In,
}

/// When exactly a sentinel dies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CrashPoint {
    /// At once.
    Now,
    /// After so many more effects.
    Count(u32),
    /// Before or after its next effect of a kind.
    At { mark: Mark, after: bool },
}

/// Effects around which a crash is most interesting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mark {
    /// A snapshot is handed to the disk.
    Persist,
    /// A peer is answered.
    Answer,
    /// A peer gets a vote.
    Vote,
    /// A vote is asked for.
    AskVote,
    /// A server is told to become master or to follow.
    Reconfigure,
    /// The topology is published.
    Topology,
    /// A hello leaves.
    Publish,
}

impl Mark {
    /// Those that plans draw from.
    const ALL: [Self; 6] = [
        Self::Persist,
        Self::Answer,
        Self::AskVote,
        Self::Reconfigure,
        Self::Topology,
        Self::Publish,
    ];

    /// Whether an effect is of this kind.
    pub const fn matches(self, effect: &Effect) -> bool {
        match self {
            Self::Persist => matches!(effect, Effect::Persist { .. }),
            Self::Answer => matches!(effect, Effect::Answer { .. }),
            Self::Vote => matches!(
                effect,
                Effect::Answer { opinion: Some(opinion), .. } if opinion.leader.is_some()
            ),
            Self::AskVote => matches!(
                effect,
                Effect::Send {
                    command: Command::IsMasterDown {
                        candidate: Some(_),
                        ..
                    },
                    ..
                }
            ),
            Self::Reconfigure => {
                matches!(
                    effect,
                    Effect::Send {
                        command: Command::Reconfigure { .. },
                        ..
                    }
                )
            }
            Self::Topology => matches!(effect, Effect::Topology(_)),
            Self::Publish => {
                matches!(
                    effect,
                    Effect::Send {
                        command: Command::Publish(_),
                        ..
                    }
                )
            }
        }
    }
}

/// Draws the faults of a plan from `from` to its `heal_at`.
pub fn draw(rng: &mut Rng, plan: &Plan, from: Moment) -> Vec<(Moment, Fault)> {
    let weights = plan.profile.weights();
    let total: u32 = weights.iter().map(|(_, weight)| weight).sum();
    if total == 0 {
        return Vec::new();
    }
    let gap_max = [800, 2_500, 6_000][rng.index(3)];
    let mut faults = Vec::new();
    let mut at = from;
    while at < plan.heal_at {
        let mut ticket = rng.within(0..u64::from(total)) as u32;
        for (kind, weight) in weights {
            if ticket < *weight {
                faults.push((at, draw_one(rng, plan, *kind)));
                break;
            }
            ticket -= weight;
        }
        at = at + rng.millis(0..gap_max);
    }
    faults
}

fn draw_one(rng: &mut Rng, plan: &Plan, kind: Kind) -> Fault {
    let who = rng.index(plan.sentinels);
    let group = rng.index(plan.groups.len());
    let target = draw_target(rng, kind, group);
    let host = rng.index(plan.hosts());
    let span = draw_span(rng, plan);
    let way = [Way::Both, Way::Both, Way::Out, Way::In][rng.index(4)];
    match kind {
        Kind::ForceFailover => Fault::ForceFailover { who, group },
        Kind::Readd => draw_readd(rng, who, group),
        Kind::Reset => Fault::Reset { who, group },
        Kind::Clock if rng.chance(500) => Fault::ClockJump { who, span },
        Kind::Clock => Fault::ClockStop { who, span },
        Kind::RefuseWrites => draw_refusal(rng, target, span),
        Kind::FreezeMaster | Kind::FreezeNode => Fault::FreezeNode { target, span },
        Kind::CrashSentinel => Fault::CrashSentinel {
            who,
            point: draw_point(rng),
            blow: draw_blow(rng),
            down: span,
        },
        Kind::LoseState => draw_loss(rng, who, span),
        Kind::StallSentinel => Fault::StallSentinel { who, span },
        Kind::StallAt => Fault::StallAt {
            who,
            mark: Mark::ALL[rng.index(Mark::ALL.len())],
            after: rng.chance(500),
            span,
        },
        Kind::Bounce => draw_bounce(rng, plan, target),
        Kind::RefuseDisk => Fault::RefuseDisk { who, span },
        Kind::SlowDisk => Fault::SlowDisk {
            who,
            extra: rng.millis(20..1_500),
            span,
        },
        Kind::CrashMaster | Kind::CrashNode => draw_crash(rng, target, span),
        Kind::SickNode => draw_sickness(rng, target, span),
        Kind::Isolate => Fault::Isolate { host, way, span },
        Kind::Split => Fault::Split {
            mask: rng.next(),
            way,
            span,
        },
        Kind::Pair => Fault::Pair {
            a: host,
            b: rng.index(plan.hosts()),
            way,
            span,
        },
        Kind::SlowHost => Fault::SlowHost {
            host,
            extra: rng.millis(5..400),
            span,
        },
        Kind::Loss => Fault::Loss {
            permille: rng.within(10..300) as u32,
            span,
        },
        Kind::Raw => Fault::Raw {
            permille: rng.within(20..400) as u32,
            span,
        },
        Kind::Resets => Fault::Resets {
            permille: rng.within(50..1_000) as u32,
        },
    }
}

fn draw_crash(rng: &mut Rng, target: Target, down: Duration) -> Fault {
    let comeback = draw_comeback(rng);
    Fault::CrashNode {
        target,
        blow: draw_blow(rng),
        down,
        comeback,
    }
}

fn draw_bounce(rng: &mut Rng, plan: &Plan, target: Target) -> Fault {
    let down = rng.millis(5..plan.down_after.as_millis() as u64);
    let mut comeback = draw_comeback(rng);
    comeback.lost = [0, 0, 1_000, 20_000][rng.index(4)];
    Fault::CrashNode {
        target,
        blow: Blow::Kill,
        down,
        comeback,
    }
}

/// Around a vote, mostly: what is lost then matters most, and most to those that ask at once.
fn draw_loss(rng: &mut Rng, who: usize, span: Duration) -> Fault {
    let after_answer = CrashPoint::At {
        mark: Mark::Answer,
        after: true,
    };
    let after_vote = CrashPoint::At {
        mark: Mark::Vote,
        after: true,
    };
    Fault::LoseState {
        who,
        point: [draw_point(rng), after_answer, after_vote, after_vote][rng.index(4)],
        loss: [Loss::All, Loss::Last][rng.index(2)],
        down: [span, rng.millis(1..60)][rng.index(2)],
    }
}

fn draw_readd(rng: &mut Rng, who: usize, group: usize) -> Fault {
    let gap = rng.millis(0..3_000);
    Fault::Readd { who, group, gap }
}

fn draw_refusal(rng: &mut Rng, target: Target, span: Duration) -> Fault {
    let refusal = if rng.chance(500) {
        Refusal::Disk
    } else {
        Refusal::Memory
    };
    Fault::RefuseWrites {
        target,
        refusal,
        span,
    }
}

fn draw_target(rng: &mut Rng, kind: Kind, group: usize) -> Target {
    match kind {
        Kind::CrashMaster | Kind::FreezeMaster | Kind::Bounce | Kind::RefuseWrites => {
            Target::Master { group }
        }
        _ => Target::Node {
            pick: rng.index(64),
        },
    }
}

fn draw_sickness(rng: &mut Rng, target: Target, span: Duration) -> Fault {
    let replies = [PingReply::Other, PingReply::Busy, PingReply::MasterDown];
    Fault::SickNode {
        target,
        reply: replies[rng.index(3)],
        span,
    }
}

/// Around the times that matter to the machines: well under, near and well over down-after.
fn draw_span(rng: &mut Rng, plan: &Plan) -> Duration {
    let down_after = plan.down_after.as_millis() as u64;
    match rng.index(4) {
        0 => rng.millis(1..down_after),
        1 => rng.millis(down_after..down_after + 500),
        2 => rng.millis(down_after..down_after * 4 + 2_000),
        _ => rng.millis(1_000..12_000),
    }
}

fn draw_point(rng: &mut Rng) -> CrashPoint {
    match rng.index(4) {
        0 => CrashPoint::Now,
        1 => CrashPoint::Count(rng.within(1..60) as u32),
        _ => CrashPoint::At {
            mark: Mark::ALL[rng.index(Mark::ALL.len())],
            after: rng.chance(500),
        },
    }
}

fn draw_blow(rng: &mut Rng) -> Blow {
    if rng.chance(300) {
        Blow::PowerOff
    } else {
        Blow::Kill
    }
}

fn draw_comeback(rng: &mut Rng) -> Comeback {
    Comeback {
        as_master: rng.chance(250),
        empty: rng.chance(250),
        lost: 0,
        loading: if rng.chance(400) {
            rng.millis(50..3_000)
        } else {
            Duration::ZERO
        },
    }
}
