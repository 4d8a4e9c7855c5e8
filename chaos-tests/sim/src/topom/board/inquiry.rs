//! Asks the servers of a promotion what they are, as the dashboard's `promote::inquire` does.

use codis_core::time::Time;
use codis_topom::inquiry::{self, Effect, Follows, Silent, Told};
use codis_topom::promote::Input;

use crate::topom::sabotage::Sabotage;
use crate::topom::wire::{Answer, Node, ServerAnswer, Sight};

/// What comes next.
#[derive(Debug)]
pub enum Next {
    /// Ask this server what it is.
    Ask(Node),
    /// The answer.
    Done(Input),
}

/// One question.
#[derive(Debug)]
pub struct Inquiry {
    machine: inquiry::Inquiry,
    master: String,
}

impl Inquiry {
    /// Whether a server may take writes from somebody.
    pub fn may_write(server: String) -> Self {
        Self {
            machine: inquiry::Inquiry::may_write(&server),
            master: server,
        }
    }

    /// Whether the candidate may be promoted.
    pub fn fits(candidate: &str, master: String, sabotage: Sabotage) -> Self {
        Self {
            machine: inquiry::Inquiry::fits(candidate, &master, silent(sabotage)),
            master,
        }
    }

    /// Whether the candidate has all that the master has, in the end.
    pub fn has_all(now: Time, candidate: &str, master: String, sabotage: Sabotage) -> Self {
        Self {
            machine: inquiry::Inquiry::has_all(now, candidate, &master, silent(sabotage)),
            master,
        }
    }

    /// When to go on at the latest.
    pub const fn poll_timeout(&self) -> Option<Time> {
        self.machine.poll_timeout()
    }

    /// A server has answered, or has not.
    pub fn answered(&mut self, now: Time, answer: &Answer) {
        let sight = match answer {
            Answer::Server(ServerAnswer::Sight(sight)) => inquiry::Sight::Told(self.told(sight)),
            Answer::Refused => inquiry::Sight::Gone,
            _ => inquiry::Sight::Unknown(format!("{answer:?}")),
        };
        self.machine.handle_answer(now, sight);
    }

    fn told(&self, sight: &Sight) -> Told {
        let follows = match sight.master.map(Node::addr) {
            None => Follows::Nobody,
            Some(master) if master == self.master => Follows::Master,
            Some(other) => Follows::Other(other),
        };
        Told {
            follows,
            linked: sight.linked,
            loading: false,
            offset: Some(sight.offset),
        }
    }

    /// What to do now, if anything.
    pub fn next(&mut self, now: Time) -> Option<Next> {
        self.machine.handle_timeout(now);
        let next = match self.machine.poll_effect()? {
            Effect::Knock(addr) | Effect::Ask(addr) => match Node::of(&addr) {
                Some(node) => Next::Ask(node),
                None => Next::Done(Input::Failed(format!("{addr} is no server"))),
            },
            Effect::Done(outcome) => Next::Done(outcome.map_or_else(Input::Failed, |()| Input::Ok)),
        };
        Some(next)
    }
}

const fn silent(sabotage: Sabotage) -> Silent {
    match sabotage {
        Sabotage::Hasty => Silent::IsDead,
        _ => Silent::MayLive,
    }
}
