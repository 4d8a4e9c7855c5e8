//! The body that gives slots to groups, read strictly.
//!
//! The original fills in what it cannot read: an entry without an id is slot 0, one with a wrong
//! type is too, and of two entries for one slot the last wins. Each of them would move a slot that
//! nobody meant.

use std::collections::BTreeSet;

use codis_core::model::{SlotAction, SlotMapping};
use serde::Deserialize;
use serde_json::Value;

/// Entries with an id each, none of them twice.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<Value>")]
pub struct Mappings(pub Vec<SlotMapping>);

#[derive(Deserialize)]
struct Entry {
    id: u16,
    #[serde(default)]
    group_id: u32,
    #[serde(default)]
    action: SlotAction,
}

impl TryFrom<Vec<Value>> for Mappings {
    type Error = String;

    fn try_from(entries: Vec<Value>) -> Result<Self, String> {
        let mut seen = BTreeSet::new();
        let entries = entries.into_iter().enumerate().map(|(place, entry)| {
            let read = Entry::deserialize(entry);
            let Entry {
                id,
                group_id,
                action,
            } = read.map_err(|error| format!("entry {place}: {error}"))?;
            if !seen.insert(id) {
                return Err(format!("entry {place}: slot-[{id}] is given twice"));
            }
            Ok(SlotMapping {
                id,
                group_id,
                action,
            })
        });
        entries.collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Vec<SlotMapping>, String> {
        let read = codis_core::json::decode::<Mappings>(body.as_bytes());
        read.map(|Mappings(slots)| slots)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn what_clients_of_codis_send_is_read() {
        let body = r#"[{"id":0,"group_id":1,"action":{}},{"ID":1023,"Group_Id":2,"more":true}]"#;
        let slots = read(body).unwrap();
        assert_eq!((slots[0].id, slots[0].group_id), (0, 1));
        assert_eq!((slots[1].id, slots[1].group_id), (1023, 2));
        assert_eq!(read("[]"), Ok(Vec::new()));
    }

    #[test]
    fn entries_that_would_move_another_slot_are_refused_by_their_place() {
        for (body, told) in [
            (r#"[{"group_id":1}]"#, "entry 0: missing field `id`"),
            (r#"[{"id":null,"group_id":1}]"#, "entry 0: missing field"),
            (r#"[{"id":1},{"id":"2"}]"#, "entry 1: invalid type"),
            (r#"[{"id":1.5}]"#, "entry 0: invalid type"),
            (r#"[{"id":-1}]"#, "entry 0: invalid value"),
            (r#"[{"id":65536}]"#, "entry 0: invalid value"),
            (r#"[{"id":1,"group_id":"1"}]"#, "entry 0: invalid type"),
            (r#"[{"id":1,"action":7}]"#, "entry 0: invalid type"),
            ("[null]", "entry 0: invalid type"),
            (
                r#"[{"id":3,"group_id":1},{"id":3,"group_id":2}]"#,
                "entry 1: slot-[3] is given twice",
            ),
            (r#"{"id":1}"#, "invalid type"),
        ] {
            let error = read(body).unwrap_err();
            assert!(error.starts_with(told), "{body}: {error}");
        }
    }
}
