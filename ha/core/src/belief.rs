//! What to believe of what sentinels say about the masters of a product.
//!
//! A record of one of our sentinels was elected by a majority and carries its epoch, so one witness
//! is enough: whoever follows applies it if the epoch is higher than the one held. A stock sentinel
//! has no such record, and while it leads a failover it lists the new epoch beside the old address.
//! So its word counts only outside of a failover, and only when a majority of the product's
//! sentinels answered for the group; then the highest epoch wins.

use std::collections::{BTreeMap, BTreeSet};

use crate::addr::Addr;
use crate::epoch::Epoch;
use crate::paths::monitored_group;
use crate::topology::Topology;

/// What one sentinel says about one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// The group.
    pub group: u32,
    /// The config epoch of the master.
    pub epoch: Epoch,
    /// `host:port` of the master.
    pub master: String,
    /// Its run id, empty while unknown.
    pub run_id: String,
    /// A stock sentinel leads a failover of the group, so epoch and master may not belong together.
    pub failing_over: bool,
}

impl Word {
    /// The word of a record, when it is about `product` and names a master.
    pub fn of_record(product: &str, record: &Topology) -> Option<Self> {
        let group = monitored_group(product, &record.name)?;
        is_usable(&record.master).then(|| Self {
            group,
            epoch: record.epoch,
            master: record.master.to_string(),
            run_id: record.run_id.clone(),
            failing_over: false,
        })
    }

    /// The word of an entry of `SENTINEL MASTERS`, when it is about `product` and names a master.
    pub fn of_fields(product: &str, fields: &BTreeMap<String, String>) -> Option<Self> {
        let field = |name: &str| fields.get(name).map(String::as_str);
        let group = monitored_group(product, field("name")?)?;
        let master = Addr::new(field("ip")?, field("port")?.parse().ok()?);
        let mut flags = field("flags").unwrap_or_default().split(',');
        let epoch = Epoch(field("config-epoch")?.parse().ok()?);
        is_usable(&master).then(|| Self {
            group,
            epoch,
            master: master.to_string(),
            run_id: field("runid").unwrap_or_default().to_owned(),
            failing_over: flags.any(|flag| flag == "failover_in_progress"),
        })
    }
}

/// Port 0 and an empty host are how stock sentinels write "no address".
fn is_usable(addr: &Addr) -> bool {
    addr.port() != 0 && !addr.host().is_empty()
}

/// The last full answer of each sentinel that can be reached.
#[derive(Clone, Debug, Default)]
pub struct Answers(BTreeMap<String, Vec<Word>>);

impl Answers {
    /// Takes a full answer.
    pub fn set(&mut self, sentinel: &str, words: Vec<Word>) {
        self.0.insert(sentinel.to_owned(), words);
    }

    /// Forgets a sentinel that cannot be reached.
    pub fn remove(&mut self, sentinel: &str) {
        self.0.remove(sentinel);
    }

    /// Forgets all sentinels but these.
    pub fn retain(&mut self, sentinels: &[String]) {
        self.0.retain(|sentinel, _| sentinels.contains(sentinel));
    }

    /// Whether more than half of `sentinels` answered.
    pub fn is_majority(&self, sentinels: usize) -> bool {
        self.0.len() > sentinels / 2
    }

    /// The groups that any sentinel monitors.
    pub fn monitored(&self) -> BTreeSet<u32> {
        self.0.values().flatten().map(|word| word.group).collect()
    }

    /// For each group that more than half of `sentinels` answered for: the word with the highest
    /// epoch, the first on ties.
    pub fn by_majority(&self, sentinels: usize) -> BTreeMap<u32, Word> {
        let mut told: BTreeMap<u32, usize> = BTreeMap::new();
        let mut best: BTreeMap<u32, &Word> = BTreeMap::new();
        for word in self.0.values().flatten() {
            *told.entry(word.group).or_default() += 1;
            let newer = best
                .get(&word.group)
                .is_none_or(|held| word.epoch > held.epoch);
            if newer && !word.failing_over {
                best.insert(word.group, word);
            }
        }
        best.retain(|group, _| told.get(group).is_some_and(|count| *count > sentinels / 2));
        best.into_iter()
            .map(|(group, word)| (group, word.clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stock(name: &str, port: u16, epoch: u64, flags: &str) -> Option<Word> {
        let fields = [
            ("name", name.to_owned()),
            ("ip", "127.0.0.1".to_owned()),
            ("port", port.to_string()),
            ("flags", flags.to_owned()),
            ("config-epoch", epoch.to_string()),
        ];
        Word::of_fields(
            "demo",
            &fields.map(|(key, value)| (key.to_owned(), value)).into(),
        )
    }

    #[test]
    fn a_minority_is_not_believed_and_the_highest_epoch_wins() {
        let mut answers = Answers::default();
        answers.set("a", vec![stock("demo-1", 2, 4, "master").unwrap()]);
        assert!(answers.by_majority(3).is_empty());
        answers.set("b", vec![stock("demo-1", 1, 3, "master").unwrap()]);
        let word = &answers.by_majority(3)[&1];
        assert_eq!(
            (word.epoch, word.master.as_str()),
            (Epoch(4), "127.0.0.1:2")
        );
        answers.remove("a");
        assert!(answers.by_majority(3).is_empty());
    }

    #[test]
    fn a_group_that_few_monitor_is_not_believed() {
        let mut answers = Answers::default();
        answers.set("a", vec![stock("demo-1", 1, 4, "master").unwrap()]);
        answers.set("b", Vec::new());
        answers.set("c", Vec::new());
        assert!(answers.is_majority(3));
        assert!(answers.by_majority(3).is_empty());
        assert_eq!(answers.monitored(), BTreeSet::from([1]));
    }

    #[test]
    fn a_stock_leader_counts_as_an_answer_but_is_not_believed_during_its_failover() {
        let leading = stock("demo-1", 1, 4, "master,o_down,failover_in_progress").unwrap();
        assert!(leading.failing_over);
        let mut answers = Answers::default();
        answers.set("a", vec![leading]);
        answers.set("b", vec![stock("demo-1", 1, 3, "master").unwrap()]);
        assert_eq!(answers.by_majority(3)[&1].epoch, Epoch(3));
    }

    #[test]
    fn other_products_and_displaced_masters_are_left_out() {
        assert_eq!(stock("other-1", 1, 4, "master"), None);
        assert_eq!(stock("demo-1", 0, 4, "master"), None);
    }
}
