//! What to believe of what sentinels say: pure.
//!
//! A pair from one of our sentinels was elected by a majority and carries its epoch, so one
//! witness is enough. A stock sentinel has no such record: while it leads a failover it lists the
//! new epoch beside the old address. So its word counts only outside of a failover, and only when
//! a majority of the product's sentinels answered; then the highest epoch wins.

use std::collections::{BTreeMap, BTreeSet};

use codis_core::addr::Addr;
use codis_core::epoch::Epoch;
use codis_core::paths::monitored_group;
use codis_core::topology::Topology;

use crate::route::Pair;

/// The last full answer of one sentinel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// What it says of each group; nothing while a stock sentinel leads a failover of it.
    pub groups: BTreeMap<u32, Option<Pair>>,
}

/// The last answers of all sentinels of a product.
#[derive(Clone, Debug, Default)]
pub struct Views {
    views: BTreeMap<String, View>,
}

impl Views {
    /// Takes a full answer.
    pub fn set(&mut self, sentinel: &str, view: View) {
        self.views.insert(sentinel.to_owned(), view);
    }

    /// Forgets a sentinel that cannot be reached.
    pub fn remove(&mut self, sentinel: &str) {
        self.views.remove(sentinel);
    }

    /// The groups that any sentinel monitors.
    pub fn monitored(&self) -> BTreeSet<u32> {
        self.views
            .values()
            .flat_map(|view| view.groups.keys().copied())
            .collect()
    }

    /// The pairs that a majority of `sentinels` answered for, with the highest epoch of each.
    pub fn by_majority(&self, sentinels: usize) -> BTreeMap<u32, Pair> {
        let majority = 1 + sentinels / 2;
        let mut out = BTreeMap::new();
        for group in self.monitored() {
            let told: Vec<_> = self
                .views
                .values()
                .filter_map(|v| v.groups.get(&group))
                .collect();
            let highest = told
                .iter()
                .filter_map(|pair| pair.as_ref())
                .max_by_key(|p| p.epoch);
            if told.len() >= majority
                && let Some(pair) = highest
            {
                out.insert(group, pair.clone());
            }
        }
        out
    }
}

/// The group and pair of a record of one of our sentinels, if it is about `product`.
pub fn of_topology(product: &str, record: &Topology) -> Option<(u32, Pair)> {
    let group = monitored_group(product, &record.name)?;
    is_usable(&record.master).then(|| {
        let master = record.master.to_string();
        (
            group,
            Pair {
                epoch: record.epoch,
                master,
            },
        )
    })
}

/// The group and pair of an entry of `SENTINEL MASTERS`, if it is about `product`.
pub fn of_stock(product: &str, fields: &BTreeMap<String, String>) -> Option<(u32, Option<Pair>)> {
    let field = |name: &str| fields.get(name).map(String::as_str);
    let group = monitored_group(product, field("name")?)?;
    let master = Addr::new(field("ip")?, field("port")?.parse().ok()?);
    let epoch = Epoch(field("config-epoch")?.parse().ok()?);
    let failing_over = field("flags")?
        .split(',')
        .any(|flag| flag == "failover_in_progress");
    let pair = (!failing_over && is_usable(&master)).then(|| Pair {
        epoch,
        master: master.to_string(),
    });
    Some((group, pair))
}

fn is_usable(addr: &Addr) -> bool {
    addr.port() != 0 && !addr.host().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stock(name: &str, port: u16, epoch: u64, flags: &str) -> BTreeMap<String, String> {
        [
            ("name", name.to_owned()),
            ("ip", "127.0.0.1".to_owned()),
            ("port", port.to_string()),
            ("flags", flags.to_owned()),
            ("config-epoch", epoch.to_string()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
    }

    fn view(entry: (u32, Option<Pair>)) -> View {
        View {
            groups: BTreeMap::from([entry]),
        }
    }

    #[test]
    fn a_minority_is_not_believed_and_the_highest_epoch_wins() {
        let old = view(of_stock("demo", &stock("demo-1", 1, 3, "master")).unwrap());
        let new = view(of_stock("demo", &stock("demo-1", 2, 4, "master")).unwrap());
        let mut views = Views::default();
        views.set("a", new);
        assert!(views.by_majority(3).is_empty());
        views.set("b", old);
        let pair = &views.by_majority(3)[&1];
        assert_eq!(
            (pair.epoch, pair.master.as_str()),
            (Epoch(4), "127.0.0.1:2")
        );
        views.remove("a");
        assert!(views.by_majority(3).is_empty());
    }

    #[test]
    fn a_stock_leader_is_not_believed_during_its_failover() {
        let leading = stock("demo-1", 1, 4, "master,s_down,o_down,failover_in_progress");
        let (group, pair) = of_stock("demo", &leading).unwrap();
        assert_eq!((group, pair), (1, None));
        assert!(of_stock("demo", &stock("other-1", 1, 4, "master")).is_none());
    }
}
