//! `COMMAND` compared with a stock sentinel of 7.0. Where 7.2 changed something, ours is 7.2.

use std::collections::BTreeMap;

use codis_core::resp::Value;

use crate::support::{Client, Sentinel, show};

/// Rows that 7.2 changed: their flags, tips or number of words.
const CHANGED: &[&str] = &[
    "acl|deluser",
    "acl|save",
    "acl|setuser",
    "client|caching",
    "client|getname",
    "client|getredir",
    "client|id",
    "client|no-evict",
    "client|reply",
    "client|setname",
    "command|getkeys",
    "command|getkeysandflags",
    "sentinel|config",
    // Takes COORDINATED and TO, too.
    "sentinel|failover",
];

/// A stock sentinel and ours, that watch nothing.
fn pair() -> (Sentinel, Sentinel) {
    (Sentinel::ours(""), Sentinel::stock(""))
}

fn names(value: &Value) -> Vec<String> {
    let mut names: Vec<String> = value.as_array().unwrap().iter().map(show).collect();
    names.sort();
    names
}

/// What COMMAND INFO says of the names, by name; parts of a command are asked for by themselves.
fn rows(client: &mut Client, names: &[String]) -> BTreeMap<String, String> {
    let reply = client.call(&format!("COMMAND INFO {}", names.join(" ")));
    let rows = reply.as_array().unwrap().iter();
    let row = |row: &Value| {
        let fields = row.as_array().unwrap();
        let shown: Vec<String> = fields[..9].iter().map(show).collect();
        let mut parts: Vec<String> = aggregate(&fields[9]).iter().map(name_of).collect();
        parts.retain(|part| part != "client|setinfo");
        parts.sort();
        (name_of(row), format!("{shown:?} {parts:?}"))
    };
    rows.map(row).collect()
}

fn aggregate(value: &Value) -> &[Value] {
    match value {
        Value::Set(values) => values,
        value => value.as_array().unwrap(),
    }
}

fn name_of(row: &Value) -> String {
    show(&row.as_array().unwrap()[0])
}

/// The commands, their flags, categories, keys and parts are those of a stock sentinel, in both
/// versions of the protocol.
#[test]
fn rows_are_those_of_a_stock_sentinel() {
    let (ours, stock) = pair();
    for hello in ["HELLO 2", "HELLO 3"] {
        let (mut to_ours, mut to_stock) = (ours.client(), stock.client());
        for client in [&mut to_ours, &mut to_stock] {
            assert!(client.call(hello).as_error().is_none());
        }
        compare_rows(&mut to_ours, &mut to_stock);
    }
}

fn compare_rows(to_ours: &mut Client, to_stock: &mut Client) {
    let mut known = names(&to_ours.call("COMMAND LIST"));
    assert_eq!(known.len(), 73);
    known.retain(|name| name != "client|setinfo");
    assert_eq!(known, names(&to_stock.call("COMMAND LIST")));
    known.retain(|name| !CHANGED.contains(&name.as_str()));
    assert_eq!(rows(to_ours, &known), rows(to_stock, &known));
    let bare = |client: &mut Client| {
        let reply = client.call("COMMAND");
        let mut names: Vec<String> = reply.as_array().unwrap().iter().map(name_of).collect();
        names.sort();
        names
    };
    assert_eq!(bare(to_ours), bare(to_stock));
}

/// Replies that are equal once their elements are in one order.
#[test]
fn lists_and_errors_are_those_of_a_stock_sentinel() {
    let (ours, stock) = pair();
    let (mut to_ours, mut to_stock) = (ours.client(), stock.client());
    for request in [
        "COMMAND COUNT",
        "COMMAND COUNT x",
        "COMMAND INFO nobody",
        "COMMAND LIST FILTERBY MODULE x",
        "COMMAND LIST FILTERBY ACLCAT fast",
        "COMMAND LIST FILTERBY ACLCAT PubSub",
        "COMMAND LIST FILTERBY ACLCAT nobody",
        "COMMAND LIST FILTERBY PATTERN P*",
        "COMMAND LIST FILTERBY PATTERN SENTINEL|m*",
        "COMMAND LIST FILTERBY",
        "COMMAND LIST FILTERBY FOO x",
        "COMMAND LIST foo",
        "COMMAND GETKEYS ping x",
        "COMMAND GETKEYS get x",
        "COMMAND GETKEYS sentinel foo",
        "COMMAND GETKEYSANDFLAGS role x",
        "COMMAND DOCS nobody",
        "COMMAND FOO",
        "COMMAND HELP",
        "COMMAND HELP x",
        "sentinel|masters",
        "CLIENT foo",
        "ACL",
        "ACL foo",
        "FOO a\r\nb",
        "SENTINEL a\r\nb",
    ] {
        let sorted = |value: Value| match value {
            Value::Array(Some(values)) if !request.contains("HELP") => {
                let mut shown: Vec<String> = values.iter().map(show).collect();
                shown.sort();
                format!("{shown:?}")
            }
            value => show(&value),
        };
        let ours_said = sorted(to_ours.call(request));
        assert_eq!(ours_said, sorted(to_stock.call(request)), "{request}");
    }
}

/// Since when a command is there and in which group stays; sentences are newer.
#[test]
fn documentation_has_the_shape_of_a_stock_sentinel() {
    let (ours, stock) = pair();
    let (mut to_ours, mut to_stock) = (ours.client(), stock.client());
    let listed = names(&to_stock.call("COMMAND LIST")).into_iter();
    // That one has another "since" in 7.2.
    for name in listed.filter(|name| name != "client|pause") {
        let facts = |client: &mut Client| {
            let reply = client.call(&format!("COMMAND DOCS {name}"));
            let pairs = reply.as_array().unwrap();
            assert_eq!(show(&pairs[0]), name);
            let field = |key| crate::support::field(&pairs[1], key);
            assert!(field("summary").is_some(), "{name}");
            [field("since"), field("group"), field("deprecated_since")]
        };
        assert_eq!(facts(&mut to_ours), facts(&mut to_stock), "{name}");
    }
    let all = to_ours.call("COMMAND DOCS");
    assert_eq!(all.as_array().unwrap().len(), 30, "{all:?}");
    assert!(show(&all).contains("display_text, master-name"), "{all:?}");
}

/// What only ours has is not listed, and answers by name.
#[test]
fn extensions_answer_by_name() {
    let ours = Sentinel::ours("");
    let reply = show(&ours.call("COMMAND INFO sentinel|topology"));
    assert!(reply.contains("sentinel|topology, :-2"), "{reply}");
    assert!(!show(&ours.call("COMMAND LIST")).contains("topology"));
    assert!(!show(&ours.call("COMMAND DOCS sentinel")).contains("topology"));
}
