//! A server that speaks the SLOTS* commands, in front of a real redis-server that has the data.
//!
//! It follows `SLOTSMGRT*` of codis-server 3.2: synchronous moves are one command, asynchronous
//! ones keep writers off their batch by the wrapper only. One command runs at a time, like in a
//! real server, except that a batch is under way beside others. Everything else is passed on.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use codis_core::resp::{Limits, Protocol, Value};
use codis_core::slot::SlotId;

use super::plain::{Client, Server, Text, free_port};

type Words = Vec<Bytes>;

/// How a double misbehaves, and what it has seen.
#[derive(Default)]
pub struct Knobs {
    /// Nothing is answered as long as this is set.
    pub hang: AtomicBool,
    /// The wrapper is refused for want of memory.
    pub full: AtomicBool,
    /// Milliseconds that a batch is under way at least.
    pub batch_millis: AtomicU64,
    /// Replies for the next commands of a name, instead of running them.
    answers: Mutex<HashMap<String, VecDeque<String>>>,
    seen: Mutex<HashMap<String, u64>>,
}

impl Knobs {
    /// Answers the next command of this name so.
    pub fn answer(&self, name: &str, reply: &str) {
        let mut answers = self.answers.lock().unwrap();
        let queue = answers.entry(name.to_owned()).or_default();
        queue.push_back(reply.to_owned());
    }

    /// How many commands of this name came in.
    pub fn seen(&self, name: &str) -> u64 {
        *self.seen.lock().unwrap().get(name).unwrap_or(&0)
    }
}

struct Shared {
    redis: String,
    knobs: Knobs,
    /// Held while a command runs.
    turn: Mutex<()>,
    /// Keys of the batch under way, by database.
    batch: Mutex<HashMap<u64, BTreeSet<Bytes>>>,
    /// How often batches were cancelled, by database.
    cancels: Mutex<HashMap<u64, u64>>,
    streams: Mutex<Vec<TcpStream>>,
    dead: AtomicBool,
}

/// A codis-server for tests.
pub struct Double {
    pub addr: String,
    shared: Arc<Shared>,
}

impl Double {
    pub fn before(server: &Server) -> Self {
        Self::listen(server, free_port())
    }

    pub fn listen(server: &Server, port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let addr: SocketAddr = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            redis: server.addr(),
            knobs: Knobs::default(),
            turn: Mutex::default(),
            batch: Mutex::default(),
            cancels: Mutex::default(),
            streams: Mutex::default(),
            dead: AtomicBool::new(false),
        });
        let served = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if served.dead.load(Ordering::Relaxed) {
                    break;
                }
                served
                    .streams
                    .lock()
                    .unwrap()
                    .push(stream.try_clone().unwrap());
                let served = served.clone();
                std::thread::spawn(move || Talk::new(served, stream).run());
            }
        });
        Self {
            addr: addr.to_string(),
            shared,
        }
    }

    pub fn knobs(&self) -> &Knobs {
        &self.shared.knobs
    }

    pub fn client(&self) -> Client {
        Client::connect(&self.addr)
    }

    /// Ends like a killed process: every connection is cut and none is accepted.
    pub fn die(&self) {
        self.shared.dead.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(&self.addr);
        for stream in self.shared.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        self.knobs().hang.store(false, Ordering::Relaxed);
        self.die();
    }
}

struct Talk {
    shared: Arc<Shared>,
    stream: TcpStream,
    redis: Client,
    db: u64,
    protocol: Protocol,
}

fn error(text: &str) -> Value {
    Value::error(text.to_owned())
}

fn text(word: &Bytes) -> String {
    String::from_utf8_lossy(word).into_owned()
}

fn tag(key: &[u8]) -> Option<&[u8]> {
    let open = key.iter().position(|b| *b == b'{')?;
    let close = key[open + 1..].iter().position(|b| *b == b'}')?;
    Some(&key[open + 1..open + 1 + close])
}

impl Talk {
    fn new(shared: Arc<Shared>, stream: TcpStream) -> Self {
        let redis = Client::connect(&shared.redis);
        Self {
            shared,
            stream,
            redis,
            db: 0,
            protocol: Protocol::Resp2,
        }
    }

    fn run(mut self) {
        let mut buf = BytesMut::new();
        let mut chunk = vec![0; 64 * 1024];
        loop {
            while let Ok(Some((request, len))) = Value::parse(&buf, &Limits::default()) {
                let _ = buf.split_to(len);
                let words: Words = request
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|word| Bytes::copy_from_slice(word.as_bytes().unwrap_or_default()))
                    .collect();
                let reply = self.serve(&words);
                if self.shared.dead.load(Ordering::Relaxed)
                    || self.stream.write_all(&reply).is_err()
                {
                    return;
                }
            }
            match self.stream.read(&mut chunk) {
                Ok(0) | Err(_) => return,
                Ok(n) => buf.extend_from_slice(&chunk[..n]),
            }
        }
    }

    fn serve(&mut self, words: &Words) -> Bytes {
        let name = text(&words[0]).to_uppercase();
        let shared = self.shared.clone();
        *shared
            .knobs
            .seen
            .lock()
            .unwrap()
            .entry(name.clone())
            .or_default() += 1;
        while shared.knobs.hang.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(2));
        }
        let answers = &shared.knobs.answers;
        if let Some(raw) = answers
            .lock()
            .unwrap()
            .get_mut(&name)
            .and_then(VecDeque::pop_front)
        {
            return Bytes::from(raw);
        }
        let turn = shared.turn.lock().unwrap();
        if shared.dead.load(Ordering::Relaxed) {
            return Bytes::new();
        }
        if name == "SLOTSMGRTTAGSLOT-ASYNC" {
            return self.migrate_batch(words, turn).to_bytes_as(self.protocol);
        }
        let reply = self.execute(words);
        if name == "HELLO" && matches!(reply, Value::Map(_)) {
            self.protocol = Protocol::Resp3;
        }
        reply.to_bytes_as(self.protocol)
    }

    fn execute(&mut self, words: &Words) -> Value {
        let name = text(&words[0]).to_uppercase();
        match name.as_str() {
            "SLOTSHASHKEY" => {
                let slots = words[1..]
                    .iter()
                    .map(|k| i64::from(SlotId::of_key(k).get()));
                Value::array(slots.map(Value::Integer).collect::<Vec<_>>())
            }
            "SLOTSINFO" => self.slots_info(),
            "SLOTSSCAN" => {
                let slot: u16 = text(&words[1]).parse().unwrap();
                let keys = self.keys_of(slot).into_iter().map(Value::bulk);
                Value::array([Value::bulk("0"), Value::array(keys.collect::<Vec<_>>())])
            }
            "SLOTSMGRTTAGONE" => self.move_tag(&words[1], &words[2], &words[4]),
            "SLOTSMGRTTAGSLOT" => {
                let slot: u16 = text(&words[4]).parse().unwrap();
                let first = self.keys_of(slot).into_iter().next();
                let moved = first.map_or(Value::Integer(0), |key| {
                    self.move_tag(&words[1], &words[2], &key)
                });
                let left = self.keys_of(slot).len() as i64;
                match moved {
                    Value::Integer(_) => Value::array([moved, Value::Integer(left)]),
                    failed => failed,
                }
            }
            "SLOTSRESTORE" => self.restore(&words[1..]),
            "SLOTSMGRT-EXEC-WRAPPER" => self.wrap(words),
            "SLOTSMGRT-ASYNC-CANCEL" => {
                *self
                    .shared
                    .cancels
                    .lock()
                    .unwrap()
                    .entry(self.db)
                    .or_default() += 1;
                let runs = self.shared.batch.lock().unwrap().contains_key(&self.db);
                Value::Integer(i64::from(runs))
            }
            "SELECT" => {
                self.db = text(&words[1]).parse().unwrap_or(0);
                self.pass(words)
            }
            _ => self.pass(words),
        }
    }

    fn pass(&mut self, words: &[Bytes]) -> Value {
        let mut out = Vec::new();
        codis_core::resp::encode_command(&mut out, words);
        self.redis.send_raw(&out);
        self.redis.read()
    }

    fn ask(&mut self, words: &[&[u8]]) -> Value {
        let words: Words = words.iter().map(|w| Bytes::copy_from_slice(w)).collect();
        self.pass(&words)
    }

    fn keys(&mut self) -> Vec<Bytes> {
        let keys = self.ask(&[b"KEYS", b"*"]);
        let keys = keys.as_array().unwrap().iter();
        keys.map(|k| Bytes::copy_from_slice(k.as_bytes().unwrap()))
            .collect()
    }

    fn keys_of(&mut self, slot: u16) -> Vec<Bytes> {
        let mut keys = self.keys();
        keys.retain(|key| SlotId::of_key(key).get() == slot);
        keys
    }

    fn slots_info(&mut self) -> Value {
        let mut counts = std::collections::BTreeMap::<u16, i64>::new();
        for key in self.keys() {
            *counts.entry(SlotId::of_key(&key).get()).or_default() += 1;
        }
        let pairs = counts.into_iter().map(|(slot, count)| {
            Value::array([Value::Integer(i64::from(slot)), Value::Integer(count)])
        });
        Value::array(pairs.collect::<Vec<_>>())
    }

    fn exists(&mut self, key: &Bytes) -> bool {
        self.ask(&[b"EXISTS", key]).text() == "1"
    }

    /// A key with all that share its tag, as far as they exist.
    fn mates(&mut self, key: &Bytes) -> Vec<Bytes> {
        match tag(key) {
            Some(own) => {
                let mut all = self.keys();
                all.retain(|other| tag(other) == Some(own));
                all
            }
            None if self.exists(key) => vec![key.clone()],
            None => Vec::new(),
        }
    }

    fn restore(&mut self, words: &[Bytes]) -> Value {
        for triple in words.chunks(3) {
            let reply = self.ask(&[b"RESTORE", &triple[0], &triple[1], &triple[2], b"REPLACE"]);
            if let Value::Error(_) = reply {
                return reply;
            }
        }
        Value::simple("OK")
    }

    /// Copies keys to the target.
    fn copy(&mut self, host: &Bytes, port: &Bytes, keys: &[Bytes]) -> Result<(), Value> {
        let mut restore: Words = vec![Bytes::from("SLOTSRESTORE")];
        for key in keys {
            let payload = self.ask(&[b"DUMP", key]);
            let Some(payload) = payload.as_bytes() else {
                continue;
            };
            let ttl = self.ask(&[b"PTTL", key]).text();
            let ttl = if ttl.starts_with('-') {
                "0".to_owned()
            } else {
                ttl
            };
            let payload = Bytes::copy_from_slice(payload);
            restore.extend([key.clone(), Bytes::from(ttl), payload]);
        }
        let failed = || error("IOERR error or timeout writing to target");
        let addr: SocketAddr = format!("{}:{}", text(host), text(port)).parse().unwrap();
        let stream = TcpStream::connect_timeout(&addr, Duration::from_secs(3));
        drop(stream.map_err(|_| failed())?);
        let mut target = Client::connect(&addr.to_string());
        let mut out = Vec::new();
        codis_core::resp::encode_command(&mut out, &["SELECT", &self.db.to_string()]);
        codis_core::resp::encode_command(&mut out, &restore);
        target.send_raw(&out);
        for _ in 0..2 {
            match target.try_read() {
                Some(Value::Simple(_)) => {}
                Some(_) => return Err(error("ERR error on slotsrestore, migration failed")),
                None => return Err(error("IOERR error or timeout reading from target")),
            }
        }
        Ok(())
    }

    fn delete(&mut self, keys: &[Bytes]) {
        let mut del: Words = vec![Bytes::from("DEL")];
        del.extend(keys.iter().cloned());
        self.pass(&del);
    }

    fn move_tag(&mut self, host: &Bytes, port: &Bytes, key: &Bytes) -> Value {
        let keys = self.mates(key);
        if keys.is_empty() {
            return Value::Integer(0);
        }
        if let Err(failed) = self.copy(host, port, &keys) {
            return failed;
        }
        self.delete(&keys);
        Value::Integer(keys.len() as i64)
    }

    /// Moves keys of a slot while other commands run, and keeps writers off them.
    fn migrate_batch(&mut self, words: &Words, turn: MutexGuard<'_, ()>) -> Value {
        let slot: u16 = text(&words[6]).parse().unwrap();
        let wanted: usize = text(&words[7]).parse().unwrap();
        let in_slot = self.keys_of(slot);
        let mut keys = BTreeSet::new();
        for key in in_slot.iter().take(wanted) {
            keys.extend(self.mates(key));
        }
        let shared = self.shared.clone();
        if shared.batch.lock().unwrap().contains_key(&self.db) {
            return error("ERR the specified DB is being migrated");
        }
        let db = self.db;
        let cancels = || shared.cancels.lock().unwrap().get(&db).copied();
        let before = cancels();
        shared.batch.lock().unwrap().insert(self.db, keys.clone());
        drop(turn);
        let millis = shared.knobs.batch_millis.load(Ordering::Relaxed);
        let keys: Vec<Bytes> = keys.into_iter().collect();
        let copied = if keys.is_empty() {
            Ok(())
        } else {
            self.copy(&words[1], &words[2], &keys)
        };
        std::thread::sleep(Duration::from_millis(millis));
        let _turn = shared.turn.lock().unwrap();
        shared.batch.lock().unwrap().remove(&self.db);
        if shared.dead.load(Ordering::Relaxed) || cancels() != before {
            return error("ERR interrupted: canceled");
        }
        if let Err(failed) = copied {
            return failed;
        }
        if !keys.is_empty() {
            self.delete(&keys);
        }
        let counts = [keys.len(), in_slot.len()].map(|n| Value::Integer(n as i64));
        Value::array(counts)
    }

    fn wrap(&mut self, words: &Words) -> Value {
        if self.shared.knobs.full.load(Ordering::Relaxed) {
            return error("OOM command not allowed when used memory > 'maxmemory'.");
        }
        let told = |code: i64, reply: Value| Value::array([Value::Integer(code), reply]);
        let name = text(&words[2]).to_uppercase();
        let is_ours = name.starts_with("SLOTS");
        let mut readonly = false;
        if !is_ours {
            let info = self.ask(&[b"COMMAND", b"INFO", &words[2]]);
            let Some(Some(row)) = info.as_array().map(|all| all[0].as_array()) else {
                return told(
                    -1,
                    error(&format!("ERR invalid command specified ({name})")),
                );
            };
            let arity: i64 = row[1].text().parse().unwrap();
            let argc = words.len() as i64 - 2;
            if (arity > 0 && argc != arity) || argc < -arity {
                let text = format!("ERR wrong number of arguments for command ({name})");
                return told(-1, error(&text));
            }
            readonly = row[2].text().contains("readonly");
        }
        if !self.exists(&words[1]) {
            return told(0, error("ERR the specified key doesn't exist"));
        }
        let batch = self.shared.batch.lock().unwrap().get(&self.db).cloned();
        let is_moving = batch.is_some_and(|batch| {
            let own = tag(&words[1]);
            let is_mate = |key: &Bytes| own.is_some() && tag(key) == own;
            batch.contains(&words[1]) || batch.iter().any(is_mate)
        });
        if is_moving && !readonly {
            return told(1, error("ERR the specified key is being migrated"));
        }
        let inner: Words = words[2..].to_vec();
        let reply = self.execute(&inner);
        told(2, reply)
    }
}
