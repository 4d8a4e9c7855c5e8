//! What tests ask of a world.

use super::*;

impl World {
    pub fn config_epoch(&self, n: usize) -> Epoch {
        let view = self.sentinels[n].machine.master(self.now, NAME);
        view.map_or(Epoch::ZERO, |view| view.config_epoch)
    }

    pub fn master_at(&self, n: usize) -> Addr {
        self.sentinels[n]
            .machine
            .master(self.now, NAME)
            .unwrap()
            .current
    }

    /// Every running sentinel names this master.
    pub fn all_say(&self, addr: &Addr) -> bool {
        let running = (0..self.sentinels.len()).filter(|n| self.sentinels[*n].running);
        running.into_iter().all(|n| self.master_at(n) == *addr)
    }

    /// Everybody knows everybody.
    pub fn settle(&mut self) {
        let (peers, replicas) = (self.sentinels.len() - 1, self.servers.len() - 1);
        self.until(ms(3000), "discovery", |world| {
            world.sentinels.iter().all(|it| {
                let view = it.machine.master(world.now, NAME).unwrap();
                (view.other_sentinels, view.replicas) == (peers, replicas)
            })
        });
        self.run(ms(2500));
    }

    pub fn first(&self, what: &str) -> Option<(Time, usize)> {
        let found = self
            .events
            .iter()
            .find(|(_, _, text)| text.starts_with(what));
        found.map(|(at, n, _)| (*at, *n))
    }

    pub fn count(&self, what: &str) -> usize {
        let hits = self
            .events
            .iter()
            .filter(|(_, _, text)| text.starts_with(what));
        hits.count()
    }

    /// The cause of each failover that was led to its end.
    pub fn causes(&self) -> Vec<&str> {
        let led = self.failovers.iter().filter(|it| it.2.outcome == "end");
        led.map(|(_, _, record)| record.cause.as_str()).collect()
    }

    /// What one sentinel said, without times.
    pub fn said(&self, n: usize) -> Vec<&str> {
        let own = self.events.iter().filter(|(_, by, _)| *by == n);
        own.map(|(_, _, text)| text.as_str()).collect()
    }

    pub fn log(&self) -> String {
        let line = |(at, n, text): &(Time, usize, String)| format!("{at:?} s{n} {text}\n");
        self.events.iter().map(line).collect()
    }
}
