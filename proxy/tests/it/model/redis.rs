//! A model of one Redis: small, obvious, and pure.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

type Bytes = Vec<u8>;

const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";
const NOT_INTEGER: &str = "ERR value is not an integer or out of range";

/// What the model understands. Keys and fields are short numbers, so that they meet.
#[derive(Clone, Debug)]
pub enum Request {
    Set(u8, Bytes),
    SetNx(u8, Bytes),
    Get(u8),
    GetSet(u8, Bytes),
    Append(u8, Bytes),
    Strlen(u8),
    IncrBy(u8, i32),
    HSet(u8, u8, Bytes),
    HGet(u8, u8),
    HDel(u8, u8),
    HLen(u8),
    LPush(u8, Bytes),
    RPush(u8, Bytes),
    LPop(u8),
    RPop(u8),
    LRange(u8, i8, i8),
    SAdd(u8, u8),
    SRem(u8, u8),
    SIsMember(u8, u8),
    SCard(u8),
    Expire(u8, i32),
    Persist(u8),
    Ttl(u8),
    Type(u8),
    MGet(Vec<u8>),
    MSet(Vec<(u8, Bytes)>),
    Del(Vec<u8>),
    Unlink(Vec<u8>),
    Exists(Vec<u8>),
    Touch(Vec<u8>),
    Echo(Bytes),
    /// Refused by the proxy; the model says so too.
    Keys,
}

/// A reply. How long a key still lives is known only roughly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Simple(&'static str),
    Error(String),
    Integer(i64),
    Bulk(Option<Bytes>),
    Array(Vec<Option<Bytes>>),
    /// An integer in this range.
    Within(i64, i64),
}

#[derive(Clone, Debug)]
enum Value {
    Text(Bytes),
    Hash(BTreeMap<u8, Bytes>),
    List(VecDeque<Bytes>),
    Set(BTreeSet<u8>),
}

#[derive(Clone, Debug)]
struct Entry {
    value: Value,
    /// Seconds that it was told to live.
    lives: Option<i64>,
}

/// The keys of one client.
#[derive(Debug, Default)]
pub struct Redis {
    keys: BTreeMap<u8, Entry>,
}

/// A value of one kind, made when it is not there, or the error for another kind.
macro_rules! of_kind {
    ($self:ident, $key:expr, $kind:ident) => {{
        let fresh = Entry {
            value: Value::$kind(Default::default()),
            lives: None,
        };
        match &mut $self.keys.entry($key).or_insert(fresh).value {
            Value::$kind(inner) => inner,
            _ => return Reply::Error(WRONG_TYPE.to_owned()),
        }
    }};
}

/// A value of one kind, or the reply when it is not there or of another kind.
macro_rules! existing {
    ($self:ident, $key:expr, $kind:ident, $none:expr) => {
        match $self.keys.get_mut(&$key).map(|entry| &mut entry.value) {
            Some(Value::$kind(inner)) => inner,
            Some(_) => return Reply::Error(WRONG_TYPE.to_owned()),
            None => return $none,
        }
    };
}

impl Redis {
    /// Runs one request.
    pub fn run(&mut self, request: &Request) -> Reply {
        match request {
            Request::HSet(..) | Request::HGet(..) | Request::HDel(..) | Request::HLen(_) => {
                self.hash(request)
            }
            Request::LPush(..)
            | Request::RPush(..)
            | Request::LPop(_)
            | Request::RPop(_)
            | Request::LRange(..) => self.list(request),
            Request::SAdd(..) | Request::SRem(..) | Request::SIsMember(..) | Request::SCard(_) => {
                self.set_of(request)
            }
            Request::Expire(..) | Request::Persist(_) | Request::Ttl(_) | Request::Type(_) => {
                self.life(request)
            }
            Request::MGet(_)
            | Request::MSet(_)
            | Request::Del(_)
            | Request::Unlink(_)
            | Request::Exists(_)
            | Request::Touch(_) => self.many(request),
            _ => self.text(request),
        }
    }

    fn put(&mut self, key: u8, text: Bytes) {
        let value = Value::Text(text);
        self.keys.insert(key, Entry { value, lives: None });
    }

    fn text(&mut self, request: &Request) -> Reply {
        match request {
            Request::Set(key, text) => {
                self.put(*key, text.clone());
                Reply::Simple("OK")
            }
            Request::SetNx(key, text) => {
                let is_new = !self.keys.contains_key(key);
                if is_new {
                    self.put(*key, text.clone());
                }
                Reply::Integer(is_new.into())
            }
            Request::Get(key) => {
                let text = existing!(self, *key, Text, Reply::Bulk(None));
                Reply::Bulk(Some(text.clone()))
            }
            Request::GetSet(key, text) => {
                let before = self.run(&Request::Get(*key));
                if matches!(before, Reply::Bulk(_)) {
                    self.put(*key, text.clone());
                }
                before
            }
            Request::Append(key, more) => {
                let text = of_kind!(self, *key, Text);
                text.extend_from_slice(more);
                Reply::Integer(text.len() as i64)
            }
            Request::Strlen(key) => {
                let text = existing!(self, *key, Text, Reply::Integer(0));
                Reply::Integer(text.len() as i64)
            }
            Request::IncrBy(key, by) => self.count(*key, *by),
            Request::Echo(text) => Reply::Bulk(Some(text.clone())),
            Request::Keys => {
                Reply::Error("ERR handle request, command 'KEYS' is not allowed".to_owned())
            }
            other => unreachable!("{other:?}"),
        }
    }

    fn count(&mut self, key: u8, by: i32) -> Reply {
        let is_new = !self.keys.contains_key(&key);
        let text = of_kind!(self, key, Text);
        let before = if is_new { Some(0) } else { integer(text) };
        let Some(after) = before.and_then(|before| before.checked_add(i64::from(by))) else {
            return Reply::Error(NOT_INTEGER.to_owned());
        };
        *text = after.to_string().into_bytes();
        Reply::Integer(after)
    }

    fn hash(&mut self, request: &Request) -> Reply {
        match request {
            Request::HSet(key, field, text) => {
                let hash = of_kind!(self, *key, Hash);
                let before = hash.insert(*field, text.clone());
                Reply::Integer(before.is_none().into())
            }
            Request::HGet(key, field) => {
                let hash = existing!(self, *key, Hash, Reply::Bulk(None));
                Reply::Bulk(hash.get(field).cloned())
            }
            Request::HDel(key, field) => {
                let hash = existing!(self, *key, Hash, Reply::Integer(0));
                let gone = hash.remove(field).is_some();
                if hash.is_empty() {
                    self.keys.remove(key);
                }
                Reply::Integer(gone.into())
            }
            Request::HLen(key) => {
                let hash = existing!(self, *key, Hash, Reply::Integer(0));
                Reply::Integer(hash.len() as i64)
            }
            other => unreachable!("{other:?}"),
        }
    }

    fn list(&mut self, request: &Request) -> Reply {
        match request {
            Request::LPush(key, text) | Request::RPush(key, text) => {
                let list = of_kind!(self, *key, List);
                match request {
                    Request::LPush(..) => list.push_front(text.clone()),
                    _ => list.push_back(text.clone()),
                }
                Reply::Integer(list.len() as i64)
            }
            Request::LPop(key) | Request::RPop(key) => {
                let list = existing!(self, *key, List, Reply::Bulk(None));
                let taken = match request {
                    Request::LPop(_) => list.pop_front(),
                    _ => list.pop_back(),
                };
                if list.is_empty() {
                    self.keys.remove(key);
                }
                Reply::Bulk(taken)
            }
            Request::LRange(key, from, to) => {
                let list = existing!(self, *key, List, Reply::Array(Vec::new()));
                let len = list.len() as i64;
                let place = |index: i8| match i64::from(index) {
                    index if index < 0 => len + index,
                    index => index,
                };
                let (from, to) = (place(*from).max(0), place(*to));
                let taken = (from..=to).filter_map(|index| list.get(usize::try_from(index).ok()?));
                Reply::Array(taken.cloned().map(Some).collect())
            }
            other => unreachable!("{other:?}"),
        }
    }

    fn set_of(&mut self, request: &Request) -> Reply {
        match request {
            Request::SAdd(key, member) => {
                let set = of_kind!(self, *key, Set);
                Reply::Integer(set.insert(*member).into())
            }
            Request::SRem(key, member) => {
                let set = existing!(self, *key, Set, Reply::Integer(0));
                let gone = set.remove(member);
                if set.is_empty() {
                    self.keys.remove(key);
                }
                Reply::Integer(gone.into())
            }
            Request::SIsMember(key, member) => {
                let set = existing!(self, *key, Set, Reply::Integer(0));
                Reply::Integer(set.contains(member).into())
            }
            Request::SCard(key) => {
                let set = existing!(self, *key, Set, Reply::Integer(0));
                Reply::Integer(set.len() as i64)
            }
            other => unreachable!("{other:?}"),
        }
    }

    fn life(&mut self, request: &Request) -> Reply {
        let (Request::Expire(key, _)
        | Request::Persist(key)
        | Request::Ttl(key)
        | Request::Type(key)) = request
        else {
            unreachable!("{request:?}");
        };
        let Some(entry) = self.keys.get_mut(key) else {
            return match request {
                Request::Ttl(_) => Reply::Integer(-2),
                Request::Type(_) => Reply::Simple("none"),
                _ => Reply::Integer(0),
            };
        };
        match (request, entry.lives) {
            (Request::Expire(_, seconds), _) => {
                entry.lives = Some(i64::from(*seconds));
                if *seconds <= 0 {
                    self.keys.remove(key);
                }
                Reply::Integer(1)
            }
            (Request::Persist(_), lives) => {
                entry.lives = None;
                Reply::Integer(lives.is_some().into())
            }
            (Request::Ttl(_), Some(seconds)) => Reply::Within(seconds - 60, seconds),
            (Request::Ttl(_), None) => Reply::Integer(-1),
            _ => Reply::Simple(match entry.value {
                Value::Text(_) => "string",
                Value::Hash(_) => "hash",
                Value::List(_) => "list",
                Value::Set(_) => "set",
            }),
        }
    }

    fn many(&mut self, request: &Request) -> Reply {
        match request {
            Request::MGet(keys) => {
                let texts = keys.iter().map(|key| match self.keys.get(key)?.value {
                    Value::Text(ref text) => Some(text.clone()),
                    _ => None,
                });
                Reply::Array(texts.collect())
            }
            Request::MSet(pairs) => {
                for (key, text) in pairs {
                    self.put(*key, text.clone());
                }
                Reply::Simple("OK")
            }
            Request::Del(keys) | Request::Unlink(keys) => {
                let gone = keys.iter().filter(|key| self.keys.remove(key).is_some());
                Reply::Integer(gone.count() as i64)
            }
            Request::Exists(keys) | Request::Touch(keys) => {
                let there = keys.iter().filter(|key| self.keys.contains_key(key));
                Reply::Integer(there.count() as i64)
            }
            other => unreachable!("{other:?}"),
        }
    }
}

/// A number as Redis reads one: no sign `+`, no leading zeros.
fn integer(text: &[u8]) -> Option<i64> {
    let number: i64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (number.to_string().as_bytes() == text).then_some(number)
}
