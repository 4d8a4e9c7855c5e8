use super::*;

fn ask(line: &str) -> Value {
    let args: Vec<&str> = line.split_ascii_whitespace().collect();
    describe(&args[..])
}

fn error(text: &str) -> Value {
    Value::error(text.to_owned())
}

#[test]
fn what_is_refused_is_not_listed() {
    let Value::Array(Some(names)) = ask("COMMAND LIST") else {
        panic!("not a list");
    };
    let has = |name: &str| names.iter().any(|listed| listed.as_str() == Some(name));
    assert!(has("get") && has("client") && has("json.get"));
    assert!(!has("keys") && !has("blpop"));
    let count = Value::Integer(names.len() as i64);
    assert_eq!(ask("command count"), count);
    let all = ask("COMMAND");
    assert_eq!(all.as_array().unwrap().len(), names.len());
    assert_eq!(ask("COMMAND INFO"), all);
    assert_eq!(ask("COMMAND DOCS").as_map().unwrap().len(), names.len());
}

#[test]
fn an_entry_tells_arity_flags_and_keys() {
    let Value::Array(Some(entries)) = ask("COMMAND INFO get keys nothing client|id zunionstore")
    else {
        panic!("not a list");
    };
    let get = entries[0].as_array().unwrap();
    assert_eq!(get.len(), 10);
    assert_eq!(get[0].as_str(), Some("get"));
    assert_eq!(get[1].as_int(), Some(2));
    assert_eq!(get[2], Value::array([Value::simple("readonly")]));
    assert_eq!(get[3..6], [1, 1, 1].map(Value::Integer));
    assert_eq!((&entries[1], &entries[2]), (&Value::null(), &Value::null()));
    assert_eq!(
        entries[3].as_array().unwrap()[0].as_str(),
        Some("client|id")
    );
    let flags = entries[4].as_array().unwrap()[2].as_array().unwrap();
    assert_eq!(flags[1], Value::simple("movablekeys"));
    let docs = ask("COMMAND DOCS get nothing");
    assert_eq!(docs.as_map().unwrap().len(), 1);
}

#[test]
fn keys_of_a_request_and_what_is_wrong_with_it() {
    let keys = ask("COMMAND GETKEYS MSET a 1 b 2");
    let names = ["a", "b"].map(|key| Value::bulk(key.as_bytes().to_vec()));
    assert_eq!(keys, Value::array(names));
    assert_eq!(ask("COMMAND GETKEYS EVAL s 0"), Value::array([]));
    for (line, expected) in [
        ("COMMAND GETKEYS nothing a", "ERR Invalid command specified"),
        ("COMMAND GETKEYS KEYS a", "ERR Invalid command specified"),
        (
            "COMMAND GETKEYS PING",
            "ERR The command has no key arguments",
        ),
        (
            "COMMAND GETKEYS GET",
            "ERR Invalid number of arguments specified for command",
        ),
        (
            "COMMAND GETKEYS ZUNION x a",
            "ERR Invalid arguments specified for command",
        ),
        (
            "COMMAND GETKEYS",
            "ERR wrong number of arguments for 'command|getkeys' command",
        ),
        (
            "COMMAND COUNT x",
            "ERR wrong number of arguments for 'command|count' command",
        ),
        (
            "COMMAND what",
            "ERR unknown subcommand 'what'. Try COMMAND HELP.",
        ),
    ] {
        assert_eq!(ask(line), error(expected), "{line}");
    }
}
