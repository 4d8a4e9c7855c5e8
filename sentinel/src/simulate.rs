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

/// What an operator is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Told {
    /// That it is done.
    Done,
    /// The names.
    Names,
}

/// A word that names no failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unknown;

impl Simulated {
    /// Both names.
    pub const NAMES: [&str; 2] = ["crash-after-election", "crash-after-promotion"];

    /// Sets what the words name, one after the other, over what was set before. An error is a word
    /// that is no name; those before it count.
    pub fn set(&mut self, words: &[String]) -> Result<Told, Unknown> {
        *self = Self::default();
        for word in words {
            match word.to_ascii_lowercase().as_str() {
                "crash-after-election" => self.after_election = true,
                "crash-after-promotion" => self.after_promotion = true,
                "help" => return Ok(Told::Names),
                _ => return Err(Unknown),
            }
        }
        Ok(Told::Done)
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
