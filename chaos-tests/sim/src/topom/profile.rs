//! Which faults a run meets.

use std::fmt;

use super::check::Rule;
use super::outcome::Stats;
use super::plan::Plan;
use super::sabotage::Sabotage;
use super::world::World;
use crate::family::{Family, Outcome, Sink};

/// A family of runs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Profile {
    /// Nothing goes wrong: slots move under load.
    Calm,
    /// Dashboards die between any two effects.
    Crash,
    /// Dashboards are stopped past their lease, and their clocks run 5 % fast or slow.
    Pause,
    /// Acknowledgements of the store are lost before and after the effect; it is slow, or gone.
    Store,
    /// Proxies are stopped, behind the stall fence.
    Hang,
    /// Proxies die and start with nothing.
    Restart,
    /// Dashboards lose proxies, and the store; calls come late and twice.
    Cut,
    /// Proxies say that they hold what they do not.
    Lie,
    /// Servers are stopped.
    Servers,
    /// Proxies of Codis beside ours; both are stopped.
    Original,
    /// A proxy of Codis stops for good: what waits for it is reported, until an operator ends it.
    Stuck,
    /// Servers, proxies and dashboards stop, or lose each other, while masters are changed.
    Promote,
    /// Orders come late, after another dashboard leads.
    Late,
    /// All of it.
    Everything,
}

/// The kinds of faults.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// A dashboard dies at an effect.
    CrashBoard,
    /// A dashboard stops and goes on.
    StopBoard,
    /// The store loses acknowledgements.
    LossyStore,
    /// The store is slow.
    SlowStore,
    /// A dashboard loses the store.
    CutStore,
    /// A proxy stops and goes on.
    StopProxy,
    /// A proxy dies.
    CrashProxy,
    /// Dashboards lose a proxy.
    CutProxy,
    /// Calls to a proxy come late and twice.
    LateProxy,
    /// Orders to servers and proxies come late, and a dashboard that gave some dies.
    LateOrder,
    /// A proxy lies.
    LieProxy,
    /// A server stops and goes on.
    StopServer,
    /// Dashboards and replicas lose a server that proxies reach.
    CutServer,
}

impl Profile {
    /// Whether masters are changed.
    pub const fn promotes(self) -> bool {
        !matches!(self, Self::Servers | Self::Stuck)
    }

    /// What strikes.
    pub const fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Calm | Self::Stuck => &[],
            Self::Crash => &[Kind::CrashBoard],
            Self::Pause => &[Kind::StopBoard],
            Self::Store => &[Kind::LossyStore, Kind::SlowStore, Kind::CutStore],
            Self::Hang | Self::Original => &[Kind::StopProxy],
            Self::Restart => &[Kind::CrashProxy],
            Self::Cut => &[Kind::CutProxy, Kind::CutStore, Kind::LateProxy],
            Self::Lie => &[Kind::LieProxy],
            Self::Servers => &[Kind::StopServer],
            Self::Promote => &[
                Kind::CrashBoard,
                Kind::StopProxy,
                Kind::CutProxy,
                Kind::StopServer,
                Kind::CutServer,
            ],
            Self::Late => &[
                Kind::CrashBoard,
                Kind::StopBoard,
                Kind::StopProxy,
                Kind::LateProxy,
                Kind::LateOrder,
            ],
            Self::Everything => &[
                Kind::CrashBoard,
                Kind::StopBoard,
                Kind::LossyStore,
                Kind::SlowStore,
                Kind::CutStore,
                Kind::StopProxy,
                Kind::CrashProxy,
                Kind::CutProxy,
                Kind::LateProxy,
                Kind::StopServer,
                Kind::CutServer,
            ],
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl Family for Profile {
    type Stats = Stats;
    type Rule = Rule;
    type Sabotage = Sabotage;

    const WORLD: &'static str = "topom";
    const ALL: &'static [Self] = &[
        Self::Calm,
        Self::Crash,
        Self::Pause,
        Self::Store,
        Self::Hang,
        Self::Restart,
        Self::Cut,
        Self::Lie,
        Self::Servers,
        Self::Original,
        Self::Stuck,
        Self::Promote,
        Self::Late,
        Self::Everything,
    ];
    const PANIC: Rule = Rule::Panic;

    fn simulate(self, seed: u64, sabotage: Sabotage, sink: Sink) -> Outcome<Self> {
        World::run(Plan::draw(seed, self), sabotage, sink)
    }
}
