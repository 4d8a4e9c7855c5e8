//! What the two worlds have in common: families of runs, each a function of a seed.

use std::fmt::{self, Debug, Display};
use std::io::Write;

use crate::moment::Moment;

/// Where the trace of a run goes, when somebody wants to read it.
pub type Sink = Option<Box<dyn Write>>;

/// A family of runs of one world: its profile.
pub trait Family: Copy + Ord + Debug + Display + Send + Sync + 'static {
    /// What a run did.
    type Stats: Figures;
    /// What must hold.
    type Rule: Copy + Eq + Debug + Send;
    /// What may be broken on purpose, to prove that the checker sees it; by default nothing.
    type Sabotage: Copy + Default + Debug;

    /// The world, on the command line.
    const WORLD: &'static str;
    /// All families of that world.
    const ALL: &'static [Self];
    /// The rule that no machine panics.
    const PANIC: Self::Rule;

    /// Its name on the command line.
    fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    /// Runs one seed.
    fn simulate(self, seed: u64, sabotage: Self::Sabotage, sink: Sink) -> Outcome<Self>;

    /// The family of a seed for which none was named.
    fn of_seed(seed: u64) -> Self {
        Self::ALL[(seed % Self::ALL.len() as u64) as usize]
    }

    /// The family of that name.
    ///
    /// # Errors
    /// There is none; the text says which there are.
    fn named(name: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|family| family.name() == name);
        found.copied().ok_or_else(|| {
            let names: Vec<String> = Self::ALL.iter().map(|family| family.name()).collect();
            let (world, names) = (Self::WORLD, names.join(", "));
            format!("no profile `{name}` of {world}: one of {names}")
        })
    }
}

/// The figures of a run, or the sum of those of many.
pub trait Figures: Clone + Default + Debug + Send {
    /// Adds another run.
    fn add(&mut self, other: &Self);

    /// What is shown of it, table by table, as heads and cells.
    fn tables(&self) -> Vec<Vec<(&'static str, String)>>;
}

/// A broken rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation<R> {
    /// When.
    pub at: Moment,
    /// Which.
    pub rule: R,
    /// How.
    pub text: String,
}

impl<R: Debug> Display for Violation<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {}: {}", self.rule, self.at, self.text)
    }
}

/// One run.
#[derive(Clone, Debug)]
pub struct Outcome<P: Family> {
    /// The seed.
    pub seed: u64,
    /// The family.
    pub profile: P,
    /// Equal digests, equal runs.
    pub digest: u64,
    /// What it did.
    pub stats: P::Stats,
    /// The first rule that was broken.
    pub violation: Option<Violation<P::Rule>>,
}

impl<P: Family> Outcome<P> {
    /// How to see it again.
    pub fn replay(&self) -> String {
        let (seed, profile, world) = (self.seed, self.profile, P::WORLD);
        format!(
            "cargo run -p codis-sim --bin sim -- replay {seed} --world {world} --profile {profile}"
        )
    }
}
