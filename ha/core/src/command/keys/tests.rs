use crate::command::lookup;

/// The keys of a line.
fn keys(line: &str) -> Option<Vec<&str>> {
    let args: Vec<&str> = line.split(' ').collect();
    let command = lookup(args[0].as_bytes()).unwrap();
    let command = command.resolve(&args[..]).unwrap();
    let positions = command.keys().positions(&args[..])?;
    Some(positions.map(|index| args[index]).collect())
}

/// Requests and their keys, in order.
const CASES: &[(&str, &str)] = &[
    ("GET a", "a"),
    ("GET", ""),
    ("PING x", ""),
    ("PFDEBUG GETREG a", "a"),
    ("MGET a b c", "a b c"),
    ("MSET a 1 b 2", "a b"),
    ("RPOPLPUSH a b", "a b"),
    ("RPOPLPUSH a", "a"),
    ("JSON.MGET a b $", "a b"),
    ("JSON.MGET", ""),
    ("JSON.MSET a $ 1 b $ 2", "a b"),
    ("ZUNIONSTORE d 2 a b AGGREGATE MAX", "d a b"),
    ("ZUNION 2 a b WITHSCORES", "a b"),
    ("ZUNION 0 a", ""),
    ("EVAL s 2 a b c", "a b"),
    ("EVAL s 0", ""),
    ("LMPOP 2 a b LEFT", "a b"),
    ("MSETEX 2 a 1 b 2 NX", "a b"),
    ("XREAD COUNT 2 STREAMS a b 0 0", "a b"),
    ("XREADGROUP GROUP STREAMS streams STREAMS a b > >", "a b"),
    ("XREAD STREAMS STREAMS 0", "STREAMS"),
    ("XGROUP CREATE a g 0", "a"),
    ("SORT a", "a"),
    ("SORT a BY STORE GET STORE LIMIT 0 1 STORE b", "a b"),
    ("SORT a STORE b STORE c", "a c"),
    ("SORT a STORE", "a"),
    ("GEORADIUS a 1 2 3 km STORE b STOREDIST c", "a c"),
    ("GEORADIUS a 1 2 3 STORE b", "a"),
    ("GEORADIUSBYMEMBER a STORE 3 km", "a"),
    ("GEORADIUSBYMEMBER a m 3 km STORE b", "a b"),
];

#[test]
fn keys_are_found_by_every_kind_of_specification() {
    for (line, expected) in CASES {
        let expected: Vec<&str> = expected.split_ascii_whitespace().collect();
        assert_eq!(keys(line), Some(expected), "{line}");
    }
}

#[test]
fn malformed_requests_have_no_positions() {
    for line in [
        "EVAL s",
        "EVAL s x a",
        "EVAL s +1 a",
        "EVAL s 01 a",
        "EVAL s -1 a",
        "EVAL s 2 a",
        "EVAL s 18446744073709551615 a",
        "MSETEX 18446744073709551615 a 1",
        "ZUNIONSTORE d",
        "XREAD",
        "XREAD STREAMS",
        "XREAD STREAMS a",
        "XREAD STREAMS a b 0",
    ] {
        assert_eq!(keys(line), None, "{line}");
    }
}
