//! Estimates in little memory: RedisBloom and Valkey Bloom.

use crate::command::row::{KEY, Row, STORE_COUNTED, read, refuse, write};

/// Bloom filters.
pub(super) const BLOOM: &[Row] = &[
    write("BF.ADD", 3, KEY),
    read("BF.CARD", 2, KEY),
    refuse("BF.DEBUG"),
    read("BF.EXISTS", 3, KEY),
    read("BF.INFO", -2, KEY),
    write("BF.INSERT", -4, KEY),
    write("BF.LOAD", -3, KEY),
    write("BF.LOADCHUNK", 4, KEY),
    write("BF.MADD", -3, KEY),
    read("BF.MEXISTS", -3, KEY),
    write("BF.RESERVE", -4, KEY),
    read("BF.SCANDUMP", 3, KEY),
];

/// Cuckoo filters.
pub(super) const CUCKOO: &[Row] = &[
    write("CF.ADD", 3, KEY),
    write("CF.ADDNX", 3, KEY),
    write("CF.COMPACT", 2, KEY),
    read("CF.COUNT", 3, KEY),
    refuse("CF.DEBUG"),
    write("CF.DEL", 3, KEY),
    read("CF.EXISTS", 3, KEY),
    read("CF.INFO", 2, KEY),
    write("CF.INSERT", -4, KEY),
    write("CF.INSERTNX", -4, KEY),
    write("CF.LOADCHUNK", 4, KEY),
    read("CF.MEXISTS", -3, KEY),
    write("CF.RESERVE", -3, KEY),
    read("CF.SCANDUMP", 3, KEY),
];

/// Count-min sketches.
pub(super) const COUNT_MIN: &[Row] = &[
    write("CMS.INCRBY", -4, KEY),
    read("CMS.INFO", 2, KEY),
    write("CMS.INITBYDIM", 4, KEY),
    write("CMS.INITBYPROB", 4, KEY),
    write("CMS.MERGE", -4, STORE_COUNTED),
    read("CMS.QUERY", -3, KEY),
];

/// Lists of the most frequent.
pub(super) const TOP_K: &[Row] = &[
    write("TOPK.ADD", -3, KEY),
    read("TOPK.COUNT", -3, KEY),
    write("TOPK.INCRBY", -4, KEY),
    read("TOPK.INFO", 2, KEY),
    read("TOPK.LIST", -2, KEY),
    read("TOPK.QUERY", -3, KEY),
    write("TOPK.RESERVE", -3, KEY),
];

/// Estimates of quantiles.
pub(super) const T_DIGEST: &[Row] = &[
    write("TDIGEST.ADD", -3, KEY),
    read("TDIGEST.BYRANK", -3, KEY),
    read("TDIGEST.BYREVRANK", -3, KEY),
    read("TDIGEST.CDF", -3, KEY),
    write("TDIGEST.CREATE", -2, KEY),
    read("TDIGEST.INFO", 2, KEY),
    read("TDIGEST.MAX", 2, KEY),
    write("TDIGEST.MERGE", -4, STORE_COUNTED),
    read("TDIGEST.MIN", 2, KEY),
    read("TDIGEST.QUANTILE", -3, KEY),
    read("TDIGEST.RANK", -3, KEY),
    write("TDIGEST.RESET", 2, KEY),
    read("TDIGEST.REVRANK", -3, KEY),
    read("TDIGEST.TRIMMED_MEAN", 4, KEY),
];
