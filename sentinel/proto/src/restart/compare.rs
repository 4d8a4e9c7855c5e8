//! Which of two servers has more data: a replica, or its master that restarted.

use crate::info::Data;

/// What of a replica's data the restarted master does not have, in words; `None` when nothing is
/// known to be missing. `histories` are those that the master had before.
///
/// A master that restarts from a snapshot tells which history it continues, and from where: then
/// offsets decide. Any other starts a new history, and keys have to be counted: it may lack those
/// that expired meanwhile, and no others. Both counts are of this moment, and nobody deletes keys
/// on a replica, so a master that has all its data again is never found to lack some.
pub(super) fn missing(master: &Data, replica: &Data, histories: &[String]) -> Option<String> {
    if follows_present_run(master, replica) {
        return None;
    }
    if continues(master, replica) {
        let (has, lacks) = (replica.offset, master.offset_before);
        return (has > lacks)
            .then(|| format!("has the replication stream up to {has}, the master up to {lacks}"));
    }
    let ours = |history: &String| *history == replica.history;
    if !histories.is_empty() && !histories.iter().any(ours) {
        return None;
    }
    let (has, left) = (replica.keys?, master.keys?);
    let lasting = has.saturating_sub(replica.expires);
    let lacks = left < lasting || (left == 0 && has > 0);
    lacks.then(|| format!("has {has} keys, the master {left}"))
}

/// Whether a replica is in step with the present run of the master, and so has nothing else.
pub(super) fn follows_present_run(master: &Data, replica: &Data) -> bool {
    !replica.history.is_empty() && replica.history == master.history
}

/// Whether the replica's data continues what the master restarted from.
fn continues(master: &Data, replica: &Data) -> bool {
    let base = &master.history_before;
    let same = replica.history == *base;
    let later = replica.history_before == *base && replica.offset_before >= master.offset_before;
    !base.is_empty() && (same || later)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(history: &str, offset: u64, keys: u64, expires: u64) -> Data {
        Data {
            history: history.into(),
            offset,
            keys: Some(keys),
            expires,
            ..Data::default()
        }
    }

    /// A master that restarted from a snapshot of `base` at `offset_before`.
    fn snapshot(base: &str, offset_before: u64) -> Data {
        Data {
            history_before: base.into(),
            offset_before,
            ..data("new", offset_before + 7, 1, 0)
        }
    }

    #[test]
    fn keys_are_counted_where_the_history_is_lost() {
        let lacks = |left, has, expires| {
            let histories = ["old".to_owned()];
            let replica = data("old", 500, has, expires);
            missing(&data("new", 0, left, 0), &replica, &histories).is_some()
        };
        assert!(lacks(0, 5, 0) && lacks(4, 5, 0));
        assert!(lacks(0, 5, 5), "nothing is left at all");
        assert!(!lacks(5, 5, 0), "all came back from the append-only file");
        assert!(!lacks(3, 5, 2), "two may have expired");
        assert!(!lacks(0, 0, 0), "both are empty");
        assert!(!lacks(9, 5, 0), "it takes writes again");
    }

    #[test]
    fn offsets_decide_where_the_history_goes_on() {
        let lacks = |master: &Data, replica: &Data| missing(master, replica, &[]).is_some();
        let replica = data("old", 500, 1, 0);
        assert!(!lacks(&snapshot("old", 500), &replica), "a clean restart");
        assert!(lacks(&snapshot("old", 499), &replica));
        // The replica went on from the history that the snapshot is of.
        let later = Data {
            history_before: "base".into(),
            offset_before: 300,
            ..data("old", 500, 1, 0)
        };
        assert!(lacks(&snapshot("base", 300), &later));
        assert!(
            !lacks(&snapshot("base", 400), &later),
            "they parted before: keys are equal"
        );
    }

    #[test]
    fn others_say_nothing_of_this_master() {
        let histories = ["old".to_owned()];
        let empty = data("new", 0, 0, 0);
        let copied = data("new", 0, 9, 0);
        assert_eq!(
            missing(&empty, &copied, &histories),
            None,
            "it follows the new run"
        );
        let stranger = data("else", 900, 9, 0);
        assert_eq!(missing(&empty, &stranger, &histories), None);
        let untold = Data {
            keys: None,
            ..data("old", 9, 0, 0)
        };
        assert_eq!(missing(&empty, &untold, &histories), None);
    }
}
