//! What the pure parts of the data path cost for one pipeline of requests.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use bytes::Bytes;
use codis_core::resp::{Limits, RequestScanner, encode_command};
use codis_proxy::data::outgoing::Outgoing;
use codis_proxy::data::reply::Reply;
use codis_proxy::data::ring::{Done, Meta, Ring};
use codis_proxy::data::split::{Kind, Split};

const PIPELINE: u64 = 32;

fn main() {
    divan::main();
}

const META: Meta = Meta {
    command: 0,
    bytes: 40,
    born: 0,
};

#[divan::bench]
fn replies_in_order(bencher: divan::Bencher<'_, '_>) {
    let mut ring = Ring::default();
    let mut out = Outgoing::default();
    bencher.bench_local(|| {
        let first = ring.push(META);
        for _ in 1..PIPELINE {
            ring.push(META);
        }
        for place in first..first + PIPELINE {
            assert!(ring.is_head(place));
            ring.take_head();
            out.copy(b"+OK\r\n");
        }
        out.clear();
    });
}

#[divan::bench]
fn replies_in_reverse_order(bencher: divan::Bencher<'_, '_>) {
    let mut ring = Ring::default();
    bencher.bench_local(|| {
        let first = ring.push(META);
        for _ in 1..PIPELINE {
            ring.push(META);
        }
        for place in (first..first + PIPELINE).rev() {
            let reply = Reply::Slice(b"+OK\r\n");
            ring.complete(place, Done { reply, last: false });
        }
        while ring.pop_done().is_some() {}
    });
}

#[divan::bench(args = [2, 16, 128])]
fn split_mget_over_three_backends(bencher: divan::Bencher<'_, '_>, keys: usize) {
    let mut args = vec!["MGET".to_owned()];
    args.extend((0..keys).map(|n| format!("key:{n}")));
    let mut raw = Vec::new();
    encode_command(&mut raw, &args);
    let raw = Bytes::from(raw);
    let mut scanner = RequestScanner::new(Limits::default());
    scanner.scan(&raw).unwrap();
    bencher.bench_local(|| {
        let mut split = Split::new(Kind::Gather, raw.clone(), scanner.args());
        let parts = split.regroup(0, |slot| slot.get() % 3);
        parts
            .into_iter()
            .map(|(part, _)| split.encode(part).len())
            .sum::<usize>()
    });
}
