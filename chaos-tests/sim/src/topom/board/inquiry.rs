//! What a promotion asks servers before it goes on, and what it makes of the answers, after the
//! dashboard's `promote::alone`.

use std::time::Duration;

use codis_core::time::Time;
use codis_topom::promote::Input;

use crate::topom::wire::{Answer, Node, ServerAnswer, Sight};

/// How long the candidate may take to catch up.
const CATCH_UP_MAX: Duration = Duration::from_secs(2);
/// How often offsets are compared.
const CATCH_UP_EVERY: Duration = Duration::from_millis(10);

#[derive(Clone, Copy, Debug)]
enum Question {
    /// May the master take writes from somebody?
    Lives { gone: bool },
    /// Is the candidate a replica of the master?
    Fits,
    /// Has the candidate all that the master has?
    HasAll { until: Time },
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    Master {
        out: bool,
    },
    Candidate {
        master: Option<Sight>,
        out: bool,
    },
    Known {
        master: Option<Sight>,
        candidate: Option<Sight>,
    },
    Again {
        at: Time,
    },
}

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
    question: Question,
    candidate: Node,
    master: Node,
    stage: Stage,
}

impl Inquiry {
    /// Whether a server may take writes from somebody.
    pub fn ask(server: &str) -> Option<Self> {
        Self::new(Question::Lives { gone: false }, server, server)
    }

    /// Whether the candidate may be promoted.
    pub fn inspect(candidate: &str, master: &str) -> Option<Self> {
        Self::new(Question::Fits, candidate, master)
    }

    /// Whether the candidate has all that the master has, in the end.
    pub fn catch_up(now: Time, candidate: &str, master: &str) -> Option<Self> {
        let until = now + CATCH_UP_MAX;
        Self::new(Question::HasAll { until }, candidate, master)
    }

    fn new(question: Question, candidate: &str, master: &str) -> Option<Self> {
        Some(Self {
            question,
            candidate: Node::of(candidate)?,
            master: Node::of(master)?,
            stage: Stage::Master { out: false },
        })
    }

    /// When to go on at the latest.
    pub const fn again(&self) -> Option<Time> {
        match self.stage {
            Stage::Again { at } => Some(at),
            Stage::Master { .. } | Stage::Candidate { .. } | Stage::Known { .. } => None,
        }
    }

    /// A server has answered, or has not.
    pub fn answered(&mut self, answer: &Answer) {
        let sight = match answer {
            Answer::Server(ServerAnswer::Sight(sight)) => Some(*sight),
            _ => None,
        };
        if let Question::Lives { gone } = &mut self.question {
            *gone = *answer == Answer::Refused;
        }
        self.stage = match (self.stage, self.question) {
            (Stage::Master { .. }, Question::Lives { .. }) => Stage::Known {
                master: sight,
                candidate: sight,
            },
            (Stage::Master { .. }, _) => Stage::Candidate {
                master: sight,
                out: false,
            },
            (Stage::Candidate { master, .. }, _) => Stage::Known {
                master,
                candidate: sight,
            },
            (stage, _) => stage,
        };
    }

    /// What to do now, if anything.
    pub fn next(&mut self, now: Time) -> Option<Next> {
        match &mut self.stage {
            Stage::Again { at } if now < *at => return None,
            Stage::Again { .. } => self.stage = Stage::Master { out: false },
            _ => {}
        }
        match &mut self.stage {
            Stage::Master { out } if !*out => {
                *out = true;
                Some(Next::Ask(self.master))
            }
            Stage::Candidate { out, .. } if !*out => {
                *out = true;
                Some(Next::Ask(self.candidate))
            }
            Stage::Master { .. } | Stage::Candidate { .. } | Stage::Again { .. } => None,
            Stage::Known { master, candidate } => {
                let (master, candidate) = (*master, *candidate);
                let input = self.verdict(now, master, candidate);
                if input.is_none() {
                    self.stage = Stage::Again {
                        at: now + CATCH_UP_EVERY,
                    };
                }
                input.map(Next::Done)
            }
        }
    }

    /// The answer; none when it is to be asked again.
    fn verdict(&self, now: Time, master: Option<Sight>, its: Option<Sight>) -> Option<Input> {
        let failed = |why: &str| Some(Input::Failed(why.to_owned()));
        match (self.question, master, its) {
            (Question::Lives { gone: true }, _, _) => failed("nobody listens"),
            (Question::Lives { gone: false }, _, _) | (Question::HasAll { .. }, None, _) => {
                Some(Input::Ok)
            }
            (_, _, None) => failed("the candidate does not answer"),
            (Question::Fits, _, Some(its)) if its.master != Some(self.master) => {
                failed("it is no replica of the master")
            }
            (Question::Fits, Some(_), Some(its)) if !its.linked => {
                failed("its link to the master, which is alive, is down")
            }
            (Question::Fits, _, Some(_)) => Some(Input::Ok),
            (Question::HasAll { until }, Some(master), Some(its)) => {
                // A candidate that is a master already was promoted before a restart.
                if its.master.is_none() || its.offset >= master.offset {
                    Some(Input::Ok)
                } else if until <= now {
                    failed("it did not catch up")
                } else {
                    None
                }
            }
        }
    }
}
