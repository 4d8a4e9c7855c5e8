//! The fuzz targets over a corpus of mutated inputs, the same ones in every run.

use codis_core::fuzzing;
use codis_core::rng::SplitMix64;

const ROUNDS: u32 = 20_000;

const REQUESTS: &[&[u8]] = &[
    b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nhello\r\n",
    b"*2\r\n$4\r\nMGET\r\n$0\r\n\r\n",
    b"*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nQUIT\r\n",
    b"set key value\r\n",
    b"\r\nPING\r\n",
    b"*1048576\r\n$536870912\r\n",
    b"*+1\r\n$-1\r\n",
];

const REPLIES: &[&[u8]] = &[
    b"+OK\r\n",
    b"-ERR unknown command 'x', with args beginning with: \r\n",
    b":-9223372036854775808\r\n",
    b"$11\r\nhello\r\nyou!\r\n",
    b"*3\r\n$-1\r\n*-1\r\n*2\r\n:1\r\n*0\r\n",
    b"*1\r\n*1\r\n*1\r\n*1\r\n$1\r\nx\r\n",
    b"*1048576\r\n*1048576\r\n",
    b"%2\r\n$5\r\nproto\r\n:3\r\n$7\r\nmodules\r\n~1\r\n#t\r\n",
    b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n_\r\n",
    b"*4\r\n,1.5e3\r\n(12345678901234567890\r\n=8\r\ntxt:some\r\n!5\r\nERR x\r\n",
];

/// Pieces that mean something to the codec.
const TOKENS: &[&[u8]] = &[
    b"\r\n",
    b"\r",
    b"\n",
    b"*",
    b"$",
    b"+",
    b"-",
    b":",
    b" ",
    b"-1",
    b"0",
    b"1",
    b"9",
    b"*2\r\n",
    b"$1\r\n",
    b"*0\r\n",
    b"%1\r\n",
    b"~1\r\n",
    b">1\r\n",
    b"_\r\n",
    b"#t\r\n",
    b",inf\r\n",
    b"=5\r\ntxt:a\r\n",
    b"!1\r\nx\r\n",
    b"9223372036854775807",
    b"00000000000000000000000000000000",
    b"\0",
    b"\xff",
];

#[test]
fn mutated_requests_hold_what_must_hold() {
    run(REQUESTS, 1, fuzzing::resp_request);
}

#[test]
fn mutated_replies_hold_what_must_hold() {
    run(REPLIES, 2, fuzzing::resp_reply);
}

fn run(corpus: &[&[u8]], seed: u64, check: fn(&[u8])) {
    let mut rng = SplitMix64::new(seed);
    for input in corpus {
        check(input);
    }
    for round in 0..ROUNDS {
        let mut input = rng.pick(corpus).unwrap().to_vec();
        for _ in 0..=rng.below(6) {
            mutate(&mut input, corpus, &mut rng);
        }
        let checked = std::panic::catch_unwind(|| check(&input));
        assert!(checked.is_ok(), "round {round}: {}", input.escape_ascii());
    }
}

fn mutate(input: &mut Vec<u8>, corpus: &[&[u8]], rng: &mut SplitMix64) {
    let len = input.len() as u64;
    let at = rng.below(len + 1) as usize;
    let end = at + rng.below((len - at as u64).min(8) + 1) as usize;
    match rng.below(6) {
        0 => drop(input.drain(at..end)),
        1 => drop(input.splice(at..at, rng.pick(TOKENS).unwrap().iter().copied())),
        2 => drop(input.splice(at..end, rng.pick(TOKENS).unwrap().iter().copied())),
        3 => drop(input.splice(at..end, rng.pick(corpus).unwrap().iter().copied())),
        4 => input.truncate(at),
        _ => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << rng.below(8);
            }
        }
    }
}
