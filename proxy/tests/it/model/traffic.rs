//! Random traffic, its bytes, and what a reply says beside the model's.

use codis_core::resp::{Value, encode_command};
use proptest::collection::vec;
use proptest::prelude::*;

use super::redis::{Reply, Request};

/// Keys of one client.
const KEYS: u8 = 12;

/// What one client sends: pipelines, each written in pieces of the given lengths in turn.
#[derive(Clone, Debug)]
pub struct Traffic {
    pub pipelines: Vec<Vec<(Request, Form)>>,
    pub pieces: Vec<usize>,
}

/// How a request is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    MultiBulk,
    /// In one line where that is possible.
    Inline,
}

/// Traffic of some clients.
pub fn clients() -> impl Strategy<Value = Vec<Traffic>> {
    let form = prop_oneof![4 => Just(Form::MultiBulk), 1 => Just(Form::Inline)];
    let pipeline = vec((request(), form), 1..120);
    let piece = prop_oneof![4 => 1..20usize, 4 => 20..5_000usize, 1 => Just(1usize << 20)];
    let traffic = (vec(pipeline, 1..4), vec(piece, 1..6))
        .prop_map(|(pipelines, pieces)| Traffic { pipelines, pieces });
    vec(traffic, 1..6)
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => "[a-z0-9]{0,8}".prop_map(String::into_bytes),
        3 => (-50..50i32).prop_map(|number| number.to_string().into_bytes()),
        2 => vec(any::<u8>(), 0..40),
        1 => Just(b"$-1\r\n*3\r\n+OK\r\n".to_vec()),
        1 => (4_000..20_000usize).prop_map(|len| vec![b'x'; len]),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![12 => texts(), 9 => collections(), 4 => lives(), 8 => many()]
}

fn key() -> impl Strategy<Value = u8> {
    0..KEYS
}

fn texts() -> impl Strategy<Value = Request> {
    prop_oneof![
        (key(), text()).prop_map(|(k, v)| Request::Set(k, v)),
        (key(), text()).prop_map(|(k, v)| Request::SetNx(k, v)),
        key().prop_map(Request::Get),
        (key(), text()).prop_map(|(k, v)| Request::GetSet(k, v)),
        (key(), text()).prop_map(|(k, v)| Request::Append(k, v)),
        key().prop_map(Request::Strlen),
        (key(), -9..9i32).prop_map(|(k, by)| Request::IncrBy(k, by)),
        text().prop_map(Request::Echo),
        Just(Request::Keys),
    ]
}

fn collections() -> impl Strategy<Value = Request> {
    let small = 0..4u8;
    prop_oneof![
        (key(), small.clone(), text()).prop_map(|(k, f, v)| Request::HSet(k, f, v)),
        (key(), small.clone()).prop_map(|(k, f)| Request::HGet(k, f)),
        (key(), small.clone()).prop_map(|(k, f)| Request::HDel(k, f)),
        key().prop_map(Request::HLen),
        (key(), text()).prop_map(|(k, v)| Request::LPush(k, v)),
        (key(), text()).prop_map(|(k, v)| Request::RPush(k, v)),
        key().prop_map(Request::LPop),
        key().prop_map(Request::RPop),
        (key(), -5..5i8, -5..5i8).prop_map(|(k, a, b)| Request::LRange(k, a, b)),
        (key(), small.clone()).prop_map(|(k, m)| Request::SAdd(k, m)),
        (key(), small.clone()).prop_map(|(k, m)| Request::SRem(k, m)),
        (key(), small).prop_map(|(k, m)| Request::SIsMember(k, m)),
        key().prop_map(Request::SCard),
    ]
}

fn lives() -> impl Strategy<Value = Request> {
    let seconds = prop_oneof![4 => 1000..2000i32, 1 => -1..=0i32];
    prop_oneof![
        (key(), seconds).prop_map(|(k, s)| Request::Expire(k, s)),
        key().prop_map(Request::Persist),
        key().prop_map(Request::Ttl),
        key().prop_map(Request::Type),
    ]
}

fn many() -> impl Strategy<Value = Request> {
    let keys = || vec(key(), 1..16);
    prop_oneof![
        3 => keys().prop_map(Request::MGet),
        3 => vec((key(), text()), 1..10).prop_map(Request::MSet),
        1 => keys().prop_map(Request::Del),
        1 => keys().prop_map(Request::Unlink),
        1 => keys().prop_map(Request::Exists),
        1 => keys().prop_map(Request::Touch),
    ]
}

/// The arguments of a request, with keys of their own for each `owner`.
fn arguments(request: &Request, owner: &str) -> Vec<Vec<u8>> {
    let key = |key: &u8| format!("{owner}:{key}").into_bytes();
    let word = |text: &str| text.as_bytes().to_vec();
    let number = |number: i64| number.to_string().into_bytes();
    let on = |name: &str, k: &u8| vec![word(name), key(k)];
    let with = |name: &str, k: &u8, arg: Vec<u8>| vec![word(name), key(k), arg];
    let all = |name: &str, keys: &[u8]| {
        let keys = keys.iter().map(key);
        std::iter::once(word(name)).chain(keys).collect()
    };
    let small = |n: &u8| number(i64::from(*n));
    match request {
        Request::Set(k, v) => with("SET", k, v.clone()),
        Request::SetNx(k, v) => with("setnx", k, v.clone()),
        Request::Get(k) => on("GET", k),
        Request::GetSet(k, v) => with("GETSET", k, v.clone()),
        Request::Append(k, v) => with("APPEND", k, v.clone()),
        Request::Strlen(k) => on("STRLEN", k),
        Request::IncrBy(k, by) => with("INCRBY", k, number(i64::from(*by))),
        Request::HSet(k, f, v) => vec![word("HSET"), key(k), small(f), v.clone()],
        Request::HGet(k, f) => with("HGET", k, small(f)),
        Request::HDel(k, f) => with("HDEL", k, small(f)),
        Request::HLen(k) => on("HLEN", k),
        Request::LPush(k, v) => with("LPUSH", k, v.clone()),
        Request::RPush(k, v) => with("RPUSH", k, v.clone()),
        Request::LPop(k) => on("LPOP", k),
        Request::RPop(k) => on("RPOP", k),
        Request::LRange(k, a, b) => {
            let (a, b) = (number(i64::from(*a)), number(i64::from(*b)));
            vec![word("LRANGE"), key(k), a, b]
        }
        Request::SAdd(k, m) => with("SADD", k, small(m)),
        Request::SRem(k, m) => with("SREM", k, small(m)),
        Request::SIsMember(k, m) => with("SISMEMBER", k, small(m)),
        Request::SCard(k) => on("SCARD", k),
        Request::Expire(k, seconds) => with("EXPIRE", k, number(i64::from(*seconds))),
        Request::Persist(k) => on("PERSIST", k),
        Request::Ttl(k) => on("TTL", k),
        Request::Type(k) => on("TYPE", k),
        Request::MGet(keys) => all("MGET", keys),
        Request::MSet(pairs) => {
            let pairs = pairs.iter().flat_map(|(k, v)| [key(k), v.clone()]);
            std::iter::once(word("MSET")).chain(pairs).collect()
        }
        Request::Del(keys) => all("DEL", keys),
        Request::Unlink(keys) => all("unlink", keys),
        Request::Exists(keys) => all("EXISTS", keys),
        Request::Touch(keys) => all("TOUCH", keys),
        Request::Echo(text) => vec![word("ECHO"), text.clone()],
        Request::Keys => vec![word("KEYS"), word("*")],
    }
}

/// Appends the bytes of a request.
pub fn write(out: &mut Vec<u8>, request: &Request, form: Form, owner: &str) {
    let args = arguments(request, owner);
    let is_word = |arg: &Vec<u8>| {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b":-".contains(byte);
        !arg.is_empty() && arg.len() < 1000 && arg.iter().all(plain)
    };
    if form == Form::Inline && args.iter().all(is_word) {
        out.extend_from_slice(&args.join(&b' '));
        out.extend_from_slice(b"\r\n");
    } else {
        encode_command(out, &args);
    }
}

impl Reply {
    /// Whether a server said this.
    pub fn is(&self, told: &Value) -> bool {
        match (self, told) {
            (Reply::Simple(text), Value::Simple(told)) => text.as_bytes() == &told[..],
            (Reply::Error(text), Value::Error(told)) => text.as_bytes() == &told[..],
            (Reply::Integer(number), Value::Integer(told)) => number == told,
            (Reply::Within(least, most), Value::Integer(told)) => (least..=most).contains(&told),
            (Reply::Bulk(text), told) => is_bulk(text.as_deref(), told),
            (Reply::Array(texts), Value::Array(Some(told))) => {
                let mut pairs = texts.iter().zip(told);
                texts.len() == told.len()
                    && pairs.all(|(text, told)| is_bulk(text.as_deref(), told))
            }
            _ => false,
        }
    }
}

fn is_bulk(text: Option<&[u8]>, told: &Value) -> bool {
    matches!(told, Value::Bulk(told) if told.as_deref() == text)
}
