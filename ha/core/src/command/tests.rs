use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

// The classes of Codis 3.2.2, name for name.
const LOCAL: &str = "\
    AUTH QUIT SELECT SLOTSMAPPING";
const SPECIAL: &str = "\
    PING INFO SLOTSINFO SLOTSSCAN";
/// Forwarded by the original; answered here, since any server would say the same.
const LOCAL_HERE: [&str; 2] = ["COMMAND", "ECHO"];
const SPLIT: &str = "\
    MGET MSET DEL EXISTS";
const READ: &str = "\
    BITCOUNT BITPOS COMMAND DUMP ECHO EXISTS GEODIST GEOHASH GEOPOS GET GETBIT GETRANGE HEXISTS \
    HGET HGETALL HKEYS HLEN HMGET HSTRLEN HVALS INFO LINDEX LLEN LRANGE MGET PFCOUNT PFSELFTEST \
    PING PTTL PUBSUB ROLE SCARD SDIFF SINTER SISMEMBER SLOTSHASHKEY SMEMBERS SRANDMEMBER STRLEN \
    SUBSTR SUNION TTL TYPE ZCARD ZCOUNT ZLEXCOUNT ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZRANK \
    ZREVRANGE ZREVRANGEBYLEX ZREVRANGEBYSCORE ZREVRANK ZSCORE";
const READ_MASTER: &str = "\
    HSCAN SSCAN ZSCAN SLOTSINFO SLOTSSCAN";
const WRITE: &str = "\
    APPEND BITFIELD DECR DECRBY DEL EVAL EVALSHA EXPIRE EXPIREAT GEOADD GEORADIUS \
    GEORADIUSBYMEMBER GETSET HDEL HINCRBY HINCRBYFLOAT HMSET HSET HSETNX INCR INCRBY INCRBYFLOAT \
    LINSERT LPOP LPUSH LPUSHX LREM LSET LTRIM MSET PERSIST PEXPIRE PEXPIREAT PFADD PFDEBUG \
    PFMERGE PSETEX RPOP RPOPLPUSH RPUSH RPUSHX SADD SDIFFSTORE SET SETBIT SETEX SETNX SETRANGE \
    SINTERSTORE SLOTSRESTORE SMOVE SORT SPOP SREM SUNIONSTORE TOUCH ZADD ZINCRBY ZINTERSTORE \
    ZREM ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE ZUNIONSTORE";
const REFUSED: &str = "\
    ASKING BGREWRITEAOF BGSAVE BITOP BLPOP BRPOP BRPOPLPUSH CLIENT CLUSTER CONFIG DBSIZE DEBUG \
    DISCARD EXEC FLUSHALL FLUSHDB KEYS LASTSAVE LATENCY MIGRATE MONITOR MOVE MSETNX MULTI OBJECT \
    PSUBSCRIBE PSYNC PUBLISH PUNSUBSCRIBE RANDOMKEY READONLY READWRITE RENAME RENAMENX REPLCONF \
    RESTORE SAVE SCAN SCRIPT SHUTDOWN SLAVEOF SLOTSCHECK SLOTSDEL SLOTSMGRTONE SLOTSMGRTSLOT \
    SLOTSMGRTTAGONE SLOTSMGRTTAGSLOT SLOWLOG SUBSCRIBE SYNC TIME UNSUBSCRIBE UNWATCH WAIT WATCH";
const REFUSED_WITH_DASH: &str = "\
    RESTORE-ASKING SLOTSMGRTONE-ASYNC SLOTSMGRTSLOT-ASYNC SLOTSMGRTTAGONE-ASYNC \
    SLOTSMGRTTAGSLOT-ASYNC SLOTSMGRT-ASYNC-FENCE SLOTSMGRT-ASYNC-CANCEL SLOTSMGRT-ASYNC-STATUS \
    SLOTSMGRT-EXEC-WRAPPER SLOTSRESTORE-ASYNC SLOTSRESTORE-ASYNC-AUTH SLOTSRESTORE-ASYNC-ACK";
/// Refused here, and forwarded by the original as names that it does not know.
const REFUSED_BESIDES: &str = "\
    HOST: POST SLOTSRESTORE-ASYNC-SELECT SLOTSMGRTONE-ASYNC-DUMP SLOTSMGRTTAGONE-ASYNC-DUMP \
    SSUBSCRIBE SUNSUBSCRIBE SPUBLISH BLMOVE BLMPOP BZPOPMIN BZPOPMAX BZMPOP REPLICAOF SWAPDB \
    FAILOVER ACL MODULE FUNCTION WAITAOF HIMPORT HOTKEYS COMMANDLOG CLUSTERSCAN TRIMSLOTS TS.MGET \
    TS.QUERYINDEX FT.SEARCH FT.CREATE SLOTSRESTORE-ASYNC-NEW SLOTSANYTHING";
/// Refused by the original; here only some of their sub-commands are, or none.
const ALLOWED_HERE: [&str; 4] = ["CLIENT", "OBJECT", "SLOWLOG", "TIME"];

fn find(name: &str) -> Command {
    lookup(name.as_bytes()).unwrap()
}

fn words(list: &str) -> Vec<&str> {
    list.split_ascii_whitespace().collect()
}

/// What a line of words is, the name first.
fn resolve(line: &str) -> Result<Command, String> {
    let args = words(line);
    let command = find(args[0]);
    command
        .resolve(&args[..])
        .map_err(|refusal| refusal.to_string())
}

fn refused(what: &str) -> Result<Command, String> {
    Err(format!(
        "ERR handle request, command '{what}' is not allowed"
    ))
}

#[test]
fn every_name_of_codis_is_in_its_class() {
    let classes = [LOCAL, READ, READ_MASTER, WRITE, REFUSED, REFUSED_WITH_DASH].map(words);
    assert_eq!(classes.each_ref().map(Vec::len), [4, 55, 5, 64, 55, 12]);
    let mut all = classes.concat();
    all.extend(words(SPECIAL));
    all.extend(words(SPLIT));
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 195);
    for name in all {
        assert!(find(name).index().is_some(), "{name} is not in the table");
    }
    for (list, access) in [
        (READ, Access::Read),
        (READ_MASTER, Access::ReadMaster),
        (WRITE, Access::Write),
    ] {
        for name in words(list) {
            assert_eq!(find(name).access(), access, "{name}");
            assert_ne!(find(name).handling(), Handling::Refuse, "{name}");
        }
    }
}

#[test]
fn names_outside_of_the_plain_classes_are_handled_each_in_their_way() {
    let handlings = |list| words(list).into_iter().map(|name| find(name).handling());
    for handling in handlings(LOCAL) {
        assert!(matches!(handling, Handling::Local(_)));
    }
    for handling in handlings(SPECIAL) {
        assert!(matches!(handling, Handling::Special(_)));
    }
    for handling in handlings(SPLIT).chain(handlings("UNLINK TOUCH")) {
        assert!(matches!(handling, Handling::Split(_)));
    }
    let plain = [READ, READ_MASTER, WRITE].into_iter().flat_map(words);
    for name in plain {
        let own = words(SPECIAL).contains(&name) || words(SPLIT).contains(&name) || name == "TOUCH";
        match find(name).handling() {
            Handling::Local(_) => assert!(LOCAL_HERE.contains(&name), "{name}"),
            Handling::Forward => assert!(!own, "{name}"),
            Handling::Special(_) | Handling::Split(_) => assert!(own, "{name}"),
            Handling::Parts(_) | Handling::Unblocked | Handling::Refuse => panic!("{name}"),
        }
    }
}

#[test]
fn a_refusal_names_the_command_in_upper_case() {
    for name in [REFUSED, REFUSED_WITH_DASH, REFUSED_BESIDES]
        .into_iter()
        .flat_map(words)
    {
        let is_refused = resolve(&name.to_ascii_lowercase()) == refused(name);
        assert_eq!(is_refused, !["SLOWLOG", "TIME"].contains(&name), "{name}");
    }
    assert_eq!(resolve("get"), Ok(find("GET")));
}

#[test]
fn sub_commands_are_decided_one_by_one() {
    for name in ALLOWED_HERE {
        assert_ne!(find(name).handling(), Handling::Refuse, "{name}");
    }
    let client = resolve("client setname me").unwrap();
    assert_eq!(
        client.handling(),
        Handling::Local(Local::Client(Client::SetName))
    );
    assert_eq!(client.index(), find("CLIENT").index());
    for line in ["OBJECT encoding k", "object FREQ k", "MEMORY usage k"] {
        let command = resolve(line).unwrap();
        assert_eq!(command.handling(), Handling::Forward, "{line}");
        assert_eq!(command.access(), Access::ReadMaster, "{line}");
        assert_eq!(command.keys(), Keys::One(2), "{line}");
    }
    for (line, what) in [
        ("CLIENT", "CLIENT"),
        ("client pause 5", "CLIENT"),
        ("CLIENT TRACKING on", "CLIENT"),
        ("CLIENT kill x", "CLIENT"),
        ("OBJECT HELP", "OBJECT"),
        ("MEMORY PURGE", "MEMORY"),
        ("MEMORY", "MEMORY"),
        ("OBJECT \r\n", "OBJECT"),
    ] {
        assert_eq!(resolve(line), refused(what));
    }
}

#[test]
fn streams_are_read_without_waiting() {
    for line in [
        "XREAD COUNT 2 STREAMS block 0",
        "XREADGROUP GROUP block c NOACK STREAMS k >",
        "XREAD STREAMS",
        "XREAD",
    ] {
        let command = resolve(line).unwrap();
        assert_eq!(command.handling(), Handling::Unblocked, "{line}");
    }
    for line in [
        "XREAD BLOCK 0 STREAMS k $",
        "xread count 1 block 0 streams k $",
        "XREAD BLOCK",
        "XREAD FUTURE BLOCK 0 STREAMS k $",
    ] {
        assert_eq!(resolve(line), refused("XREAD BLOCK"), "{line}");
    }
    let line = "XREADGROUP GROUP g c CLAIM 5 NOACK BLOCK 1 STREAMS k >";
    assert_eq!(resolve(line), refused("XREADGROUP BLOCK"));
}

#[test]
fn every_name_is_there_once_and_is_found() {
    let unique: BTreeSet<&str> = names().collect();
    assert_eq!(unique.len(), COUNT);
    for (index, name) in names().enumerate() {
        assert_eq!(find(name).index(), Some(index), "{name}");
        assert_eq!(find(&name.to_ascii_lowercase()).index(), Some(index));
        assert!(name.len() <= NAME_LEN_MAX);
    }
    assert_eq!(names().len(), COUNT);
}

#[test]
fn the_case_of_letters_does_not_matter() {
    assert_eq!(lookup(b"gEt"), lookup(b"GET"));
    assert_eq!(lookup(b"zRevRangeByScore"), lookup(b"ZREVRANGEBYSCORE"));
    assert_ne!(lookup(b"get\0"), lookup(b"GET"));
}

#[test]
fn an_unknown_name_is_a_write_to_the_key_in_argument_one() {
    for name in ["xnew", "get ", "G", "_", "zzz", "@", "[", "GETT", "\u{e9}"] {
        let command = find(name);
        assert_eq!(command.access(), Access::Write, "{name}");
        assert_eq!(command.handling(), Handling::Forward, "{name}");
        assert_eq!((command.keys(), command.index()), (Keys::One(1), None));
    }
    assert_eq!(Name::shown(b"a\r\n\xff'"), "A\\r\\n\\xff'");
}

#[test]
fn a_name_has_one_to_64_bytes() {
    assert!(lookup(&[b'a'; 64]).is_ok());
    for bad in [&[] as &[u8], &[b'a'; 65], &[b'a'; 1000]] {
        let text = lookup(bad).unwrap_err().to_string();
        assert_eq!(
            text,
            "ERR handle request, bad command length, too short or too long"
        );
    }
}

#[test]
fn the_original_routes_scripts_and_unions_by_argument_three() {
    let slot = |line: &str| find(words(line)[0]).slot(&words(line)[..]);
    let of = |key: &str| SlotId::of_key(key.as_bytes());
    for line in [
        "EVAL script 0 c",
        "EVALSHA sha x c",
        "ZUNIONSTORE a 1 c",
        "ZINTERSTORE a 2 c b",
    ] {
        assert_eq!(slot(line), of("c"), "{line}");
    }
    assert_eq!(slot("GET"), of(""));
    assert_eq!(slot("EVAL script 0"), of(""));
    assert_eq!(slot("XREAD COUNT 1 STREAMS s 0"), of("s"));
    assert_eq!(slot("XREAD COUNT 1"), of(""));
    assert_eq!(slot("XGROUP CREATE s g 0"), of("s"));
    assert_eq!(slot("PUBSUB CHANNELS"), of("CHANNELS"));
}

#[test]
fn keys_of_one_request_must_share_a_slot() {
    let slot = |line: &str| resolve(line).unwrap().only_slot(&words(line)[..]);
    for line in [
        "SUNION {t}a {t}b",
        "ZUNIONSTORE {t}d 2 {t}a {t}b WEIGHTS 1 2",
        "EVAL s 2 {t}a {t}b other",
        "EVAL s 0 a b",
        "SORT {t}a BY nosort STORE {t}b",
        "SORT {t}a BY w{t}_* GET # GET {t}h:*->f LIMIT 0 1",
        "SORT_RO {t}a GET x",
        "XREAD STREAMS {t}a {t}b 0 0",
        "MSETEX 2 {t}a 1 {t}b 2 EX 5",
        "GET a",
        // The server says what is wrong with these.
        "ZUNIONSTORE a x b c",
        "ZUNIONSTORE a 5 b",
        "EVAL s -1 a b",
        "EVAL s 99999999999999999999 a",
        "XREAD STREAMS a b 0",
    ] {
        assert!(slot(line).is_ok(), "{line}");
    }
    for line in [
        "SUNION a b",
        "PFCOUNT {t}a b",
        "ZUNIONSTORE d 1 {t}a",
        "ZUNION 2 a b",
        "EVAL s 2 a b",
        "SORT a STORE b",
        "SORT {t}a BY w_*",
        "SORT {t}a GET # GET *{t}",
        "SORT {t}a GET {u}*",
        "SORT {t}a GET {t*}",
        "SORT_RO a BY w_*",
        "GEORADIUS a 1 2 3 km storedist b",
        "RPOPLPUSH a b",
        "LMOVE a b LEFT LEFT",
        "COPY a b",
        "XREAD COUNT 2 STREAMS a b 0 0",
        "JSON.MGET a b $",
        "TDIGEST.MERGE a 1 b",
        "TS.MADD a 1 1 b 1 1",
        "MSETEX 2 a 1 b 2",
    ] {
        assert_eq!(slot(line), Err(CrossSlot), "{line}");
    }
}

proptest! {
    /// No request makes the table panic; keys are arguments, and each is named once.
    #[test]
    fn positions_are_arguments(
        row in 0..COUNT,
        args in prop::collection::vec(
            prop_oneof!["[a-c]", "-?[0-9]{1,20}", "(?i)STREAMS|STORE|BLOCK|COUNT|BY|LIMIT|GROUP"],
            0..12,
        ),
    ) {
        let row = &TABLE[row];
        let mut line = vec![row.name.to_owned()];
        line.extend(args);
        let Ok(command) = find(row.name).resolve(&line[..]) else {
            return Ok(());
        };
        let _ = command.only_slot(&line[..]);
        let mut asked = vec!["COMMAND".to_owned(), "GETKEYS".to_owned()];
        asked.extend(line.iter().cloned());
        let _ = describe(&asked[..]);
        if let Some(positions) = command.keys().positions(&line[..]) {
            let all: Vec<usize> = positions.collect();
            let unique: BTreeSet<usize> = all.iter().copied().collect();
            prop_assert_eq!(all.len(), unique.len(), "{:?}", line);
            prop_assert!(unique.iter().all(|index| (1..line.len()).contains(index)), "{:?}", line);
        }
    }
}
