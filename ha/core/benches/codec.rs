//! What the codec costs for each request: `cargo bench -p codis-core`.

use codis_core::command;
use codis_core::resp::{Limits, ReplyScanner, RequestScanner, encode_command};
use codis_core::slot::SlotId;
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

/// Bytes of the value in a request or reply.
const SIZES: [usize; 4] = [3, 64, 1024, 65536];

#[divan::bench(args = SIZES)]
fn scan_request(bencher: Bencher, size: usize) {
    let mut request = Vec::new();
    encode_command(
        &mut request,
        &[b"SET", &b"key:000000000001"[..], &vec![b'x'; size]],
    );
    let mut scanner = RequestScanner::new(Limits::default());
    bencher.bench_local(|| {
        scanner.reset();
        scanner.scan(black_box(&request))
    });
}

#[divan::bench(args = [1, 16, 128])]
fn scan_request_of_many_keys(bencher: Bencher, keys: usize) {
    let mut request = Vec::new();
    let args: Vec<Vec<u8>> = (0..=keys)
        .map(|key| format!("key:{key:012}").into())
        .collect();
    encode_command(&mut request, &args);
    let mut scanner = RequestScanner::new(Limits::default());
    bencher.bench_local(|| {
        scanner.reset();
        scanner.scan(black_box(&request))
    });
}

/// `|` stands for a line end.
#[divan::bench(args = ["+OK|", ":1|", "$-1|", "$3|abc|", "*2|$1|a|*1|:1|"])]
fn scan_short_reply(bencher: Bencher, reply: &str) {
    let reply = reply.replace('|', "\r\n");
    let mut scanner = ReplyScanner::new(Limits::default());
    bencher.bench_local(|| {
        scanner.reset();
        scanner.scan(black_box(reply.as_bytes()))
    });
}

#[divan::bench(args = SIZES)]
fn scan_bulk_reply(bencher: Bencher, size: usize) {
    let reply = format!("${size}\r\n{}\r\n", "x".repeat(size));
    let mut scanner = ReplyScanner::new(Limits::default());
    bencher.bench_local(|| {
        scanner.reset();
        scanner.scan(black_box(reply.as_bytes()))
    });
}

#[divan::bench(args = ["k", "key:000000000001", "user{1000}.following"])]
fn slot_of_key(key: &str) -> SlotId {
    SlotId::of_key(black_box(key.as_bytes()))
}

#[divan::bench(args = ["GET", "set", "zrevrangebyscore", "no-such-command"])]
fn look_command_up(name: &str) -> Result<command::Command, command::BadName> {
    command::lookup(black_box(name.as_bytes()))
}
