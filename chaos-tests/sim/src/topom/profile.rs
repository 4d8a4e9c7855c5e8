//! Which faults a run meets.

use std::fmt;
use std::str::FromStr;

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
    /// A proxy lies.
    LieProxy,
    /// A server stops and goes on.
    StopServer,
}

impl Profile {
    /// All of them.
    pub const ALL: [Self; 12] = [
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
        Self::Everything,
    ];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Crash => "crash",
            Self::Pause => "pause",
            Self::Store => "store",
            Self::Hang => "hang",
            Self::Restart => "restart",
            Self::Cut => "cut",
            Self::Lie => "lie",
            Self::Servers => "servers",
            Self::Original => "original",
            Self::Stuck => "stuck",
            Self::Everything => "everything",
        }
    }

    /// The profile of a seed for which none was named.
    pub const fn of_seed(seed: u64) -> Self {
        Self::ALL[(seed % Self::ALL.len() as u64) as usize]
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
            ],
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|profile| profile.name() == text);
        found.ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|profile| profile.name()).collect();
            format!("unknown profile `{text}`: one of {}", names.join(", "))
        })
    }
}
