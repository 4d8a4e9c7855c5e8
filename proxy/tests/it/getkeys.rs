//! The keys of requests, beside what a real server says of the same.

use codis_core::command::{self, Handling};
use codis_core::resp::Value;
use codis_core::rng::SplitMix64;

use super::harness::{Fixture, Server, Text, settings};

/// Requests whose keys both must name alike, or both refuse with the same text.
const GETKEYS: &[&str] = &[
    "GET a",
    "PING a b",
    "NOTHING a",
    "MSET a 1 b 2",
    "MGET a b c",
    "ZUNIONSTORE d 2 a b",
    "ZUNIONSTORE d x a b",
    "ZUNIONSTORE d 3 a b",
    "ZUNION 2 a b",
    "ZINTERCARD 2 a b LIMIT 1",
    "LMPOP 2 a b LEFT",
    "EVAL s 2 a b c",
    "EVAL s 0 c",
    "EVAL s 5 c",
    "FCALL f 1 a b",
    "XREAD COUNT 1 STREAMS a b 0 0",
    "XREADGROUP GROUP g c STREAMS a >",
    "SORT a BY x GET STORE STORE d",
    "SORT a STORE d STORE e",
    "GEORADIUS a 1 1 1 km STORE d",
    "GEORADIUSBYMEMBER a m 1 km STOREDIST d",
    "COPY a b",
    "LMOVE a b LEFT LEFT",
    "OBJECT ENCODING a",
    "MEMORY USAGE a",
    "XGROUP CREATE a g 0",
    "XINFO STREAM a",
    "PFCOUNT a b",
    "GEOSEARCHSTORE a b FROMMEMBER m BYBOX 1 1 km",
    "ZRANGESTORE a b 0 1",
];

#[test]
fn getkeys_answers_as_a_server_does() {
    let server = Server::start(&[]);
    let fixture = Fixture::online(settings(), &[&server]);
    let (mut ours, mut real) = (fixture.client(), server.client());
    for line in GETKEYS {
        let mut request = vec!["COMMAND", "GETKEYS"];
        request.extend(line.split(' '));
        assert_eq!(ours.text(&request), real.text(&request), "{line}");
    }
}

/// Words that mean something to some command, and keys. Numbers are such that asking for the keys
/// reads them as running the command does.
const WORDS: &[&str] = &[
    "a",
    "b",
    "c",
    "{t}d",
    "0",
    "1",
    "2",
    "3",
    "-1",
    "x",
    "STREAMS",
    "store",
    "STORE",
    "STOREDIST",
    "BY",
    "GET",
    "LIMIT",
    "COUNT",
    "GROUP",
    "NOACK",
    "WEIGHTS",
    "LEFT",
    "km",
    "",
];

/// Whatever a request looks like: where the server finds keys, the table finds the same.
#[test]
fn random_requests_have_the_keys_that_a_server_finds() {
    const ROUNDS: u64 = 150;
    const SEED: u64 = 0x0c0d_15ca;
    let server = Server::start(&[]);
    let mut client = server.client();
    let mut rng = SplitMix64::new(SEED);
    let mut compared = 0;
    for name in command::names() {
        let command = command::lookup(name.as_bytes()).unwrap();
        // Asked for the keys of XREAD, the server looks for STREAMS even where a value stands.
        let skipped = [Handling::Refuse, Handling::Unblocked].contains(&command.handling());
        if skipped || !command.keys().may_be_several() {
            continue;
        }
        for _ in 0..ROUNDS {
            let mut request = vec!["COMMAND", "GETKEYS", name];
            let words = 1 + rng.below(9);
            request.extend((0..words).map(|_| rng.pick(WORDS).copied().unwrap()));
            // Of several destinations the last counts, and what it is called is no option: the
            // server knows that when it runs the request, but not when it is asked for its keys.
            let stores = |word: &&&str| word.to_uppercase().starts_with("STORE");
            if request[3..].iter().filter(stores).count() > 1 {
                continue;
            }
            let real = client.run(&request);
            let Value::Array(Some(_)) = real else {
                continue;
            };
            compared += 1;
            let ours = command::describe(&request[..]);
            assert_eq!(ours.text(), real.text(), "{request:?}, seed {SEED}");
        }
    }
    assert!(compared > 500, "{compared} requests had keys");
}
