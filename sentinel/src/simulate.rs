//! Simulated failures: the process ends at the two moments at which an operator wants to know what
//! the other sentinels do then.

/// Exit status of a simulated failure.
pub const EXIT_STATUS: i32 = 99;

/// The failures to simulate.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Simulated {
    /// End after winning an election.
    pub after_election: bool,
    /// End after the promoted replica has become master.
    pub after_promotion: bool,
}

impl Simulated {
    /// Both names.
    pub const NAMES: [&str; 2] = ["crash-after-election", "crash-after-promotion"];

    /// The failures of those names, or `None` if there is another among them.
    pub fn from_names(names: &[String]) -> Option<Self> {
        let mut simulated = Self::default();
        for name in names {
            match name.to_ascii_lowercase().as_str() {
                "crash-after-election" => simulated.after_election = true,
                "crash-after-promotion" => simulated.after_promotion = true,
                _ => return None,
            }
        }
        Some(simulated)
    }

    /// The bits that INFO shows.
    pub fn bits(self) -> u8 {
        u8::from(self.after_election) + 2 * u8::from(self.after_promotion)
    }

    /// Whether an event is the moment to end.
    pub fn strikes_at(self, event: &str) -> bool {
        match event {
            "+elected-leader" => self.after_election,
            "+promoted-slave" => self.after_promotion,
            _ => false,
        }
    }
}
