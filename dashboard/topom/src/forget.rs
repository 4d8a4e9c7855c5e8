//! Replicas that left a group, and that sentinels still list; and sentinels that left the product,
//! which the others still count.
//!
//! A sentinel never forgets a replica by itself, and may promote one that the group no longer has.
//! It never forgets another sentinel either: one that was removed stays a voter that never votes,
//! and of four that are counted and three that live, two are no majority.
//! The only remedy that all versions know is `SENTINEL RESET`, after which the sentinel learns the
//! replicas and its peers anew. So one sentinel of a group is reset at a time, while all others
//! know everything and the master is well; and only for a replica that the master does not list any
//! more, for the sentinel would learn it again at once.
//!
//! For a sentinel that left, one of those that stay may be dead, if they are an odd number. Whoever
//! is reset then counts one voter too few until that one is back, and of three a majority is two
//! either way. Of four it would be two instead of three, and two pairs could elect.

use std::collections::{BTreeMap, BTreeSet};

use codis_core::addr::Addr;
use codis_core::api::SentinelMonitored;

/// A group, and what all sentinels show of it.
#[derive(Clone, Debug)]
pub struct Sight<'a> {
    /// The addresses of the group's servers, in numbers.
    pub servers: &'a BTreeSet<Addr>,
    /// The replicas that the master itself lists.
    pub following: &'a BTreeSet<Addr>,
    /// What each sentinel on record shows; nothing of one that did not answer.
    pub shown: &'a BTreeMap<String, Option<SentinelMonitored>>,
}

/// What to do about replicas that the group does not have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finding {
    /// Reset this sentinel.
    pub reset: Option<String>,
    /// These still follow the master, so no sentinel can be made to forget them.
    pub still_follow: BTreeSet<Addr>,
    /// Reset this sentinel, which counts more sentinels than there are. It will count them again if
    /// they still watch the master.
    pub miscounts: Option<String>,
}

impl Sight<'_> {
    /// Looks for such replicas.
    pub fn judge(&self) -> Finding {
        let mut finding = Finding::default();
        let all = self.shown.len();
        let whole = |peers: usize| {
            let alive = self.shown.values().flatten();
            alive.filter(|shown| self.is_whole(shown, peers)).count()
        };
        let well = whole(all) == all;
        // Those that counted anew do not know one that is dead, and its vote must not let two lead.
        let countable = well || (all % 2 == 1 && all > 1 && self.lacks_one(whole(all - 1)));
        for (sentinel, shown) in self.shown {
            let strays: BTreeSet<Addr> = shown
                .iter()
                .flat_map(replicas)
                .filter(|replica| !self.servers.contains(replica))
                .collect();
            let (follow, gone): (Vec<_>, Vec<_>) = strays
                .into_iter()
                .partition(|stray| self.following.contains(stray));
            finding.still_follow.extend(follow);
            if well && !gone.is_empty() && finding.reset.is_none() {
                finding.reset = Some(sentinel.clone());
            }
            let counts = shown.as_ref().map_or(0, peers) + 1;
            if countable && counts > all && finding.miscounts.is_none() {
                finding.miscounts = Some(sentinel.clone());
            }
        }
        finding
    }

    /// Whether one does not answer, and all others are `whole`.
    fn lacks_one(&self, whole: usize) -> bool {
        let alive = self.shown.values().flatten().count();
        alive + 1 == self.shown.len() && whole == alive
    }

    /// Whether a sentinel sees the master up, its peers with which it is `sentinels` at least, and
    /// all replicas that follow.
    fn is_whole(&self, shown: &SentinelMonitored, sentinels: usize) -> bool {
        let field = |name: &str| shown.master.get(name).map_or("", String::as_str);
        let known: BTreeSet<Addr> = replicas(shown).collect();
        field("flags") == "master"
            && peers(shown) + 1 >= sentinels
            && self.following.iter().all(|replica| known.contains(replica))
    }
}

/// How many other sentinels it counts.
fn peers(shown: &SentinelMonitored) -> usize {
    let told = shown.master.get("num-other-sentinels");
    told.and_then(|told| told.parse().ok()).unwrap_or(0)
}

fn replicas(shown: &SentinelMonitored) -> impl Iterator<Item = Addr> {
    shown.slaves.iter().filter_map(|fields| {
        let port = fields.get("port")?.parse().ok()?;
        Some(Addr::new(fields.get("ip")?.as_str(), port))
    })
}

/// The replicas that a master lists in its `INFO`.
pub fn following(info: &BTreeMap<String, String>) -> BTreeSet<Addr> {
    let replica = |(name, value): (&String, &String)| {
        name.strip_prefix("slave")?.parse::<u32>().ok()?;
        let part = |name: &str| {
            let parts = value.split(',').filter_map(|part| part.split_once('='));
            parts
                .filter(|(found, _)| *found == name)
                .map(|(_, value)| value)
                .next()
        };
        Some(Addr::new(part("ip")?, part("port")?.parse().ok()?))
    };
    info.iter().filter_map(replica).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addrs(all: &[&str]) -> BTreeSet<Addr> {
        all.iter().map(|addr| addr.parse().unwrap()).collect()
    }

    fn shown(flags: &str, peers: &str, replicas: &[&str]) -> Option<SentinelMonitored> {
        let fields = |pairs: &[(&str, &str)]| {
            let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            pairs.iter().map(owned).collect::<BTreeMap<_, _>>()
        };
        let replica = |addr: &&str| {
            let (ip, port) = addr.split_once(':').unwrap();
            fields(&[("ip", ip), ("port", port)])
        };
        Some(SentinelMonitored {
            master: fields(&[("flags", flags), ("num-other-sentinels", peers)]),
            slaves: replicas.iter().map(replica).collect(),
        })
    }

    fn judge(following: &[&str], both: [Option<SentinelMonitored>; 2]) -> Finding {
        let shown = ["s:1", "s:2"].map(str::to_owned).into_iter().zip(both);
        Sight {
            servers: &addrs(&["m:1", "r:1"]),
            following: &addrs(following),
            shown: &shown.collect(),
        }
        .judge()
    }

    #[test]
    fn one_sentinel_at_a_time_forgets_a_replica_that_left() {
        let whole = || shown("master", "1", &["r:1", "x:1"]);
        let clean = || shown("master", "1", &["r:1"]);
        let reset = |both| judge(&["r:1"], both).reset;
        assert_eq!(reset([whole(), whole()]), Some("s:1".to_owned()));
        assert_eq!(reset([clean(), whole()]), Some("s:2".to_owned()));
        assert_eq!(reset([clean(), clean()]), None);
        // The first was reset just now and knows nobody yet, or is not well.
        for other in [
            shown("master", "0", &["r:1"]),
            shown("master", "1", &[]),
            shown("master,s_down", "1", &["r:1"]),
            None,
        ] {
            assert_eq!(reset([other, whole()]), None);
        }
    }

    #[test]
    fn one_sentinel_at_a_time_forgets_a_sentinel_that_left() {
        let counts = |peers| shown("master", peers, &["r:1"]);
        let found = |both| judge(&["r:1"], both).miscounts;
        assert_eq!(found([counts("2"), counts("2")]), Some("s:1".to_owned()));
        assert_eq!(found([counts("1"), counts("2")]), Some("s:2".to_owned()));
        assert_eq!(found([counts("1"), counts("1")]), None);
        // The first was reset just now, or is not well.
        for other in [
            counts("0"),
            shown("master,o_down", "1", &["r:1"]),
            shown("master", "1", &[]),
            None,
        ] {
            assert_eq!(found([other, counts("2")]), None);
        }
    }

    #[test]
    fn one_that_is_dead_delays_the_count_of_an_even_number_only() {
        let counts = |peers| shown("master", peers, &["r:1"]);
        let found = |all: Vec<Option<SentinelMonitored>>| {
            let shown = (1..).map(|number| format!("s:{number}")).zip(all);
            let sight = Sight {
                servers: &addrs(&["m:1", "r:1"]),
                following: &addrs(&["r:1"]),
                shown: &shown.collect(),
            };
            sight.judge().miscounts
        };
        let (first, second) = (Some("s:1".to_owned()), Some("s:2".to_owned()));
        assert_eq!(found(vec![counts("3"), counts("3"), None]), first);
        // The first was reset, and knows the second.
        assert_eq!(found(vec![counts("1"), counts("3"), None]), second);
        assert_eq!(found(vec![counts("0"), counts("3"), None]), None);
        assert_eq!(found(vec![counts("1"), counts("1"), None]), None);
        assert_eq!(found(vec![counts("1"), counts("2"), counts("3")]), None);
        let last = Some("s:3".to_owned());
        assert_eq!(found(vec![counts("2"), counts("2"), counts("3")]), last);
        assert_eq!(found(vec![counts("3"), None, None]), None);
        assert_eq!(found(vec![None]), None);
        let four = vec![counts("4"), counts("4"), counts("4"), None];
        assert_eq!(found(four), None);
    }

    #[test]
    fn one_that_still_follows_is_told_of_and_left() {
        let both = || shown("master", "1", &["r:1", "x:1"]);
        let found = judge(&["r:1", "x:1"], [both(), both()]);
        assert_eq!(found.reset, None);
        assert_eq!(found.still_follow, addrs(&["x:1"]));
    }

    #[test]
    fn a_master_lists_its_replicas() {
        let info = [
            (
                "slave0",
                "ip=10.0.0.2,port=6379,state=online,offset=1,lag=0",
            ),
            ("slave_priority", "100"),
            ("role", "master"),
        ];
        let info = info.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(following(&info.into()), addrs(&["10.0.0.2:6379"]));
    }
}
