//! A blocking client that shows replies as they are.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use codis_core::resp::{Limits, Value, encode_command};

use super::PATIENCE;

/// One connection.
pub struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Client {
    /// Connects, or tells that it cannot.
    pub fn try_connect(host: &str, port: u16) -> Option<Self> {
        let stream = TcpStream::connect((host, port)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.set_nodelay(true).ok()?;
        let unread = Vec::new();
        Some(Self { stream, unread })
    }

    /// Writes bytes as they are.
    pub fn write_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Writes a command.
    pub fn write(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let mut out = Vec::new();
        encode_command(&mut out, &words);
        self.write_raw(&out);
    }

    /// Writes a command, unless the connection is gone.
    pub fn try_write(&mut self, line: &str) -> Option<()> {
        let words: Vec<&str> = line.split(' ').collect();
        let mut out = Vec::new();
        encode_command(&mut out, &words);
        self.stream.write_all(&out).ok()
    }

    /// The next reply; `None` when the connection ends or is silent for too long.
    pub fn read(&mut self) -> Option<Value> {
        loop {
            if let Some((value, len)) = Value::parse(&self.unread, &Limits::default()).unwrap() {
                self.unread.drain(..len);
                return Some(value);
            }
            let mut buffer = [0; 16 * 1024];
            match self.stream.read(&mut buffer) {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.unread.extend_from_slice(&buffer[..count]),
            }
        }
    }

    /// The next reply; `None` as well when what comes is no reply at all.
    pub fn read_or_end(&mut self) -> Option<Value> {
        loop {
            match Value::parse(&self.unread, &Limits::default()) {
                Ok(Some((value, _))) => return Some(value),
                Ok(None) => {}
                Err(_) => return None,
            }
            let mut buffer = [0; 1024];
            match self.stream.read(&mut buffer) {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.unread.extend_from_slice(&buffer[..count]),
            }
        }
    }

    /// Sends a command and reads its reply.
    pub fn call(&mut self, line: &str) -> Value {
        self.write(line);
        self.read().unwrap_or_else(|| panic!("no reply to {line}"))
    }

    /// Waits less for replies.
    pub fn patience(&mut self, patience: Duration) {
        self.stream.set_read_timeout(Some(patience)).unwrap();
    }

    /// Subscribes, and waits until that is confirmed.
    pub fn subscribe(&mut self, channels: &str) {
        self.write(&format!("SUBSCRIBE {channels}"));
        for _ in channels.split(' ') {
            self.read().unwrap();
        }
    }

    /// The next message: channel and payload.
    pub fn message(&mut self) -> Option<(String, String)> {
        let value = self.read()?;
        let parts = value.as_array()?;
        let text = |index: usize| Some(parts.get(index)?.as_str()?.to_owned());
        Some((text(1)?, text(2)?))
    }
}

/// The text of a reply, for comparison: strings as they are, aggregates in brackets of their own.
pub fn show(value: &Value) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let list = |values: &[Value]| values.iter().map(show).collect::<Vec<_>>().join(", ");
    match value {
        Value::Simple(line) => format!("+{}", text(line)),
        Value::Error(line) => format!("-{}", text(line)),
        Value::Integer(number) => format!(":{number}"),
        Value::Bulk(None) => "(nil)".into(),
        Value::Bulk(Some(bytes)) => text(bytes),
        Value::Array(None) => "(nil array)".into(),
        Value::Array(Some(values)) => format!("[{}]", list(values)),
        Value::Null => "(null)".into(),
        Value::Map(pairs) => {
            let pairs = pairs
                .iter()
                .map(|(k, v)| format!("{}: {}", show(k), show(v)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
        Value::Set(values) => format!("~[{}]", list(values)),
        Value::Push(values) => format!(">[{}]", list(values)),
        Value::Boolean(truth) => format!("#{truth}"),
        Value::Double(number) => format!(",{}", text(number)),
        Value::BigNumber(number) => format!("({}", text(number)),
        Value::Verbatim {
            format,
            text: bytes,
        } => format!("={}:{}", text(format), text(bytes)),
    }
}

/// A field of a map, or of a flat array of names and values.
pub fn field(map: &Value, name: &str) -> Option<String> {
    if let Some(pairs) = map.as_map() {
        let pair = pairs.iter().find(|(key, _)| key.as_str() == Some(name))?;
        return Some(pair.1.as_str()?.to_owned());
    }
    let parts = map.as_array()?;
    let pair = parts
        .chunks(2)
        .find(|pair| pair[0].as_str() == Some(name))?;
    Some(pair[1].as_str()?.to_owned())
}
