//! Host names and what they stand for.
//!
//! An address is known by the text under which it was first heard of, a name or an IP address, and
//! keeps it: that text is its identity inside the machine. This table says where a name leads now,
//! so that two texts for one server can be told to be the same, and what the world is shown: names
//! with `announce-hostnames`, IP addresses without. The shell looks names up
//! ([`crate::Effect::Resolve`]) and a name keeps its last good answer.
//!
//! While names are neither resolved nor known, all of this is the comparison of text.

use std::collections::BTreeMap;
use std::net::IpAddr;

use codis_core::addr::Addr;

use crate::hello::Hello;

/// What `resolve-hostnames` and `announce-hostnames` say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Names {
    /// Names are looked up.
    pub resolve: bool,
    /// Names are shown, rather than the addresses that they stand for.
    pub announce: bool,
}

/// Names that are remembered. Beyond that, new ones stay unresolved.
const HOSTS_MAX: usize = 8192;
/// Hellos that may wait for one name.
const HELLOS_MAX: usize = 64;

/// The table of names.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    pub(crate) names: Names,
    /// Where a name, in lower case, leads.
    ips: BTreeMap<String, IpAddr>,
    /// Hellos that wait for a name in them.
    waiting: BTreeMap<String, Vec<Hello>>,
}

impl Hosts {
    /// Where a host is, as far as that is known.
    pub(crate) fn ip_of(&self, host: &str) -> Option<IpAddr> {
        let literal = host.parse().ok();
        literal.or_else(|| self.ips.get(&host.to_ascii_lowercase()).copied())
    }

    /// Whether a host is a name that may be looked up.
    pub(crate) fn is_name(&self, host: &str) -> bool {
        self.names.resolve && host.parse::<IpAddr>().is_err()
    }

    /// Whether a host must be looked up before anything can be done with it.
    pub(crate) fn is_unknown(&self, host: &str) -> bool {
        self.is_name(host) && !self.ips.contains_key(&host.to_ascii_lowercase())
    }

    /// Whether two texts mean the same server.
    pub(crate) fn same(&self, a: &Addr, b: &Addr) -> bool {
        if a == b {
            return true;
        }
        if a.port() != b.port() {
            return false;
        }
        let ips = self.ip_of(a.host()).zip(self.ip_of(b.host()));
        let by_name = self.names.resolve && a.host().eq_ignore_ascii_case(b.host());
        by_name || ips.is_some_and(|(a, b)| a == b)
    }

    /// Where to connect to; `None` while the name is unknown.
    pub(crate) fn reachable(&self, addr: &Addr) -> Option<Addr> {
        match self.ip_of(addr.host()) {
            Some(ip) => Some(Addr::new(ip.to_string(), addr.port())),
            None if self.names.resolve => None,
            None => Some(addr.clone()),
        }
    }

    /// What is shown. Of a name that never resolved that is an empty host, as in the original.
    pub(crate) fn shown(&self, addr: &Addr) -> Addr {
        let host = addr.host();
        if self.names.announce || host.parse::<IpAddr>().is_ok() {
            return addr.clone();
        }
        match self.ip_of(host) {
            Some(ip) => Addr::new(ip.to_string(), addr.port()),
            None if self.names.resolve => Addr::new("", addr.port()),
            None => addr.clone(),
        }
    }

    /// What servers and files are told: what is shown, or the name when there is nothing to show.
    pub(crate) fn told(&self, addr: &Addr) -> Addr {
        let shown = self.shown(addr);
        if shown.host().is_empty() {
            return addr.clone();
        }
        shown
    }

    /// The address of a sentinel that is told to be at `told`: the one where its link leads when
    /// that is the same.
    pub(crate) fn peer_addr(&self, linked: Option<&Addr>, told: &Addr) -> Addr {
        let same = linked.filter(|linked| self.same(linked, told));
        same.unwrap_or(told).clone()
    }

    /// Takes the answers for a name; true when the name leads somewhere else than before. One of
    /// several answers is kept as long as it is among them: names with several addresses come back
    /// in any order.
    pub(crate) fn learn(&mut self, host: &str, answers: &[IpAddr]) -> bool {
        let host = host.to_ascii_lowercase();
        let known = self.ips.get(&host);
        let Some(first) = answers.first() else {
            return false;
        };
        if known.is_some_and(|known| answers.contains(known)) {
            return false;
        }
        if known.is_none() && self.ips.len() >= HOSTS_MAX {
            return false;
        }
        self.ips.insert(host, *first);
        true
    }

    /// Keeps a hello until a name in it is known, or gives it back when too many wait.
    pub(crate) fn park(&mut self, host: &str, hello: &Hello) -> bool {
        let host = host.to_ascii_lowercase();
        if self.waiting.len() >= HOSTS_MAX && !self.waiting.contains_key(&host) {
            return false;
        }
        let waiting = self.waiting.entry(host).or_default();
        if waiting.len() >= HELLOS_MAX {
            return false;
        }
        waiting.push(hello.clone());
        true
    }

    /// The hellos that waited for a name.
    pub(crate) fn unpark(&mut self, host: &str) -> Vec<Hello> {
        self.waiting
            .remove(&host.to_ascii_lowercase())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(announce: bool) -> Hosts {
        let mut hosts = Hosts {
            names: Names {
                resolve: true,
                announce,
            },
            ..Hosts::default()
        };
        assert!(hosts.learn("Db-1", &["10.0.0.1".parse().unwrap()]));
        hosts
    }

    #[test]
    fn two_texts_are_compared_by_what_they_stand_for() {
        let hosts = hosts(false);
        let same = |a: &str, b: &str| hosts.same(&Addr::new(a, 1), &Addr::new(b, 1));
        assert!(same("db-1", "10.0.0.1") && same("DB-1", "db-1"));
        assert!(same("::1", "0:0:0:0:0:0:0:1"));
        assert!(same("never.seen", "Never.Seen"));
        assert!(!same("db-1", "10.0.0.2") && !same("never.seen", "10.0.0.1"));
        assert!(!hosts.same(&Addr::new("db-1", 1), &Addr::new("db-1", 2)));
        let off = Hosts::default();
        assert!(!off.same(&Addr::new("a", 1), &Addr::new("A", 1)));
    }

    #[test]
    fn what_is_shown_follows_the_setting() {
        let (name, lost) = (Addr::new("db-1", 1), Addr::new("lost", 1));
        let (by_ip, by_name) = (hosts(false), hosts(true));
        assert_eq!(by_ip.shown(&name), Addr::new("10.0.0.1", 1));
        assert_eq!(by_name.shown(&name), name);
        assert_eq!(by_ip.shown(&lost), Addr::new("", 1));
        assert_eq!(by_ip.told(&lost), lost);
        assert_eq!(by_ip.reachable(&name), Some(Addr::new("10.0.0.1", 1)));
        assert_eq!(by_ip.reachable(&lost), None);
        let off = Hosts::default();
        assert_eq!(off.shown(&lost), lost);
        assert_eq!(off.reachable(&lost), Some(lost));
    }

    #[test]
    fn an_answer_is_kept_while_it_is_among_them() {
        let mut hosts = hosts(false);
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(!hosts.learn("db-1", &[ip("10.0.0.9"), ip("10.0.0.1")]));
        assert!(!hosts.learn("db-1", &[]), "the last good answer stays");
        assert_eq!(hosts.ip_of("DB-1"), Some(ip("10.0.0.1")));
        assert!(hosts.learn("db-1", &[ip("10.0.0.9")]));
        assert_eq!(hosts.ip_of("db-1"), Some(ip("10.0.0.9")));
    }
}
