//! Sorted sets, and places, which are sorted sets.

use crate::command::row::{
    COUNTED, GEORADIUS, GEORADIUSBYMEMBER, KEY, Row, STORE_COUNTED, TWO, read, read_master, refuse,
    write,
};

/// Sorted sets.
pub(super) const SORTED_SETS: &[Row] = &[
    refuse("BZMPOP"),
    refuse("BZPOPMAX"),
    refuse("BZPOPMIN"),
    write("ZADD", -4, KEY),
    read("ZCARD", 2, KEY),
    read("ZCOUNT", 4, KEY),
    read("ZDIFF", -3, COUNTED),
    write("ZDIFFSTORE", -4, STORE_COUNTED),
    write("ZINCRBY", 4, KEY),
    read("ZINTER", -3, COUNTED),
    read("ZINTERCARD", -3, COUNTED),
    write("ZINTERSTORE", -4, STORE_COUNTED),
    read("ZLEXCOUNT", 4, KEY),
    write("ZMPOP", -4, COUNTED),
    read("ZMSCORE", -3, KEY),
    write("ZPOPMAX", -2, KEY),
    write("ZPOPMIN", -2, KEY),
    read("ZRANDMEMBER", -2, KEY),
    read("ZRANGE", -4, KEY),
    read("ZRANGEBYLEX", -4, KEY),
    read("ZRANGEBYSCORE", -4, KEY),
    write("ZRANGESTORE", -5, TWO),
    read("ZRANK", 3, KEY),
    write("ZREM", -3, KEY),
    write("ZREMRANGEBYLEX", 4, KEY),
    write("ZREMRANGEBYRANK", 4, KEY),
    write("ZREMRANGEBYSCORE", 4, KEY),
    read("ZREVRANGE", -4, KEY),
    read("ZREVRANGEBYLEX", -4, KEY),
    read("ZREVRANGEBYSCORE", -4, KEY),
    read("ZREVRANK", 3, KEY),
    read_master("ZSCAN", -3, KEY),
    read("ZSCORE", 3, KEY),
    read("ZUNION", -3, COUNTED),
    write("ZUNIONSTORE", -4, STORE_COUNTED),
];

/// Sorted sets as places on a map.
pub(super) const PLACES: &[Row] = &[
    write("GEOADD", -5, KEY),
    read("GEODIST", -4, KEY),
    read("GEOHASH", -2, KEY),
    read("GEOPOS", -2, KEY),
    write("GEORADIUS", -6, GEORADIUS),
    write("GEORADIUSBYMEMBER", -5, GEORADIUSBYMEMBER),
    read("GEORADIUSBYMEMBER_RO", -5, KEY),
    read("GEORADIUS_RO", -6, KEY),
    read("GEOSEARCH", -7, KEY),
    write("GEOSEARCHSTORE", -8, TWO),
];
