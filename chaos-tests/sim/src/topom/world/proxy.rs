//! What reaches proxies, and what leaves them.

use std::time::Duration;

use super::{Happening, Job, World, clock, shuffled};
use crate::topom::proxy::{Do, Proxy, Told};
use crate::topom::wire::Answer;

impl World {
    pub(super) fn proxy_starts(&mut self, proxy: usize) {
        let original = self.plan.proxies[proxy];
        let stand = &mut self.stands[proxy];
        if stand.proxy.is_some() {
            return;
        }
        stand.life += 1;
        stand.clock = clock(&mut self.life_rng, self.now, self.plan.drift_ppm);
        stand.wake = None;
        let life = stand.life;
        stand.proxy = Some(Proxy::new(life, original, self.sabotage));
        self.dirty = true;
        self.say(format_args!("proxy {proxy} starts, life {life}"));
    }

    /// Its clients lose their connections, and do not know what became of their requests.
    pub(super) fn proxy_dies(&mut self, proxy: usize, down: Duration) {
        let stand = &mut self.stands[proxy];
        if stand.proxy.take().is_none() {
            return;
        }
        stand.stopped = None;
        self.stats.crashes += 1;
        self.say(format_args!("proxy {proxy} dies"));
        for client in 0..self.clients.len() {
            if let Some((_, op)) = self.clients[client].asking.filter(|(at, _)| *at == proxy) {
                let at = self.now + self.delay();
                let told = Told::Unknown;
                self.queue.push(at, Happening::Told { op, told });
            }
        }
        let at = self.now + down;
        self.queue.push(at, Happening::ProxyStarts { proxy });
    }

    pub(super) fn proxy_goes_on(&mut self, proxy: usize, turn: u64) {
        let stand = &mut self.stands[proxy];
        if stand.turn != turn {
            return;
        }
        let Some((since, waiting)) = stand.stopped.take() else {
            return;
        };
        let Some(machine) = &mut stand.proxy else {
            return;
        };
        let (now, then) = (stand.clock.local(self.now), stand.clock.local(since));
        // A worker that was idle had read its clock up to a second before.
        let idle = self.life_rng.millis(0..1_000);
        let done = machine.wake(now, now.since(then) + idle);
        // A process of Codis reads its calls one after the other.
        let in_order = machine.original;
        self.say(format_args!("proxy {proxy} goes on"));
        self.obey(proxy, done);
        let waiting = if in_order {
            waiting.into()
        } else {
            shuffled(&mut self.life_rng, waiting)
        };
        for happening in waiting {
            self.deliver(proxy, happening);
        }
    }

    pub(super) fn reach_proxy(&mut self, happening: Happening) {
        let at = match &happening {
            Happening::Proxy { proxy, .. }
            | Happening::Wake { proxy, .. }
            | Happening::Request { proxy, .. }
            | Happening::Replied { proxy, .. } => *proxy,
            _ => return,
        };
        if self.is_kept_off(at, &happening) {
            return;
        }
        match &mut self.stands[at].stopped {
            Some((_, waiting)) => waiting.push(happening),
            None => self.deliver(at, happening),
        }
    }

    /// A process that runs takes what reached it.
    fn deliver(&mut self, at: usize, happening: Happening) {
        let stand = &mut self.stands[at];
        let now = stand.clock.local(self.now);
        let Some(machine) = &mut stand.proxy else {
            return;
        };
        let done = match happening {
            Happening::Proxy {
                from, term, call, ..
            } => {
                self.trace
                    .line(self.now, format_args!("proxy {at} <- {from:?} {call:?}"));
                machine.call(now, from, term, call)
            }
            Happening::Request { op, .. } => machine.request(now, op),
            Happening::Replied {
                op, done, value, ..
            } => machine.answered(now, op, done, value),
            _ => machine.run(now),
        };
        self.obey(at, done);
    }

    /// What does not reach the process: it is dead, another life, or its kernel answers for it.
    fn is_kept_off(&mut self, at: usize, happening: &Happening) -> bool {
        let stand = &self.stands[at];
        match happening {
            Happening::Proxy { from, call, .. } => {
                let cut = self.net.proxies.get(&(from.0, at));
                if cut.is_some_and(|until| self.now < *until) {
                    return true;
                }
                if let Some(answer) = Self::kernel(stand, call) {
                    self.answer(*from, answer);
                    return true;
                }
                false
            }
            Happening::Request { op, .. } => {
                let online = stand.proxy.as_ref().is_some_and(Proxy::is_online);
                if !online {
                    let (op, told) = (*op, Told::Failed);
                    let at = self.now + self.delay();
                    self.queue.push(at, Happening::Told { op, told });
                }
                !online
            }
            Happening::Replied { life, .. } => stand.life != *life,
            Happening::Wake { life, .. } => {
                if stand.life != *life || stand.wake != Some(self.now) {
                    return true;
                }
                self.stands[at].wake = None;
                false
            }
            _ => true,
        }
    }

    /// Does what a proxy wants.
    fn obey(&mut self, proxy: usize, wants: Vec<Do>) {
        self.dirty = true;
        for want in wants {
            match want {
                Do::Answer(from, answer) => {
                    let cut = self.net.proxies.get(&(from.0, proxy));
                    if cut.is_none_or(|until| *until <= self.now) {
                        self.answer(from, Answer::Proxy(answer));
                    }
                }
                Do::Send {
                    op,
                    leg,
                    to,
                    excused,
                } => {
                    let life = self.stands[proxy].life;
                    let job = Job::Leg {
                        proxy,
                        life,
                        op,
                        leg,
                        excused,
                    };
                    self.say(format_args!(
                        "proxy {proxy} -> {}: {leg:?} {op:?}",
                        to.addr()
                    ));
                    let at = self.now + self.delay();
                    self.queue.push(at, Happening::Server { to, job });
                }
                Do::Tell(op, told) => {
                    let at = self.now + self.delay();
                    self.queue.push(at, Happening::Told { op, told });
                }
                Do::Wake(at) => {
                    let stand = &mut self.stands[proxy];
                    let soon = self.now + Duration::from_micros(1);
                    let at = stand.clock.global(at).max(soon);
                    if stand.wake.is_none_or(|wake| at < wake || wake <= self.now) {
                        stand.wake = Some(at);
                        let life = stand.life;
                        self.queue.push(at, Happening::Wake { proxy, life });
                    }
                }
            }
        }
    }
}
