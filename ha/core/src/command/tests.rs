use super::*;

// The classes of Codis 3.2.2, name for name.
const LOCAL: &str = "\
    AUTH QUIT SELECT SLOTSMAPPING";
const SPECIAL: &str = "\
    PING INFO SLOTSINFO SLOTSSCAN";
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
    HELLO RESET SSUBSCRIBE SUNSUBSCRIBE SPUBLISH XREAD XREADGROUP BLMOVE BLMPOP BZPOPMIN \
    BZPOPMAX BZMPOP REPLICAOF SWAPDB FAILOVER ACL MODULE FUNCTION WAITAOF SLOTSRESTORE-ASYNC-NEW \
    SLOTSANYTHING";

fn find(name: &str) -> Command {
    lookup(name.as_bytes()).unwrap()
}

fn words(list: &str) -> Vec<&str> {
    list.split_ascii_whitespace().collect()
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
            assert_eq!(find(name).check_allowed(), Ok(()), "{name}");
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
    for handling in [READ, READ_MASTER, WRITE].into_iter().flat_map(handlings) {
        assert_ne!(handling, Handling::Refuse);
        assert!(!matches!(handling, Handling::Local(_)));
    }
    let forwarded = TABLE
        .iter()
        .filter(|row| row.handling == Handling::Forward)
        .count();
    // Of the 124 reads and writes, 4 are special and 5 are split; 14 names are newer than Codis.
    assert_eq!(forwarded, 124 - 4 - 5 + 14);
}

#[test]
fn a_refusal_names_the_command_in_upper_case() {
    for name in [REFUSED, REFUSED_WITH_DASH, REFUSED_BESIDES]
        .into_iter()
        .flat_map(words)
    {
        let refusal = find(&name.to_ascii_lowercase())
            .check_allowed()
            .unwrap_err();
        let expected = format!("ERR handle request, command '{name}' is not allowed");
        assert_eq!(refusal.to_string(), expected);
    }
}

#[test]
fn the_table_is_sorted_without_repetition() {
    assert!(TABLE.is_sorted_by(|a, b| a.name < b.name));
    for (index, name) in names().enumerate() {
        assert_eq!(find(name).index(), Some(index));
        assert_eq!(find(&name.to_ascii_lowercase()).index(), Some(index));
        assert_eq!(find(name).name().to_string(), name);
        assert!(name.len() <= NAME_LEN_MAX);
    }
    assert_eq!(names().len(), COUNT);
}

#[test]
fn the_case_of_letters_does_not_matter() {
    assert_eq!(lookup(b"gEt"), lookup(b"GET"));
    assert_eq!(find("hGetAll").name().as_bytes(), b"HGETALL");
}

#[test]
fn an_unknown_name_is_a_write_to_the_key_in_argument_one() {
    for name in ["xadd", "get ", "G", "_", "zzz", "@", "[", "GETT", "\u{e9}"] {
        let command = find(name);
        assert_eq!(command.access(), Access::Write, "{name}");
        assert_eq!(command.handling(), Handling::Forward, "{name}");
        assert_eq!((command.key(), command.index()), (1, None), "{name}");
        assert_eq!(
            command.name().as_bytes(),
            name.to_ascii_uppercase().as_bytes()
        );
    }
    assert_eq!(
        lookup(b"a\r\n\xff'").unwrap().name().to_string(),
        "A\\r\\n\\xff'"
    );
}

#[test]
fn a_few_commands_have_their_key_elsewhere() {
    for row in &TABLE {
        let expected = match row.name {
            "EVAL" | "EVALSHA" | "ZINTERSTORE" | "ZUNIONSTORE" => 3,
            "EVAL_RO" | "EVALSHA_RO" | "FCALL" | "FCALL_RO" | "ZDIFFSTORE" => 3,
            "ZUNION" | "ZINTER" | "ZDIFF" | "ZINTERCARD" | "SINTERCARD" => 2,
            "LMPOP" | "ZMPOP" | "XGROUP" | "XINFO" => 2,
            _ => 1,
        };
        assert_eq!(row.key, expected, "{}", row.name);
    }
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
