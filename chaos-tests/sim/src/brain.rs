//! What decides in a sentinel's process: our machine, or the model of the stock one.

use codis_core::addr::Addr;
use codis_core::epoch::Epoch;
use codis_core::time::Time;
use codis_sentinel_proto::{Effect, Input, Machine};

use crate::stock::Stock;
use crate::view::View;

/// See the module.
#[derive(Debug)]
pub enum Brain {
    /// The machine under test.
    Ours(Box<Machine>),
    /// A peer that behaves like stock.
    Stock(Box<Stock>),
}

impl Brain {
    /// Feeds one input.
    pub fn handle_input(&mut self, now: Time, input: Input) {
        match self {
            Self::Ours(machine) => machine.handle_input(now, input),
            Self::Stock(stock) => stock.handle_input(now, input),
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Time) {
        match self {
            Self::Ours(machine) => machine.handle_timeout(now),
            Self::Stock(stock) => stock.handle_timeout(now),
        }
    }

    /// When [`Self::handle_timeout`] is wanted.
    pub fn poll_timeout(&self) -> Option<Time> {
        match self {
            Self::Ours(machine) => machine.poll_timeout(),
            Self::Stock(stock) => Some(stock.poll_timeout()),
        }
    }

    /// The next order to the shell.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        match self {
            Self::Ours(machine) => machine.poll_effect(),
            Self::Stock(stock) => stock.poll_effect(),
        }
    }

    /// The highest epoch seen.
    pub fn current_epoch(&self) -> Epoch {
        match self {
            Self::Ours(machine) => machine.current_epoch(),
            Self::Stock(stock) => stock.current_epoch(),
        }
    }

    /// Whether it suspends its judgement.
    pub fn is_tilt(&self) -> bool {
        match self {
            Self::Ours(machine) => machine.is_tilt(),
            Self::Stock(stock) => stock.is_tilt(),
        }
    }

    /// Whether it gives no vote because it may have forgotten some.
    pub fn is_rejoining(&self) -> bool {
        self.ours().is_some_and(Machine::is_rejoining)
    }

    /// The epoch and the address that it tells about a master.
    pub fn current(&self, now: Time, name: &str) -> Option<(Epoch, Addr)> {
        match self {
            Self::Ours(machine) => {
                let topology = machine.topology(now, name)?;
                Some((topology.epoch, topology.master))
            }
            Self::Stock(stock) => stock.current(name),
        }
    }

    /// How it sees a master.
    pub fn view(&self, now: Time, name: &str) -> Option<View> {
        match self {
            Self::Ours(machine) => View::of(machine, now, name),
            Self::Stock(stock) => stock.view(name),
        }
    }

    /// Our machine, when it is one.
    pub fn ours(&self) -> Option<&Machine> {
        match self {
            Self::Ours(machine) => Some(machine),
            Self::Stock(_) => None,
        }
    }

    /// Our machine, when it is one.
    pub fn ours_mut(&mut self) -> Option<&mut Machine> {
        match self {
            Self::Ours(machine) => Some(machine),
            Self::Stock(_) => None,
        }
    }
}
