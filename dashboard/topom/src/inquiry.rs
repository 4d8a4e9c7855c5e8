//! What a promotion by the dashboard alone asks the two servers before it goes on, and what it
//! makes of the answers.
//!
//! Whatever a master acknowledged and its candidate lacks is lost with the promotion. So the master
//! must say what it has, while no proxy sends it anything more. There are two cases in which it
//! need not: its host says that nobody listens there, so there is no process that could have more
//! to give; or whoever asks for the promotion answers for it ([`Silent::IsDead`]). A master that
//! only does not answer us may have answered clients a moment ago, and may go on with what they
//! wrote.
//!
//! The price: nobody takes the place of a master whose host has lost its power, until the host is
//! back, or until somebody says that it is dead.

use std::time::Duration;

use codis_core::time::Time;

/// How long the candidate may take to catch up while its slots are held.
pub const CATCH_UP_MAX: Duration = Duration::from_secs(2);
/// How often offsets are compared.
pub const CATCH_UP_EVERY: Duration = Duration::from_millis(10);

/// What a server showed when it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// What it said of itself.
    Told(Told),
    /// Its host says that nobody listens there.
    Gone,
    /// It did not say, for this reason.
    Unknown(String),
}

/// What a server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Whom it follows.
    pub follows: Follows,
    /// Whether its link to that one is up.
    pub linked: bool,
    /// Whether it still reads its data from disk.
    pub loading: bool,
    /// How far in the history of its data it is.
    pub offset: Option<u64>,
}

/// Whom a server follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Follows {
    /// It is a master.
    Nobody,
    /// The master of its group.
    Master,
    /// The server of this address.
    Other(String),
}

/// What a master is that does not say what it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silent {
    /// It may be alive, and ahead of the candidate.
    MayLive,
    /// Somebody answers for it that it is dead.
    IsDead,
}

/// What the shell must do. One effect is out at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Look whether anybody listens at this address.
    Knock(String),
    /// Ask the server of this address what it is.
    Ask(String),
    /// Go on, or say why not.
    Done(Result<(), String>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    MayWrite,
    Fits,
    HasAll { until: Time },
}

#[derive(Clone, Debug)]
enum State {
    AskingMaster,
    AskingCandidate { master: Sight },
    Resting { until: Time },
    Over,
}

/// One question, which may take several answers.
#[derive(Debug)]
pub struct Inquiry {
    question: Question,
    candidate: String,
    master: String,
    silent: Silent,
    state: State,
    effect: Option<Effect>,
}

impl Inquiry {
    /// Whether a server may take a write from somebody. Nothing but the word of its host proves
    /// that it does not: whoever does not answer us may answer others.
    pub fn may_write(server: &str) -> Self {
        Self::new(Question::MayWrite, server, server, Silent::MayLive)
    }

    /// Whether the candidate is alive and has been a replica of the master, and whether the link
    /// between them is up if the master lives.
    pub fn fits(candidate: &str, master: &str, silent: Silent) -> Self {
        Self::new(Question::Fits, candidate, master, silent)
    }

    /// Whether the candidate has all that the master has, within [`CATCH_UP_MAX`].
    pub fn has_all(now: Time, candidate: &str, master: &str, silent: Silent) -> Self {
        let until = now + CATCH_UP_MAX;
        Self::new(Question::HasAll { until }, candidate, master, silent)
    }

    fn new(question: Question, candidate: &str, master: &str, silent: Silent) -> Self {
        let mut inquiry = Self {
            question,
            candidate: candidate.to_owned(),
            master: master.to_owned(),
            silent,
            state: State::Over,
            effect: None,
        };
        inquiry.ask_master();
        inquiry
    }

    /// The server that was asked has answered, or has not.
    pub fn handle_answer(&mut self, now: Time, sight: Sight) {
        match std::mem::replace(&mut self.state, State::Over) {
            State::AskingMaster => self.handle_master(sight),
            State::AskingCandidate { master } => match self.verdict(now, &master, sight) {
                Some(outcome) => self.effect = Some(Effect::Done(outcome)),
                None => {
                    let until = now + CATCH_UP_EVERY;
                    self.state = State::Resting { until };
                }
            },
            state @ (State::Resting { .. } | State::Over) => self.state = state,
        }
    }

    /// Asks again once it is time.
    pub fn handle_timeout(&mut self, now: Time) {
        if let State::Resting { until } = self.state
            && until <= now
        {
            self.ask_master();
        }
    }

    /// When to call [`Inquiry::handle_timeout`].
    pub const fn poll_timeout(&self) -> Option<Time> {
        match self.state {
            State::Resting { until } => Some(until),
            State::AskingMaster | State::AskingCandidate { .. } | State::Over => None,
        }
    }

    /// The next thing to do.
    pub const fn poll_effect(&mut self) -> Option<Effect> {
        self.effect.take()
    }

    fn ask_master(&mut self) {
        let master = self.master.clone();
        self.state = State::AskingMaster;
        self.effect = Some(match self.question {
            Question::MayWrite => Effect::Knock(master),
            Question::Fits | Question::HasAll { .. } => Effect::Ask(master),
        });
    }

    fn handle_master(&mut self, sight: Sight) {
        let outcome = match (self.question, &sight) {
            (Question::MayWrite, Sight::Gone) => {
                let server = &self.master;
                Err(format!("server-[{server}] is dead: nobody listens there"))
            }
            (Question::MayWrite, Sight::Told(_) | Sight::Unknown(_)) => Ok(()),
            // No slot is held yet, and none need be.
            (Question::Fits, Sight::Unknown(why)) if self.silent == Silent::MayLive => {
                Err(self.doubt(why))
            }
            (Question::Fits | Question::HasAll { .. }, _) => {
                self.state = State::AskingCandidate { master: sight };
                self.effect = Some(Effect::Ask(self.candidate.clone()));
                return;
            }
        };
        self.effect = Some(Effect::Done(outcome));
    }

    /// What follows from both answers; none when it is too early to say.
    fn verdict(&self, now: Time, master: &Sight, candidate: Sight) -> Option<Result<(), String>> {
        let its = match candidate {
            Sight::Told(its) => its,
            Sight::Gone => return Some(self.refuse("nobody listens there")),
            Sight::Unknown(why) => return Some(self.refuse(&why)),
        };
        if let Follows::Other(other) = &its.follows {
            let (text, master) = (format!("it is a replica of {other}"), &self.master);
            return Some(self.refuse(&format!("{text} and not of server-[{master}]")));
        }
        match self.question {
            Question::MayWrite => Some(Ok(())),
            Question::Fits => Some(self.is_fit(master, &its)),
            Question::HasAll { until } => self.has_caught_up(until <= now, master, &its),
        }
    }

    fn is_fit(&self, master: &Sight, its: &Told) -> Result<(), String> {
        if its.follows == Follows::Nobody {
            let master = &self.master;
            return self.refuse(&format!(
                "it is not a replica of server-[{master}] but a master"
            ));
        }
        if its.loading {
            return self.refuse("it is loading its data");
        }
        match master {
            Sight::Told(_) if !its.linked => {
                self.refuse("its link to the master, which is alive, is down")
            }
            Sight::Told(_) | Sight::Gone | Sight::Unknown(_) => Ok(()),
        }
    }

    fn has_caught_up(&self, late: bool, master: &Sight, its: &Told) -> Option<Result<(), String>> {
        // It was promoted before this dashboard or the one before it started anew.
        if its.follows == Follows::Nobody {
            return Some(Ok(()));
        }
        let failure = match master {
            Sight::Gone => return Some(Ok(())),
            Sight::Unknown(_) if self.silent == Silent::IsDead => return Some(Ok(())),
            Sight::Unknown(why) => self.doubt(why),
            // Offsets of two that are not linked may count different histories.
            Sight::Told(master) if its.linked && is_at(its.offset, master.offset) => {
                return Some(Ok(()));
            }
            Sight::Told(master) => self.missing(master, its),
        };
        late.then_some(Err(failure))
    }

    fn refuse(&self, why: &str) -> Result<(), String> {
        let candidate = &self.candidate;
        Err(format!("server-[{candidate}] can't be promoted: {why}"))
    }

    fn doubt(&self, why: &str) -> String {
        let (master, candidate) = (&self.master, &self.candidate);
        format!(
            "server-[{master}] does not say what it has ({why}): it may be alive, and what \
             server-[{candidate}] lacks would be lost, so it stays the master; call again once it \
             answers or its process has ended, or with force if it is dead"
        )
    }

    fn missing(&self, master: &Told, its: &Told) -> String {
        let (old, candidate) = (&self.master, &self.candidate);
        let seconds = CATCH_UP_MAX.as_secs();
        let what = match (master.offset, its.offset) {
            _ if !its.linked => "the link between them is down".to_owned(),
            (Some(ahead), Some(behind)) => {
                format!("{} bytes are missing", ahead.saturating_sub(behind))
            }
            _ => "they do not say how far they are".to_owned(),
        };
        format!(
            "server-[{candidate}] did not catch up with server-[{old}] within {seconds} s: {what}"
        )
    }
}

/// Whether the one behind has all that the one ahead has.
fn is_at(behind: Option<u64>, ahead: Option<u64>) -> bool {
    ahead.is_some() && behind >= ahead
}

#[cfg(test)]
mod tests;
