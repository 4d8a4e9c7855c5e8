//! Checks that hold for any bytes of clients and of backends. The fuzz targets in `proxy/fuzz` and
//! the tests run the same ones.

use std::ops::Range;

use bytes::Bytes;
use codis_core::command::{self, Handling};
use codis_core::resp::{Limits, ReplyScanner, RequestScanner, encode_command};
use codis_core::slot::SlotId;

use crate::data::split::{Kind, Split};

/// What servers of a test are.
const SERVERS: u16 = 3;

/// Takes the bytes for what a client sends: every request in them gets a route, and one that is
/// split loses no key, gains none, and keeps their order within each part.
///
/// # Panics
/// Something that must hold does not.
pub fn client_bytes(bytes: &[u8]) {
    let mut rest = bytes;
    let mut scanner = RequestScanner::new(Limits::default());
    while let Ok(Some(len)) = scanner.scan(rest) {
        let (request, after) = rest.split_at(len);
        one_request(request, scanner.args());
        scanner.reset();
        rest = after;
    }
}

fn one_request(request: &[u8], places: &[Range<usize>]) {
    let args: Vec<&[u8]> = places.iter().map(|place| &request[place.clone()]).collect();
    let Some(name) = args.first() else {
        return;
    };
    let Ok(command) = command::lookup(name) else {
        assert!(name.is_empty() || name.len() > command::NAME_LEN_MAX);
        return;
    };
    let slot = command.slot(&args[..]);
    if let Ok(only) = command.only_slot(&args[..]) {
        assert_eq!(only, slot, "two answers where it goes");
    }
    if let Err(refusal) = command.resolve(&args[..]) {
        one_line(&refusal.to_string());
    }
    if let Handling::Split(split) = command.handling() {
        let kind = kind_of(split);
        let words = args.len() - 1;
        if words > 0 && words.is_multiple_of(kind.stride()) {
            check_parts(kind, &args);
        }
    }
}

/// What goes to a client as an error must fit into one.
fn one_line(text: &str) {
    assert!(!text.contains(['\r', '\n']), "{text:?}");
}

fn kind_of(split: command::Split) -> Kind {
    match split {
        command::Split::Mget => Kind::Gather,
        command::Split::Mset => Kind::Set,
        command::Split::Del
        | command::Split::Unlink
        | command::Split::Exists
        | command::Split::Touch => Kind::Count,
    }
}

fn server_of(slot: SlotId) -> u16 {
    slot.get() % SERVERS
}

/// A command of these arguments, written as a multi-bulk.
fn split(kind: Kind, args: &[&[u8]]) -> Split {
    let mut raw = Vec::new();
    encode_command(&mut raw, args);
    let places = places(&raw);
    Split::new(kind, Bytes::from(raw), &places)
}

fn places(raw: &[u8]) -> Vec<Range<usize>> {
    let limits = Limits {
        array_len_max: usize::MAX,
        ..Limits::default()
    };
    let mut scanner = RequestScanner::new(limits);
    assert_eq!(scanner.scan(raw), Ok(Some(raw.len())), "written here");
    scanner.args().to_vec()
}

fn check_parts(kind: Kind, args: &[&[u8]]) {
    let mut whole = split(kind, args);
    let groups = whole.regroup(0, server_of);
    let mut seen = 0;
    for (part, server) in &groups {
        let raw = whole.encode(*part);
        let found: Vec<&[u8]> = places(&raw).into_iter().map(|p| &raw[p]).collect();
        let wanted = args[1..]
            .chunks(kind.stride())
            .filter(|words| server_of(SlotId::of_key(words[0])) == *server);
        let wanted: Vec<&[u8]> = wanted.flatten().copied().collect();
        assert_eq!(found[0], args[0]);
        assert_eq!(found[1..], wanted[..]);
        seen += wanted.len();
    }
    assert_eq!(seen, args.len() - 1);
}

/// Takes the bytes for what backends answer to the parts of a split command: whatever they say,
/// the client gets exactly one whole reply.
///
/// # Panics
/// Something that must hold does not.
pub fn backend_bytes(bytes: &[u8]) {
    let mut rest = bytes;
    let mut replies = Vec::new();
    let mut scanner = ReplyScanner::new(Limits::default());
    while let Ok(Some(len)) = scanner.scan(rest) {
        let (reply, after) = rest.split_at(len);
        replies.push(Bytes::copy_from_slice(reply));
        scanner.reset();
        rest = after;
    }
    let cases: [(Kind, &[&[u8]]); 3] = [
        (Kind::Gather, &[b"MGET", b"a", b"b", b"0", b"foo"]),
        (Kind::Set, &[b"MSET", b"a", b"1", b"b", b"2", b"0", b"3"]),
        (Kind::Count, &[b"DEL", b"a", b"b", b"0", b"foo"]),
    ];
    for (kind, args) in cases {
        for start in 0..replies.len() {
            merge(kind, args, &replies[start..]);
        }
    }
}

fn merge(kind: Kind, args: &[&[u8]], replies: &[Bytes]) {
    let mut whole = split(kind, args);
    let parts = whole.regroup(0, server_of);
    let mut merged = None;
    for ((part, _), reply) in parts.iter().zip(replies) {
        assert!(merged.is_none(), "a reply before all parts have one");
        merged = whole.answer(*part, reply.clone());
        assert!(
            whole.answer(*part, reply.clone()).is_none(),
            "a part answered twice"
        );
    }
    if replies.len() < parts.len() {
        assert!(merged.is_none());
        return;
    }
    let merged = merged.expect("all parts have a reply");
    let scanned = ReplyScanner::new(Limits::default()).scan(&merged);
    // One level of arrays is added by nobody, so the limits that let the parts in hold.
    assert_eq!(scanned, Ok(Some(merged.len())), "{}", merged.escape_ascii());
}
