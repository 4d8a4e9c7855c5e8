//! Where ours is not like the stock sentinel that is here (7.0.15), and why.

use super::{Bed, Pair, exchange, script};

/// A known difference.
struct Known {
    /// The request.
    request: &'static str,
    /// What ours says contains this.
    ours: &'static str,
    /// What stock says contains this.
    stock: &'static str,
    /// Why ours is right.
    #[expect(dead_code, reason = "for whoever reads the list")]
    reason: &'static str,
}

const fn known(
    request: &'static str,
    ours: &'static str,
    stock: &'static str,
    reason: &'static str,
) -> Known {
    Known {
        request,
        ours,
        stock,
        reason,
    }
}

const NEWER: &str = "Redis 7.2 and later";
const OWN: &str = "an extension is listed";

const ALL: &[Known] = &[
    known(
        "CLIENT SETINFO lib-name x",
        "+OK",
        "-ERR unknown subcommand",
        NEWER,
    ),
    known(
        "CLIENT SETINFO lib-ver 1.2",
        "+OK",
        "-ERR unknown subcommand",
        NEWER,
    ),
    known(
        "CLIENT SETINFO lib-name \"a b\"",
        "lib-name cannot contain",
        "unknown sub",
        NEWER,
    ),
    known(
        "CLIENT SETINFO foo x",
        "-ERR Unrecognized option 'foo'",
        "unknown subcommand",
        NEWER,
    ),
    known(
        "CLIENT SETINFO foo",
        "wrong number of arguments",
        "unknown subcommand",
        NEWER,
    ),
    known("CLIENT HELP", "+SETINFO", "+CACHING", NEWER),
    known(
        "CLIENT KILL MAXAGE 100000",
        ":0",
        "-ERR syntax error",
        "Redis 7.4 and later",
    ),
    known(
        "CLIENT KILL MAXAGE x",
        "maxage is not an integer",
        "syntax error",
        "Redis 7.4",
    ),
    known(
        "CLIENT KILL MAXAGE 0",
        "maxage should be greater",
        "syntax error",
        "Redis 7.4",
    ),
    known(
        "COMMAND GETKEYS x",
        "-ERR Invalid command",
        "-ERR wrong number",
        NEWER,
    ),
    known(
        "COMMAND GETKEYSANDFLAGS x",
        "-ERR Invalid command",
        "-ERR wrong number",
        NEWER,
    ),
    known(
        "SENTINEL FAILOVER x x",
        "-ERR No such master",
        "-ERR wrong number",
        "Valkey 9",
    ),
    known(
        "SENTINEL CONFIG SET announce-port",
        "GET <param>",
        "GET <option>",
        NEWER,
    ),
    known(
        "SENTINEL CONFIG FOO 1",
        "GET <param>",
        "GET <option>",
        NEWER,
    ),
    known(
        "SENTINEL CONFIG FOO 1 2",
        "GET <param>",
        "GET <option>",
        NEWER,
    ),
    known(
        "SENTINEL CONFIG SET announce-port 0 announce-ip",
        "-ERR Missing",
        "-ERR Only",
        NEWER,
    ),
    known(
        "SENTINEL CONFIG SET announce-port 0 announce-port 0",
        "Duplicate",
        "Only",
        NEWER,
    ),
    known(
        "SENTINEL CONFIG GET announce-port announce-p*",
        "$announce-port",
        "-ERR Only",
        NEWER,
    ),
    known("SENTINEL CONFIG GET loglevel", "$notice", "[]", NEWER),
    known(
        "SENTINEL CONFIG GET *",
        "$loglevel",
        "$sentinel-pass",
        NEWER,
    ),
    known(
        "SENTINEL CONFIG SET loglevel foo",
        "-ERR Invalid value",
        "-ERR Invalid arg",
        NEWER,
    ),
    known("SENTINEL HELP", "+CANDIDATES", "+CKQUORUM", OWN),
    known(
        "SENTINEL CONFIG GET",
        "-ERR wrong number of arguments",
        "-ERR Only SENTINEL",
        NEWER,
    ),
    known(
        "SENTINEL CONFIG SET",
        "-ERR wrong number of arguments",
        "-ERR Only SENTINEL",
        NEWER,
    ),
    known(
        "*1\\r\\n$4\\r\\nPINGxx",
        "invalid CRLF in request",
        "+PONG",
        "Valkey 8 and later",
    ),
    known(
        "HELLO 2 SETNAME a b\\r\\nCLIENT GETNAME\\r\\n",
        "$-1",
        "$1\\r\\na",
        "from Redis 7.2 on a HELLO that fails changes nothing",
    ),
];

/// Whether a difference is known.
pub fn explains(request: &str, ours: &str, stock: &str) -> bool {
    ours == stock
        || ALL.iter().any(|known| {
            let Known {
                request: known_request,
                ours: in_ours,
                stock: in_stock,
                reason: _,
            } = known;
            known_request.eq_ignore_ascii_case(request)
                && ours.contains(in_ours)
                && stock.contains(in_stock)
        })
}

/// Each known difference is there.
pub fn assert_used(bed: &Bed) {
    let masks = bed.masks();
    let mut pair = Pair::of(bed);
    for known in ALL {
        let request = known.request;
        let [ours, stock] = if request.contains("\\r\\n") {
            let bytes = request.replace("\\r\\n", "\r\n").into_bytes();
            [&bed.ours, &bed.stock].map(|peer| exchange(peer, &bytes))
        } else {
            pair.say(&script::words(request));
            pair.hear(request).map(|value| masks.apply(request, &value))
        };
        let is_known = ours != stock && explains(request, &ours, &stock);
        assert!(is_known, "{request}\n  ours:  {ours}\n  stock: {stock}");
    }
}
