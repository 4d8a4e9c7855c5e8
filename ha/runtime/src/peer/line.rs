//! A connection that asks a server for its figures, again and again.
//!
//! [`Peer`](super::Peer) can be shared and has a task of its own for that; with hundreds of servers
//! that are asked every second those tasks are most of the work. A line belongs to the one who
//! asks, who waits for each answer before the next question.

use std::borrow::Cow;
use std::ops::Range;

use bytes::BytesMut;
use codis_core::addr::Addr;
use codis_core::resp::{Limits, ReplyScanner, Value, encode_command};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{CONNECT_MAX, Error, Info};

/// The longest answer: what servers say of themselves is a hundredth of it.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// Room for an answer of a usual length.
const ANSWER_BYTES: usize = 8 * 1024;
const LINE_END: &str = "\r\n";
const INFO: &[u8] = b"*1\r\n$4\r\nINFO\r\n";
const MAXMEMORY: &[u8] = b"*3\r\n$6\r\nCONFIG\r\n$3\r\nGET\r\n$9\r\nmaxmemory\r\n";

/// A connection of one who asks. After an error, or a question that was given up, it is of no use
/// any more: an answer that comes late would be taken for that to the next question.
#[derive(Debug)]
pub struct Line {
    addr: String,
    stream: TcpStream,
    /// The answer so far. Its room is kept for the next one.
    buf: BytesMut,
}

/// What a server answered.
enum Answer {
    /// A string, which lies in these bytes of the buffer.
    Text(Range<usize>),
    /// Anything else but a refusal.
    Other(Value),
}

impl Line {
    /// Connects; an empty `auth` sends no password.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn open(addr: &str, auth: &str) -> Result<Self, Error> {
        let broken = |reason: String| Error::Broken {
            addr: addr.to_owned(),
            reason,
        };
        let parsed: Addr = addr.parse().map_err(|error| broken(format!("{error}")))?;
        let opening = TcpStream::connect((parsed.host(), parsed.port()));
        let opened = tokio::time::timeout(CONNECT_MAX, opening).await;
        let stream = opened.map_err(|_| Error::TimedOut {
            addr: addr.to_owned(),
        })?;
        let stream = stream.map_err(|error| broken(error.to_string()))?;
        let mut line = Self {
            addr: addr.to_owned(),
            stream,
            buf: BytesMut::with_capacity(ANSWER_BYTES),
        };
        // Each question is one packet, so there is nothing that could wait for an acknowledgement.
        line.login(auth).await?;
        Ok(line)
    }

    /// `INFO`, and `maxmemory` from a server whose `INFO` lacks it.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn full_info(&mut self) -> Result<Info, Error> {
        let info = match self.ask(INFO).await? {
            Answer::Text(text) => {
                let text = &self.buf[text];
                let text = str::from_utf8(text).map_or_else(|_| lossy(text), Box::from);
                Info::new(text)
            }
            Answer::Other(_) => return Err(self.odd("INFO")),
        };
        // Servers from 3.2 on tell it with the rest; a second question costs as much as the first.
        if info.field("maxmemory").is_some() {
            return Ok(info);
        }
        let Answer::Other(Value::Array(Some(pair))) = self.ask(MAXMEMORY).await? else {
            return Err(self.odd("CONFIG GET"));
        };
        let value = pair.get(1).and_then(Value::as_str).map(str::to_owned);
        Ok(info.with_maxmemory(value))
    }

    async fn login(&mut self, auth: &str) -> Result<(), Error> {
        if auth.is_empty() {
            return Ok(());
        }
        let mut question = Vec::new();
        encode_command(&mut question, &["AUTH", auth]);
        match self.ask(&question).await {
            Ok(_) => Ok(()),
            Err(Error::Refused(reason)) => Err(Error::WrongPassword {
                addr: self.addr.clone(),
                reason,
            }),
            Err(error) => Err(error),
        }
    }

    async fn ask(&mut self, question: &[u8]) -> Result<Answer, Error> {
        let sent = self.stream.write_all(question).await;
        sent.map_err(|error| self.broken(&error))?;
        let end = self.read().await?;
        if self.buf.first() == Some(&b'$') {
            let header = memchr::memchr(b'\n', &self.buf).unwrap_or(end);
            let text = header + 1..end.saturating_sub(LINE_END.len());
            if !text.is_empty() {
                return Ok(Answer::Text(text));
            }
        }
        let limits = limits();
        let answer = Value::parse(&self.buf, &limits).map_err(|error| self.broken(&error))?;
        let Some((answer, _)) = answer else {
            return Err(self.odd("a question"));
        };
        match answer.as_error().map(Cow::into_owned) {
            None => Ok(Answer::Other(answer)),
            Some(reason) if matches!(reason.split(' ').next(), Some("NOAUTH" | "WRONGPASS")) => {
                let addr = self.addr.clone();
                Err(Error::WrongPassword { addr, reason })
            }
            Some(reason) => Err(Error::Refused(reason)),
        }
    }

    /// Reads one answer into the buffer; gives where it ends.
    async fn read(&mut self) -> Result<usize, Error> {
        let mut scanner = ReplyScanner::new(limits());
        self.buf.clear();
        loop {
            match self.stream.read_buf(&mut self.buf).await {
                Ok(0) => return Err(self.broken(&"the server closed the connection")),
                Ok(_) => {}
                Err(error) => return Err(self.broken(&error)),
            }
            let end = scanner.scan(&self.buf);
            if let Some(end) = end.map_err(|error| self.broken(&error))? {
                return Ok(end);
            }
        }
    }

    fn broken(&self, reason: &dyn std::fmt::Display) -> Error {
        Error::Broken {
            addr: self.addr.clone(),
            reason: reason.to_string(),
        }
    }

    fn odd(&self, question: &str) -> Error {
        self.broken(&format!("{question} has an answer of the wrong type"))
    }
}

fn limits() -> Limits {
    Limits {
        bulk_bytes_max: ANSWER_BYTES_MAX,
        ..Limits::default()
    }
}

fn lossy(text: &[u8]) -> Box<str> {
    String::from_utf8_lossy(text).into()
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// A server that says these, each after the next question, then closes.
    async fn server<const N: usize>(answers: [&'static str; N]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut question = [0; 256];
            for answer in answers {
                assert!(stream.read(&mut question).await.unwrap() > 0);
                // In two packets, as a long one comes.
                let (start, end) = answer.as_bytes().split_at(answer.len() / 2);
                stream.write_all(start).await.unwrap();
                tokio::task::yield_now().await;
                stream.write_all(end).await.unwrap();
            }
        });
        addr
    }

    /// A line has no limit of its own on an answer.
    async fn info(line: &mut Line) -> Result<Info, Error> {
        let limit = std::time::Duration::from_secs(20);
        let asked = tokio::time::timeout(limit, line.full_info()).await;
        asked.expect("the server said all that it says")
    }

    #[tokio::test]
    async fn a_server_is_asked_again_and_again_until_it_goes() {
        let text = "$23\r\nrun_id:a\r\nmaxmemory:7\r\n\r\n";
        let addr = server(["+OK\r\n", text, text]).await;
        let mut line = Line::open(&addr, "secret").await.unwrap();
        for _ in 0..2 {
            let info = info(&mut line).await.unwrap();
            assert_eq!(info.field("maxmemory"), Some("7"));
        }
        let gone = info(&mut line).await.unwrap_err();
        assert!(matches!(gone, Error::Broken { .. }), "{gone}");
    }

    #[tokio::test]
    async fn one_whose_info_lacks_maxmemory_is_asked_for_it() {
        let config = "*2\r\n$9\r\nmaxmemory\r\n$1\r\n5\r\n";
        let addr = server(["$8\r\nrun_id:a\r\n", config]).await;
        let mut line = Line::open(&addr, "").await.unwrap();
        assert_eq!(info(&mut line).await.unwrap().fields()["maxmemory"], "5");
    }

    #[tokio::test]
    async fn a_refusal_is_told_in_the_words_of_the_server() {
        let refused = |auth, answer| async move {
            let addr = server([answer]).await;
            match Line::open(&addr, auth).await {
                Ok(mut line) => info(&mut line).await.unwrap_err(),
                Err(error) => error,
            }
        };
        let error = refused("", "-LOADING it loads\r\n").await;
        assert!(error.is_refusal() && error.to_string() == "LOADING it loads");
        let error = refused("", "-NOAUTH who?\r\n").await;
        assert!(matches!(error, Error::WrongPassword { .. }), "{error}");
        let error = refused("secret", "-ERR no password is set\r\n").await;
        assert!(matches!(error, Error::WrongPassword { .. }), "{error}");
        let error = refused("", "nonsense\r\n").await;
        assert!(matches!(error, Error::Broken { .. }), "{error}");
        let error = refused("", ":7\r\n").await;
        assert!(matches!(error, Error::Broken { .. }), "{error}");
    }
}
