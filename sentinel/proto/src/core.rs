//! What all masters share: the time of this step, the epoch, the links, the disk, the outbox.

use std::collections::BTreeMap;
use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::epoch::Epoch;
use codis_core::time::Time;

use crate::disk::Disk;
use crate::effect::{Auth, Command, Effect};
use crate::event::Event;
use crate::hello::Hello;
use crate::history::History;
use crate::hosts::Hosts;
use crate::ids::{CommandId, LinkId, SentinelId};
use crate::link::{Link, Outbox, Pace, Purpose};
use crate::rng::Rng;
use crate::schedule::{Key, MasterId, Schedule, User, Who};
use crate::settings::{MasterSettings, Settings};
use crate::stall::Stall;
use crate::timing::Timing;

/// Time between two lookups of a name that never resolved.
const RESOLVE_PERIOD: Duration = Duration::from_secs(1);

/// What all masters share.
#[derive(Debug)]
pub(crate) struct Core {
    /// The time of the present step.
    pub(crate) now: Time,
    pub(crate) settings: Settings,
    pub(crate) timing: Timing,
    pub(crate) current_epoch: Epoch,
    /// When this process started, and when it last saw the epoch rise.
    pub(crate) started: Time,
    pub(crate) epoch_rose: Time,
    /// Votes of an earlier run may have been forgotten ([`crate::rejoin`]).
    pub(crate) rejoining: bool,
    /// The highest config epoch known of each name ever monitored.
    pub(crate) floors: BTreeMap<String, Epoch>,
    /// The epoch and the address that names had when an operator removed them.
    pub(crate) removed: BTreeMap<String, (Epoch, Addr)>,
    /// Where names lead, and how addresses are shown.
    pub(crate) hosts: Hosts,
    pub(crate) links: BTreeMap<LinkId, Link>,
    /// The one link to each sentinel.
    pub(crate) peer_links: BTreeMap<SentinelId, LinkId>,
    pub(crate) schedule: Schedule,
    pub(crate) disk: Disk,
    pub(crate) stall: Stall,
    pub(crate) out: Outbox,
    pub(crate) history: History,
    rng: Rng,
    link_last: u64,
}

impl Core {
    pub(crate) fn new(now: Time, settings: Settings, current_epoch: Epoch) -> Self {
        let mut stall = Stall::default();
        stall.called(now, None, Duration::MAX);
        Self {
            now,
            rng: Rng::new(settings.seed),
            settings,
            timing: Timing::default(),
            current_epoch,
            started: now,
            epoch_rose: now,
            rejoining: false,
            floors: BTreeMap::new(),
            removed: BTreeMap::new(),
            hosts: Hosts::default(),
            links: BTreeMap::new(),
            peer_links: BTreeMap::new(),
            schedule: Schedule::default(),
            disk: Disk::default(),
            stall,
            out: Outbox::default(),
            history: History::default(),
            link_last: 0,
        }
    }

    /// This step's moment in awake time.
    pub(crate) fn awake(&self) -> Time {
        self.now.before(self.stall.lost)
    }

    /// The moment of the shell's clock at which awake time reaches `awake`.
    pub(crate) fn real(&self, awake: Time) -> Time {
        awake + self.stall.lost
    }

    /// How long ago `then` was.
    pub(crate) fn age(&self, then: Time) -> Duration {
        self.now.since(then)
    }

    pub(crate) fn is_me(&self, id: &SentinelId) -> bool {
        *id == self.settings.myid
    }

    /// A random span of `low..=high` milliseconds.
    pub(crate) fn random_ms(&mut self, low: u64, high: u64) -> Duration {
        let ms = Duration::from_millis;
        self.rng.span(ms(low), ms(high))
    }

    pub(crate) fn touch(&mut self, key: Key) {
        self.schedule.touch(key);
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.out.push(Effect::Event(event));
    }

    /// Raises the floor of a name, and the current epoch with it.
    pub(crate) fn raise_floor(&mut self, name: &str, epoch: Epoch) {
        let floor = self.floors.entry(name.to_owned()).or_default();
        if epoch > *floor {
            *floor = epoch;
        }
        self.rise(epoch);
    }

    /// Adopts an epoch; true when it is higher than any before.
    pub(crate) fn rise(&mut self, epoch: Epoch) -> bool {
        let higher = epoch > self.current_epoch;
        if higher {
            self.current_epoch = epoch;
            self.epoch_rose = self.now;
        }
        higher
    }

    pub(crate) fn link(&self, id: LinkId) -> Option<&Link> {
        self.links.get(&id)
    }

    pub(crate) fn link_is_up(&self, id: LinkId) -> bool {
        self.link(id).is_some_and(Link::is_up)
    }

    /// The link of a new instance: a sentinel's is shared, all others are new.
    pub(crate) fn join_link(
        &mut self,
        user: User,
        addr: &Addr,
        settings: &MasterSettings,
    ) -> LinkId {
        let pace = Pace::of(settings.down_after, &self.timing);
        let peer = match &user.1 {
            Who::Peer(id) => Some(id.clone()),
            Who::Master | Who::Replica(_) => None,
        };
        let shared = peer
            .as_ref()
            .and_then(|id| self.peer_links.get(id))
            .copied();
        let id = shared.unwrap_or_else(|| {
            self.link_last += 1;
            let id = LinkId(self.link_last);
            let auth = match &peer {
                Some(_) => Auth::Sentinel,
                None => Auth::Data {
                    user: settings.auth_user.clone(),
                    pass: settings.auth_pass.clone(),
                },
            };
            self.links
                .insert(id, Link::new(id, addr.clone(), auth, pace));
            id
        });
        if let Some(peer) = peer {
            self.peer_links.insert(peer, id);
        }
        if let Some(link) = self.links.get_mut(&id) {
            assert!(link.addr == *addr, "a sentinel has one address");
            link.users.insert(user);
            link.pace = link.pace.stricter(pace);
        }
        self.touch(Key::Link(id));
        id
    }

    /// An instance leaves its link; the last one closes it.
    pub(crate) fn leave_link(&mut self, id: LinkId, user: &User) {
        let awake = self.awake();
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        link.users.remove(user);
        link.down.remove(user);
        self.schedule.forget(Key::Node(user.0, user.1.clone()));
        if !link.users.is_empty() {
            return;
        }
        link.close(awake, &mut self.out);
        self.links.remove(&id);
        self.peer_links.retain(|_, link| *link != id);
        self.stall.heard(id);
        self.schedule.forget(Key::Link(id));
    }

    /// The instance behind a link is now known as somebody else (a replica became master).
    pub(crate) fn rename_user(&mut self, id: LinkId, from: &User, to: User) {
        self.schedule.forget(Key::Node(from.0, from.1.clone()));
        if let Some(link) = self.links.get_mut(&id) {
            let known = link.users.remove(from);
            assert!(known, "only a user of a link can be renamed on it");
            link.down.remove(from);
            link.users.insert(to.clone());
            self.touch(Key::Node(to.0, to.1));
        }
    }

    /// Touches every link.
    pub(crate) fn touch_links(&mut self) {
        for id in self.links.keys() {
            self.schedule.touch(Key::Link(*id));
        }
    }

    /// Touches every instance behind a link, and their masters.
    pub(crate) fn touch_users(&mut self, id: LinkId) {
        let users = self.links.get(&id).map(|link| link.users.clone());
        for (master, who) in users.into_iter().flatten() {
            self.touch(Key::Node(master, who));
            self.touch(Key::Master(master));
        }
    }

    /// Sends a command on a link; none when it cannot be sent now.
    pub(crate) fn send(
        &mut self,
        link: LinkId,
        purpose: Purpose,
        command: Command,
    ) -> Option<CommandId> {
        let id = self
            .links
            .get_mut(&link)?
            .send(&mut self.out, purpose, command);
        self.touch(Key::Link(link));
        id
    }

    /// Says hello about a master on a link; false when it cannot be sent now.
    pub(crate) fn publish(
        &mut self,
        link: LinkId,
        id: MasterId,
        name: &str,
        master: &Addr,
        config_epoch: Epoch,
    ) -> bool {
        let local_ip = self.link(link).map(|link| link.local_ip.clone());
        let ip = self.settings.announce_ip.clone().or(local_ip);
        let hello = Hello {
            from: Addr::new(ip.unwrap_or_default(), self.settings.announce_port),
            id: self.settings.myid.clone(),
            current_epoch: self.current_epoch,
            master_name: name.to_owned(),
            master: self.hosts.told(master),
            config_epoch,
        };
        let command = Command::Publish(hello);
        self.send(link, Purpose::Publish(id), command).is_some()
    }

    /// Opens, closes and pings as due on one link.
    pub(crate) fn sweep_link(&mut self, id: LinkId) -> Option<Time> {
        let link = self.links.get_mut(&id)?;
        let host = link.addr.host().to_owned();
        if self.hosts.is_unknown(&host) {
            self.resolve(&host);
            return Some(self.now + RESOLVE_PERIOD);
        }
        let attempts = link.attempts;
        let (next, closed) = link.sweep(self.now, self.stall.lost, &mut self.out);
        if link.attempts != attempts {
            // The name may lead elsewhere by now: the server may have been started anew.
            self.resolve(&host);
        }
        if closed {
            self.touch_users(id);
        }
        next
    }
}
